"""Exported files for tests: made from a recorded card, taken apart, altered as an attacker would, put together again."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from device.evidence import container
from device.evidence.container import Contents
from device.evidence.disclosure import Interval, disclose, write_disclosure
from device.evidence.exported import verify_export
from device.evidence.identity import load_anchors
from device.evidence.opening import Identity
from device.evidence.records import RecordingOpened
from device.evidence.revocation import NONE_REVOKED
from device.evidence.verdicts import RecordingVerdict
from device.media.boxes import top_level_boxes
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench, shown, verified


class Pieces(msgspec.Struct):
    """A file's boxes: the init's two, one entry a segment, and what the evidence box holds."""

    ftyp: bytes
    moov: bytes
    segments: list[bytes]
    contents: Contents

    def whole(self) -> bytes:
        return b"".join([self.ftyp, self.moov, *self.segments, evidence_box(container.pack(self.contents))])

    def member(self, name: str, data: bytes | None) -> None:
        """Another member in the place of one; None: without it."""
        members = {key: value for key, value in self.contents.members.items() if key != name}
        self.contents = msgspec.structs.replace(
            self.contents, members=members | ({name: data} if data is not None else {})
        )

    def lines(self, name: str) -> list[bytes]:
        return self.contents.members[name].splitlines()

    def set_lines(self, name: str, lines: list[bytes]) -> None:
        self.member(name, b"".join(line + b"\n" for line in lines))


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def wide_box(kind: bytes, content: bytes) -> bytes:
    """The same with its size in 64 bits."""
    return b"\0\0\0\1" + kind + (16 + len(content)).to_bytes(8, "big") + content


def evidence_box(content: bytes) -> bytes:
    return box(b"uuid", container.EVIDENCE_BOX + content)


def take_apart(data: bytes) -> Pieces:
    boxes = [data[b.offset : b.end] for b in top_level_boxes(data)]
    fragments = boxes[2:-1]
    segments = [fragments[n] + fragments[n + 1] for n in range(0, len(fragments), 2)]
    return Pieces(boxes[0], boxes[1], segments, container.unpack(boxes[-1][24:]))


def record_story(root: Path, agency: Agency, device: str = "BC-000001") -> Bench:
    """About 45 s with a mute, a marker, frames that never came and a private pause, closed and journaled."""
    bench = make_bench(root, agency=agency, device=device, pre_event_s=3, post_event_s=1, ring_mib=8)
    twin = VirtualDevice(bench)
    twin.boot()
    twin.run(5)
    twin.double()
    twin.run(4)
    twin.hold("function", 3.2)
    twin.run(3)
    twin.hold("function", 3.2)
    twin.run(2)
    twin.press("function")
    twin.hardware.the_camera.drop(5)
    twin.run(4)
    twin.double("function")
    twin.run(3)
    twin.double()
    twin.run(16)
    twin.confirmed_stop()
    twin.until_idle()
    twin.stop()
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)
    return bench


def seconds(from_s: float, to_s: float) -> Callable[[RecordingOpened], Interval]:
    """Of a recording, counted from its first picture."""

    def chosen(opened: RecordingOpened) -> Interval:
        base_us = opened.video.base_us
        return Interval(base_us + round(from_s * 1e6), base_us + round(to_s * 1e6))

    return chosen


def exported(
    bench: Bench, folder: Path, output: Path, choose: Callable[[RecordingOpened], Interval | None] = lambda _: None
) -> bytes:
    """Write an export and give its bytes."""
    disclosure = disclose(folder, load_anchors(bench.trust), choose)
    with output.open("wb") as file:
        write_disclosure(disclosure, Identity(bench.footage_identity), file, lambda _: None)
    return output.read_bytes()


def judged_export(bench: Bench, path: Path, data: bytes | None = None) -> RecordingVerdict:
    """What `verify` says of a file, of these bytes when they are given."""
    if data is not None:
        path.write_bytes(data)
    return verify_export(path, load_anchors(bench.trust), NONE_REVOKED, lambda _: None)


def said(verdict: RecordingVerdict) -> str:
    """For the message of a failed assertion."""
    return msgspec.json.format(msgspec.json.encode(verdict)).decode()


def content_findings(verdict: RecordingVerdict) -> list[str]:
    return [f"{f.place}: {f.what}" for f in verdict.findings if f.question == "content"]


def first_bad_s(verdict: RecordingVerdict) -> float | None:
    return min((f.offset_s for f in verdict.findings if f.offset_s is not None), default=None)
