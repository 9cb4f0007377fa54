"""What is exported plays: in ffmpeg without a warning, and in a browser's <video> to its end."""

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from device.clock import Latch
from hw_sim.agency import Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import export, make_bench, recordings
from tests.exports import exported, seconds

BROWSER = [
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
]
PAGE = b"""<!doctype html><title>play</title><video id="v" src="/v.mp4"></video><script>
const v = document.getElementById("v");
const tell = what => fetch("/told?" + encodeURIComponent(what));
v.onerror = () => tell("error " + v.error.code + " " + v.error.message);
v.onloadeddata = () => { v.playbackRate = 8; v.play().catch(e => tell("refused " + e)); };
v.onended = () => tell("ended " + v.currentTime.toFixed(1) + " " + v.videoWidth + "x" + v.videoHeight);
</script>"""


@pytest.fixture(scope="module", params=[True, False], ids=["with-sound", "without-sound"])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Path]:
    """A recording, exported; with sound from the press on."""
    root = tmp_path_factory.mktemp("play")
    bench = make_bench(root / "bench", audio=request.param)
    device = VirtualDevice(bench)
    device.boot()
    device.run(6)
    device.record(4)
    device.stop()
    return bench, export(bench, recordings(bench)[0], root / "out.mp4")


@pytest.mark.tools("ffmpeg", "ffprobe")
def test_ffmpeg_decodes_it_without_a_word(recorded: tuple[Bench, Path]) -> None:
    decoded = subprocess.run(
        ["ffmpeg", "-v", "warning", "-i", recorded[1], "-f", "null", "-"], capture_output=True, text=True, check=True
    )
    assert decoded.stderr == ""


@pytest.mark.tools("ffprobe")
def test_sound_and_pictures_keep_their_own_times(recorded: tuple[Bench, Path]) -> None:
    """Pictures begin at zero; sound begins at the press, five seconds and a bit later, and both end together."""
    probed = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "packet=codec_type,pts_time", "-of", "json", recorded[1]],
        capture_output=True,
        text=True,
        check=True,
    )
    times: dict[str, list[float]] = {}
    for packet in json.loads(probed.stdout)["packets"]:
        times.setdefault(packet["codec_type"], []).append(float(packet["pts_time"]))
    assert times["video"][0] == 0.0
    if "audio" in times:
        assert 5.0 < times["audio"][0] < 6.6
        assert abs(times["audio"][-1] - times["video"][-1]) < 0.1
        steps = [b - a for a, b in zip(times["audio"], times["audio"][1:], strict=False)]
        assert max(steps) < 0.0215


@pytest.mark.tools("chromium")
def test_a_browser_plays_it_to_its_end(recorded: tuple[Bench, Path], tmp_path: Path) -> None:
    told = played(recorded[1].read_bytes(), tmp_path)
    assert told.startswith("ended%20"), told
    assert told.endswith("%20160x90"), told


@pytest.mark.tools("chromium")
def test_a_browser_plays_a_part_to_its_end(recorded: tuple[Bench, Path], tmp_path: Path) -> None:
    """Its times are those of the whole recording, from second 4 on: it ends at second 7, or with the packet of sound."""
    bench, _ = recorded
    told = played(exported(bench, recordings(bench)[0], tmp_path / "part.mp4", seconds(4, 7)), tmp_path)
    _, at_s, size = told.split("%20")
    assert float(at_s) == pytest.approx(7, abs=0.3)
    assert size == "160x90"


def played(video: bytes, tmp_path: Path) -> str:
    """What a browser's <video> says at the end."""
    told: list[str] = []
    done = Latch()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/told?"):
                told.append(self.path.removeprefix("/told?"))
                done.set()
            body, kind = (video, "video/mp4") if self.path == "/v.mp4" else (PAGE, "text/html")
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    browser = subprocess.Popen(
        [*BROWSER, f"--user-data-dir={tmp_path / 'profile'}", address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        done.wait(90)
    finally:
        browser.terminate()
        browser.wait(20)
        server.shutdown()
        server.server_close()
        serving.join(20)
    assert told, "the browser said nothing"
    return told[0]
