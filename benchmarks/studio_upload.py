"""How long an uploaded image of 1024 x 1024 px takes to become a mask in the browser.

Run from the project's folder: `python -m benchmarks.studio_upload`; about two minutes,
and it needs chromium. The model is warm: an image was predicted before. Every round a
new tab is given an image that the server has not seen, and then another one in its
place. The time is taken from the choice of the file until the mask is drawn: a new tab
has the page's code to fetch and to compile as well. Below it, what the steps take on
their own in a process without a server.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Browser, Page

from benchmarks._worker import stop_in_order
from terrainlib.data.imagery import read_image
from terrainlib.data.sample import SCENES_DIR
from terrainlib.data.scene import scene_of
from terrainlib.mask.gap import scene_gap
from terrainlib.mask.prediction import predict_image
from terrainlib.mask.tiles.bands import to_bytes
from terrainlib.model.modelfile import load_model
from terrainlib.ui.studio.live import confidence_layer, view_pictures
from tests.browser.conftest import ROOT, free_port, open_browser, serve, wait_for_run

SIDE_PX = 1024
_WAIT_MS = 120_000


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    stop_in_order()
    with tempfile.TemporaryDirectory(prefix="terrain-upload-") as folder:
        home = Path(folder) / "home"
        os.environ["TERRAINLIB_HOME"] = str(home)
        count = 2 * (options.rounds + 1)
        files = [_image(Path(folder), number) for number in range(count)]
        with serve(ROOT / "streamlit_app.py", home, free_port()) as server:
            seconds = _uploads(server.url, files)
        steps = _steps(files)
    print(f"image of {SIDE_PX} x {SIDE_PX} px, seconds {'median':>10}{'most':>8}")
    print(f"{'first image of a tab, to its mask':<33} {_two(seconds[2::2])}")
    print(f"{'the next one':<33} {_two(seconds[3::2])}")
    for name, taken in steps.items():
        print(f"  {name:<31} {_two(taken[1:])}")


def _two(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):10.2f}{max(seconds):8.2f}"


def _image(folder: Path, number: int) -> Path:
    """Write an image of the sample's first scene, each number another view of it."""
    scene = to_bytes(read_image(sorted(SCENES_DIR.glob("*.tif"))[0]).rgb)
    step = 8 * number
    part = np.rot90(scene[step : step + 400, step : step + 400], number % 4)
    pixels = cv2.resize(part, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    path = folder / f"view{number}.png"
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return path


def _uploads(url: str, files: list[Path]) -> list[float]:
    """Return the seconds from file to mask: of every tab its first, then its next.

    The first of all has a cold model.
    """
    with open_browser() as browser:
        taken: list[float] = []
        for number in range(0, len(files), 2):
            page = _open_upload(browser, url)
            taken.append(_upload(page, files[number]))
            page.get_by_role("button", name=f"Remove {files[number].name}").click()
            page.locator(".view").wait_for(state="detached")
            wait_for_run(page)
            taken.append(_upload(page, files[number + 1]))
            page.close()
    return taken


def _open_upload(browser: Browser, url: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(_WAIT_MS)
    page.goto(f"{url}/Mask_Studio")
    wait_for_run(page)
    page.get_by_role("radio", name="Upload").click()
    wait_for_run(page)
    return page


def _upload(page: Page, file: Path) -> float:
    start = time.perf_counter()
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(file)
    page.locator(".view[data-drawn]").wait_for()
    seconds = time.perf_counter() - start
    wait_for_run(page)
    return seconds


def _steps(files: list[Path]) -> dict[str, list[float]]:
    """Return the seconds of each step that the server takes, image by image."""
    taken: dict[str, list[float]] = {}

    @contextmanager
    def step(name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        taken.setdefault(name, []).append(time.perf_counter() - start)

    model = load_model("default")
    for file in files:
        with step("reading"):
            image = read_image(file)
        with step("predicting"):
            prediction = predict_image(model, image)
        with step("classes, margins, soft mask"):
            index, margins = prediction.classes_and_margins()
            soft = to_bytes(prediction.soft)
        with step("pictures of the view"):
            view_pictures(file.name, image, soft, model.classes)
            confidence_layer(file.name, margins, index)
        with step("gap meter"):
            scene_gap(model, scene_of(image))
    return taken


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("stopped; nothing was kept.") from None
