"""A scenario played from its first step to its last: the real daemon on the twin, then verify and audit of its card."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from device.clock import BootClock
from device.errors import UsageError
from device.service.status import read_status
from hw_sim.scenario import Scenario, Step
from hw_sim.scenario_judge import Check, Snapshot, Span, judge_end, judge_step
from hw_sim.scenario_seen import Judged, read_card
from hw_sim.scenario_stage import Stage
from hw_sim.senses import Edge

Telling = Callable[[str], None]


class StepReport(msgspec.Struct, frozen=True):
    """A step as it was played: when, in s since the power came on first, what was done, and what came of it."""

    at_s: float
    do: tuple[str, ...]
    checks: tuple[Check, ...]


class Report(msgspec.Struct, frozen=True):
    """A scenario as it was played. `took_s`: of this machine's time; `bench`: where it is kept, "" when it is not."""

    name: str
    title: str
    shows: tuple[str, ...]
    seed: int
    good: bool
    steps: tuple[StepReport, ...]
    recordings: tuple[tuple[Check, ...], ...]
    card: tuple[Check, ...]
    took_s: float
    bench: str

    @property
    def checks(self) -> list[Check]:
        every = [*(step.checks for step in self.steps), *self.recordings, self.card]
        return [check for checks in every for check in checks]


class Played(msgspec.Struct, frozen=True):
    """What came of a scenario: when each step was, what was seen, felt and heard, and what is on the card."""

    seed: int
    spans: tuple[Span, ...]
    edges: dict[str, list[Edge]]
    judged: Judged
    sockets: int
    bench: str


def run_scenario(
    scenario: Scenario, seed: int, root: Path | None = None, *, real: bool = False, tell: Telling = lambda _: None
) -> Report:
    """Play it and judge it; see `play_scenario`."""
    watch = BootClock()
    began_us = watch.now_us()
    played = play_scenario(scenario, seed, root, real=real, tell=tell)
    report = judge_scenario(scenario, played)
    return msgspec.structs.replace(report, took_s=round((watch.now_us() - began_us) / 1e6, 2))


def play_scenario(
    scenario: Scenario, seed: int, root: Path | None = None, *, real: bool = False, tell: Telling = lambda _: None
) -> Played:
    """`root`: a new folder for the bench, else it is removed again. `tell` hears of each step as it is played.
    `UsageError` for a line that there is not, or that can't be done then."""
    with ExitStack() as opened:
        where = root or Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="bodycam-scenario-"))) / "bench"
        stage = _staged(scenario, where, seed, real=real)
        spans = _play(scenario, stage, tell)
        return Played(seed, tuple(spans), stage.senses.edges, read_card(stage.bench), stage.sockets, str(root or ""))


def judge_scenario(scenario: Scenario, played: Played) -> Report:
    """What was played, held against what the scenario expects."""
    document, spans = scenario.document, played.spans
    begins_us = spans[0].from_us - scenario.starts_us[0]
    steps = tuple(
        StepReport(
            at_s=round((span.from_us - begins_us) / 1e6, 3),
            do=step.lines,
            checks=tuple(judge_step(step, span, played.edges, played.judged)),
        )
        for step, span in zip(document.step, spans, strict=True)
    )
    *recordings, card = map(tuple, judge_end(document, played.judged, played.sockets))
    every = [*(step.checks for step in steps), *recordings, card]
    return Report(
        name=scenario.name,
        title=document.title,
        shows=document.shows,
        seed=played.seed,
        good=all(check.good for checks in every for check in checks),
        steps=steps,
        recordings=tuple(recordings),
        card=card,
        took_s=0.0,
        bench=played.bench,
    )


def _staged(scenario: Scenario, where: Path, seed: int, *, real: bool) -> Stage:
    try:
        stage = Stage(scenario, where, seed, real=real)
    except UsageError as failure:
        raise UsageError(f"{scenario.path}: bench: {failure}") from failure
    stage.check_lines()
    return stage


def _play(scenario: Scenario, stage: Stage, tell: Telling) -> list[Span]:
    """When each step was, and how it left the device."""
    zero_us = stage.clock.now_us()
    stage.boot()
    begun: list[int] = []
    left: list[Snapshot] = []
    for n, step in enumerate(scenario.document.step):
        stage.wait_until(zero_us + scenario.starts_us[n] + stage.late_us())
        if begun:
            left.append(_snapshot(stage))
        begun.append(stage.clock.now_us())
        tell(f"{scenario.starts_us[n] / 1e6:8.1f} s  {'; '.join(step.lines) or 'look'}")
        _do(scenario, n, step, stage)
    stage.wait_until(zero_us + scenario.ends_us)
    left.append(_snapshot(stage))
    stage.count_sockets()
    ends_us = [*begun[1:], stage.clock.now_us()]
    if stage.on:
        stage.stop()
    return [Span(*span) for span in zip(begun, ends_us, left, strict=True)]


def _do(scenario: Scenario, n: int, step: Step, stage: Stage) -> None:
    for line in step.lines:
        try:
            stage.do(line)
        except UsageError as failure:
            raise UsageError(f"{scenario.path}: step[{n}].do: {failure}") from failure


def _snapshot(stage: Stage) -> Snapshot:
    if not stage.on:
        return Snapshot(on=False)
    state, ring = stage.device.daemon.control.state, stage.device.daemon.ring
    status = read_status(stage.bench.status_file)
    return Snapshot(
        on=True,
        phase=state.phase.value,
        zone=state.zone,
        policy=status.policy,
        muted=state.muted,
        docked=status.docked,
        ready=state.ready,
        held_s=ring.held_us() / 1e6,
        faults=tuple(state.faults),
        warnings=tuple(state.warnings),
    )
