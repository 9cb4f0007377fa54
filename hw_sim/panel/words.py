"""A record of the journal in a line of words, for the page. No I/O."""

import msgspec

from device.errors import EvidenceError
from device.evidence import records
from device.evidence.records import JournalRecord
from device.evidence.steps import whole_step
from device.evidence.verdicts import printable
from device.policy.inputs import Edge, PreEventHad

MOST_CHARACTERS = 240
_HEADER = set(records.Record.__struct_fields__)
_SHORT_NAME = 6
"""Of a recording's name: its counter."""


def in_words(record: JournalRecord, facts: dict[str, str | bool] | None) -> str:
    """Its main fields. `facts`: what is sealed beside it, None where it is not opened."""
    match record:
        case records.Step():
            said = _step(record, facts)
        case records.RecordingBegun():
            said = f"recording {_number(record.recording)} is durable from its first line on"
        case records.RecordingHead():
            said = f"recording {_number(record.recording)} is durable up to line {record.head.seq}"
        case records.RecordingEnded():
            said = f"recording {_number(record.recording)}: {record.how}"
        case records.Boot():
            said = f"{record.reason}; policy {record.policy.id} {record.policy.version}"
        case records.Fault():
            said = f"{record.part} {'fails' if record.present else 'works again'}"
            said += f": {record.detail}" if record.detail else ""
        case _:
            said = _fields(record)
    return printable(said)[:MOST_CHARACTERS]


def _step(step: records.Step, facts: dict[str, str | bool] | None) -> str:
    try:
        came, decided = whole_step(step, facts)
    except EvidenceError:
        came, decided = step.input, step.decisions
    cause = "a deadline" if came is None else _thing(came)
    return " → ".join([cause, *([", ".join(map(_thing, decided))] if decided else [])])


def _thing(said: msgspec.Struct) -> str:
    """An input or a decision: what it is, and what it says beside its time and clause."""
    if isinstance(said, Edge):
        return f"{said.button} {'down' if said.pressed else 'up'}"
    if isinstance(said, PreEventHad):
        return f"pre-event of {said.had_us / 1e6:.1f} s"
    return " ".join(filter(None, (_kind(said), _fields(said))))


def _kind(said: msgspec.Struct) -> str:
    return str(said.__struct_config__.tag)


def _fields(said: msgspec.Struct) -> str:
    parts = []
    for name in said.__struct_fields__:
        value = getattr(said, name)
        if name in _HEADER or name == "clause" or name.endswith(("_us", "sha256")) or value in (None, "", False):
            continue
        if isinstance(value, bool):
            parts.append(name.replace("_", "-"))
        elif isinstance(value, str | int) and name != "recording":
            parts.append(str(value))
    return " ".join(parts)


def _number(recording: str) -> str:
    return recording[:_SHORT_NAME]
