"""The daemon as a process: what systemd hears, how it ends, what it says when it can't start."""

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hw_sim.agency import Agency, Bench
from tests.benches import make_bench, policy_document, shown, verified

LIMIT_S = 60
SMALL = {"width": 160, "height": 90, "rate_hz": 30, "bitrate_bps": 150_000}


class Running:
    """`bodycam-sim daemon` with a socket in the place of systemd's."""

    def __init__(self, bench: Bench, root: Path, *more: str, program: tuple[str, ...] = ("-m", "hw_sim.cli")) -> None:
        self.bench = bench
        self.root = root
        self._log = (root / "log").open("wb")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._listener.bind(str(root / "notify"))
        self._listener.settimeout(LIMIT_S)
        self.heard: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, *program, "daemon", "--config", str(bench.config), "--scene", "flat", *more],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "NOTIFY_SOCKET": str(root / "notify")},
        )

    def hear(self, wanted: Callable[[str], bool]) -> str:
        """Wait for a message; every message is kept."""
        while True:
            message = self._listener.recv(65536).decode()
            self.heard.append(message)
            if wanted(message):
                return message

    def drain(self) -> list[str]:
        """What has come and was not heard yet."""
        came = []
        while select.select([self._listener], [], [], 0)[0]:
            came.append(self._listener.recv(65536).decode())
        self.heard += came
        return came

    def line(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def terminate(self) -> int:
        self.process.terminate()
        return self.process.wait(LIMIT_S)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._listener.close()
        self._log.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    bench = make_bench(tmp_path / "bench", pre_event_s=2, post_event_s=0, camera=SMALL)
    daemon = Running(bench, tmp_path)
    yield daemon
    daemon.close()


def faults(said: str, begins: str) -> set[str]:
    """The faults that a status names. This machine's own clock may or may not be set."""
    assert said.startswith(begins), said
    return set(said.removeprefix(begins).split(", ")) - {"none", "clock"}


def test_systemd_hears_ready_status_watchdog_and_stopping(running: Running) -> None:
    assert faults(running.hear(lambda m: "READY=1" in m), "READY=1\nSTATUS=idle; faults: ") == set()
    running.hear(lambda m: m == "WATCHDOG=1")
    running.line("double record")
    recording = running.hear(lambda m: m.startswith("STATUS=recording"))
    assert faults(recording, "STATUS=recording; faults: ") == set()
    running.hear(lambda m: m == "WATCHDOG=1")
    status = subprocess.run(
        [sys.executable, "-m", "device.cli", "status", "--file", str(running.bench.status_file), "--json"],
        capture_output=True,
        check=True,
    )
    assert json.loads(status.stdout)["state"] == "recording"
    running.process.terminate()
    running.hear(lambda m: m == "STOPPING=1")
    assert running.process.wait(LIMIT_S) == 0


def test_sigterm_closes_an_open_recording(running: Running) -> None:
    running.hear(lambda m: "READY=1" in m)
    running.line("double record")
    running.hear(lambda m: m.startswith("STATUS=recording"))
    running.hear(lambda m: m == "WATCHDOG=1")
    assert running.terminate() == 0
    verdict = verified(running.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.recordings[0].answers.extent_said == "closed (shutdown) and journaled"
    assert not running.bench.status_file.exists()


def test_a_camera_that_does_not_let_go_ends_the_daemon_with_1_and_what_is_open_is_closed(running: Running) -> None:
    running.hear(lambda m: "READY=1" in m)
    running.line("double record")
    running.hear(lambda m: m.startswith("STATUS=recording"))
    running.hear(lambda m: m == "WATCHDOG=1")
    running.line("hang")
    assert running.process.wait(LIMIT_S) == 1
    verdict = verified(running.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.recordings[0].answers.extent_said == "closed (failed) and journaled"
    said = (running.root / "log").read_text("utf-8")
    assert "keeper failed: the camera does not let go" in said
    assert "Traceback" not in said


def test_a_camera_that_dies_is_started_anew(running: Running) -> None:
    running.hear(lambda m: "READY=1" in m)
    running.line("fail 1")
    running.line("die")
    running.hear(lambda m: m.startswith("STATUS=idle") and "camera" in m)
    running.hear(lambda m: m.startswith("STATUS=idle") and "camera" not in m)
    assert running.terminate() == 0


def test_the_table_of_a_start_has_every_step_and_the_first_frame_before_what_can_wait(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", pre_event_s=2, post_event_s=0, camera=SMALL)
    traced = Running(bench, tmp_path, "--trace-start")
    try:
        traced.hear(lambda m: "READY=1" in m)
        assert traced.terminate() == 0
    finally:
        traced.close()
    rows = [line.split("  ")[0] for line in (tmp_path / "log").read_text("utf-8").splitlines() if line[-1:].isdigit()]
    assert set(rows) == {
        "exec", "interpreter and command", "configuration", "camera asked to start", "first frame in the ring",
        "imports of the rest", "policy", "microphone started", "keys", "card and journal", "board", "control loop", "READY",
    }  # fmt: skip
    assert rows[:4] == ["exec", "interpreter and command", "configuration", "camera asked to start"]


def test_kill_is_a_power_cut_and_the_next_start_recovers(running: Running, tmp_path: Path) -> None:
    running.hear(lambda m: "READY=1" in m)
    running.hear(lambda m: m == "WATCHDOG=1")
    running.line("double record")
    running.hear(lambda m: m.startswith("STATUS=recording"))
    running.hear(lambda m: m == "WATCHDOG=1")
    live = verified(running.bench)
    assert live.exit_status == 4, shown(live)
    assert [r.verdict for r in live.recordings] == ["unchanged; still recording"]
    running.process.kill()
    running.process.wait(LIMIT_S)
    again_root = tmp_path / "again"
    again_root.mkdir()
    again = Running(running.bench, again_root)
    try:
        again.hear(lambda m: "READY=1" in m)
        again.hear(lambda m: m == "WATCHDOG=1")
        assert again.terminate() == 0
    finally:
        again.close()
    verdict = verified(running.bench, read=True)
    assert verdict.exit_status == 4, shown(verdict)
    assert [r.answers.extent for r in verdict.recordings] == ["power-loss"]


def test_a_second_daemon_on_the_same_card_is_refused(running: Running) -> None:
    running.hear(lambda m: "READY=1" in m)
    before = sorted(path.name for path in (running.bench.card / "journal").iterdir())
    status, message = _refused(running.bench.config)
    assert status == 78
    assert "another daemon is writing this card" in message
    assert sorted(path.name for path in (running.bench.card / "journal").iterdir()) == before
    assert running.terminate() == 0
    assert verified(running.bench).exit_status == 0


def _refused(config: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "hw_sim.cli", "daemon", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=LIMIT_S,
    )
    said = [line for line in done.stderr.splitlines(keepends=True) if "memory: not locked" not in line]
    return done.returncode, "".join(said)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rate_hz = 30", "rate_hz = 500", ["camera.rate_hz", "500", "60"]),
        ("rate_hz = 30", "frame_rate = 30", ["camera.frame_rate", "no such key"]),
        ("cap_mib = 4", "cap_mib = 4000", ["ring.cap_mib", "4000", "512 MiB", "lower"]),
        ("bitrate_bps = 150000", "bitrate_bps = 25000000", ["ring.cap_mib", "raise ring.cap_mib"]),
        ('key = "device.key"', 'key = "absent.key"', ["absent.key", "No such file"]),
        ('key = "device.key"', 'key = "device.der"', ["device.der", "private key"]),
        ('certificate = "device.der"', 'certificate = "provisioner.der"', ["provisioner.der", "role ledger", "agency"]),
        ('path = "../card"', 'path = "../elsewhere"', ["card.path", "elsewhere", "mount"]),
        ('footage = ["age1', 'footage = ["xage1', ["recipients.footage", "age1"]),
        ('bundle = "policy.bundle"', 'bundle = "none.bundle"', ["none.bundle", "no such file", "hand in a bundle"]),
        ('anchor = "agency-ca.pem"', 'anchor = "none.pem"', ["policy.anchor", "none.pem", "No such file"]),
        ("sleep_switch = 4", "sleep_switch = 4\nbuzzer = 17", ["board.record_button", "board.buzzer", "17"]),
        ('status_file = "status.json"', 'status_file = "/absent/x.json"', ["service.status_file", "/absent"]),
    ],
)
def test_a_bad_configuration_is_one_message_and_78(tmp_path: Path, old: str, new: str, said: list[str]) -> None:
    bench = make_bench(tmp_path / "bench", pre_event_s=2)
    text = bench.config.read_text()
    assert text.count(old) == 1
    bench.config.write_text(text.replace(old, new))
    status, message = _refused(bench.config)
    assert status == 78, message
    assert message.count("\n") == 1
    assert "Traceback" not in message
    assert [word for word in said if word not in message] == [], message
    assert list(bench.card.iterdir()) == [], "nothing is half written"


def test_a_bad_policy_names_the_bundle_and_the_key(tmp_path: Path) -> None:
    agency = Agency()
    bench = make_bench(tmp_path / "bench", agency=agency)
    bench.offered_policy.write_bytes(agency.bundle(policy_document().replace(b"confirm_s = 5", b"confirm_s = 500")))
    status, message = _refused(bench.config)
    assert status == 78
    assert "policy.bundle: stop.confirm_s is 500" in message


def test_a_missing_configuration_is_78(tmp_path: Path) -> None:
    status, message = _refused(tmp_path / "absent.toml")
    assert status == 78
    assert "absent.toml" in message


def test_bodycam_daemon_with_a_missing_configuration_is_78(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "device.cli", "daemon", "--config", str(tmp_path / "none.toml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    assert "none.toml" in done.stderr


def test_the_daemon_starts_without_what_only_readers_need(tmp_path: Path) -> None:
    loaded = (
        "import sys; from device.cli import main; "
        f"main(['daemon', '--config', {str(tmp_path / 'none.toml')!r}]); "
        "print(*sorted({'rich', 'cv2', 'numpy', 'device.audit_commands', 'device.evidence.opening'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True)
    assert done.stdout == "\n"
