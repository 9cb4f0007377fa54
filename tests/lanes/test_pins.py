"""Real GPIO: a press on a /dev/gpiochip, through gpiozero and lgpio, gives a verified recording; on arm64, with 512 MB, under
systemd with its memory limited. The board's contract is kept there too."""

import json
import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest

from hw_sim.agency import Agency, lay_out_bench
from hw_sim.encoders import encode_clip
from hw_sim.scenes import DrawnScene
from tests.benches import policy_document
from tests.commands import run
from tests.lanes.arm64_machine import TOOLS, TREE, Machine
from tests.lanes.pins_person import MARK

MEMORY_MAX_MIB = 160
CAMERA = {"width": 640, "height": 360, "rate_hz": 30, "bitrate_bps": 1_000_000}
DROP_IN = f"""[Service]
ExecStart=
ExecStart=/usr/bin/python3 -m tests.lanes.pins_daemon /etc/bodycam/bodycam.toml /opt/clip
Environment=PYTHONPATH=/opt/bodycam:/opt/site PYTHONDONTWRITEBYTECODE=1
MemoryMax={MEMORY_MAX_MIB}M
TimeoutStartSec=300
TimeoutStopSec=120
WatchdogSec=60
"""
GREEDY = """[Service]
Type=oneshot
MemoryMax=32M
MemorySwapMax=0
ExecStart=/usr/bin/python3 -c "bytearray(64 << 20)"
"""
PERSON = """[Unit]
DefaultDependencies=no
[Service]
Type=simple
WorkingDirectory=/opt/bodycam
Environment=PYTHONPATH=/opt/bodycam:/opt/site PYTHONDONTWRITEBYTECODE=1
ExecStart=/usr/bin/python3 -m tests.lanes.pins_person
"""


@pytest.mark.pins
@pytest.mark.tools(*TOOLS)
def test_a_press_on_real_lines_gives_a_verified_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = Machine(tmp_path / "machine")
    began_s = time.monotonic()
    machine.unpack()
    trust = _set_up(machine, tmp_path / "bench")
    built_s = time.monotonic() - began_s
    ran = machine.run("person.service", limit_s=900)
    seen = _report(ran.console)
    with capsys.disabled():
        print(
            f"\nthe machine was built in {built_s:.0f} s and ran {ran.length_s:.0f} s; it saw: {json.dumps(seen, indent=1)}"
        )
    assert "failure" not in seen, f"{seen['failure']}\n{seen['journal']}"
    assert seen["contract_status"] == 0, seen["contract"]
    assert "12 passed" in str(seen["contract"])
    assert seen["greedy"] == "oom-kill", "the kernel holds a unit to its MemoryMax"
    assert seen["lights_idle"] == {"recording": False, "ready": True}
    assert seen["lights_recording"] == {"recording": True, "ready": True}
    assert seen["result"] == "success", seen["said"]
    assert seen["fifos"] == [], "lgpio leaves nothing behind"
    memory = msgspec.convert(seen["memory_after"], dict[str, str])
    assert int(memory["max"]) == MEMORY_MAX_MIB * 2**20
    assert int(memory["peak"]) <= int(memory["max"]), (
        "with the pages of files that it read, which the kernel takes back"
    )
    assert int(memory["VmHWM"].split()[0]) < 100 * 1024, "kB"
    assert memory["swap.max"] == "0"
    assert memory["VmSwap"] == "0 kB"
    assert int(memory["VmLck"].split()[0]) >= int(memory["VmRSS"].split()[0]), "what is touched stays in memory"

    card = tmp_path / "card"
    card.mkdir()
    machine.read_card(card)
    (recording,) = (card / "evidence").iterdir()
    assert recording.name == seen["recording"]
    assert run("verify", str(card), "--trust", str(trust), "--json") == 0
    (verdict,) = json.loads(capsys.readouterr().out)
    assert verdict["verdict"] == "intact"
    assert [(each["verdict"], each["trigger"]) for each in verdict["recordings"]] == [("intact", "record-double-press")]


def _set_up(machine: Machine, folder: Path) -> Path:
    """A device's files, the unit of this tree, and the one who presses; the agency's CA, to verify with."""
    tables: dict[str, dict[str, int | bool]] = {
        "card": {"full_below_mib": 8},
        "camera": {**CAMERA},
        "microphone": {"enabled": False},
        "ring": {"cap_mib": 8},
    }
    bench = lay_out_bench(folder, Agency(), "BC-000001", policy_document(pre_event_s=5, post_event_s=2), tables)
    text = bench.config.read_text("utf-8")
    for old, new in (
        ('path = "../card"', 'path = "/var/lib/bodycam"'),
        ('kept = "policy-kept.bundle"', 'kept = "/var/lib/bodycam-state/policy-kept.bundle"'),
        ('status_file = "status.json"', 'status_file = "/run/bodycam/status.json"'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    etc, units = machine.root / "etc", machine.root / "etc/systemd/system"
    shutil.copytree(bench.config.parent, etc / "bodycam")
    (etc / "bodycam/bodycam.toml").write_text(text, "utf-8")
    for path in (etc / "bodycam", *(etc / "bodycam").iterdir()):
        os.chown(path, 994, 994)
    (machine.root / "var/lib/bodycam").mkdir()
    (units / "bodycam.service.d").mkdir(parents=True)
    shutil.copy(TREE / "systemd/bodycam.service", units)
    (units / "bodycam.service.d/pins.conf").write_text(DROP_IN)
    (units / "greedy.service").write_text(GREEDY)
    (units / "person.service").write_text(PERSON)
    clip = encode_clip(5, **CAMERA, scene=DrawnScene(CAMERA["width"], CAMERA["height"], CAMERA["rate_hz"]))
    (machine.root / "opt/clip").write_bytes(msgspec.msgpack.encode(clip))
    return bench.trust


def _report(console: str) -> dict[str, object]:
    lines = [line for line in console.splitlines() if line.startswith(MARK)]
    assert len(lines) == 1, f"the machine said nothing of the pins; its console:\n{console[-6000:]}"
    seen: dict[str, object] = json.loads(lines[0].removeprefix(MARK))
    return seen
