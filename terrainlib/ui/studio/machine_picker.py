"""The box for an image, or a folder of images, that lies on this machine."""

import streamlit as st

from terrainlib.ui import state
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.studio.machine_files import find_file, find_images
from terrainlib.ui.studio.masks import PictureFile
from terrainlib.ui.studio.upload_boxes import want_mask
from terrainlib.ui.text import md_escape, plural


def pick_on_machine() -> tuple[PictureFile, ...]:
    """Ask for a path; return the image there, or the images in that folder."""
    typed = _ask_path(
        state.STUDIO_PATH,
        "File or folder on this machine",
        "/home/me/scene.tif",
        "A GeoTIFF may be of any size: it is read in parts. Of a folder all PNG, JPEG "
        "and TIFF files directly in it are taken.",
    )
    if not typed:
        st.caption("Type or paste the path of an image of any size, or of a folder.")
        return ()
    with errors_shown("The path cannot be opened") as outcome:
        found = find_images(typed)
    if outcome.failed:
        return ()
    if found.folder is not None:
        left = f"; {plural(found.links, 'link')} skipped" if found.links else ""
        st.markdown(
            f":material/folder: {plural(len(found.images), 'image')} in "
            f"**{md_escape(found.folder.name)}**{left}"
        )
    return tuple(PictureFile.on_disk(path) for path in found.images)


def pick_height_on_machine() -> PictureFile | None:
    """Ask for the path of a file with heights; return it once it is there."""
    typed = _ask_path(
        state.STUDIO_HEIGHT_PATH,
        "Heights in metres, of the image's size",
        "/home/me/heights.tif",
        "A PNG with 16 bits, TIFF or GeoTIFF with one band.",
    )
    if not typed:
        return None
    with errors_shown("The heights cannot be opened") as outcome:
        path = find_file(typed)
    return None if outcome.failed else PictureFile.on_disk(path)


def _ask_path(key: str, label: str, example: str, help_text: str) -> str:
    """Show a line for a path with its button; return the path opened last."""
    widget = f"{key}_text"
    with (
        st.form(f"{key}_form", border=False),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        st.text_input(
            label,
            st.session_state.get(key, ""),
            placeholder=example,
            help=help_text,
            key=widget,
        )
        st.form_submit_button(
            "Open", key=f"{key}_open", on_click=_remember, args=(key, widget)
        )
    return str(st.session_state.get(key, ""))


def _remember(key: str, widget: str) -> None:
    """Keep the typed path beyond a visit to another page."""
    st.session_state[key] = str(st.session_state.get(widget, "")).strip()
    want_mask()
