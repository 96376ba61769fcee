"""People of a team log in, by a provider of OpenID Connect or by a proxy's header."""

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
from terrainlib.ui.identity import ADMINS_VARIABLE, HEADER_VARIABLE
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
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The app for a team, with a provider of log-ins that knows Ada."""
    mock = pytest.importorskip("oidc_provider_mock")
    claims = {"email": WHO, "email_verified": True}
    ada = mock.User(sub="ada", claims=claims)
    port = free_port()
    with mock.run_server_in_thread(user_claims=[ada]) as provider:
        secrets = tmp_path / "secrets.toml"
        secrets.write_text(
            "[auth]\n"
            f'redirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
            f'cookie_secret = "{"c" * 32}"\n'
            'client_id = "terrain"\n'
            'client_secret = "secret"\n'
            'server_metadata_url = "http://localhost:'
            f'{provider.server_port}/.well-known/openid-configuration"\n'
        )
        monkeypatch.setenv("STREAMLIT_SECRETS_FILES", str(secrets))
        monkeypatch.setenv("TERRAINLIB_MODE", "team")
        monkeypatch.setenv(ADMINS_VARIABLE, f"somebody, {WHO}")
        with serve(ROOT / "streamlit_app.py", tmp_path / "home", port) as server:
            yield server


@pytest.mark.browser
def test_who_logs_in_is_named_and_who_logs_out_sees_nothing(team: Server, page: Page):
    page.goto(f"{team.url}/Training")  # which asks for the log-in first
    sidebar = page.get_by_test_id("stSidebar")
    log_in = page.get_by_role("button", name="Log in")
    expect(log_in).to_be_visible()
    expect(page.get_by_role("link", name="Training")).to_have_count(0)
    wait_for_run(page)

    log_in.click()
    page.get_by_role("textbox").first.fill("ada")
    page.get_by_role("button", name="Authorize").click()

    expect(sidebar.get_by_text(f"{WHO}, administrator")).to_be_visible()
    expect(sidebar.get_by_role("link", name="Training")).to_be_visible()
    wait_for_run(page)
    sidebar.get_by_role("button", name="Log out").click()
    expect(log_in).to_be_visible()


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
