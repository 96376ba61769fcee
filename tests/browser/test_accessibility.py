"""Every page with something on it: axe-core, wide and light, narrow and dark."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import BrowserContext, Page

from terrainlib.data.palette import KAGGLE_CLASSES, colorize
from terrainlib.data.sample import SAMPLE_DIR, example_scenes
from terrainlib.mask.products.records import Made
from terrainlib.runs.folder import create_job, read_job
from terrainlib.runs.jobs.config import JobConfig, input_images, write_results
from terrainlib.runs.status import write_status
from tests.browser.conftest import ROOT, Server, serve, show_example_mask, wait_for_run
from tests.crafted_runs import craft_run
from tests.synthetic import terrain, write_kaggle_dataset

pytestmark = pytest.mark.browser

# What Streamlit's own markup gets wrong and no option of ours changes: the rule of
# axe-core, what marks the part of the page, why it is let pass.
STREAMLITS_OWN = (
    (
        "presentation-role-conflict",
        'data-testid="stFileUploaderDropzone"',
        "Streamlit makes its drop zone focusable, and names it, in spite of its role",
    ),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app with two trainings and a prediction, none of which ran."""
    folder = tmp_path_factory.mktemp("axe") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERRAINLIB_HOME", str(folder))
        craft_run(SAMPLE_DIR, name="islands")
        craft_run(SAMPLE_DIR, name="coast", state="failed", message="The disk is full.")
        _craft_job()
        write_kaggle_dataset(folder / "tiles", pairs=3)
    with serve(ROOT / "streamlit_app.py", folder) as server:
        yield server


def _craft_job() -> None:
    path = create_job(JobConfig("default", input_images([example_scenes()[0].image])))
    write_status(path, replace(read_job(path).status, state="finished"))
    index = terrain(64, seed=4)[1]
    mask = path / "results" / "europe_mask.png"
    mask.parent.mkdir(exist_ok=True)
    Image.fromarray(colorize(index, KAGGLE_CLASSES)).save(mask)
    shares = np.bincount(index.ravel(), minlength=len(KAGGLE_CLASSES)) / index.size
    made = Made(
        name=example_scenes()[0].image.name,
        files=(mask,),
        height=64,
        width=64,
        rows=64,
        stopped=False,
        shares={
            item.name: float(share)
            for item, share in zip(KAGGLE_CLASSES, shares, strict=True)
        },
        areas={},
        gap={"level": "different", "reasons": ["much darker"], "title": "Different"},
        unsure_share=0.125,
        notes=("8 bit",),
        seconds=75.0,
        network_seconds=70.0,
        megapixels_per_second=0.5,
    )
    write_results(path, [made], {})


def _first(folder: Path) -> str:
    return min(path.name for path in folder.iterdir())


VIEWS: dict[str, Callable[[Server], str]] = {
    "home": lambda _: "",
    "preview": lambda _: "Dataset_Preview",
    "pair": lambda _: "Dataset_Preview?pair=0001",
    "labels": lambda _: "Labels",
    "training-new": lambda _: "Training",
    "training-watch": lambda app: f"Training?run={_first(app.home / 'runs')}",
    "training-all": lambda _: "Training",
    "gallery": lambda app: f"Prediction_Gallery?dataset={app.home / 'tiles'}",
    "studio": lambda _: "Mask_Studio",
    "job": lambda app: f"Mask_Studio?job={_first(app.home / 'predictions')}",
    "models": lambda _: "Models",
}


def _fill(view: str, page: Page, app: Server) -> None:
    """Put something on the page where its address alone does not."""
    if view == "training-all":
        page.get_by_role("radio", name="All trainings").click()
    elif view == "gallery":
        page.get_by_role("button", name="Predict 3 images").click()
        page.get_by_role("radio", name="Worst first").wait_for(timeout=120_000)
    elif view == "labels":
        page.get_by_role("button", name="Try it with an example").click()
        page.get_by_text("3 strokes").first.wait_for(timeout=120_000)
    elif view == "studio":
        show_example_mask(page)
    wait_for_run(page)


def _findings(page: Page, look: str) -> list[str]:
    found = []
    for violation in Axe().run(page).response["violations"]:
        for node in violation["nodes"]:
            rule, part = violation["id"], node["html"]
            if not any(rule == own and mark in part for own, mark, _ in STREAMLITS_OWN):
                why = " ".join(node["failureSummary"].split())
                found.append(f"{look}: {rule}: {part[:300]} ({why})")
    return found


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_and_no_other_site_is_asked(
    view: str, home: Server, context: BrowserContext
) -> None:
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{home.url}/{VIEWS[view](home)}")
    wait_for_run(page)
    _fill(view, page, home)
    for summary in page.locator("details:not([open]) > summary").all()[::-1]:
        summary.click()
    page.mouse.move(0, 0)  # no tooltip stands open
    found = []
    for scheme, width, height in (("light", 1280, 900), ("dark", 400, 800)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": height})
        wait_for_run(page)
        found += _findings(page, f"{scheme}, {width} px")
    assert not found, "\n".join(found)
    own = (home.url, "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []
