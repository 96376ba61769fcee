"""The form that asks what to train: it returns a checked configuration, or None.

Every preset has values of its own, so the widgets' keys carry the preset's name: going
from one to another and back loses nothing.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import streamlit as st

from terrainlib import rights
from terrainlib.data.dataset import Dataset
from terrainlib.errors import ConfigError
from terrainlib.model.automatic import Choice, TrainingData, choose, memory_needed
from terrainlib.model.config import (
    DEFAULT_MINUTES,
    DEFAULT_PRESET,
    MAX_CROP_PX,
    MAX_EPOCHS,
    MAX_IMAGE_SIZE_PX,
    MAX_MINUTES,
    PRESETS,
    Resize,
    TrainingConfig,
)
from terrainlib.model.machine import Machine
from terrainlib.model.start import require_fit, usual_rate, what_is_taken
from terrainlib.runs.folder import Run
from terrainlib.runs.models import ModelEntry, list_models
from terrainlib.runs.slot import RUN_SLOT
from terrainlib.runs.training.config import MAX_NAME_LETTERS, RunConfig
from terrainlib.ui.datasets.bands import show_bands
from terrainlib.ui.datasets.picker import pick_dataset
from terrainlib.ui.datasets.splits import show_split_of_training
from terrainlib.ui.errors import errors_shown, show_error
from terrainlib.ui.models.picker import model_labels
from terrainlib.ui.page import pick_one
from terrainlib.ui.text import md_escape, plural
from terrainlib.ui.training.view import start_run
from terrainlib.ui.workers import WHEN_FREE

LIGHT_NOTE: Final = (
    "Shaded relief is lit from the north-west. Mirrored or turned images are lit "
    "from elsewhere: more variety, but light that the network will not meet."
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


def _ask_more(choice: Choice, key: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Show the options and return those of the network and those of the training."""
    defaults = choice.config
    with st.expander("More", icon=":material/settings:"):
        st.markdown("**Variety**")
        variety = _ask_variety(defaults, key) | {"crop_size": _ask_crop(choice, key)}
        st.markdown("**Network**")
        network = _ask_network(defaults, key)
        st.markdown("**Learning**")
        learning = _ask_learning(defaults, key)
    return network, variety | learning


def _parse_filters(text: str) -> tuple[int, ...]:
    """Return the filters of the levels from a text such as `32, 64, 128`."""
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
            "Change brightness and contrast by up to",
            0.0,
            0.5,
            defaults.jitter,
            0.05,
            key=f"{key}_jitter",
            persist_state="session",
            help="At random for each image; 0 leaves them as they are.",
        )
    st.caption(LIGHT_NOTE)
    return {"flips": flips, "quarter_turns": turns, "jitter": jitter}


def _ask_crop(choice: Choice, key: str) -> int | None:
    config = choice.config
    follow_choice(f"{key}_crop_size", config.crop_size or 0)
    size = st.number_input(
        "Crop size in px",
        min_value=0,
        max_value=MAX_CROP_PX,
        step=config.network.size_multiple,
        key=f"{key}_crop_size",
        persist_state="session",
        help="Train on random parts of this size; 0 is the image size, so that "
        "square images are seen whole. Held-out images are always seen whole. "
        f"{config.crop_size or 0} was chosen for this data set: "
        f"{choice.reasons['crop_size']}",
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
            help="From the finest level to the coarsest. More filters learn more and "
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
            help="The share of what the network sees that is left out at random at "
            "each step, so that it does not learn the images by heart.",
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
        return changes | {"filters": _parse_filters(filters)}
    except ConfigError as error:
        show_error(error)
        return changes | {"filters": ()}


def _ask_learning(defaults: TrainingConfig, key: str) -> dict[str, Any]:
    with st.grid("auto", min_column_width=200, vertical_alignment="center"):
        return _ask_pace(defaults, key) | _ask_weights(defaults, key)


def _ask_pace(defaults: TrainingConfig, key: str) -> dict[str, Any]:
    """Ask what is held out, how fast it learns and from which loss."""
    follow_choice(f"{key}_validation_share", round(defaults.validation_share * 100))
    share = st.slider(
        "Images held out",
        min_value=2,
        max_value=50,
        format="%d %%",
        key=f"{key}_validation_share",
        persist_state="session",
        help="The network never trains on these; its scores come from them "
        "(validation).",
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
        help="The rest of the loss is cross-entropy. Dice helps small classes.",
    )
    return {"validation_share": share / 100, "schedule": schedule, "dice_weight": dice}


def _ask_weights(defaults: TrainingConfig, key: str) -> dict[str, Any]:
    decay = st.number_input(
        "Weight decay",
        0.0,
        1.0,
        defaults.weight_decay,
        step=1e-4,
        format="%.4f",
        key=f"{key}_weight_decay",
        persist_state="session",
        help="Pulls the weights towards zero, against learning by heart; 0 is off.",
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
        help="The weights that are saved are an average over the steps: the share of "
        "the old average that each step keeps. 0 saves the last weights.",
    )
    exact = st.toggle(
        "Repeatable to the last bit",
        defaults.deterministic,
        key=f"{key}_deterministic",
        persist_state="session",
    )
    return {"weight_decay": decay, "averaging": averaging, "deterministic": exact}


KEY: Final = "training"
_FROM_NOTHING: Final = "Nothing: learn from scratch"
_DEFAULT_EPOCHS: Final = 30


def ask_training(dataset: Dataset) -> RunConfig | None:
    """Show the form for a data set and return what it asks for."""
    show_bands(dataset, KEY)
    if dataset.bands.question is not None:
        return None
    preset = _ask_preset()
    start = _ask_start()
    data, machine = TrainingData.of(dataset), Machine.here()
    network: dict[str, Any] = {"bands": max(1, dataset.bands.count)}
    choice = choose(preset, data, machine, network=network)
    defaults = choice.config
    network["classes"] = len(dataset.classes)
    with st.grid(3, min_column_width=200):
        changes = _ask_budget(preset, defaults)
        network["image_size"] = _ask_image_size(preset, choice)
        if network["image_size"] != defaults.network.image_size:
            with suppress(ConfigError):  # which is told below
                choice = choose(preset, data, machine, network=network)
        changes["batch_size"] = _ask_batch_size(preset, choice)
        changes |= _ask_numbers(preset, defaults, start)
    network["height"] = _ask_height(dataset, preset)
    more_network, more = _ask_more(choice, f"{KEY}_{preset}")
    return _checked(dataset, preset, network | more_network, changes | more, start)


_SIZE_HELP: Final[Mapping[Resize, str]] = {
    "scale": "The middle-sized image is scaled to as many pixels as a square of this "
    "side has, and all others by the same scale. They keep their shapes.",
    "whole": "Each image is resized to a square of this size, whatever its shape.",
}


def _ask_image_size(preset: str, choice: Choice) -> int:
    network = choice.config.network
    key = f"{KEY}_image_size_{preset}"
    follow_choice(key, network.image_size)
    size = st.number_input(
        "Image size in px",
        min_value=16,
        max_value=MAX_IMAGE_SIZE_PX,
        step=network.size_multiple,
        key=key,
        persist_state="session",
        help=_SIZE_HELP[network.resize] + " Smaller is faster, larger keeps finer "
        "detail. "
        f"{network.image_size} was chosen for this data set: "
        f"{choice.reasons['image_size']}",
    )
    return int(size)


def _ask_batch_size(preset: str, choice: Choice) -> int:
    key = f"{KEY}_batch_size_{preset}"
    follow_choice(key, choice.config.batch_size)
    size = st.number_input(
        "Batch size",
        min_value=1,
        max_value=512,
        key=key,
        persist_state="session",
        help="Images that the network looks at before each correction. Fewer need "
        f"less memory. {choice.config.batch_size} was chosen for this data set "
        f"and machine: {choice.reasons['batch_size']}",
    )
    return int(size)


def _ask_numbers(
    preset: str, defaults: TrainingConfig, start: ModelEntry | None
) -> dict[str, Any]:
    record = None if start is None else start.record
    rate = st.number_input(
        "Learning rate",
        min_value=1e-7,
        max_value=1.0,
        value=usual_rate(defaults.learning_rate, record),
        step=1e-4,
        format="%.5f",
        key=f"{KEY}_learning_rate_{preset}{'_start' if start else ''}",
        persist_state="session",
        help="How strongly each batch of images corrects the network.",
    )
    seed = st.number_input(
        "Seed",
        min_value=0,
        max_value=2**31 - 1,
        value=defaults.seed,
        key=f"{KEY}_seed_{preset}",
        persist_state="session",
        help="The number that all chance comes from: the same seed on the same "
        "machine gives the same model. It also decides which images are held out.",
    )
    return {"learning_rate": rate, "seed": seed}


def _ask_preset() -> str:
    chosen = st.radio(
        "Preset",
        list(PRESETS),
        captions=[preset.sentence for preset in PRESETS.values()],
        key=f"{KEY}_preset",
        persist_state="session",
    )
    return chosen if chosen in PRESETS else DEFAULT_PRESET


def _ask_start() -> ModelEntry | None:
    """Ask for the model to start from, if any."""
    known = {entry.id: entry for entry in list_models() if entry.record is not None}
    labels = model_labels(list(known.values()), st.context.timezone)
    chosen = st.selectbox(
        "Start from",
        [None, *known],
        format_func=lambda name: labels[name] if name else _FROM_NOTHING,
        key=f"{KEY}_start_from",
        persist_state="session",
        help="Takes over what an earlier model has learnt, where it fits. If the new "
        "images are like those it knows, you need fewer labels and less time.",
    )
    return known.get(chosen) if chosen else None


def _ask_budget(preset: str, defaults: TrainingConfig) -> dict[str, Any]:
    """Ask how long to train: a number of minutes or of epochs."""
    most = rights.limits().training_minutes
    unit = "minutes" if most is not None else _ask_unit(preset, defaults)
    if unit == "epochs":
        epochs = st.number_input(
            "Epochs",
            min_value=1,
            max_value=MAX_EPOCHS,
            value=defaults.epochs or _DEFAULT_EPOCHS,
            key=f"{KEY}_epochs_{preset}",
            persist_state="session",
            help="How often the network sees every training image.",
        )
        return {"epochs": int(epochs)}
    minutes = st.number_input(
        "Minutes",
        min_value=0.5,
        max_value=most or MAX_MINUTES,
        value=min(defaults.minutes or DEFAULT_MINUTES, most or MAX_MINUTES),
        step=1.0,
        format="%g",
        key=f"{KEY}_minutes_{preset}",
        persist_state="session",
        help="From the first step to the saved model.",
    )
    return {"minutes": float(minutes)}


def _ask_unit(preset: str, defaults: TrainingConfig) -> str:
    return pick_one(
        "Train for",
        {"minutes": "minutes", "epochs": "epochs"},
        f"{KEY}_unit_{preset}",
        default="minutes" if defaults.epochs is None else "epochs",
        help="With minutes the training ends in time, however fast this machine is. "
        "An epoch is one pass over all training images.",
    )


def _ask_height(dataset: Dataset, preset: str) -> bool:
    """Ask whether the height is used, where every pair has one."""
    if not dataset.has_heights:
        return False
    return st.toggle(
        "Use the heights too",
        key=f"{KEY}_height_{preset}",
        persist_state="session",
        help="Tells hills from plains better, but every image that the model is used "
        "on later needs a height file.",
    )


def _checked(
    dataset: Dataset,
    preset: str,
    network: dict[str, Any],
    changes: dict[str, Any],
    start: ModelEntry | None,
) -> RunConfig | None:
    """Ask for the name and return the configuration if all values fit together."""
    name = st.text_input(
        "Name",
        value=f"{preset}-{dataset.name}"[:MAX_NAME_LETTERS],
        max_chars=MAX_NAME_LETTERS,
        key=f"{KEY}_name_{preset}_{dataset.fingerprint}",
        persist_state="session",
        help="To find the training again. Date and time are added.",
    )
    if start is not None and start.record is not None:
        network = network | {"encoder": start.record.unet_config().encoder}
    with errors_shown("These values do not fit together"):
        training = TrainingConfig.preset(preset, network=network, **changes)
        show_split_of_training(dataset, training)
        st.caption(
            f"{plural(len(dataset.classes), 'class', 'classes')}: "
            + ", ".join(md_escape(item.name) for item in dataset.classes)
        )
        _show_memory(dataset, training)
        if start is not None and start.record is not None:
            require_fit(start.record, training.network)
            taken = what_is_taken(
                start.record, training.network, dataset.classes, dataset.bands.names
            )
            st.caption(f"Starts from {md_escape(start.title)}. {taken}")
        return RunConfig(
            name or "",
            str(dataset.folder),
            training,
            bands=dataset.bands.keys,
            start_from=start.model if start else None,
        )
    return None


def _show_memory(dataset: Dataset, training: TrainingConfig) -> None:
    """Say what the training takes of the memory; warn where that is not there."""
    machine = Machine.here()
    if machine.gpu_memory is not None:
        return
    needed = memory_needed(training, TrainingData.of(dataset)) / 1e9
    free = machine.memory / 1e9
    text = f"Needs about {needed:.1f} GB of memory; {free:.1f} GB are free."
    if needed <= free:
        st.caption(text)
    else:
        st.warning(f"{text} Lower the batch size, the crop size or the image size.")


BUSY_SECONDS: Final = 2.0


def show_new_training(active: Run | None) -> None:
    """Show the form and its button."""
    dataset = pick_dataset("training")
    if dataset is None:
        return
    with st.container(border=True):
        config = ask_training(dataset)
    if active is not None:
        st.fragment(_show_busy, run_every=BUSY_SECONDS)(active.path.name)
    busy = active is not None
    started = st.button(
        f"Start {WHEN_FREE}" if busy else "Start training",
        key="training_start",
        type="primary",
        icon=":material/schedule:" if busy else ":material/play_arrow:",
        disabled=config is None,
    )
    # Not in a callback: it would be given the form as it was before the last change.
    if started and config is not None:
        start_run(config, wait=busy)
        st.rerun()


def _show_busy(drawn_for: str) -> None:
    active = RUN_SLOT.active()
    if active is None or active.path.name != drawn_for:
        st.rerun(scope="app")
    st.info(
        f"{md_escape(active.name)} is under way ({active.place_text}). Only one "
        "training runs at a time: a new one waits, and starts by itself when those "
        "before it have ended.",
        title="A training is running",
        icon=":material/model_training:",
    )
