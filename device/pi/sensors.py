"""What a Raspberry Pi measures of itself, as the kernel shows it under /sys and /proc: no bus, no process, no library.

Temperature and under-voltage by the drivers of every Pi's kernel; the battery by the driver of its fuel gauge, which a
device-tree overlay loads (docs/design/health.md). Each look finds the files anew: a gauge may come and go. What is not
there, or is nothing like what it should be, is None.
"""

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from device.charge import Gauge
from device.hardware import CardState, Memory

MOST_BYTES = 16 * 1024
MOST_ENTRIES = 64
_NUMBER = re.compile(r"-?[0-9]{1,15}\Z")
_HEX = re.compile(r"0x[0-9a-f]{1,2}\Z", re.IGNORECASE)
_KIB = re.compile(r"^(MemAvailable|SwapTotal): +([0-9]{1,15}) kB$", re.MULTILINE)
_OWN_CACHE = re.compile(r"^inactive_file ([0-9]{1,18})$", re.MULTILINE)
_OWN_GROUP = re.compile(r"^0::(/[^\n]*)$", re.MULTILINE)


class PiSensors:
    """`root`: where /sys and /proc are."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._sys = root / "sys"
        self._proc = root / "proc"

    def temperature_mc(self) -> int | None:
        zones = _entries(self._sys / "class" / "thermal", "thermal_zone")
        return next((_number(zone / "temp") for zone in zones if _text(zone / "type") == "cpu-thermal"), None)

    def under_voltage(self) -> bool | None:
        """The firmware's flag, which the kernel reads every 2 s and which is sticky until then."""
        chips = _entries(self._sys / "class" / "hwmon", "hwmon")
        alarm = next((_number(chip / "in0_lcrit_alarm") for chip in chips if _text(chip / "name") == "rpi_volt"), None)
        return None if alarm is None else alarm != 0

    def battery(self) -> Gauge | None:
        """The first battery that supplies the system, not one of something plugged in."""
        for supply in _entries(self._sys / "class" / "power_supply", ""):
            own = _text(supply / "type") == "Battery" and _text(supply / "scope") != "Device"
            if own and _text(supply / "present") != "0":
                voltage_uv = _number(supply / "voltage_now")
                return Gauge(_number(supply / "capacity"), None if voltage_uv is None else voltage_uv // 1000)
        return None

    def card(self, path: Path) -> CardState:
        partition = self._partition(path)
        life = (_text(partition.parent / "device" / "life_time") or "") if partition else ""
        used = [int(word, 16) for word in life.split()[:2] if _HEX.match(word)]
        spare = (_text(partition.parent / "device" / "pre_eol_info") or "") if partition else ""
        return CardState(
            life=max(used, default=None),
            spare=int(spare, 16) if _HEX.match(spare) else None,
            errors=_number(self._sys / "fs" / "ext4" / partition.name / "errors_count") if partition else None,
            read_only=_read_only(path),
        )

    def memory(self) -> Memory | None:
        kib = {name: int(number) for name, number in _KIB.findall(_text(self._proc / "meminfo") or "")}
        if "MemAvailable" not in kib:
            return None
        left = [kib["MemAvailable"] * 1024, *self._own_left()]
        return Memory(left_bytes=min(left), swap_bytes=kib.get("SwapTotal", 0) * 1024)

    def _own_left(self) -> list[int]:
        """Below the limit of the service's own group: pages of files that nobody reads any more don't count."""
        group = _OWN_GROUP.search(_text(self._proc / "self" / "cgroup") or "")
        if group is None or ".." in group[1]:
            return []
        folder = self._sys / "fs" / "cgroup" / group[1].lstrip("/")
        limit, current = _number(folder / "memory.max"), _number(folder / "memory.current")
        if limit is None or current is None:
            return []
        cache = _OWN_CACHE.search(_text(folder / "memory.stat") or "")
        return [limit - current + (0 if cache is None else int(cache[1]))]

    def _partition(self, path: Path) -> Path | None:
        """The kernel's folder of the partition that a folder is on; its parent is the card's."""
        try:
            device = path.stat().st_dev
            return (self._sys / "dev" / "block" / f"{os.major(device)}:{os.minor(device)}").resolve(strict=True)
        except OSError:
            return None


def _read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _entries(folder: Path, prefix: str) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in islice(entries, MOST_ENTRIES) if entry.name.startswith(prefix))
    except OSError:
        names = []
    return (folder / name for name in names)


def _text(path: Path) -> str | None:
    """What a file of the kernel's says, without the line's end; None where it says nothing that can be read."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return None


def _number(path: Path) -> int | None:
    text = _text(path) or ""
    return int(text) if _NUMBER.match(text) else None
