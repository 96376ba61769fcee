"""Scores against counted and hand-computed values."""

import json

import numpy as np
import pytest

from terrainlib import metrics
from terrainlib.errors import InputError

TRUTH = np.array([[0, 0, 1], [1, 2, 255]], np.uint8)
PREDICTION = np.array([[0, 1, 1], [1, 255, 0]], np.uint8)


def halves(size: int, edge: int) -> np.ndarray:
    mask = np.zeros((size, size), np.uint8)
    mask[:, edge:] = 1
    return mask


def test_confusion_counts_pixels_by_truth_and_prediction():
    confusion = metrics.confusion_matrix(TRUTH, PREDICTION, 3)
    assert confusion.dtype == np.int64
    assert confusion.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]


def test_confusion_matches_a_plain_loop():
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 4, (4, 9, 7)).astype(np.uint8)
    prediction = rng.integers(0, 4, (4, 9, 7))
    expected = np.zeros((4, 4), int)
    for t, p in zip(truth.ravel(), prediction.ravel(), strict=True):
        expected[t, p] += 1
    assert (metrics.confusion_matrix(truth, prediction, 4) == expected).all()


def test_scores_are_the_hand_computed_ones():
    result = metrics.scores(np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]]))
    assert result.overall["pixel_accuracy"] == pytest.approx(0.7)
    assert result.classes["iou"][:2] == pytest.approx([3 / 6, 4 / 7])
    assert all(np.isnan(values[2]) for values in result.classes.values())
    assert result.overall["miou"] == pytest.approx((3 / 6 + 4 / 7) / 2)
    assert result.classes["precision"][:2] == pytest.approx([3 / 5, 4 / 5])
    assert result.classes["recall"][:2] == pytest.approx([3 / 4, 4 / 6])
    assert result.support.tolist() == [4, 6, 0]


def test_borders_are_averaged_over_the_images_and_confidence_is_asked_for():
    confusion = np.array([[3, 1], [2, 4]])
    result = metrics.scores(confusion, [0.5, np.nan, 1.0], 0.125)
    assert result.overall["boundary_f1"] == 0.75
    assert "ece" not in result.to_json(["a", "b"])
    assert result.to_json(["a", "b"], confidence=True)["ece"] == 0.125


def test_a_row_of_a_table_names_score_and_class():
    row = metrics.scores(np.array([[3, 1], [2, 4]]), [0.5]).columns(["Sea", "Land"])
    assert list(row) == [
        *("pixel_accuracy", "miou", "boundary_f1", "iou_Sea", "iou_Land"),
        *("precision_Sea", "precision_Land", "recall_Sea", "recall_Land"),
    ]
    assert row["recall_Sea"] == 0.75


def test_a_class_only_predicted_counts_as_zero_in_the_mean():
    assert metrics.miou(np.array([[2, 2], [0, 0]])) == pytest.approx(0.25)


def test_an_empty_confusion_scores_as_not_a_number_and_as_null():
    result = metrics.scores(np.zeros((2, 2), np.int64))
    assert all(np.isnan(value) for value in result.overall.values())
    none = {"a": None, "b": None}
    value = {"iou": none, "precision": none, "recall": none}
    value |= dict.fromkeys(("pixel_accuracy", "miou", "boundary_f1"))
    assert json.loads(json.dumps(result.to_json(["a", "b"]))) == value


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_borders_within_the_tolerance_are_found(shift: int):
    assert metrics.boundary_f1(halves(16, 8), halves(16, 8 + shift), 2) == 1.0


def test_borders_beyond_the_tolerance_are_missed():
    # Each class's border is one column, here three pixels from the true one.
    assert metrics.boundary_f1(halves(16, 8), halves(16, 11), 2) == 0.0
    assert metrics.boundary_f1(halves(16, 8), halves(16, 11), 2, tolerance=3) == 1.0


def test_half_of_a_border_found_gives_the_harmonic_mean():
    truth = halves(40, 20)
    prediction = truth.copy()
    prediction[20:] = 0  # the lower half of the border is gone
    # Class 1 lies at x >= 20; truth's border is column 20, 40 px. The prediction's is
    # column 20 in rows 0..19 and row 19 from x = 20 on: 20 + 19 px.
    precision = (20 + 2) / 39  # row 19 lies near column 20 for x <= 22
    recall = 22 / 40  # rows 0..19, and two more within the tolerance
    class_1 = 2 * precision * recall / (precision + recall)
    # Class 0: truth's border is column 19. The prediction's is column 19 in rows
    # 0..19 and row 20 from x = 20 on, of which x = 20, 21 lie near column 19.
    precision, recall = 22 / 40, 22 / 40
    class_0 = 2 * precision * recall / (precision + recall)
    result = metrics.boundary_f1(truth, prediction, 2)
    assert result == pytest.approx((class_0 + class_1) / 2)


def test_masks_of_one_class_agree_or_not():
    water, forest = np.zeros((4, 4), np.uint8), np.full((4, 4), 2, np.uint8)
    assert metrics.boundary_f1(water, water, 3) == 1.0
    assert metrics.boundary_f1(water, forest, 3) == 0.0


def test_pixels_without_data_make_no_border():
    truth = halves(16, 8)
    truth[:, 4:12] = 255
    assert metrics.boundary_f1(truth, halves(16, 8), 2) == 1.0
    assert np.isnan(
        metrics.boundary_f1(np.full((3, 3), 255, np.uint8), truth[:3, :3], 2)
    )


def test_masks_of_different_sizes_are_refused():
    for score in (metrics.confusion_matrix, metrics.boundary_f1):
        with pytest.raises(InputError, match="must have the same size"):
            score(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)


def test_an_index_without_a_class_is_refused():
    with pytest.raises(InputError, match=r"class index 7; with 2 classes .* is 1"):
        metrics.confusion_matrix(np.array([7]), np.array([0]), 2)


def test_scores_are_written_with_three_digits_and_none_is_a_dash():
    assert metrics.decimal(0.5784) == "0.578"
    assert metrics.decimal(-0.05, "+") == "\u22120.050"
    assert metrics.decimal(None) == metrics.decimal(float("nan")) == "–"


def test_a_difference_on_images_that_agree_is_clear():
    one = np.tile([[8, 0], [0, 8]], (12, 1, 1))
    other = np.tile([[6, 2], [2, 6]], (12, 1, 1))
    ahead = metrics.miou_difference(one, other)
    assert (ahead.value, *ahead.interval) == pytest.approx((0.4,) * 3)
    assert str(ahead) == "clearly ahead by 0.40 (0.40 to 0.40)"
    behind = metrics.miou_difference(other, one)
    assert str(behind) == "clearly behind by 0.40 (0.40 to 0.40)"


def test_a_difference_of_two_images_is_drawn_as_it_is_counted_by_hand():
    # drawn with replacement: one image twice (1 in 4 each) or both (1 in 2)
    good, bad = [[4, 0], [0, 4]], [[2, 2], [2, 2]]
    found = metrics.miou_difference(np.array([good, bad]), np.array([bad, good]))
    assert found.value == 0
    assert found.interval == pytest.approx((-2 / 3, 2 / 3))
    assert str(found) == "no clear difference (\u22120.67 to +0.67)"


def test_a_difference_without_an_interval_says_no_more_than_it_knows():
    words = [str(metrics.Difference(value)) for value in (0.0351, -0.02, -0.0004)]
    assert words == ["ahead by 0.035", "behind by 0.020", "level"]


def test_a_difference_needs_two_images_and_the_same_ones():
    counts = np.ones((2, 3, 3), np.int64)
    assert metrics.miou_difference(counts[:1], counts[:1]) is None
    assert metrics.miou_difference(counts * 0, counts * 0) is None
    with pytest.raises(InputError, match="same images"):
        metrics.miou_difference(counts, counts[:1])
