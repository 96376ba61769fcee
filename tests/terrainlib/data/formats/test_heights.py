"""Heights in metres: scale, offset, unit, voids, and heights that are none."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from terrainlib.cli.main import main
from terrainlib.data.dataset import open_dataset
from terrainlib.data.formats.heights import open_heights, read_height, read_heights
from terrainlib.data.formats.raster import Georeference, Grid
from terrainlib.errors import ImageError
from tests.imagefiles import encode, pattern, tiff, wide_png, write

STORED = np.arange(48).reshape(6, 8).astype(np.int16) * 10
PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
UTM = "EPSG:32633"


def measured(folder: Path, **facts: object) -> Path:
    """Write heights whose header says something of their values."""
    path = write(folder, "h.tif", tiff(STORED, crs=UTM, transform=PLACE))
    with rasterio.open(path, "r+") as data:
        for name, value in facts.items():
            setattr(data, name, (value,))
    return path


@pytest.mark.parametrize(
    ("facts", "expected", "told"),
    [
        ({}, STORED, None),
        ({"scales": 0.1}, STORED * 0.1, "heights by its scale 0.1"),
        (
            {"scales": 0.5, "offsets": -20.0},
            STORED * 0.5 - 20,
            "heights by its scale 0.5 and offset -20",
        ),
        ({"units": "ft"}, STORED * 0.3048, "heights in ft, converted to metres"),
        ({"units": "US-ft"}, STORED * (1200 / 3937), "heights in US-ft, converted"),
        ({"units": "metre"}, STORED, None),
        ({"units": "furlong"}, STORED, "its unit 'furlong' is not known"),
    ],
)
def test_scale_offset_and_unit_give_metres(
    facts: dict[str, object], expected: np.ndarray, told: str | None, tmp_path: Path
) -> None:
    path = measured(tmp_path, **facts)
    with open_heights(path) as opened:
        np.testing.assert_allclose(opened.read_all(), expected, rtol=1e-6)
        assert opened.notes == read_heights(path).notes
    np.testing.assert_allclose(read_height(path), expected, rtol=1e-6)
    assert [told or ""] == [n[: len(told or "")] for n in opened.notes or ("",)]


def test_voids_have_no_height_and_are_told(tmp_path: Path) -> None:
    stored = STORED.copy()
    stored[0, :4], stored[1, 0], stored[2, 0] = -32768, 9001, 9000
    path = write(tmp_path, "v.tif", tiff(stored, nodata=0))
    metres = read_height(path)
    assert np.isnan(metres[0, :4]).all()
    assert np.isnan(metres[1, 0])
    assert metres[2, 0] == 9000
    note = (
        "10.4 % of the heights lie under -500 m or over 9,000 m and are taken as no "
        "data",
    )
    assert read_heights(path).notes == note
    with open_heights(path) as opened:
        assert opened.notes == note
    full = write(tmp_path, "w.png", wide_png(np.full((4, 4), 65000, np.uint16)))
    with pytest.raises(ImageError, match="none of its heights lies between"):
        read_height(full)


def test_heights_go_onto_the_grid_of_an_image_or_are_refused(tmp_path: Path) -> None:
    path = measured(tmp_path)
    wkt = rasterio.crs.CRS.from_user_input(UTM).to_wkt()

    def image(x: float) -> Grid:
        return Grid(3, 4, Georeference(wkt, (20, 0, x, 0, -20, 5_000_000), None))

    with open_heights(path) as opened:
        laid = opened.on(image(500_000))
        assert (laid.height, laid.width) == (3, 4)
        inner = STORED[2:4, 2:4].mean()  # where blending reaches the edge nowhere
        assert laid.read((slice(1, 2), slice(1, 2)))[0, 0] == pytest.approx(inner)
        assert "bilinear" in laid.notes[-1]
        with pytest.raises(ImageError, match="covers nothing"):
            opened.on(image(900_000))
        assert opened.on(Grid(3, 4)) is opened


def test_check_refuses_the_heights_that_a_training_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("images", "masks", "heights"):
        (tmp_path / part).mkdir()
    for name in ("a", "b"):
        write(tmp_path / "images", f"{name}.png", encode(pattern(8, 8)))
        write(tmp_path / "masks", f"{name}.png", encode(pattern(8, 8, 1)[..., 0] % 2))
    write(tmp_path / "heights", "a.png", encode(pattern(8, 8)))
    stored = np.full((8, 8), 100, np.int16)
    stored[:4] = -32768
    write(tmp_path / "heights", "b.tif", tiff(stored))
    dataset = open_dataset(tmp_path)
    assert [problem.file for problem in dataset.problems] == ["heights/a.png"]
    assert dataset.problems[0].problem.startswith("3 bands; a height file has 1 band")
    assert [note.file for note in dataset.file_notes] == ["heights/b.tif"]
    assert main(["check", str(tmp_path)]) == 0
    assert "heights/b.tif: 50 % of the heights" in capsys.readouterr().out
