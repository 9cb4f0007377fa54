"""In the arm64 machine, as root: the person who presses, and looks at the lights. Says what was seen as one line of JSON on
the console and turns the machine off.
"""

import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from device.clock import BootClock, Latch
from tests.lanes.sim_lines import SimLines, make_chip

RECORD, RECORDING_LIGHT, READY_LIGHT = 17, 22, 23
CARD = Path("/var/lib/bodycam")
GROUP = Path("/sys/fs/cgroup/system.slice/bodycam.service")
FOLDERS = [Path("/", name) for name in ("etc", "opt", "run", "tmp", "var")]
LIMIT_S = 400.0
OVER = {"post-event", "idle"}
"""A recording is still being closed in these: whoever holds the button now begins another."""
MARK = "PINS-REPORT "
_never = Latch()


def main() -> int:
    seen: dict[str, object] = {}
    try:
        _look(seen)
    except Exception:  # noqa: BLE001 - whatever it was, the host is to see it
        seen["failure"] = traceback.format_exc()
        seen["journal"] = _said("journalctl", "-b", "--no-pager", "-n", "60")
    Path("/dev/console").write_text(f"\n{MARK}{json.dumps(seen)}\n")
    subprocess.run(["umount", CARD], check=False)
    subprocess.run(["systemctl", "poweroff", "--force", "--force"], check=True)
    return 0


def _look(seen: dict[str, object]) -> None:
    seen["up_s"] = _up_s()
    make_chip()
    contract = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", "-c", "/dev/null",
         "tests/lanes/pins_in_guest.py"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    seen["contract"] = contract.stdout[-6000:] + contract.stderr[-1000:]
    seen["contract_status"] = contract.returncode
    seen["contract_done_s"] = _up_s()
    subprocess.run(["mount", "/dev/vdb", CARD], check=True)
    subprocess.run(["chown", "bodycam:bodycam", CARD], check=True)
    seen["greedy_status"] = subprocess.run(["systemctl", "start", "greedy"], check=False).returncode
    seen["greedy"] = _said("systemctl", "show", "-P", "Result", "greedy").strip()
    lines = SimLines()
    subprocess.run(["systemctl", "start", "bodycam"], check=True)
    seen["ready_s"] = _up_s()
    _until("buffering", lambda: int(str(_status()["held_us"])) > 2_000_000)
    seen["lights_idle"] = _lights(lines)
    seen["double_presses"] = _again(lines, _double_press, lambda: _status()["state"] == "recording")
    _until("written", lambda: bool(_status()["recording"]))
    _until("durable", lambda: any(CARD.glob("evidence/*/*.m4s.age")))
    seen["durable_s"] = _up_s()
    seen["recording"] = _status()["recording"]
    seen["lights_recording"] = _lights(lines)
    _pass(6)
    seen["memory"] = _memory()
    seen["stops"] = _again(lines, _hold_and_confirm, lambda: _status()["state"] in OVER)
    _until("closed", lambda: not _status()["recording"])
    seen["closed_s"] = _up_s()
    seen["memory_after"] = _memory()
    subprocess.run(["systemctl", "stop", "bodycam"], check=True)
    seen["result"] = _said("systemctl", "show", "-P", "Result", "bodycam").strip()
    seen["said"] = _said("journalctl", "-b", "--no-pager", "-o", "cat", "-u", "bodycam")[-4000:]
    seen["fifos"] = [str(path) for folder in FOLDERS for path in folder.glob("**/.lgd-nfy*")]
    seen["done_s"] = _up_s()


def _again(lines: SimLines, do: Callable[[SimLines], None], done: Callable[[], bool]) -> int:
    """How often a gesture was made until it counted: an emulated thumb may be too slow for the policy's times."""
    for n in range(1, 11):
        do(lines)
        if _holds_within(20, done):
            return n
    raise AssertionError(f"ten times without an answer: {_status()}")


def _double_press(lines: SimLines) -> None:
    _press(lines, 0.08)
    _pass(0.08)
    _press(lines, 0.08)


def _hold_and_confirm(lines: SimLines) -> None:
    _press(lines, 3.3)
    if _holds_within(20, lambda: _status()["state"] == "stop-asked"):
        _press(lines, 0.12)


def _press(lines: SimLines, length_s: float) -> None:
    lines.drive(RECORD, False)
    _pass(length_s)
    lines.drive(RECORD, True)


def _lights(lines: SimLines) -> dict[str, bool]:
    """Which were lit at any time within a few seconds; patterns blink."""
    lit = {"recording": False, "ready": False}
    for _ in range(40):
        lit["recording"] |= lines.level(RECORDING_LIGHT)
        lit["ready"] |= lines.level(READY_LIGHT)
        _pass(0.1)
    return lit


def _status() -> dict[str, object]:
    status: dict[str, object] = json.loads(Path("/run/bodycam/status.json").read_text())
    return status


def _memory() -> dict[str, str]:
    found = {name: (GROUP / f"memory.{name}").read_text().strip() for name in ("max", "peak", "current", "swap.max")}
    pid = _said("systemctl", "show", "-P", "MainPID", "bodycam").strip()
    process = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return found | {name: process[name].strip() for name in ("VmRSS", "VmHWM", "VmLck", "VmSwap", "Threads")}


def _until(what: str, holds: Callable[[], bool]) -> None:
    assert _holds_within(LIMIT_S, holds), f"never {what}: {_status()}"


def _holds_within(limit_s: float, holds: Callable[[], bool]) -> bool:
    end_s = _up_s() + limit_s
    while not holds():
        if _up_s() > end_s:
            return False
        _pass(0.2)
    return True


def _pass(length_s: float) -> None:
    _never.wait(length_s)


def _up_s() -> float:
    return BootClock().now_us() / 1e6


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


if __name__ == "__main__":
    sys.exit(main())
