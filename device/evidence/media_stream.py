"""The H.264 track of an MP4 file, sample by sample, as it is played. For readers; any file, which nobody vouches for.

libavformat takes the file apart; it is opened as the readers open everything. NAL units are counted as in the byte stream
that the track would be: the header's parameter sets before the first sample, a delimiter before each. What an edit list
leaves out at the end is not played, and not given.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from device.errors import EvidenceError
from device.evidence.reading import open_file, parts_of
from device.media.boxes import Read, boxes, inner_boxes
from device.media.nal import DELIMITER, PPS, SPS, length_prefixed_units, unit_type
from device.media.onvif_check import StreamChecker
from device.media.onvif_sei import HashName, SigningSei, parse

if TYPE_CHECKING:
    import av

MAX_LEFT_OUT = 1000
"""Packets that an edit list leaves out; were there more, they are judged."""
_OTHER_TRACK = "another video track is in the file, and no signature covers it: a player may show that one"
_DESCRIBED_TWICE = "its video is described more than once, or not in one place: a player may show other pictures"
_LEFT_OUT = "and a player that ignores the edit list shows them"
_DELIMITER_UNIT = bytes([DELIMITER, 0xF0])


class VideoFile:
    """The H.264 track of an MP4 file, as it is played. `EvidenceError` when there is none that can be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.other_tracks: tuple[str, ...] = ()
        self.left_out = 0
        self.doubt = ""
        """Why a player may show other pictures than those that were fed, though these are as they were signed."""

    def hash_name(self) -> HashName:
        """What the first signed SEI says that NAL units are hashed with; it may come late."""
        import av

        with self._opened() as (container, video):
            length_bytes = _length_bytes(video)
            try:
                for packet in container.demux(video):
                    for sei in _seis(bytes(packet), length_bytes):
                        if sei.hash_name is not None and sei.signature:
                            return sei.hash_name
            except av.error.FFmpegError:
                return "sha256"  # `feed` says where
        return "sha256"

    def feed(self, checker: StreamChecker, progress: Callable[[int], None]) -> None:
        """Every access unit in decoding order; what can't be read is a problem of the stream's."""
        import av

        with self._opened() as (container, video):
            self.other_tracks = tuple(stream.type for stream in container.streams if stream is not video)
            self.doubt = _OTHER_TRACK if "video" in self.other_tracks else self._doubtful_description()
            reader, fed = _Reader(checker, video), 0
            try:
                for packet in self._played(container.demux(video)):
                    progress(packet.size)
                    reader.take(packet)
                    fed += 1
            except av.error.FFmpegError as failure:
                checker.problem(reader.at_us, f"the file can't be read further: {failure}")
            if video.frames > fed + self.left_out:
                self.doubt = self.doubt or f"{video.frames - fed} of its samples are not played, {_LEFT_OUT}"

    def _played(self, packets: "Iterator[av.Packet[av.VideoStream]]") -> "Iterator[av.Packet[av.VideoStream]]":
        """Without the empty packet of the end, and without those at the end that an edit list leaves out."""
        left_out: list[av.Packet[av.VideoStream]] = []
        for packet in packets:
            if packet.size == 0:
                continue
            left_out.append(packet)
            if not packet.is_discard or len(left_out) > MAX_LEFT_OUT:
                yield from left_out
                left_out.clear()
        self.left_out = len(left_out)

    def _doubtful_description(self) -> str:
        """libavformat shows one description of each track; which of several a player follows is the player's matter."""
        with parts_of(self._path) as (size, read):
            return "" if _described_once(read, size) else _DESCRIBED_TWICE

    @contextmanager
    def _opened(self) -> "Iterator[tuple[av.container.InputContainer, av.VideoStream]]":
        import av

        with open_file(self._path) as file:
            try:
                container = av.open(file, "r", format="mp4")
            except (av.error.FFmpegError, ValueError, OSError) as failure:  # OSError: an empty file
                raise EvidenceError("not an MP4 file that can be read") from failure
            with container:
                tracks = [track for track in container.streams.video if _codec(track) == "h264"]
                if len(tracks) != 1:
                    raise EvidenceError(f"{len(tracks)} tracks of H.264; one is wanted")
                extradata = tracks[0].codec_context.extradata or b""
                if extradata[:1] != b"\x01" or len(extradata) < 7:
                    raise EvidenceError("its H.264 track has no configuration that can be read")
                yield container, tracks[0]


class _Reader:
    """Gives a track's packets to a checker, as the byte stream that they would be."""

    def __init__(self, checker: StreamChecker, video: "av.VideoStream") -> None:
        self._checker = checker
        self._length_bytes = _length_bytes(video)
        self._time_base = video.time_base or Fraction(0)
        self._header = _parameter_sets(video.codec_context.extradata or b"")
        self._first_us: int | None = None
        self.at_us = 0

    def take(self, packet: "av.Packet[av.VideoStream]") -> None:
        ticks = packet.pts if packet.pts is not None else packet.dts or 0
        time_us = round(ticks * self._time_base * 1_000_000)
        self._first_us = time_us if self._first_us is None else self._first_us
        self.at_us = time_us - self._first_us
        try:
            units = list(length_prefixed_units(bytes(packet), self._length_bytes))
        except EvidenceError as failure:
            self._checker.problem(self.at_us, str(failure))
            return
        delimited = bool(units) and unit_type(units[0]) == DELIMITER
        header = () if any(unit_type(unit) in (SPS, PPS) for unit in units) else self._header
        self._header = ()
        self._checker.take([*(() if delimited else (_DELIMITER_UNIT,)), *header, *units], self.at_us)


def _codec(track: "av.VideoStream") -> str:
    """Its name; "" where libavformat has no decoder for what the track says of itself."""
    context: av.VideoCodecContext | None = track.codec_context
    return context.name if context is not None else ""


def _described_once(read: Read, size: int) -> bool:
    """Whether the file has one header, and in it one description (`stsd`) with one entry for each track."""
    headers, tracks, entries = 0, 0, list[int]()
    try:
        for box in boxes(read, 0, size):
            headers += box.kind == b"moov"
            for inner in inner_boxes(read, box) if box.kind == b"moov" else ():
                tracks += inner.kind == b"trak"
                if inner.kind == b"stsd":
                    entries.append(int.from_bytes(read(inner.offset + inner.header + 4, 4), "big"))
    except EvidenceError:
        pass  # a file cut short: what is before that is judged, and the checker tells what is missing
    return headers == 1 and entries == [1] * tracks


def _length_bytes(video: "av.VideoStream") -> int:
    return ((video.codec_context.extradata or b"")[4] & 3) + 1


def _parameter_sets(configuration: bytes) -> tuple[bytes, ...]:
    """The parameter sets of an `avcC`, as far as they can be read: they are counted, and not judged."""
    sets: list[bytes] = []
    at = 5
    for mask in (0x1F, 0xFF):
        count = configuration[at] & mask if at < len(configuration) else 0
        at += 1
        for _ in range(count):
            size = int.from_bytes(configuration[at : at + 2], "big")
            sets.append(configuration[at + 2 : at + 2 + size])
            at += 2 + size
    return tuple(sets)


def _seis(sample: bytes, length_bytes: int) -> Iterator[SigningSei]:
    """Those of a sample that can be read."""
    try:
        for unit in length_prefixed_units(sample, length_bytes):
            sei = parse(unit)
            if sei is not None:
                yield sei
    except EvidenceError:
        return  # what can't be read is told when the sample is judged
