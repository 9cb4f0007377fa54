"""The access record beside an export, the report-first gate, and a redacted file attached by digest."""

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device import export_writing
from device.errors import EvidenceError
from device.evidence.access import Exported, read_access, sign_deed
from device.evidence.envelope import open_line, pre_authentication_encoding
from device.evidence.identity import Role, load_certificate
from device.evidence.records import PolicyName
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench, policy_document, recordings
from tests.cards import copy_of, record_card
from tests.commands import run

Captured = pytest.CaptureFixture[str]
FILED = "2026-09-21T16:00:00Z"


@pytest.fixture(scope="module")
def agency() -> Agency:
    return Agency()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, agency: Agency) -> Bench:
    return record_card(tmp_path_factory.mktemp("access") / "bench", agency, seconds=(3,))


def export(bench: Bench, output: Path, *more: object, filed: str | None = FILED) -> int:
    given_time = ("--report-filed", filed) if filed is not None else ()
    arguments = (
        "export", recordings(bench)[0], "--identity", bench.footage_identity, "--trust", bench.trust,
        "--export-key", bench.export_key, "--export-certificate", bench.export_certificate,
        "--recipient", "District Attorney", "--reason", "case 26-1234", *given_time, "-o", output, *more,
    )  # fmt: skip
    return run(*map(str, arguments))


def attach(bench: Bench, access: Path, redacted: Path, **options: str) -> int:
    words = {"what": "two faces blurred", "made-by": "Records Office"} | options
    arguments = ["--access", str(access), "--redacted", str(redacted)]
    arguments += ["--export-key", str(bench.export_key), "--export-certificate", str(bench.export_certificate)]
    return run("export", "attach", *arguments, *(part for key, text in words.items() for part in (f"--{key}", text)))


def verify(bench: Bench, path: Path) -> int:
    return run("verify", str(path), "--trust", str(bench.trust))


@pytest.fixture
def made(bench: Bench, tmp_path: Path, capsys: Captured) -> Path:
    """An export; its access record is beside it."""
    output = tmp_path / "made" / "out.mp4"
    output.parent.mkdir()
    assert export(bench, output) == 0
    capsys.readouterr()
    return output


def record_of(output: Path) -> Path:
    return output.with_name(output.name + ".access.jsonl")


# -- the record -------------------------------------------------------------------------------------------------------


def test_every_export_writes_who_what_when_for_whom_and_why(bench: Bench, made: Path) -> None:
    (read,) = read_access(record_of(made).read_bytes())
    deed = read.deed
    assert isinstance(deed, Exported)
    assert deed.sha256 == hashlib.sha256(made.read_bytes()).hexdigest()
    assert deed.size == made.stat().st_size
    assert (deed.device, deed.recording) == ("BC-000001", recordings(bench)[0].name)
    assert (deed.exporter, deed.recipient, deed.reason) == (
        "Demo Agency custodian",
        "District Attorney",
        "case 26-1234",
    )
    assert (deed.report_filed, deed.interval) == ("2026-09-21T16:00:00.000000Z", None)
    assert (deed.policy.id, deed.policy.version) == ("first", 1)
    assert record_of(made).stat().st_mode & 0o077 == 0


def test_a_part_says_which_seconds(bench: Bench, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    assert export(bench, output, "--from", "+1.5", "--to", "+3") == 0
    deed = read_access(record_of(output).read_bytes())[0].deed
    assert isinstance(deed, Exported)
    assert deed.interval is not None
    offsets = [at_us - deed.interval.base_us for at_us in (deed.interval.from_us, deed.interval.to_us)]
    assert (deed.interval.first, deed.interval.last, offsets) == (1, 2, [1_000_000, 3_000_000])
    assert verify(bench, output) == 0


@pytest.mark.tools("openssl")
def test_openssl_alone_checks_its_signature(made: Path, tmp_path: Path) -> None:
    line = json.loads(record_of(made).read_bytes())
    payload = base64.b64decode(line["payload"])
    (tmp_path / "signed").write_bytes(pre_authentication_encoding(line["payloadType"], payload))
    (tmp_path / "signature").write_bytes(base64.b64decode(line["signatures"][0]["sig"]))
    (tmp_path / "certificate").write_bytes(base64.b64decode(json.loads(payload)["certificate"]))
    key = subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-in", str(tmp_path / "certificate"), "-noout", "-pubkey"],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    (tmp_path / "key").write_bytes(key)
    checked = ["openssl", "dgst", "-sha256", "-verify", "key", "-signature", "signature", "signed"]
    assert subprocess.run(checked, cwd=tmp_path, check=True, capture_output=True).stdout == b"Verified OK\n"


def test_verify_says_what_it_is_and_finds_the_file(bench: Bench, made: Path, capsys: Captured) -> None:
    assert verify(bench, record_of(made)) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "by Demo Agency custodian for District Attorney (case 26-1234); report filed 2026-09-21T16:00" in shown
    assert "the file that it names is out.mp4: its bytes are those that it says" in shown


def test_a_renamed_file_is_found_by_its_bytes(bench: Bench, made: Path, capsys: Captured) -> None:
    made.rename(made.with_name("exhibit.mp4"))
    assert verify(bench, record_of(made)) == 0
    assert "exhibit.mp4" in capsys.readouterr().out


def test_another_file_in_its_place_is_altered(bench: Bench, made: Path) -> None:
    data = made.read_bytes()
    made.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert verify(bench, record_of(made)) == 1
    made.unlink()
    assert verify(bench, record_of(made)) == 4


def test_under_another_ca_the_exporter_is_not_trusted(made: Path, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_bytes(Agency("Other").ca_pem())
    assert run("verify", str(record_of(made)), "--trust", str(tmp_path / "other.pem")) == 3


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.EXPORT])
def test_a_record_signed_in_another_role_is_not_trusted(role: Role, bench: Bench, agency: Agency, made: Path) -> None:
    """What the command refuses to sign, and what a reader makes of it when someone signs it all the same."""
    issued = agency.issue("Demo Agency custodian", role)
    deed = read_access(record_of(made).read_bytes())[0].deed
    forged = msgspec.structs.replace(deed, certificate=base64.b64encode(issued.certificate).decode())
    record_of(made).write_bytes(sign_deed(forged, issued.signer))
    assert verify(bench, record_of(made)) == 3


def test_a_record_that_its_certificates_key_did_not_sign_is_altered(bench: Bench, agency: Agency, made: Path) -> None:
    """Another reason, under the exporter's certificate, signed by someone else of the same role."""
    deed = read_access(record_of(made).read_bytes())[0].deed
    assert isinstance(deed, Exported)
    other = agency.issue("Demo Agency custodian", Role.EXPORT)
    record_of(made).write_bytes(sign_deed(msgspec.structs.replace(deed, reason="another"), other.signer))
    assert verify(bench, record_of(made)) == 1


def test_the_command_signs_with_no_other_role(bench: Bench, agency: Agency, tmp_path: Path, capsys: Captured) -> None:
    output = tmp_path / "out.mp4"
    (tmp_path / "policy.der").write_bytes(agency.policy_signer.certificate)
    assert export(bench, output, "--export-certificate", tmp_path / "policy.der", "--export-key", bench.policy_key) == 2
    err = capsys.readouterr().err
    assert "not for the role export" in err
    assert err.count("\n") == 1
    assert not output.exists()


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_access_record_is_read_or_refused(data: st.DataObject, good: bytes) -> None:
    """And no changed byte of one is accepted: every byte is signed, or has one spelling."""
    at = data.draw(st.integers(0, len(good) - 1))
    changed = good[:at] + data.draw(st.binary(max_size=4)) + good[at + data.draw(st.integers(0, 4)) :]
    try:
        deeds = read_access(changed)
    except EvidenceError:
        return
    assert changed == good
    assert len(deeds) == 1


@pytest.fixture(scope="module")
def good(agency: Agency) -> bytes:
    """An access record of one line."""
    deed = Exported(
        utc="2026-09-21T16:00:00.000000Z", exporter="Demo Agency custodian",
        certificate=base64.b64encode(agency.exporter.certificate).decode(), size=1, sha256="0" * 64,
        device="BC-000001", recording="000001-0123456789abcdef", interval=None,
        policy=PolicyName(id="first", version=1, sha256="0" * 64), withheld_from=(), end_points=(),
        recipient="court", reason="case", report_filed=None,
    )  # fmt: skip
    return sign_deed(deed, agency.exporter.signer)


# -- the report first -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory, agency: Agency) -> Bench:
    """Recorded under a policy that lets the wearer see footage before the report."""
    bench = make_bench(tmp_path_factory.mktemp("lenient") / "bench", agency=agency, pre_event_s=2, post_event_s=1)
    document = policy_document(2, 1, version=2).replace(b"review_before_report = false", b"review_before_report = true")
    bench.offered_policy.write_bytes(agency.bundle(document))
    twin = VirtualDevice(bench)
    twin.boot()
    twin.run(3)
    twin.record(2)
    twin.stop()
    return bench


def test_no_footage_before_the_report_where_the_policy_asks_it(bench: Bench, tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    assert export(bench, folder / "out.mp4", filed=None) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "the policy in force, first 1, wants the wearer's report before anyone sees footage" in said.err
    assert "--report-filed TIME" in said.err
    assert list(folder.iterdir()) == []


def test_no_gate_where_the_policy_has_none(lenient: Bench, tmp_path: Path) -> None:
    assert export(lenient, tmp_path / "out.mp4", filed=None) == 0
    deed = read_access(record_of(tmp_path / "out.mp4").read_bytes())[0].deed
    assert isinstance(deed, Exported)
    assert deed.report_filed is None
    assert deed.policy.version == 2


def test_what_the_policy_wants_is_asked_where_it_is_missing(lenient: Bench, tmp_path: Path, capsys: Captured) -> None:
    """A recording's folder taken off its card: nothing tells what the policy wants, so the report is wanted."""
    bench = copy_of(lenient, tmp_path / "bench")
    (tmp_path / "aside").mkdir()
    for name in ("policy", "journal"):
        (bench.card / name).rename(tmp_path / "aside" / name)
    assert export(bench, tmp_path / "out.mp4", filed=None) == 2
    assert "can't be read here, so whether it wants the wearer's report first is not known" in capsys.readouterr().err
    assert export(bench, tmp_path / "out.mp4") == 4
    assert verify(bench, tmp_path / "out.mp4") == 4


@pytest.mark.parametrize(
    ("filed", "word"),
    [
        ("yesterday", "not a time"),
        ("2026-09-21T16:00:00", "it has no zone"),
        ("2026-09-21T10:00:00Z", "before the recording began"),
        ("0001-01-01T00:00:00+14:00", "not a time"),
        ("", "not a time"),
    ],
)
def test_a_time_of_the_report_that_is_none_is_refused(
    filed: str, word: str, bench: Bench, tmp_path: Path, capsys: Captured
) -> None:
    assert export(bench, tmp_path / "out.mp4", filed=filed) == 2
    err = capsys.readouterr().err
    assert word in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out.mp4").exists()


def test_who_gets_none_without_a_court_is_said(agency: Agency, tmp_path: Path, capsys: Captured) -> None:
    bench = make_bench(tmp_path / "bench", agency=agency, pre_event_s=2, post_event_s=1)
    document = policy_document(2, 1, version=2).replace(
        b"withheld_from = []", b'withheld_from = ["immigration-enforcement"]'
    )
    assert b"immigration-enforcement" in document
    bench.offered_policy.write_bytes(agency.bundle(document))
    twin = VirtualDevice(bench)
    twin.boot()
    twin.run(3)
    twin.record(1)
    twin.stop()
    assert export(bench, tmp_path / "out.mp4") == 0
    assert "withholds footage without a court from: immigration-enforcement" in capsys.readouterr().out
    deed = read_access(record_of(tmp_path / "out.mp4").read_bytes())[0].deed
    assert isinstance(deed, Exported)
    assert deed.withheld_from == ("immigration-enforcement",)


# -- times and texts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--from", "+x"), "--from +x: give seconds"),
        (("--from", "+-1"), "--from +-1: give seconds"),
        (("--from", "+inf"), "--from +inf: give seconds"),
        (("--from", "+1e9"), "--from +1e9: give seconds"),
        (("--from", "noon"), "--from noon: not a time"),
        (("--to", "2026-09-21"), "--to 2026-09-21: it has no zone"),
        (("--from", "+3", "--to", "+2"), "the one must be before the other"),
        (("--from", "+500"), "nothing was recorded"),
        (("--recipient", ""), "--recipient"),
        (("--reason", "a\nb"), "--reason"),
        (("--reason", "x" * 501), "--reason"),
    ],
)
def test_what_can_not_be_asked_for_is_one_message(
    options: tuple[str, ...], word: str, bench: Bench, tmp_path: Path, capsys: Captured
) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    assert export(bench, folder / "out.mp4", *options) == 2
    said = capsys.readouterr()
    assert word in said.err
    assert said.err.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_wall_time_is_the_label_of_the_recording(bench: Bench, tmp_path: Path, capsys: Captured) -> None:
    """The recording begins at 14:13:26 (boot second 1): its second 1 to 3 by the clock on the wall, in another zone."""
    opened = "2026-09-21T14:13:28.270000Z"
    begin, end = "2026-09-21T16:13:27.100+02:00", "2026-09-21T14:13:28.900Z"
    assert export(bench, tmp_path / "out.mp4", "--from", begin, "--to", end, "--json") == 0
    assert json.loads(capsys.readouterr().out)["recording"]["opened_utc"] == opened
    deed = read_access(record_of(tmp_path / "out.mp4").read_bytes())[0].deed
    assert isinstance(deed, Exported)
    assert deed.interval is not None
    assert (deed.interval.first, deed.interval.last) == (1, 2)


# -- both or neither --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", [1, 2])
def test_both_files_are_there_or_neither(
    failing: int, bench: Bench, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first or the second of the two can't be put in its place."""
    folder = tmp_path / "exports"
    folder.mkdir()
    replace, calls = Path.replace, 0

    def refuse(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    assert export(bench, folder / "out.mp4") == 2
    assert "No space left on device" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_a_record_that_is_there_is_not_replaced_unasked(bench: Bench, made: Path, capsys: Captured) -> None:
    before = record_of(made).read_bytes()
    made.unlink()
    assert export(bench, made) == 2
    assert "--force" in capsys.readouterr().err
    assert record_of(made).read_bytes() == before
    assert not made.exists()
    assert export(bench, made, "--force") == 0
    assert record_of(made).read_bytes() != before


def test_the_signer_fails_before_anything_is_in_place(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    folder = tmp_path / "exports"
    folder.mkdir()
    monkeypatch.setattr(export_writing, "sign_deed", broken)
    assert export(bench, folder / "out.mp4") == 2
    assert list(folder.iterdir()) == []


# -- redacted ---------------------------------------------------------------------------------------------------------


def test_a_redacted_file_is_attached_by_digest(bench: Bench, made: Path, capsys: Captured) -> None:
    redacted = made.with_name("redacted.mp4")
    redacted.write_bytes(b"made elsewhere")
    before = record_of(made).read_bytes()
    assert attach(bench, record_of(made), redacted) == 0
    data = record_of(made).read_bytes()
    assert data.startswith(before)
    first, second = read_access(data)
    assert second.deed.sha256 == hashlib.sha256(b"made elsewhere").hexdigest()
    assert second.deed.prev == open_line(before.rstrip(b"\n")).sha256
    assert getattr(second.deed, "source_sha256", "") == first.deed.sha256
    assert verify(bench, record_of(made)) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "made by Records Office: two faces blurred" in shown
    assert "the file that it names is redacted.mp4" in shown
    redacted.write_bytes(b"made otherwise")
    assert verify(bench, record_of(made)) == 4


DAMAGED: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "the first line gone": lambda lines: lines[1:],
    "the order": lambda lines: lines[::-1],
    "a line twice": lambda lines: [*lines, lines[-1]],
    "the first twice": lambda lines: [lines[0], *lines],
    "a middle line gone": lambda lines: [lines[0], *lines[2:]],
}


@pytest.mark.parametrize("case", DAMAGED)
def test_its_lines_can_not_be_edited(case: str, bench: Bench, made: Path, capsys: Captured) -> None:
    for n in (1, 2):
        redacted = made.with_name(f"redacted-{n}.mp4")
        redacted.write_bytes(b"made elsewhere %d" % n)
        assert attach(bench, record_of(made), redacted) == 0
    lines = record_of(made).read_bytes().splitlines(keepends=True)
    record_of(made).write_bytes(b"".join(DAMAGED[case](lines)))
    assert verify(bench, record_of(made)) == 1
    assert attach(bench, record_of(made), made.with_name("redacted-1.mp4")) == 2


@pytest.mark.parametrize("kind", ["no record", "no redacted", "the export itself", "a folder"])
def test_what_can_not_be_attached_is_one_message(kind: str, bench: Bench, made: Path, capsys: Captured) -> None:
    access, redacted = record_of(made), made.with_name("redacted.mp4")
    redacted.write_bytes(b"made elsewhere")
    before = access.read_bytes()
    given_paths = {
        "no record": (made.with_name("none.access.jsonl"), redacted),
        "no redacted": (access, made.with_name("none.mp4")),
        "the export itself": (access, made),
        "a folder": (access, made.parent),
    }
    assert attach(bench, *given_paths[kind]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert access.read_bytes() == before


@pytest.mark.parametrize(("since", "status"), [("2020-01-01T00:00:00+00:00", 3), ("2999-01-01T00:00:00+00:00", 0)])
def test_an_exporter_whose_certificate_was_taken_back(
    since: str, status: int, agency: Agency, bench: Bench, made: Path, tmp_path: Path
) -> None:
    moment = datetime.fromisoformat(since)
    serial = load_certificate(bench.export_certificate.read_bytes()).serial_number
    entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment)
    entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags.superseded), critical=False)
    crl = x509.CertificateRevocationListBuilder().issuer_name(agency.ca.subject).last_update(moment)
    crl = crl.next_update(moment + timedelta(days=1)).add_revoked_certificate(entry.build())
    path = tmp_path / "crl"
    path.write_bytes(crl.sign(agency._ca_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    assert run("verify", str(record_of(made)), "--trust", str(bench.trust), "--revoked", str(path)) == status
