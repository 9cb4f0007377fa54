"""`bodycam-sim run`: which scenarios, and what is said of each: a table with ✓ or ✗ for every expectation, or JSON."""

import argparse
import sys
from pathlib import Path

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from device.errors import UsageError
from device.terminal import Output, print_json, safe
from hw_sim.quiet import quiet_log
from hw_sim.scenario import SHIPPED, Scenario, find, read_scenario, shipped
from hw_sim.scenario_judge import Check
from hw_sim.scenario_run import Report, run_scenario

EXIT_NOT_AS_EXPECTED = 1


def run_scenarios(options: argparse.Namespace) -> int:
    """0 when all came as expected, 1 when not; `UsageError` before anything is played when a file is bad."""
    if options.list:
        return _list(json=options.json)
    paths = [SHIPPED / f"{name}.toml" for name in shipped()] if options.all else list(map(find, options.scenarios))
    if not paths:
        raise UsageError("no scenario: give a file, a name of bodycam-sim run --list, or --all")
    scenarios = [read_scenario(path) for path in paths]
    if options.out is not None:
        _make(options.out)
    real, console = options.speed == "real", Output()
    live = Console(stderr=True) if real and sys.stderr.isatty() else None
    reports = []
    for n, scenario in enumerate(scenarios):
        root = (
            None
            if options.out is None
            else options.out / (scenario.name if len(scenarios) == 1 else f"{n:02}-{scenario.name}")
        )
        tell = (lambda said: live.print(safe(said), style="dim", highlight=False)) if live else lambda _: None
        with quiet_log():
            report = run_scenario(scenario, options.seed, root, real=real, tell=tell)
        reports.append(report)
        if not options.json:
            console.print(shown(report))
    if options.json:
        print_json(reports)
    else:
        console.print(_summary(reports), highlight=False)
    return 0 if all(report.good for report in reports) else EXIT_NOT_AS_EXPECTED


def shown(report: Report) -> Group:
    """One scenario: each step with its time, and what came of it."""
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column(justify="right", style="dim")
    table.add_column(ratio=2)
    table.add_column(ratio=5)
    for step in report.steps:
        table.add_row(_clock(step.at_s), Text("\n".join(step.do) or "look"), _checks(step.checks))
    for n, checks in enumerate(report.recordings, 1):
        table.add_row("", f"recording {n}", _checks(checks))
    table.add_row("", "the card", _checks(report.card))
    mark = Text("✓ ", "green") if report.good else Text("✗ ", "bold red")
    head = Text.assemble(mark, (report.name, "bold"), f": {report.title} ", (f"({', '.join(report.shows)})", "dim"))
    kept = [Text(f"  kept in {report.bench}", "dim")] if report.bench else []
    return Group(head, table, *kept, "")


def _checks(checks: tuple[Check, ...]) -> Text:
    lines = []
    for check in checks:
        if check.good:
            lines.append(Text.assemble(("✓ ", "green"), (f"{check.what}: ", "dim"), safe(check.wanted)))
        else:
            lines.append(
                Text.assemble(
                    ("✗ ", "bold red"), f"{check.what}: wanted ", (safe(check.wanted), "bold"), "; seen: ",
                    (safe(check.seen), "red"),
                )
            )  # fmt: skip
    return Text("\n").join(lines)


def _clock(at_s: float) -> str:
    return f"{int(at_s) // 60}:{at_s % 60:04.1f}"


def _summary(reports: list[Report]) -> str:
    bad = [report.name for report in reports if not report.good]
    checks = sum(len(report.checks) for report in reports)
    said = f"{len(reports)} scenarios, {checks} expectations, seed {reports[0].seed}, {sum(r.took_s for r in reports):.1f} s"
    return f"{said}: all as expected" if not bad else f"{said}: NOT as expected: {', '.join(bad)}"


def _list(*, json: bool) -> int:
    scenarios = [read_scenario(SHIPPED / f"{name}.toml") for name in shipped()]
    if json:
        print_json([_entry(scenario) for scenario in scenarios])
        return 0
    table = Table("scenario", "what it shows", "of")
    for scenario in scenarios:
        table.add_row(scenario.name, scenario.document.title, ", ".join(scenario.document.shows))
    Output().print(table)
    return 0


def _entry(scenario: Scenario) -> dict[str, object]:
    document = scenario.document
    return {"name": scenario.name, "title": document.title, "shows": document.shows, "why": document.why}


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"--out {folder}: not an empty folder; name a new one, or remove it")
    except OSError as failure:
        raise UsageError(f"--out {folder}: {failure.strerror}; name a folder that can be made") from failure
