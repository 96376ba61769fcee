"""What people see in each mode: who they are, what is limited, how open the app is."""

from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from terrainlib import rights
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.ui import identity
from terrainlib.ui.models.table import OTHERS, OTHERS_LABEL
from tests.conftest import PAGE_TIMEOUT_S, ROOT


def open_page(name: str, user: dict[str, Any] | None = None) -> AppTest:
    app = str(ROOT / "streamlit_app.py")
    page = AppTest.from_file(app, default_timeout=PAGE_TIMEOUT_S)
    if user is not None:
        page.user = user
    return (page if name in app else page.switch_page(name)).run()


def said(page: AppTest) -> str:
    kinds = (
        page.caption,
        page.markdown,
        page.warning,
        page.error,
        page.sidebar.caption,
    )
    return "\n".join(str(one.value) for kind in kinds for one in kind)


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(rights.MODE_VARIABLE, "team")
    monkeypatch.setenv(identity.ADMINS_VARIABLE, "ADA@maps.example")


def ada(*, verified: bool = True) -> dict[str, Any]:
    facts = {"iss": "https://id.example", "sub": "1", "email": "ada@maps.example"}
    return {"is_logged_in": True, "email_verified": verified, **facts}


@pytest.mark.parametrize(
    ("mode", "address", "warned"),
    [
        ("own", "127.0.0.1", False),
        ("own", "localhost", False),
        ("own", "::1", False),
        ("own", "0.0.0.0", True),
        ("own", None, True),
        ("own", "maps.lan", True),
        ("demo", "0.0.0.0", False),
    ],
)
def test_an_app_of_one_person_that_all_can_reach_warns_on_every_page(
    monkeypatch: pytest.MonkeyPatch, mode: str, address: str | None, warned: bool
) -> None:
    def script() -> None:
        from terrainlib.ui.page import APP_NAME, page_header

        page_header(APP_NAME, "Words.")

    option = st.get_option
    monkeypatch.setenv(rights.MODE_VARIABLE, mode)
    monkeypatch.setattr(
        identity.st,
        "get_option",
        lambda name: address if name == "server.address" else option(name),
    )
    monkeypatch.setattr("terrainlib.ui.page._WAY", ())  # there is one page here
    page = AppTest.from_function(script, default_timeout=PAGE_TIMEOUT_S).run()
    assert [box.value for box in page.warning] == [identity.OPEN_WARNING] * warned


@pytest.mark.usefixtures("team")
def test_who_has_not_logged_in_sees_nothing_but_the_way_in() -> None:
    for name in ("pages/6_Models.py", "streamlit_app.py"):
        page = open_page(name, {"is_logged_in": False})
        assert not page.exception
        assert [button.label for button in page.button] == ["Log in"]
        assert not page.dataframe
    page.button[0].click().run()
    assert "docs/deploy.md" in page.error[0].value  # there is no provider


@pytest.mark.usefixtures("team")
@pytest.mark.parametrize("verified", [True, False])
def test_the_side_bar_says_who_is_here(verified: bool, terrainlib_home: Path) -> None:
    page = open_page("pages/6_Models.py", ada(verified=verified))
    role = ", administrator" if verified else ""
    caption = page.sidebar.caption[0].value.replace("\\", "")  # as Markdown shows it
    assert caption == f":material/person: ada@maps.example{role}"
    assert "TERRAINLIB_MODE=team" in said(page)
    assert page.button(key="log_out").label == "Log out"


@pytest.mark.usefixtures("team")
def test_an_administrator_deletes_what_somebody_else_has_made(
    terrainlib_home: Path,
) -> None:
    kept = terrainlib_home / rights.person("b", "Bo").folder / "models" / "theirs.keras"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(EMBEDDED_MODELS["default"].read_bytes())
    member = open_page("pages/6_Models.py", ada(verified=False))
    assert OTHERS_LABEL not in [box.label for box in member.expander]
    page = open_page("pages/6_Models.py", ada())
    assert OTHERS_LABEL in [box.label for box in page.expander]
    page.session_state[f"{OTHERS}_box"] = True
    page.run()
    assert list(page.dataframe[-1].value["Name"]) == ["theirs"]
    assert page.button(key=f"{OTHERS}_delete").disabled
    page.session_state[OTHERS] = {"selection": {"rows": [0]}}
    page.run()
    page.button(key=f"{OTHERS}_delete").click().run()
    assert "model **theirs**" in said(page)
    assert kept.exists()
    page.button(key=f"{OTHERS}_question_yes").click().run()
    assert not kept.exists()
    assert [box.value for box in page.success] == ["theirs was deleted."]


def test_a_visitor_of_a_demo_is_told_what_becomes_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(rights.MODE_VARIABLE, "demo")
    page = open_page("pages/3_Training.py")
    assert "an hour after you leave" in page.sidebar.caption[0].value
    assert page.button_group(key="training_source").options == ["Sample"]
    assert page.number_input(key="training_minutes_fast").max == 2
    labels = [expander.label for expander in open_page("pages/6_Models.py").expander]
    assert "Add a model from a file" not in labels
