"""A rig's campaign goes on after a case that failed, says what it found, keeps what can show why, and ends when too much fails."""

import json
import signal
from pathlib import Path

import pytest

from tests.rigs.campaign import FAILED_AT_MOST, KEPT_AT_MOST, Campaign, TooLong, within


def make(keep: Path | None) -> Campaign:
    return Campaign("tries", 7, 2, keep, every=1)


def test_what_is_wrong_is_counted_told_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    campaign = make(tmp_path)
    campaign.found("try 1", [])
    campaign.found("try 2", [("lost", "a"), ("lost", "b"), ("late", "c")], lambda folder: (folder / "log").touch())
    folder = tmp_path / "tries-seed-7-try-2"
    assert sorted(path.name for path in folder.iterdir()) == ["log", "wrong.json"]
    assert json.loads((folder / "wrong.json").read_text("utf-8"))["wrong"] == [
        ["lost", "a"],
        ["lost", "b"],
        ["late", "c"],
    ]
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert f"kept: {folder}" in capsys.readouterr().out
    assert campaign.sum_up()["wrong"] == {"lost": 1, "late": 1}


def test_no_more_is_kept_than_there_is_room_for(tmp_path: Path) -> None:
    campaign = make(tmp_path)
    for n in range(KEPT_AT_MOST + 3):
        campaign.found(f"try {n}", [("lost", "")])
    assert len(list(tmp_path.iterdir())) == KEPT_AT_MOST
    assert campaign.wrong == {"lost": KEPT_AT_MOST + 3}


def test_nothing_is_kept_where_no_folder_is_named() -> None:
    campaign = make(None)
    campaign.found("try 1", [("lost", "")], lambda _: pytest.fail("nothing is to be kept"))
    assert campaign.wrong == {"lost": 1}


def test_a_case_that_fails_is_a_finding_until_too_many_do() -> None:
    campaign = make(None)
    for n in range(FAILED_AT_MOST):
        with campaign.case(f"try {n}"):
            raise OSError("gone")
    assert campaign.wrong == {"the case itself failed": FAILED_AT_MOST}
    with pytest.raises(OSError, match="gone"), campaign.case("one more"):
        raise OSError("gone")


def test_a_case_that_hangs_is_broken_off() -> None:
    with pytest.raises(TooLong), within(1):
        signal.pause()
    with within(50):
        pass
    assert signal.alarm(0) == 0, "no alarm is left"


def test_progress_and_the_last_line_say_what_was_counted(capsys: pytest.CaptureFixture[str]) -> None:
    campaign = make(None)
    for _ in range(2):
        campaign.counts["killed"] += 1
        campaign.one_done()
    campaign.sum_up()
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith("tries: 1 of 2, ")
    assert second.endswith(": 2 killed, nothing wrong")
    assert last.startswith("tries, seed 7: 2 of 2: 2 killed, nothing wrong; ")
