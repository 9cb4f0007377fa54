"""`bodycam export` with a C2PA manifest, as a custodian gives the command: what our reader, the library's, one of another
make and media signing's say of the file; and that nothing is written when there can be no manifest."""

import builtins
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from device import export_commands, export_writing
from device.errors import CannotPersist
from device.evidence import c2pa_manifest
from device.evidence.access import Exported, read_access
from device.evidence.c2pa_manifest import LEDGER_ASSERTION
from device.evidence.envelope import line_digest, open_line
from device.evidence.identity import Role, load_anchors
from device.evidence.media_check import MediaVerdict, check_media
from device.evidence.records import RecordingClosed, decode_ledger
from device.media.boxes import top_level_boxes
from hw_sim.agency import Agency, Bench, Issued, _name
from tests.benches import recordings
from tests.cards import lines_of, record_card
from tests.commands import run
from tests.test_c2pa import EMAIL, _failures, _first_reader, _second_reader, _usual, issue

Captured = pytest.CaptureFixture[str]
PART = ("--from", "+1.5", "--to", "+3")


@pytest.fixture(scope="module")
def agency() -> Agency:
    return Agency()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, agency: Agency) -> Bench:
    return record_card(tmp_path_factory.mktemp("c2pa-export") / "bench", agency, seconds=(3,))


@pytest.fixture(scope="module")
def manifest(bench: Bench) -> tuple[str, ...]:
    """The options with a good key and certificate."""
    return ("--c2pa-key", str(bench.c2pa_key), "--c2pa-certificate", str(bench.c2pa_certificate))


def options_of(issued: Issued, folder: Path, *above: x509.Certificate) -> tuple[str, ...]:
    folder.mkdir(exist_ok=True)
    (folder / "c2pa.key").write_bytes(issued.key_pem)
    chain = [x509.load_der_x509_certificate(issued.certificate), *above]
    (folder / "c2pa.pem").write_bytes(b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain))
    return ("--c2pa-key", str(folder / "c2pa.key"), "--c2pa-certificate", str(folder / "c2pa.pem"))


def export(bench: Bench, output: Path, *more: str) -> int:
    arguments = (
        "export", recordings(bench)[0], "--identity", bench.footage_identity, "--trust", bench.trust,
        "--export-key", bench.export_key, "--export-certificate", bench.export_certificate,
        "--recipient", "District Attorney", "--reason", "case 26-1234", "--report-filed", "2026-09-21T16:00:00Z",
        "-o", output, *more,
    )  # fmt: skip
    return run(*map(str, arguments))


@pytest.fixture(scope="module")
def made(bench: Bench, manifest: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The four exports, by name: whole and part, plain and with a manifest."""
    folder = tmp_path_factory.mktemp("made")
    asked: dict[str, tuple[str, ...]] = {
        "whole": (), "whole-c2pa": manifest, "part": PART, "part-c2pa": (*PART, *manifest),
    }  # fmt: skip
    paths = {name: folder / f"{name}.mp4" for name in asked}
    assert [export(bench, paths[name], *more) for name, more in asked.items()] == [0, 0, 0, 0]
    assert len(list(folder.iterdir())) == 8, "each with its access record, and nothing besides"
    return paths


def verified(bench: Bench, path: Path, capsys: Captured) -> dict[str, Any]:
    capsys.readouterr()
    assert run("verify", str(path), "--trust", str(bench.trust), "--json") == 0
    (said,) = json.loads(capsys.readouterr().out)
    found: dict[str, Any] = said["recordings"][0]
    return found


# -- what is written --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["whole", "part"])
def test_without_the_manifest_it_is_the_plain_export(made: dict[str, Path], kind: str) -> None:
    plain, signed = made[kind].read_bytes(), made[f"{kind}-c2pa"].read_bytes()
    ftyp, manifest = list(top_level_boxes(signed))[:2]
    assert manifest.user == c2pa_manifest.C2PA_USER_TYPE
    assert signed[: ftyp.end] + signed[manifest.end :] == plain


@pytest.mark.parametrize("kind", ["whole-c2pa", "part-c2pa"])
def test_the_access_record_is_of_the_final_file(bench: Bench, made: dict[str, Path], kind: str) -> None:
    record = made[kind].with_name(made[kind].name + ".access.jsonl")
    deed = read_access(record.read_bytes())[0].deed
    assert isinstance(deed, Exported)
    data = made[kind].read_bytes()
    assert (deed.size, deed.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert [path.stat().st_mode & 0o077 for path in (made[kind], record)] == [0, 0]
    assert run("verify", str(record), "--trust", str(bench.trust)) == 0


@pytest.mark.parametrize(
    ("kind", "verdict"), [("whole-c2pa", "intact"), ("part-c2pa", "intact part")], ids=["whole", "part"]
)
def test_verify_says_intact_and_notes_the_manifest(
    bench: Bench, made: dict[str, Path], kind: str, verdict: str, capsys: Captured
) -> None:
    said = verified(bench, made[kind], capsys)
    assert said["verdict"] == verdict
    (note,) = said["findings"]
    assert note["question"] == "note"
    assert note["what"].endswith("the exporter's, not the device's, and not judged here")


@pytest.mark.parametrize(
    ("kind", "part", "actions"),
    [
        ("whole-c2pa", None, ["c2pa.created"]),
        ("part-c2pa", {"first": 1, "last": 2}, ["c2pa.created", "c2pa.trimmed"]),
    ],
    ids=["whole", "part"],
)
def test_the_first_reader_finds_the_true_ledger_named(
    bench: Bench, agency: Agency, made: dict[str, Path], kind: str, part: object, actions: list[str]
) -> None:
    read = _first_reader(made[kind], agency)
    assert (read["validation_state"], _failures(read)) == ("Trusted", [])
    active = read["manifests"][read["active_manifest"]]
    assert active["title"] == made[kind].name
    said = {assertion["label"]: assertion["data"] for assertion in active["assertions"]}
    lines = lines_of(recordings(bench)[0] / "ledger.jsonl")
    closed = decode_ledger(open_line(lines[-1]).payload)
    assert isinstance(closed, RecordingClosed)
    assert said[LEDGER_ASSERTION] == {
        "device": "BC-000001",
        "recording": recordings(bench)[0].name,
        "part": part,
        "first_sha256": line_digest(lines[0]),
        "last_sha256": line_digest(lines[-1]),
        "root": closed.tree.root,
        "exporter": "Demo Agency custodian",
    }
    assert [action["action"] for action in said["c2pa.actions.v2"]["actions"]] == actions


@pytest.mark.tools("node")
@pytest.mark.parametrize("kind", ["whole-c2pa", "part-c2pa"])
def test_the_second_reader_takes_what_the_command_wrote(made: dict[str, Path], kind: str, tmp_path: Path) -> None:
    said = _second_reader(made[kind])
    assert said["valid"] is True, said
    assert said["codes"][-1] == "assertion.bmffHash.match"
    data = bytearray(made[kind].read_bytes())
    data[-10] ^= 1
    (tmp_path / "changed.mp4").write_bytes(data)
    assert _second_reader(tmp_path / "changed.mp4")["codes"][-1] == "assertion.bmffHash.mismatch"


@pytest.mark.parametrize("kind", ["whole", "whole-c2pa", "part", "part-c2pa"])
def test_media_signatures_stay_good(bench: Bench, made: dict[str, Path], kind: str) -> None:
    """A part begins and ends between GOPs: unaltered, and known not to be the beginning."""
    whole = kind.startswith("whole")
    verdict: MediaVerdict = check_media(made[kind], load_anchors(bench.trust))
    assert (verdict.pictures, verdict.key, verdict.exit_status) == ("unaltered", "trusted", 0)
    assert (verdict.pending, verdict.wrong, verdict.missing) == (0, 0, 0)
    assert verdict.from_start is whole
    counters = [gop.counter for gop in verdict.gops]
    assert counters == {"whole": list(range(1, 12)), "part": [2, 3]}[kind.removesuffix("-c2pa")]


def test_a_chain_through_another_ca(bench: Bench, agency: Agency, tmp_path: Path) -> None:
    """The file holds the CA between, and the anchor too, which is left out of the manifest."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    between = (
        x509.CertificateBuilder()
        .subject_name(_name("Records Office CA"))
        .issuer_name(agency.ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(agency.ca.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
        .add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True)
        .sign(agency._ca_key, hashes.SHA256())
    )
    office = Agency("Records Office")
    office._ca_key, office.ca = key, between
    custodian = issue(office, [EMAIL])
    output = tmp_path / "out.mp4"
    assert export(bench, output, *options_of(custodian, tmp_path / "keys", between, agency.ca)) == 0
    read = _first_reader(output, agency)
    assert (read["validation_state"], _failures(read)) == ("Trusted", [])
    wrong = options_of(custodian, tmp_path / "wrong", agency.ca, between)
    assert export(bench, tmp_path / "other.mp4", *wrong) == 2


# -- what is refused --------------------------------------------------------------------------------------------------


def _only_the_key(good: tuple[str, ...], _: Agency, __: Path) -> tuple[str, ...]:
    return good[:2]


def _a_role_of_ours(_: tuple[str, ...], agency: Agency, folder: Path) -> tuple[str, ...]:
    return options_of(agency.issue("Demo Agency custodian", Role.EXPORT), folder / "keys")


def _key_of_another(good: tuple[str, ...], agency: Agency, folder: Path) -> tuple[str, ...]:
    return (*options_of(issue(agency, [EMAIL]), folder / "keys")[:2], *good[2:])


def _no_certificate(good: tuple[str, ...], _: Agency, folder: Path) -> tuple[str, ...]:
    (folder / "no.pem").write_text("no certificate")
    return (*good[:3], str(folder / "no.pem"))


def _missing(good: tuple[str, ...], _: Agency, folder: Path) -> tuple[str, ...]:
    return (*good[:3], str(folder / "there-is-none.pem"))


def _expired(_: tuple[str, ...], agency: Agency, folder: Path) -> tuple[str, ...]:
    long_ago = datetime.now(UTC) - timedelta(days=10)

    def build(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
        builder._not_valid_before, builder._not_valid_after = None, None
        return _usual(agency)(builder.not_valid_before(long_ago).not_valid_after(long_ago + timedelta(days=1)))

    return options_of(issue(agency, [EMAIL], build), folder / "keys")


REFUSED: dict[str, tuple[Callable[[tuple[str, ...], Agency, Path], tuple[str, ...]], str]] = {
    "one of two": (_only_the_key, "--c2pa-key and --c2pa-certificate belong together: give both, or neither"),
    "a role of ours": (_a_role_of_ours, "have the CA issue one for C2PA alone"),
    "the key of another": (_key_of_another, "this is not the key of the certificate"),
    "no certificate": (_no_certificate, "give the signer's certificate, then those between it and the CA, in PEM"),
    "no such file": (_missing, "No such file or directory; give the signer's certificate"),
    "expired": (_expired, "a certificate in it is not valid today"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_nothing_is_written_without_a_good_certificate(
    case: str, bench: Bench, agency: Agency, manifest: tuple[str, ...], tmp_path: Path, capsys: Captured
) -> None:
    give, why = REFUSED[case]
    folder = tmp_path / "out"
    folder.mkdir()
    assert export(bench, folder / "out.mp4", *give(manifest, agency, tmp_path)) == 2
    err = capsys.readouterr().err
    assert why in err
    assert err.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_without_the_extra_one_message(
    bench: Bench, manifest: tuple[str, ...], tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "c2pa":
            raise ImportError(name)
        return original(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with monkeypatch.context() as before_anything_is_read:
        before_anything_is_read.setattr(export_commands, "verified", lambda *_, **__: pytest.fail("too late"))
        assert export(bench, tmp_path / "out.mp4", *manifest) == 2
    assert capsys.readouterr().err == "bodycam: C2PA needs the extra `c2pa`: pip install 'bodycam[c2pa]'\n"
    assert export(bench, tmp_path / "plain.mp4") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"plain.mp4", "plain.mp4.access.jsonl"}


def test_a_library_that_changes_more_leaves_nothing(
    bench: Bench, manifest: tuple[str, ...], tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not 1 either: that would say that the evidence was altered."""
    monkeypatch.setattr(c2pa_manifest, "_only_a_box_more", lambda *_: False)
    assert export(bench, tmp_path / "out.mp4", *manifest) == 2
    assert "changed more of the file than it may; no manifest was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_an_access_record_there_is_no_file(
    bench: Bench, manifest: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> bytes:
        raise CannotPersist("the token was taken out")

    monkeypatch.setattr(export_writing, "sign_deed", refused)
    assert export(bench, tmp_path / "out.mp4", *manifest) == 1
    assert list(tmp_path.iterdir()) == []


def test_its_own_key_is_not_overwritten(bench: Bench, manifest: tuple[str, ...], capsys: Captured) -> None:
    before = Path(manifest[1]).read_bytes()
    assert export(bench, Path(manifest[1]), "--force", *manifest) == 2
    assert "which the command reads; name another file" in capsys.readouterr().err
    assert Path(manifest[1]).read_bytes() == before
