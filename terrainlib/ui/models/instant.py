"""The instant mask: a pixel classifier fitted in memory, usable as any other model.

Its files would be pickles, so it has none: a fresh server fits it again when it is
needed. Elsewhere it goes by a word, as the embedded model goes by `default`; the word
says what it learns from. `model_of` and `stamp_of` take the words of all models.
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
from terrainlib.model.baseline import fit_baseline
from terrainlib.model.config import UNetConfig
from terrainlib.runs.models import ModelEntry
from terrainlib.ui import cached

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

INSTANT_ID: Final = "instant"
IMAGE_SIZE_PX: Final = UNetConfig().image_size
INSTANT_TITLE: Final = "Instant mask: pixel classifier"
_WORDS: Final = {"instant-image": False, "instant-height": True}
_READ: Final = "instant_read"  # list of str: what was read in this session
_MAX_KEPT: Final = 2
FITTING: Final = "Fitting the pixel classifier (at most a minute) …"


@dataclass(frozen=True, slots=True)
class InstantChoice:
    """What an instant model learns from.

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
class InstantEntry(ModelEntry):
    """A fitted instant model among the models; its path is that of its data set."""

    @property
    def model(self) -> str:
        """The word that `model_of` takes for it."""
        height = bool(self.record and self.record.config.get("height"))
        return InstantChoice(str(self.path), height).word

    @property
    def preset(self) -> str:
        """What kind of model it is; it has no preset."""
        return "pixel classifier"


def instant_entry(choice: InstantChoice) -> InstantEntry:
    """Return an instant model, fitted now if it is not in memory.

    Raises:
        TerrainError: If the data set cannot be opened or nothing learnt from it.
    """
    model = model_of(choice.word)
    return InstantEntry(
        id=INSTANT_ID,
        kind="instant",
        title=INSTANT_TITLE,
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
    choice = InstantChoice.of_word(word)
    if choice is None:
        return cached.model(word)
    dataset = cached.dataset(choice.folder)
    return fitted(dataset, dataset.ids, IMAGE_SIZE_PX, height=choice.height)


def stamp_of(word: str) -> object:
    """Return what changes when a model does: a part of cache keys."""
    choice = InstantChoice.of_word(word)
    if choice is None:
        return cached.model_stamp(word)
    return cached.dataset(choice.folder).fingerprint


def fitted(
    dataset: Dataset, ids: Sequence[str], image_size: int, *, height: bool
) -> "TerrainModel":
    """Return the pixel classifier of some pairs, fitted now if it is not in memory.

    Reading the pairs shows a progress bar, the fit says that it goes on.

    Args:
        dataset: The data set.
        ids: The pairs to learn from.
        image_size: Height and width in px that it works at.
        height: Use the heights.

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
    model = fit_baseline(pairs, _dataset.classes, height=_height)
    learnt = {
        "name": _dataset.name,
        "pairs": len(pairs.ids),
        "fingerprint": _dataset.fingerprint,
    }
    name = f"{model.name} ({_dataset.name}{', heights' if _height else ''})"
    return replace(model, name=name, record=replace(model.record, dataset=learnt))
