"""The machine's state in a word, for the text that is burned into the pictures. Pure."""

from collections.abc import Mapping

from device.policy.model import Policy
from device.policy.state import KEEPING, Phase, State, capture

WORDS: Mapping[Phase, str] = {
    Phase.RECORDING: "REC",
    Phase.STOP_ASKED: "STOP ASKED",
    Phase.POST_EVENT: "POST",
    Phase.PAUSED: "PAUSE",
    Phase.PAUSED_STOP_ASKED: "PAUSE",
    Phase.ASLEEP: "ASLEEP",
}
HELD, NOT_HELD, MUTED = "PRE", "STANDBY", " MUTE"


def state_word(state: State, policy: Policy) -> str:
    """The state in a word that a viewer of the video understands."""
    word = WORDS.get(state.phase) or (HELD if capture(state, policy).video else NOT_HELD)
    return word + MUTED if state.muted and state.phase in KEEPING else word
