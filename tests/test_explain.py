"""`bodycam policy explain RECORDING`, and the words and clauses of every decision; `bodycam audit` as a command."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from device.evidence import layout
from device.evidence.explanation import Explanation, explain
from device.evidence.identity import load_anchors
from device.evidence.records import RecordingEnded, Step
from device.evidence.unsealing import ContextIdentity
from device.evidence.verdicts import EXIT_ALTERED, EXIT_INTACT, EXIT_NOT_TRUSTED
from device.policy import commands as do
from device.policy import inputs as on
from device.policy.clauses import BUILT, cited
from device.policy.wording import command_words, input_words
from hw_sim.agency import Agency, Bench
from hw_sim.scribe import Scribe
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench, recordings
from tests.cards import copy_of
from tests.commands import run
from tests.liars import Said, came_and_decided, lie, step_said
from tests.policies import FIRST

AGENCY = Agency("Agency")


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The whole device: a start refused in a private zone, overridden, and stopped with a reason; then a plain one."""
    bench = make_bench(tmp_path_factory.mktemp("explain") / "bench", agency=AGENCY, pre_event_s=2, post_event_s=1)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.zone("private")
    device.double()
    device.hold("record", 1.4)
    device.run(2)
    device.confirmed_stop()
    device.press()
    device.press()
    device.until_idle()
    device.zone("street")
    device.run(12)
    device.record(1)
    device.stop()
    return bench


def explained(bench: Bench, n: int) -> Explanation:
    identity = ContextIdentity(bench.context_identity)
    return explain(recordings(bench)[n], load_anchors(bench.trust), (), identity)


def told(explanation: Explanation) -> list[str]:
    return [decided.what for explained in explanation.steps for decided in explained.step.decisions]


def first(lines: list[Said], kind: type[do.Command]) -> int:
    """The first line that decides such a thing."""
    return next(n for n, line in enumerate(lines) if any(isinstance(d, kind) for d in came_and_decided(line)[1]))


def test_a_recording_is_told_from_the_refusal_before_it_to_the_reason_after_it(card: Bench) -> None:
    said = explained(card, 0)
    assert (said.exit_status, said.verdict, said.findings) == (EXIT_INTACT, "conforming", ())
    what = [sentence for sentence in told(said) if not sentence.startswith(("signalled", "holds", "asked the enc"))]
    assert what[0] == "refused the start by record-double-press in the zone private: zone-denies"
    overriding = "for imminent-threat in the zone private, overriding the zone, with nothing from before"
    assert what[1] == f"started recording 1 by record-hold, {overriding}"
    assert what[-2:] == [
        "wrote down the reason of the stop of recording 1: privacy",
        "dropped what no recording claims: every frame",
    ]
    assert "ended recording 1 (stopped): unexplained" in what
    first, start = said.steps[0], said.steps[1]
    assert first.offset_s < 0 == start.offset_s
    assert start.step.happened == "the record button had been held long enough"
    assert start.step.decisions[0].clause == '[zones.private] start = "deny" and override = true'
    assert start.step.decisions[0].source == FIRST.zones["private"].source
    assert first.step.decisions[0].clause == '[zones.private] start = "deny"'


def test_another_recordings_steps_are_not_in_it(card: Bench) -> None:
    said = explained(card, 1)
    assert not any("recording 1" in sentence for sentence in told(said))
    assert not any("refused" in sentence for sentence in told(said)), "that was before the recording before"
    assert said.steps[0].offset_s == 0
    assert said.steps[0].step.decisions[0].clause == '[zones.street] start = "allow"'
    happened = [explained.step.happened for explained in said.steps]
    assert "the post-event time was over" in happened
    assert happened[-1] == "the recorder closed recording 2 (stopped)"


def test_a_lie_about_it_is_told_with_it(card: Bench, tmp_path: Path) -> None:
    bench = copy_of(card, tmp_path / "bench")

    def unnotice(lines: list[Said]) -> list[Said]:
        n = first(lines, do.Notice)
        came, decided = came_and_decided(lines[n])
        lines[n] = step_said(lines[n], came, tuple(d for d in decided if not isinstance(d, do.Notice)))
        return lines

    lie(bench, unnotice)
    said = explained(bench, 0)
    assert said.exit_status == EXIT_ALTERED
    finding, ledger = said.findings
    assert "people were not told" in finding.what
    assert "notice-not-given at" in ledger.what
    assert sum(not step.step.conforms for step in said.steps) == 1
    other = explained(bench, 1)
    assert other.findings == ()
    assert other.verdict == "DOES NOT CONFORM (2 more findings on this card: see `bodycam audit`)"


def test_a_recording_that_the_journal_does_not_decide_has_no_steps(card: Bench, tmp_path: Path) -> None:
    bench = copy_of(card, tmp_path / "bench")

    def leave_out(lines: list[Said]) -> list[Said]:
        return [line for line in lines if not isinstance(line.record, Step)]

    lie(bench, leave_out)
    said = explained(bench, 1)
    assert said.steps == ()
    assert said.exit_status == EXIT_ALTERED
    assert any("no activation" in finding.what for finding in said.findings)


def test_a_refusal_long_before_a_start_or_of_another_wearer_is_not_right_before_it(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", agency=AGENCY, pre_event_s=2, post_event_s=1)
    scribe = Scribe(bench, segments=False)
    for officer, waits_s, assigned_after in (("1", 100, False), ("2", 140, False), ("3", 10, True)):
        scribe.assign(f"officer-{officer}", "shift")
        scribe.zone("private")
        scribe.double()
        scribe.zone("street")
        scribe.pass_time(waits_s)
        if assigned_after:
            scribe.assign("officer-4", "shift")
        scribe.record(5)
    scribe.stop()
    refusals = [
        sum("refused" in sentence for sentence in told(explained(bench, n)) if "the start" in sentence)
        for n in range(3)
    ]
    assert refusals == [1, 0, 0]


# -- words and clauses ----------------------------------------------------------------------------------------------

EXAMPLES: dict[str, object] = {
    "at_us": 1_000_000, "clause": "zones", "recording": 3, "trigger": "record-hold", "category": "imminent-threat",
    "zone": "private", "override": True, "pre_event": "video", "pre_event_asked_us": 5_000_000, "video_from_us": 0,
    "audio_from_us": 0, "late_us": 0, "reason": "privacy", "stage": "post", "to_us": 9, "how": "stopped", "given": True,
    "about": "start", "what": "sleep", "officer": "officer-1", "role": "patrol", "unit": "unit-1", "shift": "shift-1",
    "on": True, "marked_us": 9, "muted": False, "paused": False, "video": True, "audio": False, "pre_video": True,
    "pre_audio": False, "sound_only": True, "cue": "status", "value": 4, "button": "record", "pressed": True,
    "part": "camera", "level": "low", "ready": False, "present": True, "had_us": 5, "step_us": -7,
}  # fmt: skip


def example(kind: type[msgspec.Struct], **changes: object) -> msgspec.Struct:
    return kind(**{name: EXAMPLES[name] for name in kind.__struct_fields__} | changes)


def test_every_input_and_every_command_has_words_of_its_own() -> None:
    inputs = [input_words(example(kind)) for kind in get_args(on.Input)]  # type: ignore[arg-type]
    commands = [command_words(example(kind)) for kind in get_args(do.Command)]  # type: ignore[arg-type]
    for said in (inputs, commands):
        assert len(set(said)) == len(said)
        assert all(words and words[0].islower() and not words.endswith(".") for words in said)


@pytest.mark.parametrize("kind", get_args(do.Command), ids=lambda kind: kind.__name__)
def test_every_command_cites_something_under_every_clause_word(kind: type[msgspec.Struct]) -> None:
    """Whatever a journal says, a clause or the way the camera is built stands behind it."""
    words = [*FIRST.__struct_fields__, "post-event", "pre-event", "clock", "shutdown", "nonsense", "id", "title"]
    for word in words:
        for zone in ("private", "nowhere"):
            command = example(kind, clause=word, **({"zone": zone} if "zone" in kind.__struct_fields__ else {}))
            clause = cited(command, None, zone, FIRST)  # type: ignore[arg-type]
            assert clause.text
            assert clause.source
            assert clause.source == BUILT or clause.text.startswith(f"[{clause.table}]")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (example(do.Refuse, clause="assignment", reason="unassigned"), '[assignment] unassigned = "allow"'),
        (example(do.Refuse, clause="activation", reason="disabled"), "[activation] enabled = true"),
        (example(do.Refuse, clause="readiness"), "[readiness] storage_hours = 10"),
        (example(do.Refuse, clause="shutdown"), BUILT),
        (example(do.Explain, clause="reasons"), "[reasons.privacy] presses = 2"),
        (example(do.Cue, clause="reasons", cue="count-3"), "[reasons.sensitive-information]"),
        (example(do.ClearRing, clause="zones"), '[zones.private] pre_event = "off"'),
        (example(do.Mute, clause="mute"), "[mute] allowed = true and limit_s = 600"),
        (example(do.Deny, clause="stealth", what="stealth"), "[stealth] allowed = false"),
        (example(do.Pause, clause="zones"), '[zones.private] entry = "pause" and unjustified = "pause"'),
        (example(do.Note, clause="clock", what="clock-stepped"), BUILT),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_clause_is_said_as_the_policy_spells_it(command: do.Command, text: str) -> None:
    assert cited(command, None, "private", FIRST).text == text


# -- the commands ---------------------------------------------------------------------------------------------------


def keys(bench: Bench) -> list[str]:
    return ["--trust", str(bench.trust), "--context-identity", str(bench.context_identity)]


def test_explain_in_a_terminal(card: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("policy", "explain", str(recordings(card)[0]), *keys(card)) == 0
    said = capsys.readouterr().out
    assert f"recording 1 is what the steps call {recordings(card)[0].name}" in said
    assert explained(card, 0).number == 1
    assert '[zones.private] start = "deny" and override = true (R18' in said
    assert "wrote down the reason of the stop of recording 1: privacy" in said
    assert said.rstrip().endswith("conforming")


def test_explain_for_programs(card: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("policy", "explain", str(recordings(card)[0]), *keys(card), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["steps"][1]["step"]["decisions"][0]["what"].startswith("started recording 1")


def test_audit_in_a_terminal_and_for_programs(card: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", str(card.card), *keys(card)) == 0
    said = " ".join(capsys.readouterr().out.split())
    for title in ("starts refused by the policy", "other things denied by the policy: none"):
        assert title in said
    assert "files handed in that were refused: none" in said
    assert "out of service: none" in said
    assert "An input that was never recorded cannot be seen" in said
    assert said.endswith("conforming")
    assert run("audit", str(card.card), *keys(card), "--json") == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["steps"] == len(verdict["judged"]) > 10
    assert {"utc", "epoch", "seq", "conforms", "decisions"} <= set(verdict["judged"][0])
    assert "never recorded" in verdict["cannot_see"]


def test_audit_says_how_long_and_what_was_handed_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = make_bench(tmp_path / "bench", agency=AGENCY)
    scribe = Scribe(bench, segments=False)
    scribe.fault("microphone", 20)
    scribe.fault("policy", 30)
    scribe.fault("assignment", 40)
    scribe.tell(on.FaultChanged(at_us=scribe.clock.now_us(), part="camera", present=True))
    scribe.double()
    scribe.pass_time(5)
    scribe.tell(on.RecorderClosed(at_us=scribe.clock.now_us(), recording=1, how="storage-full"))
    scribe.tell(on.Readiness(at_us=scribe.clock.now_us(), ready=False, reason="storage-full"))
    scribe.double()
    scribe.stop()
    run("audit", str(bench.card), *keys(bench))
    said = capsys.readouterr().out
    faults, files = (
        said.split("files handed in that were refused")[0],
        said.split("files handed in that were refused")[1],
    )
    lengths = [re.split(r" *│ *", line)[2:4] for line in faults.splitlines() if re.match(r"│ 2026", line)]
    assert [length for length, _ in lengths] == [
        "20.0 s", "still there at the end", "one moment", "still there at the end", "one moment",
    ]  # fmt: skip
    files = files.split("starts refused by the policy")[0]
    assert [re.split(r" *│ *", line)[2:4] for line in files.splitlines() if re.match(r"│ 2026", line)] == [
        ["30.0 s", "policy"],
        ["40.0 s", "assignment"],
    ]


@pytest.mark.parametrize(
    "command", [("audit",), ("report", "--html", "REPORT"), ("policy", "explain"), ("verify",)], ids=lambda c: c[0]
)
def test_a_terminal_that_shows_only_ascii_is_no_fault(card: Bench, tmp_path: Path, command: tuple[str, ...]) -> None:
    path = str(recordings(card)[0] if command[0] == "policy" else card.card)
    given = [str(tmp_path / "report.html") if word == "REPORT" else word for word in command]
    trust = ["--trust", str(card.trust)] if command[0] == "verify" else keys(card)
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    whole = [sys.executable, "-m", "device.cli", *given, path, *trust]
    done = subprocess.run(whole, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    done.stdout.decode("ascii")


def test_audit_of_a_card_that_lies_says_where(card: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = copy_of(card, tmp_path / "bench")

    def unend(lines: list[Said]) -> list[Said]:
        n = first(lines, do.Refuse)
        lines[n] = step_said(lines[n], came_and_decided(lines[n])[0], ())
        return lines

    lie(bench, unend)
    assert run("audit", str(bench.card), *keys(bench)) == EXIT_ALTERED
    said = capsys.readouterr().out
    assert "journal/000000.jsonl, line" in said
    assert '[zones.private] start = "deny"' in said
    assert said.rstrip().endswith("DOES NOT CONFORM")


@pytest.mark.parametrize("command", [("audit",), ("report", "--json"), ("policy", "explain")])
def test_bad_input_is_one_message_and_no_traceback(
    card: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    path = str(recordings(card)[0] if command[0] == "policy" else card.card)
    broken = tmp_path / "broken"
    broken.write_bytes(b"\xff\x00")
    agency, other = str(card.trust), tmp_path / "other.pem"
    other.write_bytes(Agency().ca_pem())
    key = str(card.context_identity)
    for where, trust, identity, policy, message in (
        (str(tmp_path), agency, key, None, "not a"),
        (path, str(broken), key, None, "--trust"),
        (path, str(tmp_path / "none"), key, None, "No such file or directory"),
        (path, agency, str(broken), None, "--context-identity"),
        (path, agency, str(tmp_path / "none"), None, "No such file or directory"),
        (path, agency, str(card.trust), None, "a key begins with AGE-SECRET-KEY-1"),
        (path, agency, str(card.footage_identity), None, "it opens nothing on this card"),
        (path, agency, key, str(broken), "not a policy bundle"),
        (path, agency, key, str(tmp_path / "none"), f"--policy {tmp_path / 'none'}: no such file"),
        (path, str(other), key, str(card.offered_policy), "was not issued under the given trust anchor"),
    ):
        given = ["--policy", policy] if policy else []
        assert run(*command, where, "--trust", trust, "--context-identity", identity, *given) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.startswith("bodycam: ")
        assert "Traceback" not in said
        assert said.count("\n") == 1


def test_another_anchor_is_a_signer_that_is_not_trusted(
    card: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(Agency().ca_pem())
    key = str(card.context_identity)
    assert run("audit", str(card.card), "--trust", str(other), "--context-identity", key) == EXIT_NOT_TRUSTED
    assert "signer not trusted" in capsys.readouterr().out


def test_a_card_without_recordings_and_one_without_a_journal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = make_bench(tmp_path / "bench", agency=AGENCY)
    scribe = Scribe(bench)
    scribe.pass_time(60)
    scribe.stop()
    assert run("audit", str(bench.card), *keys(bench)) == EXIT_INTACT
    (bench.card / layout.epoch_file("000000")).unlink()
    assert run("audit", str(bench.card), *keys(bench)) == 4
    assert "nothing can be audited" in capsys.readouterr().out


def test_the_journals_own_end_does_not_bear_on_an_explanation(card: Bench, tmp_path: Path) -> None:
    """A card that is still being written: what is there of the recording is told."""
    bench = copy_of(card, tmp_path / "bench")

    def cut(lines: list[Said]) -> list[Said]:
        last = max(n for n, line in enumerate(lines) if isinstance(line.record, RecordingEnded))
        return lines[: last + 2]

    lie(bench, cut)
    assert explained(bench, 1).exit_status == EXIT_INTACT
