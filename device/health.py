"""The device's own health: heat, power, battery, memory, card. The part named `health`, on a thread of its own.

Heat takes from the picture step by step (`shedding`) and gives it back; everything else is told, once when it begins and
once when it is over. Nothing here ever stops a recording: not heat, not an empty battery, not a card that wears out. The
detail of a fault goes to the journal; that there is one goes to the control loop, which shows it.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from device import charge, tables
from device.clock import Clock
from device.evidence.orders import FaultOrder, NotedOrder
from device.evidence.records import Fault, Noted
from device.hardware import CardState, Load, Sensors
from device.media.rates import Rates
from device.policy.inputs import FaultChanged, Input, LevelChanged
from device.shedding import Limits, Shedding, Step

LOOK_EVERY_US = 1_000_000
MEMORY_EVERY_US = 10_000_000
"""And what sets the clock."""
CARD_EVERY_US = 60_000_000
POSSIBLE_MC = range(-40_000, 150_001)
HEAT_MISSING_US = 60_000_000
"""A thermometer that has given nothing for so long has failed; the load stays as it is."""
POWER_GOOD_US = 60_000_000
"""The supply is good again when it has been for so long."""
WORN_LIFE, WORN_SPARE = 9, 2
"""An eMMC with more than 80 % of its life, or of its spare blocks, used."""
DETAIL_LIMIT = 200

log = logging.getLogger("bodycam")


class ControlLoop(Protocol):
    def tell(self, came: Input) -> None:
        """May be called from any thread; never blocks."""


class Camera(Protocol):
    """What is needed of a camera."""

    def set_load(self, load: Load) -> None: ...


class Health:
    """`overlay`: turns the text in the picture on or off. `card`: a folder on the card. `post` is the recorder's."""

    name = "health"

    def __init__(
        self,
        *,
        settings: tables.Health,
        picture: tables.Camera,
        sensors: Sensors,
        camera: Camera,
        rates: Rates,
        overlay: Callable[[bool], None],
        card: Path,
        clock: Clock,
        control: ControlLoop,
        post: Callable[[FaultOrder | NotedOrder], None],
    ) -> None:
        self._settings = settings
        self._picture = picture
        self._sensors = sensors
        self._camera = camera
        self._rates = rates
        self._overlay = overlay
        self._card = card
        self._clock = clock
        self._control = control
        self._post = post
        now_us = clock.now_us()
        self._shedding = Shedding(
            Limits(
                from_mc=(settings.shed_overlay_c * 1000, settings.shed_bitrate_c * 1000, settings.shed_rate_c * 1000),
                cooler_by_mc=settings.cooler_by_c * 1000,
                dwell_us=settings.dwell_s * 1_000_000,
            )
        )
        self._charge = charge.Charge(
            charge.Limits(
                low_percent=settings.battery_low_percent,
                critical_percent=settings.battery_critical_percent,
                low_mv=settings.battery_low_mv,
                critical_mv=settings.battery_critical_mv,
            ),
            now_us,
        )
        self._level: charge.Level = "good"
        self._kinds: dict[str, str] = {}
        self._warm_us: int | None = None
        self._critical = False
        self._low_voltage_us: int | None = None
        self._memory_due_us = self._card_due_us = now_us

    def run_once(self, now_us: int) -> int:
        self._look_at_heat(now_us)
        self._look_at_power(now_us)
        if self._settings.fuel_gauge:
            self._look_at_battery(now_us)
        if now_us >= self._memory_due_us:
            self._memory_due_us = now_us + MEMORY_EVERY_US
            self._look_at_memory(now_us)
            self._clock.look_at_source()
        if now_us >= self._card_due_us:
            self._card_due_us = now_us + CARD_EVERY_US
            self._fault("card-health", *card_said(self._sensors.card(self._card)), now_us)
        return now_us + LOOK_EVERY_US

    # -- heat -------------------------------------------------------------------------------------------------------

    def _look_at_heat(self, now_us: int) -> None:
        temperature_mc = self._sensors.temperature_mc()
        if temperature_mc is None or temperature_mc not in POSSIBLE_MC:
            missing = self._warm_us is not None and now_us - self._warm_us >= HEAT_MISSING_US
            self._fault(
                "thermometer", "missing" if missing else "", f"nothing for {HEAT_MISSING_US // 10**6} s", now_us
            )
            return
        self._warm_us = now_us
        self._fault("thermometer", "", "", now_us)
        before = self._shedding.step
        step = self._shedding.look(temperature_mc, now_us)
        self._tell_heat(step, temperature_mc, now_us)
        if step > before:
            self._change(step, now_us, shed=True)
        elif step < before:
            self._change(before, now_us, shed=False)

    def _tell_heat(self, step: Step, temperature_mc: int, now_us: int) -> None:
        """A fault from the first step that takes from the pictures; once more when it is critical."""
        critical_mc = self._settings.critical_c * 1000
        cooler_mc = critical_mc - self._settings.cooler_by_c * 1000
        self._critical = temperature_mc > cooler_mc if self._critical else temperature_mc >= critical_mc
        kind = "critical" if self._critical else "shed" if step >= Step.BITRATE else ""
        said = "critical: recording goes on" if self._critical else "the picture is made with less"
        self._fault("heat", kind, f"{temperature_mc / 1000:.1f} °C, {said}", now_us)

    def _change(self, step: Step, now_us: int, *, shed: bool) -> None:
        """Written down first, so that nothing that follows is read without it; then done."""
        load = self._load(step if shed else Step(step - 1))
        about = step.name.lower()
        value = {Step.BITRATE: load.bitrate_bps, Step.RATE: load.rate_hz}.get(step, 0)
        what = f"{'shed' if shed else 'restored'}-{about}"
        log.warning("heat: %s %d", what, value)
        self._post(NotedOrder(Noted(what=what, at_us=now_us, value=value), about, shed))
        if step is Step.OVERLAY:
            self._overlay(not shed)
            return
        self._rates.set(round(1_000_000 / load.rate_hz), now_us)
        self._camera.set_load(load)

    def _load(self, step: Step) -> Load:
        picture, settings = self._picture, self._settings
        slower_hz = min(picture.rate_hz, settings.shed_rate_hz)
        lower_bps = picture.bitrate_bps * settings.shed_bitrate_percent // 100
        return Load(
            rate_hz=slower_hz if step >= Step.RATE else picture.rate_hz,
            bitrate_bps=lower_bps if step >= Step.BITRATE else picture.bitrate_bps,
        )

    # -- power, battery, memory -------------------------------------------------------------------------------------

    def _look_at_power(self, now_us: int) -> None:
        if self._sensors.under_voltage():
            self._low_voltage_us = now_us
        low = self._low_voltage_us is not None and now_us - self._low_voltage_us < POWER_GOOD_US
        self._fault("power", "low" if low else "", "the supply's voltage is too low", now_us)

    def _look_at_battery(self, now_us: int) -> None:
        self._charge.look(self._sensors.battery(), now_us)
        self._fault("battery", "gauge" if self._charge.fault else "", self._charge.fault, now_us)
        if self._charge.level != self._level:
            self._level = self._charge.level
            self._control.tell(LevelChanged(at_us=now_us, part="battery", level=self._level))

    def _look_at_memory(self, now_us: int) -> None:
        memory = self._sensors.memory()
        if memory is None:
            return
        low_bytes = self._settings.memory_low_mib << 20
        is_low = memory.left_bytes < (low_bytes * 3 // 2 if self._kinds.get("memory") else low_bytes)
        self._fault("memory", "low" if is_low else "", f"{memory.left_bytes >> 20} MiB are left", now_us)
        swap = "on" if memory.swap_bytes else ""
        self._fault(
            "swap", swap, f"{memory.swap_bytes >> 20} MiB of swap are on: what is in memory may be written", now_us
        )

    # -- telling ----------------------------------------------------------------------------------------------------

    def _fault(self, part: str, kind: str, detail: str, now_us: int) -> None:
        """`kind`: "" for none. Told when it changes, however often it is looked at, and whatever else the detail says."""
        before = self._kinds.get(part, "")
        if kind == before:
            return
        self._kinds[part] = kind
        if kind:
            log.warning("%s: %s", part, detail)
            self._post(FaultOrder(Fault(part=part, present=True, at_us=now_us, detail=detail[:DETAIL_LIMIT])))
        if bool(kind) != bool(before):
            self._control.tell(FaultChanged(at_us=now_us, part=part, present=bool(kind)))


def card_said(card: CardState) -> tuple[str, str]:
    """What is wrong with the card, as a kind and in words."""
    wrong = {}
    if card.read_only:
        wrong["read-only"] = "its file system has become read-only"
    if card.errors:
        wrong["errors"] = f"its file system has found {card.errors} errors"
    if (card.life or 0) >= WORN_LIFE or (card.spare or 0) >= WORN_SPARE:
        wrong["worn"] = f"it is worn: {card.life or 0} of 10 of its life used, spare blocks {card.spare or 0} of 3"
    return "+".join(wrong), "; ".join(wrong.values())
