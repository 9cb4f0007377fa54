"""The report as one page of HTML: no script, nothing fetched, readable by a screen reader and on paper.

Each shift has a timeline picture; what it shows stands in tables under it. Times are whole seconds, words of the policy
stand behind its titles of them. Everything that comes from a card is escaped.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from html import escape

from device.evidence.figures import Counts, Figures
from device.evidence.identity import parse_utc
from device.evidence.judgements import AuditFinding
from device.evidence.report import Report
from device.evidence.shifts import Mark, PolicyUsed, Shift, Span, Started, Titles
from device.evidence.verdicts import EXIT_EXTENT, EXIT_INTACT
from device.page_frame import framed
from device.report_picture import MARK_WORDS, minutes_and_seconds, timeline, zone_colours

MOST_FINDINGS = 50
_ONE_LINE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}:[0-9]{2})?|[0-9]{6}-[0-9a-f]{16}")


class _Amount(str):
    """How many or how long, in words: set as numbers are."""

    __slots__ = ()


def page(report: Report) -> str:
    """The whole page."""
    devices = ", ".join(report.audit.devices) or "no device"
    title = f"What the camera did: {devices}"
    words, colours = _Words(report.titles), zone_colours(report)
    parts = [
        f"<h1>{escape(title)}</h1>",
        (
            f"<p>Period: {escape(_period(report))}. Times are UTC, by the device's own clock. What is wider "
            "than the page scrolls sideways; a shadow at its edge says that there is more.</p>"
        ),
        _verdict(report),
        _policies(report.policies),
        "<h2 id='total'>All shifts</h2>",
        _figures_tables(report.total, "all shifts", words),
        "<h2 id='days'>Over time</h2>",
        _days(report),
        "<h2 id='shifts'>Shifts</h2>" if report.shifts else f"<p>{escape(_nothing(report))}</p>",
        *(_shift(n, shift, words, colours) for n, shift in enumerate(report.shifts, 1)),
    ]
    return framed(title, parts)


def _period(report: Report) -> str:
    begins = _edge(report.from_utc) or "the beginning of the journal"
    ends = _edge(report.to_utc) or "its end"
    out = f"; {report.to_utc[:10]} is not in it" if _edge(report.to_utc).startswith("the beginning") else ""
    return f"from {begins} to {ends}{out}. {_covers(report)}"


def _edge(utc: str) -> str:
    """A day was asked for up to its beginning: nothing of it is in the report."""
    if utc[10:19] == "T00:00:00" and not utc[20:26].strip("0"):
        return f"the beginning of {utc[:10]} (00:00:00)"
    return minutes_and_seconds(utc)


def _covers(report: Report) -> str:
    if not report.covers_from_utc:
        return "The journal tells of no time"
    begins, ends = minutes_and_seconds(report.covers_from_utc), minutes_and_seconds(report.covers_to_utc)
    return f"The journal covers {begins} to {ends}"


def _nothing(report: Report) -> str:
    return f"No time of this period is in the journal. {_covers(report)}."


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
    rows = [(f.kind, f.place, minutes_and_seconds(f.utc), f.what) for f in findings[:MOST_FINDINGS]]
    more = len(findings) - len(rows)
    said = f"<p>And {more} more: see <code>bodycam audit</code>.</p>" if more > 0 else ""
    return _table("Findings of the audit", ("kind", "place", "time", "what"), rows) + said


def _policies(policies: Sequence[PolicyUsed]) -> str:
    if not policies:
        return ""
    rows = [
        (p.id, p.version, p.title, minutes_and_seconds(p.from_utc), minutes_and_seconds(p.to_utc), p.sha256)
        for p in policies
    ]
    return _table("Policies in force", ("policy", "version", "title", "from", "to", "SHA-256 of its document"), rows)


# -- figures --------------------------------------------------------------------------------------------------------


class _Words:
    """Words of the policy behind its titles of them."""

    def __init__(self, titles: Titles) -> None:
        self._titles = titles

    def category(self, code: str) -> str:
        return _titled(code, self._titles.categories)

    def zone(self, code: str) -> str:
        return _titled(code, self._titles.zones)

    def reason(self, code: str) -> str:
        return _titled(code, self._titles.reasons)

    def category_and_zone(self, entry: str) -> str:
        category, within, zone = entry.partition(" in ")
        return f"{self.category(category)}{within}{self.zone(zone)}"

    def refusal(self, entry: str) -> str:
        why, within, zone = entry.partition(" in ")
        return f"{why}{within}{self.zone(zone)}"

    def override(self, entry: str) -> str:
        how, within, rest = entry.partition(" in ")
        zone, colon, category = rest.partition(": ")
        return f"{how}{within}{self.zone(zone)}{colon}{self.category(category)}"

    def notice(self, entry: str) -> str:
        said, colon, why = entry.partition(": ")
        return f"{said}{colon}{self.category(why)}"


def _titled(code: str, titles: dict[str, str]) -> str:
    return f"{titles[code]} ({code})" if code in titles else code


def _as_it_is(entry: str) -> str:
    return entry


def _figures_tables(figures: Figures, of: str, words: _Words) -> str:
    seconds = figures.seconds
    lines: list[tuple[str, object]] = [
        ("activations", figures.activations),
        ("starts refused by the policy", _sum(figures.refusals)),
        ("starts refused by the device", _sum(figures.device_refusals)),
        ("other things denied by the policy", _sum(figures.denials)),
        ("overrides", _sum(figures.overrides)),
        ("stops", _sum(figures.stops)),
        ("recordings without a stop", _sum(figures.not_stopped)),
        ("stops left unexplained", figures.unexplained),
        ("mutes", _sum(figures.mutes)),
        ("private pauses", _sum(figures.pauses)),
        ("times asleep", _sum(figures.sleeps)),
        ("late starts", figures.late_starts),
        ("how late, in all", _length(figures.late_seconds)),
        ("asked, and no answer came", _sum(figures.lapses)),
        ("asked, ended before it was due", _sum(figures.unanswered)),
        ("faults", _sum(figures.faults)),
        ("files handed in that were refused", _sum(figures.files_refused)),
        ("time recorded after the press", _length(seconds.get("recording", 0))),
        ("of it without sound (muted)", _length(seconds.get("muted", 0))),
        ("recorded from before the presses, in all", _length(figures.pre_event_seconds)),
        ("time buffered, not recorded", _length(seconds.get("buffering", 0))),
        ("time ready, nothing buffered", _length(seconds.get("not buffering", 0))),
        ("time paused", _length(seconds.get("paused", 0))),
        ("time asleep", _length(seconds.get("asleep", 0))),
    ]
    tables = [_table(f"In short: {of}", ("what", "how many, or how long"), lines)]
    counted: tuple[tuple[str, str, Counts, Callable[[str], str]], ...] = (
        (
            "Activations by category and zone",
            "category and zone",
            figures.by_category_and_zone,
            words.category_and_zone,
        ),
        ("Activations by category", "category", figures.by_category, words.category),
        ("Activations by zone", "zone", figures.by_zone, words.zone),
        ("What started them", "trigger", figures.by_trigger, _as_it_is),
        ("Starts refused by the policy", "reason and zone", figures.refusals, words.refusal),
        ("Starts refused by the device", "reason and zone", figures.device_refusals, words.refusal),
        ("Other things denied by the policy", "what and why", figures.denials, _as_it_is),
        ("Overrides", "what", figures.overrides, words.override),
        ("Stops by reason", "reason", figures.stops, words.reason),
        ("Recordings without a stop", "why", figures.not_stopped, _as_it_is),
        ("Mutes by reason", "reason", figures.mutes, words.reason),
        ("Private pauses by reason", "reason", figures.pauses, words.reason),
        ("Times asleep by reason", "reason", figures.sleeps, words.reason),
        ("Whether people were told, of each activation", "notice", figures.notices, words.notice),
        ("Asked, and no answer came", "asked to", figures.lapses, _as_it_is),
        ("Asked, ended before it was due", "asked to", figures.unanswered, _as_it_is),
        ("Faults", "part", figures.faults, _as_it_is),
        ("Files handed in that were refused", "file", figures.files_refused, _as_it_is),
    )
    for caption, head, counts, said in counted:
        if counts:
            rows = [(said(entry), count) for entry, count in counts.items()]
            tables.append(_table(f"{caption}: {of}", (head, "how many"), rows))
    return "\n".join(tables)


def _days(report: Report) -> str:
    heads = (
        "day", "activations", "starts refused", "overrides", "stops", "without a stop", "unexplained", "mutes", "pauses",
        "late starts", "no answer", "faults", "recorded after the press", "buffered", "asleep",
    )  # fmt: skip
    rows: list[tuple[object, ...]] = [
        (
            day,
            of_day.activations,
            _sum(of_day.refusals) + _sum(of_day.device_refusals),
            _sum(of_day.overrides),
            _sum(of_day.stops),
            _sum(of_day.not_stopped),
            of_day.unexplained,
            _sum(of_day.mutes),
            _sum(of_day.pauses),
            of_day.late_starts,
            _sum(of_day.lapses),
            _sum(of_day.faults),
            *(_length(of_day.seconds.get(what, 0)) for what in ("recording", "buffering", "asleep")),
        )
        for day, of_day in report.days.items()
    ]
    left_out = report.days_left_out
    said = (
        f"<p><strong>Only the first {len(rows)} days that the journal tells of are listed: {left_out} more are counted in "
        "the tables of all shifts and not here. Ask for less with --from and --to.</strong></p>"
        if left_out
        else ""
    )
    return said + _table("Each day (UTC)", heads, rows)


def _sum(counts: Counts) -> int:
    return sum(counts.values())


# -- a shift --------------------------------------------------------------------------------------------------------


def _shift(number: int, shift: Shift, words: _Words, colours: dict[str, str]) -> str:
    who = shift.officer or "nobody assigned"
    facts = [word for word in (shift.role, shift.unit, shift.shift and f"shift {shift.shift}") if word]
    when = f"{minutes_and_seconds(shift.from_utc)} to {minutes_and_seconds(shift.to_utc)}"
    title = f"{who} ({', '.join(facts)})" if facts else f"{who}, from {minutes_and_seconds(shift.from_utc)}"
    clock = (
        ""
        if shift.clock_set
        else "<p><strong>The clock was not set all the time: these times are not right.</strong></p>"
    )
    return "\n".join(
        [
            f"<section aria-labelledby='shift-{number}'>",
            f"<h3 id='shift-{number}'>{escape(title)}</h3>",
            f"<p>{when}</p>{clock}",
            timeline(number, title, shift, colours),
            _starts(shift.starts, title, words),
            _figures_tables(shift.figures, title, words),
            _moments(shift.marks, title),
            "<details><summary>The timeline as tables</summary>",
            _spans(f"States: {title}", shift.phases, _as_it_is),
            _spans(f"Zones: {title}", shift.zones, words.zone),
            "</details></section>",
        ]
    )


def _starts(starts: Sequence[Started], title: str, words: _Words) -> str:
    if not starts:
        return ""
    heads = ("time", "recording", "started by", "category", "zone", "from before the press", "policy")
    rows = [
        (
            minutes_and_seconds(start.utc),
            ", ".join(start.recordings) or "(no recording on this card)",
            start.trigger + (f", {_length(start.late_seconds)} late" if start.late_seconds else ""),
            words.category(start.category),
            words.zone(start.zone) + (", overridden" if start.override else ""),
            _Amount("not known" if start.pre_event_seconds is None else f"{start.pre_event_seconds:.1f} s"),
            start.policy,
        )
        for start in starts
    ]
    return _table(f"Activations and their recordings: {title}", heads, rows)


def _moments(marks: Sequence[Mark], title: str) -> str:
    rows = [(minutes_and_seconds(m.utc), MARK_WORDS[m.kind], m.what) for m in marks if m.kind != "start"]
    return _table(f"What else happened: {title}", ("time", "kind", "what"), rows) if rows else ""


def _spans(caption: str, spans: Iterable[Span], words: Callable[[str], str]) -> str:
    rows = [
        (minutes_and_seconds(span.from_utc), minutes_and_seconds(span.to_utc), _lasting(span), words(span.what))
        for span in spans
    ]
    return _table(caption, ("from", "to", "how long", "what"), rows)


def _lasting(span: Span) -> _Amount:
    begins, ends = parse_utc(span.from_utc), parse_utc(span.to_utc)
    assert begins is not None, "a report's labels name moments"
    assert ends is not None, "a report's labels name moments"
    seconds = (ends - begins).total_seconds()
    return _length(seconds) if seconds >= 1 else _Amount("under 1 s")


# -- words and tables -----------------------------------------------------------------------------------------------


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with its caption, in a box that scrolls; the first cell of a row is the row's heading."""
    head = "".join(f"<th scope='col'>{escape(word)}</th>" for word in heads)
    body = "".join(
        f"<tr><th scope='row'{_class(first)}>{escape(str(first))}</th>{''.join(map(_cell, rest))}</tr>"
        for first, *rest in rows
    )
    said = escape(caption)
    return (
        f"<div class='wide' role='group' tabindex='0' aria-label='{said}'><table><caption><span>{said}</span></caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    return f"<td{_class(value)}>{escape(str(value))}</td>"


def _class(value: object) -> str:
    """How a cell is set: numbers at the right, times and names on one line."""
    if isinstance(value, int | _Amount):
        return " class='n'"
    return " class='t'" if _ONE_LINE.fullmatch(str(value)) else ""


def _length(seconds: float) -> _Amount:
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return _Amount(f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s")
