"""What a journal says of one recording, and of what became of it. No judgement is made here."""

import msgspec

from device.evidence.records import Line


class Told(msgspec.Struct):
    """Every line of the recording's ledger that the journal holds, and how it ended. `begun_utc`: when it says that it
    began, None when its clock was not set. `ended_in`: the digest of the journal's line that says how it ended."""

    lines: list[Line] = msgspec.field(default_factory=list)
    begun: bool = False
    begun_utc: str | None = None
    ended: Line | None = None
    ended_in: str = ""
    how: str = ""


class HandedOver(msgspec.Struct):
    """The agency's receipts for one recording, by digest, and under which of them it was released."""

    receipts: set[str] = msgspec.field(default_factory=set)
    released: str | None = None
