#!/usr/bin/python3 -I
"""`upgrade-guard`: may the daemon be stopped now? 0: yes; 1: no, and why. Asked before an upgrade and before a removal.

While the daemon runs, its code must not be replaced under it: what it imports later would be of another version. So it is
stopped for an upgrade, and never while it records. Needs the standard library alone; called by the package's scripts.
"""

import json
import subprocess
import sys
from pathlib import Path

STATUS = Path("/run/bodycam/status.json")
UNIT = "bodycam.service"
MAX_BYTES = 64 * 1024
OFF = {"inactive", "failed"}
_WAY_OUT = f"`systemctl stop {UNIT}` closes an open recording, with its last second; then do this again"


def refusal(unit: str, status: bytes | None) -> str:
    """Why the daemon may not be stopped; "": it may. `unit`: the unit's ActiveState; `status`: the status file's bytes.

    A daemon that runs and can't be asked is taken for one that records.
    """
    if unit in OFF:
        return ""
    try:
        said = json.loads(status or b"")
    except ValueError:
        said = None
    recording = said.get("recording") if isinstance(said, dict) else None
    if not isinstance(recording, str):
        return f"the daemon is {unit} and its status can't be read: it may be recording; {_WAY_OUT}"
    return f"recording {recording} is open; end it first, or {_WAY_OUT}" if recording else ""


def _unit() -> str:
    asked = ["/usr/bin/systemctl", "show", "--property=ActiveState", "--value", UNIT]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


def _status() -> bytes | None:
    try:
        with STATUS.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError:
        return None


def main() -> int:
    if not Path("/run/systemd/system").is_dir():
        return 0  # no service manager runs here, so nor does the daemon
    why = refusal(_unit(), _status())
    if why:
        print(f"bodycam: nothing is changed: {why}", file=sys.stderr)
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main())
