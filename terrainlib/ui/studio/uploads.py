"""Boxes for uploaded images that are still there after a visit to another page.

Streamlit's own box forgets its files then. One file stays in the memory of the session;
several, and what a prediction of its own needs, go to the disk, under names of ours.

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

from terrainlib import files
from terrainlib.data.layout import IMAGE_SUFFIXES
from terrainlib.ui import cached
from terrainlib.ui.studio.masks import PictureFile
from terrainlib.ui.text import md_escape, plural

UPLOADED: Final = "studio_uploaded"  # dict: role -> list of {"name", "sha", "path"}
WANTED: Final = "studio_wanted"  # bool: somebody chose something, so predict
KEPT_DAYS: Final = 7


def want_mask() -> None:
    """Remember that somebody asked for a mask; from now on choices predict at once."""
    st.session_state[WANTED] = True


def mask_wanted() -> bool:
    """Whether a mask may be predicted without asking first."""
    return bool(st.session_state.get(WANTED))


def pick_uploads(
    role: str, label: str, key: str, *, several: bool = False
) -> tuple[PictureFile, ...]:
    """Show one upload box.

    Returns:
        Its files, or those kept from an earlier visit.
    """
    box = st.file_uploader(
        label,
        accept_multiple_files=several,
        key=key,
        on_change=_on_upload,
        args=(role, key),
    )
    kept = [
        _opened(entry) for entry in st.session_state.get(UPLOADED, {}).get(role, [])
    ]
    pictures = tuple(picture for picture in kept if picture is not None)
    if pictures and not box:
        _show_kept(role, key, pictures)
    return pictures


def path_of(picture: PictureFile) -> Path:
    """Return the path of a picture; an upload is written to the disk now.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """
    if isinstance(picture.source, Path):
        return picture.source
    return _on_disk(picture.source, picture.name, picture.key.partition("|")[0])


def _opened(entry: dict[str, str]) -> PictureFile | None:
    """Return a kept file, None where it is gone."""
    if "path" in entry:
        path = Path(entry["path"])
        return PictureFile(entry["name"], entry["sha"], path) if path.exists() else None
    data = cached.kept_upload(entry["sha"])
    return None if data is None else PictureFile(entry["name"], entry["sha"], data)


def _show_kept(role: str, key: str, pictures: tuple[PictureFile, ...]) -> None:
    name = md_escape(pictures[0].name)
    if len(pictures) > 1:
        name = f"{plural(len(pictures), 'file')}, the first one {name}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/image: {name}")
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
    if len(dropped) == 1:
        data = dropped[0].getvalue()
        kept = [{"name": str(dropped[0].name), "sha": cached.keep_upload(data)}]
    else:
        kept = [_kept_on_disk(str(item.name), item.getvalue()) for item in dropped]
    st.session_state[UPLOADED] = st.session_state.get(UPLOADED, {}) | {role: kept}
    want_mask()


def _kept_on_disk(name: str, data: bytes) -> dict[str, str]:
    digest = hashlib.sha256(data).hexdigest()
    return {"name": name, "sha": digest, "path": str(_on_disk(data, name, digest))}


def _on_disk(data: bytes, name: str, digest: str) -> Path:
    """Write an upload under a name of ours, once; old ones are cleared away."""
    ending = PurePath(name).suffix.lower()
    folder = files.cache_dir() / "uploads" / "images"
    ending = ending if ending in IMAGE_SUFFIXES else ""
    path = folder / f"{digest[:32]}{ending}"
    _clear_old(folder)
    if path.is_file() and path.stat().st_size == len(data):
        path.touch()
    else:
        files.write_bytes(path, data)
    return path


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
