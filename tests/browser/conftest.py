"""The running app and a real browser, as a person meets them."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    expect,
    sync_playwright,
)

ROOT = Path(__file__).resolve().parents[2]
WORKER = "terrainlib.runs.worker"
START_SECONDS = 60
STOP_SECONDS = 20
EXPECT_MS = 30_000  # machines can be busy


@dataclass(frozen=True)
class Server:
    """A running app: its address, its `TERRAINLIB_HOME`, its log and its process."""

    url: str
    home: Path
    log: Path
    pid: int


def end_workers(home: Path) -> None:
    """End the workers of a home, by their process ids."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if WORKER in words and str(home) in " ".join(words):
            process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextlib.contextmanager
def serve(script: Path, home: Path, port: int | None = None) -> Iterator[Server]:
    """Run an app on a free port of 127.0.0.1 and end it by its process id.

    Folders beside its home, as those of the tests, may be opened.
    """
    home.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    log = home / "server.log"
    command = [sys.executable, "-m", "streamlit", "run", str(script)]
    command += ["--server.port", str(port), "--server.headless", "true"]
    environment = os.environ | {
        "TERRAINLIB_HOME": str(home),
        "TERRAINLIB_FOLDERS": str(home.parent),
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        base = os.environ.get("STREAMLIT_SERVER_BASE_URL_PATH", "")
        url = f"http://127.0.0.1:{port}/{base}".rstrip("/")
        deadline = time.monotonic() + START_SECONDS
        while not _healthy(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield Server(url, home, log, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """Start the system's chromium while the block lasts."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path, "chromium is needed: apt-get install chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what fails in the browser once more; `-ra` lists it, so that it is seen."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app with a home of its own."""
    home = tmp_path_factory.mktemp("home")
    with serve(ROOT / "streamlit_app.py", home) as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium of the system."""
    expect.set_options(timeout=EXPECT_MS)
    with open_browser() as chromium:
        yield chromium


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A person's browser: no cookies, nothing remembered."""
    fresh = browser.new_context(
        viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
    )
    fresh.set_default_timeout(30_000)
    yield fresh
    fresh.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab that fails its test when an exception box or a script error shows up."""
    tab = context.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    yield tab
    expect(tab.get_by_test_id("stException")).to_have_count(0)
    assert not errors


@pytest.fixture
def open_page(app: Server, page: Page) -> Callable[[str], Page]:
    """Return a function that opens a page of the app by its address."""

    def open_it(path: str = "") -> Page:
        page.goto(f"{app.url}/{path}")
        wait_for_run(page)
        return page

    return open_it


def wait_for_run(page: Page) -> None:
    """Wait until the app is connected and its script has run to the end."""
    state = "[data-testid='stApp'][data-test-connection-state='CONNECTED']"
    page.wait_for_selector(state)
    page.wait_for_timeout(200)
    page.wait_for_selector("[data-testid='stApp'][data-test-script-state='notRunning']")


def open_folder(page: Page, folder: Path) -> None:
    """Choose a folder of this machine as the data set, by typing its path."""
    page.get_by_role("radio", name="Folder").click()
    wait_for_run(page)
    page.get_by_role("textbox", name="Folder on this machine").fill(str(folder))
    page.get_by_role("button", name="Open", exact=True).click()
    wait_for_run(page)


def show_example_mask(page: Page) -> None:
    """Have the studio's example drawn; the server may know its mask already."""
    drawn = page.locator(".view[data-drawn]")
    make = page.get_by_role("button", name="Make the mask")
    drawn.or_(make).first.wait_for(timeout=120_000)
    if make.is_visible():
        make.click()
    drawn.wait_for(timeout=120_000)
    wait_for_run(page)


def own_button(page: Page, name: str) -> Locator:
    """Return a button of the page itself; Streamlit has a Stop of its own above it."""
    inside = page.get_by_test_id("stMainBlockContainer")
    return inside.get_by_role("button", name=name, exact=True)
