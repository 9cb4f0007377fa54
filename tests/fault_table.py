"""The table of docs/faults.md: every part and every word, what the twin does and what the device does about it."""

from hw_sim.fault_commands import usage
from hw_sim.faults import FAULTS, NOT_SUCH, PARTS, WORDS
from tests.fault_rows import PROCESS, ROWS
from tests.fault_story import Row
from tests.process_story import ProcessRow

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
    rows |= {f"process {row.word}": _process_cells(row) for row in PROCESS}
    faults = {f"{fault.part} {fault.word}": fault for fault in FAULTS}
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for cell in (f"{part} {word}" for part in PARTS for word in WORDS):
        if cell in faults:
            cells = (f"`{usage(faults[cell])}`", faults[cell].does, *rows[cell])
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


def _process_cells(row: ProcessRow) -> tuple[str, ...]:
    seen = row.seen
    ends = f"the daemon ends with {', then with '.join(seen.ends)}"
    lane = f"; with systemd: `{row.lane}` in tests/lanes/test_service.py" if row.lane else ""
    missing = "camera" if seen.missing else "–"
    return (row.does, "–", "–", "–", "–", missing, ", ".join(seen.recordings), ends + lane)
