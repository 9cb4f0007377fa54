"""The part that looks after the device: what it tells, once; what it takes from the picture; and that it stops nothing."""

from pathlib import Path

import pytest

from device import tables
from device.config import read_configuration
from device.errors import ConfigurationError
from device.evidence.envelope import open_line
from device.evidence.records import Fault, Gap, Noted, RecordingClosed, Step, decode_ledger
from device.hardware import Load
from device.health import POWER_GOOD_US, Health
from device.media.rates import Rates
from device.policy.inputs import FaultChanged, Input, LevelChanged
from device.shedding import Step as Degree
from hw_sim.agency import Bench
from hw_sim.clock import VirtualClock
from hw_sim.lines import play
from hw_sim.sensors import CARDS, TwinSensors
from hw_sim.virtual import VirtualDevice
from tests.auditors import audited
from tests.benches import journal, ledger, make_bench, recordings, segments_of, shown, verified
from tests.cards import changed, device_signer, lie_in_ledger

S = 1_000_000
PICTURE = tables.Camera(width=1280, height=720, rate_hz=30, bitrate_bps=8_000_000)


class Around:
    """The part alone, and what it does to everything around it, in one list."""

    def __init__(self, path: Path, settings: tables.Health) -> None:
        self.done: list[object] = []
        self.clock = VirtualClock("boot-1")
        self.sensors = TwinSensors(self.clock)
        self.rates = Rates(PICTURE.period_us)
        self.health = Health(
            settings=settings,
            picture=PICTURE,
            sensors=self.sensors,
            camera=self,
            rates=self.rates,
            overlay=lambda on: self.done.append(f"overlay {on}"),
            card=path,
            clock=self.clock,
            control=self,
            post=lambda order: self.done.append(getattr(order, "noted", None) or getattr(order, "fault", None)),
        )

    def set_load(self, load: Load) -> None:
        self.done.append(load)

    def tell(self, came: Input) -> None:
        self.done.append(came)

    def run(self, seconds: int) -> list[object]:
        """What was done meanwhile."""
        self.done.clear()
        for _ in range(seconds):
            now_us = self.clock.now_us()
            assert self.health.run_once(now_us) == now_us + S
            self.clock.move_to(now_us + S)
        return list(self.done)

    def told(self, seconds: int) -> list[str]:
        """The faults and levels of that time, in words."""
        return [said for done in self.run(seconds) if (said := _in_words(done))]


def _in_words(done: object) -> str:
    if isinstance(done, FaultChanged):
        return f"{done.part} {'begins' if done.present else 'is over'}"
    if isinstance(done, Fault):
        return f"{done.part}: {done.detail}"
    return f"{done.part} {done.level}" if isinstance(done, LevelChanged) else ""


@pytest.fixture
def around(tmp_path: Path) -> Around:
    return Around(tmp_path, tables.Health(dwell_s=10, fuel_gauge=True))


def with_health(bench: Bench, keys: str, *, gauge: bool = False) -> Bench:
    """`keys` in the configuration's `[health]`; with a gauge in place of the battery's lines."""
    text = bench.config.read_text("utf-8")
    if gauge:
        lines = "battery_low = 20\nbattery_critical = 21\n"
        assert text.count(lines) == 1, "the bench's battery lines"
        text = text.replace(lines, "")
    bench.config.write_text(f"{text}\n[health]\n{keys}\n", "utf-8")
    return bench


# -- heat -------------------------------------------------------------------------------------------------------------


def test_heat_takes_step_by_step_and_gives_back_in_reverse(around: Around) -> None:
    around.sensors.temperature = 79_000
    done = around.run(31)
    start_us = 5 * S
    assert done == [
        Noted(what="shed-overlay", at_us=start_us, value=0),
        "overlay False",
        Fault(part="heat", present=True, at_us=start_us + 10 * S, detail="79.0 °C, the picture is made with less"),
        FaultChanged(at_us=start_us + 10 * S, part="heat", present=True),
        Noted(what="shed-bitrate", at_us=start_us + 10 * S, value=4_000_000),
        Load(rate_hz=30, bitrate_bps=4_000_000),
        Noted(what="shed-rate", at_us=start_us + 20 * S, value=15),
        Load(rate_hz=15, bitrate_bps=4_000_000),
    ]
    assert around.rates.longest_us(start_us + 20 * S, start_us + 30 * S) == 66_667
    around.sensors.temperature = 60_000
    done = around.run(60)
    cool_us = start_us + 31 * S
    assert done == [
        Noted(what="restored-rate", at_us=cool_us, value=30),
        Load(rate_hz=30, bitrate_bps=4_000_000),
        FaultChanged(at_us=cool_us + 10 * S, part="heat", present=False),
        Noted(what="restored-bitrate", at_us=cool_us + 10 * S, value=8_000_000),
        Load(rate_hz=30, bitrate_bps=8_000_000),
        Noted(what="restored-overlay", at_us=cool_us + 20 * S, value=0),
        "overlay True",
    ]


def test_critical_heat_is_told_once_more(around: Around) -> None:
    around.sensors.temperature = 75_000
    assert around.told(60) == ["heat: 75.0 °C, the picture is made with less", "heat begins"]
    around.sensors.temperature = 84_000
    assert around.told(5) == ["heat: 84.0 °C, critical: recording goes on"]
    around.sensors.temperature = 79_001
    assert around.told(5) == []
    around.sensors.temperature = 79_000
    assert around.told(5) == ["heat: 79.0 °C, the picture is made with less"]


@pytest.mark.parametrize("absurd", [None, -60_000, 1_000_000])
def test_a_thermometer_that_fails_leaves_the_load_as_it_is(around: Around, absurd: int | None) -> None:
    around.sensors.temperature = 75_000
    around.run(20)
    around.sensors.temperature = absurd
    assert around.told(59) == []
    assert around.told(60) == ["thermometer: nothing for 60 s", "thermometer begins"]
    around.sensors.temperature = 60_000
    assert around.told(1)[0] == "thermometer is over"


def test_a_board_without_a_thermometer_has_no_fault(tmp_path: Path) -> None:
    around = Around(tmp_path, tables.Health())
    around.sensors.temperature = None
    assert around.run(200) == []


def test_a_camera_that_is_slower_than_what_is_shed_is_not_made_faster(around: Around) -> None:
    assert around.health._load(Degree.RATE) == Load(15, 4_000_000)
    around.health._picture = tables.Camera(rate_hz=10)
    assert around.health._load(Degree.RATE) == Load(10, 4_000_000)


# -- what is told -----------------------------------------------------------------------------------------------------


def test_a_low_supply_is_a_fault_until_it_has_been_good_for_a_minute(around: Around) -> None:
    for _ in range(3):
        around.sensors.voltage_is_low = True
        said = around.told(1)
        around.sensors.voltage_is_low = False
        said += around.told(POWER_GOOD_US // S - 1)
    assert said == [], "a supply that dips now and then is one fault"
    assert around.told(1) == ["power is over"]


def test_the_batterys_levels_and_its_gauge(around: Around) -> None:
    play_line = around.sensors.play
    assert play_line("battery 50%")
    assert around.told(10) == []
    assert play_line("battery 12%")
    assert around.told(60) == ["battery low"]
    assert play_line("battery 5%")
    assert around.told(60) == ["battery critical"]
    assert play_line("battery none")
    assert around.told(60) == ["battery: the fuel gauge has said nothing of use for 10 s", "battery begins"]
    assert play_line("battery 90%")
    assert around.told(60) == ["battery is over", "battery good"]


def test_a_gauge_that_nobody_configured_is_not_looked_at(tmp_path: Path) -> None:
    around = Around(tmp_path, tables.Health())
    around.sensors.gauge = None
    assert around.told(60) == []


def test_memory_and_swap(around: Around) -> None:
    around.sensors.left_mib = 23
    assert around.told(60) == ["memory: 23 MiB are left", "memory begins"]
    around.sensors.left_mib = 35
    assert around.told(60) == []
    around.sensors.left_mib = 36
    assert around.told(10) == ["memory is over"]
    around.sensors.swap_mib = 100
    assert around.told(60) == ["swap: 100 MiB of swap are on: what is in memory may be written", "swap begins"]


def test_a_card_that_wears_out_or_errs_is_told_once_each(around: Around) -> None:
    around.sensors.card_state = CARDS["worn"]
    worn = "it is worn: 10 of 10 of its life used, spare blocks 2 of 3"
    assert around.told(300) == [f"card-health: {worn}", "card-health begins"]
    around.sensors.card_state = CARDS["read-only"]
    assert around.told(300) == ["card-health: its file system has become read-only; its file system has found 3 errors"]
    around.sensors.card_state = CARDS["good"]
    assert around.told(61) == ["card-health is over"]


# -- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("fuel_gauge = true", ["health.fuel_gauge", "board.battery_low", "one source"]),
        ("shed_bitrate_c = 70", ["health.shed_overlay_c is 70", "below health.shed_bitrate_c, which is 70"]),
        ("critical_c = 78", ["health.shed_rate_c is 78", "health.critical_c"]),
        ("battery_low_percent = 8", ["health.battery_critical_percent is 8", "health.battery_low_percent"]),
        ("battery_low_mv = 0", ["health.battery_critical_mv is 3200"]),
        ("shed_rate_hz = 1", ["health.shed_rate_hz", "1", "5"]),
    ],
)
def test_limits_that_cannot_be_meant_are_refused(tmp_path: Path, keys: str, said: list[str]) -> None:
    bench = with_health(make_bench(tmp_path / "bench"), keys)
    with pytest.raises(ConfigurationError) as refused:
        read_configuration(bench.config)
    assert [word for word in said if word not in str(refused.value)] == []


def test_no_voltage_and_a_gauge_are_taken(tmp_path: Path) -> None:
    keys = "fuel_gauge = true\nbattery_low_mv = 0\nbattery_critical_mv = 0"
    bench = with_health(make_bench(tmp_path / "bench"), keys, gauge=True)
    assert read_configuration(bench.config).tables.health.fuel_gauge


# -- the whole device -------------------------------------------------------------------------------------------------

SHED = ["shed-overlay", "shed-bitrate", "shed-rate"]
RESTORED = ["restored-rate", "restored-bitrate", "restored-overlay"]


def noted(bench: Bench, folder: Path) -> list[str]:
    records = [line.record for line in ledger(bench, folder).lines]
    return [r.what for r in records if isinstance(r, Noted) and r.what in SHED + RESTORED]


def test_heat_rises_through_every_step_and_falls_back_while_it_records(tmp_path: Path) -> None:
    bench = with_health(make_bench(tmp_path / "bench", pre_event_s=2, post_event_s=1), "dwell_s = 5")
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.double()
    device.run(4)
    assert play(device.hardware, "heat 85") == ""
    device.run(20)
    assert "heat" in device.daemon.control.state.faults
    assert device.daemon.control.state.phase.value == "recording"
    assert play(device.hardware, "heat 40") == ""
    device.run(25)
    assert "heat" not in device.daemon.control.state.faults
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    assert audited(bench).findings == ()
    (folder,) = recordings(bench)
    records = [line.record for line in ledger(bench, folder).lines]
    assert noted(bench, folder) == SHED + RESTORED
    assert [r.what for r in journal(bench) if isinstance(r, Noted)] == SHED + RESTORED
    assert [(r.part, r.present) for r in records if isinstance(r, Fault)] == [("heat", True), ("heat", False)]
    told = [r.detail for r in journal(bench) if isinstance(r, Fault) and r.part == "heat"]
    assert told == ["85.0 °C, critical: recording goes on", "40.0 °C, the picture is made with less"]
    rates = [s.video.frames for s in segments_of(bench, folder) if s.video is not None]
    assert (rates[:7], 15 in rates, rates[-4:-1]) == ([30] * 7, True, [30] * 3)
    assert [r for r in records if isinstance(r, Gap)] == []
    assert isinstance(records[-1], RecordingClosed)
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)


def test_a_recording_that_begins_while_it_is_hot_says_so(tmp_path: Path) -> None:
    bench = with_health(make_bench(tmp_path / "bench", pre_event_s=2, post_event_s=1), "dwell_s = 4")
    device = VirtualDevice(bench)
    device.boot()
    play(device.hardware, "heat 76")
    device.run(15)
    device.record(3)
    play(device.hardware, "heat 40")
    device.run(15)
    device.record(3)
    device.stop()
    hot, cool = recordings(bench)
    assert (noted(bench, hot), noted(bench, cool)) == (["shed-overlay", "shed-bitrate"], [])
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)


def test_a_recording_that_goes_on_in_another_says_in_both_what_is_shed(tmp_path: Path) -> None:
    bench = with_health(make_bench(tmp_path / "bench", pre_event_s=2, post_event_s=1), "dwell_s = 4")
    device = VirtualDevice(bench)
    device.boot()
    play(device.hardware, "heat 76")
    device.run(15)
    device.double()
    device.run(3)
    device.hardware.the_camera.restart(profile="main")  # type: ignore[call-arg]
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    first, second = recordings(bench)
    shed = ["shed-overlay", "shed-bitrate"]
    assert (noted(bench, first), noted(bench, second)) == (shed, shed)
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)
    assert audited(bench).findings == ()


def test_what_a_ledger_says_was_shed_must_stand_in_the_journal(tmp_path: Path) -> None:
    """E9: the same note in both; a device that lies about the bit rate is found by the audit."""
    bench = with_health(make_bench(tmp_path / "bench", pre_event_s=2, post_event_s=1), "dwell_s = 4")
    device = VirtualDevice(bench)
    device.boot()
    play(device.hardware, "heat 76")
    device.run(6)
    device.record(2)
    device.stop()
    assert audited(bench).findings == ()
    signer = device_signer(bench)

    def lied(lines: list[bytes]) -> list[bytes]:
        return [changed(line, signer, value=149_999) if _is_bitrate(line) else line for line in lines]

    lie_in_ledger(bench, recordings(bench)[0], lied)
    (finding,) = audited(bench).findings
    assert finding.kind == "recording"
    assert "shed-bitrate 149999 at 9000000 µs, which is not in the journal" in finding.what


def _is_bitrate(line: bytes) -> bool:
    record = decode_ledger(open_line(line).payload)
    return isinstance(record, Noted) and record.what == "shed-bitrate"


def test_an_empty_battery_a_failing_card_and_no_memory_stop_no_recording(tmp_path: Path) -> None:
    keys = "dwell_s = 4\nfuel_gauge = true"
    bench = with_health(make_bench(tmp_path / "bench", pre_event_s=2, post_event_s=1), keys, gauge=True)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.double()
    device.run(2)
    for line in ("battery 0%", "undervoltage on", "memory 1", "card read-only", "heat 120"):
        assert play(device.hardware, line) == ""
    device.run(90)
    state = device.daemon.control.state
    assert (state.phase.value, state.warnings) == ("recording", ("battery-critical",))
    assert state.faults == ("card-health", "heat", "memory", "power")
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    levels = [r.input.level for r in journal(bench) if isinstance(r, Step) and isinstance(r.input, LevelChanged)]
    assert levels == ["critical"]
    told = [r.part for r in journal(bench) if isinstance(r, Fault)]
    assert sorted(told) == ["card-health", "heat", "memory", "power"]
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)


@pytest.mark.parametrize(
    "line", ["heat", "heat warm", "battery 12", "battery x%", "undervoltage", "card blue", "memory -"]
)
def test_a_mistyped_line_is_said(tmp_path: Path, line: str) -> None:
    device = VirtualDevice(make_bench(tmp_path / "bench", audio=False))
    device.boot()
    assert play(device.hardware, line).startswith(f"{line}: must be {line.split(maxsplit=1)[0]} ")
    device.run(1)
    device.stop()
