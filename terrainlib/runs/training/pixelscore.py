"""The score of the pixel classifier beside a run, measured on the run's own split.

`python -m terrainlib.runs.training.pixelscore RUN_DIR` fits it and writes
`pixelclassifier.json` into the run folder. A worker starts it as a child. What was
measured is remembered: the next run on the same data and split has it at once. No
TensorFlow.
"""

import argparse
import hashlib
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import cv2

from terrainlib import files
from terrainlib.data.cache import build_cache
from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.splits import Split
from terrainlib.errors import RunError, TerrainError
from terrainlib.mask.scores.evaluation import evaluate
from terrainlib.model.config import UNetConfig
from terrainlib.model.pixelclassifier import FIT_VERSION, fit_pixel_classifier
from terrainlib.model.record import StoredScores
from terrainlib.runs.folder import PIXEL_SCORE_FILE, formatter, read_run
from terrainlib.runs.process import find_process, read_process
from terrainlib.runs.training.material import stored_split
from terrainlib.types import Amount, Count, Share, Text, checked

_OLD_FILE: Final = "yardstick.json"  # of older runs
NICENESS: Final = 19
WATCH_SECONDS: Final = 1.0
_logger = logging.getLogger("terrainlib.runs.training.pixelscore")


@dataclass(frozen=True, slots=True)
class PixelScore:
    """What the pixel classifier scores on the validation part of a run.

    Attributes:
        scores: JSON form of the evaluation, with the time that fit and judgement took,
            and the `split`; `ModelRecord.pixel_classifier` holds the same.
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


def measure(run_dir: Path) -> PixelScore:
    """Fit the pixel classifier on the training part of a run, and judge it.

    Raises:
        RunError: If the run has no division yet, or its data have changed since.
        TerrainError: If the data cannot be used.
    """
    config = read_run(run_dir).config
    network = config.training.network
    dataset = open_dataset(Path(config.data), bands=config.bands)
    split = _split(run_dir, dataset)
    known = remembered(dataset, split, network)
    if known is not None:
        return known
    start = time.perf_counter()
    train = build_cache(dataset, network.image_size).subset(split.train)
    model = fit_pixel_classifier(train, dataset.classes, height=network.height)
    model = replace(model, record=replace(model.record, split=split.to_dict()))
    judged = evaluate(model, dataset, split="validation").to_json(confidence=True)
    values = {**judged, "seconds": round(time.perf_counter() - start, 3)}
    found = PixelScore.from_dict({**values, "split": split.hash})
    if found is None:
        raise RunError("the pixel classifier could not be scored on its split.")
    files.write_json(_memory(dataset, split, network), found.scores)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Score the pixel classifier beside the run named on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m terrainlib.runs.training.pixelscore"
    )
    parser.add_argument("run_dir", type=Path, help="folder of a run")
    parser.add_argument(
        "--with-worker",
        action="store_true",
        help="take only what the run's worker leaves, and end when it ends",
    )
    options = parser.parse_args(arguments)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    if options.with_worker:
        _give_way_to_worker(options.run_dir)
    try:
        found = measure(options.run_dir)
        keep(options.run_dir, found)
    except TerrainError as error:
        _logger.warning("no score of the pixel classifier: %s", error)
        return error.exit_status
    _logger.info("pixel classifier: mIoU %.4f", found.miou)
    return 0


def _give_way_to_worker(run_dir: Path) -> None:
    """Take the lowest priority, and end when the process that trains is gone."""
    with suppress(OSError, AttributeError):  # Windows has no such priorities
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    cv2.setNumThreads(1)
    record = read_process(run_dir)

    def watch() -> None:
        while find_process(record) is not None:
            time.sleep(WATCH_SECONDS)
        os._exit(0)  # nobody waits for the result any more

    threading.Thread(target=watch, daemon=True).start()


def _split(run_dir: Path, dataset: Dataset) -> Split:
    stored = stored_split(run_dir)
    if stored is None or stored.fingerprint != dataset.fingerprint:
        raise RunError(
            "it holds no division of these data into training and validation. Start "
            "a new run.",
            file=run_dir.name,
        )
    return stored.split


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


if __name__ == "__main__":
    sys.exit(main())
