"""The command `patches`."""

import json

import pytest

from terrainlib.cli import main
from tests.labelled import features, scene, square


@pytest.fixture
def labels(tmp_path):
    shapes = [square(4, 4, 20), square(40, 40, 20)]
    fields = {"kind": ["Water", "Forest"], "owner": ["a", "b"]}
    return features(tmp_path / "labels.gpkg", shapes, fields)


def test_a_labelled_scene_becomes_a_data_set_that_check_takes(tmp_path, labels, capsys):
    image, out = scene(tmp_path), tmp_path / "set"
    words = ["patches", image, "--labels", labels, "--out", out, "--field", "kind"]
    assert main.main([*map(str, words), "--size", "32", "--bands", "red,4"]) == 0
    said = capsys.readouterr().out
    assert "2 patches of at most 32 px" in said
    assert json.loads((out / "dataset.json").read_text()) == {"bands": ["red", 4]}
    assert main.main(["check", str(out), "--overlaps", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["pairs"], report["problems"]) == (2, [])
    assert report["classes"] == {"Water": 0.5, "Forest": 0.5}
    assert report["overlaps"] == []


def test_what_is_not_clear_ends_with_status_2_and_one_sentence(
    tmp_path, labels, capsys
):
    image, out = scene(tmp_path), tmp_path / "set"
    words = ["patches", image, "--labels", labels, "--out", out]
    assert main.main(list(map(str, words))) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: labels.gpkg: it is not clear which field")
    assert not out.exists()
