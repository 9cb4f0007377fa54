"""ONVIF Media Signing 26.06, the reading side: a stream of NAL units, and what its signature SEIs say of them. Pure.

Each SEI speaks of the NAL units that no SEI has spoken of yet. A signed one settles them; one without signature is itself
hashed and is settled with what holds it. What is wrong is told with the stream's time; what no SEI spoke of is pending.
Memory: the hashes that wait, and one answer a GOP. `verify` says why a signature does not count; "" when it does.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable

import msgspec

from device.errors import EvidenceError
from device.media.nal import begins_gop, begins_picture, is_slice
from device.media.onvif_sei import General, HashName, SigningSei, parse

MAX_WAITING = 20_000
"""Hashes that wait for a SEI: five minutes of 60 pictures a second."""
MAX_PROMISES = 1000
"""SEIs without signature that wait for one."""
MAX_STARTS = 32
"""GOPs that wait, the latest ones, and that a SEI may speak of when those before it have none."""
MAX_PROBLEMS = 1000
_COUNTERS = 2**32


class Problem(msgspec.Struct, frozen=True):
    """`at_us`: the time in the stream of the first unit concerned; `utc_us`: the wall time that the SEI claims for the
    first picture it speaks of, None when no SEI that can be read speaks of it."""

    at_us: int
    utc_us: int | None
    what: str


class GopAnswer(msgspec.Struct):
    """What one SEI says of one GOP, or part of one. `good` None: nothing has settled it yet."""

    general: General
    at_us: int
    frames: int = 0
    missing: int = 0
    wrong: int = 0
    good: bool | None = None


class _Unit(msgspec.Struct):
    """A hashed NAL unit. `good` None: pending. `promised`: the units that it speaks of, when it is a SEI itself."""

    index: int
    at_us: int
    digest: bytes
    begins_gop: bool = False
    begins_picture: bool = False
    good: bool | None = None
    promised: "_Promise | None" = None


class _Promise(msgspec.Struct):
    answer: GopAnswer
    units: list[_Unit]


class StreamChecker:
    """Feed it access units in order with `take`, then call `end`. `answers` are in the order of the SEIs."""

    def __init__(self, verify: Callable[[SigningSei], str], hash_name: HashName = "sha256") -> None:
        self._verify = verify
        self._hash_name = hash_name
        self._anchor = b""
        self._open: list[_Unit] = []
        self._promises: list[_Promise] = []
        self._last: General | None = None
        self._last_first: bytes | None = None
        self._last_signed = b""
        self.answers: list[GopAnswer] = []
        self.problems: list[Problem] = []
        self.received = 0
        self.frames = 0
        self.seis = 0
        self.uncovered = 0
        self.wrong = 0
        self.missing = 0
        self.first_pending: int | None = None
        self.begins_at_start = False

    @property
    def pending(self) -> int:
        """NAL units from the first one on that nothing settled; known after `end`."""
        return 0 if self.first_pending is None else self.received - self.first_pending

    @property
    def settled(self) -> bool:
        """Whether nothing waits for a signature."""
        return not self._open and not self._promises

    def take(self, units: Iterable[bytes | memoryview], at_us: int) -> None:
        """One access unit's NAL units; `at_us` is its time in the stream."""
        for unit in units:
            index = self.received
            self.received += 1
            if is_slice(unit):
                self._take_slice(unit, index, at_us)
                continue
            try:
                sei = parse(unit)
            except EvidenceError as failure:
                self.seis += 1
                self.problem(at_us, str(failure))
                continue
            if sei is not None:
                self.seis += 1
                self._take_sei(sei, bytes(unit), index, at_us)

    def problem(self, at_us: int, what: str, utc_us: int | None = None) -> None:
        """Something is not as it was signed."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(at_us, utc_us, what))

    def end(self) -> None:
        """The stream is over."""
        waiting = [unit for promise in self._promises for unit in promise.units] + self._open
        self.first_pending = min((unit.index for unit in waiting if unit.good is None), default=None)
        if not self.seis:
            self.first_pending = 0
        if self.uncovered and self.seis:
            self.problem(0, f"{_units(self.uncovered)}: without a signature")

    # -- units ----------------------------------------------------------------------------------------------------

    def _take_slice(self, unit: bytes | memoryview, index: int, at_us: int) -> None:
        begins = begins_gop(unit)
        digest = self._hash(unit)
        if begins:
            self._anchor = digest
        else:
            digest = self._hash(self._anchor + digest)
        picture = begins_picture(unit)
        self.frames += picture
        self._append(_Unit(index, at_us, digest, begins, picture))

    def _append(self, unit: _Unit) -> None:
        self._open.append(unit)
        if len(self._open) > MAX_WAITING:
            del self._open[0]
            self.uncovered += 1

    def _hash(self, data: bytes | memoryview) -> bytes:
        return hashlib.new(self._hash_name, data).digest()

    # -- SEIs -----------------------------------------------------------------------------------------------------

    def _take_sei(self, sei: SigningSei, unit: bytes, index: int, at_us: int) -> None:
        if sei.signature and unit == self._last_signed:
            return  # the specification allows the same SEI twice, against losses on the way
        why = self._verify(sei) if sei.signature else ""
        if sei.certificate or sei.general is None:
            self._take_other(sei, why, unit, index, at_us)
            return
        promise = self._promise(sei, sei.general)
        if not sei.signature:
            self._append(_Unit(index, at_us, self._hash(unit), promised=promise))
            if promise is not None:
                self._promises.append(promise)
            if len(self._promises) > MAX_PROMISES:
                self.problem(self._promises[0].answer.at_us, f"{MAX_PROMISES} SEIs wait for a signature; none came")
                self._settle(self._promises[0], good=False)
            return
        self._last_signed = unit
        if why:
            where = promise.answer.at_us if promise is not None else at_us
            self.problem(where, why, sei.general.start_us)
        if promise is not None:
            self._settle(promise, good=not why)

    def _take_other(self, sei: SigningSei, why: str, unit: bytes, index: int, at_us: int) -> None:
        """A SEI with certificates alone, or with a maker's own data; that one is hashed like a picture."""
        if why or (sei.signature and not sei.certificate):
            self.problem(at_us, why or "a signed SEI that speaks of no pictures")
        elif not sei.signature:
            self._append(_Unit(index, at_us, self._hash(unit)))

    def _promise(self, sei: SigningSei, general: General) -> _Promise | None:
        """The units that the SEI speaks of; None when it speaks of what came before this stream begins."""
        begin, matched, end = self._found(sei, general)
        first = self._last is None
        if not matched and first and not general.first and len(self._open) < general.units:
            return None
        claimed = self._open[begin:end]
        at_us = claimed[0].at_us if claimed else (self._open[0].at_us if self._open else 0)
        frames = sum(unit.begins_picture for unit in claimed)
        answer = GopAnswer(general, at_us, frames)
        self.answers.append(answer)
        self._say_order(general, at_us)
        self._say_wrong(answer, begin, claimed, matched)
        del self._open[:end]
        self._say_added(answer)
        self._last = general
        self._last_first = (
            claimed[0].digest if claimed and len(matched) == general.units else next(iter(sei.hashes), None)
        )
        return _Promise(answer, matched)

    def _found(self, sei: SigningSei, general: General) -> tuple[int, list[_Unit], int]:
        """Where in what waits the SEI's units begin, those that are as they were hashed, and where its stretch ends."""
        starts = [n for n, unit in enumerate(self._open) if n and unit.begins_gop]
        for begin in [0, *starts[-MAX_STARTS:]]:
            units = self._open[begin : begin + general.units]
            if units and self._hash(b"".join(unit.digest for unit in units)) == general.gop_hash:
                return begin, units, begin + general.units
        matched = self._aligned(sei.hashes)
        places = [n for n, unit in enumerate(self._open) if any(unit is other for other in matched[:1] + matched[-1:])]
        begin = max((start for start in starts if places and start <= places[0]), default=0)
        end = places[-1] + 1 if places else begin
        while end < len(self._open) and not (end > begin and self._open[end].begins_gop):
            if general.partial and end - begin >= general.units:
                break
            end += 1
        return begin, matched, end

    def _aligned(self, hashes: tuple[bytes, ...]) -> list[_Unit]:
        """The waiting units whose hashes are listed, in the order of the list."""
        places: dict[bytes, list[int]] = {}
        for n, unit in enumerate(self._open):
            places.setdefault(unit.digest, []).append(n)
        matched: list[int] = []
        for digest in hashes:
            there = places.get(digest, [])
            following = bisect_right(there, matched[-1] if matched else -1)
            matched += there[following : following + 1]
        return [self._open[n] for n in matched]

    # -- what is wrong ----------------------------------------------------------------------------------------------

    def _say_order(self, general: General, at_us: int) -> None:
        """Counters go up by one, and each SEI holds the first hash of what the one before spoke of."""
        if self._last is None:
            self.begins_at_start = general.first
            return
        skipped = (general.counter - self._last.counter - 1) % _COUNTERS
        if skipped >= _COUNTERS // 2:
            what = f"GOP {general.counter} after GOP {self._last.counter}: repeated, or out of order"
            self.problem(at_us, what, general.start_us)
        elif skipped:
            what = f"GOP {general.counter} after GOP {self._last.counter}: what is between is missing"
            self.problem(at_us, what, general.start_us)
        elif general.linked != (self._last_first or general.linked):
            what = f"GOP {general.counter} was signed after other pictures than those before it"
            self.problem(at_us, what, general.start_us)

    def _say_wrong(self, answer: GopAnswer, begin: int, claimed: list[_Unit], matched: list[_Unit]) -> None:
        """What stands before is covered by no signature; what is claimed and does not match was changed or added."""
        general = answer.general
        before = self._open[:begin]
        good = {unit.index for unit in matched}
        wrong = [unit for unit in claimed if unit.index not in good]
        if before:
            what = f"{_units(len(before))} before GOP {general.counter}: without a signature"
            self.problem(before[0].at_us, what)
            self._reject(before)
        answer.wrong = len(wrong)
        answer.missing = max(0, general.units - len(matched) - len(wrong))
        if wrong or answer.missing:
            self.missing += answer.missing
            what = f"GOP {general.counter}: {_in_words(general.units, len(matched), len(wrong))}"
            self.problem(wrong[0].at_us if wrong else answer.at_us, what, general.start_us)
            self._reject(wrong)

    def _say_added(self, answer: GopAnswer) -> None:
        """What follows a whole GOP and begins no other was added."""
        if answer.general.partial or not self._open or self._open[0].begins_gop or self._open[0].promised is not None:
            return
        added = next((n for n, unit in enumerate(self._open) if unit.begins_gop), len(self._open))
        what = f"{_units(added)} after GOP {answer.general.counter}: without a signature"
        self.problem(self._open[0].at_us, what)
        self._reject(self._open[:added])
        answer.wrong += added
        del self._open[:added]

    def _reject(self, units: list[_Unit]) -> None:
        """These are settled, and not good; nor is what any of them, a SEI, speaks of."""
        for unit in units:
            unit.good = False
            self.wrong += 1
            if unit.promised is not None:
                self._settle(unit.promised, good=False)

    def _settle(self, promise: _Promise, *, good: bool) -> None:
        """A signature, good or not, speaks for these units, and so for what those among them that are SEIs speak of."""
        waiting = [promise]
        while waiting:
            settled = waiting.pop()
            settled.answer.good = good and not settled.answer.wrong and not settled.answer.missing
            for unit in settled.units:
                unit.good = good
                self.wrong += not good
                if unit.promised is not None:
                    waiting.append(unit.promised)
            self._promises = [other for other in self._promises if other is not settled]


def _in_words(signed: int, matched: int, wrong: int) -> str:
    """What is wrong with a GOP's NAL units."""
    if not matched:
        return f"none of its {_units(signed)} is here"
    changed = min(wrong, signed - matched)
    parts = ((changed, "changed or moved"), (wrong - changed, "added"), (signed - matched - changed, "missing"))
    return ", ".join(f"{_units(count)} {what}" for count, what in parts if count)


def _units(count: int) -> str:
    return f"{count} NAL unit" if count == 1 else f"{count} NAL units"
