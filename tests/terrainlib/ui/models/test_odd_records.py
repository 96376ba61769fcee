"""Records with one odd value each: refused, or harmless on every page."""

import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.errors import ModelFileError
from terrainlib.mask.gap import window_px
from terrainlib.mask.ground.areaerrors import validation_of
from terrainlib.model.card import card_markdown, model_card
from terrainlib.model.looks import LOOKS_KEY
from terrainlib.model.modelfile import load_model, read_record
from terrainlib.model.record import ModelRecord
from terrainlib.runs.models import ModelEntry
from terrainlib.ui.datasets.splits import has_seen, parts_of
from terrainlib.ui.gallery.pixelclassifier import stored_scores
from terrainlib.ui.models import cards
from terrainlib.ui.models.comparison import chart_frame, class_table, score_table
from terrainlib.ui.models.picker import model_labels, model_line
from terrainlib.ui.models.table import models_frame
from terrainlib.ui.text import date_text
from tests.conftest import more
from tests.crafted_models import archive, good_file, members_of

DATASET: Any = SimpleNamespace(fingerprint="0", ids=("0001",), pairs=(1,))
ODD = {  # as they stand in the file
    "null": "null",
    "true": "true",
    "zero": "0",
    "negative": "-1",
    "half": "0.5",
    "large": str(2**70),
    "huge": "1" + "0" * 400,
    "beyond floats": "1e400",
    "nan": "NaN",
    "empty": '""',
    "text": '"many"',
    "long": json.dumps("x" * 200_000),
    "half a character": '"\\udcff"',
    "two lines": '"a\\nb"',
    "year 1": '"0001-01-01T00:00:00+14:00"',
    "year 9999": '"9999-12-31T23:59:59-14:00"',
    "list": "[]",
    "lists": '[[["x"]]]',
    "object": "{}",
    "objects": '{"a": {"a": [1, {}]}}',
    "deep": "[" * 60 + "]" * 60,
    "deeper": "[" * 100_000 + "]" * 100_000,
}
PLACEHOLDER = "the odd value goes here"


@cache
def whole_record() -> dict[str, Any]:
    """Return a record with every field, of the small network that is at hand."""
    small = json.loads(members_of(good_file("model.keras"))["metadata.json"])["terrain"]
    full = json.loads(
        members_of(EMBEDDED_MODELS["default"].read_bytes())["metadata.json"]
    )["terrain"]
    kept = {name: small[name] for name in ("config", "classes", "weights_sha256")}
    for part in ("train", "validation", "left_out"):
        full["split"][part] = full["split"][part][:2]
    counts = [[60, 2], [3, 40]]
    groups = [[[6, 0], [0, 4]]] * 8
    return {**full, **kept, "confusion": counts, "confusion_groups": groups}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value of a record; of a list to its first entry only."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1])
    for key, item in inner:
        if isinstance(item, dict | list) and key != LOOKS_KEY:
            yield from places(item, (*path, key))
        else:
            yield (*path, key)


def changed(path: tuple[Any, ...], text: str) -> bytes:
    """Return a model file whose record has another JSON text in one place."""
    record = json.loads(json.dumps(whole_record()))
    outer = record
    for key in path[:-1]:
        outer = outer[key]
    outer[path[-1]] = PLACEHOLDER
    members = members_of(good_file("model.keras"))
    metadata = json.loads(members["metadata.json"]) | {"terrain": record}
    whole = json.dumps(metadata).replace(json.dumps(PLACEHOLDER), text)
    return archive({**members, "metadata.json": whole.encode()})


def use(entry: ModelEntry) -> None:
    """Ask of a model all that the pages ask."""
    words = [entry.title, entry.preset, entry.data, entry.model, entry.leak or ""]
    words += [date_text(entry.created, "Asia/Tokyo"), date_text(entry.modified, None)]
    words += [
        model_line(entry, model_labels([entry, entry], None)[entry.id]),
        *cards._facts(entry),
    ]
    words += [f"{entry.score(name) or 0:,.3f}" for name in ("images", "miou", "ece")]
    words += [f"{value or 0:.3f}" for value in entry.class_scores.values()]
    models_frame([entry], entry.id, "Asia/Tokyo")
    sorted([entry.created, datetime.now(UTC)])
    if entry.record is not None:
        record = entry.record
        card = model_card(record)
        words += [card_markdown(record), str(record.ahead)]
        words += [score_table(card.scores), class_table(card.classes)]
        words += [str(value) for value in cards._colors(entry).values()]
        chart_frame(card.classes["iou"])
        parts_of(record, DATASET)
        has_seen(record, DATASET, "validation")
        stored_scores(record, "validation")
        validation_of(record)
        assert window_px(record.statistics) > 0
    for text in words:
        text.encode()
        assert len(text) < 20_000


def test_the_record_itself_is_good(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(changed(("name",), '"odd"'))

    record = read_record(path)

    assert record is not None
    assert record.final is not None
    assert record.confusion_groups is not None


@pytest.mark.parametrize("every", [4, *more(1)])
@pytest.mark.parametrize("field", [item.name for item in fields(ModelRecord)])
def test_an_odd_value_is_refused_or_does_no_harm(
    field: str, every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cards.st, "context", SimpleNamespace(timezone="Asia/Tokyo"))
    path = tmp_path / "model.keras"
    for number, place in enumerate(places(whole_record())):
        if place[0] != field:
            continue
        for odd, text in islice(ODD.items(), number % every, None, every):
            data = changed(place, text)
            path.write_bytes(data)
            record = read_record(path)
            try:
                moment = datetime(2026, 5, 1, tzinfo=UTC)
                use(ModelEntry("added/a", "added", "a", path, record, 1, moment))
                if record is None and odd == "lists":  # slow: it reads the weights
                    load_model(path)
            except ModelFileError as error:
                sentence = str(error)
                assert sentence.startswith("model.keras: ")
                assert sentence.isprintable()
                assert len(sentence) < 400
            except Exception as error:
                raise AssertionError(f"{odd} in {place}") from error
