"""`bodycam audit`, `bodycam report` and `bodycam policy explain`: arguments in, tables or JSON or a page out.

No judgement is made here. Bad input is one message and exit status 2; a file is written whole or not at all.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column, Table

from device.errors import UsageError
from device.evidence.audit import audit
from device.evidence.bundle import Bundle
from device.evidence.explanation import Explanation, explain
from device.evidence.figures import Figures, Period
from device.evidence.identity import load_anchors
from device.evidence.judgements import Audit, AuditFinding, Decision, Told
from device.evidence.policies import given_bundle
from device.evidence.replay import Advancing, unseen
from device.evidence.report import Report, report
from device.evidence.revocation import NONE_REVOKED, Revocations, load_revocations
from device.evidence.unsealing import ContextIdentity
from device.evidence.verdicts import printable
from device.evidence.verify import is_card, is_recording
from device.report_page import page
from device.terminal import Output, check_output, print_json, write_whole

_COLOURS = {0: "green", 1: "bold red", 2: "magenta", 3: "magenta", 4: "yellow"}
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_WHAT_AUDIT = "did the device follow its policy? every recorded input is decided once more, and compared"
_WHAT_REPORT = "the record without the pictures: what was done on each shift, with no footage opened"
_WHAT_EXPLAIN = "what happened in a recording, step by step, and which clause of the policy allowed or refused it"
_AUDIT_EXAMPLE = "example: bodycam audit /mnt/card --trust agency-ca.pem --context-identity auditor.key"
_REPORT_EXAMPLE = (
    "example: bodycam report /mnt/card --trust agency-ca.pem --context-identity auditor.key "
    "--from 2026-01-01 --to 2026-02-01 --html january.html"
)
_EXPLAIN_EXAMPLE = (
    "example: bodycam policy explain /mnt/card/evidence/000001-0123456789abcdef --trust agency-ca.pem "
    "--context-identity auditor.key"
)
_FILES = ("fault of the policy", "fault of the assignment")
"""How the audit's words of files begin that were handed in and refused: no faults of the hardware."""
_DENIED = ("did not allow: ",)
_LASTING = "no recording could be stored"
_FORMS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?")

AddCommand = Callable[..., argparse.ArgumentParser]


def add_audit_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add: AddCommand) -> None:
    """`audit` and `report`, each added by `add(commands, name, what, example, run)`."""
    audits = add(commands, "audit", _WHAT_AUDIT, _AUDIT_EXAMPLE, _audit)
    audits.add_argument("path", type=Path, metavar="PATH", help="a card")
    _add_keys(audits)
    audits.add_argument("--json", action="store_true", help="for programs: every step that decided something")

    reports = add(commands, "report", _WHAT_REPORT, _REPORT_EXAMPLE, _report)
    reports.add_argument("path", type=Path, metavar="PATH", help="a card")
    _add_keys(reports)
    reports.add_argument("--from", dest="begins", metavar="UTC", help="a day (2026-01-31) or 2026-01-31T08:00:00Z")
    reports.add_argument("--to", dest="ends", metavar="UTC", help="up to this moment, and not with it")
    into = reports.add_mutually_exclusive_group(required=True)
    into.add_argument("--html", type=Path, metavar="FILE", help="write one page that needs nothing else")
    into.add_argument("--json", action="store_true", help="for programs")
    reports.add_argument("--force", action="store_true", help="replace FILE if it is there")


def add_explain_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add: AddCommand) -> None:
    """`explain`, one of the commands of `bodycam policy`."""
    explains = add(commands, "explain", _WHAT_EXPLAIN, _EXPLAIN_EXAMPLE, _explain)
    explains.add_argument("recording", type=Path, metavar="RECORDING", help="a recording's folder on a card")
    _add_keys(explains)
    explains.add_argument("--json", action="store_true", help="for programs")


def _add_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trust", type=Path, required=True, metavar="CA.pem", help="the agency's CA certificate")
    parser.add_argument(
        "--context-identity",
        type=Path,
        required=True,
        metavar="KEY",
        help="the auditor's age identity: it opens names and places, and no footage",
    )
    parser.add_argument(
        "--policy",
        type=Path,
        action="append",
        default=[],
        metavar="BUNDLE",
        help="a policy that the agency signed, beside those on the card; may be given again",
    )
    parser.add_argument("--revoked", type=Path, metavar="CRL", help="certificates that this CA took back: its CRL")


class _Keys(msgspec.Struct, frozen=True):
    anchors: tuple[x509.Certificate, ...]
    bundles: tuple[Bundle, ...]
    identity: ContextIdentity
    revoked: Revocations


def _keys(options: argparse.Namespace) -> _Keys:
    for path in options.policy:
        if not path.exists():
            raise UsageError(f"--policy {printable(str(path))}: no such file; give a bundle that the agency signed")
    anchors = load_anchors(options.trust)
    identity = ContextIdentity(options.context_identity)
    revoked = load_revocations(options.revoked, anchors) if options.revoked is not None else NONE_REVOKED
    return _Keys(anchors, tuple(given_bundle(path, anchors) for path in options.policy), identity, revoked)


# -- audit ----------------------------------------------------------------------------------------------------------


def _audit(options: argparse.Namespace) -> int:
    keys = _keys(options)
    with _progress("auditing", quiet=options.json) as advance:
        audited = audit(
            options.path,
            keys.anchors,
            keys.bundles,
            keys.identity,
            revoked=keys.revoked,
            every_step=options.json,
            advance=advance,
        )
    if options.json:
        print_json(audited)
    else:
        _show_audit(Output(), audited)
    return audited.exit_status


def _show_audit(console: Console, audited: Audit) -> None:
    console.rule(escape(audited.path))
    refused, faults = _parted(audited.device_faults, _FILES)
    files = tuple(msgspec.structs.replace(told, what=told.what.removeprefix("fault of the ")) for told in refused)
    denials, refusals = _parted(audited.policy_refusals, _DENIED)
    for title, told, without_length in (
        ("out of service", audited.out_of_service, _not_known),
        ("faults of the device", faults, _at_the_end),
        ("files handed in that were refused", files, _at_the_end),
        ("starts refused by the policy", refusals, _nothing),
        ("other things denied by the policy", denials, _nothing),
        ("inaction of the wearer", audited.wearer_inaction, _nothing),
        ("activations without a recording", audited.activations_without_recording, _nothing),
    ):
        _show_told(console, title, told, without_length)
    if audited.recordings_without_activation:
        console.print("recordings without an activation:", style="bold red")
        for name in audited.recordings_without_activation:
            console.print(f"  {escape(name)}", highlight=False)
    for finding in audited.findings:
        _show_finding(console, finding)
    replayed = f"{audited.epochs_audited} of {audited.epochs} journal files replayed"
    steps = f"{audited.steps_conforming} of {audited.steps} steps that decided something conform"
    console.print(f"{replayed}; {steps}", highlight=False, soft_wrap=True)
    console.print(f"{audited.not_read}", style="dim", highlight=False, soft_wrap=True)
    console.print(f"{audited.cannot_see}", style="dim", highlight=False, soft_wrap=True)
    _show_verdict(console, audited.verdict, audited.exit_status)


def _parted(told: tuple[Told, ...], begins: tuple[str, ...]) -> tuple[tuple[Told, ...], tuple[Told, ...]]:
    """Those whose words begin so, and the others."""
    return (
        tuple(thing for thing in told if thing.what.startswith(begins)),
        tuple(thing for thing in told if not thing.what.startswith(begins)),
    )


def _show_told(console: Console, title: str, told: tuple[Told, ...], without_length: Callable[[Told], str]) -> None:
    if not told:
        console.print(f"{title}: none", style="dim", highlight=False)
        return
    lengths = [without_length(thing) if thing.seconds is None else f"{thing.seconds:.1f} s" for thing in told]
    columns: list[Column | str] = [Column("when (UTC)", no_wrap=True), "what"]
    if any(lengths):
        columns.insert(1, Column("how long", justify="right"))
    table = Table(*columns, title=title, title_justify="left")
    for thing, length in zip(told, lengths, strict=True):
        clock = "" if thing.clock_set else " (clock not set)"
        clause = f"\n{thing.clause} ({thing.source})" if thing.clause else ""
        row = [f"{thing.utc[:19]}Z{clock}", *([length] if any(lengths) else []), escape(f"{thing.what}{clause}")]
        table.add_row(*row)
    console.print(table)


def _at_the_end(told: Told) -> str:
    """Of a fault with no length: one that never ended, or one that has none."""
    lasts = told.what.startswith(_LASTING) or (not told.clause and ": " not in told.what)
    return "still there at the end" if lasts else "one moment"


def _not_known(_: Told) -> str:
    return "not known"


def _nothing(_: Told) -> str:
    return ""


def _show_finding(console: Console, finding: AuditFinding) -> None:
    style = "dim" if finding.exit_status == 0 else _COLOURS[finding.exit_status]
    when = f" ({finding.utc})" if finding.utc else ""
    said = f"{finding.place}{when}: {finding.what}"
    console.print(f"  {escape(said)}", style=style, highlight=False, soft_wrap=True)


def _show_verdict(console: Console, verdict: str, status: int) -> None:
    console.print(f"[{_COLOURS[status]}]{escape(verdict)}[/]", highlight=False, soft_wrap=True)


# -- report ---------------------------------------------------------------------------------------------------------


def _report(options: argparse.Namespace) -> int:
    period = _period(options.begins, options.ends)
    inputs = [options.trust, options.context_identity, *options.policy]
    inputs += [options.revoked] if options.revoked is not None else []
    if options.html is not None:
        _check_output(options.html, inputs, force=options.force)
    keys = _keys(options)
    with _progress("reporting", quiet=options.json) as advance:
        said = report(options.path, keys.anchors, keys.bundles, keys.identity, period, advance, keys.revoked)
    if options.json:
        print_json(said)
    else:
        write_whole(options.html, page(said), "--html", inputs, force=options.force)
        _show_report(Output(), said, options.html)
    return said.audit.exit_status


def _period(begins: str | None, ends: str | None) -> Period:
    from_us, to_us = _moment("--from", begins), _moment("--to", ends)
    if from_us is not None and to_us is not None and from_us >= to_us:
        raise UsageError(f"--from {begins} is not before --to {ends}; give an earlier --from or a later --to")
    return Period(from_us, to_us)


def _moment(key: str, said: str | None) -> int | None:
    """A day, or a moment that says that it is UTC; µs since 1970."""
    if said is None:
        return None
    way_out = "give a day such as 2026-01-31, or a moment in UTC such as 2026-01-31T08:00:00Z"
    if _FORMS.fullmatch(said) is None:
        raise UsageError(f"{key} {printable(said)}: {_why_not_a_moment(said)}; {way_out}")
    try:
        moment = datetime.fromisoformat(said).replace(tzinfo=UTC)
    except ValueError as failure:
        raise UsageError(f"{key} {said}: not a moment; {way_out}") from failure
    if not _EARLIEST <= moment <= _LATEST:
        raise UsageError(f"{key} {said}: it must be from {_EARLIEST.year} to {_LATEST.year}; {way_out}")
    return round((moment - _EARLIEST).total_seconds() * 1_000_000)


def _why_not_a_moment(said: str) -> str:
    """What is wrong with a moment in another form than those that are offered."""
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        return "not a moment"
    if len(said) > len("2026-01-31"):
        if moment.tzinfo is None:
            return "it does not say that it is UTC"
        if moment.utcoffset():
            return "it is not in UTC"
    return "not in a form that is read here"


def _check_output(output: Path, inputs: list[Path], *, force: bool) -> None:
    """Nothing is overwritten unasked; nothing on a card, no input and nothing special ever is."""
    if any(is_card(folder) or is_recording(folder) for folder in output.resolve().parents):
        raise UsageError(f"--html {output}: that is on a card; name a file elsewhere")
    check_output(output, "--html", inputs, force=force)


def _show_report(console: Console, said: Report, output: Path) -> None:
    table = Table(
        Column("shift, from, to (UTC)", min_width=len("2026-01-31 08:00:00 to")),
        *(Column(head, justify="right") for head in ("starts", "refused", "overrides", "unexplained", "late")),
    )
    for shift in said.shifts:
        who = escape(f"{shift.officer or 'nobody assigned'} {shift.shift}".strip())
        when = f"{_whole_seconds(shift.from_utc)} to\n{_whole_seconds(shift.to_utc)}"
        table.add_row(f"{who}\n{when}", *_short(shift.figures))
    table.add_section()
    table.add_row("all", *_short(said.total))
    console.print(table)
    if not said.shifts:
        covers = f"it covers {_whole_seconds(said.covers_from_utc)} to {_whole_seconds(said.covers_to_utc)} (UTC)"
        nothing = "no time of this period is in the journal"
        console.print(f"{nothing}; {covers}" if said.covers_from_utc else nothing, highlight=False, soft_wrap=True)
    console.print(escape(f"{output}: written"), highlight=False, soft_wrap=True)
    _show_verdict(console, f"audit: {said.audit.verdict}", said.audit.exit_status)


def _whole_seconds(utc: str) -> str:
    return utc[:19].replace("T", " ")


def _short(figures: Figures) -> tuple[str, ...]:
    counts = (
        figures.activations,
        sum(figures.refusals.values()) + sum(figures.device_refusals.values()),
        sum(figures.overrides.values()),
        figures.unexplained,
        figures.late_starts,
    )
    return tuple(map(str, counts))


# -- explain --------------------------------------------------------------------------------------------------------


def _explain(options: argparse.Namespace) -> int:
    keys = _keys(options)
    with _progress("reading the journal", quiet=options.json) as advance:
        explained = explain(options.recording, keys.anchors, keys.bundles, keys.identity, advance, keys.revoked)
    if options.json:
        print_json(explained)
    else:
        _show_explanation(Output(), explained)
    return explained.exit_status


def _show_explanation(console: Console, explained: Explanation) -> None:
    policy = f"policy {explained.policy.id} {explained.policy.version}"
    console.print(
        f"[bold]{escape(explained.recording)}[/], {escape(explained.device)}, {escape(explained.opened_utc)}, {policy}",
        highlight=False,
        soft_wrap=True,
    )
    if explained.number:
        folder = f"recording {explained.number} is what the steps call {explained.recording}"
        console.print(
            f"  {folder}: it counts from each start of the daemon", style="dim", highlight=False, soft_wrap=True
        )
    for told in explained.steps:
        step = told.step
        colour = "bold" if step.conforms else "bold red"
        doubt = "" if step.clock_set else " (clock not set)"
        when = f"{step.utc[:23]}Z{doubt} {told.offset_s:+.3f} s"
        console.print(f"[{colour}]{when}[/]  {escape(step.happened)}", highlight=False, soft_wrap=True)
        _show_decisions(console, step.decisions)
    if not explained.steps:
        console.print("  the journal has no activation of this recording", style="red", highlight=False)
    for finding in explained.findings:
        _show_finding(console, finding)
    _show_verdict(console, explained.verdict, explained.exit_status)


def _show_decisions(console: Console, decisions: tuple[Decision, ...]) -> None:
    """Each with its clause; a source is said once a step."""
    said: set[str] = set()
    for decided in decisions:
        console.print(f"    {escape(decided.what)}", highlight=False, soft_wrap=True)
        clause = decided.clause if decided.source in (*said, decided.clause) else f"{decided.clause} ({decided.source})"
        console.print(f"        {escape(clause)}", style="dim", highlight=False, soft_wrap=True)
        said.add(decided.source)


@contextmanager
def _progress(what: str, *, quiet: bool) -> Iterator[Advancing]:
    """A bar on standard error, when that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield unseen
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("lines"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
