"""What a self-test looks at that senses or draws: letters, lens, libraries, battery, power, card. Main thread.

Each gives one `Checked`. What may be as it should be (a dark room, a battery that is low) is a warning: told, not a failure.
"""

from device.clock import Clock
from device.config import Configuration
from device.errors import ConfigurationError
from device.hardware import Sample, Sensors
from device.health import card_said
from device.lens import WORDS, at_a_glance
from device.media.overlay import Overlay
from device.media.trial import count_decoded, make_segment
from device.selftest_machine import Checked

SMALLEST_C, LARGEST_C = -30, 85
_GREY = 128
_CLEAN_IT = "look at the lens: cap, dirt, a hand; and test again in the light"


def check_libraries() -> Checked:
    """A picture and some sound are put into a segment, and come out of it again."""
    try:
        pictures, samples = count_decoded(make_segment())
    except ConfigurationError as failure:
        said, _, way_out = str(failure).rpartition("; ")
        return Checked("libraries", "fail", said, way_out)
    if pictures != 1 or not samples:
        said = f"{pictures} of 1 pictures and {samples} samples of sound came out of a segment"
        return Checked("libraries", "fail", said, "install the package anew")
    return Checked("libraries", "pass", "a picture and sound were put into a segment, and decoded")


def check_overlay(configuration: Configuration, clock: Clock) -> Checked:
    """Date, time and device are drawn into an empty picture of the camera's size."""
    tables = configuration.tables
    width, height = tables.camera.width, tables.camera.height
    if not tables.overlay.enabled:
        return Checked("overlay", "skipped", "not enabled in the configuration")
    overlay = Overlay(width=width, height=height, settings=tables.overlay, device=tables.device.id, clock=clock)
    if overlay.why_not:
        return Checked("overlay", "fail", overlay.why_not, "install the package anew")
    picture = bytearray([_GREY]) * (width * height)
    overlay.burn(memoryview(picture), width, clock.now_us())
    drawn = len(picture) - picture.count(_GREY)
    if not drawn:
        return Checked("overlay", "skipped", f"pictures of {width} × {height} are too small for letters")
    return Checked("overlay", "pass", f"date, time and device are drawn: {drawn} pixels of a picture")


def check_lens(sample: Sample | None, configuration: Configuration) -> Checked:
    """One small picture can't tell a cap from a dark room: neither is a failure."""
    if not configuration.tables.lens.enabled:
        return Checked("lens", "skipped", "not enabled in the configuration")
    if sample is None:
        return Checked("lens", "skipped", "the camera gives no small picture")
    kind = at_a_glance(sample, configuration.tables.lens.sensitivity)
    return Checked("lens", "warning", WORDS[kind], _CLEAN_IT) if kind else Checked("lens", "pass", "it sees something")


def check_temperature(sensors: Sensors) -> Checked:
    value_mc = sensors.temperature_mc()
    if value_mc is None:
        return Checked("temperature", "skipped", "this board has no such sensor")
    said = f"{value_mc // 1000} °C"
    if SMALLEST_C * 1000 <= value_mc <= LARGEST_C * 1000:
        return Checked("temperature", "pass", said)
    return Checked("temperature", "fail", said, "let it cool down")


def check_battery(sensors: Sensors, configuration: Configuration) -> Checked:
    """The fuel gauge, where the configuration says that there is one."""
    health = configuration.tables.health
    if not health.fuel_gauge:
        return Checked("battery", "skipped", "no fuel gauge in the configuration")
    gauge = sensors.battery()
    if gauge is None or gauge.percent is None:
        way_out = "check the gauge's wiring and its device-tree overlay, or set health.fuel_gauge to false"
        return Checked("battery", "fail", "the fuel gauge says nothing", way_out)
    said = f"{gauge.percent} %" + ("" if gauge.voltage_mv is None else f", {gauge.voltage_mv} mV")
    if gauge.percent <= health.battery_low_percent:
        return Checked("battery", "warning", said, "charge it")
    return Checked("battery", "pass", said)


def check_power(sensors: Sensors) -> Checked:
    low = sensors.under_voltage()
    if low is None:
        return Checked("power", "skipped", "this board does not measure its supply")
    way_out = "another supply, or a shorter and thicker cable"
    return (
        Checked("power", "fail", "the supply's voltage is too low", way_out)
        if low
        else Checked("power", "pass", "enough")
    )


def check_card_health(sensors: Sensors, configuration: Configuration) -> Checked:
    """What the card says of its own wear and errors."""
    _, wrong = card_said(sensors.card(configuration.at(configuration.tables.card.path)))
    if wrong:
        return Checked("card-health", "fail", wrong, "off-load what is on it, and put another card in")
    return Checked("card-health", "pass", "it says nothing of wear or errors")
