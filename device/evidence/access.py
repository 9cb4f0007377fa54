"""The access record beside an exported file: who exported what, when, for whom and why; and what was redacted from it.

One signed line a deed, in a chain: the first says that a file was exported, each later one that a redacted file, made
elsewhere from it, was attached. Signed by a person of the role export, whose certificate the line carries. The record
names files by size and digest; a file's name is a label. No I/O but `judge`, which looks at the files beside it.
"""

import base64
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cryptography import x509

from device.errors import EvidenceError
from device.evidence.bundle import MAX_CERTIFICATE_BYTES, Anchors
from device.evidence.envelope import MAX_LINE_BYTES, Signer, line_digest, open_line, sign_line, verify_line
from device.evidence.identity import Role, common_name, load_certificate, p256_key, parse_utc, why_not_trusted
from device.evidence.reading import digest_file, names_in, read_file, regular_size
from device.evidence.records import NO_DIGEST, Base64, Digest, Name, Plain, PolicyName, RecordingName, Utc
from device.evidence.revocation import Revocations
from device.evidence.verdicts import EXIT_EXTENT, WORDS, CardVerdict, Finding, printable, worst
from device.policy.inputs import Count, Micros, Word

ACCESS_TYPE = "application/vnd.bodycam.access+json"
FORMAT = "bodycam-access/1"
SUFFIX = ".access.jsonl"
MAX_LINES = 100
MAX_TEXT = 500

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]


class DisclosedInterval(Plain, frozen=True):
    """What of the recording is in the file: segments by number, and their boot times in µs; `base_us` is that of the
    recording's first frame."""

    first: Count
    last: Count
    from_us: Micros
    to_us: Micros
    base_us: Micros


class Deed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What every line says. `prev`: the SHA-256 of the line before. `exporter`: the name in the certificate (DER)."""

    format: str = FORMAT
    prev: Digest = NO_DIGEST
    utc: Utc
    exporter: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    certificate: Base64
    size: Count
    sha256: Digest


class Exported(Deed, frozen=True, tag="exported"):
    """A file was made. `interval` null: the whole recording. `report_filed`: when the wearer's report was, by the
    exporter's word. `withheld_from`, `end_points`: what the policy in force says of disclosure; `withheld_from` names
    who gets none without a court."""

    device: Name
    recording: RecordingName
    interval: DisclosedInterval | None
    policy: PolicyName
    withheld_from: Annotated[tuple[Word, ...], msgspec.Meta(max_length=64)]
    end_points: Annotated[tuple[Text, ...], msgspec.Meta(max_length=8)]
    recipient: Text
    reason: Text
    report_filed: Utc | None


class RedactionAttached(Deed, frozen=True, tag="redaction-attached"):
    """A file that was made elsewhere from an exported one, by digest. `source_sha256`: of the exported file."""

    source_sha256: Digest
    redacted: Text
    made_by: Text


AnyDeed = Exported | RedactionAttached
_DEED = msgspec.json.Decoder(AnyDeed)


class ReadDeed(msgspec.Struct, frozen=True):
    deed: AnyDeed
    certificate: x509.Certificate
    sha256: str


def sign_deed(deed: AnyDeed, signer: Signer) -> bytes:
    """The line, with its newline."""
    return sign_line(signer, ACCESS_TYPE, msgspec.json.encode(deed)) + b"\n"


def read_access(data: bytes) -> list[ReadDeed]:
    """Every line of an access record: well spelled, signed by the key of the certificate that it carries, and holding
    the hash of the line before; `EvidenceError` otherwise. Whether a certificate counts is not asked."""
    lines = data.split(b"\n")
    if lines.pop() or not 1 <= len(lines) <= MAX_LINES:
        raise EvidenceError(f"an access record is 1 to {MAX_LINES} whole lines")
    deeds: list[ReadDeed] = []
    for n, line in enumerate(lines):
        try:
            deeds.append(_read(line, deeds[-1].sha256 if deeds else NO_DIGEST))
        except EvidenceError as failure:
            raise EvidenceError(f"line {n}: {failure}") from failure
        if isinstance(deeds[n].deed, Exported) != (n == 0):
            raise EvidenceError(f"line {n}: an access record begins with an export, and no other follows")
    return deeds


def judge(path: Path, anchors: Anchors, revoked: Revocations) -> CardVerdict:
    """What an access record says and whether it holds: signatures, roles, and the digests of the files beside it."""
    findings: list[Finding] = []
    said = "nothing of it can be believed"
    try:
        deeds = read_access(read_file(path, MAX_LINES * MAX_LINE_BYTES) or b"")
        said = "; ".join(_said(read.deed) for read in deeds)
        for n, read in enumerate(deeds):
            at = parse_utc(read.deed.utc)
            why = why_not_trusted(read.certificate, Role.EXPORT, anchors, at)
            why = why or revoked.judge(read.certificate, at)[0]
            if why:
                findings.append(Finding(question="signer", place=f"{path.name}, line {n}", what=why))
            findings += _beside(path, n, read.deed)
    except EvidenceError as failure:
        findings.append(Finding(question="content", place=path.name, what=str(failure)))
    status = worst([finding.exit_status for finding in findings])
    word = {EXIT_EXTENT: "unchanged; a file that it names is not beside it"}.get(status, WORDS[status])
    return CardVerdict(
        path=str(path), verdict=word, exit_status=status, journal_said=said, findings=tuple(findings),
        recordings=(), foreign=(),
    )  # fmt: skip


def _beside(path: Path, n: int, deed: AnyDeed) -> list[Finding]:
    """Whether the file that a line names lies beside the record: looked for by size and digest, under any name."""
    place, what = f"{path.name}, line {n}", "the file that it names"
    exported = path.with_name(path.name.removesuffix(SUFFIX))
    names = [name for name in names_in(path.resolve().parent) if name != path.name]
    for name in sorted(names, key=lambda name: name != exported.name):
        file = path.resolve().with_name(name)
        if _has(file, deed):
            return [Finding(question="note", place=place, what=f"{what} is {name}: its bytes are those that it says")]
    if isinstance(deed, Exported) and exported.name in names:
        said = f"its bytes are not those that {path.name} says were exported"
        return [Finding(question="content", place=exported.name, what=said)]
    return [Finding(question="extent", place=place, what=f"{what} ({deed.size} bytes) is not beside it")]


def _has(file: Path, deed: AnyDeed) -> bool:
    try:
        return regular_size(file) == deed.size and digest_file(file, deed.size)[0] == deed.sha256
    except EvidenceError:
        return False


def _said(deed: AnyDeed) -> str:
    if isinstance(deed, RedactionAttached):
        made = f"made by {deed.made_by}: {deed.redacted}"
        return f"a redacted file was attached at {deed.utc} by {deed.exporter}, {made}"
    what = "whole" if deed.interval is None else f"segments {deed.interval.first} to {deed.interval.last}"
    filed = f"; report filed {deed.report_filed}" if deed.report_filed else ""
    for_whom = f"for {deed.recipient} ({deed.reason})"
    return f"{deed.recording}, {what}, was exported at {deed.utc} by {deed.exporter} {for_whom}{filed}"


def _read(line: bytes, prev: str) -> ReadDeed:
    signed = open_line(line)
    if signed.payload_type != ACCESS_TYPE:
        raise EvidenceError(f"payload type {signed.payload_type!r} where an access record belongs")
    deed = _decoded(signed.payload)
    if deed.prev != prev:
        raise EvidenceError("it does not hold the hash of the line before it")
    der = _der(deed.certificate)
    certificate = load_certificate(der)
    if not verify_line(signed, p256_key(certificate)):
        raise EvidenceError("its signature is not by the key of its certificate")
    if common_name(certificate) != deed.exporter:
        raise EvidenceError(f"its certificate names {printable(common_name(certificate))}, the record {deed.exporter}")
    return ReadDeed(deed, certificate, line_digest(line))


def _decoded(payload: bytes) -> Any:
    try:
        deed = _DEED.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise EvidenceError(f"not an access record: {failure}") from failure
    if deed.format != FORMAT or msgspec.json.encode(deed) != payload:
        raise EvidenceError(f"a second spelling of an access record, or another format than {FORMAT}")
    moments = [deed.utc, *([deed.report_filed] if isinstance(deed, Exported) and deed.report_filed else [])]
    if any(parse_utc(moment) is None for moment in moments):
        raise EvidenceError("a time that names no moment")
    return deed


def _der(certificate: str) -> bytes:
    try:
        der = base64.b64decode(certificate, validate=True)
    except ValueError as failure:
        raise EvidenceError(f"its certificate is not base64: {failure}") from failure
    if len(der) > MAX_CERTIFICATE_BYTES or base64.b64encode(der).decode() != certificate:
        raise EvidenceError("a second spelling of its certificate, or one that is too long")
    return der
