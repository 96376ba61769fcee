"""The bands of a data set's images: chosen once, and scaled once for all of them.

What each image file has is found when the data set is checked. From that and from what
was chosen follows which bands are read, which images do not have them, and whether
somebody must choose first. Values of more than 8 bits, and bands that are not red,
green and blue, are scaled alike in all images, band by band.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib import files
from terrainlib.data.formats import geotiff, pngjpeg
from terrainlib.data.formats.bands import (
    BandChoice,
    FileBands,
    Marks,
    choose,
    clean_name,
    find_numbers,
    own_colors,
    pick,
)
from terrainlib.data.formats.raster import (
    BandKey,
    BandSet,
    Samples,
    UsedBand,
    composite_of,
    sample_windows,
    value_range,
)
from terrainlib.data.formats.source import open_source
from terrainlib.errors import ImageError, StorageError
from terrainlib.types import known_record

_VERSION: Final = 1  # of what is remembered
_SAMPLED_IMAGES: Final = 64
_SAMPLED_VALUES: Final = 16_000_000
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class ImageBands:
    """Which bands of a data set's images are read.

    Attributes:
        keys: By number or name; None for red, green and blue as each file has them.
        names: What to call them.
        question: Why they have to be chosen first; None where that is clear.
        all_names: What to call the bands that most of the files have, without alpha.
        problems: Position and reason of each image that does not have them.
        example: An image that most are like; None without images.
        images: The images that have the bands.
        files: What each of them has.
    """

    keys: tuple[BandKey, ...] | None = None
    names: tuple[str, ...] = ("red", "green", "blue")
    question: str | None = None
    all_names: tuple[str, ...] = ()
    problems: tuple[tuple[int, str], ...] = ()
    example: FileBands | None = field(default=None, repr=False)
    images: tuple[Path, ...] = field(default=(), repr=False)
    files: tuple[FileBands, ...] = field(default=(), repr=False, compare=False)

    @property
    def count(self) -> int:
        """Bands that a network is fed."""
        return len(self.names)


def settle(found: Sequence[FileBands], chosen: Sequence[BandKey] | None) -> ImageBands:
    """Return which bands are read of the images of a data set.

    Without a choice these are red, green and blue where the files mark or name them, or
    have three bands; else the only band, or both of two. Of more they must be chosen.
    What most images have decides.

    Args:
        found: What each image file has.
        chosen: The bands that were chosen, by number or name; None without a choice.
    """
    if not found:
        return ImageBands()
    if chosen is not None:
        return _as_chosen(found, tuple(chosen))
    kinds = Counter(one.kind for one in found)
    if kinds["colors"]:
        kinds["colors"] += kinds.pop("single", 0)  # grey is taken for colours
    kind = kinds.most_common(1)[0][0]
    fitting = ("colors", "single") if kind == "colors" else (kind,)
    example = _most(one for one in found if one.kind == kind)
    problems = tuple(
        (place, _other(one, example))
        for place, one in enumerate(found)
        if one.kind not in fitting
    )
    names = _names(example, example.numbers)
    if kind == "many":
        return ImageBands(None, (), _question(example), names, problems, example)
    keys = None if kind == "colors" else tuple(example.numbers)
    used = ("red", "green", "blue") if keys is None else names
    return ImageBands(keys, used, None, names, problems, example)


def _as_chosen(found: Sequence[FileBands], chosen: tuple[BandKey, ...]) -> ImageBands:
    """Find the chosen bands in each file."""
    problems: list[tuple[int, str]] = []
    numbers: dict[FileBands, tuple[int, ...]] = {}
    for place, one in enumerate(found):
        try:
            numbers[one] = find_numbers(one.marks, chosen, "")
        except ImageError as error:
            problems.append((place, error.message))
    having = [one for one in found if one in numbers]
    example = _most(having or found)
    names = _names(example, example.numbers)
    plain = all(n == one.colors and len(n) == _SHOWN for one, n in numbers.items())
    if having and plain and all(one.kind == "colors" for one in having):
        return ImageBands(None, all_names=names, problems=(*problems,), example=example)
    used = numbers.get(example, ())
    called = _names(example, used) if used else tuple(map(str, chosen))
    return ImageBands(chosen, called, None, names, tuple(problems), example)


def _most(known: Any) -> FileBands:
    """Return what most files have."""
    most: FileBands = Counter(known).most_common(1)[0][0]
    return most


def _names(one: FileBands, numbers: Sequence[int]) -> tuple[str, ...]:
    return tuple(clean_name(one.marks[n - 1]) or f"band {n}" for n in numbers)


def _question(example: FileBands) -> str:
    count = len(example.numbers)
    return (
        f"the images have {count} bands, and neither the files nor dataset.json say "
        "which of them to use. Train with --bands 3,2,1, or write "
        f'{{"bands": [3, 2, 1]}} into dataset.json in its folder: any of 1 to {count}.'
    )


def _other(one: FileBands, example: FileBands) -> str:
    own, usual = len(one.numbers), len(example.numbers)
    return (
        f"the image has {own} {'band' if own == 1 else 'bands'}, which do not say what "
        f"they are, and most others have {usual}. Give it the bands of the others, or "
        "choose in dataset.json bands that all have."
    )


def require_found(bands: ImageBands, wanted: BandChoice, name: str) -> None:
    """Refuse a data set whose images lack the bands of a model.

    Args:
        bands: Those of the data set.
        wanted: Those of the model.
        name: The data set's.

    Raises:
        ImageError: If most of the images lack one.
    """
    if bands.example is not None:
        choose(bands.example.marks, wanted, name)


def bands_of_image(path: Path, chosen: Sequence[BandKey] | None) -> BandSet | None:
    """Return the bands of a single image with their scaling.

    Args:
        path: The image, of any size.
        chosen: The bands that were chosen, by number or name; None without a choice.

    Returns:
        None for red, green and blue as the file has them.

    Raises:
        ImageError: If it has no such bands, or they must be chosen and are not.
    """
    with open_source(path, None, in_parts=True) as opened:
        tiff = opened.kind == "TIFF"
        one = geotiff.read_bands(opened) if tiff else pngjpeg.check_intact(opened)[1]
    bands = settle([one], chosen)
    if bands.problems:
        raise ImageError(bands.problems[0][1], file=path.name)
    if bands.question is not None:
        raise ImageError(
            f"it has {len(one.numbers)} bands, and does not say which are red, green "
            "and blue. Give the bands to use with --bands, such as 3,2,1.",
            file=path.name,
        )
    bands = replace(bands, images=(path,), files=(one,))
    facts = path.stat()
    state = f"{facts.st_size} {facts.st_mtime_ns}"
    return scaled_set(path.parent.resolve(), state, bands)


@lru_cache(maxsize=16)
def scaled_set(folder: Path, fingerprint: str, bands: ImageBands) -> BandSet | None:
    """Return the bands with the scaling that is used for all images.

    8 bits are divided by their full scale. Of other values each band is stretched from
    the 2nd to the 98th percentile over 64 images, or as a single image would be where
    these use a large part of their range.

    Args:
        folder: The data set's folder.
        fingerprint: Its state.
        bands: Which are read.

    Returns:
        None for red, green and blue that each file brings with its own scaling: of 8
        bits, or of several kinds.
    """
    if bands.example is None or bands.question is not None or not bands.images:
        return None
    kinds = {one.samples for one in bands.files}
    samples = bands.example.samples
    if bands.keys is None and (len(kinds) > 1 or samples == "8-bit"):
        return None
    facts = (*map(repr, bands.keys or ()), *map(str, bands.images))
    memory = _path("scales", str(folder), fingerprint, *facts)
    remembered = known_record(memory, BandSet)
    if remembered is not None:
        return remembered
    known = zip(bands.images, bands.files, strict=True)
    alike = [(path, one) for path, one in known if one.samples == samples]
    made = _measured(alike, bands, samples)
    with suppress(StorageError):
        files.write_json(memory, made.to_dict())
    return made


def _measured(
    known: Sequence[tuple[Path, FileBands]], bands: ImageBands, samples: Samples
) -> BandSet:
    """Measure the range of each band over some of the images."""
    example = bands.example or known[0][1]
    numbers = _numbers(example, bands)
    maximum = example.maximum
    if samples == "8-bit":
        ranges = [(0.0, float(maximum or 255))] * len(numbers)
    else:
        rows = np.unique(np.linspace(0, len(known) - 1, _SAMPLED_IMAGES).astype(int))
        count = max(1, _SAMPLED_VALUES // (len(numbers) * len(rows)))
        parts = [
            _sample(path, _numbers(one, bands), count)
            for path, one in (known[row] for row in rows)
        ]
        values = np.concatenate(parts)
        ranges = [value_range(column, maximum)[:2] for column in values.T]
    used = [
        UsedBand(clean_name(example.marks[number - 1]), number, low, high)
        for number, (low, high) in zip(numbers, ranges, strict=True)
    ]
    own = own_colors([Marks("", band.name) for band in used])
    shown = (
        composite_of(len(used)) if own is None else (own[0] - 1, own[1] - 1, own[2] - 1)
    )
    return BandSet(tuple(used), samples, len(example.numbers), shown)


def _sample(path: Path, numbers: Sequence[int], count: int) -> NDArray[Any]:
    """Return about `count` evenly spread pixels with data as stored, (n, B)."""
    used = tuple(UsedBand("", number, 0.0, 1.0) for number in numbers)
    shown = composite_of(len(used))
    chosen = BandSet(used, "8-bit", len(used), shown, asked=tuple(numbers))
    with open_source(path, None, in_parts=True) as opened:
        if opened.kind == "TIFF":
            with geotiff.open_picture(opened, chosen, in_parts=True) as picture:
                size = (picture.height, picture.width)
                parts = [picture.raster(window) for window in sample_windows(*size)]
        else:
            parts = [pick(pngjpeg.decode(opened), chosen, opened.name)]
    values = np.concatenate([part.pixels[part.valid] for part in parts])
    return values[:: max(1, -(-len(values) // count))]


def _numbers(one: FileBands, bands: ImageBands) -> tuple[int, ...]:
    """Return the numbers of the bands in one file; grey stands for three colours."""
    if bands.keys is not None:
        return find_numbers(one.marks, bands.keys, "")
    return one.colors if len(one.colors) == _SHOWN else one.colors * _SHOWN


def _path(kind: str, *facts: str) -> Path:
    """Return where something is remembered: its name is all that it depends on."""
    text = "\n".join((str(_VERSION), kind, *facts)).encode("utf-8", "surrogateescape")
    name = hashlib.sha256(text).hexdigest()[:32]
    return files.cache_dir() / "bands" / f"{name}.json"
