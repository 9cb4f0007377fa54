"""The TPM's word in the journal: made at boot, opening and close; what was taken away is found, at the start and by readers."""

import base64
import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization

from device.errors import EvidenceError
from device.evidence import layout, records
from device.evidence.envelope import line_digest, open_line, sign_line
from device.evidence.identity import Role
from device.evidence.keys import make_key
from device.evidence.records import Anchor, Fault, HistoryLost
from device.evidence.tpm_key import shared_tpm
from device.evidence.tpm_witness import provide_attestation
from device.evidence.tpm_words import read_certified
from device.policy.inputs import FaultChanged
from docs.refresh import anchor_by
from hw_sim.agency import Agency, Bench
from hw_sim.tpm import TwinTpm
from hw_sim.virtual import VirtualDevice
from tests.benches import journal, make_bench, recordings, shown, verified
from tests.cards import all_findings, copy_of, device_signer, lines_of, named, write_lines
from tests.commands import run as bodycam
from tests.stores import Store
from tests.tokens import SimulatedTpm, enrol, put_key, run, tpm_tables

Q = "content"


class Anchoring:
    """A bench whose device has a TPM in memory."""

    def __init__(self, root: Path) -> None:
        self.tpm = TwinTpm()
        self.agency = Agency()
        self.bench = make_bench(root, agency=self.agency, pre_event_s=1, post_event_s=1)
        anchor_by(self.bench, self.agency, self.tpm)
        self.device = VirtualDevice(self.bench, make_witness=lambda _: self.tpm)

    def boot(self) -> None:
        self.device.boot()
        self.device.run(2)

    def shift(self) -> None:
        """A boot, a recording, a clean end: three anchors."""
        self.boot()
        self.device.record(1.2)
        self.device.stop()


@pytest.fixture
def anchoring(tmp_path: Path) -> Anchoring:
    return Anchoring(tmp_path / "bench")


def anchors(bench: Bench) -> list[Anchor]:
    return [record for record in journal(bench) if isinstance(record, Anchor)]


def counters(bench: Bench) -> list[int]:
    return [read_certified(base64.b64decode(anchor.statement)).counter for anchor in anchors(bench)]


def lost(bench: Bench) -> list[HistoryLost]:
    return [record for record in journal(bench) if isinstance(record, HistoryLost)]


def faults(bench: Bench) -> list[str]:
    """Of the TPM, as told to the policy machine."""
    told = [r.input for r in journal(bench) if isinstance(r, records.Step) and isinstance(r.input, FaultChanged)]
    return [f"{told.part} {told.present}" for told in told]


def test_boot_opening_and_close_are_anchored(anchoring: Anchoring) -> None:
    anchoring.shift()
    anchoring.shift()
    assert [anchor.at for anchor in anchors(anchoring.bench)] == ["boot", "opening", "close"] * 2
    assert counters(anchoring.bench) == [7, 8, 9, 10, 11, 12]
    assert anchoring.tpm.counter() == 13
    assert lost(anchoring.bench) == []
    verdict = verified(anchoring.bench)
    assert verdict.exit_status == 0, shown(verdict)
    last = anchors(anchoring.bench)[-1].head.seq
    assert verdict.journal_said == (f"history anchored by the device's TPM up to line {last} (BC-000001, counter 12)")


def test_the_dock_is_anchored_once_what_it_handed_in_is_in_the_journal(anchoring: Anchoring) -> None:
    anchoring.boot()
    anchoring.device.record(1.2)
    store = Store(anchoring.agency, anchoring.bench.card)
    store.cosign()
    store.give(recordings(anchoring.bench)[0].name)
    anchoring.device.run(5)
    anchoring.device.stop()
    of_tpm = [anchor for anchor in anchors(anchoring.bench) if anchor.kind == "tpm"]
    assert [anchor.at for anchor in of_tpm][:3] == ["boot", "opening", "close"]
    assert {anchor.at for anchor in of_tpm[3:]} == {"dock"}
    told = list(journal(anchoring.bench))
    last_word = max(
        n for n, r in enumerate(told) if isinstance(r, records.Receipted) or getattr(r, "kind", "") == "cosigned-head"
    )
    assert told.index(of_tpm[-1]) > last_word
    verdict = verified(anchoring.bench)
    assert verdict.exit_status == 0, shown(verdict)


def test_each_anchor_is_about_the_durable_line_before_it(anchoring: Anchoring) -> None:
    anchoring.shift()
    lines = lines_of(anchoring.bench.card / layout.epoch_file("000000"))
    for anchor in anchors(anchoring.bench):
        assert anchor.head.seq < anchor.seq
        assert anchor.head.sha256 == line_digest(lines[anchor.head.seq])
        assert anchor.durable >= anchor.head.seq


def test_a_journal_put_back_by_one_boot_is_found_at_the_start(anchoring: Anchoring, tmp_path: Path) -> None:
    anchoring.shift()
    shutil.copytree(anchoring.bench.card, tmp_path / "older")
    anchoring.shift()
    shutil.rmtree(anchoring.bench.card)
    shutil.copytree(tmp_path / "older", anchoring.bench.card)
    known = anchors(anchoring.bench)[-1].head
    anchoring.shift()
    (found,) = lost(anchoring.bench)
    assert (found.known, found.had, found.counter) == (known, 9, 13)
    assert faults(anchoring.bench) == ["history True"]
    assert counters(anchoring.bench) == [7, 8, 9, 13, 14, 15]
    verdict = verified(anchoring.bench)
    assert verdict.exit_status == 4, shown(verdict)
    (said,) = [f for f in verdict.findings if f.question == "extent"]
    assert said.what.startswith(
        "the device found at its start that its TPM counted to 13 while the journal held anchor 9"
    )
    assert [r.verdict for r in verdict.recordings] == ["intact", "intact"]


def test_a_journal_put_back_by_a_single_anchor_is_found(anchoring: Anchoring, tmp_path: Path) -> None:
    anchoring.boot()
    anchoring.device.cut()
    shutil.copytree(anchoring.bench.card, tmp_path / "older")
    anchoring.boot()
    anchoring.device.cut()
    shutil.rmtree(anchoring.bench.card)
    shutil.copytree(tmp_path / "older", anchoring.bench.card)
    anchoring.boot()
    (found,) = lost(anchoring.bench)
    assert (found.had, found.counter) == (7, 9)


def test_a_journal_that_is_gone_is_found_at_the_start_and_recording_still_starts(anchoring: Anchoring) -> None:
    anchoring.shift()
    shutil.rmtree(anchoring.bench.card)
    anchoring.bench.card.mkdir()
    anchoring.shift()
    (found,) = lost(anchoring.bench)
    assert (found.known, found.had, found.counter) == (None, None, 10)
    verdict = verified(anchoring.bench)
    assert [r.verdict for r in verdict.recordings] == ["intact"]
    assert verdict.exit_status == 4


def test_an_audit_takes_what_it_does_not_judge(anchoring: Anchoring) -> None:
    """Keys opened, anchors and a lost history decide nothing: the same inputs, the same decisions."""
    anchoring.shift()
    anchoring.tpm.increment()
    anchoring.shift()
    assert len(lost(anchoring.bench)) == 1
    given = ("--trust", str(anchoring.bench.trust), "--context-identity", str(anchoring.bench.context_identity))
    assert bodycam("audit", str(anchoring.bench.card), *given) == 0


def test_a_first_boot_has_lost_nothing(anchoring: Anchoring) -> None:
    anchoring.boot()
    anchoring.device.stop()
    assert lost(anchoring.bench) == []
    assert verified(anchoring.bench).exit_status == 0


def test_a_power_cut_is_no_loss_wherever_it_comes(tmp_path: Path) -> None:
    """Cut after each small step of a second with boot, opening and close in it; the next boot finds nothing lost."""
    for step in range(0, 60, 3):
        anchoring = Anchoring(tmp_path / f"{step}")
        anchoring.device.boot()
        anchoring.device.run(step / 30)
        anchoring.device.double()
        anchoring.device.run(step / 60)
        anchoring.device.cut(random.Random(step))
        anchoring.boot()
        anchoring.device.stop()
        assert lost(anchoring.bench) == [], step
        assert named(verified(anchoring.bench)) == [], step


def test_a_tpm_that_fails_after_the_anchor_was_durable_is_made_good_at_the_next(anchoring: Anchoring) -> None:
    """As a power cut between the two: the number stands twice nowhere, and no history is lost."""
    anchoring.tpm.fail_increment = True
    anchoring.boot()
    anchoring.tpm.fail_increment = False
    anchoring.device.cut()
    anchoring.shift()
    assert counters(anchoring.bench) == [7, 8, 9, 10]
    assert lost(anchoring.bench) == []
    assert named(verified(anchoring.bench)) == []


def test_a_tpm_that_gives_no_answer_never_holds_up_a_recording(anchoring: Anchoring) -> None:
    anchoring.tpm.broken = True
    anchoring.shift()
    assert anchors(anchoring.bench) == []
    assert faults(anchoring.bench) == ["tpm True"]
    assert {r.detail for r in journal(anchoring.bench) if isinstance(r, Fault)} == {"the twin's TPM gives no answer"}
    anchoring.tpm.broken = False
    anchoring.shift()
    assert counters(anchoring.bench) == [7, 8, 9]
    verdict = verified(anchoring.bench)
    assert verdict.exit_status == 0, shown(verdict)


# -- what readers find ----------------------------------------------------------------------------------------------


def altered(anchoring: Anchoring, root: Path, edit: Callable[[list[Anchor]], dict[int, Anchor | None]]) -> Bench:
    """A copy whose device lies: its last epoch, with some anchors changed or left out, signed anew by its own key."""
    bench = copy_of(anchoring.bench, root)
    path = max((bench.card / layout.JOURNAL).iterdir())
    lines = lines_of(path)
    told = [records.decode_journal(open_line(line).payload) for line in lines if b"vnd.bodycam.record" in line]
    edits = edit([r for r in told if isinstance(r, Anchor)])
    seq, prev, written = told[0].seq, told[0].prev, lines[: len(lines) - len(told)]
    for record in told:
        new = edits.get(record.seq, record)
        if new is None:
            continue
        line = sign_line(
            device_signer(bench),
            records.RECORD_TYPE,
            msgspec.json.encode(msgspec.structs.replace(new, seq=seq, prev=prev)),
        )
        written.append(line)
        seq, prev = seq + 1, line_digest(line)
    write_lines(path, written)
    return bench


def other_statement(anchor: Anchor, statement: bytes) -> Anchor:
    import hashlib

    return msgspec.structs.replace(
        anchor, statement=base64.b64encode(statement).decode(), sha256=hashlib.sha256(statement).hexdigest()
    )


def flipped(statement: bytes, at: int) -> bytes:
    return statement[:at] + bytes([statement[at] ^ 1]) + statement[at + 1 :]


@pytest.fixture
def quiet(anchoring: Anchoring) -> Anchoring:
    """Four boots without a recording: nothing else hangs on the journal's lines."""
    for _ in range(4):
        anchoring.boot()
        anchoring.device.stop()
    assert counters(anchoring.bench) == [7, 8, 9, 10]
    return anchoring


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (
            lambda a: {a.seq: other_statement(a, flipped(base64.b64decode(a.statement), 90))},
            "it is not signed by the TPM that the agency's statement names",
        ),
        (lambda a: {a.seq: msgspec.structs.replace(a, sha256="0" * 64)}, "its digest is not that of its statement"),
        (lambda a: {a.seq: other_statement(a, b"\0\0")}, "a TPM's structure ends too early"),
        (
            lambda a: {a.seq: msgspec.structs.replace(a, head=msgspec.structs.replace(a.head, sha256="1" * 64))},
            "the TPM certified another line than line",
        ),
    ],
)  # fmt: skip
def test_an_anchor_that_was_changed_is_named(
    quiet: Anchoring, tmp_path: Path, edit: Callable[[Anchor], dict[int, Anchor | None]], what: str
) -> None:
    bench = altered(quiet, tmp_path / "copy", lambda found: edit(found[0]))
    (finding,) = [f for f in all_findings(verified(bench)) if f.question == Q]
    assert finding.place.startswith("journal/000003.jsonl, line ")
    assert finding.what.startswith(f"the anchor does not hold: {what}")


def test_an_anchor_of_another_tpm_is_named(quiet: Anchoring, tmp_path: Path) -> None:
    def by_another(found: list[Anchor]) -> dict[int, Anchor | None]:
        other = TwinTpm(began=10)
        return {found[0].seq: other_statement(found[0], other.certify(bytes.fromhex(found[0].head.sha256)))}

    (finding,) = [f for f in all_findings(verified(altered(quiet, tmp_path / "copy", by_another))) if f.question == Q]
    assert finding.what == ("the anchor does not hold: it is not signed by the TPM that the agency's statement names")


def test_an_anchor_left_out_is_a_hole_in_the_counter(quiet: Anchoring, tmp_path: Path) -> None:
    """The device's own key can sign the journal anew; it can't make the TPM count less."""
    bench = copy_of(quiet.bench, tmp_path / "copy")
    fresh = Anchoring(tmp_path / "fresh")
    shutil.rmtree(quiet.bench.card)
    shutil.copytree(bench.card, quiet.bench.card)
    quiet.tpm.increment()
    quiet.tpm.increment()
    quiet.device._make_witness = lambda _: quiet.tpm
    quiet.boot()
    quiet.device.stop()
    lying = altered_without_history_lost(quiet, tmp_path / "lying")
    (finding,) = [f for f in all_findings(verified(lying)) if f.question == Q]
    assert finding.what == "2 of the TPM's anchors before it are missing: the journal was put back to an older state"
    assert fresh.tpm.counter() == 7


def altered_without_history_lost(anchoring: Anchoring, root: Path) -> Bench:
    """The device's own word that history was lost, left out, and the epoch signed anew; its anchor is over another line
    then, so the TPM's owner certifies it anew too."""
    bench = copy_of(anchoring.bench, root)
    path = max((bench.card / layout.JOURNAL).iterdir())
    told = [records.decode_journal(open_line(line).payload) for line in lines_of(path)]
    seq, prev, written = told[0].seq, told[0].prev, []
    places: dict[int, records.Line] = {}
    for record in told:
        if isinstance(record, HistoryLost):
            continue
        new = record
        if isinstance(record, Anchor):
            head = places[max(places)]
            counter = read_certified(base64.b64decode(record.statement)).counter
            anchoring.tpm._counter = counter
            new = other_statement(
                msgspec.structs.replace(record, head=head), anchoring.tpm.certify(bytes.fromhex(head.sha256))
            )
        new = msgspec.structs.replace(new, seq=seq, prev=prev, durable=-1)
        line = sign_line(device_signer(bench), records.RECORD_TYPE, msgspec.json.encode(new))
        places[seq] = records.Line(stream=path.stem, seq=seq, sha256=line_digest(line))
        written.append(line)
        seq, prev = seq + 1, line_digest(line)
    write_lines(path, written)
    return bench


def test_a_later_quote_known_from_outside_shows_that_the_journal_was_rolled_back(
    quiet: Anchoring, tmp_path: Path
) -> None:
    known = anchors(quiet.bench)[-1].head.sha256
    bench = copy_of(quiet.bench, tmp_path / "copy")
    (bench.card / layout.epoch_file("000003")).unlink()
    assert named(verified(bench)) == []
    verdict = verified(bench, head=known)
    assert verdict.exit_status == 1
    assert verdict.findings[-1].what.endswith("it was rolled back, forked or cut")


def test_any_statement_in_an_anchor_is_judged_without_a_crash(quiet: Anchoring, tmp_path: Path) -> None:
    draw = random.Random(6)
    good = base64.b64decode(anchors(quiet.bench)[0].statement)
    for _ in range(500):
        data = bytearray(good[: draw.randrange(len(good) + 1)])
        for _ in range(3 if data else 0):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            read_certified(bytes(data))
        except EvidenceError:
            continue


# -- a simulated TPM, and another maker's tools -----------------------------------------------------------------------


def test_a_real_tpms_anchors_hold_and_tpm2_tools_agree(tpm: SimulatedTpm, tmp_path: Path) -> None:
    agency = Agency()
    bench = make_bench(tmp_path / "bench", agency=agency, pre_event_s=1, post_event_s=1)
    tables = tpm_tables(tpm, 'attestation_key = "tpm:ak.tpm"\ncounter = "0x01800b0e"')
    configuration = put_key(bench, "tpm:0x81010099", tables)
    key = make_key(configuration, Role.LEDGER)
    said = provide_attestation(configuration)
    assert provide_attestation(configuration) == said, "made once"
    enrol(bench, agency, key, said)
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.record(1.2)
    tpm.stop()
    tpm.start()
    device.record(1.2)
    device.stop()
    assert counters(bench) == list(range(said.began, said.began + 5))
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.recordings[0].answers.signer_said.endswith("key protected by: tpm")
    assert verdict.journal_said.startswith("history anchored by the device's TPM up to line ")
    shared_tpm(tpm.tcti).close()
    statement = base64.b64decode(anchors(bench)[0].statement)
    size = int.from_bytes(statement[:2], "big")
    (tmp_path / "attest").write_bytes(statement[2 : 2 + size])
    shows = subprocess.run(  # it ends with an error: it shows no counters, only what every statement has
        ["tpm2_print", "-t", "TPMS_ATTEST", str(tmp_path / "attest")], capture_output=True, text=True, check=False
    ).stdout
    assert f"extraData: {anchors(bench)[0].head.sha256}\n" in shows
    public = serialization.load_der_public_key(base64.b64decode(said.key))
    (tmp_path / "ak.pem").write_bytes(
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "signature").write_bytes(read_certified(statement).signature)
    run("openssl", "dgst", "-sha256", "-verify", str(tmp_path / "ak.pem"), "-signature", str(tmp_path / "signature"), str(tmp_path / "attest"))  # fmt: skip
    listed = run("tpm2_nvreadpublic", "0x01800b0e", TPM2TOOLS_TCTI=tpm.tcti)
    assert f"name: 000b{said.counter}\n" in listed
    assert json.loads(msgspec.json.encode(said)).keys() == {"key", "counter", "began"}
