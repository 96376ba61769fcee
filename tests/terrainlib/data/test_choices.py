"""`dataset.json`: what was chosen for a data set comes back as it was written."""

from pathlib import Path

import pytest

from terrainlib.data.choices import Choices, Patterns, read_choices, save_choices
from terrainlib.errors import DatasetError


@pytest.mark.parametrize(
    "choices",
    [
        Choices(),
        Choices(Patterns("*_sat.jpg", "*_mask.png")),
        Choices(Patterns("a/*.tif", "b/*.tif", "c/*.tif"), bands=("B8", 4, "red")),
    ],
)
def test_what_was_chosen_comes_back(tmp_path: Path, choices: Choices) -> None:
    save_choices(tmp_path, choices)
    assert read_choices(tmp_path) == choices


def test_without_a_file_nothing_was_chosen(tmp_path: Path) -> None:
    assert read_choices(tmp_path) == Choices()


@pytest.mark.parametrize("text", ["[", "[]", '{"bands": [0]}', '{"patterns": {}}'])
def test_a_bad_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DatasetError, match=r"dataset\.json: not valid: .*or delete it"):
        read_choices(tmp_path)
