"""Random edits of a card, each drawn from a seed of its own: of files, of records, and of the boxes inside segments.

The attacker holds the card, the key that opens footage, a certificate and key of the same agency for another device, and
another device's whole card; not the device's own key.
"""

import hashlib
import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyrage

from device.evidence import layout, records
from device.evidence.chain import never_whole
from device.evidence.envelope import open_line, sign_line
from device.evidence.identity import Role
from device.evidence.seal import Sealer
from hw_sim.agency import Agency, Bench, Issued
from tests.alterations import swap

Files = dict[str, bytes]
_DOCUMENTS = (layout.IDENTITY, layout.POLICY)


def files_of(card: Path) -> Files:
    """What is on a card, but for the reserve and what is in the spool; a link, a pipe or a folder in a file's place is
    something else than its bytes."""
    found: Files = {}
    for path in sorted(card.rglob("*")):
        name = path.relative_to(card).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            found[name] = b"no file"
        elif path.is_file() and name != layout.RESERVE and not name.startswith(layout.SPOOL):
            found[name] = path.read_bytes()
    return found


def matters(before: Files, after: Files) -> bool:
    """Whether anything of the device's own is not as it was. Of documents, good ones must still be there: further copies
    and other certificates are harmless, since they count by what is signed."""
    kept = {name: data for name, data in before.items() if not name.startswith(_DOCUMENTS)}
    now = {name: data for name, data in after.items() if not name.startswith(_DOCUMENTS) and _is_ours(name)}
    documents = {data for name, data in before.items() if name.startswith(_DOCUMENTS)}
    return kept != now or not documents <= {data for name, data in after.items() if _holds(name, data)}


def _is_ours(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    if folder == layout.JOURNAL:
        return layout.epoch_number(file) is not None
    top, _, recording = folder.partition("/")
    if top != layout.EVIDENCE or layout.recording_counter(recording) is None:
        return layout.recording_counter(file) is not None and folder == layout.EVIDENCE
    own = {layout.INIT, layout.LEDGER, *map(layout.recovery_file, range(layout.MAX_RECOVERIES))}
    return file in own or layout.segment_numbers(file) is not None


def _holds(name: str, data: bytes) -> bool:
    """Whether a document is in its folder, under the name that its bytes give it."""
    folder, _, file = name.rpartition("/")
    return folder in _DOCUMENTS and layout.document_digest(file) == hashlib.sha256(data).hexdigest()


def is_of_the_journals_end(before: Files, after: Files) -> bool:
    """Whether nothing is concerned but the end of the journal: cut off, up to all of it, or changed where no line says that
    the one before it was durable. A power cut may leave an end so; that the extent is not proven is said."""
    last = max(name for name in before if name.startswith(layout.JOURNAL))
    lines, now = before[last].splitlines(keepends=True), after.get(last, b"")
    durable = records.decode_journal(open_line(lines[-1][:-1]).payload).durable
    proven = b"".join(line for line in lines if _seq(line) <= durable)
    others = {name: data for name, data in before.items() if name != last}
    untouched = not matters(others, {name: data for name, data in after.items() if name != last})
    return untouched and (now.startswith(proven) or before[last].startswith(now))


def is_of_a_lost_journal(before: Files, after: Files) -> bool:
    """Whether something that does not even have a first line stands in the journal's place, and no recording is concerned:
    as good as none, and that is said."""
    last = max(name for name in before if name.startswith(layout.JOURNAL))
    there, now = (
        {name: data for name, data in files.items() if name.startswith(layout.EVIDENCE)} for files in (before, after)
    )
    return not matters(there, now) and never_whole(after.get(last, b""))


def _seq(line: bytes) -> int:
    signed = open_line(line[:-1])
    return -1 if signed.payload_type == records.PROVISIONING_TYPE else records.decode_journal(signed.payload).seq


_IN_ITS_PLACE: dict[str, Callable[[Path], None]] = {
    "remove": lambda _: None,
    "link": lambda path: path.symlink_to("elsewhere"),
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
}


class Editor:
    """Edits one card, and puts it back."""

    def __init__(self, bench: Bench, other: Bench, agency: Agency) -> None:
        self.card = bench.card
        self.before = files_of(bench.card)
        self._others = sorted(path for path in other.card.rglob("*") if path.is_file())
        self._agency = agency
        self._stranger: Issued = agency.issue("BC-000002", Role.LEDGER)
        self._edits: tuple[Callable[[random.Random], str], ...] = (
            *(self._bytes,) * 3,
            *(self._whole_file,) * 3,
            *(self._lines,) * 4,
            *(self._boxes,) * 3,
        )

    def put_back(self) -> None:
        now = files_of(self.card)
        for name in now.keys() - self.before.keys():
            (self.card / name).unlink()
        for name, data in self.before.items():
            if now.get(name) != data:
                self._again(self.card / name, data)

    def _again(self, path: Path, data: bytes) -> None:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        elif os.path.lexists(path):
            path.unlink()
        path.write_bytes(data)

    def edit(self, draw: random.Random) -> str:
        """One edit; what was done."""
        return draw.choice(self._edits)(draw)

    def _file(self, draw: random.Random, kind: str = "*") -> Path:
        """Any kind of file as likely as any other, so that the few small ones have their turn."""
        names = [name for name in self.before if Path(name).match(kind) and self.before[name]]
        suffix = draw.choice(sorted({Path(name).suffix for name in names}))
        return self.card / draw.choice([name for name in names if Path(name).suffix == suffix])

    def _named(self, path: Path) -> str:
        return path.relative_to(self.card).as_posix()

    # -- bytes --------------------------------------------------------------------------------------------------------

    def _bytes(self, draw: random.Random) -> str:
        path = self._file(draw)
        data = path.read_bytes()
        at, count = draw.randrange(len(data)), draw.choice((1, 1, 2, 16, 1000))
        some = draw.randbytes(count)
        kind, altered = draw.choice(
            (
                ("flipped", data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]),
                ("put in", data[:at] + some + data[at:]),
                ("taken out", data[:at] + data[at + count :]),
                ("overwritten", data[:at] + some + data[at + count :]),
                ("zeroed", data[:at] + bytes(len(data[at : at + count])) + data[at + count :]),
                ("cut", data[:at]),
                ("appended", data + some),
                ("a newline appended", data + b"\n"),
            )
        )
        path.write_bytes(altered)
        return f"{self._named(path)}: {kind} at {at}, {count} bytes"

    # -- whole files --------------------------------------------------------------------------------------------------

    def _whole_file(self, draw: random.Random) -> str:
        a, b = self._file(draw), self._file(draw)
        kind = draw.choice(
            ("swap", "copy over", "copy beside", "rename", "remove", "foreign", "link", "pipe", "folder")
        )
        said = f"{kind}: {self._named(a)}, {self._named(b)}"
        if kind == "foreign":
            shutil.copyfile(draw.choice(self._others), a)
        elif kind in {"swap", "copy over"} and a != b:
            (swap if kind == "swap" else shutil.copyfile)(a, b)
        elif kind in {"copy beside", "rename"}:
            name = draw.choice((b.name, layout.segment_file(draw.randrange(12), draw.randrange(3)), "recovery-0.jsonl"))
            shutil.copyfile(a, a.with_name("aside"))
            if kind == "rename":
                a.unlink()
            a.with_name("aside").replace(draw.choice((a.parent, b.parent)) / name)
        elif kind in _IN_ITS_PLACE:
            a.unlink()
            _IN_ITS_PLACE[kind](a)
        return said

    # -- lines of ledgers and journals ----------------------------------------------------------------------------------

    def _lines(self, draw: random.Random) -> str:
        path, other = self._file(draw, "*.jsonl"), self._file(draw, "*.jsonl")
        lines, others = path.read_bytes().splitlines(), other.read_bytes().splitlines()
        n, m = draw.randrange(len(lines)), draw.randrange(len(lines))
        kind = draw.choice(("drop", "drop many", "swap", "repeat", "edit", "re-sign", "replace", "put in", "cut"))
        match kind:
            case "drop":
                del lines[n]
            case "drop many":
                del lines[min(n, m) : max(n, m) + 1]
            case "swap":
                lines[n], lines[m] = lines[m], lines[n]
            case "repeat":
                lines.insert(m, lines[n])
            case "edit":
                lines[n] = _edited(lines[n], draw)
            case "re-sign":
                signed = open_line(lines[n])
                lines[n] = sign_line(self._stranger.signer, signed.payload_type, signed.payload)
            case "replace":
                lines[n] = draw.choice(others)
            case "put in":
                lines.insert(n, draw.choice(others))
            case _:
                del lines[n:]
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return f"{self._named(path)}: {kind} line {n} ({m})"

    # -- boxes ----------------------------------------------------------------------------------------------------------

    def _boxes(self, draw: random.Random) -> str:
        """Inside a segment that was opened and is encrypted again for the same recipient."""
        path = self._file(draw, "*.age")
        plain = bytes(pyrage.decrypt(path.read_bytes(), [self._agency.footage]))
        found = list(boxes(plain, 0, len(plain)))
        at, size = draw.choice(found)
        box, (other_at, other_size) = plain[at : at + size], draw.choice(found)
        kind, altered = draw.choice(
            (
                ("removed", plain[:at] + plain[at + size :]),
                ("repeated", plain[: at + size] + box + plain[at + size :]),
                ("renamed", plain[: at + 4] + b"free" + plain[at + 8 :]),
                ("resized", plain[:at] + struct.pack(">I", draw.randrange(2 * size)) + plain[at + 4 :]),
                ("another put in", plain[:at] + plain[other_at : other_at + other_size] + plain[at:]),
                ("a byte changed", _changed(plain, draw.randrange(at, at + size), draw)),
                ("nothing, sealed again", plain),
            )
        )
        path.write_bytes(Sealer((self._agency.footage_recipient,), "").seal(altered).data)
        return f"{self._named(path)}: box {box[4:8]!r} at {at} {kind}"


def boxes(data: bytes, at: int, end: int) -> list[tuple[int, int]]:
    """Every box of an MP4 that is well formed, and those within it: offset and size."""
    found = []
    while at + 8 <= end:
        size = struct.unpack(">I", data[at : at + 4])[0]
        found.append((at, size))
        if data[at + 4 : at + 8] in {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mvex"}:
            found += boxes(data, at + 8, at + size)
        at += size
    return found


def _changed(data: bytes, at: int, draw: random.Random) -> bytes:
    return data[:at] + bytes([data[at] ^ draw.randrange(1, 256)]) + data[at + 1 :]


def _edited(line: bytes, draw: random.Random) -> bytes:
    """Another digit or letter in the payload, in good base64, under the signature that the line had."""
    signed = open_line(line)
    at = draw.randrange(len(signed.payload))
    payload = _changed(signed.payload, at, draw) if draw.random() < 0.3 else _plausible(signed.payload, draw)

    class Same:
        certificate_sha256 = ""

        def sign(self, message: bytes) -> bytes:
            return signed.signature

    return sign_line(Same(), signed.payload_type, payload)


def _plausible(payload: bytes, draw: random.Random) -> bytes:
    """A number of it changed, so that it is still a record."""
    facts = msgspec.json.decode(payload)
    key = draw.choice([key for key, value in facts.items() if isinstance(value, int | str)])
    value = facts[key]
    facts[key] = value + 1 if isinstance(value, int) else value[:-1] + draw.choice("0123456789abcdefZ")
    return msgspec.json.encode(facts)
