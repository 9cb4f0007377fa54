"""A recorded card to alter: made once for a module, copied for each test, and signed anew where an attacker would.

The attackers: one who holds the card; one who holds another device's keys under the same CA; one who holds a certificate
of another role; and, for what only the device could have signed, a device that lies.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device.evidence import layout, records
from device.evidence.chain import Chain
from device.evidence.envelope import line_digest, open_line, sign_line
from device.evidence.identity import load_certificate, p256_key
from device.evidence.records import Boot, JournalRecord, Line, Record, RecordingBegun, RecordingClosed
from device.evidence.recovery import merkle_tree, read_ledger, totals
from device.evidence.verdicts import CardVerdict, Finding
from hw_sim.agency import Agency, Bench, Issued, KeySigner
from hw_sim.clock import VirtualClock
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench, recordings, shown, verified

Edit = Callable[[list[bytes]], list[bytes]]


def record_card(root: Path, agency: Agency, device: str = "BC-000001", seconds: tuple[float, ...] = (2, 1.2)) -> Bench:
    """A card with closed recordings and a clean stop."""
    bench = make_bench(root, agency=agency, device=device, pre_event_s=2, post_event_s=1)
    twin = VirtualDevice(bench)
    twin.boot()
    twin.run(3)
    for live_s in seconds:
        twin.record(live_s)
        twin.run(1)
    twin.stop()
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)
    assert len(verdict.recordings) == len(seconds)
    return bench


def copy_of(bench: Bench, root: Path) -> Bench:
    shutil.copytree(bench.root, root)
    return Bench(root)


def device_signer(bench: Bench) -> KeySigner:
    """What only a device that lies can sign."""
    key = serialization.load_pem_private_key((bench.root / "device" / "device.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return KeySigner(key, (bench.root / "device" / "device.der").read_bytes())


def lines_of(path: Path) -> list[bytes]:
    """A file's lines, without their newlines."""
    data = path.read_bytes()
    assert data.endswith(b"\n")
    return data[:-1].split(b"\n")


def write_lines(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def edit_lines(path: Path, edit: Edit) -> None:
    before = lines_of(path)
    after = edit(list(before))
    assert after != before, "the edit changes something"
    write_lines(path, after)


def changed(line: bytes, signer: KeySigner, **fields: object) -> bytes:
    """The record of a line with other fields, signed by `signer`."""
    signed = open_line(line)
    record: Record = records.decode_ledger(signed.payload)
    return sign_line(signer, signed.payload_type, msgspec.json.encode(msgspec.structs.replace(record, **fields)))


def edited_line(line: bytes) -> bytes:
    """A journal's line that says another time of the same length, under the signature that it had."""
    signed = open_line(line)
    record = records.decode_journal(signed.payload)
    payload = msgspec.json.encode(msgspec.structs.replace(record, boot_us=record.boot_us ^ 1))

    class Same:
        certificate_sha256 = ""

        def sign(self, message: bytes) -> bytes:
            return signed.signature

    return sign_line(Same(), signed.payload_type, payload)


def chained(lines: list[bytes], signer: KeySigner, first: int) -> list[bytes]:
    """The same records from `first` on, each with the hash of the line before it, signed by `signer`."""
    for n in range(max(first, 1), len(lines)):
        lines[n] = changed(lines[n], signer, seq=n, prev=line_digest(lines[n - 1]))
    return lines


def signed_anew(lines: list[bytes], signer: KeySigner, certificate: bytes, name: str) -> list[bytes]:
    """A whole ledger under one key, its hashes, totals and tree as they must be."""
    lines = chained([changed(lines[0], signer), *lines[1:]], signer, 1)
    closing = records.decode_ledger(open_line(lines[-1]).payload)
    assert isinstance(closing, RecordingClosed)
    before = b"".join(line + b"\n" for line in lines[:-1])
    read = read_ledger(before, name, p256_key(load_certificate(certificate))).lines
    assert len(read) == len(lines) - 1
    lines[-1] = changed(lines[-1], signer, totals=totals(read), tree=merkle_tree(read))
    return lines


def lie_in_ledger(bench: Bench, folder: Path, edit: Edit) -> None:
    """What a device that lies could write of its last recording: ledger and journal, both signed by itself."""
    signer = device_signer(bench)
    certificate = (bench.root / "device" / "device.der").read_bytes()
    ledger = signed_anew(edit(lines_of(folder / layout.LEDGER)), signer, certificate, folder.name)
    write_lines(folder / layout.LEDGER, ledger)
    path = bench.card / layout.JOURNAL / "000000.jsonl"
    lines = lines_of(path)
    told = [records.decode_journal(open_line(line).payload) for line in lines[1:]]
    begun = next(r.seq for r in told if isinstance(r, RecordingBegun) and r.recording == folder.name)
    for record in told[begun - 1 :]:
        fields: dict[str, object] = {"prev": line_digest(lines[record.seq - 1])}
        for field in ("first", "head"):
            if isinstance(getattr(record, field, None), Line):
                seq = 0 if field == "first" else len(ledger) - 1
                fields[field] = Line(stream=folder.name, seq=seq, sha256=line_digest(ledger[seq]))
        payload = msgspec.json.encode(msgspec.structs.replace(record, **fields))
        lines[record.seq] = sign_line(signer, records.RECORD_TYPE, payload)
    write_lines(path, lines)


def put_epoch(card: Path, name: str, other: Bench, said: list[JournalRecord]) -> None:
    """A journal epoch of another device that is under the same CA, with anything it likes to say."""
    statement = (other.root / "device" / "provisioning.jsonl").read_bytes().rstrip(b"\n")
    signer = device_signer(other)
    boot = records.decode_journal(open_line(lines_of(other.card / layout.JOURNAL / "000000.jsonl")[1]).payload)
    assert isinstance(boot, Boot)
    chain = Chain(signer, VirtualClock("boot-9"), boot.device, name, 1, line_digest(statement))
    lines = [chain.next_line(record) for record in (msgspec.structs.replace(boot, epoch=name), *said)]
    (card / layout.epoch_file(name)).write_bytes(statement + b"\n" + b"".join(lines))
    for folder in (layout.IDENTITY, layout.POLICY):
        for path in (other.card / folder).iterdir():
            (card / folder / path.name).write_bytes(path.read_bytes())


def put_certificate(card: Path, issued: Issued) -> None:
    """Anyone can lay a certificate on a card."""
    path = card / layout.certificate_file(issued.signer.certificate_sha256)
    path.write_bytes(issued.certificate)


def judged(bench: Bench, *, read: bool = False, head: str | None = None) -> CardVerdict:
    return verified(bench, read=read, head=head)


def all_findings(verdict: CardVerdict) -> list[Finding]:
    return [*verdict.findings, *(f for r in verdict.recordings for f in r.findings)]


def named(verdict: CardVerdict, question: str = "content") -> list[str]:
    """Where the findings are that bear on a question."""
    return [f.place for f in all_findings(verdict) if f.question == question]


def first_offset_s(verdict: CardVerdict, recording: int) -> float | None:
    """The first bad second of a recording."""
    offsets = [f.offset_s for f in verdict.recordings[recording].findings if f.offset_s is not None]
    return min(offsets) if offsets else None


def folder_of(bench: Bench, n: int) -> Path:
    return recordings(bench)[n]
