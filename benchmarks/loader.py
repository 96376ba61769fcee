"""The loader against the original notebook's: memory, first pass, later epochs.

Run from the project's folder: `python -m benchmarks.loader [--pairs 2000]`. Pairs of
512 px are made from the embedded sample (enlarged, with noise, so that decoding costs
what real ones cost) and each loader reads them in a process of its own.

The original's way: `imread` and bilinear `resize` to 128 px of image and mask, all kept
in lists of float32 arrays, then stacked; batches are shuffled rows of the stacks. Ours:
check of every file, compact cache at 128 px, batches through `tf.data`, augmented, with
masks as classes. Memory is the resident set above the process with its imports (and
TensorFlow started, which is no loader's doing).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from PIL import Image

from terrainlib.data.sample import SAMPLE_DIR

SOURCE_SIZE_PX = 512
IMAGE_SIZE_PX = 128
BATCH_SIZE = 32
NOISE = 4.0
SAMPLE_TILES = 320
EPOCHS = 2  # timed after the first pass; the faster one counts


@dataclass(frozen=True)
class Figures:
    """What one loader needed.

    Attributes:
        memory_mb: Peak of the resident set above the process with its imports.
        first_pass_s: Seconds until all pairs can be served.
        epoch_s: Seconds to serve the pairs once, shuffled, in batches.
        served: Pairs in such an epoch; full batches only.
    """

    memory_mb: float
    first_pass_s: float
    epoch_s: float
    served: int

    @property
    def served_a_second(self) -> float:
        """Pairs that a later epoch serves a second."""
        return self.served / self.epoch_s


def main() -> None:
    """Make the pairs, measure both loaders, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--measure", choices=sorted(LOADERS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(asdict(LOADERS[options.measure](options.folder))))
        return
    with tempfile.TemporaryDirectory(prefix="terrain-benchmark-") as name:
        folder = Path(name) / "pairs"
        print(f"making {options.pairs} pairs of {SOURCE_SIZE_PX} px ...", flush=True)
        make_pairs(folder, options.pairs)
        figures = {kind: _in_own_process(kind, folder) for kind in ("original", "ours")}
    print_table(figures["original"], figures["ours"], options.pairs)


def make_pairs(folder: Path, pairs: int) -> None:
    """Write pairs in the Kaggle layout, in parallel, the same for the same number."""
    folder.mkdir(parents=True)
    with ProcessPoolExecutor() as pool:
        jobs = [(folder, number) for number in range(1, pairs + 1)]
        for _ in pool.map(_make_pair, jobs, chunksize=16):
            pass


def _make_pair(job: tuple[Path, int]) -> None:
    """Write one pair: an enlarged, mirrored and noisy tile of the sample."""
    folder, number = job
    rng = np.random.default_rng(number)
    tile = f"{int(rng.integers(SAMPLE_TILES)) + 1:04d}"
    flip = int(rng.integers(-1, 2))
    image = cv2.flip(_pixels(SAMPLE_DIR / f"{tile}_t.png"), flip)
    mask = cv2.flip(_pixels(SAMPLE_DIR / f"{tile}_i2.png"), flip)
    size = (SOURCE_SIZE_PX, SOURCE_SIZE_PX)
    large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    noisy = np.clip(large + rng.normal(0, NOISE, (*size, 1)), 0, 255).astype(np.uint8)
    large_mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    Image.fromarray(noisy).save(folder / f"{number:04d}_t.png")
    Image.fromarray(large_mask).save(folder / f"{number:04d}_i2.png")


def _pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _in_own_process(kind: str, folder: Path) -> Figures:
    """Measure a loader in a fresh process with an empty cache."""
    print(f"measuring {kind} ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="terrain-benchmark-") as home:
        command = [sys.executable, "-m", "benchmarks.loader"]
        command += ["--measure", kind, "--folder", str(folder)]
        done = subprocess.run(
            command,
            env=os.environ | {"TERRAINLIB_HOME": home, "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"measuring {kind} failed:\n{done.stderr}")
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def measure_original(folder: Path) -> Figures:
    """Measure the notebook's loader."""
    import matplotlib.image

    def read(path: Path) -> Any:
        return cv2.resize(matplotlib.image.imread(path), (IMAGE_SIZE_PX, IMAGE_SIZE_PX))

    names = sorted(path.name[: -len("_t.png")] for path in folder.glob("*_t.png"))
    with _peak_memory() as peak_mb:
        start = time.perf_counter()
        images, masks = [], []
        for name in names:
            images.append(read(folder / f"{name}_t.png"))
            masks.append(read(folder / f"{name}_i2.png"))
        inputs, targets = np.array(images), np.array(masks)
        first_pass = time.perf_counter() - start

        def serve(epoch: int) -> int:
            order = np.random.default_rng(epoch).permutation(len(inputs))
            served = 0
            for rows in np.split(order, range(BATCH_SIZE, len(order), BATCH_SIZE)):
                batch = inputs[rows], targets[rows]
                served += len(batch[0])
            return served

        epoch_s, served = _best_epoch(serve)
    return Figures(peak_mb(), first_pass, epoch_s, served)


def measure_ours(folder: Path) -> Figures:
    """Measure the library's loader, as a training uses it."""
    import tensorflow as tf

    from terrainlib.data.cache import build_cache
    from terrainlib.data.dataset import open_dataset
    from terrainlib.model.config import TrainingConfig
    from terrainlib.model.learning.pipeline import training_batches

    tf.data.Dataset.range(2).map(lambda x: x + 1).reduce(np.int64(0), tf.add)
    config = TrainingConfig.preset(
        "fast", network={"image_size": IMAGE_SIZE_PX}, batch_size=BATCH_SIZE
    )
    with _peak_memory() as peak_mb:
        start = time.perf_counter()
        dataset = open_dataset(folder)
        cache = build_cache(dataset, IMAGE_SIZE_PX)
        first_pass = time.perf_counter() - start
        steps = max(1, len(cache.ids) // BATCH_SIZE)

        def serve(epoch: int) -> int:
            batches = training_batches(cache, config, epoch=epoch, steps=steps)
            return sum(len(inputs) for inputs, _ in batches)

        epoch_s, served = _best_epoch(serve)
    return Figures(peak_mb(), first_pass, epoch_s, served)


LOADERS: dict[str, Callable[[Path], Figures]] = {
    "original": measure_original,
    "ours": measure_ours,
}


def _best_epoch(serve: Callable[[int], int]) -> tuple[float, int]:
    """Return the seconds of the fastest of a few epochs, and the pairs it served."""
    epochs = []
    for epoch in range(1, EPOCHS + 1):
        start = time.perf_counter()
        served = serve(epoch)
        epochs.append((time.perf_counter() - start, served))
    return min(epochs)


@contextmanager
def _peak_memory() -> Iterator[Callable[[], float]]:
    """Watch the resident set; the callable gives its peak above the start, in MB."""
    process = psutil.Process()
    base = process.memory_info().rss
    peak = base
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.01):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: (peak - base) / 1e6
    finally:
        over.set()
        watcher.join()


def print_table(original: Figures, ours: Figures, pairs: int) -> None:
    """Print both loaders' figures, and the goals that they are held against."""
    read_a_second = pairs / original.first_pass_s
    ratio = ours.served_a_second / read_a_second
    rows = [
        ("peak memory, MB", original.memory_mb, ours.memory_mb),
        ("first pass, s", original.first_pass_s, ours.first_pass_s),
        ("first pass, pairs/s", read_a_second, pairs / ours.first_pass_s),
        ("later epochs, pairs/s", original.served_a_second, ours.served_a_second),
    ]
    print(f"\n{pairs} pairs of {SOURCE_SIZE_PX} px, read at {IMAGE_SIZE_PX} px")
    print(f"{'':24}{'original':>12}{'ours':>12}{'ours/original':>16}")
    for name, first, second in rows:
        print(f"{name:24}{first:12,.1f}{second:12,.1f}{second / first:16.2f}")
    print(
        f"\nThe original reads {read_a_second:.0f} pairs a second from files; later "
        f"epochs of ours serve {ours.served_a_second:.0f},\n{ratio:.1f} times as many. "
        "The original's own later epochs are rows of float arrays\nheld in memory; "
        "ours come from the cache, augmented, as the network's input."
    )
    goals = [
        ("memory at most a quarter", ours.memory_mb <= original.memory_mb / 4),
        ("first pass no slower", ours.first_pass_s <= original.first_pass_s),
        ("later epochs 4 times as fast as the original's reading", ratio >= 4),
    ]
    for goal, reached in goals:
        print(f"{'reached' if reached else 'MISSED':8} {goal}")


if __name__ == "__main__":
    main()
