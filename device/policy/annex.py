"""The lights, sounds and vibrations that can come under a policy, in the words of people. PURE."""

from collections.abc import Iterator

from device.policy.model import Policy
from device.policy.signals import CUES, INDICATIONS, cue_in_words, light_in_words

FIRST = "For each of the two lights the first line that holds and names it decides."
_COUNT = "count-"
_DISABLED_LIGHTS = ("camera-fault", "not-ready")
_OF_RECORDINGS = {
    *("recording", "override", "stopped", "paused", "failed", "stop-asked", "post-event", "marker", "muted", "unmuted"),
    *("zone-prompt", "start-prompt", "notice-prompt", "notice-given", "ready"),
    *("remind-recording", "remind-muted", "remind-paused"),
}
"""Cues that a disabled camera never gives."""
_WHILE_DISABLED = {"clock-unset": "the time of day is not known", "storage-full": "the card is full"}
"""Meanings that would speak of recordings otherwise."""


def lights(policy: Policy) -> Iterator[str]:
    silent = _never(policy)
    yield FIRST
    for row in INDICATIONS:
        if row.name not in silent and (policy.activation.enabled or row.name in _DISABLED_LIGHTS):
            yield _told(row.meaning, light_in_words(row))


def cues(policy: Policy) -> Iterator[str]:
    silent = _never(policy)
    for name, cue in CUES.items():
        if name not in silent:
            meaning = cue.meaning if policy.activation.enabled else _WHILE_DISABLED.get(name, cue.meaning)
            yield _told(meaning, cue_in_words(cue))


def _never(policy: Policy) -> set[str]:
    """What never comes under this policy, by name."""
    counted = {reason.presses for reason in policy.reasons.values()} if policy.activation.enabled else set()
    silent = {name for name in CUES if name.startswith(_COUNT) and int(name.removeprefix(_COUNT)) not in counted}
    if not policy.stealth.allowed:
        silent |= {"stealth", "stealth-on", "stealth-off"}
    if not policy.mute.allowed:
        silent |= {"muted", "unmuted", "remind-muted"}
    if not policy.sleep.allowed:
        silent |= {"asleep", "awake", "remind-asleep"}
    if not policy.notice.prompt:
        silent |= {"notice-prompt", "notice-given"}
    return silent if policy.activation.enabled else silent | _OF_RECORDINGS


def _told(meaning: str, looks: str) -> str:
    return f"{meaning[:1].upper()}{meaning[1:]}. {looks[:1].upper()}{looks[1:]}."
