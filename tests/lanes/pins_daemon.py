"""In the arm64 machine: the daemon on the twin's camera, and on the Pi's own pins, disk and clock."""

import sys
from pathlib import Path

import msgspec

from device.clock import BootClock
from device.controls.pins import PinFactory
from device.evidence.disk import CardDisk
from device.pi.hardware import PiHardware
from device.start import run_daemon
from device.tables import Camera
from hw_sim.camera import PreEncodedCamera
from hw_sim.encoders import EncodedFrame
from hw_sim.hardware import TwinHardware


class PinsHardware(TwinHardware):
    """What was encoded before comes from the camera; the pins are real."""

    def __init__(self, clip: Path) -> None:
        clock = BootClock()
        frames = msgspec.msgpack.decode(clip.read_bytes(), type=list[EncodedFrame])

        def camera(settings: Camera) -> PreEncodedCamera:
            return PreEncodedCamera(clock, clip=frames, rate_hz=settings.rate_hz)

        super().__init__(clock, make_camera=camera, make_disk=CardDisk)
        self._pi = PiHardware()
        self.memory_bytes = self._pi.memory_bytes

    def pin_factory(self) -> PinFactory:
        return self._pi.pin_factory()


if __name__ == "__main__":
    sys.exit(run_daemon(Path(sys.argv[1]), PinsHardware(Path(sys.argv[2]))))
