"""The mask studio's work: a picture and a model become a mask, kept while it is needed.

The page asks `kept_mask` first and `make_mask` only when a prediction is wanted: the
first prediction loads TensorFlow.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from terrainlib.data.formats.heights import open_heights
from terrainlib.data.formats.raster import Georeference
from terrainlib.data.imagery import BandChoice, Grid, Image, read_image
from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.data.scene import scene_of
from terrainlib.errors import TerrainError
from terrainlib.mask.cleaning import PostProcessing
from terrainlib.mask.gap import Gap, scene_gap
from terrainlib.mask.ground.areaerrors import Validation, validation_of
from terrainlib.mask.ground.areas import AreaTable, AreaTally
from terrainlib.mask.tiles.bands import Band
from terrainlib.mask.tiles.resampling import shrink
from terrainlib.mask.tiles.result import KeptProbabilities
from terrainlib.model.beside import is_loaded
from terrainlib.rights import bound
from terrainlib.types import FloatArray
from terrainlib.ui import cached, state
from terrainlib.ui.cached import encode_jpeg
from terrainlib.ui.memory import on_disk
from terrainlib.ui.models.picker import model_of, stamp_of
from terrainlib.ui.studio.live import (
    PREVIEW_PX,
    ViewLayer,
    ViewPictures,
    class_layer,
    confidence_layer,
    view_pictures,
)
from terrainlib.ui.turns import PICTURES, PREDICTIONS, waiting_text

if TYPE_CHECKING:
    from terrainlib.mask.tiles.result import Prediction
    from terrainlib.model.modelfile import TerrainModel


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


Progress = Callable[[float, str], object]
_READ_SHARE: Final = 0.1
_LOADED_SHARE: Final = 0.3
_TILE_PX: Final = 800  # half the memory of 1024, and a tenth slower


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture file on disk or in memory.

    Attributes:
        name: Its name, without folders.
        key: Names its content: path, date and size, or a SHA-256; and the bands.
        source: Where it is, or what is in it.
        bands: Those to use as red, green and blue, or a model's; None for those that
            the file itself says are red, green and blue.
    """

    name: str
    key: str
    source: Path | bytes = field(repr=False)
    bands: BandChoice = None

    @classmethod
    def on_disk(cls, path: Path) -> "PictureFile":
        """Return a file of this machine."""
        date, size = cached.file_stamp(path)
        return cls(path.name, f"{path}|{date}|{size}", path)

    def with_bands(self, bands: BandChoice) -> "PictureFile":
        """Return the file with other bands."""
        return replace(self, key=f"{self.key}|bands {bands}", bands=bands)

    def read(self) -> Image:
        """Return the whole image.

        Raises:
            ImageError: If it cannot be read.
        """
        return read_image(self.source, name=self.name, bands=self.bands)


@dataclass(frozen=True, eq=False)
class MadeMask:
    """What was made of an image, at its size; its class mask cleaned as set.

    What follows from the cleaning is computed when it is first asked for.

    Attributes:
        picture: The image's file.
        predicted: (H, W) uint8, the most probable class; 255 where there is no data.
        soft: (H, W, 3) uint8, the soft mask; black where there is no data.
        margins: (H, W) uint8, probability of the best class minus that of the second
            best in 255ths; 0 where there is no data.
        probabilities: Those of all classes.
        classes: The K classes.
        notes: How the image was read, one phrase each.
        georeference: Where the image lies, for GeoTIFF.
        height: The file of its heights, where there is one.
        gap: How the image compares with the model's training images.
        validation: What is known of the model's errors.
        scale: The scale at which it was predicted.
        pictures: What the live view shows beside the class mask.
        cleaning: How the class mask is cleaned.
    """

    picture: PictureFile
    predicted: NDArray[np.uint8]
    soft: NDArray[np.uint8]
    margins: NDArray[np.uint8]
    probabilities: KeptProbabilities
    classes: Classes
    notes: tuple[str, ...]
    georeference: Georeference | None
    height: PictureFile | None
    gap: Gap
    validation: Validation | None
    scale: WorkingScale
    pictures: ViewPictures
    cleaning: PostProcessing = field(default_factory=PostProcessing)

    @property
    def key(self) -> str:
        """What names the prediction: files, model and scale."""
        return self.pictures.id

    @property
    def stem(self) -> str:
        """How the names of its files begin."""
        return Path(self.picture.name).stem

    @property
    def nbytes(self) -> int:
        """The bytes that the prediction takes."""
        arrays = (self.predicted, self.soft, self.margins, self.probabilities.working)
        return sum(array.nbytes for array in arrays)

    @cached_property
    def index(self) -> NDArray[np.uint8]:
        """(H, W) uint8, the cleaned class mask that is shown and downloaded."""
        if self.cleaning.changes_nothing:
            return self.predicted
        return on_disk(self.cleaning.apply(self.predicted))

    @cached_property
    def changed(self) -> float:
        """Share of the pixels with data that cleaning changed, 0 to 1."""
        known = max(1, int(np.count_nonzero(self.predicted != NO_DATA)))
        return int(np.count_nonzero(self.index != self.predicted)) / known

    @cached_property
    def areas(self) -> AreaTable:
        """How much each class covers, on the ground where that is known."""
        height, width = self.index.shape
        names = [item.name for item in self.classes]
        tally = AreaTally(self.georeference, width, names)
        tally.write(Band(slice(0, height), self.index))
        return tally.table(self.validation, unlike=self.gap.level == "different")

    @cached_property
    def layer(self) -> ViewLayer:
        """What the live view shows of the class mask."""
        return class_layer(f"{self.key}\n{self.cleaning}", self.index, self.classes)


def mask_key(
    picture: PictureFile,
    height: PictureFile | None,
    model: str,
    scale: float | None = None,
) -> str:
    """Return the key of a mask: name and content of files, the model's, the scale."""
    parts = (picture.name, picture.key, height.key if height else "", model)
    return "\n".join([*parts, str(stamp_of(model)), str(scale or "")])


def kept_mask(
    picture: PictureFile, height: PictureFile | None, model: str
) -> MadeMask | None:
    """Return the mask at the chosen scale, if it was made before and is still kept."""
    scale = chosen_scale(subject_of(picture.key, model))
    found = cached.results().get(mask_key(picture, height, model, scale))
    return found if isinstance(found, MadeMask) else None


def make_mask(
    picture: PictureFile,
    height: PictureFile | None,
    model: str,
    *,
    progress: Progress,
) -> MadeMask:
    """Predict the mask of a picture at the chosen scale, and keep it.

    Args:
        picture: The image.
        height: Its heights, for a model that needs them.
        model: What `ui.models.picker.model_of` takes.
        progress: Called with the share done, 0 to 1, and what is being done.

    Raises:
        TerrainError: If a file or the model cannot be read, or they do not fit. A scale
            that was chosen is forgotten then.
    """
    with PREDICTIONS.turn(lambda before: progress(0.0, waiting_text(before))):
        made = kept_mask(picture, height, model)  # by one who went before
        return made or _make_mask(picture, height, model, progress)


def _make_mask(
    picture: PictureFile, height: PictureFile | None, model: str, progress: Progress
) -> MadeMask:
    subject = subject_of(picture.key, model)
    scale = chosen_scale(subject)
    key = mask_key(picture, height, model, scale)
    try:
        image, loaded, prediction, gap = _predicted(
            picture, height, model, scale, progress
        )
    except (TerrainError, MemoryError):
        choose_scale(subject, None)
        raise
    index, margins = prediction.classes_and_margins()
    soft = prediction.soft_bytes()
    with ThreadPoolExecutor(2) as beside:  # encoding leaves Python to other threads
        probabilities = beside.submit(bound(KeptProbabilities.of), prediction)
        layer = beside.submit(bound(confidence_layer), key, margins, index)
        pictures = view_pictures(key, image, soft, loaded.classes)
    kept = probabilities.result()
    made = MadeMask(
        picture=picture,
        predicted=on_disk(index),
        soft=on_disk(soft),
        margins=on_disk(margins),
        probabilities=replace(kept, working=on_disk(kept.working)),
        classes=loaded.classes,
        notes=image.notes,
        georeference=image.georeference,
        height=height,
        gap=gap,
        validation=validation_of(loaded.record),
        scale=WorkingScale(subject, loaded.scale, scale, _used_scale(prediction)),
        pictures=replace(pictures, layers=(layer.result(),)),
    )
    cached.results().put(key, made, made.nbytes)
    return made


def mask_with_bar(
    picture: PictureFile, height: PictureFile | None, model: str
) -> MadeMask:
    """Return the mask of a picture: kept, or made now under a bar that then goes.

    Raises:
        TerrainError: As `make_mask`.
    """
    made = kept_mask(picture, height, model)
    if made is not None:
        return made
    place = st.empty()
    try:
        bar = place.progress(0.0, "Starting")
        return make_mask(picture, height, model, progress=bar.progress)
    finally:
        place.empty()


def clean_mask(made: MadeMask, settings: PostProcessing) -> MadeMask:
    """Return the mask cleaned in another way, kept while it is needed."""
    key = f"{made.key}\n{settings}"
    found = cached.results().get(key)
    if isinstance(found, MadeMask):
        return found
    clean = replace(made, cleaning=settings)
    cached.results().put(key, clean, clean.index.nbytes)
    return clean


def picture_preview(picture: PictureFile) -> tuple[bytes, tuple[int, int], str]:
    """Return a picture as JPEG, its height and width in px, and how it was read.

    Raises:
        ImageError: If it cannot be read.
    """
    key = f"preview\n{picture.key}"
    kept = cached.results().get(key)
    if kept is None:
        with PICTURES.turn():
            image = picture.read()
            jpeg = encode_jpeg(shrink(image.rgb, PREVIEW_PX, nearest=False))
        kept = (jpeg, (image.height, image.width), "; ".join(image.notes))
        cached.results().put(key, kept, len(jpeg))
    jpeg, size, notes = kept
    return jpeg, size, notes


def _predicted(
    picture: PictureFile,
    height: PictureFile | None,
    model: str,
    scale: float | None,
    progress: Progress,
) -> tuple[Image, "TerrainModel", "Prediction", Gap]:
    """Read the files, load the model, predict and compare, telling how far it is."""
    from terrainlib.mask.prediction import predict_image

    progress(0.0, "Reading the image")
    image = picture.read()
    metres, notes = _metres(height, image)
    progress(
        _READ_SHARE,
        "Loading the model"
        if is_loaded()
        else "Loading TensorFlow: a few seconds, once after the app starts",
    )
    loaded = model_of(model)

    def tiles(done: int, total: int) -> None:
        share = _LOADED_SHARE + (1 - _LOADED_SHARE) * done / max(1, total)
        progress(share, f"Predicting: part {min(done + 1, total)} of {total}")

    with ThreadPoolExecutor(1) as beside:  # the network leaves gaps on the processor
        gap = beside.submit(bound(scene_gap), loaded, scene_of(image), scale=scale)
        prediction = predict_image(
            loaded,
            image,
            height=metres,
            scale=scale,
            progress=tiles,
            tile_size=_TILE_PX,
        )
    told = replace(image, notes=(*image.notes, *notes))
    return told, loaded, prediction, gap.result()


def _metres(
    height: PictureFile | None, image: Image
) -> tuple[FloatArray | None, tuple[str, ...]]:
    """Return heights on the grid of their image, and what is to be known of them."""
    if height is None:
        return None, ()
    with open_heights(height.source, name=height.name) as opened:
        heights = opened.on(Grid(image.height, image.width, image.georeference))
        notes = tuple(f"{heights.name}: {note}" for note in heights.notes)
        return heights.read_all(), notes


def _used_scale(prediction: "Prediction") -> float:
    rows, columns = prediction.working_probabilities.shape[:2]
    return float((rows * columns / prediction.valid.size) ** 0.5)
