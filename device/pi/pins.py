"""The Pi's GPIO lines: gpiozero's factory over lgpio. Nothing else imports lgpio.

The chip is found by its label: the number of a Pi 5's header has changed between kernels. lgpio makes a FIFO in the
working folder, or in the one that LG_WD names, to which it changes the process, and leaves it there: here it gets a folder
of its own for as long as it takes to open that FIFO at both ends. Called once, at the start, by the main thread.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpiozero import GPIOZeroError

from device.controls.pins import PinFactory
from device.errors import HardwareFailed

LABELS = ("pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1")
"""Of the chip that has the header's lines: of a Zero 2 W and a 3, of a 4, of a 5."""
DEVICES = Path("/dev")


def make_factory() -> PinFactory:
    """gpiozero's factory on the header's chip. `HardwareFailed` where there is none, or no right to it."""
    try:
        with _folder_of_its_own():
            lgpio, LGPIOFactory, LGPIOPin = _import()  # noqa: N806 - classes
    except (ImportError, OSError) as failure:
        raise HardwareFailed(
            f"the GPIO lines: lgpio: {failure}; install python3-lgpio for this Python, and leave a folder for temporary "
            "files that can be written"
        ) from failure

    class HeaderPin(LGPIOPin):  # type: ignore[misc, valid-type] # gpiozero ships no types
        """An input is let go with the chip, and not before: gpiozero would claim it anew, which fails with "GPIO busy" when
        lgpio's own thread has not let go of it within 2 ms (seen on a busy machine)."""

        def close(self) -> None:
            self.when_changed = None
            if self.function == "output":
                super().close()

        _callback: Any

        def _disable_event_detect(self) -> None:
            if self._callback is not None:
                self._callback.cancel()
                self._callback = None

    class HeaderFactory(LGPIOFactory):  # type: ignore[misc, valid-type]
        """Says in our words that a line is not to be had."""

        def __init__(self, chip: int) -> None:
            super().__init__(chip)
            self.pin_class = HeaderPin

        def pin(self, name: int) -> Any:
            try:
                return super().pin(name)
            except lgpio.error as failure:
                raise HardwareFailed(f"GPIO {name}: {failure}; does another program use this line?") from failure

    try:
        return HeaderFactory(chip=_header(lgpio))
    except (lgpio.error, GPIOZeroError, OSError) as failure:
        raise HardwareFailed(f"the GPIO lines: {failure}") from failure


def _import() -> tuple[Any, Any, Any]:
    import lgpio
    from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin

    return lgpio, LGPIOFactory, LGPIOPin


def _header(lgpio: Any) -> int:
    """The number of the chip that has the header's lines."""
    numbers = sorted(int(path.name.removeprefix("gpiochip")) for path in DEVICES.glob("gpiochip[0-9]*"))
    labels = {number: _label(lgpio, number) for number in numbers}
    for number, label in labels.items():
        if label in LABELS:
            return number
    seen = ", ".join(f"gpiochip{number} is {label}" for number, label in labels.items())
    raise HardwareFailed(
        f"the GPIO lines: {DEVICES}/gpiochip* has no chip of a Raspberry Pi's header ({', '.join(LABELS)}); there is "
        f"{seen or 'none at all'}; run it on a Pi, as a user of the group that owns these devices (gpio)"
    )


def _label(lgpio: Any, number: int) -> str:
    """What the kernel calls a chip, or why it can't be asked."""
    if not os.access(DEVICES / f"gpiochip{number}", os.R_OK | os.W_OK):
        return "not to be read and written"
    handle = lgpio.gpiochip_open(number)
    _, _, _, label = lgpio.gpio_get_chip_info(handle)
    lgpio.gpiochip_close(handle)
    return str(label)


@contextmanager
def _folder_of_its_own() -> Iterator[None]:
    """For so long LG_WD is a new folder; the working folder is afterwards what it was before, or "/" when this user may not
    be there: `runuser` in root's own folder."""
    try:
        before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        before = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with tempfile.TemporaryDirectory(prefix="bodycam-lgpio-") as folder:
            os.environ["LG_WD"] = folder
            try:
                yield
            finally:
                os.fchdir(before)
    finally:
        os.close(before)
