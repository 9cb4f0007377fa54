"""Ten hours of the first profile with sixty activations, written down without a camera: most are plain; some are refused
and overridden, muted, paused, late, or in the time of a fault."""

from hw_sim.agency import Bench
from hw_sim.scribe import SECOND_US, Scribe

ACTIVATIONS = 60
EVERY_S = 600


def write_shift(bench: Bench, *, segments: bool = True) -> Bench:
    """Write a whole shift onto a bench's card, to a clean stop."""
    scribe = Scribe(bench, segments=segments)
    scribe.assign("officer-7", "2026-09-21-late")
    for n in range(ACTIVATIONS):
        began_us = scribe.clock.now_us()
        kind = n % 10
        if kind == 3:
            scribe.zone("private")
            scribe.double()
            scribe.pass_time(5)
            scribe.press("record", 1.3)
            scribe.pass_time(30)
            scribe.zone("street")
        elif kind == 9:
            scribe.trigger("door", "officer-discretion")
            scribe.pass_time(90)
            scribe.double()
        else:
            scribe.double()
        scribe.pass_time(10)
        scribe.press()
        scribe.pass_time(20)
        if kind == 5:
            scribe.press("function", 3.2)
            scribe.pass_time(40)
            scribe.press("function", 3.2)
        elif kind == 7:
            scribe.double("function")
            scribe.pass_time(40)
            scribe.double()
        elif kind == 8:
            scribe.fault("microphone", 25)
        scribe.pass_time(60)
        scribe.confirmed_stop()
        for _ in range(n % 3):
            scribe.press()
            scribe.pass_time(0.3)
        scribe.pass_time(EVERY_S - (scribe.clock.now_us() - began_us) / SECOND_US)
    scribe.stop()
    return bench
