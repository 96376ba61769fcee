"""What polls while the page turns to something else."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from terrainlib.data.dataset import open_dataset
from terrainlib.runs.folder import create_search
from terrainlib.runs.process import utc_now, write_process
from terrainlib.runs.searches.config import SearchConfig
from terrainlib.runs.status import SearchStatus, write_status
from tests.browser.conftest import Server, open_folder
from tests.crafted_runs import ahead
from tests.synthetic import write_kaggle_dataset

pytestmark = pytest.mark.browser

KEEP_POLLS = """
const set = window.setInterval;
window.polls = [];
window.setInterval = (poll, milliseconds, ...rest) => {
    if (milliseconds === 1000) window.polls.push(poll);
    return set(poll, milliseconds, ...rest);
};
"""
CHOOSE_WHILE_IT_POLLS = """
source => {
    source.click();
    const polling = setInterval(() => window.polls.forEach(poll => poll()), 10);
    return new Promise(done => setTimeout(() => done(clearInterval(polling)), 1000));
}
"""


def test_the_page_turns_to_another_source_while_a_search_is_watched(
    app: Server,
    page: Page,
    open_page: Callable[[str], Page],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERRAINLIB_HOME", str(app.home))
    folder = write_kaggle_dataset(tmp_path / "tiles", pairs=25)
    search = create_search(SearchConfig.of(open_dataset(folder)))
    write_process(search, os.getpid())
    status = SearchStatus("running", 0.42, heartbeat=ahead(), progressed=utc_now())
    write_status(search, status)
    page.add_init_script(KEEP_POLLS)
    open_page("Dataset_Preview")
    open_folder(page, folder)
    expect(page.get_by_text("Looking for shared ground: 42%")).to_be_visible()

    page.get_by_role("radio", name="Zip file").evaluate(CHOOSE_WHILE_IT_POLLS)

    expect(page.get_by_text("No data set is open")).to_be_visible()
    page.get_by_role("radio", name="Folder").click()
    expect(page.get_by_text("Looking for shared ground: 42%")).to_be_visible()
