"""`make alterations`: every class of alteration, done once to a card, to an exported file, and to a clip of which only the
media signatures are left. What was done, what `verify` says, and where; exit 1 when a row is not the one that is expected.

What media signatures can't see stands there as that, with the rows beside it that catch it.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from device.evidence.identity import load_anchors
from device.evidence.media_check import MediaVerdict, check_media
from device.evidence.revocation import NONE_REVOKED
from device.evidence.verdicts import EXIT_ALTERED, WORDS
from device.export_reader import verify_proof
from device.media.boxes import top_level_boxes
from hw_sim.agency import Agency, Bench
from tests import clip_edits
from tests.alterations import CLASSES, Cards, as_shown, expected, found, table, when
from tests.benches import recordings
from tests.cards import record_card
from tests.export_edits import ALTERED, IN_THE_BOX
from tests.exports import Pieces, exported, record_story, take_apart
from tests.media import Sample, samples_of, write_samples

Row = tuple[str, ...]
FILE_HEAD = ("what was done to the file", "verdict", "first bad")
CLIP_HEAD = ("what was done to the video", "pictures", "key", "first bad", "what closes it")

FILES: dict[str, tuple[str, float | None]] = {
    "a byte of the picture": ("bytes <n> to <n>", 7.0),
    "decode times moved": ("bytes <n> to <n>", 9.0),
    "a segment dropped": ("bytes <n> to <n>", 8.0),
    "two segments swapped": ("bytes <n> to <n>", 4.0),
    "a segment twice": ("bytes <n> to <n>", 6.0),
    "a segment in the place of another": ("bytes <n> to <n>", 6.0),
    "the head cut off": ("bytes <n> to <n>", 0.0),
    "the tail cut off": ("before the evidence box", 42.7),
    "the middle cut out": ("bytes <n> to <n>", 12.0),
    "the middle kept alone": ("bytes <n> to <n>", 0.0),
    "the last segment cut short": ("bytes <n> to <n>", 48.7),
    "a signature in the pictures taken out": ("bytes <n> to <n>", 7.0),
    "every segment dropped": ("before the evidence box", 0.0),
    "the film's time scale": ("the init (ftyp, moov)", 0.0),
    "the track's time scale": ("the init (ftyp, moov)", 0.0),
    "the SPS level": ("the init (ftyp, moov)", 0.0),
    "an audio track": ("the init (ftyp, moov)", 0.0),
    "another track": ("the init (ftyp, moov)", 0.0),
    "a second moov": ("byte <n>", None),
    "a second moov, at the front": ("byte <n>", 0.0),
    "an edit list": ("the init (ftyp, moov)", 0.0),
    "a box between": ("the init (ftyp, moov)", 0.0),
    "a box before the evidence": ("byte <n>", None),
    "a box after the evidence": ("byte <n>", None),
    "another uuid box": ("the init (ftyp, moov)", 0.0),
    "a second manifest": ("the init (ftyp, moov)", 0.0),
    "a manifest at the end": ("byte <n>", None),
    "a second evidence box": ("byte <n>", None),
    "trailing bytes": ("byte <n>", None),
    "the last byte gone": ("the evidence box", None),
    "a box to the end, in the middle": ("byte <n>", 5.0),
    "the evidence box to the end": ("the evidence box", None),
    "a box beyond the file": ("byte <n>", None),
    "the evidence box twice as wide": ("the evidence box", None),
    "a segment in two": ("bytes <n> to <n>", 3.0),
    "a ledger line dropped": ("ledger.jsonl, line 9", 10.0),
    "two ledger lines swapped": ("ledger.jsonl, line 9", 10.0),
    "a ledger line twice": ("ledger.jsonl, line 9", 10.0),
    "a ledger line edited": ("ledger.jsonl, line 9", 10.0),
    "the closing line dropped, and segments": ("journal.jsonl", None),
    "the ledger's newline": ("ledger.jsonl, line 58", 48.733),
    "no ledger": ("the evidence box", None),
    "the ledger of another recording": ("the evidence box", None),
    "the journal of another device": ("journal.jsonl", None),
    "a journal line twice": ("journal.jsonl", None),
    "the journal's lines swapped": ("journal.jsonl", None),
    "the boot dropped": ("journal.jsonl", None),
    "the statement dropped": ("journal.jsonl", None),
    "another policy": ("policy.toml", None),
    "no policy": ("policy.toml", None),
    "no bundle": ("policy.bundle", None),
    "another bundle": ("policy.bundle", None),
    "the box of another recording": ("bytes <n> to <n>", 0.0),
    "a certificate added": ("<digest>", None),
    "called a part": ("the evidence box", None),
    "proofs added": ("proofs.jsonl", None),
    "a recovery added": ("recovery.jsonl", None),
}
"""Where the first bad second of each altered export must be; of the edits in its evidence box too."""


class Unseen(msgspec.Struct, frozen=True):
    """An alteration that media signatures can't see: the export's, and the card's class that is the same one."""

    done: str
    of_file: str
    of_card: str


CLIPS: tuple[tuple[str, Callable[[list[Sample]], list[Sample]], str, str, str], ...] = (
    (
        "a GOP dropped",
        clip_edits.gop_dropped,
        "altered",
        "trusted",
        "GOP 3 after GOP 1: what is between is missing, 1.0 s into it",
    ),
    (
        "two GOPs swapped",
        clip_edits.gops_swapped,
        "altered",
        "trusted",
        "GOP 3 after GOP 1: what is between is missing, 1.0 s into it",
    ),
    (
        "a GOP doubled",
        clip_edits.gop_doubled,
        "altered",
        "trusted",
        "30 NAL units before GOP 3: without a signature, 2.0 s into it",
    ),
    ("a frame dropped", clip_edits.frame_dropped, "altered", "trusted", "GOP 2: 1 NAL unit missing, 1.0 s into it"),
    ("a frame doubled", clip_edits.frame_doubled, "altered", "trusted", "GOP 2: 1 NAL unit added, 1.367 s into it"),
    (
        "two frames swapped",
        clip_edits.frames_swapped,
        "altered",
        "trusted",
        "GOP 2: 1 NAL unit changed or moved, 1.333 s into it",
    ),
    (
        "a GOP's last frame dropped",
        clip_edits.last_frame_dropped,
        "altered",
        "trusted",
        "GOP 2: 1 NAL unit missing, 1.0 s into it",
    ),
    ("a frame added", clip_edits.frame_added, "altered", "trusted", "GOP 2: 1 NAL unit added, 1.967 s into it"),
    (
        "a slice added at a GOP's end",
        clip_edits.slice_added_at_the_end,
        "altered",
        "trusted",
        "1 NAL unit after GOP 2: without a signature, 1.967 s into it",
    ),
    (
        "a byte of a picture flipped",
        clip_edits.picture_changed,
        "altered",
        "trusted",
        "GOP 2: 1 NAL unit changed or moved, 1.333 s into it",
    ),
    (
        "a byte of a keyframe flipped",
        clip_edits.keyframe_changed,
        "altered",
        "trusted",
        "GOP 2: none of its 30 NAL units is here, 1.0 s into it",
    ),
    (
        "a signature's SEI removed",
        clip_edits.sei_removed,
        "altered",
        "trusted",
        "30 NAL units before GOP 3: without a signature, 1.0 s into it",
    ),
    (
        "a signature's list of hashes changed",
        clip_edits.sei_changed,
        "altered",
        "trusted",
        "its signature is not by the key in its certificate: it was changed, 1.0 s into it",
    ),
    (
        "a signature changed",
        clip_edits.signature_changed,
        "altered",
        "trusted",
        "its signature is not by the key in its certificate: it was changed, 45.033 s into it",
    ),
    (
        "a signature's SEI cut short",
        clip_edits.sei_cut_short,
        "altered",
        "trusted",
        "30 NAL units before GOP 3: without a signature, 1.0 s into it",
    ),
    (
        "two signatures swapped",
        clip_edits.seis_swapped,
        "altered",
        "trusted",
        "GOP 3 after GOP 1: what is between is missing, 1.0 s into it",
    ),
    (
        "signed by another key from there on",
        clip_edits.resigned_from_there,
        "altered",
        "trusted",
        "signed by another key from here on (BC-000001), 45.033 s into it",
    ),
    ("all signed anew by another key", clip_edits.all_resigned, "unaltered", "not-trusted", "none"),
    ("all signatures removed", clip_edits.sei_not_signed, "not-signed", "none", "none"),
)
"""What was done, by which edit, what the signatures say of pictures and key, and where. In a file of 30 pictures a second."""

UNSEEN = (
    Unseen("its head removed", "the head cut off", "video's head removed"),
    Unseen("its tail removed, or truncated between two fragments", "the tail cut off", "video's tail removed"),
    Unseen("its middle cut out and kept alone", "the middle kept alone", "middle cut out and kept alone"),
    Unseen("its timescale changed", "the track's time scale", "timescale changed"),
    Unseen("a decode time moved", "decode times moved", "decode time moved"),
    Unseen("the SPS level changed", "the SPS level", "SPS level changed"),
    Unseen("an audio track added", "an audio track", "audio track added"),
)


class Files(msgspec.Struct, frozen=True):
    """An export, another device's, and judging what was made of the first."""

    root: Path
    bench: Bench
    whole: bytes
    other: Pieces
    samples: list[Sample]

    @classmethod
    def made(cls, root: Path) -> "Files":
        agency = Agency()
        bench = record_story(root / "story", agency)
        strange = record_card(root / "strange", agency, device="BC-000002", seconds=(2,))
        whole = exported(bench, recordings(bench)[0], root / "whole.mp4")
        other = take_apart(exported(strange, recordings(strange)[0], root / "strange.mp4"))
        return cls(root, bench, whole, other, samples_of(root / "whole.mp4"))

    def file(self, done: str) -> Row:
        """The row of an edit of the export."""
        path = self.root / "altered.mp4"
        path.write_bytes(self._edited(done))
        verdict = verify_proof(path, load_anchors(self.bench.trust), NONE_REVOKED, lambda _: None)
        bad = verdict.first_bad
        return done, verdict.verdict, "nowhere" if bad is None else when(as_shown(bad.place), bad.offset_s)

    def clip(self, done: str, edit: Callable[[list[Sample]], list[Sample]]) -> Row:
        """The row of an edit of the video, in a file that has nothing but it."""
        clip = write_samples(self.root / "whole.mp4", edit(self.samples), self.root / "clip.mp4", 30)
        return (done, *_of_clip(self._judged(clip)), "")

    def unseen(self, unseen: Unseen) -> Row:
        """The row of an edit of the export when its evidence box is gone."""
        clip = self.root / "clip.mp4"
        evidence = len(self.whole) - list(top_level_boxes(self.whole))[-1].offset
        clip.write_bytes(self._edited(unseen.of_file)[:-evidence])
        return (unseen.done, *_of_clip(self._judged(clip)), closed_by(unseen))

    def _judged(self, clip: Path) -> MediaVerdict:
        return check_media(clip, load_anchors(self.bench.trust))

    def _edited(self, done: str) -> bytes:
        if done in ALTERED:
            return ALTERED[done][0](self.whole)
        pieces = take_apart(self.whole)
        IN_THE_BOX[done](pieces, self.other)
        return pieces.whole()


def _of_clip(verdict: MediaVerdict) -> Row:
    bad = verdict.first_bad
    return verdict.pictures, verdict.key, "none" if bad is None else when(bad.what, bad.offset_s)


def closed_by(unseen: Unseen) -> str:
    """The rows of the other parts that catch it."""
    card = next(expected(alteration) for alteration in CLASSES if alteration.kind == unseen.of_card)
    _, verdict, place = expected_file(unseen.of_file)
    return f"not seen here: the ledger closes it. Card: {card[2]}, {card[3]}. Export: {verdict}, {place}"


# -- what is expected -------------------------------------------------------------------------------------------------


def expected_file(done: str) -> Row:
    return done, WORDS[EXIT_ALTERED], when(*FILES[done])


def expected_files() -> list[Row]:
    return [expected_file(done) for done in (*ALTERED, *IN_THE_BOX)]


def expected_clips() -> list[Row]:
    seen: list[Row] = [(done, pictures, key, place, "") for done, _, pictures, key, place in CLIPS]
    return seen + [(unseen.done, "unaltered", "trusted", "none", closed_by(unseen)) for unseen in UNSEEN]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        cards, files = Cards.made(Path(folder) / "cards"), Files.made(Path(folder) / "files")
        of_cards = [found(alteration, cards.judge(alteration)) for alteration in CLASSES]
        of_files = [files.file(done) for done in (*ALTERED, *IN_THE_BOX)]
        of_clips = [files.clip(done, edit) for done, edit, *_ in CLIPS] + [files.unseen(unseen) for unseen in UNSEEN]
    print(f"a card\n\n{table(of_cards)}\nan exported file\n\n{table(of_files, FILE_HEAD)}")
    print(f"a clip, by its media signatures alone\n\n{table(of_clips, CLIP_HEAD)}", end="")
    cases = (
        ("a card", of_cards, [expected(alteration) for alteration in CLASSES]),
        ("an export", of_files, expected_files()),
        ("a clip", of_clips, expected_clips()),
    )
    for what, rows, wanted in cases:
        print(
            f"\n{what}: {sum(row == want for row, want in zip(rows, wanted, strict=True))} of {len(rows)} as expected",
            end="",
        )
    print()
    return 0 if all(rows == wanted for _, rows, wanted in cases) else 1


if __name__ == "__main__":
    sys.exit(main())
