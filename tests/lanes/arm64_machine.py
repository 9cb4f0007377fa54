"""An arm64 machine with a Raspberry Pi's userland, 512 MB and simulated GPIO lines, made from nothing and run once.

Debian bookworm as Raspberry Pi OS has it (Python 3.11, systemd 252), unpacked and not configured; the kernel of
trixie-backports, which has gpio-sim; this tree, and its packages as aarch64 wheels. Two disks: the system, and the card.
Archives come from where the host's own apt gets its packages. Everything is below one folder: no mount, no loop device; the
card is read back with debugfs. Needs the commands in `TOOLS`, and no right but to run them.
"""

import compileall
import lzma
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec

TOOLS = ("mmdebstrap", "qemu-system-aarch64", "mke2fs", "debugfs", "fdtput", "cpio", "dpkg-deb", "apt-get")
SUITE, KERNEL_SUITE = "bookworm", "trixie-backports"
KERNEL = "linux-image-cloud-arm64"
MODULES = ("virtio_blk", "configfs", "gpio-sim")
ROOT_PACKAGES = (
    "base-files",
    "base-passwd",
    "systemd-sysv",
    "python3",
    "libstdc++6",
    "kmod",
    "e2fsprogs",
    "mount",
    "util-linux",
    "coreutils",
    "dash",
)
WHEELS = (
    "av", "cffi", "colorzero", "cryptography", "gpiozero", "iniconfig", "lgpio==0.2.2.0", "msgspec", "packaging", "pluggy", "Pygments",
    "pycparser", "pyrage", "pytest",
)  # fmt: skip
GROUPS = {"gpio": 993, "bodycam": 994, "i2c": 992, "tss": 991}
"""Of the unit's groups, those that Debian does not begin with."""
NOT_NEEDED = (
    "console-getty.service", "ldconfig.service", "systemd-boot-system-token.service", "systemd-firstboot.service",
    "systemd-journal-catalog-update.service", "systemd-journal-flush.service", "systemd-machine-id-commit.service",
    "systemd-modules-load.service", "systemd-pcrphase-sysinit.service", "systemd-pcrphase.service", "systemd-pstore.service",
    "systemd-random-seed.service", "systemd-remount-fs.service", "systemd-sysctl.service", "systemd-sysusers.service",
    "systemd-update-done.service", "systemd-update-utmp.service", "dev-hugepages.mount", "dev-mqueue.mount",
    "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "proc-sys-fs-binfmt_misc.automount",
)  # fmt: skip
"""Of systemd's own units: an emulated processor takes a second for each."""
PLATFORMS = ("manylinux_2_34_aarch64", "manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
TREE = Path(__file__).resolve().parents[2]
ZERO_2W = "0x902120"
"""The revision code that a Zero 2 W has in its device tree; gpiozero reads there which header it has."""
MEMORY_MIB, PROCESSORS = 512, 2
CARD_MIB, SPARE_MIB = 128, 128
MACHINE = ["qemu-system-aarch64", "-cpu", "cortex-a53", "-m", str(MEMORY_MIB), "-smp", str(PROCESSORS), "-nodefaults",
           "-display", "none"]  # fmt: skip
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Ran(msgspec.Struct, frozen=True):
    """What the machine said on its console, and how long it ran, in s of this machine."""

    console: str
    length_s: float


class Machine:
    """`folder` is made, and gets about 1 GB. Fill `root` (paths from /) between `unpack` and `run`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.root = folder / "root"
        folder.mkdir()

    def unpack(self) -> None:
        """The system, with this tree in /opt/bodycam and its packages in /opt/site."""
        origin = _origin()
        self._unpack_system(origin)
        self._unpack_kernel(origin)
        self._unpack_wheels()
        for name in ("device", "hw_sim", "tests"):
            shutil.copytree(
                TREE / name,
                self.root / "opt/bodycam" / name,
                ignore=shutil.ignore_patterns("__pycache__", "c2pa_reader"),
            )
        facts = tomllib.loads((TREE / "pyproject.toml").read_text("utf-8"))["project"]
        metadata = self.root / "opt/site" / f"{facts['name']}-{facts['version']}.dist-info/METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {facts['name']}\nVersion: {facts['version']}\n")
        if sys.version_info[:2] == (3, 11):  # its byte code is the machine's; else it only starts slower
            for part in ("usr/lib/python3.11", "opt"):
                compileall.compile_dir(self.root / part, quiet=2, stripdir=str(self.root))

    def run(self, unit: str, limit_s: int) -> Ran:
        """Boot into a unit; the machine must turn itself off."""
        system, card = self._folder / "system.img", self._folder / "card.img"
        size_mib = sum(path.lstat().st_size for path in self.root.rglob("*") if path.is_file()) // 2**20 + SPARE_MIB
        _run(
            "mke2fs", "-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", "-d", self.root, system, f"{size_mib * 5 // 4}M"
        )
        _run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "evidence", card, f"{CARD_MIB}M")
        console = self._folder / "console.txt"
        began_s = time.monotonic()
        _run(
            *MACHINE, "-M", "virt", "-no-reboot", "-serial", f"file:{console}",
            "-kernel", self._folder / "vmlinuz", "-initrd", self._initial_disk(), "-dtb", self._device_tree(),
            "-append", f"console=ttyAMA0 quiet panic=-1 systemd.unit={unit} systemd.show_status=false "
                       f"systemd.clock_usec={time.time_ns() // 1000}",
            *_disk(system), *_disk(card), limit_s=limit_s,
        )  # fmt: skip
        return Ran(console.read_text("utf-8", "replace"), time.monotonic() - began_s)

    def read_card(self, into: Path) -> None:
        """Copy what is on the card, once the machine is off. `into` is an empty folder."""
        _run("debugfs", "-R", f"rdump / {into}", self._folder / "card.img")
        shutil.rmtree(into / "lost+found")

    # -- what it is made of -------------------------------------------------------------------------------------------

    def _unpack_system(self, origin: str) -> None:
        _run(
            "mmdebstrap", "--quiet", "--variant=extract", "--arch=arm64", f"--include={','.join(ROOT_PACKAGES)}",
            "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
            SUITE, self.root, f"deb [signed-by={KEYRING}] {origin} {SUITE} main",
        )  # fmt: skip
        for name in ("passwd", "group"):
            shutil.copy(self.root / "usr/share/base-passwd" / f"{name}.master", self.root / "etc" / name)
        with (self.root / "etc/group").open("a") as file:
            file.write("".join(f"{name}:x:{number}:\n" for name, number in GROUPS.items()))
        with (self.root / "etc/passwd").open("a") as file:
            file.write("bodycam:x:994:994::/nonexistent:/usr/sbin/nologin\n")
        (self.root / "etc/machine-id").write_text(f"{os.urandom(16).hex()}\n")
        for name in NOT_NEEDED:
            (self.root / "etc/systemd/system" / name).symlink_to("/dev/null")
        for name in ("proc", "sys", "dev", "run", "tmp", "root"):
            (self.root / name).mkdir(exist_ok=True)

    def _unpack_kernel(self, origin: str) -> None:
        """The kernel beside the root, its few modules in /opt/modules."""
        apt, kernel = _Apt(self._folder / "apt", origin, KERNEL_SUITE), self._folder / "kernel"
        depends = apt.output("apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", KERNEL)
        names = {
            line
            for line in depends.splitlines()
            if line.startswith(("linux-image-", "linux-binary-", "linux-modules-"))
        }
        for package in apt.download(sorted(name for name in names if name.split("-")[2][0].isdecimal())):
            _run("dpkg-deb", "-x", package, kernel)
        (image,) = kernel.rglob("vmlinuz*")
        shutil.copy(image, self._folder / "vmlinuz")
        modules = self.root / "opt/modules"
        modules.mkdir(parents=True)
        for name in MODULES:
            (module,) = kernel.rglob(f"{name}.ko.xz")
            (modules / f"{name}.ko").write_bytes(lzma.decompress(module.read_bytes()))
        (tool,) = _Apt(self._folder / "apt-tool", origin, SUITE).download(["busybox-static"])
        _run("dpkg-deb", "-x", tool, self._folder / "busybox")

    def _unpack_wheels(self) -> None:
        platforms = [f"--platform={name}" for name in PLATFORMS]
        _run(
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile",
            "--only-binary=:all:", "--python-version=3.11", "--implementation=cp", *platforms,
            f"--constraint={TREE / 'constraints.txt'}", f"--target={self.root / 'opt/site'}", *WHEELS,
        )  # fmt: skip

    def _initial_disk(self) -> Path:
        """No more than it takes to find the system's disk."""
        folder, packed = self._folder / "initial", self._folder / "initial.cpio"
        for name in ("bin", "dev", "root"):
            (folder / name).mkdir(parents=True)
        (busybox,) = (
            path
            for path in (self._folder / "busybox").rglob("busybox")
            if path.is_file() and not path.is_symlink() and path.parent.name == "bin"
        )
        shutil.copy(busybox, folder / "bin/busybox")
        shutil.copy(self.root / "opt/modules/virtio_blk.ko", folder)
        (folder / "init").write_text(
            "#!/bin/busybox sh\n"
            "/bin/busybox insmod /virtio_blk.ko\n"
            "/bin/busybox mount -t devtmpfs dev /dev\n"
            "/bin/busybox mount -t ext4 /dev/vda /root\n"
            "/bin/busybox mount -o move /dev /root/dev\n"
            "exec /bin/busybox switch_root /root /lib/systemd/systemd\n"
        )
        (folder / "init").chmod(0o755)
        names = "\n".join(str(path.relative_to(folder)) for path in folder.rglob("*"))
        with packed.open("wb") as file:
            subprocess.run(
                ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"],
                input=names.encode(),
                stdout=file,
                cwd=folder,
                check=True,
            )
        return packed

    def _device_tree(self) -> Path:
        """The machine's own, with a Zero 2 W's revision code."""
        tree = self._folder / "machine.dtb"
        _run(*MACHINE, "-M", f"virt,dumpdtb={tree}")
        _run("fdtput", "-p", "-t", "x", tree, "/system", "linux,revision", ZERO_2W)
        return tree


class _Apt:
    """apt for arm64 packages of one suite, with lists and a cache of its own."""

    def __init__(self, folder: Path, origin: str, suite: str) -> None:
        self._folder = folder
        for name in ("lists/partial", "cache/archives/partial", "packages"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {origin} {suite} main\n")
        self._settings = [
            f"-oDir::State={folder}", f"-oDir::State::status={folder}/status", f"-oDir::Cache={folder}/cache",
            f"-oDir::Etc::sourcelist={folder}/sources.list", "-oDir::Etc::sourceparts=/dev/null",
            "-oAPT::Architecture=arm64", "-oAPT::Architectures=arm64", "-oAPT::Sandbox::User=root",
        ]  # fmt: skip
        self.output("apt-get", "-qq", "update")

    def output(self, command: str, *arguments: str) -> str:
        return _run(command, *self._settings, *arguments, cwd=self._folder / "packages")

    def download(self, names: Sequence[str]) -> list[Path]:
        self.output("apt-get", "-qq", "download", *names)
        return sorted((self._folder / "packages").glob("*.deb"))


def _origin() -> str:
    """Where the host gets Debian from."""
    targets = _run("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(ORIGIN)").split("\n")
    found = [line.split()[0] for line in targets if line.endswith(" Debian") and "security" not in line]
    assert found, "this host's apt has no source of Debian's; run apt-get update"
    return found[0]


def _disk(image: Path) -> list[str]:
    return [
        "-drive",
        f"file={image},if=none,format=raw,id={image.stem}",
        "-device",
        f"virtio-blk-pci,drive={image.stem}",
    ]


def _run(*command: str | Path, cwd: Path | None = None, limit_s: int = 600) -> str:
    """What a command says; an assertion with all of it where the command fails."""
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit_s,
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout
