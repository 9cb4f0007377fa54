"""Keys that the agency took back: what they signed before counts, unless nothing but the lost key itself says when."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from device.errors import UsageError
from device.evidence import layout, records
from device.evidence.envelope import line_digest, open_line
from device.evidence.identity import load_anchors, load_certificate
from device.evidence.revocation import Revocations, load_revocations
from device.evidence.verdicts import CardVerdict
from device.evidence.verify import verify
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests import commands
from tests.benches import make_bench, shown
from tests.cards import changed, copy_of, device_signer, folder_of, lie_in_ledger, lines_of
from tests.rotations import rotate
from tests.stores import Store

RECORDED = datetime(2026, 9, 21, 14, tzinfo=UTC)
"""Just before the day's recording: simulated time begins at 14:13."""
BEFORE, AFTER = RECORDED - timedelta(days=5), RECORDED + timedelta(days=5)
Reason = x509.ReasonFlags
Building = Callable[[x509.CertificateRevocationListBuilder], x509.CertificateRevocationListBuilder]


@pytest.fixture(scope="module")
def agency() -> Agency:
    return Agency(now=datetime(2026, 9, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, agency: Agency) -> Bench:
    root = tmp_path_factory.mktemp("revoked") / "bench"
    bench = make_bench(root, agency=agency, pre_event_s=1, post_event_s=1, audio=False)
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.record(1)
    device.stop()
    return bench


def _entry(
    certificate: bytes, since: datetime, reason: Reason | None, invalid: datetime | None = None
) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(load_certificate(certificate).serial_number)
    builder = builder.revocation_date(since)
    if reason is not None:
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    if invalid is not None:
        builder = builder.add_extension(x509.InvalidityDate(invalid), critical=False)
    return builder.build()


def _crl(
    agency: Agency, *entries: x509.RevokedCertificate, also: Building = lambda b: b
) -> x509.CertificateRevocationList:
    builder = x509.CertificateRevocationListBuilder().issuer_name(agency.ca.subject)
    builder = builder.last_update(AFTER + timedelta(days=1)).next_update(AFTER + timedelta(days=30))
    for entry in entries:
        builder = builder.add_revoked_certificate(entry)
    return also(builder).sign(agency._ca_key, hashes.SHA256())


def _revoked(path: Path, agency: Agency, *entries: x509.RevokedCertificate, encoding: Encoding = Encoding.PEM) -> Path:
    path.write_bytes(_crl(agency, *entries).public_bytes(encoding))
    return path


def _judged(bench: Bench, crl: Path) -> CardVerdict:
    anchors = load_anchors(bench.trust)
    return verify(bench.card, anchors, revoked=load_revocations(crl, anchors))


def _device(bench: Bench) -> bytes:
    return (bench.root / "device" / "device.der").read_bytes()


# -- the device's key ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [Reason.superseded, Reason.cessation_of_operation, Reason.affiliation_changed])
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_no_longer_needed_after_it_signed(
    bench: Bench, agency: Agency, tmp_path: Path, reason: Reason, encoding: Encoding
) -> None:
    """It counts, and that is said."""
    crl = _revoked(tmp_path / "crl", agency, _entry(_device(bench), AFTER, reason), encoding=encoding)
    verdict = _judged(bench, crl)
    assert verdict.exit_status == 0, shown(verdict)
    said = verdict.recordings[0].answers.signer_said
    assert "its certificate was revoked from 2026-09-26T14:00:00+00:00 on (" in said
    assert said.endswith("), after it signed (claimed time)")
    assert [f.what for f in verdict.findings] == [
        "revoked certificates as of 2026-09-27T14:00:00+00:00: what was revoked later is not known"
    ]


def test_no_longer_needed_before_it_signed(bench: Bench, agency: Agency, tmp_path: Path) -> None:
    crl = _revoked(tmp_path / "crl", agency, _entry(_device(bench), BEFORE, Reason.superseded))
    verdict = _judged(bench, crl)
    assert (verdict.exit_status, verdict.verdict) == (3, "signer not trusted"), shown(verdict)
    said = "its certificate was revoked from 2026-09-16T14:00:00+00:00 on (superseded), before it signed"
    assert verdict.recordings[0].answers.signer_said == said
    assert [(f.place, f.what) for f in verdict.findings if f.question == "signer"] == [("journal/000000.jsonl", said)]


@pytest.mark.parametrize(
    "reason",
    [
        Reason.key_compromise,
        Reason.ca_compromise,
        Reason.aa_compromise,
        Reason.unspecified,
        Reason.privilege_withdrawn,
        None,
    ],
)
@pytest.mark.parametrize("since", [BEFORE, AFTER])
def test_lost(bench: Bench, agency: Agency, tmp_path: Path, reason: Reason | None, since: datetime) -> None:
    """Whenever: the claimed time is the word of whoever has the key."""
    verdict = _judged(bench, _revoked(tmp_path / "crl", agency, _entry(_device(bench), since, reason)))
    assert verdict.exit_status == 3, shown(verdict)
    assert verdict.recordings[0].answers.signer == "not-trusted"
    assert verdict.recordings[0].answers.content == "matches"
    assert verdict.recordings[0].answers.signer_said.endswith(
        "whoever has the key can claim any time, and nothing from outside proves that it signed before"
    )


def test_a_stolen_device_key(bench: Bench, agency: Agency, tmp_path: Path) -> None:
    """A thief with key and card writes recording and journal anew, of another day. Only the revocation shows it."""
    forged = copy_of(bench, tmp_path / "bench")
    signer = device_signer(forged)

    def of_another_day(lines: list[bytes]) -> list[bytes]:
        return [changed(line, signer, utc="2026-09-10T08:00:00.000000Z") for line in lines]

    lie_in_ledger(forged, folder_of(forged, 0), of_another_day)
    crl = _revoked(tmp_path / "crl", agency, _entry(_device(bench), AFTER, Reason.key_compromise))
    empty = _revoked(tmp_path / "empty", agency)
    unknowing, knowing = _judged(forged, empty), _judged(forged, crl)
    assert unknowing.recordings[0].verdict == "intact", shown(unknowing)
    assert knowing.recordings[0].answers.signer == "not-trusted"
    assert "(key compromise)" in knowing.recordings[0].answers.signer_said


def test_a_proof_from_outside_helps_a_lost_key(bench: Bench, agency: Agency, tmp_path: Path) -> None:
    crl = _revoked(tmp_path / "crl", agency, _entry(_device(bench), AFTER, Reason.key_compromise))
    revocations = load_revocations(crl, load_anchors(bench.trust))
    certificate = load_certificate(_device(bench))
    why, said = revocations.judge(certificate, None, AFTER - timedelta(seconds=1))
    assert why == ""
    assert said.endswith("(key compromise), after it signed: proven from outside by 2026-09-26T13:59:59+00:00")
    for late in (AFTER, AFTER + timedelta(days=1)):
        why, _ = revocations.judge(certificate, RECORDED, late)
        assert why.endswith("nothing from outside proves that it signed before")


def test_the_day_on_which_the_key_was_lost_counts(bench: Bench, agency: Agency, tmp_path: Path) -> None:
    """It is before the day on which it was revoked."""
    entry = _entry(_device(bench), AFTER, Reason.key_compromise, invalid=BEFORE)
    revocations = load_revocations(_revoked(tmp_path / "crl", agency, entry), load_anchors(bench.trust))
    why, _ = revocations.judge(load_certificate(_device(bench)), RECORDED, RECORDED)
    assert why.startswith("its certificate was revoked from 2026-09-16T14:00:00+00:00 on (key compromise)")


def test_a_clock_that_was_not_set(bench: Bench, agency: Agency, tmp_path: Path) -> None:
    crl = _revoked(tmp_path / "crl", agency, _entry(_device(bench), AFTER, Reason.superseded))
    why, _ = load_revocations(crl, load_anchors(bench.trust)).judge(load_certificate(_device(bench)), None)
    assert why.endswith("and its clock was not set: whether it signed before is not known")


def test_the_old_key_of_a_rotation_is_lost(bench: Bench, agency: Agency, tmp_path: Path) -> None:
    """What the new key records is still trusted."""
    rotated = copy_of(bench, tmp_path / "bench")
    old = _device(rotated)
    rotate(rotated, agency)
    device = VirtualDevice(rotated)
    device.boots = 1
    device.boot()
    device.run(2)
    device.record(1)
    device.stop()
    verdict = _judged(rotated, _revoked(tmp_path / "crl", agency, _entry(old, AFTER, Reason.key_compromise)))
    assert [r.answers.signer for r in verdict.recordings] == ["not-trusted", "trusted"], shown(verdict)
    assert [f.place for f in verdict.findings if f.question == "signer"] == ["journal/000000.jsonl"]


@pytest.mark.parametrize(
    ("at", "day", "signers", "journals"),
    [
        (-1, 22, ["trusted", "trusted"], []),
        (-2, 22, ["trusted", "trusted"], ["journal/000000.jsonl"]),
        (-1, 28, ["not-trusted", "trusted"], ["journal/000000.jsonl"]),
    ],
    ids=["in time", "but for its last line", "too late"],
)
def test_the_agency_saw_the_journal_of_a_key_that_was_lost_later(
    bench: Bench, agency: Agency, tmp_path: Path, at: int, day: int, signers: list[str], journals: list[str]
) -> None:
    """Its word is in the new key's journal, and is of a line of the old key's, which was lost on the 26th."""
    rotated = copy_of(bench, tmp_path / "bench")
    old = _device(rotated)
    line = lines_of(rotated.card / layout.epoch_file("000000"))[at]
    record = records.decode_journal(open_line(line).payload)
    head = records.Line(stream=record.stream, seq=record.seq, sha256=line_digest(line))
    rotate(rotated, agency)
    device = VirtualDevice(rotated)
    device.boots = 1
    device.boot()
    Store(agency, rotated.card).cosign(head, utc=f"2026-09-{day}T08:00:00.000000Z")
    device.run(5)
    device.record(1)
    device.stop()
    assert not list((rotated.card / layout.SPOOL).iterdir())
    verdict = _judged(rotated, _revoked(tmp_path / "crl", agency, _entry(old, AFTER, Reason.key_compromise)))
    assert [r.answers.signer for r in verdict.recordings] == signers, shown(verdict)
    assert [f.place for f in verdict.findings if f.question == "signer"] == journals, shown(verdict)
    assert [f.what for f in verdict.findings if f.question == "content"] == []


# -- the agency's keys ----------------------------------------------------------------------------------------------


def test_a_lost_provisioner(bench: Bench, agency: Agency, tmp_path: Path) -> None:
    entry = _entry(agency.provisioner.certificate, AFTER, Reason.key_compromise)
    verdict = _judged(bench, _revoked(tmp_path / "crl", agency, entry))
    assert verdict.exit_status == 3
    assert [f.place for f in verdict.findings if f.question == "signer"] == ["journal/000000.jsonl, line 0"]
    entry = _entry(agency.provisioner.certificate, AFTER, Reason.superseded)
    assert _judged(bench, _revoked(tmp_path / "crl", agency, entry)).exit_status == 0


def test_a_lost_policy_key(bench: Bench, agency: Agency, tmp_path: Path) -> None:
    entry = _entry(agency.policy_signer.certificate, AFTER, Reason.key_compromise)
    verdict = _judged(bench, _revoked(tmp_path / "crl", agency, entry))
    assert verdict.exit_status == 3
    said = [f.what for f in verdict.findings if f.question == "signer"]
    assert len(said) == 1
    assert said[0].startswith("the policy that was in force: its certificate was revoked from 2026-09-26")
    entry = _entry(agency.policy_signer.certificate, AFTER, Reason.superseded)
    assert _judged(bench, _revoked(tmp_path / "crl", agency, entry)).exit_status == 0


def test_another_cas_certificate_of_the_same_number(bench: Bench, agency: Agency, tmp_path: Path) -> None:
    """A list speaks of its own CA's certificates only, even where two CAs are trusted and have one name."""
    other = Agency(now=datetime(2026, 9, 1, tzinfo=UTC))
    crl = _revoked(tmp_path / "crl", other, _entry(_device(bench), BEFORE, Reason.key_compromise))
    anchors = (agency.ca, other.ca)
    assert verify(bench.card, anchors, revoked=load_revocations(crl, anchors)).exit_status == 0


# -- lists --------------------------------------------------------------------------------------------------------


def _refused(path: Path, agency: Agency, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(UsageError) as failure:
        load_revocations(path, (agency.ca,))
    assert str(failure.value).startswith(f"--revoked {path}: ")
    return str(failure.value).removeprefix(f"--revoked {path}: ")


def test_lists_that_are_refused(agency: Agency, tmp_path: Path) -> None:
    good = _crl(agency)
    der, pem = good.public_bytes(Encoding.DER), good.public_bytes(Encoding.PEM)
    delta = _crl(agency, also=lambda b: b.add_extension(x509.DeltaCRLIndicator(1), critical=True))
    of_another = x509.RevokedCertificateBuilder().serial_number(7).revocation_date(AFTER)
    of_another = of_another.add_extension(x509.CertificateIssuer([x509.DNSName("another")]), critical=True)
    path = tmp_path / "crl"
    wanted = "; give a revocation list (CRL, PEM or DER) that a CA of --trust signed"
    assert _refused(path, agency, _crl(Agency()).public_bytes(Encoding.PEM)) == f"no CA of --trust signed it{wanted}"
    flipped = der[:-5] + bytes([der[-5] ^ 1]) + der[-4:]
    assert _refused(path, agency, flipped) == f"no CA of --trust signed it{wanted}"
    assert _refused(path, agency, delta.public_bytes(Encoding.DER)) == f"it is not a whole list of one CA{wanted}"
    indirect = _crl(agency, of_another.build()).public_bytes(Encoding.DER)
    assert _refused(path, agency, indirect).startswith("an entry says what this reader does not know")
    for data in (b"", b"-----", b"\x30", der[:-1], pem + b"more", agency.ca_pem()):
        assert _refused(path, agency, data).endswith(wanted)
    assert _refused(path, agency, bytes(16 * 1024 * 1024 + 1)) == f"more than 16777216 bytes{wanted}"
    with pytest.raises(UsageError, match="No such file or directory; give a revocation list"):
        load_revocations(tmp_path / "nothing", (agency.ca,))


def test_several_lists_in_one_file(bench: Bench, agency: Agency, tmp_path: Path) -> None:
    other = Agency()
    lists = [_crl(other), _crl(agency, _entry(_device(bench), BEFORE, Reason.superseded))]
    (tmp_path / "crl").write_bytes(b"".join(crl.public_bytes(Encoding.PEM) for crl in lists))
    anchors = (other.ca, agency.ca)
    revocations = load_revocations(tmp_path / "crl", anchors)
    assert len(revocations.said) == 2
    assert verify(bench.card, anchors, revoked=revocations).exit_status == 3


_AGENCY = Agency()
_DER = _crl(_AGENCY, _entry(_AGENCY.exporter.certificate, AFTER, Reason.key_compromise, BEFORE)).public_bytes(
    Encoding.DER
)


@given(at=st.integers(0, 400), put=st.binary(max_size=8), cut=st.integers(0, 8))
def test_any_bytes_are_a_list_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, put: bytes, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.crl"
    path.write_bytes(_DER[:at] + put + _DER[at + cut :])
    try:
        revocations = load_revocations(path, (_AGENCY.ca,))
    except UsageError:
        return
    assert revocations.of(load_certificate(_AGENCY.exporter.certificate)) is not None


def test_nothing_is_revoked_without_a_list(bench: Bench) -> None:
    assert Revocations().judge(load_certificate(_device(bench)), None) == ("", "")


def test_the_command(bench: Bench, agency: Agency, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crl = _revoked(tmp_path / "crl.pem", agency, _entry(_device(bench), AFTER, Reason.key_compromise))
    verifying = ["verify", str(bench.card), "--trust", str(bench.trust)]
    assert commands.run(*verifying, "--revoked", str(crl)) == 3
    out = " ".join(capsys.readouterr().out.split())
    assert "signer not trusted" in out
    assert "(key compromise)" in out
    assert commands.run(*verifying) == 0
    assert commands.run(*verifying, "--revoked", str(bench.trust)) == 2
    assert "give a revocation list" in capsys.readouterr().err


def test_the_audit_takes_a_list_too(
    bench: Bench, agency: Agency, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crl = _revoked(tmp_path / "crl.pem", agency, _entry(_device(bench), AFTER, Reason.key_compromise))
    given = ["--trust", str(bench.trust), "--context-identity", str(bench.context_identity)]
    folder = str(folder_of(bench, 0))
    for asked, says in (
        (["audit", str(bench.card)], "(key compromise)"),
        (["report", str(bench.card), "--json"], "(key compromise)"),
        (["policy", "explain", folder], "signer not trusted"),
    ):
        assert commands.run(*asked, *given) == 0
        assert commands.run(*asked, *given, "--revoked", str(crl)) == 3
        assert says in capsys.readouterr().out
    assert commands.run("audit", str(bench.card), *given, "--revoked", str(bench.trust)) == 2
    assert "give a revocation list" in capsys.readouterr().err
