"""The whole device in virtual time: the real daemon on the twin, on one thread, as fast as the machine allows.

A `VirtualDevice` outlives its boots: `boot` builds the daemon on the same card, `cut` cuts the power at once, `stop`
ends it as systemd would. Between them the clock goes on, and each boot has its own boot id.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from device.clock import Crew, Part, Wake
from device.config import read_configuration
from device.daemon import Daemon
from device.evidence.anchoring import Witness
from device.evidence.disk import Disk
from device.sight import Sight
from device.tables import Camera, Microphone
from hw_sim.agency import Bench
from hw_sim.clock import Scheduler, VirtualClock
from hw_sim.disk import TwinDisk
from hw_sim.hardware import AnyCamera, Behaviour, TwinHardware
from hw_sim.pins import TwinPin
from hw_sim.signers import SlowSigner

if TYPE_CHECKING:
    from hw_sim.microphone import TwinMicrophone
    from hw_sim.scenes import Scene

SECOND_US = 1_000_000
STOP_LIMIT_S = 30


class VirtualDevice:
    """One device on a bench. `signer_ms`: how long each signature takes; only the part that signs waits for it.
    `drift_ppm`: the microphone's; `seed` draws the bounce of contacts; `pin_class`: of the outputs."""

    def __init__(
        self,
        bench: Bench,
        *,
        behaviour: Behaviour = "v4l2",
        scene: "Callable[[Camera], Scene] | None" = None,
        make_camera: Callable[[VirtualClock, Camera], AnyCamera] | None = None,
        make_microphone: "Callable[[VirtualClock, Microphone], TwinMicrophone] | None" = None,
        make_disk: Callable[[Path], Disk] = TwinDisk,
        signer_ms: int = 0,
        make_witness: Callable[[Witness], Witness] = lambda witness: witness,
        drift_ppm: int = 0,
        seed: int = 1,
        pin_class: type[TwinPin] = TwinPin,
    ) -> None:
        self.bench = bench
        self.clock = VirtualClock("boot-0")
        self.boots = 0
        self._behaviour: Behaviour = behaviour
        self._scene = scene
        self._make_camera = make_camera
        self._make_microphone = make_microphone
        self._make_disk = make_disk
        self._signer_us = signer_ms * 1000
        self._make_witness = make_witness
        self._drift_ppm = drift_ppm
        self._seed = seed
        self._pin_class = pin_class
        self._positions: dict[str, bool] = {}
        self.hardware: TwinHardware
        self.daemon: Daemon
        self._scheduler: Scheduler | None = None

    def boot(self, extra: list[tuple[Part, Wake]] | None = None) -> None:
        """Power on: build the daemon on what is on the card."""
        self.boots += 1
        self.clock.boot_id = f"boot-{self.boots}"
        configuration = read_configuration(self.bench.config)
        make_camera, make_microphone = self._make_camera, self._make_microphone
        self._scheduler = None
        self.hardware = TwinHardware(
            self.clock,
            wiring=configuration.tables.wiring,
            positions=self._positions,
            scene=self._scene,
            make_camera=None if make_camera is None else lambda settings: make_camera(self.clock, settings),
            make_microphone=None if make_microphone is None else lambda settings: make_microphone(self.clock, settings),
            behaviour=self._behaviour,
            make_disk=self._make_disk,
            make_signer=lambda signer: (
                SlowSigner(signer, lambda: self.let_pass(self._signer_us)) if self._signer_us else signer
            ),
            make_witness=self._make_witness,
            drift_ppm=self._drift_ppm,
            policy_file=configuration.at(configuration.tables.policy.bundle),
            let_pass=self.let_pass,
            seed=self._seed,
            pin_class=self._pin_class,
        )
        self.daemon = Daemon(configuration, self.hardware, Sight(configuration, self.hardware), Crew(self.clock))
        self._scheduler = Scheduler(self.clock, [*self.daemon.parts, *(extra or [])])

    def run(self, seconds: float, done: Callable[[], bool] = lambda: False) -> None:
        assert self._scheduler is not None, "it has booted"
        self._scheduler.run_until(self.clock.now_us() + round(seconds * SECOND_US), done)

    def let_pass(self, delay_us: int) -> None:
        """From within a part: so much time passes while it works, for a signature or on a slow card. While the daemon is being
        built nothing else runs yet."""
        if self._scheduler is not None:
            self._scheduler.let_pass(delay_us)
        else:
            self.clock.move_to(self.clock.now_us() + delay_us)

    def stop(self) -> None:
        """SIGTERM: what is open closes, the journal gets its last line."""
        self.daemon.control.ask_shutdown()
        self.run(STOP_LIMIT_S, self.daemon.finished.is_set)
        assert self.daemon.finished.is_set(), "the daemon did not end"
        self.daemon.close()

    def cut(self, odds: random.Random | None = None) -> None:
        """The power goes: what was not synced is gone, or survives as `odds` draw it."""
        assert isinstance(self.hardware.the_disk, TwinDisk), "only the twin's disk forgets"
        self.hardware.the_disk.cut(odds)
        self.daemon.close()

    # -- what an officer does ---------------------------------------------------------------------------------------

    def double(self, button: str = "record") -> int:
        """A double press, and time for it to be seen; the boot time of its second leading edge."""
        at_us = self.hardware.thumb.double(button)
        self.run(0.5)
        return at_us

    def press(self, button: str = "function") -> int:
        at_us = self.hardware.thumb.press(button)
        self.run(0.8)
        return at_us

    def hold(self, button: str = "record", seconds: float = 3.2) -> None:
        self.hardware.thumb.hold(button, round(seconds * 1000))
        self.run(seconds + 0.1)

    def zone(self, name: str) -> None:
        """Turn the zone switch; where it is outlives a boot, as every switch's position does."""
        self.hardware.thumb.zone(name)
        self.run(0.1)

    def trigger(self, name: str) -> None:
        self.hardware.thumb.trigger(name)
        self.run(0.1)

    def sleep(self, on: bool) -> None:
        self.hardware.thumb.switch("sleep", on)
        self.run(0.1)

    def confirmed_stop(self) -> None:
        """Hold, let go, press once: the recording goes into its post-event time."""
        self.hold()
        self.press("record")

    def record(self, seconds: float) -> None:
        """One whole recording: `seconds` live, a confirmed stop, the post-event time, and the recorder's end."""
        self.double()
        self.run(seconds)
        self.confirmed_stop()
        self.until_idle()

    def until_idle(self, limit_s: float = 60) -> None:
        """Run until nothing is being recorded and the recorder has closed what was."""
        self.run(limit_s, lambda: self.daemon.control.state.phase.value == "idle" and not self.daemon.recorder.busy)
