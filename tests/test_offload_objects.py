"""A recording as one object: always the same bytes, enough for the agency to judge it alone, and safe to unpack."""

import hashlib
import io
import os
import random
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.identity import load_anchors
from device.evidence.verify import verify
from device.offload.container import END, MANIFEST, header, padding
from device.offload.pack import CardReader, Packed
from device.offload.unpack import read_manifest, unpack
from hw_sim.agency import Agency, Bench, Issued
from hw_sim.virtual import VirtualDevice
from tests.benches import DEVICE, make_bench, recordings
from tests.cards import copy_of, put_certificate, record_card
from tests.senders import contents

EDITS = int(os.environ.get("BODYCAM_OBJECT_EDITS", "150"))


@pytest.fixture(scope="module")
def agency() -> Agency:
    return Agency()


@pytest.fixture(scope="module")
def card(agency: Agency, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return record_card(tmp_path_factory.mktemp("object") / "bench", agency)


def packed(bench: Bench, n: int = 0) -> Packed:
    reader = CardReader(bench.card, load_anchors(bench.trust))
    return reader.pack(reader.ended(DEVICE)[n], DEVICE)


def whole(packed: Packed) -> bytes:
    data = b"".join(map(bytes, packed.blocks()))
    assert len(data) == packed.size
    return data


def test_an_object_alone_is_judged_as_the_card_is(card: Bench, tmp_path: Path) -> None:
    for n, folder in enumerate(recordings(card)):
        data = whole(packed(card, n))
        found = unpack([data], tmp_path / str(n))
        assert (found.manifest.device, found.manifest.recording) == (DEVICE, folder.name)
        assert (found.sha256, found.size) == (hashlib.sha256(data).hexdigest(), len(data))
        verdict = verify(tmp_path / str(n) / "evidence" / folder.name, load_anchors(card.trust))
        assert verdict.recordings[0].verdict == "intact"
        assert verdict.exit_status == 0
        for path in folder.iterdir():
            assert (tmp_path / str(n) / "evidence" / folder.name / path.name).read_bytes() == path.read_bytes()


def test_an_object_is_always_the_same_bytes(card: Bench, agency: Agency, tmp_path: Path) -> None:
    """Whatever comes after: other recordings, other boots, a provisioner's renewed certificate, files of nobody's."""
    before = whole(packed(card))
    other = copy_of(card, tmp_path / "bench")
    device = VirtualDevice(other)
    device.boot()
    device.run(3)
    device.record(1)
    device.stop()
    put_certificate(other.card, renewed(agency))
    (recordings(other)[0] / "notes.txt").write_text("put here by a hand")
    assert len(recordings(other)) == 3
    assert whole(packed(other)) == before


def renewed(agency: Agency) -> Issued:
    """Another certificate of the provisioner's key, valid from later on."""
    old = x509.load_der_x509_certificate(agency.provisioner.certificate)
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(old.subject).issuer_name(old.issuer).public_key(old.public_key())
    builder = (
        builder.serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=400))
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    signed = builder.sign(agency._ca_key, hashes.SHA256())
    return Issued(agency.provisioner.key, signed.public_bytes(serialization.Encoding.DER))


def test_an_object_is_the_same_while_the_device_goes_on(agency: Agency, tmp_path: Path) -> None:
    """Its journal grows in the same file."""
    bench = make_bench(tmp_path / "bench", agency=agency, pre_event_s=2)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.record(1)
    before = whole(packed(bench))
    device.double()
    device.run(12)
    assert whole(packed(bench)) == before
    device.stop()
    assert whole(packed(bench)) == before


def test_a_recording_that_is_not_over_is_not_packed(agency: Agency, tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", agency=agency, pre_event_s=2)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.double()
    device.run(3)
    assert CardReader(bench.card, load_anchors(bench.trust)).ended(DEVICE) == []
    device.cut(random.Random(1))
    assert CardReader(bench.card, load_anchors(bench.trust)).ended(DEVICE) == []
    device.boot()
    device.run(2)
    device.stop()
    reader = CardReader(bench.card, load_anchors(bench.trust))
    ended = reader.ended(DEVICE)
    assert [one.how for one in ended] == ["recovered"]
    unpack([whole(reader.pack(ended[0], DEVICE))], tmp_path / "out")
    verdict = verify(tmp_path / "out" / "evidence" / ended[0].recording, load_anchors(bench.trust))
    assert verdict.recordings[0].verdict == "unchanged; ended by power loss"


@pytest.mark.tools("tar")
def test_an_object_is_a_tar_that_any_tar_reads(card: Bench, tmp_path: Path) -> None:
    (tmp_path / "object.tar").write_bytes(whole(packed(card)))
    (tmp_path / "out").mkdir()
    told = subprocess.run(["tar", "-xvf", "../object.tar"], cwd=tmp_path / "out", check=True, capture_output=True)
    assert told.stderr == b""
    unpack([(tmp_path / "object.tar").read_bytes()], tmp_path / "ours")
    theirs = contents(tmp_path / "out")
    del theirs[MANIFEST]
    assert theirs == contents(tmp_path / "ours")


def test_a_manifest_needs_the_first_bytes_only(card: Bench) -> None:
    data = whole(packed(card))
    asked = []

    def blocks() -> Iterator[bytes]:
        for at in range(0, len(data), 1024):
            asked.append(at)
            yield data[at : at + 1024]

    assert read_manifest(blocks()).recording == recordings(card)[0].name
    assert asked == [0]


# -- hostile objects ------------------------------------------------------------------------------------------------


def members(data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [(info, archive.extractfile(info).read()) for info in archive]  # type: ignore[union-attr]


def built(parts: list[tuple[str, bytes]]) -> bytes:
    return b"".join(header(name, len(data)) + data + padding(len(data)) for name, data in parts) + END


def parts_of(bench: Bench) -> list[tuple[str, bytes]]:
    return [(info.name, data) for info, data in members(whole(packed(bench)))]


Edit = Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]
RECORDING_2 = "000002-0123456789abcdef"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda p: [*p[:1], ("../evil", b"x"), *p[1:]], "a member under a name"),
        (lambda p: [*p[:1], ("/etc/evil", b"x"), *p[1:]], "a member under a name"),
        (lambda p: [*p[:1], ("journal/../../evil.jsonl", b"x"), *p[1:]], "a member under a name"),
        (lambda p: [*p[:1], ("evidence/../evil", b"x"), *p[1:]], "a member under a name"),
        (lambda p: [*p[:1], ("spool/evil.receipt", b"x"), *p[1:]], "a member under a name"),
        (lambda p: [*p[:2], p[1], *p[2:]], "twice, or out of order"),
        (lambda p: [p[0], p[2], p[1], *p[3:]], "twice, or out of order"),
        (lambda p: [*p, (f"evidence/{RECORDING_2}/ledger.jsonl", b"x")], "twice, or out of order"),
        (lambda p: [*p, ("evidence/999999-0123456789abcdef/000000.m4s.age", b"x")], "a file of another recording"),
        (lambda p: p[1:], "it does not begin with manifest.json"),
        (lambda p: [(MANIFEST, b"{}"), *p[1:]], "manifest.json: "),
        (lambda p: [(MANIFEST, p[0][1] + b" "), *p[1:]], "manifest.json: a second spelling"),
        (lambda p: [(MANIFEST, b"[" * 4000), *p[1:]], "manifest.json: "),
        (lambda p: [(MANIFEST, b" " * 5000), *p[1:]], "manifest.json: 5000 bytes; the limit is 4096"),
    ],
)
def test_what_no_object_has_is_refused(card: Bench, tmp_path: Path, edit: Edit, said: str) -> None:
    assert built(parts_of(card)) == whole(packed(card))
    with pytest.raises(EvidenceError, match=said.replace(".", r"\.")):
        unpack([built(edit(parts_of(card)))], tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_a_link_or_a_device_is_refused(card: Bench, tmp_path: Path, kind: bytes) -> None:
    first, *rest = parts_of(card)
    info = tarfile.TarInfo("journal/000000.jsonl")
    info.type, info.linkname, info.mode = kind, "/etc/passwd", 0o440
    data = header(first[0], len(first[1])) + first[1] + padding(len(first[1])) + info.tobuf(tarfile.USTAR_FORMAT)
    with pytest.raises(EvidenceError, match="a member under a name, or with a header"):
        unpack([data + built(rest)], tmp_path / "out")
    assert contents(tmp_path / "out") == {}


def test_too_much_is_refused_before_it_is_written(card: Bench, tmp_path: Path) -> None:
    first = parts_of(card)[0]
    claimed = header("journal/000000.jsonl", 2**33 - 1)
    data = header(first[0], len(first[1])) + first[1] + padding(len(first[1])) + claimed
    with pytest.raises(EvidenceError, match="8589934591 bytes; the limit is 268435456"):
        unpack([data], tmp_path / "one")
    with pytest.raises(EvidenceError, match="more than 100000 bytes, the limit of an object"):
        unpack([whole(packed(card))], tmp_path / "two", 100_000)


@pytest.mark.parametrize("kept", [0, 1, 511, 512, 5000, -1, -512, -1024])
def test_an_object_that_was_cut_is_refused(card: Bench, tmp_path: Path, kept: int) -> None:
    with pytest.raises(EvidenceError, match="the object ends before its end"):
        unpack([whole(packed(card))[:kept]], tmp_path / "out")


def test_what_follows_the_end_is_refused(card: Bench, tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="something follows the end of the object"):
        unpack([whole(packed(card)), b"\0"], tmp_path / "out")


def test_no_random_edit_is_called_intact_or_leaves_the_folder(card: Bench, tmp_path: Path) -> None:
    """Bytes changed, cut out, put in, repeated: an `EvidenceError`, or files that `verify` does not call intact."""
    good = whole(packed(card))
    name = recordings(card)[0].name
    rng = random.Random(20)
    refused = 0
    for n in range(EDITS):
        data = bytearray(good)
        for _ in range(rng.choice((1, 1, 3))):
            at, size = rng.randrange(len(data)), rng.choice((1, 8, 512, 5000))
            there = bytes(data[at : at + size])
            if rng.random() < 0.6:
                data[at : at + len(there)] = bytes(byte ^ rng.randrange(1, 256) for byte in there)
            else:
                data[at : at + size] = rng.choice((b"", there + there, rng.randbytes(size)))
        folder = tmp_path / "out"
        try:
            unpack([bytes(data)], folder)
        except EvidenceError:
            refused += 1
        else:
            verdict = verify(folder / "evidence" / name, load_anchors(card.trust))
            if bytes(data) != good and contents(folder) != contents_of(good):
                assert verdict.exit_status != 0, f"edit {n}"
        assert {path.name for path in tmp_path.iterdir()} == {"out"}
        shutil.rmtree(folder)
    assert refused > EDITS // 4


def contents_of(data: bytes) -> dict[str, str]:
    found = {info.name: hashlib.sha256(data).hexdigest() for info, data in members(data)}
    del found[MANIFEST]
    return found


def test_a_damaged_journal_makes_no_object(card: Bench, tmp_path: Path) -> None:
    """What would be sent could not be judged: it is said, and the card is left as it is."""
    other = copy_of(card, tmp_path / "bench")
    reader = CardReader(other.card, load_anchors(other.trust))
    ended = reader.ended(DEVICE)[0]
    shutil.rmtree(other.card / layout.POLICY)
    with pytest.raises(EvidenceError, match=r"policy/[0-9a-f]{64}.*missing"):
        reader.pack(ended, DEVICE)
