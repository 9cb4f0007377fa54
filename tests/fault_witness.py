"""What a fault leaves in the twin and on the card beside what the device says: the facts that only the fault makes true.

A row of docs/faults.md whose device "can't tell" is seen here, or nowhere. A witness looks on while the part is broken,
ten times a second of virtual time, changes nothing, and says its facts when the story is over.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from device.clock import Wake
from device.evidence.records import Marker, Segments
from hw_sim.lamps import LAMPS
from hw_sim.pattern import Picture
from hw_sim.scenes import flash_seen

if TYPE_CHECKING:
    from tests.fault_story import Story

LOOK_US = 50_000
_SILENT, _TONE_FROM, _TONE_TO = 0.01, 0.05, 0.2


class Witness:
    """A part among the twin's. It is at work between `begins` and `ends`."""

    name = "witness"

    def __init__(self, story: "Story") -> None:
        self.story = story
        self.wake = Wake()
        self.began_us = self.ended_us = -1
        self.looks_on = False

    def begins(self) -> None:
        self.began_us, self.looks_on = self.story.device.clock.now_us(), True

    def ends(self) -> None:
        self.ended_us, self.looks_on = self.story.device.clock.now_us(), False

    def run_once(self, now_us: int) -> int:
        if self.looks_on:
            self.look()
        return now_us + LOOK_US

    def look(self) -> None: ...

    def facts(self) -> tuple[str, ...]:
        return ()


class Eye(Witness):
    """Sees the lamps, and what the device drives them to."""

    def __init__(self, story: "Story") -> None:
        super().__init__(story)
        self._looks: dict[str, list[tuple[bool, bool]]] = {lamp: [] for lamp in LAMPS}

    def look(self) -> None:
        lamps = self.story.device.hardware.lamps
        for lamp, looks in self._looks.items():
            looks.append((lamps.driven(lamp) > 0, lamps.seen(lamp) > 0))

    def facts(self) -> tuple[str, ...]:
        return tuple(
            f"{lamp} light: driven {_share([driven for driven, _ in looks])}, seen {_share([seen for _, seen in looks])}"
            for lamp, looks in self._looks.items()
        )


def _share(lit: list[bool]) -> str:
    changes = sum(before != now for before, now in pairwise(lit))
    return f"lit {round(100 * sum(lit) / len(lit))} % and changing {changes} times"


class Finger(Witness):
    """Feels the contacts of the function button: when they close, how long they chatter, and when the device took them."""

    def begins(self) -> None:
        super().begins()
        self._edges: list[int] = []
        thumb, drive = self.story.device.hardware.thumb, self.story.device.hardware.thumb._drive

        def driven(name: str, on: bool, late_us: int = 0) -> None:
            self._edges.append(self.story.device.clock.now_us())
            drive(name, on, late_us)

        thumb._drive = driven  # type: ignore[method-assign]

    def facts(self) -> tuple[str, ...]:
        pressed = [at_us for at_us, line in self.story.said if line.startswith("press ")]
        marked = [record.at_us for record in self.story.records() if isinstance(record, Marker)]
        return (
            f"pressed {self._since(pressed)}; marked {self._since(marked)}",
            f"a contact chatters for {self._chatter_us() / 1000:.1f} ms at the most",
        )

    def _since(self, times_us: list[int]) -> str:
        return "after " + ", ".join(f"{(at_us - self.began_us) / 1e6:.1f}" for at_us in times_us) + " s"

    def _chatter_us(self) -> int:
        longest_us = 0
        began_us = last_us = self._edges[0]
        for at_us in self._edges:
            if at_us - last_us > LOOK_US:
                began_us = at_us
            last_us = at_us
            longest_us = max(longest_us, at_us - began_us)
        return longest_us


class Clerk(Witness):
    """Reads in the ledger how long after its last picture a segment was signed, and how many under one signature."""

    def facts(self) -> tuple[str, ...]:
        signed = [
            ((record.boot_us - record.segments[0].video.last_us) / 1e6, len(record.segments))
            for record in self.story.records()
            if isinstance(record, Segments) and record.segments[0].video is not None
            if self.began_us <= record.boot_us <= self.ended_us
        ]
        late_s, many = max(late_s for late_s, _ in signed), max(many for _, many in signed)
        return (f"a segment is signed {late_s:.1f} s after its last picture at the latest, {many} under one signature",)


class Watch(Witness):
    """Reads in the journal how long after the break something was told."""

    def facts(self) -> tuple[str, ...]:
        told = [f"{word} after {(at_us - self.began_us) / 1e6:.1f} s" for at_us, word in self.story.told()]
        return (f"told: {', '.join(told)}; mended after {(self.ended_us - self.began_us) / 1e6:.1f} s",)


class Clapper(Witness):
    """Reads in the ledger how far the sound in a segment is behind the pictures in it."""

    def facts(self) -> tuple[str, ...]:
        behind = [
            (segment.video.last_us - segment.audio.last_us) / 1e6
            for record in self.story.records()
            if isinstance(record, Segments) and self.began_us <= record.boot_us <= self.ended_us
            for segment in record.segments
            if segment.video is not None and segment.audio is not None
        ]
        return (f"of {len(behind)} segments with sound it ends {max(behind):.1f} s before the pictures at the most",)


class Viewer(Witness):
    """Looks at the recorded pictures: the scene's lamp flashes once a second, at the lower right."""

    def facts(self) -> tuple[str, ...]:
        pictures = list(_pictures(self.story.exported()))
        right, left = sum(map(flash_seen, pictures)), sum(flash_seen(picture[:, ::-1]) for picture in pictures)
        return (f"of {len(pictures)} pictures the lamp flashes in {right} at the right, in {left} at the left",)


class Listener(Witness):
    """Hears the recorded sound, a tone: how much of it, and of something else."""

    def facts(self) -> tuple[str, ...]:
        heard = list(_packets(self.story.exported()))
        kinds = ", ".join(
            f"{round(heard.count(kind) * 1024 / 48_000)} s {kind}" for kind in ("tone", "silence", "neither")
        )
        return (f"the sound: {kinds}",)


class Reader(Witness):
    """Counts the device's readings of the thermometer."""

    def begins(self) -> None:
        super().begins()
        self._readings: list[int | None] = []
        sensors, read = self.story.device.hardware.the_sensors, self.story.device.hardware.the_sensors.temperature_mc

        def temperature_mc() -> int | None:
            self._readings.append(read())
            return self._readings[-1]

        sensors.temperature_mc = temperature_mc  # type: ignore[method-assign]

    def facts(self) -> tuple[str, ...]:
        return (f"of {len(self._readings)} readings {self._readings.count(None)} said nothing",)


WITNESSES: dict[str, Callable[["Story"], Witness]] = {
    "": Witness,
    "eye": Eye,
    "finger": Finger,
    "clerk": Clerk,
    "clapper": Clapper,
    "viewer": Viewer,
    "listener": Listener,
    "reader": Reader,
    "watch": Watch,
}


def _pictures(film: Path) -> Iterator[Picture]:
    with av.open(film) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(), np.uint8)[: frame.height]


def _packets(film: Path) -> Iterator[str]:
    """What is heard of each packet of sound."""
    with av.open(film) as container:
        for packet in container.demux(audio=0):
            try:
                for frame in packet.decode():
                    yield _heard(frame.to_ndarray().astype(np.float32))
            except av.error.FFmpegError:
                yield "neither"


def _heard(sound: "np.typing.NDArray[np.float32]") -> str:
    """By its loudness: the twin's tone, nothing, or neither of them."""
    level = float(np.sqrt(np.mean(np.square(sound))))
    return "silence" if level < _SILENT else "tone" if _TONE_FROM < level < _TONE_TO else "neither"
