"""Benches for tests: small pictures, few seconds of pre-event, the twin's disk. Everything in virtual time."""

import base64
import hashlib
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pyrage

from device.evidence import layout, records
from device.evidence.chain import ReadChain
from device.evidence.disclosure import disclose, write_disclosure
from device.evidence.identity import load_anchors, load_certificate, p256_key
from device.evidence.journal import read_epoch
from device.evidence.opening import Identity, check_plaintext
from device.evidence.records import JournalRecord, LedgerRecord, RecordingOpened, SealedContext, Segment
from device.evidence.recovery import read_ledger
from device.evidence.verdicts import CardVerdict, Finding
from device.evidence.verify import Opener, Progressing, verify
from hw_sim.agency import Agency, Bench, lay_out_bench
from hw_sim.disk import PowerCut

DEVICE = "BC-000001"
CAMERA = {"width": 160, "height": 90, "rate_hz": 30, "bitrate_bps": 150_000}
FIRST_PROFILE = Path(__file__).resolve().parents[1] / "device" / "policy" / "profiles" / "first.toml"


class Cutter:
    """Counts the operations of a disk, and cuts the power before the n-th."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.count = 0

    def __call__(self, operation: str, path: str) -> None:
        self.count += 1
        if self.count == self.at:
            raise PowerCut(f"{operation} {path}")


def policy_document(
    pre_event_s: int = 5, post_event_s: int = 2, version: int = 1, *, pre_event_sound: bool = False
) -> bytes:
    """The first profile with other times, and another version; `pre_event_sound`: sound is held before a press too."""
    text = FIRST_PROFILE.read_text("utf-8")
    assert text.count("length_s = 30") == 1, "the profile's pre-event time"
    assert text.count("length_s = 10\n") == 1, "the profile's post-event time"
    assert text.count("\nversion = 1\n") == 1, "the profile's version"
    text = text.replace("\nversion = 1\n", f"\nversion = {version}\n")
    if pre_event_sound:
        text = text.replace('pre_event = "video"', 'pre_event = "video+audio"')
    text = text.replace("length_s = 30", f"length_s = {pre_event_s}")
    return text.replace("length_s = 10\n", f"length_s = {post_event_s}\n").encode()


def make_bench(
    root: Path,
    *,
    agency: Agency | None = None,
    device: str = DEVICE,
    audio: bool = True,
    pre_event_s: int = 5,
    post_event_s: int = 2,
    pre_event_sound: bool = False,
    camera: dict[str, int] | None = None,
    ring_mib: int = 4,
    full_below_mib: int = 4,
) -> Bench:
    return lay_out_bench(
        root,
        agency or Agency(),
        device,
        policy_document(pre_event_s, post_event_s, pre_event_sound=pre_event_sound),
        {
            "card": {"full_below_mib": full_below_mib},
            "camera": {**(camera or CAMERA)},
            "microphone": {"enabled": audio},
            "ring": {"cap_mib": ring_mib},
        },
    )


def without_media(bench: Bench) -> None:
    """A device that does not sign within the pictures: the configuration names no key for it."""
    text = bench.config.read_text("utf-8")
    line = 'media_certificate = "media.der"\nmedia_key = "media.key"\n'
    assert text.count(line) == 1, "the bench's media key"
    bench.config.write_text(text.replace(line, ""), "utf-8")


def verified(bench: Bench, *, read: bool = False, head: str | None = None, jobs: int | None = None) -> CardVerdict:
    """What `bodycam verify` finds on the bench's card, opened and decoded when `read`."""
    opener = None
    if read:
        identity = Identity(bench.footage_identity)

        def check(
            folder: Path, opened: RecordingOpened, segments: Iterable[Segment], progress: Progressing
        ) -> list[Finding]:
            return check_plaintext(folder, opened, segments, identity, progress)

        opener = Opener(check)
    return verify(bench.card, load_anchors(bench.trust), opener=opener, head=head, jobs=jobs)


def recordings(bench: Bench) -> list[Path]:
    """The recordings' folders, oldest first."""
    return sorted((bench.card / layout.EVIDENCE).iterdir())


def ledger(bench: Bench, folder: Path) -> ReadChain[LedgerRecord]:
    """A recording's good lines, read with the device's own certificate; none where a power cut left no ledger."""
    key = p256_key(load_certificate((bench.root / "device" / "device.der").read_bytes()))
    path = folder / layout.LEDGER
    return read_ledger(path.read_bytes() if path.exists() else b"", folder.name, key)


def journal(bench: Bench) -> Iterator[JournalRecord]:
    """Every record of the card's journal, epoch after epoch."""
    key = p256_key(load_certificate((bench.root / "device" / "device.der").read_bytes()))
    for path in sorted((bench.card / layout.JOURNAL).iterdir()):
        for line in read_epoch(path.read_bytes(), path.stem, key, None).lines:
            yield line.record


def segments_of(bench: Bench, folder: Path) -> list[Segment]:
    lines = ledger(bench, folder).lines
    return [s for line in lines if isinstance(line.record, records.Segments) for s in line.record.segments]


def unsealed(bench: Bench, context: SealedContext | None) -> dict[str, object]:
    """What the auditor's key opens: the facts beside a record's digest of them."""
    assert context is not None
    identity = pyrage.x25519.Identity.from_str(bench.context_identity.read_text("ascii").strip())
    plain = bytes(pyrage.decrypt(base64.b64decode(context.age), [identity]))
    assert hashlib.sha256(plain).hexdigest() == context.sha256
    facts: dict[str, object] = msgspec.json.decode(plain)
    return facts


def export(bench: Bench, folder: Path, output: Path) -> Path:
    """Write a recording's MP4 with the agency's key."""
    disclosure = disclose(folder, load_anchors(bench.trust), lambda _: None)
    with output.open("wb") as file:
        write_disclosure(disclosure, Identity(bench.footage_identity), file, lambda _: None)
    return output


def copied(source: Path, target: Path, random_seed: int | None = None) -> random.Random:
    """Copy a card's folder; a generator for the edits to come."""
    import shutil

    shutil.copytree(source, target)
    return random.Random(random_seed)


def shown(verdict: CardVerdict) -> str:
    """For the message of a failed assertion."""
    return msgspec.json.format(msgspec.json.encode(verdict)).decode()
