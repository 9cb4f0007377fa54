"""What a thief with the card reads: times and sizes, no officer, no place, no category, no reason."""

import logging
from pathlib import Path

import pytest

from device.evidence.envelope import open_line
from hw_sim.agency import Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench, policy_document, recordings

PRIVATE = (
    b"badge-4711", b"school-unit", b"day-shift", b'"officer-of-schools"', b"school", b"private", b"officer-discretion",
    b"imminent-threat", b"use-of-force", b"sensitive-information", b"person-request", b"zone-denies",
    b"unexplained", b"justify-or-exit", b"count-", b'"reasons"', b'"function"',
)  # fmt: skip


@pytest.fixture
def day(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> tuple[Bench, str]:
    """A shift with something of everything; what the daemon logged."""
    caplog.set_level(logging.DEBUG)
    bench = make_bench(tmp_path / "bench", audio=False)
    bench.assignment.write_text(
        'officer = "badge-4711"\nrole = "officer-of-schools"\nunit = "school-unit"\nshift = "day-shift"\n', "utf-8"
    )
    device = VirtualDevice(bench)
    device.boot()
    device.run(6)
    device.double()
    device.run(1)
    device.press("function")
    device.hold("function")
    device.zone("school")
    device.run(40)
    device.double()
    device.double("function")
    device.run(2)
    device.double()
    device.confirmed_stop()
    for _ in range(3):
        device.press("function")
    device.until_idle()
    device.run(12)
    device.zone("private")
    device.double()
    device.trigger("panic")
    device.run(2)
    device.confirmed_stop()
    device.until_idle()
    device.hold("function")
    device.sleep(True)
    device.run(3)
    device.stop()
    assert len(recordings(bench)) == 2
    return bench, caplog.text


def test_no_private_word_is_in_clear_on_the_card(day: tuple[Bench, str]) -> None:
    bench, _ = day
    lines = [
        line
        for folder in ("journal", "evidence")
        for path in (bench.card / folder).rglob("*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    payloads = [open_line(line).payload for line in lines]
    assert len(payloads) > 60
    found = {word for word in PRIVATE for payload in payloads if word in payload}
    assert found == set()


def test_no_private_word_is_in_the_log_or_the_status(day: tuple[Bench, str]) -> None:
    _, said = day
    assert "a start was refused" in said
    assert [word for word in PRIVATE if word.decode() in said] == []


def test_the_words_are_there_to_be_found() -> None:
    """They are those of the policy and of the assignment, so that a word that is renamed is not looked for in vain."""
    document = policy_document()
    for word in (b"school", b"private", b"officer-discretion", b"imminent-threat", b"use-of-force",
                 b"sensitive-information", b"person-request", b"unexplained"):  # fmt: skip
        assert word in document
