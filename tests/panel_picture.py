"""The picture of the panel for the README, `make panel-picture`: a recording that is whole, one under way, in a real browser."""

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Page, expect, sync_playwright

from device.clock import BootClock, pause
from hw_sim.demo import PRE_EVENT_S
from tests.panels import LIMIT_S, Panel

SIZE = {"width": 1320, "height": 1080}
MOST_BYTES = 300 * 1024
COARSE = 7
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--mute-audio", "--force-color-profile=srgb"]


def main(output: Path) -> int:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        panel = Panel(Path(folder), new=True)
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        try:
            page = browser.new_page(viewport={"width": SIZE["width"], "height": SIZE["height"]}, color_scheme="light")
            page.set_default_timeout(LIMIT_S * 1000)
            page.goto(panel.address)
            _play(page)
            page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
            output.write_bytes(_smaller(page.screenshot()))
        finally:
            browser.close()
            panel.close()
    size = output.stat().st_size
    print(f"{output}: {size} bytes")
    return 0 if size <= MOST_BYTES else 1


def _smaller(png: bytes) -> bytes:
    """The same picture, its shades a little coarser, packed as tightly as PNG can."""
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None, "Chromium writes PNG"
    return bytes(cv2.imencode(".png", np.bitwise_or(picture, np.uint8(COARSE)), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1])


def _play(page: Page) -> None:
    _state(page, "idle")
    _pass(PRE_EVENT_S + 3)
    _say(page, "double record")
    _state(page, "recording")
    _pass(4)
    _say(page, "press function 100")
    _pass(2)
    _say(page, "hold function 3200")
    _pass(7)
    _say(page, "hold function 3200")
    _pass(5)
    _say(page, "hold record 3200")
    _state(page, "stop-asked")
    _pass(0.5)
    _say(page, "press record")
    _state(page, "idle")
    expect(page.locator(".badge").first).to_have_text("intact", timeout=LIMIT_S * 1000)
    _pass(PRE_EVENT_S)
    _say(page, "double record")
    _state(page, "recording")
    _pass(5)


def _say(page: Page, line: str) -> None:
    page.locator("#line").fill(line)
    page.locator("#line").press("Enter")


def _state(page: Page, state: str) -> None:
    expect(page.locator("body")).to_have_attribute("data-state", state, timeout=LIMIT_S * 1000)


def _pass(seconds: float) -> None:
    pause(BootClock(), round(seconds * 1e6))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
