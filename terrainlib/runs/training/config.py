"""What a training is asked to do: plain values."""

from dataclasses import asdict, dataclass
from typing import Any

from terrainlib.data.choices import BandKeys
from terrainlib.errors import ConfigError
from terrainlib.model.config import TrainingConfig
from terrainlib.runs.process import utc_now
from terrainlib.types import Moment, PathText

MAX_NAME_LETTERS = 80


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What a run was asked to do; the contents of `config.json`.

    Attributes:
        name: The run's name for people, 1 to 80 letters.
        data: Path of the data set's folder.
        training: Network, budget and options.
        created: UTC ISO time; empty for "now".
        bands: Bands of the images by number or name; None leaves them to the data set.
        start_from: The model that it starts from, as `load_model` takes it; None for
            weights at random.
    """

    name: str
    data: PathText
    training: TrainingConfig
    created: Moment = ""
    bands: BandKeys | None = None
    start_from: PathText | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.name.strip()) <= MAX_NAME_LETTERS:
            raise ConfigError(
                f"the name of a run must have 1 to {MAX_NAME_LETTERS} letters."
            )
        if not self.created:
            object.__setattr__(self, "created", utc_now())

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form."""
        values = asdict(self) | {"training": self.training.to_dict()}
        if self.bands is None:
            del values["bands"]
        return values
