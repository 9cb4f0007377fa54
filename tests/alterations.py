"""Every class of alteration of a card, each done once, and what `verify` must say of it: a part of `make alterations`.

Those of DESIGN.md, and those that were tried on signed video (the MP4's own bytes: whoever has the agency's key can open
a segment, and anyone can encrypt another one to the same public recipients). `CLASSES` is what the tests run too.
"""

import re
import shutil
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pyrage

from device.errors import EvidenceError
from device.evidence import layout, records
from device.evidence.envelope import line_digest, open_line, sign_line
from device.evidence.identity import Role
from device.evidence.records import RecordingOpened
from device.evidence.seal import Sealer
from device.evidence.verdicts import EXIT_ALTERED, WORDS, CardVerdict
from device.media.onvif_sei import parse
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import verified
from tests.cards import (
    changed,
    copy_of,
    device_signer,
    edit_lines,
    folder_of,
    lie_in_ledger,
    lines_of,
    put_certificate,
    record_card,
    signed_anew,
)

Plain = Callable[[bytes], bytes]


class Scene(msgspec.Struct):
    """A card to alter, and what an attacker may have besides: the same card as it was before its last boot, another
    future of that one, another device of the same agency with all its keys, and the key that opens footage."""

    bench: Bench
    before: Bench
    forked: Bench
    other: Bench
    agency: Agency

    @property
    def card(self) -> Path:
        return self.bench.card

    @property
    def first(self) -> Path:
        return folder_of(self.bench, 0)

    @property
    def last(self) -> Path:
        return folder_of(self.bench, 1)

    def segment(self, n: int) -> Path:
        return self.first / layout.segment_file(n, 0)

    def ledger(self, edit: Callable[[list[bytes]], list[bytes]]) -> None:
        edit_lines(self.first / layout.LEDGER, edit)

    def remade(self, path: Path, edit: Plain) -> None:
        """Open a file with the agency's key, alter it, and encrypt it anew to the same recipient."""
        plain = bytes(pyrage.decrypt(path.read_bytes(), [self.agency.footage]))
        altered = edit(plain)
        assert altered != plain, "the edit changes something"
        path.write_bytes(Sealer((self.agency.footage_recipient,), "").seal(altered).data)


class Alteration(msgspec.Struct, frozen=True):
    """`place` and `offset_s`: where the first bad second must be. `head`: with a journal line known from outside."""

    kind: str
    done: str
    do: Callable[[Scene], None]
    place: str
    offset_s: float | None
    head: bool = False


class Cards(msgspec.Struct, frozen=True):
    """Makes the cards, and alters a copy for each class."""

    root: Path
    scene: Scene
    head: str

    @classmethod
    def made(cls, root: Path) -> "Cards":
        agency = Agency()
        before = record_card(root / "before", agency, seconds=(2,))
        kept, forked = copy_of(before, root / "kept"), copy_of(before, root / "forked")
        for bench in (kept, forked):
            device = VirtualDevice(bench)
            device.boot()
            device.run(3)
            device.double()
            device.run(1)
            microphone = device.hardware.the_microphone
            assert microphone is not None
            microphone.unplug()
            device.run(1.5)
            microphone.replug()
            device.run(1)
            device.confirmed_stop()
            device.until_idle()
            device.stop()
        other = record_card(root / "other", agency, device="BC-000002", seconds=(2,))
        head = line_digest(lines_of(kept.card / layout.epoch_file("000001"))[-1])
        return cls(root, Scene(kept, before, forked, other, agency), head)

    def judge(self, alteration: Alteration) -> CardVerdict:
        """What `verify` says of a copy that was altered so."""
        bench = copy_of(self.scene.bench, self.root / "altered")
        try:
            alteration.do(msgspec.structs.replace(self.scene, bench=bench))
            return verified(bench, head=self.head if alteration.head else None)
        finally:
            shutil.rmtree(bench.root)


# -- files ------------------------------------------------------------------------------------------------------------


def copy(source: Path, target: Path) -> None:
    shutil.copy(source, target)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def swap(a: Path, b: Path) -> None:
    aside = a.with_name("aside")
    a.rename(aside)
    b.rename(a)
    aside.rename(b)


def _cut_short(scene: Scene) -> None:
    scene.segment(2).write_bytes(scene.segment(2).read_bytes()[:-1])


def _added(scene: Scene) -> None:
    count = len(list(scene.first.glob("*.m4s.age")))
    shutil.copy(scene.segment(1), scene.segment(count))


def _repeated(scene: Scene) -> None:
    """Each later one moves up by one name, the last one stays out."""
    count = len(list(scene.first.glob("*.m4s.age")))
    for n in reversed(range(4, count)):
        shutil.copy(scene.segment(n - 1), scene.segment(n))


def _moved_down(scene: Scene) -> None:
    """One is gone, and each later one takes the name before its own."""
    count = len(list(scene.first.glob("*.m4s.age")))
    for n in range(3, count - 1):
        scene.segment(n + 1).replace(scene.segment(n))


def _only(scene: Scene, keep: Callable[[int, int], bool]) -> None:
    files = sorted(scene.first.glob("*.m4s.age"))
    for n, path in enumerate(files):
        if not keep(n, len(files)):
            path.unlink()


# -- records ------------------------------------------------------------------------------------------------------------


class _SameSignature:
    certificate_sha256 = ""

    def __init__(self, signature: bytes) -> None:
        self._signature = signature

    def sign(self, message: bytes) -> bytes:
        return self._signature


def edited(line: bytes, **fields: object) -> bytes:
    """A record that says something else under the signature that it had, in good spelling."""
    signed = open_line(line)
    try:
        record: records.AnyRecord = records.decode_ledger(signed.payload)
    except EvidenceError:  # then it is a journal's
        record = records.decode_journal(signed.payload)
    payload = msgspec.json.encode(msgspec.structs.replace(record, **fields))
    return sign_line(_SameSignature(signed.signature), signed.payload_type, payload)


def _signed_by(scene: Scene, role: Role, device: str) -> None:
    """All of a ledger under another key, whose certificate is laid on the card."""
    issued = scene.agency.issue(device, role)
    put_certificate(scene.card, issued)

    def anew(lines: list[bytes]) -> list[bytes]:
        lines[0] = changed(lines[0], issued.signer, certificate_sha256=issued.signer.certificate_sha256)
        return signed_anew(lines, issued.signer, issued.certificate, scene.first.name)

    scene.ledger(anew)


def _policy_swapped(scene: Scene) -> None:
    path = next((scene.card / layout.POLICY).glob("*.toml"))
    path.write_bytes(path.read_bytes().replace(b'"deny"', b'"allow"'))


def _recipients_added(scene: Scene) -> None:
    """A device that lies: its ledger names two, its files are for one."""

    def two(lines: list[bytes]) -> list[bytes]:
        opened = records.decode_ledger(open_line(lines[0]).payload)
        assert isinstance(opened, RecordingOpened)
        return [changed(lines[0], device_signer(scene.bench), recipients=opened.recipients * 2), *lines[1:]]

    journal = scene.card / layout.epoch_file("000001")
    journal.rename(scene.card / "aside")  # the liar signs one journal anew: that of the first boot
    shutil.rmtree(scene.last)
    lie_in_ledger(scene.bench, scene.first, two)
    (scene.card / "aside").unlink()


def _of_another(scene: Scene) -> None:
    """With its certificate, under a name that comes before all others."""
    strange = folder_of(scene.other, 0)
    shutil.copytree(strange, scene.first.with_name("000000-0123456789abcdef"))
    for path in (scene.other.card / layout.IDENTITY).iterdir():
        shutil.copy(path, scene.card / layout.IDENTITY / path.name)


def _journal_line(scene: Scene) -> None:
    edit_lines(scene.card / layout.epoch_file("000000"), lambda lines: [*lines[:7], *lines[8:]])


def _rolled_back(scene: Scene) -> None:
    shutil.rmtree(scene.card)
    shutil.copytree(scene.before.card, scene.card)


def _forked(scene: Scene) -> None:
    shutil.rmtree(scene.card)
    shutil.copytree(scene.forked.card, scene.card)


def _gops_exchanged(scene: Scene) -> None:
    a, b = (bytes(pyrage.decrypt(scene.segment(n).read_bytes(), [scene.agency.footage])) for n in (3, 4))
    scene.remade(scene.segment(3), lambda _: b)
    scene.remade(scene.segment(4), lambda _: a)


# -- boxes of the MP4 --------------------------------------------------------------------------------------------------


def set_at(plain: bytes, box: bytes, offset: int, value: bytes) -> bytes:
    """Other bytes at an offset behind the type of the first such box."""
    at = plain.index(box) + 4 + offset
    return plain[:at] + value + plain[at + len(value) :]


def _resized(box: bytes, by: int) -> bytes:
    size: int = struct.unpack(">I", box[:4])[0]
    return struct.pack(">I", size + by) + box[4:]


def track_added(init: bytes) -> bytes:
    """The sound's track once more, as another one, in a moov that has room for it."""
    moov, trak = init.index(b"moov") - 4, init.rindex(b"trak") - 4
    size: int = struct.unpack(">I", init[trak : trak + 4])[0]
    third = set_at(init[trak : trak + size], b"tkhd", 12, struct.pack(">I", 3))
    head, rest = init[:moov], init[moov : trak + size]
    return head + _resized(rest, size) + third + init[trak + size :]


def sei_removed(segment: bytes) -> bytes:
    """Without the signature behind the last picture: sample, run and data shrink with it, so that players take it."""
    mdat = segment.index(b"mdat") - 4
    at, size = _sei_in(segment, mdat + 8)
    runs = [match.start() for match in re.finditer(b"trun", segment[:mdat])]
    data = bytearray(segment)
    for run in runs:
        (offset,) = struct.unpack_from(">I", data, run + 12)
        if offset > at:
            struct.pack_into(">I", data, run + 12, offset - size)
    _shrink_last(data, runs[0], size)
    struct.pack_into(">I", data, mdat, len(segment) - mdat - size)
    return bytes(data[:at] + data[at + size :])


def _sei_in(segment: bytes, at: int) -> tuple[int, int]:
    """Where the first signature's unit is, behind the units from `at` on, and how long it is with its length."""
    while True:
        size = 4 + int.from_bytes(segment[at : at + 4], "big")
        if parse(segment[at + 4 : at + size]) is not None:
            return at, size
        at += size
        assert at < len(segment)


def _shrink_last(data: bytearray, run: int, by: int) -> None:
    """The last sample of a track's run, whose `trun` stands here."""
    flags, count = struct.unpack_from(">II", data, run + 4)
    fields = [flag for flag in (0x100, 0x200, 0x400, 0x800) if flags & flag]
    first = run + 12 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
    at = first + 4 * (len(fields) * (count - 1) + fields.index(0x200))
    struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] - by)


# -- what a line says ---------------------------------------------------------------------------------------------------


def _with_span(line: bytes, **fields: object) -> bytes:
    """The line of segments, with another word on its first one's video."""
    record = records.decode_ledger(open_line(line).payload)
    assert isinstance(record, records.Segments)
    first = record.segments[0]
    assert first.video is not None
    changed_one = msgspec.structs.replace(first, video=msgspec.structs.replace(first.video, **fields))
    return edited(line, segments=(changed_one, *record.segments[1:]))


def _silent(line: bytes) -> bool:
    return isinstance(records.decode_ledger(open_line(line).payload), records.SoundGap)


def _at_silence(scene: Scene, edit: Callable[[bytes], list[bytes]]) -> None:
    """Alter the record of the gap in the last recording's sound."""

    def at_it(lines: list[bytes]) -> list[bytes]:
        (n,) = (n for n, line in enumerate(lines) if _silent(line))
        return [*lines[:n], *edit(lines[n]), *lines[n + 1 :]]

    edit_lines(scene.last / layout.LEDGER, at_it)


# -- the classes -------------------------------------------------------------------------------------------------------

_LEDGER = layout.LEDGER
CLASSES = (
    Alteration(
        "segment changed", "one byte of a sealed file", lambda s: flip(s.segment(3), 5000), "000003.m4s.age", 3.0
    ),
    Alteration("segment cut short", "its last byte taken off", _cut_short, "000002.m4s.age", 2.0),
    Alteration("segment removed", "its file deleted", lambda s: s.segment(1).unlink(), "000001.m4s.age", 1.0),
    Alteration("segment added", "a copy under the next number", _added, "000010.m4s.age", 9.333),
    Alteration(
        "segments swapped", "two files change names", lambda s: swap(s.segment(1), s.segment(2)), "000001.m4s.age", 1.0
    ),
    Alteration(
        "segment repeated",
        "put again in the place of the next",
        lambda s: copy(s.segment(1), s.segment(2)),
        "000002.m4s.age",
        2.0,
    ),
    Alteration(
        "segment of another recording",
        "in the place of one",
        lambda s: copy(s.last / "000001.m4s.age", s.segment(1)),
        "000001.m4s.age",
        1.0,
    ),
    Alteration(
        "segment of another device",
        "in the place of one",
        lambda s: copy(folder_of(s.other, 0) / "000001.m4s.age", s.segment(1)),
        "000001.m4s.age",
        1.0,
    ),
    Alteration(
        "record edited",
        "another time, under the old signature",
        lambda s: s.ledger(lambda x: [*x[:3], edited(x[3], boot_us=1), *x[4:]]),
        "ledger.jsonl, line 3",
        3.0,
    ),
    Alteration(
        "record removed",
        "a line of the ledger deleted",
        lambda s: s.ledger(lambda x: [*x[:3], *x[4:]]),
        "ledger.jsonl, line 3",
        3.0,
    ),
    Alteration(
        "records reordered",
        "two lines swapped",
        lambda s: s.ledger(lambda x: [*x[:3], x[4], x[3], *x[5:]]),
        "ledger.jsonl, line 3",
        3.0,
    ),
    Alteration(
        "record repeated",
        "a line put twice",
        lambda s: s.ledger(lambda x: [*x[:4], *x[3:]]),
        "ledger.jsonl, line 4",
        4.0,
    ),
    Alteration(
        "record of another recording",
        "a line of its ledger put in",
        lambda s: s.ledger(lambda x: [*x[:3], lines_of(s.last / _LEDGER)[3], *x[4:]]),
        "ledger.jsonl, line 3",
        3.0,
    ),
    Alteration(
        "sound gap removed",
        "the line of a silent microphone deleted",
        lambda s: _at_silence(s, lambda _: []),
        "ledger.jsonl, line 5",
        5.0,
    ),
    Alteration(
        "sound gap edited",
        "made shorter, under the old signature",
        lambda s: _at_silence(s, lambda line: [edited(line, to_us=10_000_000)]),
        "ledger.jsonl, line 5",
        5.0,
    ),
    Alteration(
        "frame period edited",
        "a segment's pictures said to be asked for half as often",
        lambda s: s.ledger(lambda x: [*x[:3], _with_span(x[3], period_us=66_667), *x[4:]]),
        "ledger.jsonl, line 3",
        3.0,
    ),
    Alteration(
        "ledger re-signed",
        "by another device's key, certificate laid down",
        lambda s: _signed_by(s, Role.LEDGER, "BC-000002"),
        "ledger.jsonl, line 0",
        0.0,
    ),
    Alteration(
        "ledger re-signed in another role",
        "by a receipt key of the same agency",
        lambda s: _signed_by(s, Role.RECEIPT, "BC-000001"),
        "ledger.jsonl, line 0",
        0.0,
    ),
    Alteration(
        "ledger's head removed",
        "its first line deleted",
        lambda s: s.ledger(lambda x: x[1:]),
        "ledger.jsonl, line 0",
        0.0,
    ),
    Alteration(
        "ledger's tail removed",
        "its last two lines deleted",
        lambda s: s.ledger(lambda x: x[:-2]),
        "ledger.jsonl, line 12",
        9.0,
    ),
    Alteration(
        "ledger's middle removed",
        "all but two lines at either end",
        lambda s: s.ledger(lambda x: [*x[:2], *x[-2:]]),
        "ledger.jsonl, line 2",
        2.0,
    ),
    Alteration(
        "recording removed", "its folder deleted", lambda s: shutil.rmtree(s.first), "evidence/<recording>", 0.0
    ),
    Alteration("recording of another device", "its folder laid on the card", _of_another, "ledger.jsonl, line 0", 0.0),
    Alteration(
        "recipients added",
        "a device that lies: the ledger names two, the files are for one",
        _recipients_added,
        "init.mp4.age",
        0.0,
    ),
    Alteration("policy swapped", "“deny” made “allow”", _policy_swapped, "policy/<digest>.toml", 0.0),
    Alteration(
        "journal line removed", "a line of the journal deleted", _journal_line, "journal/000000.jsonl, line 7", None
    ),
    Alteration(
        "journal rolled back",
        "the card as it was before its last boot; its last line is known",
        _rolled_back,
        "journal",
        None,
        head=True,
    ),
    Alteration(
        "journal forked", "another future of the same card; its last line is known", _forked, "journal", None, head=True
    ),
    Alteration("GOP dropped", "later ones take the names before theirs", _moved_down, "000003.m4s.age", 3.0),
    Alteration("GOPs reordered", "two opened, exchanged, sealed again", _gops_exchanged, "000003.m4s.age", 3.0),
    Alteration("GOP duplicated", "later ones take the names after theirs", _repeated, "000004.m4s.age", 4.0),
    Alteration(
        "byte of a frame flipped",
        "opened, flipped, sealed again",
        lambda s: s.remade(s.segment(3), lambda p: p[:-9] + bytes([p[-9] ^ 1]) + p[-8:]),
        "000003.m4s.age",
        3.0,
    ),
    Alteration(
        "SEIs removed",
        "opened, its signature taken out, sealed again",
        lambda s: s.remade(s.segment(3), sei_removed),
        "000003.m4s.age",
        3.0,
    ),
    Alteration(
        "video's head removed",
        "the first three segments deleted",
        lambda s: _only(s, lambda n, _: n >= 3),
        "000000.m4s.age",
        0.0,
    ),
    Alteration(
        "video's tail removed",
        "the last three segments deleted",
        lambda s: _only(s, lambda n, of: n < of - 3),
        "000007.m4s.age",
        7.0,
    ),
    Alteration(
        "middle cut out and kept alone",
        "only segments 3 to 5 left",
        lambda s: _only(s, lambda n, _: 3 <= n <= 5),
        "000000.m4s.age",
        0.0,
    ),
    Alteration(
        "fragmented file truncated",
        "opened, the last half taken off, sealed again",
        lambda s: s.remade(s.segment(9), lambda p: p[: len(p) // 2]),
        "000009.m4s.age",
        9.0,
    ),
    Alteration(
        "timescale changed",
        "of the video's track, in the init",
        lambda s: s.remade(s.first / layout.INIT, lambda p: set_at(p, b"mdhd", 12, struct.pack(">I", 45_000))),
        "init.mp4.age",
        0.0,
    ),
    Alteration(
        "decode time moved",
        "of a fragment, by one tick",
        lambda s: s.remade(s.segment(2), lambda p: set_at(p, b"tfdt", 11, bytes([p[p.index(b"tfdt") + 15] ^ 1]))),
        "000002.m4s.age",
        2.0,
    ),
    Alteration(
        "SPS level changed",
        "in the decoder's configuration, in the init",
        lambda s: s.remade(s.first / layout.INIT, lambda p: set_at(p, b"avcC", 3, b"\x2a")),
        "init.mp4.age",
        0.0,
    ),
    Alteration(
        "audio track added",
        "a third track in the init",
        lambda s: s.remade(s.first / layout.INIT, track_added),
        "init.mp4.age",
        0.0,
    ),
)


def as_shown(place: str) -> str:
    """A place without the names that differ from card to card."""
    place = re.sub(r"[0-9]{6}-[0-9a-f]{16}", "<recording>", place)
    place = re.sub(r"[0-9a-f]{64}", "<digest>", place)
    return re.sub(r"(bytes?|to) [0-9]+", r"\1 <n>", place)


HEAD = ("class", "what was done", "verdict", "first bad")


def table(said: Iterable[tuple[str, ...]], head: tuple[str, ...] = HEAD) -> str:
    """For the page, and for a terminal."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "".join(f"{line}\n" for line in [*lines, *("| " + " | ".join(row) + " |" for row in said)])


def expected(alteration: Alteration) -> tuple[str, str, str, str]:
    """The row that the tests hold `verify` to."""
    return alteration.kind, alteration.done, WORDS[EXIT_ALTERED], when(alteration.place, alteration.offset_s)


def found(alteration: Alteration, verdict: CardVerdict) -> tuple[str, str, str, str]:
    """The row that `verify` gives now."""
    bad = verdict.first_bad
    said = "nowhere" if bad is None else when(as_shown(bad.place), bad.offset_s)
    return alteration.kind, alteration.done, verdict.verdict, said


def when(place: str, offset_s: float | None) -> str:
    return place if offset_s is None else f"{place}, {offset_s} s into it"
