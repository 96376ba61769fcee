"""A scene in strips: put together it is what one pass gives, to the byte."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from terrainlib.errors import StoppedError
from terrainlib.mask.cleaning import PostProcessing
from terrainlib.mask.pack.pack import PackTarget
from terrainlib.mask.products.making import predict_file
from terrainlib.mask.products.records import Made, Wanted
from terrainlib.mask.products.strips import Strip, cut, joined, predict_strip
from terrainlib.mask.products.task import opened
from terrainlib.mask.tiles import streaming
from terrainlib.model.modelfile import TerrainModel
from tests.imagefiles import tiff, write

GRID = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a scene of nine rows of tiles, with a gap across the strips."""
    monkeypatch.setattr(streaming, "_TILE_PX", 64)
    rng = np.random.default_rng(5)
    rgb = rng.integers(1, 255, (311, 75, 3), np.uint8)
    rgb[70:190, :30] = 0
    return write(tmp_path, "s.tif", tiff(rgb, crs=32633, transform=GRID, nodata=0))


def contents(made: Made) -> dict[str, bytes]:
    """Return the files; of a GeoPackage, which says when it was written, the name."""
    return {
        path.name: b"" if path.suffix == ".gpkg" else path.read_bytes()
        for path in made.files
    }


def by_strips(
    model: TerrainModel, scene: Path, folder: Path, wanted: Wanted, count: int
) -> Made:
    folder.mkdir()
    strips: list[Strip] = []
    with opened(model, scene, folder, "s", wanted) as task:
        for number, part in enumerate(cut(model, task.size, wanted, count)):
            path = folder.parent / f"{number}.tif"
            strips.append(predict_strip(task, part, path, should_stop=lambda: False))
    assert [strip.cuts[0] for strip in strips[1:]] == [s.cuts[-1] for s in strips[:-1]]
    way = joined(strips, wanted)
    return predict_file(model, scene, folder, "s", wanted, pass_over=way)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(soft=True, probabilities=True, sharpen=2.0, pack=PackTarget("source")),
        Wanted(vectors=True, cleaning=PostProcessing(sieve_px=4), scale=0.7),
    ],
    ids=["planes", "cleaned"],
)
def test_strips_put_together_are_the_files_of_one_pass(
    random_models, scene: Path, tmp_path: Path, wanted: Wanted
) -> None:
    model = random_models["fast"]
    once = predict_file(model, scene, tmp_path / "once", "s", wanted)
    strips = by_strips(model, scene, tmp_path / "strips", wanted, 3)
    assert contents(strips) == contents(once)
    assert (strips.shares, strips.areas, strips.gap, strips.unsure_share) == (
        once.shares,
        once.areas,
        once.gap,
        once.unsure_share,
    )


def test_a_strip_that_is_stopped_leaves_nothing(
    random_models, scene: Path, tmp_path: Path
) -> None:
    model, path = random_models["fast"], tmp_path / "strip.tif"
    with (
        opened(model, scene, tmp_path, "s", Wanted()) as task,
        pytest.raises(StoppedError),
    ):
        predict_strip(task, (1, 3), path, should_stop=lambda: True)
    assert [item.name for item in tmp_path.iterdir()] == [scene.name]
