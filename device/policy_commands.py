"""`bodycam policy …`: check, show and compare policy documents. A FILE may be the name of a shipped profile."""

import argparse
import sys
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from device.policy.differences import KINDS, differences
from device.policy.pages import BUILT, Line, Section, page
from device.policy.schema import policy_schema
from device.policy_files import read_document
from device.terminal import print_json, safe

AddCommand = Callable[..., argparse.ArgumentParser]
WHERE_FROM = "Where it comes from"


def add_policy_commands(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add: AddCommand
) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
    """`policy` and its commands, each added by `add(commands, name, what, example, run)`. Returns where more may go."""
    what = "check, show, compare and sign policies; explain what one decided"
    example = "example: bodycam policy show boston-school-unit"
    parser: argparse.ArgumentParser = commands.add_parser("policy", help=what, description=what, epilog=example)
    policy = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    check = add(policy, "check", "is this a policy?", "example: bodycam policy check agency.toml", _check)
    check.add_argument("file", metavar="FILE", help="a policy, or the name of a shipped profile")
    check.add_argument("--json", action="store_true", help="for programs")

    show = add(
        policy, "show", "a policy as a page that people read", "example: bodycam policy show boston-school-unit", _show
    )
    show.add_argument("file", metavar="FILE", help="a policy, or the name of a shipped profile")
    show.add_argument("--json", action="store_true", help="for programs")

    diff = add(
        policy, "diff", "what changes from one policy to another, in words",
        "example: bodycam policy diff aclu-model agency.toml", _diff,
    )  # fmt: skip
    diff.add_argument("before", metavar="A", help="a policy, or the name of a shipped profile")
    diff.add_argument("after", metavar="B", help="a policy, or the name of a shipped profile")
    diff.add_argument("--json", action="store_true", help="for programs")

    add(
        policy, "schema", "the JSON Schema of a policy, for editors", "example: bodycam policy schema > s.json", _schema
    )
    return policy


def _check(options: argparse.Namespace) -> int:
    return check_policy(options.file, as_json=options.json)


def _show(options: argparse.Namespace) -> int:
    return show_policy(options.file, as_json=options.json)


def _diff(options: argparse.Namespace) -> int:
    return compare_policies(options.before, options.after, as_json=options.json)


def _schema(_: argparse.Namespace) -> int:
    return print_schema()


def check_policy(file: str, *, as_json: bool) -> int:
    document = read_document(file)
    policy = document.policy
    facts = {
        "file": file,
        "policy": policy.id,
        "version": policy.version,
        "sha256": document.sha256,
        "enabled": policy.activation.enabled,
        "zones": list(policy.zones),
        "conflicts": len(policy.conflicts),
        "not_opened": len(policy.not_opened),
    }
    if as_json:
        print_json(facts)
        return 0
    said = f"{policy.id}, version {policy.version}; zones {', '.join(policy.zones)}"
    settled = f"conflicts settled: {len(policy.conflicts)}, sources not read: {len(policy.not_opened)}"
    print(safe(f"{file}: good: {said}; {settled}"))
    return 0


def show_policy(file: str, *, as_json: bool) -> int:
    document = read_document(file)
    sections = page(document.policy)
    if as_json:
        policy = document.policy
        print_json({"policy": policy.id, "version": policy.version, "sha256": document.sha256, "sections": sections})
    elif sys.stdout.isatty():
        _show_on_terminal(sections)
    else:
        _show_plainly(sections)
    return 0


def compare_policies(before: str, after: str, *, as_json: bool) -> int:
    found = differences(read_document(before).policy, read_document(after).policy)
    if as_json:
        print_json(found)
        return 0
    sources = [difference for difference in found if difference.key.endswith(".source")]
    entries = tuple(f"{each.key}." for each in found if each.key.count(".") == 1 and each.key.split(".")[0] in KINDS)
    for difference in found:
        if difference not in sources:
            print(("  " if difference.key.startswith(entries) else "") + safe(difference.text))
    if sources:
        print("\nWhere it comes from:")
    for difference in sources:
        print(safe(difference.text))
    if not found:
        print("no difference")
    return 0


def print_schema() -> int:
    print_json(policy_schema())
    return 0


def _show_on_terminal(sections: Sequence[Section]) -> None:
    console = Console()
    numbers = _numbered(sections)

    def show(section: Section) -> None:
        console.print(Text(f"\n{safe(section.title)}", style="bold"))
        table = Table.grid(padding=(0, 1))
        for line in section.lines:
            table.add_row("•", Text.assemble(safe(line.text), (_mark(line, numbers), "dim")))
        console.print(table)

    for section in sections:
        if not section.annex:
            show(section)
    if numbers:
        console.print(Text(f"\n{WHERE_FROM}", style="bold"))
    for source, number in numbers.items():
        console.print(Text(f"[{number}] {safe(source)}", style="dim"))
    for section in sections:
        if section.annex:
            show(section)


def _show_plainly(sections: Sequence[Section]) -> None:
    numbers = _numbered(sections)

    def show(section: Section) -> None:
        print(f"\n{safe(section.title)}")
        for line in section.lines:
            print(safe(f"- {line.text}{_mark(line, numbers)}"))

    for section in sections:
        if not section.annex:
            show(section)
    if numbers:
        print(f"\n{WHERE_FROM}")
    for source, number in numbers.items():
        print(safe(f"[{number}] {source}"))
    for section in sections:
        if section.annex:
            show(section)


def _numbered(sections: Sequence[Section]) -> dict[str, int]:
    """The sources in the order in which they are named first, from 1."""
    named = dict.fromkeys(
        line.source for section in sections for line in section.lines if line.source not in ("", BUILT)
    )
    return {source: number for number, source in enumerate(named, 1)}


def _mark(line: Line, numbers: dict[str, int]) -> str:
    return f" [{numbers[line.source]}]" if line.source in numbers else ""
