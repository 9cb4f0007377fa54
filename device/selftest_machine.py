"""What a self-test looks at of the machine itself: memory, swap, core dumps, how the card is mounted. Main thread."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import msgspec

_MOUNT_FLAGS = {"nosuid": os.ST_NOSUID, "nodev": os.ST_NODEV, "noexec": os.ST_NOEXEC}
_NO_DUMPS = ("", "|/bin/false", "|/usr/bin/false")
_POINT = 4
"""The field of a line of the table of mounts that says where."""
_FORGOTTEN = ("overlay", "tmpfs", "ramfs", "rootfs")
_ESCAPES = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}
"""As the kernel writes a path into its table of mounts; the backslash itself last."""


class Checked(msgspec.Struct, frozen=True):
    """One part: `result` is pass, warning, fail or skipped; `detail` what was seen; `way_out` what to do about it."""

    part: str
    result: str
    detail: str
    way_out: str = ""


class Machine(msgspec.Struct, frozen=True):
    """`swaps`: where memory may be written to. `card_options`: how the card is mounted, None where that says nothing.
    `card_system`: the kind of its file system, empty where nobody knows. As it is without arguments, it is a machine as it
    should be."""

    swaps: tuple[str, ...] = ()
    memory_cgroup: bool = True
    core_pattern: str = "|/bin/false"
    core_limit: int = 0
    card_options: frozenset[str] | None = None
    card_system: str = ""


def read_machine(root: Path, card: Path) -> Machine:
    """`root`: "/", or a copy of what counts there."""
    swaps = _text(root / "proc/swaps").splitlines()[1:]
    flags = os.statvfs(card).f_flag
    return Machine(
        swaps=tuple(line.split()[0] for line in swaps if line.split()),
        memory_cgroup="memory" in _text(root / "sys/fs/cgroup/cgroup.controllers").split(),
        core_pattern=_text(root / "proc/sys/kernel/core_pattern").strip(),
        core_limit=resource.getrlimit(resource.RLIMIT_CORE)[0],
        card_options=frozenset(name for name, flag in _MOUNT_FLAGS.items() if flags & flag),
        card_system=_file_system(_text(root / "proc/self/mountinfo"), card.resolve()),
    )


def check_machine(machine: Machine) -> Iterator[Checked]:
    if machine.swaps:
        way_out = "turn it off: swapoff -a, and mask the unit that turns it on; see docs/install-pi.md"
        yield Checked("swap", "fail", f"on: {', '.join(machine.swaps)}: frames may be written to it", way_out)
    else:
        yield Checked("swap", "pass", "off")
    if machine.memory_cgroup:
        yield Checked("memory-limit", "pass", "the memory cgroup is on")
    else:
        way_out = "add cgroup_enable=memory to the kernel's command line, and boot again"
        yield Checked("memory-limit", "fail", "the memory cgroup is off: the unit's limits do nothing", way_out)
    if machine.core_limit == 0 or machine.core_pattern in _NO_DUMPS:
        yield Checked("core-dumps", "pass", "off")
    else:
        way_out = "set kernel.core_pattern=|/bin/false, and a core limit of 0"
        yield Checked("core-dumps", "fail", f"on: they go to {machine.core_pattern}", way_out)
    if machine.card_system in _FORGOTTEN:
        way_out = (
            "give it a partition in /etc/fstab; with a read-only root, overlayroot=tmpfs:recurse=0 in cmdline.txt: see "
            "docs/install-pi.md"
        )
        told = f"on {machine.card_system}: what is recorded is forgotten at the next start"
        yield Checked("card-mount", "fail", told, way_out)
    elif machine.card_options is not None:
        missing = ", ".join(sorted(set(_MOUNT_FLAGS) - machine.card_options))
        if missing:
            yield Checked("card-mount", "fail", f"mounted without {missing}", f"add {missing} to its mount options")
        else:
            yield Checked("card-mount", "pass", ", ".join(sorted(machine.card_options)))


def _file_system(mounts: str, card: Path) -> str:
    """Of the mount that holds `card`: the nearest above it, of several at one place the last. Empty when there is none."""
    nearest, kind = -1, ""
    for line in mounts.splitlines():
        mount, _, system = line.partition(" - ")
        fields = mount.split(" ")
        if len(fields) <= _POINT or not system.split():
            continue
        point = fields[_POINT]
        for escape, character in _ESCAPES.items():
            point = point.replace(escape, character)
        depth = len(Path(point).parts)
        if depth >= nearest and card.is_relative_to(point):
            nearest, kind = depth, system.split()[0]
    return kind


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""  # a kernel without it has nothing of the kind
