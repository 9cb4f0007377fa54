"""Steps of the policy machine, and `audit`, which replays them."""

import random
import subprocess
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from hw_sim.benchmarks.rig import FULL_HD, Figures, Scale, make_bench
from hw_sim.benchmarks.verifying import BODYCAM

if TYPE_CHECKING:
    from device.policy.inputs import Input

POLICY_AIMS = {
    "policy steps a second of CPU, half of them edges": "≥ 100 000",
    "policy steps a second of CPU, time alone": "≥ 100 000",
}
AUDIT_AIMS = {"audit of a 10-hour shift, 60 activations (s)": "≤ 5"}


def policy(scale: Scale) -> Figures:
    """Steps of the policy machine in a second of CPU: a mix, half of it edges, and time alone."""
    from device.policy import inputs as on

    ticks: list[Input] = [on.Tick(at_us=1000 * n) for n in range(scale.steps)]
    rates = (_steps_a_second(_mixed_inputs(scale.steps)), _steps_a_second(ticks))
    return dict(zip(POLICY_AIMS, rates, strict=True))


def auditing(scale: Scale) -> Figures:  # noqa: ARG001 - a shift is as long as it is
    """`bodycam audit`, a whole process, of ten hours with sixty activations, 1 h 45 min of them recorded."""
    from hw_sim.long_shift import write_shift

    with tempfile.TemporaryDirectory() as folder:
        bench = write_shift(make_bench(Path(folder) / "bench", FULL_HD, audio=False))
        keys = ["--trust", str(bench.trust), "--context-identity", str(bench.context_identity)]
        command = [BODYCAM, "audit", str(bench.card), *keys]
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return dict(zip(AUDIT_AIMS, [time.perf_counter() - begun], strict=True))


def _mixed_inputs(count: int) -> "list[Input]":
    """Edges, ticks, and of the rest a few each, up to 0.4 s apart; the same ones every time."""
    from device.policy import inputs as on

    source = random.Random(1)
    at_us = 1_000_000_000
    inputs: list[Input] = []
    for _ in range(count):
        at_us += source.randrange(400_000)
        kind = source.random()
        if kind < 0.5:
            button, pressed = source.choice(("record", "function")), source.random() < 0.5
            inputs.append(on.Edge(at_us=at_us, button=button, pressed=pressed))
        elif kind < 0.85:
            inputs.append(on.Tick(at_us=at_us))
        elif kind < 0.9:
            inputs.append(on.ZoneEntered(at_us=at_us, zone=source.choice(("street", "school", "private"))))
        elif kind < 0.95:
            inputs.append(on.Triggered(at_us=at_us, trigger="holster", category="use-of-force"))
        else:
            inputs.append(on.LevelChanged(at_us=at_us, part="battery", level=source.choice(("good", "low"))))
    return inputs


def _steps_a_second(inputs: "list[Input]") -> float:
    from device.policy.machine import step
    from device.policy.model import parse_policy
    from device.policy.state import initial_state

    policy = parse_policy(files("device.policy").joinpath("profiles", "first.toml").read_bytes())
    state = initial_state(policy, 0)
    begun = time.process_time()
    for each in inputs:
        state, _ = step(state, each, policy)
    return len(inputs) / (time.process_time() - begun)
