"""What `bodycam verify --report` writes: the verdict as one page for a court, with everything that it rests on.

The tool and how to check it, the anchors, the inputs by digest, the five answers with their reasons, every finding with
its place and time, and what the words mean and do not mean. Everything that comes from a card is escaped; no verdict is
told by a colour alone.
"""

import hashlib
import platform
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.listing import files_named
from device.evidence.verdicts import (
    EXIT_EXTENT,
    EXIT_INTACT,
    CardVerdict,
    Finding,
    RecordingVerdict,
    first_bad_said,
    printable,
    when_said,
    worst,
)
from device.evidence.verify import is_recording
from device.page_frame import framed

MOST_LISTED = 20_000
"""Files whose names the page lists; the ledgers, whose digests it gives, name the others."""
_STYLE = """
code { font: 0.85em/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #767676; padding: .5rem; }
.bad { border-style: double; border-width: 6px; }
.unproven { border-style: dashed; }
table.facts { width: 100%; }
table.facts th { width: 7rem; }
td, td:last-child { min-width: 0; }
td.d { min-width: 11rem; }
h2, h3 { break-after: avoid; }
tr { break-inside: avoid; }
"""
_LIMITS = (
    (
        "<b>Intact</b> means: since this device's key signed them, these bytes have not changed, none of them is missing, and "
        "none was added; the recording was closed, and the device's journal holds that very end."
    ),
    (
        "It does not mean that what the camera saw was true or complete, that the device's clock was right, or that nobody "
        "else ever had the device's key."
    ),
    "The times are those that the device claims. No outside clock confirms them, unless a line says so.",
    (
        "“History not anchored” means: a card that was put back as a whole to an older state of itself can't be told from "
        "one that simply ends there. A line of the journal known from elsewhere (--head) closes this."
    ),
    "A power loss is no alteration: what it leaves is said to be unchanged, and its end unproven.",
    "Files that are not the device's own are listed and not judged.",
    (
        "Without the agency's key (--identity) nothing was decrypted: the sealed bytes were judged, and nobody looked at "
        "the pictures. Whether the device followed its policy is another question; “bodycam audit” answers it."
    ),
)


def verification_page(
    judged: Sequence[tuple[Path, CardVerdict]],
    anchors: Sequence[x509.Certificate],
    began: datetime,
    arguments: Sequence[str],
) -> str:
    """The whole page. `judged`: each path with what was found there; `began`: when it was run, in UTC."""
    recordings = sum(len(verdict.recordings) for _, verdict in judged)
    title = f"Verification of {recordings} recording{'' if recordings == 1 else 's'}"
    return framed(
        title,
        [
            f"<h1>{title}</h1>",
            _whole_verdict([verdict for _, verdict in judged]),
            *(_card(verdict) for _, verdict in judged),
            "<h2>What these words mean, and what they do not</h2>",
            f"<ul>{''.join(f'<li>{said}</li>' for said in _LIMITS)}</ul>",
            "<h2>How it was verified</h2>",
            _run(began, arguments),
            _anchors(anchors),
            *_inputs(judged),
        ],
        _STYLE,
    )


def tool_digest() -> str:
    """SHA-256 of the list of this program's own files as `sha256sum` prints it, sorted by name in bytes."""
    root = Path(__file__).resolve().parent
    files = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc")
    names = sorted((f"{root.name}/{path.relative_to(root).as_posix()}" for path in files), key=str.encode)
    lines = [f"{hashlib.sha256((root.parent / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


# -- the answer -----------------------------------------------------------------------------------------------------


def _whole_verdict(verdicts: list[CardVerdict]) -> str:
    status = worst([verdict.exit_status for verdict in verdicts])
    said = next((verdict for verdict in verdicts if verdict.exit_status == status), None)
    words = said.verdict if said is not None else "nothing"
    good = sum(recording.exit_status == EXIT_INTACT for verdict in verdicts for recording in verdict.recordings)
    count = sum(len(verdict.recordings) for verdict in verdicts)
    lines = [f"<p><b>Verdict: {escape(words)}.</b> {good} of {count} recordings are intact.</p>"]
    lines += [
        f"<p>First bad second: {escape(first_bad_said(verdict.first_bad))}.</p>"
        for verdict in verdicts
        if verdict.first_bad is not None
    ]
    return f"<div class='{_kind(status)}'>{''.join(lines)}</div>"


def _kind(status: int) -> str:
    return {EXIT_INTACT: "good", EXIT_EXTENT: "unproven"}.get(status, "bad")


def _card(verdict: CardVerdict) -> str:
    parts = [
        f"<h2>{escape(verdict.path)}</h2>",
        f"<p>{escape(verdict.verdict)}; {escape(verdict.journal_said)}.</p>",
        _findings(verdict.findings, 0, "Findings about the card and its journal"),
        *(_recording(recording) for recording in verdict.recordings),
    ]
    if verdict.foreign:
        more = f" and {verdict.foreign_beyond} more" if verdict.foreign_beyond else ""
        names = ", ".join(f"<code>{escape(name)}</code>" for name in verdict.foreign)
        parts.append(f"<p>Not the device's own, and not judged: {names}{more}.</p>")
    return "\n".join(parts)


def _recording(recording: RecordingVerdict) -> str:
    answers = recording.answers
    rows = [
        ("Is it what was signed?", answers.content, answers.content_said),
        ("Who signed it?", answers.signer, answers.signer_said),
        ("Is it all of it?", answers.extent, answers.extent_said),
        ("When was it?", "claimed", answers.time_said),
        ("Could it be opened?", answers.read, answers.read_said),
    ]
    facts = f"{recording.seconds} s, {recording.frames} frames, {recording.segments} segments"
    return "\n".join(
        [
            f"<h3>Recording {escape(recording.recording)}: {escape(recording.verdict)}</h3>",
            f"<p>Device {escape(recording.device or 'unknown')}; began {escape(recording.opened_utc or 'unknown')}; {facts}.</p>",
            _facts("The five answers", [(question, f"{answer.upper()}: {said}") for question, answer, said in rows]),
            _findings(recording.findings, recording.findings_beyond, "Findings"),
        ]
    )


def _findings(findings: Sequence[Finding], beyond: int, caption: str) -> str:
    if not findings:
        return ""
    rows = [(_where(finding), finding.what) for finding in findings]
    more = f"<p>And {beyond} more findings.</p>" if beyond else ""
    return _table(caption, ("where and when", "what"), rows) + more


def _where(finding: Finding) -> str:
    kind = "a note: no alarm" if finding.question == "note" else f"bears on {finding.question}"
    when = when_said(finding.utc, finding.offset_s)
    return "; ".join([finding.place, *([when] if when else []), kind])


# -- what it rests on -----------------------------------------------------------------------------------------------


def _run(began: datetime, arguments: Sequence[str]) -> str:
    software = f"Python {platform.python_version()}, cryptography {version('cryptography')}, {platform.system()}"
    rows = [
        ("tool", f"bodycam {version('bodycam')}"),
        ("its digest", tool_digest()),
        ("run with", software),
        ("run at", f"{began.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}, by the clock of the computer that ran it"),
        ("command", " ".join(map(printable, arguments))),
    ]
    check = "find device -type f ! -name '*.pyc' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum\n"
    return (
        f"{_facts('The tool', rows)}<p>The tool's digest is over its own files. In the folder that holds the installed "
        f"<code>device</code> folder, and in that of the release that you trust, this gives the same:</p>"
        f"<pre>{escape(check)}</pre>"
    )


def _anchors(anchors: Sequence[x509.Certificate]) -> str:
    rows = [
        (
            anchor.subject.rfc4514_string(),
            hashlib.sha256(anchor.public_bytes(Encoding.DER)).hexdigest(),
            f"{anchor.not_valid_before_utc:%Y-%m-%d} to {anchor.not_valid_after_utc:%Y-%m-%d}",
        )
        for anchor in anchors
    ]
    check = "openssl x509 -in CA.pem -outform der | sha256sum"
    return (
        _table("Trust anchors: all trust starts from these", ("certificate of", "SHA-256", "valid"), rows)
        + f"<p>Compare with what the agency publishes: <code>{check}</code></p>"
    )


def _inputs(judged: Sequence[tuple[Path, CardVerdict]]) -> Iterator[str]:
    yield "<h2>What was verified, by digest</h2>"
    left = MOST_LISTED
    for path, verdict in judged:
        size = sum(recording.size for recording in verdict.recordings)
        rows = [
            ("path", verdict.path),
            ("journal's last line", verdict.journal_head or "no journal that can be believed"),
            ("recordings", str(len(verdict.recordings))),
            ("bytes of segments", f"{size:,}"),
        ]
        yield _facts(verdict.path, rows)
        ledgers = [
            (
                recording.recording,
                recording.ledger_sha256 or "none",
                recording.tree_root or "none",
                f"{recording.size:,}",
            )
            for recording in verdict.recordings
        ]
        yield _table("Ledgers", ("recording", "SHA-256 of ledger.jsonl", "root of its records", "bytes"), ledgers)
        for recording in verdict.recordings:
            yield _files(path, recording, left)
            left = max(0, left - recording.segments - 1)


def _files(path: Path, recording: RecordingVerdict, most: int) -> str:
    if not recording.ledger_sha256:
        return ""
    if recording.segments + 1 > most:
        return f"<p>The files of recording {escape(recording.recording)} are listed by its ledger only.</p>"
    where = path.resolve()
    folder = where if is_recording(path) else where / layout.recording_folder(recording.recording)
    try:
        listed = files_named(folder, recording.ledger_sha256, recording.segments)
    except EvidenceError as failure:
        return f"<p>The files of recording {escape(recording.recording)} can't be listed: {escape(str(failure))}.</p>"
    rows = [(file.name, f"{file.stored.size:,}", file.stored.sealed) for file in listed]
    caption = f"Files of recording {recording.recording}, as its ledger names them"
    return _table(caption, ("file", "bytes", "SHA-256, sealed"), rows)


# -- tables ---------------------------------------------------------------------------------------------------------


def _facts(caption: str, rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(f"<tr><th scope='row'>{escape(name)}</th><td>{_cell(said)}</td></tr>" for name, said in rows)
    return (
        f"<div class='wide'><table class='facts'><caption><span>{escape(caption)}</span></caption>{body}</table></div>"
    )


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in heads)
    body = "\n".join(f"<tr>{''.join(_data(said) for said in row)}</tr>" for row in rows)
    return (
        f"<div class='wide'><table><caption><span>{escape(caption)}</span></caption><thead><tr>{head}</tr></thead>"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _data(said: str) -> str:
    return f"<td class='d'>{_cell(said)}</td>" if _is_digest(said) else f"<td>{_cell(said)}</td>"


def _cell(said: str) -> str:
    return f"<code>{said}</code>" if _is_digest(said) else escape(said)


def _is_digest(said: str) -> bool:
    return len(said) == 64 and all(c in "0123456789abcdef" for c in said)
