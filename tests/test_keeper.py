"""The camera kept running: what a restart cures, what it does not, and what the evidence says of the time between.

The whole daemon on the twin, in virtual time. Frames are counted by the numbers in the pictures of what was recorded.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from device.clock import Crew
from device.config import read_configuration
from device.daemon import Daemon
from device.errors import ConfigurationError, HardwareFailed, HardwareHung
from device.evidence import records
from device.evidence.orders import CloseAllOrder
from device.keeper import CALL_LIMIT_US, Keeper
from device.media.frames import CaptureFlags
from device.media.ring import Ring
from device.sight import Sight
from hw_sim.agency import Bench
from hw_sim.clock import VirtualClock
from hw_sim.demo import frame_numbers
from hw_sim.hardware import TwinHardware
from hw_sim.virtual import VirtualDevice
from tests.benches import export, journal, ledger, make_bench, recordings, segments_of, shown, verified

SECOND_US = 1_000_000
PERIOD_US = 33_333
"""Of the benches' camera: 30 pictures a second."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path / "bench", pre_event_s=5, post_event_s=0, audio=False)


@pytest.fixture
def device(bench: Bench) -> VirtualDevice:
    device = VirtualDevice(bench)
    device.boot()
    return device


def said(bench: Bench) -> list[str]:
    """What the journal says of the camera in its own words."""
    return [r.detail for r in journal(bench) if isinstance(r, records.Fault) and r.part == "camera"]


def gaps(bench: Bench, folder: Path) -> list[records.Gap]:
    return [line.record for line in ledger(bench, folder).lines if isinstance(line.record, records.Gap)]


def ended(device: VirtualDevice) -> None:
    """What the main thread does when a part has failed."""
    device.daemon.recorder.post(CloseAllOrder("failed", device.clock.now_us()))
    device.daemon.recorder.run_once(device.clock.now_us())
    assert device.daemon.recorder.ended
    device.daemon.close()


def restarts(device: VirtualDevice) -> list[int]:
    """When the camera was started, in ms since the first start."""
    at_us = [
        int(line.split()[0]) for line in device.hardware.the_camera.log if line.endswith(("start", "start failed"))
    ]
    return [(each - at_us[0]) // 1000 for each in at_us]


# -- what a restart cures ---------------------------------------------------------------------------------------------


def test_a_dead_camera_is_started_anew_and_the_gap_is_signed(
    bench: Bench, device: VirtualDevice, tmp_path: Path
) -> None:
    device.run(6)
    device.double()
    device.run(2)
    device.hardware.the_camera.die()
    device.run(4)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    (folder,) = recordings(bench)
    (gap,) = gaps(bench, folder)
    kept = frame_numbers(export(bench, folder, tmp_path / "out.mp4"))
    before = next(i for i in range(len(kept) - 1) if kept[i + 1] != kept[i] + 1)
    missing = kept[before + 1] - kept[before] - 1
    assert (gap.cause, gap.frames) == ("camera", missing)
    assert kept == [*range(kept[0], kept[before] + 1), *range(kept[before + 1], kept[-1] + 1)], "and nothing else"
    assert abs(gap.to_us - gap.from_us - (missing + 1) * PERIOD_US) < PERIOD_US
    assert 1_500_000 < gap.to_us - gap.from_us < 2_000_000, "told after 1.5 s, cured at once"
    assert gap.last - gap.first == 1, "the numbers of what arrived go on"
    first_after = next(s for s in segments_of(bench, folder) if s.video is not None and s.video.from_us == gap.to_us)
    assert first_after.video is not None, (
        "a segment begins with the first picture after the restart, which is a keyframe"
    )
    assert said(bench) == ["restart 1: no pictures"]


def recorded_to_a_dead_end(device: VirtualDevice) -> None:
    """The camera dies in a recording and does not come back before its stop."""
    device.run(6)
    device.double()
    device.run(2)
    device.hardware.the_camera.die()
    device.hardware.the_camera.fail_starts(20)
    device.run(4)
    device.confirmed_stop()
    device.until_idle()
    device.stop()


def test_a_camera_that_is_dead_up_to_the_stop_is_a_signed_gap(bench: Bench, device: VirtualDevice) -> None:
    recorded_to_a_dead_end(device)
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    (folder,) = recordings(bench)
    (gap,) = gaps(bench, folder)
    last = segments_of(bench, folder)[-1].video
    closed = ledger(bench, folder).lines[-1].record
    assert last is not None
    assert isinstance(closed, records.RecordingClosed)
    assert (gap.cause, gap.first, gap.last) == ("camera", last.last, last.last + 1)
    assert (gap.from_us, gap.to_us) == (last.last_us, closed.end_us)
    assert abs(gap.to_us - gap.from_us - (gap.frames + 1) * PERIOD_US) < PERIOD_US
    assert gap.frames > 200
    assert verdict.recordings[0].missing == {"camera": gap.frames}


def test_a_device_that_keeps_silent_on_its_end_without_pictures_is_not_believed(
    bench: Bench, device: VirtualDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device.evidence.segmenter.Segmenter.missing_at_end", lambda _: [])
    recorded_to_a_dead_end(device)
    verdict = verified(bench)
    assert verdict.exit_status == 1
    (finding,) = verdict.recordings[0].findings
    assert finding.what.endswith("µs pass without a picture, and no record tells why")


def test_the_third_restart_cures(bench: Bench, device: VirtualDevice) -> None:
    device.run(3)
    device.double()
    device.hardware.the_camera.die()
    device.hardware.the_camera.fail_starts(2)
    device.run(20)
    assert "camera" not in device.daemon.control.state.faults
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    first, second, third = restarts(device)[1:]
    assert (second - first, third - second) == (1000, 2000)
    (gap,) = gaps(bench, recordings(bench)[0])
    assert gap.cause == "camera"
    assert 4_500_000 < gap.to_us - gap.from_us < 5_000_000
    assert gap.frames == round((gap.to_us - gap.from_us) / (1_000_000 / 30)) - 1
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert said(bench) == [
        "restart 1: no pictures", "it can't be started: the camera does not answer",
        "restart 2: no pictures", "it can't be started: the camera does not answer",
        "restart 3: no pictures", "restart 3 brought the pictures back",
    ]  # fmt: skip


def test_a_restart_before_a_press_is_in_its_past(bench: Bench, device: VirtualDevice, tmp_path: Path) -> None:
    device.run(6)
    device.hardware.the_camera.die()
    device.run(3)
    device.double()
    device.run(1)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.recordings[0].pre_event_had_us >= 4_500_000
    (folder,) = recordings(bench)
    (gap,) = gaps(bench, folder)
    kept = frame_numbers(export(bench, folder, tmp_path / "out.mp4"))
    missing = [after - before - 1 for before, after in itertools.pairwise(kept) if after != before + 1]
    assert missing == [gap.frames]
    assert gap.to_us < verdict_trigger_us(bench, folder), "before the press"


def verdict_trigger_us(bench: Bench, folder: Path) -> int:
    opened = ledger(bench, folder).lines[0].record
    assert isinstance(opened, records.RecordingOpened)
    return opened.trigger_us


def test_a_camera_that_dies_again_and_again_is_not_started_without_end(device: VirtualDevice) -> None:
    """Frames that come for a moment after each restart do not begin the back-off anew."""
    device.run(3)

    def dies_after_a_second() -> None:
        for _ in range(12):
            device.hardware.the_camera.die()
            device.run(3)

    with pytest.raises(HardwareFailed, match="no pictures after 5 restarts"):
        dies_after_a_second()
    device.daemon.close()
    assert len(restarts(device)) == 6


def test_ten_seconds_of_pictures_begin_the_back_off_anew(bench: Bench, device: VirtualDevice) -> None:
    device.run(3)
    for _ in range(7):
        device.hardware.the_camera.die()
        device.run(14)
    device.stop()
    assert said(bench) == ["restart 1: no pictures", "restart 1 brought the pictures back"] * 7


# -- what it does not cure --------------------------------------------------------------------------------------------


def test_what_no_restart_cures_ends_the_daemon_and_the_back_off_was_kept(bench: Bench, device: VirtualDevice) -> None:
    device.run(3)
    device.hardware.the_camera.stall()
    with pytest.raises(HardwareFailed, match="no pictures after 5 restarts of the camera"):
        device.run(60)
    times = restarts(device)[1:]
    assert [round((after - before) / 1000) for before, after in itertools.pairwise(times)] == [2, 2, 4, 8]
    assert 4_500 <= times[0] <= 4_800, "1.5 s after the last frame"
    ended(device)
    assert said(bench) == [
        *(f"restart {number}: no pictures" for number in range(1, 6)),
        "no pictures after 5 restarts of the camera; the daemon ends",
    ]


def test_a_camera_that_does_not_let_go_ends_the_daemon_at_once(bench: Bench, device: VirtualDevice) -> None:
    device.run(3)
    device.hardware.the_camera.hang()
    with pytest.raises(HardwareHung, match="does not let go"):
        device.run(3)
    ended(device)
    assert device.daemon.unclean, "and the exit status says so"
    assert said(bench) == ["restart 1: no pictures", "the camera does not let go; the daemon ends"]


def test_a_camera_that_is_missing_at_the_start_is_the_same(bench: Bench, device: VirtualDevice) -> None:
    device.hardware.the_camera.fail_starts(3)
    device.run(2)
    assert "camera" in device.daemon.control.state.faults
    assert device.daemon.control._ready_said, "a device without pictures is ready to say so"
    device.run(8)
    assert "camera" not in device.daemon.control.state.faults
    assert restarts(device) == [0, 1000, 2000, 4000]
    device.record(1)
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert said(bench)[:2] == ["it can't be started: the camera does not answer", "restart 1: no pictures"]


# -- where no pictures are wanted -------------------------------------------------------------------------------------


def test_asleep_nothing_is_restarted_and_on_waking_it_is_at_once(device: VirtualDevice) -> None:
    device.run(3)
    device.sleep(True)
    device.hardware.the_camera.die()
    device.run(60)
    assert len(restarts(device)) == 1
    device.sleep(False)
    device.run(0.5)
    assert len(restarts(device)) == 2
    device.stop()


def test_where_a_press_may_come_the_camera_is_kept_running_though_nothing_is_held(device: VirtualDevice) -> None:
    device.run(3)
    device.zone("private")
    device.hardware.the_camera.die()
    device.run(4)
    assert len(restarts(device)) == 2
    device.stop()


# -- the watchdog -----------------------------------------------------------------------------------------------------


def fed(device: VirtualDevice, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """When systemd is told from now on, boot µs."""
    times: list[int] = []
    monkeypatch.setattr(device.daemon._notifier, "watchdog", lambda: times.append(device.clock.now_us()))
    return times


def test_the_watchdog_is_fed_while_the_camera_is_being_restarted(
    device: VirtualDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.run(3)
    times = fed(device, monkeypatch)
    device.hardware.the_camera.stall()
    with pytest.raises(HardwareFailed):
        device.run(60)
    device.daemon.close()
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert max(pauses) <= 3 * SECOND_US
    assert device.clock.now_us() - times[-1] <= 3 * SECOND_US


def test_the_watchdog_starves_when_the_keeper_hangs(device: VirtualDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that never comes back counts as work for fifteen seconds, no longer."""
    device.run(3)
    times = fed(device, monkeypatch)
    camera, keeper = device.hardware.the_camera, device.daemon.sight.keeper
    camera.stall()
    device.run(2)
    hung_us = keeper._at_work_until_us - CALL_LIMIT_US
    monkeypatch.setattr(keeper, "run_once", lambda _: 1 << 62)
    keeper._at_work_until_us = device.clock.now_us() + CALL_LIMIT_US
    hung_us = device.clock.now_us()
    device.run(60)
    assert times[-1] <= hung_us + CALL_LIMIT_US + SECOND_US
    device.daemon.close()


class Slow:
    """A camera that looks at the keeper from within its own stop."""

    def __init__(self, seen: Callable[[], None]) -> None:
        self.stop = seen


def test_at_work_has_a_bound_while_a_call_lasts() -> None:
    clock = VirtualClock("boot-1")
    ring = Ring(window_us=0, cap_bytes=1000, flags=CaptureFlags("street"), on_keyframe=lambda: None)
    seen: list[bool] = []

    def stop() -> None:
        now_us = clock.now_us()
        seen.extend([keeper.at_work(now_us), keeper.at_work(now_us + CALL_LIMIT_US)])

    keeper = Keeper(clock, ring, Slow(stop), lambda: None)
    keeper.run_once(clock.now_us())
    clock.move_to(clock.now_us() + 2 * SECOND_US)
    keeper.run_once(clock.now_us())
    assert seen == [True, False]


def test_a_camera_whose_stop_fails_is_started_anew_all_the_same() -> None:
    """A camera that is lost may well refuse to stop; only one that hangs ends the daemon."""
    clock = VirtualClock("boot-1")
    ring = Ring(window_us=0, cap_bytes=1000, flags=CaptureFlags("street"), on_keyframe=lambda: None)
    starts: list[int] = []

    def refuse() -> None:
        raise HardwareFailed("the camera can't be stopped: [Errno 19] No such device")

    keeper = Keeper(clock, ring, Slow(refuse), lambda: starts.append(clock.now_us()))
    said: list[str] = []
    keeper.say = lambda what, *_: said.append(what)
    keeper.run_once(clock.now_us())
    clock.move_to(clock.now_us() + 3 * SECOND_US)
    keeper.run_once(clock.now_us())
    assert len(starts) == 2
    assert said == ["restart 1: no pictures", "the camera can't be stopped: [Errno 19] No such device"]


# -- what can't be built is let go again ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('key = "device.key"', 'key = "absent.key"'),
        ('bundle = "policy.bundle"', 'bundle = "none.bundle"'),
        ('status_file = "status.json"', 'status_file = "/absent/x.json"'),
    ],
)
def test_a_daemon_that_can_not_be_built_lets_the_hardware_go(bench: Bench, old: str, new: str) -> None:
    text = bench.config.read_text("utf-8")
    assert text.count(old) == 1
    bench.config.write_text(text.replace(old, new), "utf-8")
    clock = VirtualClock("boot-1")
    configuration = read_configuration(bench.config)
    hardware = TwinHardware(clock, wiring=configuration.tables.wiring)
    sight = Sight(configuration, hardware)
    sight.keeper.run_once(clock.now_us())
    with pytest.raises(ConfigurationError):
        Daemon(configuration, hardware, sight, Crew(clock))
    assert [line.split(maxsplit=2)[2] for line in hardware.the_camera.log] == ["start", "stop"]


def test_a_camera_whose_stop_fails_at_the_end_keeps_nothing_else_from_being_let_go(
    device: VirtualDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise HardwareFailed("the camera can't be stopped: [Errno 19] No such device")

    device.run(3)
    monkeypatch.setattr(device.hardware.the_camera, "stop", refuse)
    device.stop()
    assert device.daemon.unclean


def test_a_board_that_can_not_be_built_closes_its_pins_and_the_rest(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock("boot-1")
    configuration = read_configuration(bench.config)
    hardware = TwinHardware(clock, wiring=configuration.tables.wiring)
    sight = Sight(configuration, hardware)
    sight.keeper.run_once(clock.now_us())

    def refused(*_: object, **__: object) -> None:
        raise HardwareFailed("the line is in use")

    monkeypatch.setattr("device.controls.board.OutputPin", refused)
    with pytest.raises(HardwareFailed, match="in use"):
        Daemon(configuration, hardware, sight, Crew(clock))
    assert hardware.the_camera.log[-1].endswith("camera stop")
    assert [pin for pin in hardware.pin_factory().pins.values() if pin.when_changed is not None] == []
