"""The real daemon on simulated hardware, in real time, played on by lines of text: `bodycam-sim daemon`.

A tester types the lines; `bodycam-sim demo` writes them. The lines are read on a thread of their own, which ends with
the process.
"""

import argparse
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from device.clock import BootClock
from device.config import read_configuration
from device.errors import ConfigurationError
from device.evidence.disk import CardDisk
from device.start import run_daemon
from device.start_trace import traced
from device.tables import Camera
from hw_sim.disk import TwinDisk
from hw_sim.hardware import Behaviour, TwinHardware
from hw_sim.scenes import DrawnScene, FlatScene, Scene, VideoScene

if TYPE_CHECKING:
    from device.evidence.envelope import Signer

NO_LINE = "initial"
"""The zone that has no line of its own: the policy's initial one."""
LONGEST_PRESS_DIGITS = 7
RATES = {str(rate_hz) for rate_hz in range(1, 1001)}
HELP = """a recording: double record, hold record 3200, press record
lines: press BUTTON [MS] | double BUTTON | hold BUTTON MS   (BUTTON: record, function)
       zone NAME (initial: no line closed) | sleep on|off | trigger NAME | dock on|off
       battery good|low|critical
       heat DEGREES | battery PERCENT% | undervoltage on|off | memory MIB | card good|worn|erring|read-only
       (battery PERCENT%: where health.fuel_gauge is true; none: thermometer or gauge fails)
       stick BUTTON | unstick BUTTON | chatter BUTTON MS HZ
       stall | resume | drop FRAMES | die | fail STARTS | hang | unplug | replug
       lens covered|dark|blurred|frozen|clear | help"""


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
    )
    if sys.stdin.isatty():
        print(f"{configuration.tables.device.id}: type help; Ctrl-C ends", file=sys.stderr)
    threading.Thread(target=_play, args=(hardware, sys.stdin), name="lines", daemon=True).start()
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
    from hw_sim.signers import SlowSigner, wait_ms

    return lambda signer: SlowSigner(signer, lambda: wait_ms(signer_ms))


def scene_maker(video: Path | None, drawn: str) -> Callable[[Camera], Scene]:
    def make(settings: Camera) -> Scene:
        if video is not None:
            return VideoScene(video, settings.width, settings.height, settings.rate_hz)
        if drawn == "flat":
            return FlatScene(settings.width, settings.height)
        return DrawnScene(settings.width, settings.height, settings.rate_hz)

    return make


def play(hardware: TwinHardware, line: str) -> str:  # noqa: C901, PLR0912 - one branch a verb
    """Carry out one line; what to tell the person who typed it ("" when there is nothing to say)."""
    match line.split():
        case ["press", ("record" | "function") as button]:
            hardware.thumb.press(button)
        case ["press" | "hold", ("record" | "function") as button, length] if (
            length.isdecimal() and len(length) <= LONGEST_PRESS_DIGITS
        ):
            hardware.thumb.press(button, length_ms=int(length))
        case ["double", ("record" | "function") as button]:
            hardware.thumb.double(button)
        case ["zone", name]:
            if not hardware.thumb.has(f"zone-{name}") and name != NO_LINE:
                zones = ", ".join([*hardware.thumb.names("zone-"), NO_LINE])
                return f"zone {name}: this bench has: {zones} ({NO_LINE}: where no line is closed)"
            hardware.thumb.zone(name)
        case ["sleep", ("on" | "off") as way] if hardware.thumb.has("sleep"):
            hardware.thumb.switch("sleep", way == "on")
        case ["dock", ("on" | "off") as way] if hardware.thumb.has("dock"):
            hardware.thumb.switch("dock", way == "on")
        case ["trigger", name]:
            if not hardware.thumb.has(f"trigger-{name}"):
                return f"trigger {name}: this bench has: {', '.join(hardware.thumb.names('trigger-')) or 'none'}"
            hardware.thumb.trigger(name)
        case ["battery", ("good" | "low" | "critical") as level]:
            hardware.thumb.battery(level)
        case ["heat" | "battery" | "undervoltage" | "memory" | "card", _]:
            return "" if hardware.the_sensors.play(line) else HELP
        case ["stick", ("record" | "function") as button]:
            hardware.thumb.stick(button)
        case ["unstick", ("record" | "function") as button]:
            hardware.thumb.unstick(button)
        case ["chatter", ("record" | "function") as button, length, rate] if (
            length.isdecimal() and len(length) <= LONGEST_PRESS_DIGITS and rate in RATES
        ):
            hardware.thumb.chatter(button, int(length), int(rate))
        case ["lens", ("covered" | "dark" | "blurred" | "frozen" | "clear") as looks] if hardware.the_lens is not None:
            hardware.the_lens.looks = looks
        case ["stall"]:
            hardware.the_camera.stall()
        case ["resume"]:
            hardware.the_camera.resume()
        case ["drop", frames] if frames.isdecimal():
            hardware.the_camera.drop(int(frames))
        case ["die"]:
            hardware.the_camera.die()
        case ["fail", starts] if starts.isdecimal() and len(starts) <= LONGEST_PRESS_DIGITS:
            hardware.the_camera.fail_starts(int(starts))
        case ["hang"]:
            hardware.the_camera.hang()
        case ["unplug"] if hardware.the_microphone is not None:
            hardware.the_microphone.unplug()
        case ["replug"] if hardware.the_microphone is not None:
            hardware.the_microphone.replug()
        case []:
            return ""
        case _:
            return HELP
    return ""


def _play(hardware: TwinHardware, lines: Iterable[str]) -> None:
    for line in lines:
        said = play(hardware, line)
        if said:
            print(said, file=sys.stderr, flush=True)
