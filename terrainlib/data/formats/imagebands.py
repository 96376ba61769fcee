"""The bands of a data set's images: chosen once, and scaled once for all of them.

What each image file has is found when the data set is opened, and remembered. From that
and from what was chosen follows which bands are read, which images do not have them,
and whether somebody must choose first. Values of more than 8 bits, and bands that are
not red, green and blue, are scaled alike in all images, band by band.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from terrainlib import files
from terrainlib.data.formats import geotiff, pngjpeg
from terrainlib.data.formats.bands import (
    BandChoice,
    Marks,
    choose,
    clean_name,
    find_numbers,
    own_colors,
    pick,
    without_alpha,
)
from terrainlib.data.formats.raster import (
    BandKey,
    BandSet,
    Samples,
    UsedBand,
    composite_of,
    sample_windows,
    samples_of,
    value_range,
)
from terrainlib.data.formats.source import open_source
from terrainlib.data.parallel import ordered_map
from terrainlib.errors import ImageError, StorageError
from terrainlib.types import PathText, known_record

_VERSION: Final = 1  # of what is remembered
_SAMPLED_IMAGES: Final = 64
_SAMPLED_VALUES: Final = 16_000_000
_SHOWN: Final = 3
Kind = Literal["colors", "single", "two", "many"]


@dataclass(frozen=True, slots=True)
class FileBands:
    """What an image file has.

    Attributes:
        marks: What it says about each band.
        samples: What kind of values they have.
        maximum: Their full scale; None for floats.
    """

    marks: Annotated[tuple[Marks, ...], Field(min_length=1, max_length=2**16)]
    samples: Samples
    maximum: Annotated[int, Field(ge=1, le=2**32)] | None

    @property
    def numbers(self) -> list[int]:
        """Numbers of the bands that are not alpha."""
        return without_alpha(self.marks)

    @property
    def kind(self) -> Kind:
        """What is read of it where nothing is chosen."""
        if self.marks[0].color == "palette" or own_colors(self.marks) is not None:
            return "colors"
        kinds: dict[int, Kind] = {1: "single", 2: "two", 3: "colors"}
        return kinds.get(len(self.numbers), "many")

    @property
    def colors(self) -> tuple[int, ...]:
        """Numbers of red, green and blue where nothing is chosen."""
        return own_colors(self.marks) or tuple(self.numbers[:3])


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
    """

    keys: tuple[BandKey, ...] | None = None
    names: tuple[str, ...] = ("red", "green", "blue")
    question: str | None = None
    all_names: tuple[str, ...] = ()
    problems: tuple[tuple[int, str], ...] = ()
    example: FileBands | None = field(default=None, repr=False)
    images: tuple[Path, ...] = field(default=(), repr=False)

    @property
    def count(self) -> int:
        """Bands that a network is fed."""
        return len(self.names)


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is remembered of a data set's image files.

    Attributes:
        kinds: What there is.
        of: Which of them each file is, by its name in the folder.
    """

    kinds: tuple[FileBands, ...]
    of: dict[PathText, Annotated[int, Field(ge=0)]]


def read_files(
    folder: Path, fingerprint: str, images: Sequence[Path]
) -> list[FileBands | None]:
    """Return what each image file has; None for one that cannot be read any more.

    Args:
        folder: The data set's folder.
        fingerprint: Its state.
        images: The image files.
    """
    names = [path.relative_to(folder).as_posix() for path in images]
    memory = _path("files", str(folder), fingerprint)
    known = known_record(memory, _Memory, limit_bytes=files.MAX_JSON_BYTES)
    if known is not None and {*names} <= known.of.keys():
        with suppress(IndexError):
            return [known.kinds[known.of[name]] for name in names]
    found = list(ordered_map(_read_file, images))
    kinds = list(dict.fromkeys(one for one in found if one is not None))
    of = {
        name: kinds.index(one)
        for name, one in zip(names, found, strict=True)
        if one is not None
    }
    with suppress(StorageError):  # a full disk costs the next opening time only
        files.write_json(memory, {"kinds": [asdict(kind) for kind in kinds], "of": of})
    return found


def _read_file(path: Path) -> FileBands | None:
    try:
        with open_source(path, None, in_parts=True) as opened:
            if opened.kind == "TIFF":
                marks, dtype = geotiff.read_marks(opened)
                maximum = geotiff.read_maximum(opened)
            else:
                marks, dtype = pngjpeg.read_marks(opened)
                maximum = int(np.iinfo(dtype).max)
    except (ImageError, OSError):
        return None
    return FileBands(tuple(marks), samples_of(dtype, maximum), maximum)


def settle(
    found: Sequence[FileBands | None], chosen: Sequence[BandKey] | None
) -> ImageBands:
    """Return which bands are read of the images of a data set.

    Without a choice these are red, green and blue where the files mark or name them, or
    have three bands; else the only band, or both of two. Of more they must be chosen.
    What most images have decides.

    Args:
        found: What each image file has; None for one that cannot be read.
        chosen: The bands that were chosen, by number or name; None without a choice.
    """
    known = [one for one in found if one is not None]
    if not known:
        return ImageBands()
    if chosen is not None:
        return _as_chosen(found, known, tuple(chosen))
    kinds = Counter(one.kind for one in known)
    if kinds["colors"]:
        kinds["colors"] += kinds.pop("single", 0)  # grey is taken for colours
    kind = kinds.most_common(1)[0][0]
    fitting = ("colors", "single") if kind == "colors" else (kind,)
    example = _most(one for one in known if one.kind == kind)
    problems = tuple(
        (place, _other(one, example))
        for place, one in enumerate(found)
        if one is not None and one.kind not in fitting
    )
    names = _names(example, example.numbers)
    if kind == "many":
        return ImageBands(None, (), _question(example), names, problems, example)
    keys = None if kind == "colors" else tuple(example.numbers)
    used = ("red", "green", "blue") if keys is None else names
    return ImageBands(keys, used, None, names, problems, example)


def _as_chosen(
    found: Sequence[FileBands | None],
    known: Sequence[FileBands],
    chosen: tuple[BandKey, ...],
) -> ImageBands:
    """Find the chosen bands in each file."""
    problems: list[tuple[int, str]] = []
    numbers: dict[FileBands, tuple[int, ...]] = {}
    for place, one in enumerate(found):
        if one is None:
            continue
        try:
            numbers[one] = find_numbers(one.marks, chosen, "")
        except ImageError as error:
            problems.append((place, error.message))
    having = [one for one in known if one in numbers]
    example = _most(having or known)
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
    found = read_files(folder, fingerprint, bands.images)
    known = [(path, one) for path, one in zip(bands.images, found, strict=True) if one]
    kinds = {one.samples for _, one in known}
    samples = bands.example.samples
    if bands.keys is None and (len(kinds) > 1 or samples == "8-bit"):
        return None
    facts = (*map(repr, bands.keys or ()), *map(str, bands.images))
    memory = _path("scales", str(folder), fingerprint, *facts)
    remembered = known_record(memory, BandSet)
    if remembered is not None:
        return remembered
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
