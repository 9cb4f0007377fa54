"""A card of its own: an image with a real ext4, mounted as docs/install-pi.md says, on a block device whose behaviour is ours.

Between the image and the file system stands qemu's storage daemon: it logs each request (`logged`), fails the n-th
(`failing`), or slows all (`slowed`). As root. Everything here runs inside namespaces of its own (`inside`): when the process in
them ends, its mounts, its processes and its loop devices are gone (docs/design/rigs.md has the one caveat).
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lanes.systemd_rig import _end_with_parent

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("unshare", "qemu-storage-daemon", "mkfs.ext4", "e2fsck", "mount", "umount", "losetup")
OPTIONS = "loop,data=ordered,commit=5,noatime,nodev,nosuid,noexec,errors=remount-ro"
"""As docs/install-pi.md has them."""
MIB = 1 << 20
IMAGE_MIB = 32
GROUP_BLOCKS = 2048
LOG_MIB = 256
READY_S = 20

Node = dict[str, Any]


def inside(module: str, *words: str, limit_s: float) -> dict[str, Any]:
    """Run a module in namespaces of its own; the JSON of the last line that it prints. The lines before are printed here as they come.

    Past the limit, or when this process ends in whatever way, the module gets SIGTERM and takes down what it built.
    """
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child=TERM", "--mount-proc", "--propagation", "private"]
    with (
        tempfile.TemporaryDirectory() as temporary,
        subprocess.Popen(
            [*command, sys.executable, "-W", "error", "-m", module, *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": temporary},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, before any thread of the child's
        ) as process,
    ):
        assert process.stdout is not None
        limit = threading.Timer(limit_s, process.kill)
        limit.start()
        last = "{}"
        try:
            for line in process.stdout:
                last = line
                if not line.startswith("{"):
                    print(line, end="", flush=True)
            process.wait()
        except BaseException:
            process.kill()
            process.stdout.read()  # until all is taken down
            raise
        finally:
            limit.cancel()
            limit.join()
    assert process.returncode == 0, f"{module} ended with {process.returncode}"
    said: dict[str, Any] = json.loads(last)
    return said


def run(*command: str, ok: tuple[int, ...] = (0,)) -> int:
    """A command that must end with one of these; what it said is in the error otherwise."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in ok:
        raise RigError(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.returncode


class RigError(Exception):
    """A command of the rig's did not do what it should; at a cut: the image can't be used any more."""


@contextmanager
def in_memory(folder: Path) -> Iterator[Path]:
    """A folder in memory, gone with the namespaces; what a failure left open in it does not hold it."""
    folder.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        run("umount", "--lazy", str(folder))


def make_image(path: Path, size_mib: int = IMAGE_MIB) -> Path:
    """An ext4 with the blocks of a real card's, and nothing left to be laid out in the background."""
    with path.open("wb") as file:
        file.truncate(size_mib * MIB)
    groups = ["-g", str(GROUP_BLOCKS)]  # several, as on a real card: the second has a copy of the superblock
    lazy = "lazy_itable_init=0,lazy_journal_init=0"
    run("mkfs.ext4", "-q", "-F", "-b", "4096", *groups, "-J", "size=4", "-E", lazy, str(path))
    return path


@contextmanager
def mounted(device: Path, folder: Path) -> Iterator[Path]:
    """The device's file system; its loop device goes with the mount."""
    run("mount", "-o", OPTIONS, str(device), str(folder))
    try:
        yield folder
    finally:
        run("umount", str(folder))


def mended(image: Path) -> bool:
    """As at every start of a Pi: the file system is checked before it is mounted. True when the superblock was torn and its copy
    was used: on a card of more than 128 MiB e2fsck finds that by itself, on an image with smaller groups it must be told where."""
    try:
        run("e2fsck", "-fy", str(image), ok=(0, 1))
    except RigError as failure:
        if "superblock" not in str(failure):
            raise
        run("e2fsck", "-fy", "-b", str(GROUP_BLOCKS), "-B", "4096", str(image), ok=(0, 1))
        return True
    return False


@contextmanager
def exported(image: Path, nodes: list[Node]) -> Iterator[Path]:
    """The image behind these nodes, the last of which is shown as a file. Each says its `driver`, and by `file` the node
    below it; `image` is the lowest."""
    shown, ready = image.with_suffix(".shown"), image.with_suffix(".ready")
    shown.touch()
    command = ["qemu-storage-daemon", "--pidfile", str(ready)]
    for node in [{"driver": "file", "node-name": "image", "filename": str(image)}, *nodes]:
        objects = [node] if "qom-type" in node else []
        command += ["--object", json.dumps(node)] if objects else ["--blockdev", json.dumps(node)]
    export = {"type": "fuse", "id": "shown", "node-name": "top", "mountpoint": str(shown), "writable": True}
    process = subprocess.Popen([*command, "--export", json.dumps(export)], stdin=subprocess.DEVNULL)
    try:
        until = time.monotonic() + READY_S
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > until:
                raise RigError("qemu-storage-daemon does not show the image")
            time.sleep(0.01)
        yield shown
    finally:
        process.terminate()
        try:
            process.wait(READY_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        ready.unlink(missing_ok=True)


@contextmanager
def stopped(image: Path) -> Iterator[None]:
    """Meanwhile the device of this image, which is `exported`, takes no request: none ends, none fails."""
    device = int(image.with_suffix(".ready").read_text("ascii"))
    os.kill(device, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(device, signal.SIGCONT)


def logged(log: Path) -> list[Node]:
    """Every request is written into a log, which is made here."""
    with log.open("wb") as file:
        file.truncate(LOG_MIB * MIB)
    return [
        {"driver": "file", "node-name": "log", "filename": str(log)},
        {"driver": "blklogwrites", "node-name": "top", "file": "image", "log": "log", "log-sector-size": 512},
    ]


def failing(event: str, nth: int) -> list[Node]:
    """From the n-th request of this kind on (`pwritev`, `flush_to_disk`), all of them end with EIO."""
    states = [{"event": event, "state": n, "new_state": n + 1} for n in range(1, nth)]
    error = {"event": event, "state": nth, "errno": 5, "once": False, "immediately": False}
    rules = {"set-state": states, "inject-error": [error]}
    failing_node = {"driver": "blkdebug", "node-name": "fails", "image": "image", **rules}
    return [failing_node, {"driver": "raw", "node-name": "top", "file": "fails"}]


def slowed(bytes_per_s: int) -> list[Node]:
    """Writes go no faster than this."""
    return [
        {"qom-type": "throttle-group", "id": "pace", "limits": {"bps-write": bytes_per_s}},
        {"driver": "throttle", "node-name": "top", "throttle-group": "pace", "file": "image"},
    ]
