"""What the daemon needs of its hardware, in its own words: a Pi conforms, or the twin. No code, no concrete part."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from device.charge import Gauge
from device.clock import Clock, Part, Wake
from device.media.sink import EncoderSink
from device.tables import Camera, Microphone

if TYPE_CHECKING:
    from device.controls.pins import PinFactory
    from device.evidence.anchoring import Witness
    from device.evidence.disk import Disk
    from device.evidence.envelope import Signer


class Load(msgspec.Struct, frozen=True):
    """How much the camera is to do: frames a second, and what the encoder aims at."""

    rate_hz: int
    bitrate_bps: int


class Sample(msgspec.Struct, frozen=True):
    """A small grey picture of what the camera sees: `luma` is width × height bytes, row by row, without padding."""

    width: int
    height: int
    luma: bytes
    at_us: int


class Stamp(Protocol):
    """What is drawn into every picture before it is encoded."""

    def burn(self, luma: memoryview, stride: int, at_us: int) -> None:
        """`luma`: the picture's Y plane, one byte a pixel, `stride` bytes a row, to be written to. Camera thread; never
        raises."""

    def failed(self, why: str) -> None:
        """No picture bears it any more: the camera's pictures can't be written to. Camera thread; never raises."""


class CameraDriver(Protocol):
    """What the daemon needs of a camera. Any thread may call it, but none from within `outputframe`.

    The GOP is one second whatever the rate; the first frame of each `start` is a keyframe with its parameter sets.
    """

    def first_timestamp_us(self) -> int:
        """The boot time at which the encoder counts zero; each start has another."""

    def start(self, sink: EncoderSink) -> None:
        """Deliver frames to `sink`. `HardwareFailed` where the camera can't be started; it may be tried again."""

    def stop(self) -> None:
        """Deliver nothing more. Bounded in time: `HardwareHung` where the camera does not let go. May be called twice."""

    def force_keyframe(self) -> None:
        """The next frame encoded is an IDR. Never blocks."""

    def set_load(self, load: Load) -> None:
        """From the next keyframe on, without a restart, and kept over restarts. Never raises."""

    def sampled(self) -> Sample | None:
        """What the camera saw within the last second or so; None before the first frame. Never blocks."""


class MicrophoneDriver(Protocol):
    """AAC packets. `extradata` is the AudioSpecificConfig, known before any start. Any thread may call it, but none from
    within `outputframe`. A microphone that is missing, unplugged or silent raises nothing: no packet comes, and when it is
    back they go on with a new zero."""

    @property
    def extradata(self) -> bytes: ...

    @property
    def sample_rate_hz(self) -> int: ...

    @property
    def channels(self) -> int: ...

    def first_timestamp_us(self) -> int:
        """The boot time of the first sample of the run that delivers; each start and each return has another."""

    def start(self, sink: EncoderSink) -> None:
        """Deliver packets to `sink`, from when there is a microphone. `HardwareHung` after a stop that was."""

    def stop(self) -> None:
        """Deliver nothing more. Bounded in time: `HardwareHung` where the card does not come back. May be called twice."""


class CardState(msgspec.Struct, frozen=True):
    """`life`: how much of its life an eMMC says is used, in tenths from 1, 11 for all; `spare`: its spare blocks, 1 normal, 2
    most used, 3 nearly none. `errors`: of its file system. None: it does not say."""

    life: int | None
    spare: int | None
    errors: int | None
    read_only: bool


class Memory(msgspec.Struct, frozen=True):
    """`left_bytes`: before the system has no more, or the service's own limit is reached. `swap_bytes`: swap that is on."""

    left_bytes: int
    swap_bytes: int


class Sensors(Protocol):
    """What is measured of the device itself. None: this board has no such sensor, or it gives nothing now. Never raises.
    Health thread; each may take a few ms."""

    def temperature_mc(self) -> int | None:
        """Of the processor, in thousandths of a degree Celsius."""

    def under_voltage(self) -> bool | None:
        """Whether the supply has been too low within the last seconds."""

    def battery(self) -> Gauge | None:
        """What the fuel gauge says, as it says it."""

    def card(self, path: Path) -> CardState:
        """Of the card that a folder is on."""

    def memory(self) -> Memory | None:
        """What is left for this process."""


class Hardware(Protocol):
    """Where the parts come from: a Pi, or the twin. `parts` are what the hardware wants run beside the daemon's own."""

    @property
    def clock(self) -> Clock: ...

    @property
    def memory_bytes(self) -> int: ...

    def camera(self, settings: Camera, stamp: Stamp | None) -> CameraDriver: ...

    def microphone(self, settings: Microphone) -> MicrophoneDriver: ...

    def sensors(self) -> Sensors: ...

    def pin_factory(self) -> "PinFactory": ...

    def disk(self, root: Path) -> "Disk": ...

    def signer(self, signer: "Signer") -> "Signer":
        """An opened key as the daemon is to use it: the key itself, or a twin's that takes its time."""

    def witness(self, witness: "Witness") -> "Witness":
        """The same of the TPM that anchors the journal."""

    def parts(self) -> Sequence[tuple[Part, Wake]]: ...
