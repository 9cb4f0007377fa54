"""The Raspberry Pi as the daemon's hardware. What is heavy is imported when it is asked for: picamera2 first of all."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from device.clock import BootClock, Part, Wake
from device.hardware import Stamp
from device.tables import Camera, Microphone

if TYPE_CHECKING:
    from device.controls.pins import PinFactory
    from device.evidence.anchoring import Witness
    from device.evidence.disk import CardDisk
    from device.evidence.envelope import Signer
    from device.pi.camera import PiCamera
    from device.pi.microphone import AlsaMicrophone
    from device.pi.sensors import PiSensors


class PiHardware:
    def __init__(self) -> None:
        self.clock = BootClock()
        self.memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def camera(self, settings: Camera, stamp: Stamp | None) -> "PiCamera":
        from device.pi.camera import PiCamera

        return PiCamera(settings, stamp, self.clock)

    def microphone(self, settings: Microphone) -> "AlsaMicrophone":
        from device.pi.microphone import AlsaMicrophone

        return AlsaMicrophone(settings, self.clock)

    def sensors(self) -> "PiSensors":
        from device.pi.sensors import PiSensors

        return PiSensors()

    def pin_factory(self) -> "PinFactory":
        from device.pi.pins import make_factory

        return make_factory()

    def disk(self, root: Path) -> "CardDisk":
        from device.evidence.disk import CardDisk

        return CardDisk(root)

    def signer(self, signer: "Signer") -> "Signer":
        return signer

    def witness(self, witness: "Witness") -> "Witness":
        return witness

    def parts(self) -> Sequence[tuple[Part, Wake]]:
        return []
