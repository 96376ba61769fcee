"""The box in which a page lets people choose a model.

The last entry is the pixel classifier, which has no file. The choice follows the link
(`?model=run/NAME`), and survives leaving the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import streamlit as st

from terrainlib.data.cache import build_cache
from terrainlib.data.dataset import Dataset
from terrainlib.data.sample import SAMPLE_DIR
from terrainlib.model.config import UNetConfig
from terrainlib.model.pixelclassifier import fit_pixel_classifier
from terrainlib.runs.models import ModelEntry, list_models
from terrainlib.ui import cached, state
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.text import date_text, md_escape, plural, told_apart

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

PIXEL_CLASSIFIER_ID: Final = "pixel-classifier"
IMAGE_SIZE_PX: Final = UNetConfig().image_size
PIXEL_CLASSIFIER_TITLE: Final = "Pixel classifier, trained now"
_WORDS: Final = {"pixels-image": False, "pixels-height": True}
_READ: Final = "pixel_classifier_read"  # list of str: what was read in this session
_MAX_KEPT: Final = 2
FITTING: Final = "Fitting the pixel classifier (at most a minute) …"


@dataclass(frozen=True, slots=True)
class PixelChoice:
    """What a pixel classifier learns from.

    Attributes:
        folder: Folder of the data set; all its pairs are used.
        height: Whether it uses the heights.
    """

    folder: str
    height: bool

    @property
    def word(self) -> str:
        """What stands for the model where others have a path."""
        kind = next(word for word, high in _WORDS.items() if high == self.height)
        return f"{kind}:{self.folder}"

    @classmethod
    def of_word(cls, word: str) -> Self | None:
        """Return the choice that a word stands for; None for other models."""
        kind, colon, folder = word.partition(":")
        return cls(folder, _WORDS[kind]) if colon and kind in _WORDS else None


@dataclass(frozen=True, slots=True)
class PixelEntry(ModelEntry):
    """A fitted pixel classifier among the models; its path is that of its data set."""

    @property
    def model(self) -> str:
        """The word that `model_of` takes for it."""
        height = bool(self.record and self.record.config.get("height"))
        return PixelChoice(str(self.path), height).word

    @property
    def preset(self) -> str:
        """What kind of model it is; it has no preset."""
        return "pixel classifier"


def pixel_entry(choice: PixelChoice) -> PixelEntry:
    """Return a pixel classifier, fitted now if it is not in memory.

    Raises:
        TerrainError: If the data set cannot be opened or nothing learnt from it.
    """
    model = model_of(choice.word)
    return PixelEntry(
        id=PIXEL_CLASSIFIER_ID,
        kind="pixel classifier",
        title=PIXEL_CLASSIFIER_TITLE,
        path=Path(choice.folder),
        record=model.record,
        size_bytes=0,
        modified=datetime.now(UTC),
    )


def model_of(word: str) -> "TerrainModel":
    """Return the model of a word or path, from memory where it was used lately.

    Raises:
        TerrainError: If it cannot be read, or not be fitted.
    """
    choice = PixelChoice.of_word(word)
    if choice is None:
        return cached.model(word)
    dataset = cached.dataset(choice.folder)
    return fitted(dataset, dataset.ids, IMAGE_SIZE_PX, height=choice.height)


def stamp_of(word: str) -> object:
    """Return what changes when a model does: a part of cache keys."""
    choice = PixelChoice.of_word(word)
    if choice is None:
        return cached.model_stamp(word)
    return cached.dataset(choice.folder).fingerprint


def fitted(
    dataset: Dataset, ids: Sequence[str], image_size: int, *, height: bool
) -> "TerrainModel":
    """Return the pixel classifier of some pairs, fitted now if it is not in memory.

    Reading the pairs shows a progress bar, the fit says that it goes on.

    Raises:
        TerrainError: If pairs cannot be read, or nothing learnt from them.
    """
    facts = [str(dataset.folder), dataset.fingerprint, str(image_size), str(height)]
    classes = [f"{item.name}{item.color}" for item in dataset.classes]
    key = sha256("\n".join([*facts, *classes, *ids]).encode("utf-8", "replace"))
    digest = key.hexdigest()
    read: list[str] = st.session_state.setdefault(_READ, [])
    if digest not in read:
        _read_pairs(dataset, image_size)  # with a bar, which no cached function draws
        st.session_state[_READ] = [*read, digest][-32:]
    return _fitted(digest, dataset, tuple(ids), image_size, height)


def _read_pairs(dataset: Dataset, image_size: int) -> None:
    """Bring the pairs to the working size behind a progress bar; kept on the disk."""
    bar = st.empty()

    def show(done: int, total: int) -> None:
        if done % max(1, total // 50) == 0:
            bar.progress(done / max(1, total), f"Reading pair {done:,} of {total:,}")

    build_cache(dataset, image_size, progress=show)
    bar.empty()


@st.cache_resource(max_entries=_MAX_KEPT, show_spinner=FITTING, show_time=True)
def _fitted(
    digest: str, _dataset: Dataset, _ids: tuple[str, ...], _size: int, _height: bool
) -> "TerrainModel":
    del digest  # the key: it names all that follows
    pairs = build_cache(_dataset, _size).subset(_ids)
    model = fit_pixel_classifier(pairs, _dataset.classes, height=_height)
    learnt = {
        "name": _dataset.name,
        "pairs": len(pairs.ids),
        "fingerprint": _dataset.fingerprint,
    }
    name = f"{model.name} ({_dataset.name}{', heights' if _height else ''})"
    return replace(model, name=name, record=replace(model.record, dataset=learnt))


WHAT_IT_IS: Final = (
    "A simple model that looks at single pixels and their surroundings; a network "
    "should beat it. It learns within a minute and is never saved."
)
HEIGHT_HELP: Final = "It then needs the heights of every image as well."


def pick_pixel_classifier(key: str) -> ModelEntry | None:
    """Show what it is and what it may learn from; return it, fitted.

    Returns:
        The model, or None where it cannot be fitted; the page has then said why.
    """
    st.caption(WHAT_IT_IS)
    folder = _pick_folder(key)
    entry = None
    with errors_shown("The pixel classifier cannot be fitted"):
        dataset = cached.dataset(folder)
        height = dataset.has_heights and st.toggle(
            "Use the heights",
            key=_height_key(key),
            help=HEIGHT_HELP,
            persist_state="session",
        )
        entry = pixel_entry(PixelChoice(folder, height))
        pairs = plural(len(dataset.pairs), "pair")
        with_heights = " with heights" if height else ""
        st.markdown(
            f":material/check_circle: Learnt from {pairs} of "
            f"**{md_escape(dataset.name)}**{with_heights}"
        )
    return entry


def choose_pixel_classifier(key: str, choice: PixelChoice) -> None:
    """Let a box of models stand at the pixel classifier when it is drawn next."""
    st.session_state[key] = PIXEL_CLASSIFIER_ID
    st.session_state[_folder_key(key)] = choice.folder
    st.session_state[_height_key(key)] = choice.height


def _pick_folder(key: str) -> str:
    """Return the folder to learn from; at first the data set chosen in the app."""
    chosen = st.session_state.get(state.DATASET_FOLDER)
    asked = st.session_state.get(_folder_key(key))
    folders = list(dict.fromkeys(f for f in (chosen, str(SAMPLE_DIR), asked) if f))
    return str(
        st.selectbox(
            "Learns from",
            folders,
            format_func=_folder_name,
            key=_folder_key(key),
            persist_state="session",
        )
    )


def _folder_name(folder: str) -> str:
    return "Embedded sample" if Path(folder) == SAMPLE_DIR else Path(folder).name


def _folder_key(key: str) -> str:
    return f"{key}_pixel_classifier_data"


def _height_key(key: str) -> str:
    return f"{key}_pixel_classifier_height"


QUERY_NAME = "model"


def pick_entry(key: str, *, label: str = "Model") -> ModelEntry | None:
    """Show the box and return the chosen model.

    Returns:
        The entry of the list, or a pixel classifier, fitted now if it must be; None
        where there is no model at all or the fit failed: the page has then said what to
        do.
    """
    entries = {entry.id: entry for entry in list_models() if entry.record}
    if not entries:
        st.info("Train a model first, or add one from a file.", title="No model yet")
        st.page_link(state.TRAINING_PAGE, label="Train a model")
        st.page_link(state.MODELS_PAGE, label="Add a model")
        return None
    state.follow_link(key, QUERY_NAME, {*entries, PIXEL_CLASSIFIER_ID})
    labels = model_labels(list(entries.values()), st.context.timezone)

    def named(model_id: str) -> str:
        if model_id == PIXEL_CLASSIFIER_ID:
            return PIXEL_CLASSIFIER_TITLE
        return model_line(entries[model_id], labels[model_id])

    chosen = st.selectbox(
        label,
        [*entries, PIXEL_CLASSIFIER_ID],
        format_func=named,
        key=key,
        on_change=state.keep_in_link,
        args=(key, QUERY_NAME),
        persist_state="session",
    )
    return (
        pick_pixel_classifier(key)
        if chosen == PIXEL_CLASSIFIER_ID
        else entries.get(chosen)
    )


def model_labels(entries: Sequence[ModelEntry], timezone: str | None) -> dict[str, str]:
    """Return what models are called by their ids; no two of them are called the same.

    Args:
        entries: All the models that a person chooses from.
        timezone: Name of the viewer's time zone.
    """
    facts = [(e.data, date_text(e.created, timezone), e.id) for e in entries]
    labels = told_apart([entry.title for entry in entries], facts)
    return dict(zip([entry.id for entry in entries], labels, strict=True))


def model_line(entry: ModelEntry, label: str) -> str:
    """Return what a box says of a model that is called so: preset, data, mIoU."""
    parts = [label, entry.preset]
    if entry.data:
        parts.append(f"trained on {entry.data}")
    miou = entry.score("miou")
    if miou is not None:
        parts.append(f"mIoU {miou:.2f}")
    return " · ".join(parts)
