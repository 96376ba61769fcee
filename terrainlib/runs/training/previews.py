"""The preview images of a run: four validation images, predicted after every epoch."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terrainlib import files
from terrainlib.data.cache import PairCache
from terrainlib.data.palette import Classes, colorize, nearest_class
from terrainlib.mask.rasters.png import encode_png
from terrainlib.model.config import OutputKind
from terrainlib.model.learning.reports import Predict

PREVIEWS = "previews"
_EPOCH_FOLDER = re.compile(r"epoch-([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class PreviewInput:
    """One of the validation images that the previews show.

    Attributes:
        id: Id of the pair.
        image: PNG of the image at the working size; of a larger one than 512 px the
            middle.
        truth: PNG of its mask in class colours.
    """

    id: str
    image: Path
    truth: Path


def preview_inputs(path: Path) -> tuple[PreviewInput, ...]:
    """Return the images that the previews of the run folder `path` show, by id."""
    found = []
    for image in (path / PREVIEWS).glob("*_image.png"):
        name = image.name.removesuffix("_image.png")
        truth = image.with_name(f"{name}_truth.png")
        if truth.is_file():
            found.append(PreviewInput(_id_of(name), image, truth))
    return tuple(sorted(found, key=lambda one: files.natural_key(one.id)))


def previews(path: Path) -> dict[int, dict[str, Path]]:
    """Return the preview masks of the run folder `path`: epoch -> id -> PNG file."""
    found: dict[int, dict[str, Path]] = {}
    for folder in sorted((path / PREVIEWS).glob("epoch-*")):
        if match := _EPOCH_FOLDER.fullmatch(folder.name):
            masks = {_id_of(m.stem): m for m in sorted(folder.glob("[!.]*.png"))}
            if masks:
                found[int(match[1])] = masks
    return dict(sorted(found.items()))


PREVIEW_COUNT = 4
PREVIEW_PX = 512
_MAX_NAME_BYTES = 180  # with what is added, below the 255 of a file's name


class PreviewWriter:
    """Writes the previews of one run.

    Args:
        path: The run folder.
        validation: The validation pairs, of which four are shown.
        classes: Classes and colours of the masks.
        output: What the network gives.
    """

    def __init__(
        self, path: Path, validation: PairCache, classes: Classes, output: OutputKind
    ) -> None:
        self._folder = path / PREVIEWS
        chosen = choose_previews(validation, len(classes))
        self._shown = validation.subset(chosen).middles(PREVIEW_PX)
        self._classes = classes
        self._output = output

    def write_inputs(self) -> None:
        """Write the images and their true masks.

        Raises:
            StorageError: If they cannot be written.
        """
        pairs = self._shown
        shown = zip(pairs.ids, pairs.pictures, pairs.masks, strict=True)
        for name, image, mask in shown:
            truth = colorize(np.asarray(mask), self._classes)
            start = _name_of(name)
            _write_png(self._folder / f"{start}_image.png", np.asarray(image))
            _write_png(self._folder / f"{start}_truth.png", truth)

    def write_epoch(self, epoch: int, predict: Predict) -> None:
        """Write the masks that the network gives after an epoch.

        Raises:
            StorageError: If they cannot be written.
        """
        output = predict(self._shown)
        folder = self._folder / f"epoch-{epoch:03d}"
        for name, values in zip(self._shown.ids, output, strict=True):
            mask = predicted_mask(values, self._classes, self._output)
            picture = colorize(mask, self._classes)
            _write_png(folder / f"{_name_of(name)}.png", picture)


def predicted_mask(
    values: NDArray[np.float32], classes: Classes, output: OutputKind
) -> NDArray[np.uint8]:
    """Return the class mask (H, W) of a network's output (H, W, K or 3 colours)."""
    if output == "classes":
        return np.asarray(values.argmax(-1), np.uint8)
    colors = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    mask, _ = nearest_class(colors, classes)
    return mask


def choose_previews(validation: PairCache, classes: int) -> tuple[str, ...]:
    """Return the ids of up to four pairs: rich in classes, and unlike one another.

    Args:
        validation: The pairs to choose from.
        classes: Number of classes K.
    """
    counts = np.array(
        [
            np.bincount(np.ravel(mask), minlength=256)[:classes]
            for mask in validation.masks
        ]
    )
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    logs = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
    richness = -(shares * logs).sum(axis=1)
    order = np.argsort(-richness, kind="stable")
    chosen: list[int] = []
    for index in order:  # first one pair for each leading class, then the richest
        leaders = {int(shares[i].argmax()) for i in chosen}
        if int(shares[index].argmax()) not in leaders:
            chosen.append(int(index))
    rest = [int(index) for index in order if index not in chosen]
    return tuple(validation.ids[i] for i in sorted((chosen + rest)[:PREVIEW_COUNT]))


def _name_of(identifier: str) -> str:
    """Return what the files of a pair are called; ids may hold slashes."""
    name = identifier.replace("%", "%25").replace("/", "%2F")
    if len(name.encode("utf-8", "replace")) <= _MAX_NAME_BYTES:
        return name
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()


def _id_of(name: str) -> str:
    return name.replace("%2F", "/").replace("%25", "%")


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    files.write_bytes(path, encode_png(pixels))
