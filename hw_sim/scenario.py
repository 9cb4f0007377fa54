"""Scenarios: the text format, read and checked. A TOML file that tells a story, step by step, and what must come of it.

Nothing runs here. What can be misspelt (a cue, a light, a record type or its field, a time) is refused here, so that
a `never` can't pass because of a slip of the pen. What a line of `do` may say is the bench's own: see `hw_sim.scenario_stage`.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec

from device.errors import EvidenceError, UsageError
from device.evidence.reading import read_file
from device.evidence.records import JournalRecord, LedgerRecord
from device.policy import commands, inputs, signals
from device.policy.document import DocumentError, parse_document

SHIPPED = Path(__file__).with_name("scenarios")
MAX_BYTES = 64 * 1024
LONGEST_US = 24 * 3600 * 1_000_000
SEALED = "sealed"
"""The key under which a record's private facts are expected; the demo agency's auditor opens them."""
_CLOCK = re.compile(r"(?P<minutes>[0-9]{1,4}):(?P<seconds>[0-5][0-9](\.[0-9]{1,3})?)")
_AMOUNT = re.compile(r"(?P<number>[0-9]{1,7}(\.[0-9]{1,3})?) (?P<unit>ms|s|min|h)")
_UNITS_US = {"ms": 1000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000}
CLAUSE = re.compile(r"(failure ([1-9]|10)|failure clocks|R([1-9]|1[0-9]|2[0-9])|[GA][1-6]|E([1-9]|10))")

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
Time = Annotated[str, msgspec.Meta(max_length=20)]
Line = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Names = Annotated[tuple[Annotated[str, msgspec.Meta(max_length=64)], ...], msgspec.Meta(max_length=32)]
Facts = Annotated[tuple[dict[str, Any], ...], msgspec.Meta(max_length=32)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Exit = Annotated[int, msgspec.Meta(ge=0, le=4)]
Number = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The root of the tables."""


class BenchSettings(Table, frozen=True, kw_only=True):
    """`policy`: a shipped profile; `change`: keys of it with other values, such as `"pre_event.length_s" = 5`. `role`: of
    the officer who wears it from the start ("": nobody). `picture`: a `clip` encoded beforehand, or `drawn`, which is encoded
    as it comes, and whose lens can be covered. `door`: the category of that trigger. `jitter_ms`: how much later than written a hand may be."""

    policy: Annotated[str, msgspec.Meta(max_length=64)] = "first"
    change: Annotated[dict[str, Any], msgspec.Meta(max_length=64)] = {}
    role: inputs.PrivateWord = ""
    picture: Literal["clip", "drawn"] = "clip"
    microphone: bool = False
    width: Annotated[int, msgspec.Meta(ge=160, le=1920, multiple_of=2)] = 160
    height: Annotated[int, msgspec.Meta(ge=90, le=1088, multiple_of=2)] = 90
    rate_hz: Annotated[int, msgspec.Meta(ge=5, le=60)] = 30
    door: inputs.Word = "officer-discretion"
    bitrate_bps: Annotated[int, msgspec.Meta(ge=50_000, le=25_000_000)] = 150_000
    ring_mib: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 4
    card_mib: Annotated[int, msgspec.Meta(ge=16, le=1_048_576)] = 32_768
    full_below_mib: Annotated[int, msgspec.Meta(ge=4, le=65_536)] = 4
    signer_ms: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    clock: Literal["set", "unset", "chip"] = "set"
    jitter_ms: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 50


class LightsWanted(Table, frozen=True, kw_only=True):
    """Names of rows of docs/signals.md; "": any."""

    recording: str = ""
    ready: str = ""


class StateWanted(Table, frozen=True, kw_only=True):
    """What the device says of itself at the end of the step. `held_s`: how much it holds before a press, to 1 s; `faults`
    and `warnings`: exactly these."""

    phase: Literal["", "idle", "recording", "stop-asked", "paused", "paused-stop-asked", "post-event", "asleep"] = ""
    zone: str | None = None
    policy: str | None = None
    muted: bool | None = None
    docked: bool | None = None
    ready: bool | None = None
    held_s: Seconds | None = None
    faults: Names | None = None
    warnings: Names | None = None


class Signs(Table, frozen=True, kw_only=True):
    """What is seen, felt and heard, and what is written, from this step to the next: each list in this order, others may
    come between. `felt`: cues on the vibration motor; `heard`: on the buzzer. `inputs`, `decisions`: of the journal's steps, opened;
    `journal`, `ledger`: their records."""

    felt: Names = ()
    heard: Names = ()
    inputs: Facts = ()
    decisions: Facts = ()
    journal: Facts = ()
    ledger: Facts = ()


class Expected(Signs, frozen=True, kw_only=True):
    lights: LightsWanted = LightsWanted()
    state: StateWanted = StateWanted()


class Step(Table, frozen=True, kw_only=True):
    """At a time (`at`: since the power came on first; `after`: since the step before) somebody does something."""

    at: Time = ""
    after: Time = ""
    do: Line | Annotated[tuple[Line, ...], msgspec.Meta(max_length=16)] = ()
    expect: Expected = Expected()
    never: Signs = Signs()

    @property
    def lines(self) -> tuple[str, ...]:
        return (self.do,) if isinstance(self.do, str) else self.do


class RecordingWanted(Table, frozen=True, kw_only=True):
    """One recording that is on the card in the end. `seconds` from its first frame to its last without pauses, and `pre_event_s`, give or take
    `within`; `frames` on the card; `missing`: frames that signed
    gaps account for, by cause, give or take `missing_within`: {}: none at all; `read`: with the demo agency's key; `sealed`: private facts of its first line."""

    verdict: str = ""
    trigger: str = ""
    seconds: Seconds | None = None
    within: Seconds = 1.0
    frames: Number | None = None
    frames_within: Number = 0
    pre_event_s: Seconds | None = None
    pre_event_mode: str = ""
    missing: dict[str, Number] | None = None
    missing_within: Number = 0
    sound: bool | None = None
    read: Literal["", "opened", "not-opened", "wrong-key"] = ""
    continues: bool | None = None
    findings: Number | None = None
    sealed: dict[str, Any] = {}


class VerifyWanted(Table, frozen=True, kw_only=True):
    """What `bodycam verify` says of the card. `first_bad`: words that are in where it is first bad."""

    exit: Exit
    verdict: str = ""
    first_bad: str = ""


class AuditWanted(Table, frozen=True, kw_only=True):
    """What `bodycam audit` says. The counts are of its three lists (R27)."""

    exit: Exit
    verdict: str = ""
    device_faults: Number | None = None
    policy_refusals: Number | None = None
    wearer_inaction: Number | None = None


class End(Table, frozen=True, kw_only=True):
    """`after`: how long after the last step the device is stopped, if it runs. `recordings`: how many there are. `sockets`: how
    many the device had opened by then. Without `verify` and `audit` both must exit with 0."""

    after: Time = "0 s"
    recordings: Number | None = None
    sockets: Number | None = None
    verify: VerifyWanted = VerifyWanted(exit=0)
    audit: AuditWanted = AuditWanted(exit=0)


class Document(Table, frozen=True, kw_only=True):
    """`shows`: which failures and requirements of the field digest; `why`: in a sentence or two."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    shows: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=32)], ...], msgspec.Meta(min_length=1, max_length=12)]
    why: Text
    bench: BenchSettings = BenchSettings()
    step: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1, max_length=200)]
    recording: Annotated[tuple[RecordingWanted, ...], msgspec.Meta(max_length=50)] = ()
    end: End = End()


class Scenario(msgspec.Struct, frozen=True):
    """A document that was checked. `starts_us`: of each step, since the power came on first; `ends_us`: of the story."""

    path: Path
    document: Document
    starts_us: tuple[int, ...]
    ends_us: int

    @property
    def name(self) -> str:
        return self.path.stem


def shipped() -> list[str]:
    """The names of the scenarios that come with the twin."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def find(said: str) -> Path:
    """A file, or a shipped scenario by its name."""
    if "/" in said or said.endswith(".toml"):
        return Path(said)
    if said not in shipped():
        raise UsageError(
            f"{said}: no scenario of this name is shipped; give a file, or a name of bodycam-sim run --list"
        )
    return SHIPPED / f"{said}.toml"


def read_scenario(path: Path) -> Scenario:
    """`UsageError`, with the file, the key, its value and the way out, for anything that is not a scenario."""
    try:
        data = read_file(path, MAX_BYTES)
    except EvidenceError as failure:
        raise UsageError(f"{failure}; give a scenario of at most {MAX_BYTES} bytes") from failure
    if data is None:
        raise UsageError(f"{path}: there is no such file; give a scenario, or a name of bodycam-sim run --list")
    try:
        return parse_scenario(path, data)
    except DocumentError as failure:
        raise UsageError(f"{path}: {failure}") from failure


def parse_scenario(path: Path, data: bytes) -> Scenario:
    """`DocumentError` when it is not a scenario."""
    document = parse_document(data, Document)
    for n, said in enumerate(document.shows):
        if not CLAUSE.fullmatch(said):
            raise DocumentError(f"shows[{n}]", said, "must be such as failure 4, failure clocks, R12, G3, A1 or E5")
    starts_us = _starts(document)
    for n, step in enumerate(document.step):
        _check_signs(f"step[{n}].expect", step.expect)
        _check_signs(f"step[{n}].never", step.never)
        for light in ("recording", "ready"):
            name = getattr(step.expect.lights, light)
            if name and name not in light_rows(light):
                raise DocumentError(f"step[{n}].expect.lights.{light}", name, _one_of(light_rows(light)))
    if not _expects(document):
        raise DocumentError(
            "",
            None,
            "it expects nothing; give a step an expect, or a [[recording]], or an [end]: a never alone holds where nothing happens",
        )
    ends_us = starts_us[-1] + _amount("end.after", document.end.after)
    return Scenario(path, document, starts_us, _bounded("end.after", document.end.after, ends_us))


def light_rows(light: str) -> list[str]:
    """The rows of the lights' table that speak for this light."""
    return [row.name for row in signals.INDICATIONS if getattr(row, light) is not None]


def _expects(document: Document) -> bool:
    steps = any(step.expect != Expected() for step in document.step)
    end = msgspec.structs.replace(document.end, after=End().after)
    return steps or bool(document.recording) or end != End()


def _starts(document: Document) -> tuple[int, ...]:
    starts: list[int] = []
    for n, step in enumerate(document.step):
        before = starts[-1] if starts else 0
        if bool(step.at) == bool(step.after):
            raise DocumentError(f"step[{n}]", None, 'give it one of at = "0:05" and after = "3 s"')
        key, said = (f"step[{n}].at", step.at) if step.at else (f"step[{n}].after", step.after)
        start_us = _moment(key, said) if step.at else before + _amount(key, said)
        if start_us < before:
            raise DocumentError(key, said, "before the step before it; steps are told in their order")
        starts.append(_bounded(key, said, start_us))
    return tuple(starts)


def _bounded(key: str, said: str, at_us: int) -> int:
    if at_us > LONGEST_US:
        raise DocumentError(key, said, "later than 24 h after the start; tell a shorter story")
    return at_us


def _moment(key: str, said: str) -> int:
    match = _CLOCK.fullmatch(said)
    if match is None:
        raise DocumentError(key, said, "must be minutes and seconds, such as 0:05 or 12:30.5")
    return int(match["minutes"]) * 60_000_000 + round(float(match["seconds"]) * 1_000_000)


def _amount(key: str, said: str) -> int:
    amount = amount_us(said)
    if amount is None:
        raise DocumentError(key, said, "must be a number and a unit, such as 300 ms, 3 s, 2 min or 1 h")
    return amount


def amount_us(said: str) -> int | None:
    """A time such as `3 s`; None when it is none."""
    match = _AMOUNT.fullmatch(said)
    return round(float(match["number"]) * _UNITS_US[match["unit"]]) if match else None


# -- what can be misspelt -------------------------------------------------------------------------------------------


def _check_signs(key: str, signs: Signs) -> None:
    for name, cues in (("felt", signs.felt), ("heard", signs.heard)):
        for n, cue in enumerate(cues):
            if cue not in signals.CUES:
                raise DocumentError(
                    f"{key}.{name}[{n}]", cue, "no such cue; see docs/signals.md, or bodycam policy show"
                )
            if name == "heard" and not signals.CUES[cue].buzzer:
                raise DocumentError(f"{key}.{name}[{n}]", cue, "this cue is silent; expect it under felt")
    for name, kinds in (
        ("inputs", _fields(get_args(inputs.Input))),
        ("decisions", _fields(get_args(commands.Command))),
        ("journal", _fields(get_args(JournalRecord))),
        ("ledger", _fields(get_args(LedgerRecord))),
    ):
        for n, facts in enumerate(getattr(signs, name)):
            _check_facts(f"{key}.{name}[{n}]", facts, kinds, "kind" if name in ("inputs", "decisions") else "type")


def _check_facts(key: str, facts: dict[str, Any], kinds: dict[str, set[str]], tag: str) -> None:
    kind = facts.get(tag)
    if not isinstance(kind, str) or kind not in kinds:
        raise DocumentError(f"{key}.{tag}", kind if isinstance(kind, str) else None, _one_of(sorted(kinds)))
    for field in facts.keys() - {tag}:
        if field not in kinds[kind]:
            raise DocumentError(f"{key}.{field}", None, f"a {kind} has no such field; {_one_of(sorted(kinds[kind]))}")


def _fields(types: Iterable[type[msgspec.Struct]]) -> dict[str, set[str]]:
    tagged = {str(kind.__struct_config__.tag): {*kind.__struct_encode_fields__} for kind in types}
    return {tag: fields | ({SEALED} if "context" in fields else set()) for tag, fields in tagged.items()}


def _one_of(names: Iterable[str]) -> str:
    return f"one of: {', '.join(names)}"
