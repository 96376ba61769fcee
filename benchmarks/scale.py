"""Large data sets: memory and pairs a second of scan, cache and batches.

Run from the project's folder: `python -m benchmarks.scale [--pairs 1000 10000 50000]`.
Pairs of 512 px are hard links to a few that are made from the embedded sample, so that
50,000 of them take no room; every one of them is read as if it were a file of its own.
Each size is a process of its own with an empty cache. Memory of its own is what the
process has allocated (RssAnon) above its imports; on top of that lie the pages of the
cache that it has looked at, which the system takes back when it needs them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from terrainlib.data.palette import KAGGLE_CLASSES, color_table
from terrainlib.data.sample import SAMPLE_DIR

SOURCE_SIZE_PX = 512
IMAGE_SIZE_PX = 128
BATCH_SIZE = 32
MADE = 64  # different pairs; the others are links to them
STEPS = 100  # of batches that are timed
SIZES = (1_000, 10_000, 50_000)


def main() -> None:
    """Make the data sets, measure each in its own process, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=SIZES)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    with tempfile.TemporaryDirectory(prefix="terrain-benchmark-") as name:
        root = Path(name)
        made = make_few(root / "made")
        for pairs in options.pairs:
            folder = link_many(made, root / f"pairs-{pairs}", pairs)
            print_row(pairs, _in_own_process(folder))


def make_few(folder: Path) -> list[tuple[Path, Path]]:
    """Write `MADE` pairs, JPEG and PNG with a palette; return their paths."""
    folder.mkdir(parents=True)
    size = (SOURCE_SIZE_PX, SOURCE_SIZE_PX)
    colors = color_table(KAGGLE_CLASSES)
    made = []
    for number in range(1, MADE + 1):
        image, mask = folder / f"{number}.jpg", folder / f"{number}.png"
        with Image.open(SAMPLE_DIR / f"{number:04d}_t.png") as picture:
            picture.convert("RGB").resize(size).save(image, quality=90)
        with Image.open(SAMPLE_DIR / f"{number:04d}_i2.png") as picture:
            pixels = np.asarray(
                picture.convert("RGB").resize(size, Image.Resampling.NEAREST)
            )
        distances = abs(pixels[..., None, :].astype(int) - colors).sum(axis=-1)
        indexed = Image.fromarray(distances.argmin(axis=-1).astype(np.uint8), "P")
        indexed.putpalette(colors.ravel().tolist())
        indexed.save(mask)
        made.append((image, mask))
    return made


def link_many(made: list[tuple[Path, Path]], folder: Path, pairs: int) -> Path:
    """Link `pairs` pairs, in the folders `images` and `masks`, to the few there are."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(pairs):
        image, mask = made[number % len(made)]
        os.link(image, folder / "images" / f"{number:06d}.jpg")
        os.link(mask, folder / "masks" / f"{number:06d}.png")
    return folder


def _in_own_process(folder: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="terrain-benchmark-") as home:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.scale", "--measure", str(folder)],
            env=os.environ | {"TERRAINLIB_HOME": home, "CUDA_VISIBLE_DEVICES": "-1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(folder: Path) -> dict[str, Any]:
    """Return the figures of each phase of one data set."""
    import tensorflow as tf

    from terrainlib.data.cache import build_cache
    from terrainlib.data.dataset import open_dataset
    from terrainlib.data.overlaps import Overlaps
    from terrainlib.data.splits import leak_free_split
    from terrainlib.model.config import TrainingConfig
    from terrainlib.model.learning.pipeline import epoch_crops, training_batches

    tf.zeros(1)
    config = TrainingConfig.preset(
        "fast",
        network={"image_size": IMAGE_SIZE_PX, "classes": len(KAGGLE_CLASSES)},
        batch_size=BATCH_SIZE,
    )
    base, _ = _resident_mb()
    phases: dict[str, Any] = {}
    with _phase(phases, "scan", base):
        dataset = open_dataset(folder)
    del dataset
    with _phase(phases, "opened again", base):
        dataset = open_dataset(folder)
    with _phase(phases, "cache", base):
        cache = build_cache(dataset, IMAGE_SIZE_PX)
    with _phase(phases, "split", base):
        counts = {pair.id: pair.counts for pair in dataset.pairs}
        split = leak_free_split(dataset.ids, Overlaps(()), counts)
        train = cache.subset(split.train)
    with _phase(phases, "batches", base):
        steps = min(STEPS, epoch_crops(train, config) // BATCH_SIZE)
        for _ in training_batches(train, config, epoch=1, steps=steps):
            pass
    phases["batches"]["pairs"] = steps * BATCH_SIZE
    return phases


@contextmanager
def _phase(phases: dict[str, Any], name: str, base: float) -> Iterator[None]:
    """Note what a block takes: seconds, of the processor, and memory at its peak."""
    peak = [0.0, 0.0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            peak[:] = map(max, peak, _resident_mb())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start, cpu = time.perf_counter(), time.process_time()
    yield
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    over.set()
    watcher.join()
    peak[:] = map(max, peak, _resident_mb())
    phases[name] = {
        "seconds": round(seconds, 2),
        "cpu_s": round(cpu_s, 2),
        "own_mb": round(peak[0] - base),
        "mapped_mb": round(peak[1]),
    }
    print(name, phases[name], file=sys.stderr, flush=True)


def _resident_mb() -> tuple[float, float]:
    """Return the resident memory of its own, and of mapped files, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    own, mapped = (int(found[key].split()[0]) / 1000 for key in ("RssAnon", "RssFile"))
    return own, mapped


def print_row(pairs: int, phases: dict[str, Any]) -> None:
    """Print what the phases of a data set took."""
    print(f"\n{pairs:,} pairs of {SOURCE_SIZE_PX} px, trained at {IMAGE_SIZE_PX} px")
    print(f"{'':14}{'pairs/CPU s':>12}{'pairs/s':>10}{'own MB':>9}{'mapped MB':>11}")
    for name, took in phases.items():
        count = took.get("pairs", pairs)
        a_cpu = count / max(took["cpu_s"], 0.01)
        a_second = count / max(took["seconds"], 0.01)
        print(
            f"{name:14}{a_cpu:12,.0f}{a_second:10,.0f}{took['own_mb']:9,}"
            f"{took['mapped_mb']:11,}",
            flush=True,
        )


if __name__ == "__main__":
    main()
