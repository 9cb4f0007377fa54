"""The timeline of a shift as inline SVG: a band of states, a band of zones, and a row of marks for each kind.

What it shows is said in its description, and stands in tables beside it. Everything that comes from a card is escaped.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from html import escape

from device.evidence.identity import parse_utc
from device.evidence.report import Report
from device.evidence.shifts import Shift, Span

WIDTH, LEFT, ROW, MARK_ROW = 960, 90, 34, 18
TICKS, TICKS_WITH_SECONDS = 6, 4
WITH_SECONDS_S = 600
PHASE_COLOURS = {
    "recording": "#b00020",
    "post-event": "#d98b00",
    "paused": "#5b3a8e",
    "buffering": "#9cc3e6",
    "not buffering": "#ececec",
    "asleep": "#5c5c5c",
}
ZONE_COLOURS = (
    "#cfe8cf", "#f6d9a8", "#d9ccee", "#f3c6cf", "#c9e4ee", "#e3e3b5",
    "#8fbf8f", "#d9a441", "#a78bd0", "#d97f93", "#6fb3cc", "#b0b04f",
)  # fmt: skip
MARKS = {
    "start": "A",
    "refused": "R",
    "denied": "D",
    "override": "O",
    "mute": "M",
    "pause": "P",
    "sleep": "S",
    "notice": "N",
    "fault": "F",
    "file": "H",
    "inaction": "L",
}
MARK_WORDS = {
    "start": "a recording started",
    "refused": "a start refused",
    "denied": "something else denied",
    "override": "a zone overridden",
    "mute": "the sound turned off or on",
    "pause": "a private pause begun or ended",
    "sleep": "asleep or awake",
    "notice": "whether people were told",
    "fault": "a fault begins",
    "file": "a file handed in was refused",
    "inaction": "a start late, or an answer that did not come",
}


def zone_colours(report: Report) -> dict[str, str]:
    """One colour for each zone of a report, in all of its shifts."""
    zones = sorted({span.what for shift in report.shifts for span in shift.zones})
    return {zone: _colour(n) for n, zone in enumerate(zones)}


def _colour(n: int) -> str:
    """Past those that are chosen, one around the circle, each far from the last."""
    return ZONE_COLOURS[n] if n < len(ZONE_COLOURS) else f"hsl({n * 137 % 360} 45% {60 + n % 3 * 10}%)"


def minutes_and_seconds(utc: str) -> str:
    """A label as people read it: whole seconds."""
    return utc[:19].replace("T", " ")


def timeline(number: int, title: str, shift: Shift, colours: dict[str, str]) -> str:
    """The picture, in a box that scrolls where the page is narrow, and its legend."""
    begins, ends = _seconds(shift.from_utc), _seconds(shift.to_utc)
    scale = (WIDTH - LEFT) / max(ends - begins, 1.0)

    def x_of(utc: str) -> float:
        return LEFT + (_seconds(utc) - begins) * scale

    zones = list(dict.fromkeys(span.what for span in shift.zones))
    kinds = _kinds(shift)
    rows = {kind: 2 * ROW + 15 + MARK_ROW * n for n, kind in enumerate(kinds)}
    axis = 2 * ROW + MARK_ROW * len(kinds) + 8
    parts = [
        *(_label(y, what) for y, what in ((22, "state"), (22 + ROW, "zone"), *((y, kind) for kind, y in rows.items()))),
        *_band(shift.phases, 5, PHASE_COLOURS, x_of),
        *_band(shift.zones, 5 + ROW, colours, x_of),
        *(
            f"<text x='{x_of(mark.utc):.1f}' y='{rows[mark.kind]}' text-anchor='middle' font-weight='bold'>{MARKS[mark.kind]}"
            f"<title>{escape(f'{minutes_and_seconds(mark.utc)}: {mark.what}')}</title></text>"
            for mark in shift.marks
        ),
        *_ticks(begins, ends, scale, axis),
    ]
    counts = shift.figures
    described = (
        f"{counts.activations} activations, {sum(counts.refusals.values()) + sum(counts.device_refusals.values())} starts "
        f"refused, {sum(counts.overrides.values())} overrides, {sum(counts.faults.values())} faults, between "
        f"{minutes_and_seconds(shift.from_utc)} and {minutes_and_seconds(shift.to_utc)}, in the zones "
        f"{', '.join(zones) or 'none'}. The tables below hold every state, zone and mark."
    )
    return (
        f"<figure><div class='wide' role='group' tabindex='0' aria-label='{escape(f'Timeline: {title}')}'>"
        f"<svg role='img' viewBox='0 0 {WIDTH} {axis + ROW}' width='{WIDTH}' height='{axis + ROW}' font-size='13' "
        f"font-family='sans-serif' aria-labelledby='t{number} d{number}' xmlns='http://www.w3.org/2000/svg'>"
        f"<title id='t{number}'>{escape(f'Timeline: {title}')}</title><desc id='d{number}'>{escape(described)}</desc>"
        f"{''.join(parts)}</svg></div><figcaption>{_legend(shift, colours)}</figcaption></figure>"
    )


def _kinds(shift: Shift) -> list[str]:
    return [kind for kind in MARKS if any(mark.kind == kind for mark in shift.marks)]


def _band(spans: Iterable[Span], y: int, colours: dict[str, str], x_of: Callable[[str], float]) -> Iterable[str]:
    for span in spans:
        x, to_x = x_of(span.from_utc), x_of(span.to_utc)
        said = f"{span.what}: {minutes_and_seconds(span.from_utc)} to {minutes_and_seconds(span.to_utc)}"
        yield (
            f"<rect x='{x:.1f}' y='{y}' width='{max(to_x - x, 0.5):.1f}' height='{ROW - 8}' "
            f"fill='{colours.get(span.what, '#fff')}'><title>{escape(said)}</title></rect>"
        )


def _ticks(begins: float, ends: float, scale: float, y: int) -> Iterable[str]:
    short = ends - begins < WITH_SECONDS_S
    count, form = (TICKS_WITH_SECONDS, "%d %b %H:%M:%S") if short else (TICKS, "%d %b %H:%M")
    for n in range(count + 1):
        at_s = begins + (ends - begins) * n / count
        x = LEFT + (at_s - begins) * scale
        anchor = "start" if n == 0 else "end" if n == count else "middle"
        said = datetime.fromtimestamp(at_s, UTC).strftime(form)
        yield f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{y - 4}' y2='{y + 4}' stroke='#1a1a1a'/>"
        yield f"<text x='{x:.1f}' y='{y + 20}' text-anchor='{anchor}'>{said}</text>"


def _label(y: int, what: str) -> str:
    return f"<text x='0' y='{y}'>{what}</text>"


def _legend(shift: Shift, colours: dict[str, str]) -> str:
    """Colours by name, so that none of them is the only way to tell."""
    phases = list(dict.fromkeys(span.what for span in shift.phases))
    zones = list(dict.fromkeys(span.what for span in shift.zones))
    states = [_swatch(PHASE_COLOURS.get(phase, "#fff"), phase) for phase in phases]
    places = [_swatch(colours.get(zone, "#fff"), zone) for zone in zones]
    marks = [f"{MARKS[kind]}: {MARK_WORDS[kind]}" for kind in _kinds(shift)]
    said = [f"States: {', '.join(states)}", f"Zones: {', '.join(places)}"] + (
        [f"Marks: {'; '.join(marks)}"] if marks else []
    )
    return ". ".join(said) + "."


def _swatch(colour: str, name: str) -> str:
    return (
        f"<svg aria-hidden='true' width='14' height='14'><rect width='14' height='14' fill='{colour}' stroke='#1a1a1a'/>"
        f"</svg> {escape(name)}"
    )


def _seconds(utc: str) -> float:
    moment = parse_utc(utc)
    assert moment is not None, "a report's labels name moments"
    return moment.timestamp()
