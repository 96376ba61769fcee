"""Saving, loading, listing and adding models."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from terrainlib import files
from terrainlib.data.palette import TerrainClass
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.errors import DatasetError, ModelFileError, StorageError
from terrainlib.model.config import UNetConfig
from terrainlib.model.modelfile import (
    install_model,
    load_model,
    read_record,
    receptive_field,
)
from terrainlib.model.network import build_unet
from terrainlib.model.reading.writer import rename_classes, save_model
from terrainlib.model.record import ModelRecord, class_list
from tests.crafted_models import KINDS, good_file, randomize


def a_record(config: UNetConfig) -> ModelRecord:
    return ModelRecord(
        config=config.to_dict(),
        classes=[
            {"name": f"Class {i}", "color": [i, 2 * i, 3 * i]}
            for i in range(config.classes)
        ],
        name="hills",
        scale=0.25,
        split={"method": "random", "validation": ["0001"], "leak": "random: may leak"},
        scores={"images": 3, "miou": 0.5, "iou": {"Class 0": None}},
        confusion=[[1, 2], [3, 4]],
        temperature=1.5,
        dataset={"name": "tiny", "pairs": 6, "fingerprint": "ab"},
    )


def a_network(config: UNetConfig) -> keras.Model:
    network = build_unet(config)
    randomize(network)
    return network


def predict(network: keras.Model, channels: int = 3) -> np.ndarray:
    pixels = np.random.default_rng(1).random((2, 32, 32, channels), np.float32)
    return network(pixels, training=False).numpy()


@pytest.mark.parametrize(
    ("name", "height"),
    [("fast", False), ("fast", True), ("notebook", False), ("best", True)],
)
def test_both_files_predict_here_and_in_plain_keras_what_the_network_does(
    name: str, height: bool, tmp_path: Path
) -> None:
    config = UNetConfig.preset(name, filters=(2, 3, 4), height=height)
    network = a_network(config)
    expected = predict(network, config.input_channels)

    for path in save_model(network, a_record(config), tmp_path / "run"):
        model = load_model(path)
        plain = keras.models.load_model(path, compile=False)
        found = predict(model.network, config.input_channels)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(predict(plain, config.input_channels), expected)
        assert model.config == config


def test_the_record_comes_back_whole(tmp_path: Path) -> None:
    config = UNetConfig(filters=(2, 3), classes=2)
    record = a_record(config)

    for path in save_model(a_network(config), record, tmp_path):
        model = load_model(path)
        expected = replace(record, receptive_field=receptive_field(config))
        assert model.record == read_record(path) == expected
        assert model.classes == (
            TerrainClass("Class 0", (0, 0, 0)),
            TerrainClass("Class 1", (1, 2, 3)),
        )
        assert (model.name, model.scale, model.path) == ("hills", 0.25, path)


def test_the_optimizer_of_a_compiled_network_is_left_out(tmp_path: Path) -> None:
    config = UNetConfig(filters=(2, 3), classes=2)
    network = a_network(config)
    network.compile(optimizer="adam", loss="categorical_crossentropy")
    network.optimizer.build(network.trainable_variables)

    for path in save_model(network, a_record(config), tmp_path):
        np.testing.assert_array_equal(
            predict(load_model(path).network), predict(network)
        )
    assert network.optimizer is not None


def test_classes_get_other_names_and_all_else_stays(tmp_path: Path) -> None:
    config = UNetConfig(filters=(2, 3), classes=2)
    network = a_network(config)
    classes = (TerrainClass("Sea", (9, 9, 9)), TerrainClass("Land", (1, 2, 3)))
    for path in save_model(network, a_record(config), tmp_path):
        before = read_record(path)
        rename_classes(path, classes)
        model = load_model(path)
        assert before is not None
        assert model.classes == classes
        assert model.record == replace(
            before,
            classes=class_list(classes),
            scores={"images": 3, "miou": 0.5, "iou": {"Sea": None}},
        )
        np.testing.assert_array_equal(predict(model.network), predict(network))


@pytest.mark.parametrize(
    ("preset", "names", "colors", "sentence"),
    [
        ("fast", ["A"], [1], "has 7 classes, not 1"),
        ("fast", list("AABCDEF"), range(7), "two classes are called A"),
        ("fast", list("ABCDEFG"), [0] * 7, "A and B have the same colour"),
        ("notebook", list("ABCDEFG"), range(7), "predicts the colours of its classes"),
    ],
)
def test_classes_that_a_model_cannot_have_leave_its_file_as_it_is(
    preset: str, names: list[str], colors: list[int], sentence: str, tmp_path: Path
) -> None:
    config = UNetConfig.preset(preset, filters=(2, 3))
    path, _ = save_model(a_network(config), a_record(config), tmp_path)
    before = path.read_bytes()
    pairs = zip(names, colors, strict=True)
    classes = tuple(TerrainClass(name, (color, 0, 0)) for name, color in pairs)
    with pytest.raises((DatasetError, ModelFileError), match=sentence):
        rename_classes(path, classes)
    assert path.read_bytes() == before


def test_saving_leaves_nothing_but_the_two_files(tmp_path: Path) -> None:
    config = UNetConfig(filters=(2, 3), classes=2)

    paths = save_model(a_network(config), a_record(config), tmp_path / "run")

    assert sorted((tmp_path / "run").iterdir()) == sorted(paths)
    assert {path.name for path in paths} == set(KINDS)


def test_a_failing_disk_leaves_the_old_model_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = UNetConfig(filters=(2, 3), classes=2)
    paths = save_model(a_network(config), a_record(config), tmp_path)
    before = [path.read_bytes() for path in paths]

    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(StorageError, match="No space left"):
        save_model(a_network(config), a_record(config), tmp_path)

    assert [path.read_bytes() for path in paths] == before
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_a_run_folder_means_its_model(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "model.keras").write_bytes(good_file("model.keras"))

    assert load_model(folder).path == folder / "model.keras"


def test_two_loads_share_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(good_file("model.keras"))

    assert load_model(path).network is not load_model(path).network


@pytest.mark.parametrize(("word", "height"), [("default", 0), ("default-height", 1)])
def test_a_word_means_an_embedded_model(word: str, height: int) -> None:
    model = load_model(word)

    assert model.config.height == bool(height)
    assert model.path == EMBEDDED_MODELS[word]
    assert model.name == word
    assert EMBEDDED_MODELS[word].stat().st_size < 10e6


def test_a_missing_file_is_named_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError) as caught:
        load_model(tmp_path / "absent.keras")

    assert str(caught.value).startswith("absent.keras: there is no such model file.")
    assert read_record(tmp_path / "absent.keras") is None


def test_a_network_with_other_layers_is_not_saved(tmp_path: Path) -> None:
    image = keras.Input((16, 16, 3))
    network = keras.Model(image, keras.layers.GaussianNoise(1)(image))

    with pytest.raises(ModelFileError, match="'GaussianNoise' cannot be loaded here"):
        save_model(network, a_record(UNetConfig()), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("My Hills (2).keras", "My-Hills-2.keras"),
        ("../../etc/passwd", "passwd.keras"),
        ("C:\\models\\hills.h5", "hills.keras"),
        (".keras", "keras.keras"),
        ("山.keras", "model.keras"),
        ("a" * 300 + ".keras", "a" * 60 + ".keras"),
    ],
)
def test_an_added_model_gets_a_safe_name(name: str, stored: str) -> None:
    path = install_model(good_file("model.keras"), name)

    assert path == files.models_dir() / stored
    assert load_model(path).name == "good"


def test_an_added_model_never_replaces_another() -> None:
    data = good_file("TerrainMaskGenerator.h5")

    paths = [install_model(data, "hills.h5") for _ in range(3)]

    assert [path.name for path in paths] == ["hills.h5", "hills-2.h5", "hills-3.h5"]
    assert all(path.read_bytes() == data for path in paths)


def test_a_bad_upload_stores_nothing() -> None:
    with pytest.raises(ModelFileError, match=r"bad\.keras: not a Keras model"):
        install_model(b"not a model", "folder/bad.keras")

    assert not files.models_dir().exists()


def test_records_are_read_without_tensorflow(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(good_file("model.keras"))
    code = (
        "import sys, pathlib\n"
        "from terrainlib.model.modelfile import read_record\n"
        f"path = pathlib.Path({str(path)!r})\n"
        "assert read_record(path).name == 'good'\n"
        "print({'keras', 'tensorflow'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "set()"


def test_a_record_with_a_bad_network_says_so() -> None:
    record = a_record(UNetConfig(filters=(2, 3)))
    broken = replace(record, config=record.config | {"filters": [0, 3]})

    with pytest.raises(ModelFileError, match="filters must be 1 to 1024"):
        broken.unet_config()
