"""The wiring diagram, docs/wiring.svg, drawn from the pins that the configuration has by default (device/tables.py).

`python -m docs.refresh` writes it; tests/test_wiring_picture.py says when it is stale. Lengths are in units of the picture.
"""

from typing import NamedTuple
from xml.sax.saxutils import escape

import msgspec

from device.tables import Board

BCM_OF_PIN = {
    3: 2, 5: 3, 7: 4, 8: 14, 10: 15, 11: 17, 12: 18, 13: 27, 15: 22, 16: 23, 18: 24, 19: 10, 21: 9, 22: 25, 23: 11, 24: 8,
    26: 7, 27: 0, 28: 1, 29: 5, 31: 6, 32: 12, 33: 13, 35: 19, 36: 16, 37: 26, 38: 20, 40: 21,
}  # fmt: skip
"""The 40-pin header of every Pi since the B+: physical pin and GPIO number."""
SUPPLY = {1: "3V3", 2: "5V", 4: "5V", 17: "3V3"} | dict.fromkeys((6, 9, 14, 20, 25, 30, 34, 39), "GND")
PIN_OF_BCM = {bcm: pin for pin, bcm in BCM_OF_PIN.items()}

WIDTH, ROW, TOP = 1180, 30, 96
HEADER_LEFT, HEADER_WIDTH = 480, 220
BOX_WIDTH, BOX_HEIGHT, BOX_GAP, MARGIN = 330, 96, 14, 16
LANE, FIRST_LANE = 13, 26


class Part(NamedTuple):
    """`pins`: physical ones that it hangs on, all of one side. `symbol`: what is drawn in its box."""

    title: str
    pins: tuple[int, ...]
    said: tuple[str, str]
    symbol: str


def parts(board: Board) -> list[Part]:
    """What hangs on the header, each with the line that the configuration gives it."""
    line = {name: PIN_OF_BCM[bcm] for name, bcm in msgspec.structs.asdict(board).items() if bcm in PIN_OF_BCM}
    return [
        Part("Fuel gauge and clock (I²C)", (3, 5), ("MAX17048, DS3231: SDA,", "SCL; 3V3 pin 1, GND pin 9"), "bus"),
        Part("Record button", (line["record_button"],), ("closes to GND;", "the Pi's own pull-up"), "button"),
        Part("Function button", (line["function_button"],), ("closes to GND;", "the Pi's own pull-up"), "button"),
        Part("Recording light (red)", (line["recording_light"],), ("330 Ω, LED, GND", "the public sees it"), "led"),
        Part("Ready light (green)", (line["ready_light"],), ("330 Ω, LED, GND", "the wearer sees it"), "led"),
        Part("Buzzer", (line["buzzer"],), ("active piezo, ≤ 8 mA;", "other end to GND"), "piezo"),
        Part("Vibration motor", (line["vibration"],), ("1 kΩ, NPN; motor to 5 V", "with a diode across it"), "motor"),
    ]


def svg(board: Board) -> str:
    """The picture. The header stands in the middle; each part is on the side of its pin, and no two lines cross."""
    everything = parts(board)
    height = TOP + 20 * ROW + 74
    drawn = [_head(height), *_header({pin for part in everything for pin in part.pins})]
    for side in (1, 0):
        here = sorted((part for part in everything if part.pins[0] % 2 == side), key=lambda part: part.pins[0])
        drawn += _side(here, left=side == 1)
    drawn.append(
        _text(WIDTH // 2, height - 40, "GND of every part: any of the pins 6, 9, 14, 20, 25, 30, 34, 39. "
              "The camera is on the ribbon connector, a microphone on USB or I²S (GPIO 18, 19, 20).", "note")
    )  # fmt: skip
    drawn.append(
        _text(WIDTH // 2, height - 18, "Other lines: [board] in bodycam.toml. Never more than 3.3 V on a GPIO pin, and "
              "never a motor without its transistor.", "note")
    )  # fmt: skip
    return "\n".join([*drawn, "</svg>"]) + "\n"


def _head(height: int) -> str:
    style = (
        "text{font:15px sans-serif;fill:#111}.t{font-weight:bold}.pin{font-size:12px;fill:#fff;text-anchor:middle}"
        ".note{font-size:14px;text-anchor:middle}.h{font:bold 20px sans-serif;text-anchor:middle}.r{text-anchor:end}"
        "rect.b{fill:#fff;stroke:#444;stroke-width:1.5}path{fill:none;stroke:#222;stroke-width:2}.w{stroke-width:2.5}"
        ".f{fill:#222}.s{font-size:12px;text-anchor:middle}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="Wiring of the buttons, lights and sensors">\n<style>{style}</style>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#fafafa"/>\n'
        + _text(WIDTH // 2, 36, "bodycam: what hangs on the Raspberry Pi's 40-pin header", "h")
        + "\n"
        + _text(
            WIDTH // 2,
            62,
            "seen from above, pin 1 at the corner with the square solder pad; GPIO numbers as in bodycam.toml",
            "note",
        )
    )


def _pin_y(pin: int) -> int:
    return TOP + (pin - 1) // 2 * ROW + ROW // 2


def _header(used: set[int]) -> list[str]:
    drawn = [
        f'<rect x="{HEADER_LEFT}" y="{TOP}" width="{HEADER_WIDTH}" height="{20 * ROW}" rx="6" fill="#d9e8d9" stroke="#444"/>'
    ]
    middle = HEADER_LEFT + HEADER_WIDTH // 2
    for pin in range(1, 41):
        left = pin % 2 == 1
        name = SUPPLY.get(pin) or f"GPIO {BCM_OF_PIN[pin]}"
        colour = (
            "#b3261e"
            if name == "5V"
            else "#c77700"
            if name == "3V3"
            else "#222"
            if name == "GND"
            else "#1f5fae"
            if pin in used
            else "#8a94a0"
        )
        y = _pin_y(pin)
        drawn.append(f'<circle cx="{middle - 14 if left else middle + 14}" cy="{y}" r="11" fill="{colour}"/>')
        drawn.append(_text(middle - 14 if left else middle + 14, y + 4, str(pin), "pin"))
        drawn.append(_text(middle - 32 if left else middle + 32, y + 5, name, "r" if left else ""))
    return drawn


def _side(here: list[Part], *, left: bool) -> list[str]:
    """The boxes of one side and their lines. A line that goes up turns the farther out the lower its pin is, one that goes
    down the farther out the higher it is: so none crosses another."""
    tall = len(here) * (BOX_HEIGHT + BOX_GAP) - BOX_GAP
    first = max(TOP, TOP + 10 * ROW - tall // 2)
    boxes = [first + n * (BOX_HEIGHT + BOX_GAP) for n in range(len(here))]
    goes_up = [box + BOX_HEIGHT // 2 < _pin_y(part.pins[0]) for part, box in zip(here, boxes, strict=True)]
    drawn = []
    for n, (part, box) in enumerate(zip(here, boxes, strict=True)):
        lane = sum(goes_up[:n]) if goes_up[n] else sum(not up for up in goes_up[n + 1 :])
        out = FIRST_LANE + LANE * lane
        edge = HEADER_LEFT if left else HEADER_LEFT + HEADER_WIDTH
        turn = edge - out if left else edge + out
        x = MARGIN if left else WIDTH - MARGIN - BOX_WIDTH
        to = x + BOX_WIDTH if left else x
        drawn.append(f'<path class="w" d="M{edge} {_pin_y(part.pins[0])}H{turn}V{box + BOX_HEIGHT // 2}H{to}"/>')
        for n_more, pin in enumerate(part.pins[1:], 1):
            nearer = turn + n_more * LANE // 2 * (1 if left else -1)
            drawn.append(
                f'<path class="w" d="M{edge} {_pin_y(pin)}H{nearer}V{box + BOX_HEIGHT // 2 + 14 * n_more}H{to}"/>'
            )
        drawn += _box(part, x, box, left=left)
    return drawn


def _box(part: Part, x: int, y: int, *, left: bool) -> list[str]:
    """The symbol stands where the line comes in, the words on the other side."""
    words = x + 14 if left else x + 134
    at, middle = (x + BOX_WIDTH, y + BOX_HEIGHT // 2) if left else (x, y + BOX_HEIGHT // 2)
    drawn = [f'<rect class="b" x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>']
    drawn.append(_text(words, y + 26, part.title, "t"))
    drawn += [_text(words, y + 52 + 22 * n, line) for n, line in enumerate(part.said)]
    flip = "scale(-1,1)" if left else ""
    drawn.append(f'<g transform="translate({at},{middle + 14}) {flip}">{_SYMBOLS[part.symbol]}</g>')
    return drawn


_LEAD = '<path d="M0 -14H12V0"/>'
_GROUND = '<path d="M{x} {y}v10m-10 0h20m-16 5h12m-8 5h4"/>'
_SYMBOLS = {
    "button": _LEAD
    + '<path d="M12 0H34M36 -2L60 -14M62 0H84V6"/><circle class="f" cx="35" cy="0" r="3"/><circle class="f" cx="62" cy="0" r="3"/>'
    + _GROUND.format(x=84, y=4),
    "led": _LEAD
    + '<path d="M12 0H18M18 -7H44V7H18ZM44 0H56M56 -9L72 0L56 9ZM72 -9V9M72 0H94V6M62 -12l6 -8M70 -12l6 -8"/>'
    + _GROUND.format(x=94, y=4),
    "piezo": _LEAD + '<path d="M12 0H30M30 -12V12M36 -14H46V14H36ZM52 -12V12M52 0H80V6"/>' + _GROUND.format(x=80, y=4),
    "motor": _LEAD + '<path d="M12 0H16M16 -6H36V6H16ZM36 0H48M48 -11V11M48 -5L62 -14V-18M48 5L62 11V14"/>'
    '<path d="M62 -18H76M98 -18H104V-22M70 -18V6H84M84 0V12L94 6ZM94 0V12M94 6H104V-22"/>'
    '<circle cx="87" cy="-18" r="10" fill="#fff" stroke="#222" stroke-width="2"/>' + _GROUND.format(x=62, y=8),
    "bus": '<path d="M0 -14H24M0 0H24M24 -22H84V8H24ZM34 -22V8M74 -22V8"/>',
}


def _text(x: int, y: int, said: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}"{named}>{escape(said)}</text>'
