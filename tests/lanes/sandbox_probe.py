"""What a unit's sandbox lets its process do, asked from inside: run by a real systemd under the settings of each unit of
systemd/. Standard library alone. Prints one JSON object: the probe's name, and "ok", an error's name or what was found.

Each probe needs one right, so that each answer tells of one setting. Usage:
sandbox_probe.py OTHER_PROCESS_ID NAMESPACES (JSON: the service manager's own) PROBE (empty: all)
"""

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000
SYS_ADD_KEY = {"x86_64": 248, "aarch64": 217}[os.uname().machine]
SYS_INIT_MODULE = {"x86_64": 175, "aarch64": 105}[os.uname().machine]
SCHED_FIFO_PRIORITY = os.sched_param(1)
PTRACE_SEIZE, MS_BIND = 0x4206, 4096
ADDR_NO_RANDOMIZE = 0x0040000
ADJ_TICK = 0x4000


class Timex(ctypes.Structure):
    _fields_ = (("modes", ctypes.c_uint), ("room", ctypes.c_long * 60))


class Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def told(result: int) -> str:
    """Of a C call that gives -1 for an error."""
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "ok"


def asked(do: Callable[[], object]) -> str:
    """In a process of its own: what one probe changes is nothing to the next."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, _answer(do).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    os.wait()
    return said


def _answer(do: Callable[[], object]) -> str:
    try:
        found = do()
    except OSError as failure:
        return errno.errorcode[failure.errno or 0]
    return found if isinstance(found, str) else "ok"


def write(folder: str) -> Callable[[], object]:
    def do() -> None:
        path = Path(folder) / "probe"
        path.write_bytes(b"x")
        path.unlink()

    return do


def open_node(path: str) -> Callable[[], object]:
    return lambda: os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))


def flags(path: str) -> Callable[[], str]:
    """Whether what is mounted there can be written."""
    return lambda: "read-only" if os.statvfs(path).f_flag & os.ST_RDONLY else "writable"


def connect(family: int) -> Callable[[], object]:
    return lambda: socket.socket(family, socket.SOCK_RAW if family == socket.AF_NETLINK else socket.SOCK_DGRAM).close()


def execute() -> str:
    """A program that the process itself wrote."""
    folder = Path(os.environ.get("RUNTIME_DIRECTORY") or "/tmp")  # noqa: S108 - the unit's own
    program = folder / "program"
    program.write_text("#!/bin/sh\nexit 0\n", "ascii")
    program.chmod(0o700)
    try:
        os.waitpid(os.posix_spawn(program, [str(program)], {}), 0)
    finally:
        program.unlink()
    return "ok"


def setuid_file() -> None:
    path = Path(os.environ.get("RUNTIME_DIRECTORY") or "/tmp") / "suid"  # noqa: S108 - the unit's own
    path.write_bytes(b"")
    try:
        path.chmod(0o4700)
    finally:
        path.unlink()


def executable_memory() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def mount() -> str:
    """And taken off again."""
    said = told(LIBC.mount(b"/usr", b"/tmp", b"none", MS_BIND, None))
    if said == "ok":
        LIBC.umount2(b"/tmp", 0)
    return said


def set_clock() -> str:
    """To a time that there can't be: whoever gets as far as the kernel is told EINVAL, and no clock is set."""
    return told(LIBC.clock_settime(0, ctypes.byref(Timespec(-1, 0))))


def ask_clock(modes: int) -> str:
    timex = Timex(modes=modes)
    return told(0 if LIBC.adjtimex(ctypes.byref(timex)) >= 0 else -1)


def status(key: str) -> Callable[[], str]:
    """A hexadecimal number of this process's status."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return lambda: f"{int(next(line.split()[1] for line in lines if line.startswith(f'{key}:')), 16):x}"


def limit(which: int) -> str:
    soft, hard = resource.getrlimit(which)
    return f"{soft} {hard}"


def umask() -> str:
    mask = os.umask(0)
    os.umask(mask)
    return f"{mask:04o}"


def namespace(kind: str, systemds: str) -> Callable[[], str]:
    """`systemds`: what it is for the service manager."""
    return lambda: "systemd's" if str(Path(f"/proc/self/ns/{kind}").readlink()) == systemds else "its own"


def read(path: str) -> Callable[[], object]:
    return lambda: os.read(os.open(path, os.O_RDONLY | os.O_CLOEXEC), 1)


def read_own_cgroup() -> None:
    group = Path("/proc/self/cgroup").read_text("ascii").partition("::")[2].strip()
    read(f"/sys/fs/cgroup{group}/cgroup.procs")()


def fifo() -> None:
    """As lgpio makes one, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.mkfifo(f"{folder}/fifo")
        os.close(os.open(f"{folder}/fifo", os.O_RDWR))


def called_from_c() -> str:
    """A Python function handed to a C library: libffi makes a piece of program for it."""
    compared: list[object] = []

    def compare(one: object, _: object) -> int:
        compared.append(one)
        return 0

    made = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(compare)
    LIBC.qsort((ctypes.c_int * 2)(2, 1), 2, ctypes.sizeof(ctypes.c_int), made)
    return "ok" if compared else "not called"


def seen(path: str) -> Callable[[], str]:
    return lambda: "seen" if Path(path).exists() else "hidden"


def probes(other: int, systemds: dict[str, str]) -> dict[str, Callable[[], object]]:
    return {
        # files
        "write /usr": write("/usr"),
        "write /etc": write("/etc/bodycam"),
        "write /boot": write("/boot"),
        "write card": write("/var/lib/bodycam"),
        "write spool": write("/var/lib/bodycam/spool"),
        "write state": write("/var/lib/bodycam-state"),
        "write identity": write("/var/lib/bodycam-identity"),
        "write off-load's state": write("/var/lib/bodycam-offload"),
        "write run": lambda: write(os.environ["RUNTIME_DIRECTORY"])() if "RUNTIME_DIRECTORY" in os.environ else "none",
        "read card": lambda: [*Path("/var/lib/bodycam").iterdir()],
        "read keys": lambda: [*Path("/var/lib/bodycam-identity").iterdir()],
        "read configuration": lambda: os.close(os.open("/etc/bodycam/bodycam.toml", os.O_RDONLY)),
        "read /home": lambda: [*Path("/home").iterdir()],
        "read /root": lambda: [*Path("/root").iterdir()],
        "read another user's file": lambda: os.close(os.open("/srv/private", os.O_RDONLY)),
        "others' /tmp": seen("/tmp/marker"),  # noqa: S108 - whose, is the question
        "execute what it wrote": execute,
        "set-user-id file": setuid_file,
        "a FIFO in /tmp": fifo,
        # devices
        "device video": open_node("/dev/video0"),
        "device subdevice": open_node("/dev/v4l-subdev0"),
        "device media": open_node("/dev/media0"),
        "device dma_heap": open_node("/dev/dma_heap/linux,cma"),
        "device sound": open_node("/dev/snd/pcmC0D0c"),
        "device sound control": open_node("/dev/snd/controlC0"),
        "device gpio": open_node("/dev/gpiochip0"),
        "device i2c": open_node("/dev/i2c-1"),
        "device tpm": open_node("/dev/tpmrm0"),
        "device null": open_node("/dev/null"),
        "device drm": open_node("/dev/dri/card0"),
        "device hidraw": open_node("/dev/hidraw0"),
        "device rtc, to set": open_node("/dev/rtc0"),
        "device watchdog": open_node("/dev/watchdog"),
        "device mem": open_node("/dev/mem"),
        "device disk": open_node("/dev/sda"),
        # kernel
        "tunables": flags("/proc/sys"),
        "cgroups": flags("/sys/fs/cgroup"),
        "kernel log": lambda: os.close(os.open("/proc/kmsg", os.O_RDONLY | os.O_NONBLOCK)),
        "load a module": lambda: told(LIBC.syscall(SYS_INIT_MODULE, b"", 0, b"")),
        "set the clock": set_clock,
        "tune the clock": lambda: ask_clock(ADJ_TICK),
        "ask the clock": lambda: ask_clock(0),
        "set the hostname": lambda: socket.sethostname("probe"),
        "mount": mount,
        "a user namespace": lambda: told(LIBC.unshare(CLONE_NEWUSER)),
        "a mount namespace": lambda: told(LIBC.unshare(CLONE_NEWNS)),
        "a key for the keyring": lambda: told(LIBC.syscall(SYS_ADD_KEY, b"user", b"probe", b"x", 1, -4)),
        "another personality": lambda: told(LIBC.personality(ADDR_NO_RANDOMIZE)),
        "executable memory": executable_memory,
        "a function called from C": called_from_c,
        "real-time priority": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, SCHED_FIFO_PRIORITY),
        "lock memory": lambda: told(LIBC.mlockall(7)),
        # others
        "become root": lambda: os.setresuid(0, 0, 0),
        "trace another process": lambda: told(LIBC.ptrace(PTRACE_SEIZE, other, 0, 0)),
        "signal another process": lambda: os.kill(other, 0),
        "see another process": seen(f"/proc/{other}"),
        "see the system's memory": seen("/proc/meminfo"),
        # what health, clock and camera read
        "the boot's id": read("/proc/sys/kernel/random/boot_id"),
        "sensors in /sys": lambda: [*Path("/sys/class").iterdir(), *Path("/sys/devices/system/cpu").iterdir()],
        "its own cgroup": read_own_cgroup,
        "udev's data": read("/run/udev/data/c81:0"),
        "chrony is there": seen("/run/chrony"),
        "timesyncd's word": seen("/run/systemd/timesync/synchronized"),
        # network
        "socket inet": connect(socket.AF_INET),
        "socket inet6": connect(socket.AF_INET6),
        "socket unix": connect(socket.AF_UNIX),
        "socket netlink": connect(socket.AF_NETLINK),
        "socket packet": connect(socket.AF_PACKET),
        # what it is
        "capabilities": status("CapBnd"),
        "no new privileges": status("NoNewPrivs"),
        "system call filter": status("Seccomp"),
        "core limit": lambda: limit(resource.RLIMIT_CORE),
        "memlock limit": lambda: limit(resource.RLIMIT_MEMLOCK),
        "umask": umask,
        "namespace net": namespace("net", systemds["net"]),
        "namespace ipc": namespace("ipc", systemds["ipc"]),
        "namespace user": namespace("user", systemds["user"]),
        "namespace uts": namespace("uts", systemds["uts"]),
        "namespace mnt": namespace("mnt", systemds["mnt"]),
    }


if __name__ == "__main__":
    every = probes(int(sys.argv[1]), json.loads(sys.argv[2]))
    wanted = [name for name in every if sys.argv[3] in ("", name)]
    print(json.dumps({name: asked(every[name]) for name in wanted}))
