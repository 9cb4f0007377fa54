"""`bodycam-sim …`: the twin, for a bench and for demonstrations. The daemon that it runs is the device's own."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from device.clock import STOP_SIGNALS, hold_signals
from device.errors import BodycamError


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except BodycamError as failure:
        print(f"bodycam-sim: {failure}", file=sys.stderr)
        return failure.exit_status
    except KeyboardInterrupt:
        print("bodycam-sim: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bodycam-sim", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="a minute of the daemon on simulated hardware, and the proof of what it recorded",
        epilog="example: bodycam-sim demo --video street.mp4 --out demo/street",
    )
    demo.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="a new folder (default: demo)")
    demo.set_defaults(run=_demo)

    daemon = commands.add_parser(
        "daemon",
        help="the daemon on simulated hardware, in real time; typed lines press the buttons (double record, help)",
        epilog="example: bodycam-sim daemon --config demo/device/bodycam.toml",
    )
    daemon.add_argument("--config", type=Path, required=True, metavar="FILE", help="bodycam.toml")
    daemon.set_defaults(run=_daemon)
    daemon.add_argument("--trace-start", action="store_true", help="print where the time of the start went")
    daemon.add_argument("--scene", choices=("drawn", "flat"), default="drawn", help="flat: no OpenCV is loaded")
    daemon.add_argument(
        "--signer-ms",
        type=_whole(0, 10_000),
        default=0,
        metavar="MS",
        help="each signature takes so long (0–10000)",
    )
    daemon.add_argument(
        "--real-disk", action="store_true", help="the device's own disk: what is not synced outlives the process"
    )
    run = commands.add_parser(
        "run",
        help="scenarios: the real daemon does what a text file tells, and what comes of it is checked, step by step",
        epilog="example: bodycam-sim run accidental-stop --seed 7",
    )
    run.add_argument("scenarios", nargs="*", metavar="FILE", help="a scenario, or the name of one that is shipped")
    run.add_argument("--all", action="store_true", help="every scenario that is shipped")
    run.add_argument("--list", action="store_true", help="name those that are shipped, and what each shows")
    run.add_argument("--speed", choices=("max", "real"), default="max", help="max: in virtual time (default)")
    run.add_argument("--seed", type=_whole(0, 2**31 - 1), default=1, metavar="N", help="draws what is random (1)")
    run.add_argument("--json", action="store_true", help="for programs")
    run.add_argument("--out", type=Path, metavar="DIR", help="a new folder that keeps each scenario's bench")
    run.set_defaults(run=_run)
    selftest = commands.add_parser(
        "selftest",
        help="the device's self-test on simulated hardware; typed lines press the buttons (press record, y, n, s)",
        epilog="example: bodycam-sim selftest --config demo/device/bodycam.toml --no-hands",
    )
    selftest.add_argument("--config", type=Path, required=True, metavar="FILE", help="bodycam.toml")
    selftest.add_argument("--no-hands", action="store_true", help="only what needs no person: no buttons, no questions")
    selftest.add_argument("--json", action="store_true", help="for programs")
    selftest.set_defaults(run=_selftest)

    shift = commands.add_parser(
        "shift",
        help="an officer's day drawn at random, on the real daemon in virtual time; then verified, audited, counted",
        epilog="example: bodycam-sim shift --hours 12 --seed 7",
    )
    shift.add_argument("--hours", type=float, default=12, metavar="H", help="how long the day is (default: 12)")
    shift.add_argument("--seed", default="1", metavar="N", help="draws the day (default: 1)")
    shift.add_argument("--profile", default="first", metavar="FILE", help="a policy, or the name of a shipped one")
    shift.add_argument("--out", type=Path, metavar="DIR", help="a new folder: the card, its bench, the memory's curve")
    shift.add_argument("--rate-hz", type=_whole(5, 60), default=10, metavar="HZ", help="pictures a second, 5–60")
    shift.add_argument("--no-sound", action="store_true", help="a device without a microphone")
    shift.add_argument("--soak", action="store_true", help="no power cuts, the device's own disk; nothing may grow")
    shift.add_argument("--json", action="store_true", help="for programs")
    shift.set_defaults(run=_shift)

    fault = commands.add_parser(
        "fault",
        help="break a part of a bench that runs (bodycam-sim daemon), or mend it; --list: what can break",
        epilog="example: bodycam-sim fault --bench demo/try card slow 800",
    )
    fault.add_argument("--list", action="store_true", help="print every fault, and why some parts have none")
    fault.add_argument("--json", action="store_true", help="for programs")
    fault.add_argument("--bench", type=Path, metavar="DIR", help="the folder of a bench that runs")
    fault.add_argument("words", nargs="*", metavar="WORD", help="PART WORD [ARGUMENT], or PART clear")
    fault.set_defaults(run=_fault)

    panel = commands.add_parser(
        "panel",
        help="a page on localhost with the device drawn on it: buttons to press, the scene, the journal, the recordings",
        epilog="example: bodycam-sim panel --out demo/panel",
    )
    panel.add_argument(
        "--out",
        type=Path,
        default=Path("demo/panel"),
        metavar="DIR",
        help="a bench, or a new folder (default: demo/panel)",
    )
    panel.add_argument("--port", type=int, default=0, metavar="PORT", help="0: any that is free")
    panel.add_argument("--no-browser", action="store_true", help="only print the address")
    panel.set_defaults(run=_panel)

    for parser_of_scene in (demo, daemon, panel):
        parser_of_scene.add_argument("--video", type=Path, metavar="FILE", help="a video as the scene, looped")
    for parser_of_hardware in (demo, daemon):
        parser_of_hardware.add_argument(
            "--behaviour", choices=("v4l2", "libav"), default="v4l2", help="which of picamera2's encoders to act like"
        )
    return parser


def _whole(least: int, most: int) -> Callable[[str], int]:
    """What argparse makes a whole number with; its `choices` would spell each of them out."""

    def number(text: str) -> int:
        if not text.isdecimal() or len(text) > len(str(most)) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text}: a whole number from {least} to {most}")
        return int(text)

    return number


def _demo(options: argparse.Namespace) -> int:
    from hw_sim.demo import run_demo

    return run_demo(options.out, options.video, options.behaviour)


def _shift(options: argparse.Namespace) -> int:
    from hw_sim.shift_command import run_shift

    return run_shift(options)


def _daemon(options: argparse.Namespace) -> int:
    hold_signals(
        STOP_SIGNALS
    )  # before numpy, which starts threads of its own: one that does not hold them ends the process
    from hw_sim.bench import run_bench

    return run_bench(
        options.config,
        options.video,
        options.scene,
        options.behaviour,
        options.signer_ms,
        trace_start=options.trace_start,
        real_disk=options.real_disk,
    )


def _run(options: argparse.Namespace) -> int:
    from hw_sim.scenario_report import run_scenarios

    return run_scenarios(options)


def _panel(options: argparse.Namespace) -> int:
    hold_signals(STOP_SIGNALS)
    from hw_sim.panel.run import Asked, run_panel

    return run_panel(Asked(options.out, options.port, options.video, not options.no_browser))


def _selftest(options: argparse.Namespace) -> int:
    from hw_sim.bench import run_bench_test

    return run_bench_test(options)


def _fault(options: argparse.Namespace) -> int:
    from hw_sim.fault_commands import run_fault

    return run_fault(options)


if __name__ == "__main__":
    sys.exit(main())
