"""What every page has: title, links, notices, questions, choices, downloads, lists."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, Final, Literal, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from terrainlib import files, rights
from terrainlib.data.palette import TerrainClass
from terrainlib.errors import TerrainError
from terrainlib.ui import identity, state
from terrainlib.ui.text import md_escape
from terrainlib.ui.turns import made_in_turn

APP_NAME = "Terrain Mask Generator"
SIDEBAR_PX: Final = 210
# A picture of our own: browsers would load a named icon from another site.
_ICON: Final = Path(__file__).parents[1] / "assets" / "icon.png"
# Streamlit writes what is chosen in the primary colour, which the dark page has dark
# enough for white on it; "Press Enter to submit form" lies over what is typed. There is
# no option for either.
_STYLE: Final = """<style>
[data-testid="stButtonGroup"] button[aria-checked="true"]:not([data-disabled]),
[data-testid="stButtonGroup"] button[aria-pressed="true"]:not([data-disabled]),
[data-testid="stSliderThumbValue"] { color: inherit !important; }
[data-testid="stForm"] [data-testid="InputInstructions"] { display: none; }
</style>"""
_WAY = (
    (state.HOME_PAGE, "Home", ":material/landscape:"),
    (state.DATASET_PAGE, "Dataset preview", ":material/photo_library:"),
    (state.LABELS_PAGE, "Labels", ":material/brush:"),
    (state.TRAINING_PAGE, "Training", ":material/model_training:"),
    (state.GALLERY_PAGE, "Prediction gallery", ":material/compare:"),
    (state.STUDIO_PAGE, "Mask studio", ":material/tune:"),
    (state.MODELS_PAGE, "Models", ":material/inventory_2:"),
)


def page_header(title: str, intro: str) -> None:
    """Set up the page; the first call of every page.

    Somebody who has to log in first sees the home page, and no other.
    """
    st.set_page_config(
        page_title=title if title == APP_NAME else f"{title} · {APP_NAME}",
        page_icon=_ICON,
        layout="wide",
        initial_sidebar_state=SIDEBAR_PX,
    )
    known = rights.actor().role != "nobody"
    if not known and title != APP_NAME:
        st.switch_page(state.HOME_PAGE)  # which asks for the log-in
    _sweep_once()
    st.html(_STYLE)
    if known:
        identity.let_in()
        with st.sidebar:  # Streamlit's own list would call home by its file's name
            for page, label, page_icon in _WAY:
                st.page_link(page, label=label, icon=page_icon)
            identity.show_viewer()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.title(title, anchor=False, width="content")
        st.markdown(f":gray[{intro}]", width="content")
    identity.warn_if_open()


@st.cache_resource(show_spinner=False)
def _sweep_once() -> None:
    """Remove what killed writers have left, once in the life of a server."""
    with rights.acting(rights.OWNER):
        places = files.runs_dir(), files.models_dir(), files.cache_dir()
        for folder in (files.predictions_dir(), *places):
            files.sweep(folder)
        files.sweep(files.home_dir() / rights.PEOPLE)


def empty_state(title: str, body: str, *, icon: str = ":material/info:") -> None:
    """Say that there is nothing here yet and what to do about it.

    Args:
        title: What is missing, in our own words.
        body: What to do; Markdown, with data escaped by the caller.
        icon: A Material icon.
    """
    st.info(body, title=title, icon=icon)


def links_to_model(model_id: str, *, gallery: str, studio: str) -> None:
    """Show links that open the gallery and the studio with a model."""
    link = {"model": model_id}
    icons = ":material/compare:", ":material/tune:"
    st.page_link(state.GALLERY_PAGE, label=gallery, icon=icons[0], query_params=link)
    st.page_link(state.STUDIO_PAGE, label=studio, icon=icons[1], query_params=link)


def spread(align: Literal["center", "bottom"] = "center") -> DeltaGenerator:
    """Return a row whose parts stand at its two ends."""
    return st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment=align
    )


_Option = TypeVar("_Option", bound=str)


def pick_one(  # noqa: PLR0913 - the options are keywords
    label: str,
    options: Mapping[_Option, str],
    key: str,
    *,
    default: _Option | None = None,
    hidden: bool = False,
    help: str | None = None,
    query: str | None = None,
) -> _Option:
    """Show options side by side, one of which is always chosen, and return its key.

    Args:
        label: What is chosen.
        options: The words of each option, by what it is called in the program.
        key: Widget key; the choice is kept for the session.
        default: The first choice; the first option if None.
        hidden: Whether the label is for screen readers alone.
        help: A sentence behind the label.
        query: Its name in the address, if it is to stand there.
    """
    if query is not None:
        state.follow_link(key, query, options)
    first = next(iter(options)) if default is None else default
    chosen = st.segmented_control(
        label,
        list(options),
        format_func=options.__getitem__,
        default=first,
        required=True,
        key=key,
        persist_state="session",
        label_visibility="collapsed" if hidden else "visible",
        help=help,
        on_change=None if query is None else state.keep_in_link,
        args=(key, query),
    )
    return chosen if chosen in options else first


_MEDIA: Final = {
    ".csv": "text/csv",
    ".h5": "application/x-hdf5",
    ".md": "text/markdown",
    ".png": "image/png",
    ".zip": "application/zip",
}


def offer_file(
    label: str,
    data: str | bytes | Callable[[], bytes],
    name: str,
    *,
    key: str | None = None,
    help: str | None = None,
    disabled: bool = False,
) -> None:
    """Show a button that downloads a file, and leaves the page as it is.

    Args:
        label: The button's words.
        data: The file, or what makes it when the button is clicked.
        name: Name of the file; its ending tells the media type.
        key: Widget key.
        help: What the file is, or why there is none.
        disabled: Whether there is none.
    """
    st.download_button(
        label,
        rights.bound(made_in_turn(data)) if callable(data) else data,
        name,
        _MEDIA.get(PurePath(name).suffix, "application/octet-stream"),
        key=key,
        help=help,
        icon=":material/download:",
        on_click="ignore",
        disabled=disabled,
    )


_ROW_PX: Final = 35
_SCROLL_BAR_PX: Final = 12
_MOST_ROWS: Final = 10


def show_table(
    frame: Any, columns: Mapping[str, Any] | None = None, *, alt: str, **options: Any
) -> list[int]:
    """Show a table, high enough that no scroll bar lies over a row.

    Args:
        frame: A pandas data frame, or one with styles; a dash stands for what is None.
        columns: Names or configurations of its columns, as for `st.dataframe`.
        alt: What it holds, for screen readers.
        options: Further options of `st.dataframe`, such as `key` and `on_select`.

    Returns:
        The rows that are chosen, by their numbers; none where none can be.
    """
    rows = min(len(frame.index), _MOST_ROWS) + 1
    event: Any = st.dataframe(
        frame,
        height=rows * _ROW_PX + _SCROLL_BAR_PX,
        hide_index=True,
        placeholder="–",
        column_config=dict(columns or {}),
        alt=alt,
        **options,
    )
    chosen = event.selection.rows if "on_select" in options else []
    return [row for row in chosen if row < len(frame.index)]


_NOTICE: Final = "shared_notice"  # list of str: kind, title, Markdown


@contextmanager
def noticed(title: str) -> Iterator[None]:
    """Turn a library error of the block into the notice of the next page."""
    try:
        yield
    except TerrainError as error:
        st.session_state[_NOTICE] = ["error", title, md_escape(error)]


def leave_notice(text: str) -> None:
    """Leave a sentence of success for the next page; Markdown, data escaped."""
    st.session_state[_NOTICE] = ["success", "", text]


def show_notice() -> None:
    """Show what the last callback left to say, once."""
    place = st.container()  # what comes below stays where it is, and is not seen twice
    notice = st.session_state.pop(_NOTICE, None)
    if notice is None:
        return
    kind, title, text = notice
    if kind == "success":
        place.success(text, icon=":material/check:")
    else:
        place.error(text, title=title, icon=":material/error:")


def ask(
    title: str, body: str, action: str, do: Callable[[], None], *, key: str
) -> None:
    """Open a question with one button for yes and one for no.

    Args:
        title: The question.
        body: What happens then; Markdown, data escaped by the caller.
        action: The word on the button for yes.
        do: Called, as a callback, when yes was pressed.
        key: Start of the buttons' keys: `key_yes` and `key_cancel`.
    """

    @st.dialog(title)
    def question() -> None:
        st.markdown(body)
        with st.container(horizontal=True, horizontal_alignment="right"):
            cancelled = st.button("Cancel", key=f"{key}_cancel")
            agreed = st.button(action, key=f"{key}_yes", type="primary", on_click=do)
        if cancelled or agreed:
            st.rerun()

    question()


_T = TypeVar("_T")
_PAGE: Final = "page"  # in the address


def page_of(items: Sequence[_T], page_size: int, key: str) -> Sequence[_T]:
    """Return the items of the page that a link or `show_pagination` asks for.

    The page stands in the address.
    """
    pages = _pages(len(items), page_size)
    (asked,) = state.asked_by_address(_PAGE) or ("",)
    wanted = int(asked) if asked.isdecimal() else st.session_state.get(key, 1)
    page = min(max(wanted, 1), pages)
    if st.session_state.get(key, 1) != page:
        st.session_state[key] = page
    state.write_address(**{_PAGE: str(page) if page > 1 else ""})
    return items[(page - 1) * page_size : page * page_size]


def show_pagination(count: int, page_size: int, key: str) -> None:
    """Show the page numbers of a list, unless it fits on one page."""
    pages = _pages(count, page_size)
    if pages == 1:
        return
    with st.container(horizontal=True, horizontal_alignment="center"):
        st.pagination(pages, key=key, persist_state="session")


def _pages(count: int, page_size: int) -> int:
    return max(1, math.ceil(count / page_size))


# Nearly black and nearly white patches would vanish on a dark or a light page.
_MIN_TONE = 48
_MAX_TONE = 225
_GROUND = ' background="rgb(128,128,128)"'


def swatch(color: tuple[int, int, int], name: str, note: str = "") -> str:
    """Return Markdown for a colour patch and its name.

    Args:
        color: Red, green, blue, 0 to 255.
        name: Any text; it is escaped.
        note: Shown small behind the name; it is escaped.
    """
    red, green, blue = (int(value) for value in color)
    css = f"rgb({red},{green},{blue})"
    ground = "" if max(color) >= _MIN_TONE and min(color) <= _MAX_TONE else _GROUND
    patch = f':color[⬤]{{foreground="{css}"{ground}}}'
    text = f"{patch}\u00a0{md_escape(name).replace(' ', chr(0xA0))}"
    return f"{text}\u00a0:small[:gray[{md_escape(note)}]]" if note else text


def show_legend(
    classes: Iterable[TerrainClass],
    *,
    shares: Mapping[str, float] | None = None,
    extra: Iterable[tuple[tuple[int, int, int], str]] = (),
) -> None:
    """Show the classes in one wrapping line."""
    notes = {name: f"{share:.1%}" for name, share in (shares or {}).items()}
    parts = [
        swatch(item.color, item.name, notes.get(item.name, "")) for item in classes
    ]
    parts += [swatch(color, name) for color, name in extra]
    st.markdown("\u2003 ".join(parts))
