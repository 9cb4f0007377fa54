"""The twin's microphone, run in virtual time through the device's own sink into its ring."""

import av
import numpy as np
import numpy.typing as npt
import pytest

from device.media.frames import PACKET_SAMPLES, CaptureFlags, Frame
from device.media.ring import Ring
from device.media.sink import EncodedPacket, EncoderSink
from hw_sim.camera import TwinCamera
from hw_sim.clock import Scheduler, VirtualClock
from hw_sim.microphone import TwinMicrophone
from hw_sim.scenes import DrawnScene, flash_seen

Samples = npt.NDArray[np.float32]


class Bench:
    """A microphone, a ring big enough for everything, and virtual time. Notes when each packet arrived."""

    def __init__(self, rate_hz: int = 48_000) -> None:
        self.clock = VirtualClock("test-boot")
        self.ring = Ring(600_000_000, 1 << 26, CaptureFlags(zone="street"), lambda: None)
        self.claim = self.ring.claim(0, 0)
        self.microphone = TwinMicrophone(self.clock, rate_hz=rate_hz)
        self.sink = EncoderSink(self.ring, self.microphone.first_timestamp_us)
        self.scheduler = Scheduler(self.clock, self.microphone.parts)
        self.zero_us = self.clock.now_us()
        self.arrivals_us: list[int] = []

    def outputframe(
        self,
        frame: bytes | memoryview | None,
        keyframe: bool = True,
        timestamp: int | None = None,
        packet: EncodedPacket | None = None,
        audio: bool = False,
    ) -> None:
        assert frame is None
        assert keyframe
        assert audio
        assert isinstance(packet, av.Packet)
        assert isinstance(timestamp, int)
        self.arrivals_us.append(self.clock.now_us() - self.zero_us)
        self.sink.outputframe(frame, keyframe, timestamp, packet=packet, audio=audio)

    def start(self) -> "Bench":
        self.microphone.start(self)
        return self

    def run(self, until_us: int) -> "Bench":
        self.scheduler.run_until(self.zero_us + until_us)
        return self

    @property
    def packets(self) -> list[Frame]:
        return self.ring.audio(self.claim, 0, 1 << 60)

    @property
    def times(self) -> list[int]:
        return [packet.at_us - self.zero_us for packet in self.packets]


def packet_us(index: int, rate_hz: int = 48_000) -> int:
    return round(index * PACKET_SAMPLES * 1_000_000 / rate_hz)


def sound_of(packets: list[Frame], microphone: TwinMicrophone) -> Samples:
    """What a player hears: sample 0 is the first sample of the first packet."""
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = microphone.extradata
    heard = [frame for packet in packets for frame in decoder.decode(av.Packet(packet.data))]
    assert len(heard) == len(packets)
    assert {(frame.sample_rate, frame.layout.name) for frame in heard} == {(microphone.sample_rate_hz, "mono")}
    return np.concatenate([np.asarray(frame.to_ndarray(), np.float32)[0] for frame in heard])


def click_onsets(sound: Samples, rate_hz: int) -> list[int]:
    """The first sample of each loud stretch, a loud stretch being at most 100 ms long."""
    loud = np.flatnonzero(np.abs(sound) > 0.45)
    onsets: list[int] = []
    for sample in loud.tolist():
        if not onsets or sample - onsets[-1] > rate_hz // 10:
            onsets.append(sample)
    return onsets


@pytest.mark.parametrize("rate_hz", [48_000, 44_100, 16_000])
def test_packet_times_are_exact_to_the_sample(rate_hz: int) -> None:
    bench = Bench(rate_hz).start().run(3_000_000)
    expected = 3 * rate_hz // PACKET_SAMPLES - 2
    assert bench.times == [packet_us(index, rate_hz) for index in range(expected)]


def test_what_is_known_before_the_start() -> None:
    microphone = Bench().microphone
    assert microphone.extradata[:2] == b"\x11\x88", "AAC-LC, 48 kHz, one channel"
    assert microphone.sample_rate_hz == 48_000
    assert microphone.channels == 1
    assert [part.name for part, _ in microphone.parts] == ["microphone"]


def test_a_packet_arrives_when_the_two_after_it_have_been_captured() -> None:
    bench = Bench().start().run(1_000_000)
    assert bench.arrivals_us == [packet_us(index + 3) for index in range(len(bench.arrivals_us))]
    assert len(bench.arrivals_us) == 44


def test_the_priming_is_left_out_and_sound_is_where_it_belongs() -> None:
    bench = Bench().start().run(3_200_000)
    sound = sound_of(bench.packets, bench.microphone)
    onsets = click_onsets(sound, 48_000)
    assert len(onsets) == 4
    # The first packet is faded in, having none before it; the other clicks stand where they were captured.
    assert all(abs(onset - second * 48_000) < 48 for second, onset in enumerate(onsets) if second)
    second = np.arange(48_000, dtype=np.float64) / 48_000
    tone = 0.15 * np.sin(2 * np.pi * 440 * second)
    heard = sound[48_000 + 5_000 : 96_000 - 5_000]
    assert np.corrcoef(heard, tone[5_000:-5_000])[0, 1] > 0.995, "in phase, so no sample is out of place"


def test_clicks_are_short() -> None:
    bench = Bench().start().run(2_500_000)
    sound = sound_of(bench.packets, bench.microphone)
    loud = np.flatnonzero(np.abs(sound[40_000:90_000]) > 0.45) + 40_000
    assert loud[0] >= 48_000 - 100
    assert loud[-1] <= 48_000 + 960 + 100


def test_unplugged_is_silence_and_replugged_goes_on_at_the_right_time() -> None:
    bench = Bench().start().run(500_000)
    before = len(bench.packets)
    bench.microphone.unplug()
    bench.run(1_510_000)
    assert len(bench.packets) == before
    bench.microphone.replug()
    bench.run(3_500_000)
    after = bench.packets[before:]
    assert [packet.at_us - bench.zero_us for packet in after] == [
        1_510_000 + packet_us(index) for index in range(len(after))
    ]
    assert len(after) == (3_500_000 - 1_510_000) * 48 // 1000 // PACKET_SAMPLES - 2
    onsets = click_onsets(sound_of(after, bench.microphone), 48_000)
    clicks = [second * 48_000 - 1_510 * 48 for second in (2, 3)]
    assert all(abs(onset - click) < 48 for onset, click in zip(onsets, clicks, strict=True))
    assert [line.split()[-1] for line in bench.microphone.log] == ["start", "unplug", "replug"]


def test_unplugged_before_the_start() -> None:
    bench = Bench()
    bench.microphone.unplug()
    bench.start().run(1_000_000)
    assert bench.packets == []
    bench.microphone.replug()
    assert bench.run(2_000_000).times[0] == 1_000_000


def test_late_packets_keep_their_timestamps() -> None:
    bench = Bench().start().run(1_000_000)
    on_time = len(bench.packets)
    bench.microphone.late(700_000)
    bench.run(1_650_000)
    assert len(bench.packets) == on_time
    bench.run(3_000_000)
    assert bench.times == [packet_us(index) for index in range(len(bench.packets))]
    assert bench.arrivals_us[on_time:] == [
        packet_us(on_time + 3 + i) + 700_000 for i in range(len(bench.packets) - on_time)
    ]
    bench.microphone.late(0)
    bench.run(5_000_000)
    assert bench.times == [packet_us(index) for index in range(len(bench.packets))], "never out of order"
    assert bench.arrivals_us == sorted(bench.arrivals_us)
    assert bench.arrivals_us[-1] == packet_us(len(bench.packets) + 2), "on time again"


def test_stopped_and_started_it_counts_scene_time_on() -> None:
    bench = Bench().start().run(1_000_000)
    bench.microphone.stop()
    before = len(bench.packets)
    bench.run(1_700_001)
    bench.microphone.start(bench)
    first_us = bench.microphone.first_timestamp_us() - bench.zero_us
    assert abs(first_us - 1_700_001) <= 21, "the next sample"
    bench.run(3_500_000)
    after = bench.packets[before:]
    assert after[0].at_us - bench.zero_us == first_us
    onsets = click_onsets(sound_of(after, bench.microphone), 48_000)
    assert [round(onset / 48 + first_us / 1000) for onset in onsets] == [2000, 3000]


def test_sound_is_the_same_each_time() -> None:
    once, again = (Bench().start().run(1_000_000).packets for _ in range(2))
    assert [packet.data for packet in once] == [packet.data for packet in again]


@pytest.mark.parametrize("started_late_us", [0, 437_000])
def test_flash_and_click_are_in_step(started_late_us: int) -> None:
    """Decoded from the ring: each flash and its click within one frame, also when both start in mid-second."""
    bench = Bench()
    camera = TwinCamera(
        bench.clock,
        width=320,
        height=180,
        rate_hz=30,
        bitrate_bps=300_000,
        scene=DrawnScene(320, 180, 30),
        behaviour="libav",
    )
    scheduler = Scheduler(bench.clock, [*camera.parts, *bench.microphone.parts])
    scheduler.run_until(bench.zero_us + started_late_us)
    camera.start(EncoderSink(bench.ring, camera.first_timestamp_us), zero_us=bench.zero_us)
    bench.microphone.start(bench, zero_us=bench.zero_us)
    scheduler.run_until(bench.zero_us + 4_500_000)

    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for _, gop in bench.ring.gops(bench.claim, 0) for frame in gop]
    pictures = [picture for frame in frames for picture in decoder.decode(av.Packet(frame.data))] + decoder.decode(None)
    lit = [flash_seen(np.asarray(picture.to_ndarray(), np.uint8)[:180]) for picture in pictures]
    flashes_us = [frames[i].at_us for i in range(1, len(frames)) if lit[i] and not lit[i - 1]]

    sound = sound_of(bench.packets, bench.microphone)
    clicks_us = [bench.packets[0].at_us + onset * 1000 // 48 for onset in click_onsets(sound, 48_000)]
    clicks_us = [at_us for at_us in clicks_us if at_us > bench.zero_us + 500_000]

    assert [round((at_us - bench.zero_us) / 1e6, 1) for at_us in flashes_us] == [1.0, 2.0, 3.0, 4.0]
    assert all(abs(flash - click) < 33_334 for flash, click in zip(flashes_us, clicks_us, strict=True))
