"""Reading a scenario: every kind of bad file has one message, with the key, what it says and the way out."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.errors import UsageError
from device.policy.document import DocumentError
from hw_sim.cli import main
from hw_sim.scenario import MAX_BYTES, SHIPPED, parse_scenario, read_scenario, shipped
from hw_sim.scenario_run import play_scenario

GOOD = """title = "T"
shows = ["R1", "failure 4", "failure clocks", "E5", "G3", "A1"]
why = "W"
[[step]]
at = "0:01"
do = "double record"
expect = { felt = ["recording"], decisions = [{ kind = "open" }] }
[[step]]
after = "300 ms"
never = { heard = ["stopped"] }
[end]
after = "1 min"
"""
BAD = [
    ("", "", "title: missing; it must be given"),
    ('title = "T"', "title = 5", "title is 5: must be a text of 1 to 120 characters"),
    ('title = "T"', "title = [", "not TOML: "),
    ('why = "W"', "", "why: missing; it must be given"),
    ('why = "W"', 'why = "W"\nwhere = 1', "where: no such key"),
    ('"R1"', '"R30"', "shows[0] is 'R30': must be such as failure 4"),
    ('at = "0:01"', "", 'step[0]: give it one of at = "0:05" and after = "3 s"'),
    ('at = "0:01"', 'at = "0:01"\nafter = "1 s"', "step[0]: give it one of at"),
    ('at = "0:01"', 'at = "0:61"', "step[0].at is '0:61': must be minutes and seconds, such as 0:05 or 12:30.5"),
    ('at = "0:01"', 'at = "1 s"', "step[0].at is '1 s': must be minutes and seconds"),
    ('at = "0:01"', "at = 1", "step[0].at is 1: must be a text of at most 20 characters"),
    ('after = "300 ms"', 'after = "0:03"', "step[1].after is '0:03': must be a number and a unit, such as 300 ms, 3 s"),
    ('after = "300 ms"', 'after = "-3 s"', "step[1].after is '-3 s': must be a number and a unit"),
    ('after = "300 ms"', 'at = "0:00"', "step[1].at is '0:00': before the step before it; steps are told in their order"),
    ('after = "300 ms"', 'after = "25 h"', "step[1].after is '25 h': later than 24 h after the start; tell a shorter story"),
    ('after = "1 min"', 'after = "24 h"', "end.after is '24 h': later than 24 h"),
    ('"recording"', '"recordin"', "step[0].expect.felt[0] is 'recordin': no such cue; see docs/signals.md"),
    ('"stopped"', '"status"', "step[1].never.heard[0] is 'status': this cue is silent; expect it under felt"),
    ('kind = "open"', 'kind = "opens"', "step[0].expect.decisions[0].kind is 'opens': must be one of: assign, clear-ring"),
    ('kind = "open"', 'type = "open"', "step[0].expect.decisions[0].kind: must be one of: "),
    ('kind = "open"', 'kind = "open", zones = 1', "step[0].expect.decisions[0].zones: a open has no such field; one of: "),
    ('"double record"', '""', "step[0].do"),
    ('felt = ["recording"]', 'lights = { ready = "recording" }', "step[0].expect.lights.ready is 'recording': must be one of: "),
    ('felt = ["recording"]', 'state = { phase = "sleeping" }', "step[0].expect.state.phase is 'sleeping': must be one of: "),
    ('felt = ["recording"]', "state = { held_s = -1 }", "step[0].expect.state.held_s is -1"),
    ('felt = ["recording"]', "smelt = []", "step[0].expect.smelt: no such key"),
    ('[end]\nafter = "1 min"', "[end]\nverify = { exit = 9 }", "end.verify.exit is 9"),
    ('[end]\nafter = "1 min"', "[bench]\nwidth = 161", "bench.width is 161"),
    ('[end]\nafter = "1 min"', "[[recording]]\nverdikt = 1", "recording[0].verdikt: no such key"),
]  # fmt: skip


def test_a_good_one() -> None:
    scenario = parse_scenario(Path("a/good.toml"), GOOD.encode())
    assert (scenario.name, scenario.starts_us, scenario.ends_us) == ("good", (1_000_000, 1_300_000), 61_300_000)


@pytest.mark.parametrize(("true", "false", "said"), BAD, ids=[said for _, _, said in BAD])
def test_a_bad_file_has_one_message(
    true: str, false: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not true or GOOD.count(true) == 1, "it is changed in one place"
    path = tmp_path / "bad.toml"
    path.write_text(GOOD.replace(true, false) if true else "")
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"bodycam-sim: {path}: {said}"), printed.err
    assert "Traceback" not in printed.err
    assert not (tmp_path / "out").exists()


EXPECTS_NOTHING = 'title = "T"\nshows = ["R1"]\nwhy = "W"\n[[step]]\nat = "0:01"\ndo = "double record"\n'


@pytest.mark.parametrize(
    "more",
    [
        "",
        '[end]\nafter = "1 s"\n',
        "expect = {}\n",
        "[end]\nverify = { exit = 0 }\n",
        'never = { felt = ["stopped"] }\n',
    ],
)
def test_one_that_expects_nothing_is_an_error(more: str) -> None:
    with pytest.raises(DocumentError, match="it expects nothing; give a step an expect, or a"):
        parse_scenario(Path("x.toml"), (EXPECTS_NOTHING + more).encode())


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone.toml: there is no such file; give a scenario"):
        read_scenario(tmp_path / "gone.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(UsageError, match=rf"give a scenario of at most {MAX_BYTES} bytes"):
        read_scenario(tmp_path / "large.toml")
    with pytest.raises(UsageError, match="give a scenario"):
        read_scenario(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'title = "\xe9"')
    with pytest.raises(UsageError, match=r"latin.toml: not TOML: line 1 is not UTF-8"):
        read_scenario(tmp_path / "latin.toml")


LINES = [
    ("dubble record", "step[0].do is 'dubble record': no such verb; one of: press, double, hold, zone, sleep, dock, "),
    ("double recorder", "step[0].do is 'double recorder': double recorder: must be double BUTTON (a double press: "),
    ("zone nowhere", "step[0].do is 'zone nowhere': zone nowhere: this bench has: private, school, initial"),
    (
        "clock step 1 h",
        "step[0].do is 'clock step 1 h': must be clock step +1 h or clock unset or clock chip or clock set;",
    ),
    ("policy instal first", "step[0].do is 'policy instal first': must be policy install PROFILE [KEY=VALUE …] (KEY: "),
    ("fault nose off", "step[0].do is 'fault nose off': fault nose off: no such part; one of: camera, encoder, "),
    (
        "fault camera purple",
        "step[0].do is 'fault camera purple': fault camera purple: no such word; one of: off, stuck, ",
    ),
    ("fault camera off 5", "step[0].do is 'fault camera off 5': fault camera off 5: it takes no number"),
    (
        "fault camera slow x",
        "step[0].do is 'fault camera slow x': fault camera slow x: must be one whole number, from 0 to ",
    ),
    ("fault lights slow", "step[0].do is 'fault lights slow': fault lights slow: there is none: a lamp has no speed"),
    ("fault process off", "step[0].do is 'fault process off': a scenario is played in this process; say cut power"),
    ("fault", "step[0].do is 'fault': fault: must be fault PART WORD [ARGUMENT]|clear (break a part, or mend it: "),
    (
        "fault camera",
        "step[0].do is 'fault camera': fault camera: must be fault PART WORD [ARGUMENT]|clear (break a part, ",
    ),
    (" ", "step[0].do is ' ': no such verb; one of: press, double, "),
    ("boot", "step[0].do: 'boot': the device is on then"),
    ("flip bit", "step[0].do: there is no segment on the card yet; do it after a recording"),
    ("policy install nobodys", "step[0].do: policy is 'nobodys': must be one of: aclu-model"),
    ("policy install first a.b=1", "step[0].do: change of a.b: the policy has no such key"),
    ("policy install first stop.confirm_s=x", "step[0].do: stop.confirm_s=x: the value is as in JSON"),
    ("policy install first stop.confirm_s=99", "step[0].do: policy first as it was changed: stop.confirm_s is 99"),
]


@pytest.mark.parametrize(("line", "said"), LINES, ids=[line for line, _ in LINES])
def test_a_bad_line_has_one_message(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(GOOD.replace("double record", line))
    with pytest.raises(UsageError, match=re.escape(f"{path}: {said}")) as refused:
        play_scenario(read_scenario(path), 1)
    assert "\n" not in str(refused.value)


def test_a_line_that_there_is_not_is_one_line_and_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(GOOD.replace("double record", "dance"))
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        f"bodycam-sim: {path}: step[0].do is 'dance': no such verb; one of: press, double, hold, zone, sleep, dock, trigger, "
        "battery, heat, undervoltage, memory, card, stick, unstick, chatter, lens, stall, resume, drop, die, fail, hang, unplug, "
        "replug, fault, help, cut, stop, boot, assign, policy, clock, room, receipts, flip; docs/scenarios.md tells what each "
        "does\n"
    )


@pytest.mark.parametrize(
    ("bench", "said"),
    [
        ('policy = "mine"', "bench: policy is 'mine': must be one of: aclu-model"),
        ('change = { "stop.confirm_s" = 99 }', "bench: policy first as it was changed: stop.confirm_s is 99"),
        ('change = { "stop.nothing" = 99 }', "bench: change of stop.nothing: the policy has no such key"),
        ('change = { "stop.confirm_s" = 2026-01-01 }', "bench: change: a value is a text, a number, true or false"),
        ('role = "no role"', "bench.role is 'no role': must be"),
        ('door = "no-category"', "bench: door is 'no-category': must be a category of the policy's"),
    ],
)
def test_a_bad_bench_has_one_message(bench: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(GOOD + f"[bench]\n{bench}\n")
    with pytest.raises(UsageError, match=re.escape(said)):
        play_scenario(read_scenario(path), 1)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_scenario_or_a_message(data: bytes) -> None:
    _read(data)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_shipped_one_that_is_spoilt_is_a_scenario_or_a_message(data: st.DataObject) -> None:
    text = (SHIPPED / f"{data.draw(st.sampled_from(shipped()))}.toml").read_text("utf-8")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 12))
        put = data.draw(
            st.text(max_size=8) | st.sampled_from(["[", "{}", '"', "= 1e400", "nan", "[[step]]\n", "0x", "-1"])
        )
        text = text[:at] + put + text[at + length :]
    _read(text.encode("utf-8", "surrogatepass"))


def _read(data: bytes) -> None:
    with suppress(DocumentError):
        parse_scenario(Path("fuzz.toml"), data)
