"""What is opened before anything that can wait: the ring, the camera that fills it, and who keeps that running.

Nothing here needs the policy or a key, and nothing heavy is imported: a second of start is a second before an incident that
nobody has. What the policy in force lets be held is not known yet, so frames are held undecided; nothing can claim them, and
`decide` lets go at once of all that may not be held, as it was captured (E1).
"""

from collections.abc import Callable

from device.clock import Clock, Part, Wake
from device.config import Configuration, check_memory
from device.hardware import Hardware
from device.keeper import Keeper
from device.media.frames import CaptureFlags
from device.media.overlay import Overlay
from device.media.ring import Ring
from device.media.sink import EncoderSink

UNDECIDED = CaptureFlags(zone="", audio=False, pre_video=False, pre_audio=False)
UNDECIDED_WINDOW_US = 60_000_000
"""Far longer than a start takes; the ring's cap holds too."""


class Sight:
    """Main thread. `parts` are run from now on, before the daemon is made. `on_first_frame`: called once, on the encoder's
    thread, as the first frame is in the ring."""

    def __init__(
        self, configuration: Configuration, hardware: Hardware, on_first_frame: Callable[[], None] | None = None
    ) -> None:
        tables = configuration.tables
        check_memory(configuration, hardware.memory_bytes)
        self._on_first_frame = on_first_frame
        self.keyframe_came = Wake()
        self.ring = Ring(
            window_us=UNDECIDED_WINDOW_US,
            cap_bytes=configuration.ring_cap_bytes,
            flags=UNDECIDED,
            on_keyframe=self.keyframe_came.ring if on_first_frame is None else self._first_frame,
            now_us=hardware.clock.now_us,
        )
        self.overlay = _overlay(configuration, hardware.clock)
        self.camera = hardware.camera(tables.camera, self.overlay)
        sink = EncoderSink(self.ring, self.camera.first_timestamp_us)
        self.keeper = Keeper(hardware.clock, self.ring, self.camera, lambda: self.camera.start(sink))
        self.microphone = hardware.microphone(tables.microphone) if tables.microphone.enabled else None
        self.parts: list[tuple[Part, Wake]] = [(self.keeper, Wake()), *hardware.parts()]

    def decide(self, flags: CaptureFlags, window_us: int) -> None:
        """The policy is known: what may be held, of what came before too, and how far back."""
        self.ring.window_us = window_us
        self.ring.set_capture(flags, 0)

    def close(self) -> None:
        """Let camera and microphone go. `HardwareHung` where the camera does not. May be called twice."""
        try:
            self.camera.stop()
        finally:
            if self.microphone is not None:
                self.microphone.stop()

    def _first_frame(self) -> None:
        told, self._on_first_frame = self._on_first_frame, None
        if told is not None:
            told()
        self.keyframe_came.ring()


def _overlay(configuration: Configuration, clock: Clock) -> Overlay:
    tables = configuration.tables
    return Overlay(
        width=tables.camera.width,
        height=tables.camera.height,
        settings=tables.overlay,
        device=tables.device.id,
        clock=clock,
    )
