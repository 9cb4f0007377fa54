"""An officer's day, drawn at random: what is done to the camera and what befalls it, line by line. PURE, and the same for the
same seed.

A day has slots of equal length, each with one encounter, and around it what an officer does between two: zones, sleep,
mistakes. Over it lies the weather: faults that come and pass. Lines are a bench's (`hw_sim.bench.play`), and a few of the
shift's own (`OWN`).
"""

import random
from collections.abc import Callable

import msgspec

from device.policy.model import Policy

ENCOUNTERS_PER_HOUR = 5
LEAST_ENCOUNTERS = 3
LEAST_HOURS = 0.4
HOURS_A_CUT = 4
WEATHER_ODDS = 0.6
OWN = """cut SECONDS          the power goes, and comes back so much later
clock SECONDS        wall time steps by so much
card stall MS        the next write takes so much longer
card fails OPERATION the next such operation fails"""
NONE_HELD = "private"
FAULT, REASON_GIVEN = "fault", "a reason for the stop"


class Happening(msgspec.Struct, frozen=True, order=True):
    """`at_us`: since the shift's beginning. `why`: in a word, for the log."""

    at_us: int
    order: int
    line: str
    why: str


class Plan(msgspec.Struct, frozen=True):
    """A whole day. `encounters`: how many; each means a recording or more, unless the policy denies it."""

    seed: str
    length_us: int
    encounters: int
    happenings: tuple[Happening, ...]


def draw(seed: str, hours: float, policy: Policy, *, cuts: bool = True, sound: bool = True) -> Plan:
    """A day of so many hours, `LEAST_HOURS` at least. Without `cuts` the power stays, and nothing is done to the card;
    without `sound` there is no microphone to unplug."""
    length_us = round(hours * 3_600_000_000)
    encounters = max(LEAST_ENCOUNTERS, round(hours * ENCOUNTERS_PER_HOUR))
    day = _Day(random.Random(seed), policy, length_us, encounters, cuts=cuts, sound=sound)
    return Plan(seed, length_us, encounters, tuple(sorted(day.drawn())))


class _Day:
    def __init__(
        self, odds: random.Random, policy: Policy, length_us: int, encounters: int, *, cuts: bool, sound: bool
    ) -> None:
        self._odds = odds
        self._zones = [zone for zone in policy.zones if zone in ("street", "school", "private")]
        self._private = NONE_HELD in self._zones
        self._slot_us = length_us // encounters
        self._encounters = encounters
        hours = length_us / 3_600_000_000
        drawn = odds.sample(range(1, encounters), max(1, round(hours / HOURS_A_CUT)))
        self._sound = sound
        self._may_cut, self._cuts = cuts, set(drawn) if cuts else set()
        self._said: list[Happening] = []
        self._now_us = 0

    def drawn(self) -> list[Happening]:
        for slot in range(self._encounters):
            begins_us = slot * self._slot_us
            self._now_us = begins_us
            self._between()
            in_private = self._zone()
            self._wait(5, 40)
            self._encounter(cut=slot in self._cuts, in_private=in_private)
            self._wait(15, 30)
            if self._odds.random() < WEATHER_ODDS:
                self._weather(begins_us)
        return self._said

    # -- between encounters -----------------------------------------------------------------------------------------

    def _between(self) -> None:
        """Nothing, a mistake, a nap, or a look into a room where nothing is held."""
        self._wait(3, 30)
        what = self._odds.randrange(8)
        if what == 0:
            self._say("press record", "mistake: a single press")
        elif what == 1:
            self._say("hold record 500", "mistake: a hold too short for anything")
        elif what == 2:
            self._say("sleep on", "sleep")
            self._wait(20, 60)
            if self._odds.random() < 0.5:
                self._say("double record", "a press while asleep")
                self._wait(2, 5)
                self._stop()
            self._say("sleep off", "awake")
            self._wait(2, 40)
        elif what == 3 and self._private:
            self._say("zone private", "a private zone")
            self._wait(3, 10)
            self._say("double record", "mistake: a start in the wrong zone")
            self._wait(10, 40)
            self._say("zone initial", "out of it")
        elif what == 4:
            self._say("press function", "mistake: a marker with nothing to mark")

    def _zone(self) -> bool:
        """Where the encounter is; whether that is private."""
        zone = self._odds.choices(self._zones, [1 if z == "private" else 4 for z in self._zones])[0]
        self._wait(2, 10)
        self._say(f"zone {zone if zone != 'street' else 'initial'}", f"zone: {zone}")
        return zone == "private"

    # -- an encounter -----------------------------------------------------------------------------------------------

    def _encounter(self, *, cut: bool, in_private: bool) -> None:
        kinds: list[Callable[[], None]] = [
            self._plain, self._plain, self._marked, self._muted, self._paused, self._hesitant, self._resumed,
        ]  # fmt: skip
        self._start(in_private=in_private)
        if cut:
            self._wait(0.1, 60)
            self._say(f"cut {self._odds.randrange(5, 40)}", "the power goes")
            self._wait(45, 60)
            self._start(in_private=in_private)
            self._plain()
        else:
            self._odds.choice(kinds)()
        self._stop()
        for _ in range(self._odds.randrange(3)):
            self._say("press function", REASON_GIVEN)
            self._now_us += 400_000

    def _start(self, *, in_private: bool) -> None:
        way = self._odds.randrange(10)
        if in_private:
            self._say("double record", "mistake: a start in the wrong zone")
            self._wait(2, 4)
            self._say("hold record 1300", "the one gesture that overrides")
        elif way == 0:
            self._say(f"trigger {self._odds.choice(['holster', 'light-bar', 'panic'])}", "a trigger starts")
        elif way == 1:
            self._say("trigger door", "a trigger asks")
            self._wait(2, 90)
            self._say("double record", "start, asked for")
        elif way == 2:
            self._say("hold record 1300", "an emergency start")
        else:
            self._say("double record", "start")

    def _plain(self) -> None:
        self._wait(15, 150)

    def _marked(self) -> None:
        for _ in range(self._odds.randrange(1, 5)):
            self._wait(2, 30)
            self._say("press function", "a marker")
        self._wait(5, 40)

    def _muted(self) -> None:
        self._wait(5, 40)
        self._say("hold function 3200", "mute")
        self._wait(10, 60)
        self._say("hold function 3200", "unmute")
        self._wait(5, 40)

    def _paused(self) -> None:
        self._wait(5, 40)
        self._say("double function", "a private pause")
        self._wait(10, 60)
        self._say("double record", "on again")
        self._wait(5, 40)

    def _hesitant(self) -> None:
        """Stops that do not come about: a hold too short, one that is not confirmed, one that is taken back."""
        self._wait(5, 30)
        self._say("hold record 1800", "mistake: a hold too short to stop")
        self._wait(4, 20)
        self._say("hold record 3200", "mistake: a stop not confirmed")
        self._wait(12, 30)
        self._say("hold record 3200", "a stop")
        self._wait(3.6, 4.2)
        self._say("double record", "taken back")
        self._wait(10, 40)

    def _resumed(self) -> None:
        self._wait(10, 60)
        self._stop()
        self._wait(1, 8)
        self._say("double record", "on again in the post-event time")
        self._wait(10, 40)

    def _stop(self) -> None:
        self._say("hold record 3200", "a stop")
        self._now_us += 3_700_000
        self._say("press record", "confirmed")
        self._wait(1.2, 1.6)

    # -- weather ----------------------------------------------------------------------------------------------------

    def _weather(self, begins_us: int) -> None:
        """One fault of the slot's time, and its end."""
        kinds: list[tuple[str, str, float]] = [
            ("stall", "resume", 20),
            (f"drop {self._odds.randrange(1, 60)}", "", 0),
            ("die", "", 0),
            ("unplug", "replug", 40),
            ("heat 79", "heat 45", 120),
            ("heat 86", "heat 45", 60),
            ("battery low", "battery good", 120),
            ("undervoltage on", "undervoltage off", 20),
            ("memory 10", "memory 200", 60),
            ("card worn", "card good", 60),
            ("card erring", "card good", 60),
            (f"card stall {self._odds.randrange(500, 12_000)}", "", 0),
            (f"card fails {self._odds.choice(['sync_file', 'append', 'sync_folder', 'create'])}", "", 0),
            (f"clock {self._odds.choice([-3600, -5, 7, 86_400])}", "", 0),
        ]
        line, ends, most_s = self._odds.choice(kinds)
        if line.startswith(("card stall", "card fails")) and not self._may_cut:
            return
        if line == "unplug" and not self._sound:
            return
        latest_us = max(begins_us + 1, self._now_us - 30_000_000)
        at_us = self._odds.randrange(begins_us, latest_us)
        self._at(at_us, line, FAULT)
        if ends:
            self._at(at_us + self._odds.randrange(2_000_000, round(most_s * 1e6)), ends, "it passes")

    def _say(self, line: str, why: str) -> None:
        self._at(self._now_us, line, why)

    def _at(self, at_us: int, line: str, why: str) -> None:
        self._said.append(Happening(at_us, len(self._said), line, why))

    def _wait(self, least_s: float, most_s: float) -> None:
        self._now_us += round(self._odds.uniform(least_s, most_s) * 1e6)
