"""The panel's page in a real browser: played with mouse, touch and keys, and looked at. Nothing is fetched from elsewhere."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect, sync_playwright

from tests.benches import shown, verified
from tests.panels import LIMIT_S, Panel

pytestmark = pytest.mark.tools("chromium")
LIMIT_MS = LIMIT_S * 1000
SOON_MS = 8_000
PRESS_MS = 80
TRIES = 20
expect.set_options(timeout=LIMIT_MS)
PHONE: ViewportSize = {"width": 360, "height": 740}
LAPTOP: ViewportSize = {"width": 1280, "height": 800}
CONTRAST = """
() => {
  const parts = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (parts(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const faint = [];
  for (const node of document.querySelectorAll("h1, h2, p, button, legend, label, li, time, .type, output, figcaption, summary, .badge")) {
    if (!node.textContent.trim() || !node.offsetParent || node.disabled) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.push(`${node.tagName} ${node.id} ${node.className}: ${node.textContent.slice(0, 30)}`);
  }
  return faint;
}
"""
PLAY = "video => { video.onplaying = () => { video.dataset.ready = video.readyState; }; video.play(); }"
"""What it has loaded is noted as it begins to play: at its end there is nothing more."""
REMEMBER = """
() => {
  const body = document.body;
  body.dataset.were = "";
  new MutationObserver(() => { body.dataset.were += ` ${body.dataset.state}`; }).observe(body, { attributeFilter: ["data-state"] });
}
"""


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Panel]:
    panel = Panel(tmp_path_factory.mktemp("panel"))
    yield panel
    panel.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu", "--mute-audio"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(panel: Panel, browser: Browser) -> Iterator[Page]:
    """Connected, with the device at rest and all its recordings listed; at the end nothing was complained of, and nothing
    was fetched from elsewhere. What one test leaves behind, even a page that never connected, is not the next one's."""
    panel.come_to_rest()
    context = browser.new_context(viewport=LAPTOP, has_touch=True)
    complaints: list[str] = []
    asked: list[str] = []
    try:
        context.set_default_timeout(LIMIT_MS)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(panel.address)
        in_state(page, "idle")
        expect(page.locator("#list article")).to_have_count(len(panel.recordings()))
        yield page
    finally:
        context.close()
    assert [said for said in complaints if "ERR_CONNECTION_REFUSED" not in said and "WebSocket" not in said] == []
    assert {url.split("/")[2] for url in asked} == {panel.host}
    assert len(asked) > 5


def in_state(page: Page, state: str) -> None:
    expect(page.locator("body")).to_have_attribute("data-state", state, timeout=LIMIT_MS)


def start(page: Page) -> Locator:
    """Pressed twice, and the whole of it again where the two came too far apart to be one; its recording's card."""
    for _ in range(TRIES):
        for _ in range(2):
            page.keyboard.press("r", delay=PRESS_MS)
        if soon(page, "recording"):
            break
    in_state(page, "recording")
    return page.locator("#list article.open")


def point_at(page: Page, button: str) -> None:
    cap = page.locator(f"#button-{button} .cap")
    cap.scroll_into_view_if_needed()
    box = cap.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def stop(page: Page) -> None:
    """Held with the mouse until it is felt, let go, and pressed once; the whole of it again where that press came too late."""
    for _ in range(TRIES):
        point_at(page, "record")
        page.mouse.down()
        asked = soon(page, "stop-asked", "post-event", "idle")
        page.mouse.up()
        if asked == "stop-asked":
            page.keyboard.press("r", delay=PRESS_MS)
        if soon(page, "idle"):
            return
    in_state(page, "idle")


def mark(page: Page, card: Locator) -> None:
    """Pressed once, and again where it came up so late that it was none."""
    for _ in range(TRIES):
        page.keyboard.press("f", delay=PRESS_MS)
        if is_so(lambda: expect(card.locator(".mark.marker")).not_to_have_count(0, timeout=4 * SOON_MS)):
            return


def soon(page: Page, *states: str) -> str:
    """Which of these the device soon is in; "" for none of them."""
    wanted = re.compile(f"^({'|'.join(states)})$")
    if not is_so(lambda: expect(page.locator("body")).to_have_attribute("data-state", wanted, timeout=SOON_MS)):
        return ""
    return page.locator("body").get_attribute("data-state") or ""


def is_so(look: Callable[[], None]) -> bool:
    try:
        look()
    except AssertionError:
        return False
    return True


def test_from_the_first_press_to_the_video(panel: Panel, page: Page) -> None:
    before = panel.recordings()
    expect(page.locator("#lamp-recording")).not_to_have_class("lamp lit")
    start(page)
    expect(page.locator("#lamp-recording")).to_have_class("lamp lit")
    expect(page.locator(".phase.lit")).to_have_attribute("data-phase", "recording")
    expect(page.locator('#lines li[data-type="recording-begun"]').first).to_contain_text(
        "is durable from its first line on"
    )
    expect(page.locator("#list article")).to_have_count(len(before) + 1)
    card = page.locator("#list article").first
    mark(page, card)
    expect(card.locator(".mark.marker")).to_have_count(1)
    stop(page)
    expect(card.locator(".badge")).to_have_text("intact")
    assert [card.locator(f".stage.{stage}").count() > 0 for stage in ("pre", "live", "post")] == [True, True, True]
    card.locator("summary").click()
    expect(card.locator("dl")).to_contain_text("closed (stopped) and journaled")
    expect(card.locator("code")).to_contain_text("bodycam verify")
    card.locator(".play").click()
    video = card.locator("video")
    expect(video).to_be_visible()
    video.evaluate(PLAY)
    expect(card.locator(".head")).to_have_attribute("x1", re.compile(r"^([1-9]|0\.[0-9]*[1-9])"))
    expect(video).to_have_attribute("data-ready", re.compile("^[34]$"))
    name = card.get_attribute("data-name")
    exported = panel.bench.root / "export"
    assert {file.name for file in exported.iterdir() if str(name) in file.name} >= {f"{name}.mp4"}
    verdict = verified(panel.bench)
    assert {recording.verdict for recording in verdict.recordings} <= {"intact", "unchanged; ended by power loss"}, (
        shown(verdict)
    )


def test_pulling_the_battery_is_a_power_cut(page: Page) -> None:
    card = start(page)
    expect(card.locator(".stage.live")).not_to_have_count(0)
    name = card.get_attribute("data-name")
    page.evaluate(REMEMBER)
    page.locator("#cut").click()
    expect(page.locator("body")).to_have_attribute("data-were", re.compile(" off( .*)? idle$"))
    again = page.locator(f'#list article[data-name="{name}"]')
    expect(again.locator(".badge")).to_have_text("unchanged; ended by power loss")


def test_the_scene_moves(page: Page) -> None:
    scene = page.locator("#scene")
    expect(scene).to_have_attribute("width", "160")
    first = int(scene.get_attribute("data-drawn") or 0)
    expect(scene).not_to_have_attribute("data-drawn", str(first))
    assert scene.evaluate("c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size") > 40


def test_a_fault_is_put_in_shown_and_mended(page: Page) -> None:
    page.locator("#part").select_option("microphone")
    page.locator("#word").select_option("off")
    page.locator("#faults button", has_text="Break").click()
    expect(page.locator("#troubles")).to_contain_text("microphone off: mend")
    expect(page.locator("#state-flags")).to_contain_text("fault: microphone")
    expect(
        page.locator('#lines li[data-type="fault"], #lines li[data-type="step"]', has_text="microphone").first
    ).to_be_visible()
    page.locator(".trouble").click()
    expect(page.locator("#troubles")).to_be_empty()
    expect(page.locator("#state-flags")).not_to_contain_text("microphone")


def test_a_line_can_be_said_and_is_answered(page: Page) -> None:
    page.locator("#line").fill("zone nowhere")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("this bench has: private, school, initial")
    page.locator("#line").fill("r f")  # typing presses no button
    expect(page.locator("#button-record")).not_to_have_class("button down")


def test_by_keys_alone(page: Page) -> None:
    focused = "() => document.activeElement.id"
    while page.evaluate(focused) != "button-record":
        page.keyboard.press("Tab")
    assert page.locator("#button-record .focus").evaluate("node => getComputedStyle(node).stroke") != "none"
    page.keyboard.down(" ")
    expect(page.locator("#button-record")).to_have_class("button down")
    page.keyboard.up(" ")
    expect(page.locator("#button-record")).to_have_class("button")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "button-function"
    reached = page.evaluate("() => document.activeElement.dataset.zone")
    while reached != "private":
        page.keyboard.press("Tab")
        reached = page.evaluate("() => document.activeElement.dataset.zone ?? ''")
    assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator('[data-zone="private"]')).to_have_attribute("aria-pressed", "true")
    page.locator('[data-zone=""]').press("Enter")
    expect(page.locator('[data-zone=""]')).to_have_attribute("aria-pressed", "true")


def test_by_touch(page: Page) -> None:
    box = page.locator("#button-function .cap").bounding_box()
    assert box is not None
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    session = page.context.new_cdp_session(page)
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    expect(page.locator("#button-function")).to_have_class("button down")
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.locator("#button-function")).to_have_class("button")


def test_a_held_mouse_outlives_the_window_s_focus_and_a_held_key_does_not(page: Page) -> None:
    button, lost = page.locator("#button-function"), "() => dispatchEvent(new Event('blur'))"
    point_at(page, "function")
    page.mouse.down()
    page.evaluate(lost)
    expect(button).to_have_class("button down")
    page.mouse.up()
    expect(button).to_have_class("button")
    page.keyboard.down("f")
    expect(button).to_have_class("button down")
    page.evaluate(lost)
    expect(button).to_have_class("button")
    page.keyboard.up("f")


def test_what_nobody_hears_is_not_shown_as_done(panel: Panel, page: Page) -> None:
    other = page.context.new_page()
    other.add_init_script("window.WebSocket = class { static OPEN = 1; readyState = 0; };")
    other.goto(f"http://{panel.host}/")
    other.keyboard.down("r")
    expect(other.locator("#button-record")).to_have_class("button")
    other.keyboard.up("r")
    other.locator("#line").fill("double record")
    other.keyboard.press("Enter")
    expect(other.locator("#said")).to_have_text("double record: not connected, so nobody heard it")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_at_any_size_in_any_light(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for size in (LAPTOP, ViewportSize(width=800, height=900), PHONE):
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        wide, room = page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide <= room == size["width"]
        assert page.evaluate(CONTRAST) == []


def test_who_wants_no_motion_gets_none(page: Page) -> None:
    shaking = "() => { document.getElementById('camera').classList.add('shakes'); return getComputedStyle(document.getElementById('body')).animationName; }"
    assert page.evaluate(shaking) == "shake"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(shaking) == "none"


def test_sound_is_only_made_when_it_is_allowed(page: Page) -> None:
    expect(page.locator("#sound")).to_have_attribute("aria-pressed", "false")
    page.locator("#sound").click()
    expect(page.locator("#sound")).to_have_text("Sound on")
    page.locator("#sound").click()
    expect(page.locator("#sound")).to_have_text("Sound off")


def test_the_token_is_not_left_in_the_address(panel: Panel, page: Page) -> None:
    assert page.url == f"http://{panel.host}/"
    page.reload()
    in_state(page, "idle")


def test_a_second_page_shows_the_same(panel: Panel, page: Page) -> None:
    other = page.context.new_page()
    other.goto(f"http://{panel.host}/")
    in_state(other, "idle")
    other.locator('[data-zone="school"]').click()
    expect(page.locator('[data-zone="school"]')).to_have_attribute("aria-pressed", "true")
    page.locator('[data-zone=""]').click()
    expect(other.locator('[data-zone=""]')).to_have_attribute("aria-pressed", "true")
