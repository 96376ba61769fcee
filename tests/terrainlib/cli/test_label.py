"""The command `label`: labels on an image give its mask and a classifier."""

import json

import numpy as np
import pytest
import rasterio
import shapely

from terrainlib.cli import main
from tests.imagefiles import tiff, write
from tests.labelled import GRID, UTM, at, features, scene


@pytest.fixture
def half(tmp_path):
    """An image of two halves, dark and light, of four 16-bit bands."""
    pixels = np.full((48, 64, 4), 1000, np.uint16)
    pixels[:, 32:] = 9000
    pixels += np.random.default_rng(0).integers(0, 300, pixels.shape, np.uint16)
    names = ["red", "green", "blue", "nir"]
    data = tiff(pixels, crs=UTM, transform=GRID, descriptions=names)
    return write(tmp_path, "half.tif", data)


def strokes(folder, *places):
    """Write a stroke of 6 px from each (class, column, row) to the right."""
    lines = [shapely.LineString([at(x, y), at(x + 6, y)]) for _, x, y in places]
    return features(
        folder / "strokes.gpkg", lines, {"class": [name for name, *_ in places]}
    )


def run(*words):
    return main.main(["label", *map(str, words)])


def mask_of(path):
    with rasterio.open(path) as file:
        return file.read(1)


@pytest.mark.parametrize("bands", ["1,2,3,4", "red,green,blue"])
def test_two_strokes_give_the_mask_and_a_classifier_that_predict_takes(
    tmp_path, half, bands, capsys
):
    labels, out = strokes(tmp_path, ("Water", 8, 20), ("Land", 44, 30)), tmp_path / "o"
    assert run(half, "--labels", labels, "--out", out, "--bands", bands) == 0
    mask = mask_of(out / "half_mask.tif")
    parts = mask[8:-8, 8:22], mask[8:-8, 42:56]
    sides = [np.bincount(part.ravel(), minlength=2) / part.size for part in parts]
    assert {int(np.argmax(side)) for side in sides} == {0, 1}
    assert "half.tif,done" in (out / "class_shares.csv").read_text("utf-8")
    kept, again = out / "half_classifier.json", tmp_path / "again"
    assert main.main(["predict", str(kept), str(half), "--out", str(again)]) == 0
    np.testing.assert_array_equal(mask_of(again / "half_mask.tif"), mask)


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        ([("Water", 8, 20), ("Land", 900, 30)], "show fewer than 2 classes"),
        ([("Water", 800, 20), ("Land", 900, 30)], "no label lies on half.tif"),
    ],
)
def test_labels_that_teach_nothing_end_in_one_sentence(
    tmp_path, half, places, sentence, capsys
):
    out = tmp_path / "o"
    labels = strokes(tmp_path, *places)
    assert run(half, "--labels", labels, "--out", out, "--bands", "1,2,3,4") == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()


def test_bands_are_asked_for_where_the_file_names_no_colours(tmp_path, capsys):
    image = scene(tmp_path, bands=2)
    many = write(tmp_path, "many.tif", tiff(np.zeros((32, 32, 5), np.uint16)))
    labels = strokes(tmp_path, ("Water", 8, 20), ("Land", 44, 30))
    assert run(many, "--labels", labels, "--out", tmp_path / "o") == 2
    assert "Give the bands to use with --bands" in capsys.readouterr().err
    assert run(image, "--labels", labels, "--out", tmp_path / "o") == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept.update(form="another"),
        lambda kept: kept.update(bias=kept["bias"][:-1]),
        lambda kept: kept["mean"].append(0.0),
        lambda kept: kept.update(base="../../model"),
        lambda kept: kept.pop("record"),
        lambda kept: kept["weights"][0].__setitem__(0, "much"),
    ],
)
def test_a_changed_classifier_is_refused(tmp_path, half, change, capsys):
    labels, out = strokes(tmp_path, ("Water", 8, 20), ("Land", 44, 30)), tmp_path / "o"
    run(half, "--labels", labels, "--out", out, "--bands", "1,2,3,4")
    path = out / "half_classifier.json"
    kept = json.loads(path.read_text("utf-8"))
    change(kept)
    path.write_text(json.dumps(kept), "utf-8")
    words = ["predict", str(path), str(half), "--out", str(out)]
    assert main.main(words) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(
        "error: half_classifier.json: this is not an instant classifier"
    )
