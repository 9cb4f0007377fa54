"""Signed video for tests: the specification's own sample, ours, and files made of them with something changed."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from device.evidence.identity import Role
from device.media import onvif
from device.media.frames import CaptureFlags, Frame, parameter_sets
from device.media.nal import PPS, SEI, START_CODE, begins_gop, is_slice, length_prefixed_units, unit_type
from device.media.onvif_sei import SigningSei, Vendor, document, finished, parse
from device.media.picture import Picture
from hw_sim.agency import Agency, Issued
from tests.benches import DEVICE
from tests.conftest import SHARED

SAMPLE = SHARED / "onvif" / "test_signed_h264.mp4"
SAMPLE_CA = SHARED / "onvif" / "ca.pem"
Sample = list[bytes]
"""An access unit's NAL units."""


def samples_of(path: Path) -> list[Sample]:
    """The video as it is played, sample by sample."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        while packets and packets[-1].is_discard:
            packets.pop()
        return [list(map(bytes, length_prefixed_units(bytes(packet), 4))) for packet in packets]


def write_samples(template: Path, samples: list[Sample], target: Path, rate_hz: int, first: int = 0) -> Path:
    """A progressive MP4 of these, with the template's header, one every 1/`rate_hz` s."""
    with av.open(str(template)) as source, av.open(str(target), "w", format="mp4") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        base = Fraction(1, rate_hz)
        for n, units in enumerate(samples, first):
            packet = av.Packet(b"".join(len(unit).to_bytes(4, "big") + unit for unit in units))
            packet.stream, packet.time_base = stream, base
            packet.pts = packet.dts = n
            packet.duration = 1
            packet.is_keyframe = any(map(begins_gop, units))
            container.mux_one(packet)
    return target


def gops_of(samples: list[Sample]) -> list[list[Sample]]:
    gops: list[list[Sample]] = []
    for sample in samples:
        if any(map(begins_gop, sample)) or not gops:
            gops.append([])
        gops[-1].append(sample)
    return gops


def joined(gops: list[list[Sample]]) -> list[Sample]:
    return [list(sample) for gop in gops for sample in gop]


def seis_of(samples: list[Sample]) -> list[tuple[int, int]]:
    """Where the signature SEIs are: sample and unit."""
    return [(n, k) for n, sample in enumerate(samples) for k, unit in enumerate(sample) if parse(unit) is not None]


def parsed(samples: list[Sample]) -> list[SigningSei]:
    return [sei for sample in samples for sei in map(parse, sample) if sei is not None]


def chain_of(issued: Issued) -> bytes:
    return x509.load_der_x509_certificate(issued.certificate).public_bytes(Encoding.PEM)


def resigned(unit: bytes, issued: Issued) -> bytes:
    """The same SEI by another key."""
    sei = parse(unit)
    assert sei is not None
    assert sei.general is not None
    written = document(sei.general, sei.hashes, sei.vendor, chain_of(issued), signed=True)
    return finished(written, issued.signer.sign(written))


def flipped(unit: bytes, at: int) -> bytes:
    """One bit of it changed."""
    return unit[:at] + bytes([unit[at] ^ 4]) + unit[at + 1 :]


def unsigned(samples: list[Sample]) -> list[Sample]:
    """Our recording's pictures without what media signing put there."""
    bare = []
    for sample in samples:
        picture = next(k for k, unit in enumerate(sample) if is_slice(unit))
        bare.append([u for k, u in enumerate(sample) if parse(u) is None and not (k > picture and unit_type(u) == PPS)])
    return bare


def frames_of(samples: list[Sample], rate_hz: int = 30) -> list[Frame]:
    """As an encoder gave them, from 1 s after boot on."""
    flags = CaptureFlags(zone="street")
    return [
        Frame(
            data=b"".join(START_CODE + unit for unit in sample),
            at_us=1_000_000 + n * 1_000_000 // rate_hz,
            number=n,
            keyframe=any(map(begins_gop, sample)),
            flags=flags,
        )
        for n, sample in enumerate(samples)
    ]


def cuts_of(frames: list[Frame]) -> list[onvif.Cut]:
    """One a GOP."""
    starts = [n for n, frame in enumerate(frames) if frame.keyframe]
    ends = [*starts[1:], len(frames)]
    last_us = frames[-1].at_us + frames[1].at_us - frames[0].at_us
    return [
        onvif.Cut(frames[start:end], frames[end].at_us if end < len(frames) else last_us)
        for start, end in zip(starts, ends, strict=True)
    ]


class SlowKey(msgspec.Struct):
    """A key that takes `sign_us` of a clock of its own for each signature."""

    issued: Issued
    sign_us: int = 0
    now_us: int = 0
    count: int = 0

    def sign(self, message: bytes) -> bytes:
        self.now_us += self.sign_us
        self.count += 1
        return self.issued.signer.sign(message)

    def signature(self) -> onvif.Signature:
        vendor = Vendor(firmware="bodycam 1", serial=DEVICE, manufacturer="Agency CA")
        return onvif.Signature(self.sign, chain_of(self.issued), vendor, lambda: self.now_us)


def media_key(agency: Agency, sign_us: int = 0) -> SlowKey:
    return SlowKey(agency.issue(DEVICE, Role.MEDIA), sign_us)


UTC_OFFSET_US = 1_790_000_000_000_000


def signed(frames: list[Frame], key: SlowKey, group: int = 1) -> list[Picture]:
    """Signed `group` GOPs at a time."""
    sets = parameter_sets(frames[0].data)
    assert sets is not None
    progress = onvif.Progress()
    done: list[Picture] = []
    cuts = cuts_of(frames)
    for n in range(0, len(cuts), group):
        video, progress = onvif.sign_cuts(cuts[n : n + group], progress, key.signature(), UTC_OFFSET_US, sets.pps)
        done += [picture for pictures in video for picture in pictures]
    return done


def as_samples(pictures: list[Picture]) -> list[Sample]:
    return [list(map(bytes, picture.units)) for picture in pictures]


def with_unit(samples: list[Sample], at: tuple[int, int], change: Callable[[bytes], list[bytes]]) -> list[Sample]:
    """One unit replaced by others."""
    n, k = at
    changed = [list(sample) for sample in samples]
    changed[n][k : k + 1] = change(changed[n][k])
    return changed


def without_seis(samples: list[Sample]) -> list[Sample]:
    return [[unit for unit in sample if unit_type(unit) != SEI or parse(unit) is None] for sample in samples]
