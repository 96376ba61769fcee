"""The mask studio's work: a picture and a model become a mask, kept while it is needed.

The page asks `kept_mask` first and `make_mask` only when a prediction is wanted: the
first prediction loads TensorFlow.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.imagery import Georeference, Image, read_height, read_image
from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.mask.export import to_bytes
from terrainlib.ui import cached, store
from terrainlib.ui.instant import model_of, stamp_of
from terrainlib.ui.live_view import PREVIEW_PX, ViewPictures
from terrainlib.ui.pictures import encode_jpeg, encode_png, shrink

Progress = Callable[[float, str], object]
_READ_SHARE: Final = 0.1
_LOADED_SHARE: Final = 0.3


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture file on disk or in memory.

    Attributes:
        name: Its name, without folders.
        key: Names its content: path, date and size, or a SHA-256; and the bands.
        source: Where it is, or what is in it.
        bands: Numbers of the bands to use as red, green and blue; None for those that
            the file itself says are.
    """

    name: str
    key: str
    source: Path | bytes = field(repr=False)
    bands: tuple[int, int, int] | None = None

    @classmethod
    def on_disk(cls, path: Path) -> "PictureFile":
        """Return a file of this machine."""
        date, size = cached.file_stamp(path)
        return cls(path.name, f"{path}|{date}|{size}", path)

    def with_bands(self, bands: tuple[int, int, int]) -> "PictureFile":
        """Return the file with other bands as red, green and blue."""
        return replace(self, key=f"{self.key}|bands {bands}", bands=bands)

    def read(self) -> Image:
        """Return the whole image.

        Raises:
            ImageError: If it cannot be read.
        """
        return read_image(self.source, name=self.name, bands=self.bands)


@dataclass(frozen=True, slots=True, eq=False)
class MadeMask:
    """A predicted mask, at the image's size.

    Attributes:
        index: (H, W) uint8, the most probable class; 255 where there is no data.
        soft: (H, W, 3) uint8, the soft mask; black where there is no data.
        classes: The K classes.
        notes: How the image was read, one phrase each.
        georeference: Where the image lies, for GeoTIFF.
        pictures: What the live view shows.
    """

    index: NDArray[np.uint8]
    soft: NDArray[np.uint8]
    classes: Classes
    notes: tuple[str, ...]
    georeference: Georeference | None
    pictures: ViewPictures

    @property
    def shares(self) -> dict[str, float]:
        """Share of each class among the pixels with data, 0 to 1, by name."""
        counts = np.bincount(self.index.ravel(), minlength=256)
        total = max(1, int(counts.sum() - counts[NO_DATA]))
        return {c.name: float(counts[n] / total) for n, c in enumerate(self.classes)}


def mask_key(picture: PictureFile, height: PictureFile | None, model: str) -> str:
    """Return the key of a mask: the content of the files and the model's."""
    parts = (picture.key, height.key if height else "", model)
    return "\n".join([*parts, str(stamp_of(model))])


def kept_mask(
    picture: PictureFile, height: PictureFile | None, model: str
) -> MadeMask | None:
    """Return the mask if it was made before and is still kept."""
    found = store.results().get(mask_key(picture, height, model))
    return found if isinstance(found, MadeMask) else None


def make_mask(
    picture: PictureFile,
    height: PictureFile | None,
    model: str,
    *,
    progress: Progress,
) -> MadeMask:
    """Predict the mask of a picture and keep it.

    Args:
        picture: The image.
        height: Its heights, for a model that needs them.
        model: What `ui.instant.model_of` takes.
        progress: Called with the share done, 0 to 1, and what is being done.

    Raises:
        TerrainError: If a file or the model cannot be read, or they do not fit.
    """
    from terrainlib.mask.prediction import predict_image

    key = mask_key(picture, height, model)
    progress(0.0, "Reading the image")
    image = picture.read()
    heights = read_height(height.source, name=height.name) if height else None
    progress(_READ_SHARE, "Loading the model (a few seconds the first time)")
    loaded = model_of(model)

    def tiles(done: int, total: int) -> None:
        share = _LOADED_SHARE + (1 - _LOADED_SHARE) * done / max(1, total)
        progress(share, f"Predicting: part {min(done + 1, total)} of {total}")

    prediction = predict_image(loaded, image, height=heights, progress=tiles)
    soft = to_bytes(prediction.soft)
    made = MadeMask(
        index=prediction.classes,
        soft=soft,
        classes=loaded.classes,
        notes=image.notes,
        georeference=image.georeference,
        pictures=_pictures(key, image, soft, loaded.classes),
    )
    store.results().put(key, made, made.index.nbytes + made.soft.nbytes)
    return made


def picture_preview(picture: PictureFile) -> tuple[bytes, tuple[int, int], str]:
    """Return a picture as JPEG, its height and width in px, and how it was read.

    Raises:
        ImageError: If it cannot be read.
    """
    key = f"preview\n{picture.key}"
    kept = store.results().get(key)
    if kept is None:
        image = picture.read()
        jpeg = encode_jpeg(shrink(image.rgb, PREVIEW_PX, nearest=False))
        kept = (jpeg, (image.height, image.width), "; ".join(image.notes))
        store.results().put(key, kept, len(jpeg))
    jpeg, size, notes = kept
    return jpeg, size, notes


def _pictures(
    key: str, image: Image, soft: NDArray[np.uint8], classes: Classes
) -> ViewPictures:
    """Return what the live view shows; pixels without data are transparent."""
    mask = shrink(soft, PREVIEW_PX, nearest=False)
    if not image.valid.all():
        alpha = image.valid.astype(np.uint8) * np.uint8(255)
        mask = np.dstack([mask, shrink(alpha, PREVIEW_PX, nearest=True)])
    height, width = mask.shape[:2]
    full = f"{image.width} × {image.height} px"
    note = f"Shown pixel for pixel at full size, {full}."
    if (height, width) != (image.height, image.width):
        note = (
            f"Preview at {width} × {height} px of {full}: downloads are computed at "
            "full size, where the same sharpening acts on finer detail."
        )
    return ViewPictures(
        id=key,
        image=encode_jpeg(shrink(image.rgb, PREVIEW_PX, nearest=False)),
        mask=encode_png(mask),
        classes=classes,
        note=note,
        name=image.name,
    )
