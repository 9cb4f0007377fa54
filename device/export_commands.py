"""`bodycam export`: a recording, or a part of it, as a playable MP4 that proves itself, with a signed access record.

On the custodian's computer. What is asked for is checked before anything is read, the recording is verified before
anything is written, and the file and its access record are both there at the end, or neither.
"""

import argparse
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape

from device.errors import EvidenceError, UsageError
from device.evidence.access import (
    MAX_LINES,
    SUFFIX,
    Exported,
    RedactionAttached,
    read_access,
    sign_deed,
)
from device.evidence.bundle import Anchors
from device.evidence.disclosure import Disclosure, Interval, disclose
from device.evidence.envelope import MAX_LINE_BYTES
from device.evidence.identity import load_anchors
from device.evidence.opening import Identity, check_plaintext
from device.evidence.reading import digest_file, read_file, regular_size
from device.evidence.records import RecordingOpened, Segment
from device.evidence.verdicts import EXIT_ALTERED, EXIT_WRONG_KEY, Finding, RecordingVerdict
from device.evidence.verify import Opener, Progressing, is_card, is_recording
from device.export_asked import TIME, check_texts, interval_asked, policy_in_force, report_filed, utc_text
from device.export_writing import Exporter, ManifestSigner, access_deed, access_record, write_export
from device.policy.model import Policy
from device.readers import progress, show_recording, verified
from device.terminal import Output, check_output, check_replaceable, print_json, safe, write_whole

EXAMPLE = (
    "example: bodycam export /mnt/card/evidence/000001-0123456789abcdef --identity agency.key --trust agency-ca.pem "
    "--export-key custodian.key --export-certificate custodian.pem --recipient 'District Attorney' --reason 'case 26-1' "
    "--report-filed 2026-09-21T18:00Z -o recording.mp4"
)
ATTACH_EXAMPLE = (
    "example: bodycam export attach --access recording.mp4.access.jsonl --redacted redacted.mp4 "
    "--what 'two faces blurred' --made-by 'Records Office' --export-key custodian.key --export-certificate custodian.pem"
)
_Command = Callable[..., argparse.ArgumentParser]


def add_export_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", command: _Command) -> None:
    export = command(
        commands, "export", "write a recording, or a part of it, as an MP4 that proves itself", EXAMPLE, _export
    )
    export.add_argument("recording", type=Path, metavar="RECORDING", help="a recording's folder on a card")
    export.add_argument("--identity", type=Path, required=True, metavar="KEY", help="the agency's age identity")
    export.add_argument("--trust", type=Path, metavar="CA.pem", help="judge the signer too")
    export.add_argument("--from", dest="begin", metavar="TIME", help=f"only from here on: +SECONDS into it, or {TIME}")
    export.add_argument("--to", dest="end", metavar="TIME", help="only up to here: whole segments, never cut")
    export.add_argument("--recipient", required=True, metavar="TEXT", help="who gets it")
    export.add_argument("--reason", required=True, metavar="TEXT", help="why")
    export.add_argument("--report-filed", metavar="TIME", help="when the wearer's report was filed (R20)")
    _add_exporter(export)
    c2pa = "with --c2pa-certificate: also a C2PA manifest, signed with this private key"
    export.add_argument("--c2pa-key", type=Path, metavar="KEY.pem", help=c2pa)
    chain = "its certificate for C2PA alone, then those up to the CA, in PEM"
    export.add_argument("--c2pa-certificate", type=Path, metavar="CERT", help=chain)
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.mp4")
    export.add_argument("--force", action="store_true", help="replace FILE.mp4 and its access record if they are there")
    export.add_argument("--json", action="store_true", help="for programs")

    what = "write into an access record that a redacted file was made elsewhere from the exported one"
    attach = command(commands, "export attach", what, ATTACH_EXAMPLE, _attach)
    attach.add_argument("--access", type=Path, required=True, metavar=f"FILE{SUFFIX}", help="the access record")
    attach.add_argument("--redacted", type=Path, required=True, metavar="FILE", help="the redacted file")
    attach.add_argument("--what", required=True, metavar="TEXT", help="what was redacted")
    attach.add_argument("--made-by", required=True, metavar="TEXT", help="who redacted it")
    _add_exporter(attach)


def _add_exporter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--export-key", type=Path, required=True, metavar="KEY.pem", help="the exporter's private key")
    parser.add_argument(
        "--export-certificate", type=Path, required=True, metavar="CERT", help="its certificate, for the role export"
    )


def _export(options: argparse.Namespace) -> int:
    output: Path = options.output
    beside = access_record(output)
    c2pa = [options.c2pa_key, options.c2pa_certificate]
    inputs = [options.identity, options.export_key, options.export_certificate, *filter(None, [options.trust, *c2pa])]
    _check_places(output, beside, inputs, force=options.force)
    check_texts(recipient=options.recipient, reason=options.reason)
    recording: Path = options.recording
    if not is_recording(recording):
        there = "not a recording's folder" if recording.exists() else "no such folder"
        raise UsageError(f"{recording}: {there}; give one of those in a card's evidence folder")
    exporter = Exporter(options.export_key, options.export_certificate)
    manifest = _manifest_signer(*c2pa)
    identity = Identity(options.identity)
    anchors = load_anchors(options.trust) if options.trust is not None else ()
    judged = _judged(recording, identity, anchors, quiet=options.json)
    if judged.answers.content == "released":
        raise UsageError(f"{recording}: {judged.answers.extent_said}; export it from the agency's store")
    if judged.exit_status in (EXIT_ALTERED, EXIT_WRONG_KEY) or not judged.segments:
        _show(judged, options, None)
        return _status(judged, trusted=options.trust is not None)

    def choose(opened: RecordingOpened) -> Interval | None:
        return interval_asked(opened, options.begin, options.end)

    disclosure = disclose(recording, anchors, choose)
    policy = policy_in_force(disclosure)
    filed = report_filed(options.report_filed, disclosure, policy)
    deed = access_deed(disclosure, policy, exporter, options.recipient, options.reason, filed)
    with progress(sum(s.file.size for s in disclosure.segments), "writing", quiet=options.json) as advance:
        write_export(disclosure, identity, exporter, deed, output, advance, manifest)
    _show(judged, options, disclosure, policy, manifest)
    return _status(judged, trusted=options.trust is not None)


def _manifest_signer(key: Path | None, certificate: Path | None) -> ManifestSigner | None:
    if key is not None and certificate is not None:
        return ManifestSigner(key, certificate)
    if key is not None or certificate is not None:
        raise UsageError("--c2pa-key and --c2pa-certificate belong together: give both, or neither")
    return None


def _judged(recording: Path, identity: Identity, anchors: Anchors, *, quiet: bool) -> RecordingVerdict:
    def check(
        folder: Path, opened: RecordingOpened, segments: Iterable[Segment], advance: Progressing
    ) -> list[Finding]:
        return check_plaintext(folder, opened, segments, identity, advance)

    return verified(recording, anchors, Opener(check), None, quiet=quiet).recordings[0]


# -- what was asked for ---------------------------------------------------------------------------------------------


def _check_places(output: Path, beside: Path, inputs: list[Path], *, force: bool) -> None:
    """Overwrite nothing unasked, and never anything on a card."""
    if any(is_card(folder) or is_recording(folder) for folder in output.resolve().parents):
        raise UsageError(f"-o {output}: that is on a card; nothing on one is ever overwritten: name a file elsewhere")
    for file in (output, beside):
        check_output(file, "-o", inputs, force=force)


# -- what is said -----------------------------------------------------------------------------------------------------


def _show(
    judged: RecordingVerdict,
    options: argparse.Namespace,
    done: Disclosure | None,
    policy: Policy | None = None,
    manifest: ManifestSigner | None = None,
) -> None:
    output: Path = options.output
    access = str(access_record(output))
    size = output.stat().st_size if done is not None else 0
    if options.json:
        said = {
            "recording": judged,
            "output": str(output) if done else None,
            "bytes": size,
            "access": access if done else None,
            "c2pa": manifest.name if manifest else None,
        }
        print_json(said)
        return
    console = Output()
    trusted = options.trust is not None
    show_recording(console, judged if trusted else _without_signer(judged, _status(judged, trusted=False)))
    if done is None:
        why = judged.answers.read_said if judged.answers.content == "matches" else judged.answers.content_said
        _say(console, f"nothing written: {why if judged.segments else 'there is no segment'}")
        return
    begin, end, whole = ((at - done.opened.video.base_us) / 1e6 for at in (done.from_us, done.to_us, done.end_us))
    what = "the whole recording" if done.part is None else f"seconds {begin:.3f}–{end:.3f} of {whole:.3f}"
    _say(console, f"{output}: {size} bytes, {what}")
    if manifest is not None:
        _say(console, f"{output}: with a C2PA manifest by {manifest.name}, for readers of that standard")
    _say(console, f"{access}: the access record; keep it with the file")
    if policy is not None and policy.disclosure.withheld_from:
        withheld = ", ".join(policy.disclosure.withheld_from)
        _say(
            console,
            f"the policy in force, {policy.id} {policy.version}, withholds footage without a court from: {withheld}",
        )


def _say(console: Console, text: str) -> None:
    console.print(escape(safe(text)), highlight=False, soft_wrap=True)


def _without_signer(judged: RecordingVerdict, status: int) -> RecordingVerdict:
    """The same where no anchor was given: the signer is not a question."""
    answers = msgspec.structs.replace(judged.answers, signer="trusted")
    said = msgspec.structs.replace(answers, signer_said=f"{judged.device}, not judged: give --trust CA.pem")
    findings = tuple(finding for finding in judged.findings if finding.question != "signer")
    return msgspec.structs.replace(judged, answers=said, verdict=answers.verdict, exit_status=status, findings=findings)


def _status(judged: RecordingVerdict, *, trusted: bool) -> int:
    """Without --trust the signer is not a question."""
    if trusted or judged.exit_status in (EXIT_ALTERED, EXIT_WRONG_KEY):
        return judged.exit_status
    return 0 if judged.answers.extent == "closed" else 4


# -- a redacted file ----------------------------------------------------------------------------------------------------


def _attach(options: argparse.Namespace) -> int:
    access: Path = options.access
    redacted: Path = options.redacted
    inputs = [redacted, options.export_key, options.export_certificate]
    check_replaceable(access, "--access", inputs)
    check_texts(what=options.what, made_by=options.made_by)
    exporter = Exporter(options.export_key, options.export_certificate)
    try:
        data = read_file(access.resolve(), MAX_LINES * MAX_LINE_BYTES)
        deeds = read_access(data or b"")
    except (EvidenceError, OSError, ValueError) as failure:
        raise UsageError(safe(f"--access {access}: {failure}; give the record that an export wrote")) from failure
    first = deeds[0].deed
    if not isinstance(first, Exported) or len(deeds) == MAX_LINES:
        raise UsageError(safe(f"--access {access}: it has {len(deeds)} lines, as many as it may"))
    size, sha256 = _measured(redacted)
    if sha256 == first.sha256:
        raise UsageError(safe(f"--redacted {redacted}: that is the exported file itself; give the redacted one"))
    deed = RedactionAttached(
        prev=deeds[-1].sha256,
        utc=utc_text(datetime.now(UTC)),
        exporter=exporter.name,
        certificate=exporter.certificate,
        size=size,
        sha256=sha256,
        source_sha256=first.sha256,
        redacted=options.what,
        made_by=options.made_by,
    )
    write_whole(access, (data or b"") + sign_deed(deed, exporter.signer), "--access", inputs, force=True)
    _say(Output(), f"{access}: {redacted.name} ({size} bytes, SHA-256 {sha256}) is attached")
    return 0


def _measured(path: Path) -> tuple[int, str]:
    try:
        size = regular_size(path.resolve())
        sha256 = digest_file(path.resolve(), size)[0] if size is not None else ""
    except (EvidenceError, OSError, RuntimeError, ValueError) as failure:
        raise UsageError(safe(f"--redacted {path}: {failure}; give the redacted file")) from failure
    if size is None:
        raise UsageError(safe(f"--redacted {path}: no such file; give the redacted file"))
    return size, sha256
