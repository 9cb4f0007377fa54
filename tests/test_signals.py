"""What the wearer and the public see, hear and feel: every state has its lights, every cue is told from every other."""

import ast
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

import device.policy
from device.policy import signals
from device.policy.signals import (
    BEATS_MS,
    CUES,
    INDICATIONS,
    Lights,
    Pattern,
    cue_in_words,
    light_in_words,
    lights,
    pulses_ms,
)
from device.policy.state import KEEPING, Capture, Phase, State

PAGE = Path(__file__).resolve().parents[1] / "docs" / "signals.md"
POLICY_SOURCES = Path(device.policy.__file__).parent
NAMES: Mapping[str, Pattern] = {
    "dark": signals.OFF,
    "on": signals.ON,
    "gap": signals.GAP,
    "lgap": signals.LONG_GAP,
    "gaps": signals.TWO_GAPS,
    "slow": signals.SLOW,
    "fast": signals.FAST,
    "beat": signals.HEARTBEAT,
    "1wink": signals.WINK,
    "2wink": signals.TWO_WINKS,
    "3wink": signals.THREE_WINKS,
    "rare": signals.RARE_WINK,
}
LOOK = {pattern: name for name, pattern in NAMES.items()}

# What is shown, as recording/ready, with no flag, and with each flag alone.
EXPECTED = """
                   alone      stealth    camera     not-ready  fault       critical   muted      clock      storage    battery
idle               dark/on    dark/dark  dark/fast  dark/dark  dark/3wink  dark/beat  dark/on    dark/gaps  dark/gap   dark/lgap
idle, none held    dark/1wink dark/dark  dark/fast  dark/dark  dark/3wink  dark/beat  dark/1wink dark/gaps  dark/gap   dark/lgap
recording          on/on      dark/dark  on/fast    on/dark    on/3wink    on/beat    slow/slow  on/gaps    on/gap     on/lgap
stop-asked         fast/on    dark/dark  fast/fast  fast/dark  fast/3wink  fast/beat  slow/slow  fast/gaps  fast/gap   fast/lgap
paused             dark/2wink dark/dark  dark/fast  dark/dark  dark/3wink  dark/beat  dark/2wink dark/2wink dark/2wink dark/2wink
paused-stop-asked  dark/2wink dark/dark  dark/fast  dark/dark  dark/3wink  dark/beat  dark/2wink dark/2wink dark/2wink dark/2wink
post-event         gap/on     dark/dark  gap/fast   gap/dark   gap/3wink   gap/beat   slow/slow  gap/gaps   gap/gap    gap/lgap
asleep             dark/rare  dark/dark  dark/fast  dark/dark  dark/3wink  dark/beat  dark/rare  dark/rare  dark/rare  dark/rare
"""  # fmt: skip
FLAGS = ("stealth", "camera", "not-ready", "fault", "critical", "muted", "clock", "storage", "battery")
"""In the order of their weight."""


def expected() -> dict[str, dict[str, str]]:
    head, *rows = EXPECTED.strip("\n").splitlines()
    columns = head.split()
    assert columns == ["alone", *FLAGS]
    return {row[:19].strip(): dict(zip(columns, row[19:].split(), strict=True)) for row in rows}


SITUATIONS = {
    "idle": Phase.IDLE,
    "idle, none held": Phase.IDLE,
    **{phase.value: phase for phase in Phase if phase is not Phase.IDLE},
}


def state_of(situation: str, flags: tuple[str, ...] = ()) -> tuple[State, Capture]:
    state = State(
        now_us=0,
        phase=SITUATIONS[situation],
        zone="street",
        stealth="stealth" in flags,
        muted="muted" in flags,
        ready="not-ready" not in flags,
        not_ready="storage-full" if "not-ready" in flags else "",
        faults=tuple(
            part for flag, part in (("camera", "camera"), ("clock", "clock"), ("fault", "card")) if flag in flags
        ),
        warnings=tuple(
            warning
            for flag, warning in (
                ("battery", "battery-low"),
                ("critical", "battery-critical"),
                ("storage", "storage-low"),
            )
            if flag in flags
        ),
    )
    video = state.phase in KEEPING or situation == "idle"
    held = Capture(zone="street", muted=False, paused=False, video=video, audio=False, pre_video=video, pre_audio=False)
    return state, held


def shown(situation: str, flags: tuple[str, ...] = ()) -> str:
    both = lights(*state_of(situation, flags))
    return f"{LOOK[both.recording]}/{LOOK[both.ready]}"


def combinations() -> Iterator[tuple[str, tuple[str, ...]]]:
    for situation in SITUATIONS:
        for number in range(len(FLAGS) + 1):
            for flags in itertools.combinations(FLAGS, number):
                yield situation, flags


# -- lights ---------------------------------------------------------------------------------------------------------


def test_every_phase_with_every_flag_shows_what_the_table_says() -> None:
    table = {
        situation: {flag: shown(situation, () if flag == "alone" else (flag,)) for flag in ("alone", *FLAGS)}
        for situation in SITUATIONS
    }
    assert table == expected()


def test_of_several_flags_the_weightiest_decides_for_each_light() -> None:
    table = expected()
    for situation, flags in combinations():
        row = table[situation]
        want = []
        for light in (0, 1):
            alone = row["alone"].split("/")[light]
            speaking = [look for flag in flags if (look := row[flag].split("/")[light]) != alone]
            want.append(speaking[0] if speaking else alone)
        assert shown(situation, flags) == "/".join(want), (situation, flags)


def test_the_recording_light_is_lit_exactly_while_frames_are_kept_but_for_stealth() -> None:
    """The invariant of the public's light, over every phase and every combination of flags."""
    for situation, flags in combinations():
        state, held = state_of(situation, flags)
        pattern = lights(state, held).recording
        kept = state.phase in KEEPING and not state.stealth
        assert is_lit(pattern) if kept else pattern == signals.OFF, (situation, flags)


def is_lit(pattern: Pattern) -> bool:
    """Lit at once, and never dark for longer than half a second."""
    return pattern.on and max(pattern.times_ms[1::2], default=0) <= 500


def test_an_unset_clock_does_not_look_like_a_failed_camera() -> None:
    for situation in SITUATIONS:
        assert shown(situation, ("clock",)) != shown(situation, ("camera",))
    assert CUES["clock-unset"].vibration != CUES["camera-fault"].vibration


def test_an_unknown_fault_is_shown_and_known_ones_are_not_shown_twice() -> None:
    state, held = state_of("idle")
    for part in ("button-record", "zone-switch", "microphone", "journal"):
        broken = msgspec.structs.replace(state, faults=(part,))
        assert lights(broken, held).ready == signals.THREE_WINKS


def test_every_row_decides_somewhere() -> None:
    """No row is hidden by those above it."""
    for row in INDICATIONS:
        without = tuple(other for other in INDICATIONS if other is not row)
        assert any(
            picked(INDICATIONS, *state_of(*case)) != picked(without, *state_of(*case)) for case in combinations()
        ), row.name


def picked(rows: tuple[signals.Indication, ...], state: State, held: Capture) -> tuple[str, str]:
    """The names of the rows that decide."""
    holding = [row for row in rows if row.when(state, held)]
    return (
        next((row.name for row in holding if row.recording is not None), ""),
        next((row.name for row in holding if row.ready is not None), ""),
    )


def test_patterns_are_told_apart() -> None:
    patterns = [*NAMES.values(), signals.CANNOT_START]
    assert {value for value in vars(signals).values() if isinstance(value, Pattern)} == set(patterns)
    assert len({pattern.looks for pattern in patterns}) == len(patterns)
    assert len({(pattern.on, pattern.times_ms) for pattern in patterns}) == len(patterns)
    for pattern in patterns:
        assert len(pattern.times_ms) % 2 == 0
        assert min(pattern.times_ms, default=100) >= 100, "an eye misses less"
        assert pattern.on or not pattern.times_ms


def test_the_first_row_that_speaks_wins() -> None:
    assert lights(*state_of("recording", ("muted", "camera"))) == Lights(signals.SLOW, signals.FAST)


# -- cues -----------------------------------------------------------------------------------------------------------


def test_no_cue_feels_like_another_even_without_the_buzzer() -> None:
    felt = [cue.vibration for cue in CUES.values()]
    assert all(felt)
    assert sorted(set(felt)) == sorted(felt)


def test_a_cue_that_is_heard_is_told_from_every_other_by_ear() -> None:
    heard = [cue.buzzer for cue in CUES.values() if cue.buzzer]
    assert sorted(set(heard)) == sorted(heard)


def test_a_count_is_felt_as_so_many_beats_and_not_heard() -> None:
    for n in range(1, 10):
        assert len(pulses_ms(CUES[f"count-{n}"].vibration)) == n
        assert CUES[f"count-{n}"].buzzer == ""


def test_cues_are_short_and_their_beats_long_enough_to_be_felt() -> None:
    for name, cue in CUES.items():
        pulses = pulses_ms(cue.vibration)
        assert pulses[-1][1] <= 4500, name
        assert min(end - begin for begin, end in pulses) >= 100, name
        assert all(after[0] - before[1] >= 100 for before, after in itertools.pairwise(pulses)), name
    on_ms = [on for on, _ in BEATS_MS.values()]
    assert all(b > 1.5 * a for a, b in itertools.pairwise(sorted(on_ms)))


def test_pulses_of_beats() -> None:
    assert pulses_ms(".-") == ((0, 120), (270, 720))
    assert pulses_ms("") == ()


@pytest.mark.parametrize(
    ("strong", "weak"),
    [
        ("recording", "notice-prompt"),
        ("refused", "start-prompt"),
        ("failed", "fault"),
        ("stop-asked", "battery-low"),
        ("zone-prompt", "zone"),
        ("battery-critical", "remind-recording"),
        ("camera-fault", "fault-over"),
    ],
)
def test_what_matters_more_has_the_higher_priority(strong: str, weak: str) -> None:
    assert CUES[strong].priority > CUES[weak].priority


# -- in words -------------------------------------------------------------------------------------------------------


def test_every_light_and_cue_is_told_in_words() -> None:
    words = {name: cue_in_words(cue) for name, cue in CUES.items()}
    assert words["override"] == "vibration and buzzer: 2 short, 1 very long"
    assert words["count-3"] == "vibration: 3 counted; buzzer: silent"
    assert len(set(words.values())) == len(words)
    assert all(light_in_words(row) and row.meaning for row in INDICATIONS)
    assert light_in_words(INDICATIONS[0]) == "recording light: dark; ready light: dark"


def test_the_page_has_every_light_and_every_cue() -> None:
    page = PAGE.read_text("utf-8")
    lights_part, cues_part = page.split("## Cues")
    rows = re.findall(r"^\| \d+ \| ([a-z-]+) \| (.*) \| (.*) \| (.*) \|$", lights_part, re.MULTILINE)
    assert rows == [
        (row.name, row.recording.looks if row.recording else "", row.ready.looks if row.ready else "", row.meaning)
        for row in INDICATIONS
    ]
    told = re.findall(r"^\| ([a-z0-9-]+) \| (.*) \| (.*) \| (\d) \| (.*) \|$", cues_part, re.MULTILINE)
    assert told == [
        (name, signals.in_words(cue.vibration), signals.in_words(cue.buzzer), str(cue.priority), cue.meaning)
        for name, cue in CUES.items()
    ]


# -- what the machine says ------------------------------------------------------------------------------------------


class Said:
    """The names of cues that a module's source can say: literals, and what leads to them within the module. A name made
    from numbers stands as its beginning with a `*`."""

    def __init__(self, source: str) -> None:
        self._tree = ast.parse(source)
        self._functions = {node.name: node for node in ast.walk(self._tree) if isinstance(node, ast.FunctionDef)}
        self._constants = {
            target.id: node.value
            for node in self._tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        self._looked_at: set[tuple[str, str]] = set()

    def cues(self) -> set[str]:
        found = set()
        for function in self._functions.values():
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and function.name != "cue":
                    for said in self._said_by(node):
                        names = self._strings(said, function)
                        assert names, f"line {node.lineno}: the cue's name can't be found"
                        found |= names
        return found

    def _said_by(self, call: ast.Call) -> list[ast.expr]:
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name == "cue":
            return call.args[:1]
        return [keyword.value for keyword in call.keywords if name == "Cue" and keyword.arg == "cue"]

    def _strings(self, node: ast.expr, function: ast.FunctionDef) -> set[str]:
        match node:
            case ast.Constant(value=str(name)):
                return {name}
            case ast.JoinedStr(values=[ast.Constant(value=str(beginning)), *_]):
                return {f"{beginning}*"}
            case ast.IfExp(test=test, body=body, orelse=orelse):
                among = test.comparators if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.In) else []
                return self._any([body, orelse, *among], function)
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
                return self._any(parts, function)
            case ast.Dict(values=values):
                return self._any(values, function)
            case ast.Call(func=ast.Attribute(attr="get", value=table), args=[_, *default]):
                return self._any([table, *default], function)
            case ast.Call(func=ast.Name(id=name)) if name in self._functions:
                called = self._functions[name]
                return self._any([n.value for n in ast.walk(called) if isinstance(n, ast.Return) and n.value], called)
            case ast.Subscript(value=table):
                return self._strings(table, function)
            case ast.Name(id=name):
                return self._named(name, function)
        return set()

    def _named(self, name: str, function: ast.FunctionDef) -> set[str]:
        if (function.name, name) in self._looked_at:
            return set()
        self._looked_at.add((function.name, name))
        found = self._strings(self._constants[name], function) if name in self._constants else set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    found |= self._assigned(name, target, node.value, function)
        self._looked_at.discard((function.name, name))
        return found

    def _assigned(self, name: str, target: ast.expr, value: ast.expr, function: ast.FunctionDef) -> set[str]:
        if isinstance(target, ast.Name) and target.id == name:
            return self._strings(value, function)
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = zip(target.elts, value.elts, strict=True)
            return set().union(*(self._assigned(name, each, its, function) for each, its in pairs))
        return set()

    def _any(self, nodes: list[ast.expr], function: ast.FunctionDef) -> set[str]:
        return set().union(*(self._strings(node, function) for node in nodes))


def test_every_cue_that_the_machine_can_say_is_in_the_table_and_no_other() -> None:
    said = set()
    for path in sorted(POLICY_SOURCES.glob("*.py")):
        said |= Said(path.read_text("utf-8")).cues()
    counted = {name for name in CUES if name.startswith("count-")}
    assert "count-*" in said
    assert (said - {"count-*"}) | counted == set(CUES)


def test_the_search_finds_what_it_must() -> None:
    source = """
NAMES = {"camera": "camera-fault"}
LEVELS = ("low", "critical")

def a(moment):
    cue, n = "remind", 2
    moment.cue(cue, "clause")
    moment.cue(f"count-{n}", "clause")
    moment.cue(NAMES.get(n, "fault"), "clause")
    moment.cue(b(n), "clause")
    level = f"{n}-{n}"
    do.Cue(at_us=1, cue=level if level in LEVELS else "other")

def b(n):
    if n == "no-cue":
        return "one"
    return "two" if n == "neither" else "three"
"""
    assert Said(source).cues() == {
        "remind", "count-*", "camera-fault", "fault", "one", "two", "three", "low", "critical", "other",
    }  # fmt: skip
    with pytest.raises(AssertionError, match="can't be found"):
        Said("def a(moment, name):\n    moment.cue(name, 'clause')").cues()
