"""A data set: a folder of image/mask pairs, found and checked once.

`open_dataset` is the only way in. The layout is found by `layouts`, `scan` checks each
file and remembers the result; every file is then either part of a usable pair or named
among the problems. Pixels are read by `read_pair`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.choices import Choices
from terrainlib.data.classes.masks import MaskMeaning, read_mask
from terrainlib.data.classes.meaning import ClassesSource
from terrainlib.data.formats.grids import lay_mask
from terrainlib.data.formats.heights import read_heights
from terrainlib.data.formats.imagebands import ImageBands, scaled_set, settle
from terrainlib.data.formats.raster import BandKey
from terrainlib.data.imagery import (
    BandChoice,
    BandSet,
    Image,
    read_grid,
    read_image,
)
from terrainlib.data.layout import LayoutName, Note, Pair, Problem
from terrainlib.data.layouts.find import require_layout
from terrainlib.data.palette import Classes, Value
from terrainlib.data.scan import fingerprint, scan
from terrainlib.errors import DatasetError, ImageError
from terrainlib.files import natural_key
from terrainlib.places import require_readable
from terrainlib.types import Progress

__all__ = [
    "ClassesSource",
    "Dataset",
    "LayoutName",
    "LoadedPair",
    "Note",
    "Pair",
    "Problem",
    "Progress",
    "open_dataset",
    "read_labels",
    "read_pair",
    "read_pair_height",
    "read_pair_mask",
]


@dataclass(frozen=True, slots=True)
class Dataset:
    """The usable pairs of a folder.

    Attributes:
        folder: Where it lies.
        name: Name to show, the folder's.
        layout: Which of the layouts was found.
        classes: Classes of the masks, in the order of their indices.
        classes_source: Where the classes come from.
        meaning: What the values of the masks mean.
        notes: What people should know of that, one sentence each.
        unlisted: Values of the masks that stand for nothing, which is a problem.
        pairs: Usable pairs, sorted by id.
        problems: Files that are not used, sorted by name.
        fingerprint: 16 hexadecimal digits from all names, sizes and times of change.
        choices: What people chose for it, from its `dataset.json`.
        bands: Which bands of the images are read, and whether that has to be chosen.
    """

    folder: Path
    name: str
    layout: LayoutName
    classes: Classes
    classes_source: ClassesSource
    meaning: MaskMeaning
    notes: tuple[str, ...]
    unlisted: tuple[Value, ...]
    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...]
    fingerprint: str
    choices: Choices = field(default_factory=Choices)
    bands: ImageBands = field(default_factory=ImageBands)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the usable pairs, sorted."""
        return tuple(pair.id for pair in self.pairs)

    @property
    def class_shares(self) -> dict[str, float]:
        """Share of each class among the pixels with data, by name."""
        counts = np.zeros(len(self.classes), dtype=np.int64)
        for pair in self.pairs:
            counts += np.asarray(pair.counts, dtype=np.int64)
        shares = counts / max(int(counts.sum()), 1)
        return {
            entry.name: float(share)
            for entry, share in zip(self.classes, shares, strict=True)
        }

    @property
    def file_notes(self) -> tuple[Note, ...]:
        """What is to be known of the files that are used, in the order of the pairs."""
        return tuple(note for pair in self.pairs for note in pair.notes)

    @property
    def no_data_share(self) -> float:
        """Share of the masks' pixels that are of no class."""
        pixels = sum(pair.size[0] * pair.size[1] for pair in self.pairs)
        labelled = sum(sum(pair.counts) for pair in self.pairs)
        return 1 - labelled / pixels if pixels else 0.0

    @property
    def has_heights(self) -> bool:
        """Whether every pair has a height (False where there is no pair)."""
        return bool(self.pairs) and all(pair.height for pair in self.pairs)

    @property
    def band_set(self) -> BandSet | None:
        """How the images are read; None for RGB that each file scales itself."""
        return scaled_set(self.folder, self.fingerprint, self.bands)

    def pair(self, identifier: str) -> Pair:
        """Return one pair.

        Raises:
            DatasetError: If there is no usable pair of that id.
        """
        for pair in self.pairs:
            if pair.id == identifier:
                return pair
        raise DatasetError(
            f"there is no usable pair {identifier!r} among the {len(self.pairs)}. "
            "Open the data set again if its files were changed.",
            file=self.name,
        )

    def with_ids(self, ids: Iterable[str]) -> Self:
        """Return the part of the data set that has the given ids, sorted by id.

        Ids that are no longer there are left out.
        """
        wanted = set(ids)
        return replace(
            self, pairs=tuple(pair for pair in self.pairs if pair.id in wanted)
        )


@dataclass(frozen=True, slots=True)
class LoadedPair:
    """The pixels of a pair.

    Attributes:
        image: The image, float32 in [0, 1], (H, W, B).
        mask: Class indices, uint8 (H, W), 255 = no data.
        height: Metres, float32 (H, W), NaN = no data; None where there is no file.
    """

    image: Image
    mask: NDArray[np.uint8]
    height: NDArray[np.float32] | None


def open_dataset(
    folder: Path | str,
    *,
    bands: Sequence[BandKey] | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Find the pairs of a folder and check every file.

    A file with a problem never stops the rest: it is named among the problems, and its
    pair is left out. A data set may thus be left without a usable pair.

    Args:
        folder: The folder, in one of the layouts.
        bands: Bands to use, by number from 1 or name, instead of those chosen in its
            `dataset.json`.
        progress: Called with the pairs checked and their number, as the check goes on;
            not called where an earlier check of the unchanged folder is remembered.

    Raises:
        UnknownNamesError: If there are images, but none with a mask.
        DatasetError: If the folder is missing, empty or without any image that has a
            mask, or if its `classes.json` or `dataset.json` is not valid.
        RightsError: If whoever acts now may not open it.
    """
    root = Path(folder)
    require_readable(root)
    layout = require_layout(root)
    root = root.resolve()
    found = scan(root, layout, progress)
    used = settle(found.files, bands or layout.choices.bands)
    problems = [
        Problem(found.pairs[place].image.relative_to(root).as_posix(), reason)
        for place, reason in used.problems
    ]
    lacking = dict(used.problems)
    having = [place for place in range(len(found.pairs)) if place not in lacking]
    pairs = tuple(found.pairs[place] for place in having)
    return Dataset(
        folder=root,
        name=root.name,
        layout=layout.name,
        classes=found.classes,
        classes_source=found.source,
        meaning=found.meaning,
        notes=found.notes,
        unlisted=found.unlisted,
        pairs=pairs,
        problems=tuple(
            sorted((*found.problems, *problems), key=lambda p: natural_key(p.file))
        ),
        fingerprint=fingerprint(layout.stamps),
        choices=layout.choices,
        bands=replace(
            used,
            images=tuple(pair.image for pair in pairs),
            files=tuple(found.files[place] for place in having),
        ),
    )


def read_pair(
    dataset: Dataset, pair: Pair, *, bands: BandChoice | Literal["own"] = "own"
) -> LoadedPair:
    """Read the pixels of a pair of a data set.

    Args:
        dataset: The data set.
        pair: One of its pairs.
        bands: Those of a model, as for `imagery.read_image`; `own` for the data set's.

    Raises:
        ImageError: If a file was changed since the check and cannot be read, or is of
            another size than its image.
    """
    image = read_image(pair.image, bands=dataset.band_set if bands == "own" else bands)
    mask, height = read_labels(dataset, pair, (image.height, image.width))
    return LoadedPair(image=image, mask=mask, height=height)


def read_labels(
    dataset: Dataset,
    pair: Pair,
    size: tuple[int, int],
    *,
    kept_mask: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    """Read the mask and height of a pair whose image is of the given size (H, W).

    Args:
        dataset: The data set.
        pair: One of its pairs.
        size: (H, W) of the image in px.
        kept_mask: The class mask, where the scan has kept it.

    Raises:
        ImageError: If a file cannot be read, or is of another size.
    """
    mask = kept_mask
    if mask is None:
        mask = read_pair_mask(dataset, pair)
    height = read_pair_height(pair)
    for path, pixels in ((pair.mask, mask), (pair.height, height)):
        if path is not None and pixels is not None and pixels.shape != size:
            raise ImageError(
                f"the size is {pixels.shape[1]} x {pixels.shape[0]} px, but its image "
                f"is {size[1]} x {size[0]} px. Make both the same size.",
                file=path.name,
            )
    return mask, height


def read_pair_mask(dataset: Dataset, pair: Pair) -> NDArray[np.uint8]:
    """Return the class mask of a pair as it lies on its image, (H, W), 255 = no data.

    Raises:
        ImageError: If a file was changed since the check and cannot be read, or lies
            elsewhere.
    """
    index = read_mask(pair.mask, dataset.meaning).index
    if "mask" not in pair.laid:
        return index
    image = read_grid(pair.image)
    return lay_mask(index, read_grid(pair.mask), image, pair.mask.name)[0]


def read_pair_height(pair: Pair) -> NDArray[np.float32] | None:
    """Return the height of a pair as it lies on its image; None without a file.

    Raises:
        ImageError: As for `read_pair_mask`.
    """
    if pair.height is None:
        return None
    heights = read_heights(pair.height)
    if "height" in pair.laid:
        heights = heights.on(read_grid(pair.image))
    return heights.read_all()
