"""E1 on the whole device: nothing captured while the policy forbade keeping it is stored, whatever is pressed later."""

from pathlib import Path

import msgspec

from device.evidence.records import Muted, RecordingOpened, Step, Unmuted
from device.policy.commands import Open, Refuse
from device.policy.inputs import ZoneEntered
from hw_sim.virtual import VirtualDevice
from tests.benches import journal, ledger, make_bench, recordings, segments_of, shown, unsealed, verified


def _enter(device: VirtualDevice, zone: str) -> int:
    now_us = device.clock.now_us()
    device.daemon.control.tell(ZoneEntered(at_us=now_us, zone=zone))
    device.run(0.05)
    return now_us


def _booted(root: Path) -> VirtualDevice:
    device = VirtualDevice(make_bench(root))
    device.boot()
    device.run(7)
    return device


def test_a_start_just_outside_never_brings_in_what_was_captured_inside(tmp_path: Path) -> None:
    device = _booted(tmp_path / "bench")
    _enter(device, "private")
    device.run(3)
    assert device.daemon.ring.payload_bytes == 0, "the ring is empty in a private zone"
    left_us = _enter(device, "street")
    device.run(2)
    device.record(1)
    device.stop()
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    first = segments_of(device.bench, recordings(device.bench)[0])[0]
    assert first.video is not None
    assert first.video.from_us >= left_us
    opened = ledger(device.bench, recordings(device.bench)[0]).lines[0].record
    assert isinstance(opened, RecordingOpened)
    assert opened.pre_event.asked_us == 5_000_000
    assert opened.pre_event.had_us < 2_600_000


def test_a_denied_start_is_journaled_and_leaves_nothing(tmp_path: Path) -> None:
    device = _booted(tmp_path / "bench")
    _enter(device, "private")
    device.double()
    device.run(3)
    device.stop()
    assert recordings(device.bench) == []
    refused = [d for r in journal(device.bench) if isinstance(r, Step) for d in r.decisions if isinstance(d, Refuse)]
    assert [refusal.trigger for refusal in refused] == ["record-double-press"]
    assert [(refusal.zone, refusal.reason) for refusal in refused] == [("", "")], "places and reasons travel sealed"


def test_the_emergency_hold_overrides_and_begins_with_the_next_keyframe(tmp_path: Path) -> None:
    device = _booted(tmp_path / "bench")
    _enter(device, "private")
    device.run(2)
    held_us = device.clock.now_us()
    device.hold("record", 1.3)
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    opens = [d for r in journal(device.bench) if isinstance(r, Step) for d in r.decisions if isinstance(d, Open)]
    assert [(o.override, o.pre_event, o.pre_event_asked_us) for o in opens] == [(None, "off", 0)]
    assert opens[0].at_us == held_us + 1_000_000
    first = segments_of(device.bench, recordings(device.bench)[0])[0]
    assert first.video is not None
    assert 0 <= first.video.from_us - opens[0].at_us <= 70_000, "a keyframe is forced, not waited for"


def test_what_was_recorded_inside_is_not_the_pre_event_of_a_start_outside(tmp_path: Path) -> None:
    """An override inside is its own recording's; a press outside, within the window, reaches back to the door only."""
    bench = make_bench(tmp_path / "bench", pre_event_s=30, post_event_s=0)
    device = VirtualDevice(bench)
    device.boot()
    device.run(7)
    _enter(device, "private")
    device.hold("record", 1.3)
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    left_us = _enter(device, "street")
    device.run(4)
    device.double()
    device.run(2)
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    first = segments_of(bench, recordings(bench)[1])[0]
    assert first.video is not None
    assert 0 <= first.video.from_us - left_us < 1_100_000


def test_places_and_reasons_are_sealed_and_the_auditor_can_read_them(tmp_path: Path) -> None:
    device = _booted(tmp_path / "bench")
    _enter(device, "private")
    device.run(1)
    device.hold("record", 1.3)
    device.run(2)
    device.stop()
    steps = [r for r in journal(device.bench) if isinstance(r, Step)]
    sealed = [step for step in steps if step.context is not None]
    facts = [unsealed(device.bench, step.context) for step in sealed]
    said = " ".join(str(fact["input"]) + str(fact["decisions"]) for fact in facts)
    for word in (
        '"zone":"private"',
        '"override":true',
        '"category":"imminent-threat"',
        '"reason":"unexplained"',
        '"cue":"zone"',
    ):
        assert word in said, word
    public = b" ".join(msgspec.json.encode(msgspec.structs.replace(step, context=None)) for step in steps).decode()
    for word in (
        "private",
        "imminent",
        "unexplained",
        "set-capture",
        '"override":true',
        '"cue":"override"',
        '"cue":"zone"',
    ):
        assert word not in public, word
    opened = ledger(device.bench, recordings(device.bench)[0]).lines[0].record
    assert isinstance(opened, RecordingOpened)
    context = unsealed(device.bench, opened.context)
    assert {key: context[key] for key in ("zone", "category", "override")} == {
        "zone": "private", "category": "imminent-threat", "override": True,
    }  # fmt: skip


def test_muted_sound_is_nowhere_and_pictures_go_on(tmp_path: Path) -> None:
    device = _booted(tmp_path / "bench")
    device.double()
    device.run(2)
    device.hold("function", 3.2)
    device.run(4)
    device.hold("function", 3.2)
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.recordings[0].missing == {}, "no picture is missing"
    folder = recordings(device.bench)[0]
    lines = [line.record for line in ledger(device.bench, folder).lines]
    muted = next(record for record in lines if isinstance(record, Muted))
    unmuted = next(record for record in lines if isinstance(record, Unmuted))
    assert muted.context is not None
    assert 6_900_000 < unmuted.at_us - muted.at_us < 7_600_000
    spans = [segment.audio for segment in segments_of(device.bench, folder) if segment.audio is not None]
    assert all(span.last_us < muted.at_us or span.from_us >= unmuted.at_us for span in spans)
    assert any(span.last_us < muted.at_us for span in spans)
    assert any(span.from_us >= unmuted.at_us for span in spans)


def test_no_sound_from_before_the_press(tmp_path: Path) -> None:
    device = _booted(tmp_path / "bench")
    press_us = device.double()
    device.run(2)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    spans = [s.audio for s in segments_of(device.bench, recordings(device.bench)[0]) if s.audio is not None]
    assert spans[0].from_us >= press_us
