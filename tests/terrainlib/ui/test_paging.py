"""Long lists, a page at a time."""

import pytest
from streamlit.testing.v1 import AppTest

from tests.conftest import PAGE_TIMEOUT_S


def _script() -> None:
    import streamlit as st

    from terrainlib.ui.page import page_of, show_pagination

    items = list(range(st.session_state["count"]))
    st.text(str(list(page_of(items, 4, "place"))))
    show_pagination(len(items), 4, "place")


def _page(count: int, place: int | None = None, asked: str = "") -> AppTest:
    page = AppTest.from_function(_script, default_timeout=PAGE_TIMEOUT_S)
    page.session_state["count"] = count
    if asked:
        page.query_params["page"] = asked
    if place is not None:
        page.session_state["place"] = place
    return page.run()


def test_the_first_page_is_shown_first() -> None:
    page = _page(10)
    assert not page.exception
    assert page.text[0].value == "[0, 1, 2, 3]"


def test_the_last_page_holds_the_rest() -> None:
    page = _page(10, place=3)
    assert not page.exception
    assert page.text[0].value == "[8, 9]"


def test_a_list_that_became_shorter_shows_its_last_page() -> None:
    page = _page(10, place=7)
    assert not page.exception
    assert page.text[0].value == "[8, 9]"


def test_the_page_stands_in_the_address_until_another_one_is_chosen() -> None:
    page = _page(10, place=1, asked="2")
    assert page.text[0].value == "[4, 5, 6, 7]"
    page.session_state["place"] = 3
    assert page.run().text[0].value == "[8, 9]"
    assert page.query_params["page"] == "3"
    page.session_state["place"] = 1
    assert page.run().text[0].value == "[0, 1, 2, 3]"
    assert "page" not in page.query_params


@pytest.mark.parametrize(
    ("asked", "shown"), [("no", [0, 1, 2, 3]), ("0", [0, 1, 2, 3]), ("9" * 99, [8, 9])]
)
def test_an_address_asks_for_no_page_that_is_not_there(
    asked: str, shown: list[int]
) -> None:
    page = _page(10, asked=asked)
    assert not page.exception
    assert page.text[0].value == str(shown)


def test_a_list_of_one_page_has_no_page_numbers() -> None:
    page = _page(4)
    assert not page.exception
    assert not page.get("pagination")
    assert page.text[0].value == "[0, 1, 2, 3]"


def test_an_empty_list_is_one_empty_page() -> None:
    page = _page(0)
    assert not page.exception
    assert page.text[0].value == "[]"
