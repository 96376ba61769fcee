"""Long lists, a page at a time."""

import math
from collections.abc import Sequence
from typing import TypeVar

import streamlit as st

_T = TypeVar("_T")


def page_of(items: Sequence[_T], page_size: int, key: str) -> Sequence[_T]:
    """Return the items of the page that `show_pagination` stands at.

    Args:
        items: The whole list.
        page_size: Items a page, 1 or more.
        key: Key of the pagination shown below the items.
    """
    pages = _pages(len(items), page_size)
    page = min(max(int(st.session_state.get(key, 1)), 1), pages)
    if st.session_state.get(key, page) != page:
        st.session_state[key] = page
    return items[(page - 1) * page_size : page * page_size]


def show_pagination(count: int, page_size: int, key: str) -> None:
    """Show the page numbers of a list, unless it fits on one page.

    Args:
        count: Length of the whole list.
        page_size: Items a page, 1 or more.
        key: Key of the widget; the same as in `page_of`.
    """
    pages = _pages(count, page_size)
    if pages == 1:
        return
    with st.container(horizontal=True, horizontal_alignment="center"):
        st.pagination(pages, key=key, persist_state="session")


def _pages(count: int, page_size: int) -> int:
    return max(1, math.ceil(count / page_size))
