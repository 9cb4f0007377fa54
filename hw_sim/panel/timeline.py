"""What the timeline of a recording shows, taken from its ledger line by line. No I/O; times are boot µs."""

from typing import Literal

import msgspec

from device.evidence import records
from device.evidence.records import AnyRecord

Ended = Literal["", "closed", "recovered"]
JOINED_US = 500_000
"""Segments of a stage that are no farther apart are drawn as one piece; a gap in between has a mark of its own."""


class Stretch(msgspec.Struct):
    """From here to there: a stage that was kept (`pre`, `live`, `post`), or something that it was without (`muted`,
    `paused`, `gap`, `sound-gap`). `to_us` None: it goes on."""

    what: str
    from_us: int
    to_us: int | None
    said: str = ""


class Mark(msgspec.Struct, frozen=True):
    what: str
    at_us: int
    said: str = ""


class Shown(msgspec.Struct, frozen=True, tag="recording", tag_field="kind"):
    """A recording as the page gets it."""

    name: str
    utc: str
    trigger: str
    press_us: int
    from_us: int
    to_us: int
    ended: Ended
    how: str
    frames: int
    segments: int
    bytes: int
    stages: list[Stretch]
    without: list[Stretch]
    marks: list[Mark]


class Timeline:
    """`ledger_bytes`: how much of the ledger was read, so whether a verdict is of now."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ended: Ended = ""
        self.ledger_bytes = 0
        self._how = ""
        self._opened: records.RecordingOpened | None = None
        self._stages: list[Stretch] = []
        self._without: list[Stretch] = []
        self._marks: list[Mark] = []
        self._frames = self._segments = self._bytes = 0

    def take(self, record: AnyRecord) -> None:  # noqa: C901, PLR0912 - one branch a record
        match record:
            case records.RecordingOpened():
                self._opened = record
                self._marks.append(Mark("press", record.trigger_us, record.trigger))
            case records.Segments():
                for segment in record.segments:
                    self._segment(segment)
            case records.Marker():
                self._marks.append(Mark("marker", record.at_us))
            case records.Muted() | records.Paused():
                what = "muted" if isinstance(record, records.Muted) else "paused"
                self._without.append(Stretch(what, record.at_us, None))
            case records.Unmuted():
                self._over("muted", record.at_us)
            case records.Resumed():
                self._over("paused", record.at_us)
            case records.Gap():
                said = f"{record.frames} frames: {record.cause}"
                self._without.append(Stretch("gap", record.from_us, record.to_us, said))
            case records.SoundGap():
                self._without.append(Stretch("sound-gap", record.from_us, record.to_us, record.cause))
            case records.Noted():
                self._marks.append(Mark("note", record.at_us, record.what))
            case records.Fault():
                said = f"{record.part} {'fails' if record.present else 'works again'}"
                self._marks.append(Mark("fault", record.at_us, said))
            case records.RecordingClosed():
                self.ended, self._how = "closed", record.how
                self._over("muted", record.end_us)
                self._over("paused", record.end_us)
            case _:
                return

    def recovered(self) -> None:
        """A power cut ended it; a record of the next start says so."""
        self.ended, self._how = "recovered", "power loss"
        last_us = self._last_us()
        self._over("muted", last_us)
        self._over("paused", last_us)

    def shown(self) -> Shown:
        opened = self._opened
        press_us = opened.trigger_us if opened else 0
        return Shown(
            name=self.name,
            utc=opened.utc if opened else "",
            trigger=opened.trigger if opened else "",
            press_us=press_us,
            from_us=self._stages[0].from_us if self._stages else press_us,
            to_us=self._last_us(),
            ended=self.ended,
            how=self._how,
            frames=self._frames,
            segments=self._segments,
            bytes=self._bytes,
            stages=self._stages,
            without=self._without,
            marks=self._marks,
        )

    def _segment(self, segment: records.Segment) -> None:
        self._segments += 1
        self._bytes += segment.file.size
        video, audio = segment.video, segment.audio
        if video is not None:
            self._frames += video.frames
            from_us, to_us = video.from_us, video.to_us
        elif audio is not None:
            from_us, to_us = audio.from_us, audio.last_us
        else:
            return
        last = self._stages[-1] if self._stages else None
        if (
            last is not None
            and last.what == segment.stage
            and last.to_us is not None
            and from_us - last.to_us < JOINED_US
        ):
            last.to_us = to_us
        else:
            self._stages.append(Stretch(segment.stage, from_us, to_us))

    def _over(self, what: str, at_us: int) -> None:
        for stretch in self._without:
            if stretch.what == what and stretch.to_us is None:
                stretch.to_us = at_us

    def _last_us(self) -> int:
        last = self._stages[-1].to_us if self._stages else None
        return last if last is not None else (self._opened.trigger_us if self._opened else 0)
