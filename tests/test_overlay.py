"""The burned-in text: read back from what was encoded and decoded, at its cost, and never in the way."""

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from device import tables
from device.evidence.records import Fault
from device.media import overlay
from device.media.caption import state_word
from device.media.overlay import Overlay
from device.policy.model import parse_policy
from device.policy.state import Phase, State, initial_state
from hw_sim import glyphs, pattern
from hw_sim.camera import TwinCamera
from hw_sim.clock import Scheduler, VirtualClock
from hw_sim.pattern import Picture
from hw_sim.scenes import DrawnScene, flash_area
from hw_sim.virtual import VirtualDevice
from tests.benches import FIRST_PROFILE, ledger, make_bench, recordings
from tests.test_twin_camera import Listener, pictures_in

POLICY = parse_policy(FIRST_PROFILE.read_bytes())
AT_REST = initial_state(POLICY, 0)
SIZES = [(1920, 1080), (640, 360)]
STATES: dict[str, State] = {
    "PRE": AT_REST,
    "STANDBY": msgspec.structs.replace(AT_REST, zone="private"),
    "ASLEEP": msgspec.structs.replace(AT_REST, phase=Phase.ASLEEP),
    "REC": msgspec.structs.replace(AT_REST, phase=Phase.RECORDING),
    "REC MUTE": msgspec.structs.replace(AT_REST, phase=Phase.RECORDING, muted=True),
    "STOP ASKED": msgspec.structs.replace(AT_REST, phase=Phase.STOP_ASKED),
    "STOP ASKED MUTE": msgspec.structs.replace(AT_REST, phase=Phase.STOP_ASKED, muted=True),
    "POST": msgspec.structs.replace(AT_REST, phase=Phase.POST_EVENT),
    "POST MUTE": msgspec.structs.replace(AT_REST, phase=Phase.POST_EVENT, muted=True),
    "PAUSE": msgspec.structs.replace(AT_REST, phase=Phase.PAUSED),
}
FIRST_LINE = "2026-09-21 14:13:25 UTC SYNCED"
"""The virtual clock's first moment."""


def make(
    width: int, height: int, clock: VirtualClock | None = None, device: str = "BC-000001", **changed: str
) -> Overlay:
    settings = msgspec.convert(changed, tables.Overlay)
    return Overlay(width=width, height=height, settings=settings, device=device, clock=clock or VirtualClock("boot"))


def read(luma: Picture, drawn: Overlay) -> list[str]:
    """The text in a picture: for each cell the letter that is nearest to it."""
    cell, across = drawn.cell_height, overlay.cell_width(drawn.cell_height)
    letters = glyphs.draw(cell).reshape(cell, len(overlay.LETTERS), across).swapaxes(0, 1).astype(int)
    edge = cell // 4
    lines = []
    for line in range(2):
        top = drawn.top + edge + line * cell
        row = luma[top : top + cell, drawn.left + edge : drawn.left + edge + drawn.columns * across].astype(int)
        cells = row.reshape(cell, drawn.columns, across).swapaxes(0, 1)
        found = [overlay.LETTERS[int(np.abs(letters - each).sum(axis=(1, 2)).argmin())] for each in cells]
        lines.append("".join(found).rstrip())
    return lines


def filmed(width: int, height: int, drawn: Overlay, clock: VirtualClock, frames: int) -> list[Picture]:
    """What an encoder makes of some pictures of the street, decoded."""
    camera = TwinCamera(
        clock, width=width, height=height, rate_hz=10, bitrate_bps=2_000_000, scene=DrawnScene(width, height, 10),
        behaviour="libav", stamp=drawn,
    )  # fmt: skip
    units: list[bytes] = []
    camera.start(Listener(lambda data, _: units.append(bytes(data))))
    Scheduler(clock, camera.parts).run_until(clock.now_us() + frames * 100_000 - 1)
    return pictures_in(units)


# -- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("word", STATES)
def test_the_text_is_read_from_encoded_pictures(width: int, height: int, word: str) -> None:
    clock = VirtualClock("boot")
    drawn = make(width, height, clock)
    drawn.show(state_word(STATES[word], POLICY))
    pictures = filmed(width, height, drawn, clock, 2)
    assert [read(picture, drawn) for picture in pictures] == [[FIRST_LINE, f"BC-000001  {word}"]] * 2
    assert [pattern.read(picture) for picture in pictures] == [0, 1]


def test_the_time_is_that_of_the_capture_and_its_quality_is_said() -> None:
    clock = VirtualClock("boot")
    drawn, plane = make(640, 360, clock), bytearray(640 * 360)
    seen = []
    for late_us, synchronised, step_us in ((-1, True, 0), (0, True, 0), (999_999, False, 0), (0, True, 3_600_000_000)):
        clock.synchronised = synchronised
        clock.wall_offset_us = 1_790_000_000_000_000 + step_us
        drawn.show(state_word(AT_REST, POLICY))
        drawn.burn(memoryview(plane), 640, clock.now_us() + late_us)
        seen.append(read(np.frombuffer(plane, np.uint8).reshape(360, 640), drawn)[0])
    assert seen == [
        "2026-09-21 14:13:24 UTC SYNCED",
        "2026-09-21 14:13:25 UTC SYNCED",
        "2026-09-21 14:13:25 UTC NOT SYNCED",
        "2026-09-21 15:13:25 UTC SYNCED",
    ]


def test_a_device_burns_it_from_its_first_frame_on_and_says_what_it_does(tmp_path: Path) -> None:
    device = VirtualDevice(
        make_bench(
            tmp_path / "bench", audio=False, camera={"width": 640, "height": 360, "rate_hz": 5, "bitrate_bps": 400_000}
        )
    )
    device.boot()
    drawn, ring = device.daemon.sight.overlay, device.daemon.ring
    claim = ring.claim(0, 0)
    device.run(2)
    device.double()
    device.run(2)
    pictures = pictures_in([frame.data for _, frames in ring.gops(claim, 0) for frame in frames])
    words = [read(picture, drawn)[1].removeprefix("BC-000001  ") for picture in pictures]
    device.stop()
    pressed = words.index("REC")
    assert words[:pressed] == ["START"] + ["PRE"] * (pressed - 1), "one came before the policy was known"
    assert words[pressed:] == ["REC"] * (len(words) - pressed)
    assert pressed in {10, 11, 12}
    assert read(pictures[0], drawn)[0] == FIRST_LINE


@pytest.mark.parametrize("ground", [0, 255])
def test_it_is_read_on_light_and_on_dark_ground(ground: int) -> None:
    drawn, plane = make(640, 360), bytearray([ground]) * (640 * 360)
    drawn.burn(memoryview(plane), 640, 5_000_000)
    assert read(np.frombuffer(plane, np.uint8).reshape(360, 640), drawn) == [FIRST_LINE, "BC-000001  START"]


# -- where, and how much ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height", "stride", "box"), [(1920, 1080, 1920, (628, 80)), (640, 360, 704, (314, 40))]
)
@pytest.mark.parametrize("position", ["top-left", "top-right", "bottom-left", "bottom-right"])
def test_only_the_box_is_written(width: int, height: int, stride: int, box: tuple[int, int], position: str) -> None:
    drawn, plane = make(width, height, position=position), bytearray([99]) * (stride * height)
    drawn.burn(memoryview(plane), stride, 5_000_000)
    written = np.frombuffer(plane, np.uint8).reshape(height, stride) != 99
    assert (drawn.box_width, drawn.box_height) == box
    assert int(written.sum()) == box[0] * box[1]
    assert written[drawn.top : drawn.top + box[1], drawn.left : drawn.left + box[0]].all()


@pytest.mark.parametrize(("width", "height"), [*SIZES, (1280, 720), (480, 360), (1920, 1088)])
def test_it_covers_neither_the_number_nor_the_flash_of_the_twin(width: int, height: int) -> None:
    drawn, plane = make(width, height, device="D" * 12), np.zeros((height, width), np.uint8)
    side = pattern.block_pixels(width)
    drawn.burn(plane.reshape(-1).data, width, 5_000_000)
    assert not plane[: pattern.ROWS * side, : pattern.COLUMNS * side].any()
    assert not plane[flash_area(width, height)].any()


@pytest.mark.parametrize(
    ("size", "expected"), [("small", (24, 16, 16, 16)), ("normal", (32, 24, 16, 16)), ("large", (48, 32, 16, 16))]
)
def test_the_letters_follow_the_height_of_the_picture(size: str, expected: tuple[int, ...]) -> None:
    pictures = [(1920, 1080), (1280, 720), (640, 480), (480, 360)]
    made = [make(width, height, size=size, device="d" * 32) for width, height in pictures]
    assert tuple(each.cell_height for each in made) == expected
    assert all(each.left + each.box_width <= width for each, (width, _) in zip(made, pictures, strict=True))


@pytest.mark.parametrize(("width", "height"), [(160, 90), (478, 360), (480, 358)])
def test_a_small_picture_bears_no_text(width: int, height: int) -> None:
    drawn, plane = make(width, height), bytearray(width * height)
    drawn.on()
    drawn.burn(memoryview(plane), width, 0)
    assert not any(plane)
    assert drawn.why_not == ""


def test_off_and_on_again() -> None:
    drawn, plane = make(640, 360), bytearray(640 * 360)
    drawn.off()
    drawn.burn(memoryview(plane), 640, 0)
    assert not any(plane)
    drawn.on()
    drawn.burn(memoryview(plane), 640, 0)
    assert any(plane)


# -- what may go wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plane", "stride"),
    [
        (memoryview(bytearray(640 * 359)), 640),
        (memoryview(bytearray(640 * 360)), 639),
        (memoryview(bytes(640 * 360)), 640),
        (memoryview(bytearray(640 * 360)).cast("c"), 640),
        (memoryview(bytearray(640 * 360)).cast("B", (360, 640)), 640),
        (memoryview(b""), 0),
    ],
)
def test_a_plane_of_another_form_is_left_alone(plane: memoryview, stride: int) -> None:
    drawn, good = make(640, 360), bytearray(640 * 360)
    drawn.burn(memoryview(bytearray(640 * 360)), 640, 5_000_000)
    drawn.burn(plane, stride, 5_000_000)
    assert not any(plane.tobytes())
    drawn.burn(memoryview(good), 640, 5_000_000)
    assert any(good)


@pytest.mark.parametrize("at_us", [-(10**18), 0, 10**18])
def test_no_time_makes_it_raise(at_us: int) -> None:
    drawn, plane = make(640, 360), bytearray(640 * 360)
    drawn.burn(memoryview(plane), 640, at_us)
    assert len(read(np.frombuffer(plane, np.uint8).reshape(360, 640), drawn)[0]) == len(FIRST_LINE)


@pytest.mark.parametrize("damage", [b"P5\n1 1\n255\nx", None])
def test_without_its_letters_the_camera_records_and_shows_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes | None
) -> None:
    for data in filter(None, [damage]):
        (tmp_path / "16.pgm").write_bytes(data)
    monkeypatch.setattr(overlay, "GLYPHS", tmp_path)
    camera = {"width": 640, "height": 360, "rate_hz": 5, "bitrate_bps": 400_000}
    device = VirtualDevice(make_bench(tmp_path / "bench", audio=False, camera=camera))
    device.boot()
    device.run(1)
    assert device.daemon.ring.newest_video_us is not None
    assert device.daemon.control.state.faults == ("overlay",)
    assert "16.pgm" in device.daemon.sight.overlay.why_not
    device.stop()


def test_pictures_that_cannot_be_written_to_are_a_fault_and_the_recording_goes_on(tmp_path: Path) -> None:
    camera = {"width": 640, "height": 360, "rate_hz": 5, "bitrate_bps": 400_000}
    device = VirtualDevice(make_bench(tmp_path / "bench", audio=False, camera=camera, post_event_s=0))
    device.boot()
    device.run(2)
    device.double()
    device.run(2)
    assert list(device.daemon.control.state.faults) == []
    device.daemon.sight.overlay.failed("no buffer")
    device.daemon.sight.overlay.on()
    device.run(1)
    assert list(device.daemon.control.state.faults) == ["overlay"]
    assert device.daemon.control.state.phase.value == "recording"
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    (folder,) = recordings(device.bench)
    records = [line.record for line in ledger(device.bench, folder).lines]
    told = [(r.part, r.present) for r in records if isinstance(r, Fault)]
    assert told == [("overlay", True)]


# -- the letters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell_height", overlay.CELL_HEIGHTS)
def test_the_letters_are_those_that_are_drawn(cell_height: int) -> None:
    held = np.frombuffer(overlay.read_glyphs(cell_height), np.uint8).reshape(cell_height, -1)
    drawn = glyphs.draw(cell_height)
    assert held.shape == drawn.shape
    assert int(np.abs(held.astype(int) - drawn.astype(int)).max()) <= 2


def test_every_letter_of_a_device_has_its_shape_and_no_two_look_alike() -> None:
    held = np.frombuffer(overlay.read_glyphs(16), np.uint8).reshape(16, len(overlay.LETTERS), -1).swapaxes(0, 1)
    assert set(glyphs.STROKES) == set(overlay.LETTERS)
    assert len({each.tobytes() for each in held}) == len(overlay.LETTERS) == 68


def test_the_command_writes_the_same_files_anew(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "hw_sim.glyphs", str(tmp_path)], check=True, capture_output=True)
    assert {path.name for path in tmp_path.iterdir()} == {"16.pgm", "24.pgm", "32.pgm", "48.pgm"}
    assert (tmp_path / "16.pgm").read_bytes().startswith(overlay.glyphs_header(16))


def test_the_device_needs_neither_numpy_nor_opencv_for_it() -> None:
    code = "import sys, device.media.overlay, device.daemon; print(sorted({'numpy', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
