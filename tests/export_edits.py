"""What is done to an exported file, by who holds it and whatever anyone can make: to its boxes, and to what the evidence box
holds. Pure. test_exported.py holds the verdict on each; the table of alterations shows them.
"""

from collections.abc import Callable

import msgspec

from device.evidence.container import EVIDENCE_BOX, Part, pack
from device.evidence.exported import MANIFEST_BOX
from device.media.boxes import top_level_boxes
from tests.alterations import sei_removed, track_added
from tests.exports import Pieces, box, take_apart, wide_box


def with_segments(data: bytes, edit: Callable[[list[bytes]], list[bytes]]) -> bytes:
    pieces = take_apart(data)
    pieces.segments = edit(list(pieces.segments))
    return pieces.whole()


def in_init(data: bytes, kind: bytes, offset: int, put: bytes) -> bytes:
    """Other bytes in the first box of a kind within the init."""
    init = take_apart(data)
    moov = init.moov
    at = moov.index(kind) + 4 + offset
    init.moov = moov[:at] + put + moov[at + len(put) :]
    assert init.moov != moov
    return init.whole()


def in_segment(data: bytes, n: int, kind: bytes, offset: int, put: bytes) -> bytes:
    def edit(segments: list[bytes]) -> list[bytes]:
        at = segments[n].index(kind) + 4 + offset
        changed = segments[n][:at] + put + segments[n][at + len(put) :]
        assert changed != segments[n]
        return [*segments[:n], changed, *segments[n + 1 :]]

    return with_segments(data, edit)


def grown(data: bytes, kind: bytes, content: bytes) -> bytes:
    """The moov with another box at its end."""
    pieces = take_apart(data)
    inner = pieces.moov[8:] + box(kind, content)
    pieces.moov = box(b"moov", inner)
    return pieces.whole()


def before_evidence(data: bytes, put: bytes) -> bytes:
    at = list(top_level_boxes(data))[-1].offset
    return data[:at] + put + data[at:]


def after_ftyp(data: bytes, put: bytes) -> bytes:
    at = next(top_level_boxes(data)).end
    return data[:at] + put + data[at:]


def to_the_end(data: bytes, n: int) -> bytes:
    """A box whose size is 0: it reaches to the end of the file."""
    at = list(top_level_boxes(data))[n].offset
    return data[:at] + b"\0\0\0\0" + data[at + 4 :]


def sound_added(data: bytes) -> bytes:
    """The sound's track once more, as another one that players see."""
    pieces = take_apart(data)
    pieces.moov = track_added(pieces.moov)
    return pieces.whole()


MOOV = b"another track"
ALTERED: dict[str, tuple[Callable[[bytes], bytes], float | None]] = {
    "a byte of the picture": (lambda d: in_segment(d, 7, b"mdat", 40, b"\x55\xaa"), 7.0),
    "decode times moved": (lambda d: in_segment(d, 9, b"tfdt", 4, (1).to_bytes(8, "big")), 9.0),
    "a segment dropped": (lambda d: with_segments(d, lambda s: s[:8] + s[9:]), 8.0),
    "two segments swapped": (lambda d: with_segments(d, lambda s: [*s[:4], s[5], s[4], *s[6:]]), 4.0),
    "a segment twice": (lambda d: with_segments(d, lambda s: [*s[:6], s[5], *s[6:]]), 6.0),
    "a segment in the place of another": (lambda d: with_segments(d, lambda s: [*s[:6], s[2], *s[7:]]), 6.0),
    "the head cut off": (lambda d: with_segments(d, lambda s: s[3:]), 0.0),
    "the tail cut off": (lambda d: with_segments(d, lambda s: s[:40]), 42.7),
    "the middle cut out": (lambda d: with_segments(d, lambda s: s[:12] + s[20:]), 12.0),
    "the middle kept alone": (lambda d: with_segments(d, lambda s: s[12:20]), 0.0),
    "the last segment cut short": (lambda d: with_segments(d, lambda s: [*s[:-1], s[-1][: len(s[-1]) // 2]]), 48.7),
    "a signature in the pictures taken out": (
        lambda d: with_segments(d, lambda s: [*s[:7], sei_removed(s[7]), *s[8:]]),
        7.0,
    ),
    "every segment dropped": (lambda d: with_segments(d, lambda _: []), 0.0),
    "the film's time scale": (lambda d: in_init(d, b"mvhd", 12, (500).to_bytes(4, "big")), 0.0),
    "the track's time scale": (lambda d: in_init(d, b"mdhd", 12, (500_000).to_bytes(4, "big")), 0.0),
    "the SPS level": (lambda d: in_init(d, b"avcC", 3, b"\x2a"), 0.0),
    "an audio track": (sound_added, 0.0),
    "another track": (lambda d: grown(d, b"trak", MOOV), 0.0),
    "a second moov": (lambda d: before_evidence(d, take_apart(d).moov), None),
    "a second moov, at the front": (lambda d: after_ftyp(d, take_apart(d).moov), None),
    "an edit list": (lambda d: grown(d, b"edts", box(b"elst", b"\0" * 8)), 0.0),
    "a box between": (lambda d: after_ftyp(d, box(b"free", b"x" * 20)), None),
    "a box before the evidence": (lambda d: before_evidence(d, box(b"free", b"")), None),
    "a box after the evidence": (lambda d: d + box(b"free", b""), None),
    "another uuid box": (lambda d: after_ftyp(d, box(b"uuid", b"u" * 16)), None),
    "a second manifest": (lambda d: after_ftyp(d, 2 * box(b"uuid", MANIFEST_BOX + b"m")), None),
    "a manifest at the end": (lambda d: d + box(b"uuid", MANIFEST_BOX + b"m"), None),
    "a second evidence box": (lambda d: d + d[list(top_level_boxes(d))[-1].offset :], None),
    "trailing bytes": (lambda d: d + b"\0", None),
    "the last byte gone": (lambda d: d[:-1], None),
    "a box to the end, in the middle": (lambda d: to_the_end(d, 12), 5.0),
    "the evidence box to the end": (lambda d: to_the_end(d, -1), None),
    "a box beyond the file": (lambda d: d + b"\xff\xff\xff\xffmoof", None),
    "the evidence box twice as wide": (
        lambda d: (
            before_evidence(d, b"")[: list(top_level_boxes(d))[-1].offset]
            + wide_box(b"uuid", EVIDENCE_BOX + pack(take_apart(d).contents))
        ),
        None,
    ),
    "a segment in two": (lambda d: with_segments(d, lambda s: [*s[:3], *list(split_mdat(s[3])), *s[4:]]), 3.0),
}


def split_mdat(segment: bytes) -> tuple[bytes, bytes]:
    moof, mdat = top_level_boxes(segment)
    data = segment[mdat.offset + 8 :]
    return segment[: moof.end] + box(b"mdat", data[:50]), segment[: moof.end] + box(b"mdat", data[50:])


def lines_edited(name: str, edit: Callable[[list[bytes]], list[bytes]]) -> Callable[[Pieces, Pieces], None]:
    def alter(pieces: Pieces, _: Pieces) -> None:
        pieces.set_lines(name, edit(pieces.lines(name)))

    return alter


def member_of_the_other(name: str) -> Callable[[Pieces, Pieces], None]:
    return lambda pieces, other: pieces.member(name, other.contents.members[name])


def box_of_the_other(pieces: Pieces, other: Pieces) -> None:
    pieces.contents = other.contents


def certificate_added(pieces: Pieces, other: Pieces) -> None:
    certificates = pieces.contents.certificates | other.contents.certificates
    pieces.contents = msgspec.structs.replace(pieces.contents, certificates=certificates)


def called_a_part(pieces: Pieces, _: Pieces) -> None:
    pieces.contents = msgspec.structs.replace(pieces.contents, part=Part(first=0, last=46))


IN_THE_BOX: dict[str, Callable[[Pieces, Pieces], None]] = {
    "a ledger line dropped": lines_edited("ledger.jsonl", lambda lines: lines[:9] + lines[10:]),
    "two ledger lines swapped": lines_edited(
        "ledger.jsonl", lambda lines: [*lines[:9], lines[10], lines[9], *lines[11:]]
    ),
    "a ledger line twice": lines_edited("ledger.jsonl", lambda lines: [*lines[:9], *lines[8:]]),
    "a ledger line edited": lines_edited(
        "ledger.jsonl", lambda lines: [*lines[:9], lines[9][:-40] + b"A" * 40, *lines[10:]]
    ),
    "the closing line dropped, and segments": lines_edited("ledger.jsonl", lambda lines: lines[:-3]),
    "the ledger's newline": lambda pieces, _: pieces.member(
        "ledger.jsonl", pieces.contents.members["ledger.jsonl"][:-1]
    ),
    "no ledger": lambda pieces, _: pieces.member("ledger.jsonl", None),
    "the ledger of another recording": member_of_the_other("ledger.jsonl"),
    "the journal of another device": member_of_the_other("journal.jsonl"),
    "a journal line twice": lines_edited("journal.jsonl", lambda lines: [*lines[:4], lines[3]]),
    "the journal's lines swapped": lines_edited("journal.jsonl", lambda lines: [*lines[:3], lines[4], lines[3]]),
    "the boot dropped": lines_edited("journal.jsonl", lambda lines: [lines[0], *lines[2:]]),
    "the statement dropped": lines_edited("journal.jsonl", lambda lines: lines[1:]),
    "another policy": lambda pieces, _: pieces.member("policy.toml", b'id = "first"\nversion = 1\n'),
    "no policy": lambda pieces, _: pieces.member("policy.toml", None),
    "no bundle": lambda pieces, _: pieces.member("policy.bundle", None),
    "another bundle": lambda pieces, _: pieces.member("policy.bundle", b"x\ny\n"),
    "the box of another recording": box_of_the_other,
    "a certificate added": certificate_added,
    "called a part": called_a_part,
    "proofs added": lambda pieces, _: pieces.member("proofs.jsonl", b"[]\n"),
    "a recovery added": lambda pieces, _: pieces.member("recovery.jsonl", pieces.lines("ledger.jsonl")[-1] + b"\n"),
}
