"""What the readers show: progress bars, tables and colour in a terminal, JSON for programs. No judgement is made here."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Column, Table

from device.errors import UsageError
from device.evidence.identity import load_anchors
from device.evidence.opening import Identity, check_plaintext
from device.evidence.records import RecordingOpened, Segment
from device.evidence.revocation import NONE_REVOKED, Revocations, load_revocations
from device.evidence.verdicts import (
    CardVerdict,
    Finding,
    RecordingVerdict,
    first_bad_said,
    when_said,
    worst,
)
from device.evidence.verify import Opener, Progressing, total_bytes, verify
from device.export_reader import is_proof, verify_proof
from device.service.status import read_status
from device.terminal import Output, check_output, print_json, safe, write_whole

MOST_JOBS = 256
_COLOURS = {0: "green", 1: "bold red", 2: "magenta", 3: "magenta", 4: "yellow"}


def show_status(path: Path, *, as_json: bool) -> int:
    status = read_status(path)
    if as_json:
        print_json(status)
        return 0
    table = Table.grid(padding=(0, 2))
    for key, value in msgspec.to_builtins(status).items():
        table.add_row(key, escape(", ".join(value) or "none" if isinstance(value, list | tuple) else str(value)))
    Output().print(table)
    return 0


class Asked(msgspec.Struct, frozen=True):
    """What `bodycam verify` was asked for. `jobs` None: all cores. `report`: where the page goes, if one was asked for."""

    paths: list[Path]
    trust: Path
    identity: Path | None = None
    head: str | None = None
    revoked: Path | None = None
    jobs: int | None = None
    report: Path | None = None
    force: bool = False


def show_verification(asked: Asked, *, as_json: bool) -> int:
    if asked.jobs is not None and not 1 <= asked.jobs <= MOST_JOBS:
        raise UsageError(f"--jobs {asked.jobs}: give a number from 1 to {MOST_JOBS}, or leave it out for all cores")
    inputs = [path for path in (asked.trust, asked.identity, asked.revoked) if path is not None]
    if asked.report is not None:
        check_output(asked.report, "--report", inputs, force=asked.force)
        if not asked.report.parent.is_dir():
            raise UsageError(safe(f"--report {asked.report}: no such folder; name a file in a folder that is there"))
    anchors = load_anchors(asked.trust)
    revoked = load_revocations(asked.revoked, anchors) if asked.revoked is not None else NONE_REVOKED
    opener = _opener(Identity(asked.identity)) if asked.identity is not None else None
    began = datetime.now(UTC)
    verdicts = [verified(path, anchors, opener, asked.head, revoked, asked.jobs, quiet=as_json) for path in asked.paths]
    if asked.report is not None:
        from device.verify_page import verification_page

        page = verification_page(list(zip(asked.paths, verdicts, strict=True)), anchors, began, _arguments(asked))
        write_whole(asked.report, page, "--report", inputs, force=asked.force)
    if as_json:
        print_json(verdicts)
    else:
        console = Output()
        for verdict in verdicts:
            _show_card(console, verdict)
    return worst([verdict.exit_status for verdict in verdicts])


def _arguments(asked: Asked) -> list[str]:
    """The command as it was given; an identity's file is named, and nothing of what is in it."""
    said = ["bodycam", "verify", *map(str, asked.paths), "--trust", str(asked.trust)]
    options = {
        "--identity": asked.identity,
        "--head": asked.head,
        "--revoked": asked.revoked,
        "--jobs": asked.jobs,
        "--report": asked.report,
    }
    return [*said, *(word for key, value in options.items() if value is not None for word in (key, str(value)))]


def verified(
    path: Path,
    anchors: tuple[x509.Certificate, ...],
    opener: Opener | None,
    head: str | None = None,
    revoked: Revocations = NONE_REVOKED,
    jobs: int | None = None,
    *,
    quiet: bool,
) -> CardVerdict:
    """Verify, with a bar: a card, a recording's folder, or a file that carries or is a proof."""
    if is_proof(path):
        with progress(path.stat().st_size, "verifying", quiet=quiet) as advance:
            return verify_proof(path, anchors, revoked, advance)
    passes = 2 if opener is not None else 1
    with progress(passes * total_bytes(path), "verifying", quiet=quiet) as advance:
        return verify(path, anchors, opener=opener, head=head, revoked=revoked, progress=advance, jobs=jobs)


def _opener(identity: Identity) -> Opener:
    def check(
        folder: Path, opened: RecordingOpened, segments: Iterable[Segment], progress: Progressing
    ) -> list[Finding]:
        return check_plaintext(folder, opened, segments, identity, progress)

    return Opener(check)


def _show_card(console: Console, verdict: CardVerdict) -> None:
    console.rule(escape(verdict.path))
    for recording in verdict.recordings:
        show_recording(console, recording)
    if verdict.recordings:
        console.print(recordings_table(verdict.recordings))
    for finding in verdict.findings:
        _show_finding(console, finding)
    for name in verdict.foreign:
        console.print(f"not ours, not judged: {escape(name)}", style="dim", highlight=False)
    if verdict.foreign_beyond:
        console.print(f"not ours, not judged: {verdict.foreign_beyond} more", style="dim", highlight=False)
    if verdict.first_bad is not None:
        said = f"first bad: {first_bad_said(verdict.first_bad)}"
        console.print(escape(said), style="red", highlight=False, soft_wrap=True)
    colour = _COLOURS[verdict.exit_status]
    console.print(f"[{colour}]{verdict.verdict}[/]; {escape(verdict.journal_said)}", highlight=False, soft_wrap=True)


def recordings_table(recordings: tuple[RecordingVerdict, ...]) -> Table:
    """One row a recording; the whole names stand above it. Fits 80 columns."""
    table = Table(
        Column("no.", no_wrap=True),
        Column("pre-event\nasked/had", no_wrap=True),
        Column("seconds", no_wrap=True),
        Column("frames\n+ missing", no_wrap=True),
        Column("segments", no_wrap=True),
        Column("verdict", min_width=12),
    )
    for recording in recordings:
        asked, had = recording.pre_event_asked_us / 1e6, recording.pre_event_had_us / 1e6
        missing = sum(recording.missing.values())
        table.add_row(
            recording.recording[:6],
            f"{asked:.0f} / {had:.1f} s",
            f"{recording.seconds:.1f}",
            f"{recording.frames}" + (f" + {missing}" if missing else ""),
            f"{recording.verified_segments}/{recording.segments}",
            f"[{_COLOURS[recording.exit_status]}]{recording.verdict}[/]",
        )
    return table


def show_recording(console: Console, recording: RecordingVerdict) -> None:
    """The five answers, each with its reason, and what was found."""
    answers = recording.answers
    table = Table.grid(padding=(0, 2))
    table.add_row(f"[bold]{recording.recording}[/]", f"[{_COLOURS[recording.exit_status]}]{recording.verdict}[/]")
    for question, said in (
        ("content", answers.content_said),
        ("signer", answers.signer_said),
        ("extent", answers.extent_said),
        ("time", answers.time_said),
        ("read", answers.read_said),
        ("missing", _missing_said(recording)),
    ):
        table.add_row(f"  {question}", escape(said))
    console.print(table)
    for finding in recording.findings:
        _show_finding(console, finding)
    if recording.findings_beyond:
        console.print(f"  and {recording.findings_beyond} more findings", style="red", highlight=False)


def _missing_said(recording: RecordingVerdict) -> str:
    """What signed gaps account for, in the words of people."""
    causes = {
        "camera": "never came from the camera",
        "policy": "were not kept: the policy or a private pause forbade it",
        "full": "were refused: the card did not keep up and the ring was full",
    }
    sound = causes | {"silent": "never came from the microphone", "restart": "was lost as the microphone began anew"}
    said = [f"{count} frames {causes.get(cause, cause)}" for cause, count in sorted(recording.missing.items())]
    said = said or ["no frame"]
    silent = sorted(recording.missing_sound_us.items())
    return "; ".join(said + [f"{us / 1e6:.2f} s of sound {sound.get(cause, cause)}" for cause, us in silent])


def _show_finding(console: Console, finding: Finding) -> None:
    when = when_said(finding.utc, finding.offset_s)
    when = f" ({when})" if when else ""
    style = "dim" if finding.question == "note" else "red"
    console.print(f"  {escape(finding.place)}: {escape(finding.what)}{when}", style=style, highlight=False)


@contextmanager
def progress(total: int, what: str, *, quiet: bool) -> Iterator[Progressing]:
    """A bar on standard error, when that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
