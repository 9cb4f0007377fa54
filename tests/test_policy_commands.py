"""`bodycam policy check, show, diff, schema`: what a person and a program get, and what a bad file is answered with."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from device import policy_commands
from device.errors import UsageError
from device.policy.document import MAX_DOCUMENT_BYTES
from device.policy.schema import policy_schema
from tests.documents import NAMES, changed, content, text, toml

ESCAPE = "\x1b[31mred"


def run(*arguments: str) -> int:
    """The command line's parser with these commands only."""
    parser = argparse.ArgumentParser(prog="bodycam")

    def add(
        commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
        name: str,
        what: str,
        example: str,
        run: Callable[[argparse.Namespace], int],
    ) -> argparse.ArgumentParser:
        assert example.startswith(f"example: bodycam policy {name}")
        command = commands.add_parser(name, help=what, epilog=example)
        command.set_defaults(run=run)
        return command

    policy_commands.add_policy_commands(parser.add_subparsers(), add)
    options = parser.parse_args(["policy", *arguments])
    status: int = options.run(options)
    return status


def refused(*arguments: str) -> str:
    with pytest.raises(UsageError) as raised:
        run(*arguments)
    assert raised.value.exit_status == 2
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture
def agency(tmp_path: Path) -> Path:
    """A policy of an agency's own, in a file."""
    file = tmp_path / "agency.toml"
    file.write_bytes(toml(changed(content("aclu-model"), ("stop", "confirm_s"), 7)))
    return file


# -- check --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_check_says_good_of_every_shipped_profile_by_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", name) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{name}: good: {name}, version 1; zones street, school, private; ")
    assert said.count("\n") == 1


def test_check_reads_a_file_and_says_it_to_programs(agency: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", str(agency), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["file"], said["policy"], said["version"], said["enabled"]) == (str(agency), "aclu-model", 1, True)
    assert said["zones"] == ["street", "school", "private"]
    assert (said["conflicts"], said["not_opened"], len(said["sha256"])) == (
        len(content("aclu-model")["conflicts"]),
        4,
        64,
    )


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (text("dc").replace("confirm_s = 5", "confirm_s = 1"), "stop.confirm_s is 1: must be 2 to 30"),
        (text("dc").replace("confirm_s = 5", "confirm = 5"), "stop.confirm: no such key (did you mean confirm_s?)"),
        (text("dc") + "= =", "not TOML: "),
        ("x" * 3000, "line 1: it has more than 2000 bytes; break it"),
        ("#\n" * MAX_DOCUMENT_BYTES, f"more than {MAX_DOCUMENT_BYTES} bytes; make it"),
        ("", "id: missing; it must be given"),
    ],
    ids=["bound", "key", "syntax", "line", "length", "empty"],
)
def test_a_bad_file_is_answered_in_one_line_with_key_value_limit_and_way_out(
    tmp_path: Path, document: str, said: str
) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(document)
    for command in (("check", str(file)), ("show", str(file)), ("diff", "dc", str(file)), ("diff", str(file), "dc")):
        message = refused(*command)
        assert message.startswith(f"{file}: {said}")
        assert message.endswith("; `bodycam policy schema` lists the keys and their limits")


def test_what_is_not_there_is_answered_with_the_names_that_are(tmp_path: Path) -> None:
    assert refused("check", "bostn") == (
        "bostn: no such file, and no profile that is shipped; name a policy's file, or one of: " + ", ".join(NAMES)
    )
    assert refused("show", str(tmp_path)).startswith(f"{tmp_path}: not a file; ")
    os.mkfifo(tmp_path / "pipe")
    assert refused("check", str(tmp_path / "pipe")).startswith(f"{tmp_path / 'pipe'}: not a file; ")
    assert refused("check", "../profiles/dc").startswith("../profiles/dc: no such file")


def test_a_file_that_cannot_be_read_is_answered(agency: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", fail)
    assert refused("check", str(agency)) == f"{agency}: Permission denied; make it readable, or name another"


def test_a_file_goes_before_a_shipped_profile_of_its_name(
    agency: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agency.rename(agency.parent / "dc")
    monkeypatch.chdir(agency.parent)
    assert run("check", "dc") == 0
    assert "aclu-model" in capsys.readouterr().out


# -- show ---------------------------------------------------------------------------------------------------------------


def test_show_is_plain_text_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "aclu-model") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "What refuses a start" in lines
    refused = next(line for line in lines if line.startswith("- School (school): a start is refused. The "))
    number = refused.rpartition(" ")[2]
    assert any(line.startswith(f"{number} A1; R13") for line in lines), "the number leads to the source"
    assert lines[1] == "In short"
    order = [lines.index(title) for title in ("Sources", "Where it comes from", "Annex: what the lights mean")]
    assert order == sorted(order)
    assert lines[order[1] - 2].startswith("- Field failure and a number: ")
    assert all(line.startswith("- ") or line == "" or line[0].isupper() or line[0] == "[" for line in lines)


def test_show_gives_programs_sections_lines_and_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "dc", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["policy"], said["version"]) == ("dc", 1)
    assert all(line.keys() == {"text", "source"} for section in said["sections"] for line in section["lines"])


def test_show_on_a_terminal_is_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert run("show", "aclu-model") == 0
    said = capsys.readouterr().out
    assert "\x1b[1m" in said
    assert "What refuses a start" in said
    assert "a start is refused" in said


# -- diff ---------------------------------------------------------------------------------------------------------------


def test_diff_says_in_words_what_changes(agency: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("diff", "aclu-model", str(agency)) == 0
    said = capsys.readouterr().out
    assert said.startswith("The time to confirm a stop was 5 s; now it is 7 s (R6: ACLU model act 1(b)(2)")
    assert said.count("\n") == 1
    assert run("diff", "aclu-model", "aclu-model") == 0
    assert capsys.readouterr().out == "no difference\n"


def test_diff_says_what_changes_before_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("diff", "first", "aclu-model") == 0
    rules, sources = capsys.readouterr().out.split("\n\nWhere it comes from:\n")
    assert all(line.startswith("The source of ") for line in sources.splitlines())
    assert "The source of " not in rules
    assert "In school a start was allowed; now it is denied, unless imminent-threat" in rules


def test_diff_gives_programs_keys_and_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("diff", "first", "aclu-model", "--json") == 0
    said = {difference["key"]: difference["text"] for difference in json.loads(capsys.readouterr().out)}
    assert said["zones.school.start"].startswith(
        "In school a start was allowed; now it is denied, unless imminent-threat"
    )


@pytest.mark.parametrize("way", ["new", "gone"])
def test_diff_tells_an_entry_whole_to_people_and_programs(
    way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = content("dc")
    file = tmp_path / "more.toml"
    file.write_bytes(toml(changed(document, ("zones", "gym"), document["zones"]["street"])))
    given = ("dc", str(file)) if way == "new" else (str(file), "dc")
    assert run("diff", *given) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith(f"The zone gym is {way}: ")
    assert len(rest) == len(document["zones"]["street"]) - 2
    assert all(line.startswith("  ") for line in rest)
    assert run("diff", *given, "--json") == 0
    keys = [difference["key"] for difference in json.loads(capsys.readouterr().out)]
    assert keys[0] == "zones.gym"
    assert {f"zones.gym.{key}" for key in document["zones"]["street"]} - set(keys) == {
        "zones.gym.title",
        "zones.gym.source",
    }


# -- schema, and what a document may do to a terminal ---------------------------------------------------------------------


def test_schema_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema") == 0
    assert json.loads(capsys.readouterr().out) == policy_schema()


@pytest.mark.parametrize("tty", [False, True])
def test_what_a_document_says_moves_no_terminal_and_is_no_markup(
    *, tmp_path: Path, tty: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "odd.toml"
    document = changed(content("dc"), ("zones", "school", "title"), f"{ESCAPE} [bold]x[/] \u202e")
    file.write_bytes(toml(changed(document, ("stop", "source"), "[/nothing] \r\n")))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: tty)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "400")
    for command in (("check", str(file)), ("show", str(file)), ("diff", "dc", str(file))):
        assert run(*command) == 0
        said = capsys.readouterr().out
        assert "\x1b[31m" not in said
        assert "\u202e" not in said
        assert "\r" not in said
        if command[0] != "check":
            assert r"\x1b[31mred [bold]x[/] \u202e" in said
    file.write_bytes(toml(changed(content("dc"), ("stop", ESCAPE), 1)))
    assert ESCAPE not in refused("check", str(file))


def test_the_commands_need_neither_camera_nor_pins() -> None:
    code = (
        "import sys, device.policy_commands; "
        "print([m for m in ('gpiozero', 'cv2', 'numpy', 'av', 'cryptography', 'pyrage') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "[]\n"
