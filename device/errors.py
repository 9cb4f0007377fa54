"""One root for every error this product raises, and one reaction for each class.

A class says what happens next, not what went wrong; the message says what went wrong and the way out.
A broken assumption of our own is an assertion, not one of these.
"""


class BodycamError(Exception):
    """The root. `exit_status` is what a command ends with when nothing nearer handles it."""

    exit_status = 1


class UsageError(BodycamError):
    """The person at the command must change the arguments or the files they name. Nothing was written."""

    exit_status = 2


class ConfigurationError(UsageError):
    """The operator must edit a file. The daemon ends with 78, which systemd does not restart on."""

    daemon_exit_status = 78


class CannotPersist(BodycamError):
    """Storage failed now: keep what is in memory, show the fault, write to a new name."""


class KeyUnreachable(CannotPersist):
    """A private key can't sign now (a token unplugged): the same reaction, and the fault shown is the key's."""


class CardFull(CannotPersist):
    """Storage has no room: close cleanly on the reserve, refuse new recordings, delete nothing."""


class HardwareFailed(BodycamError):
    """A part of the hardware refuses, or is not there: show the fault, record with what is left, try again later."""


class HardwareHung(HardwareFailed):
    """A part does not come back from a call: this process can't use it again. End, so that systemd starts anew."""


class EvidenceError(BodycamError):
    """Stored evidence is not what it should be: never retry, never mend, keep it and say so."""


class StoreError(BodycamError):
    """The agency's store can't be reached, refuses, or does not keep to the protocol: nothing is lost, nothing deleted;
    the next run goes on where this one ended."""

    exit_status = 75
