"""What a first recording needs, loaded before there is one. The part named `loading`.

It waits for READY, so that neither the first frame nor READY comes later for it, and then loads on a thread of its own: a press
that comes meanwhile waits for what is left, a later one for nothing. Libraries that are missing or broken are found
here, and end the daemon with 78: a device that can't record must not look ready.
"""

from device.clock import NEVER_US, Wake
from device.media.trial import make_segment


class Loading:
    name = "loading"

    def __init__(self) -> None:
        self.wake = Wake()
        self._ready = False

    def begin(self) -> None:
        """READY has been said. Control thread."""
        self._ready = True
        self.wake.ring()

    def run_once(self, _: int) -> int:
        """`ConfigurationError` where the libraries can't do their work."""
        if self._ready:
            self._ready = False
            make_segment()
        return NEVER_US
