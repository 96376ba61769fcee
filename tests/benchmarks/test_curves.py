"""What a training had reached when."""

import math
from typing import Any

import pytest

from benchmarks._curves import Curve, clock, score_text, shared_times
from benchmarks._quality_report import passing, print_curves, print_passing


def curve(**changes: Any) -> Curve:
    values = {
        "name": "fast",
        "keeps_best": True,
        "seconds": [10.0, 20.0, 30.0],
        "miou": [0.2, 0.6, 0.5],
    }
    return Curve(**{**values, **changes})


def test_the_best_epoch_counts_where_it_is_kept() -> None:
    kept, last = curve(), curve(keeps_best=False)
    assert (kept.final, kept.best, kept.kept) == (0.5, 0.6, 0.6)
    assert (last.final, last.best, last.kept) == (0.5, 0.6, 0.5)


@pytest.mark.parametrize(
    ("seconds", "best", "last"), [(20, 0.6, 0.6), (19.9, 0.2, 0.2), (99, 0.6, 0.5)]
)
def test_a_score_counts_from_when_it_was_there(
    seconds: float, best: float, last: float
) -> None:
    assert curve().at(seconds) == best
    assert curve(keeps_best=False).at(seconds) == last


def test_there_is_no_score_before_the_first() -> None:
    assert math.isnan(curve().at(9.9))
    assert math.isnan(curve(seconds=[], miou=[]).kept)


def test_a_score_is_reached_at_the_first_epoch_that_has_it() -> None:
    assert curve().reaches(0.5) == 20.0
    assert curve().reaches(0.61) is None


def test_passing_is_a_share_of_the_others_whole_time() -> None:
    notebook = curve(
        name="notebook", keeps_best=False, seconds=[200, 400], miou=[0.9, 0.55]
    )
    assert passing(curve(), notebook) == {"score": 0.55, "seconds": 20.0, "share": 0.05}


def test_passing_never_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    notebook = curve(name="notebook", miou=[0.9, 0.9, 0.9])
    print_passing(curve(), notebook)
    assert "fast does not reach notebook's final score of 0.900" in (
        capsys.readouterr().out
    )


def test_nan_is_no_score() -> None:
    odd = curve(miou=[math.nan, 0.3, math.nan])
    assert odd.best == 0.3
    assert odd.to_dict()["final"] is None
    assert odd.to_dict()["miou"] == [None, 0.3, None]


def test_times_run_from_the_first_score_to_the_last() -> None:
    times = shared_times([curve(), curve(seconds=[5.0, 80.0, 320.0])], 4)
    assert times == pytest.approx([5.0, 20.0, 80.0, 320.0])
    assert shared_times([], 4) == []


def test_the_table_marks_what_has_ended(capsys: pytest.CaptureFixture[str]) -> None:
    print_curves([curve(), curve(name="notebook", seconds=[10.0, 20.0, 60.0])])
    last = capsys.readouterr().out.splitlines()[-2]
    assert last.split() == ["1:00", "0.600.", "0.600"]


def test_texts() -> None:
    assert clock(59.6) == "1:00"
    assert score_text(0.12345) == "0.123"
    assert score_text(math.nan) == "-"
