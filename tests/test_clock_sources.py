"""What wall time comes from, by what each source leaves under /run and /sys; and that a clock chip is no unset clock."""

from pathlib import Path

import pytest

from device.clock import CHIP_AGREES_S, FIRST_POSSIBLE_S, BootClock, Sources
from hw_sim.virtual import VirtualDevice
from tests.benches import ledger, make_bench, recordings, shown, verified

NOW_S = FIRST_POSSIBLE_S + 1_000_000


def looked(root: Path, utc_s: int = NOW_S) -> tuple[str, str]:
    sources = Sources(root)
    sources.look(utc_s * 1_000_000)
    return sources.synchronised, sources.otherwise


def chip(root: Path, said: str) -> None:
    folder = root / "sys" / "class" / "rtc" / "rtc0"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "since_epoch").write_text(said, "ascii")


def test_nothing_is_there(tmp_path: Path) -> None:
    assert looked(tmp_path) == ("kernel", "none")


def test_timesyncd_and_chrony(tmp_path: Path) -> None:
    (tmp_path / "run" / "chrony").mkdir(parents=True)
    assert looked(tmp_path) == ("chrony", "none")
    (tmp_path / "run" / "systemd" / "timesync").mkdir(parents=True)
    assert looked(tmp_path) == ("chrony", "none")
    (tmp_path / "run" / "systemd" / "timesync" / "synchronized").touch()
    assert looked(tmp_path) == ("timesyncd", "none")


@pytest.mark.parametrize(
    ("said", "utc_s", "expected"),
    [
        (f"{NOW_S}\n", NOW_S, "rtc"),
        (f"{NOW_S - CHIP_AGREES_S}\n", NOW_S, "rtc"),
        (f"{NOW_S - CHIP_AGREES_S - 1}\n", NOW_S, "none"),
        (f"{NOW_S}\n", NOW_S + 3600, "none"),
        ("12\n", 12, "none"),
        (f"{FIRST_POSSIBLE_S - 1}\n", FIRST_POSSIBLE_S - 1, "none"),
        (f"{FIRST_POSSIBLE_S}\n", FIRST_POSSIBLE_S, "rtc"),
        ("", NOW_S, "none"),
        ("-5\n", NOW_S, "none"),
        ("soon\n", NOW_S, "none"),
        ("9" * 500, NOW_S, "none"),
    ],
)
def test_a_clock_chip(tmp_path: Path, said: str, utc_s: int, expected: str) -> None:
    chip(tmp_path, said)
    assert looked(tmp_path, utc_s) == ("kernel", expected)


def test_wall_time_of_this_machine_has_a_source() -> None:
    wall = BootClock().wall()
    assert wall.source in ({"chrony", "timesyncd", "kernel"} if wall.synchronised else {"rtc", "none"})


def test_a_time_that_a_clock_chip_bears_out_is_no_fault_and_says_so(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", audio=False)
    device = VirtualDevice(bench)
    device.clock.synchronised, device.clock.chip = False, True
    device.boot()
    device.run(6)
    assert "clock" not in device.daemon.control.state.faults
    device.record(3)
    device.clock.chip = False
    device.run(1)
    assert "clock" in device.daemon.control.state.faults
    device.stop()
    said = ledger(bench, recordings(bench)[0]).lines[0].record.clock
    assert (said.synchronised, said.source, said.error_us) == (False, "rtc", 0)
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)
