"""The options of a training that few people need, behind "More"."""

from typing import Any, Final

import streamlit as st

from terrainlib.errors import ConfigError
from terrainlib.model.automatic import Choice
from terrainlib.model.config import MAX_IMAGE_SIZE_PX, TrainingConfig
from terrainlib.ui.errors import show_error

LIGHT_NOTE: Final = (
    "Shaded relief is lit from the north-west. Mirrored and turned images are lit from "
    "elsewhere: more variety, but not the light that the network will meet."
)
_SCHEDULES: Final = {
    "warm_up": "A short rise, then constant",
    "one_cycle": "One cycle: up, then down to zero",
    "constant": "Constant",
}


def follow_choice(key: str, chosen: int) -> None:
    """Put what was chosen into a number's widget, unless the user has changed it.

    The choice follows the data set, the widget's key does not. The widget must be given
    no value of its own. It is set only where the choice is another: setting it again
    would take back what somebody types meanwhile.

    Args:
        key: Key of the widget, which is drawn next.
        chosen: The automatic choice.
    """
    state = st.session_state
    before = f"{key}_chosen"
    unchanged = key not in state or state[key] == state.get(before)
    if unchanged and state.get(key) != chosen:
        state[key] = chosen
    state[before] = chosen


def ask_more(choice: Choice, key: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Show the options and return those of the network and those of the training.

    Args:
        choice: The preset's values, and the sizes chosen for the data set.
        key: Start of the widgets' keys.
    """
    defaults = choice.config
    with st.expander("More", icon=":material/settings:"):
        st.markdown("**Variety**")
        variety = _ask_variety(defaults, key) | {"crop_size": _ask_crop(choice, key)}
        st.markdown("**Network**")
        network = _ask_network(defaults, key)
        st.markdown("**Learning**")
        learning = _ask_learning(defaults, key)
    return network, variety | learning


def parse_filters(text: str) -> tuple[int, ...]:
    """Return the filters of the levels from a text such as `32, 64, 128`.

    Raises:
        ConfigError: If a part is no whole number.
    """
    try:
        return tuple(int(part) for part in text.replace(",", " ").split())
    except ValueError as error:
        raise ConfigError(
            "the filters must be whole numbers with commas between them, such as "
            "32, 64, 128."
        ) from error


def _ask_variety(defaults: TrainingConfig, key: str) -> dict[str, Any]:
    with st.grid("auto", min_column_width=200, vertical_alignment="center"):
        flips = st.toggle(
            "Mirror at random",
            defaults.flips,
            key=f"{key}_flips",
            persist_state="session",
        )
        turns = st.toggle(
            "Quarter turns at random",
            defaults.quarter_turns,
            key=f"{key}_quarter_turns",
            persist_state="session",
        )
        jitter = st.slider(
            "Brightness and contrast jitter",
            0.0,
            0.5,
            defaults.jitter,
            0.05,
            key=f"{key}_jitter",
            persist_state="session",
            help="Largest random change; 0 leaves the images as they are.",
        )
    st.caption(LIGHT_NOTE)
    return {"flips": flips, "quarter_turns": turns, "jitter": jitter}


def _ask_crop(choice: Choice, key: str) -> int | None:
    """Ask for the size of the parts of images to train on."""
    config = choice.config
    follow_choice(f"{key}_crop_size", config.crop_size or 0)
    size = st.number_input(
        "Crop size in px",
        min_value=0,
        max_value=MAX_IMAGE_SIZE_PX,
        step=config.network.size_multiple,
        key=f"{key}_crop_size",
        persist_state="session",
        help="Train on random parts of this size; 0 trains on whole images. Validation "
        f"always takes whole ones. {config.crop_size or 0} was chosen for this data "
        f"set: {choice.reasons['crop_size']}",
    )
    return int(size) or None


def _ask_network(defaults: TrainingConfig, key: str) -> dict[str, Any]:
    network = defaults.network
    with st.grid("auto", min_column_width=200, vertical_alignment="center"):
        filters = st.text_input(
            "Filters of each level",
            ", ".join(str(count) for count in network.filters),
            max_chars=60,
            key=f"{key}_filters",
            persist_state="session",
            help="From the finest level to the bottom. More filters learn more and "
            "take longer.",
        )
        dropout = st.slider(
            "Dropout",
            0.0,
            0.9,
            network.dropout,
            0.01,
            key=f"{key}_dropout",
            persist_state="session",
            help="Share of features left out at random, against learning by heart.",
        )
        stem = st.toggle(
            "Work at half resolution",
            network.stem_stride == 2,
            key=f"{key}_stem",
            persist_state="session",
            help="About three times faster; the finest details get softer.",
        )
    changes = {"dropout": dropout, "stem_stride": 2 if stem else 1}
    try:
        return changes | {"filters": parse_filters(filters)}
    except ConfigError as error:
        show_error(error)
        return changes | {"filters": ()}


def _ask_learning(defaults: TrainingConfig, key: str) -> dict[str, Any]:
    with st.grid("auto", min_column_width=200, vertical_alignment="center"):
        return _ask_pace(defaults, key) | _ask_weights(defaults, key)


def _ask_pace(defaults: TrainingConfig, key: str) -> dict[str, Any]:
    """Ask what is held out, how fast it learns and from which loss."""
    share = st.slider(
        "Held out to validate",
        2,
        50,
        round(defaults.validation_share * 100),
        format="%d %%",
        key=f"{key}_validation_share",
        persist_state="session",
    )
    schedule = st.selectbox(
        "Learning rate over time",
        list(_SCHEDULES),
        index=list(_SCHEDULES).index(defaults.schedule),
        format_func=_SCHEDULES.__getitem__,
        key=f"{key}_schedule",
        persist_state="session",
    )
    dice = st.slider(
        "Share of Dice loss",
        0.0,
        1.0,
        defaults.dice_weight,
        0.05,
        key=f"{key}_dice_weight",
        persist_state="session",
        help="Beside cross-entropy; helps small classes.",
    )
    return {"validation_share": share / 100, "schedule": schedule, "dice_weight": dice}


def _ask_weights(defaults: TrainingConfig, key: str) -> dict[str, Any]:
    """Ask what is done to the weights beside learning."""
    decay = st.number_input(
        "Weight decay",
        0.0,
        1.0,
        defaults.weight_decay,
        step=1e-4,
        format="%.4f",
        key=f"{key}_weight_decay",
        persist_state="session",
        help="Pulls the weights towards zero; 0 is plain Adam.",
    )
    averaging = st.number_input(
        "Averaging of the weights",
        0.0,
        0.9999,
        defaults.averaging,
        step=0.001,
        format="%.4f",
        key=f"{key}_averaging",
        persist_state="session",
        help="Share of the old average kept a step; 0 saves the last weights.",
    )
    exact = st.toggle(
        "Repeatable to the last bit",
        defaults.deterministic,
        key=f"{key}_deterministic",
        persist_state="session",
    )
    return {"weight_decay": decay, "averaging": averaging, "deterministic": exact}
