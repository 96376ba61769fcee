"""Session keys, and the requests that one page leaves for another.

Session state holds plain values only (words, numbers, paths as text); images, models
and results live in `ui.cached` and `ui.store`.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import Final

import streamlit as st

# What the pages share.
DATASET_FOLDER = "shared_dataset_folder"  # str: the data set chosen last
STUDIO_REQUEST = "studio_request"  # dict: a pair that another page wants opened
STUDIO_NEWS = "studio_request_is_new"  # bool: the studio has not turned to it yet
ADDRESS = "shared_address"  # dict: what this session wrote into the address, by name

# Widgets of the pages; named `page_thing`.
HOME_VIEW = "home_view"
HOME_SETTINGS = "home_settings"  # dict: what its live view stood at last
STUDIO_SOURCE = "studio_source"
STUDIO_SCENE = "studio_scene"
STUDIO_UPLOAD = "studio_upload"
STUDIO_HEIGHT = "studio_height"
STUDIO_PATH = "studio_path"  # str: the path opened last
STUDIO_HEIGHT_PATH = "studio_height_path"  # str: that of its heights
STUDIO_JOB = "studio_job"  # str: the prediction that is watched, by its folder's name
STUDIO_MODEL = "studio_model"
STUDIO_VIEW = "studio_view"
STUDIO_VIEW_AHEAD = "studio_view_ahead"
STUDIO_SETTINGS = "studio_settings"  # dict: what the live view stood at last
STUDIO_SCALE = "studio_scale"  # dict: image and model, and the scale chosen for them
STUDIO_CLEANING = "studio_cleaning"  # start of the keys of its sliders
STUDIO_FAILURES = "studio_failures"  # what sees that a download has failed
STUDIO_SMALLEST = "studio_smallest"  # start of the keys of the smallest polygon
STUDIO_PACK = "studio_pack"  # start of the keys of the pack's choices
LABELS = "labels"  # start of the keys of its widgets
LABELS_PAINTER = "labels_painter"  # start of the painter's keys
LABELS_MODEL = "labels_model"  # str: id of the model whose mask is corrected
LABELS_WHOLE = "labels_whole_of"  # dict: the image whose whole mask is shown, of when

HOME_PAGE = "streamlit_app.py"
DATASET_PAGE = "pages/1_Dataset_Preview.py"
LABELS_PAGE = "pages/2_Labels.py"
TRAINING_PAGE = "pages/3_Training.py"
GALLERY_PAGE = "pages/4_Prediction_Gallery.py"
STUDIO_PAGE = "pages/5_Mask_Studio.py"
MODELS_PAGE = "pages/6_Models.py"

MAX_ADDRESS_CHARACTERS: Final = 4_096


def asked_by_address(*names: str) -> tuple[str, ...] | None:
    """Return what a link or a reload asks for under some names of the address.

    None where it asks for nothing, or for what this session wrote there itself. What
    comes back is anybody's text: look it up among what there is, or hold it against
    `ui.paths`. Write the choice that came of it with `write_address`.
    """
    said = {name: st.query_params.get(name, "") for name in names}
    known = st.session_state.get(ADDRESS, {})
    new = any(known.get(name, "") != value for name, value in said.items())
    if not any(said.values()) or not new:
        return None
    return tuple(value[:MAX_ADDRESS_CHARACTERS] for value in said.values())


def write_address(**values: str) -> None:
    """Put choices into the address, so that a reload or a shared link keeps them.

    Args:
        values: What stands under each name; an empty text takes the name away.
    """
    st.session_state[ADDRESS] = st.session_state.get(ADDRESS, {}) | values
    for name, value in values.items():
        if value and st.query_params.get(name) != value:
            st.query_params[name] = value
        elif not value:
            st.query_params.pop(name, None)


@dataclass(frozen=True, slots=True)
class StudioRequest:
    """A pair of a data set to be opened in the mask studio.

    Attributes:
        dataset_folder: Folder of the data set.
        pair_id: Id of the pair in it.
        model_path: Model to predict with: a path, or the word `default`.
    """

    dataset_folder: str
    pair_id: str
    model_path: str


def open_in_studio(dataset_folder: object, pair_id: str, model_path: object) -> None:
    """Ask the mask studio to show a pair; follow with `st.switch_page(STUDIO_PAGE)`."""
    st.session_state[STUDIO_REQUEST] = {
        "dataset_folder": str(dataset_folder),
        "pair_id": str(pair_id),
        "model_path": str(model_path),
    }
    st.session_state[STUDIO_NEWS] = True


def studio_request() -> StudioRequest | None:
    """Return the pair that another page asked for last, if any."""
    values = st.session_state.get(STUDIO_REQUEST)
    return StudioRequest(**values) if values else None


def take_studio_request() -> StudioRequest | None:
    """Return the pair that another page asked for, the first time only."""
    return studio_request() if st.session_state.pop(STUDIO_NEWS, False) else None


def follow_link(key: str, name: str, offered: Container[object]) -> None:
    """Let the address choose the value of a widget once; afterwards the widget decides.

    Args:
        key: The widget's key.
        name: The name in the address.
        offered: What can be chosen; anything else is passed over, and let go of where
            the widget stood at it.
    """
    seen, wanted = f"{key}_link", st.query_params.get(name)
    if wanted in offered and st.session_state.get(seen) != wanted:
        st.session_state[key] = st.session_state[seen] = wanted
    if key in st.session_state and st.session_state[key] not in offered:
        del st.session_state[key]


def keep_in_link(key: str, name: str) -> None:
    """Put the value of a widget into the address: a callback of its change."""
    chosen = st.session_state.get(key)
    if chosen is not None:
        write_address(**{name: chosen})
        st.session_state[f"{key}_link"] = chosen
