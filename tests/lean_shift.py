"""Run by test_loading.py in an interpreter of its own: a device whose camera, a replayed clip, needs no PyAV, as on a Pi 4.

`walk`: a start and a whole recording in virtual time; says which modules there were at each moment. `broken`: the daemon
in real time, where PyAV can't be imported.
"""

import sys
from pathlib import Path

import msgspec

from device.clock import BootClock, Clock
from device.config import read_configuration
from device.loading import Loading
from device.start import run_daemon
from device.tables import Camera
from hw_sim.agency import Bench
from hw_sim.camera import PreEncodedCamera
from hw_sim.encoders import EncodedFrame
from hw_sim.hardware import TwinHardware
from hw_sim.virtual import VirtualDevice


def walk(bench: Bench, clip: list[EncodedFrame]) -> None:
    seen: dict[str, list[str]] = {}
    begin = Loading.begin

    def begins(loading: Loading) -> None:
        seen["ready"] = list(sys.modules)
        begin(loading)

    Loading.begin = begins  # type: ignore[method-assign, assignment]
    device = VirtualDevice(bench, make_camera=lambda clock, settings: _camera(clock, settings, clip))
    device.boot()
    seen["building"] = list(sys.modules)
    device.run(1)
    seen["a_second_later"] = list(sys.modules)
    device.double()
    device.run(2)
    device.press()
    device.hold("function")
    device.hold("function")
    device.double("function")
    device.double()
    device.trigger("door")
    device.confirmed_stop()
    device.until_idle()
    device.zone("private")
    device.sleep(True)
    device.stop()
    seen["after_recording"] = list(sys.modules)
    sys.stdout.buffer.write(msgspec.json.encode(seen))


def broken(bench: Bench, clip: list[EncodedFrame]) -> int:
    clock = BootClock()
    wiring = read_configuration(bench.config).tables.wiring
    hardware = TwinHardware(clock, wiring=wiring, make_camera=lambda settings: _camera(clock, settings, clip))
    sys.modules["av"] = None  # type: ignore[assignment]
    return run_daemon(bench.config, hardware)


def _camera(clock: Clock, settings: Camera, clip: list[EncodedFrame]) -> PreEncodedCamera:
    return PreEncodedCamera(clock, clip=clip, rate_hz=settings.rate_hz)


def main(what: str, root: str, clip: str) -> int | None:
    frames = msgspec.msgpack.decode(Path(clip).read_bytes(), type=list[EncodedFrame])
    return {"walk": walk, "broken": broken}[what](Bench(Path(root)), frames)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
