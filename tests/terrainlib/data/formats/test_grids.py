"""Masks and heights that lie on another grid than their image."""

from pathlib import Path

import numpy as np
import pytest
from rasterio import Affine
from rasterio.crs import CRS

from terrainlib.data.dataset import open_dataset, read_pair
from terrainlib.data.formats import grids
from terrainlib.data.formats.grids import compare, lay, lay_mask
from terrainlib.data.formats.raster import Georeference, Grid, whole
from terrainlib.errors import ImageError
from tests.imagefiles import pattern, tiff

UTM = "EPSG:32633"
IMAGE = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def grid(height: int, width: int, transform: Affine, crs: str = UTM) -> Grid:
    """Return a grid with a place; an empty `crs` is none."""
    wkt = CRS.from_user_input(crs).to_wkt() if crs else ""
    return Grid(height, width, Georeference(wkt, tuple(transform)[:6], None))


# The mask's place, and which of its rows and columns lies under each of the image's 8.
LAID = {
    "as it is": (IMAGE, range(8), range(8)),
    "from the south": (
        Affine(10, 0, 500_000, 0, 10, 4_999_920),
        range(7, -1, -1),
        range(8),
    ),
    "from the east": (
        Affine(-10, 0, 500_080, 0, -10, 5_000_000),
        range(8),
        range(7, -1, -1),
    ),
    "finer": (Affine(5, 0, 500_000, 0, -5, 5_000_000), None, None),
    "coarser": (Affine(20, 0, 500_000, 0, -20, 5_000_000), [0, 0, 1, 1, 2, 2, 3, 3], 0),
    "begun earlier": (
        Affine(10, 0, 499_970, 0, -10, 5_000_020),
        range(2, 10),
        range(3, 11),
    ),
}


@pytest.mark.parametrize("name", sorted(LAID))
def test_each_pixel_takes_what_lies_under_it(name: str) -> None:
    transform, rows, columns = LAID[name]
    mask = pattern(20, 20, 1)[..., 0]
    size = 8 if name.startswith(("as", "from")) else 20
    mask = mask[:size, :size]
    laid, notes = lay_mask(mask, grid(size, size, transform), grid(8, 8, IMAGE), "m")
    if name == "finer":
        assert {int(v) for v in laid.ravel()} <= {int(v) for v in mask.ravel()}
        assert all(
            laid[y, x] in mask[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel()
            for y in range(8)
            for x in range(8)
        )
    else:
        columns = rows if columns == 0 else columns
        assert np.array_equal(laid, mask[np.ix_(list(rows), list(columns))])
    assert bool(notes) == (name != "as it is")


def test_what_does_not_reach_the_image_is_no_data_and_told() -> None:
    right = grid(8, 8, Affine(10, 0, 500_060, 0, -10, 5_000_000))
    laid, notes = lay_mask(np.zeros((8, 8), np.uint8), right, grid(8, 8, IMAGE), "m")
    assert (laid[:, :6] == 255).all()
    assert (laid[:, 6:] == 0).all()
    assert notes == (
        "laid onto the grid of its image (nearest); 75 % of the image lie outside and "
        "have no data",
    )


ELSEWHERE = {
    "far": (grid(8, 8, Affine(10, 0, 900_000, 0, -10, 5_000_000)), "covers nothing"),
    "local": (
        grid(8, 8, Affine(1, 0, 0, 0, -1, 0), 'LOCAL_CS["mine",UNIT["metre",1]]'),
        "cannot be compared",
    ),
    "no place, another size": (Grid(8, 9), "the size is 9 x 8 px"),
}


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_what_does_not_lie_on_the_image_is_refused(name: str) -> None:
    raster, sentence = ELSEWHERE[name]
    with pytest.raises(ImageError, match=sentence) as caught:
        compare(raster, grid(8, 8, IMAGE), "m.tif")
    assert caught.value.file == "m.tif"


@pytest.mark.parametrize(
    "raster",
    [
        Grid(8, 8),
        grid(8, 8, Affine(10, 0, 500_000.4, 0, -10, 5_000_000.4)),
        grid(8, 8, IMAGE, ""),
    ],
    ids=["no place", "a hair beside", "no system"],
)
def test_pixel_on_pixel_is_left_as_it_is(raster: Grid) -> None:
    assert compare(raster, grid(8, 8, IMAGE), "m").same


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326"])
def test_a_window_holds_what_the_whole_does(
    crs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {
        UTM: Affine(21.6, 7.9, 500_100, 7.9, -21.6, 4_999_900),  # turned by 20 degrees
        "EPSG:4326": Affine(1.5e-4, 0, 15.0, 0, -1e-4, 45.154),
    }
    image, raster = grid(40, 50, place[crs], crs), grid(90, 80, IMAGE)
    smooth = np.add.outer(np.arange(90) ** 1.5, np.arange(80) * 2.0).astype(np.float32)

    def heights(rows: slice, columns: slice) -> np.ndarray:
        empty = np.float32(np.nan)
        return lay(lambda part: smooth[part], raster, image, (rows, columns), empty)

    everything = heights(*whole(40, 50))
    part = heights(slice(7, 31), slice(11, 44))
    monkeypatch.setattr(grids, "_WINDOW_PIXELS", 100)
    monkeypatch.setattr(grids, "_SOURCE_PIXELS", 900)
    pieces = heights(*whole(40, 50))
    assert 0.1 < np.isfinite(everything).mean() < 1
    np.testing.assert_allclose(part, everything[7:31, 11:44], atol=0.05)
    np.testing.assert_allclose(pieces, everything, atol=0.05)


def test_a_data_set_is_read_on_the_grid_of_its_images(tmp_path: Path) -> None:
    index = (pattern(16, 16, 1)[..., 0] % 3).astype(np.uint8)
    metres = np.add.outer(np.arange(16) * 100.0, np.arange(16)).astype(np.float32)
    south = Affine(10, 0, 500_000, 0, 10, 4_999_840)
    files = {
        "images": tiff(pattern(16, 16), crs=UTM, transform=IMAGE),
        "masks": tiff(index[::-1], crs=UTM, transform=south),
        "heights": tiff(metres[::-1], crs=UTM, transform=south),
    }
    for part, data in files.items():
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.tif").write_bytes(data)
    for dataset in (open_dataset(tmp_path), open_dataset(tmp_path)):  # and remembered
        pair = dataset.pairs[0]
        loaded = read_pair(dataset, pair)
        assert np.array_equal(loaded.mask, index)
        np.testing.assert_allclose(loaded.height, metres, atol=0.01)
        assert [note.file for note in dataset.file_notes] == [
            "masks/a.tif",
            "heights/a.tif",
        ]
        assert list(pair.counts[:3]) == np.bincount(index.ravel()).tolist()
    far = Affine(10, 0, 900_000, 0, -10, 5_000_000)
    (tmp_path / "masks" / "a.tif").write_bytes(tiff(index, crs=UTM, transform=far))
    problem = open_dataset(tmp_path).problems[0]
    assert problem.file == "masks/a.tif"
    assert "covers nothing" in problem.problem
