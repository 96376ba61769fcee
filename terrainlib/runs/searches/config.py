"""What a search for overlaps is asked to do: plain values."""

from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any, Self

from terrainlib.data.choices import BandKeys
from terrainlib.data.dataset import Dataset
from terrainlib.data.overlaps import search_key
from terrainlib.runs.process import utc_now
from terrainlib.types import Moment, PathText, Text


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """What a search was asked to do; the contents of `search.json`.

    Attributes:
        data: Path of the data set's folder.
        key: What is searched: `search_key` of the data set as it was.
        bands: Bands of the images by number or name; None leaves them to the data set.
        created: UTC ISO time; empty for "now".
    """

    data: PathText
    key: Text
    bands: BandKeys | None = None
    created: Moment = ""

    def __post_init__(self) -> None:
        if not self.created:
            object.__setattr__(self, "created", utc_now())

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Return the configuration of the search of a data set."""
        return cls(str(dataset.folder), search_key(dataset), dataset.bands.keys)

    @property
    def name(self) -> str:
        """What to call it: the data set."""
        return PurePath(self.data).name

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form."""
        return asdict(self)
