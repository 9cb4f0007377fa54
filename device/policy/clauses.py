"""Which clause of a policy a decision rests on: its table, the keys that decided, and its source. PURE."""

from collections.abc import Iterator

import msgspec

from device.policy import commands as do
from device.policy import inputs as on
from device.policy.model import Clause, Policy
from device.policy.recording import BY_HOLD
from device.policy.state import State

BUILT = "how the camera is built"
"""The source of a decision that no policy can change."""
_NO_TABLE = ("shutdown", "clock")


class Cited(msgspec.Struct, frozen=True):
    """A clause: its table ("" where no policy has a say), the table with the keys that decided, and its source."""

    table: str
    text: str
    source: str


def cited(decided: do.Command, came: on.Input | None, zone: str, policy: Policy) -> Cited:
    """The clause that a decision names. `came`: the input of its step; `zone`: where the wearer was."""
    if decided.clause in _NO_TABLE:
        return Cited("", BUILT, BUILT)
    zone = getattr(decided, "zone", "") or zone
    table, clause = _table(decided, came, zone, policy)
    if clause is None:
        return Cited(table, f"[{table}]", BUILT)
    keys = [key for key in _keys(decided, came, zone, policy) if hasattr(clause, key)]
    said = " and ".join(f"{key} = {_toml(getattr(clause, key))}" for key in keys)
    return Cited(table, f"[{table}] {said}".rstrip(), clause.source)


def with_zones(decisions: tuple[do.Command, ...], before: State, after: State) -> Iterator[tuple[do.Command, str]]:
    """Each decision of a step, and the zone in which it was taken: deadlines fire before the wearer changes zone."""
    zone = before.zone
    for decided in decisions:
        if isinstance(decided, do.Cue) and decided.cue == "zone":
            zone = after.zone
        yield decided, zone


def _table(decided: do.Command, came: on.Input | None, zone: str, policy: Policy) -> tuple[str, Clause | None]:
    """The table's name, and the table; a name alone where the policy has none of that name."""
    if decided.clause == "zones":
        return f"zones.{zone}", policy.zones.get(zone)
    if decided.clause == "categories":
        name = came.category if isinstance(came, on.Triggered) else getattr(decided, "category", "")
        return f"categories.{name}" if name else "categories", policy.categories.get(name)
    if decided.clause == "reasons":
        name = _reason(decided, policy)
        return f"reasons.{name}" if name else "reasons", policy.reasons.get(name)
    table = decided.clause.replace("-", "_")
    clause = getattr(policy, table, None)
    return table, clause if isinstance(clause, Clause) else None


def _reason(decided: do.Command, policy: Policy) -> str:
    """The reason that a decision about reasons is for: its own word, or the one that so many presses give."""
    if isinstance(decided, do.Cue):
        count = decided.cue.removeprefix("count-")
        return next((name for name, reason in policy.reasons.items() if str(reason.presses) == count), "")
    return getattr(decided, "reason", "")


_KEYS: dict[type, tuple[str, ...]] = {
    do.Close: ("length_s", "confirm_s", "default_reason", "unjustified"),
    do.Explain: ("presses",),
    do.Notice: ("prompt", "window_s"),
    do.Prompt: ("entry", "justify_s", "late_after_s"),
    do.Justify: ("override", "override_category"),
    do.Lapse: ("justify_s", "unjustified", "late_after_s"),
    do.Deny: ("allowed", "roles", "start", "on_trigger"),
    do.Assign: ("roles",),
    do.Sleep: ("allowed", "reason"),
    do.Wake: ("allowed",),
    do.Stealth: ("allowed",),
    do.Mute: ("allowed", "limit_s"),
    do.Unmute: ("limit_s",),
    do.ClearRing: ("pre_event", "private"),
    do.Note: ("confirm_s", "on_trigger"),
    do.EnterStage: ("length_s", "resume_on_trigger"),
}
_ZONE_KEYS: dict[type, tuple[str, ...]] = {do.Pause: ("entry", "unjustified"), do.Close: ("entry", "unjustified")}
_PAUSE_KEYS = ("allowed", "reason")


def _keys(decided: do.Command, came: on.Input | None, zone: str, policy: Policy) -> tuple[str, ...]:
    if isinstance(decided, do.Open):
        return _start_keys(decided.category, zone, policy, overridden=bool(decided.override))
    if isinstance(decided, do.Refuse):
        category = _refused_category(decided, came, zone, policy)
        return ("enabled", "unassigned", "storage_hours", *_start_keys(category, zone, policy, overridden=False))
    if isinstance(decided, do.SetCapture):
        held, before = (decided.video, decided.audio), (decided.pre_video, decided.pre_audio)
        return ("pre_event",) if held == before else ()
    if isinstance(decided, do.Cue):
        return ("every_s",) if decided.clause == "reminder" else ()
    if decided.clause == "zones":
        return _ZONE_KEYS.get(type(decided), _KEYS.get(type(decided), ()))
    if decided.clause == "pause" and not isinstance(decided, do.Deny):
        return _PAUSE_KEYS if isinstance(decided, do.Pause | do.Close) else ()
    return _KEYS.get(type(decided), ())


def _refused_category(refused: do.Refuse, came: on.Input | None, zone: str, policy: Policy) -> str:
    """What the start was for that was refused: a trigger brings its own category, the zone has one for each gesture."""
    if isinstance(came, on.Triggered) and refused.trigger == f"trigger-{came.trigger}":
        return came.category
    if zone not in policy.zones:
        return ""
    return policy.override_category(zone) if refused.trigger == BY_HOLD else policy.category(zone)


def _start_keys(category: str, zone: str, policy: Policy, *, overridden: bool) -> tuple[str, ...]:
    """What of a zone decides on a start: its list that names the category, or its default; and the override."""
    here = policy.zones.get(zone)
    key = next((key for key in ("allowed", "denied") if here and category in getattr(here, key)), "start")
    return (key, "override") if overridden else (key,)


def _toml(value: object) -> str:
    """A value as the document spells it."""
    return msgspec.json.encode(value).decode().replace('","', '", "')
