"""The boxes in which the mask studio takes its image and, where needed, its heights.

An upload is kept for the session, so it is still there after a visit to another page
(Streamlit's own upload box forgets it).
"""

from dataclasses import dataclass
from typing import Final

import streamlit as st

from terrainlib.data.sample import Scene, example_scenes
from terrainlib.runs.models import ModelEntry, list_models
from terrainlib.ui import cached, state, store
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.instant import InstantChoice
from terrainlib.ui.instant_picker import choose_instant
from terrainlib.ui.studio import PictureFile
from terrainlib.ui.text import md_escape

IMAGE_TYPES: Final = ["png", "jpg", "jpeg", "tif", "tiff"]
HEIGHT_TYPES: Final = ["png", "tif", "tiff"]
SOURCES: Final = {
    "example": "Example scene",
    "upload": "Upload",
    "gallery": "From the gallery",
}
UPLOADED: Final = "studio_uploaded"  # dict: role -> {"name", "sha"}
WANTED: Final = "studio_wanted"  # bool: somebody chose something, so predict


@dataclass(frozen=True, slots=True)
class StudioInput:
    """What the studio is to work on.

    Attributes:
        picture: The image.
        height: Its heights where the source has them, else None.
    """

    picture: PictureFile
    height: PictureFile | None = None


def pick_source() -> str:
    """Show the choice of sources and return one of `SOURCES`."""
    request = state.studio_request()
    offered = [name for name in SOURCES if name != "gallery" or request]
    if st.session_state.get(state.STUDIO_SOURCE) not in offered:
        st.session_state[state.STUDIO_SOURCE] = offered[0]
    chosen = st.segmented_control(
        "Image",
        offered,
        format_func=SOURCES.__getitem__,
        key=state.STUDIO_SOURCE,
        required=True,
        persist_state="session",
    )
    return str(chosen)


def pick_input(source: str, *, needs_height: bool) -> StudioInput | None:
    """Show the boxes of a source.

    Args:
        source: One of `SOURCES`.
        needs_height: Whether the model takes heights beside the image.

    Returns:
        What was chosen, or None while there is nothing to work on.
    """
    if source == "upload":
        return _pick_upload(needs_height=needs_height)
    if source == "gallery":
        return _requested_pair()
    return _pick_scene()


def want_mask() -> None:
    """Remember that somebody asked for a mask; from now on choices predict at once."""
    st.session_state[WANTED] = True


def mask_wanted() -> bool:
    """Whether a mask may be predicted without asking first."""
    return bool(st.session_state.get(WANTED))


def _pick_scene() -> StudioInput:
    scenes: dict[str, Scene] = {scene.name: scene for scene in example_scenes()}
    name = st.selectbox(
        "Scene",
        list(scenes),
        format_func=lambda key: scenes[key].title,
        key=state.STUDIO_SCENE,
        on_change=want_mask,
        persist_state="session",
    )
    scene = scenes[name]
    return StudioInput(
        PictureFile.on_disk(scene.image), PictureFile.on_disk(scene.height)
    )


def _pick_upload(*, needs_height: bool) -> StudioInput | None:
    picture = _upload(
        "image",
        "Satellite image: PNG, JPEG, TIFF or GeoTIFF",
        IMAGE_TYPES,
        state.STUDIO_UPLOAD,
    )
    height = None
    if needs_height:
        height = _upload(
            "height",
            "Heights in metres, of the image's size: PNG (16 bit), TIFF or GeoTIFF",
            HEIGHT_TYPES,
            state.STUDIO_HEIGHT,
        )
    if picture is None or (needs_height and height is None):
        return None
    return StudioInput(picture, height)


def _upload(role: str, label: str, types: list[str], key: str) -> PictureFile | None:
    """Show one upload box; return its file, or the one kept from an earlier visit."""
    box = st.file_uploader(
        label, types, key=key, on_change=_on_upload, args=(role, key)
    )
    kept = st.session_state.get(UPLOADED, {}).get(role)
    data = store.kept_upload(kept["sha"]) if kept else None
    if kept is None or data is None:
        return None
    if box is None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/image: {md_escape(kept['name'])}")
            st.button(
                "Remove",
                key=f"{key}_remove",
                on_click=_forget_upload,
                args=(role,),
                type="tertiary",
            )
    return PictureFile(kept["name"], kept["sha"], data)


def _on_upload(role: str, key: str) -> None:
    """Keep a file that was just dropped; forget it when it was taken out again."""
    box = st.session_state.get(key)
    if box is None:
        _forget_upload(role)
        return
    kept = {"name": str(box.name), "sha": store.keep_upload(box.getvalue())}
    st.session_state[UPLOADED] = st.session_state.get(UPLOADED, {}) | {role: kept}
    want_mask()


def _forget_upload(role: str) -> None:
    uploaded = dict(st.session_state.get(UPLOADED, {}))
    uploaded.pop(role, None)
    st.session_state[UPLOADED] = uploaded


def _requested_pair() -> StudioInput | None:
    """Return the pair that the gallery asked for, and say which one it is."""
    request = state.studio_request()
    if request is None:
        return None
    with errors_shown("The pair cannot be opened") as outcome:
        dataset = cached.dataset(request.dataset_folder)
        pair = dataset.pair(request.pair_id)
        name, shown = md_escape(dataset.name), md_escape(pair.id)
        st.markdown(f":material/image: Pair **{shown}** of **{name}**")
    if outcome.failed:
        return None
    return StudioInput(
        PictureFile.on_disk(pair.image),
        PictureFile.on_disk(pair.height) if pair.height else None,
    )


def needs_height(entry: ModelEntry) -> bool:
    """Whether a model takes heights beside the image."""
    return bool(entry.record and entry.record.config.get("height"))


def follow_request() -> None:
    """Turn to a pair that another page has just asked for, and to its model."""
    request = state.take_studio_request()
    if request is not None:
        st.session_state[state.STUDIO_SOURCE] = "gallery"
        instant = InstantChoice.of_word(request.model_path)
        if instant is not None:
            choose_instant(state.STUDIO_MODEL, instant)
        for entry in list_models():
            if entry.model == request.model_path:
                st.session_state[state.STUDIO_MODEL] = entry.id
        want_mask()
