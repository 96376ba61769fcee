"""Scale and crops for large tiles: the same minutes for each, scored at full size.

Run from the project's folder, alone on the machine:
`python -m benchmarks.largetiles DATA [--minutes 6] [--sizes 512:128 256:128 128:128]`.
DATA is a data set whose images are larger than a crop, for example tiles of 512 px.

Each variant is a training of its own as `train` makes it, one after the other, on the
same leak-free split: `IMAGE_SIZE:CROP_SIZE` in px; the image size is that of the median
image, so that half of it is half the scale. `chosen` stands for what `train` takes
without any option. The scores are those of `evaluate --split validation`, at the masks'
own size.
"""

import argparse
import tempfile
from pathlib import Path

from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.model.automatic import TrainingData, choose
from terrainlib.model.config import PRESETS, TrainingConfig
from terrainlib.model.machine import Machine
from terrainlib.model.modelfile import read_record
from terrainlib.runs.folder import MODEL_FILE, create_run
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.train import run_training

CHOSEN = "chosen"
VARIANTS = (CHOSEN, "512:128", "384:128", "256:128", "256:256", "128:128")


def main() -> None:
    """Train each variant and print its scores."""
    options = _parse()
    dataset = open_dataset(options.data)
    side = TrainingData.of(dataset).side
    print(f"{len(dataset.pairs)} pairs of about {side} px, {options.minutes:g} minutes")
    print(f"{'variant':12}{'size':>6}{'crop':>6}{'batch':>7}{'epochs':>8}", end="")
    print(f"{'mIoU':>8}{'boundary F1':>13}", flush=True)
    for variant in options.sizes:
        config = _config(variant, dataset, options)
        epochs, miou, border = _scores(config, dataset)
        sizes = f"{config.network.image_size:6}{config.crop_px:6}{config.batch_size:7}"
        print(f"{variant:12}{sizes}{epochs:8}{miou:8.3f}{border:13.3f}", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the data set")
    parser.add_argument("--minutes", type=float, default=6.0, help="for each variant")
    parser.add_argument("--sizes", nargs="+", default=VARIANTS, metavar="SIZE:CROP")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="fast")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _config(
    variant: str, dataset: Dataset, options: argparse.Namespace
) -> TrainingConfig:
    """Return the training of a variant; what it leaves open is chosen as ever."""
    network = {"classes": len(dataset.classes)}
    crop = None
    if variant != CHOSEN:
        network["image_size"], crop = (int(px) for px in variant.split(":"))
    return choose(
        options.preset,
        TrainingData.of(dataset),
        Machine.here(),
        network=network,
        crop_size=crop,
        minutes=options.minutes,
        seed=options.seed,
    ).config


def _scores(config: TrainingConfig, dataset: Dataset) -> tuple[int, float, float]:
    """Train and return the epochs, the mIoU and the boundary F1 of the best model."""
    with tempfile.TemporaryDirectory(prefix="terrain-benchmark-") as folder:
        run_config = RunConfig("Large tiles", str(dataset.folder), config)
        path = create_run(run_config, path=Path(folder) / "run")
        run_training(path, pixel_score=False)
        record = read_record(path / MODEL_FILE)
    if record is None or record.scores is None:
        raise SystemExit("the training left no model that was judged.")
    scores = record.scores
    return record.training["epochs_done"], scores["miou"], scores["boundary_f1"]


if __name__ == "__main__":
    main()
