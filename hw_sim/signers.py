"""A token that takes its time: what the twin puts before any key of the daemon's. Recorder thread."""

from collections.abc import Callable

from device.clock import Latch
from device.evidence.envelope import Signer


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


def wait_ms(delay_ms: int) -> None:
    """Real time passes on this thread."""
    Latch().wait(delay_ms / 1000)
