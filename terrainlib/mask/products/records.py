"""What is wanted of an image, and what became of it: plain values that can be kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

from terrainlib.errors import ConfigError
from terrainlib.mask.pack.target import PackTarget
from terrainlib.mask.sharpen import check_amount
from terrainlib.mask.tiles.bands import Plane
from terrainlib.mask.tiles.feeding import check_scale
from terrainlib.mask.vectors.polygons import SmallestArea

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
    scale: float | None = None
    bands: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        for option in ("soft", "probabilities", "vectors"):
            if not isinstance(getattr(self, option), bool):
                raise ConfigError(f"{option} must be true or false.")
        if self.sharpen is not None:
            check_amount(self.sharpen)
        if self.scale is not None:
            check_scale(self.scale)
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
            read = _only_known(cls, values)
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
            read = _only_known(cls, values)
            read["files"] = tuple(Path(path) for path in read["files"])
            read["notes"] = tuple(map(str, read["notes"]))
            read["missing"] = tuple(map(str, read.get("missing", ())))
            return cls(**read)
        except (TypeError, KeyError) as error:
            raise ConfigError(
                f"a result is incomplete or of a wrong type ({error})."
            ) from error


def _only_known(cls: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a JSON form without those of former times."""
    read = {key: value for key, value in values.items() if key not in _FORMER}
    names = [item.name for item in fields(cls)]
    if unknown := sorted(set(read) - set(names)):
        raise ConfigError(
            f"unknown option {unknown[0]!r}. Known: {', '.join(sorted(names))}."
        )
    return read


def _are_bands(bands: Any) -> bool:
    return len(bands) == 3 and all(
        isinstance(band, int) and not isinstance(band, bool) and band >= 1
        for band in bands
    )
