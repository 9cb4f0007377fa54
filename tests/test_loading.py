"""What a first recording needs is there before the first press, and what is missing is known at the start."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from device.clock import NEVER_US
from device.errors import ConfigurationError, HardwareFailed
from device.loading import Loading
from device.media import aac, trial
from hw_sim.agency import Bench
from hw_sim.encoders import encode_clip
from hw_sim.scenes import FlatScene
from tests.benches import CAMERA, journal, make_bench

LIMIT_S = 60


class Seen(msgspec.Struct, forbid_unknown_fields=True):
    """Names of modules, at each moment."""

    building: set[str]
    ready: set[str]
    a_second_later: set[str]
    after_recording: set[str]


def _lean(what: str, root: Path) -> tuple[Bench, "subprocess.CompletedProcess[str]"]:
    bench = make_bench(root / "bench", audio=False, pre_event_s=2, post_event_s=0)
    clip = encode_clip(2, **CAMERA, scene=FlatScene(CAMERA["width"], CAMERA["height"]))
    (root / "clip").write_bytes(msgspec.msgpack.encode(clip))
    asked = [sys.executable, "-m", "tests.lean_shift", what, str(bench.root), str(root / "clip")]
    return bench, subprocess.run(asked, capture_output=True, text=True, check=False, timeout=LIMIT_S)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    _, done = _lean("walk", tmp_path_factory.mktemp("lean"))
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=Seen)


def test_the_libraries_are_not_loaded_before_ready_and_are_soon_after(seen: Seen) -> None:
    assert "av" not in seen.building
    assert "av" not in seen.ready
    assert seen.a_second_later >= {"av", "device.media.aac", "device.media.fmp4"}


def test_presses_of_any_kind_and_a_whole_recording_import_nothing(seen: Seen) -> None:
    assert seen.after_recording - seen.a_second_later == set()


def test_a_daemon_without_pyav_ends_at_its_start_with_78(tmp_path: Path) -> None:
    bench, done = _lean("broken", tmp_path)
    assert done.returncode == 78, done.stderr
    assert "loading failed: PyAV can't be loaded: import of av halted" in done.stderr
    assert "install the package anew" in done.stderr
    assert "Traceback" not in done.stderr
    assert [type(record).__name__ for record in journal(bench)][-1] == "Stopped"


def test_nothing_is_loaded_before_ready_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    monkeypatch.setattr("device.loading.make_segment", lambda: tried.append(1))
    loading = Loading()
    assert loading.run_once(0) == NEVER_US
    assert tried == []
    loading.begin()
    assert loading.wake.take()
    assert loading.run_once(0) == loading.run_once(0) == NEVER_US
    assert tried == [1], "once"


def test_a_segment_of_one_picture_and_some_silence_decodes() -> None:
    assert trial.count_decoded(trial.make_segment()) == (1, 2 * 1024)


def test_an_encoder_that_refuses_is_told_with_its_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise HardwareFailed("no AAC")

    monkeypatch.setattr(aac, "AacEncoder", refuses)
    with pytest.raises(ConfigurationError, match=r"^PyAV makes no segment: no AAC; install the package anew$"):
        trial.make_segment()


@pytest.mark.parametrize("segment", [b"", b"no MP4", trial.BLACK])
def test_what_is_no_segment_decodes_to_an_error_of_ours(segment: bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"^PyAV decodes no segment: .*; install the package anew$"):
        trial.count_decoded(segment)
