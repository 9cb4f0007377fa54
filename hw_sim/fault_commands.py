"""`bodycam-sim fault`: the table of faults, and one of them put into a bench that runs."""

import argparse
import sys

import msgspec

from device.errors import UsageError
from hw_sim.bench_socket import say
from hw_sim.faults import FAULTS, NOT_SUCH, PARTS, WORDS, Injection


def run_fault(options: argparse.Namespace) -> int:
    if options.list == bool(options.words):
        raise UsageError("say --list, or --bench DIR PART WORD [ARGUMENT]")
    if options.list:
        print(as_json() if options.json else as_text())
        return 0
    if options.bench is None:
        raise UsageError("--bench: the folder of a bench that runs is wanted")
    said = say(options.bench, " ".join(["fault", *options.words]))
    if said:
        print(f"bodycam-sim: {said}", file=sys.stderr)
    return UsageError.exit_status if said else 0


def as_text() -> str:
    width = max(len(usage(fault)) for fault in FAULTS)
    lines = [f"{usage(fault).ljust(width)}  {fault.does}" for fault in FAULTS]
    lines += [f"{f'{part} {word}'.ljust(width)}  (none: {why})" for (part, word), why in NOT_SUCH.items()]
    order = {f"{part} {word}": n for n, (part, word) in enumerate((part, word) for part in PARTS for word in WORDS)}
    return "\n".join(sorted(lines, key=lambda line: order[" ".join(line.split()[:2])]))


def as_json() -> str:
    """One object: `faults`, and `none` for the cells without one."""
    faults = [
        {
            "part": fault.part,
            "word": fault.word,
            "does": fault.does,
            "argument": fault.argument,
            "default": fault.default,
            "real_only": fault.real_only,
        }
        for fault in FAULTS
    ]
    none = [{"part": part, "word": word, "why": why} for (part, word), why in NOT_SUCH.items()]
    return msgspec.json.format(msgspec.json.encode({"faults": faults, "none": none})).decode()


def usage(fault: Injection) -> str:
    """As it is said behind `fault`."""
    return f"{fault.part} {fault.word}" + (f" [{fault.argument}]" if fault.argument else "")
