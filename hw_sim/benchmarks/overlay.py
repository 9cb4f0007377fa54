"""What the overlay costs a picture, beside a redraw of the same text with OpenCV, and what a look at the lens costs.

All is measured in one run, on pictures of 1080p: a second of them
at a time, so that the digit that changes once a second is in it. CPU time, since the machine is shared.
"""

import statistics
import time
from collections.abc import Callable

from hw_sim.benchmarks.rig import Figures, Scale

WIDTH, HEIGHT, RATE_HZ = 1920, 1080, 30
SECONDS = 20
AIMS = {
    "overlay, CPU per 1080p picture (µs)": "",
    "the same text by cv2.putText (µs)": "",
    "overlay / cv2.putText": "≤ 0.1",
    "lens: sample of a 1080p picture, twice a second (µs)": "",
    "lens: look at the sample, twice a second (µs)": "",
}


def overlay(scale: Scale) -> Figures:  # noqa: ARG001 - a picture is as large as it is
    import cv2
    import numpy as np

    from device.media.looks import changed, look_at
    from device.media.luma import shrunk
    from device.media.overlay import Overlay, moment
    from device.tables import Overlay as Settings
    from hw_sim.clock import VirtualClock

    clock = VirtualClock("boot")
    drawn = Overlay(width=WIDTH, height=HEIGHT, settings=Settings(), device="BC-000001", clock=clock)
    drawn.show("REC")
    plane = np.zeros((HEIGHT, WIDTH), np.uint8)
    luma = plane.reshape(-1).data
    offset_us = clock.wall().utc_us - clock.now_us()

    def burn(at_us: int) -> None:
        drawn.burn(luma, WIDTH, at_us)

    def put(at_us: int) -> None:
        for line, text in enumerate((moment((at_us + offset_us) // 1_000_000, synchronised=True), "BC-000001  REC")):
            at = (drawn.left, drawn.top + drawn.cell_height * (line + 1))
            cv2.putText(plane, text, at, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 16, 6)
            cv2.putText(plane, text, at, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 235, 2)

    small = shrunk(luma, WIDTH, WIDTH, HEIGHT)

    def look(_: int) -> None:
        look_at(small[2], small[0], small[1])
        changed(small[2], small[2])

    ours, theirs = _each_us(burn), _each_us(put)
    figures = (ours, theirs, ours / theirs, _each_us(lambda _: shrunk(luma, WIDTH, WIDTH, HEIGHT)), _each_us(look))
    return dict(zip(AIMS, figures, strict=True))


def _each_us(draw: Callable[[int], object]) -> float:
    """The median over some seconds of what one picture costs in that second."""
    draw(0)
    spent = []
    for second in range(SECONDS):
        begun = time.process_time_ns()
        for number in range(RATE_HZ):
            draw(second * 1_000_000 + number * 1_000_000 // RATE_HZ)
        spent.append((time.process_time_ns() - begun) / 1000 / RATE_HZ)
    return statistics.median(spent)
