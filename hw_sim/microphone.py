"""The twin's microphone: a tone with a click on each second, as AAC packets, delivered as picamera2 delivers audio.

Packet k of a run covers samples 1024·k to 1024·k+1023, and its timestamp is the time of its first sample, told from the
count of samples as on a device (`device.media.pace`), since the card's clock may drift. A run begins with a start or a replug. The
encoder needs a packet of priming: what comes out first (pts −1024) carries no captured sound and is dropped here; the
first packet delivered is at 0, and a decoder plays it at the right place, its first half faded in. A packet leaves the
encoder when the two after it have been captured, so it arrives 64 ms after its first sample, as on a device.

One part, run by one thread; the verbs may be called from any thread, and wait at most for the packet in hand.
"""

import random
import threading
from collections import deque
from fractions import Fraction
from typing import Literal

import av
import numpy as np

from device.clock import NEVER_US, Clock, Part, Wake
from device.media.frames import PACKET_SAMPLES
from device.media.pace import Pace
from device.media.sink import EncodedPacket
from hw_sim.encoder_runs import Sink

CLICK_MS = 20
"""How long the click at the start of each whole second of scene time lasts."""

_TONE_LEVEL = 0.15
_CLICK_LEVEL = 0.9
_CLICK_HZ = 2000


class TwinMicrophone:
    """Mono AAC-LC. `start` begins it, `parts` are run by a `Runner` each or by the scheduler. It is its own part.

    `drift_ppm`: how much faster than the boot clock its card counts samples.
    """

    name = "microphone"

    def __init__(
        self, clock: Clock, *, rate_hz: int = 48_000, tone_hz: int = 440, bitrate_bps: int = 64_000, drift_ppm: int = 0
    ) -> None:
        self.log: list[str] = []
        self.sample_rate_hz = rate_hz
        self.channels = 1
        self._bitrate_bps = bitrate_bps
        self.extradata = self._new_codec().extradata or b""
        self._clock = clock
        self._wake = Wake()
        self._lock = threading.Lock()
        self._sound = one_second(rate_hz, tone_hz)
        self._zero_us: int | None = None
        self._first_timestamp_us = 0
        self._sink: Sink | None = None
        self._plugged = True
        self._late_us = 0
        self._hears: Literal["sound", "nothing", "garbage"] = "sound"
        self._one_in = 1
        self._random = random.Random(1)
        self._real_rate_hz = rate_hz * (1 + drift_ppm / 1e6)
        self._run_us = 0
        self._pace = Pace(rate_hz)
        self._outgoing: deque[tuple[int, int, int, EncodedPacket]] = deque()

    @property
    def parts(self) -> list[tuple[Part, Wake]]:
        return [(self, self._wake)]

    def first_timestamp_us(self) -> int:
        """Boot time at which the run that delivers now counts zero: the time of its first sample."""
        return self._first_timestamp_us

    def start(self, sink: Sink, zero_us: int | None = None) -> None:
        """Capture for `sink` from now on. Scene time counts from `zero_us`, else from the first start."""
        with self._lock:
            assert self._sink is None, "the microphone is already started"
            now_us = self._clock.now_us()
            if zero_us is not None or self._zero_us is None:
                self._zero_us = now_us if zero_us is None else zero_us
            self._outgoing.clear()
            self._sink = sink
            self._begin_run(now_us)
            self._first_timestamp_us = self._run_us
            self._note("start")
        self._wake.ring()

    def stop(self) -> None:
        """Deliver nothing more. What was captured and not yet delivered is lost."""
        with self._lock:
            self._sink = None
            self._note("stop")

    def unplug(self) -> None:
        """Silence: no packets at all while time passes. The packets in the encoder are lost with it."""
        with self._lock:
            self._plugged = False
            self._note("unplug")

    def replug(self) -> None:
        """Packets again, from now on: a new run, with a zero of its own."""
        with self._lock:
            self._plugged = True
            if self._sink is not None:
                self._begin_run(self._clock.now_us())
            self._note("replug")
        self._wake.ring()

    def late(self, late_us: int) -> None:
        """Deliver packets captured from now on this much later; their timestamps, and their order, stay those of capture."""
        with self._lock:
            self._late_us = late_us
            self._note(f"late {late_us} µs")

    def hears(self, what: Literal["sound", "nothing", "garbage"]) -> None:
        """`nothing`: a dead capsule, packets of silence. `garbage`: packets of random bytes."""
        with self._lock:
            self._hears = what
            self._note(f"hears {what}")

    def one_in(self, packets: int) -> None:
        """Only one in so many packets comes; 1 for all."""
        with self._lock:
            self._one_in = packets
            self._note(f"one in {packets}")

    def drift(self, drift_ppm: int) -> None:
        """Its card counts samples this much faster than it says, in a new run, from now on."""
        with self._lock:
            self._real_rate_hz = self.sample_rate_hz * (1 + drift_ppm / 1e6)
            if self._sink is not None:
                self._begin_run(self._clock.now_us())
            self._note(f"drift {drift_ppm} ppm")
        self._wake.ring()

    def mend(self) -> None:
        """Plugged in and counting at its own rate again; where it was not, in a new run."""
        well_hz = self.sample_rate_hz
        if not self._plugged:
            self._real_rate_hz = well_hz
            self.replug()
        elif self._real_rate_hz != well_hz:
            self.drift(0)

    def run_once(self, now_us: int) -> int:
        """Encode what has been captured, deliver what is due."""
        with self._lock:
            if self._sink is None:
                return NEVER_US
            while self._plugged and self._captured_at_us(self._next_packet) <= now_us:
                self._encode(self._next_packet)
                self._next_packet += 1
            while self._outgoing and self._outgoing[0][0] <= now_us:
                _, self._first_timestamp_us, at_us, packet = self._outgoing.popleft()
                since_us = at_us - self._first_timestamp_us
                if self._hears == "garbage":
                    spoilt = self._random.randbytes(len(bytes(packet)))
                    self._sink.outputframe(spoilt, True, since_us, audio=True)
                else:
                    self._sink.outputframe(None, True, since_us, packet=packet, audio=True)
            capture_us = self._captured_at_us(self._next_packet) if self._plugged else NEVER_US
            return min(capture_us, self._outgoing[0][0] if self._outgoing else NEVER_US)

    # -- with the lock held ---------------------------------------------------------------------------------------

    def _begin_run(self, now_us: int) -> None:
        """With the next sample of the scene's time."""
        assert self._zero_us is not None, "it is started"
        sample = max(0, -((self._zero_us - now_us) * self.sample_rate_hz // 1_000_000))
        self._run_us = self._zero_us + (sample * 2_000_000 + self.sample_rate_hz) // (2 * self.sample_rate_hz)
        self._codec = self._new_codec()
        self._pace = Pace(self.sample_rate_hz)
        self._pace.heard(0, self._run_us)
        self._next_packet = 0

    def _encode(self, number: int) -> None:
        assert self._zero_us is not None, "it is started"
        scene_us = self._sampled_at_us(number * PACKET_SAMPLES) - self._zero_us
        begin = round(scene_us * self.sample_rate_hz / 1_000_000) % self.sample_rate_hz
        samples = self._sound[None, begin : begin + PACKET_SAMPLES] * (self._hears != "nothing")
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = self.sample_rate_hz
        frame.time_base = Fraction(1, self.sample_rate_hz)
        frame.pts = number * PACKET_SAMPLES
        captured_us = self._captured_at_us(number)
        self._pace.heard((number + 1) * PACKET_SAMPLES, captured_us)
        for packet in self._codec.encode(frame):
            assert packet.pts is not None
            if packet.pts >= 0 and number % self._one_in == 0:
                at_us = self._pace.at_us(packet.pts)
                self._outgoing.append((captured_us + self._late_us, self._run_us, at_us, packet))

    def _new_codec(self) -> av.AudioCodecContext:
        codec = av.CodecContext.create("aac", "w")
        codec.sample_rate = self.sample_rate_hz
        codec.layout = "mono"
        codec.format = "fltp"
        codec.bit_rate = self._bitrate_bps
        codec.time_base = Fraction(1, self.sample_rate_hz)
        codec.open()
        return codec

    def _captured_at_us(self, packet: int) -> int:
        """When the last sample of a packet is in."""
        return self._sampled_at_us((packet + 1) * PACKET_SAMPLES)

    def _sampled_at_us(self, sample: int) -> int:
        return self._run_us + round(sample * 1_000_000 / self._real_rate_hz)

    def _note(self, what: str) -> None:
        self.log.append(f"{self._clock.now_us()} microphone {what}")


def one_second(rate_hz: int, tone_hz: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """One second of sound, and one packet more, so that any packet is a plain slice of it."""
    seconds = np.arange(rate_hz) / rate_hz
    sound = _TONE_LEVEL * np.sin(2 * np.pi * tone_hz * seconds)
    click = rate_hz * CLICK_MS // 1000
    sound[:click] = _CLICK_LEVEL * np.sin(2 * np.pi * _CLICK_HZ * seconds[:click])
    return np.concatenate([sound, sound[:PACKET_SAMPLES]]).astype(np.float32)
