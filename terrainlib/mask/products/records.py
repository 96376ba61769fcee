"""What is wanted of an image, and what became of it: plain values that can be kept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar, Final, Self, TypeVar

from pydantic import ConfigDict

from terrainlib.data.choices import BandKeys
from terrainlib.errors import ConfigError
from terrainlib.files import csv_bytes
from terrainlib.mask.cleaning import PostProcessing
from terrainlib.mask.gap import Gap
from terrainlib.mask.ground.areas import AreaForm
from terrainlib.mask.pack.pack import PackTarget
from terrainlib.mask.products.products import products_of
from terrainlib.mask.sharpen import check_amount
from terrainlib.mask.tiles.bands import Plane
from terrainlib.mask.tiles.feeding import check_scale
from terrainlib.mask.vectors.polygons import SmallestArea
from terrainlib.types import (
    Amount,
    Count,
    FilePath,
    Seconds,
    Sentence,
    Share,
    Text,
    checked,
    fits,
)

_T = TypeVar("_T")
# What older records hold beside today's: how tiles met, and what comparing them showed.
_FORMER: Final = frozenset({"tiling", "seams"})


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
        cleaning: How the class mask is cleaned, and with it all that is made of it.
        scale: Working px per image px instead of the model's own, 0.001 to 16.
        bands: Bands to use in place of the model's, by number from 1 or name; None for
            those of the same names.

    Raises:
        ConfigError: If one of them is out of its bounds.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    soft: bool = False
    probabilities: bool = False
    sharpen: float | None = None
    vectors: bool = False
    smallest: SmallestArea = field(default_factory=SmallestArea)
    pack: PackTarget | None = None
    cleaning: PostProcessing = field(default_factory=PostProcessing)
    scale: float | None = None
    bands: BandKeys | None = None

    def __post_init__(self) -> None:
        if self.sharpen is not None:
            check_amount(self.sharpen)
        if self.scale is not None:
            check_scale(self.scale)

    @property
    def planes(self) -> frozenset[Plane]:
        """What a prediction gives for it beside the classes, for `estimate`."""
        return frozenset(
            plane for product in products_of(self) for plane in product.wants
        )

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
        return _read(cls, values)


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
        notes: What to know about the image and its files, for people.
        seconds: That all of it took.
        network_seconds: Of these, in the network.
        megapixels_per_second: Predicted pixels of the image over all seconds.
        missing: Those of the notes that tell what was wanted and could not be made.
    """

    name: Text
    files: tuple[FilePath, ...]
    height: Count
    width: Count
    rows: Count
    stopped: bool
    shares: dict[Text, Share]
    areas: Annotated[dict[str, Any], fits(AreaForm)]
    gap: Annotated[dict[str, Any], fits(Gap)]
    unsure_share: Share
    notes: tuple[Sentence, ...]
    seconds: Seconds
    network_seconds: Seconds
    megapixels_per_second: Amount
    missing: tuple[Sentence, ...] = ()

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
        return _read(cls, values)


def _read(cls: type[_T], values: Mapping[str, Any]) -> _T:
    try:
        return checked(cls, {k: v for k, v in values.items() if k not in _FORMER})
    except ValueError as error:
        raise ConfigError(f"{error}.") from error


SHARES_FILE: Final = "class_shares.csv"


def shares_csv(made: Sequence[Made], failures: Mapping[str, str]) -> bytes:
    """Return the class shares of several images as UTF-8 CSV, one row an image.

    The columns are `image`, `state` (done, stopped or failed), `height` and `width` in
    px, `share_NAME` of each class among the pixels with data (0 to 1), `unsure_share`,
    `training_images` (how the image compares with them) and `problem`.
    """
    names = list(dict.fromkeys(name for one in made for name in one.shares))
    header = ["image", "state", "height", "width", *(f"share_{n}" for n in names)]
    header += ["unsure_share", "training_images", "problem"]
    rows: list[list[Any]] = []
    for one in made:
        shares = [_rounded(one.shares.get(name)) for name in names]
        state = "stopped" if one.stopped else "done"
        row = [one.name, state, one.height, one.width, *shares]
        row += [_rounded(one.unsure_share), one.gap.get("title")]
        rows.append([*row, " ".join(one.missing) or None])
    empty = [None] * (len(names) + 4)
    rows += [[name, "failed", *empty, text] for name, text in failures.items()]
    return csv_bytes(header, rows)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)
