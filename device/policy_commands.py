"""`bodycam policy …`: check, show and compare policy documents. A FILE may be the name of a shipped profile."""

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from device.errors import UsageError
from device.policy.differences import differences
from device.policy.document import MAX_DOCUMENT_BYTES, DocumentError
from device.policy.model import Policy, parse_policy
from device.policy.pages import BUILT, Line, Section, page
from device.policy.schema import policy_schema
from device.policy.signals import signals_for_people
from device.terminal import print_json

AddCommand = Callable[..., argparse.ArgumentParser]
WHERE_FROM = "Where it comes from"
WAY_OUT = "`bodycam policy schema` lists the keys and their limits"


class Document(msgspec.Struct, frozen=True):
    """A policy that was read, under the name that the person gave."""

    file: str
    sha256: str
    policy: Policy


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
    print(_safe(f"{file}: good: {said}; {settled}"))
    return 0


def show_policy(file: str, *, as_json: bool) -> int:
    document = read_document(file)
    sections = page(document.policy, signals_for_people())
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
    for difference in found:
        if difference not in sources:
            print(_safe(difference.text))
    if sources:
        print("\nWhere it comes from:")
    for difference in sources:
        print(_safe(difference.text))
    if not found:
        print("no difference")
    return 0


def print_schema() -> int:
    print_json(policy_schema())
    return 0


def read_document(file: str) -> Document:
    content = _content(file)
    try:
        policy = parse_policy(content)
    except DocumentError as failure:
        raise UsageError(_safe(f"{file}: {failure}; {WAY_OUT}")) from failure
    return Document(file, hashlib.sha256(content).hexdigest(), policy)


def shipped_profiles() -> dict[str, bytes]:
    """The profiles that come with the product, by name."""
    folder = resources.files("device.policy") / "profiles"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    return {file.name.removesuffix(".toml"): file.read_bytes() for file in files}


def _content(file: str) -> bytes:
    """At most one byte more than a policy may have, so that a longer one is refused for its length."""
    path = Path(file)
    if not path.is_file():
        shipped = shipped_profiles()
        if file in shipped:
            return shipped[file]
        there = "not a file" if path.exists() else "no such file, and no profile that is shipped"
        raise UsageError(_safe(f"{file}: {there}; name a policy's file, or one of: {', '.join(shipped)}"))
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as failure:
        raise UsageError(_safe(f"{file}: {failure.strerror}; make it readable, or name another")) from failure


def _show_on_terminal(sections: Sequence[Section]) -> None:
    console = Console()
    numbers = _numbered(sections)
    for section in sections:
        console.print(Text(f"\n{_safe(section.title)}", style="bold"))
        table = Table.grid(padding=(0, 1))
        for line in section.lines:
            table.add_row("•", Text.assemble(_safe(line.text), (_mark(line, numbers), "dim")))
        console.print(table)
    if numbers:
        console.print(Text(f"\n{WHERE_FROM}", style="bold"))
    for source, number in numbers.items():
        console.print(Text(f"[{number}] {_safe(source)}", style="dim"))


def _show_plainly(sections: Sequence[Section]) -> None:
    numbers = _numbered(sections)
    for section in sections:
        print(f"\n{_safe(section.title)}")
        for line in section.lines:
            print(_safe(f"- {line.text}{_mark(line, numbers)}"))
    if numbers:
        print(f"\n{WHERE_FROM}")
    for source, number in numbers.items():
        print(_safe(f"[{number}] {source}"))


def _numbered(sections: Sequence[Section]) -> dict[str, int]:
    """The sources in the order in which they are named first, from 1."""
    named = dict.fromkeys(
        line.source for section in sections for line in section.lines if line.source not in ("", BUILT)
    )
    return {source: number for number, source in enumerate(named, 1)}


def _mark(line: Line, numbers: dict[str, int]) -> str:
    return f" [{numbers[line.source]}]" if line.source in numbers else ""


def _safe(text: str) -> str:
    """On one line, and with nothing in it that a terminal obeys."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
