"""Make every picture of README and guides anew, from the running app.

    python -m docs.pictures [RUN]

RUN is the folder of a training to show; without it one of eight epochs is made first, a
few minutes. It needs chromium and what requirements-dev.txt lists. The charts of
recipe.md are made by the benchmarks that measured them.
"""

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

from terrainlib.data.sample import SAMPLE_DIR
from tests.browser.conftest import ROOT, open_browser, serve, wait_for_run

DOCS = Path(__file__).parent
WIDE = {"width": 1280, "height": 900}
PICTURE_WIDTH = 1000
ANIMATION_WIDTH = 800
HELD_OUT = 48  # pairs of the sample that the embedded model did not train on at first
PREDICTION_MS = 90_000
MAX_ANIMATION_BYTES = 1_000_000


def main() -> None:
    """Start the app with a home of its own and take all pictures."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        run = home / "runs" / "20260101-120000-sample"
        if len(sys.argv) > 1:
            shutil.copytree(sys.argv[1], run)
        else:
            _train(run)
        with serve(ROOT / "streamlit_app.py", home) as app, open_browser() as browser:
            _studio(_open(browser, f"{app.url}/Mask_Studio"))
            _shot(_open(browser, f"{app.url}/Dataset_Preview"), "preview")
            watch = f"{app.url}/Training?run={run.name}"
            _shot(_open(browser, watch, "dark"), "training")
            _gallery(_open(browser, f"{app.url}/Prediction_Gallery"))


def _train(run: Path) -> None:
    words = ["train", str(SAMPLE_DIR), "--out", str(run), "--epochs", "8"]
    subprocess.run([sys.executable, "-m", "terrainlib", *words], check=True)


def _open(browser: Browser, address: str, scheme: str = "light") -> Page:
    page = browser.new_page(viewport=WIDE, color_scheme=scheme)
    page.set_default_timeout(PREDICTION_MS)
    page.goto(address)
    wait_for_run(page)
    return page


def _frame(page: Page, width: int = PICTURE_WIDTH) -> Image.Image:
    """Return the page as it is seen now, at a width in pixels."""
    page.wait_for_timeout(600)  # charts and pictures fade in
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    height = round(image.height * width / image.width)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _shot(page: Page, name: str) -> None:
    _frame(page).save(DOCS / f"{name}.webp", quality=80, method=6)
    page.close()


def _gallery(page: Page) -> None:
    page.get_by_role("button", name=f"Predict {HELD_OUT} images").click()
    page.get_by_role("button", name="Open 0").first.wait_for()  # its cards
    wait_for_run(page)
    _shot(page, "gallery")


def _studio(page: Page) -> None:
    """Take the example, its mask, the sharpening and the downloads as one animation."""
    button = page.get_by_role("button", name="Make the mask")
    button.wait_for()
    frames, times = [_frame(page, ANIMATION_WIDTH)], [1500]
    button.click()
    page.locator(".view[data-drawn]").wait_for()
    wait_for_run(page)
    slider = page.get_by_label("Sharpening", exact=True)
    slider.scroll_into_view_if_needed()
    frames.append(_frame(page, ANIMATION_WIDTH))
    times.append(1500)
    slider.focus()
    for _ in range(8):
        for _ in range(5):
            slider.press("ArrowRight")
        frames.append(_frame(page, ANIMATION_WIDTH))
        times.append(250)
    times[-1] = 1500
    button = page.get_by_role("button", name="Sharpened mask (PNG)")
    wait_for_run(page)
    button.scroll_into_view_if_needed()
    button.hover()
    frames.append(_frame(page, ANIMATION_WIDTH))
    times.append(2500)
    page.close()
    _animate(frames, times, DOCS / "studio.webp")


def _animate(frames: list[Image.Image], times: list[int], path: Path) -> None:
    for quality in (75, 60, 45, 30):
        frames[0].save(
            path,
            save_all=True,
            append_images=frames[1:],
            duration=times,
            loop=0,
            quality=quality,
            method=6,
        )
        if path.stat().st_size < MAX_ANIMATION_BYTES:
            return
    raise SystemExit(f"{path} is larger than {MAX_ANIMATION_BYTES:,} bytes.")


if __name__ == "__main__":
    main()
