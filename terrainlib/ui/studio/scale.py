"""At which scale the mask studio predicts an image, where somebody chose one.

A choice holds for one image and model; any other starts with the model's own scale.
"""

from dataclasses import dataclass

import streamlit as st

from terrainlib.ui import state


@dataclass(frozen=True, slots=True)
class WorkingScale:
    """The scale of a prediction, in working pixels per image pixel.

    Attributes:
        subject: Which image and model it is about.
        own: The model's own; None where it takes the whole image at a fixed size.
        chosen: What somebody chose instead; None for the model's own.
        used: What came of it, for images brought to a fixed size the mean of both ways.
    """

    subject: str
    own: float | None
    chosen: float | None
    used: float


def subject_of(picture_key: str, model: str) -> str:
    """Return what a choice is about: an image and a model."""
    return f"{picture_key}\n{model}"


def chosen_scale(subject: str) -> float | None:
    """Return the scale that was chosen, or None for the model's own."""
    kept = st.session_state.get(state.STUDIO_SCALE) or {}
    return kept.get("scale") if kept.get("subject") == subject else None


def choose_scale(subject: str, scale: float | None) -> None:
    """Predict at a scale from now on; None goes back to the model's own."""
    st.session_state[state.STUDIO_SCALE] = {"subject": subject, "scale": scale}
