"""People of a team log in by a provider of OpenID Connect."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from terrainlib.ui.identity import ADMINS_VARIABLE
from tests.browser.conftest import ROOT, Server, free_port, serve, wait_for_run

WHO = "ada@maps.example"


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The app for a team, with a provider of log-ins that knows Ada."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import oidc_provider_mock as mock
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
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the provider's own
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
    expect(page.get_by_role("heading", name="End Session")).to_be_visible()
    page.goto(team.url)
    expect(log_in).to_be_visible()
