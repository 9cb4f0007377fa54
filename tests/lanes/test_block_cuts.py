"""The real daemon on a real ext4 whose device loses power, fails, fills and slows, and whose process is killed: E1 to E5 hold, what
was promised is there, and the reader says what is so. The rig's own controls, cards that do not keep what they promise, must fail.

CI takes a sample; `make block-cuts`, `make kills` and `make failing-calls` take more (docs/reliability.md has their figures).
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import _want
from tests.rigs.block_rig import COMMANDS, inside

pytestmark = pytest.mark.lane

SEED = os.environ.get("BODYCAM_SEED", "1")
CUTS = os.environ.get("BODYCAM_CUTS", "200")
KILLS = os.environ.get("BODYCAM_KILLS", "20")
REAL_KILLS = os.environ.get("BODYCAM_KILLS", "4")
REAL_CALLS = os.environ.get("BODYCAM_CALLS", "4")
SHARE = os.environ.get("BODYCAM_SHARE", "0.04")
KEEP = os.environ.get("BODYCAM_KEEP", "build/campaigns")
"""Where the details go of what is wrong in a campaign."""
LIMIT_S = 24 * 3600
"""A case has its own limit (`campaign.CASE_LIMIT_S`); this is for what hangs all the same, in a campaign of many hours."""


@pytest.fixture(scope="module", autouse=True)
def rig() -> None:
    missing = [command for command in (*COMMANDS, "strace") if shutil.which(command) is None]
    _want(os.geteuid() == 0 and not missing, f"needs root, and {', '.join(missing) or 'nothing else'}")


def cut(cuts: str, *words: str) -> dict[str, Any]:
    return inside("tests.rigs.block_cuts", "--cuts", cuts, "--seed", SEED, *words, limit_s=LIMIT_S)


def test_a_power_cut_at_any_request_is_recovered() -> None:
    said = cut(CUTS, "--keep", KEEP)
    assert said["cuts"] == int(CUTS)
    assert said["wrong"] == {}
    assert said["flushes"] > 100 * said["runs"], "the daemon syncs"


@pytest.mark.parametrize(
    ("disk", "kinds"),
    [
        ("no sync at all", {"promised bytes lost"}),
        ("segments not synced", {"promised bytes lost", "verify says ALTERED"}),
        ("renaming, no folder syncs", {"promised bytes lost"}),
    ],
)
def test_the_rig_sees_a_card_that_does_not_keep_what_it_promises(disk: str, kinds: set[str]) -> None:
    said = cut("15", "--disk", disk)
    assert min(said["wrong"].get(kind, 0) for kind in kinds) > 0
    assert kinds <= said["wrong"].keys()


def test_a_card_that_renames_and_syncs_its_folders_keeps_what_it_promises() -> None:
    """The control's control: with the folder syncs that the one above leaves out, nothing is lost."""
    assert cut("10", "--disk", "renaming, with folder syncs")["wrong"] == {}


def test_a_killed_daemon_is_recovered() -> None:
    said = inside("tests.rigs.kills", "--kills", KILLS, "--seed", SEED, "--keep", KEEP, limit_s=LIMIT_S)
    assert said["wrong"] == {}
    assert said["killed"] > int(KILLS) // 2


def test_the_rig_sees_what_a_kill_takes() -> None:
    """The control: what is written reaches the kernel only when a file is closed."""
    words = ("--kills", "8", "--seed", SEED, "--disk", "written when closed")
    assert inside("tests.rigs.kills", *words, limit_s=LIMIT_S)["wrong"]["promised bytes lost"] > 0


def test_a_sigkill_of_the_daemon_in_real_time_is_recovered() -> None:
    words = ("--kills", REAL_KILLS, "--seed", SEED, "--keep", KEEP)
    said = inside("tests.rigs.real_kills", *words, limit_s=LIMIT_S)
    assert said["wrong"] == {}
    assert said["killed recording"] > 0
    assert said["killed stopping"] > 0
    assert said["recordings verified"] > int(REAL_KILLS)


def test_a_system_call_that_fails_is_told_and_the_recording_goes_on() -> None:
    said = inside("tests.rigs.failing_calls", "--share", SHARE, "--seed", SEED, "--keep", KEEP, limit_s=LIMIT_S)
    assert said["wrong"] == {}
    assert sum(said["failed"].values()) == said["told"] + said["started again"] > 20


def test_a_call_that_fails_in_real_time_is_told_and_the_daemon_goes_on() -> None:
    words = ("--calls", REAL_CALLS, "--seed", SEED, "--keep", KEEP)
    said = inside("tests.rigs.real_calls", *words, limit_s=LIMIT_S)
    assert said["wrong"] == {}
    assert said["told"] > 0
    assert said["recordings verified"] >= said["told"] + said.get("started again", 0)


def sick(case: str) -> dict[str, Any]:
    said = inside("tests.rigs.sick_card", case, limit_s=LIMIT_S)
    print(said)
    assert said["content"] == ["matches"]
    assert said["not activated"] == []
    return said


def test_a_card_that_fills_closes_the_recording_and_takes_the_next_when_there_is_room() -> None:
    said = sick("fills")
    assert said["state"] == "idle"
    assert said["closed"] == ["storage-full", "stopped"]
    assert said["verdicts"] == ["intact", "intact"]
    assert said["promised bytes lost"] == said["changed by the next start"] == []
    assert said["ended"]


@pytest.mark.parametrize("case", ["is damaged, becomes read-only", "fails its writes", "fails its flushes"])
def test_a_card_that_fails_is_shown_and_keeps_what_it_had(case: str) -> None:
    """Nothing can be journaled any more; the wearer sees it, the daemon goes on from memory, and the next start recovers."""
    said = sick(case)
    assert said["healthy"] == []
    assert said["state"] == "recording"
    assert said["faults"] == ["storage"]
    assert said["verify"] == 4
    assert said["verdicts"] == ["unchanged; ended by power loss", "intact"]
    assert said["promised bytes lost"] == said["changed by the next start"] == []


def test_a_slow_card_costs_nothing_while_the_ring_holds() -> None:
    said = sick("is slow")
    assert said["ended"] == 0
    assert said["verdicts"] == ["intact"]
    assert "full" not in said["gaps"]


def test_a_card_that_stalls_costs_nothing_while_the_ring_holds_and_is_told() -> None:
    said = sick("stalls")
    assert said["held_us"] >= 8_000_000, "it stalled: five seconds waited in the ring"
    assert said["ended"] == 0
    assert said["verdicts"] == ["intact"]
    assert "full" not in said["gaps"]
    assert "card" in said["faults journaled"]


def test_a_rig_that_is_ended_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(AssertionError, match="ended with -9"):
        inside("tests.rigs.block_cuts", "--cuts", "5000", "--seed", SEED, limit_s=6)
    for command in (["ps", "-ww", "-eo", "args"], ["losetup", "--list", "--output", "BACK-FILE"]):
        assert str(tmp_path) not in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text("utf-8")
    assert list(tmp_path.iterdir()) == []
