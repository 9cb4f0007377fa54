"""A key takes the place of another: one history, each recording under its own certificate, and no graft."""

import base64
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from device.errors import ConfigurationError, EvidenceError, UsageError
from device.evidence import layout, records
from device.evidence.chain import Chain
from device.evidence.documents import read_identities
from device.evidence.envelope import line_digest, open_line, sign_line
from device.evidence.history import History, read_history
from device.evidence.identity import Role, load_anchors, load_certificate, p256_key
from device.evidence.keys import make_key
from device.evidence.records import (
    Boot,
    Fault,
    ForeignCard,
    RecordingEnded,
    RecordingRecovered,
    Rotation,
    Stopped,
)
from device.evidence.rotation import make_rotation, open_rotation, why_not_signed_by_both
from hw_sim.agency import Agency, Bench, Issued, KeySigner
from hw_sim.clock import VirtualClock
from hw_sim.virtual import VirtualDevice
from tests import commands
from tests.auditors import audited
from tests.benches import make_bench, policy_document, recordings, shown, without_media
from tests.cards import all_findings, copy_of, edit_lines, folder_of, judged, lines_of, write_lines
from tests.exports import exported, judged_export, seconds
from tests.rotations import UTC, give_key, held, name_rotation, rotate
from tests.tokens import put_key, token_uri

OTHER = "BC-000002"


@pytest.fixture(scope="module")
def agency() -> Agency:
    return Agency()


def _bench(root: Path, agency: Agency, device: str = "BC-000001") -> Bench:
    return make_bench(root, agency=agency, device=device, pre_event_s=1, post_event_s=1, audio=False)


def _record(bench: Bench) -> VirtualDevice:
    """One boot with one recording, and a clean stop."""
    device = _device(bench)
    device.boot()
    device.run(2)
    device.record(1)
    device.stop()
    return device


def _device(bench: Bench) -> VirtualDevice:
    """One whose next boot is none of those on the card."""
    device = VirtualDevice(bench)
    device.boots = len(list((bench.card / layout.JOURNAL).glob("*")))
    return device


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, agency: Agency) -> Bench:
    """A card with one recording, by the first key."""
    bench = _bench(tmp_path_factory.mktemp("before") / "bench", agency)
    _record(bench)
    return bench


@pytest.fixture(scope="module")
def rotated(tmp_path_factory: pytest.TempPathFactory, before: Bench, agency: Agency) -> Bench:
    """The same, with one more recording, by the second key."""
    bench = copy_of(before, tmp_path_factory.mktemp("rotated") / "bench")
    rotate(bench, agency)
    _record(bench)
    return bench


def _history(bench: Bench) -> History:
    return read_history(bench.card, read_identities(bench.card), load_anchors(bench.trust))


def _boots(bench: Bench) -> list[Boot]:
    return [epoch.boot for epoch in _history(bench).epochs]


def _said(bench: Bench) -> list[str]:
    return [f.what for f in all_findings(judged(bench)) if f.question == "content"]


# -- one history ----------------------------------------------------------------------------------------------------


def test_the_new_key_goes_on_with_the_journal_of_the_old(rotated: Bench, before: Bench) -> None:
    verdict = judged(rotated, read=True)
    assert (verdict.exit_status, verdict.findings) == (0, ()), shown(verdict)
    assert [r.verdict for r in verdict.recordings] == ["intact", "intact"]
    first, second = _history(rotated).epochs
    assert (first.chain, second.chain) == (0, 0)
    assert first.boot.rotation is None
    assert second.boot.previous is not None
    assert second.boot.previous.last == first.lines[-1].place
    assert second.boot.rotation is not None
    document = open_rotation(base64.b64decode(second.boot.rotation))
    assert document.said.old_certificate_sha256 == held(before)[0].certificate_sha256
    assert document.said.new_certificate_sha256 == held(rotated)[0].certificate_sha256
    line = lines_of(rotated.card / layout.epoch_file("000001"))[0]
    assert records.decode_provisioned(open_line(line).payload).certificate_sha256 == held(rotated)[0].certificate_sha256


def test_each_recording_is_under_its_own_certificate(rotated: Bench, before: Bench) -> None:
    named = []
    for n in range(2):
        line = lines_of(folder_of(rotated, n) / layout.LEDGER)[0]
        opened = records.decode_ledger(open_line(line).payload)
        assert isinstance(opened, records.RecordingOpened)
        named.append(opened.certificate_sha256)
    assert named == [held(before)[0].certificate_sha256, held(rotated)[0].certificate_sha256]


def test_what_the_new_key_recorded_is_exported_with_the_statement_about_that_key(
    rotated: Bench, tmp_path: Path
) -> None:
    for n, folder in enumerate(recordings(rotated)):
        for choose in (lambda _: None, seconds(0, 1)):
            exported(rotated, folder, tmp_path / f"{n}.mp4", choose)
            verdict = judged_export(rotated, tmp_path / f"{n}.mp4")
            assert (verdict.exit_status, verdict.findings) == (0, ())


def test_the_audit_runs_across_it(rotated: Bench) -> None:
    audit = audited(rotated)
    assert (audit.exit_status, audit.findings) == (0, ()), audit
    assert (audit.epochs_audited, len(audit.recordings_without_activation)) == (2, 0)


def test_the_audit_sees_an_older_policy_after_it(tmp_path: Path, agency: Agency) -> None:
    """A device never goes back to an older policy, whatever its key."""
    bench = _bench(tmp_path / "bench", agency)
    older = bench.offered_policy.read_bytes()
    bench.offered_policy.write_bytes(agency.bundle(policy_document(1, 1, version=2)))
    _record(bench)
    rotate(bench, agency)
    bench.kept_policy.unlink()
    bench.offered_policy.write_bytes(older)
    _record(bench)
    assert judged(bench).exit_status == 0
    assert "an older policy than before: version 1 after 2" in [f.what for f in audited(bench).findings]


def test_later_boots_and_a_second_rotation(rotated: Bench, tmp_path: Path, agency: Agency) -> None:
    bench = copy_of(rotated, tmp_path / "bench")
    _record(bench)
    assert [boot.rotation is None for boot in _boots(bench)] == [True, False, True]
    rotate(bench, agency)
    _record(bench)
    _record(bench)
    verdict = judged(bench)
    assert (verdict.exit_status, verdict.findings) == (0, ()), shown(verdict)
    assert [r.verdict for r in verdict.recordings] == ["intact"] * 5
    assert [boot.rotation is None for boot in _boots(bench)] == [True, False, True, False, True]
    assert not [line for e in _history(bench).epochs for line in e.lines if isinstance(line.record, Fault)]
    assert audited(bench).exit_status == 0


def test_a_new_certificate_for_the_same_key(before: Bench, tmp_path: Path, agency: Agency) -> None:
    """Renewed before it expired: a rotation too, which one key signs twice."""
    bench = copy_of(before, tmp_path / "bench")
    renewed = _renewed(bench, agency)
    rotate(bench, agency, renewed)
    _record(bench)
    verdict = judged(bench)
    assert (verdict.exit_status, verdict.findings) == (0, ()), shown(verdict)
    assert [epoch.chain for epoch in _history(bench).epochs] == [0, 0]
    _record(bench)
    assert [boot.rotation is None for boot in _boots(bench)] == [True, False, True]
    assert judged(bench).exit_status == 0


def test_a_new_certificate_for_the_same_key_and_no_rotation(before: Bench, tmp_path: Path, agency: Agency) -> None:
    """A later epoch, where no statement of the agency tells the two apart: a journal of its own."""
    bench = copy_of(before, tmp_path / "bench")
    _record(bench)
    give_key(bench, agency, _renewed(bench, agency))
    _record(bench)
    verdict = judged(bench)
    assert verdict.exit_status == 0, shown(verdict)
    assert [epoch.chain for epoch in _history(bench).epochs] == [0, 0, 1]


def _renewed(bench: Bench, agency: Agency) -> Issued:
    """Another certificate for the key that the device has."""
    key = held(bench)[0]._key
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ec, "generate_private_key", lambda _: key)
        return agency.issue("BC-000001", Role.LEDGER)


def test_a_rotation_on_an_empty_card(tmp_path: Path, agency: Agency) -> None:
    bench = _bench(tmp_path / "bench", agency)
    rotate(bench, agency)
    _record(bench)
    verdict = judged(bench)
    assert (verdict.exit_status, verdict.findings) == (0, ()), shown(verdict)
    assert [boot.rotation for boot in _boots(bench)] == [None]


def test_a_card_that_was_last_used_two_keys_ago(before: Bench, tmp_path: Path, agency: Agency) -> None:
    """Nothing on it says so: a journal of its own, and the old one stays proven. What is finished is no fault."""
    bench = copy_of(before, tmp_path / "bench")
    rotate(bench, agency)
    rotate(bench, agency)
    _record(bench)
    verdict = judged(bench)
    assert verdict.exit_status == 0, shown(verdict)
    epochs = _history(bench).epochs
    assert [epoch.chain for epoch in epochs] == [0, 1]
    assert [line.record.part for line in epochs[1].lines if isinstance(line.record, Fault)] == ["journal"]


def test_a_card_of_another_device_is_not_gone_on_with(tmp_path: Path, agency: Agency) -> None:
    theirs = _bench(tmp_path / "theirs", agency, OTHER)
    _record(theirs)
    mine = _bench(tmp_path / "mine", agency)
    shutil.rmtree(mine.card)
    shutil.copytree(theirs.card, mine.card)
    rotate(mine, agency)
    _record(mine)
    assert judged(mine).exit_status == 0
    assert [epoch.chain for epoch in _history(mine).epochs] == [0, 1]
    found = [line.record for line in _history(mine).epochs[1].lines if isinstance(line.record, ForeignCard)]
    assert [record.found_device for record in found] == [OTHER]


# -- what the old key left open -----------------------------------------------------------------------------------


def _cut_off(before: Bench, root: Path) -> Bench:
    """The first key's second recording is cut by a power loss."""
    bench = copy_of(before, root)
    device = _device(bench)
    device.boot()
    device.run(2)
    device.double()
    device.run(3)
    device.cut()
    return bench


def test_the_new_key_recovers_what_the_old_one_left(before: Bench, tmp_path: Path, agency: Agency) -> None:
    bench = _cut_off(before, tmp_path / "bench")
    rotate(bench, agency)
    _record(bench)
    verdict = judged(bench, read=True)
    assert [r.verdict for r in verdict.recordings] == ["intact", "unchanged; ended by power loss", "intact"], shown(
        verdict
    )
    assert [f.what for f in verdict.findings if f.question != "note"] == [], shown(verdict)
    recovery = lines_of(folder_of(bench, 1) / layout.recovery_file(0))
    assert isinstance(records.decode_ledger(open_line(recovery[0]).payload), RecordingRecovered)
    ended = [line.record for line in _history(bench).epochs[2].lines if isinstance(line.record, RecordingEnded)]
    assert [record.how for record in ended] == ["recovered", "closed"]
    assert audited(bench).exit_status == 4


def test_a_later_key_keeps_the_recovery_of_an_earlier_one(before: Bench, tmp_path: Path, agency: Agency) -> None:
    bench = _cut_off(before, tmp_path / "bench")
    for _ in range(3):
        rotate(bench, agency)
        _record(bench)
    verdict = judged(bench)
    assert verdict.exit_status == 4, shown(verdict)
    assert len(list(folder_of(bench, 1).glob("recovery-*.jsonl"))) == 1
    assert not [line for e in _history(bench).epochs for line in e.lines if isinstance(line.record, Fault)]


def test_a_recovery_by_a_key_that_no_rotation_led_to(before: Bench, tmp_path: Path, agency: Agency) -> None:
    """The same, signed by another key of the agency's for this very device."""
    bench = _cut_off(before, tmp_path / "bench")
    rotate(bench, agency)
    _record(bench)
    stranger = agency.issue("BC-000001", Role.LEDGER)
    path = bench.card / layout.certificate_file(stranger.signer.certificate_sha256)
    path.write_bytes(stranger.certificate)
    recovery = folder_of(bench, 1) / layout.recovery_file(0)
    signed = open_line(lines_of(recovery)[0])
    write_lines(recovery, [sign_line(stranger.signer, signed.payload_type, signed.payload)])
    verdict = judged(bench)
    assert verdict.recordings[1].verdict == "ALTERED", shown(verdict)
    assert "it does not follow the ledger" in verdict.recordings[1].findings[0].what


def test_the_old_key_has_no_say_in_what_the_new_one_recorded(rotated: Bench, tmp_path: Path, before: Bench) -> None:
    """The journal is cut before the end of the new key's recording, and whoever has the old key says that it ended so."""
    bench = copy_of(rotated, tmp_path / "bench")
    path = bench.card / layout.epoch_file("000001")
    told = [records.decode_journal(open_line(line).payload) for line in lines_of(path)[1:]]
    cut = next(n for n, r in enumerate(told) if isinstance(r, RecordingEnded))
    lie = told[cut]
    edit_lines(path, lambda lines: lines[: cut + 1])
    _put_epoch(bench, before, [ForeignCard(found_device="BC-000001", epoch="000001", sha256=_digest(path)), lie])
    verdict = judged(bench)
    assert verdict.recordings[1].answers.content == "altered", shown(verdict)
    said = "the journal of another key holds a recording of this name: it was put in its place"
    assert said in [f.what for f in verdict.recordings[1].findings]


def _digest(path: Path) -> str:
    return line_digest(path.read_bytes())


def _put_epoch(bench: Bench, old: Bench, said: list[records.JournalRecord]) -> None:
    """A journal of its own, by the key of `old`, behind all that is there."""
    statement = (old.root / "device" / "provisioning.jsonl").read_bytes().rstrip(b"\n")
    boot = _boots(old)[0]
    chain = Chain(held(old)[0], VirtualClock("boot-9"), boot.device, "000002", 1, line_digest(statement))
    lines = [
        chain.next_line(r) for r in (msgspec.structs.replace(boot, epoch="000002"), *said, Stopped(reason="shutdown"))
    ]
    (bench.card / layout.epoch_file("000002")).write_bytes(statement + b"\n" + b"".join(lines))


# -- what is taken away across it -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epoch", "what"),
    [
        (
            "000000",
            "it goes on with the journal before it, under another key: the journal of the key before is missing",
        ),
        ("000001", "no line of it can be believed: the signature is not by the key of this device"),
    ],
)
def test_an_epoch_beside_the_rotation_is_missing(rotated: Bench, tmp_path: Path, epoch: str, what: str) -> None:
    bench = copy_of(rotated, tmp_path / "bench")
    _record(bench)
    (bench.card / layout.epoch_file(epoch)).unlink()
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert what in [f.what for f in verdict.findings], shown(verdict)


def test_the_old_keys_journal_is_rolled_back(rotated: Bench, tmp_path: Path) -> None:
    bench = copy_of(rotated, tmp_path / "bench")
    edit_lines(bench.card / layout.epoch_file("000000"), lambda lines: lines[:-1])
    assert any("which epoch 000001 follows, is missing or changed" in what for what in _said(bench))


def test_the_old_keys_journal_is_gone_on_with_by_whoever_has_that_key(
    rotated: Bench, before: Bench, tmp_path: Path
) -> None:
    """Forked: more lines of the old key behind the one from which the new key goes on."""
    bench = copy_of(rotated, tmp_path / "bench")
    path = bench.card / layout.epoch_file("000000")
    last = records.decode_journal(open_line(lines_of(path)[-1]).payload)
    more = msgspec.structs.replace(last, seq=last.seq + 1, prev=line_digest(lines_of(path)[-1]))
    edit_lines(path, lambda lines: [*lines, sign_line(held(before)[0], records.RECORD_TYPE, records.encode(more))])
    assert any("is not what epoch 000001 found there" in what for what in _said(bench))


def test_an_outside_head_of_the_old_keys_journal_is_still_found(rotated: Bench) -> None:
    head = line_digest(lines_of(rotated.card / layout.epoch_file("000000"))[-1])
    verdict = judged(rotated, head=head)
    assert verdict.exit_status == 0
    assert verdict.journal_said.startswith("history anchored up to line ")


# -- rotations that are none --------------------------------------------------------------------------------------


def _boot_says(bench: Bench, document: bytes | None) -> None:
    """The new key's own epoch, with another rotation in its boot: what whoever has that key could write."""
    signer = held(bench)[0]

    def edit(lines: list[bytes]) -> list[bytes]:
        for n in range(1, len(lines)):
            record = records.decode_journal(open_line(lines[n]).payload)
            fields: dict[str, object] = {} if n == 1 else {"prev": line_digest(lines[n - 1])}
            if n == 1:
                fields["rotation"] = None if document is None else base64.b64encode(document).decode()
            payload = msgspec.json.encode(msgspec.structs.replace(record, **fields))
            lines[n] = sign_line(signer, records.RECORD_TYPE, payload)
        return lines

    edit_lines(bench.card / layout.epoch_file("000001"), edit)


def _forged(by: "Hands", old: KeySigner, new: KeySigner, **fields: str) -> bytes:
    """The right statement, or one that differs in a field, signed by any two keys."""
    said = Rotation(
        format=records.FORMAT,
        device="BC-000001",
        old_certificate_sha256=by.old.certificate_sha256,
        new_certificate_sha256=by.new.certificate_sha256,
        utc=UTC,
    )
    payload = records.encode(msgspec.structs.replace(said, **fields))
    return b"".join(sign_line(s, records.ROTATION_TYPE, payload) + b"\n" for s in (old, new))


class Hands(msgspec.Struct, frozen=True):
    """Who could sign: the old key, the new one, and another that the agency issued for this device."""

    old: KeySigner
    new: KeySigner
    foreign: KeySigner


Forging = Callable[[Hands], bytes | None]
_FORGED: dict[str, tuple[Forging, str]] = {
    "none": (lambda _: None, "no rotation says so"),
    "only the new key": (lambda by: _forged(by, by.new, by.new), "the old key did not sign the rotation"),
    "only the old key": (lambda by: _forged(by, by.old, by.old), "the new key did not sign the rotation"),
    "a foreign key for the old": (lambda by: _forged(by, by.foreign, by.new), "the old key did not sign the rotation"),
    "the two the wrong way round": (lambda by: _forged(by, by.new, by.old), "the old key did not sign the rotation"),
    "one line": (
        lambda by: _forged(by, by.old, by.new).split(b"\n")[0] + b"\n",
        "its rotation can't be read: not a rotation: it must be two whole lines, signed by the old key and by the new one",
    ),
    "another device": (
        lambda by: _forged(by, by.old, by.new, device=OTHER),
        f"its rotation is of the device {OTHER}, the journal before it of BC-000001",
    ),
    "from another certificate": (
        lambda by: _forged(by, by.foreign, by.new, old_certificate_sha256=by.foreign.certificate_sha256),
        "its rotation is from another key than that of the journal before it",
    ),
    "to another certificate": (
        lambda by: _forged(by, by.old, by.foreign, new_certificate_sha256=by.foreign.certificate_sha256),
        "its rotation is to another key than its own",
    ),
}


@pytest.mark.parametrize("name", _FORGED)
def test_a_rotation_that_is_none_is_refused_and_shown(
    rotated: Bench, before: Bench, tmp_path: Path, agency: Agency, name: str
) -> None:
    bench = copy_of(rotated, tmp_path / "bench")
    forging, why = _FORGED[name]
    hands = Hands(held(before)[0], held(bench)[0], agency.issue("BC-000001", Role.LEDGER).signer)
    _boot_says(bench, forging(hands))
    verdict = judged(bench)
    assert verdict.exit_status == 1
    findings = [(f.place, f.what) for f in verdict.findings if f.question == "content"]
    seq = _history(bench).epochs[1].boot.seq
    said = f"it goes on with the journal before it, under another key: {why}"
    assert (f"journal/000001.jsonl, line {seq}", said) in findings, shown(verdict)
    assert [epoch.chain for epoch in _history(bench).epochs] == [0, 1]


def test_a_rotation_is_not_used_again_to_graft_another_journal(
    rotated: Bench, before: Bench, tmp_path: Path, agency: Agency
) -> None:
    """The good rotation of one device, and its new key's epoch, behind the journal of another device."""
    other = _bench(tmp_path / "other", agency, OTHER)
    _record(other)
    shutil.copy(rotated.card / layout.epoch_file("000001"), other.card / layout.epoch_file("000001"))
    for path in (rotated.card / layout.IDENTITY).iterdir():
        shutil.copy(path, other.card / layout.IDENTITY / path.name)
    verdict = judged(other)
    assert verdict.exit_status == 1
    assert any(
        f.what.endswith(f"its rotation is of the device BC-000001, the journal before it of {OTHER}")
        for f in verdict.findings
    ), shown(verdict)


def test_a_key_that_was_given_up_does_not_come_back(rotated: Bench, before: Bench, tmp_path: Path) -> None:
    """Old to new to old again: whoever has the old key can't undo the rotation, even with the new key's word."""
    bench = copy_of(rotated, tmp_path / "bench")
    old, old_certificate = held(before)
    new, new_certificate = held(bench)
    name_rotation(bench, make_rotation(new, new_certificate, old, old_certificate, UTC))
    for name in ("device.key", "device.der", "provisioning.jsonl"):
        shutil.copy(before.root / "device" / name, bench.root / "device" / name)
    _record(bench)
    assert "it goes on with the journal before it, under another key: that key had given it on before" in _said(bench)


def test_a_rotation_in_an_epoch_of_the_same_key(rotated: Bench, tmp_path: Path) -> None:
    bench = copy_of(rotated, tmp_path / "bench")
    _record(bench)
    path = bench.card / layout.epoch_file("000002")
    document = _boots(bench)[1].rotation
    signer = held(bench)[0]

    def edit(lines: list[bytes]) -> list[bytes]:
        for n, line in enumerate(lines):
            record = records.decode_journal(open_line(line).payload)
            fields: dict[str, object] = {"rotation": document} if n == 0 else {"prev": line_digest(lines[n - 1])}
            payload = msgspec.json.encode(msgspec.structs.replace(record, **fields))
            lines[n] = sign_line(signer, records.RECORD_TYPE, payload)
        return lines

    edit_lines(path, edit)
    assert "it holds a rotation, and its key is that of the epoch before" in _said(bench)


def test_a_rotation_to_a_key_that_no_agency_issued(before: Bench, tmp_path: Path) -> None:
    """Whoever has the old key gives the journal to a key of their own making: the signer is not trusted."""
    bench = copy_of(before, tmp_path / "bench")
    without_media(bench)
    thief = Agency("Demo Agency")
    trust = bench.trust.read_bytes()
    rotate(bench, thief)
    media = thief.issue("BC-000001", Role.MEDIA)
    for name, data in (
        ("provisioner.der", thief.provisioner.certificate),
        ("media.key", media.key_pem),
        ("media.der", media.certificate),
    ):
        (bench.root / "device" / name).write_bytes(data)
    bench.anchor.write_bytes(thief.ca_pem())
    policy = open_line(bench.offered_policy.read_bytes().split(b"\n")[0]).payload
    bench.offered_policy.write_bytes(thief.bundle(policy))
    bench.kept_policy.unlink(missing_ok=True)
    _record(bench)
    bench.trust.write_bytes(trust)
    verdict = judged(bench)
    assert verdict.exit_status == 3, shown(verdict)
    assert [r.answers.signer for r in verdict.recordings] == ["trusted", "not-trusted"]
    assert "journal/000001.jsonl, line 0" in [f.place for f in verdict.findings if f.question == "signer"]


# -- the daemon's start ---------------------------------------------------------------------------------------------


def test_a_start_with_a_rotation_that_the_old_key_did_not_sign(before: Bench, tmp_path: Path, agency: Agency) -> None:
    """It stops no start: a journal of its own, and the fault says why."""
    bench = copy_of(before, tmp_path / "bench")
    new = agency.issue("BC-000001", Role.LEDGER)
    name_rotation(bench, _rotation_by(new, new, held(before)[0].certificate_sha256, new))
    give_key(bench, agency, new)
    _record(bench)
    epochs = _history(bench).epochs
    assert [epoch.chain for epoch in epochs] == [0, 1]
    faults = [line.record.detail for line in epochs[1].lines if isinstance(line.record, Fault)]
    assert faults[0] == "the rotation is of no use: the old key did not sign the rotation"
    assert judged(bench).exit_status == 0


def _rotation_by(old: Issued, new: Issued, old_sha256: str, named: Issued, device: str = "BC-000001") -> bytes:
    said = Rotation(
        format=records.FORMAT,
        device=device,
        old_certificate_sha256=old_sha256,
        new_certificate_sha256=named.signer.certificate_sha256,
        utc=UTC,
    )
    return b"".join(sign_line(i.signer, records.ROTATION_TYPE, records.encode(said)) + b"\n" for i in (old, new))


def test_rotations_that_a_start_refuses(before: Bench, tmp_path: Path, agency: Agency) -> None:
    bench = copy_of(before, tmp_path / "bench")
    old_sha256 = held(before)[0].certificate_sha256
    new, stranger = agency.issue("BC-000001", Role.LEDGER), agency.issue("BC-000001", Role.LEDGER)
    give_key(bench, agency, new)
    for document, said in (
        (b"", "not a rotation: it must be two whole lines"),
        (_rotation_by(new, new, old_sha256, new, OTHER), f"about the device {OTHER} and another certificate"),
        (_rotation_by(new, new, old_sha256, stranger), "about the device BC-000001 and another certificate"),
        (_rotation_by(new, stranger, old_sha256, new), "the new key did not sign it"),
    ):
        name_rotation(bench, document)
        with pytest.raises(ConfigurationError, match=said):
            VirtualDevice(bench).boot()
    (bench.root / "device" / "rotation.jsonl").unlink()
    with pytest.raises(ConfigurationError, match="No such file or directory; it must hold the statement that"):
        VirtualDevice(bench).boot()


# -- the document and the command ---------------------------------------------------------------------------------


def test_what_can_not_be_a_rotation(agency: Agency) -> None:
    ledger, other = agency.issue("BC-000001", Role.LEDGER), agency.issue(OTHER, Role.LEDGER)
    media, again = agency.issue("BC-000001", Role.MEDIA), agency.issue("BC-000001", Role.LEDGER)
    for old, new, signer, said in (
        (ledger, other, other, "names BC-000001, the new one BC-000002"),
        (ledger, media, media, "the new certificate: its certificate is not for the role ledger"),
        (media, ledger, ledger, "the old certificate: its certificate is not for the role ledger"),
        (ledger, ledger, ledger, "are the same"),
        (ledger, again, other, "not the certificate of the key that signs"),
    ):
        with pytest.raises(UsageError, match=said):
            make_rotation(old.signer, old.certificate, signer.signer, new.certificate, UTC)
    liar = KeySigner(other.key, again.certificate)
    with pytest.raises(UsageError, match="a key that signed is not the key of its certificate"):
        make_rotation(ledger.signer, ledger.certificate, liar, again.certificate, UTC)


@given(at=st.integers(0, 1200), put=st.binary(max_size=40), cut=st.integers(0, 40))
def test_any_bytes_are_a_rotation_or_refused(at: int, put: bytes, cut: int) -> None:
    changed = _GOOD[:at] + put + _GOOD[at + cut :]
    try:
        document = open_rotation(changed)
    except EvidenceError:
        return
    assert document.old.payload == document.new.payload


def _good() -> bytes:
    old, new = (Agency().issue("BC-000001", Role.LEDGER) for _ in range(2))
    return make_rotation(old.signer, old.certificate, new.signer, new.certificate, UTC)


_GOOD = _good()


def test_the_command(tmp_path: Path, agency: Agency, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = agency.issue("BC-000001", Role.LEDGER), agency.issue("BC-000001", Role.LEDGER)
    for name, issued in (("old", old), ("new", new)):
        (tmp_path / f"{name}.key").write_bytes(issued.key_pem)
        (tmp_path / f"{name}.der").write_bytes(issued.certificate)
    output = tmp_path / "rotation.jsonl"

    def rotating(**given: str) -> int:
        names = {"old_key": "old.key", "old_certificate": "old.der", "new_key": "new.key", "new_certificate": "new.der"}
        words = [w for k, v in (names | given).items() for w in (f"--{k.replace('_', '-')}", str(tmp_path / v))]
        return commands.run("rotate", *words, "-o", str(output))

    assert rotating() == 0
    assert capsys.readouterr().out.startswith(f"{output}: put its name into [identity] rotation")
    said = open_rotation(output.read_bytes()).said
    assert (said.device, said.old_certificate_sha256) == ("BC-000001", old.signer.certificate_sha256)
    assert rotating() == 2
    assert "it is there already" in capsys.readouterr().err
    output.unlink()
    for wrong, message in (
        ({"new_key": "old.key"}, "this is not the key of the certificate"),
        ({"new_certificate": "old.key"}, "give a certificate in PEM or DER"),
        ({"new_certificate": "nothing"}, "No such file or directory"),
        ({"new_key": "old.key", "new_certificate": "old.der"}, "are the same"),
    ):
        assert rotating(**wrong) == 2
        assert message in capsys.readouterr().err
        assert not output.exists()


@pytest.mark.parametrize("both", [False, True])
def test_the_command_with_keys_in_a_token(
    tmp_path: Path, token: Path, agency: Agency, capsys: pytest.CaptureFixture[str], both: bool
) -> None:
    """From a PEM file into a token; and from one key of a token to another."""
    bench = _bench(tmp_path / "bench", agency)
    texts = {age: token_uri(token, f"{age}-{both}") for age in ("old", "new")}
    issued = agency.issue("BC-000001", Role.LEDGER)
    (tmp_path / "old.key").write_bytes(issued.key_pem)
    certificates = {"old": issued.certificate}
    text = bench.config.read_text("utf-8")
    for age in ("old", "new")[not both :]:
        bench.config.write_text(text, "utf-8")
        key = make_key(put_key(bench, texts[age]), Role.LEDGER)
        certificates[age] = agency.certify("BC-000001", Role.LEDGER, key.public, protection=key.protection)
        key.close()
    bench.config.write_text(text, "utf-8")
    for age, der in certificates.items():
        (tmp_path / f"{age}.der").write_bytes(der)
    old = {False: str(tmp_path / "old.key"), True: texts["old"]}[both]
    output = tmp_path / "rotation.jsonl"
    given = ["rotate", "--old-key", old, "--new-key", texts["new"], "-o", str(output)]
    given += ["--old-certificate", str(tmp_path / "old.der"), "--new-certificate", str(tmp_path / "new.der")]
    assert commands.run(*given) == 2
    assert "--config" in capsys.readouterr().err
    assert commands.run(*given, "--config", str(bench.config)) == 0
    keys = [p256_key(load_certificate(certificates[age])) for age in ("old", "new")]
    assert why_not_signed_by_both(open_rotation(output.read_bytes()), keys[0], keys[1]) == ""
    (tmp_path / "new.der").write_bytes(issued.certificate)
    (tmp_path / "old.der").write_bytes(certificates["new"])
    assert commands.run(*given, "--config", str(bench.config), "--force") == 2
    assert "not the key of" in capsys.readouterr().err
