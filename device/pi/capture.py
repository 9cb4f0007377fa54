"""Sound from a source of samples to AAC packets with their capture times, run after run. The microphone's own thread.

A *run* begins when the source is opened and ends with its first failure: unplugged, overrun, silent. Then it is opened again,
at once after a run that had lasted, else after 1, 2, 4, … 8 s. Each run counts its samples from 0 and has a zero of time
of its own, so that whoever takes the packets sees that sound began anew.
"""

import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from device.clock import NEVER_US, Clock
from device.errors import HardwareFailed
from device.media.aac import AacEncoder
from device.media.pace import Pace
from device.media.sink import EncodedPacket, EncoderSink
from device.tables import Microphone

POLL_US = 20_000
"""Between two looks at a source that had nothing."""
SILENT_US = 2_000_000
"""A source that gives nothing for so long is opened again."""
LASTED_US = 10_000_000
MOST_WAIT_S = 8

log = logging.getLogger("bodycam")


class Block(msgspec.Struct, frozen=True):
    """Samples as they came, and the boot time of the first: it was captured then or earlier, never later."""

    data: bytes
    from_us: int


class Source(Protocol):
    """A sound card that is open. `read` blocks for a fraction of a second at most; `HardwareFailed` when it is gone."""

    def read(self) -> Block | None: ...

    def close(self) -> None: ...


class _Run:
    """One run: the packets that are ready, until their times are known too."""

    def __init__(self, source: Source, settings: Microphone, now_us: int) -> None:
        self.source = source
        self.began_us = self.heard_us = now_us
        self.zero_us: int | None = None
        self._frame_bytes = 2 * settings.channels
        self._encoder = AacEncoder(settings.rate_hz, settings.channels, settings.bitrate_bps)
        self._pace = Pace(settings.rate_hz)
        self._samples = 0
        self._ready: list[tuple[int, EncodedPacket]] = []

    def take(self, block: Block) -> list[tuple[int, EncodedPacket]]:
        """The packets that can go out, each with the boot time of its first sample."""
        self._pace.heard(self._samples, block.from_us)
        self._samples += len(block.data) // self._frame_bytes
        self._ready += self._encoder.encode(block.data)
        if not self._pace.settled:
            return []
        timed = [(self._pace.at_us(sample), packet) for sample, packet in self._ready]
        self._ready = []
        if self.zero_us is None and timed:
            self.zero_us = timed[0][0]
        return timed


class Capture:
    """The part that is looped on the microphone's thread. `sink` None: it is stopped, and delivers nothing more."""

    name = "microphone"

    def __init__(self, settings: Microphone, clock: Clock, open_source: Callable[[], Source]) -> None:
        self.sink: EncoderSink | None = None
        self.first_timestamp_us = 0
        self._settings, self._clock, self._open_source = settings, clock, open_source
        self._run: _Run | None = None
        self._failures = 0
        self._retry_us = 0
        self._said = ""

    def run_once(self, now_us: int) -> int:
        """One block, or one try to open the source."""
        if self.sink is None:
            self.close()
            return NEVER_US
        if now_us < self._retry_us:
            return self._retry_us
        try:
            return self._go_on(self._run or self._begin(now_us), now_us)
        except HardwareFailed as failure:
            return self._lost(str(failure), now_us)

    def close(self) -> None:
        """Let the source go."""
        run, self._run = self._run, None
        if run is not None:
            run.source.close()

    def _begin(self, now_us: int) -> _Run:
        source = self._open_source()
        try:
            self._run = _Run(source, self._settings, now_us)
        except HardwareFailed:
            source.close()
            raise
        return self._run

    def _go_on(self, run: _Run, now_us: int) -> int:
        block = run.source.read()
        if block is None:
            if now_us - run.heard_us > SILENT_US:
                raise HardwareFailed(f"microphone.device {self._settings.device!r} gives nothing")
            return now_us + POLL_US
        run.heard_us = now_us
        if self._said:
            log.info("microphone: it is there")
            self._said = ""
        for at_us, packet in run.take(block):
            self._deliver(run, at_us, packet)
        return now_us

    def _deliver(self, run: _Run, at_us: int, packet: EncodedPacket) -> None:
        sink = self.sink  # a read that hung may come back after the stop
        if sink is not None and run.zero_us is not None:
            self.first_timestamp_us = run.zero_us
            sink.outputframe(None, True, at_us - run.zero_us, packet=packet, audio=True)

    def _lost(self, why: str, now_us: int) -> int:
        """The run is over; when to try again."""
        lasted = self._run is not None and now_us - self._run.began_us >= LASTED_US
        self.close()
        self._failures = 0 if lasted else self._failures
        wait_s = min(MOST_WAIT_S, 1 << self._failures - 1) if self._failures else 0
        self._failures += 1
        self._retry_us = now_us + wait_s * 1_000_000
        if why != self._said:
            log.warning("%s", why)
            self._said = why
        return self._retry_us
