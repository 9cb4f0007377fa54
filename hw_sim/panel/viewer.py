"""One page that looks at the panel: what it is told, by kind and only when it changed, and what it asks for.

Coroutines on the panel's own thread. A page that reads slowly gets fewer pictures and no less of anything else. What a page
held pressed comes up when it goes.
"""

from collections.abc import Callable, Iterator

import msgspec

from device.errors import BodycamError, EvidenceError
from hw_sim.hardware import TwinHardware
from hw_sim.panel import messages
from hw_sim.panel.card import Grown, JournalReader, RecordingsReader
from hw_sim.panel.picture import LastPicture
from hw_sim.panel.proofs import Proofs
from hw_sim.panel.seen import Seen
from hw_sim.panel.timeline import Timeline

LOOK_EVERY_US = 200_000
"""At the card, the status and the sensors; pins are looked at each time."""


class Said(msgspec.Struct, frozen=True, tag="said", tag_field="kind"):
    """The answer to a line that could not be carried out, or to a request that was refused."""

    line: str
    said: str


class Bench(msgspec.Struct, frozen=True):
    """What all pages share. `play`: carries out a line on the twin. `cut_power` does not come back."""

    hardware: TwinHardware
    seen: Seen
    proofs: Proofs
    picture: LastPicture
    journal: Callable[[], JournalReader]
    recordings: Callable[[], RecordingsReader]
    play: Callable[[TwinHardware, str], str]
    cut_power: Callable[[], None]


class Viewer:
    """`news` is called over and over; what it gives is sent as it is, in order."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._journal = bench.journal()
        self._recordings = bench.recordings()
        self._timelines: dict[str, Timeline] = {}
        self._told: dict[str, object] = {}
        self._answers: list[Said] = []
        self._held: set[str] = set()
        self._look_due_us = 0
        self._allowance = messages.Allowance(bench.hardware.clock.now_us())
        self._is_on = False

    def hear(self, text: str) -> bool:
        """Do what the page asks; False when it asks too much at once. What is no message of ours is answered."""
        if not self._allowance.take(self._bench.hardware.clock.now_us()):
            return False
        try:
            self._do(messages.read(text))
        except BodycamError as failure:
            self._answers.append(Said("", str(failure)))
        return True

    def leave(self) -> None:
        """The page is gone: nobody's finger is on a button any more."""
        for button in self._held:
            self._bench.play(self._bench.hardware, f"unstick {button}")

    def news(self, now_us: int) -> Iterator[bytes]:
        """What has changed since the last call."""
        felt = self._bench.seen.felt()
        yield from self._if_new("felt", felt)
        answers, self._answers = self._answers, []
        yield from map(msgspec.json.encode, answers)
        if now_us >= self._look_due_us:
            self._look_due_us = now_us + LOOK_EVERY_US
            yield from self._look()

    def _look(self) -> Iterator[bytes]:
        now = self._bench.seen.now()
        if now.on != self._is_on or "hello" not in self._told:
            self._is_on = now.on
            yield from self._if_new("hello", self._bench.seen.hello())
        yield from self._if_new("now", now)
        try:
            lines = self._journal.more()
            if lines:
                yield msgspec.json.encode(Grown(lines))
            for timeline in self._recordings.more():
                self._timelines[timeline.name] = timeline
                yield msgspec.json.encode(timeline.shown())
        except EvidenceError as failure:
            yield from self._if_new("card", Said("", f"the card can't be read: {failure}"))
        for timeline in reversed(self._timelines.values()):
            if timeline.ended:
                self._bench.proofs.want_verdict(timeline.name, timeline.ledger_bytes)
        for name in list(self._timelines):
            for kind, of_all in (("judged", self._bench.proofs.judged), ("exported", self._bench.proofs.exported)):
                if name in of_all:
                    yield from self._if_new(f"{kind} {name}", of_all[name])

    def _if_new(self, kind: str, what: object) -> Iterator[bytes]:
        if self._told.get(kind) != what:
            self._told[kind] = what
            yield msgspec.json.encode(what)

    def _do(self, asked: messages.Asked) -> None:
        match asked:
            case messages.Say():
                self._say(asked.line)
            case messages.Press():
                self._say(f"{'stick' if asked.down else 'unstick'} {asked.button}")
                (self._held.add if asked.down else self._held.discard)(asked.button)
            case messages.Verify() if asked.recording in self._timelines:
                timeline = self._timelines[asked.recording]
                self._bench.proofs.want_verdict(timeline.name, timeline.ledger_bytes, again=True)
            case messages.Export() if asked.recording in self._timelines:
                if self._timelines[asked.recording].ended:
                    self._bench.proofs.want_export(asked.recording)
                else:
                    self._answers.append(Said("export", "it is still being recorded: stop it first"))
            case messages.CutPower():
                self._bench.cut_power()
            case _:
                self._answers.append(Said("", "there is no such recording on this card"))

    def _say(self, line: str) -> None:
        if not self._is_on:
            self._answers.append(Said(line, "the device is not on yet"))
            return
        said = self._bench.play(self._bench.hardware, line)
        if said:
            self._answers.append(Said(line, said))
