"""Commands that write a file: what they never replace. No device of this machine is ever named here."""

import os
import socket
from pathlib import Path

import pytest

from tests.commands import run


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """Files that a command is given to read. None is looked at before the output is."""
    files = {name: tmp_path / name for name in ("ca.pem", "key", "bundle")}
    for file in files.values():
        file.write_bytes(b"mine")
    return files


def given(command: str, inputs: dict[str, Path], output: Path, card: Path) -> list[str]:
    trust = ["--trust", str(inputs["ca.pem"])]
    if command == "export":
        exporter = ["--export-key", str(inputs["key"]), "--export-certificate", str(inputs["ca.pem"])]
        why = ["--recipient", "court", "--reason", "case 1"]
        return [
            "export",
            str(card),
            "--identity",
            str(inputs["key"]),
            *trust,
            *exporter,
            *why,
            "-o",
            str(output),
            "--force",
        ]
    context = ["--context-identity", str(inputs["key"]), "--policy", str(inputs["bundle"])]
    return ["report", str(card), *trust, *context, "--html", str(output), "--force"]


def listing(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((path.name, path.lstat().st_ino, path.lstat().st_mode) for path in folder.iterdir())


def refused(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    before = listing(folder)
    assert run(*arguments) == 2
    assert listing(folder) == before
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("command", ["export", "report"])
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "link", "dangling link", "link to a pipe"])
def test_nothing_special_is_replaced(
    command: str, kind: str, tmp_path: Path, inputs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output, other = tmp_path / "out", tmp_path / "other"
    match kind:
        case "pipe":
            os.mkfifo(output)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(output))
        case "folder":
            output.mkdir()
        case "link":
            other.write_bytes(b"mine")
            output.symlink_to(other)
        case "dangling link":
            output.symlink_to(other)
        case _:
            os.mkfifo(other)
            output.symlink_to(other)
    assert f"{output}: that is " in refused(given(command, inputs, output, tmp_path / "none"), tmp_path, capsys)


@pytest.mark.parametrize(
    ("command", "which"),
    [("export", "key"), ("export", "ca.pem"), ("report", "key"), ("report", "ca.pem"), ("report", "bundle")],
)
def test_no_input_is_replaced(
    command: str, which: str, tmp_path: Path, inputs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(given(command, inputs, inputs[which], tmp_path / "none"), tmp_path, capsys)
    assert "which the command reads; name another file" in said
