"""A step of the policy machine as the journal says it: what of it is public, what is sealed, and back again.

Where an input or a decision is private, input and decisions are sealed as they are; in public stay the input and the
decisions about recordings, blank where they are private, and none that would betray a place or a reason: what may be
held, the cues, and the function button, whose presses count out the reason of a stop. Control thread writes; the auditor
reads.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from device.errors import EvidenceError
from device.evidence.records import Step
from device.policy import commands as do
from device.policy.inputs import Input

PRIVATE_WORDS = ("zone", "category", "reason", "about", "officer", "role", "unit", "shift")
COUNTING_BUTTON, COUNTED_CLAUSE = "function", "reasons"
_BETRAYING = (do.SetCapture, do.ClearRing, do.ForceKeyframe, do.Cue)
_Said = TypeVar("_Said", Input, do.Command)
_INPUT = msgspec.json.Decoder(Input | None)
_DECISIONS = msgspec.json.Decoder(tuple[do.Command, ...])

PrivateFacts = dict[str, str | bool]


def public_step(
    came: Input | None, effective_us: int, decisions: tuple[do.Command, ...]
) -> tuple[Step, PrivateFacts | None]:
    """The journal's line for a step, and the facts to seal beside it; None where nothing is private."""
    said = [thing for thing in (came, *decisions) if thing is not None]
    if not any(map(_is_private, said)):
        return Step(input=came, effective_us=effective_us, decisions=decisions, context=None), None
    public = Step(
        input=None if came is None or _counts(came) else _blank(came),
        effective_us=effective_us,
        decisions=tuple(_blank(decision) for decision in decisions if not _betrays(decision)),
        context=None,
    )
    return public, {
        "input": msgspec.json.encode(came).decode(),
        "decisions": msgspec.json.encode(decisions).decode(),
    }


def whole_step(step: Step, facts: Mapping[str, object] | None) -> tuple[Input | None, tuple[do.Command, ...]]:
    """Input and decisions as they were; `facts`: what was sealed beside the line. `EvidenceError` where what was sealed
    is not a step, or is not the one that the line says in public."""
    if facts is None:
        return step.input, step.decisions
    try:
        came: Input | None = _INPUT.decode(str(facts.get("input")))
        decisions: tuple[do.Command, ...] = _DECISIONS.decode(str(facts.get("decisions")))
    except msgspec.DecodeError as failure:
        raise EvidenceError(f"what is sealed beside the step is not a step: {failure}") from failure
    public, private = public_step(came, step.effective_us, decisions)
    if private is None or (public.input, public.decisions) != (step.input, step.decisions):
        raise EvidenceError("what is sealed beside the step is not what its line says in public")
    return came, decisions


def _is_private(said: Input | do.Command) -> bool:
    return _counts(said) or any(getattr(said, word, "") for word in PRIVATE_WORDS)


def _betrays(decision: do.Command) -> bool:
    return isinstance(decision, _BETRAYING) or _counts(decision)


def _counts(said: Input | do.Command) -> bool:
    """Whether it is a press of the function button, or what a count of them came to."""
    return getattr(said, "button", "") == COUNTING_BUTTON or getattr(said, "clause", "") == COUNTED_CLAUSE


def _blank(said: _Said) -> _Said:
    """The same, its private words left out."""
    words: dict[str, str | None] = {word: "" for word in PRIVATE_WORDS if getattr(said, word, "")}
    if isinstance(said, do.Open):
        words["override"] = None
    return msgspec.structs.replace(said, **words) if words else said
