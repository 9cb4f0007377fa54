"""The page for a court: complete, escaped, written whole, and what it says can be checked with ordinary tools."""

import hashlib
import html.parser
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from device.evidence import layout
from device.evidence.reading import regular_size
from device.evidence.verdicts import CardVerdict
from device.evidence.verify import verify
from device.verify_page import tool_digest
from hw_sim.agency import Agency, Bench
from tests.benches import recordings, verified
from tests.cards import copy_of, record_card
from tests.commands import run

ROOT = Path(__file__).resolve().parents[1]
Captured = pytest.CaptureFixture[str]


class _Page(html.parser.HTMLParser):
    """Which elements it has, that they close, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return record_card(tmp_path_factory.mktemp("page") / "bench", Agency(), seconds=(1, 1))


def _page_of(bench: Bench, output: Path, *more: str) -> str:
    run("verify", str(bench.card), "--trust", str(bench.trust), "--report", str(output), *more)
    return output.read_text("utf-8")


def test_the_page_says_all_that_it_rests_on(recorded: Bench, tmp_path: Path) -> None:
    page = _Page(_page_of(recorded, tmp_path / "page.html", "--jobs", "2"))
    verdict: CardVerdict = verified(recorded)
    der = subprocess.run(
        ["openssl", "x509", "-in", str(recorded.trust), "-outform", "der"], check=True, capture_output=True
    ).stdout
    wanted = [
        "Verdict: intact. 2 of 2 recordings are intact.",
        hashlib.sha256(der).hexdigest(),
        "CN=Demo Agency CA",
        tool_digest(),
        f"bodycam verify {recorded.card} --trust {recorded.trust} --jobs 2 --report {tmp_path / 'page.html'}",
        "MATCHES: all",
        "CLOSED: closed (stopped) and journaled",
        "CLAIMED: claimed by the device, not anchored",
        "SEALED: sealed: no identity was given",
        "It does not mean that what the camera saw was true",
        "history not anchored",
    ]
    for said in wanted:
        assert said in page.text, said
    last_line = (recorded.card / layout.epoch_file("000000")).read_bytes().splitlines()[-1]
    assert hashlib.sha256(last_line).hexdigest() in page.text
    for folder, judged in zip(recordings(recorded), verdict.recordings, strict=True):
        assert judged.tree_root in page.text
        for path in folder.iterdir():
            assert hashlib.sha256(path.read_bytes()).hexdigest() in page.text, path.name
            assert path.name == layout.LEDGER or f"{regular_size(path):,}" in page.text


def test_the_page_needs_nothing_and_runs_nothing(recorded: Bench, tmp_path: Path) -> None:
    page = _page_of(recorded, tmp_path / "page.html")
    read = _Page(page)
    assert read.open == []
    assert not read.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "a"}
    assert not {name for name in read.attributes if name.startswith("on")} | (
        read.attributes & {"src", "href", "style"}
    )
    assert not re.search(r"url\(|@import|https?:", page)
    assert page.startswith("<!DOCTYPE html>\n<html lang='en'>")
    assert "name='viewport'" in page


def test_what_is_altered_is_said_with_its_place_and_not_by_colour_alone(recorded: Bench, tmp_path: Path) -> None:
    bench = copy_of(recorded, tmp_path / "bench")
    folder = recordings(bench)[1]
    (folder / "000002.m4s.age").unlink()
    page = _page_of(bench, tmp_path / "page.html")
    text = _Page(page).text
    assert "Verdict: ALTERED. 1 of 2 recordings are intact." in text
    assert f"First bad second: recording {folder.name}, 2.0 s into it, 2026-09-21T" in text
    assert "ALTERED: 000002.m4s.age: the ledger names it; it is missing" in text
    assert "2.0 s into the recording; bears on content" in text
    assert "<div class='bad'>" in page
    assert ".bad { border-style: double;" in page


def test_what_comes_from_a_card_is_escaped(recorded: Bench, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "a <b>card & 'more'")
    shutil.copytree(recorded.root, bench.root)
    (bench.card / layout.EVIDENCE / "<script>alert(1)</script>".replace("/", "")).write_bytes(b"")
    (bench.card / "\x1b[31m\u202e").write_bytes(b"")
    page = _page_of(bench, tmp_path / "page.html")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;script&gt;" in page
    assert "a &lt;b&gt;card &amp; &#x27;more&#x27;" in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert _Page(page).open == []


def test_a_ledger_that_changes_after_it_was_judged_is_not_listed(
    recorded: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = copy_of(recorded, tmp_path / "bench")

    def and_change(*arguments: object, **named: object) -> CardVerdict:
        verdict = verify(*arguments, **named)  # type: ignore[arg-type]
        path = recordings(bench)[0] / layout.LEDGER
        path.write_bytes(path.read_bytes() + b"\n")
        return verdict

    monkeypatch.setattr("device.readers.verify", and_change)
    text = _Page(_page_of(bench, tmp_path / "page.html")).text
    assert "can't be listed: ledger.jsonl: it changed after it was verified" in text


def test_the_tools_digest_is_what_ordinary_tools_give(recorded: Bench, tmp_path: Path) -> None:
    """The command on the page, in the folder that holds `device`."""
    text = _Page(_page_of(recorded, tmp_path / "page.html")).text
    (command,) = re.findall(r"find device .*$", text, re.MULTILINE)
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.split()[0] == tool_digest()


# -- where it goes ------------------------------------------------------------------------------------------------------


def _refused(bench: Bench, output: Path, capsys: Captured, *more: str) -> str:
    assert run("verify", str(bench.card), "--trust", str(bench.trust), "--report", str(output), *more) == 2
    return capsys.readouterr().err


def test_a_page_overwrites_nothing_unasked(recorded: Bench, tmp_path: Path, capsys: Captured) -> None:
    output = tmp_path / "page.html"
    output.write_text("before")
    assert "it is there already; name another file, or give --force" in _refused(recorded, output, capsys)
    assert output.read_text() == "before"
    assert run("verify", str(recorded.card), "--trust", str(recorded.trust), "--report", str(output), "--force") == 0
    assert output.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_page_is_never_put_on_a_card_nor_over_what_was_read(
    recorded: Bench, tmp_path: Path, capsys: Captured, force: tuple[str, ...]
) -> None:
    bench = copy_of(recorded, tmp_path / "bench")
    on_card = bench.card / layout.EVIDENCE / "page.html"
    assert "that is on a card" in _refused(bench, on_card, capsys, *force)
    assert not on_card.exists()
    anchor = bench.trust.read_bytes()
    assert "which the command reads" in _refused(bench, bench.trust, capsys, *force)
    assert bench.trust.read_bytes() == anchor


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "no folder"])
def test_a_place_that_is_no_file_gives_2_before_anything_is_verified(
    recorded: Bench, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("device.readers.verify", None)
    output = tmp_path / "page.html"
    makers: dict[str, Callable[[], None]] = {
        "folder": output.mkdir,
        "link": lambda: output.symlink_to(tmp_path / "elsewhere"),
        "pipe": lambda: os.mkfifo(output),
        "no folder": lambda: None,
    }
    makers[kind]()
    target = output / "page.html" if kind == "no folder" else output
    said = _refused(recorded, target, capsys, "--force")
    assert said.startswith("bodycam: --report ")
    assert not (tmp_path / "elsewhere").exists()


def test_a_page_beside_the_json_for_programs(recorded: Bench, tmp_path: Path) -> None:
    page = "--report", str(tmp_path / "page.html")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "device.cli",
            "verify",
            str(recorded.card),
            "--trust",
            str(recorded.trust),
            "--json",
            *page,
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("[")
    assert (tmp_path / "page.html").stat().st_size > 5000
