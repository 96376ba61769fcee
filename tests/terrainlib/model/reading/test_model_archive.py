"""Files that are no whole model: cut, damaged, of another kind, or no file at all."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from terrainlib.errors import ModelFileError
from terrainlib.model.modelfile import load_model, read_record
from tests.crafted_models import (
    KINDS,
    archive,
    good_file,
    members_of,
    set_description,
    with_weights,
)
from tests.hostile_models import refused


def test_m17_a_description_of_400_mb_is_refused_unread(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members_of(good_file("model.keras")).items():
            if name != "config.json":
                target.writestr(name, content)
        with target.open("config.json", "w") as member:
            for _ in range(400):
                member.write(b" " * 2**20)

    sentence = refused(buffer.getvalue(), "model.keras", tmp_path)

    assert "the model description is larger than 1 MiB" in sentence


@pytest.mark.parametrize("kind", KINDS)
def test_a_description_that_is_no_json_is_refused(kind: str, tmp_path: Path) -> None:
    data = set_description(good_file(kind), b"{'")

    assert "it is not JSON" in refused(data, kind, tmp_path)


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(len(data) * share)]


def flipped(data: bytes) -> bytes:
    place = data.index(b"model.weights.h5") + len(data) // 2
    return data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]


def member(name: str, content: bytes = b"x") -> Callable[[bytes], bytes]:
    return lambda data: archive({**members_of(data), name: content}, compression=8)


def without(name: str) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        members = members_of(data)
        del members[name]
        return archive(members)

    return change


UNEXPECTED = "the archive contains the unexpected member"
NO_MODEL = "not a Keras model (.keras or .h5)"
FILES = {
    "M18 an asset": (member("assets/x", bytes(2**20)), f"{UNEXPECTED} 'assets/x'"),
    "M20 a way out": (member("assets/../../x"), f"{UNEXPECTED} 'assets/../../x'"),
    "M20 absolute": (member("/etc/x"), f"{UNEXPECTED} '/etc/x'"),
    "M25 cut in half": (cut(0.5), "the file is cut off or damaged"),
    "M25 ten bytes cut": (lambda d: d[:-10], "the file is cut off or damaged"),
    "M25 empty": (lambda _: b"", "the file is empty"),
    "M26 a byte flipped": (flipped, "damaged (checksum does not match)"),
    "M30 another zip": (lambda _: archive({"a.txt": b"x"}), NO_MODEL),
    "M30 onnx": (lambda _: b"\x08\x07\x12\x07pytorch" * 50, NO_MODEL),
    "M30 zeros": (lambda _: bytes(5000), NO_MODEL),
    "no weights": (without("model.weights.h5"), "the archive lacks model.weights.h5"),
    "no metadata": (without("metadata.json"), "the archive lacks metadata.json"),
    "packed weights": (
        lambda d: archive(members_of(d), compression=8),
        "the weights are packed",
    ),
}


@pytest.mark.parametrize("row", FILES)
def test_a_damaged_or_foreign_archive_is_refused(row: str, tmp_path: Path) -> None:
    change, named = FILES[row]

    assert named in refused(change(good_file("model.keras")), "model.keras", tmp_path)


def weights_only(data: bytes) -> bytes:
    return members_of(data)["model.weights.h5"]


def keras2_weights_only(data: bytes) -> bytes:
    return with_weights(data, lambda f: f.attrs.__delitem__("model_config"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (cut(0.5), "the file is cut off or damaged"),
        (lambda d: d[:-10], "the file is cut off or damaged"),
        (lambda d: d[:100], "the file is cut off or damaged"),
        (lambda _: b"", "the file is empty"),
        (lambda d: b"\x89PNG\r\n\x1a\n" + d, NO_MODEL),
        (keras2_weights_only, "holds weights only, no model description"),
    ],
    ids=["M28 half", "M28 end", "M28 start", "M28 empty", "M28 PNG", "M29"],
)
def test_a_damaged_or_foreign_hdf5_file_is_refused(
    change: Callable[[bytes], bytes], named: str, tmp_path: Path
) -> None:
    data = change(good_file("TerrainMaskGenerator.h5"))

    assert named in refused(data, "TerrainMaskGenerator.h5", tmp_path)


def test_m29_a_weights_file_of_keras_is_refused(tmp_path: Path) -> None:
    data = weights_only(good_file("model.keras"))

    assert "holds weights only" in refused(data, "model.weights.h5", tmp_path)


def test_a_member_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO(good_file("model.keras"))
    with (
        zipfile.ZipFile(buffer, "a") as target,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        target.writestr("config.json", b"{}")

    assert f"{UNEXPECTED} 'config.json'" in refused(
        buffer.getvalue(), "model.keras", tmp_path
    )


@pytest.mark.parametrize(
    ("content", "name"),
    [("model.keras", "renamed.h5"), ("TerrainMaskGenerator.h5", "RENAMED.KERAS")],
)
def test_m25_a_renamed_file_is_told_by_its_content(
    content: str, name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(good_file(content))

    assert load_model(path).name == "good"


@pytest.mark.parametrize(
    "path", ["gs://bucket/m.keras", "hf://user/m.keras", "/gcs/m.keras", "x" * 5000]
)
def test_m31_an_address_is_only_the_name_of_a_missing_file(path: str) -> None:
    with pytest.raises(ModelFileError, match="there is no such model file"):
        load_model(path)


def test_m30_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder.keras"
    folder.mkdir()

    with pytest.raises(ModelFileError, match=r"folder\.keras: the folder holds no"):
        load_model(folder)


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.keras"
    os.mkfifo(pipe)

    with pytest.raises(ModelFileError, match="not a Keras model"):
        load_model(pipe)
    assert read_record(pipe) is None
