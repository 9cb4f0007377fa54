"""The real daemon on simulated hardware, in real time, played on by lines of text: `bodycam-sim daemon`.

A tester types the lines; `bodycam-sim demo` writes them. The lines are read on a thread of their own, which ends with
the process.
"""

import argparse
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from device.clock import BootClock
from device.config import read_configuration
from device.errors import ConfigurationError
from device.evidence.disk import CardDisk
from device.start import run_daemon
from device.start_trace import traced
from device.tables import Camera
from hw_sim.bench_socket import BenchSocket
from hw_sim.disk import TwinDisk
from hw_sim.hardware import Behaviour, TwinHardware
from hw_sim.lines import play
from hw_sim.scenes import DrawnScene, FlatScene, Scene, VideoScene

if TYPE_CHECKING:
    from device.evidence.envelope import Signer


def run_bench(
    config: Path,
    video: Path | None,
    drawn: str,
    behaviour: Behaviour,
    signer_ms: int,
    *,
    trace_start: bool,
    real_disk: bool,
) -> int:
    """Run the daemon until a signal; its exit status. Standard input plays on the board and the parts."""
    clock = BootClock()
    trace = traced(clock) if trace_start else None
    try:
        configuration = read_configuration(config)
    except ConfigurationError as failure:
        print(f"bodycam-sim: {failure}", file=sys.stderr)
        return failure.daemon_exit_status
    hardware = TwinHardware(
        clock,
        wiring=configuration.tables.wiring,
        scene=scene_maker(video, drawn),
        behaviour=behaviour,
        make_disk=CardDisk if real_disk else TwinDisk,
        make_signer=signer_maker(signer_ms),
        policy_file=configuration.at(configuration.tables.policy.bundle),
    )
    if sys.stdin.isatty():
        print(f"{configuration.tables.device.id}: type help; Ctrl-C ends", file=sys.stderr)
    threading.Thread(target=_play, args=(hardware, sys.stdin), name="lines", daemon=True).start()
    with ExitStack() as opened:
        try:
            opened.callback(BenchSocket(config.parent, lambda line: play(hardware, line)).close)
        except OSError as failure:
            print(f"bodycam-sim: no lines from other programs: {config.parent}: {failure.strerror}", file=sys.stderr)
        return run_daemon(config, hardware, trace)


def run_bench_test(options: argparse.Namespace) -> int:
    """The self-test on the twin, whose machine is as it should be."""
    from device.selftest_commands import run_self_test
    from device.selftest_machine import Machine

    configuration = read_configuration(options.config)
    hardware = TwinHardware(BootClock(), wiring=configuration.tables.wiring)

    def heard(line: str) -> None:
        if line.strip() not in ("y", "n", "s"):
            print(play(hardware, line), end="", file=sys.stderr, flush=True)

    return run_self_test(options, hardware, lambda _: Machine(), heard)


def signer_maker(signer_ms: int) -> "Callable[[Signer], Signer]":
    """Signatures that take so long; the key itself for 0."""
    if not signer_ms:
        return lambda signer: signer
    from hw_sim.signers import SlowSigner, wait_us

    return lambda signer: SlowSigner(signer, lambda: wait_us(1000 * signer_ms))


def scene_maker(video: Path | None, drawn: str) -> Callable[[Camera], Scene]:
    def make(settings: Camera) -> Scene:
        if video is not None:
            return VideoScene(video, settings.width, settings.height, settings.rate_hz)
        if drawn == "flat":
            return FlatScene(settings.width, settings.height)
        return DrawnScene(settings.width, settings.height, settings.rate_hz)

    return make


def _play(hardware: TwinHardware, lines: Iterable[str]) -> None:
    for line in lines:
        said = play(hardware, line)
        if said:
            print(said, file=sys.stderr, flush=True)
