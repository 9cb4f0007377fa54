"""What a page may ask of the panel, and how much of it at once. Strict: whatever is not one of these is refused.

What is done to the bench is said in its own lines of text (`hw_sim.lines.play`); only what no line says has a message of
its own. No I/O.
"""

from typing import Annotated, Literal

import msgspec

from device.errors import UsageError
from device.evidence.records import RecordingName

MAX_MESSAGE_BYTES = 512
BURST = 60
PER_SECOND = 40
"""A hand that drums on both buttons is far below this."""


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do"):
    """The root of what a page may say."""


class Say(Message, frozen=True, tag="say"):
    """One line of the bench's: `zone private`, `trigger panic`, …"""

    line: Annotated[str, msgspec.Meta(min_length=1, max_length=80, pattern=r"^[ -~]+\Z")]


class Press(Message, frozen=True, tag="press"):
    """A button goes down, or comes up again. It comes up by itself when the page goes."""

    button: Literal["record", "function"]
    down: bool


class Verify(Message, frozen=True, tag="verify"):
    """Judge a recording now, whatever was judged before."""

    recording: RecordingName


class Export(Message, frozen=True, tag="export"):
    """Export a recording that has ended into the bench's folder, and let the page play it."""

    recording: RecordingName


class CutPower(Message, frozen=True, tag="cut-power"):
    """Pull the battery: what was not synced is gone, and the device starts again."""


Asked = Say | Press | Verify | Export | CutPower
_ASKED = msgspec.json.Decoder(Asked)


def read(text: str) -> Asked:
    """`UsageError` for anything else."""
    if len(text) > MAX_MESSAGE_BYTES:
        raise UsageError(f"a message of {len(text)} characters; the limit is {MAX_MESSAGE_BYTES}")
    try:
        asked: Asked = _ASKED.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as failure:
        raise UsageError(f"not a message of the panel's: {failure}") from failure
    return asked


class Allowance:
    """So many messages at once, and so many a second after that."""

    def __init__(self, now_us: int) -> None:
        self._left = float(BURST)
        self._at_us = now_us

    def take(self, now_us: int) -> bool:
        """Whether one more may be said."""
        passed_s = (now_us - self._at_us) / 1e6
        self._left, self._at_us = min(BURST, self._left + passed_s * PER_SECOND), now_us
        if self._left < 1:
            return False
        self._left -= 1
        return True
