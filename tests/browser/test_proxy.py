"""The app below a path behind nginx, which names who it is in a header."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.ui.identity import HEADER_VARIABLE
from tests.browser.conftest import (
    ROOT,
    START_SECONDS,
    Server,
    free_port,
    serve,
    wait_for_run,
)

WHO = "ada@maps.example"


@pytest.fixture
def proxied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The app below /maps, behind nginx, which says that it is Ada who asks."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if nginx is None:
        pytest.skip("nginx is needed: apt-get install nginx-light")
    outside = free_port()
    monkeypatch.setenv("TERRAINLIB_MODE", "team")
    monkeypatch.setenv(HEADER_VARIABLE, "X-User")
    monkeypatch.setenv("STREAMLIT_SERVER_BASE_URL_PATH", "maps")
    with serve(ROOT / "streamlit_app.py", tmp_path / "home") as server:
        changes = {
            "events {}": f"daemon off; pid {tmp_path}/pid; events {{}}",
            "http {": f"http {{ client_body_temp_path {tmp_path}; access_log off;",
            "listen 8080": f"listen 127.0.0.1:{outside}",
            "app:8501": server.url.removeprefix("http://").removesuffix("/maps"),
            'X-User ""': f'X-User "{WHO}"',
        }
        text = (ROOT / "deploy/nginx.conf").read_text()
        for old, new in changes.items():
            assert text.count(old) == 1
            text = text.replace(old, new)
        (tmp_path / "nginx.conf").write_text(text)
        process = subprocess.Popen(
            [nginx, "-c", tmp_path / "nginx.conf", "-e", tmp_path / "nginx.log"]
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(outside):
                assert process.poll() is None, (tmp_path / "nginx.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            url = f"http://127.0.0.1:{outside}/maps"
            yield Server(url, server.home, server.log, server.pid)
        finally:
            process.terminate()
            process.wait()


def _answers(port: int) -> bool:
    with closing(socket.socket()) as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.browser
def test_all_works_below_a_path_behind_a_proxy_that_names_people(
    proxied: Server, page: Page
):
    page.set_extra_http_headers({"X-User": "mallory"})  # which the proxy overwrites
    page.goto(f"{proxied.url}/")
    wait_for_run(page)
    sidebar = page.get_by_test_id("stSidebar")
    expect(sidebar.get_by_text(WHO)).to_be_visible()
    expect(page.locator(".view[data-drawn]")).to_be_visible()  # the live view

    sidebar.get_by_role("link", name="Models").click()
    button = page.get_by_role("button", name="model.keras")
    expect(button).to_be_visible()
    wait_for_run(page)
    with page.expect_download() as download:
        button.click()
    assert page.url.startswith(f"{proxied.url}/Models")
    sent = Path(download.value.path()).read_bytes()
    assert sent == EMBEDDED_MODELS["default"].read_bytes()
