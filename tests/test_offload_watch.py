"""`bodycam offload --watch` beside the daemon, in virtual time; and with a store that goes away and comes back."""

from pathlib import Path

import pytest

from device.clock import Wake
from device.config import read_configuration
from device.errors import ConfigurationError
from device.evidence.records import Receipted
from device.offload.commands import Watch
from device.offload.stores import FolderStore
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import journal, make_bench, recordings, shown, verified
from tests.senders import allow, desk, words

EVERY_S = 30


class Shift:
    """A device in use, its off-load running beside it."""

    def __init__(self, root: Path) -> None:
        self.agency = Agency()
        self.bench = make_bench(root / "bench", agency=self.agency, pre_event_s=1)
        self.dock = root / "dock"
        self.dock.mkdir()
        self.work = root
        self.device = VirtualDevice(self.bench)
        self.device.boot()
        self.device.run(3)
        self.device.stop()
        allow(self.bench, self.agency, f"folder:{self.dock}")
        text = self.bench.config.read_text("utf-8")
        self.bench.config.write_text(text + f"\n[offload]\nevery_s = {EVERY_S}\n", "utf-8")
        self.watch = Watch(read_configuration(self.bench.config), self.device.clock, as_json=False)

    def look(self) -> int:
        """The next look, by its own clock: when the one after it is due, in seconds from now."""
        now_us = self.device.clock.now_us()
        return (self.watch.run_once(now_us) - now_us) // 1_000_000

    def receive(self) -> list[str]:
        return words(list(desk(self.agency, self.bench, FolderStore(self.dock)).receive(self.work)))


@pytest.fixture
def shift(tmp_path: Path) -> Shift:
    return Shift(tmp_path)


def taken(bench: Bench) -> list[str]:
    return [said.recording for said in journal(bench) if isinstance(said, Receipted)]


def test_beside_the_daemon_it_looks_when_it_is_due(shift: Shift, capsys: pytest.CaptureFixture[str]) -> None:
    shift.device.boot([(shift.watch, Wake())])
    shift.device.run(3)
    assert capsys.readouterr().out == "nothing to send: no recording is over that has no receipt\n"
    shift.device.record(1)
    name = recordings(shift.bench)[0].name
    shift.device.run(5)
    assert capsys.readouterr().out == "", "it is not due"
    shift.device.run(EVERY_S)
    assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()] == ["sent", "awaiting receipt"]
    assert shift.receive() == ["received"]
    shift.device.run(EVERY_S)
    assert capsys.readouterr().out.startswith(f"{name}: handed in: receipt ")
    shift.device.run(10)
    assert taken(shift.bench) == [name]
    shift.device.run(EVERY_S)
    assert capsys.readouterr().out == "nothing to send: no recording is over that has no receipt\n"
    shift.device.stop()
    verdict = verified(shift.bench)
    assert verdict.exit_status == 0, shown(verdict)


def test_a_store_that_is_away_is_tried_again(shift: Shift, capsys: pytest.CaptureFixture[str]) -> None:
    shift.device.boot()
    shift.device.run(3)
    shift.device.record(1)
    shift.device.stop()
    away = shift.dock.with_name("away")
    shift.dock.rename(away)
    for _ in range(3):
        assert shift.look() == EVERY_S
    said = f"bodycam: folder:{shift.dock}: no such folder; is it mounted?; once more in {EVERY_S} s\n"
    assert capsys.readouterr().out == said * 3
    away.rename(shift.dock)
    assert shift.look() == EVERY_S
    assert capsys.readouterr().out.count(": sent: ") == 1


def test_what_the_operator_must_change_ends_it(shift: Shift) -> None:
    """A policy that names another store: its word counts at the next look."""
    assert shift.look() == EVERY_S
    allow(shift.bench, shift.agency)
    with pytest.raises(ConfigurationError, match="names none"):
        shift.look()
