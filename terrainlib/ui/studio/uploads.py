"""Boxes for uploaded images that are still there after another page, or a reload.

Streamlit's own box forgets its files then. They go to the disk, under names of ours,
and the address names them by their content.

How large an upload may be says `maxUploadSize` in `.streamlit/config.toml`, for all
boxes of the app. What is in it has the limits of `data.formats.source` (images),
`data.fetch` (zips of data sets) and `model.reading.archive` (models).

The boxes take files of every ending: a file that Streamlit turns away gets a red icon
without a word, one that is read and refused gets a sentence.
"""

import hashlib
import time
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, Final

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from terrainlib import files, rights
from terrainlib.data.layout import IMAGE_SUFFIXES
from terrainlib.errors import ImageError
from terrainlib.ui.cached import let_go
from terrainlib.ui.page import noticed
from terrainlib.ui.studio.decoding import check_cost, start_ahead
from terrainlib.ui.studio.masks import PictureFile
from terrainlib.ui.text import md_escape, plural
from terrainlib.ui.turns import PICTURES

UPLOADED: Final = "studio_uploaded"  # dict: role -> list of {"name", "sha", "path"}
WANTED: Final = "studio_wanted"  # str: predict what is chosen; what was asked about
KEPT_DAYS: Final = 7
_NAME_SUFFIX: Final = ".name"  # of the file beside an upload: what it was called
_MAX_NAMED: Final = 20  # uploads in an address


def want_mask(subject: str = "") -> None:
    """Remember that somebody asked for a mask; from now on choices predict at once.

    Args:
        subject: Image and model, where somebody was asked about them first.
    """
    st.session_state[WANTED] = subject


def mask_wanted(subject: str | None = None) -> bool:
    """Whether a mask may be predicted; with a subject, whether of it as it is."""
    wanted = st.session_state.get(WANTED)
    return wanted is not None and subject in (None, wanted)


def pick_uploads(
    role: str, label: str, key: str, *, several: bool = False
) -> tuple[PictureFile, ...]:
    """Show one upload box.

    Returns:
        Its files, or those kept from an earlier visit.
    """
    pictures = kept_uploads(role)
    if pictures:
        _show_kept(role, key, label, pictures, several=several)
    else:
        _show_box(role, key, label, several=several)
    return pictures


def kept_uploads(role: str) -> tuple[PictureFile, ...]:
    """Return the uploads of a role that are still there."""
    listed = st.session_state.get(UPLOADED, {}).get(role, [])
    kept = (_opened(entry) for entry in listed)
    return tuple(picture for picture in kept if picture is not None)


def uploads_in_words(role: str) -> str:
    """Return what names the uploads of a role in an address."""
    listed = st.session_state.get(UPLOADED, {}).get(role, [])
    return ",".join(Path(entry["path"]).name for entry in listed)


def find_uploads(role: str, words: str) -> bool:
    """Take up the uploads that an address names; return whether one is there."""
    folder = _folder()
    there = {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}
    found = []
    for word in words.split(",")[:_MAX_NAMED]:
        name = there.get(f"{word}{_NAME_SUFFIX}")
        if word in there and name is not None:
            shown = PurePath(name.read_text("utf-8", "replace")[:200]).name or word
            sha = PurePath(word).stem
            found.append({"name": shown, "sha": sha, "path": str(there[word])})
    if found:
        st.session_state[UPLOADED] = st.session_state.get(UPLOADED, {}) | {role: found}
    return bool(found)


def _show_box(role: str, key: str, label: str, *, several: bool) -> None:
    start_ahead()
    st.file_uploader(
        label,
        accept_multiple_files=several,
        max_upload_size=rights.limits().upload_mb,
        key=key,
        on_change=_on_upload,
        args=(role, key),
    )


def path_of(picture: PictureFile) -> Path:
    """Return the path of a picture; an upload is written to the disk now.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """
    if isinstance(picture.source, Path):
        return picture.source
    return _on_disk(picture.source, picture.name)


def _opened(entry: dict[str, str]) -> PictureFile | None:
    """Return a kept file, None where it is gone."""
    path = Path(entry["path"])
    return PictureFile(entry["name"], entry["sha"], path) if path.exists() else None


def _show_kept(
    role: str,
    key: str,
    label: str,
    pictures: tuple[PictureFile, ...],
    *,
    several: bool,
) -> None:
    name = md_escape(pictures[0].name)
    if len(pictures) > 1:
        name = f"{plural(len(pictures), 'file')}, the first one {name}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f":material/image: **{name}**", width="content")
        with st.popover("Another", icon=":material/upload:"):
            _show_box(role, f"{key}_again", label, several=several)
        st.button(
            "Remove",
            key=f"{key}_remove",
            on_click=_forget,
            args=(role,),
            type="tertiary",
        )


def _on_upload(role: str, key: str) -> None:
    """Keep what was just dropped; forget it when it was taken out again."""
    box = st.session_state.get(key)
    dropped: list[Any] = box if isinstance(box, list) else [box] if box else []
    visible = [item for item in dropped if not files.is_hidden(str(item.name))]
    dropped = visible or dropped
    if not dropped:
        _forget(role)
        return
    with noticed("The upload was not kept"):
        kept = [_kept_on_disk(item) for item in dropped]
        st.session_state[UPLOADED] = st.session_state.get(UPLOADED, {}) | {role: kept}
        want_mask()


def _kept_on_disk(item: UploadedFile) -> dict[str, str]:
    path = _on_disk(item.getvalue(), item.name)
    let_go(item)
    return {"name": item.name, "sha": path.stem, "path": str(path)}


def _on_disk(data: bytes, name: str) -> Path:
    """Write an upload under a name of ours, once; old ones are cleared away.

    Raises:
        RightsError: If it is larger than whoever acts now may send.
        ImageError: If it takes too much to decode.
        StorageError: If the disk is full, read-only or failing.
    """
    rights.require_upload(len(data), name)
    digest = hashlib.sha256(data).hexdigest()[:32]
    ending = PurePath(name).suffix.lower()
    ending = ending if ending in IMAGE_SUFFIXES else ""
    path = _folder() / f"{digest}{ending}"
    _clear_old(_folder())
    if path.is_file() and path.stat().st_size == len(data):
        path.touch()
    else:
        files.write_bytes(path, data)
        try:
            with PICTURES.turn():
                check_cost(path, name)
        except ImageError:
            path.unlink()
            raise
    named = path.with_name(f"{path.name}{_NAME_SUFFIX}")
    files.write_bytes(named, name.encode("utf-8", "replace"))
    return path


def _folder() -> Path:
    return files.cache_dir() / "uploads" / "images"


def _clear_old(folder: Path) -> None:
    """Remove uploads that nobody has used for `KEPT_DAYS`."""
    oldest = time.time() - KEPT_DAYS * 86_400
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):  # another session may have removed it
            if path.stat().st_mtime < oldest:
                path.unlink()


def _forget(role: str) -> None:
    uploaded = dict(st.session_state.get(UPLOADED, {}))
    uploaded.pop(role, None)
    st.session_state[UPLOADED] = uploaded
