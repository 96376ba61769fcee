"""The overlap finder: time, memory, and how much of what it finds is true.

Run from the project's folder: `python -m benchmarks.overlaps [--patches 5000]` cuts
patches at random places out of one large map made for it (relief with light from the
north-west, detail at all scales), so that which of them share ground is known, and
searches them in a process of its own. `python -m benchmarks.overlaps --folder DATA`
scores a data set with a `tiles.csv` (id and centre as lat and lon in degrees; see
`--arc-minutes`) instead; the finder never reads that file.

Recall counts the pairs that share at least a fifth of the larger patch, precision all
reported pairs. The splits are judged by the truth: how many validation patches share
any ground with a training patch.
"""

import argparse
import csv
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image

from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.overlaps import find_overlaps
from terrainlib.data.palette import KAGGLE_CLASSES, colorize
from terrainlib.data.splits import Split, leak_free_split, random_split

CLEAR_SHARE: Final = 0.2
COVERAGE: Final = 4.0  # patches over a place of the map, on average
ROWS: Final = 512  # of the map painted at once
TINTS: Final = ((0.75, -0.25), (0.6, 0.1), (0.35, 0.2))  # of red, green and blue
Box = tuple[float, float, float, float]  # west, east, south, north; weights cancel
Shares = dict[tuple[str, str], float]


def main() -> None:
    """Make or take the patches, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=1000)
    parser.add_argument("--size", type=int, default=512, help="px of a patch's side")
    parser.add_argument("--folder", type=Path, help="a data set with a tiles.csv")
    parser.add_argument("--arc-minutes", type=float, default=4.0, help="of a pixel")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.folder)))
        return
    if options.folder:
        truth = tiles_truth(options.folder, options.arc_minutes)
        print_table(_in_own_process(options.folder), truth)
        return
    with tempfile.TemporaryDirectory(prefix="terrain-benchmark-") as name:
        folder = Path(name) / "patches"
        print(f"cutting {options.patches} patches of {options.size} px ...", flush=True)
        truth = cut_patches(folder, options.patches, options.size)
        print_table(_in_own_process(folder), truth)


def measure(folder: Path) -> dict[str, Any]:
    """Search a data set; return what was found and what it took."""
    dataset = open_dataset(folder)
    start = time.perf_counter(), time.process_time()
    with peak_memory() as peak:
        overlaps = find_overlaps(dataset)
    seconds, processor = time.perf_counter() - start[0], time.process_time() - start[1]
    start_split = time.perf_counter()
    counts = {pair.id: pair.counts for pair in dataset.pairs}
    clean = leak_free_split(dataset.ids, overlaps, counts)
    return {
        "patches": len(dataset.pairs),
        "seconds": seconds,
        "processor_seconds": processor,
        "memory_mb": max(peak),
        "split_seconds": time.perf_counter() - start_split,
        "found": [[pair.first, pair.second, pair.share] for pair in overlaps.pairs],
        "clean": clean.to_dict(),
        "random": random_split(dataset.ids).to_dict(),
        "classes": _class_distance(dataset, clean),
    }


def cut_patches(folder: Path, patches: int, size: int) -> Shares:
    """Write patches of a large map; return the truly shared parts."""
    folder.mkdir(parents=True)
    side = max(2 * size, math.ceil(size * math.sqrt(patches / COVERAGE)))
    land = make_map(side)
    rng = np.random.default_rng(1)
    places = rng.integers(0, side - size + 1, (patches, 2))
    names = [f"{number:05d}" for number in range(1, patches + 1)]

    def write(job: tuple[str, NDArray[np.int64]]) -> None:
        name, (top, left) = job
        rgb = land[top : top + size, left : left + size]
        mask = (rgb[..., 0] // 40).astype(np.uint8)
        Image.fromarray(rgb).save(folder / f"{name}_t.png", compress_level=1)
        colours = colorize(np.minimum(mask, 6), KAGGLE_CLASSES)
        Image.fromarray(colours).save(folder / f"{name}_i2.png", compress_level=1)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, zip(names, places, strict=True)))
    boxes: dict[str, Box] = {
        name: (float(left), float(left + size), float(top), float(top + size))
        for name, (top, left) in zip(names, places, strict=True)
    }
    return _shares(boxes)


def make_map(side: int) -> NDArray[np.uint8]:
    """Return a map (S, S, 3): fractal relief, lit from the north-west, in tints."""
    rng = np.random.default_rng(0)
    land, wet = _fractal(rng, side), _fractal(rng, side)
    strength = 0.12 / max(float(np.diff(land[::8]).std()), 1e-9)
    out = np.empty((side, side, 3), np.uint8)
    for top in range(0, side, ROWS):
        rows = slice(top, top + ROWS)
        high, moist = land[rows], wet[rows]
        light = np.zeros_like(high)
        light[1:, 1:] = strength * (high[1:, 1:] - high[:-1, :-1])
        for band, (by_height, by_wet) in enumerate(TINTS):
            tint = 0.2 + light + by_height * high + by_wet * moist
            out[rows, :, band] = (255 * np.clip(tint, 0, 1)).astype(np.uint8)
    return out


def _fractal(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Return noise whose spread grows with its size, in [0, 1]."""
    total = np.zeros((side, side), np.float32)
    cell = 4
    while cell < side:
        cells = side // cell + 2
        noise = rng.random((cells, cells), dtype=np.float32)
        wide = cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
        total += wide * np.float32(min(cell, 512) ** 0.9)
        cell *= 2
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / (high - low), np.float32)


def tiles_truth(folder: Path, arc_minutes: float) -> Shares:
    """Return the truly shared parts of tiles whose centres `tiles.csv` tells.

    Columns are stretched by 1 / cos(latitude) of the centre. South and north are given
    as sines of the latitude, so that products of sides are areas of ground.
    """
    dataset = open_dataset(folder)
    boxes: dict[str, Box] = {}
    with (folder / "tiles.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            high, wide = (
                side * arc_minutes / 120 for side in dataset.pair(row["id"]).size
            )
            latitude, longitude = float(row["lat"]), float(row["lon"])
            wide /= math.cos(math.radians(latitude))
            boxes[row["id"]] = (
                longitude - wide,
                longitude + wide,
                math.sin(math.radians(latitude - high)),
                math.sin(math.radians(latitude + high)),
            )
    return _shares(boxes, turn=360.0)


def _shares(boxes: dict[str, Box], turn: float = 0.0) -> Shares:
    """Return intersection over the larger box of all pairs of boxes that meet."""
    names = sorted(boxes)
    table = np.array([boxes[name] for name in names])
    area = (table[:, 1] - table[:, 0]) * (table[:, 3] - table[:, 2])
    shares: Shares = {}
    for one, (west, east, south, north) in enumerate(table):
        others = table[one + 1 :].copy()
        if turn:  # the way round the globe that is shorter
            middle = (others[:, :2].sum(axis=1) - west - east) / 2
            others[:, :2] -= turn * np.round(middle / turn)[:, None]
        wide = np.minimum(others[:, 1], east) - np.maximum(others[:, 0], west)
        high = np.minimum(others[:, 3], north) - np.maximum(others[:, 2], south)
        common = np.maximum(wide, 0) * np.maximum(high, 0)
        for two in np.flatnonzero(common):
            larger = max(area[one], area[one + 1 + two])
            shares[names[one], names[one + 1 + two]] = float(common[two] / larger)
    return shares


def print_table(figures: dict[str, Any], truth: Shares) -> None:
    """Print what was measured beside the truth."""
    found = {(first, second): share for first, second, share in figures["found"]}
    clear = {pair for pair, share in truth.items() if share >= CLEAR_SHARE}
    right = [pair for pair in found if pair in truth]
    load = os.getloadavg()[0]
    rows = [
        ("patches", f"{figures['patches']}"),
        ("seconds", f"{figures['seconds']:.1f} (load of the machine {load:.1f})"),
        ("seconds of processor", f"{figures['processor_seconds']:.1f}"),
        ("peak memory", f"{figures['memory_mb']:.0f} MB, the whole process"),
        ("pairs that share ground", f"{len(truth)}, {len(clear)} of them a fifth"),
        ("pairs found", f"{len(found)}"),
        ("recall, a fifth or more", _part(len(clear & set(found)), len(clear))),
        ("recall, any", _part(len(right), len(truth))),
        ("precision", _part(len(right), len(found))),
        ("seconds of the split", f"{figures['split_seconds']:.1f}"),
        ("distance of classes", f"{figures['classes']:.3f}"),
    ]
    rows += [_split_row(figures[name], truth) for name in ("clean", "random")]
    for name, value in rows:
        print(f"{name:26} {value}")


def _split_row(values: dict[str, Any], truth: Shares) -> tuple[str, str]:
    """Return what a split costs and what it truly leaks."""
    split = Split.from_dict(values)
    train, validation = set(split.train), set(split.validation)
    leaky = {
        name
        for pair in truth
        for name, other in (pair, pair[::-1])
        if name in validation and other in train
    }
    text = (
        f"{len(train)} train, {len(validation)} validate, {len(split.left_out)} left "
        f"out; {len(leaky)} truly share ground with training"
    )
    return f"{split.method} split", text


def _class_distance(dataset: Dataset, split: Split) -> float:
    """Return half the sum of differences of class shares, validation against all."""
    every, held = (
        np.sum([pair.counts for pair in part.pairs], axis=0, dtype=np.float64)
        for part in (dataset, dataset.with_ids(split.validation))
    )
    return float(np.abs(every / every.sum() - held / held.sum()).sum() / 2)


def _part(count: int, total: int) -> str:
    return f"{count / max(total, 1):.2%}"


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """Yield a list that receives the resident set in MB while the block lasts."""
    process = psutil.Process()
    seen = [process.memory_info().rss / 1e6]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            seen[:] = [max(seen[0], process.memory_info().rss / 1e6)]

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _in_own_process(folder: Path) -> dict[str, Any]:
    """Measure a search in a fresh process with an empty cache."""
    print("searching ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="terrain-benchmark-") as home:
        command = [sys.executable, "-m", "benchmarks.overlaps", "--measure"]
        done = subprocess.run(
            [*command, "--folder", str(folder)],
            env=os.environ | {"TERRAINLIB_HOME": home},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    main()
