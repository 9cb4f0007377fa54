"""Stories about the policy machine: what the wearer does, and all that the machine says to it, word by word."""

from collections.abc import Iterable
from typing import Literal

import pytest

from device.policy import commands as do
from device.policy import inputs as on
from device.policy import machine
from device.policy.machine import step
from device.policy.model import Policy
from device.policy.state import Commands, Phase, State, at_rest, capture, initial_state, under
from tests.policies import FIRST, PROFILES, changed, rezoned, with_entry

pytestmark = pytest.mark.usefixtures("no_endless_step")
START_US = 1_000_000_000
"""Stories are told in ms from here."""
PLAIN = changed(FIRST, "notice", prompt=False)
"""The first profile without the prompt for a notice."""


UNASKED = changed(PLAIN, "stop", reason_window_s=0)
"""The same, in which a stop is not asked the reason of: the function button means what it means while recording."""


def us(ms: float) -> int:
    return START_US + round(ms * 1000)


def ms(at_us: int) -> str:
    return f"{(at_us - START_US) / 1000:.3f}".rstrip("0").rstrip(".")


def spelt(command: do.Command) -> str:  # noqa: C901, PLR0912 - one branch a command
    """A command in words, with what the stories are about."""
    match command:
        case do.Open():
            override = " override" if command.override else ""
            late = f", late by {command.late_us // 1000}" if command.late_us else ""
            reach = f"{command.pre_event} from {ms(command.video_from_us)}, sound from {ms(command.audio_from_us)}"
            words = f"open {command.recording} by {command.trigger} for {command.category}{override}, {reach}{late}"
        case do.Refuse():
            words = f"refuse {command.trigger}: {command.reason}"
        case do.EnterStage():
            words = f"stage {command.recording} {command.stage}"
        case do.Close():
            words = f"close {command.recording} to {ms(command.to_us)} {command.how}: {command.reason}"
        case do.Mark():
            words = f"mark {command.recording} at {ms(command.marked_us)}"
        case do.Mute() | do.Pause() | do.Explain():
            words = f"{kind(command)} {command.recording}: {command.reason}"
        case do.Unmute() | do.Resume():
            words = f"{kind(command)} {command.recording}"
        case do.Notice():
            words = f"notice {command.recording} " + ("given" if command.given else f"not given: {command.reason}")
        case do.Prompt() | do.Lapse():
            words = f"{kind(command)} {command.about}"
        case do.Justify():
            words = f"justify {command.recording} as {command.category} in {command.zone}"
        case do.Deny():
            words = f"deny {command.what}: {command.reason}"
        case do.Assign():
            words = " ".join(["assign", command.officer, command.role, command.unit, command.shift]).strip()
        case do.Sleep():
            words = f"sleep: {command.reason}"
        case do.Stealth():
            words = f"stealth {'on' if command.on else 'off'}"
        case do.SetCapture():
            flags = [name for name in ("video", "audio", "muted", "paused") if getattr(command, name)]
            words = f"capture {command.zone}: {' '.join(flags) or 'nothing'}"
        case do.ClearRing():
            words = "clear-sound" if command.sound_only else "clear-ring"
        case do.Cue():
            words = f"cue {command.cue}"
        case do.Note():
            words = f"note {command.recording} {command.what} {command.value}"
        case do.Wake() | do.ForceKeyframe() | do.Finish():
            words = kind(command)
    return f"{ms(command.at_us)} {words}"


def kind(command: do.Command) -> str:
    return str(type(command).__struct_config__.tag)


class Story:
    """What a wearer does, in ms, and what the machine said. Each verb returns the story."""

    def __init__(self, policy: Policy = PLAIN) -> None:
        self.policy = policy
        self.state = initial_state(policy, START_US)
        self.said: list[str] = []

    def give(self, came: on.Input) -> "Story":
        self.state, commands = step(self.state, came, self.policy)
        self.said += [spelt(command) for command in commands]
        return self

    def down(self, at_ms: float, button: str = "record") -> "Story":
        return self.give(on.Edge(at_us=us(at_ms), button=button, pressed=True))

    def up(self, at_ms: float, button: str = "record") -> "Story":
        return self.give(on.Edge(at_us=us(at_ms), button=button, pressed=False))

    def press(self, at_ms: float, button: str = "record", length_ms: float = 100) -> "Story":
        return self.down(at_ms, button).up(at_ms + length_ms, button)

    def double(self, at_ms: float, button: str = "record") -> "Story":
        """Acts at its second leading edge, at `at_ms`."""
        return self.press(at_ms - 300, button).press(at_ms, button)

    def tick(self, at_ms: float) -> "Story":
        return self.give(on.Tick(at_us=us(at_ms)))

    def enter(self, at_ms: float, zone: str) -> "Story":
        return self.give(on.ZoneEntered(at_us=us(at_ms), zone=zone))

    def shutdown(self, at_ms: float) -> "Story":
        return self.give(on.ShutdownAsked(at_us=us(at_ms)))

    def closed(self, at_ms: float, recording: int, how: str = "stopped") -> "Story":
        return self.give(on.RecorderClosed(at_us=us(at_ms), recording=recording, how=how))

    def readiness(self, at_ms: float, reason: str) -> "Story":
        return self.give(on.Readiness(at_us=us(at_ms), ready=not reason, reason=reason))

    def trigger(self, at_ms: float, trigger: str, category: str) -> "Story":
        return self.give(on.Triggered(at_us=us(at_ms), trigger=trigger, category=category))

    def sleep_switch(self, at_ms: float, turned: str) -> "Story":
        return self.give(on.SleepSwitched(at_us=us(at_ms), on=turned == "on"))

    def assign(self, at_ms: float, officer: str, role: str = "") -> "Story":
        return self.give(on.Assigned(at_us=us(at_ms), officer=officer, role=role, unit="", shift=""))

    def level(self, at_ms: float, part: str, level: Literal["good", "low", "critical"]) -> "Story":
        return self.give(on.LevelChanged(at_us=us(at_ms), part=part, level=level))

    def fault(self, at_ms: float, part: str, present: bool = True) -> "Story":
        return self.give(on.FaultChanged(at_us=us(at_ms), part=part, present=present))

    def count(self, *at_ms: float) -> "Story":
        """Short presses of the function button."""
        for each_ms in at_ms:
            self.press(each_ms, "function")
        return self

    def then(self) -> "Story":
        """Forget what was said so far."""
        self.said = []
        return self

    def recording(self) -> "Story":
        """Recording since 1000 ms."""
        return self.double(1000).then()

    def stop_asked(self) -> "Story":
        """Recording since 1000 ms, a stop asked for at 13 000 ms, the button up again at 13 200 ms."""
        return self.recording().press(10_000, length_ms=3200).then()

    def post_event(self) -> "Story":
        """The stop confirmed at 14 500.001 ms: post-event time until 24 500.001 ms."""
        return self.stop_asked().press(14_000).tick(14_600).then()

    def paused(self) -> "Story":
        """Recording since 1000 ms, paused at 5000 ms."""
        return self.recording().double(5000, "function").then()


# -- the record button ----------------------------------------------------------------------------------------------

STARTED = [
    "open 1 by record-double-press for officer-discretion, video from -29000, sound from 1000",
    "cue recording",
    "capture street: video audio",
]


def at(at_ms: str, words: Iterable[str]) -> list[str]:
    return [f"{at_ms} {said}" for said in words]


def test_a_double_press_starts_on_its_second_leading_edge() -> None:
    story = Story().press(700)
    assert story.said == []
    assert story.down(1000).said == at("1000", STARTED)
    assert story.up(1100).tick(9000).said == at("1000", STARTED)


@pytest.mark.parametrize(
    ("second_ms", "said"),
    [
        (999, [*at("999", [STARTED[0].replace("-29000", "-29001").replace("1000", "999"), *STARTED[1:]])]),
        (1000, [*at("1000", STARTED)]),
        (1000.001, ["1000.001 cue status", "1500.002 cue status"]),
        (1001, ["1000.001 cue status", "1501.001 cue status"]),
    ],
)
def test_the_second_edge_counts_up_to_500_ms_after_the_first(second_ms: float, said: list[str]) -> None:
    assert Story().press(500).press(second_ms).tick(5000).said == said


def test_a_press_alone_tells_the_status_once_its_window_has_passed() -> None:
    story = Story().press(500).tick(1000)
    assert story.said == []
    assert story.tick(1000.001).said == ["1000.001 cue status"]


def test_a_press_longer_than_the_window_is_told_when_it_is_released() -> None:
    story = Story().recording().down(5000).tick(6000)
    assert story.said == []
    assert story.up(7000).said == ["7000 cue status"]


def test_a_third_press_begins_anew() -> None:
    story = Story().press(800).press(1000).then().press(1200)
    assert story.tick(3000).said == ["1700.001 cue status"]


def test_a_double_press_while_recording_changes_nothing() -> None:
    story = Story().recording().double(5000)
    assert (story.said, story.state.phase, story.state.recording) == (["5000 cue recording"], Phase.RECORDING, 1)


def test_a_hold_of_3_s_asks_for_a_stop() -> None:
    story = Story().recording().down(10_000).tick(12_999)
    assert story.said == []
    assert story.tick(13_000).said == ["13000 cue stop-asked", "13000 note 1 stop-asked 0"]
    assert story.state.phase is Phase.STOP_ASKED


def test_a_hold_of_less_than_3_s_is_a_press() -> None:
    assert Story().recording().press(10_000, length_ms=2999.999).said == ["12999.999 cue status"]


def test_one_press_confirms_once_its_window_has_passed_without_a_second() -> None:
    story = Story().stop_asked().press(14_000).tick(14_500)
    assert story.said == []
    assert story.tick(14_500.001).said == ["14500.001 stage 1 post", "14500.001 cue post-event"]
    assert story.state.phase is Phase.POST_EVENT


def test_no_press_within_5_s_and_recording_goes_on() -> None:
    story = Story().stop_asked().tick(17_999.999)
    assert story.said == []
    assert story.tick(18_000).said == ["18000 cue recording", "18000 note 1 stop-lapsed 0"]
    assert story.state.phase is Phase.RECORDING


def test_a_press_that_begins_at_4_9_s_still_confirms() -> None:
    story = Story().stop_asked().press(17_900).tick(30_000)
    assert story.said[:2] == ["18400.001 stage 1 post", "18400.001 cue post-event"]


def test_a_press_that_begins_at_4_9_s_and_is_held_for_2_s_still_confirms() -> None:
    story = Story().stop_asked().press(17_900, length_ms=2000)
    assert story.said == ["19900 stage 1 post", "19900 cue post-event"]


def test_a_press_that_begins_at_5_s_does_not_confirm() -> None:
    story = Story().stop_asked().press(18_000).tick(30_000)
    assert story.said == ["18000 cue recording", "18000 note 1 stop-lapsed 0", "18500.001 cue status"]


def test_a_double_press_whose_first_edge_was_at_4_9_s_cancels_the_stop() -> None:
    story = Story().stop_asked().press(17_900).press(18_300).tick(30_000)
    assert story.said == ["18300 cue recording", "18300 note 1 stop-cancelled 0"]


def test_a_double_press_cancels_the_stop() -> None:
    story = Story().stop_asked().double(15_000).tick(60_000)
    assert story.said == ["15000 cue recording", "15000 note 1 stop-cancelled 0"]
    assert story.state.phase is Phase.RECORDING


def test_holding_again_asks_again() -> None:
    story = Story().stop_asked().press(14_000, length_ms=3500).tick(21_999)
    assert story.said == ["17000 cue stop-asked", "17000 note 1 stop-asked 0"]
    assert story.tick(22_000).said[2:] == ["22000 cue recording", "22000 note 1 stop-lapsed 0"]


def test_a_hold_begun_before_5_s_asks_again_and_does_not_lapse_between() -> None:
    story = Story().stop_asked().press(17_900, length_ms=3500)
    assert story.said == ["20900 cue stop-asked", "20900 note 1 stop-asked 0"]


def test_a_hold_of_1_s_while_idle_is_the_emergency_start() -> None:
    story = Story().down(1000).tick(1999.999)
    assert story.said == []
    assert story.tick(2000).said == [
        "2000 open 1 by record-hold for imminent-threat, video from -28000, sound from 2000",
        "2000 cue recording",
        "2000 capture street: video audio",
    ]


def test_an_emergency_start_held_on_does_not_ask_for_a_stop() -> None:
    story = Story().down(1000).tick(2000).then().tick(30_000).up(30_500).tick(40_000)
    assert (story.said, story.state.phase) == ([], Phase.RECORDING)


def test_a_held_second_press_of_a_double_does_not_ask_for_a_stop() -> None:
    story = Story().press(800).down(1000).then().tick(30_000).up(30_500).tick(40_000)
    assert (story.said, story.state.phase) == ([], Phase.RECORDING)


def test_a_stop_hold_held_on_does_not_confirm_itself() -> None:
    story = Story().recording().down(10_000).tick(13_000).then().tick(17_500).up(17_600).tick(17_999)
    assert (story.said, story.state.phase) == ([], Phase.STOP_ASKED)


def test_a_hold_begun_in_post_event_does_not_become_an_emergency_start() -> None:
    story = Story().post_event().down(24_000).tick(24_600).then().tick(40_000).up(40_100).tick(50_000)
    assert (story.said, story.state.phase) == ([], Phase.IDLE)


def test_post_event_time_then_close() -> None:
    story = Story().post_event().tick(24_500)
    assert story.said == []
    assert story.tick(24_500.001).said == [
        "24500.001 close 1 to 24500.001 stopped: unexplained",
        "24500.001 cue stopped",
        "24500.001 capture street: video",
    ]
    assert (story.state.phase, story.state.closing) == (Phase.IDLE, (1,))


def test_without_post_event_time_the_confirmation_closes() -> None:
    story = Story(changed(PLAIN, "post_event", length_s=0)).stop_asked().press(14_000).tick(14_600)
    assert story.said[0] == "14500.001 close 1 to 14500.001 stopped: unexplained"


def test_a_double_press_in_post_event_resumes_the_same_recording() -> None:
    story = Story().post_event().double(20_000)
    assert story.said == ["20000 stage 1 live", "20000 cue recording"]
    assert story.then().tick(139_999).said == []
    assert story.tick(140_000).said == ["140000 cue remind-recording"]
    assert (story.state.phase, story.state.recording) == (Phase.RECORDING, 1)


def test_a_second_recording_has_the_next_number() -> None:
    story = Story().post_event().tick(25_000).closed(25_500, 1).then().double(60_000)
    assert story.said[0] == (
        "60000 open 2 by record-double-press for officer-discretion, video from 30000, sound from 60000"
    )


# -- the function button --------------------------------------------------------------------------------------------


def test_a_function_press_is_a_marker_with_the_time_of_its_press_edge() -> None:
    story = Story().recording().press(5000, "function").tick(5500)
    assert story.said == []
    assert story.tick(5600).said == ["5500.001 mark 1 at 5000", "5500.001 cue marker"]


def test_a_long_function_press_is_a_marker_too() -> None:
    assert Story().recording().press(5000, "function", 2000).said == ["7000 mark 1 at 5000", "7000 cue marker"]


def test_a_marker_whose_window_the_end_cuts_short_is_not_lost() -> None:
    story = Story(UNASKED).post_event().press(24_400, "function").tick(30_000)
    assert story.said == [
        "24500.001 mark 1 at 24400",
        "24500.001 close 1 to 24500.001 stopped: unexplained",
        "24500.001 cue stopped",
        "24500.001 capture street: video",
    ]


def test_a_function_double_press_is_a_private_pause() -> None:
    story = Story().recording().double(5000, "function")
    assert story.said == [
        "5000 mark 1 at 5000",
        "5000 pause 1: private-request",
        "5000 cue paused",
        "5000 capture street: paused",
        "5000 clear-ring",
    ]
    assert story.state.phase is Phase.PAUSED


def test_a_pause_is_reminded_of_and_ends_with_a_double_press_on_record() -> None:
    story = Story().paused().tick(124_999)
    assert story.said == []
    assert story.tick(246_000).double(250_000).tick(370_000).said == [
        "125000 cue remind-paused",
        "245000 cue remind-paused",
        "250000 resume 1",
        "250000 cue recording",
        "250000 capture street: video audio",
        "250000 force-keyframe",
        "370000 cue remind-recording",
    ]


def test_a_pause_that_is_stopped_has_no_post_event_time() -> None:
    story = Story().paused().press(10_000, length_ms=3200).press(14_000).tick(14_600)
    assert story.said == [
        "13000 cue stop-asked",
        "13000 note 1 stop-asked 0",
        "14500.001 close 1 to 14500.001 stopped: private-request",
        "14500.001 cue stopped",
        "14500.001 capture street: video",
        "14500.001 force-keyframe",
    ]


def test_a_stop_asked_in_a_pause_lapses_into_the_pause() -> None:
    story = Story().paused().press(10_000, length_ms=3200).then().tick(18_000)
    assert story.said == ["18000 cue paused", "18000 note 1 stop-lapsed 0"]
    assert story.state.phase is Phase.PAUSED


def test_a_double_press_in_a_pause_takes_a_stop_back_even_where_nothing_may_resume() -> None:
    policy = rezoned(changed(PLAIN, "stop", confirm_s=2), "private", override=False)
    story = Story(policy).recording().enter(5000, "private").press(10_000, length_ms=3200).then()
    assert story.press(14_800).press(15_200).said == [
        "15200 note 1 stop-cancelled 0",
        "15200 deny resume: zone-denies",
        "15200 cue refused",
    ]
    assert (story.then().tick(30_000).said, story.state.phase) == ([], Phase.PAUSED)


def test_a_private_pause_has_no_post_event_time_it_closes_and_nothing_of_it_is_held() -> None:
    story = Story(UNASKED).post_event().double(20_000, "function")
    assert story.said == [
        "20000 close 1 to 20000 stopped: private-request",
        "20000 cue stopped",
        "20000 clear-ring",
        "20000 force-keyframe",
        "20000 capture street: video",
    ]


def test_a_pause_that_the_policy_does_not_allow_is_refused() -> None:
    story = Story(changed(PLAIN, "pause", allowed=False)).recording().double(5000, "function")
    assert story.said == ["5000 deny pause: not-allowed", "5000 cue refused"]
    assert story.state.phase is Phase.RECORDING


def test_a_pause_in_post_event_that_the_policy_does_not_allow_is_refused() -> None:
    story = Story(changed(UNASKED, "pause", allowed=False)).post_event().double(20_000, "function")
    assert story.said == ["20000 deny pause: not-allowed", "20000 cue refused"]
    assert story.state.phase is Phase.POST_EVENT


def test_a_function_hold_of_3_s_mutes_and_unmutes() -> None:
    story = Story().recording().press(5000, "function", 3200)
    assert story.said == ["8000 mute 1: unexplained", "8000 cue muted", "8000 capture street: video muted"]
    story.then().press(20_000, "function", 3200).tick(100_000)
    assert story.said == ["23000 unmute 1", "23000 cue unmuted", "23000 capture street: video audio"]


def test_a_mute_ends_at_its_limit() -> None:
    story = Story().recording().press(5000, "function", 3200).then().tick(607_999)
    assert story.said == [f"{n}000 cue remind-muted" for n in (121, 241, 361, 481, 601)]
    assert story.then().tick(608_000).said == [
        "608000 unmute 1",
        "608000 cue unmuted",
        "608000 capture street: video audio",
    ]


def test_a_mute_runs_on_through_a_pause() -> None:
    story = Story().recording().press(5000, "function", 3200).double(10_000, "function").then().double(20_000)
    assert story.said == [
        "20000 resume 1",
        "20000 cue recording",
        "20000 capture street: video muted",
        "20000 force-keyframe",
    ]


def test_a_new_recording_is_not_muted() -> None:
    story = Story().stop_asked().press(14_000, "function", 3000).press(17_600).tick(30_000).then().double(40_000)
    assert story.said[-1] == "40000 capture street: video audio"


def test_a_mute_that_the_policy_does_not_allow_is_refused() -> None:
    story = Story(changed(PLAIN, "mute", allowed=False)).recording().press(5000, "function", 3200)
    assert story.said == ["8000 deny mute: not-allowed", "8000 cue refused"]
    assert not story.state.muted


# -- reminders, shutdown, readiness, zones, the recorder ------------------------------------------------------------


def test_reminders_come_every_2_min_while_recording() -> None:
    story = Story().recording().tick(120_999)
    assert story.said == []
    assert story.tick(121_000).tick(361_000).said == [
        "121000 cue remind-recording",
        "241000 cue remind-recording",
        "361000 cue remind-recording",
    ]


def test_no_reminder_in_post_event_time() -> None:
    story = Story(changed(PLAIN, "reminder", every_s=10)).post_event().tick(24_500)
    assert story.said == []


def test_shutdown_closes_at_once_and_finishes_when_the_recorder_has_closed() -> None:
    story = Story().recording().shutdown(5000)
    assert story.said == [
        "5000 close 1 to 5000 shutdown: unexplained",
        "5000 cue stopped",
        "5000 capture street: video",
    ]
    assert story.then().double(6000).said == ["6000 refuse record-double-press: shutting-down", "6000 cue refused"]
    assert story.then().down(7000).up(8500).said == ["8000 refuse record-hold: shutting-down", "8000 cue refused"]
    assert story.then().shutdown(9000).said == []
    assert story.closed(9500, 1).said == ["9500 finish"]
    assert story.then().shutdown(9600).closed(9700, 1).tick(99_000).said == []
    assert story.state.finished


def test_shutdown_while_idle_finishes_at_once() -> None:
    assert Story().shutdown(5000).said == ["5000 finish"]


def test_shutdown_waits_for_a_recording_that_is_still_being_closed() -> None:
    story = Story().post_event().tick(25_000).then().shutdown(25_100)
    assert story.said == []
    assert story.closed(25_200, 1).said == ["25200 finish"]


def test_shutdown_waits_for_every_recording_that_is_being_closed() -> None:
    story = Story().post_event().tick(25_000).double(26_000).then().shutdown(27_000).closed(27_100, 2)
    assert story.said == [
        "27000 close 2 to 27000 shutdown: unexplained",
        "27000 cue stopped",
        "27000 capture street: video",
    ]
    assert story.then().closed(27_200, 1).said == ["27200 finish"]


def test_readiness_refuses_a_start_and_allows_it_again() -> None:
    story = Story().readiness(500, "storage-full").double(1000)
    assert story.said == [
        "500 cue storage-full",
        "1000 refuse record-double-press: storage-full",
        "1000 cue refused",
    ]
    assert story.then().readiness(2000, "").double(3000).said[:2] == [
        "2000 cue ready",
        "3000 open 1 by record-double-press for officer-discretion, video from -27000, sound from 3000",
    ]


def test_readiness_for_another_reason_has_the_cue_of_a_fault() -> None:
    assert Story().readiness(500, "card-missing").double(1000).said == [
        "500 cue fault",
        "1000 refuse record-double-press: card-missing",
        "1000 cue refused",
    ]


def test_an_unready_store_never_closes_what_is_open() -> None:
    story = Story().recording().readiness(5000, "storage-full").tick(10_000)
    assert (story.said, story.state.phase) == (["5000 cue storage-full"], Phase.RECORDING)


def test_a_denying_zone_refuses_and_the_emergency_hold_overrides() -> None:
    story = Story().enter(500, "private").double(1000)
    assert story.said == [
        "500 cue zone",
        "500 capture private: nothing",
        "500 clear-ring",
        "1000 refuse record-double-press: zone-denies",
        "1000 cue refused",
    ]
    assert story.then().down(2000).tick(3000).said == [
        "3000 open 1 by record-hold for imminent-threat override, off from 3000, sound from 3000",
        "3000 cue override",
        "3000 capture private: video audio",
        "3000 force-keyframe",
    ]


def test_the_emergency_hold_is_refused_where_the_policy_allows_no_override() -> None:
    story = Story(rezoned(PLAIN, "private", override=False)).enter(500, "private").then().down(2000).tick(3000)
    assert story.said == ["3000 refuse record-hold: zone-denies", "3000 cue refused"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("video", "off", ["capture school: nothing", "clear-ring"]),
        ("video+audio", "off", ["capture school: nothing", "clear-ring"]),
        ("video+audio", "video", ["capture school: video", "clear-sound"]),
        ("video", "video+audio", ["capture school: video audio"]),
        ("off", "video", ["capture school: video", "force-keyframe"]),
        ("video", "video", ["capture school: video"]),
    ],
)
def test_entering_a_stricter_zone_clears_the_ring(before: str, after: str, said: list[str]) -> None:
    policy = rezoned(rezoned(PLAIN, "street", pre_event=before), "school", pre_event=after)
    assert Story(policy).enter(500, "school").said == at("500", ["cue zone", *said])


def test_closing_in_a_zone_without_pre_event_clears_the_ring() -> None:
    story = Story(rezoned(PLAIN, "school", pre_event="off")).post_event().enter(20_000, "school").then().tick(25_000)
    assert story.said[2:] == ["24500.001 capture school: nothing", "24500.001 clear-ring"]


def test_a_zone_that_the_policy_does_not_know_is_a_fault_and_changes_nothing() -> None:
    story = Story().enter(500, "moon").enter(600, "street")
    assert (story.said, story.state.zone) == (["500 cue fault"], "street")


def test_sound_before_the_press_where_the_zone_wants_it() -> None:
    story = Story(rezoned(PLAIN, "street", pre_event="video+audio")).double(1000)
    assert story.said == [
        "1000 open 1 by record-double-press for officer-discretion, video-and-audio from -29000, sound from -29000",
        "1000 cue recording",
    ]


def test_pre_event_never_reaches_back_before_the_boot() -> None:
    state = initial_state(PLAIN, 4_000_000)
    for at_us, pressed in ((5_000_000, True), (5_100_000, False), (5_200_000, True)):
        state, commands = step(state, on.Edge(at_us=at_us, button="record", pressed=pressed), PLAIN)
    assert isinstance(commands[0], do.Open)
    assert (commands[0].video_from_us, commands[0].pre_event_asked_us) == (0, 5_200_000)


def test_a_recording_that_the_recorder_closed_by_itself_returns_to_idle_with_a_cue() -> None:
    story = Story().recording().closed(5000, 1, "failed").tick(200_000)
    assert story.said == ["5000 cue failed", "5000 capture street: video"]
    assert (story.state.phase, story.state.closing) == (Phase.IDLE, ())


def test_a_recording_that_ends_because_the_card_is_full_says_that_the_card_is_full() -> None:
    """The cue of the card comes first, and would be cut off by another that matters as much."""
    story = Story().recording().then().readiness(5000, "storage-full").closed(5000, 1, "storage-full")
    assert story.said == ["5000 cue storage-full", "5000 cue storage-full", "5000 capture street: video"]
    assert story.state.phase == Phase.IDLE
    late = (
        Story().recording().readiness(5000, "storage-full").readiness(6000, "").then().closed(6000, 1, "storage-full")
    )
    assert late.said[0] == "6000 cue failed", "there is room again: nothing is said against it"


def test_the_end_of_an_earlier_recording_is_not_that_of_the_open_one() -> None:
    story = Story().post_event().tick(25_000).double(26_000).then().closed(26_500, 1)
    assert (story.said, story.state.phase, story.state.closing) == ([], Phase.RECORDING, ())


@pytest.mark.parametrize(
    ("part", "cue"),
    [("camera", "camera-fault"), ("clock", "clock-unset"), ("card", "fault"), ("microphone", "fault")],
)
def test_a_fault_is_said_when_it_begins_and_when_it_ends(part: str, cue: str) -> None:
    story = Story().fault(1, part).fault(2, part).fault(3, "board")
    assert story.said == [f"1 cue {cue}", "3 cue fault"]
    assert story.then().fault(4, part, present=False).fault(5, "x", present=False).said == ["4 cue fault-over"]
    assert story.state.faults == ("board",)


@pytest.mark.parametrize(
    ("part", "level", "cue"),
    [
        ("battery", "low", "battery-low"),
        ("battery", "critical", "battery-critical"),
        ("storage", "low", "storage-low"),
        ("storage", "critical", "fault"),
    ],
)
def test_a_level_is_said_when_it_changes(part: str, level: Literal["low", "critical"], cue: str) -> None:
    story = Story().level(1, part, "good").level(2, part, level).level(3, part, level)
    assert story.said == [f"2 cue {cue}"]
    assert story.state.warnings == (f"{part}-{level}",)
    assert story.then().level(4, part, "good").said == ["4 cue level-good"]
    assert not story.state.warnings


def test_each_part_has_its_own_level() -> None:
    story = Story().level(1, "battery", "low").level(2, "storage", "low").level(3, "battery", "critical")
    assert story.said == ["1 cue battery-low", "2 cue storage-low", "3 cue battery-critical"]
    assert story.state.warnings == ("battery-critical", "storage-low")


def test_a_clock_step_is_noted() -> None:
    assert Story().recording().give(on.ClockStepped(at_us=us(5000), step_us=-7)).said == [
        "5000 note 1 clock-stepped -7"
    ]


def test_an_edge_of_a_button_that_is_not_there_changes_nothing() -> None:
    story = Story().down(1000, "third").up(2000, "third")
    assert (story.said, story.state.now_us) == ([], us(2000))


# -- E10: the same inputs give the same decisions -------------------------------------------------------------------


def a_day() -> list[on.Input]:
    """Every gesture, and what else may come, in one sequence."""
    edges = [
        *((at_ms, "record", pressed) for at_ms, pressed in ((700, True), (800, False), (1000, True), (1100, False))),
        (20_000, "function", True),
        (20_100, "function", False),
        (30_000, "function", True),
        (33_500, "function", False),
        (400_000, "function", True),
        (400_100, "function", False),
        (400_300, "function", True),
        (400_400, "function", False),
        (700_000, "record", True),
        (700_100, "record", False),
        (700_200, "record", True),
        (700_300, "record", False),
        (800_000, "record", True),
        (803_100, "record", False),
        (804_000, "record", True),
        (804_100, "record", False),
        (900_000, "record", True),
        (905_000, "record", False),
    ]
    inputs: list[on.Input] = [on.Edge(at_us=us(t), button=button, pressed=pressed) for t, button, pressed in edges]
    inputs += [
        on.ZoneEntered(at_us=us(500_000), zone="private"),
        on.PreEventHad(at_us=us(1000), recording=1, had_us=29_000_000),
        on.RecorderClosed(at_us=us(815_000), recording=1, how="stopped"),
        on.ClockStepped(at_us=us(600_000), step_us=3),
        on.ShutdownAsked(at_us=us(3_000_000)),
        on.RecorderClosed(at_us=us(3_001_000), recording=2, how="shutdown"),
    ]
    return sorted(inputs, key=lambda came: came.at_us)


def run(inputs: Iterable[on.Input], policy: Policy = PLAIN) -> tuple[State, Commands]:
    state, said = initial_state(policy, START_US), Commands()
    for came in inputs:
        state, commands = step(state, came, policy)
        said = (*said, *commands)
    return state, said


def test_the_same_inputs_give_the_same_decisions() -> None:
    state, said = run(a_day())
    assert run(a_day()) == (state, said)
    assert state.finished
    assert [kind(c) for c in said if isinstance(c, do.Open | do.Close | do.Mark | do.Pause | do.Mute | do.Finish)] == [
        "open",
        "mark",
        "mute",
        "mark",
        "pause",
        "close",
        "open",
        "close",
        "finish",
    ]


def test_ticks_in_between_change_nothing_but_when_things_are_said() -> None:
    ticks: list[on.Input] = [on.Tick(at_us=us(at_ms)) for at_ms in range(0, 3_100_000, 777)]
    with_ticks = sorted([*ticks, *a_day()], key=lambda came: came.at_us)
    assert run(with_ticks)[1] == run(a_day())[1]


def test_a_tick_at_every_deadline_changes_nothing_but_when_things_are_said() -> None:
    state, said = initial_state(PLAIN, START_US), Commands()
    for came in a_day():
        while (due_us := machine.next_deadline_us(state, PLAIN)) is not None and due_us < came.at_us:
            state, commands = step(state, on.Tick(at_us=due_us), PLAIN)
            said = (*said, *commands)
        state, commands = step(state, came, PLAIN)
        said = (*said, *commands)
    assert said == run(a_day())[1]


def test_an_input_stamped_earlier_is_taken_at_the_last_effective_time() -> None:
    story = Story().tick(5000).down(4000).up(4100).down(4900)
    assert story.said == at("5000", [STARTED[0].replace("-29000", "-25000").replace("1000", "5000"), *STARTED[1:]])
    assert story.state.now_us == us(5000)


def test_a_deadline_fires_at_its_own_time_before_the_input_at_that_time() -> None:
    story = Story().post_event().enter(24_500.001, "private")
    assert story.said == [
        "24500.001 close 1 to 24500.001 stopped: unexplained",
        "24500.001 cue stopped",
        "24500.001 capture street: video",
        "24500.001 cue zone",
        "24500.001 capture private: nothing",
        "24500.001 clear-ring",
    ]


def test_deadlines_fire_in_the_order_of_their_times_however_late_they_are_seen() -> None:
    story = Story().stop_asked().press(14_000, "function").press(17_000).tick(500_000)
    assert [said.split(" ", 1) for said in story.said] == [
        ["14500.001", "mark 1 at 14000"],
        ["14500.001", "cue marker"],
        ["17500.001", "stage 1 post"],
        ["17500.001", "cue post-event"],
        ["27500.001", "close 1 to 27500.001 stopped: unexplained"],
        ["27500.001", "cue stopped"],
        ["27500.001", "capture street: video"],
    ]


@pytest.mark.parametrize("every_s", [10, 120])
def test_a_jump_of_many_years_returns_at_once(every_s: int) -> None:
    story = Story(changed(PLAIN, "reminder", every_s=every_s)).recording()
    state, commands = step(story.state, on.Tick(at_us=START_US + 2**50), story.policy)
    assert [kind(c) for c in commands] == ["cue", "cue"]
    assert state.now_us == START_US + 2**50
    due_us = machine.next_deadline_us(state, story.policy)
    assert due_us is not None
    assert 0 < due_us - state.now_us <= every_s * 1_000_000


def test_twenty_reminders_unseen_are_each_said() -> None:
    story = Story().recording().tick(1000 + 20 * 120_000)
    assert story.said == [f"{1000 + n * 120_000} cue remind-recording" for n in range(1, 21)]


def test_one_reminder_stands_for_more_than_fit_in_one_line() -> None:
    story = Story().recording().tick(1000 + 22 * 120_000)
    assert story.said == ["121000 cue remind-recording", f"{1000 + 22 * 120_000} cue remind-recording"]


# -- the reason of a stop -------------------------------------------------------------------------------------------

CLOSED = "24500.001 close 1 to 24500.001 stopped"
"""After `post_event`."""


def test_presses_in_the_post_event_time_give_the_reason_of_the_stop() -> None:
    story = Story().post_event().count(16_000).tick(17_499)
    assert story.said == []
    assert story.tick(17_500).said == ["17500 cue count-1"]
    assert story.then().tick(30_000).said == [
        f"{CLOSED}: encounter-concluded",
        "24500.001 cue stopped",
        "24500.001 capture street: video",
    ]


def test_a_count_is_complete_when_1_5_s_pass_without_another_press() -> None:
    story = Story().post_event().count(16_000, 17_400, 18_800, 20_200).tick(21_700)
    assert story.said == ["21700 cue count-4", "21700 clear-ring"]
    assert story.state.reason == "person-request"


def test_a_reason_half_counted_when_the_recording_closes_is_written_after_it() -> None:
    story = Story().post_event().count(24_400).tick(40_000)
    assert story.said == [
        f"{CLOSED}: unexplained",
        "24500.001 cue stopped",
        "24500.001 capture street: video",
        "25900 explain 1: encounter-concluded",
        "25900 cue count-1",
    ]
    assert story.state.explaining is None


def test_a_reason_given_after_the_recording_closed_is_written_by_itself() -> None:
    policy = changed(PLAIN, "stop", reason_window_s=60)
    story = Story(policy).post_event().tick(25_000).closed(25_500, 1).then().count(40_000, 40_500).tick(60_000)
    assert story.said == [
        "42000 explain 1: privacy",
        "42000 cue count-2",
        "42000 clear-ring",
        "42000 force-keyframe",
    ]


def test_a_count_that_is_no_reason_is_refused_and_the_window_stays_open() -> None:
    story = Story().post_event().count(15_000, 15_300, 15_600, 15_900, 16_200).tick(17_700)
    assert story.said == ["17700 cue refused"]
    assert story.then().count(18_000, 18_400, 18_800).tick(20_300).said == ["20300 cue count-3", "20300 clear-ring"]


def test_more_than_nine_presses_are_no_reason_however_many_they_are() -> None:
    story = Story().post_event().count(*range(15_000, 18_300, 300)).tick(19_500)
    assert story.said == ["19500 cue refused"]


def test_no_reason_within_the_window_is_unexplained() -> None:
    story = Story().post_event().tick(24_500.001)
    assert story.said[0] == f"{CLOSED}: unexplained"
    assert story.state.explaining is None
    assert story.then().press(26_000, "function").tick(30_000).said == ["26500.001 cue status"]


def test_a_press_in_the_window_s_last_moment_still_counts_with_those_that_follow() -> None:
    story = Story().post_event().count(24_400, 25_400).tick(40_000)
    assert story.said[3:5] == ["26900 explain 1: privacy", "26900 cue count-2"]


def test_a_private_reason_clears_what_no_recording_claims_at_once_and_when_the_recording_has_ended() -> None:
    story = Story().post_event().count(16_000, 16_400).tick(30_000)
    assert story.said == [
        "17900 cue count-2",
        "17900 clear-ring",
        f"{CLOSED}: privacy",
        "24500.001 cue stopped",
        "24500.001 clear-ring",
        "24500.001 force-keyframe",
        "24500.001 capture street: video",
    ]


def test_a_reason_that_is_not_private_clears_nothing() -> None:
    assert not [said for said in Story().post_event().count(16_000).tick(30_000).said if "clear" in said]


def test_a_double_press_on_record_resumes_and_forgets_the_reason() -> None:
    story = Story().post_event().count(16_000).tick(17_500).then().double(20_000)
    assert story.said == ["20000 stage 1 live", "20000 cue recording"]
    assert (story.state.reason, story.state.explaining) == ("", None)
    assert story.then().press(22_000, "function").tick(23_000).said == [
        "22500.001 mark 1 at 22000",
        "22500.001 cue marker",
    ]


def test_a_start_takes_a_half_counted_reason_as_far_as_it_goes() -> None:
    story = Story().post_event().count(24_400).tick(24_600).then().double(25_000)
    assert story.said[:2] == [
        "25000 explain 1: encounter-concluded",
        "25000 open 2 by record-double-press for officer-discretion, video from -5000, sound from 25000",
    ]


def test_a_start_brings_in_nothing_from_before_a_private_reason_that_was_half_counted() -> None:
    story = Story().post_event().count(23_700, 24_100).tick(24_600).then().double(25_000)
    assert story.said[:4] == [
        "25000 explain 1: privacy",
        "25000 clear-ring",
        "25000 force-keyframe",
        "25000 open 2 by record-double-press for officer-discretion, video from -5000, sound from 25000",
    ]


def test_shutdown_takes_a_half_counted_reason_as_far_as_it_goes() -> None:
    assert Story().post_event().count(16_000).shutdown(16_500).said[0] == (
        "16500 close 1 to 16500 shutdown: encounter-concluded"
    )
    story = Story().post_event().count(24_400).tick(24_600).closed(24_700, 1).then().shutdown(25_000)
    assert story.said == ["25000 explain 1: encounter-concluded", "25000 finish"]


def test_a_recording_that_could_not_go_on_keeps_the_reason_that_was_given() -> None:
    story = Story().post_event().count(16_000).tick(17_500).then().closed(20_000, 1, "failed")
    assert story.said == [
        "20000 explain 1: encounter-concluded",
        "20000 cue failed",
        "20000 capture street: video",
    ]


def test_without_post_event_time_the_reason_is_given_after_the_close() -> None:
    story = Story(changed(PLAIN, "post_event", length_s=0)).stop_asked().press(14_000).tick(15_000).then()
    assert story.count(16_000).tick(20_000).said == ["17500 explain 1: encounter-concluded", "17500 cue count-1"]


def test_a_stop_in_a_pause_has_the_reason_of_the_pause_and_no_window() -> None:
    story = Story().paused().press(10_000, length_ms=3200).press(14_000).tick(15_000)
    assert story.state.explaining is None


def test_a_marker_that_waits_when_a_stop_is_confirmed_is_said_once() -> None:
    for policy in (PLAIN, UNASKED):
        story = Story(policy).stop_asked().press(14_000).press(14_200, "function").tick(16_000)
        assert [said for said in story.said if "mark" in said] == ["14500.001 mark 1 at 14200"]


def test_a_function_button_held_over_the_confirmation_is_a_marker_and_no_count() -> None:
    story = Story().stop_asked().press(14_000).down(14_300, "function").tick(15_000).up(15_100, "function")
    assert story.said == ["14500.001 mark 1 at 14300", "14500.001 stage 1 post", "14500.001 cue post-event"]
    assert story.then().tick(24_000).said == []


# -- triggers -------------------------------------------------------------------------------------------------------


def test_a_trigger_starts() -> None:
    story = Story().trigger(1000, "holster", "use-of-force")
    assert story.said == [
        "1000 open 1 by trigger-holster for use-of-force, video from -29000, sound from 1000",
        "1000 cue recording",
        "1000 capture street: video audio",
    ]


def test_a_trigger_of_an_unknown_category_is_denied() -> None:
    assert Story().trigger(1000, "door", "gone").said == ["1000 deny trigger: unknown-category", "1000 cue refused"]


def test_a_trigger_that_the_policy_ignores_changes_nothing() -> None:
    story = Story(with_entry(PLAIN, "categories", "pursuit", on_trigger="ignore")).trigger(1000, "light-bar", "pursuit")
    assert (story.said, story.state.phase) == ([], Phase.IDLE)


def test_a_trigger_is_refused_where_the_zone_denies_its_category() -> None:
    story = Story().enter(500, "private").then().trigger(1000, "light-bar", "pursuit")
    assert story.said == ["1000 refuse trigger-light-bar: zone-denies", "1000 cue refused"]


def test_a_trigger_while_recording_is_noted() -> None:
    story = Story().recording().trigger(5000, "light-bar", "pursuit")
    assert story.said == ["5000 note 1 trigger-light-bar 0"]


def test_a_trigger_takes_back_a_stop_that_was_asked_for() -> None:
    story = Story().stop_asked().trigger(14_000, "holster", "use-of-force").tick(60_000)
    assert story.said == [
        "14000 note 1 trigger-holster 0",
        "14000 cue recording",
        "14000 note 1 stop-cancelled 0",
    ]


def test_a_trigger_that_only_prompts_takes_no_stop_back() -> None:
    story = Story().stop_asked().trigger(14_000, "door", "officer-discretion")
    assert (story.said, story.state.phase) == (["14000 note 1 trigger-door 0"], Phase.STOP_ASKED)


def test_a_trigger_in_the_post_event_time_resumes() -> None:
    story = Story().post_event().trigger(20_000, "holster", "use-of-force")
    assert story.said == ["20000 note 1 trigger-holster 0", "20000 stage 1 live", "20000 cue recording"]
    assert story.state.phase is Phase.RECORDING


def test_a_trigger_in_the_post_event_time_is_only_noted_where_the_policy_says_so() -> None:
    story = Story(changed(PLAIN, "post_event", resume_on_trigger=False)).post_event()
    assert story.trigger(20_000, "holster", "use-of-force").said == ["20000 note 1 trigger-holster 0"]
    assert story.state.phase is Phase.POST_EVENT


def test_a_trigger_ends_a_pause_only_where_its_category_says_so() -> None:
    story = Story().paused().trigger(6000, "light-bar", "pursuit")
    assert (story.said, story.state.phase) == (["6000 note 1 trigger-light-bar 0"], Phase.PAUSED)
    assert story.then().trigger(7000, "holster", "use-of-force").said == [
        "7000 note 1 trigger-holster 0",
        "7000 resume 1",
        "7000 cue recording",
        "7000 capture street: video audio",
        "7000 force-keyframe",
    ]


def test_a_trigger_ends_a_pause_in_a_denying_zone_only_if_its_category_overrides() -> None:
    story = Story().recording().enter(5000, "private").then().trigger(6000, "holster", "use-of-force")
    assert story.said == [
        "6000 note 1 trigger-holster 0",
        "6000 deny resume: zone-denies",
        "6000 cue refused",
    ]
    assert story.then().trigger(7000, "panic", "imminent-threat").said[1:4] == [
        "7000 justify 1 as imminent-threat in private",
        "7000 resume 1",
        "7000 cue override",
    ]


# -- a start that was asked for -------------------------------------------------------------------------------------


def test_a_prompt_for_a_start_that_is_answered_in_time() -> None:
    story = Story().trigger(1000, "door", "officer-discretion")
    assert story.said == ["1000 prompt start", "1000 cue start-prompt"]
    assert story.then().double(60_999).said[0] == (
        "60999 open 1 by record-double-press for officer-discretion, video from 30999, sound from 60999"
    )
    assert story.then().tick(100_000).said == []


def test_a_prompt_for_a_start_that_nobody_answers_lapses_and_a_later_start_is_late() -> None:
    story = Story().trigger(1000, "door", "officer-discretion").then().tick(60_999)
    assert story.said == []
    assert story.tick(61_000).said == ["61000 lapse start", "61000 cue start-prompt"]
    assert story.then().double(81_000).said[0] == (
        "81000 open 1 by record-double-press for officer-discretion, video from 51000, sound from 81000, late by 80000"
    )
    story.then().press(90_000, length_ms=3200).press(94_000).tick(120_000).then()
    assert "late" not in story.double(130_000).said[0]


def test_a_second_prompt_does_not_make_a_late_start_timely() -> None:
    story = Story().trigger(1000, "door", "officer-discretion").tick(61_000).then()
    story.trigger(70_000, "door", "officer-discretion").double(80_000)
    assert story.said[2].endswith("late by 79000")


def test_a_second_prompt_gives_no_more_time() -> None:
    story = Story().trigger(1000, "door", "officer-discretion").trigger(50_000, "door", "officer-discretion").then()
    assert story.tick(61_000).said == ["61000 lapse start", "61000 cue start-prompt"]


def test_nobody_is_asked_to_start_what_would_be_refused() -> None:
    assert Story().enter(500, "private").then().trigger(1000, "door", "officer-discretion").said == []


def test_going_to_sleep_does_not_escape_the_lapse() -> None:
    story = Story().trigger(1000, "door", "officer-discretion").then().sleep_switch(5000, "on")
    assert story.said[:2] == ["5000 lapse start", "5000 sleep: unexplained"]
    assert story.then().tick(100_000).said == []


# -- sleep ----------------------------------------------------------------------------------------------------------


def test_asleep_nothing_is_held_and_triggers_are_not_heard() -> None:
    story = Story().sleep_switch(1000, "on")
    assert story.said == [
        "1000 sleep: unexplained",
        "1000 cue asleep",
        "1000 capture street: nothing",
        "1000 clear-ring",
    ]
    assert story.then().trigger(2000, "holster", "use-of-force").said == [
        "2000 deny trigger: asleep",
        "2000 cue refused",
    ]
    assert story.then().sleep_switch(3000, "off").said == [
        "3000 wake",
        "3000 cue awake",
        "3000 capture street: video",
        "3000 force-keyframe",
    ]
    assert story.then().tick(10_000_000).said == []


def test_asleep_the_wearer_is_reminded_every_15_min() -> None:
    story = Story().sleep_switch(1000, "on").then().tick(900_999)
    assert story.said == []
    assert story.tick(1_801_000).said == ["901000 cue remind-asleep", "1801000 cue remind-asleep"]


@pytest.mark.parametrize("emergency", [False, True])
def test_a_start_from_sleep_has_no_pre_event(emergency: bool) -> None:
    policy = rezoned(PLAIN, "street", pre_event="video+audio")
    story = Story(policy).sleep_switch(1000, "on").then()
    story.down(59_000).tick(60_000) if emergency else story.double(60_000)
    how = "record-hold for imminent-threat" if emergency else "record-double-press for officer-discretion"
    assert story.said == [
        "60000 wake",
        f"60000 open 1 by {how}, off from 60000, sound from 60000",
        "60000 cue recording",
        "60000 capture street: video audio",
        "60000 force-keyframe",
    ]


def test_the_sleep_switch_ends_no_recording_and_the_camera_sleeps_after_it() -> None:
    story = Story().recording().sleep_switch(5000, "on").sleep_switch(5001, "on")
    assert story.said == ["5000 deny sleep: recording", "5000 cue refused"]
    story.press(10_000, length_ms=3200).press(14_000).tick(15_000).then().tick(30_000)
    assert story.said == [
        "24500.001 close 1 to 24500.001 stopped: unexplained",
        "24500.001 cue stopped",
        "24500.001 sleep: unexplained",
        "24500.001 capture street: nothing",
        "24500.001 clear-ring",
    ]
    assert story.state.phase is Phase.ASLEEP
    assert story.then().tick(924_500.001).said == ["924500.001 cue remind-asleep"]


def test_a_sleep_switch_turned_back_while_recording_means_no_sleep_after_it() -> None:
    story = Story().recording().sleep_switch(5000, "on").sleep_switch(6000, "off")
    story.press(10_000, length_ms=3200).press(14_000).tick(30_000)
    assert story.state.phase is Phase.IDLE


def test_a_recording_that_began_from_sleep_ends_in_sleep() -> None:
    story = Story().sleep_switch(500, "on").recording().press(10_000, length_ms=3200).press(14_000).tick(30_000)
    assert story.state.phase is Phase.ASLEEP


def test_a_recording_that_could_not_go_on_ends_in_sleep_where_the_switch_is_on() -> None:
    story = Story().recording().sleep_switch(5000, "on").then().closed(6000, 1, "failed")
    assert story.said == [
        "6000 cue failed",
        "6000 sleep: unexplained",
        "6000 capture street: nothing",
        "6000 clear-ring",
    ]


def test_sleep_that_the_policy_does_not_allow_is_denied() -> None:
    story = Story(changed(PLAIN, "sleep", allowed=False)).sleep_switch(1000, "on")
    assert story.said == ["1000 deny sleep: not-allowed", "1000 cue refused"]
    story.recording().press(10_000, length_ms=3200).press(14_000).tick(30_000)
    assert story.state.phase is Phase.IDLE


# -- stealth --------------------------------------------------------------------------------------------------------


def test_stealth_is_denied_and_the_attempt_is_said() -> None:
    story = Story().press(1000, "function", 3200)
    assert story.said == ["4000 deny stealth: not-allowed", "4000 cue refused"]
    assert not story.state.stealth


def test_stealth_where_the_policy_allows_it() -> None:
    story = Story(changed(PLAIN, "stealth", allowed=True)).press(1000, "function", 3200)
    assert story.said == ["4000 stealth on", "4000 cue stealth-on"]
    assert story.state.stealth
    assert story.then().press(11_000, "function", 3200).said == ["14000 stealth off", "14000 cue stealth-off"]
    assert not story.state.stealth


def test_a_hold_begun_while_idle_does_not_mute_the_recording_that_begins_meanwhile() -> None:
    story = Story().down(1000, "function").trigger(2000, "holster", "use-of-force").then().tick(5000)
    assert (story.said, story.state.muted) == ([], False)


def test_a_hold_begun_while_recording_is_no_stealth_when_the_recording_has_ended() -> None:
    story = Story(changed(PLAIN, "stealth", allowed=True)).recording().down(5000, "function")
    story.closed(6000, 1, "failed").tick(9000)
    assert story.said == ["6000 mark 1 at 5000", "6000 cue failed", "6000 capture street: video"]
    assert not story.state.stealth


# -- assignment -----------------------------------------------------------------------------------------------------

BOSTON = changed(PROFILES["boston-school-unit"], "notice", prompt=False)


def test_a_camera_that_is_assigned_to_nobody_records_only_where_the_policy_says_so() -> None:
    story = Story(BOSTON).double(1000)
    assert story.said == ["1000 refuse record-double-press: unassigned", "1000 cue refused"]
    assert story.then().trigger(1500, "light-bar", "pursuit").said[0] == "1500 refuse trigger-light-bar: unassigned"
    assert story.then().down(2000).tick(3000).said[:2] == [
        "3000 open 1 by record-hold for imminent-threat override, video from -27000, sound from 3000",
        "3000 cue override",
    ]
    assert Story(changed(BOSTON, "assignment", unassigned="allow")).double(1000).state.phase is Phase.RECORDING


def test_an_assignment_with_the_right_role() -> None:
    story = Story(BOSTON).assign(500, "b-1234", "school-unit-officer").assign(600, "b-1234", "school-unit-officer")
    assert story.said == ["500 assign b-1234 school-unit-officer", "500 cue assigned"]
    assert story.double(1000).state.phase is Phase.RECORDING


def test_an_assignment_with_another_role_is_denied_and_leaves_it_with_nobody() -> None:
    story = Story(BOSTON).assign(500, "b-1234", "school-unit-officer").then().assign(600, "b-5678", "clerk")
    assert story.said == ["600 deny assignment: role", "600 cue refused"]
    assert story.state.wearer.officer == ""
    assert story.then().double(1000).said[0] == "1000 refuse record-double-press: unassigned"


def test_an_assignment_is_given_back() -> None:
    story = Story(BOSTON).assign(500, "b-1234", "school-unit-officer").then().assign(600, "", "clerk")
    assert story.said == ["600 assign", "600 cue assigned"]
    assert story.state.wearer.officer == ""


def test_where_no_role_is_named_any_may_wear_it() -> None:
    assert Story().assign(500, "b-1", "anyone").said == ["500 assign b-1 anyone", "500 cue assigned"]


# -- entering a zone while recording --------------------------------------------------------------------------------

JERSEY = changed(PROFILES["new-jersey"], "notice", prompt=False)
CARRIED_IN = [
    "5000 cue zone",
    "5000 prompt justify-or-exit",
    "5000 cue zone-prompt",
    "5000 capture school: video audio",
]
PAUSED_BY_ZONE = ["mark 1 at {0}", "pause 1: zone-entered", "cue paused", "capture {1}: paused", "clear-ring"]


def paused_at(at_ms: str, zone: str) -> list[str]:
    return at(at_ms, [said.format(at_ms, zone) for said in PAUSED_BY_ZONE])


def test_entering_a_zone_that_allows_the_recording_s_category_asks_nothing() -> None:
    policy = rezoned(JERSEY, "school", allowed=("officer-discretion",))
    assert "5000 prompt justify-or-exit" not in Story(policy).recording().enter(5000, "school").said


def test_entering_a_zone_whose_entry_is_go_on_goes_on() -> None:
    story = Story(rezoned(JERSEY, "school", entry="go-on")).recording().enter(5000, "school").tick(60_000)
    assert story.said[:2] == ["5000 cue zone", "5000 capture school: video audio"]
    assert story.state.phase is Phase.RECORDING


def test_entering_a_school_while_recording_asks_to_justify_or_leave() -> None:
    story = Story(JERSEY).recording().enter(5000, "school")
    assert story.said == [*CARRIED_IN, "5000 clear-ring", "5000 force-keyframe"]
    assert story.state.phase is Phase.RECORDING


def test_a_double_press_justifies_and_recording_goes_on() -> None:
    story = Story(JERSEY).recording().enter(5000, "school").then().double(10_000).tick(60_000)
    assert story.said == ["10000 justify 1 as crime-investigation in school", "10000 cue recording"]
    assert (story.state.overridden, story.state.phase) == (True, Phase.RECORDING)


def test_a_double_press_where_nothing_could_justify_it_changes_nothing() -> None:
    policy = rezoned(JERSEY, "school", category="", override=False)
    story = Story(policy).recording().enter(5000, "school").then().double(10_000)
    assert story.said == ["10000 cue zone-prompt"]
    assert story.tick(25_000).state.phase is Phase.PAUSED


def test_a_trigger_whose_category_the_zone_allows_justifies_and_another_does_not() -> None:
    story = Story(JERSEY).recording().enter(5000, "school").then().trigger(6000, "light-bar", "pursuit")
    assert story.said == ["6000 note 1 trigger-light-bar 0"]
    assert story.then().trigger(7000, "holster", "force-expected").tick(60_000).said == [
        "7000 note 1 trigger-holster 0",
        "7000 justify 1 as force-expected in school",
    ]
    assert story.state.phase is Phase.RECORDING


def test_a_trigger_never_states_what_a_double_press_would() -> None:
    story = Story(JERSEY).recording().enter(5000, "school").press(6000, length_ms=3100).then()
    assert story.trigger(10_000, "light-bar", "pursuit").said == [
        "10000 note 1 trigger-light-bar 0",
        "10000 cue recording",
        "10000 note 1 stop-cancelled 0",
    ]
    assert story.tick(25_000).state.phase is Phase.PAUSED


def test_nobody_justifies_and_the_recording_is_paused() -> None:
    story = Story(JERSEY).recording().enter(5000, "school").then().tick(24_999)
    assert story.said == []
    assert story.tick(25_000).said == ["25000 lapse justify-or-exit", *paused_at("25000", "school")]


def test_nobody_justifies_and_the_recording_goes_on_where_the_zone_says_so() -> None:
    story = Story(rezoned(JERSEY, "school", unjustified="go-on")).recording().enter(5000, "school").then().tick(60_000)
    assert story.said == ["25000 lapse justify-or-exit", "25000 cue zone-prompt"]
    assert story.state.phase is Phase.RECORDING


def test_leaving_in_time_asks_nothing_more() -> None:
    story = Story(JERSEY).recording().enter(5000, "school").then().enter(10_000, "street").tick(60_000)
    assert story.said == ["10000 cue zone", "10000 capture street: video audio"]


def test_entering_a_private_zone_pauses_at_once_and_leaving_restores() -> None:
    story = Story().recording().enter(5000, "private")
    assert story.said == ["5000 cue zone", *paused_at("5000", "private")]
    assert story.then().enter(9000, "street").said == [
        "9000 cue zone",
        "9000 resume 1",
        "9000 cue recording",
        "9000 capture street: video audio",
        "9000 force-keyframe",
    ]
    assert story.then().tick(129_000).said == ["129000 cue remind-recording"]


def test_leaving_a_private_zone_does_not_end_a_private_pause() -> None:
    story = Story().paused().enter(6000, "private").enter(9000, "street")
    assert story.state.phase is Phase.PAUSED


def test_from_a_zone_that_paused_into_one_that_asks() -> None:
    story = Story(JERSEY).recording().enter(5000, "private").then().enter(9000, "school")
    assert story.said == [
        "9000 cue zone",
        "9000 resume 1",
        "9000 cue recording",
        "9000 prompt justify-or-exit",
        "9000 cue zone-prompt",
        "9000 capture school: video audio",
        "9000 force-keyframe",
    ]
    assert story.then().tick(29_000).state.phase is Phase.PAUSED


def test_from_a_zone_that_paused_into_another_that_pauses() -> None:
    policy = rezoned(PLAIN, "school", start="deny", entry="pause")
    story = Story(policy).recording().enter(5000, "private").then().enter(9000, "school")
    assert story.said == ["9000 cue zone", "9000 capture school: paused"]
    assert story.enter(10_000, "street").state.phase is Phase.RECORDING


def test_a_double_press_in_a_zone_that_paused_resumes_only_where_something_overrides() -> None:
    story = Story().recording().enter(5000, "private").then().double(9000)
    assert story.said == [
        "9000 justify 1 as imminent-threat in private",
        "9000 resume 1",
        "9000 cue override",
        "9000 capture private: video audio",
        "9000 force-keyframe",
    ]
    story = Story(rezoned(PLAIN, "private", override=False)).recording().enter(5000, "private").then().double(9000)
    assert story.said == ["9000 deny resume: zone-denies", "9000 cue refused"]


def test_a_zone_that_pauses_stops_what_was_stopping() -> None:
    story = Story().post_event().enter(20_000, "private")
    assert story.said == [
        "20000 cue zone",
        "20000 close 1 to 20000 stopped: zone-entered",
        "20000 cue stopped",
        "20000 capture private: nothing",
        "20000 clear-ring",
    ]


def test_a_lapse_in_the_post_event_time_closes() -> None:
    story = Story(rezoned(JERSEY, "school", justify_s=5)).post_event().enter(17_000, "school").then().tick(22_000)
    assert story.said[:2] == ["22000 lapse justify-or-exit", "22000 close 1 to 22000 stopped: zone-entered"]


def test_a_stop_in_a_zone_that_paused_says_so() -> None:
    story = Story().recording().enter(5000, "private").press(10_000, length_ms=3200).press(14_000).then().tick(15_000)
    assert story.said[0] == "14500.001 close 1 to 14500.001 stopped: zone-entered"


def test_a_marker_that_waits_when_a_zone_pauses_is_not_lost() -> None:
    story = Story().recording().press(4800, "function").enter(5000, "private").tick(7000)
    assert story.said == ["5000 cue zone", "5000 mark 1 at 4800", *paused_at("5000", "private")]


def test_an_override_ends_where_the_zone_does() -> None:
    story = Story().enter(500, "private").down(1000).tick(2000).up(2100).enter(5000, "street")
    assert not story.state.overridden
    assert story.then().enter(6000, "private").said == ["6000 cue zone", *paused_at("6000", "private")]


# -- notice ---------------------------------------------------------------------------------------------------------


def test_a_start_prompts_for_a_notice_and_a_function_press_gives_it() -> None:
    story = Story(FIRST).recording().tick(3000)
    assert story.said == ["3000 cue notice-prompt"]
    assert story.then().press(10_000, "function").tick(100_000).said == [
        "10500.001 notice 1 given",
        "10500.001 mark 1 at 10000",
        "10500.001 cue notice-given",
    ]
    assert story.then().press(110_000, "function").tick(111_000).said == [
        "110500.001 mark 1 at 110000",
        "110500.001 cue marker",
    ]


def test_a_press_before_the_prompt_gives_the_notice_and_there_is_no_prompt() -> None:
    story = Story(FIRST).recording().press(1500, "function").tick(100_000)
    assert story.said == ["2000.001 notice 1 given", "2000.001 mark 1 at 1500", "2000.001 cue notice-given"]


def test_a_notice_that_nobody_gave_is_unexplained() -> None:
    story = Story(FIRST).recording().tick(3000).then().tick(60_999)
    assert story.said == []
    assert story.tick(61_000).said == ["61000 notice 1 not given: unexplained"]


def test_a_notice_that_an_emergency_left_no_time_for_says_so() -> None:
    story = Story(FIRST).down(0).tick(1000).up(1100).tick(3000).then().tick(61_000)
    assert story.said == ["61000 notice 1 not given: imminent-threat"]


def test_a_recording_that_ends_before_a_notice_was_given_says_so() -> None:
    assert Story(FIRST).recording().shutdown(5000).said[:2] == [
        "3000 cue notice-prompt",
        "5000 notice 1 not given: unexplained",
    ]
    assert Story(FIRST).recording().tick(4000).then().closed(5000, 1, "failed").said[:2] == [
        "5000 notice 1 not given: unexplained",
        "5000 cue failed",
    ]


def test_a_notice_whose_press_still_waits_when_the_recording_ends_was_given() -> None:
    story = Story(FIRST).recording().press(4800, "function").then().shutdown(5000)
    assert story.said[:3] == [
        "5000 notice 1 given",
        "5000 mark 1 at 4800",
        "5000 close 1 to 5000 shutdown: unexplained",
    ]


# -- shutdown, disabled, another policy -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "reason"),
    [
        (Story().recording(), "unexplained"),
        (Story().stop_asked(), "unexplained"),
        (Story().paused(), "unexplained"),
        (Story().paused().press(10_000, length_ms=3200), "unexplained"),
        (Story().post_event(), "unexplained"),
        (Story().post_event().count(15_000, 15_300).tick(16_800), "privacy"),
    ],
    ids=["recording", "stop-asked", "paused", "paused-stop-asked", "post-event", "explained"],
)
def test_shutdown_in_every_phase_closes_with_a_reason(story: Story, reason: str) -> None:
    story.then().shutdown(17_000)
    assert story.said[0] == f"17000 close 1 to 17000 shutdown: {reason}"
    assert story.then().closed(17_500, 1).said == ["17500 finish"]


def test_shutdown_while_asleep_finishes_at_once() -> None:
    assert Story().sleep_switch(500, "on").then().shutdown(1000).said == ["1000 finish"]


def test_disabled_never_records_and_never_holds() -> None:
    story = Story(PROFILES["disabled"]).assign(100, "b-1", "any").then()
    assert capture(story.state, story.policy).video is False
    assert story.double(1000).down(2000).tick(3000).up(3100).trigger(4000, "holster", "use-of-force").said == [
        "1000 refuse record-double-press: disabled",
        "1000 cue refused",
        "3000 refuse record-hold: disabled",
        "3000 cue refused",
    ]


def test_another_policy_begins_where_the_switches_and_the_parts_are() -> None:
    story = Story().assign(100, "b-1", "clerk").sleep_switch(200, "on").enter(300, "school")
    story.level(400, "battery", "low").fault(500, "board").readiness(600, "storage-full")
    after = under(story.state, BOSTON)
    assert (after.phase, after.zone, after.sleep_wanted, after.wearer.officer) == (Phase.ASLEEP, "school", True, "")
    assert (after.warnings, after.faults, after.not_ready) == (("battery-low",), ("board",), "storage-full")
    assert under(story.state, changed(BOSTON, "sleep", allowed=False)).phase is Phase.IDLE
    assert Story(BOSTON).give(on.Tick(at_us=us(700))).state.zone == BOSTON.activation.initial_zone


def test_a_camera_is_at_rest_again_after_any_gesture() -> None:
    for story in (
        Story().press(1000).tick(5000),
        Story().press(1000, "function", 3200),
        Story().double(1000, "function"),
        Story().readiness(500, "storage-full").double(1000),
        Story().readiness(500, "storage-full").press(1000, length_ms=2000),
        Story().post_event().tick(24_600).closed(24_700, 1),
        Story().paused().press(10_000, length_ms=3200).press(14_000).tick(14_600).closed(15_000, 1),
    ):
        assert at_rest(story.state)


def test_a_policy_changes_only_at_rest() -> None:
    assert at_rest(Story().state)
    assert at_rest(Story().sleep_switch(500, "on").state)
    for busy in (
        Story().recording(),
        Story().post_event(),
        Story().post_event().tick(30_000),
        Story().trigger(1000, "door", "officer-discretion"),
        Story().down(1000),
        Story().press(1000),
        Story().shutdown(1000),
    ):
        assert not at_rest(busy.state)
        with pytest.raises(AssertionError, match="between recordings"):
            under(busy.state, FIRST)


def test_what_nobody_answered_is_not_the_next_wearers_late_start() -> None:
    story = Story().give(on.Triggered(at_us=us(1000), trigger="radio", category="officer-discretion"))
    story.tick(200_000).give(on.Assigned(at_us=us(201_000), officer="o2", role="officer", unit="u", shift="s2"))
    story.said.clear()
    assert "late" not in story.double(300_000).said[0]


def test_a_stuck_function_button_does_not_hold_up_a_policy() -> None:
    story = Story().down(1000, "function").tick(60_000)
    assert at_rest(story.state)
    state = under(story.state, PLAIN)
    assert state.function == story.state.function, "its release is still to come"
