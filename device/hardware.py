"""What the daemon needs of its hardware, in its own words: a Pi conforms, or the twin. No code, no concrete part."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from device.clock import Clock, Part, Wake
from device.config import Camera
from device.controls.board import PinFactory
from device.evidence.anchoring import Witness
from device.evidence.disk import Disk
from device.evidence.envelope import Signer
from device.media.sink import EncoderSink


class CameraDriver(Protocol):
    """What the daemon needs of a camera. `first_timestamp_us`: the boot time at which its encoder counts zero."""

    def first_timestamp_us(self) -> int: ...

    def start(self, sink: EncoderSink) -> None: ...

    def stop(self) -> None: ...

    def force_keyframe(self) -> None: ...


class MicrophoneDriver(Protocol):
    """AAC packets. `extradata` is the AudioSpecificConfig."""

    @property
    def extradata(self) -> bytes: ...

    @property
    def sample_rate_hz(self) -> int: ...

    @property
    def channels(self) -> int: ...

    def first_timestamp_us(self) -> int: ...

    def start(self, sink: EncoderSink) -> None: ...

    def stop(self) -> None: ...


class Hardware(Protocol):
    """Where the parts come from: a Pi, or the twin. `parts` are what the hardware wants run beside the daemon's own."""

    @property
    def clock(self) -> Clock: ...

    @property
    def memory_bytes(self) -> int: ...

    def camera(self, settings: Camera) -> CameraDriver: ...

    def microphone(self) -> MicrophoneDriver: ...

    def pin_factory(self) -> PinFactory: ...

    def disk(self, root: Path) -> Disk: ...

    def signer(self, signer: Signer) -> Signer:
        """An opened key as the daemon is to use it: the key itself, or a twin's that takes its time."""

    def witness(self, witness: Witness) -> Witness:
        """The same of the TPM that anchors the journal."""

    def parts(self) -> Sequence[tuple[Part, Wake]]: ...
