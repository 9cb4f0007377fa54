"""What the recorder is told to do: by the control thread, and by any other that has something for the journal. No behaviour.

An order is a fact that is handed over: `Recorder.post` takes it from any thread, and the recorder thread carries it out. What
`custody` is told is its own (`CustodyOrder`).
"""

import msgspec

from device.evidence.adoption import InForce
from device.evidence.records import Fault, Noted, PreEvent, Record
from device.evidence.steps import PrivateFacts
from device.media.held import Claim
from device.policy.state import State


class OpenOrder(msgspec.Struct, frozen=True):
    """Record what the claim pins. Times in boot µs."""

    recording: int
    claim: Claim
    trigger: str
    trigger_us: int
    pre_event: PreEvent
    audio_from_us: int
    context: PrivateFacts


class NoteOrder(msgspec.Struct, frozen=True):
    """A record for the open recording's ledger; `private` is sealed into its context."""

    recording: int
    record: Record
    private: PrivateFacts | None = None


class StageOrder(msgspec.Struct, frozen=True):
    recording: int
    stage: str
    from_us: int


class CloseOrder(msgspec.Struct, frozen=True):
    """The claim has its end; write up to it and close."""

    recording: int
    how: str
    end_us: int
    private: PrivateFacts


class JournalOrder(msgspec.Struct, frozen=True):
    """A line for the journal; `ticket` counts them, so that the control loop sees how far they are durable."""

    record: Record
    ticket: int
    private: PrivateFacts | None = None


class FaultOrder(msgspec.Struct, frozen=True):
    """A fault for the journal, with a detail that the control loop does not know."""

    fault: Fault


class NotedOrder(msgspec.Struct, frozen=True):
    """A fact of the device's, for the journal and the ledger of every recording that is open. One that `stands` is in force
    until the next one `about` the same thing: recordings that begin meanwhile say it too."""

    noted: Noted
    about: str
    stands: bool


class PolicyOrder(msgspec.Struct, frozen=True):
    """From here on another policy is in force; `state` is the machine's as it begins. Nothing is being recorded."""

    in_force: InForce
    state: State


class EndOrder(msgspec.Struct, frozen=True):
    """Nothing more will come: write the journal's last line."""

    reason: str


class CloseAllOrder(msgspec.Struct, frozen=True):
    """Another part failed: close what is open as it stands, and end."""

    how: str
    at_us: int


Order = (
    OpenOrder
    | NoteOrder
    | NotedOrder
    | StageOrder
    | CloseOrder
    | JournalOrder
    | FaultOrder
    | PolicyOrder
    | EndOrder
    | CloseAllOrder
)
