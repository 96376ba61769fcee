"""How good the mask of a few strokes is, on scenes whose classes are all known.

Run from the project's folder: `python -m benchmarks.strokes IMAGE CLASSES
[--strokes 3 10] [--seeds 0 1 2] [--height-band 4]`. CLASSES is a class raster on the
image's grid; 0 and 255 are no data. For each seed and number strokes are drawn inside
each class, the command `label` makes the mask, with colours and with heights, and the
mIoU over the whole image is printed. Half a minute for each.
"""

import argparse
import contextlib
import io
import math
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray

from terrainlib.cli.main import main as command
from terrainlib.data.imagery import read_grid
from terrainlib.data.labels.strokefile import write_labels
from terrainlib.data.labels.strokes import Painted, Stroke
from terrainlib.data.palette import NO_DATA, TerrainClass, distinct_colors
from terrainlib.metrics import confusion_matrix, miou, pixel_accuracy

WIDTH_PX: Final = 3.0
LONGEST: Final = 12  # steps of a px
_TURN: Final = 0.4  # radians a step


def main() -> None:
    """Draw, learn, judge, and print a line for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("classes", type=Path)
    parser.add_argument("--strokes", type=int, nargs="+", default=[3, 10])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--height-band", type=int)
    options = parser.parse_args()
    with rasterio.open(options.classes) as data:
        codes = data.read(1)
    known = [int(code) for code in np.unique(codes) if code not in (0, NO_DATA)]
    truth = np.full(codes.shape, NO_DATA, np.uint8)
    for number, code in enumerate(known):
        truth[codes == code] = number
    print(f"{'heights':>7} {'strokes':>7} {'seed':>4} {'mIoU':>6} {'right':>6}")
    with tempfile.TemporaryDirectory(prefix="terrain-strokes-") as folder:
        home = Path(folder)
        heights: list[Path | None] = [None]
        if options.height_band is not None:
            heights.append(_height(options.image, options.height_band, home / "h.tif"))
        for height in heights:
            for count in options.strokes:
                _judge(options, truth, known, count, height, home)


def _judge(
    options: argparse.Namespace,
    truth: NDArray[np.uint8],
    known: list[int],
    count: int,
    height: Path | None,
    home: Path,
) -> None:
    """Print a line for each seed, and one for their mean."""
    found = []
    for seed in options.seeds:
        labels, out = home / "labels.gpkg", home / f"out-{count}-{seed}-{height}"
        colors = distinct_colors(len(known))
        classes = [
            TerrainClass(f"{code:03}", color)
            for code, color in zip(known, colors, strict=True)
        ]
        rng = np.random.default_rng(seed)
        strokes = [
            draw(truth == number, item.name, rng, f"{number}-{n}")
            for number, item in enumerate(classes)
            for n in range(count)
        ]
        place = read_grid(options.image).place
        write_labels(labels, Painted(tuple(strokes), tuple(classes)), place)
        out = home / f"{count}-{seed}-{height is not None}"
        words = ["label", str(options.image), "--labels", str(labels)]
        words += ["--out", str(out)]
        words += [] if height is None else ["--height-file", str(height)]
        with contextlib.redirect_stdout(io.StringIO()):
            if command(words):
                raise RuntimeError("label has failed")
        with rasterio.open(out / f"{options.image.stem}_mask.tif") as data:
            told = data.read(1)
        confusion = confusion_matrix(truth, told, len(known))
        found.append((miou(confusion), pixel_accuracy(confusion)))
        _say(height, count, str(seed), found[-1])
    _say(height, count, "mean", tuple(np.mean(found, axis=0)))


def _say(
    height: Path | None, count: int, seed: str, scores: tuple[float, float]
) -> None:
    with_heights = "no" if height is None else "yes"
    print(
        f"{with_heights:>7} {count:>7} {seed:>4} {scores[0]:6.3f} {scores[1]:6.3f}",
        flush=True,
    )


def draw(
    inside: NDArray[np.bool_], name: str, rng: np.random.Generator, number: str
) -> Stroke:
    """Return a stroke that begins somewhere in a class and ends before it leaves it."""
    rows, columns = np.nonzero(inside)
    start = rng.integers(len(rows))
    x, y = columns[start] + 0.5, rows[start] + 0.5
    way, points = rng.uniform(0, 2 * math.pi), [(float(x), float(y))]
    for _ in range(LONGEST):
        way += rng.uniform(-_TURN, _TURN)
        x, y = x + math.cos(way), y + math.sin(way)
        if not (0 <= x < inside.shape[1] and 0 <= y < inside.shape[0]):
            break
        if not inside[int(y), int(x)]:
            break
        points.append((float(x), float(y)))
    return Stroke(number, "line", name, tuple(points), WIDTH_PX)


def _height(image: Path, band: int, path: Path) -> Path:
    """Write a band of an image as a file of heights in metres."""
    with rasterio.open(image) as data:
        profile = {**data.profile, "count": 1, "dtype": "float32"}
        with rasterio.open(path, "w", **profile) as out:
            out.write(data.read(band).astype(np.float32), 1)
    return path


if __name__ == "__main__":
    main()
