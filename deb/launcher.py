#!/usr/bin/python3 -I
"""`/usr/bin/bodycam`: our code and the wheels that came with it, and beside them the distribution's Python packages.

What a venv with the system's packages would do, without its links to one Python: the package holds what each Python needs.
-I: neither the caller's folder nor the environment say what is imported.
"""

import sys
from pathlib import Path

HOME = Path("/usr/lib/bodycam")
OF_THIS_PYTHON = HOME / f"cp{sys.version_info.major}{sys.version_info.minor}"
if not OF_THIS_PYTHON.is_dir():
    have = ", ".join(sorted(path.name for path in HOME.glob("cp*")))
    print(f"bodycam: no {OF_THIS_PYTHON}: this package is for {have}; install one for this system", file=sys.stderr)
    sys.exit(78)
sys.path[:0] = [str(HOME / "python"), str(OF_THIS_PYTHON)]

from device.cli import main  # noqa: E402 - not before the path

sys.exit(main())
