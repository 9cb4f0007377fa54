"""`bodycam selftest`, and what the twin's command shares with it: the person at the terminal, the table."""

import argparse
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from device.clock import Crew, pause
from device.hardware import Hardware
from device.selftest import Person, Result, self_test
from device.selftest_machine import Machine
from device.terminal import Output, print_json, safe

_COLOURS = {"pass": "green", "fail": "red", "warning": "yellow", "skipped": "yellow"}


def run_self_test(
    options: argparse.Namespace, hardware: Hardware, machine: Callable[[Path], Machine], heard: Callable[[str], None]
) -> int:
    """Test, and show what was found; the exit status. `heard` is given each line that is typed."""
    person = None if options.no_hands else Person(_say, deque(maxlen=16))
    if person is not None:
        listening = (sys.stdin, person.typed, heard)
        threading.Thread(target=_listen, args=listening, name="lines", daemon=True).start()
    clock = hardware.clock
    result = self_test(options.config, hardware, machine, person, lambda delay_us: pause(clock, delay_us), Crew(clock))
    if options.json:
        print_json(result)
    else:
        show(result)
    return result.exit_status


def show(result: Result) -> None:
    table = Table("part", "result", "what was seen")
    for part in result.parts:
        colour = _COLOURS[part.result]
        seen = f"{part.detail}; {part.way_out}" if part.way_out else part.detail
        table.add_row(part.part, f"[{colour}]{part.result}[/{colour}]", escape(safe(seen)))
    output = Output()
    output.print(table)
    failed = [part.part for part in result.parts if part.result == "fail"]
    warned = [part.part for part in result.parts if part.result == "warning"]
    if warned:
        output.print(f"look at: {', '.join(warned)}")
    output.print(f"{result.device}: " + (f"failed: {', '.join(failed)}" if failed else "nothing failed"))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _listen(lines: Iterable[str], typed: deque[str], heard: Callable[[str], None]) -> None:
    """On a thread that ends with the process."""
    for line in lines:
        typed.append(line)
        heard(line)
