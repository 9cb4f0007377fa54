"""A drawn day on the real daemon in virtual time: the same for the same seed, every frame accounted for, nothing forbidden
kept; and an account that sees what it must see."""

import datetime
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import av
import pytest

from device.policy.model import parse_policy
from device.policy_files import shipped_profiles
from device.tables import Microphone
from hw_sim import cli
from hw_sim.clock import VirtualClock
from hw_sim.curve import letters, picture
from hw_sim.encoders import encode_clip
from hw_sim.given import Given
from hw_sim.scenes import FlatScene
from hw_sim.shift import FAULT, draw
from hw_sim.shift_account import Account, account
from hw_sim.shift_command import shift
from hw_sim.shift_run import Boot, Played, Span
from hw_sim.tagged import Ear, TaggedCamera, TaggedClip, TaggedMicrophone, encoded_sound, found
from hw_sim.virtual import VirtualDevice
from tests.benches import CAMERA, make_bench, policy_document

TODAY = datetime.datetime.now(datetime.UTC).date().isoformat()
FIRST = parse_policy(shipped_profiles()["first"])
MIB = 1 << 20


# -- a whole day, short -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "rate_hz"), [("1", 10), (TODAY, 5)], ids=["seed-1", "seed-of-the-date"])
def test_a_short_day_with_a_cut_is_as_it_must_be(tmp_path: Path, seed: str, rate_hz: int) -> None:
    document = shipped_profiles()["first"]
    said = shift(
        tmp_path / "day", document, tmp_path, seed, 0.4, rate_hz=rate_hz, sound=rate_hz == 10, soak=False, quiet=True
    )
    assert said.troubles == ()
    assert said.exit_status == 0
    assert said.boots == 2
    assert said.faults_played["cut"] == 1
    assert said.recordings >= 3
    assert said.frames["stored"] > 500
    assert next(iter(said.frames.values())) == sum(list(said.frames.values())[1:5])
    assert len(said.curve) >= 24


# -- the day that is drawn ------------------------------------------------------------------------------------------------


def test_a_day_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert draw("7", 12, FIRST) == draw("7", 12, FIRST)
    assert draw("7", 12, FIRST).happenings != draw("8", 12, FIRST).happenings


def test_a_day_of_twelve_hours_has_sixty_encounters_three_cuts_and_weather() -> None:
    day = draw("1", 12, FIRST)
    lines = [happening.line for happening in day.happenings]
    assert day.encounters == 60
    assert sum(line.startswith("cut ") for line in lines) == 3
    assert sum(happening.why == FAULT for happening in day.happenings) >= 20
    assert sum("mistake" in happening.why for happening in day.happenings) >= 10
    assert {line.split()[0] for line in lines} >= {"press", "double", "hold", "zone", "sleep", "trigger", "cut", "card"}
    assert day.happenings == tuple(sorted(day.happenings))
    assert day.happenings[0].at_us >= 0
    assert day.happenings[-1].at_us < 12 * 3_600_000_000


def test_without_cuts_the_card_is_left_alone() -> None:
    lines = [happening.line for happening in draw("1", 24, FIRST, cuts=False).happenings]
    assert not [line for line in lines if line.startswith(("cut", "card stall", "card fails"))]


def test_without_sound_no_microphone_is_unplugged() -> None:
    assert {"unplug", "replug"} <= {happening.line for happening in draw("1", 24, FIRST).happenings}
    assert not {"unplug", "replug"} & {happening.line for happening in draw("1", 24, FIRST, sound=False).happenings}


@pytest.mark.parametrize("profile", sorted(shipped_profiles()))
def test_a_day_can_be_drawn_under_every_profile(profile: str) -> None:
    policy = parse_policy(shipped_profiles()[profile])
    zones = {h.line.split()[1] for h in draw("1", 12, policy).happenings if h.line.startswith("zone ")}
    assert zones <= {"initial", *policy.zones}


# -- pictures and sound that bear numbers -----------------------------------------------------------------------------------


def recorded(tmp_path: Path) -> Played:
    """One recording of some seconds, with sound and a picture or two that never came."""
    bench = make_bench(tmp_path / "bench")
    given = Given()
    clip = TaggedClip(encode_clip(2, **CAMERA, scene=FlatScene(CAMERA["width"], CAMERA["height"])))
    sound = encoded_sound(Microphone())
    device = VirtualDevice(
        bench,
        make_camera=lambda clock, settings: TaggedCamera(clock, clip=clip, boot=1, given=given, settings=settings),
        make_microphone=lambda clock, settings: TaggedMicrophone(
            clock, sound=sound, boot=1, given=given, settings=settings
        ),
    )
    device.boot()
    device.run(7)
    device.double()
    device.run(2)
    device.hardware.the_camera.drop(5)
    device.run(2)
    paused_us = device.double("function")
    device.run(3)
    resumed_us = device.double()
    device.run(2)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    return Played(bench, parse_policy(policy_document(5, 2)), [Boot(given, [(paused_us, resumed_us)])])


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return recorded(tmp_path_factory.mktemp("day"))


def judged(
    day: Played, given: Given | None = None, barred: Sequence[Span] = (), silenced: Sequence[Span] = ()
) -> Account:
    boot = Boot(given or day.boots[0].given, list(barred), list(silenced))
    return account(Played(day.bench, day.policy, [boot]))


def test_each_picture_of_a_recording_is_accounted_for(day: Played) -> None:
    said = account(day)
    assert said.troubles == []
    assert said.barred > 90, "three seconds of a pause"
    assert said.never_came == 5
    assert 60 < said.in_gaps < 125, "the pause of three seconds, and the pictures until a keyframe"
    assert said.stored + said.in_gaps + said.never_claimed == said.given
    assert said.lost == 0


def test_a_picture_that_was_given_and_is_nowhere_is_seen(day: Played) -> None:
    """As if the camera had given the five that were dropped: then those are missing, and what arrived later is another."""
    more = Given()
    first, second = day.boots[0].given.pictures.runs
    for number in range(first.number, second.after):
        more.picture(number, first.at(number), 30)
    more.packets = day.boots[0].given.packets
    assert [trouble.what for trouble in judged(day, more).troubles] == [
        "10 pictures were given in its time and are neither in it nor in a signed gap",
        "5 pictures are in it and in a signed gap",
        "0 pictures never came in its time; its gaps of the camera say 5",
    ]


def test_a_picture_that_was_never_given_is_seen(day: Played) -> None:
    less = Given()
    less.packets = day.boots[0].given.packets
    first, second = day.boots[0].given.pictures.runs
    for run in (first, second):
        for number in range(run.number, run.after):
            if number != first.after - 10:
                less.picture(number, run.at(number), 30)
    whats = [trouble.what for trouble in judged(day, less).troubles]
    assert "1 pictures in it were never given" in whats


def test_what_was_captured_while_forbidden_is_seen(day: Played) -> None:
    run = day.boots[0].given.pictures.runs[1]
    span = [(run.at_us - 1000, run.at(run.number + 10))]
    whats = [trouble.what for trouble in judged(day, barred=span).troubles]
    assert "10 pictures in it were captured while that was forbidden" in whats
    whats = [trouble.what for trouble in judged(day, silenced=span).troubles]
    assert any(
        re.fullmatch(r"1[56] packets of sound in it were captured while that was forbidden", what) for what in whats
    )


def test_a_tagged_clip_still_decodes_and_its_numbers_are_read_back() -> None:
    from device.hardware import Load
    from hw_sim.tagged import _TaggedEncoder

    clip = TaggedClip(encode_clip(2, **CAMERA, scene=FlatScene(CAMERA["width"], CAMERA["height"])))
    encoder = _TaggedEncoder(clip, 3, Load(30, 150_000), 0, Given())
    units = []
    for number in range(40, 100):
        encoder.capture(number, number * 33_333)
        units.append(encoder.encode(None, keyframe=number == 40).data)
    assert found(b"".join(units)).pictures == [(3, number) for number in range(40, 100)]
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for unit in units for frame in decoder.decode(av.Packet(unit))]
    assert len([*frames, *decoder.decode(None)]) == 60


def test_tagged_sound_still_decodes_and_its_numbers_are_read_back() -> None:
    settings, clock = Microphone(), VirtualClock("sound")
    microphone = TaggedMicrophone(clock, sound=encoded_sound(settings), boot=2, given=Given(), settings=settings)
    heard = Ear().hear(clock, microphone, 20)
    assert found(b"".join(heard)).packets == [(2, number) for number in range(20)]
    decoder = av.CodecContext.create("aac", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.extradata = microphone.extradata
    assert sum(frame.samples for packet in heard for frame in decoder.decode(av.Packet(packet))) == 20 * 1024


# -- the curve ------------------------------------------------------------------------------------------------------------


def test_the_curve_in_letters() -> None:
    curve = [(0.0, 10 * MIB), (60.0, 40 * MIB), (120.0, 80 * MIB), (180.0, 79 * MIB)]
    assert letters(curve) == "▁▄██  10 MiB at the start, 80 MiB at most, 79 MiB at the end"
    assert letters([]) == ""


def test_the_curve_as_a_picture_is_whole_xml() -> None:
    drawn = picture([(0.0, 10 * MIB), (3600.0, 90 * MIB)], "a <shift>")
    root = ET.fromstring(drawn)  # noqa: S314 - our own
    assert root.tag.endswith("svg")
    assert root[0].text == "a <shift>"
    line = next(element for element in root if element.tag.endswith("polyline"))
    assert line.get("points") == "64.0,188.8 704.0,35.2"


# -- the command ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hours", "0.1"], "--hours 0.1: give from 0.4 to 48 hours"),
        (["--hours", "49"], "--hours 49: give from 0.4 to 48 hours"),
        (["--hours", "nan"], "--hours nan: give from 0.4 to 48 hours"),
        (["--profile", "nowhere"], "nowhere: no such file, and no profile that is shipped"),
        (["--soak", "--hours", "1"], "--soak --hours 1: give at least 4"),
    ],
)
def test_what_can_not_be_asked(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["shift", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_holds_something_is_not_written_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("mine")
    assert cli.main(["shift", "--hours", "0.4", "--out", str(tmp_path)]) == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
