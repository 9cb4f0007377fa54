"""In the arm64 machine: gpio-sim's lines, as the header of a Zero 2 W. Standard library only; as root."""

import os
import subprocess
from pathlib import Path

CONFIGFS = Path("/sys/kernel/config")
CHIP = CONFIGFS / "gpio-sim/header"
LINES, LABEL = 54, "pinctrl-bcm2835"
GROUP_GPIO = 993


def make_chip() -> None:
    """Load gpio-sim and give it a chip with the header's label, for the group gpio."""
    for name in ("configfs", "gpio-sim"):
        subprocess.run(["insmod", f"/opt/modules/{name}.ko"], check=True)
    subprocess.run(["mount", "-t", "configfs", "none", CONFIGFS], check=True)
    bank = CHIP / "bank0"
    bank.mkdir(parents=True)
    (bank / "num_lines").write_text(str(LINES))
    (bank / "label").write_text(LABEL)
    (CHIP / "live").write_text("1")
    device = Path("/dev", (bank / "chip_name").read_text().strip())
    os.chown(device, 0, GROUP_GPIO)
    device.chmod(0o660)


class SimLines:
    """What is wired to the lines, and what they are."""

    def __init__(self) -> None:
        device, chip = (CHIP / "dev_name").read_text().strip(), (CHIP / "bank0/chip_name").read_text().strip()
        self._lines = Path("/sys/devices/platform", device, chip)

    def drive(self, pin: int, high: bool) -> None:
        (self._lines / f"sim_gpio{pin}/pull").write_text("pull-up" if high else "pull-down")

    def level(self, pin: int) -> bool:
        return (self._lines / f"sim_gpio{pin}/value").read_text().strip() == "1"
