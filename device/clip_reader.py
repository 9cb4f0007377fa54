"""`bodycam verify CLIP.mp4`: what the signatures within a video file say, shown. No judgement is made here."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn
from rich.table import Column, Table

from device.errors import UsageError
from device.evidence.identity import load_anchors
from device.evidence.media_check import MediaVerdict, Place, check_media
from device.evidence.verdicts import worst
from device.terminal import Output, print_json

MAX_SHOWN = 10
"""Places and GOPs in a terminal; `--json` has them all."""
_COLOURS = {"unaltered": "green", "altered": "bold red", "unproven": "yellow", "not-signed": "yellow"}
_KEY_COLOURS = {"trusted": "green", "not-trusted": "magenta", "none": "yellow"}


def is_clip(path: Path) -> bool:
    """Whether the path names a file, and no folder."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False  # a name that can't be one: whoever judges folders says so


def show_clips(paths: list[Path], trust: Path, unfit: str, *, as_json: bool) -> int:
    """Judge each file; the exit status. `unfit` names an option that was given and is for cards alone."""
    if unfit:
        raise UsageError(
            f"{unfit}: {paths[0]} is a file; that option is for a card or a recording's folder: leave it out"
        )
    anchors = load_anchors(trust)
    verdicts = [_checked(path, anchors, quiet=as_json) for path in paths]
    if as_json:
        print_json([{"exit_status": verdict.exit_status, "clip": verdict} for verdict in verdicts])
    else:
        console = Output()
        for verdict in verdicts:
            _show(console, verdict)
    return worst([verdict.exit_status for verdict in verdicts])


def _checked(path: Path, anchors: tuple[x509.Certificate, ...], *, quiet: bool) -> MediaVerdict:
    with _progress(path.stat().st_size, quiet=quiet) as advance:
        return check_media(path, anchors, advance)


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, when that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("verifying", total=total)
        yield lambda count: bar.advance(task, count)


def _show(console: Console, verdict: MediaVerdict) -> None:
    console.rule(escape(verdict.path))
    table = Table.grid(padding=(0, 2))
    colour, key_colour = _COLOURS[verdict.pictures], _KEY_COLOURS[verdict.key]
    table.add_row("pictures", f"[{colour}]{verdict.pictures.upper()}[/]: {escape(verdict.pictures_said)}")
    table.add_row("key", f"[{key_colour}]{verdict.key.upper()}[/]: {escape(verdict.key_said)}")
    if verdict.signer:
        maker = ", ".join(word for word in (verdict.firmware, verdict.serial, verdict.manufacturer) if word)
        table.add_row("signer", escape(f"{verdict.signer} (says of itself: {maker or 'nothing'})"))
        table.add_row("certificate", f"SHA-256 {verdict.certificate_sha256}")
    table.add_row("NAL units", _counts(verdict))
    table.add_row("frames", f"{verdict.frames} in {len(verdict.gops)} signed GOPs")
    if verdict.first_utc is not None:
        table.add_row("claimed time", f"{verdict.first_utc} to {verdict.last_utc}")
    table.add_row("file", f"SHA-256 {verdict.sha256}")
    console.print(table, highlight=False, soft_wrap=True)
    for place in verdict.bad[:MAX_SHOWN]:
        console.print(f"  {escape(_said(place))}", style="red", highlight=False, soft_wrap=True)
    if len(verdict.bad) > MAX_SHOWN:
        console.print(f"  and {len(verdict.bad) - MAX_SHOWN} more: see --json", style="red", highlight=False)
    _show_gops(console, verdict)
    for note in _notes(verdict):
        console.print(f"  {escape(note)}", style="dim", highlight=False, soft_wrap=True)


def _counts(verdict: MediaVerdict) -> str:
    said = f"{verdict.received} received, {verdict.validated} validated, {verdict.pending} pending"
    return said + (f", {verdict.wrong} wrong, {verdict.missing} missing" if verdict.wrong or verdict.missing else "")


def _said(place: Place) -> str:
    label = f"{place.utc}, " if place.utc else ""
    return f"{place.what} ({label}{place.offset_s} s into the file)"


def _show_gops(console: Console, verdict: MediaVerdict) -> None:
    """Those that are not unaltered."""
    others = [gop for gop in verdict.gops if gop.verdict != "unaltered"]
    if not others:
        return
    table = Table("GOP", Column("offset", justify="right"), "claimed time", "frames", "wrong", "missing", "verdict")
    for gop in others[:MAX_SHOWN]:
        numbers = (str(gop.frames), str(gop.wrong), str(gop.missing))
        table.add_row(str(gop.counter), f"{gop.offset_s} s", gop.utc or "", *numbers, gop.verdict)
    console.print(table)


def _notes(verdict: MediaVerdict) -> list[str]:
    """What signatures within a video can't say."""
    notes = []
    if verdict.gops and not verdict.from_start:
        notes.append("more was signed before the first picture here: this is a part of a recording")
    if verdict.left_out:
        notes.append(f"{verdict.left_out} samples at the end are not played (an edit list leaves them out), nor judged")
    if verdict.other_tracks:
        notes.append(f"not covered by these signatures: {', '.join(verdict.other_tracks)}")
    if verdict.gops:
        notes.append(
            "these signatures can't tell whether a recording's beginning or end was cut off, nor whether the file's "
            "times and its header (size, cropping) are true: the recording's folder, or the exporter's evidence, can"
        )
    return notes
