"""The library of scenarios, at seed 1 and at one taken from the date; what it covers; and that a false expectation is told."""

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from device.policy.document import parse_document
from hw_sim.cli import main
from hw_sim.scenario import SHIPPED, Document, Scenario, find, parse_scenario, read_scenario, shipped
from hw_sim.scenario_judge import _has
from hw_sim.scenario_run import Played, Report, judge_scenario, play_scenario, run_scenario

TODAY = int(datetime.now(UTC).strftime("%Y%m%d"))
LIBRARY = [(name, seed) for name in shipped() for seed in (1, TODAY)]
NOTHING_TO_PLAY = {
    "R21": "no code for it is in the tree: tests/test_house_rules.py",
    "R22": "no policy can have such a category: tests/test_clauses.py",
}


@pytest.mark.parametrize(("name", "seed"), LIBRARY, ids=[f"{name}-seed-{seed}" for name, seed in LIBRARY])
def test_the_library(name: str, seed: int) -> None:
    report = run_scenario(read_scenario(find(name)), seed)
    assert [_told(check) for check in report.checks if not check.good] == []
    assert report.good


def test_the_library_shows_every_failure_of_the_field_and_every_requirement_with_a_behaviour() -> None:
    assert len(shipped()) >= 40
    shown = {said for name in shipped() for said in read_scenario(find(name)).document.shows}
    wanted = {f"failure {n}" for n in range(1, 11)} | {"failure clocks"} | {f"R{n}" for n in range(1, 30)}
    assert wanted - shown == set(NOTHING_TO_PLAY)


def test_each_of_the_library_expects_something_of_a_step_and_of_the_card() -> None:
    for name in shipped():
        document = read_scenario(find(name)).document
        assert any(step.expect != type(step.expect)() for step in document.step) or document.end.verify.exit == 1, name
        assert document.recording or document.end.recordings == 0, name


# -- a false expectation ----------------------------------------------------------------------------------------------

STORY = """
title = "A story"
shows = ["R1"]
why = "To hold false expectations against it."
[bench]
microphone = true
change = { "pre_event.length_s" = 2, "post_event.length_s" = 1, "notice.prompt" = false }
[[step]]
at = "0:03"
do = "double record"
STEP
[[step]]
after = "3 s"
do = "drop 5"
[[step]]
after = "3 s"
do = "stop"
[[recording]]
trigger = "record-double-press"
RECORDING
[end]
after = "1 s"
END
"""
TRUE = {
    "STEP": """[step.expect]
felt = ["recording"]
heard = ["recording"]
inputs = [{ kind = "edge", button = "record", pressed = true }, { kind = "pre-event-had", recording = 1 }]
decisions = [{ kind = "open", category = "officer-discretion" }, { kind = "cue", cue = "recording" }]
journal = [{ type = "step", input = { button = "record" } }, { type = "recording-begun" }]
ledger = [{ type = "recording-opened", audio = { channels = 1 }, sealed = { zone = "street" } }, { type = "segments" }]
lights = { recording = "recording", ready = "working" }
state = { phase = "recording", zone = "street", policy = "first 1", muted = false, docked = false, ready = true, held_s = 2, faults = [], warnings = [] }
[step.never]
felt = ["stopped"]
heard = ["refused"]
inputs = [{ kind = "triggered" }]
decisions = [{ kind = "refuse" }]
journal = [{ type = "fault" }]
ledger = [{ type = "gap" }]""",
    "RECORDING": """verdict = "intact"
seconds = 8.2
within = 0.8
frames = 241
frames_within = 25
pre_event_s = 2.5
pre_event_mode = "video"
missing = { camera = 5 }
sound = true
read = "opened"
continues = false
findings = 0
sealed = { zone = "street", override = false }""",
    "END": """recordings = 1
sockets = 0
verify = { exit = 0, verdict = "intact" }
audit = { exit = 0, verdict = "conforming", device_faults = 0, policy_refusals = 0, wearer_inaction = 0 }""",
}
FALSE = [
    ("STEP", 'felt = ["recording"]', 'felt = ["recording", "stopped"]', "felt"),
    ("STEP", 'heard = ["recording"]', 'heard = ["refused"]', "heard"),
    ("STEP", "pressed = true }, {", "pressed = false, at_us = 1 }, {", "inputs"),
    ("STEP", '"officer-discretion" }', '"arrest" }', "decisions"),
    ("STEP", '[{ kind = "open"', '[{ kind = "cue", cue = "recording" }, { kind = "open"', "decisions"),
    ("STEP", '{ button = "record" }', '{ button = "function" }', "journal"),
    ("STEP", "channels = 1", "channels = 2", "ledger"),
    ("STEP", '{ zone = "street" } }, {', '{ zone = "school" } }, {', "ledger"),
    ("STEP", 'recording = "recording",', 'recording = "muted",', "recording light"),
    ("STEP", 'ready = "working"', 'ready = "not-ready"', "ready light"),
    ("STEP", 'phase = "recording"', 'phase = "idle"', "state"),
    ("STEP", 'zone = "street", policy', 'zone = "school", policy', "zone"),
    ("STEP", "first 1", "first 2", "policy"),
    ("STEP", "muted = false", "muted = true", "muted"),
    ("STEP", "docked = false", "docked = true", "docked"),
    ("STEP", "ready = true", "ready = false", "ready"),
    ("STEP", "held_s = 2", "held_s = 30", "held before a press"),
    ("STEP", "faults = []", 'faults = ["camera"]', "faults"),
    ("STEP", "warnings = []", 'warnings = ["battery-low"]', "warnings"),
    ("STEP", 'felt = ["stopped"]', 'felt = ["recording"]', "never felt"),
    ("STEP", 'heard = ["refused"]', 'heard = ["recording"]', "never heard"),
    ("STEP", '[{ kind = "triggered" }]', '[{ kind = "edge" }]', "never inputs"),
    ("STEP", '[{ kind = "refuse" }]', '[{ kind = "open" }]', "never decisions"),
    ("STEP", '[{ type = "fault" }]', '[{ type = "recording-begun" }]', "never journal"),
    ("STEP", '[{ type = "gap" }]', '[{ type = "segments" }]', "never ledger"),
    ("STEP", '[{ type = "gap" }]', '[{ type = "segments", segments = [{ stage = "pre" }] }]', "never ledger"),
    ("RECORDING", '"intact"', '"ALTERED"', "verdict"),
    ("RECORDING", "seconds = 8.2", "seconds = 10.2", "video"),
    ("RECORDING", "frames = 241", "frames = 281", "frames"),
    ("RECORDING", "pre_event_s = 2.5", "pre_event_s = 4.5", "pre-event had"),
    ("RECORDING", '_mode = "video"', '_mode = "off"', "pre event mode"),
    ("RECORDING", "camera = 5", "camera = 4", "frames missing"),
    ("RECORDING", "{ camera = 5 }", "{}", "frames missing"),
    ("RECORDING", "{ camera = 5 }", "{ camera = 5, policy = 0 }", "frames missing"),
    ("RECORDING", "sound = true", "sound = false", "sound"),
    ("RECORDING", '"opened"', '"not-opened"', "read"),
    ("RECORDING", "continues = false", "continues = true", "continues another"),
    ("RECORDING", "findings = 0", "findings = 1", "findings"),
    ("RECORDING", "override = false", "override = true", "sealed"),
    ("RECORDING", "override = false", "override = 0", "sealed"),
    ("END", "recordings = 1", "recordings = 2", "recordings"),
    ("END", "recordings = 1", "recordings = 0", "recordings"),
    ("END", "sockets = 0", "sockets = 1", "sockets opened"),
    ("END", "verify = { exit = 0", "verify = { exit = 4", "verify: exit"),
    ("END", 'verdict = "intact"', 'verdict = "ALTERED"', "verify"),
    ("END", 'verdict = "intact"', 'verdict = "intact", first_bad = "ledger"', "first bad"),
    ("END", "audit = { exit = 0", "audit = { exit = 1", "audit: exit"),
    ("END", '"conforming"', '"DOES NOT CONFORM"', "audit"),
    ("END", "device_faults = 0", "device_faults = 1", "audit: device faults"),
    ("END", "policy_refusals = 0", "policy_refusals = 1", "audit: policy refusals"),
    ("END", "wearer_inaction = 0", "wearer_inaction = 1", "audit: wearer inaction"),
]


def story(**changes: str) -> Scenario:
    text = STORY
    for place, said in (TRUE | changes).items():
        text = text.replace(place, said)
    return parse_scenario(Path("story.toml"), text.encode())


@pytest.fixture(scope="module")
def played() -> Played:
    return play_scenario(story(), 1)


def test_what_is_true_is_as_expected(played: Played) -> None:
    report = judge_scenario(story(), played)
    assert [_told(check) for check in report.checks if not check.good] == []
    assert len(report.checks) == 44


@pytest.mark.parametrize(
    ("place", "true", "false", "what"), FALSE, ids=[f"{what}: {said}" for _, _, said, what in FALSE]
)
def test_what_is_false_is_told(played: Played, place: str, true: str, false: str, what: str) -> None:
    assert TRUE[place].count(true) == 1, "it is changed in one place"
    report = judge_scenario(story(**{place: TRUE[place].replace(true, false)}), played)
    assert [check.what for check in report.checks if not check.good] == [what]
    assert not report.good


@pytest.mark.parametrize(
    ("wanted", "has"),
    [
        (["a"], True),
        (["a", "c"], True),
        (["a", "b", "c"], True),
        (["c", "a"], False),
        (["a", "a"], False),
        ([], False),
        ([{"n": 1}], False),
    ],
)
def test_a_list_within_a_record_has_what_is_named_in_its_order(wanted: list[object], has: bool) -> None:
    assert _has({"type": "boot", "parts": ["a", "b", "c"]}, {"parts": wanted}) is has
    assert _has({"parts": []}, {"parts": []})


def test_a_recording_that_nobody_expects_is_told(played: Played) -> None:
    scenario = story()
    none = msgspec.structs.replace(scenario.document.end, recordings=0)
    expected = msgspec.structs.replace(scenario.document, recording=(), end=none)
    report = judge_scenario(msgspec.structs.replace(scenario, document=expected), played)
    assert [check.what for check in report.checks if not check.good] == ["recordings"]


def test_verify_and_audit_are_held_against_0_where_nothing_is_said_of_them() -> None:
    document = parse_document((SHIPPED / "altered-footage.toml").read_bytes(), Document)
    untold = msgspec.structs.replace(document, end=type(document.end)(after=document.end.after))
    report = run_scenario(msgspec.structs.replace(read_scenario(find("altered-footage")), document=untold), 1)
    assert [_told(check) for check in report.checks if not check.good] == ["verify: exit: wanted 0, seen 1"]


# -- the seed, and the command ------------------------------------------------------------------------------------------


def test_one_seed_gives_one_story_and_another_gives_another() -> None:
    edges = [play_scenario(story(), seed).edges["recording"] for seed in (5, 5, 6)]
    assert edges[0] == edges[1]
    assert edges[0] != edges[2]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    short = 'title = "T"\nshows = ["R1"]\nwhy = "W"\n[[step]]\nat = "0:02"\nexpect = { state = { phase = "PHASE" } }\n[end]\nrecordings = 0\n'
    good.write_text(short.replace("PHASE", "idle"))
    bad.write_text(short.replace("PHASE", "asleep"))
    assert main(["run", str(good)]) == 0
    assert "1 scenarios, 4 expectations, seed 1" in capsys.readouterr().out
    assert main(["run", str(good), str(bad), "--json", "--seed", "3", "--out", str(tmp_path / "kept")]) == 1
    said = [msgspec.convert(one, Report) for one in json.loads(capsys.readouterr().out)]
    assert [(report.name, report.good, report.seed) for report in said] == [("good", True, 3), ("bad", False, 3)]
    assert [_told(check) for check in said[1].checks if not check.good] == ["state: wanted asleep, seen idle"]
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["00-good", "01-bad"]
    assert (tmp_path / "kept" / "00-good" / "card" / "journal").is_dir()
    assert main(["run", str(good), "--out", str(tmp_path / "kept")]) == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert main(["run"]) == 2
    assert "no scenario: give a file" in capsys.readouterr().err
    assert main(["run", "no-such-story"]) == 2
    assert "no-such-story: no scenario of this name is shipped" in capsys.readouterr().err
    assert main(["run", "--list", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == shipped()


def test_in_real_time_it_is_the_same_story(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "real.toml"
    path.write_text(
        'title = "T"\nshows = ["R1"]\nwhy = "W"\n[bench]\nchange = { "pre_event.length_s" = 2 }\n'
        '[[step]]\nat = "0:03"\ndo = "hold record 1500"\nexpect = { state = { phase = "recording" } }\n'
        '[[step]]\nafter = "4 s"\ndo = "cut power"\n[[step]]\nafter = "1 s"\ndo = ["boot", "clock step +1 h"]\n'
        'expect = { state = { phase = "idle" } }\n'
        '[[recording]]\nverdict = "unchanged; ended by power loss"\n'
        "[end]\nafter = \"4 s\"\nverify = { exit = 4 }\naudit = { exit = 4 }\n"
    )  # fmt: skip
    assert main(["run", str(path), "--speed", "real"]) == 0, capsys.readouterr().out


def _told(check: object) -> str:
    what, wanted, seen = (getattr(check, name) for name in ("what", "wanted", "seen"))
    return f"{what}: wanted {wanted}, seen {seen}"
