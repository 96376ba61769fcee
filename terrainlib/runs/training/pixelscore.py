"""The score of the pixel classifier, measured on a run's own split.

It is written into the run folder before the training, where that is short, so that it
stands beside the curve from the first epoch on; else after it. While the network learns
it has the processor for itself. What was measured is remembered: the next run on the
same data and split has it at once. No TensorFlow.
"""

import hashlib
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from terrainlib import files
from terrainlib.data.cache import build_cache
from terrainlib.data.dataset import Dataset
from terrainlib.data.splits import Split
from terrainlib.errors import (
    DatasetError,
    InputError,
    StoppedError,
    StorageError,
    TerrainError,
)
from terrainlib.mask.scores.evaluation import evaluate
from terrainlib.metrics import Difference, miou_difference
from terrainlib.model.config import UNetConfig
from terrainlib.model.looks import confusion_groups
from terrainlib.model.pixelclassifier import FIT_VERSION, fit_pixel_classifier
from terrainlib.model.record import StoredScores
from terrainlib.runs.folder import PIXEL_SCORE_FILE, Run
from terrainlib.types import (
    Amount,
    Count,
    Progress,
    Share,
    ShouldStop,
    Text,
    checked,
)

if TYPE_CHECKING:
    from terrainlib.data.cache import PairCache
    from terrainlib.runs.training.material import Material

MIN_TRAINING_PAIRS: Final = 24  # fewer tell nothing
MAX_JUDGED: Final = 2**25  # px times classes, at the working size
_JUDGE_SECONDS: Final = 1e-6  # for each of them, measured on one core
_FIT_SECONDS: Final = 5.0  # its library loaded
_OLD_FILE: Final = "yardstick.json"  # of older runs
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PixelScore:
    """What the pixel classifier scores on the validation part of a run.

    Attributes:
        scores: JSON form of the evaluation, with the time that fit and judgement took,
            the `split` and the `confusion_groups` of its images.
    """

    scores: dict[str, Any]

    @property
    def miou(self) -> float:
        """Mean over the classes that occur, 0 to 1, at the masks' own size."""
        return float(self.scores["miou"])

    @property
    def split(self) -> str:
        """Hash of the split."""
        return str(self.scores["split"])

    @property
    def ahead(self) -> Difference | None:
        """How far the model of the run is ahead in mIoU, once it was judged."""
        if not self.scores.get("ahead"):
            return None
        value, low, high = self.scores["ahead"]
        return Difference(value, (low, high))

    def beside(self, groups: Any) -> Self:
        """Return the scores with how far a model is ahead that was judged beside them.

        Args:
            groups: `confusion_groups` of the model's record.
        """
        scores = {name: self.scores[name] for name in self.scores if name != "ahead"}
        with suppress(ValueError, TypeError, InputError):  # not of the same images
            found = miou_difference(
                *(
                    np.array(g, np.int64)
                    for g in (groups, scores.get("confusion_groups"))
                )
            )
            if found is not None and found.interval is not None:
                scores["ahead"] = [found.value, *found.interval]
        return replace(self, scores=scores)

    @classmethod
    def from_dict(cls, values: Any) -> Self | None:
        """Return the scores of a JSON form; None where they are not whole."""
        try:
            checked(_Needed, values)
            return cls(checked(StoredScores, values))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class _Needed:
    miou: Share
    pixel_accuracy: Share
    images: Count
    seconds: Amount
    split: Text


def read_pixel_score(run_dir: Path) -> PixelScore | None:
    """Return the scores in a run folder; None while or where there are none."""
    found = PixelScore.from_dict(files.read_json(Path(run_dir) / PIXEL_SCORE_FILE))
    return found or PixelScore.from_dict(files.read_json(Path(run_dir) / _OLD_FILE))


def remembered(
    dataset: Dataset, split: Split, network: UNetConfig
) -> PixelScore | None:
    """Return what was measured before on the same data, split, size and heights."""
    found = PixelScore.from_dict(files.read_json(_memory(dataset, split, network)))
    return found if found is not None and found.split == split.hash else None


def keep(run_dir: Path, pixel_score: PixelScore) -> None:
    """Write scores into a run folder.

    Raises:
        StorageError: If it cannot be written.
    """
    files.write_json(run_dir / PIXEL_SCORE_FILE, pixel_score.scores)


def score_pixel_classifier(
    run: Run, material: "Material", show: Progress, should_stop: ShouldStop
) -> None:
    """Leave the score in the folder of a run: what is known, else what is measured now.

    A failure is logged, and the training does without.

    Raises:
        StoppedError: If `should_stop` said so.
    """
    if not seconds_needed(run, material):
        return
    network = run.config.training.network
    try:
        found = measure(material.dataset, material.split, network, show, should_stop)
        keep(run.path, found)
        _logger.info("pixel classifier: mIoU %.4f", found.miou)
    except StoppedError:
        raise
    except (TerrainError, OSError, MemoryError) as error:
        _logger.warning("no score of the pixel classifier: %s", error)


def seconds_needed(run: Run, material: "Material") -> float:
    """Return about what measuring takes with one core; 0 where nothing is to be done.

    Too few pairs are not measured. What is remembered is put into the run folder.
    """
    if len(material.train.ids) < MIN_TRAINING_PAIRS:
        return 0.0
    found, split = read_pixel_score(run.path), material.split
    if found is not None and found.split == split.hash:
        return 0.0
    known = remembered(material.dataset, split, run.config.training.network)
    if known is not None:
        with suppress(StorageError):
            keep(run.path, known)
        return 0.0
    pixels = sum(mask.size for mask in material.validation.masks)
    judged = min(MAX_JUDGED, pixels * len(material.dataset.classes))
    return _FIT_SECONDS + judged * _JUDGE_SECONDS


def measure(
    dataset: Dataset,
    split: Split,
    network: UNetConfig,
    show: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> PixelScore:
    """Fit the pixel classifier on the training part of a split, and judge it.

    Of very many validation pairs some are judged, spread evenly.

    Args:
        dataset: The data set.
        split: Its division.
        network: What the classifier is compared with: its image size and heights count.
        show: Called with the numbers of pairs judged and in all.
        should_stop: Asked between pairs.

    Raises:
        StoppedError: If `should_stop` said so.
        TerrainError: If the data cannot be used.
    """
    start = time.perf_counter()
    pairs = build_cache(dataset, network.image_size, should_stop=should_stop)
    model = fit_pixel_classifier(
        pairs.subset(split.train),
        dataset.classes,
        height=network.height,
        should_stop=should_stop,
    )
    seen = _spread(pairs.subset(split.validation), len(dataset.classes))
    division = {**split.to_dict(), "validation": seen}
    model = replace(model, record=replace(model.record, split=division))
    judged = evaluate(
        model, dataset, split="validation", progress=show, should_stop=should_stop
    )
    values = {
        **judged.to_json(confidence=True),
        "seconds": round(time.perf_counter() - start, 3),
        "split": split.hash,
    }
    groups = confusion_groups(judged.confusions)
    if groups and set(seen) == set(split.validation):  # as the network is judged
        values["confusion_groups"] = groups
    found = PixelScore.from_dict(values)
    if found is None:
        raise DatasetError("nothing could be scored on its split.", file=dataset.name)
    files.write_json(_memory(dataset, split, network), found.scores)
    return found


def _spread(pairs: "PairCache", classes: int) -> list[str]:
    """Return the ids of the pairs to judge: all, or every so many where they are many.

    Trees look at each pixel once for each class.
    """
    pixels = sum(mask.size for mask in pairs.masks)
    return list(pairs.ids[:: max(1, -(-pixels * classes // MAX_JUDGED))])


def _memory(dataset: Dataset, split: Split, network: UNetConfig) -> Path:
    """Return the file that remembers scores: its name is all it depends on."""
    facts = [
        str(FIT_VERSION),
        dataset.fingerprint,
        split.hash,
        str(network.image_size),
        str(network.height),
        *(f"{entry.name}{entry.color}" for entry in dataset.classes),
        *(() if (used := dataset.band_set) is None else (str(used.to_dict()),)),
    ]
    text = "\n".join(facts).encode("utf-8", "surrogateescape")
    key = hashlib.sha256(text).hexdigest()[:32]
    return files.cache_dir() / "pixelscores" / f"{key}.json"
