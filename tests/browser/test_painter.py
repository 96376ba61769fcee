"""The painter in a real browser: what is painted comes to Python, and none is lost."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from terrainlib.files import parse_json
from tests.browser.conftest import Server, free_port, serve, wait_for_run

pytestmark = pytest.mark.browser

APP = Path(__file__).with_name("painter_app.py")
UI = Path(__file__).parents[2] / "terrainlib" / "ui"
WIDTH, HEIGHT = 640, 480


@pytest.fixture(scope="module")
def painting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(APP, tmp_path_factory.mktemp("painting")) as server:
        yield server


@pytest.fixture
def tab(painting: Server, page: Page) -> Page:
    (painting.home / "painted.json").unlink(missing_ok=True)
    return opened(page, painting)


def opened(page: Page, server: Server) -> Page:
    page.goto(server.url)
    wait_for_run(page)
    page.locator(".pictures .overview").wait_for()
    return page


def strokes(server: Server) -> list[dict[str, Any]]:
    """Return what is on the disk."""
    path = server.home / "painted.json"
    return parse_json(path.read_bytes())["strokes"] if path.exists() else []


def saved(page: Page, count: int) -> None:
    """Wait until so many strokes are shown and the server knows all of them."""
    painter = page.locator(".painter")
    for name, number in (("data-strokes", count), ("data-waiting", 0)):
        expect(painter).to_have_attribute(name, str(number), timeout=30_000)


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Return where a place of the whole image is on the screen."""
    box = page.locator(".area").bounding_box()
    assert box
    return box["x"] + x * box["width"] / WIDTH, box["y"] + y * box["height"] / HEIGHT


def draw(page: Page, *points: tuple[float, float]) -> None:
    page.bring_to_front()  # a hidden tab gets its events late
    page.mouse.move(*place(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*place(page, *point), steps=4)
    page.mouse.up()


def brightness(canvas: Locator, x: int, y: int) -> int:
    """Return the opacity of the strokes at a place of the whole image, 0 to 255."""
    script = """(canvas, [x, y]) => canvas.getContext("2d").getImageData(
        x * canvas.width, y * canvas.height, 1, 1).data[3]"""
    return int(canvas.evaluate(script, [x / WIDTH, y / HEIGHT]))


def test_strokes_polygons_and_fills_land_where_they_were_painted(
    tab: Page, painting: Server
) -> None:
    draw(tab, (100, 100), (200, 100), (200, 180))
    saved(tab, 1)
    tab.keyboard.press("3")
    tab.keyboard.press("p")
    for corner in ((20, 20), (80, 20), (50, 60)):
        tab.mouse.click(*place(tab, *corner))
    tab.mouse.click(*place(tab, 20, 20))
    saved(tab, 2)
    tab.keyboard.press("f")
    tab.mouse.click(*place(tab, 400, 240))
    saved(tab, 4)  # the island in the lake is left out: two halves around it

    line, polygon, *lake = strokes(painting)

    assert line["points"] == pytest.approx(
        np.array([[100, 100], [200, 100], [200, 180]]), abs=1
    )
    assert (line["kind"], line["class_name"]) == ("line", "Water")
    assert polygon["points"] == pytest.approx(
        np.array([[20, 20], [80, 20], [50, 60]]), abs=1
    )
    assert (polygon["kind"], polygon["class_name"]) == ("area", "Forest")
    spread = np.concatenate([half["points"] for half in lake])
    assert spread.min(axis=0) == pytest.approx([132, 115], abs=4)
    assert spread.max(axis=0) == pytest.approx([508, 365], abs=4)
    assert max(len(half["points"]) for half in lake) < 300
    ink = tab.locator("canvas.ink")
    assert brightness(ink, 400, 240) == 255
    assert brightness(ink, 320, 240) == 0


def test_undo_takes_back_and_redo_does_again(tab: Page, painting: Server) -> None:
    draw(tab, (100, 300), (200, 300))
    saved(tab, 1)
    tab.keyboard.press("e")
    draw(tab, (150, 280), (150, 320))
    saved(tab, 2)
    ink = tab.locator("canvas.ink")
    assert [brightness(ink, x, 300) for x in (120, 150)] == [255, 0]

    tab.keyboard.press("Control+z")
    saved(tab, 1)
    assert brightness(ink, 150, 300) == 255
    tab.get_by_role("button", name="Take all strokes away").click()
    saved(tab, 0)
    tab.get_by_role("button", name="Undo").click()
    saved(tab, 1)
    assert [one["class_name"] for one in strokes(painting)] == ["Water"]
    tab.keyboard.press("Control+Shift+Z")
    saved(tab, 0)
    assert strokes(painting) == []


def test_a_tab_that_nobody_touches_sees_what_another_one_paints(
    tab: Page, painting: Server, context: BrowserContext
) -> None:
    other = opened(context.new_page(), painting)
    draw(other, (100, 100), (200, 100))
    saved(other, 1)
    saved(tab, 1)
    draw(tab, (100, 300), (200, 300))
    for one in (tab, other):
        saved(one, 2)
    assert len(strokes(painting)) == 2


def test_the_keyboard_paints_and_says_so(tab: Page, painting: Server) -> None:
    area = tab.get_by_role("application")
    area.focus()
    area.press("2")
    area.press("Enter")
    expect(tab.locator("[role=status]")).to_contain_text("Stroke begun")
    for _ in range(5):
        area.press("ArrowRight")
    area.press(" ")
    saved(tab, 1)
    expect(tab.locator("[role=status]")).to_have_text("Painted Grassland.")

    [line] = strokes(painting)

    assert line["class_name"] == "Grassland"
    (x0, y0), (x1, y1) = line["points"]
    assert (x0, y0, y1) == (320, 240, 240)
    assert x1 > 340


def test_what_is_painted_in_a_zoomed_view_lies_where_it_is_seen(
    tab: Page, painting: Server
) -> None:
    tab.mouse.move(*place(tab, 480, 120))
    for _ in range(5):
        tab.mouse.wheel(0, -200)
    expect(tab.locator(".level")).to_have_text("1218 %")
    tab.mouse.down()
    tab.mouse.up()
    saved(tab, 1)
    tab.keyboard.down(" ")
    draw(tab, (480, 120), (380, 120))
    tab.keyboard.up(" ")
    draw(tab, (380, 120))
    saved(tab, 2)

    first, second = strokes(painting)

    assert first["width_px"] == 1  # the brush is as wide on the screen as it was
    assert first["points"][0] == pytest.approx([480, 120], abs=0.6)
    assert second["points"][0] == pytest.approx([480, 120], abs=0.6)


def test_one_finger_paints_and_two_zoom(painting: Server, browser: Browser) -> None:
    (painting.home / "painted.json").unlink(missing_ok=True)
    context = browser.new_context(
        viewport={"width": 400, "height": 800}, has_touch=True
    )
    page = opened(context.new_page(), painting)
    fingers = context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        places = [place(page, *point) for point in points]
        found = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(places)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": found})

    touch("touchStart", (100, 100))
    for x in (140, 180, 220):
        touch("touchMove", (x, 100))
    touch("touchEnd")
    saved(page, 1)
    touch("touchStart", (200, 300))
    touch("touchMove", (240, 300))
    touch("touchStart", (240, 300), (340, 300))
    touch("touchMove", (190, 300), (390, 300))
    touch("touchEnd")
    expect(page.locator(".level")).not_to_have_text("100 %")
    saved(page, 1)
    [line] = strokes(painting)
    assert line["points"] == pytest.approx(np.array([[100, 100], [220, 100]]), abs=2)
    for button in page.locator(".painter .button, .painter .face").all():
        box = button.bounding_box()
        assert box is None or min(box["width"], box["height"]) >= 40
    context.close()


def test_two_tabs_paint_on_one_image(
    tab: Page, context: BrowserContext, painting: Server
) -> None:
    other = opened(context.new_page(), painting)
    draw(tab, (100, 100), (150, 100))
    saved(tab, 1)
    draw(other, (100, 200), (150, 200))
    saved(other, 2)
    draw(tab, (100, 300), (150, 300))
    saved(tab, 3)
    assert [round(one["points"][0][1]) for one in strokes(painting)] == [100, 200, 300]


def test_nothing_is_lost_when_the_server_dies(tmp_path: Path, page: Page) -> None:
    port = free_port()
    with serve(APP, tmp_path / "home", port) as server:
        opened(page, server)
        os.kill(server.pid, signal.SIGKILL)
        draw(page, (100, 100), (150, 100))
        expect(page.locator(".painter")).to_have_attribute("data-waiting", "1")
        expect(page.locator(".saved")).to_have_text("1 change waits for the server …")
    with serve(APP, tmp_path / "home", port) as server:
        saved(page, 1)
        assert len(strokes(server)) == 1


@pytest.fixture
def arithmetic(page: Page) -> Page:
    """A page with the pure parts of the painter, and nothing else."""
    page.goto("about:blank")
    for name in ("paint_geometry.js", "paint_queue.js"):
        page.add_script_tag(path=UI / "labels" / name)
    return page


def test_lines_are_simplified_within_the_tolerance(arithmetic: Page) -> None:
    rng = np.random.default_rng(0)
    wave = [[x, 20 * np.sin(x / 30) + rng.normal(0, 0.1)] for x in range(400)]

    found = arithmetic.evaluate("p => simplifyLine(p, 0.5)", wave)
    few = arithmetic.evaluate("p => simplifyTo(simplifyLine, p, 0.5, 9)", wave)

    assert found[0] == wave[0]
    assert found[-1] == wave[-1]
    assert 9 < len(found) < 60
    assert len(few) <= 9
    heights = np.interp(range(400), *np.transpose(found))
    assert np.abs(heights - np.array(wave)[:, 1]).max() < 0.75


def test_areas_become_polygons_without_holes(arithmetic: Page) -> None:
    mask = np.zeros((20, 24), np.uint8)
    mask[2:18, 2:22] = 1
    mask[6:14, 8:16] = 0  # a large hole, and a small one
    mask[3, 3] = 0
    mask[0, 0] = 1  # a crumb

    script = "m => polygonsAround(Uint8Array.from(m), 24, 20, {least: 4})"
    rings = arithmetic.evaluate(script, mask.ravel().tolist())

    covered = [polygon_area(ring) for ring in rings]
    assert covered == [160 - 32, 160 - 32]


def polygon_area(ring: list[list[float]]) -> float:
    x, y = np.transpose(ring)
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def test_the_queue_keeps_what_is_not_known_yet(arithmetic: Page) -> None:
    found = arithmetic.evaluate(
        """() => {
          const kept = new Map();
          const storage = {
            getItem: (name) => kept.get(name) ?? null,
            setItem: (name, value) => kept.set(name, value),
            removeItem: (name) => kept.delete(name),
          };
          let number = 0;
          const open = () => createQueue(storage, "image", () => `op${number++}`);
          const ids = (queue) => queue.strokes.map(({ id }) => id).join("");
          const queue = open();
          const seen = [];
          queue.add({ id: "a" });
          queue.add({ id: "b" });
          queue.undo();
          seen.push(ids(queue), ids(open()), open().batch.length);
          queue.receive([{ id: "a" }, { id: "z" }], ["op0", "op1"]);
          seen.push(ids(queue), queue.waiting);
          queue.redo();
          queue.receive([{ id: "a" }, { id: "z" }], ["op2"]);
          seen.push(ids(queue), queue.waiting);
          queue.receive([{ id: "a" }, { id: "z" }, { id: "b" }], ["op3"]);
          queue.clear();
          seen.push(ids(queue), queue.waiting);
          queue.undo();
          seen.push(ids(queue), queue.canRedo);
          queue.receive([], queue.batch.map(({ id }) => id));
          seen.push(kept.size);
          kept.set("image", "{odd");
          seen.push(open().waiting);
          return seen;
        }"""
    )
    assert found == ["a", "a", 3, "az", 1, "azb", 1, "", 3, "azb", True, 0, 0]
