"""What came of a shift: verify, audit and report of its card, and the account of its frames; in one table, or for programs."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from device.evidence.audit import audit
from device.evidence.figures import Figures, Period
from device.evidence.identity import load_anchors
from device.evidence.opening import Identity, check_plaintext
from device.evidence.records import RecordingOpened, Segment
from device.evidence.report import report
from device.evidence.unsealing import ContextIdentity
from device.evidence.verdicts import EXIT_EXTENT, EXIT_INTACT, CardVerdict, Finding
from device.evidence.verify import Opener, Progressing, verify
from hw_sim.curve import letters
from hw_sim.shift_account import Account, Trouble, account
from hw_sim.shift_run import Played
from hw_sim.vitals import MIB, Growth, growths


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A shift in figures. `seconds`: of recorded video; `missing`: pictures in signed gaps, by cause; `frames`: where each
    picture given went; `troubles`: all that is not as it must be."""

    seed: str
    hours: float
    boots: int
    recordings: int
    seconds: float
    missing: dict[str, int]
    verdicts: dict[str, int]
    audited: str
    steps: int
    frames: dict[str, int]
    packets: dict[str, int]
    captured_while_forbidden: int
    faults_played: dict[str, int]
    faults_told: dict[str, int]
    figures: Figures
    peak_mib: float
    wall_s: float
    curve: tuple[tuple[float, int], ...]
    growth: tuple[Growth, ...]
    troubles: tuple[Trouble, ...]

    @property
    def exit_status(self) -> int:
        return 1 if self.troubles or any(growth.grows for growth in self.growth) else 0


def judge(played: Played, seed: str, hours: float, wall_s: float) -> Outcome:
    """Read the card as an agency would, and hold it against what the twin knows."""
    anchors, bench = load_anchors(played.bench.trust), played.bench
    verdict = verify(bench.card, anchors, opener=_opener(bench.footage_identity))
    context = ContextIdentity(bench.context_identity)
    audited = audit(bench.card, anchors, (), context)
    told = report(bench.card, anchors, (), context, Period())
    said = account(played)
    cuts = sum(boot.cut_us is not None for boot in played.boots)
    unproven = {one.kind for one in audited.findings} - ({"extent", "note"} if cuts else {"note"})
    troubles = [
        *said.troubles,
        *_of_verify(verdict, cuts),
        *(Trouble("", f"a line was refused: {r}") for r in played.refused),
    ]
    troubles += [Trouble("", f"audit: {one.place}: {one.what}") for one in audited.findings if one.kind in unproven]
    return Outcome(
        seed=seed,
        hours=hours,
        boots=len(played.boots),
        recordings=len(verdict.recordings),
        seconds=round(sum(recording.seconds for recording in verdict.recordings), 1),
        missing=_summed(recording.missing for recording in verdict.recordings),
        verdicts=dict(Counter(recording.verdict for recording in verdict.recordings)),
        audited=audited.verdict,
        steps=audited.steps,
        frames=_frames(said),
        packets={"given": said.packets_given, "stored": said.packets_stored},
        captured_while_forbidden=said.barred,
        faults_played=dict(sorted(played.faults.items())),
        faults_told={name: told.total.faults[name] for name in sorted(told.total.faults)},
        figures=told.total,
        peak_mib=round(max(resident for _, resident in played.curve) / MIB, 1),
        wall_s=round(wall_s, 1),
        curve=tuple(played.curve),
        growth=tuple(growths(played.vitals)) if played.vitals else (),
        troubles=tuple(troubles),
    )


def _opener(key: Path) -> Opener:
    identity = Identity(key)

    def check(
        folder: Path, opened: RecordingOpened, segments: Iterable[Segment], progress: Progressing
    ) -> list[Finding]:
        return check_plaintext(folder, opened, segments, identity, progress)

    return Opener(check)


def _of_verify(verdict: CardVerdict, cuts: int) -> list[Trouble]:
    """Each recording intact, but those that a cut ended: of those there is one a cut at most, and what it continues."""
    by_cut = [one for one in verdict.recordings if one.answers.extent == "power-loss"]
    troubles = [
        Trouble(one.recording, f"verify: {one.verdict}")
        for one in verdict.recordings
        if one.exit_status != EXIT_INTACT and one not in by_cut
    ]
    if len(by_cut) > cuts:
        troubles.append(Trouble("", f"{len(by_cut)} recordings ended by power loss, and the power went {cuts} times"))
    if verdict.exit_status not in (EXIT_INTACT, EXIT_EXTENT) or (verdict.exit_status == EXIT_EXTENT and not by_cut):
        troubles.append(Trouble("", f"verify of the card: {verdict.verdict}"))
    return troubles


def _frames(said: Account) -> dict[str, int]:
    return {
        "given": said.given,
        "stored": said.stored,
        "in signed gaps": said.in_gaps,
        "lost with the power": said.lost,
        "never claimed": said.never_claimed,
        "never came, while recording": said.never_came,
    }


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))


def show(console: Console, said: Outcome) -> None:
    table = Table(show_header=False)
    for what, told in (
        ("a day of", f"{said.hours:g} h, seed {said.seed}; {said.boots} boots"),
        ("recordings", f"{said.recordings}, {said.seconds:.0f} s of video"),
        ("missing in them", _counted(said.missing) or "nothing"),
        ("verdicts", _counted(said.verdicts)),
        ("audit", f"{said.audited}; {said.steps} steps that decided something"),
        ("pictures", _counted(said.frames)),
        ("packets of sound", _counted(said.packets)),
        ("while forbidden", f"{said.captured_while_forbidden} pictures given, {_barred(said)}"),
        ("faults played", _counted(said.faults_played)),
        ("faults told", _counted(said.faults_told)),
        ("peak memory", f"{said.peak_mib:.0f} MiB, of twin and device together"),
        ("wall time", f"{said.wall_s:.0f} s"),
    ):
        table.add_row(what, told)
    console.print(table)
    console.print(f"memory   {letters(said.curve)}", highlight=False)
    for growth in said.growth:
        word = "[bold red]GROWS[/]" if growth.grows else "holds"
        console.print(f"  {growth.what:<15} {growth.second:>14,.0f} → {growth.last:>14,.0f}  {word}", highlight=False)
    for trouble in said.troubles[:20]:
        console.print(f"  [bold red]{trouble.recording[:6] or 'card'}[/]: {trouble.what}", highlight=False)
    if said.exit_status:
        console.print("[bold red]NOT as it must be[/]")
    else:
        console.print(
            "[green]as it must be[/]: every picture accounted for, and nothing captured while forbidden is stored"
        )


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{what} {count:,}" for what, count in counts.items())


def _barred(said: Outcome) -> str:
    found = [one for one in said.troubles if "forbidden" in one.what]
    return f"stored in {len(found)} recordings" if found else "none of them stored"
