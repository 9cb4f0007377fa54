"""The self-test: each part of the device exercised, what was found told, signed, and kept on the card.

The same code on a device and on the twin. It holds the card's lock, so it never runs beside the daemon. What fails is told
with its way out, and the test goes on: a person on the line wants all of it at once. The record is one epoch of the journal:
a boot for the reason `self-test`, `self-test`, `stopped`. It records no pictures: what the camera gives is counted and let go.
"""

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from device.card_lock import card_folder, only_writer
from device.clock import Clock, Part, Wake
from device.config import Configuration, check_memory, read_configuration
from device.controls.board import Board
from device.errors import BodycamError, EvidenceError, HardwareFailed, HardwareHung
from device.evidence.adoption import Adoption
from device.evidence.disk import Disk
from device.evidence.envelope import CheckedSigner, open_line, sign_line, verify_line
from device.evidence.identity import load_certificate, p256_key
from device.evidence.keys import KeySigner
from device.evidence.papers import Papers, read_papers
from device.evidence.records import Record, SelfTest, Software, Stopped, Tested
from device.hardware import CameraDriver, Hardware, MicrophoneDriver, Sample
from device.media.frames import CaptureFlags
from device.media.ring import Ring
from device.media.sink import EncoderSink
from device.selftest_hands import Hands
from device.selftest_machine import Checked, Machine, check_machine
from device.selftest_senses import (
    check_battery,
    check_card_health,
    check_lens,
    check_libraries,
    check_overlay,
    check_power,
    check_temperature,
)
from device.writing_parts import begin_journal

_T = TypeVar("_T")

LOOK_S = 3
"""How long camera and microphone are watched."""
START_LIMIT_US = 5_000_000
STEP_US = 100_000
SLOW_SYNC_MS = 1000
PROBE_BYTES = 1024 * 1024
"""A second of video at 8 Mbit/s."""
PROBE_FILE = "self-test.tmp"
JOIN_LIMIT_S = 5.0
DETAIL_LIMIT = 200
SHUTDOWN = "shutdown"
_WORD = b'{"type":"self-test-word"}'
_WORD_TYPE = "application/vnd.bodycam.self-test-word+json"


class Person(msgspec.Struct, frozen=True):
    """Who holds the device: `say` shows a line, `typed` is what they type."""

    say: Callable[[str], None]
    typed: deque[str]


class Working(Protocol):
    """What runs the hardware's own parts: threads, or a scheduler in virtual time."""

    def start(self, parts: Iterable[tuple[Part, Wake]]) -> None: ...

    def stop(self, limit_s: float) -> bool: ...


class Result(msgspec.Struct, frozen=True):
    device: str
    parts: list[Checked]

    @property
    def exit_status(self) -> int:
        """1 when anything failed."""
        return int(any(part.result == "fail" for part in self.parts))


def self_test(
    config: Path,
    hardware: Hardware,
    machine: Callable[[Path], Machine],
    person: Person | None,
    pause: Callable[[int], None],
    crew: Working,
) -> Result:
    """Test everything; `person` None: only what needs none. `ConfigurationError` while a daemon holds the card, and for a
    configuration that can't be read: then nothing has been tested or written. `pause` lets some µs pass."""
    configuration = read_configuration(config)
    with only_writer(configuration), ExitStack() as opened:
        return _SelfTest(configuration, hardware, person, pause, opened).run(machine, crew)


class _SelfTest:
    def __init__(
        self,
        configuration: Configuration,
        hardware: Hardware,
        person: Person | None,
        pause: Callable[[int], None],
        opened: ExitStack,
    ) -> None:
        self._configuration = configuration
        self._hardware = hardware
        self._person = person
        self._pause = pause
        self._opened = opened
        self._clock: Clock = hardware.clock
        self._card = card_folder(configuration)
        self._parts: list[Checked] = []
        self._sample: Sample | None = None

    def run(self, machine: Callable[[Path], Machine], crew: Working) -> Result:
        tables = self._configuration.tables
        adoption = self._tried("policy", "hand in a bundle that the agency signed", self._policy)
        papers = self._tried("keys", "see the message; the keys are named in [identity]", self._keys)
        disk = self._hardware.disk(self._card)
        self._tried("card", "put another card in, or make room on it", lambda: self._write_and_read(disk))
        self._parts += check_machine(machine(self._card))
        self._parts.append(self._clock_quality(papers))
        self._parts.append(check_libraries())
        camera = self._hardware.camera(tables.camera, None)
        microphone = self._hardware.microphone(tables.microphone) if tables.microphone.enabled else None
        self._opened.callback(crew.stop, JOIN_LIMIT_S)
        crew.start(self._hardware.parts())
        self._tried(
            "camera", "check the ribbon cable, and that nothing else holds the camera", lambda: self._see(camera)
        )
        self._parts.append(check_lens(self._sample, self._configuration))
        self._parts.append(check_overlay(self._configuration, self._clock))
        if microphone is None:
            self._parts.append(Checked("microphone", "skipped", "not enabled in the configuration"))
        else:
            self._tried("microphone", "check that it is plugged in", lambda: self._hear(microphone))
        self._tried("board", "check the lines in [board], and who else holds them", self._hands)
        self._parts += self._senses()
        if adoption is not None and papers is not None:
            self._tried("record", "put another card in", lambda: self._sign(adoption, papers, disk))
        else:
            self._parts.append(Checked("record", "fail", "nothing can be signed without policy and keys", "see above"))
        return Result(tables.device.id, self._parts)

    def _tried(self, part: str, way_out: str, work: Callable[[], tuple[_T, str]]) -> _T | None:
        """What the work gives; its failure is a part that failed."""
        try:
            made, detail = work()
        except BodycamError as failure:
            self._parts.append(Checked(part, "fail", str(failure)[:DETAIL_LIMIT], way_out))
            return None
        self._parts.append(Checked(part, "pass", detail[:DETAIL_LIMIT]))
        return made

    # -- what needs no hands ----------------------------------------------------------------------------------------

    def _policy(self) -> tuple[Adoption, str]:
        check_memory(self._configuration, self._hardware.memory_bytes)
        adoption = Adoption(self._configuration, self._clock)
        name = adoption.in_force.bundle.name
        return adoption, f"{name.id} {name.version}"

    def _keys(self) -> tuple[Papers, str]:
        """Each key signs a word of this moment, and its certificate's key finds the signature good."""
        papers = read_papers(self._configuration)
        for signer in papers.signers:
            self._opened.callback(signer.close)
        _signs(papers.signer, papers.certificate)
        if papers.media is not None:
            _signs(papers.media.signer, papers.media.certificate)
        return papers, ", ".join(f"{signer.role.name.lower()}: {signer.protection}" for signer in papers.signers)

    def _write_and_read(self, disk: Disk) -> tuple[None, str]:
        """A second of video written, synced and read back: how long the sync took, and how much room there is."""
        data = secrets.token_bytes(PROBE_BYTES)
        if disk.size(PROBE_FILE) is not None:
            disk.remove(PROBE_FILE)  # left by a self-test that was cut short
        file = disk.create(PROBE_FILE)
        try:
            file.append(data)
            before_us = self._clock.now_us()
            file.sync()
            disk.sync_folder("")
            took_ms = (self._clock.now_us() - before_us) // 1000
            back = disk.read(PROBE_FILE, PROBE_BYTES)
        finally:
            file.close()
            disk.remove(PROBE_FILE)
            disk.sync_folder("")
        if back != data:
            raise EvidenceError("what was written is not what is read back")
        free_bytes, floor_mib = disk.free_bytes(), self._configuration.tables.card.full_below_mib
        if free_bytes < floor_mib << 20:
            raise EvidenceError(f"{free_bytes >> 20} MiB free; below {floor_mib} MiB no recording starts")
        if took_ms > SLOW_SYNC_MS:
            raise EvidenceError(f"the sync of a second of video took {took_ms} ms: slower than it is recorded")
        return None, f"{free_bytes >> 20} MiB free; the sync of 1 MiB took {took_ms} ms"

    def _clock_quality(self, papers: Papers | None) -> Checked:
        """A clock that isn't set refuses nothing; one that says a time before the device was certified is wrong."""
        wall = self._clock.wall()
        quality = (
            f"synchronised ({wall.source}, ±{wall.error_us // 1000} ms)" if wall.synchronised else "not synchronised"
        )
        if papers is not None:
            begins = load_certificate(papers.certificate).not_valid_before_utc
            if wall.utc_us < begins.timestamp() * 1_000_000:
                way_out = "set it: battery of the RTC, or a time server"
                return Checked(
                    "clock", "fail", f"before {begins:%Y-%m-%d}, when the device's certificate begins", way_out
                )
        return Checked("clock", "pass", quality)

    def _see(self, camera: CameraDriver) -> tuple[None, str]:
        tables = self._configuration.tables
        ring = Ring(60_000_000, self._configuration.ring_cap_bytes, CaptureFlags(zone=""), lambda: None)
        claim = ring.claim(0, 0)
        self._opened.callback(_let_go, camera)
        camera.start(EncoderSink(ring, camera.first_timestamp_us))
        self._until(lambda: ring.newest_video_us is not None)
        self._pause(LOOK_S * 1_000_000)
        sample = self._sample = camera.sampled()
        camera.stop()
        gops = ring.gops(claim, 0)
        if not gops:
            raise HardwareFailed(f"no picture within {START_LIMIT_US // 1_000_000} s")
        if gops[0][0] is None:
            raise HardwareFailed("the first picture has no parameter sets")
        times_us = [frame.at_us for _, frames in gops for frame in frames]
        rate_hz = (len(times_us) - 1) * 1_000_000 / max(1, times_us[-1] - times_us[0])
        if abs(rate_hz - tables.camera.rate_hz) > tables.camera.rate_hz / 10:
            raise HardwareFailed(f"{rate_hz:.1f} pictures a second; the configuration asks for {tables.camera.rate_hz}")
        starts_us = [frames[0].at_us for _, frames in gops]
        apart_us = max((after - before for before, after in pairwise(starts_us)), default=0)
        if len(gops) < LOOK_S or apart_us > 1_000_000 + tables.camera.period_us:
            raise HardwareFailed(
                f"{len(gops)} keyframes in {LOOK_S} s, up to {apart_us // 1000} ms apart; one a second is wanted"
            )
        seen = "" if sample is None else f"; mean brightness {sum(sample.luma) // max(1, len(sample.luma))} of 255"
        return None, f"{rate_hz:.1f} pictures a second, a keyframe each second{seen}"

    def _hear(self, microphone: MicrophoneDriver) -> tuple[None, str]:
        ring = Ring(60_000_000, self._configuration.ring_cap_bytes, CaptureFlags(zone=""), lambda: None)
        claim = ring.claim(0, 0)
        microphone.start(EncoderSink(ring, microphone.first_timestamp_us))
        self._opened.callback(microphone.stop)
        self._until(lambda: ring.newest_audio_us is not None)
        self._pause(LOOK_S * 1_000_000)
        microphone.stop()
        packets = ring.audio(claim, 0, self._clock.now_us() + 1)
        if not packets:
            raise HardwareFailed(f"no sound within {START_LIMIT_US // 1_000_000} s")
        level = _loudest(microphone, [packet.data for packet in packets])
        if level == 0:
            raise HardwareFailed(f"{len(packets)} packets of silence: no sample of them is other than 0")
        return None, f"{len(packets)} packets in {LOOK_S} s, loudest at {level} % of full scale"

    def _senses(self) -> Iterator[Checked]:
        sensors, configuration = self._hardware.sensors(), self._configuration
        yield check_temperature(sensors)
        yield check_battery(sensors, configuration)
        yield check_power(sensors)
        yield check_card_health(sensors, configuration)

    # -- what needs hands -------------------------------------------------------------------------------------------

    def _hands(self) -> tuple[None, str]:
        """Opening every line is a test by itself."""
        wiring = self._configuration.tables.wiring
        pins = self._hardware.pin_factory()
        self._opened.callback(pins.close)
        woken = Wake()
        board = Board(wiring, "", pins, self._clock, woken.ring)
        self._opened.callback(board.close)
        if self._person is not None:
            hands = Hands(board, self._clock, self._person.say, self._person.typed, self._pause)
            self._parts += hands.check(wiring)
        else:
            self._parts.append(Checked("hands", "skipped", "buttons, lights and the like need a person"))
        return None, f"{len(wiring.pins())} lines opened"

    # -- the record -------------------------------------------------------------------------------------------------

    def _sign(self, adoption: Adoption, papers: Papers, disk: Disk) -> tuple[None, str]:
        tested = tuple(Tested(part=each.part, result=each.result, detail=each.detail) for each in self._parts)
        hands = self._person is not None

        def whole(software: Software) -> Iterator[Record]:
            yield SelfTest(hands=hands, software=software, parts=tested)
            yield Stopped(reason=SHUTDOWN)

        signer = CheckedSigner(self._hardware.signer(papers.signer), papers.key)
        begun = begin_journal(self._configuration, adoption, papers, signer, disk, self._clock, None, whole)
        begun.journal.close()
        return None, f"journal/{begun.journal.durable.stream}.jsonl"

    def _until(self, come: Callable[[], bool]) -> None:
        until_us = self._clock.now_us() + START_LIMIT_US
        while not come() and self._clock.now_us() < until_us:
            self._pause(STEP_US)


def _let_go(camera: CameraDriver) -> None:
    """At the end: that it does not let go has been said of the part by then."""
    with suppress(HardwareHung):
        camera.stop()


def _signs(signer: KeySigner, certificate: bytes) -> None:
    line = open_line(sign_line(signer, _WORD_TYPE, _WORD))
    if not verify_line(line, p256_key(load_certificate(certificate))):
        raise EvidenceError(f"the {signer.role.name.lower()} key's signature does not verify under its certificate")


def _loudest(microphone: MicrophoneDriver, packets: list[bytes]) -> int:
    """The largest sample, in percent of full scale."""
    import av

    codec = av.CodecContext.create("aac", "r")
    codec.extradata = microphone.extradata
    peak = 0.0
    try:
        for data in packets:
            for frame in codec.decode(av.Packet(data)):
                peak = max(peak, *(abs(sample) for sample in memoryview(bytes(frame.planes[0])).cast("f")))
    except av.FFmpegError as failure:
        raise HardwareFailed(f"its sound can't be decoded: {failure}") from failure
    return min(100, round(peak * 100))
