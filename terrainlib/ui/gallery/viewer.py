"""The gallery's pictures in the browser: cards, and the image that is open.

The components are plain JavaScript in `zoom.js` and `viewer.js`. What they send is held
against what they were given.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pandas as pd
import streamlit as st

from terrainlib.ui import state

IMAGE: Final = "image"  # in the address: the image that is open
_OPEN: Final = "gallery_open"  # dict: id of the image that is open, and what counts it
_FOLDER: Final = Path(__file__).parent


def picture_component(name: str, css: str, *scripts: str, beside: str) -> Any:
    """Declare a component of pictures: its files, on those that all of them share.

    Args:
        name: Its name.
        css: Its style sheet.
        scripts: Its scripts; the last one exports the component.
        beside: The module that its files lie beside.
    """
    own = Path(beside).parent

    def text(*paths: Path) -> str:
        return "\n".join(path.read_text(encoding="utf-8") for path in paths)

    return st.components.v2.component(
        name,
        css=text(_FOLDER / "zoom.css", own / css),
        js=text(_FOLDER / "zoom.js", *(own / script for script in scripts)),
    )


def file_table(files: Mapping[str, bytes]) -> pd.DataFrame:
    """Return PNG and JPEG files by name as a table: in it they stay bytes."""
    kinds = [
        "image/png" if data[:1] == b"\x89" else "image/jpeg" for data in files.values()
    ]
    return pd.DataFrame({"name": [*files], "type": kinds, "content": [*files.values()]})


_component = picture_component(
    "terrainlib_gallery_view", "viewer.css", "viewer.js", beside=__file__
)


@dataclass(frozen=True, slots=True)
class Card:
    """A picture to press.

    Attributes:
        id: The image that it opens.
        title: What stands below it, in bold.
        note: What stands beside that.
        pictures: JPEG or PNG files by name, side by side; `image` is smoothed.
    """

    id: str
    title: str
    note: str
    pictures: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the pictures of an open image: its name, its words, its file."""

    name: str
    label: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """What is shown of an open image.

    Attributes:
        note: A line below it.
        ratio: Width by height.
        panels: Its pictures, side by side.
    """

    note: str
    ratio: float
    panels: tuple[Panel, ...]


def show_cards(cards: Sequence[Card], *, key: str) -> None:
    """Show pictures to press; the one that was pressed is open from then on."""
    names = [f"{n}\n{name}" for n, card in enumerate(cards) for name in card.pictures]
    data = [picture for card in cards for picture in card.pictures.values()]
    files = dict(zip(names, data, strict=True))
    digest = sha256(
        "\n".join([card.title + card.note for card in cards]).encode("utf-8", "replace")
    )
    for picture in data:
        digest.update(picture)
    result = _component(
        key=key,
        data={
            "id": digest.hexdigest(),
            "cards": [
                {
                    "id": card.id,
                    "title": card.title,
                    "note": card.note,
                    "label": f"Open {card.id}: {card.note}",
                    "pictures": [f"{number}\n{name}" for name in card.pictures],
                }
                for number, card in enumerate(cards)
            ],
            "files": file_table(files),
        },
        on_open_change=_nothing,
    )
    if result.open in {card.id for card in cards}:
        st.session_state[_OPEN] = {"id": result.open, "reports": None}


def show_open(
    ids: Sequence[str], make: Callable[[str], Opened | None], *, key: str
) -> str | None:
    """Show the image that is open, if any, over the page; the address names it.

    Args:
        ids: The images that one can turn to, in their order.
        make: Makes what is shown of an image; None where it cannot be read any more.
        key: Widget key.

    Returns:
        The image that is to be sharpened in the studio, if one is.
    """
    if _OPEN not in st.session_state:  # a link may name one
        st.session_state[_OPEN] = {"id": st.query_params.get(IMAGE), "reports": None}
    standing = st.session_state[_OPEN]
    at = standing["id"] if standing["id"] in ids else None
    state.write_address(**{IMAGE: at or ""})
    place = ids.index(at) if at else 0
    around = (
        [at, *ids[place + 1 : place + 2], *ids[max(place - 1, 0) : place]] if at else []
    )
    opened = {one: found for one in around if one and (found := make(one))}
    result = _component(
        key=key,
        data={
            "ids": list(ids),
            "at": at if at in opened else None,
            "reports": standing["reports"],
            "shown": [
                {
                    "id": one,
                    "note": found.note,
                    "ratio": found.ratio,
                    "pictures": [
                        {"name": p.name, "label": p.label, "alt": f"{p.label} of {one}"}
                        for p in found.panels
                    ],
                }
                for one, found in opened.items()
            ],
            "files": file_table(
                {
                    f"{one}\n{panel.name}": panel.data
                    for one, found in opened.items()
                    for panel in found.panels
                }
            ),
        },
        default={"at": None},
        on_at_change=lambda: _turned(key),
        on_studio_change=_nothing,
    )
    return result.studio if result.studio in ids else None


def _turned(key: str) -> None:
    """Remember where the browser says that it stands."""
    sent = st.session_state[key].get("at")
    if isinstance(sent, Mapping) and isinstance(sent.get("reports"), int):
        shown = sent.get("id") if isinstance(sent.get("id"), str) else None
        st.session_state[_OPEN] = {"id": shown, "reports": sent["reports"]}


def _nothing() -> None:
    """Declare a trigger of the component to Streamlit; the page reads the result."""
