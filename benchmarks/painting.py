"""How smoothly one paints, and how soon the mask is there, for images of several sizes.

Run from the project's folder: `python -m benchmarks.painting`; four minutes, and it
needs chromium. With strokes on the image already, a long stroke is painted with the
mouse, and the wheel zooms in and out. Taken are the time from frame to frame, what of
it the painter's own code takes, and what goes to the server for a stroke, and until it
is kept. Then the labels page itself: from the end of a stroke to the drawn mask, the
frames while painting on a sharp part of the image, and the mask of the whole image;
with the seconds of processor that the server took, for the machine may be busy.
"""

import argparse
import itertools
import json
import math
import os
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Page

from benchmarks._worker import stop_in_order
from terrainlib.data.labels.strokes import Painted, Stroke
from terrainlib.data.palette import KAGGLE_CLASSES
from tests.browser.conftest import ROOT, free_port, open_browser, serve, wait_for_run
from tests.imagefiles import tiff

APP = ROOT / "tests" / "browser" / "painter_app.py"
PAGE = ROOT / "streamlit_app.py"
_WAIT_MS = 120_000
_TIMES = 5
_STRIPES = 8
_COLORS = np.array([[20, 60, 130], [60, 120, 50]], np.uint8)
_LINE = "{:>5} {:>8} {:<9} {:>7} {:>10} {:>10} {:>10} {:>10}"
_WATCH = """
const plain = window.requestAnimationFrame.bind(window);
window.spent = [];
window.requestAnimationFrame = (action) => plain((now) => {
  const began = performance.now();
  action(now);
  window.spent.push(performance.now() - began);
});
window.frames_at = [];
addEventListener("pointerup", () => { window.ended = performance.now(); }, true);
const tick = (now) => { window.frames_at.push(now); plain(tick); };
plain(tick);
"""

_UNTIL_DRAWN = """(area) => {
  const find = () => area.getRootNode().querySelector(".masks .mask");
  const old = find();
  window.drawn = new Promise((done) => {
    const look = () => requestAnimationFrame(() => {
      const now = find();
      if (now && now !== old) done(performance.now() - window.ended); else look();
    });
    look();
  });
}"""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[1155, 2310, 4600])
    parser.add_argument("--strokes", type=int, nargs="+", default=[0, 500])
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    stop_in_order()
    titles = ("MP", "strokes", "what", "frames", "mean, ms", "worst, ms")
    print(_LINE.format(*titles, "own, ms", "worst own"))
    for side in options.sides:
        for count in options.strokes:
            _measure(side, count, options.seconds)
    for side in options.sides:
        _learn(side, options.seconds)


def _measure(side: int, count: int, seconds: float) -> None:
    """Paint and zoom on one image, and print what was found."""
    size = side, side * 3 // 4
    with tempfile.TemporaryDirectory(prefix="terrain-painting-") as folder:
        home = Path(folder)
        strokes = tuple(_stroke(random.Random(n), *size) for n in range(count))
        painted = asdict(Painted(strokes, KAGGLE_CLASSES))
        (home / "painted.json").write_text(json.dumps(painted))
        os.environ["PAINTER_SIDE"] = str(side)
        with serve(APP, home, free_port()) as server, open_browser() as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(_WAIT_MS)
            page.add_init_script(_WATCH)
            sent: list[int] = []
            page.on(
                "websocket",
                lambda socket: socket.on(
                    "framesent", lambda data: sent.append(len(data))
                ),
            )
            page.goto(server.url)
            wait_for_run(page)
            page.locator(f".painter[data-strokes='{count}']").wait_for()
            megapixels = round(size[0] * size[1] / 1e6)
            for name, act in (("painting", _paint), ("zooming", _zoom)):
                facts = _frames(page, partial(act, page, seconds))
                print(_LINE.format(megapixels, count, name, *facts), flush=True)
            sent.clear()
            start = time.perf_counter()
            _paint(page, 0)
            page.locator(
                f".painter[data-strokes='{count + 2}'][data-waiting='0']"
            ).wait_for()
            taken = time.perf_counter() - start
            print(f"      one stroke more: {sent[0]} bytes, kept after {taken:.1f} s")


def _learn(side: int, seconds: float) -> None:
    """Paint on the labels page, and print when its masks were there."""
    height, width = side * 3 // 4, side
    stripes = np.arange(width) * _STRIPES // width
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 60, (height, width, 3), np.uint8)
    rgb += (_COLORS[stripes % len(_COLORS)])[None]
    with tempfile.TemporaryDirectory(prefix="terrain-painting-") as folder:
        home, image = Path(folder) / "home", Path(folder) / "image.tif"
        image.write_bytes(tiff(rgb))
        with serve(PAGE, home, free_port()) as server, open_browser() as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(_WAIT_MS)
            page.add_init_script(_WATCH)
            page.goto(f"{server.url}/Labels?image=machine:{image}")
            wait_for_run(page)
            process = psutil.Process(server.pid)
            for number, name in enumerate("12"):
                page.keyboard.press(name)
                _short(page, (number + 0.5) / _STRIPES, 0.2)
            page.locator(".masks .mask").wait_for()
            megapixels = round(width * height / 1e6)
            _time_strokes(page, process, megapixels)
            left, top, wide, high = _area(page)
            page.mouse.move(left + wide / 2, top + high / 2)
            for _ in range(4):
                page.mouse.wheel(0, -200)
            page.wait_for_timeout(3000)
            wait_for_run(page)
            facts = _frames(page, partial(_paint, page, seconds))
            sharp = page.locator(".pictures .detail").count()
            print(_LINE.format(megapixels, 5, f"sharp {sharp}", *facts))
            page.keyboard.press("0")
            wait_for_run(page)
            before, start = sum(process.cpu_times()[:2]), time.perf_counter()
            page.get_by_role("button", name="Make the mask of the whole image").click()
            page.locator(".view[data-drawn]").wait_for()
            wall, cpu = time.perf_counter() - start, sum(process.cpu_times()[:2])
            print(
                f"{megapixels:>5} MP: whole mask {wall:.1f} s, cpu {cpu - before:.1f}",
                flush=True,
            )


def _time_strokes(page: Page, process: psutil.Process, megapixels: int) -> None:
    """Paint some strokes, and print when the mask of each was there."""
    for number in range(_TIMES):
        wait_for_run(page)
        page.keyboard.press(str(1 + number % 2))
        page.locator(".area").evaluate(_UNTIL_DRAWN)
        before = sum(process.cpu_times()[:2])
        _short(page, (number % 2 + 0.5) / _STRIPES, 0.3 + 0.1 * number)
        wall = page.evaluate("() => window.drawn") / 1000
        wait_for_run(page)
        cpu = sum(process.cpu_times()[:2]) - before
        print(f"{megapixels:>5} MP: stroke to mask {wall:.2f} s, cpu {cpu:.2f}")


def _area(page: Page) -> tuple[float, float, float, float]:
    """Return where the picture is on the screen: left, top, width and height."""
    box = page.locator(".area").bounding_box()
    if box is None:
        raise RuntimeError("there is nothing to paint on")
    return box["x"], box["y"], box["width"], box["height"]


def _short(page: Page, x: float, y: float) -> None:
    """Paint a short stroke; x and y are shares of the image."""
    left, top, wide, high = _area(page)
    left, top = left + x * wide, top + y * high
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + 8, top + 12, steps=3)
    page.mouse.up()


def _stroke(rng: random.Random, width: int, height: int) -> Stroke:
    """Return a line of thirty points somewhere."""
    x, y, way = rng.random() * width, rng.random() * height, rng.random() * 6
    points = []
    for _ in range(30):
        way += rng.uniform(-0.5, 0.5)
        x = min(width, max(0.0, x + width / 100 * math.cos(way)))
        y = min(height, max(0.0, y + width / 100 * math.sin(way)))
        points.append((x, y))
    name = rng.choice(KAGGLE_CLASSES).name
    return Stroke(
        str(uuid.UUID(int=rng.getrandbits(128))), "line", name, tuple(points), 12
    )


def _frames(page: Page, act: Callable[[], None]) -> tuple[str, ...]:
    """Return how the frames were while something was done."""
    page.evaluate("() => { window.frames_at.length = window.spent.length = 0; }")
    act()
    at, own = page.evaluate("() => [window.frames_at, window.spent]")
    gaps = [later - sooner for sooner, later in itertools.pairwise(at)]
    found = (
        statistics.mean(gaps),
        max(gaps),
        statistics.mean(own or [0]),
        max(own or [0]),
    )
    return (str(len(gaps)), *(f"{value:.1f}" for value in found))


def _paint(page: Page, seconds: float) -> None:
    """Paint one stroke round and round."""
    left, top, wide, high = _area(page)
    x, y = left + wide / 2, top + high / 2
    page.mouse.move(x + 200, y)
    page.mouse.down()
    end = time.perf_counter() + seconds
    step = 0
    while step < 20 or time.perf_counter() < end:
        step += 1
        radius = 200 + 60 * math.sin(step / 17)
        page.mouse.move(
            x + radius * math.cos(step / 20), y + radius * math.sin(step / 20)
        )
    page.mouse.up()


def _zoom(page: Page, seconds: float) -> None:
    """Zoom in and out with the wheel."""
    end = time.perf_counter() + seconds
    step = 0
    while time.perf_counter() < end:
        step += 1
        page.mouse.wheel(0, -40 if step % 60 < 30 else 40)
        page.wait_for_timeout(10)
    page.get_by_role("button", name="Fit the whole picture").click()


if __name__ == "__main__":
    main()
