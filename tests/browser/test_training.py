"""Start a training, watch it grow, reload, stop and resume it, and find its model."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from terrainlib.runs.folder import list_runs
from terrainlib.runs.training.metrics import MetricsTable, read_rows
from tests.browser.conftest import ROOT, Server, end_workers, own_button, serve
from tests.crafted_runs import craft_run

pytestmark = pytest.mark.browser

EPOCH_MS = 240_000  # the worker loads TensorFlow first, and machines can be busy


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Server]:
    """An app of its own, and no worker left behind."""
    home = tmp_path / "home"
    with serve(ROOT / "streamlit_app.py", home) as server:
        yield server
    end_workers(home)


def epochs_done(page: Page) -> int:
    """Return the number on the card `Epochs done`."""
    card = page.get_by_test_id("stMetric").filter(has_text="Epochs done").last
    found = re.search(r"(\d+) / \d+", card.inner_text())
    return int(found[1]) if found else 0


def wait_for_epoch(page: Page, number: int) -> None:
    """Wait until an epoch is complete, without touching the page."""
    deadline = time.monotonic() + EPOCH_MS / 1000
    while epochs_done(page) < number:
        assert time.monotonic() < deadline, page.locator("main").inner_text()
        page.wait_for_timeout(250)


def see(locator: Locator) -> None:
    """Wait until something is there; machines can be busy."""
    expect(locator).to_be_visible(timeout=EPOCH_MS)


def fill(page: Page, label: str, value: str) -> None:
    """Type a number and leave the field."""
    box = page.get_by_label(label, exact=True)
    box.fill(value)
    box.press("Tab")


def start_small_training(page: Page, epochs: int = 200) -> None:
    """Fill in the form for a training of many very short epochs and press Start."""
    page.get_by_role("radio", name="epochs").click()
    fill(page, "Epochs", str(epochs))
    fill(page, "Image size in px", "16")
    fill(page, "Batch size", "64")
    page.get_by_text("More", exact=True).click()
    fill(page, "Filters of each level", "4, 8")
    start = page.get_by_role("button", name="Start training")
    start.click()  # at once: the last field counts all the same


def test_a_training_is_started_watched_reloaded_stopped_and_resumed(
    studio: Server, context: BrowserContext, page: Page
):
    page.goto(f"{studio.url}/Training")
    start_small_training(page)

    see(page.get_by_test_id("stMetric").first)
    wait_for_epoch(page, 2)
    see(page.get_by_test_id("stVegaLiteChart").first)
    first = epochs_done(page)
    wait_for_epoch(page, first + 1)  # it grows without a click

    second_tab = context.new_page()
    second_tab.goto(page.url)
    see(second_tab.get_by_test_id("stMetric").first)
    wait_for_epoch(second_tab, first + 1)
    second_tab.get_by_text("New training", exact=True).click()
    see(second_tab.get_by_text("A training is running"))
    see(second_tab.get_by_role("button", name="Start when the other one ends"))
    second_tab.close()

    before = epochs_done(page)
    page.reload()
    see(page.get_by_test_id("stMetric").first)
    wait_for_epoch(page, before + 1)

    own_button(page, "Stop").click()
    resume = page.get_by_role("button", name="Resume")
    see(resume)  # the buttons change by themselves
    see(page.get_by_text("The model is saved."))
    stopped_at = epochs_done(page)
    assert stopped_at >= before + 1

    resume.click()
    wait_for_epoch(page, stopped_at + 1)
    own_button(page, "Stop").click()
    see(resume)

    (run,) = list_runs(studio.home / "runs")
    assert run.state == "stopped"
    network = run.config.training.network
    assert (network.image_size, network.filters) == (16, (4, 8))
    assert run.config.training.batch_size == 64
    assert list(run.metrics["epoch"]) == list(range(1, run.status.epoch + 1))
    page.get_by_role("link", name="See its card").click()
    see(page.get_by_role("heading", name="fast-sample"))


def test_a_zoom_stays_while_the_training_goes_on_and_a_double_click_ends_it(
    app: Server, page: Page, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TERRAINLIB_HOME", str(app.home))
    run = craft_run(app.home, state="running", epochs=9)
    page.goto(f"{app.url}/Training?run={run.name}")
    loss = page.get_by_test_id("stVegaLiteChart").first
    ticks = loss.locator(".role-axis-label text")
    expect(ticks.filter(has_text=re.compile("^9$"))).to_have_count(1)

    box = loss.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 900, "the curve is on the first screen"
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    expect(page.locator("#vg-tooltip-element")).to_contain_text("validation")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -600)
    page.keyboard.up("Control")
    expect(ticks.filter(has_text=re.compile("^9$"))).to_have_count(0)

    ninth = read_rows(run / "metrics.csv")[-1]
    MetricsTable(run / "metrics.csv").append(ninth | {"epoch": "10", "loss": "0.123"})
    others = page.get_by_test_id("stVegaLiteChart").nth(1)
    tenth = re.compile("^10$")
    expect(
        others.locator(".role-axis-label text").filter(has_text=tenth)
    ).to_have_count(1)
    expect(ticks.filter(has_text=tenth)).to_have_count(0)
    page.mouse.dblclick(*middle)
    expect(ticks.filter(has_text=tenth)).to_have_count(1)
    shutil.rmtree(run)
