"""The learning rate and the plan of a budget."""

import pytest

from terrainlib.model.config import TrainingConfig
from terrainlib.model.schedule import Plan, learning_rate


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
    config = TrainingConfig.preset("fast", minutes=10, batch_size=8)
    plan = Plan.begin(config, 80)
    assert not plan.fitted

    plan.fit_first(config, step_seconds=0.5)  # 10 steps of half a second an epoch

    assert plan.fitted
    assert plan.steps == 10
    assert plan.epochs_left == 120
    assert plan.per_step == pytest.approx(1 / 1200)


def test_too_many_images_for_the_minutes_make_shorter_epochs() -> None:
    config = TrainingConfig.preset("fast", minutes=1, batch_size=8)
    plan = Plan.begin(config, 8000)

    plan.fit_first(config, step_seconds=0.5)

    assert plan.steps == 15
    assert plan.epochs_left == 8


def test_a_slower_machine_ends_in_time_with_fewer_epochs() -> None:
    config = TrainingConfig.preset("fast", minutes=1, batch_size=8)
    plan = Plan.begin(config, 80)
    plan.progress = 0.5

    plan.fit(config, elapsed=40, epoch_seconds=10)

    assert plan.epochs_left == 2
    assert plan.progress + 2 * plan.steps * plan.per_step == pytest.approx(1)


def test_a_budget_that_is_used_up_ends() -> None:
    config = TrainingConfig.preset("fast", minutes=1)
    plan = Plan.begin(config, 80)

    plan.fit(config, elapsed=58, epoch_seconds=10)

    assert plan.done
