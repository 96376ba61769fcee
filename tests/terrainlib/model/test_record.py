"""Records in model files: what cannot be used is refused."""

import json
from pathlib import Path

import pytest

from terrainlib.errors import ModelFileError
from terrainlib.model.modelfile import load_model
from tests.crafted_models import archive, good_file, members_of

RECORDS = {
    "no object": (lambda r: [r], "of another version"),
    "later format": (lambda r: r | {"format": 2}, "of another version"),
    "no classes": (lambda r: r | {"classes": []}, "it has 0 classes"),
    "classes": (lambda r: r | {"classes": r["classes"] * 2}, "names 4 classes for 2"),
    "colour": (
        lambda r: r | {"classes": [{"name": "A", "color": [0, 0, 256]}] * 2},
        "three numbers from 0 to 255",
    ),
    "name": (
        lambda r: r | {"classes": [{"name": "A\n", "color": [0, 0, 0]}] * 2},
        "lacks its name",
    ),
    "scale": (lambda r: r | {"scale": 1e9}, "`scale` is out of its bounds"),
    "scale is no number": (lambda r: r | {"scale": "1"}, "`scale`"),
    "a number that JSON has not": (
        lambda r: r | {"scale": float("nan")},
        "no JSON of ours",
    ),
    "temperature": (lambda r: r | {"temperature": 0}, "`temperature`"),
    "parameters": (lambda r: r | {"parameters": 0}, "`parameters`"),
    "statistics": (lambda r: r | {"statistics": {"looks": {}}}, "`statistics`"),
    "groups": (lambda r: r | {"confusion_groups": {}}, "`confusion_groups`"),
    "yardstick": (lambda r: r | {"yardstick": [0.5]}, "`yardstick`"),
    "final without pairs": (lambda r: r | {"final": {"minutes": 1}}, "`final`"),
    "final time": (lambda r: r | {"final": {"pairs": 2, "minutes": "x"}}, "`final`"),
    "note is no text": (lambda r: r | {"notes": [1]}, "`notes`"),
    "long note": (lambda r: r | {"notes": ["a" * 501]}, "`notes`"),
    "huge network": (
        lambda r: r | {"config": r["config"] | {"filters": [1024] * 6}},
        "its record describes|multiple of",
    ),
    "option": (lambda r: r | {"config": {"evil": 1}}, "unknown option 'evil'"),
    "type": (
        lambda r: r | {"config": r["config"] | {"height": "yes"}},
        "`height` is of a wrong type",
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
