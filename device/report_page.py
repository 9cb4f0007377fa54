"""The report as one page of HTML: no script, nothing fetched, readable by a screen reader and on paper.

Each shift has a timeline picture (inline SVG); what it shows is said in its description and stands in a table under it.
Everything that comes from a card is escaped.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from html import escape

from device.evidence.figures import Figures
from device.evidence.identity import parse_utc
from device.evidence.judgements import AuditFinding
from device.evidence.report import Mark, Report, Shift, Span
from device.evidence.verdicts import EXIT_EXTENT, EXIT_INTACT

WIDTH, LEFT, ROW, MARK_ROW = 960, 90, 34, 18
TICKS = 6
MOST_FINDINGS = 50
PHASE_COLOURS = {
    "recording": "#b00020",
    "post-event": "#d98b00",
    "paused": "#5b3a8e",
    "buffering": "#9cc3e6",
    "not buffering": "#ececec",
    "asleep": "#5c5c5c",
}
ZONE_COLOURS = ("#cfe8cf", "#f6d9a8", "#d9ccee", "#f3c6cf", "#c9e4ee", "#e3e3b5")
MARKS = {"refused": "R", "override": "O", "fault": "F", "inaction": "L"}
MARK_WORDS = {
    "refused": "a start refused",
    "override": "a zone overridden",
    "fault": "a fault begins",
    "inaction": "a start late, or an answer that did not come",
}
_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 0 auto; padding: 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
caption { text-align: left; font-weight: bold; padding: .3rem 0; white-space: nowrap; }
th, td { border: 1px solid #767676; padding: .25rem .6rem; text-align: left; vertical-align: top; }
td.n { text-align: right; }
thead th { background: #eee; }
.bad { border: 3px solid #b00020; padding: .5rem 1rem; }
.good { border: 3px solid #1b6e2d; padding: .5rem 1rem; }
.unproven { border: 3px solid #8a5a00; padding: .5rem 1rem; }
figure { margin: 1rem 0; }
svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
"""


def page(report: Report) -> str:
    """The whole page."""
    devices = ", ".join(report.audit.devices) or "no device"
    title = f"What the camera did: {devices}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Period: {escape(_period(report))}. Times are UTC, by the device's own clock.</p>",
        _verdict(report),
        "<h2 id='total'>All shifts</h2>",
        _figures_tables(report.total, "all shifts"),
        "<h2 id='days'>Over time</h2>",
        _days(report),
        "<h2 id='shifts'>Shifts</h2>" if report.shifts else "<p>No time of this period is in the journal.</p>",
        *(_shift(n, shift) for n, shift in enumerate(report.shifts, 1)),
    ]
    return (
        f"<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        f"<meta name='viewport' content='width=device-width, initial-scale=1'>\n<title>{escape(title)}</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n" + "\n".join(parts) + "\n</main>\n</body>\n</html>\n"
    )


def _period(report: Report) -> str:
    begins, ends = report.from_utc or "the beginning of the journal", report.to_utc or "its end"
    return f"from {begins} to {ends}"


def _verdict(report: Report) -> str:
    """What the audit says, first of all: a report of a journal that does not conform must not look like one that does."""
    audited = report.audit
    status = audited.exit_status
    kind = "good" if status == EXIT_INTACT else "unproven" if status == EXIT_EXTENT else "bad"
    said = (
        f"<p><strong>Audit: {escape(audited.verdict)}.</strong> {audited.steps_conforming} of {audited.steps} steps that "
        f"decided something are as the policy says; {audited.epochs_audited} of {audited.epochs} journal files were "
        f"replayed.</p><p>{escape(audited.cannot_see)} {escape(audited.not_read.replace('`', ''))}</p>"
    )
    if kind == "bad":
        said += "<p>What follows is what the journal says; the findings below say what of it can't be believed.</p>"
    return f"<section class='{kind}' aria-label='Audit'>{said}{_findings(audited.findings)}</section>"


def _findings(findings: Sequence[AuditFinding]) -> str:
    if not findings:
        return ""
    rows = [(f.kind, f.place, f.utc, f.what) for f in findings[:MOST_FINDINGS]]
    more = len(findings) - len(rows)
    said = f"<p>And {more} more: see <code>bodycam audit</code>.</p>" if more > 0 else ""
    return _table("Findings of the audit", ("kind", "place", "time", "what"), rows) + said


# -- figures --------------------------------------------------------------------------------------------------------


def _figures_tables(figures: Figures, of: str) -> str:
    seconds = figures.seconds
    lines: list[tuple[str, object]] = [
        ("activations", figures.activations),
        ("refusals", sum(figures.refusals.values())),
        ("overrides", sum(figures.overrides.values())),
        ("stops", sum(figures.stops.values())),
        ("stops left unexplained", figures.unexplained),
        ("mutes", sum(figures.mutes.values())),
        ("private pauses", sum(figures.pauses.values())),
        ("late starts", f"{figures.late_starts} ({figures.late_seconds:.0f} s in all)"),
        ("asked, and no answer came", sum(figures.lapses.values())),
        ("faults", sum(figures.faults.values())),
        ("time recorded", _length(seconds.get("recording", 0))),
        ("of it without sound (muted)", _length(seconds.get("muted", 0))),
        ("time buffered, not recorded", _length(seconds.get("buffering", 0))),
        ("time ready, nothing buffered", _length(seconds.get("not buffering", 0))),
        ("time paused", _length(seconds.get("paused", 0))),
        ("time asleep", _length(seconds.get("asleep", 0))),
    ]
    tables = [_table(f"In short: {of}", ("what", "how many, or how long"), lines)]
    for caption, head, counts in (
        ("Activations by category and zone", "category and zone", figures.by_category_and_zone),
        ("Activations by category", "category", figures.by_category),
        ("Activations by zone", "zone", figures.by_zone),
        ("What started them", "trigger", figures.by_trigger),
        ("Starts refused", "reason and zone", figures.refusals),
        ("Other things not allowed", "what and why", figures.denials),
        ("Overrides", "what", figures.overrides),
        ("Stops by reason", "reason", figures.stops),
        ("Mutes by reason", "reason", figures.mutes),
        ("Private pauses by reason", "reason", figures.pauses),
        ("Whether people were told", "notice", figures.notices),
        ("Asked, and no answer came", "asked to", figures.lapses),
        ("Faults", "part", figures.faults),
    ):
        if counts:
            tables.append(_table(f"{caption}: {of}", (head, "how many"), counts.items()))
    return "\n".join(tables)


def _days(report: Report) -> str:
    heads = (
        "day", "activations", "refusals", "overrides", "stops", "unexplained", "mutes", "pauses", "late starts",
        "no answer", "faults", "recorded", "buffered", "asleep",
    )  # fmt: skip
    rows: list[tuple[object, ...]] = [
        (
            day,
            of_day.activations,
            sum(of_day.refusals.values()),
            sum(of_day.overrides.values()),
            sum(of_day.stops.values()),
            of_day.unexplained,
            sum(of_day.mutes.values()),
            sum(of_day.pauses.values()),
            of_day.late_starts,
            sum(of_day.lapses.values()),
            sum(of_day.faults.values()),
            *(_length(of_day.seconds.get(what, 0)) for what in ("recording", "buffering", "asleep")),
        )
        for day, of_day in report.days.items()
    ]
    return f"<div class='wide'>{_table('Each day (UTC)', heads, rows)}</div>"


# -- a shift --------------------------------------------------------------------------------------------------------


def _shift(number: int, shift: Shift) -> str:
    who = shift.officer or "nobody assigned"
    facts = [word for word in (shift.role, shift.unit, shift.shift and f"shift {shift.shift}") if word]
    title = f"{who} ({', '.join(facts)})" if facts else who
    clock = (
        ""
        if shift.clock_set
        else "<p><strong>The clock was not set all the time: these times are not right.</strong></p>"
    )
    return "\n".join(
        [
            f"<section aria-labelledby='shift-{number}'>",
            f"<h3 id='shift-{number}'>{escape(title)}</h3>",
            f"<p>{escape(shift.from_utc)} to {escape(shift.to_utc)}</p>{clock}",
            _timeline(number, title, shift),
            _figures_tables(shift.figures, title),
            _moments(shift.marks, title),
            "<details><summary>The timeline as tables</summary>",
            _spans(f"States: {title}", shift.phases),
            _spans(f"Zones: {title}", shift.zones),
            "</details></section>",
        ]
    )


def _timeline(number: int, title: str, shift: Shift) -> str:
    """The picture: a band of states, a band of zones, and marks."""
    begins, ends = _seconds(shift.from_utc), _seconds(shift.to_utc)
    scale = (WIDTH - LEFT) / max(ends - begins, 1.0)

    def x_of(utc: str) -> float:
        return LEFT + (_seconds(utc) - begins) * scale

    zones = list(dict.fromkeys(span.what for span in shift.zones))
    colours = {zone: ZONE_COLOURS[n % len(ZONE_COLOURS)] for n, zone in enumerate(zones)}
    kinds = [kind for kind in MARKS if any(mark.kind == kind for mark in shift.marks)]
    rows = {kind: 2 * ROW + 15 + MARK_ROW * n for n, kind in enumerate(kinds)}
    axis = 2 * ROW + MARK_ROW * len(kinds) + 8
    parts = [
        *(_label(y, what) for y, what in ((22, "state"), (22 + ROW, "zone"), *((y, kind) for kind, y in rows.items()))),
        *_band(shift.phases, 5, PHASE_COLOURS, x_of),
        *_band(shift.zones, 5 + ROW, colours, x_of),
        *(
            f"<text x='{x_of(mark.utc):.1f}' y='{rows[mark.kind]}' text-anchor='middle' font-weight='bold'>{MARKS[mark.kind]}"
            f"<title>{escape(f'{mark.utc}: {mark.what}')}</title></text>"
            for mark in shift.marks
        ),
        *_ticks(begins, ends, scale, axis),
    ]
    counts = shift.figures
    described = (
        f"{counts.activations} activations, {sum(counts.refusals.values())} refusals, "
        f"{sum(counts.overrides.values())} overrides, {sum(counts.faults.values())} faults, between {shift.from_utc} and "
        f"{shift.to_utc}, in the zones {', '.join(zones) or 'none'}. The tables below hold every state, zone and mark."
    )
    return (
        f"<figure><svg role='img' viewBox='0 0 {WIDTH} {axis + ROW}' width='{WIDTH}' height='{axis + ROW}' font-size='13' "
        f"font-family='sans-serif' aria-labelledby='t{number} d{number}' xmlns='http://www.w3.org/2000/svg'>"
        f"<title id='t{number}'>{escape(f'Timeline: {title}')}</title><desc id='d{number}'>{escape(described)}</desc>"
        f"{''.join(parts)}</svg><figcaption>{_legend(shift, colours)}</figcaption></figure>"
    )


def _band(spans: Iterable[Span], y: int, colours: dict[str, str], x_of: Callable[[str], float]) -> Iterable[str]:
    for span in spans:
        x, to_x = x_of(span.from_utc), x_of(span.to_utc)
        yield (
            f"<rect x='{x:.1f}' y='{y}' width='{max(to_x - x, 0.5):.1f}' height='{ROW - 8}' "
            f"fill='{colours.get(span.what, '#fff')}'><title>{escape(f'{span.what}: {span.from_utc} to {span.to_utc}')}"
            "</title></rect>"
        )


def _ticks(begins: float, ends: float, scale: float, y: int) -> Iterable[str]:
    for n in range(TICKS + 1):
        at_s = begins + (ends - begins) * n / TICKS
        x = LEFT + (at_s - begins) * scale
        anchor = "start" if n == 0 else "end" if n == TICKS else "middle"
        said = datetime.fromtimestamp(at_s, UTC).strftime("%d %b %H:%M")
        yield f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{y - 4}' y2='{y + 4}' stroke='#1a1a1a'/>"
        yield f"<text x='{x:.1f}' y='{y + 20}' text-anchor='{anchor}'>{said}</text>"


def _label(y: int, what: str) -> str:
    return f"<text x='0' y='{y}'>{what}</text>"


def _legend(shift: Shift, zones: dict[str, str]) -> str:
    """Colours by name, so that none of them is the only way to tell."""
    phases = list(dict.fromkeys(span.what for span in shift.phases))
    states = [_swatch(PHASE_COLOURS.get(phase, "#fff"), phase) for phase in phases]
    places = [_swatch(colour, zone) for zone, colour in zones.items()]
    marks = [f"{MARKS[kind]}: {MARK_WORDS[kind]}" for kind in MARKS if any(mark.kind == kind for mark in shift.marks)]
    said = [f"States: {', '.join(states)}", f"Zones: {', '.join(places)}"] + (
        [f"Marks: {'; '.join(marks)}"] if marks else []
    )
    return ". ".join(said) + "."


def _swatch(colour: str, name: str) -> str:
    return (
        f"<svg aria-hidden='true' width='14' height='14'><rect width='14' height='14' fill='{colour}' stroke='#1a1a1a'/>"
        f"</svg> {escape(name)}"
    )


def _moments(marks: Sequence[Mark], title: str) -> str:
    if not marks:
        return ""
    rows = [(mark.utc, MARK_WORDS[mark.kind], mark.what) for mark in marks]
    return _table(f"Refusals, overrides, faults and inaction: {title}", ("time", "kind", "what"), rows)


def _spans(caption: str, spans: Iterable[Span]) -> str:
    return _table(caption, ("from", "to", "what"), [(span.from_utc, span.to_utc, span.what) for span in spans])


# -- words and tables -----------------------------------------------------------------------------------------------


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with its caption; the first cell of a row is the row's heading."""
    head = "".join(f"<th scope='col'>{escape(word)}</th>" for word in heads)
    body = "".join(
        f"<tr><th scope='row'>{escape(str(first))}</th>{''.join(map(_cell, rest))}</tr>" for first, *rest in rows
    )
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    return f"<td{' class=' + repr('n') if isinstance(value, int) else ''}>{escape(str(value))}</td>"


def _length(seconds: float) -> str:
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"


def _seconds(utc: str) -> float:
    moment = parse_utc(utc)
    assert moment is not None, "a report's labels name moments"
    return moment.timestamp()
