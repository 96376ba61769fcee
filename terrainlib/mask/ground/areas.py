"""How much ground each class covers, and how sure that is.

A mask counts its own errors in: forest taken for grassland is missing in the one and
too much in the other. The errors on a model's validation images tell how much is moved
between the classes on average, and how much that differs from image to image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from terrainlib.data.formats.raster import Georeference
from terrainlib.data.palette import NO_DATA
from terrainlib.errors import InputError
from terrainlib.files import csv_bytes
from terrainlib.mask.ground.areaerrors import Counts, Shares, Validation, validation_of
from terrainlib.mask.ground.equalarea import row_areas
from terrainlib.mask.tiles.bands import Band, Plane
from terrainlib.types import Count, Finite, Sentence, Text, checked

__all__ = [
    "AreaTable",
    "AreaTally",
    "ClassArea",
    "Validation",
    "area_table",
    "validation_of",
]

_NO_ERRORS: Final = (
    "The model file does not tell which errors the model makes on held-out images: "
    "the areas are those of the mask, and how far off they are is not known."
)
_UNLIKE: Final = (
    "The image is unlike the training images, so the errors on held-out images say "
    "nothing about it: the areas are those of the mask, and how far off they are is "
    "not known."
)


_AboutAShare = Annotated[  # as it was rounded
    float, Field(ge=-0.001, le=1.001, allow_inf_nan=False)
]


@dataclass(frozen=True, slots=True)
class ClassArea:
    """One class of a mask. Shares are of all pixels with data, 0 to 1.

    Attributes:
        name: The class.
        pixels: Pixels of it in the mask.
        square_metres: The ground that they cover; None without a reference system.
        share: Share of the mask: of the ground where that is known, else of the pixels.
        adjusted_share: Share corrected by the errors on validation images; None where
            nothing is known of them.
        low_share: Lower end of its 95 % interval, at least 0.
        high_share: Upper end of it, at most 1.
        adjusted_pixels: The corrected share in pixels.
        margin_pixels: Half of the 95 % interval, before it is cut at 0 and 1.
        adjusted_square_metres: The corrected share in square metres.
        margin_square_metres: Half of the 95 % interval.
    """

    name: Text
    pixels: Count
    square_metres: Finite | None
    share: _AboutAShare
    adjusted_share: _AboutAShare | None = None
    low_share: _AboutAShare | None = None
    high_share: _AboutAShare | None = None
    adjusted_pixels: Finite | None = None
    margin_pixels: Finite | None = None
    adjusted_square_metres: Finite | None = None
    margin_square_metres: Finite | None = None


@dataclass(frozen=True, slots=True)
class AreaForm:
    """The plain form of a table of areas, as JSON has it.

    Attributes:
        classes: The rows of the table.
        pixels: As those of the table.
        square_metres: As that of the table.
        notes: As those of the table.
    """

    classes: tuple[ClassArea, ...]
    pixels: Count
    square_metres: Finite | None
    notes: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True)
class AreaTable:
    """The areas of all classes of a mask.

    Attributes:
        rows: One entry a class, in the order of the classes.
        pixels: Pixels with data.
        square_metres: The ground that they cover; None without a reference system.
        notes: What to know about the intervals, a sentence each.
    """

    rows: tuple[ClassArea, ...]
    pixels: int
    square_metres: float | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form."""
        return {
            "pixels": self.pixels,
            "square_metres": self.square_metres,
            "classes": [asdict(row) for row in self.rows],
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the table of a JSON form.

        Raises:
            ValueError: If it is none.
        """
        form = checked(AreaForm, values)
        return cls(form.classes, form.pixels, form.square_metres, form.notes)

    def to_csv(self) -> bytes:
        """Return the table as UTF-8 CSV, one row a class; unknown cells are empty.

        Columns without any value are left out, such as areas without a reference
        system.
        """
        rows = [_rounded(row) for row in self.rows]
        names = [name for name in rows[0] if any(row[name] is not None for row in rows)]
        cells = ([row[name] for name in names] for row in rows)
        return csv_bytes(["class", *names[1:]], cells)


class AreaTally:
    """Counts the pixels of each class, and the ground that they cover.

    It takes the bands of a mask, as any sink, or a whole mask as one band.

    Attributes:
        pixels: (K,) int64 up to now.
        square_metres: (K,) float64 up to now; None where the image lies nowhere.
    """

    wants: ClassVar[tuple[Plane, ...]] = ()

    def __init__(
        self, georeference: Georeference | None, width: int, names: Sequence[str]
    ) -> None:
        self.pixels: Counts = np.zeros(len(names), np.int64)
        self.square_metres: Shares | None = np.zeros(len(names))
        self._georeference = georeference
        self._width = width
        self._names = names

    def write(self, band: Band) -> None:
        """Take the next rows."""
        count = len(self._names)
        counts = np.bincount(band.classes.ravel(), minlength=NO_DATA + 1)
        self.pixels += counts[:count]
        if self.square_metres is None:
            return
        areas = row_areas(self._georeference, band.rows, self._width)
        if areas is None:
            self.square_metres = None
            return
        self.square_metres += np.array(
            [
                float((band.classes == number).sum(axis=1) @ areas)
                for number in range(count)
            ]
        )

    def table(
        self, validation: Validation | None, *, unlike: bool = False
    ) -> AreaTable:
        """Return the areas with their intervals, see `area_table`.

        Args:
            validation: What is known of the model's errors.
            unlike: Whether the image is unlike the training images: there is no
                interval then, and a note says why.
        """
        known = None if unlike else validation
        table = area_table(self._names, self.pixels, known, self.square_metres)
        return replace(table, notes=(_UNLIKE,)) if unlike and table.notes else table


def area_table(
    names: Sequence[str],
    pixels: Counts,
    validation: Validation | None = None,
    square_metres: Shares | None = None,
) -> AreaTable:
    """Return how much each class covers, with a 95 % interval where that is possible.

    The corrected share of a class is the stratified estimator of Olofsson et al., whose
    strata are the classes of the mask: what is found in a class on the validation
    images is expected in it here. The interval counts images and not pixels, and that
    the mapped image has errors of its own (`Validation.half_widths`).

    Args:
        names: Names of the K classes.
        pixels: (K,) int64, pixels of each class in the mask.
        validation: What is known of the model's errors, from `validation_of`.
        square_metres: (K,) float64, ground of each class, where it is known.

    Raises:
        InputError: If the numbers are not one for each class, or negative.

    References:
        Olofsson, Foody, Herold, Stehman, Woodcock, Wulder: Good practices for
        estimating area and assessing accuracy of land change (2014),
        doi:10.1016/j.rse.2014.02.015.
    """
    counts = _checked(pixels, len(names), "pixels")
    ground = None
    if square_metres is not None and _checked(square_metres, len(names), "areas").any():
        ground = np.asarray(square_metres, np.float64)
    total = int(counts.sum())
    plain = [
        ClassArea(
            name=name,
            pixels=int(counts[number]),
            square_metres=None if ground is None else float(ground[number]),
            share=float(_weights(counts if ground is None else ground)[number]),
        )
        for number, name in enumerate(names)
    ]
    whole = None if ground is None else float(ground.sum())
    if validation is None or not total:
        return AreaTable(tuple(plain), total, whole, (_NO_ERRORS,) if total else ())
    rows = _corrected(plain, validation, counts, ground)
    return AreaTable(rows, total, whole, _notes(names, validation, counts))


def _rounded(row: ClassArea) -> dict[str, Any]:
    """Return the cells of a row: shares to a millionth, the rest to a tenth."""
    return {
        name: round(value, 6 if name.endswith("share") else 1)
        if isinstance(value, float)
        else value
        for name, value in asdict(row).items()
    }


def _corrected(
    plain: Sequence[ClassArea],
    validation: Validation,
    counts: NDArray[np.float64],
    ground: Shares | None,
) -> tuple[ClassArea, ...]:
    total = int(counts.sum())
    pixel_shares, pixel_halves = validation.corrected(_weights(counts), total)
    shares, halves = pixel_shares, pixel_halves
    if ground is not None:
        shares, halves = validation.corrected(_weights(ground), total)
    rows = []
    for number, row in enumerate(plain):
        if not validation.occurs[number]:
            rows.append(row)
            continue
        share, half = float(shares[number]), float(halves[number])
        row = replace(
            row,
            adjusted_share=share,
            low_share=max(0.0, share - half),
            high_share=min(1.0, share + half),
            adjusted_pixels=float(pixel_shares[number]) * total,
            margin_pixels=float(pixel_halves[number]) * total,
        )
        if ground is not None:
            area = float(ground.sum())
            row = replace(
                row,
                adjusted_square_metres=share * area,
                margin_square_metres=half * area,
            )
        rows.append(row)
    return tuple(rows)


def _notes(
    names: Sequence[str], validation: Validation, counts: NDArray[np.float64]
) -> tuple[str, ...]:
    notes = [validation.source]
    if validation.images:
        notes.append(
            "They hold for images that look like the training images, and assume that "
            "the mask's errors here are of the same kind."
        )
    shares = _weights(counts)
    for number, name in enumerate(names):
        if validation.unseen[number] and counts[number]:
            notes.append(
                f"{name} was never predicted on the validation images: its "
                f"{shares[number]:.1%} of the mask are taken as mapped, and all "
                "intervals are wider by as much."
            )
        if not validation.occurs[number]:
            notes.append(
                f"{name} does not occur on the validation images: its true area cannot "
                "be estimated."
            )
    return tuple(notes)


def _weights(values: NDArray[np.float64]) -> Shares:
    """Return the share of each class in the whole; zeros of nothing."""
    total = float(values.sum())
    return values / total if total else np.zeros_like(values)


def _checked(values: Any, count: int, what: str) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.shape != (count,) or not np.isfinite(array).all() or array.min() < 0:
        raise InputError(
            f"the {what} of the classes must be {count} numbers of 0 or more, not "
            f"{array.shape} numbers. Count them with the classes of this model."
        )
    return array
