"""A C2PA manifest on an exported file: two readers of different make take it, and without it the file is what it was."""

import builtins
import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from device.errors import CannotPersist, EvidenceError, UsageError
from device.evidence import c2pa_manifest
from device.evidence.c2pa_manifest import C2PA_USER_TYPE, LEDGER_ASSERTION, Source, add_manifest, check_certificate
from device.evidence.identity import Role, load_certificate, why_not_for
from hw_sim.agency import Agency, Issued, _name
from hw_sim.virtual import VirtualDevice
from tests.benches import export, make_bench, recordings
from tests.conftest import IN_CI

READER = Path(__file__).parent / "c2pa_reader"
EMAIL = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.4")
DOCUMENTS = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
EVIDENCE_TYPE = bytes(range(16))
SOURCE = Source(
    device="BC-000001",
    recording="000001-0123456789abcdef",
    part=None,
    title="recording.mp4",
    first_sha256="1" * 64,
    last_sha256="2" * 64,
    root="3" * 64,
    exporter="Demo Agency custodian",
    software="0.1.0",
)
Building = Callable[[x509.CertificateBuilder], x509.CertificateBuilder]


def issue(
    agency: Agency, purposes: list[x509.ObjectIdentifier], also: Building | None = None, *, ca: bool = False
) -> Issued:
    """A certificate with these purposes, for digital signatures, that says who issued it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name("Demo Agency custodian"))
        .issuer_name(agency.ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=True)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    certificate = (also or _usual(agency))(builder).sign(agency._ca_key, hashes.SHA256())
    return Issued(key, certificate.public_bytes(Encoding.DER))


def _usual(agency: Agency, *, signs: bool = True, known: bool = True) -> Building:
    def build(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
        flags = [signs, False, not signs, False, False, False, False, False, False]
        builder = builder.add_extension(x509.KeyUsage(*flags), critical=True)
        if not known:
            return builder
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(agency._ca_key.public_key())
        return builder.add_extension(issuer, critical=False)

    return build


@pytest.fixture(scope="module")
def agency() -> Agency:
    return Agency()


@pytest.fixture(scope="module")
def custodian(agency: Agency) -> Issued:
    return issue(agency, [EMAIL])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, agency: Agency) -> Path:
    """A recording's MP4 as it is exported: init, segments, and a box at the end as the evidence will be one."""
    root = tmp_path_factory.mktemp("c2pa")
    bench = make_bench(root / "bench", agency=agency, pre_event_s=1, post_event_s=1)
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.record(2)
    device.stop()
    mp4 = export(bench, recordings(bench)[0], root / "recording.mp4")
    with mp4.open("ab") as file:
        file.write((8 + 16 + 100).to_bytes(4, "big") + b"uuid" + EVIDENCE_TYPE + bytes(100))
    return mp4


@pytest.fixture(scope="module")
def signed(exported: Path, custodian: Issued) -> Path:
    output = exported.with_name("signed.mp4")
    add_manifest(exported, output, signer=custodian.signer, chain=(custodian.certificate,), source=SOURCE)
    return output


def _boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """Type and whole bytes of every box at the top."""
    boxes, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        boxes.append((data[at + 4 : at + 8], data[at : at + size]))
        at += size
    return boxes


def _first_reader(path: Path, agency: Agency) -> dict[str, Any]:
    """The library's own, under our CA."""
    trust = {"version": 1, "trust": {"trust_anchors": agency.ca_pem().decode()}, "verify": {"verify_trust": True}}
    with (
        c2pa.Settings.from_dict(trust) as settings,
        c2pa.Context(settings) as context,
        path.open("rb") as file,
        c2pa.Reader("video/mp4", file, context=context) as reader,
    ):
        read: dict[str, Any] = json.loads(reader.json())
        return read


def _failures(read: dict[str, Any]) -> list[str]:
    return [entry["code"] for entry in read["validation_results"]["activeManifest"]["failure"]]


def _second_reader(path: Path) -> dict[str, Any]:
    """One of another make, in another language."""
    if not (READER / "node_modules").is_dir():
        (pytest.fail if IN_CI else pytest.skip)("needs the second reader's packages: install them, as .ci/run does")
    done = subprocess.run(
        ["node", str(READER / "read.mjs"), str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _flipped(path: Path, at: int, output: Path) -> Path:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    output.write_bytes(data)
    return output


# -- what is written ------------------------------------------------------------------------------------------------


def test_without_its_box_the_file_is_what_it_was(exported: Path, signed: Path) -> None:
    boxes = _boxes(signed.read_bytes())
    assert [kind for kind, _ in boxes[:3]] == [b"ftyp", b"uuid", b"moov"]
    assert boxes[1][1][8:24] == C2PA_USER_TYPE
    assert boxes[-1][1][8:24] == EVIDENCE_TYPE
    assert b"".join(whole for _, whole in (boxes[0], *boxes[2:])) == exported.read_bytes()


def test_the_first_reader_takes_it_and_finds_the_ledger_named(signed: Path, agency: Agency) -> None:
    read = _first_reader(signed, agency)
    assert (read["validation_state"], _failures(read)) == ("Trusted", [])
    manifest = read["manifests"][read["active_manifest"]]
    said = {assertion["label"]: assertion["data"] for assertion in manifest["assertions"]}
    assert said[LEDGER_ASSERTION] == {
        "device": "BC-000001",
        "recording": "000001-0123456789abcdef",
        "part": None,
        "first_sha256": "1" * 64,
        "last_sha256": "2" * 64,
        "root": "3" * 64,
        "exporter": "Demo Agency custodian",
    }
    actions = said["c2pa.actions.v2"]["actions"]
    assert [action["action"] for action in actions] == ["c2pa.created"]
    assert actions[0]["digitalSourceType"].endswith("/digitalCapture")
    assert manifest["title"] == "recording.mp4"


def test_the_first_reader_under_another_anchor(signed: Path) -> None:
    read = _first_reader(signed, Agency())
    assert (read["validation_state"], _failures(read)) == ("Valid", ["signingCredential.untrusted"])


@pytest.mark.tools("node")
def test_the_second_reader_takes_it(signed: Path) -> None:
    said = _second_reader(signed)
    assert said["valid"] is True
    assert said["labels"] == ["c2pa.actions.v2", LEDGER_ASSERTION, "c2pa.hash.bmff.v3"]
    assert said["codes"] == [
        "signingCredential.trusted",
        "claimSignature.validated",
        "assertion.hashedURI.match",
        "assertion.hashedURI.match",
        "assertion.hashedURI.match",
        "assertion.bmffHash.match",
    ]


@pytest.mark.tools("node")
@pytest.mark.parametrize("where", ["moov", "a segment", "the evidence"])
def test_a_flipped_byte_is_found_by_both(signed: Path, agency: Agency, tmp_path: Path, where: str) -> None:
    data = signed.read_bytes()
    at = {
        "moov": data.index(b"moov") + 40,
        "a segment": data.rindex(b"mdat") + 500,
        "the evidence": len(data) - 10,
    }[where]
    changed = _flipped(signed, at, tmp_path / "changed.mp4")
    assert _failures(_first_reader(changed, agency)) == ["assertion.bmffHash.mismatch"]
    said = _second_reader(changed)
    assert said["valid"] is False
    assert said["codes"][-1] == "assertion.bmffHash.mismatch"


@pytest.mark.tools("node")
def test_a_changed_assertion_is_found_by_both(signed: Path, agency: Agency, tmp_path: Path) -> None:
    changed = _flipped(signed, signed.read_bytes().index(b"BC-000001"), tmp_path / "changed.mp4")
    assert _failures(_first_reader(changed, agency)) == ["assertion.hashedURI.mismatch"]
    said = _second_reader(changed)
    assert said["valid"] is False
    assert "assertion.hashedURI.mismatch" in said["codes"]


# -- what is refused ------------------------------------------------------------------------------------------------


def test_its_certificate_is_of_no_role_of_ours(custodian: Issued) -> None:
    """So that it signs neither ledgers nor exports; and no certificate of a role signs a manifest."""
    certificate = load_certificate(custodian.certificate)
    assert [bool(why_not_for(certificate, role, None)) for role in Role] == [True] * 6


def test_certificates_that_are_refused(agency: Agency, exported: Path, tmp_path: Path) -> None:
    wrong = {
        "a role of ours": agency.issue("Demo Agency custodian", Role.EXPORT),
        "a role beside it": issue(agency, [EMAIL, Role.EXPORT.oid]),
        "documents": issue(agency, [DOCUMENTS]),
        "not for signatures": issue(agency, [EMAIL], _usual(agency, signs=False)),
        "no issuer named": issue(agency, [EMAIL], _usual(agency, known=False)),
        "a CA": issue(agency, [EMAIL], ca=True),
    }
    for what, issued in wrong.items():
        with pytest.raises(UsageError, match=r"the certificate for C2PA.*have the CA issue one for C2PA alone"):
            check_certificate(issued.certificate)
        assert what
    export = wrong["a role of ours"]
    with pytest.raises(UsageError, match="have the CA issue one for C2PA alone"):
        add_manifest(exported, tmp_path / "out", signer=export.signer, chain=(export.certificate,), source=SOURCE)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="not a certificate"):
        check_certificate(b"\x30")


def test_nothing_is_left_behind(
    exported: Path, custodian: Issued, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"

    class Token:
        certificate_sha256 = custodian.signer.certificate_sha256

        def sign(self, message: bytes) -> bytes:
            raise CannotPersist("the token was taken out")

    with pytest.raises(CannotPersist, match="the token was taken out"):
        add_manifest(exported, output, signer=Token(), chain=(custodian.certificate,), source=SOURCE)
    (tmp_path / "no.mp4").write_bytes(b"no boxes at all")
    with pytest.raises(EvidenceError, match="no C2PA manifest could be made"):
        add_manifest(
            tmp_path / "no.mp4", output, signer=custodian.signer, chain=(custodian.certificate,), source=SOURCE
        )
    monkeypatch.setattr(c2pa_manifest, "_only_a_box_more", lambda *_: False)
    with pytest.raises(EvidenceError, match="changed more of the file than it may"):
        add_manifest(exported, output, signer=custodian.signer, chain=(custodian.certificate,), source=SOURCE)
    assert not output.exists()
    output.write_bytes(b"somebody's")
    with pytest.raises(FileExistsError):
        add_manifest(exported, output, signer=custodian.signer, chain=(custodian.certificate,), source=SOURCE)
    assert output.read_bytes() == b"somebody's"


@pytest.mark.parametrize("piece", [1024 * 1024, 1])
def test_the_check_sees_what_else_was_changed(
    exported: Path, signed: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(c2pa_manifest, "_PIECE_BYTES", piece)
    before, after = exported.read_bytes(), signed.read_bytes()
    box = next(whole for kind, whole in _boxes(after) if kind == b"uuid")
    start, rest = before[:28], before[28:]
    assert before[:28] == _boxes(before)[0][1]

    def only(changed: bytes) -> bool:
        return c2pa_manifest._only_a_box_more(io.BytesIO(before), io.BytesIO(changed))

    assert only(after)
    for changed in (
        before,
        start + box + box + rest,
        start + box + rest + b"\0",
        start + box + rest[:-1],
        start + box + rest[:-1] + b"\1",
        start[:-1] + b"\1" + box + rest,
        box + before,
        start + box.replace(C2PA_USER_TYPE, EVIDENCE_TYPE) + rest,
        b"",
    ):
        assert not only(changed)


def test_without_the_extra(exported: Path, custodian: Issued, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "c2pa":
            raise ImportError(name)
        return original(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    output = tmp_path / "out.mp4"
    with pytest.raises(UsageError, match=r"C2PA needs the extra `c2pa`: pip install 'bodycam\[c2pa\]'"):
        add_manifest(exported, output, signer=custodian.signer, chain=(custodian.certificate,), source=SOURCE)
    assert not output.exists()


def test_the_library_is_loaded_only_when_it_is_used() -> None:
    asked = "import sys, device.cli, device.evidence.c2pa_manifest; sys.exit('c2pa' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False, timeout=60).returncode == 0
