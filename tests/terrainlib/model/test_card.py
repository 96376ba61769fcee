"""The model card: its facts, its scores, and what it warns of."""

from dataclasses import replace
from typing import Any

import pytest

from terrainlib.data.palette import TerrainClass
from terrainlib.data.splits import LEAK_FREE, RANDOM_LEAK
from terrainlib.model.card import (
    Score,
    card_markdown,
    model_card,
)
from terrainlib.model.cardlimits import fresh_leak, stored_leak
from terrainlib.model.config import TrainingConfig
from terrainlib.model.record import ModelRecord, class_list

CLASSES = (
    TerrainClass("Water", (0, 0, 255)),
    TerrainClass("Rock|s", (90, 90, 90)),
    TerrainClass("Ice", (255, 255, 255)),
)
NETWORK = {"classes": 3}
TRAINING = TrainingConfig.preset("fast", network=NETWORK, minutes=10, seed=3)
RECORD = ModelRecord(
    config=TRAINING.network.to_dict(),
    classes=class_list(CLASSES),
    name="coast_1",
    scale=0.25,
    split={
        "method": "leak-free",
        "train": [f"t{n}" for n in range(60)],
        "validation": ["v1", "v2"],
        "left_out": ["x1"],
        "hash": "0123456789abcdef",
        "leak": LEAK_FREE,
    },
    scores={
        "miou": 0.61,
        "pixel_accuracy": 0.8,
        "boundary_f1": None,
        "iou": {"Water": 0.9, "Rock|s": 0.3, "Ice": None},
        "ece": 0.021,
    },
    confusion=[[900, 0, 0], [90, 5, 0], [0, 5, 0]],
    temperature=1.25,
    pixel_classifier={
        "miou": 0.56,
        "pixel_accuracy": 0.81,
        "boundary_f1": 0.3,
        "iou": {"Water": 0.8, "Rock|s": 0.35, "Ice": None},
    },
    statistics={"color_mean": [0.2, 0.4, 0.6], "contrast": 0.1},
    dataset={"name": "coast", "pairs": 63, "fingerprint": "fedc"},
    training={**TRAINING.to_dict(), "epochs_done": 140, "best_epoch": 120},
    parameters=1_234_567,
    notes=["Ask before use."],
    created="2026-05-01T12:00:00+00:00",
    versions={"keras": "3.15.1"},
)
FINAL = replace(RECORD, final={"pairs": 63, "minutes": 10.0, "seed": 0, "epochs": 150})


def fact(record: ModelRecord, title: str, name: str) -> str | None:
    (section,) = [s for s in model_card(record).sections if s.title == title]
    return dict(section.facts).get(name)


def limits(**changes: Any) -> str:
    return "\n".join(model_card(replace(RECORD, **changes)).limits)


def trained(**changes: Any) -> ModelRecord:
    return replace(RECORD, training={**RECORD.training, **changes})


@pytest.mark.parametrize(
    ("title", "name", "value"),
    [
        ("Model", "Parameters", "1,234,567"),
        ("Model", "Input", "RGB image"),
        ("Data", "Pairs", "63"),
        ("Data", "Fingerprint", "fedc"),
        ("Split", "Pairs", "60 for training, 2 held out, 1 left out"),
        ("Split", "Shared ground", LEAK_FREE),
        ("Training", "Budget", "10 minutes"),
        ("Training", "Best epoch", "120"),
        ("Training", "Unlike the preset", None),
        ("Training", "Last training", None),
        ("Training", "Versions", "keras 3.15.1"),
        ("Calibration", "Temperature", "1.25, already within the weights"),
    ],
)
def test_a_fact_stands_in_its_section(title: str, name: str, value: str | None) -> None:
    assert fact(RECORD, title, name) == value


def test_the_command_repeats_preset_budget_and_seed() -> None:
    assert model_card(RECORD).command == (
        "python -m terrainlib train DATA --out RUN_DIR --preset fast --minutes 10 "
        "--seed 3"
    )


def test_the_command_names_what_differs_from_the_preset() -> None:
    network = {**NETWORK, "image_size": 64, "height": True, "dropout": 0.5}
    training = TrainingConfig.preset("fast", network=network, epochs=7, batch_size=2)
    training = replace(training, flips=False)
    record = replace(RECORD, training=training.to_dict())

    assert model_card(record).command == (
        "python -m terrainlib train DATA --out RUN_DIR --preset fast --epochs 7 "
        "--height --image-size 64 --batch-size 2 --seed 0"
    )
    assert fact(record, "Training", "Unlike the preset") == "dropout 0.5, flips False"


def test_a_network_of_sizes_that_its_preset_does_not_take_has_a_card() -> None:
    network = {**NETWORK, "stem_stride": 1, "filters": (4, 8), "image_size": 18}
    training = TrainingConfig.preset("fast", network=network, epochs=7)
    record = replace(RECORD, training=training.to_dict())

    assert "filters [4, 8]" in str(fact(record, "Training", "Unlike the preset"))


@pytest.mark.parametrize(
    "training", [{}, {"network": 5}, {"unheard": 1}, {"minutes": 1e9}]
)
def test_a_training_that_cannot_be_read_gives_no_command(training: Any) -> None:
    card = model_card(replace(RECORD, training=training))

    assert card.command is None
    assert card.scores


def test_scores_stand_beside_the_pixel_classifiers_with_the_difference() -> None:
    card = model_card(RECORD)
    scores = {score.name: score for score in (*card.scores, *card.classes["iou"])}

    assert card.compared
    assert scores["mIoU"].difference == pytest.approx(0.05)
    assert scores["Rock|s"].difference == pytest.approx(-0.05)
    assert scores["Boundary F1"].difference is None
    assert scores["Ice"].difference is None


def test_a_score_of_which_less_is_better_is_ahead_where_it_is_lower() -> None:
    assert Score("Calibration error", 0.25, 0.5, lower_is_better=True).difference == (
        0.25
    )


def test_what_an_older_record_lacks_is_computed_from_its_confusion_matrix() -> None:
    card = model_card(RECORD)
    water, rock, ice = (score.value for score in card.classes["recall"])
    assert (water, rock, ice) == (1.0, pytest.approx(5 / 95), 0.0)
    precision = [score.value for score in card.classes["precision"]]
    assert precision == [pytest.approx(900 / 990), 0.5, None]

    for odd in (None, [], [[1, 2], [3, 4]], [[1], [2], [3]]):
        bare = model_card(replace(RECORD, confusion=odd))
        assert [score.value for score in bare.classes["recall"]] == [None] * 3
        assert bare.scores == card.scores


def test_without_a_pixel_classifier_there_is_nothing_to_compare() -> None:
    card = model_card(replace(RECORD, pixel_classifier=None))

    assert not card.compared
    assert "pixel classifier" not in card_markdown(
        replace(RECORD, pixel_classifier=None)
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "data set coast, in images of about 512 px"),
        ({"scale": None}, "resized to 128 × 128 px"),
        ({}, "red 51, green 102, blue 153"),
        ({}, "Rare classes: Ice (0.5%) of the validation pixels"),
        (
            {"statistics": {"class_shares": {"Water": 0.5, "Rock|s": 0.01}}},
            "Rare classes: Rock|s (1.0%) of the training pixels",
        ),
        ({}, "the class Rock|s (0.30)"),
        ({"scores": {"miou": 0.5}}, "mIoU of 0.500 is not ahead of 0.560"),
        ({"scores": None}, "no scores are stored"),
        ({"split": {"method": "random", "leak": RANDOM_LEAK}}, "drawn at random"),
        ({"split": {"method": "leak-free", "train": ["a"]}}, "from 1 pairs only"),
        ({"training": {"stopped": True}}, "stopped before its budget"),
        ({"final": {"pairs": 63}}, "has seen all pairs"),
    ],
)
def test_a_limit_follows_from_a_fact(changes: dict[str, Any], words: str) -> None:
    assert words in limits(**changes)


@pytest.mark.parametrize(
    "words", ["random", "pairs only", "stopped", "not ahead", "seen all pairs"]
)
def test_a_limit_without_its_fact_is_not_named(words: str) -> None:
    assert words not in limits()


def test_a_model_for_heights_says_that_it_needs_them() -> None:
    config = {**RECORD.config, "height": True}

    assert "needs a height" in limits(config=config)
    assert "needs a height" not in limits()


def test_a_last_training_on_all_pairs_is_said_beside_every_score() -> None:
    assert stored_leak(RECORD) == fresh_leak(RECORD) == LEAK_FREE
    assert stored_leak(FINAL) == (
        f"{LEAK_FREE}; scored before the last training on all 63 pairs"
    )
    assert fresh_leak(FINAL) == (
        "seen in training: these weights were trained once more on all 63 pairs"
    )
    assert "10 minutes, 150 epochs, seed 0" in str(
        fact(FINAL, "Training", "Last training")
    )
    assert "scored before the last training" in card_markdown(FINAL)


def test_a_record_without_a_split_says_nothing_of_shared_ground() -> None:
    record = replace(RECORD, split=None)

    assert stored_leak(record) is None
    assert fresh_leak(record) is None


def test_the_markdown_holds_table_command_limits_and_notes() -> None:
    lines = card_markdown(RECORD).splitlines()

    assert lines[0] == "# Model card: coast\\_1"
    assert "| mIoU | 0.610 | 0.560 | +0.050 |" in lines
    assert "| Calibration error | 0.021 | – | – |" in lines
    assert "| class | IoU | Precision | Recall |" in lines
    assert "| Rock\\|s | 0.300 (\u22120.050) | 0.500 | 0.053 |" in lines
    assert "| Ice | – | – | 0.000 |" in lines
    assert f"Split: {LEAK_FREE}." in lines
    assert model_card(RECORD).command in lines
    assert lines[-1] == "- Ask before use."


def test_the_bands_of_a_model_are_on_its_card_and_in_its_command() -> None:
    bands = [
        {"name": name, "number": number, "low": 0.0, "high": 1.0}
        for name, number in (("nir", 4), ("B4, red", 3))
    ]
    used = {"bands": bands, "samples": "integer", "file_bands": 4, "shown": [0, 1, 1]}
    training = TrainingConfig.preset("fast", network={**NETWORK, "bands": 2}, epochs=1)
    network = training.network.to_dict()
    record = replace(RECORD, config=network, training=training.to_dict(), bands=used)
    text = card_markdown(record)
    assert "image of 2 bands: nir, B4, red" in text
    assert "--bands nir,3 " in (model_card(record).command or "")
