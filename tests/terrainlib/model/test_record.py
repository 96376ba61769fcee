"""Records in model files: what cannot be used is refused."""

import json
import zipfile
from pathlib import Path

import pytest

from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.errors import ModelFileError
from terrainlib.model.config import UNetConfig
from terrainlib.model.modelfile import load_model, read_record
from terrainlib.model.record import ModelRecord
from tests.crafted_models import archive, good_file, members_of

SEA = {"name": "Sea", "color": [0, 0, 255]}
LAND = {"name": "Land", "color": [0, 255, 0]}
RECORDS = {
    "no object": (lambda r: [r], "of another version"),
    "later format": (lambda r: r | {"format": 2}, "of another version"),
    "no classes": (
        lambda r: r | {"classes": []},
        "`classes`: List should have at least 2",
    ),
    "classes": (lambda r: r | {"classes": r["classes"] * 2}, "names 4 classes for 2"),
    "colour": (
        lambda r: r | {"classes": [{"name": "A", "color": [0, 0, 256]}] * 2},
        "`classes.0.color.2`: Input should be less than or equal to 255",
    ),
    "name": (
        lambda r: r | {"classes": [{"name": "A\n", "color": [0, 0, 0]}] * 2},
        "`classes.0.name`: should be a name that can be printed",
    ),
    "scale": (
        lambda r: r | {"scale": 1e9},
        "`scale`: Input should be less than or equal to 256",
    ),
    "scale is no number": (lambda r: r | {"scale": "1"}, "`scale`"),
    "a number that JSON has not": (
        lambda r: r | {"scale": float("nan")},
        "not JSON of this app",
    ),
    "temperature": (lambda r: r | {"temperature": 0}, "`temperature`"),
    "parameters": (lambda r: r | {"parameters": 0}, "`parameters`"),
    "statistics": (lambda r: r | {"statistics": {"looks": {}}}, "`statistics.looks`"),
    "groups": (lambda r: r | {"confusion_groups": {}}, "`confusion_groups`"),
    "pixel_classifier": (
        lambda r: r | {"pixel_classifier": [0.5]},
        "`pixel_classifier`",
    ),
    "final without pairs": (lambda r: r | {"final": {"minutes": 1}}, "`final.pairs`"),
    "final time": (
        lambda r: r | {"final": {"pairs": 2, "minutes": "x"}},
        "`final.minutes`",
    ),
    "note is no text": (lambda r: r | {"notes": [1]}, "`notes.0`"),
    "long note": (lambda r: r | {"notes": ["a" * 501]}, "`notes.0`"),
    "year": (
        lambda r: r | {"created": "0001-01-01T00:00:00+14:00"},
        "`created`: a year beyond 1970 to 2200",
    ),
    "score": (lambda r: r | {"scores": {"miou": 1.5}}, "`scores.miou`: Input should"),
    "split": (lambda r: r | {"split": {"train": [{}]}}, "`split.train.0`: Input"),
    "a key of two lines": (
        lambda r: r | {"scores": {"iou": {"a\nb": "x"}}},
        "`scores.iou.a?b`: Input should be a valid number",
    ),
    "huge network": (
        lambda r: r | {"config": r["config"] | {"filters": [1024] * 6}},
        "its record describes|multiple of",
    ),
    "option": (lambda r: r | {"config": {"evil": 1}}, "unknown option 'evil'"),
    "type": (
        lambda r: r | {"config": r["config"] | {"height": "yes"}},
        "`height`: Input should be a valid boolean",
    ),
    "other output": (
        lambda r: r | {"config": r["config"] | {"dropout": 0.5}},
        "its layers are not those that its record describes",
    ),
}


@pytest.mark.parametrize("row", RECORDS)
def test_a_record_that_cannot_be_used_is_refused(row: str, tmp_path: Path) -> None:
    change, named = RECORDS[row]
    members = members_of(good_file("model.keras"))
    metadata = json.loads(members["metadata.json"])
    metadata["terrain"] = change(metadata["terrain"])
    members["metadata.json"] = json.dumps(metadata).encode()
    path = tmp_path / "model.keras"
    path.write_bytes(archive(members))

    with pytest.raises(ModelFileError) as caught:
        load_model(path)

    assert any(part in str(caught.value) for part in named.split("|")), caught.value


@pytest.mark.parametrize("word", EMBEDDED_MODELS)
def test_a_record_of_this_program_stays_what_it_is(word: str) -> None:
    record = read_record(EMBEDDED_MODELS[word])
    assert record is not None
    with zipfile.ZipFile(EMBEDDED_MODELS[word]) as source:
        stored = json.loads(source.read("metadata.json"))["terrain"]
    if "yardstick" in stored:  # its name when it was made
        stored["pixel_classifier"] = stored.pop("yardstick")

    assert {name: stored[name] for name in record.to_dict()} == record.to_dict()


def test_keys_that_are_not_known_are_passed_over_or_kept() -> None:
    form = ModelRecord(
        config=UNetConfig(classes=2).to_dict(), classes=[SEA, LAND], created=""
    ).to_dict()
    scores = {"miou": None, "later": [1, {"a": None}]}

    record = ModelRecord.from_dict(form | {"scores": scores, "later": 1})

    assert record.scores == scores


def test_half_a_character_becomes_a_question_mark() -> None:
    config = UNetConfig(classes=2).to_dict()
    form = ModelRecord(config=config, classes=[SEA, LAND]).to_dict()

    record = ModelRecord.from_dict(form | {"dataset": {"name": "a\udcff"}})

    assert record.dataset == {"name": "a?"}
