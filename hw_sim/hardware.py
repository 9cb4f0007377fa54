"""The twin as the daemon's hardware: simulated camera, microphone, pins and disk, on a real or a virtual clock.

The daemon that is built on it is the device's own, by the same composition root. What needs numpy is imported when
it is asked for, so that a bench without pictures and sound of its own is as lean as the device.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gpiozero.pins.mock import MockFactory

from device.clock import Clock, Part, Wake
from device.hardware import Stamp
from device.tables import Camera, Microphone, Wiring
from hw_sim.board import Thumb
from hw_sim.camera import PreEncodedCamera, TwinCamera
from hw_sim.card_faults import CardFaults
from hw_sim.disk import TwinDisk
from hw_sim.lamps import Lamps
from hw_sim.pins import TwinPin
from hw_sim.policy_faults import PolicyFile
from hw_sim.process_faults import ProcessFaults
from hw_sim.sensors import TwinSensors
from hw_sim.signers import SignerFaults, TwinSigner, wait_us
from hw_sim.troubles import Troubles
from hw_sim.wall_faults import BentClock

if TYPE_CHECKING:
    from device.evidence.anchoring import Witness
    from device.evidence.disk import Disk
    from device.evidence.envelope import Signer
    from hw_sim.microphone import TwinMicrophone
    from hw_sim.pattern import Picture
    from hw_sim.scenes import LensScene, Scene

Behaviour = Literal["v4l2", "libav"]
AnyCamera = TwinCamera | PreEncodedCamera
ZERO_2W_BYTES = 512 * 1024 * 1024


class TwinHardware:
    """`scene` makes the pictures (a flat one when not given); `make_camera` takes its place altogether, `make_microphone`
    that of the microphone. `wiring`: the
    daemon's own; `positions`: where its switches have been left, kept up to date. `drift_ppm`: the microphone's.
    `policy_file`: what is offered to the device as its policy. `let_pass`: lets so many µs pass in virtual time.
    `seed` draws the bounce of contacts; `pin_class`: of the board's outputs.
    `on_picture` is given each picture as it goes into the encoder, on the camera's thread.

    After the daemon is built, `the_camera`, `the_microphone`, `thumb` and `the_disk` are what a bench plays on.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        wiring: Wiring | None = None,
        positions: dict[str, bool] | None = None,
        scene: "Callable[[Camera], Scene] | None" = None,
        make_camera: Callable[[Camera], AnyCamera] | None = None,
        make_microphone: "Callable[[Microphone], TwinMicrophone] | None" = None,
        behaviour: Behaviour = "v4l2",
        memory_bytes: int = ZERO_2W_BYTES,
        make_disk: "Callable[[Path], Disk]" = TwinDisk,
        make_signer: "Callable[[Signer], Signer]" = lambda signer: signer,
        make_witness: "Callable[[Witness], Witness]" = lambda witness: witness,
        drift_ppm: int = 0,
        policy_file: Path | None = None,
        let_pass: Callable[[int], None] | None = None,
        seed: int = 1,
        pin_class: type[TwinPin] = TwinPin,
        on_picture: "Callable[[Picture], None] | None" = None,
    ) -> None:
        self.clock = BentClock(clock)
        self.real_time = let_pass is None
        self.policy_file = policy_file
        self._let_pass = let_pass or wait_us
        self.memory_bytes = memory_bytes
        self._scene = scene
        self._make_camera = make_camera
        self._make_microphone = make_microphone
        self._behaviour: Behaviour = behaviour
        self._make_disk = make_disk
        self._make_signer = make_signer
        self._make_witness = make_witness
        self._drift_ppm = drift_ppm
        self._factory = MockFactory(pin_class=pin_class)
        self._on_picture = on_picture
        self._wake = Wake()
        self.thumb = Thumb(self._factory, wiring or Wiring(), clock, self._wake, seed, positions)
        self.lamps = Lamps(self._factory, wiring or Wiring(), clock)
        self.troubles = Troubles(clock)
        self.signer_faults = SignerFaults()
        self.card_faults = CardFaults(self._let_pass)
        self.process_faults = ProcessFaults()
        self.policy_faults: PolicyFile | None = None
        self.the_sensors = TwinSensors(clock)
        self.the_camera: AnyCamera
        self.the_lens: LensScene | None = None
        self.the_microphone: TwinMicrophone | None = None
        self.the_disk: Disk

    def camera(self, settings: Camera, stamp: Stamp | None) -> AnyCamera:
        if self._make_camera is not None:
            self.the_camera = self._make_camera(settings)
            return self.the_camera
        from hw_sim.scenes import FlatScene, LensScene

        scene = self._scene(settings) if self._scene else FlatScene(settings.width, settings.height)
        self.the_lens = LensScene(scene)
        self.the_camera = TwinCamera(
            self.clock,
            width=settings.width,
            height=settings.height,
            rate_hz=settings.rate_hz,
            bitrate_bps=settings.bitrate_bps,
            scene=self.the_lens,
            behaviour=self._behaviour,
            stamp=stamp,
            on_picture=self._on_picture,
        )
        return self.the_camera

    def microphone(self, settings: Microphone) -> "TwinMicrophone":
        if self._make_microphone is not None:
            self.the_microphone = self._make_microphone(settings)
            return self.the_microphone
        from hw_sim.microphone import TwinMicrophone

        self.the_microphone = TwinMicrophone(
            self.clock, rate_hz=settings.rate_hz, bitrate_bps=settings.bitrate_bps, drift_ppm=self._drift_ppm
        )
        return self.the_microphone

    def sensors(self) -> TwinSensors:
        return self.the_sensors

    def pin_factory(self) -> MockFactory:
        return self._factory

    def disk(self, root: Path) -> "Disk":
        self.the_disk = self._make_disk(root)
        if isinstance(self.the_disk, TwinDisk) and self.the_disk.before is None:
            self.the_disk.before, self.the_disk.kept = self.card_faults.before, self.card_faults.kept
        return self.the_disk

    def signer(self, signer: "Signer") -> "Signer":
        return self._make_signer(TwinSigner(signer, self.signer_faults, self._let_pass))

    def witness(self, witness: "Witness") -> "Witness":
        return self._make_witness(witness)

    def parts(self) -> Sequence[tuple[Part, Wake]]:
        sound = self.the_microphone.parts if self.the_microphone is not None else []
        return [*self.the_camera.parts, *sound, (self.thumb, self._wake), (self.troubles, self.troubles.wake)]
