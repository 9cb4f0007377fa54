"""`bodycam …`: the daemon on a device, and the readers on a laptop.

Exit status: 0 as asked and intact; 1 content altered, or the audit fails;
2 usage, configuration or a missing file; 3 signer not trusted; 4 content and
signer good, extent unproven; 70 a fault of this program; 74 its output can't be
written; 75 the agency's store fails: run it again; 78 a configuration that the
daemon can't start with.
"""

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from device.errors import BodycamError, UsageError

EXIT_OUR_FAULT = 70
EXIT_OUTPUT = 74
_DAEMON_EXAMPLE = "example: bodycam daemon --config /etc/bodycam/bodycam.toml"
_SELFTEST_EXAMPLE = "example: bodycam selftest --config /etc/bodycam/bodycam.toml"
_FAULT_LIGHT_EXAMPLE = "example: bodycam fault-light --config /etc/bodycam/bodycam.toml"
_STATUS_EXAMPLE = "example: bodycam status --file /run/bodycam/status.json"
_VERIFY_EXAMPLE = "example: bodycam verify /mnt/card --trust agency-ca.pem"


def main(arguments: Sequence[str] | None = None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what the terminal's encoding can't show is no reason to end
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(lean=given[:1] in (["daemon"], ["fault-light"])).parse_args(given)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except BodycamError as failure:
        print(f"bodycam: {failure}", file=sys.stderr)
        return failure.exit_status
    except KeyboardInterrupt:
        print("bodycam: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    except OSError as failure:
        print(f"bodycam: {failure}", file=sys.stderr)
        return EXIT_OUTPUT
    except Exception:  # noqa: BLE001 - the border of a command: a fault of ours must never read as "altered"
        import traceback

        traceback.print_exc()
        return EXIT_OUR_FAULT


def _parser(*, lean: bool = False) -> argparse.ArgumentParser:
    """Every command; `lean`: without those whose arguments bring in what the daemon and its light never need."""
    parser = argparse.ArgumentParser(prog="bodycam", description=__doc__, formatter_class=_Formatter)
    parser.add_argument("--version", action=_Version, nargs=0, help="say which one this is")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", action=_Commands)

    daemon = _command(commands, "daemon", "run the camera's controller", _DAEMON_EXAMPLE, _daemon)
    daemon.add_argument("--config", type=Path, required=True, metavar="FILE", help="bodycam.toml")
    daemon.add_argument("--trace-start", action="store_true", help="print where the time of the start went")

    selftest = _command(
        commands, "selftest", "try each part of this device, and sign what was found", _SELFTEST_EXAMPLE, _selftest
    )
    selftest.add_argument("--config", type=Path, required=True, metavar="FILE", help="bodycam.toml")
    selftest.add_argument("--no-hands", action="store_true", help="only what needs no person: no buttons, no questions")
    selftest.add_argument("--json", action="store_true", help="for programs")

    what = "say with the ready light that the daemon can't start; for the service manager"
    fault_light = _command(commands, "fault-light", what, _FAULT_LIGHT_EXAMPLE, _fault_light)
    fault_light.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="bodycam.toml; it may be broken"
    )

    status = _command(commands, "status", "say what the daemon is doing", _STATUS_EXAMPLE, _status)
    status.add_argument("--file", type=Path, default=Path("/run/bodycam/status.json"), metavar="FILE")
    status.add_argument("--json", action="store_true", help="for programs")

    verify = _command(
        commands, "verify", "is this what the device recorded, all of it, and only it?", _VERIFY_EXAMPLE, _verify
    )
    verify.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="a card, a recording's folder on one, an exported MP4, its access record, or any MP4 with signatures in it",
    )
    verify.add_argument("--trust", type=Path, required=True, metavar="CA.pem", help="the agency's CA certificate")
    verify.add_argument("--identity", type=Path, metavar="KEY", help="also open and decode, with this age identity")
    verify.add_argument("--revoked", type=Path, metavar="CRL", help="certificates that this CA took back: its CRL")
    verify.add_argument(
        "--head",
        metavar="SHA256|FILE",
        help="a journal line known from outside, or a receipt or cosigned head that names it",
    )
    verify.add_argument("--jobs", type=int, metavar="N", help="hash so many files at once (default: one a core)")
    verify.add_argument("--report", type=Path, metavar="FILE.html", help="also write a page for a court")
    verify.add_argument("--force", action="store_true", help="replace FILE.html if it is there")
    verify.add_argument("--json", action="store_true", help="for programs")

    if not lean:
        _add_policy_and_audit(commands)
    return parser


def _add_policy_and_audit(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from device.anchor_commands import add_anchor_commands
    from device.audit_commands import add_audit_commands, add_explain_command
    from device.export_commands import add_export_commands
    from device.offload.commands import add_offload_commands
    from device.policy_commands import add_policy_commands
    from device.policy_signing import add_sign_command
    from device.provision_commands import add_provision_commands
    from device.rotation_commands import add_rotate_command

    add_export_commands(commands, _command)
    policy = add_policy_commands(commands, _command)
    add_explain_command(policy, _command)
    add_sign_command(policy)
    add_audit_commands(commands, _command)
    add_rotate_command(commands)
    add_anchor_commands(commands, _command)
    add_provision_commands(commands)
    add_offload_commands(commands, _command)


class _Commands(argparse._SubParsersAction):  # type: ignore[type-arg]  # noqa: SLF001 - the one way to look at the words
    """Lets a command have two words where another has the first of them: `export`, `export attach`."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: Any = None
    ) -> None:
        both = " ".join(values[:2])
        super().__call__(parser, namespace, [both, *values[2:]] if both in self.choices else values)


class _Version(argparse.Action):
    """Says the version of the distribution; the daemon's start does not look it up for that."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"bodycam {version('bodycam')}")
        parser.exit()


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of descriptions and examples as they are."""


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    what: str,
    example: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=what, description=what, epilog=example, formatter_class=_Formatter)
    parser.set_defaults(run=run)
    return parser


def _daemon(options: argparse.Namespace) -> int:
    from device.device_commands import daemon

    return daemon(options.config, trace_start=options.trace_start)


def _selftest(options: argparse.Namespace) -> int:
    from device.device_commands import selftest

    return selftest(options)


def _fault_light(options: argparse.Namespace) -> int:
    from device.fault_light import show_fault_light

    return show_fault_light(options.config)


def _status(options: argparse.Namespace) -> int:
    from device.readers import show_status

    return show_status(options.file, as_json=options.json)


def _verify(options: argparse.Namespace) -> int:
    from device.clip_reader import is_clip, show_clips
    from device.export_reader import is_proof
    from device.readers import Asked, show_verification

    clips = [path for path in options.paths if is_clip(path) and not is_proof(path)]
    if clips and len(clips) < len(options.paths):
        raise UsageError(f"{clips[0]} is a video file with no evidence of ours in it: verify such files by themselves")
    if clips:
        return show_clips(clips, options.trust, _unfit_for_clips(options), as_json=options.json)
    if options.report is not None:
        _not_on_a_card(options.report, "--report")
    asked = Asked(
        options.paths,
        options.trust,
        options.identity,
        options.head,
        options.revoked,
        options.jobs,
        options.report,
        force=options.force,
    )
    return show_verification(asked, as_json=options.json)


def _unfit_for_clips(options: argparse.Namespace) -> str:
    """The first option that means nothing for a file with signatures in its video alone."""
    given = {
        "--identity": options.identity,
        "--head": options.head,
        "--revoked": options.revoked,
        "--report": options.report,
    }
    return next((name for name, value in given.items() if value is not None), "")


def _not_on_a_card(output: Path, key: str) -> None:
    from device.evidence.verify import is_card, is_recording

    if any(is_card(folder) or is_recording(folder) for folder in output.resolve().parents):
        raise UsageError(
            f"{key} {output}: that is on a card; nothing on one is ever overwritten: name a file elsewhere"
        )


if __name__ == "__main__":
    sys.exit(main())
