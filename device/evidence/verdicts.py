"""The words of a verdict: five answers, apart, for each recording; and what was found, with its place. No I/O.

An answer never says more than was checked, and *intact* needs the best of the first three. What comes from a card and
is shown has no character that a terminal would obey.
"""

from typing import Literal

import msgspec

Question = Literal["content", "signer", "extent", "read", "key", "note"]
Content = Literal["matches", "altered", "released"]
Signed = Literal["trusted", "not-trusted", "nothing-signed"]
Extent = Literal["closed", "part", "power-loss", "open", "not-journaled", "unknown", "released"]
Read = Literal["sealed", "opened", "not-opened", "wrong-key"]

EXIT_INTACT = 0
EXIT_ALTERED = 1
EXIT_WRONG_KEY = 2
EXIT_NOT_TRUSTED = 3
EXIT_EXTENT = 4
WORDS = {
    EXIT_INTACT: "intact",
    EXIT_ALTERED: "ALTERED",
    EXIT_WRONG_KEY: "unchanged; not opened: wrong key",
    EXIT_NOT_TRUSTED: "signer not trusted",
    EXIT_EXTENT: "unchanged; extent unproven",
}


def printable(text: str) -> str:
    """The text with what is not printable (escape sequences, line breaks, undecodable bytes) spelled out in ASCII."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Every text in it is printable, wherever it came from."""

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if isinstance(value, str) and not value.isprintable():
                msgspec.structs.force_setattr(self, field, printable(value))


class Finding(Shown, frozen=True, kw_only=True):
    """One thing that is not as it should be, or that a reader should know.

    `question` is the answer it bears on; `note` bears on none. `offset_s` counts from the recording's first frame to the
    first second concerned; `utc` is its wall time as the device claims it, None when its clock was not set.
    """

    question: Question
    place: str
    what: str
    utc: str | None = None
    offset_s: float | None = None

    @property
    def exit_status(self) -> int:
        return {
            "content": EXIT_ALTERED,
            "read": EXIT_ALTERED,
            "key": EXIT_WRONG_KEY,
            "signer": EXIT_NOT_TRUSTED,
            "extent": EXIT_EXTENT,
            "note": EXIT_INTACT,
        }[self.question]


class FirstBad(Shown, frozen=True, kw_only=True):
    """The first second whose content is not as it was signed: of which recording, by which finding. `recording` is ""
    when only the card's own papers are concerned; a time is None where it can't be told."""

    recording: str
    place: str
    utc: str | None = None
    offset_s: float | None = None


def first_of(before: Finding | None, finding: Finding) -> Finding:
    """The earlier of two in a recording; of two whose second is not known, the one that was found first."""
    if before is None or _offset_s(finding) < _offset_s(before):
        return finding
    return before


def first_bad_of(recording: str, finding: Finding | None) -> FirstBad | None:
    if finding is None:
        return None
    return FirstBad(recording=recording, place=finding.place, utc=finding.utc, offset_s=finding.offset_s)


def when_said(utc: str | None, offset_s: float | None) -> str:
    """A moment of a recording, or of a device's journal; "" when it is not known."""
    said = [f"{offset_s} s into the recording"] if offset_s is not None else []
    return ", ".join([utc, *said] if utc else said)


def first_bad_said(bad: FirstBad) -> str:
    """In one line: which recording, how far into it, its wall time, and where."""
    said = [f"recording {bad.recording}"] if bad.recording else []
    said += [f"{bad.offset_s} s into it"] if bad.offset_s is not None else []
    return ", ".join([*said, *([bad.utc] if bad.utc else []), bad.place])


def _offset_s(finding: Finding) -> float:
    return float("inf") if finding.offset_s is None else finding.offset_s


class Answers(Shown, frozen=True, kw_only=True):
    """`content`, `signer`, `extent`, `time`, `read`: each a verdict and the sentence that explains it. Content that was
    `released` is not here: what is here of it is as it was signed, and a receipt accounts for the rest."""

    content: Content
    content_said: str
    signer: Signed
    signer_said: str
    extent: Extent
    extent_said: str
    time_said: str
    read: Read
    read_said: str

    @property
    def exit_status(self) -> int:
        if self.content == "altered" or self.read == "not-opened":
            return EXIT_ALTERED
        if self.read == "wrong-key":
            return EXIT_WRONG_KEY
        if self.signer == "not-trusted":
            return EXIT_NOT_TRUSTED
        whole = self.extent in ("closed", "part", "released")
        return EXIT_INTACT if self.signer == "trusted" and whole else EXIT_EXTENT

    @property
    def verdict(self) -> str:
        """The short word for tables."""
        if self.exit_status in (EXIT_ALTERED, EXIT_WRONG_KEY, EXIT_NOT_TRUSTED):
            return WORDS[self.exit_status]
        words = {
            "closed": "intact",
            "part": "intact part",
            "power-loss": "unchanged; ended by power loss",
            "open": "unchanged; still recording",
            "not-journaled": "unchanged; journal not given",
            "unknown": "unchanged; extent unproven",
            "released": "released under receipt",
        }
        word = words[self.extent]
        return word.replace("unchanged", "released") if self.content == "released" else word


class RecordingVerdict(Shown, frozen=True, kw_only=True):
    """A recording's answers, and the facts of its ledger. Times in µs of the boot clock. `seconds`: of video, from the first
    frame to the end of the last, without what the policy forbade meanwhile (private pauses, in signed gaps).

    `missing`: frames that signed gap records account for, by cause (`camera`: they never came); `missing_sound_us`: the
    same of sound, in µs. `findings_beyond`: how many more findings there are than are listed. `ledger_sha256` is of the ledger's file, "" when it could not be read;
    `tree_root` as its last record says it; `size` of its files as its records say."""

    recording: str
    device: str
    verdict: str
    exit_status: int
    answers: Answers
    findings: tuple[Finding, ...]
    trigger: str = ""
    opened_utc: str = ""
    pre_event_mode: str = ""
    pre_event_asked_us: int = 0
    pre_event_had_us: int = 0
    seconds: float = 0.0
    first_frame: int = 0
    frames: int = 0
    packets: int = 0
    segments: int = 0
    verified_segments: int = 0
    unproven_files: int = 0
    missing: dict[str, int] = {}
    missing_sound_us: dict[str, int] = {}
    continues: str | None = None
    findings_beyond: int = 0
    first_bad: FirstBad | None = None
    ledger_sha256: str = ""
    tree_root: str = ""
    size: int = 0


class CardVerdict(Shown, frozen=True, kw_only=True):
    """Everything under one path. `foreign`: files that are none of ours, listed and not judged; `foreign_beyond`: how
    many more there are than are listed. `journal_head`: the SHA-256 of the journal's last line that can be believed."""

    path: str
    verdict: str
    exit_status: int
    journal_said: str
    findings: tuple[Finding, ...]
    recordings: tuple[RecordingVerdict, ...]
    foreign: tuple[str, ...]
    foreign_beyond: int = 0
    first_bad: FirstBad | None = None
    journal_head: str = ""


def worst(statuses: list[int]) -> int:
    """The exit status that stands for several: altered, wrong key, not trusted, extent unproven, in this order."""
    return next((status for status in sorted(WORDS)[1:] if status in statuses), EXIT_INTACT)
