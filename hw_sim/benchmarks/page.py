"""The table and the plot in the documentation, made of one run's figures."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from hw_sim.benchmarks import after_encoder, losses, recording, rivals
from hw_sim.benchmarks.plot import Bar, Panel, drawn
from hw_sim.benchmarks.rig import Figures

BEGIN, END = "<!-- make bench -->\n", "<!-- /make bench -->\n"
PLOT = "benchmarks.svg"


class Row(msgspec.Struct, frozen=True):
    what: str
    value: float
    spread: tuple[float, float] | None
    aim: str


def spelt(row: Row) -> str:
    """A row of the table, in Markdown."""
    spread = "" if row.spread is None else f" ({number(row.spread[0])} to {number(row.spread[1])})"
    measured = f"{number(row.value)}{spread}" if row.value == row.value else "not measured"
    return f"| {row.what} | {measured} | {row.aim or '–'} |"


def number(value: float) -> str:
    """Three figures, or all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write(folder: Path, machine: str, rows: Sequence[Row], figures: Figures) -> None:
    """Into `benchmarks.md` in that folder, between its marks, and the plot beside it."""
    page = folder / "benchmarks.md"
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join(["| what | measured | aim |", "|---|---|---|", *map(spelt, rows)])
    page.write_text(f"{before}{BEGIN}The run below: {machine}.\n\n![in bars]({PLOT})\n\n{table}\n{END}{after}", "utf-8")
    (folder / PLOT).write_text(drawn(panels(figures), machine), "utf-8")


def panels(figures: Figures) -> list[Panel]:
    """What the issue asks to be seen beside others."""
    cpu, chain, bare = list(after_encoder.AIMS)[:3]
    durable, closed = list(recording.AIMS)[:2]
    theirs, flushed = list(rivals.AIMS)[:2]
    killed = [
        Bar(f"{name}, killed", figures[f"{name}: seconds lost when killed (s)"]) for name in losses.RIVALS.values()
    ]
    return [
        Panel(
            "Seconds from the press until the whole time before it is written",
            [Bar("this, durable", figures[durable] / 1000, ours=True), Bar("picamera2, not synced", figures[theirs])],
        ),
        Panel(
            "Milliseconds from the stop to a closed recording",
            [Bar("this", figures[closed], ours=True), Bar("picamera2, stop() flushes its buffer", figures[flushed])],
        ),
        Panel(
            "Seconds lost",
            [Bar("this, power cut, most", figures[losses.OURS[1]], ours=True), *killed],
        ),
        Panel(
            "CPU seconds after the encoder, for 20 s at 9.3 Mbit/s",
            [
                Bar("this: signed, hashed, encrypted, synced", figures[cpu], ours=True),
                Bar("ffmpeg -c copy + sha256sum + age", figures[chain]),
                Bar("SHA-256 twice + ChaCha20-Poly1305, bare", figures[bare]),
            ],
        ),
    ]
