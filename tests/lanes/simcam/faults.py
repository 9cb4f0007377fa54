"""What a test may put wrong with the paced camera, and how fast it runs. Set by the test, read by the camera's threads."""

import threading


class Faults:
    """`busy`: another process has the camera. `silent`: no picture comes. `hanging`: a stop does not come back while it is
    set. `missed`: so many pictures never come. `period_us`: what the last FrameDurationLimits asked for."""

    def __init__(self) -> None:
        self.busy = False
        self.silent = False
        self.missed = 0
        self.period_us = 33_333
        self._may_stop = threading.Event()
        self._may_stop.set()

    def heal(self) -> None:
        """As a camera in order."""
        self.busy = self.silent = False
        self.missed = 0
        self.let_go()

    def hang(self) -> None:
        self._may_stop.clear()

    def let_go(self) -> None:
        self._may_stop.set()

    def wait_to_stop(self) -> None:
        self._may_stop.wait()
