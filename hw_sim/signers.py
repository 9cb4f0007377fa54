"""What the twin puts before any key of the daemon's: a token that takes its time, refuses, or signs wrongly.

Recorder thread signs; the faults are set from any thread.
"""

import random
from collections.abc import Callable
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from device.clock import Latch
from device.errors import KeyUnreachable
from device.evidence.envelope import Signer, low_s

STUCK_LOOK_US = 100_000
Signs = Literal["well", "not", "garbage", "with-another-key"]


class SignerFaults:
    """`takes_us`: how long each signature takes; `next_takes_us`: the next one alone; `stuck_us`: none comes back before it is
    mended, or so long has passed. They are of every key that the daemon signs with."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.signs: Signs = "well"
        self.takes_us = 0
        self.next_takes_us = 0
        self.stuck_us = 0


class TwinSigner:
    """A key as the daemon gets it, and what is wrong with it. `let_pass`: lets so many µs pass, in real or virtual time."""

    def __init__(self, signer: Signer, faults: SignerFaults, let_pass: Callable[[int], None]) -> None:
        self._signer = signer
        self._faults = faults
        self._let_pass = let_pass
        self._random = random.Random(1)
        self._other: ec.EllipticCurvePrivateKey | None = None

    @property
    def certificate_sha256(self) -> str:
        return self._signer.certificate_sha256

    def sign(self, message: bytes) -> bytes:
        faults = self._faults
        while faults.stuck_us > 0:
            faults.stuck_us -= STUCK_LOOK_US
            self._let_pass(STUCK_LOOK_US)
        wait_us, faults.next_takes_us = faults.takes_us + faults.next_takes_us, 0
        if wait_us:
            self._let_pass(wait_us)
        if faults.signs == "not":
            raise KeyUnreachable("the token does not answer, as the bench says")
        if faults.signs == "garbage":
            return self._random.randbytes(70)
        if faults.signs == "with-another-key":
            self._other = self._other or ec.generate_private_key(ec.SECP256R1())
            return low_s(self._other.sign(message, ec.ECDSA(hashes.SHA256())))
        return self._signer.sign(message)


class SlowSigner:
    """A signer each of whose signatures takes as long as `let_pass` does."""

    def __init__(self, signer: Signer, let_pass: Callable[[], None]) -> None:
        self._signer = signer
        self._let_pass = let_pass
        self.signatures = 0

    @property
    def certificate_sha256(self) -> str:
        return self._signer.certificate_sha256

    def sign(self, message: bytes) -> bytes:
        self._let_pass()
        self.signatures += 1
        return self._signer.sign(message)


def wait_us(delay_us: int) -> None:
    """Real time passes on this thread."""
    Latch().wait(delay_us / 1e6)
