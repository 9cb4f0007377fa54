"""`bodycam-sim panel`: the real daemon on the twin in this process, and a page on localhost that shows and plays it.

The daemon runs on the main thread as in `bodycam-sim daemon`; the page's listener has a thread of its own. Pulling the battery
puts a new process of the same command in the place of this one, as it is: what was not synced is gone, as with SIGKILL. A
daemon that fails is started again in the same way, as systemd would.
"""

import errno
import os
import secrets
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import msgspec

from device.clock import BootClock
from device.config import read_configuration
from device.errors import ConfigurationError, UsageError
from device.start import run_daemon
from device.terminal import safe
from hw_sim.agency import Agency, lay_out_bench
from hw_sim.agency import Bench as Files
from hw_sim.bench import scene_maker
from hw_sim.bench_socket import BenchSocket
from hw_sim.hardware import TwinHardware
from hw_sim.lines import play
from hw_sim.panel.manager import Manager
from hw_sim.process_faults import ProcessFaults
from hw_sim.scenes import VideoScene

DEVICE = "BC-PANEL-1"
CAMERA = {"width": 640, "height": 360, "rate_hz": 15, "bitrate_bps": 1_000_000}
"""What two cores that also run a browser can draw and encode."""
RING = {"cap_mib": 8}
HANDED_ON = "BODYCAM_PANEL"
"""The variable by which one process hands on to the next what the page knows it by."""
MOST_PORT = 65_535
MOST_STARTS = 5
"""Of a daemon that fails."""


class Handed(msgspec.Struct, frozen=True):
    """`starts`: how often it was started after a failure."""

    token: str
    port: int
    starts: int = 0


class StartsAgain(ProcessFaults):
    """What kills the daemon's process kills this one; systemd starts the daemon again."""

    def __init__(self, begin_again: Callable[[], None]) -> None:
        super().__init__()
        self._begin_again = begin_again

    def ends(self, how: signal.Signals) -> None:  # noqa: ARG002 - of any of them, nothing is left
        self._begin_again()


class Asked(msgspec.Struct, frozen=True):
    """What the command was asked for. `out`: a bench that is there, or a folder to lay one out in."""

    out: Path
    port: int
    video: Path | None
    browser: bool


def run_panel(asked: Asked) -> int:
    """Until a signal, or until the daemon can't be started any more; its exit status."""
    server_module = _server_module()
    handed = _handed_on()
    if not 0 <= asked.port <= MOST_PORT:
        raise UsageError(f"--port {asked.port}: give a number from 1 to {MOST_PORT}, or 0 for any that is free")
    if asked.video is not None:
        VideoScene(asked.video, CAMERA["width"], CAMERA["height"], CAMERA["rate_hz"])
    try:
        listening = server_module.listener(handed.port if handed else asked.port)
    except OSError as failure:
        raise UsageError(
            f"--port {asked.port}: {failure.strerror}; give another, or 0 for any that is free"
        ) from failure
    with listening:
        return _run(asked, handed, listening, server_module)


def _run(asked: Asked, handed: Handed | None, listening: socket.socket, server_module: ModuleType) -> int:
    bench = _bench(asked.out)
    try:
        configuration = read_configuration(bench.config)
    except ConfigurationError as failure:
        print(f"bodycam-sim: {failure}", file=sys.stderr)
        return failure.daemon_exit_status
    now = handed or Handed(secrets.token_urlsafe(24), listening.getsockname()[1])

    from hw_sim.panel.card import JournalReader, RecordingsReader
    from hw_sim.panel.picture import LastPicture
    from hw_sim.panel.proofs import Proofs
    from hw_sim.panel.seen import Seen
    from hw_sim.panel.viewer import Bench

    positions: dict[str, bool] = {}
    picture = LastPicture()
    hardware = TwinHardware(
        BootClock(),
        wiring=configuration.tables.wiring,
        positions=positions,
        scene=scene_maker(asked.video, "drawn"),
        policy_file=configuration.at(configuration.tables.policy.bundle),
        on_picture=picture.take,
    )
    hardware.process_faults = StartsAgain(lambda: _begin_again(now))
    lines = _lines(bench, hardware)
    bench.status_file.unlink(missing_ok=True)  # one that a power cut left behind
    server = server_module.PanelServer(
        Bench(
            hardware=hardware,
            seen=Seen(bench, configuration, hardware, positions),
            proofs=Proofs(bench),
            picture=picture,
            journal=lambda: JournalReader(bench),
            recordings=lambda: RecordingsReader(bench),
            play=play,
            cut_power=lambda: _begin_again(now),
        ),
        listening,
        now.token,
    )
    manager = Manager()
    server.start()
    if handed is None:
        _say(bench, f"http://127.0.0.1:{now.port}/?token={now.token}", browser=asked.browser)
    status = run_daemon(bench.config, hardware)
    if status == 1 and not manager.stopping.is_set() and now.starts < MOST_STARTS:
        print("bodycam-sim: the daemon failed and is started again, as systemd would", file=sys.stderr, flush=True)
        _begin_again(msgspec.structs.replace(now, starts=now.starts + 1))
    server.stop()
    lines.close()
    return status


def _server_module() -> ModuleType:
    try:
        from hw_sim.panel import server
    except ModuleNotFoundError as failure:
        raise UsageError(f"the panel needs {failure.name}: pip install 'bodycam[panel]'") from failure
    return server


def _bench(out: Path) -> Files:
    """The bench that is in this folder, with its card as it is; else a new one."""
    bench = Files(out)
    if bench.config.is_file():
        return bench
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(safe(f"--out {out}: neither a bench nor an empty folder; name a new one"))
    policy = files("hw_sim").joinpath("demo-policy.toml").read_bytes()
    try:
        return lay_out_bench(out, Agency(), DEVICE, policy, {"camera": CAMERA, "ring": RING})
    except OSError as failure:
        raise UsageError(safe(f"--out {out}: {failure.strerror}; name a folder that can be made")) from failure


def _lines(bench: Files, hardware: TwinHardware) -> BenchSocket:
    """Taken before anything of the bench is touched: one that runs already has it."""
    try:
        return BenchSocket(bench.config.parent, lambda line: play(hardware, line))
    except OSError as failure:
        said = "a bench runs there already" if failure.errno == errno.EADDRINUSE else str(failure.strerror)
        raise UsageError(safe(f"--out {bench.root}: {said}; end it, or name another folder")) from failure


def _say(bench: Files, address: str, *, browser: bool) -> None:
    """Where the page is. The browser gets it from a file that nobody else reads: a command line is anyone's to see."""
    print(f"the panel: {address}\nthe bench: {bench.root}; Ctrl-C ends", flush=True)
    if browser:
        page = bench.root / "panel.html"
        page.unlink(missing_ok=True)
        page.touch(mode=0o600)
        page.write_text(
            f'<!doctype html><meta http-equiv="refresh" content="0;url={address}"><title>panel</title>', "utf-8"
        )
        webbrowser.open(page.resolve().as_uri())


def _handed_on() -> Handed | None:
    text = os.environ.pop(HANDED_ON, "")
    return msgspec.json.decode(text, type=Handed) if text else None


def _begin_again(handed: Handed) -> None:
    """Another process in the place of this one; it does not come back."""
    environment = {**os.environ, HANDED_ON: msgspec.json.encode(handed).decode()}
    os.execve(sys.executable, [sys.executable, "-m", "hw_sim.cli", *sys.argv[1:]], environment)  # noqa: S606 - this very program
