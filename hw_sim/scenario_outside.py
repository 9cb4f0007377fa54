"""What is done to a scenario's device from outside, by others than its wearer: the agency's provisioning and its store, and
whoever edits the card."""

import hashlib
import random
from datetime import UTC, datetime

import msgspec

from device.errors import UsageError
from device.evidence import layout, records
from device.evidence.adoption import replace_file
from device.evidence.envelope import line_digest, open_line
from device.evidence.receipts import Receipt, make_receipt
from device.evidence.records import Line, RecordingClosed, RecordingRecovered
from hw_sim.agency import Agency, Bench
from hw_sim.policies import profile

OFFICER, UNIT, SHIFT = "o-1", "unit-1", "shift-1"


class Outside:
    """`agency` and `bench` belong together; `device`: the device's name."""

    def __init__(self, agency: Agency, bench: Bench, device: str) -> None:
        self._agency = agency
        self._bench = bench
        self._device = device
        self._policy_version = 1
        self._receipt: str | None = None

    def install_policy(self, name: str, changes: list[str]) -> None:
        """Offer a shipped profile with changes such as `pause.allowed=false`, in the next version."""
        self._policy_version += 1
        document = profile(name, dict(map(_change, changes)), self._policy_version)
        replace_file(self._bench.offered_policy, self._agency.bundle(document))

    def assign(self, officer: str, role: str) -> None:
        text = f'officer = "{officer}"\nrole = "{role}"\nunit = "{UNIT}"\nshift = "{SHIFT}"\n'
        replace_file(self._bench.assignment, text.encode())

    def take_back(self) -> None:
        """The camera is nobody's."""
        self._bench.assignment.unlink(missing_ok=True)

    def hand_in_receipts(self, utc_us: int) -> None:
        """A receipt for every recording that is over, one after the other, into the spool."""
        card, receiver = self._bench.card, self._agency.receiver
        utc = datetime.fromtimestamp(utc_us // 1_000_000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        journal = sorted((card / layout.JOURNAL).iterdir())[-1].read_bytes()
        for folder in sorted((card / layout.EVIDENCE).iterdir()):
            recoveries = sorted(folder.glob("recovery-*.jsonl"))
            text = (recoveries[-1] if recoveries else folder / layout.LEDGER).read_bytes().splitlines()[-1]
            ended = records.decode_ledger(open_line(text).payload)
            if not isinstance(ended, RecordingClosed | RecordingRecovered):
                continue
            receipt = Receipt(
                agency=self._agency.name,
                device=self._device,
                utc=utc,
                recording=folder.name,
                ledger_head=Line(stream=ended.stream, seq=ended.seq, sha256=line_digest(text)),
                root=ended.tree.root,
                segments=ended.totals.segments,
                size=ended.totals.size,
                journal_head=_head(journal),
                object=f"{self._device}/{folder.name}",
                object_sha256=hashlib.sha256(folder.name.encode()).hexdigest(),
                previous=self._receipt,
            )
            data = make_receipt(receipt, receiver.signer, receiver.certificate)
            self._receipt = hashlib.sha256(data).hexdigest()
            beside = card / layout.SPOOL / f"{self._receipt}.part"
            beside.write_bytes(data)
            beside.rename(beside.with_suffix(".receipt"))

    def flip_bit(self, draw: random.Random) -> None:
        """Somebody changes one bit of the newest segment."""
        segments = sorted((self._bench.card / layout.EVIDENCE).glob("*/[0-9]*.m4s.age"))
        if not segments:
            raise UsageError("there is no segment on the card yet; do it after a recording")
        data = bytearray(segments[-1].read_bytes())
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        segments[-1].write_bytes(data)


def _change(said: str) -> tuple[str, object]:
    key, _, value = said.partition("=")
    try:
        return key, msgspec.json.decode(value)
    except msgspec.DecodeError as failure:
        raise UsageError(f'{said}: the value is as in JSON, such as 5, true or "deny"') from failure


def _head(journal: bytes) -> Line:
    text = journal.splitlines()[-1]
    record = records.decode_journal(open_line(text).payload)
    return Line(stream=record.stream, seq=record.seq, sha256=line_digest(text))
