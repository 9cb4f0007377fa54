"""What the kernel shows of a Pi, from a tree of files as a Pi has it; and from one with anything in it."""

import os
import random
from pathlib import Path

import pytest

from device.charge import Gauge
from device.hardware import CardState, Memory
from device.pi.sensors import PiSensors

MIB = 1 << 20
SEED = 1


def put(root: Path, files: dict[str, str]) -> PiSensors:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return PiSensors(root)


def test_a_board_with_nothing_gives_nothing(tmp_path: Path) -> None:
    sensors = PiSensors(tmp_path)
    assert (sensors.temperature_mc(), sensors.under_voltage(), sensors.battery(), sensors.memory()) == (None,) * 4
    assert sensors.card(tmp_path) == CardState(life=None, spare=None, errors=None, read_only=False)


def test_the_processors_temperature(tmp_path: Path) -> None:
    zone = "sys/class/thermal/thermal_zone"
    sensors = put(tmp_path, {f"{zone}0/type": "acpitz\n", f"{zone}0/temp": "20000\n", f"{zone}1/type": "cpu-thermal\n"})
    assert sensors.temperature_mc() is None
    put(tmp_path, {f"{zone}1/temp": "71582\n"})
    assert sensors.temperature_mc() == 71_582


@pytest.mark.parametrize(("alarm", "expected"), [("0\n", False), ("1\n", True), ("", None), ("yes\n", None)])
def test_the_supplys_voltage(tmp_path: Path, alarm: str, expected: bool | None) -> None:
    chip = "sys/class/hwmon/hwmon"
    files = {f"{chip}0/name": "cpu_thermal\n", f"{chip}1/name": "rpi_volt\n", f"{chip}1/in0_lcrit_alarm": alarm}
    assert put(tmp_path, files).under_voltage() is expected


def test_the_batterys_gauge_and_not_a_mouses(tmp_path: Path) -> None:
    supplies = "sys/class/power_supply"
    sensors = put(
        tmp_path,
        {
            f"{supplies}/ac/type": "Mains\n",
            f"{supplies}/hid/type": "Battery\n",
            f"{supplies}/hid/scope": "Device\n",
            f"{supplies}/hid/capacity": "1\n",
            f"{supplies}/main/type": "Battery\n",
            f"{supplies}/main/capacity": "83\n",
            f"{supplies}/main/voltage_now": "3987500\n",
        },
    )
    assert sensors.battery() == Gauge(83, 3_987)
    put(tmp_path, {f"{supplies}/main/present": "0\n"})
    assert sensors.battery() is None
    put(
        tmp_path,
        {f"{supplies}/main/present": "1\n", f"{supplies}/main/capacity": "full\n", f"{supplies}/main/voltage_now": ""},
    )
    assert sensors.battery() == Gauge(None, None)


def test_the_card(tmp_path: Path) -> None:
    """By the device number of a folder on it, as the kernel lists it under /sys/dev/block."""
    device = tmp_path.stat().st_dev
    disk = "sys/devices/platform/mmc/block/mmcblk0"
    sensors = put(
        tmp_path,
        {
            f"{disk}/device/life_time": "0x01 0x0B\n",
            f"{disk}/device/pre_eol_info": "0x02\n",
            f"{disk}/mmcblk0p3/partition": "3\n",
            "sys/fs/ext4/mmcblk0p3/errors_count": "4\n",
        },
    )
    numbers = tmp_path / "sys" / "dev" / "block"
    numbers.mkdir(parents=True)
    (numbers / f"{os.major(device)}:{os.minor(device)}").symlink_to(tmp_path / disk / "mmcblk0p3")
    assert sensors.card(tmp_path) == CardState(life=11, spare=2, errors=4, read_only=False)
    put(tmp_path, {f"{disk}/device/life_time": "unknown\n", f"{disk}/device/pre_eol_info": "0x\n"})
    assert sensors.card(tmp_path) == CardState(life=None, spare=None, errors=4, read_only=False)


def test_a_read_only_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tmp_path)
    told = os.statvfs_result([*real[:8], real.f_flag | os.ST_RDONLY, real.f_namemax])
    monkeypatch.setattr(os, "statvfs", lambda _: told)
    assert PiSensors(tmp_path).card(tmp_path).read_only is True


MEMINFO = "MemTotal:         437284 kB\nMemFree:           11000 kB\nMemAvailable:     102400 kB\nSwapTotal:             0 kB\n"


def test_memory_of_the_system_and_of_the_services_own_group(tmp_path: Path) -> None:
    sensors = put(tmp_path, {"proc/meminfo": MEMINFO})
    assert sensors.memory() == Memory(left_bytes=100 * MIB, swap_bytes=0)
    group = "sys/fs/cgroup/system.slice/bodycam.service"
    put(
        tmp_path,
        {
            "proc/self/cgroup": "0::/system.slice/bodycam.service\n",
            f"{group}/memory.max": f"{200 * MIB}\n",
            f"{group}/memory.current": f"{190 * MIB}\n",
            f"{group}/memory.stat": f"anon 1\ninactive_anon 0\ninactive_file {30 * MIB}\n",
        },
    )
    assert sensors.memory() == Memory(left_bytes=40 * MIB, swap_bytes=0)
    put(tmp_path, {f"{group}/memory.max": "max\n"})
    assert sensors.memory() == Memory(left_bytes=100 * MIB, swap_bytes=0)
    put(tmp_path, {"proc/meminfo": MEMINFO.replace("SwapTotal:             0", "SwapTotal:        204800")})
    assert sensors.memory() == Memory(left_bytes=100 * MIB, swap_bytes=200 * MIB)


def test_this_machine_has_memory() -> None:
    memory = PiSensors().memory()
    assert memory is not None
    assert memory.left_bytes > 0


def test_anything_at_all_in_the_files_raises_nothing(tmp_path: Path) -> None:
    odds = random.Random(SEED)
    device = tmp_path.stat().st_dev
    block = tmp_path / "sys/dev/block" / f"{os.major(device)}:{os.minor(device)}"
    names = [
        "sys/class/thermal/thermal_zone0/type",
        "sys/class/thermal/thermal_zone0/temp",
        "sys/class/hwmon/hwmon0/name",
        "sys/class/hwmon/hwmon0/in0_lcrit_alarm",
        "sys/class/power_supply/a/type",
        "sys/class/power_supply/a/present",
        "sys/class/power_supply/a/capacity",
        "sys/class/power_supply/a/voltage_now",
        "sys/dev/block/device/life_time",
        "sys/dev/block/device/pre_eol_info",
        f"sys/fs/ext4/{block.name}/errors_count",
        "proc/meminfo",
        "proc/self/cgroup",
    ]
    block.mkdir(parents=True)
    words = [
        b"cpu-thermal",
        b"rpi_volt",
        b"Battery",
        b"0x",
        b"-",
        b"9" * 40,
        b"\xff\0",
        b"0::/../..",
        b"\n",
        b"MemAvailable: 1 kB",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    sensors = PiSensors(tmp_path)
    for _ in range(100):
        for name in names:
            text = b"".join(odds.choices([*words, odds.randbytes(8)], k=odds.randrange(4)))
            (tmp_path / name).write_bytes(text + b"7" * odds.choice([0, 0, 0, 40_000]))
        sensors.temperature_mc()
        sensors.under_voltage()
        sensors.battery()
        sensors.memory()
        card = sensors.card(tmp_path)
        assert card.life is None or 0 <= card.life <= 255
