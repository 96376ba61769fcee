"""Areas of classes with intervals: the published example, and what images tell."""

import csv
import io
import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from rasterio.crs import CRS

from terrainlib.data.formats.raster import Georeference
from terrainlib.data.palette import NO_DATA
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.errors import InputError
from terrainlib.mask.ground.areaerrors import (
    Validation,
    clustered,
    stratified,
    student_95,
    validation_of,
)
from terrainlib.mask.ground.areas import AreaTally, area_table
from terrainlib.mask.ground.equalarea import row_areas
from terrainlib.mask.tiles.bands import Band
from terrainlib.model.modelfile import read_record
from terrainlib.model.record import ModelRecord

DEGREES = Georeference(CRS.from_epsg(4326).to_wkt(), (0.1, 0, 10, 0, -0.1, 60), None)
# Olofsson et al. (2014), section 5: rows by map class, columns by reference; pixels of
# 30 m; the published areas and half intervals in hectares.
NAMES = ("Deforestation", "Forest gain", "Stable forest", "Stable non-forest")
SAMPLE = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
MAPPED = np.array([200_000, 150_000, 3_200_000, 6_450_000])
PUBLISHED = {
    "Deforestation": (21_158, 6_158),
    "Forest gain": (11_686, 3_756),
    "Stable forest": (285_770, 15_510),
    "Stable non-forest": (581_386, 16_282),
}


@pytest.fixture(scope="module")
def record() -> ModelRecord:
    found = read_record(EMBEDDED_MODELS["default"])
    assert found is not None
    return found


def groups(count: int = 30, classes: int = 3, seed: int = 4) -> np.ndarray:
    """Return confusion matrices of images that differ in their errors."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        hit = rng.beta(8, 2, classes)[:, None] * np.eye(classes)
        miss = (1 - hit.sum(axis=1))[:, None] * rng.dirichlet(np.ones(classes), classes)
        weights = rng.dirichlet(np.ones(classes))[:, None]
        rows.append(np.rint(10_000 * weights * (hit + miss)))
    return np.array(rows, np.int64)


def test_the_published_example_comes_out() -> None:
    table = area_table(NAMES, MAPPED, Validation(SAMPLE.T), MAPPED * 900.0)
    for row in table.rows:
        area, margin = PUBLISHED[row.name]
        assert row.adjusted_square_metres is not None
        assert row.margin_square_metres is not None
        assert row.adjusted_square_metres / 1e4 == pytest.approx(area, abs=0.5)
        assert row.margin_square_metres / 1e4 == pytest.approx(margin, abs=0.5)
        assert row.adjusted_pixels == pytest.approx(area / 0.09, rel=1e-4)
    assert table.pixels == 10_000_000
    assert table.square_metres == 9e9


def test_adjusted_shares_sum_to_one_and_lie_in_their_interval() -> None:
    table = area_table("ABC", np.array([500, 300, 200]), validation(groups()))
    shares = [row.adjusted_share for row in table.rows]
    assert None not in shares
    assert sum(share for share in shares if share) == pytest.approx(1)
    for row in table.rows:
        assert row.low_share is not None
        assert row.high_share is not None
        assert row.adjusted_share is not None
        assert 0 <= row.low_share < row.adjusted_share < row.high_share <= 1


def validation(matrices: np.ndarray, *, grouped: bool = True) -> Validation:
    whole = matrices.sum(axis=0)
    return Validation(whole, len(matrices), matrices if grouped else None)


def test_a_perfect_model_changes_nothing_and_is_certain() -> None:
    perfect = np.stack([np.diag([40, 30, 30])] * 9)
    table = area_table("ABC", np.array([5, 3, 2]), validation(perfect))
    for row, share in zip(table.rows, (0.5, 0.3, 0.2), strict=True):
        assert row.adjusted_share == pytest.approx(share)
        assert row.margin_pixels == pytest.approx(0)


def test_a_class_confused_by_half_is_shared_by_hand() -> None:
    confusion = np.array([[80, 20], [0, 100]])  # a fifth of A is taken for B
    table = area_table("AB", np.array([600, 400]), Validation(confusion))
    # all of what is mapped as A is A; of B it is 20 / 120
    expected = 0.6 + 0.4 / 6
    error = 1.96 * np.sqrt(0.4**2 * (1 / 6) * (5 / 6) / 119)
    assert table.rows[0].adjusted_share == pytest.approx(expected)
    assert table.rows[0].high_share == pytest.approx(expected + error)


def test_clustered_errors_agree_with_leaving_out_one_image_at_a_time() -> None:
    matrices = groups(40)
    weights = np.array([0.5, 0.3, 0.2])
    shares, errors = clustered(matrices, weights)
    without = [
        stratified(np.delete(matrices, n, axis=0).sum(axis=0), weights)[0]
        for n in range(40)
    ]
    jackknife = np.sqrt(39 / 40 * np.square(without - np.mean(without, axis=0)).sum(0))
    np.testing.assert_allclose(shares, stratified(matrices.sum(axis=0), weights)[0])
    np.testing.assert_allclose(errors, jackknife, rtol=0.1)


def test_pixels_of_one_image_do_not_count_as_independent() -> None:
    matrices = groups(40)
    weights = np.array([0.5, 0.3, 0.2])
    by_images = clustered(matrices, weights)[1]
    by_pixels = stratified(matrices.sum(axis=0), weights)[1]
    assert (by_images > 5 * by_pixels).all()


def test_a_small_image_has_wider_intervals_than_a_large_one() -> None:
    known = validation(groups())
    margins = []
    for pixels in (10_000, 1_000_000, 10**9):
        table = area_table("ABC", np.array([5, 3, 2]) * pixels // 10, known)
        low, high = table.rows[0].low_share, table.rows[0].high_share
        assert low is not None
        assert high is not None
        margins.append(high - low)
    assert margins[0] > 3 * margins[1] > 3 * margins[2]
    assert margins[2] == pytest.approx(
        2 * student_95(29) * clustered(groups(), np.array([0.5, 0.3, 0.2]))[1][0],
        rel=1e-3,
    )


@pytest.mark.parametrize("word", ["default", "default-height"])
@pytest.mark.parametrize("together", [1, 4])
def test_the_truth_of_images_left_out_lies_in_nearly_all_intervals(
    word: str, together: int
) -> None:
    found = read_record(EMBEDDED_MODELS[word])
    assert found is not None
    matrices = np.array(found.confusion_groups)
    inside = []
    for first in range(0, 48, together):
        chosen = np.arange(first, first + together)
        image = matrices[chosen].sum(axis=0)
        known = validation(np.delete(matrices, chosen, axis=0))
        table = area_table("ABCDEFG", image.sum(axis=0), known)
        truth = image.sum(axis=1) / image.sum()
        for row, share in zip(table.rows, truth, strict=True):
            assert row.low_share is not None
            assert row.high_share is not None
            inside.append(row.low_share - 1e-9 <= share <= row.high_share + 1e-9)
    assert np.mean(inside) >= 0.9


@pytest.mark.parametrize("word", ["default", "default-height"])
def test_the_embedded_models_know_their_errors_by_image(word: str) -> None:
    found = read_record(EMBEDDED_MODELS[word])
    assert found is not None
    known = validation_of(found)
    assert known is not None
    assert known.images == 48
    assert known.groups is not None
    assert known.groups.sum(axis=0).tolist() == found.confusion


def test_without_groups_the_intervals_are_wider(record: ModelRecord) -> None:
    counts = np.full(7, 100_000)
    names = [item["name"] for item in record.classes]
    by_groups = area_table(names, counts, validation_of(record))
    alone = validation_of(replace(record, confusion_groups=None))
    assert alone is not None
    assert alone.groups is None
    by_images = area_table(names, counts, alone)
    for narrow, wide in zip(by_groups.rows, by_images.rows, strict=True):
        assert narrow.adjusted_share == pytest.approx(wide.adjusted_share)
        assert narrow.margin_pixels is not None
        assert wide.margin_pixels is not None
        assert wide.margin_pixels > narrow.margin_pixels
    assert "48 validation images" in by_groups.notes[0]
    assert "too wide rather than too narrow" in by_images.notes[0]


UNKNOWN: dict[str, dict[str, Any]] = {
    "no matrix": {"confusion": None},
    "no scores": {"scores": None},
    "three images": {"scores": {"images": 3}},
    "images is no number": {"scores": {"images": "48"}},
    "matrix of another size": {"confusion": [[1, 2], [3, 4]]},
    "ragged matrix": {"confusion": [[1], [2, 3]]},
    "negative pixels": {"confusion": [[-1] * 7] * 7},
    "no pixels": {"confusion": [[0] * 7] * 7},
    "text": {"confusion": [["1"] * 7] * 7},
}


@pytest.mark.parametrize("row", UNKNOWN)
def test_a_record_without_usable_errors_gives_mapped_areas_and_says_so(
    row: str, record: ModelRecord
) -> None:
    known = validation_of(replace(record, **UNKNOWN[row]))
    assert known is None
    table = area_table("AB", np.array([3, 1]), known)
    assert [item.share for item in table.rows] == [0.75, 0.25]
    assert [item.adjusted_share for item in table.rows] == [None, None]
    assert table.notes == (
        "The model file does not tell which errors the model makes on held-out images: "
        "the areas are those of the mask, and how far off they are is not known.",
    )


@pytest.mark.parametrize(
    "wrong", [[], [[[1]]], [[[0] * 7] * 7] * 9, "none", [[[1] * 7] * 7] * 3]
)
def test_groups_that_do_not_add_up_are_passed_over(
    wrong: Any, record: ModelRecord
) -> None:
    known = validation_of(replace(record, confusion_groups=wrong))
    assert known is not None
    assert known.groups is None


def test_a_class_never_predicted_on_validation_is_taken_as_mapped() -> None:
    matrices = groups()
    matrices[:, :, 2] = 0  # C occurs, and is always taken for something else
    known = validation(matrices)
    table = area_table("ABC", np.array([60, 30, 10]), known)
    usual = area_table("ABC", np.array([60, 30, 0]), known)

    assert any("C was never predicted" in note for note in table.notes)
    assert any("its 10.0% of the mask are taken as mapped" in n for n in table.notes)
    assert not any("never predicted" in note for note in usual.notes)
    assert table.rows[2].adjusted_share is not None
    assert table.rows[2].adjusted_share >= 0.1
    assert table.rows[0].margin_pixels is not None
    assert table.rows[0].margin_pixels >= 10  # all of C could be A


def test_a_class_that_validation_lacks_has_no_corrected_area() -> None:
    matrices = groups()
    matrices[:, 1] = 0
    table = area_table("ABC", np.array([60, 30, 10]), validation(matrices))
    assert table.rows[1].adjusted_share is None
    assert table.rows[1].share == 0.3
    assert any("B does not occur on the validation" in note for note in table.notes)


def test_a_mask_without_data_has_zeros_and_no_intervals() -> None:
    table = area_table("ABC", np.zeros(3, int), validation(groups()), np.zeros(3))
    assert [row.share for row in table.rows] == [0, 0, 0]
    assert table.rows[0].adjusted_share is None
    assert (table.pixels, table.square_metres) == (0, None)


def test_shares_are_of_the_ground_where_that_is_known() -> None:
    table = area_table("AB", np.array([50, 50]), None, np.array([300.0, 100.0]))
    assert [row.share for row in table.rows] == [0.75, 0.25]
    assert [row.square_metres for row in table.rows] == [300, 100]


@pytest.mark.parametrize(
    "counts", [[1], [1, 2, 3], [1, -1], [1, float("nan")], [[1, 2]]]
)
def test_counts_that_do_not_fit_the_classes_are_refused(counts: list[Any]) -> None:
    with pytest.raises(InputError, match="must be 2 numbers of 0 or more"):
        area_table("AB", np.array(counts))
    with pytest.raises(InputError, match="Count them with the classes of this model"):
        area_table("AB", np.array([1, 1]), None, np.array(counts))


@pytest.mark.parametrize("cuts", [(), (7, 30)])
def test_pixels_and_ground_of_bands_add_up_row_by_row(cuts: tuple[int, ...]) -> None:
    classes = np.random.default_rng(1).integers(0, 4, (40, 12), np.uint8)
    classes[classes == 3] = NO_DATA
    tally = AreaTally(DEGREES, 12, "ABC")
    for start, stop in pairwise((0, *cuts, 40)):
        tally.write(Band(slice(start, stop), classes[start:stop]))
    rows = row_areas(DEGREES, slice(0, 40), 12)
    assert rows is not None
    expected = [((classes == n) * rows[:, None]).sum() for n in range(3)]
    np.testing.assert_allclose(tally.square_metres, expected)
    assert tally.pixels.tolist() == [(classes == n).sum() for n in range(3)]
    table = tally.table(None)
    assert table.square_metres == pytest.approx(sum(expected))
    assert table.pixels == (classes != NO_DATA).sum()


def test_an_image_that_lies_nowhere_covers_no_known_ground() -> None:
    tally = AreaTally(None, 12, "AB")
    tally.write(Band(slice(0, 4), np.zeros((4, 12), np.uint8)))
    assert tally.square_metres is None
    assert tally.table(None).pixels == 48


def test_the_csv_has_a_row_for_each_class_and_no_formula() -> None:
    names = ("=HYPERLINK(1)", "Wälder", "C")
    table = area_table(names, np.array([60, 30, 10]), validation(groups()))
    data = table.to_csv()
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert [row["class"] for row in rows] == ["'=HYPERLINK(1)", "Wälder", "C"]
    assert rows[0]["pixels"] == "60"
    assert float(rows[1]["share"]) == 0.3
    assert "square_metres" not in rows[0]
    assert b"\r\n" in data


def test_the_json_form_holds_all_of_it() -> None:
    table = area_table("ABC", np.array([6, 3, 1]), validation(groups()), np.ones(3))
    values = json.loads(json.dumps(table.to_dict()))
    assert [row["name"] for row in values["classes"]] == ["A", "B", "C"]
    assert values["classes"][0]["square_metres"] == 1
    assert values["notes"] == list(table.notes)
    assert values["pixels"] == 10


def test_where_the_image_is_unlike_the_training_images_there_is_no_interval() -> None:
    tally = AreaTally(None, 2, "ABC")
    tally.write(Band(slice(0, 2), np.array([[0, 1], [1, 1]], np.uint8)))
    known = validation(groups())
    assert tally.table(known).rows[0].adjusted_share is not None
    table = tally.table(known, unlike=True)
    assert all(row.adjusted_share is row.low_share is None for row in table.rows)
    assert [row.share for row in table.rows] == [0.25, 0.75, 0]
    [note] = table.notes
    assert note.startswith("The image is unlike the training images")
