"""One more training, on all pairs, of what a clean run has judged.

`python -m terrainlib.runs.training.lasttraining RUN_DIR MODEL.keras --name NAME`

A run holds pairs out to be judged on. Once that is done they can train as well: the
same recipe for the same number of epochs, on every pair of the data set. The new model
keeps the scores, the split and the temperature of the clean run, for it cannot have its
own, and says so. It loads TensorFlow when it trains.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from terrainlib import files
from terrainlib.data.cache import build_cache
from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.errors import RunError, TerrainError
from terrainlib.model.learning.reports import EpochLog, Predict, TrainingHooks
from terrainlib.model.looks import training_statistics
from terrainlib.model.modelfile import read_record
from terrainlib.model.record import ModelRecord
from terrainlib.runs.folder import MODEL_FILE, Run, read_run
from terrainlib.runs.training.start import load_start


def train_on_all(
    run_dir: Path, model_file: Path, *, name: str, notes: tuple[str, ...] = ()
) -> ModelRecord:
    """Train the recipe of a finished run on all pairs and save the model.

    Args:
        run_dir: Folder of a run that has finished.
        model_file: Where the `.keras` file goes; an older one is replaced at the end.
        name: What the model is called.
        notes: Sentences to add to its card.

    Returns:
        The record that was saved with it.

    Raises:
        RunError: If the run has not finished, or its data have changed.
        StorageError: If the model cannot be written.
    """
    from terrainlib.model.learning.calibration import fold_temperature
    from terrainlib.model.learning.epochs import train
    from terrainlib.model.reading.writer import KERAS_FILE, save_model

    run, record, dataset = _judged(run_dir)
    epochs = int(record.training["epochs_done"])
    training = replace(run.config.training, epochs=epochs, minutes=None)
    network = training.network
    pairs = build_cache(dataset, network.image_size, whole=network.resize == "whole")
    seen = pairs.subset((record.split or {}).get("validation", ()))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="last-training-") as folder:
        result = train(
            training,
            pairs,
            seen,
            classes=dataset.classes,
            checkpoints=Path(folder),
            hooks=TrainingHooks(on_epoch=_say),
            start=load_start(run),
        )
    fold_temperature(result.network, record.temperature)
    final = {
        "pairs": len(pairs.ids),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "seed": training.seed,
        "epochs": epochs,
    }
    record = replace(
        record,
        name=name,
        final=final,
        notes=[*record.notes, *notes],
        statistics={**record.statistics, **training_statistics(pairs)},
    )
    with tempfile.TemporaryDirectory(prefix="last-training-") as folder:
        save_model(result.network, record, Path(folder))
        files.write_bytes(model_file, (Path(folder) / KERAS_FILE).read_bytes())
    return record


def _judged(run_dir: Path) -> tuple[Run, ModelRecord, Dataset]:
    """Return a finished run, the record of its model and its unchanged data set."""
    run = read_run(run_dir)
    record = read_record(run_dir / MODEL_FILE)
    if run.state != "finished" or record is None:
        raise RunError(
            "has not finished with a model, so there is no recipe to repeat. Let it "
            "finish first.",
            file=run_dir.name,
        )
    dataset = open_dataset(Path(run.config.data), bands=run.config.bands)
    if dataset.fingerprint != record.dataset.get("fingerprint"):
        raise RunError(
            "was trained on other files than its data set holds now. Train it again "
            "first.",
            file=run_dir.name,
        )
    return run, record, dataset


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m terrainlib.runs.training.lasttraining"
    )
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("model", type=Path, help="the .keras file to write")
    parser.add_argument("--name", required=True, help="what the model is called")
    parser.add_argument("--note", action="append", default=[], help="for its card")
    options = parser.parse_args(arguments)
    try:
        record = train_on_all(
            options.run, options.model, name=options.name, notes=tuple(options.note)
        )
    except TerrainError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_status
    pairs = (record.final or {})["pairs"]
    sys.stdout.write(f"{options.model}: trained on all {pairs} pairs\n")
    return 0


def _say(log: EpochLog, _predict: Predict) -> None:
    line = f"epoch {log.epoch}: loss {log.loss:.4f}, {log.seconds:.1f} s\n"
    sys.stdout.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
