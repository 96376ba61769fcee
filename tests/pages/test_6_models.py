"""The models page, as a person sees it; and the box that lets pages choose a model."""

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from terrainlib import files
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.errors import ModelFileError
from terrainlib.model.config import UNetConfig
from terrainlib.model.modelfile import read_record
from terrainlib.model.record import ModelRecord, class_list
from terrainlib.runs import models
from terrainlib.ui.models import cards as model_actions
from terrainlib.ui.models.picker import PIXEL_CLASSIFIER_TITLE, model_label
from tests.conftest import PAGE_TIMEOUT_S, ROOT
from tests.crafted_models import archive, members_of
from tests.crafted_runs import craft_run
from tests.models import hide_embedded_models

PAGE = "pages/6_Models.py"
NAMES = [item.name for item in KAGGLE_CLASSES]
CONFIG = UNetConfig.preset("fast", image_size=16, filters=(4, 8))
RECORD = ModelRecord(
    config=CONFIG.to_dict(),
    classes=class_list(KAGGLE_CLASSES),
    name="coast model",
    scale=1.0,
    split={"leak": "random: may leak"},
    scores={
        "images": 48,
        "pixel_accuracy": 0.7104,
        "miou": 0.5432,
        "iou": dict(zip(NAMES, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, None], strict=True)),
        "boundary_f1": 0.3821,
    },
    dataset={"name": "coast", "pairs": 320, "fingerprint": "0"},
    created="2026-05-01T12:00:00+00:00",
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """`model.keras` and `TerrainMaskGenerator.h5` of a tiny network."""
    from terrainlib.model.network import build_unet
    from terrainlib.model.reading.writer import save_model

    return save_model(build_unet(CONFIG), RECORD, tmp_path_factory.mktemp("saved"))


@pytest.fixture(autouse=True)
def no_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded model takes part only where a test puts one."""
    hide_embedded_models(monkeypatch)
    embedded = tmp_path / "default.keras"
    monkeypatch.setitem(models.EMBEDDED_MODELS, "default", embedded)


@pytest.fixture
def embedded(saved: tuple[Path, Path], no_embedded: None) -> Path:
    path = models.EMBEDDED_MODELS["default"]
    path.write_bytes(_renamed(saved[0], "embedded", miou=0.5011))
    return path


@pytest.fixture
def trained(tmp_path: Path, saved: tuple[Path, Path]) -> Path:
    """A run folder with a model."""
    run = craft_run(tmp_path / "coast", name="coast model", epochs=2)
    (run / "model.keras").write_bytes(saved[0].read_bytes())
    (run / "TerrainMaskGenerator.h5").write_bytes(saved[1].read_bytes())
    return run


def _renamed(path: Path, name: str, *, miou: float) -> bytes:
    """Return a `.keras` file with another name and score in its record."""
    target = path.with_name(f"{name}.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            data = old.read(member)
            if member.filename == "metadata.json":
                values = json.loads(data)
                record = next(v for v in values.values() if isinstance(v, dict))
                record["name"] = name
                record["scores"]["miou"] = miou
                data = json.dumps(values).encode()
            new.writestr(member.filename, data)
    return target.read_bytes()


def open_page() -> AppTest:
    app = str(ROOT / "streamlit_app.py")
    page = AppTest.from_file(app, default_timeout=PAGE_TIMEOUT_S).switch_page(PAGE)
    page.run()
    assert not page.exception
    return page


def press(page: AppTest, words: str, number: int = 0) -> AppTest:
    buttons = [button for button in page.button if button.label == words]
    buttons[number].click().run()
    assert not page.exception
    return page


def upload(page: AppTest, name: str, data: bytes) -> AppTest:
    page.file_uploader(key="models_upload").upload(name, data).run()
    return press(page, "Add this model")


def texts(page: AppTest) -> str:
    parts: list[Any] = [*page.markdown, *page.caption, *page.header]
    parts += [*page.info, *page.error, *page.success]
    titles = [str(item.proto.title) for item in (*page.info, *page.error)]
    return "\n".join([*(str(part.value) for part in parts), *titles]).replace("\\", "")


def titles(page: AppTest) -> list[str]:
    return [item.value.replace("\\", "") for item in page.header]


def files_of_home() -> set[Path]:
    return {path for path in files.home_dir().rglob("*") if path.is_file()}


def test_without_any_model_the_page_says_what_to_do():
    page = open_page()

    assert "No model yet" in texts(page)
    assert "Train one, or add one from a file below." in texts(page)


def test_a_model_shows_preset_data_date_size_and_scores(trained: Path):
    page = open_page()

    seen = texts(page)
    size = (trained / "model.keras").stat().st_size
    assert titles(page) == ["coast model"]
    assert f"fast · coast, 320 pairs · 2026-05-01 12:00 UTC · {size / 1000:.0f}" in seen
    shown = {item.label: item.value for item in page.metric}
    assert shown == {
        "mIoU": "0.543",
        "Pixel accuracy": "0.710",
        "Boundary F1": "0.382",
        "Calibration error": "–",
        "Held-out images": "48",
    }
    for words in ("Water", "0.900", "Mountain", "0.400", "random: may leak"):
        assert words in seen


def test_a_model_without_scores_says_where_they_come_from(saved: tuple[Path, Path]):
    from terrainlib.model.network import build_unet
    from terrainlib.model.reading.writer import save_model

    bare = replace(RECORD, scores=None, split=None)
    path, _ = save_model(build_unet(CONFIG), bare, files.home_dir() / "bare")
    (files.models_dir()).mkdir()
    path.rename(files.models_dir() / "bare.keras")

    page = open_page()

    assert "No scores are stored in this file" in texts(page)
    assert len(page.metric) == 0


def test_the_embedded_model_comes_first_and_cannot_be_deleted(
    embedded: Path, trained: Path
):
    page = open_page()

    assert titles(page) == ["Embedded default", "coast model"]
    assert "the app's default" in texts(page)
    assert [button.label for button in page.button].count("Delete") == 1


def test_the_embedded_model_is_not_deleted_by_any_other_way(embedded: Path):
    def script() -> None:
        from terrainlib.ui.models.cards import delete_model
        from terrainlib.ui.page import show_notice

        delete_model("default")
        show_notice()

    page = AppTest.from_function(script, default_timeout=PAGE_TIMEOUT_S).run()
    assert "is part of the app and stays" in page.error[0].value
    assert embedded.exists()


def test_another_model_becomes_the_apps_default(embedded: Path, trained: Path):
    page = press(open_page(), "Make default")

    assert titles(page) == ["coast model", "Embedded default"]
    assert "The app now begins with coast model." in texts(page)
    stored = json.loads((files.models_dir() / "default.json").read_text())
    assert stored == {"format": 1, "model": f"run/{trained.name}"}
    assert titles(open_page()) == ["coast model", "Embedded default"]


def test_a_default_that_is_gone_gives_way_to_the_embedded_one(
    embedded: Path, trained: Path
):
    files.write_json(files.models_dir() / "default.json", {"model": "run/gone"})

    assert titles(open_page())[0] == "Embedded default"


@pytest.mark.parametrize("number", [0, 1])
def test_our_own_files_are_added(saved: tuple[Path, Path], number: int):
    page = upload(open_page(), "my coast.h5", saved[number].read_bytes())

    assert "my-coast was added." in texts(page)
    assert titles(page) == ["my-coast"]
    assert "added from a file" in texts(page)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("notes.keras", b"these are notes, not a model", "notes.keras: "),
        ("empty.h5", b"", "empty.h5: "),
        ("cut.keras", None, "cut.keras: "),
        ("frozen.pb", b"another format", "frozen.pb: "),
    ],
)
def test_a_file_that_is_no_model_gives_one_sentence_and_changes_nothing(
    saved: tuple[Path, Path], name: str, data: bytes | None, words: str
):
    before = files_of_home()
    if data is None:
        data = saved[0].read_bytes()[:3000]

    page = open_page()
    assert not list(page.file_uploader(key="models_upload").proto.type)
    upload(page, name, data)

    assert len(page.error) == 1
    assert page.error[0].proto.title == "This file was not added"
    assert page.error[0].value.replace("\\", "").startswith(words)
    assert files_of_home() == before
    assert titles(page) == []


def test_a_trained_model_is_deleted_after_a_question_and_its_curves_stay(
    trained: Path,
):
    page = press(open_page(), "Delete")
    assert (trained / "model.keras").exists()
    assert "The curves of its training stay." in texts(page)

    page.button(key="models_question_yes").click().run()

    assert not page.exception
    assert not (trained / "model.keras").exists()
    assert not (trained / "TerrainMaskGenerator.h5").exists()
    assert (trained / "metrics.csv").exists()
    assert titles(page) == []


def test_the_classes_of_a_trained_model_are_renamed_in_both_files(trained: Path):
    page = press(open_page(), "Classes")
    boxes = [box for box in page.text_input if box.label.startswith("Name of ")]
    boxes[0].set_value("Sea")
    press(page, "Save")

    assert not page.exception
    assert "were saved" in page.success[0].value
    for name in ("model.keras", "TerrainMaskGenerator.h5"):
        record = read_record(trained / name)
        assert record is not None
        assert record.terrain_classes()[0].name == "Sea"


def test_a_damaged_file_is_named_and_can_only_be_deleted(saved: tuple[Path, Path]):
    files.models_dir().mkdir()
    (files.models_dir() / "broken.keras").write_bytes(saved[0].read_bytes()[:3000])

    page = open_page()

    assert "This file is damaged" in texts(page)
    assert [button.label for button in page.button] == ["Delete"]
    assert page.get("download_button") == []


def test_odd_files_of_others_leave_the_page_whole_and_can_be_deleted(
    saved: tuple[Path, Path],
):
    files.models_dir().mkdir()
    odd = {
        "year-1": ("2026-05-01T12:00:00+00:00", "0001-01-01T00:00:00+14:00"),
        "year-9999": ("2026-05-01T12:00:00+00:00", "9999-12-31T23:59:59-14:00"),
        "huge": ("0.5432", "1" + "0" * 400),
        "deep": ("0.5432", "[" * 5000 + "]" * 5000),
        "text": ('{"leak": "random: may leak"}', '"x"'),
        "a b": ("coast", "good"),
        "a-b": ("coast", "good"),
        "a\udcff": ("coast", "good"),
    }
    for name, (old, new) in odd.items():
        path = files.models_dir() / f"{name}.keras"
        path.write_bytes(_reworded(saved[0], old, new))
        os.utime(path, (0, 2**36))

    page = open_page()

    assert sorted(titles(page)) == sorted(["a?", *list(odd)[:-1]])
    assert len(page.error) == 5
    assert [button.label for button in page.button].count("Delete") == len(odd)

    page.button(key="models_delete_added/year-1.keras").click().run()
    page.button(key="models_question_yes").click().run()

    assert not page.exception
    assert "year-1" not in titles(page)
    assert len(page.error) == 4
    assert not (files.models_dir() / "year-1.keras").exists()


def test_an_odd_record_is_refused_by_one_sentence_when_it_is_uploaded(
    saved: tuple[Path, Path],
):
    data = _reworded(saved[0], "0.5432", "1" + "0" * 400)

    page = upload(open_page(), "huge.keras", data)

    (shown,) = page.error
    assert shown.value.replace("\\", "").startswith("huge.keras: the model description")
    assert titles(page) == []


def _reworded(path: Path, old: str, new: str) -> bytes:
    """Return a `.keras` file with another text in its metadata."""
    data = members_of(path.read_bytes())
    assert old.encode() in data["metadata.json"]
    data["metadata.json"] = data["metadata.json"].replace(old.encode(), new.encode())
    return archive(data)


def test_both_formats_are_made_on_demand_and_hold_the_record(
    embedded: Path, tmp_path: Path
):
    entry = models.list_models()[0]
    assert not embedded.with_name("TerrainMaskGenerator.h5").exists()

    exported = tmp_path / "export.h5"
    exported.write_bytes(model_actions.hdf5_bytes(entry))

    assert model_actions.keras_bytes(entry) == embedded.read_bytes()
    assert exported.read_bytes()[1:4] == b"HDF"
    record = read_record(exported)
    assert record is not None
    assert record.name == "embedded"


def test_a_model_that_is_gone_is_refused_with_one_sentence():
    with pytest.raises(ModelFileError, match="not there any more"):
        models.find_model("run/gone")


def _picker() -> None:
    import streamlit as st

    from terrainlib.ui.models.picker import pick_entry

    entry = pick_entry("test_model")
    st.session_state["picked"] = entry.model if entry else None


def pick(**query: str) -> AppTest:
    page = AppTest.from_function(_picker, default_timeout=PAGE_TIMEOUT_S)
    for name, value in query.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    return page


def test_the_box_begins_with_the_embedded_model(embedded: Path, trained: Path):
    page = pick()

    assert page.session_state["picked"] == "default"
    assert page.selectbox[0].options == [
        "Embedded default · fast · trained on coast · mIoU 0.50",
        "coast model · fast · trained on coast · mIoU 0.54",
        PIXEL_CLASSIFIER_TITLE,
    ]


def test_the_box_gives_the_path_of_a_trained_model(embedded: Path, trained: Path):
    page = pick()

    page.selectbox[0].select_index(1).run()

    assert page.session_state["picked"] == str(trained / "model.keras")


def test_the_box_begins_with_the_apps_default(embedded: Path, trained: Path):
    models.set_default(f"run/{trained.name}")

    assert pick().session_state["picked"] == str(trained / "model.keras")


def test_a_link_chooses_a_model_and_the_box_can_change_it(
    embedded: Path, trained: Path
):
    page = pick(model=f"run/{trained.name}")
    assert page.session_state["picked"] == str(trained / "model.keras")

    page.selectbox[0].select_index(0).run()

    assert page.session_state["picked"] == "default"


def test_a_link_to_a_model_that_is_not_there_is_passed_over(embedded: Path):
    assert pick(model="run/../../etc").session_state["picked"] == "default"


def test_damaged_files_are_not_offered(embedded: Path):
    files.models_dir().mkdir()
    (files.models_dir() / "broken.keras").write_bytes(b"PK\x03\x04 no model")

    labels = pick().selectbox[0].options
    assert [label.partition(" · ")[0] for label in labels] == [
        "Embedded default",
        PIXEL_CLASSIFIER_TITLE,
    ]


def test_models_of_one_name_are_told_apart_by_their_dates(trained: Path):
    entry = models.list_models()[0]

    assert "2026-05-01 12:00 UTC" in model_label(entry, dated=True)
    assert "2026-05-01" not in model_label(entry)
