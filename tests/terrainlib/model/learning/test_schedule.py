"""The learning rate and the plan of a budget."""

import pytest

from terrainlib.model.config import TrainingConfig
from terrainlib.model.learning.schedule import Plan, learning_rate


def test_one_cycle_rises_for_a_tenth_and_falls_to_nearly_zero() -> None:
    config = TrainingConfig.preset("fast", learning_rate=0.01, schedule="one_cycle")

    assert learning_rate(config, 0.0) == pytest.approx(0.0005)
    assert learning_rate(config, 0.1) == pytest.approx(0.01)
    assert learning_rate(config, 0.55) == pytest.approx(0.005)
    assert learning_rate(config, 1.0) == pytest.approx(0.00001)


def test_after_a_short_rise_the_rate_stays() -> None:
    config = TrainingConfig.preset("fast", learning_rate=0.01, schedule="warm_up")

    assert learning_rate(config, 0.0) == pytest.approx(0.0005)
    assert learning_rate(config, 0.025) == pytest.approx(0.00525)
    assert {learning_rate(config, p / 20) for p in range(1, 21)} == {0.01}


def test_a_constant_rate_stays() -> None:
    config = TrainingConfig.preset("notebook")

    assert {learning_rate(config, p / 10) for p in range(11)} == {1e-3}


def test_a_budget_in_epochs_is_known_at_once() -> None:
    plan = Plan.begin(TrainingConfig.preset("fast", epochs=3, batch_size=8), 20)

    for _ in range(3):
        for _ in range(plan.steps):
            plan.advance()
        plan.end_epoch()

    assert plan.fitted
    assert plan.steps == 2  # the four images left over wait for another epoch
    assert plan.done
    assert plan.progress == pytest.approx(1)


def test_fewer_images_than_a_batch_still_make_a_step() -> None:
    assert Plan.begin(TrainingConfig.preset("fast", batch_size=8), 3).steps == 1


def test_a_budget_in_minutes_is_fitted_to_the_machine() -> None:
    plan = Plan.begin(TrainingConfig.preset("fast", minutes=10, batch_size=8), 80)
    assert not plan.fitted

    plan.fit_first(left=600, step_seconds=0.5, rest_seconds=1)  # epochs of 6 s

    assert plan.fitted
    assert plan.steps == 10
    assert plan.epochs_left == 100
    assert plan.per_step == pytest.approx(1 / 1000)


def test_too_many_images_for_the_minutes_make_shorter_epochs() -> None:
    plan = Plan.begin(TrainingConfig.preset("fast", minutes=1, batch_size=8), 8000)

    plan.fit_first(left=60, step_seconds=0.5, rest_seconds=0)

    assert plan.steps == plan.whole == 15
    assert plan.epochs_left == 8


@pytest.mark.parametrize(("rest_seconds", "epochs"), [(5, 4), (25, 1)])
def test_validation_takes_at_most_a_third_of_the_minutes(
    rest_seconds: float, epochs: int
) -> None:
    plan = Plan.begin(TrainingConfig.preset("fast", minutes=1, batch_size=8), 8000)

    plan.fit_first(left=60, step_seconds=0.5, rest_seconds=rest_seconds)

    assert plan.epochs_left == epochs
    assert plan.steps * 0.5 == pytest.approx(60 / epochs - rest_seconds, abs=0.5)


def test_epochs_are_shortened_so_that_the_last_one_ends_with_the_budget() -> None:
    plan = Plan.begin(TrainingConfig.preset("fast", minutes=1, batch_size=8), 80)
    plan.progress = 0.5

    plan.fit(left=20, step_seconds=1, rest_seconds=2)  # 12 s a whole epoch

    assert plan.epochs_left == 2
    assert plan.steps == 8
    assert plan.progress + 2 * plan.steps * plan.per_step == pytest.approx(1)


def test_a_faster_machine_gets_its_whole_epochs_back() -> None:
    plan = Plan.begin(TrainingConfig.preset("fast", minutes=1, batch_size=8), 80)
    plan.fit(left=5, step_seconds=1, rest_seconds=2)
    assert plan.steps == 3

    plan.fit(left=600, step_seconds=0.1, rest_seconds=0)

    assert plan.steps == 10


@pytest.mark.parametrize("left", [-1.0, 0.0, 2.0])
def test_a_budget_that_is_used_up_ends(left: float) -> None:
    plan = Plan.begin(TrainingConfig.preset("fast", minutes=1), 80)

    plan.fit(left, step_seconds=1, rest_seconds=0)

    assert plan.done
