"""A small browser of the folders of this machine that the pages may open.

It steps from folder to folder under the allowed ones; what it leads to goes through
`ui.paths` like every typed path.
"""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import streamlit as st

from terrainlib import files
from terrainlib.data.layout import IMAGE_SUFFIXES
from terrainlib.data.sample import SAMPLE_DIR
from terrainlib.errors import InputError
from terrainlib.places import allowed_folders
from terrainlib.ui.page import noticed
from terrainlib.ui.paths import existing_path
from terrainlib.ui.text import md_escape, plural

MAX_LISTED: Final = 2_000
_UP: Final = ".."


@dataclass(frozen=True, slots=True)
class Listing:
    """What is directly in a folder.

    Attributes:
        folders: Its folders, in the order of their names.
        files: Its files with one of the wanted endings, in the order of their names.
        left_out: How many more there are than `MAX_LISTED`.
    """

    folders: tuple[Path, ...]
    files: tuple[Path, ...]
    left_out: int = 0


def list_folder(folder: Path, suffixes: Collection[str]) -> Listing:
    """Return what can be opened in a folder; hidden names and links are left out.

    Args:
        folder: The folder, as `ui.paths` gave it.
        suffixes: Endings of the wanted files, lower case with a dot.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            shown = [
                entry
                for entry in entries
                if not files.is_hidden(entry.name) and not entry.is_symlink()
            ]
    except OSError as error:
        raise InputError(
            f"Folder '{folder.name}' cannot be read. Change its permissions."
        ) from error
    shown.sort(key=lambda entry: files.natural_key(entry.name))
    folders = [Path(entry.path) for entry in shown if entry.is_dir()]
    wanted = [
        Path(entry.path)
        for entry in shown
        if Path(entry.name).suffix.lower() in suffixes and entry.is_file()
    ]
    room = max(0, MAX_LISTED - len(folders))
    left_out = max(0, len(folders) - MAX_LISTED) + max(0, len(wanted) - room)
    return Listing(tuple(folders[:MAX_LISTED]), tuple(wanted[:room]), left_out)


def browse(
    key: str,
    on_pick: Callable[[str], None],
    *,
    suffixes: Collection[str] = IMAGE_SUFFIXES,
    take: str | None = "Take this folder",
) -> None:
    """Show a button that opens the browser; a file or a folder is picked in it.

    Args:
        key: Start of the widgets' keys, one a page.
        on_pick: Called, as a callback, with the path of what was picked, as text.
        suffixes: Endings of the files that can be picked; none for folders alone.
        take: The words of the button that picks the folder one stands in; None where
            only files are wanted.
    """
    opened = f"{key}_browse"
    with st.popover(
        "Browse", icon=":material/folder_open:", key=opened, on_change="rerun"
    ) as box:
        if box.open:
            _show(key, on_pick, suffixes, take)


def _show(
    key: str,
    on_pick: Callable[[str], None],
    suffixes: Collection[str],
    take: str | None,
) -> None:
    here = _here(key)
    try:
        listed = _roots() if here is None else list_folder(here, suffixes)
    except InputError as error:
        st.error(md_escape(error))
        listed = Listing((), ())
    st.caption(
        md_escape(here) if here else "Folders of this machine that may be opened"
    )
    found = {str(path): path for path in (*listed.folders, *listed.files)}
    ways = [_UP, *found] if here else list(found)
    folders = set(map(str, listed.folders))
    widget = f"{key}_browse_in_{here or ''}"
    st.selectbox(
        "Open a folder or a file" if suffixes else "Open a folder",
        ways,
        index=None,
        format_func=lambda way: _named(way, folders, whole=here is None),
        placeholder=_counts(listed, suffixes),
        key=widget,
        on_change=_go,
        args=(key, widget, on_pick),
    )
    if listed.left_out:
        st.caption(f"{listed.left_out:,} more are not shown. Type the path instead.")
    if take is not None and here is not None:
        st.button(
            take,
            key=f"{key}_browse_take",
            icon=":material/check:",
            on_click=_pick,
            args=(key, str(here), on_pick),
        )


def _here(key: str) -> Path | None:
    """Return the folder one stands in; None for the list of allowed folders."""
    kept = st.session_state.get(f"{key}_browse_at")
    if kept is None:
        roots = _roots().folders
        return roots[0] if len(roots) == 1 else None
    try:
        path = existing_path(kept)
    except InputError:  # gone since
        return None
    return path if path.is_dir() else None


def _roots() -> Listing:
    return Listing((*allowed_folders(), SAMPLE_DIR), ())


def _named(way: str, folders: Collection[str], *, whole: bool) -> str:
    if way == _UP:
        return "⬆ One folder up"
    if way == str(SAMPLE_DIR):
        return "📁 Examples of this app"
    if way in folders:
        return f"📁 {way if whole else Path(way).name}"
    return Path(way).name


def _counts(listed: Listing, suffixes: Collection[str]) -> str:
    parts = [plural(len(listed.folders), "folder")]
    if suffixes:
        parts.append(plural(len(listed.files), "file"))
    return ", ".join(parts)


def _go(key: str, widget: str, on_pick: Callable[[str], None]) -> None:
    """Step into the chosen folder, or pick the chosen file."""
    way = st.session_state.pop(widget, None)
    here = _here(key)
    if way is None:
        return
    if way == _UP:
        roots = {*_roots().folders}
        up = None if here is None or here in roots else str(here.parent)
        st.session_state[f"{key}_browse_at"] = up
        return
    with noticed("It cannot be opened"):
        path = existing_path(way)
        if path.is_dir():
            st.session_state[f"{key}_browse_at"] = str(path)
        else:
            _pick(key, str(path), on_pick)


def _pick(key: str, path: str, on_pick: Callable[[str], None]) -> None:
    st.session_state[f"{key}_browse"] = False
    on_pick(path)
