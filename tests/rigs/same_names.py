"""`bodycam-sim`, with the names of recordings the same in each run: `python -m tests.rigs.same_names daemon …`."""

import sys

from hw_sim.cli import main
from tests.rigs.failing_calls import draw_same_names

if __name__ == "__main__":
    draw_same_names()
    sys.exit(main())
