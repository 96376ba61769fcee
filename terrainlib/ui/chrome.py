"""What every page has: title, one line of purpose, empty states."""

import streamlit as st

APP_NAME = "Terrain Mask Generator"


def page_header(title: str, intro: str, *, icon: str = ":material/landscape:") -> None:
    """Set up the page; the first call of every page.

    Args:
        title: Name of the page, in our own words.
        intro: One sentence: what one does here.
        icon: A Material icon for the browser's tab.
    """
    st.set_page_config(
        page_title=title if title == APP_NAME else f"{title} · {APP_NAME}",
        page_icon=icon,
        layout="wide",
    )
    st.title(title, anchor=False)
    st.markdown(f":gray[{intro}]")


def empty_state(title: str, body: str, *, icon: str = ":material/info:") -> None:
    """Say that there is nothing here yet and what to do about it.

    Args:
        title: What is missing, in our own words.
        body: What to do; Markdown, with data escaped by the caller.
        icon: A Material icon.
    """
    st.info(body, title=title, icon=icon)


def page_card(page: str, label: str, text: str, *, icon: str) -> None:
    """Show a bordered card that leads to another page.

    Args:
        page: File of the page, one of the constants of `ui.state`.
        label: The link's words.
        text: One sentence below it.
        icon: A Material icon.
    """
    with st.container(border=True, height="stretch"):
        st.page_link(page, label=f"**{label}**", icon=icon)
        st.markdown(f":gray[{text}]")
