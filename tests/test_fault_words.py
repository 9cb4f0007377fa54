"""Every fault of every part, and what the device does about it: docs/faults.md, row by row."""

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from device.clock import STOP_SIGNALS, Latch, wait_for_signal
from hw_sim import faults, process_faults
from hw_sim.agency import Agency, Bench
from hw_sim.bench_socket import NAME, BenchSocket, say
from hw_sim.cli import main
from hw_sim.fault_commands import as_json
from hw_sim.faults import FAULTS, NOT_SUCH, PARTS, WORDS
from hw_sim.lines import play
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench
from tests.fault_rows import PROCESS, ROWS
from tests.fault_story import Row, Story
from tests.process_story import NotSeen, ProcessRow, ProcessStory, comes_of
from tests.test_daemon_process import SMALL, Running

USAGE = (
    "must be fault PART WORD [ARGUMENT]|clear (break a part, or mend it: bodycam-sim fault --list); help has every line"
)
ONE_NUMBER = "must be one whole number, from 0 to 9999999; bodycam-sim fault --list says of what"
NOTHING_BREAKS = """
import sys
from hw_sim import faults
from hw_sim.cli import main
faults._break = lambda *_: ""
sys.exit(main())
"""


@pytest.fixture(scope="module")
def agency() -> Agency:
    return Agency()


@pytest.mark.parametrize("row", ROWS, ids=[row.fault.replace(" ", "-") for row in ROWS])
def test_a_row_of_the_table(row: Row, agency: Agency, tmp_path: Path) -> None:
    assert Story(row, tmp_path / "bench", agency).play() == row.seen


@pytest.mark.parametrize("row", ROWS, ids=[row.fault.replace(" ", "-") for row in ROWS])
def test_a_row_fails_where_nothing_is_broken(
    row: Row, agency: Agency, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same story with a fault that is said to be in, and does nothing: each row tells the two apart."""
    monkeypatch.setattr(faults, "_break", lambda *_: "")
    assert Story(row, tmp_path / "bench", agency).play() != row.seen


def test_the_whole_matrix_is_there_and_every_fault_has_its_row() -> None:
    faults = [(fault.part, fault.word) for fault in FAULTS]
    assert sorted([*faults, *NOT_SUCH]) == sorted((part, word) for part in PARTS for word in WORDS)
    rows = [f"{row.part} {row.word}" for row in ROWS]
    assert [*rows, *(f"process {row.word}" for row in PROCESS)] == [f"{part} {word}" for part, word in faults]
    assert [fault.part for fault in FAULTS if fault.real_only] == ["process"] * len(PROCESS)


# -- the lines --------------------------------------------------------------------------------------------------------


@pytest.fixture
def device(tmp_path: Path) -> VirtualDevice:
    device = VirtualDevice(make_bench(tmp_path / "bench", audio=False))
    device.boot()
    return device


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("fault", f"fault: {USAGE}"),
        ("fault camera", f"fault camera: {USAGE}"),
        (
            "fault nose off",
            (
                "fault nose off: no such part; one of: camera, encoder, microphone, card, clock, buttons, lights, battery, heat, "
                "signer, policy, process"
            ),
        ),
        (
            "fault camera maybe",
            "fault camera maybe: no such word; one of: off, stuck, garbage, wrong, slow, delayed, intermittent, clear",
        ),
        ("fault camera slow -1", f"fault camera slow -1: {ONE_NUMBER}"),
        ("fault camera slow 99999999", f"fault camera slow 99999999: {ONE_NUMBER}"),
        ("fault camera slow 1 2", f"fault camera slow 1 2: {ONE_NUMBER}"),
        ("fault camera clear 1", "fault camera clear 1: it takes no number"),
        ("fault camera off 7", "fault camera off 7: it takes no number"),
        ("fault camera intermittent 0", "fault camera intermittent: 0 seconds are no time"),
        ("fault microphone off", "fault microphone off: this bench has no microphone"),
        ("fault lights slow", "fault lights slow: there is none: a lamp has no speed that an eye could tell"),
        (
            "fault process off",
            "fault process off: only in real time; in virtual time VirtualDevice.cut ends a boot",
        ),
    ],
)
def test_a_line_that_breaks_nothing_says_why(device: VirtualDevice, line: str, said: str) -> None:
    assert play(device.hardware, line) == said
    assert device.hardware.troubles.present == {}


def test_a_fault_takes_the_place_of_the_one_before_and_clear_mends_it(device: VirtualDevice) -> None:
    hardware = device.hardware
    for line in ("fault card intermittent 1", "fault clock wrong", "fault card slow 100"):
        assert play(hardware, line) == ""
    device.run(5)
    assert hardware.troubles.present == {"card": "slow", "clock": "wrong"}
    assert (hardware.card_faults.refuses, hardware.card_faults.sync_takes_us) == (False, 100_000)
    for part in PARTS:
        assert play(hardware, f"fault {part} clear") == ""
    assert hardware.troubles.present == {}
    assert (hardware.card_faults.sync_takes_us, hardware.clock.step_us) == (0, 0)


@pytest.mark.parametrize(
    ("word", "seen"),
    [("off", (0.0, 0.0)), ("stuck", (0.0, 1.0)), ("wrong", (1.0, 1.0)), ("intermittent 3", (0.0, 0.0))],
)
def test_what_an_eye_sees_of_broken_lamps(device: VirtualDevice, word: str, seen: tuple[float, float]) -> None:
    """Idle: the recording light is dark, the ready light lit; then both are lit. The device drives them all the same."""
    lamps = device.hardware.lamps
    device.run(3)
    assert play(device.hardware, f"fault lights {word}") == ""
    device.double()
    assert (lamps.driven("recording"), lamps.driven("ready")) == (1.0, 1.0)
    assert (lamps.seen("recording"), lamps.seen("ready")) == seen
    play(device.hardware, "fault lights clear")
    assert (lamps.seen("recording"), lamps.seen("ready")) == (1.0, 1.0)


# -- from another program ---------------------------------------------------------------------------------------------


def test_a_bench_is_told_from_another_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / ("long" * 40) / "device"
    folder.mkdir(parents=True)
    heard: list[str] = []

    def carry(line: str) -> str:
        heard.append(line)
        return "no" if "off" in line else ""

    bench = BenchSocket(folder, carry)
    assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600
    assert main(["fault", "--bench", str(folder.parent), "card", "slow", "800"]) == 0
    assert main(["fault", "--bench", str(folder), "card", "off"]) == 2
    assert heard == ["fault card slow 800", "fault card off"]
    assert capsys.readouterr().err == "bodycam-sim: no\n"
    assert say(folder, "zone school") == ""
    with pytest.raises(OSError, match="Address already in use"):
        BenchSocket(folder, carry)
    bench.close()
    assert list(folder.iterdir()) == []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as killed:
        killed.bind(str(tmp_path / NAME))
    BenchSocket(tmp_path, carry).close()
    assert not (tmp_path / NAME).exists(), "what a bench that was killed left is taken away"
    assert main(["fault", "--bench", str(folder), "card", "off"]) == 2
    assert "no bench runs there; start one: bodycam-sim daemon" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--list", "camera"], ["camera", "off"]])
def test_a_command_that_can_not_be_meant(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fault", *words]) == 2
    assert "--" in capsys.readouterr().err


def test_the_list_has_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fault", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(PARTS) * len(WORDS)
    assert main(["fault", "--list", "--json"]) == 0
    assert capsys.readouterr().out == as_json() + "\n"


# -- the process ------------------------------------------------------------------------------------------------------


def test_a_process_is_stopped_and_continued_by_the_one_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []
    parents = [7, 7, 7, 1]
    monkeypatch.setattr(os, "getppid", lambda: parents.pop(0))
    monkeypatch.setattr(os, "kill", lambda pid, what: done.append((pid, what)))
    monkeypatch.setattr(process_faults, "pause", lambda clock, delay_us: done.append(delay_us))
    assert process_faults.main(["7", "150", "50", "9"]) == 0
    assert done == [(7, signal.SIGSTOP), 150_000, (7, signal.SIGCONT), 50_000, (7, signal.SIGSTOP), 150_000]


def test_a_crash_is_a_crash() -> None:
    crash = "import signal; from hw_sim.process_faults import ProcessFaults; ProcessFaults().ends(signal.SIGSEGV)"
    assert subprocess.run([sys.executable, "-c", crash], check=False).returncode == -signal.SIGSEGV


@pytest.mark.parametrize("row", PROCESS, ids=[row.fault.replace(" ", "-") for row in PROCESS])
def test_a_row_of_the_table_with_a_process(row: ProcessRow, agency: Agency, tmp_path: Path) -> None:
    assert ProcessStory(row, _small_bench(tmp_path, agency), tmp_path).play() == row.seen


def test_no_row_with_a_process_holds_where_nothing_is_broken(agency: Agency, tmp_path: Path) -> None:
    """A daemon whose faults are said to be in, and do nothing: it neither ends nor stands still."""
    running = Running(_small_bench(tmp_path, agency), tmp_path, program=("-c", NOTHING_BREAKS))
    try:
        running.hear(lambda m: "READY=1" in m)
        for row in PROCESS:
            with pytest.raises(NotSeen):
                comes_of(row, running, patience_s=0.5)
        assert running.terminate() == 0
    finally:
        running.close()


def test_the_lanes_that_the_rows_name_are_there() -> None:
    lane = (Path(__file__).parent / "lanes" / "test_service.py").read_text("utf-8")
    assert [row.lane for row in PROCESS if f"\ndef {row.lane or 'test_'}" not in lane] == []


def _small_bench(root: Path, agency: Agency) -> Bench:
    return make_bench(root / "bench", agency=agency, audio=False, pre_event_s=1, post_event_s=0, camera=SMALL)


def test_what_the_wait_gives_back_after_a_stop_is_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython breaks off an interrupted wait whose time is over with a structure that nobody filled in."""
    came = [SimpleNamespace(si_signo=-704_099_104), None, SimpleNamespace(si_signo=int(signal.SIGTERM))]
    monkeypatch.setattr(signal, "sigtimedwait", lambda names, limit_s: came.pop(0))
    assert wait_for_signal(STOP_SIGNALS, Latch()) == "SIGTERM"
    assert came == []
