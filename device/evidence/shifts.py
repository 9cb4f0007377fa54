"""What a report says of one shift, of the recordings that began in it, and of the policies that were in force."""

import re

import msgspec

from device.evidence.chain import utc_text
from device.evidence.figures import Figures, Period, Tally
from device.evidence.verdicts import Shown
from device.policy import commands as do
from device.policy.model import Policy
from device.policy.state import Wearer

Names = dict[tuple[int, int], list[str]]
"""The recordings' folders, by run and boot time of their activation."""


class Span(Shown, frozen=True, kw_only=True):
    """A time in which one thing held."""

    from_utc: str
    to_utc: str
    what: str


class Mark(Shown, frozen=True, kw_only=True):
    """A moment: `start`, `refused`, `denied`, `override`, `mute`, `pause`, `sleep`, `notice`, `fault`, `file` (one that
    was handed in and refused) or `inaction`."""

    utc: str
    kind: str
    what: str


class Started(Shown, frozen=True, kw_only=True):
    """An activation. `recordings`: its folders on the card, more than one where the recorder had to go on in a new one,
    none where nothing of it is there. `pre_event_seconds`: what it had from before the press, None where it is not
    said."""

    utc: str
    recordings: tuple[str, ...]
    trigger: str
    category: str
    zone: str
    override: bool
    late_seconds: float
    pre_event_seconds: float | None
    policy: str


class PolicyUsed(Shown, frozen=True, kw_only=True):
    """A policy, and from when to when the journal has it in force."""

    id: str
    version: int
    title: str
    sha256: str
    from_utc: str
    to_utc: str


class InForce(msgspec.Struct):
    """A policy from a label to a label, in µs since 1970."""

    policy: Policy
    sha256: str
    from_us: int
    to_us: int

    def within(self, period: Period) -> tuple[PolicyUsed, ...]:
        """What of it is in a period: one, or nothing."""
        from_us, to_us = period.clipped(self.from_us, self.to_us)
        policy = self.policy
        used = PolicyUsed(
            id=policy.id,
            version=policy.version,
            title=policy.title,
            sha256=self.sha256,
            from_utc=utc_text(from_us),
            to_utc=utc_text(to_us),
        )
        return (used,) if from_us <= to_us else ()


class Titles(Shown, frozen=True, kw_only=True):
    """The policies' titles of the words that they define; several policies' differing ones are all said."""

    categories: dict[str, str]
    zones: dict[str, str]
    reasons: dict[str, str]


class Shift(Shown, frozen=True, kw_only=True):
    """The time of one wearer; nobody's has no officer and is one boot's. `clock_set`: whether its labels are to be
    believed throughout."""

    officer: str
    role: str
    unit: str
    shift: str
    from_utc: str
    to_utc: str
    clock_set: bool
    figures: Figures
    phases: tuple[Span, ...]
    zones: tuple[Span, ...]
    marks: tuple[Mark, ...]
    starts: tuple[Started, ...]


class Marked(msgspec.Struct, frozen=True):
    """A mark to be. `about`: the activation that `recording`, a run's own number, stands for."""

    wall_us: int
    kind: str
    what: str
    recording: int
    about: tuple[int, int] | None


class Begun(msgspec.Struct):
    """An activation as it grows. `key`: run and boot time."""

    key: tuple[int, int]
    wall_us: int
    opened: do.Open
    policy: str
    had_us: int | None = None


class Bands:
    """One shift as it grows: `spans` of phases and zones in wall µs, those that touch joined; `clock_set` while it is."""

    def __init__(self, wearer: Wearer) -> None:
        self.wearer = wearer
        self.tally = Tally()
        self.spans: list[tuple[int, int, str]] = []
        self.zones: list[tuple[int, int, str]] = []
        self.marks: list[Marked] = []
        self.starts: list[Begun] = []
        self.clock_set = True

    def shift(self, names: Names) -> Shift:
        return Shift(
            officer=self.wearer.officer,
            role=self.wearer.role,
            unit=self.wearer.unit,
            shift=self.wearer.shift,
            from_utc=utc_text(min(span[0] for span in self.spans)),
            to_utc=utc_text(max(span[1] for span in self.spans)),
            clock_set=self.clock_set,
            figures=self.tally.figures(),
            phases=tuple(map(_span, self.spans)),
            zones=tuple(map(_span, self.zones)),
            marks=tuple(_mark(marked, names) for marked in self.marks),
            starts=tuple(_started(begun, names) for begun in self.starts),
        )


def join(spans: list[tuple[int, int, str]], from_us: int, to_us: int, what: str) -> None:
    if spans and spans[-1][1:] == (from_us, what):
        spans[-1] = (spans[-1][0], to_us, what)
    else:
        spans.append((from_us, to_us, what))


def titled(decided: do.Command, policy: Policy) -> do.Command:
    """A decision whose private words stand behind the policy's titles of them, to be put into words."""
    words: dict[str, str] = {}
    for word, table in (("category", policy.categories), ("zone", policy.zones), ("reason", policy.reasons)):
        code = getattr(decided, word, "")
        if code in table:
            words[word] = f"{table[code].title} ({code})"
    return msgspec.structs.replace(decided, **words) if words else decided


def titles_of(policies: list[Policy]) -> Titles:
    def of(table: str) -> dict[str, str]:
        said: dict[str, list[str]] = {}
        for policy in policies:
            for code, entry in getattr(policy, table).items():
                if entry.title not in said.setdefault(code, []):
                    said[code].append(entry.title)
        return {code: " / ".join(titles) for code, titles in said.items()}

    return Titles(categories=of("categories"), zones=of("zones"), reasons=of("reasons"))


def _mark(marked: Marked, names: Names) -> Mark:
    """The recording by its folder, where it has one: a number counts from each start of the daemon anew."""
    name = ", ".join(names.get(marked.about, [])) if marked.about else ""
    what = re.sub(rf"\brecording {marked.recording}\b", f"recording {name}", marked.what) if name else marked.what
    return Mark(utc=utc_text(marked.wall_us), kind=marked.kind, what=what)


def _started(begun: Begun, names: Names) -> Started:
    opened = begun.opened
    return Started(
        utc=utc_text(begun.wall_us),
        recordings=tuple(names.get(begun.key, ())),
        trigger=opened.trigger,
        category=opened.category,
        zone=opened.zone,
        override=bool(opened.override),
        late_seconds=opened.late_us / 1e6,
        pre_event_seconds=None if begun.had_us is None else begun.had_us / 1e6,
        policy=begun.policy,
    )


def _span(span: tuple[int, int, str]) -> Span:
    return Span(from_utc=utc_text(span[0]), to_utc=utc_text(span[1]), what=span[2])
