"""How lines are wired, how bright lights are, and where the Pi's chip is: what the configuration says and what it may not."""

import os
import sys
import time
import types
from collections.abc import Callable
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from device.clock import BootClock, Wall
from device.config import read_configuration
from device.controls import brightness
from device.controls.lines import Wire, wires
from device.errors import ConfigurationError, HardwareFailed
from device.pi import pins
from device.tables import LightLevels
from hw_sim.agency import Agency
from tests.benches import make_bench


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    bench = make_bench(tmp_path_factory.mktemp("wiring") / "bench", agency=Agency())
    return bench.config, bench.config.read_text("utf-8")


@pytest.fixture
def configured(text: tuple[Path, str]) -> Callable[..., dict[str, Wire]]:
    """The wires with more lines at the end of the configuration."""
    path, before = text

    def configured(more: str, old: str = "", new: str = "") -> dict[str, Wire]:
        path.write_text(before.replace(old, new) + more, "utf-8")
        return wires(read_configuration(path).tables.wiring)

    return configured


# -- lines ----------------------------------------------------------------------------------------------------------


def test_a_line_is_wired_as_the_configuration_says(configured: Callable[..., dict[str, Wire]]) -> None:
    found = configured(
        '[lines.record_button]\nactive = "high"\npull = "none"\ndebounce_ms = 30\n'
        '[lines.zones]\nactive = "high"\n[lines.battery_low]\npull = "none"\n'
        '[triggers.gate]\nline = 2\ncategory = "officer-discretion"\npull = "up"\nactive = "high"\ndebounce_ms = 5\n'
    )
    assert found["record"] == Wire(17, active_low=False, pull="none", bounce_us=30_000)
    assert found["function"] == Wire(27, active_low=True, pull="up", bounce_us=20_000)
    assert found["dock"] == Wire(26, active_low=True, pull="up", bounce_us=20_000)
    assert found["zone-school"] == Wire(5, active_low=False, pull="down", bounce_us=20_000)
    assert found["battery-low"] == Wire(20, active_low=True, pull="none", bounce_us=10_000_000)
    assert found["trigger-light-bar"] == Wire(13, active_low=False, pull="down", bounce_us=20_000)
    assert found["trigger-gate"] == Wire(2, active_low=False, pull="up", bounce_us=5_000)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[lines.recrd_button]\n", "lines.recrd_button: no such key (did you mean record_button?)"),
        ('[lines.dock]\nlevel = "low"\n', "lines.dock.level: no such key"),
        ('[lines.dock]\npull = "sideways"\n', "lines.dock.pull is 'sideways': must be one of"),
        ("[lines.dock]\ndebounce_ms = 61\n", "lines.dock.debounce_ms is 61"),
        ("[lines.battery_low]\ndebounce_ms = 20\n", "lines.battery_low.debounce_ms: no such key"),
        ('[lines.buzzer]\npull = "up"\n', "lines.buzzer.pull: no such key"),
        ("[lines.dock]\ndebounce_ms = 50\n", "with lines.dock.debounce_ms at 50 no line changes more than 20 times"),
        ("[lights]\nnight_percent = 19\n", "lights.night_percent is 19: must be"),
        ("[lights]\nday_percent = 0\n", "lights.day_percent is 0: must be"),
        ('[lights]\nnight_from = "24:00"\n', "lights.night_from is '24:00'"),
    ],
)
def test_what_is_wrong_is_said(configured: Callable[..., dict[str, Wire]], more: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        configured(more)
    assert said in str(failure.value)


def test_a_line_with_a_resistor_of_its_own_is_pulled_no_other_way(configured: Callable[..., dict[str, Wire]]) -> None:
    with pytest.raises(ConfigurationError, match=r'board.dock is 2: GPIO 2 and 3 have .* pull is "down"; take another'):
        configured('[lines.dock]\nactive = "high"\n', "dock = 26", "dock = 2")


# -- lights ---------------------------------------------------------------------------------------------------------

BOSTON = timezone(timedelta(hours=-5))
NIGHT = LightLevels(day_percent=90, night_percent=20, night_from="21:30", night_until="06:00")


@pytest.mark.parametrize(
    ("utc_hhmm", "percent"),
    [((2, 29), 90), ((2, 30), 20), ((4, 59), 20), ((5, 0), 20), ((10, 59), 20), ((11, 0), 90), ((17, 0), 90)],
)
def test_night_is_a_window_of_local_hours_that_may_pass_midnight(utc_hhmm: tuple[int, int], percent: int) -> None:
    hour, minute = utc_hhmm
    wall = Wall(1_699_920_000_000_000 + (hour * 60 + minute) * 60_000_000, True, "kernel", 0)
    assert brightness.percent(NIGHT, wall, BOSTON) == percent


@pytest.mark.parametrize(
    ("begins", "ends", "percent"), [("01:00", "05:00", 50), ("05:00", "07:00", 100), ("03:00", "03:00", 50)]
)
def test_night_may_lie_within_a_day_or_be_always(begins: str, ends: str, percent: int) -> None:
    levels = LightLevels(night_percent=50, night_from=begins, night_until=ends)
    three = Wall(1_699_920_000_000_000 + 3 * 3_600_000_000, True, "kernel", 0)
    assert brightness.percent(levels, three, timezone.utc) == percent  # noqa: UP017 - beside a timezone


def test_while_the_time_of_day_is_not_known_it_is_day() -> None:
    midnight = 1_699_920_000_000_000 + 5 * 3_600_000_000
    assert brightness.percent(NIGHT, Wall(midnight, False, "none", 0), BOSTON) == 90


# -- stamps ---------------------------------------------------------------------------------------------------------


def test_a_stamp_of_the_kernel_is_the_boot_time_of_its_instant() -> None:
    clock = BootClock()
    before_us, monotonic_s, after_us = clock.now_us(), time.monotonic(), clock.now_us()
    assert before_us - 1 <= clock.at_monotonic_us(monotonic_s) <= after_us + 1
    assert clock.at_monotonic_us(monotonic_s - 5) - clock.at_monotonic_us(monotonic_s) == pytest.approx(
        -5_000_000, abs=1
    )


@pytest.mark.parametrize("other", [time.time, lambda: time.monotonic() + 60, lambda: 0.0])
def test_a_stamp_of_another_clock_is_now(other: Callable[[], float]) -> None:
    clock = BootClock()
    before_us = clock.now_us()
    assert before_us <= clock.at_monotonic_us(other()) <= clock.now_us()


# -- the Pi's chip --------------------------------------------------------------------------------------------------


class FakeLgpio(types.ModuleType):
    """lgpio with chips of these labels, as far as the factory needs it; makes its FIFO where the real one does."""

    SET_PULL_NONE, SET_PULL_UP, SET_PULL_DOWN = 128, 32, 64
    RISING_EDGE, FALLING_EDGE, BOTH_EDGES = 1, 2, 3

    class error(Exception):  # noqa: N801 - its name
        pass

    def __init__(self, labels: dict[int, str], busy: int = -1) -> None:
        super().__init__("lgpio")
        self.labels, self.busy, self.opened = labels, busy, [-1]

    def gpiochip_open(self, number: int) -> int:
        self.opened.append(number)
        return number

    def gpiochip_close(self, handle: int) -> None:
        pass

    def gpio_get_chip_info(self, handle: int) -> list[Any]:
        return [0, 54, f"gpiochip{handle}", self.labels[handle]]

    def gpio_claim_input(self, handle: int, gpio: int, flags: int) -> None:
        if gpio == self.busy:
            raise self.error("GPIO busy")

    def gpio_get_mode(self, handle: int, gpio: int) -> int:
        return 0


@pytest.fixture
def with_lgpio(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., FakeLgpio]:
    def with_lgpio(labels: dict[int, str], busy: int = -1) -> FakeLgpio:
        fake = FakeLgpio(labels, busy)
        monkeypatch.setitem(sys.modules, "lgpio", fake)
        monkeypatch.delitem(sys.modules, "gpiozero.pins.lgpio", raising=False)
        monkeypatch.setattr(pins, "DEVICES", tmp_path)
        monkeypatch.setattr("gpiozero.pins.local.get_pi_revision", lambda: 0x902120)
        for number in labels:
            (tmp_path / f"gpiochip{number}").touch()
        return fake

    return with_lgpio


@pytest.mark.parametrize(
    ("labels", "number"),
    [
        ({0: "pinctrl-bcm2835", 1: "raspberrypi-exp-gpio"}, 0),
        ({0: "pinctrl-bcm2711", 1: "raspberrypi-exp-gpio"}, 0),
        ({0: "gpio-brcmstb@107d508500", 4: "pinctrl-rp1", 10: "other"}, 4),
        ({0: "pinctrl-rp1", 4: "pinctrl-rp1", 10: "gpio-brcmstb@107d508500"}, 0),
    ],
)
def test_the_chip_is_found_by_its_label(
    with_lgpio: Callable[..., FakeLgpio], labels: dict[int, str], number: int
) -> None:
    fake = with_lgpio(labels)
    pins.make_factory().close()
    assert fake.opened[-1] == number


def test_without_the_chip_the_way_out_is_said(with_lgpio: Callable[..., FakeLgpio]) -> None:
    with_lgpio({0: "9030000.pl061"})
    with pytest.raises(
        HardwareFailed, match=r"no chip of a Raspberry Pi's header .*gpiochip0 is 9030000.pl061; run it"
    ):
        pins.make_factory()


def test_without_any_chip_too(with_lgpio: Callable[..., FakeLgpio]) -> None:
    with_lgpio({})
    with pytest.raises(HardwareFailed, match="there is none at all; run it on a Pi"):
        pins.make_factory()


def test_without_the_right_to_it_too(with_lgpio: Callable[..., FakeLgpio], monkeypatch: pytest.MonkeyPatch) -> None:
    with_lgpio({0: "pinctrl-bcm2835"})
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(HardwareFailed, match=r"gpiochip0 is not to be read and written; .* \(gpio\)"):
        pins.make_factory()


def test_without_lgpio_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lgpio", None)
    with pytest.raises(HardwareFailed, match="install python3-lgpio"):
        pins.make_factory()


def test_a_line_that_another_has_is_said(with_lgpio: Callable[..., FakeLgpio]) -> None:
    with_lgpio({0: "pinctrl-bcm2835"}, busy=17)
    factory: Any = pins.make_factory()
    with pytest.raises(HardwareFailed, match="GPIO 17: GPIO busy; does another program use this line"):
        factory.pin(17)
    factory.close()


def test_the_working_folder_is_what_it_was_and_nothing_is_left(
    with_lgpio: Callable[..., FakeLgpio], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """lgpio changes to the folder that LG_WD names, and leaves a FIFO in it."""
    with_lgpio({0: "pinctrl-bcm2835"})
    folder, temporary = tmp_path / "work", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(pins, "_import", _importing(pins._import), raising=True)
    pins.make_factory().close()
    assert Path.cwd() == folder
    assert list(folder.iterdir()) == []
    assert list(temporary.iterdir()) == []


def test_a_working_folder_that_is_closed_to_this_user_is_left_for_the_root(
    with_lgpio: Callable[..., FakeLgpio], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`runuser` in root's own folder: the process is in a folder that it can't open."""
    fake = with_lgpio({0: "pinctrl-bcm2835"})
    real, temporary = os.open, tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(pins, "_import", _importing(pins._import), raising=True)

    def closed(path: Any, *more: Any, **options: Any) -> int:
        if path == ".":
            raise PermissionError(13, "Permission denied", ".")
        return real(path, *more, **options)

    monkeypatch.setattr(os, "open", closed)
    pins.make_factory().close()
    assert fake.opened[-1] == 0
    assert Path.cwd() == Path("/")
    assert list(temporary.iterdir()) == []


def _importing(real: Callable[[], Any]) -> Callable[[], Any]:
    def importing() -> Any:
        os.chdir(os.environ["LG_WD"])
        Path(".lgd-nfy0").touch()
        return real()

    return importing
