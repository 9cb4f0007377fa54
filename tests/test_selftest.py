"""The self-test on the twin in virtual time, with a person who does what is asked, or does not."""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from device import card_lock
from device.config import read_configuration
from device.errors import CannotPersist, ConfigurationError, UsageError
from device.evidence import layout, records
from device.evidence.adoption import Adoption
from device.evidence.keys import KeySigner
from device.evidence.papers import read_papers
from device.evidence.records import SelfTest
from device.hardware import Sample
from device.selftest import Person, Result, self_test
from device.selftest_machine import Machine, check_machine, read_machine
from device.writing_parts import begin_journal
from hw_sim.agency import Agency, Bench
from hw_sim.clock import VirtualClock, VirtualTime
from hw_sim.disk import TwinDisk
from hw_sim.hardware import TwinHardware
from hw_sim.virtual import VirtualDevice
from tests.auditors import audited, said
from tests.benches import journal, make_bench, recordings, shown, verified
from tests.test_report import reported

NO_HANDS = [
    "policy", "keys", "card", "swap", "memory-limit", "core-dumps", "clock", "libraries", "camera", "lens",
    "overlay", "microphone", "hands", "board", "temperature", "battery", "power", "card-health", "record",
]  # fmt: skip
WITH_HANDS = [
    "button-record", "button-function", "light-recording", "light-ready", "vibration", "buzzer", "switch-sleep",
    "switch-dock", "switch-zone-private", "switch-zone-school",
]  # fmt: skip

LARGE = {"width": 640, "height": 360, "rate_hz": 30, "bitrate_bps": 500_000}
"""Room for letters, and for more than the picture's number."""


class Rig:
    """The twin, a scheduler in the place of threads, and a person."""

    def __init__(self, bench: Bench, clock: VirtualClock | None = None) -> None:
        self.bench = bench
        self.clock = clock or VirtualClock("boot-of-the-test")
        self.hardware = TwinHardware(self.clock, wiring=read_configuration(bench.config).tables.wiring)
        self.machine = Machine()
        self.asked: list[str] = []
        self.typed: deque[str] = deque()
        self.time = VirtualTime(self.clock)
        self.pause = self.time.pause

    def test(self, does: Callable[[str], None] | None = None) -> Result:
        def say(line: str) -> None:
            self.asked.append(line)
            (does or self.obeys)(line)

        person = None if does is None else Person(say, self.typed)
        return self_test(self.bench.config, self.hardware, lambda _: self.machine, person, self.pause, self.time)

    def obeys(self, line: str) -> None:
        """Do what is asked; every question is answered with yes."""
        thumb = self.hardware.thumb
        words = line.split(" (", maxsplit=1)[0].removesuffix("?").replace(",", "").split()
        after_us = self.clock.now_us() + 500_000
        if line.startswith("press the function"):
            thumb.press("function", after_us)
        elif line.startswith(("press the record", "do", "did")):
            thumb.press("record", after_us)
        elif line.startswith("turn the sleep"):
            thumb.switch("sleep", True, after_us)
        elif line.startswith("put it into the dock"):
            thumb.switch("dock", True, after_us)
        elif line.startswith("turn the zone"):
            thumb.zone(words[5])
        elif line.startswith("make the trigger"):
            thumb.trigger(words[3])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path / "bench", pre_event_s=2, post_event_s=0)


@pytest.fixture
def rig(bench: Bench) -> Rig:
    return Rig(bench)


def results(result: Result) -> dict[str, str]:
    return {part.part: part.result for part in result.parts}


def failed(result: Result) -> dict[str, str]:
    assert [part.part for part in result.parts if part.result == "fail" and not part.way_out] == [], (
        "each has a way out"
    )
    return {part.part: part.detail for part in result.parts if part.result == "fail"}


# -- a good device ----------------------------------------------------------------------------------------------------


def test_a_good_device_without_hands_passes_and_the_record_is_signed(rig: Rig, bench: Bench) -> None:
    result = rig.test()
    assert failed(result) == {}
    assert [part.part for part in result.parts] == NO_HANDS
    assert result.exit_status == 0
    kinds = [type(record).__name__ for record in journal(bench)]
    assert kinds == ["Boot", "KeyOpened", "KeyOpened", "SelfTest", "Stopped"]
    boot, _, _, tested, _ = journal(bench)
    assert isinstance(boot, records.Boot)
    assert (boot.reason, boot.context) == ("self-test", None)
    assert isinstance(tested, SelfTest)
    assert tested.software.configuration_sha256 == read_configuration(bench.config).sha256
    assert [part.part for part in tested.parts] == NO_HANDS[:-1]
    assert not tested.hands
    assert sorted(path.name for path in bench.card.iterdir()) == sorted(layout.TOP_FOLDERS), "the probe is gone"
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)


def test_a_person_who_does_what_is_asked_passes_every_part(rig: Rig) -> None:
    result = rig.test(rig.obeys)
    assert failed(result) == {}
    asked = [part.part for part in result.parts if part.detail in ("seen", "the person says so")]
    triggers = [f"trigger-{name}" for name in rig.hardware.thumb.names("trigger-")]
    assert sorted(asked) == sorted(WITH_HANDS + triggers)


def test_lights_and_motors_are_really_switched(rig: Rig) -> None:
    """What the person is asked about happens on the pin that the configuration names."""
    board = read_configuration(rig.bench.config).tables.board
    wanted = {
        "recording light": board.recording_light, "ready light": board.ready_light, "vibrate": board.vibration,
        "buzz": board.buzzer,
    }  # fmt: skip
    highs: dict[str, set[int]] = {name: set() for name in wanted}
    asked = [""]

    def watches(line: str) -> None:
        rig.obeys(line)
        asked[0] = next((name for name in wanted if name in line), "")

    def pause(delay_us: int) -> None:
        rig.pause(delay_us)
        highs.get(asked[0], set()).update(pin for pin in wanted.values() if rig.hardware.pin_factory().pin(pin).state)

    person = Person(watches, rig.typed)
    self_test(rig.bench.config, rig.hardware, lambda _: rig.machine, person, pause, rig.time)
    assert highs["recording light"] == {wanted["recording light"]}
    assert highs["ready light"] == {wanted["ready light"]}
    assert highs["vibrate"] == {wanted["vibrate"]}
    assert highs["buzz"] == {wanted["buzz"], wanted["vibrate"]}


# -- a person who does not --------------------------------------------------------------------------------------------


def test_nobody_there_fails_each_part_within_its_limit(rig: Rig) -> None:
    result = rig.test(lambda _: None)
    assert set(WITH_HANDS) <= set(failed(result))
    assert failed(result)["button-record"] == "nothing came within 20 s"
    assert failed(result)["buzzer"] == "no answer within 20 s"
    assert result.exit_status == 1


def test_no_is_a_failure_and_s_skips(rig: Rig) -> None:
    def types(line: str) -> None:
        answer = {"do": "n", "di": "function"}.get(line[:2], "s")
        if answer == "function":
            rig.hardware.thumb.press("function", rig.clock.now_us() + 300_000)
        else:
            rig.clock.move_to(rig.clock.now_us())
            typed.append(answer)

    typed: list[str] = []
    pause = rig.pause

    def hands_over(delay_us: int) -> None:
        pause(delay_us)
        rig.typed.extend(typed)
        typed.clear()

    rig.pause = hands_over
    result = rig.test(types)
    assert failed(result) == dict.fromkeys(
        ("light-recording", "light-ready", "vibration", "buzzer"), "the person says no"
    )
    assert results(result)["button-record"] == "skipped"
    assert results(result)["switch-sleep"] == "skipped"


def make_worse(rig: Rig, verb: str, *given: int, part: str = "camera") -> None:
    """The twin's camera or microphone with a fault from the beginning."""
    make = getattr(rig.hardware, part)

    def made(*settings: object) -> object:
        one = make(*settings)
        getattr(one, verb)(*given)
        return one

    setattr(rig.hardware, part, made)


# -- a device that is not well ----------------------------------------------------------------------------------------


def test_a_missing_camera_fails_and_the_rest_goes_on(rig: Rig) -> None:
    make_worse(rig, "fail_starts", 1)
    result = rig.test()
    assert failed(result) == {"camera": "the camera does not answer"}
    assert result.exit_status == 1


@pytest.mark.parametrize(
    ("verb", "said_so"),
    [
        ("stall", "no picture within 5 s"),
        ("hang", "the camera does not let go"),
    ],
)
def test_a_camera_that_gives_nothing_or_does_not_let_go_fails(rig: Rig, verb: str, said_so: str) -> None:
    make_worse(rig, verb)
    assert failed(rig.test()) == {"camera": said_so}
    assert [type(r).__name__ for r in journal(rig.bench)][-2:] == ["SelfTest", "Stopped"], "signed all the same"


def test_a_camera_that_loses_every_other_second_fails(rig: Rig) -> None:
    paused = rig.pause

    def pause(delay_us: int) -> None:
        if delay_us == 3_000_000:
            rig.hardware.the_camera.drop(45)
        paused(delay_us)

    rig.pause = pause
    assert "pictures a second; the configuration asks for 30" in failed(rig.test())["camera"]


def test_a_microphone_that_is_unplugged_fails(rig: Rig) -> None:
    make_worse(rig, "unplug", part="microphone")
    assert failed(rig.test()) == {"microphone": "no sound within 5 s"}


@pytest.mark.parametrize("operation", ["append", "sync_file"])
def test_a_card_that_refuses_fails(bench: Bench, operation: str) -> None:
    rig = Rig(bench)

    def make(root: Path) -> TwinDisk:
        disk = TwinDisk(root)
        disk.fail_next(operation, CannotPersist, path_contains="self-test")  # type: ignore[arg-type]
        return disk

    rig.hardware._make_disk = make
    assert list(failed(rig.test())) == ["card"]


def test_a_card_that_gives_other_bytes_back_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    read = TwinDisk.read
    monkeypatch.setattr(TwinDisk, "read", lambda disk, path, limit: read(disk, path, limit)[:-1] + b"\0\0"[:1])
    monkeypatch.setattr("device.selftest.secrets.token_bytes", lambda size: b"\1" * size)
    assert failed(Rig(bench).test())["card"] == "what was written is not what is read back"


def test_a_key_that_signs_something_else_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sign = KeySigner.sign
    monkeypatch.setattr(KeySigner, "sign", lambda signer, message: sign(signer, message + b"!"))
    said_of = failed(Rig(bench).test())
    assert said_of["keys"] == "the ledger key's signature does not verify under its certificate"
    assert set(said_of) == {"keys", "record"}, "and nothing is signed with it"


def test_a_key_of_another_certificate_fails_and_nothing_is_written(bench: Bench) -> None:
    other = make_bench(bench.root.parent / "other", agency=Agency())
    (bench.root / "device" / "device.key").write_bytes((other.root / "device" / "device.key").read_bytes())
    result = Rig(bench).test()
    assert set(failed(result)) == {"keys", "record"}
    assert list(bench.card.iterdir()) == []


def test_a_clock_from_before_the_device_was_made_fails(rig: Rig) -> None:
    rig.clock.wall_offset_us = 0
    rig.clock.synchronised = False
    assert list(failed(rig.test())) == ["clock"]


def test_a_hot_processor_fails_and_a_missing_sensor_is_skipped(rig: Rig) -> None:
    rig.hardware.the_sensors.temperature = 90_000
    assert failed(rig.test()) == {"temperature": "90 °C"}
    rig.hardware.the_sensors.temperature = None
    assert results(Rig(rig.bench).test())["temperature"] == "pass"


# -- what senses and draws --------------------------------------------------------------------------------------------


def told(result: Result) -> dict[str, tuple[str, str]]:
    """What is told beside failures, and of those too: everything with a way out."""
    return {part.part: (part.result, part.detail) for part in result.parts if part.way_out}


def _put(bench: Bench, text: str) -> None:
    with bench.config.open("a", encoding="utf-8") as file:
        file.write(text)


@pytest.mark.parametrize(
    ("row", "said_so"),
    [
        (bytes([100] * 160), "covered: the picture is the same all over"),
        (bytes([16 + column // 8 for column in range(160)]), "dark: hardly any light"),
    ],
)
def test_a_covered_lens_and_a_dark_room_are_told_and_no_failure(rig: Rig, row: bytes, said_so: str) -> None:
    make = rig.hardware.camera

    def made(*settings: object) -> object:
        camera = make(*settings)  # type: ignore[arg-type]
        camera.sampled = lambda: Sample(160, 90, row * 90, rig.clock.now_us())  # type: ignore[method-assign]
        return camera

    rig.hardware.camera = made  # type: ignore[method-assign, assignment]
    result = rig.test()
    assert told(result) == {"lens": ("warning", said_so)}
    assert result.exit_status == 0
    tested = next(record for record in journal(rig.bench) if isinstance(record, SelfTest))
    assert ("lens", "warning") in {(part.part, part.result) for part in tested.parts}


def test_letters_are_drawn_and_missing_ones_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make_bench(tmp_path / "large", camera=LARGE, pre_event_s=2)
    assert results(Rig(bench).test())["overlay"] == "pass"
    monkeypatch.setattr("device.media.overlay.GLYPHS", tmp_path / "none")
    assert list(failed(Rig(bench).test())) == ["overlay"]


def test_letters_that_are_off_or_have_no_room_are_skipped(bench: Bench) -> None:
    assert results(Rig(bench).test())["overlay"] == "skipped", "pictures of 160 × 90"
    _put(bench, "\n[overlay]\nenabled = false\n[lens]\nenabled = false\n")
    after = results(Rig(bench).test())
    assert (after["overlay"], after["lens"]) == ("skipped", "skipped")


def test_libraries_that_are_missing_or_lose_a_picture_fail(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> bytes:
        raise ConfigurationError("PyAV can't be loaded: no library; install the package anew")

    monkeypatch.setattr("device.selftest_senses.make_segment", missing)
    assert failed(rig.test()) == {"libraries": "PyAV can't be loaded: no library"}
    monkeypatch.undo()
    monkeypatch.setattr("device.selftest_senses.count_decoded", lambda _: (0, 2048))
    said_so = "0 of 1 pictures and 2048 samples of sound came out of a segment"
    assert failed(Rig(rig.bench).test()) == {"libraries": said_so}


def test_a_fuel_gauge_that_says_nothing_fails_and_a_low_battery_is_told(bench: Bench) -> None:
    text = bench.config.read_text("utf-8")
    lines = "battery_low = 20\nbattery_critical = 21\n"
    assert text.count(lines) == 1
    bench.config.write_text(text.replace(lines, "") + "\n[health]\nfuel_gauge = true\n", "utf-8")
    assert results(Rig(bench).test())["battery"] == "pass"
    rig = Rig(bench)
    rig.hardware.the_sensors.play("battery 3%")
    low = rig.test()
    assert told(low) == {"battery": ("warning", "3 %, 3231 mV")}
    assert low.exit_status == 0
    rig = Rig(bench)
    rig.hardware.the_sensors.play("battery none")
    assert failed(rig.test()) == {"battery": "the fuel gauge says nothing"}


def test_a_weak_supply_fails_and_one_that_nobody_measures_is_skipped(rig: Rig) -> None:
    rig.hardware.the_sensors.voltage_is_low = True
    assert failed(rig.test()) == {"power": "the supply's voltage is too low"}
    rig = Rig(rig.bench)
    rig.hardware.the_sensors.voltage_is_low = None
    assert results(rig.test())["power"] == "skipped"


@pytest.mark.parametrize(
    ("state", "said_so"),
    [
        ("worn", "it is worn: 10 of 10 of its life used, spare blocks 2 of 3"),
        ("erring", "its file system has found 3 errors"),
        ("read-only", "its file system has become read-only; its file system has found 3 errors"),
    ],
)
def test_a_card_that_wears_out_or_errs_fails(rig: Rig, state: str, said_so: str) -> None:
    rig.hardware.the_sensors.play(f"card {state}")
    assert failed(rig.test()) == {"card-health": said_so}


# -- the machine ------------------------------------------------------------------------------------------------------


def _root(folder: Path, *, swaps: str = "", controllers: str = "cpu memory pids", pattern: str = "|/bin/false") -> Path:
    head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    for name, text in (
        ("proc/swaps", head + swaps),
        ("proc/sys/kernel/core_pattern", f"{pattern}\n"),
        ("sys/fs/cgroup/cgroup.controllers", f"{controllers}\n"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "ascii")
    return folder


def _machine(root: Path) -> dict[str, str]:
    machine = read_machine(root, root)
    whole = Machine(machine.swaps, machine.memory_cgroup, machine.core_pattern, core_limit=1)
    return {part.part: f"{part.result}: {part.detail}" for part in check_machine(whole)}


def test_swap_a_missing_memory_cgroup_and_core_dumps_are_failures(tmp_path: Path) -> None:
    good = _machine(_root(tmp_path / "good"))
    assert [word.split(":")[0] for word in good.values()] == ["pass", "pass", "pass"]
    swaps = "/dev/zram0                              partition\t524284\t0\t100\n"
    bad = _machine(_root(tmp_path / "bad", swaps=swaps, controllers="cpu pids", pattern="core"))
    assert bad == {
        "swap": "fail: on: /dev/zram0: frames may be written to it",
        "memory-limit": "fail: the memory cgroup is off: the unit's limits do nothing",
        "core-dumps": "fail: on: they go to core",
    }


def test_the_cards_mount_options_are_wanted_where_they_can_be_told() -> None:
    every = Machine(card_options=frozenset({"nosuid", "nodev", "noexec"}))
    some = Machine(card_options=frozenset({"nosuid"}))
    assert [c.result for c in check_machine(every) if c.part == "card-mount"] == ["pass"]
    assert [c.way_out for c in check_machine(some) if c.part == "card-mount"] == [
        "add nodev, noexec to its mount options"
    ]
    assert [c for c in check_machine(Machine()) if c.part == "card-mount"] == []


def _mounted(root: Path, *lines: str) -> str:
    """What is said of a card at `root`, where the kernel's table of mounts has these lines."""
    (root / "proc/self").mkdir(parents=True)
    text = "22 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw\n" + "".join(f"{line}\n" for line in lines)
    (root / "proc/self/mountinfo").write_text(text, "utf-8")
    return read_machine(root, root).card_system


def test_the_cards_file_system_is_the_one_that_is_mounted_nearest_and_last(tmp_path: Path) -> None:
    card = tmp_path / "a card"
    place = str(card).replace(" ", "\\040")
    own = f"40 22 179:3 / {place} rw,nosuid shared:9 - ext4 /dev/mmcblk0p3 rw"
    over = f"41 40 0:44 / {place} rw,relatime - overlay overlayroot rw,lowerdir=/media/root-ro"
    assert _mounted(card / "1") == "ext4"
    assert _mounted(card / "2", own) == "ext4"
    assert _mounted(card / "3", own, over) == "overlay"
    assert _mounted(card / "4", over, own) == "ext4"
    assert _mounted(card / "5", f"41 22 0:44 / {place}er rw - tmpfs tmpfs rw") == "ext4"
    assert _mounted(card / "6", "", "41 22 0:44", f"41 22 0:44 / {place} rw - ") == "ext4"
    assert read_machine(tmp_path / "no proc", tmp_path).card_system == ""


@pytest.mark.parametrize("system", ["overlay", "tmpfs", "ramfs", "rootfs"])
def test_a_card_that_is_forgotten_at_the_next_start_is_a_failure(system: str) -> None:
    options = frozenset({"nosuid", "nodev", "noexec"})
    parts = {part.part: part for part in check_machine(Machine(card_options=options, card_system=system))}
    assert parts["card-mount"].result == "fail"
    assert parts["card-mount"].detail == f"on {system}: what is recorded is forgotten at the next start"
    assert "overlayroot=tmpfs:recurse=0" in parts["card-mount"].way_out
    good = {part.part: part.result for part in check_machine(Machine(card_options=options, card_system="ext4"))}
    assert good["card-mount"] == "pass"


# -- with the daemon, and beside its evidence -------------------------------------------------------------------------


def test_it_is_refused_while_a_daemon_holds_the_card(bench: Bench) -> None:
    from device.card_lock import only_writer

    with (
        only_writer(read_configuration(bench.config)),
        pytest.raises(ConfigurationError, match="another daemon is writing this card; end that one first"),
    ):
        Rig(bench).test()
    assert list(bench.card.iterdir()) == []


def _shift(bench: Bench, clock: VirtualClock | None = None) -> VirtualDevice:
    device = VirtualDevice(bench)
    if clock is not None:
        device.clock.move_to(clock.now_us() + 1_000_000)
        device.boots = 5
    device.boot()
    device.run(3)
    device.record(1)
    device.stop()
    return device


def test_a_self_test_is_no_shift_and_no_finding(bench: Bench) -> None:
    device = _shift(bench)
    before, told = audited(bench, every_step=True), reported(bench)
    rig = Rig(bench, device.clock)
    assert rig.test().exit_status == 0
    after = audited(bench, every_step=True)
    assert after.exit_status == before.exit_status == 0, said(after)
    assert after.findings == before.findings
    assert reported(bench).shifts == told.shifts
    _shift(bench, device.clock)
    last = audited(bench, every_step=True)
    assert last.exit_status == 0, said(last)
    assert verified(bench).exit_status == 0


def test_a_self_test_after_a_power_loss_leaves_the_recovery_to_the_daemon(bench: Bench) -> None:
    """A recording whose ledger had closed, and whose end the journal had not: the next daemon says so, past the self-test."""
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.double()
    device.run(3)
    device.cut()
    assert Rig(bench, device.clock).test().exit_status == 0
    (folder,) = recordings(bench)
    configuration = read_configuration(bench.config)
    papers = read_papers(configuration)
    begun = begin_journal(
        configuration, Adoption(configuration, device.clock), papers, papers.signer, TwinDisk(bench.card), device.clock, None
    )  # fmt: skip
    begun.journal.close()
    assert begun.journal.found.unended == {folder.name}, "past the self-test"
    for signer in papers.signers:
        signer.close()
    _shift(bench, device.clock)
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 4, shown(verdict)
    assert [r.answers.extent for r in verdict.recordings] == ["power-loss", "closed"]


def test_a_decision_in_a_self_test_is_found(bench: Bench) -> None:
    clock = VirtualClock("boot-1")
    configuration = read_configuration(bench.config)
    papers = read_papers(configuration)
    step = records.Step(input=None, effective_us=0, decisions=(), context=None)
    begun = begin_journal(
        configuration, Adoption(configuration, clock), papers, papers.signer, TwinDisk(bench.card), clock, None,
        lambda _: [step, records.Stopped(reason="shutdown")],
    )  # fmt: skip
    begun.journal.close()
    for signer in papers.signers:
        signer.close()
    assert "a decision or a recording in a self-test" in [finding.what for finding in audited(bench).findings]


def test_root_is_refused_on_another_users_card(bench: Bench) -> None:
    os.chown(bench.card, os.geteuid() or 65534, -1)
    configuration = read_configuration(bench.config)
    card_lock.refuse_root(configuration, 65534)
    with pytest.raises(
        UsageError, match=r"belongs to another user.*runuser -u bodycam -g bodycam -G video .* --config"
    ) as refused:
        card_lock.refuse_root(configuration, 0)
    assert refused.value.exit_status == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may own a card here and give it away")
def test_the_command_as_root_on_another_users_card_writes_nothing(bench: Bench) -> None:
    os.chown(bench.card, 65534, -1)
    before = sorted(bench.card.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "device.cli", "selftest", "--config", str(bench.config), "--no-hands"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (2, "", False)
    assert "runuser -u bodycam" in done.stderr
    assert sorted(bench.card.rglob("*")) == before


def test_the_command_on_the_twin(bench: Bench) -> None:
    config = str(bench.config)
    done = subprocess.run(
        [sys.executable, "-m", "hw_sim.cli", "selftest", "--config", config, "--no-hands"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BC-000001: nothing failed" in done.stdout
