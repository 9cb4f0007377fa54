"""Was it as the scenario expects? Each expectation becomes one check, with what was wanted and what was seen."""

from typing import Any

import msgspec

from device.evidence.judgements import Audit
from device.evidence.verdicts import CardVerdict, RecordingVerdict, first_bad_said
from device.policy import signals
from hw_sim import senses
from hw_sim.scenario import AuditWanted, Document, RecordingWanted, Signs, StateWanted, Step, VerifyWanted
from hw_sim.scenario_seen import Facts, Judged, Told
from hw_sim.senses import Edge

HELD_WITHIN_S = 1.0
MOST_SHOWN = 6
"""As many of the things seen as a message repeats."""


class Snapshot(msgspec.Struct, frozen=True):
    """What the device said of itself at the end of a step; `on` false: it was off."""

    on: bool
    phase: str = ""
    zone: str = ""
    policy: str = ""
    muted: bool = False
    docked: bool = False
    ready: bool = False
    held_s: float = 0.0
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Span(msgspec.Struct, frozen=True):
    """A step as it was played, in boot µs: from its beginning to the next one's; and how it left the device."""

    from_us: int
    to_us: int
    left: Snapshot


class Check(msgspec.Struct, frozen=True):
    """One expectation: `what` it is about, and whether it was so."""

    what: str
    wanted: str
    seen: str
    good: bool


def judge_step(step: Step, span: Span, edges: dict[str, list[Edge]], judged: Judged) -> list[Check]:
    expect = step.expect
    checks = [*_signs(expect, span, edges, judged), *_never(step.never, span, edges, judged)]
    for light in senses.LIGHTS:
        name = getattr(expect.lights, light)
        if name:
            checks.append(_light(light, name, span, edges[light]))
    return checks + _state(expect.state, span.left)


def judge_end(document: Document, judged: Judged, sockets: int) -> list[list[Check]]:
    """Of each recording that is expected, then of the card as a whole. `sockets`: how many the device had opened."""
    verdicts, openings = judged.verdict.recordings, judged.written.openings
    recordings = [
        _recording(wanted, verdict, openings.get(verdict.recording, {}))
        for wanted, verdict in zip(document.recording, verdicts, strict=False)
    ]
    many = document.end.recordings if document.end.recordings is not None else len(document.recording) or None
    count = [] if many is None else [_equal("recordings", many, len(verdicts))]
    if document.end.sockets is not None:
        count.append(_equal("sockets opened", document.end.sockets, sockets))
    return [
        *recordings,
        [*count, *_verify(document.end.verify, judged.verdict), *_audit(document.end.audit, judged.audited)],
    ]


# -- a step ---------------------------------------------------------------------------------------------------------


def _signs(wanted: Signs, span: Span, edges: dict[str, list[Edge]], judged: Judged) -> list[Check]:
    checks = []
    for name, output in (("felt", "vibration"), ("heard", "buzzer")):
        cues = getattr(wanted, name)
        if cues:
            seen = senses.cues(edges[output], output, span.from_us, span.to_us)
            checks.append(Check(name, ", ".join(cues), ", ".join(seen) or "nothing", _in_order(cues, seen)))
    for name in ("inputs", "decisions", "journal", "ledger"):
        facts = getattr(wanted, name)
        if facts:
            told = _told(getattr(judged.written, name), span)
            good = _in_order(facts, told)
            checks.append(Check(name, "; ".join(map(_said, facts)), "as expected" if good else _kinds(told), good))
    return checks


def _never(unwanted: Signs, span: Span, edges: dict[str, list[Edge]], judged: Judged) -> list[Check]:
    checks = []
    for name, output in (("felt", "vibration"), ("heard", "buzzer")):
        for cue in getattr(unwanted, name):
            seen = senses.cues(edges[output], output, span.from_us, span.to_us)
            checks.append(Check(f"never {name}", cue, ", ".join(seen) or "nothing", cue not in seen))
    for name in ("inputs", "decisions", "journal", "ledger"):
        for facts in getattr(unwanted, name):
            found = [each for each in _told(getattr(judged.written, name), span) if _has(each, facts)]
            checks.append(Check(f"never {name}", _said(facts), f"{len(found)} of it", not found))
    return checks


def _told(told: list[Told], span: Span) -> list[Facts]:
    return [facts for at_us, facts in told if span.from_us <= at_us < span.to_us]


def _in_order(wanted: tuple[Any, ...], seen: list[Any]) -> bool:
    """Whether what is wanted comes in this order, with or without others between."""
    rest = iter(seen)
    return all(any(_has(each, one) for each in rest) for one in wanted)


def _has(seen: Any, wanted: Any) -> bool:
    """Whether a fact is as wanted; of a table, the keys that are wanted; of a list, the things that are wanted, in their order,
    others may come between; an empty list is one with nothing in it."""
    if isinstance(wanted, dict):
        return isinstance(seen, dict) and all(key in seen and _has(seen[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return isinstance(seen, list | tuple) and (_in_order(tuple(wanted), list(seen)) if wanted else not seen)
    return bool(seen == wanted) and isinstance(seen, bool) == isinstance(wanted, bool)


def _said(facts: Facts) -> str:
    kind = facts.get("kind") or facts.get("type") or ""
    rest = ", ".join(f"{key} {_value(value)}" for key, value in facts.items() if key not in ("kind", "type"))
    return " ".join(filter(None, (str(kind), rest and f"({rest})")))


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_value(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _kinds(told: list[Facts]) -> str:
    """What was written instead, without what every line has."""
    kinds = [str(facts.get("kind") or facts.get("type")) for facts in told]
    return ", ".join(kinds[: 4 * MOST_SHOWN]) + (" …" if len(kinds) > 4 * MOST_SHOWN else "") or "nothing"


def _light(light: str, name: str, span: Span, edges: list[Edge]) -> Check:
    pattern = next(getattr(row, light) for row in signals.INDICATIONS if row.name == name)
    good = senses.shows(edges, pattern, span.from_us, span.to_us)
    seen = pattern.looks if good else senses.looks(edges, max(span.from_us, span.to_us - 3_000_000), span.to_us)
    return Check(f"{light} light", f"{name} ({pattern.looks})", seen, good)


def _state(wanted: StateWanted, left: Snapshot) -> list[Check]:
    if wanted == StateWanted():
        return []
    if not left.on:
        return [Check("state", "the device is on", "it is off", good=False)]
    checks = [_equal("state", wanted.phase, left.phase)] if wanted.phase else []
    checks += _those_wanted(wanted, left, ("zone", "policy", "muted", "docked", "ready"))
    for name in ("faults", "warnings"):
        names = getattr(wanted, name)
        checks += [] if names is None else [_equal(name, sorted(names), sorted(getattr(left, name)))]
    if wanted.held_s is not None:
        checks.append(_near("held before a press", wanted.held_s, left.held_s, HELD_WITHIN_S))
    return checks


def _those_wanted(wanted: object, seen: object, names: tuple[str, ...]) -> list[Check]:
    """A check for each of these that something is wanted of."""
    pairs = [(name, getattr(wanted, name), getattr(seen, name)) for name in names]
    return [_equal(name.replace("_", " "), value, has) for name, value, has in pairs if value not in (None, "")]


# -- the end --------------------------------------------------------------------------------------------------------


def _recording(wanted: RecordingWanted, verdict: RecordingVerdict, opening: Facts) -> list[Check]:
    checks = _those_wanted(wanted, verdict, ("verdict", "trigger", "pre_event_mode"))
    if wanted.seconds is not None:
        checks.append(_near("video", wanted.seconds, verdict.seconds, wanted.within))
    if wanted.frames is not None:
        near = abs(wanted.frames - verdict.frames) <= wanted.frames_within
        checks.append(Check("frames", f"{wanted.frames} ± {wanted.frames_within}", str(verdict.frames), near))
    if wanted.pre_event_s is not None:
        checks.append(_near("pre-event had", wanted.pre_event_s, verdict.pre_event_had_us / 1e6, wanted.within))
    if wanted.missing is not None:
        checks.append(_missing(wanted, verdict))
    for what, value, seen in (
        ("read", wanted.read or None, verdict.answers.read),
        ("sound", wanted.sound, verdict.packets > 0),
        ("continues another", wanted.continues, verdict.continues is not None),
        ("findings", wanted.findings, len(verdict.findings) + verdict.findings_beyond),
    ):
        checks += [] if value is None else [_equal(what, value, seen)]
    if wanted.sealed:
        checks.append(
            Check("sealed", _value(wanted.sealed), _value(opening) or "nothing", _has(opening, wanted.sealed))
        )
    return checks


def _missing(wanted: RecordingWanted, verdict: RecordingVerdict) -> Check:
    missing = wanted.missing or {}
    near = all(abs(verdict.missing.get(cause, 0) - many) <= wanted.missing_within for cause, many in missing.items())
    good = near and verdict.missing.keys() == missing.keys()
    return Check("frames missing", _value(missing) or "none", _value(verdict.missing) or "none", good)


def _verify(wanted: VerifyWanted, verdict: CardVerdict) -> list[Check]:
    checks = [_equal("verify: exit", wanted.exit, verdict.exit_status)]
    if wanted.verdict:
        checks.append(_equal("verify", wanted.verdict, verdict.verdict))
    if wanted.first_bad:
        said = first_bad_said(verdict.first_bad) if verdict.first_bad else "nothing bad"
        checks.append(Check("first bad", wanted.first_bad, said, wanted.first_bad in said))
    return checks


def _audit(wanted: AuditWanted, audited: Audit) -> list[Check]:
    checks = [_equal("audit: exit", wanted.exit, audited.exit_status)]
    if wanted.verdict:
        checks.append(_equal("audit", wanted.verdict, audited.verdict))
    lists = ("device_faults", "policy_refusals", "wearer_inaction")
    counts = [(name, getattr(wanted, name), len(getattr(audited, name))) for name in lists]
    return checks + [
        _equal(f"audit: {name.replace('_', ' ')}", many, seen) for name, many, seen in counts if many is not None
    ]


def _equal(what: str, wanted: object, seen: object) -> Check:
    return Check(what, _value(wanted), _value(seen), wanted == seen)


def _near(what: str, wanted_s: float, seen_s: float, within_s: float) -> Check:
    return Check(what, f"{wanted_s:g} s ± {within_s:g}", f"{seen_s:.2f} s", abs(wanted_s - seen_s) <= within_s)
