"""Is the video in an MP4 file what a camera signed into it? ONVIF Media Signing, ours or another maker's, no ledger needed.

Two questions, apart: whether the pictures are unaltered since they were signed, and whether the key that signed them is
trusted. For readers, on a laptop; one access unit in memory at a time. NAL units are counted as the reference validator
counts them: see `media_stream`.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec
from cryptography import x509

from device.errors import EvidenceError, UsageError
from device.evidence.media_key import MediaKey
from device.evidence.media_stream import VideoFile
from device.evidence.reading import digest_file, regular_size
from device.evidence.verdicts import EXIT_ALTERED, EXIT_EXTENT, EXIT_INTACT, EXIT_NOT_TRUSTED, Shown
from device.media.onvif_check import GopAnswer, Problem, StreamChecker
from device.media.onvif_sei import Vendor

Pictures = Literal["unaltered", "altered", "unproven", "not-signed"]
Key = Literal["trusted", "not-trusted", "none"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Gop(Shown, frozen=True, kw_only=True):
    """One GOP, or a part of one, by its counter. Times: `offset_s` from the file's first picture, `utc` as the SEI claims.

    `missing` and `wrong` count NAL units.
    """

    counter: int
    offset_s: float
    utc: str | None
    frames: int
    missing: int
    wrong: int
    verdict: Literal["unaltered", "altered", "pending"]


class Place(Shown, frozen=True, kw_only=True):
    """Something that is wrong, and where it begins. `utc` is what the SEI concerned claims; None when none says it."""

    what: str
    offset_s: float
    utc: str | None


class MediaVerdict(Shown, frozen=True, kw_only=True):
    """`pending` counts the NAL units from the first one on that no signature settled; `validated` those before it, but for
    those that are not as they were signed. `from_start`: nothing was signed before the first GOP here."""

    path: str
    sha256: str
    pictures: Pictures
    pictures_said: str
    key: Key
    key_said: str
    signer: str = ""
    certificate_sha256: str | None = None
    firmware: str = ""
    serial: str = ""
    manufacturer: str = ""
    from_start: bool = False
    first_utc: str | None = None
    last_utc: str | None = None
    frames: int = 0
    received: int = 0
    validated: int = 0
    pending: int = 0
    wrong: int = 0
    missing: int = 0
    gops: tuple[Gop, ...] = ()
    first_bad: Place | None = None
    bad: tuple[Place, ...] = ()
    other_tracks: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def exit_status(self) -> int:
        """0 unaltered and trusted, 1 altered, 3 the key is not trusted, 4 not proven, or not signed at all."""
        if self.pictures == "altered":
            return EXIT_ALTERED
        if self.pictures == "not-signed":
            return EXIT_EXTENT
        if self.key != "trusted":
            return EXIT_NOT_TRUSTED
        return EXIT_INTACT if self.pictures == "unaltered" and not self.pending else EXIT_EXTENT


def check_media(
    path: Path, anchors: tuple[x509.Certificate, ...], progress: Callable[[int], None] = lambda _: None
) -> MediaVerdict:
    """Judge the video of an MP4 file, progressive or fragmented. `progress` is told bytes of video as they are read.

    `UsageError` when there is no such file or it is no MP4.
    """
    try:
        if regular_size(path) is None:
            raise UsageError(f"{path}: no such file; give an MP4 file")
        stream = VideoFile(path)
        hash_name = stream.hash_name()
        key = MediaKey(hash_name)
        checker = StreamChecker(key.why_not, hash_name)
        stream.feed(checker, progress)
        checker.end()
        verdict = _verdict(path, checker, key, anchors)
    except EvidenceError as failure:
        raise UsageError(f"{path}: {failure}; give an MP4 file with H.264 video") from failure
    verdict = msgspec.structs.replace(verdict, other_tracks=stream.other_tracks, left_out=stream.left_out)
    if stream.doubt and verdict.pictures == "unaltered":
        return msgspec.structs.replace(verdict, pictures="unproven", pictures_said=stream.doubt)
    return verdict


# -- the verdict ----------------------------------------------------------------------------------------------------


def _verdict(path: Path, checker: StreamChecker, key: MediaKey, anchors: tuple[x509.Certificate, ...]) -> MediaVerdict:
    pictures, pictures_said = _pictures(checker)
    judged, key_said = _key(checker, key, anchors)
    bad = tuple(map(_place, sorted(checker.problems, key=lambda problem: problem.at_us)))
    vendor = key.vendor or Vendor("", "", "")
    settled = [answer for answer in checker.answers if answer.good]
    return MediaVerdict(
        path=str(path),
        sha256=digest_file(path, regular_size(path) or 0)[0],
        pictures=pictures,
        pictures_said=pictures_said,
        key=judged,
        key_said=key_said,
        signer=key.name,
        certificate_sha256=key.certificate_sha256,
        firmware=vendor.firmware,
        serial=vendor.serial,
        manufacturer=vendor.manufacturer,
        from_start=checker.begins_at_start,
        first_utc=_utc(settled[0].general.start_us) if settled else None,
        last_utc=_utc(settled[-1].general.end_us) if settled else None,
        frames=checker.frames,
        received=checker.received,
        validated=checker.received - checker.pending - checker.wrong,
        pending=checker.pending,
        wrong=checker.wrong,
        missing=checker.missing,
        gops=tuple(map(_gop, checker.answers)),
        first_bad=bad[0] if bad else None,
        bad=bad,
    )


def _pictures(checker: StreamChecker) -> tuple[Pictures, str]:
    if checker.problems:
        first = min(checker.problems, key=lambda problem: problem.at_us)
        return "altered", f"{first.what} ({first.at_us / 1e6:.3f} s into the file)"
    if not checker.seis:
        return "not-signed", "it carries no signature: whether it is unaltered can't be told"
    if not any(answer.good for answer in checker.answers):
        return "unproven", "it carries signatures, and none of them is for the pictures that are here"
    if checker.pending:
        said = f"unaltered as far as the signatures go; the last {checker.pending} NAL units have none that follows"
        return "unaltered", said
    return "unaltered", "every NAL unit is as it was signed, and in its place"


def _key(checker: StreamChecker, key: MediaKey, anchors: tuple[x509.Certificate, ...]) -> tuple[Key, str]:
    if not checker.seis:
        return "none", "there is no signature"
    at_us = checker.answers[0].general.start_us if checker.answers else 0
    why = key.why_not_trusted(anchors, at_us)
    if why:
        return "not-trusted", why
    return "trusted", f"{key.name}, under the given anchor; validity judged at the claimed time"


def _gop(answer: GopAnswer) -> Gop:
    return Gop(
        counter=answer.general.counter,
        offset_s=_seconds(answer.at_us),
        utc=_utc(answer.general.start_us),
        frames=answer.frames,
        missing=answer.missing,
        wrong=answer.wrong,
        verdict="pending" if answer.good is None else "unaltered" if answer.good else "altered",
    )


def _place(problem: Problem) -> Place:
    utc = _utc(problem.utc_us) if problem.utc_us is not None else None
    return Place(what=problem.what, offset_s=_seconds(problem.at_us), utc=utc)


def _seconds(at_us: int) -> float:
    return round(at_us / 1e6, 3)


def _utc(at_us: int) -> str | None:
    """A moment that people can read; None for what is none (a time of 64 bits may name any)."""
    try:
        return (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except OverflowError:
        return None
