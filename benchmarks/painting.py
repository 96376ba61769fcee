"""How smoothly one paints: frames of the browser, for images of several sizes.

Run from the project's folder: `python -m benchmarks.painting`; two minutes, and it
needs chromium. With strokes on the image already, a long stroke is painted with the
mouse, and the wheel zooms in and out. Taken are the time from frame to frame, what of
it the painter's own code takes, and what goes to the server for a stroke, and until it
is kept.
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

from playwright.sync_api import Page

from benchmarks._worker import stop_in_order
from terrainlib.data.labels.strokes import Painted, Stroke
from terrainlib.data.palette import KAGGLE_CLASSES
from tests.browser.conftest import ROOT, free_port, open_browser, serve, wait_for_run

APP = ROOT / "tests" / "browser" / "painter_app.py"
_WAIT_MS = 120_000
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
const tick = (now) => { window.frames_at.push(now); plain(tick); };
plain(tick);
"""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[1155, 2310, 4620])
    parser.add_argument("--strokes", type=int, nargs="+", default=[0, 500])
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    stop_in_order()
    titles = ("MP", "strokes", "what", "frames", "mean, ms", "worst, ms")
    print(_LINE.format(*titles, "own, ms", "worst own"))
    for side in options.sides:
        for count in options.strokes:
            _measure(side, count, options.seconds)


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
    box = page.locator(".area").bounding_box()
    if box is None:
        raise RuntimeError("there is nothing to paint on")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
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
