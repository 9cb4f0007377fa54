"""Numbers of `bodycam-sim`'s options: bounded, and told in one line."""

import pytest

from hw_sim.cli import main

COMMANDS = ("demo", "daemon", "run", "selftest", "shift", "fault", "panel")
MOST_HELP = 4000


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_a_page_at_most(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert 100 < len(capsys.readouterr().out) < MOST_HELP


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("run --seed=-1 x", "argument --seed: -1: a whole number from 0 to 2147483647"),
        ("run --seed 2147483648 x", "argument --seed: 2147483648: a whole number from 0 to 2147483647"),
        ("run --seed 1.5 x", "argument --seed: 1.5: a whole number from 0 to 2147483647"),
        ("daemon --config x --signer-ms 10001", "argument --signer-ms: 10001: a whole number from 0 to 10000"),
        ("shift --rate-hz 4", "argument --rate-hz: 4: a whole number from 5 to 60"),
        ("shift --rate-hz 61", "argument --rate-hz: 61: a whole number from 5 to 60"),
    ],
)
def test_a_number_out_of_bounds_is_one_line(arguments: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(said)
