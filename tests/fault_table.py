"""The table of docs/faults.md: every part and every word, what the twin does and what the device does about it."""

from hw_sim.fault_commands import usage
from hw_sim.faults import FAULTS, NOT_SUCH, PARTS, WORDS
from tests.fault_rows import PROCESS, ROWS
from tests.fault_story import Row

HEAD = (
    "fault",
    "what the twin does",
    "what the device does",
    "journal",
    "cues",
    "status",
    "over",
    "missing",
    "verdict",
    "beside that",
)


def table() -> str:
    """The page's table: every cell of the matrix, in the order of the parts."""
    rows = {f"{row.part} {row.word}": _cells(row) for row in ROWS}
    faults = {f"{fault.part} {fault.word}": fault for fault in FAULTS}
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for cell in (f"{part} {word}" for part in PARTS for word in WORDS):
        if cell in faults:
            told = rows[cell] if cell in rows else (PROCESS[cell], *["–"] * 7)
            cells = (f"`{usage(faults[cell])}`", faults[cell].does, *told)
        else:
            part, word = cell.split()
            cells = (cell, f"– ({NOT_SUCH[part, word]})", *[""] * 8)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    seen = row.seen
    verdicts = ", ".join(verdict.partition(": ")[2] for verdict in seen.recordings)
    return (
        row.does,
        ", ".join(seen.journal) or "–",
        ", ".join(seen.cues) or "–",
        ", ".join(seen.status) or "–",
        seen.over or "–",
        ", ".join(seen.missing) or "–",
        verdicts,
        "; ".join(seen.facts) or "–",
    )
