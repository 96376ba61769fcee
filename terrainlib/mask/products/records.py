"""What is wanted of an image, and what became of it: plain values that can be kept."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, Self

from terrainlib.errors import ConfigError
from terrainlib.mask.pack.pack import PackTarget
from terrainlib.mask.sharpen import MAX_AMOUNT
from terrainlib.mask.tiles.bands import Plane
from terrainlib.mask.tiles.feeding import MAX_SCALE, MIN_SCALE
from terrainlib.mask.vectors.polygons import SmallestArea

Tiling = Literal["exact", "blend", "whole"]
TILINGS: Final[tuple[str, ...]] = ("exact", "blend", "whole")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to make of an image beside its class mask, and how.

    Attributes:
        soft: The soft mask.
        probabilities: The probabilities, for georeferenced images.
        sharpen: The soft mask sharpened by this amount (0 to 10, Laplacian); None for
            none.
        vectors: Polygons of the classes.
        smallest: The smallest area that gets a polygon of its own.
        pack: A world-builder's pack; None for none.
        tiling: `exact`, `blend`, or `whole` for one pass over a small image.
        scale: Working px per image px instead of the model's own, 0.001 to 16.
        bands: Numbers, from 1, of the bands to use as red, green and blue; None for
            the file's own.

    Raises:
        ConfigError: If one of them is out of its bounds.
    """

    soft: bool = False
    probabilities: bool = False
    sharpen: float | None = None
    vectors: bool = False
    smallest: SmallestArea = field(default_factory=SmallestArea)
    pack: PackTarget | None = None
    tiling: Tiling = "exact"
    scale: float | None = None
    bands: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        for option in ("soft", "probabilities", "vectors"):
            if not isinstance(getattr(self, option), bool):
                raise ConfigError(f"{option} must be true or false.")
        if self.tiling not in TILINGS:
            raise ConfigError(
                f"the tiling must be exact, blend or whole, not {self.tiling!r}. "
                "Choose one of them."
            )
        _within("amount of sharpening", self.sharpen, 0.0, MAX_AMOUNT)
        _within("scale", self.scale, MIN_SCALE, MAX_SCALE)
        if self.bands is not None and not _are_bands(self.bands):
            raise ConfigError(
                f"bands are three numbers from 1 on, not {self.bands!r}. Name those to "
                "use as red, green and blue."
            )

    @property
    def planes(self) -> frozenset[Plane]:
        """What a prediction gives for it beside the classes, for `estimate`."""
        soft = self.soft or self.sharpen is not None
        weights = self.probabilities or self.pack is not None
        names: tuple[tuple[Plane, bool], ...] = (("soft", soft), ("weights", weights))
        return frozenset(name for name, needed in names if needed)

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form."""
        bands = None if self.bands is None else list(self.bands)
        return asdict(self) | {"bands": bands}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what a JSON form says; what it leaves out has its usual value.

        Raises:
            ConfigError: If an option is unknown, of a wrong type or out of its bounds.
        """
        try:
            _only_known(cls, values)
            read = dict(values)
            if isinstance(read.get("smallest"), Mapping):
                read["smallest"] = SmallestArea(**read["smallest"])
            if isinstance(read.get("pack"), Mapping):
                read["pack"] = PackTarget(**read["pack"])
            if isinstance(read.get("bands"), list):
                read["bands"] = tuple(read["bands"])
            wanted = cls(**read)
            fits = isinstance(wanted.smallest, SmallestArea)
            fits &= wanted.pack is None or isinstance(wanted.pack, PackTarget)
        except TypeError as error:
            raise ConfigError(f"an option is of a wrong type ({error}).") from error
        if not fits:
            raise ConfigError("smallest and pack must be objects, or left out.")
        return wanted


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one image.

    Attributes:
        name: Name of the image, without folders.
        files: What was written.
        height: Rows of the image.
        width: Columns of the image.
        rows: Rows that are predicted; all of them, unless it was stopped.
        stopped: Whether it ended early because it was asked to. The mask then has no
            data below, and there are neither vectors nor a pack.
        shares: Share of each class among the pixels with data, 0 to 1; 0 without any.
        areas: The table of areas, `AreaTable.to_dict`.
        gap: How the image compares with the training images: the attributes of `Gap`,
            and its `title`.
        unsure_share: Share of the pixels with data that the model is unsure of, 0 to 1.
        seams: `largest_difference` and `windows` of the seam certificate; None where
            there are no seams.
        notes: What to know about the image and its files, for people.
        seconds: That all of it took.
        network_seconds: Of these, in the network.
        megapixels_per_second: Predicted pixels of the image over all seconds.
        missing: Those of the notes that tell what was wanted and could not be made.
    """

    name: str
    files: tuple[Path, ...]
    height: int
    width: int
    rows: int
    stopped: bool
    shares: dict[str, float]
    areas: dict[str, Any]
    gap: dict[str, Any]
    unsure_share: float
    seams: dict[str, Any] | None
    notes: tuple[str, ...]
    seconds: float
    network_seconds: float
    megapixels_per_second: float
    missing: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form."""
        listed = {name: list(getattr(self, name)) for name in ("notes", "missing")}
        return asdict(self) | listed | {"files": [str(path) for path in self.files]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what a JSON form says.

        Raises:
            ConfigError: If it is none of this class.
        """
        try:
            _only_known(cls, values)
            read = dict(values)
            read["files"] = tuple(Path(path) for path in read["files"])
            read["notes"] = tuple(map(str, read["notes"]))
            read["missing"] = tuple(map(str, read.get("missing", ())))
            return cls(**read)
        except (TypeError, KeyError) as error:
            raise ConfigError(
                f"a result is incomplete or of a wrong type ({error})."
            ) from error


def _only_known(cls: Any, values: Mapping[str, Any]) -> None:
    names = [item.name for item in fields(cls)]
    if strangers := sorted(set(values) - set(names)):
        raise ConfigError(
            f"unknown option {strangers[0]!r}. Known: {', '.join(sorted(names))}."
        )


def _within(option: str, value: Any, low: float, high: float) -> None:
    if value is None:
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and low <= value <= high):
        raise ConfigError(
            f"the {option} must be {low:g} to {high:g}, not {value!r}. Choose a number "
            "in that range."
        )


def _are_bands(bands: Any) -> bool:
    return len(bands) == 3 and all(
        isinstance(band, int) and not isinstance(band, bool) and band >= 1
        for band in bands
    )
