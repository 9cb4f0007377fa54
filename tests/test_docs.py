"""The documentation is true: commands exist, links lead somewhere, made parts are fresh, pages that show a way work."""

import argparse
import json
import re
import shlex
import shutil
import subprocess
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
import pytest

import device.cli
import hw_sim.cli
from device.evidence import records
from device.evidence.envelope import open_line
from device.evidence.records import Record
from device.policy import commands as do
from device.policy import inputs as on
from docs import refresh
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench, recordings, verified
from tests.commands import run
from tests.stores import Store

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, ROOT / "hw_sim" / "README.md", *sorted(DOCS.rglob("*.md"))]
PARSERS = {"bodycam": device.cli._parser, "bodycam-sim": hw_sim.cli._parser}
BY_HAND = ("bash", "openssl", "jq", "age", "sha256sum", "basenc", "ffmpeg")

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def text_of(page: Path) -> str:
    return page.read_text("utf-8")


def blocks(text: str, kind: str) -> list[str]:
    return [match[2] for match in _BLOCK.finditer(text) if match[1] == kind]


def anchor(heading: str) -> str:
    """A heading's address, as the usual renderers make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# -- links and made parts -------------------------------------------------------------------------------------------


def test_every_relative_link_leads_somewhere() -> None:
    checked = 0
    for page in PAGES:
        for link in _LINK.findall(_BLOCK.sub("", text_of(page))):
            if "://" in link:
                continue
            name, _, part = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            assert target.exists(), f"{page.relative_to(ROOT)}: {link}"
            if part:
                assert part in map(anchor, _HEADING.findall(text_of(target))), f"{page.relative_to(ROOT)}: {link}"
            checked += 1
    assert checked > 100


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = {README}, [README]
    while waiting:
        page = waiting.pop()
        for link in _LINK.findall(text_of(page)):
            target = (page.parent / link.partition("#")[0]).resolve()
            if "://" not in link and target.suffix == ".md" and target not in reached:
                reached.add(target)
                waiting.append(target)
    assert set(PAGES) - reached == set()


def test_what_is_made_from_the_code_is_fresh() -> None:
    made = refresh.made()
    found = {name: text for page in PAGES for name, text in refresh.parts(page).items()}
    for name, make in made.items():
        assert found.pop(name) == make(), f"{name} is stale: run `python -m docs.refresh`"
    assert {name for name in found if not name.startswith("record-")} == set()


def test_pages_need_nothing_from_elsewhere() -> None:
    for page in PAGES:
        loaded = re.findall(
            r"!\[[^\]]*\]\((\w+://[^)]*)\)|<(?:img|script|link|iframe)\b[^>]*(?:src|href)=.(\w+://)", text_of(page)
        )
        assert not loaded, page


def test_the_house_names_every_module() -> None:
    """The tour lists what is in the tree, and nothing else."""
    house = blocks(text_of(DOCS / "architecture.md"), "text")[0]
    named = set(re.findall(r"\b(\w+\.py)\b", house)) - {"benches.py", "refresh.py"}
    assert named == {path.name for path in (ROOT / "device").rglob("*.py")} - {"__init__.py"}


# -- the evidence format --------------------------------------------------------------------------------------------

FORMAT = DOCS / "evidence-format.md"


def sections(text: str) -> dict[str, str]:
    """What stands under each heading of the form ### `name`."""
    parts = re.split(r"^#{2,3} +(.*)$", text, flags=re.MULTILINE)
    return {heading.strip("`"): body for heading, body in zip(parts[1::2], parts[2::2], strict=True)}


def first_column(section: str) -> list[str]:
    """The backticked names in the first table's first column."""
    table = section[section.index("| field |") :].split("\n\n", maxsplit=1)[0] if "| field |" in section else ""
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def structs_in(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """Every structure that a type is made of, itself included."""
    if get_origin(kind) in (Annotated, Union, types.UnionType, tuple, dict, list):
        for part in get_args(kind):
            yield from structs_in(part)
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from structs_in(field.type)


def own_fields(kind: type[msgspec.Struct], *bases: type[msgspec.Struct]) -> list[str]:
    inherited = {
        name for base in bases if issubclass(kind, base) and kind is not base for name in base.__struct_fields__
    }
    return [name for name in kind.__struct_fields__ if name not in inherited]


def tag(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)


RECORDS = sorted({*get_args(records.LedgerRecord), *get_args(records.JournalRecord), records.Provisioned}, key=tag)
SAID = (*get_args(on.Input), *get_args(do.Command))


def test_every_record_type_and_every_field_is_on_the_page() -> None:
    page = sections(text_of(FORMAT))
    every = {kind for record in RECORDS for kind in structs_in(record)} - set(SAID)
    assert len(every) > 35
    for kind in every:
        name = tag(kind) if kind in RECORDS else kind.__name__
        assert name in page, f"{name} has no heading"
        assert first_column(page[name]) == own_fields(kind, Record), name
    assert first_column(page["Record"]) == own_fields(Record)


@pytest.mark.parametrize(
    ("heading", "union", "base"), [("Inputs", on.Input, on.InputBase), ("Commands", do.Command, do.CommandBase)]
)
def test_every_input_and_command_is_on_the_page(heading: str, union: Any, base: type[msgspec.Struct]) -> None:
    rows = re.findall(
        r"^\| `([\w-]+)` \| ([^|]*) \|", sections(text_of(FORMAT))[heading].replace("| |", "|  |"), re.MULTILINE
    )
    said = {name: re.findall(r"`(\w+)`", fields) for name, fields in rows}
    assert said == {tag(kind): own_fields(kind, base) for kind in get_args(union)}


def test_every_record_type_has_an_example_that_the_reader_takes() -> None:
    parts = refresh.parts(FORMAT)
    assert set(parts) == {f"record-{tag(kind)}" for kind in RECORDS}
    for kind in RECORDS:
        (example,) = blocks(parts[f"record-{tag(kind)}"], "json")
        record = msgspec.json.decode(example, type=kind)
        assert isinstance(record, kind)


def test_the_twin_still_makes_every_record_type_that_the_page_shows() -> None:
    assert set(refresh.examples()) == {tag(kind) for kind in RECORDS}


# -- commands -------------------------------------------------------------------------------------------------------


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield command
                yield from parsers(command)


def command_lines(text: str) -> list[list[str]]:
    """The calls of our commands in a page's shell blocks: continued lines joined, pipes, redirections and `.venv/bin/` taken off."""
    found = []
    for block in [*blocks(text, "sh"), *blocks(text, "console")]:
        for line in block.replace("\\\n", " ").splitlines():
            for call in line.split(" > ", maxsplit=1)[0].split("|"):
                if re.match(r"\s*(\.venv/bin/)?bodycam(-sim)? ", call):
                    program, *arguments = shlex.split(call, comments=True)
                    found.append([Path(program).name, *arguments])
    return found


def test_the_commands_in_the_readme_exist() -> None:
    calls = command_lines(text_of(README))
    assert {(call[0], call[1]) for call in calls} >= {
        ("bodycam", "status"), ("bodycam", "verify"), ("bodycam", "export"),
        ("bodycam-sim", "demo"), ("bodycam-sim", "daemon"),
    }  # fmt: skip
    for program, *arguments in calls:
        PARSERS[program]().parse_args(arguments)


def test_the_commands_on_the_other_pages_exist() -> None:
    for page in PAGES[1:]:
        for program, *arguments in command_lines(text_of(page)):
            PARSERS[program]().parse_args(arguments)


def test_every_command_of_the_readers_is_in_the_readme() -> None:
    named = command_lines(text_of(README))
    for make in PARSERS.values():
        for command in parsers(make()):
            words = command.prog.split()
            assert words == ["bodycam", "daemon"] or any(call[: len(words)] == words for call in named), words


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        name
        for page in PAGES
        for name in re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)", text_of(page), re.MULTILINE)
        for name in name
        if name
    }
    assert named >= {"demo", "test", "check", "format", "bench", "power-cuts", "clean"}
    assert named <= targets


def test_every_help_text_has_an_example_that_parses() -> None:
    checked = 0
    for program, make in PARSERS.items():
        for parser in parsers(make()):
            said = re.search(r"example: (.*)", (parser.epilog or ""), re.DOTALL)
            assert said, f"{parser.prog}: no example in its help"
            call = shlex.split(said[1].split("|")[-1].split(" > ")[0])
            assert call[0] == program, call
            make().parse_args(call[1:])
            checked += 1
    assert checked >= 6


# -- by hand --------------------------------------------------------------------------------------------------------

HAND_PAGE = DOCS / "verify-by-hand.md"


def hand_script(page: Path = HAND_PAGE) -> str:
    """The page's blocks in order, each told by its step's number on standard error as it begins."""
    script, step, inside = [], "0", False
    for line in text_of(page).splitlines():
        heading = re.match(r"## (\d+)\. ", line)
        if line == "```sh":
            inside = True
            script.append(f"echo 'step {step}' >&2")
        elif line == "```":
            inside = False
        elif inside:
            script.append(line)
        elif heading:
            step = heading[1]
    return "\n".join(script) + "\n"


def run_by_hand(folder: Path) -> tuple[int, str]:
    """Exit status of the whole page, and the step that it came to."""
    script = folder / "page.sh"
    script.write_text(hand_script(), "utf-8")
    tools = {str(Path(found).parent) for tool in (*BY_HAND, "grep") if (found := shutil.which(tool))}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", script.name],
        cwd=folder, env={"PATH": ":".join(sorted(tools)), "LC_ALL": "C.UTF-8"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    steps = re.findall(r"^step (\d+)$", done.stderr, re.MULTILINE)
    return done.returncode, f"step {steps[-1]}"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Three recordings: one closed, one that a power cut ended, one after the recovery."""
    agency = Agency()
    bench = make_bench(tmp_path_factory.mktemp("by-hand") / "bench", agency=agency, pre_event_s=1, post_event_s=1)
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.double()
    device.press("function")
    device.confirmed_stop()
    device.until_idle()
    device.double()
    device.run(2.2)
    device.cut()
    device.boot()
    device.run(2)
    store = Store(agency, bench.card)
    for folder in recordings(bench):
        store.give(folder.name)
    device.run(5)
    device.stop()
    assert [r.answers.extent for r in verified(bench).recordings] == ["closed", "power-loss"]
    (bench.root / "export").mkdir()
    _exported(bench, "recording")
    _exported(bench, "part", "--from", "+1.2", "--to", "+2.5")
    return bench


def _exported(bench: Bench, name: str, *more: str) -> None:
    who = ("--export-key", str(bench.export_key), "--export-certificate", str(bench.export_certificate))
    why = ("--recipient", "court", "--reason", "case 1", "--report-filed", "2026-09-21T16:00Z")
    keys = ("--identity", str(bench.footage_identity), "--trust", str(bench.trust))
    output = ("-o", str(bench.root / "export" / f"{name}.mp4"))
    assert run("export", str(recordings(bench)[0]), *keys, *who, *why, *output, *more) == 0


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.tools(*BY_HAND)
def test_the_page_by_hand_holds_for_good_evidence(evidence: Bench, tmp_path: Path) -> None:
    shutil.copytree(evidence.root, tmp_path / "bench")
    assert run_by_hand(tmp_path / "bench") == (0, "step 12")


def other_proof(path: Path) -> None:
    """A hash in the first proof becomes another."""
    data = path.read_bytes()
    at = data.index(b'["') + 2
    path.write_bytes(data[:at] + (b"0" if data[at : at + 1] != b"0" else b"1") + data[at + 1 :])


def flip_in_last_line(path: Path) -> None:
    """One bit of the last line's payload, which stays base64."""
    flip(path, path.read_bytes().rindex(b'{"payload":"') + 400)


def _swap_receipts(bench: Bench) -> None:
    one, two = sorted((bench.card / "receipts").iterdir())
    one.write_bytes(two.read_bytes())


def alter(bench: Bench, what: str) -> None:
    """Do to a bench's evidence what a test says."""
    first, cut = recordings(bench)
    files = bench.root / "export"
    opened = json.loads(open_line((first / "ledger.jsonl").read_bytes().splitlines()[0]).payload)
    alterations: dict[str, Callable[[], object]] = {
        "another agency's CA": lambda: bench.trust.write_bytes(Agency().ca_pem()),
        "the certificate": lambda: flip(bench.card / "identity" / f"{opened['certificate_sha256']}.der", 100),
        "a line of the ledger": lambda: flip_in_last_line(first / "ledger.jsonl"),
        "a line of the journal": lambda: flip_in_last_line(bench.card / "journal" / "000000.jsonl"),
        "the policy": lambda: flip(bench.card / "policy" / f"{opened['policy']['sha256']}.toml", 3),
        "the agency's bundle": lambda: flip(next((bench.card / "policy").glob("*.bundle")), 3000),
        "a segment": lambda: flip(first / "000001.m4s.age", -1),
        "a segment added": lambda: shutil.copy(first / "000001.m4s.age", first / "000099.m4s.age"),
        "another agency's key": lambda: bench.footage_identity.write_text(str(Agency().footage), "ascii"),
        "the recovery's line": lambda: flip_in_last_line(cut / "recovery-0.jsonl"),
        "a segment of the cut recording": lambda: flip(cut / "000000.m4s.age", -1),
        "a receipt": lambda: flip(min((bench.card / "receipts").iterdir()), 400),
        "a receipt of another recording": lambda: _swap_receipts(bench),
        "a byte of the exported pictures": lambda: flip(files / "recording.mp4", 4000),
        "a line in the exported box": lambda: flip_in_last_line(files / "recording.mp4"),
        "the part's pictures": lambda: flip(files / "part.mp4", 4000),
        "the part's proofs": lambda: other_proof(files / "part.mp4"),
        "the access record": lambda: flip(files / "recording.mp4.access.jsonl", 700),
    }
    alterations[what]()


@pytest.mark.tools(*BY_HAND)
@pytest.mark.parametrize(
    ("what", "step"),
    [
        ("another agency's CA", "step 1"),
        ("the certificate", "step 1"),
        ("a line of the ledger", "step 2"),
        ("a line of the journal", "step 3"),
        ("the policy", "step 3"),
        ("the agency's bundle", "step 3"),
        ("a segment", "step 4"),
        ("a segment added", "step 4"),
        ("another agency's key", "step 5"),
        ("the recovery's line", "step 8"),
        ("a segment of the cut recording", "step 8"),
        ("a receipt", "step 9"),
        ("a receipt of another recording", "step 9"),
        ("a byte of the exported pictures", "step 10"),
        ("a line in the exported box", "step 10"),
        ("the part's pictures", "step 11"),
        ("the part's proofs", "step 11"),
        ("the access record", "step 12"),
    ],
)
def test_one_alteration_fails_in_the_right_step(evidence: Bench, tmp_path: Path, what: str, step: str) -> None:
    bench = Bench(tmp_path / "bench")
    shutil.copytree(evidence.root, bench.root)
    alter(bench, what)
    status, came_to = run_by_hand(bench.root)
    assert status != 0
    assert came_to == step
