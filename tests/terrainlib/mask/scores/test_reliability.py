"""Confidence and accuracy: bins and errors worked out by hand."""

import json

import numpy as np
import pytest

from terrainlib.mask.scores.reliability import (
    BINS,
    Reliability,
    count_reliability,
    total_reliability,
)

# Of four pixels at 0.9 three are right; of two at 0.5 one; at 0.25 none. A pixel of the
# truth and a row of the prediction are without data.
TRUTH = np.array([[1, 1, 1, 1], [1, 1, 1, 255], [1, 1, 1, 1]], np.uint8)
PREDICTION = np.array([[1, 1, 1, 0], [1, 0, 0, 1], [255, 255, 255, 255]], np.uint8)
CONFIDENCE = np.array(
    [[0.9, 0.9, 0.9, 0.9], [0.5, 0.5, 0.25, 1], [1, 1, 1, 1]], np.float32
)


def counted() -> Reliability:
    return count_reliability(TRUTH, PREDICTION, CONFIDENCE)


def test_scored_pixels_are_counted_by_confidence():
    result = counted()
    places = {13: (4, 3.6, 3), 7: (2, 1.0, 1), 3: (1, 0.25, 0)}
    for place in range(BINS):
        count, confidence, correct = places.get(place, (0, 0, 0))
        assert result.counts[place] == count
        assert result.confidence[place] == pytest.approx(confidence)
        assert result.correct[place] == correct
    assert result.counts.dtype == result.correct.dtype == np.int64


def test_each_bin_knows_how_sure_and_how_right_it_was():
    result = counted()
    known = [3, 7, 13]
    assert result.mean_confidence[known] == pytest.approx([0.25, 0.5, 0.9])
    assert result.accuracy[known] == pytest.approx([0, 0.5, 0.75])
    assert result.shares[known] == pytest.approx([1 / 7, 2 / 7, 4 / 7])
    assert np.isnan(result.accuracy[[0, 14]]).all()


def test_the_expected_calibration_error_is_the_one_worked_out_by_hand():
    # (4 * |0.75 - 0.9| + 2 * |0.5 - 0.5| + 1 * |0 - 0.25|) / 7
    assert counted().expected_calibration_error == pytest.approx(0.85 / 7)


def test_errors_of_both_signs_within_a_bin_cancel_and_between_bins_do_not():
    truth = np.array([0, 0, 0, 0], np.uint8)
    right_and_wrong = np.array([0, 1, 0, 0], np.uint8)
    one_bin = count_reliability(truth, right_and_wrong, np.full(4, 0.75, np.float32))
    assert one_bin.expected_calibration_error == 0
    sure = np.array([1, 1, 0.5, 0.5], np.float32)
    two_bins = count_reliability(truth, right_and_wrong, sure)
    assert two_bins.expected_calibration_error == 0.5


def test_the_ends_of_the_scale_have_their_bins():
    zeros = np.zeros(4, np.uint8)
    confidence = np.array([0, 1, 1 / 3, 0.34], np.float64).astype(np.float32)
    found = count_reliability(zeros, zeros, confidence)
    assert found.counts[0] == found.counts[-1] == 1
    assert found.counts.sum() == found.correct.sum() == 4


def test_images_add_up_only_if_all_are_known():
    total = total_reliability([counted(), counted()])
    assert total is not None
    assert total.counts.tolist() == (2 * counted().counts).tolist()
    assert total.expected_calibration_error == pytest.approx(0.85 / 7)
    assert total_reliability([counted(), None]) is None
    assert total_reliability([]) is None


def test_nothing_scored_is_no_error_and_no_zero():
    none = count_reliability(np.full(3, 255, np.uint8), *2 * [np.zeros(3, np.uint8)])
    assert np.isnan(none.expected_calibration_error)
    assert np.isnan(none.shares).all()


def test_counts_survive_as_json():
    again = Reliability.from_lists(json.loads(json.dumps(counted().to_lists())))
    assert again.counts.tolist() == counted().counts.tolist()
    assert again.correct.dtype == np.int64
    assert again.confidence.tolist() == counted().confidence.tolist()


@pytest.mark.parametrize("damage", [[], [1, 2, 3], [[1] * 15] * 2, "bins", {}])
def test_other_lists_are_refused(damage):
    with pytest.raises((TypeError, ValueError)):
        Reliability.from_lists(damage)


def test_the_table_has_a_row_for_each_bin():
    frame = counted().frame()
    assert frame.columns.tolist() == ["from", "to", "confidence", "accuracy", "pixels"]
    assert frame["pixels"].tolist() == counted().counts.tolist()
    assert frame["from"][13] == pytest.approx(13 / 15)
    assert frame["to"][13] == pytest.approx(14 / 15)
