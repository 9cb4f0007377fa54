"""The Pi's microphone beyond the contract: when it tries again, what hangs, what breaks; and a real libasound."""

import ctypes
import logging
import math
import struct
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from device.clock import BootClock
from device.errors import HardwareFailed, HardwareHung
from device.media.aac import AacEncoder, audio_specific_config
from device.media.frames import PACKET_SAMPLES, CaptureFlags
from device.media.ring import Ring
from device.media.sink import EncoderSink
from device.pi import microphone as pi_microphone
from device.pi.alsa import LIBRARY, AlsaSource
from device.pi.capture import Block, Capture
from device.pi.microphone import AlsaMicrophone
from device.tables import Microphone
from tests.conftest import IN_CI
from tests.sound_cards import FakeCard, Stage

CARD = Microphone()
SECOND_US = 1_000_000


class OnStage:
    """The Pi's microphone on a card made for tests, into a ring, in virtual time."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.card = FakeCard(self.stage.clock)
        self.ring = Ring(600 * SECOND_US, 1 << 26, CaptureFlags(zone="street"), lambda: None)
        self.claim = self.ring.claim(0, 0)
        self.microphone = AlsaMicrophone(CARD, self.stage.clock, self.card.open, self.stage.loop)
        self.zero_us = self.stage.clock.now_us()
        self.microphone.start(EncoderSink(self.ring, self.microphone.first_timestamp_us))

    def tried_s(self) -> list[float]:
        return [round((at_us - self.zero_us) / SECOND_US, 1) for at_us in self.card.opened]

    def packets(self) -> int:
        return len(self.ring.audio(self.claim, 0, 1 << 60))


# -- trying again -----------------------------------------------------------------------------------------------------


def test_a_card_that_is_not_there_is_tried_at_once_then_after_1_2_4_8_8_s() -> None:
    bench = OnStage()
    bench.card.plugged = False
    bench.stage.run(40)
    assert bench.tried_s() == [0, 0, 1, 3, 7, 15, 23, 31, 39]


def test_it_is_said_once_that_a_card_is_gone_and_once_that_it_is_there(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bodycam")
    bench = OnStage()
    bench.card.plugged = False
    bench.stage.run(20)
    bench.card.plugged = True
    bench.stage.run(20)
    assert [record.getMessage() for record in caplog.records] == ["no such card", "microphone: it is there"]


def test_an_overrun_costs_a_moment_and_the_card_is_let_go_each_time() -> None:
    bench = OnStage()
    bench.stage.run(20)
    bench.card.break_off()
    bench.stage.run(20)
    assert bench.tried_s() == [0, 20]
    assert bench.card.closed == 1
    assert bench.packets() > 39.5 * 48_000 / PACKET_SAMPLES
    bench.microphone.stop()
    assert bench.card.closed == 2


def test_a_card_that_breaks_off_again_and_again_is_not_tried_without_end() -> None:
    bench = OnStage()
    for _ in range(60):
        bench.stage.run(1)
        bench.card.break_off()
    assert len(bench.card.opened) <= 12


def test_a_card_that_gives_nothing_is_opened_again() -> None:
    bench = OnStage()
    bench.stage.run(15)
    bench.card.mute = True
    bench.stage.run(6)
    assert bench.tried_s() == [0, 17, 20]
    bench.card.mute = False
    bench.stage.run(10)
    assert bench.ring.newest_audio_us is not None
    assert bench.stage.clock.now_us() - bench.ring.newest_audio_us < SECOND_US


# -- on its own thread ------------------------------------------------------------------------------------------------


class Hangs:
    """A card that does not come back from a read until it is let go."""

    def __init__(self) -> None:
        self.reading, self.let_go = threading.Event(), threading.Event()

    def read(self) -> Block | None:
        self.reading.set()
        self.let_go.wait(20)
        return Block(bytes(48_000), 1)

    def close(self) -> None: ...


class Deaf:
    """A sink that may not be called."""

    def outputframe(self, *_: object, **__: object) -> None:
        raise AssertionError("something was delivered after the stop")


def test_a_read_that_hangs_holds_up_neither_start_nor_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pi_microphone, "STOP_LIMIT_S", 0.05)
    card = Hangs()
    microphone = AlsaMicrophone(CARD, BootClock(), lambda: card)
    microphone.start(Deaf())  # type: ignore[arg-type]
    assert card.reading.wait(20)
    thread = next(thread for thread in threading.enumerate() if thread.name == "microphone")
    assert thread.daemon, "it is left behind when the process ends"
    with pytest.raises(HardwareHung, match="did not come back"):
        microphone.stop()
    with pytest.raises(HardwareHung, match="did not come back"):
        microphone.start(Deaf())  # type: ignore[arg-type]
    card.let_go.set()
    thread.join(20)
    assert not thread.is_alive()


def test_what_comes_back_after_the_stop_is_not_delivered() -> None:
    """A read that hung returns with sound: nobody takes it any more."""
    stage = Stage()
    delivered: list[int] = []
    reads = 0
    capture: Capture

    class Takes:
        def outputframe(self, *_: object, **__: object) -> None:
            delivered.append(reads)

    class Late:
        def read(self) -> Block | None:
            nonlocal reads
            reads += 1
            if reads == 4:
                capture.sink = None
            return Block(bytes(2 * 48_000), stage.clock.now_us() + reads * SECOND_US)

        def close(self) -> None: ...

    capture = Capture(CARD, stage.clock, Late)
    capture.sink = Takes()  # type: ignore[assignment]
    for _ in range(4):
        capture.run_once(stage.clock.now_us())
    assert reads == 4
    assert set(delivered) == {2, 3}


def test_a_fault_of_ours_ends_sound_alone(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> FakeCard:
        raise ZeroDivisionError

    microphone = AlsaMicrophone(CARD, BootClock(), broken)  # type: ignore[arg-type]
    microphone.start(Deaf())  # type: ignore[arg-type]
    for thread in [thread for thread in threading.enumerate() if thread.name == "microphone"]:
        thread.join(20)
    microphone.stop()
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]


def test_it_is_started_on_a_thread_of_its_own_and_stops(tmp_path: Path) -> None:
    """In real time: what is read arrives in the ring, and after the stop nothing does."""
    ring = Ring(60 * SECOND_US, 1 << 20, CaptureFlags(zone="street"), lambda: None)
    arrived = threading.Event()

    class Quick:
        def read(self) -> Block | None:
            arrived.set() if ring.newest_audio_us is not None else None
            return Block(bytes(9_600), clock.now_us())

        def close(self) -> None: ...

    clock = BootClock()
    microphone = AlsaMicrophone(CARD, clock, Quick)
    microphone.start(EncoderSink(ring, microphone.first_timestamp_us))
    assert arrived.wait(30)
    microphone.stop()
    newest_us = ring.newest_audio_us
    assert [thread for thread in threading.enumerate() if thread.name == "microphone"] == []
    assert ring.newest_audio_us == newest_us


# -- the encoder ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [16_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_packets_decode_to_what_was_captured(rate_hz: int, channels: int) -> None:
    at = np.arange(rate_hz) / rate_hz
    tone = (np.sin(2 * np.pi * 440 * at) * 9_000).astype("<i2")
    packets = AacEncoder(rate_hz, channels, 96_000).encode(np.repeat(tone, channels).tobytes())
    assert [sample for sample, _ in packets] == [PACKET_SAMPLES * n for n in range(len(packets))]
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = audio_specific_config(rate_hz, channels)
    heard = [frame for _, packet in packets for frame in decoder.decode(av.Packet(bytes(packet)))]
    assert {(frame.sample_rate, frame.layout.nb_channels) for frame in heard} == {(rate_hz, channels)}
    sound = np.concatenate([np.asarray(frame.to_ndarray(), np.float32)[-1] for frame in heard])
    wanted = tone[: len(sound)] / 32_768
    assert np.corrcoef(sound[3_000:], wanted[3_000:])[0, 1] > 0.99


# -- a real libasound -------------------------------------------------------------------------------------------------


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cards that need no kernel: ALSA's own `file` and `null`. The first plays 440 Hz to whoever captures."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError as failure:
        (pytest.fail if IN_CI else pytest.skip)(f"{failure}: install libasound2")
    sound = b"".join(struct.pack("<h", round(9_000 * math.sin(2 * math.pi * 440 * n / 48_000))) for n in range(96_000))
    (tmp_path / "in.raw").write_bytes(sound)
    (tmp_path / "asound.conf").write_text(
        f'pcm.tone {{ type file\n slave.pcm {{ type null }}\n file "{tmp_path}/out.raw"\n'
        f' infile "{tmp_path}/in.raw"\n format "raw" }}\n'
        "pcm.silence { type null }\n"
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    return tmp_path


def test_a_real_libasound_gives_what_its_card_plays(cards: Path) -> None:
    source = AlsaSource("tone", 48_000, 1, BootClock())
    block = source.read()
    source.close()
    source.close()
    assert block is not None
    assert block.data == (cards / "in.raw").read_bytes()[: len(block.data)]
    assert len(block.data) == 2 * 19_200, "what a card holds: 0.4 s"
    assert BootClock().now_us() - block.from_us < 60 * SECOND_US


def test_the_microphone_on_a_real_libasound_gives_packets_that_decode(cards: Path) -> None:
    """One look at a time: this card has no clock, and would play as fast as it is read."""
    ring = Ring(600 * SECOND_US, 1 << 20, CaptureFlags(zone="street"), lambda: None)
    claim = ring.claim(0, 0)
    settings = Microphone(device="tone")
    clock = BootClock()
    microphone = AlsaMicrophone(settings, clock)
    microphone.capture.sink = EncoderSink(ring, microphone.first_timestamp_us)
    for _ in range(4):
        microphone.capture.run_once(clock.now_us())
    microphone.capture.close()
    packets = ring.audio(claim, 0, 1 << 62)
    assert len(packets) >= 60
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = microphone.extradata
    heard = [frame for packet in packets for frame in decoder.decode(av.Packet(packet.data))]
    loud = [float(np.abs(np.asarray(frame.to_ndarray(), np.float32)).max()) for frame in heard[4:60]]
    assert all(0.2 < level < 0.35 for level in loud)


@pytest.mark.parametrize("device", ["hw:0", "nowhere"])
def test_a_real_libasound_without_that_card(cards: Path, device: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HardwareFailed) as failed:
        AlsaSource(device, 48_000, 1, BootClock())
    said = f"microphone.device {device!r}: opening: No such file or directory; `arecord -L` lists the devices"
    assert str(failed.value) == said
    assert capfd.readouterr().err == "", "libasound itself prints nothing"


def test_a_real_card_that_can_not_do_what_is_asked(cards: Path) -> None:
    with pytest.raises(
        HardwareFailed, match=r"microphone.device 'silence': 48000 Hz with 0 channels: Invalid argument"
    ):
        AlsaSource("silence", 48_000, 0, BootClock())


def test_without_libasound_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device.pi.alsa.LIBRARY", "libasound-of-nobody.so.2")
    with pytest.raises(HardwareFailed, match="install the package libasound2"):
        AlsaSource("default", 48_000, 1, BootClock())
