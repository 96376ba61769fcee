"""The form that asks what to train: it returns a checked configuration, or None.

Every preset has values of its own, so the widgets' keys carry the preset's name: going
from one to another and back loses nothing.
"""

from typing import Any, Final

import streamlit as st

from terrainlib.data.dataset import Dataset
from terrainlib.model.automatic import Choice, TrainingData, choose, memory_needed
from terrainlib.model.config import (
    MAX_EPOCHS,
    MAX_IMAGE_SIZE_PX,
    MAX_MINUTES,
    PRESETS,
    PresetName,
    TrainingConfig,
)
from terrainlib.model.machine import Machine
from terrainlib.runs.folder import MAX_NAME_LETTERS, RunConfig
from terrainlib.ui.datasets.split_view import show_split_of_training
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.text import md_escape, plural
from terrainlib.ui.training.training_more import ask_more, follow_choice

KEY: Final = "training"
DEFAULT_PRESET: Final[PresetName] = "fast"
PRESET_TEXTS: Final[dict[PresetName, str]] = {
    "fast": "The best mask that two CPU cores learn in minutes. Start here.",
    "notebook": "The original notebook's network: it learns the mask's colours.",
    "best": "As fast, but larger: for a GPU or a night.",
}
_DEFAULT_EPOCHS: Final = 30
_DEFAULT_MINUTES: Final = 10.0


def ask_training(dataset: Dataset) -> RunConfig | None:
    """Show the form for a data set and return what it asks for.

    Args:
        dataset: The data set to train on.

    Returns:
        The configuration, or None where a value is out of its bounds; the form has
        then said which one.
    """
    preset = _ask_preset()
    choice = choose(preset, TrainingData.of(dataset), Machine.here())
    defaults = choice.config
    network: dict[str, Any] = {"classes": len(dataset.classes)}
    with st.grid(3, min_column_width=200):
        changes = _ask_budget(preset, defaults)
        network["image_size"] = _ask_image_size(preset, choice)
        changes["batch_size"] = _ask_batch_size(preset, choice)
        changes |= _ask_numbers(preset, defaults)
    network["height"] = _ask_height(dataset, preset)
    more_network, more = ask_more(choice, f"{KEY}_{preset}")
    return _checked(dataset, preset, network | more_network, changes | more)


def _ask_image_size(preset: PresetName, choice: Choice) -> int:
    """Ask for the size that the network works at."""
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
        help="Images are brought to this size before the network sees them. "
        "Smaller is faster, larger keeps finer detail. "
        f"{network.image_size} was chosen for this data set: "
        f"{choice.reasons['image_size']}",
    )
    return int(size)


def _ask_batch_size(preset: PresetName, choice: Choice) -> int:
    """Ask for the number of images a step."""
    key = f"{KEY}_batch_size_{preset}"
    follow_choice(key, choice.config.batch_size)
    size = st.number_input(
        "Batch size",
        min_value=1,
        max_value=512,
        key=key,
        persist_state="session",
        help="Images the network looks at before each correction. Smaller needs less "
        f"memory. {choice.config.batch_size} was chosen for this data set and machine: "
        f"{choice.reasons['batch_size']}",
    )
    return int(size)


def _ask_numbers(preset: PresetName, defaults: TrainingConfig) -> dict[str, Any]:
    """Ask for learning rate and seed."""
    rate = st.number_input(
        "Learning rate",
        min_value=1e-7,
        max_value=1.0,
        value=defaults.learning_rate,
        step=1e-4,
        format="%.5f",
        key=f"{KEY}_learning_rate_{preset}",
        persist_state="session",
        help="How strongly each batch corrects the network.",
    )
    seed = st.number_input(
        "Seed",
        min_value=0,
        max_value=2**31 - 1,
        value=defaults.seed,
        key=f"{KEY}_seed_{preset}",
        persist_state="session",
        help="The same seed on the same machine gives the same model. It also "
        "decides which images are held out.",
    )
    return {"learning_rate": rate, "seed": seed}


def _ask_preset() -> PresetName:
    """Show the presets with a line about each."""
    names = [DEFAULT_PRESET, *(name for name in PRESETS if name != DEFAULT_PRESET)]
    chosen = st.radio(
        "Preset",
        names,
        captions=[PRESET_TEXTS[name] for name in names],
        key=f"{KEY}_preset",
        persist_state="session",
    )
    return chosen if chosen in PRESETS else DEFAULT_PRESET


def _ask_budget(preset: PresetName, defaults: TrainingConfig) -> dict[str, Any]:
    """Ask how long to train: a number of minutes or of epochs."""
    in_epochs = defaults.epochs is not None
    unit = st.segmented_control(
        "Budget in",
        ["minutes", "epochs"],
        default="epochs" if in_epochs else "minutes",
        required=True,
        key=f"{KEY}_unit_{preset}",
        persist_state="session",
        help="With minutes the learning rate's schedule is fitted to what this machine "
        "does, and the training ends in time.",
    )
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
        max_value=MAX_MINUTES,
        value=defaults.minutes or _DEFAULT_MINUTES,
        step=1.0,
        format="%g",
        key=f"{KEY}_minutes_{preset}",
        persist_state="session",
        help="Wall clock, from the first step to the last.",
    )
    return {"minutes": float(minutes)}


def _ask_height(dataset: Dataset, preset: PresetName) -> bool:
    """Ask whether the height is used, where every pair has one."""
    if not dataset.has_heights:
        return False
    return st.toggle(
        "Use the height as a fourth channel",
        key=f"{KEY}_height_{preset}",
        persist_state="session",
        help="Tells hills from plains better, but the model then needs a height file "
        "for every image it is used on.",
    )


def _checked(
    dataset: Dataset,
    preset: PresetName,
    network: dict[str, Any],
    changes: dict[str, Any],
) -> RunConfig | None:
    """Ask for the name and return the configuration if all values fit together."""
    name = st.text_input(
        "Name",
        value=f"{preset}-{dataset.name}"[:MAX_NAME_LETTERS],
        max_chars=MAX_NAME_LETTERS,
        key=f"{KEY}_name_{preset}_{dataset.fingerprint}",
        persist_state="session",
        help="To find the training again; the time is added.",
    )
    with errors_shown("These values do not fit together"):
        training = TrainingConfig.preset(preset, network=network, **changes)
        show_split_of_training(dataset, training)
        st.caption(
            f"{plural(len(dataset.classes), 'class', 'classes')}: "
            + ", ".join(md_escape(item.name) for item in dataset.classes)
        )
        _show_memory(dataset, training)
        return RunConfig(name or "", str(dataset.folder), training)
    return None


def _show_memory(dataset: Dataset, training: TrainingConfig) -> None:
    """Say what the training takes of the memory; warn where that is not there."""
    machine = Machine.here()
    if machine.gpu_memory is not None:
        return
    needed = memory_needed(training, TrainingData.of(dataset)) / 1e9
    free = machine.memory / 1e9
    text = f"About {needed:.1f} GB of memory, of {free:.1f} GB that are free."
    if needed <= free:
        st.caption(text)
    else:
        st.warning(f"{text} Lower the batch size, the crop size or the image size.")
