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
from terrainlib.data.palette import KAGGLE_CLASSES, save_classes, value_text
from terrainlib.errors import ModelFileError
from terrainlib.model.config import UNetConfig
from terrainlib.model.modelfile import read_record
from terrainlib.model.reading import onnxfile
from terrainlib.model.reading.writer import rename_classes
from terrainlib.model.record import ModelRecord, class_list
from terrainlib.runs import models
from terrainlib.ui.models import actions
from terrainlib.ui.models.picker import PIXEL_CLASSIFIER_TITLE
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
    split={"leak": "random: may leak", "validation": ["1", "2"]},
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


def open_page(model: str = "") -> AppTest:
    app = str(ROOT / "streamlit_app.py")
    page = AppTest.from_file(app, default_timeout=PAGE_TIMEOUT_S).switch_page(PAGE)
    if model:
        page.query_params["model"] = model
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
    parts += [*page.info, *page.error, *page.success, *page.warning]
    titles = [str(item.proto.title) for item in (*page.info, *page.error)]
    return "\n".join([*(str(part.value) for part in parts), *titles]).replace("\\", "")


def names(page: AppTest) -> list[str]:
    """Return the names in the table."""
    return list(page.dataframe[0].value["Name"]) if page.dataframe else []


def shown(page: AppTest) -> str:
    """Return the title of the card."""
    (title,) = page.header
    return title.value.replace("\\", "")


def files_of_home() -> set[Path]:
    return {path for path in files.home_dir().rglob("*") if path.is_file()}


def test_without_any_model_the_page_says_what_to_do():
    page = open_page()

    assert "No model yet" in texts(page)
    assert "Train one, or add one from a file above." in texts(page)


def test_a_model_is_a_row_with_scores_and_a_card_beside_it(trained: Path):
    page = open_page()

    size = (trained / "model.keras").stat().st_size
    assert page.dataframe[0].value.iloc[0].astype(str).to_dict() == {
        "Name": "coast model",
        "Default": "",
        "mIoU": "0.5432",
        "Boundary F1": "0.3821",
        "Data": "coast",
        "From": "trained here",
        "Preset": "fast",
        "Input": "RGB",
        "Classes": "7",
        "Date": "2026-05-01 12:00:00",
        "Size": str(size),
    }
    seen = texts(page)
    assert shown(page) == "coast model"
    assert f"fast · coast, 320 pairs · 2026-05-01 12:00 UTC · {size / 1000:.0f}" in seen
    assert {item.label: item.value for item in page.metric} == {
        "mIoU": "0.543",
        "Pixel accuracy": "0.710",
        "Boundary F1": "0.382",
        "Calibration error": "–",
        "Held-out images": "48",
    }
    for words in ("Water", "0.900", "Mountain", "0.400", "random: may leak"):
        assert words in seen


def test_a_row_that_is_chosen_stands_in_the_address_and_a_link_opens_it(
    embedded: Path, trained: Path
):
    page = open_page()
    assert (shown(page), page.query_params["model"]) == ("Embedded default", "default")

    linked = open_page(f"run/{trained.name}")
    assert shown(linked) == "coast model"
    assert linked.session_state["models_table"]["selection"]["rows"] == [1]
    assert "not on this machine" in texts(open_page("run/../../etc"))


def test_the_search_finds_names_and_data_sets(embedded: Path, trained: Path):
    page = open_page()

    page.text_input(key="models_search").set_value("COAST m").run()
    assert (names(page), shown(page)) == (["coast model"], "coast model")

    page.text_input(key="models_search").set_value("sea").run()
    assert names(page) == []
    assert "No model or data set has this name." in texts(page)


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

    assert names(page) == ["Embedded default", "coast model"]
    assert list(page.dataframe[0].value["Default"]) == ["★", ""]
    assert "the app's default" in texts(page)
    assert "Delete" not in [button.label for button in page.button]


def test_the_embedded_model_is_not_deleted_by_any_other_way(embedded: Path):
    def script() -> None:
        from terrainlib.runs.models import delete_model
        from terrainlib.ui.page import noticed, show_notice

        with noticed("The model was not deleted"):
            delete_model("default")
        show_notice()

    page = AppTest.from_function(script, default_timeout=PAGE_TIMEOUT_S).run()
    assert "is part of the app and cannot be deleted" in page.error[0].value
    assert embedded.exists()


def test_another_model_becomes_the_apps_default_and_one_click_undoes_it(
    embedded: Path, trained: Path
):
    page = press(open_page(f"run/{trained.name}"), "Make default")

    assert names(page) == ["coast model", "Embedded default"]
    assert page.success[0].value == "The app now begins with coast model."
    stored = json.loads((files.models_dir() / "default.json").read_text())
    assert stored == {"format": 1, "model": f"run/{trained.name}"}
    assert names(open_page()) == ["coast model", "Embedded default"]

    press(page, "Undo: begin with Embedded default")

    assert names(page) == ["Embedded default", "coast model"]
    assert page.success[0].value == "The app begins with Embedded default again."
    assert not [b for b in page.button if b.label.startswith("Undo")]


def test_a_default_that_is_worse_or_cannot_be_compared_comes_with_a_warning(
    embedded: Path, trained: Path
):
    models.set_default(f"run/{trained.name}")

    page = press(open_page("default"), "Make default")

    (warning,) = page.warning
    assert "worse than coast model on the same pairs: mIoU 0.501 against 0.543" in (
        warning.value.replace("\\", "")
    )


def test_models_are_compared_on_the_same_pairs_only(trained: Path):
    (entry,) = models.list_models()
    assert entry.record is not None

    def other(**changes: Any) -> models.ModelEntry:
        return replace(entry, title="B", record=replace(RECORD, **changes))

    better = other(scores={"miou": 0.6})
    assert models.default_warning(better, entry) is None
    assert "worse" in (models.default_warning(entry, better) or "")
    for changes in (
        {"split": {"validation": ["other"]}, "scores": {"miou": 0.6}},
        {"dataset": {"fingerprint": "1"}, "scores": {"miou": 0.6}},
        {"split": None},
    ):
        told = models.default_warning(other(**changes), entry)
        assert told == (
            "It cannot be compared with coast model: the two were scored on different "
            f"pairs (mIoU {0.6 if 'scores' in changes else 0.543:.3f} against 0.543)."
        )
    for one, two in ((other(scores=None), entry), (entry, other(scores=None))):
        assert "B holds no scores" in (models.default_warning(one, two) or "")


def test_a_default_that_is_gone_gives_way_to_the_embedded_one(
    embedded: Path, trained: Path
):
    files.write_json(files.models_dir() / "default.json", {"model": "run/gone"})

    assert names(open_page())[0] == "Embedded default"


@pytest.mark.parametrize("number", [0, 1])
def test_our_own_files_are_added_and_chosen(
    embedded: Path, saved: tuple[Path, Path], number: int
):
    page = open_page("default")
    page.text_input(key="models_search").set_value("embedded").run()
    upload(page, "my coast.h5", saved[number].read_bytes())

    assert "my-coast was added" in page.success[0].value.replace("\\", "")
    assert names(page) == ["Embedded default", "my-coast"]
    assert shown(page) == "my-coast"
    assert "uploaded" in texts(page)


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
    assert names(page) == []


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
    assert names(page) == []
    assert "coast model was deleted." in texts(page)


def test_the_classes_of_a_trained_model_are_renamed_in_both_files(trained: Path):
    page = open_page()
    boxes = [box for box in page.text_input if box.label.startswith("Name of ")]
    boxes[0].set_value("Forest")
    press(page, "Save the classes")
    assert "two classes are called Forest" in page.error[0].value

    boxes = [box for box in page.text_input if box.label.startswith("Name of ")]
    boxes[0].set_value("Sea")
    press(page, "Save the classes")

    assert "were saved" in page.success[0].value
    for name in ("model.keras", "TerrainMaskGenerator.h5"):
        record = read_record(trained / name)
        assert record is not None
        assert record.terrain_classes()[0].name == "Sea"


def test_classes_without_names_are_told_and_take_those_of_the_data_set(trained: Path):
    data = trained.parents[1] / "coast"
    data.mkdir()
    found = tuple(replace(c, name=value_text(c.color)) for c in KAGGLE_CLASSES)
    rename_classes(trained / "model.keras", found)
    page = open_page()
    assert "The classes of this model have no names yet." in page.warning[0].value
    boxes = [box for box in page.text_input if box.label.startswith("Name of ")]
    assert {box.value for box in boxes} == {""}

    save_classes(data / "classes.json", KAGGLE_CLASSES)
    page = open_page()
    boxes = [box for box in page.text_input if box.label.startswith("Name of ")]
    assert [box.value for box in boxes] == NAMES
    boxes[6].set_value("")
    press(page, "Save the classes")

    assert "1 of the 7 classes has no name yet: #C1BEAF" in texts(page)
    record = read_record(trained / "model.keras")
    assert record is not None
    assert [item.name for item in record.terrain_classes()] == [*NAMES[:6], "#C1BEAF"]


def test_a_damaged_file_is_named_and_can_only_be_deleted(saved: tuple[Path, Path]):
    files.models_dir().mkdir()
    (files.models_dir() / "broken.keras").write_bytes(saved[0].read_bytes()[:3000])

    page = open_page()

    assert "This file is damaged" in texts(page)
    assert [button.label for button in page.button] == ["Delete"]
    assert page.get("download_button") == []
    assert names(page) == ["broken"]


def test_odd_files_of_others_leave_the_page_whole_and_can_be_deleted(
    saved: tuple[Path, Path],
):
    files.models_dir().mkdir()
    odd = {
        "year-1": ("2026-05-01T12:00:00+00:00", "0001-01-01T00:00:00+14:00"),
        "year-9999": ("2026-05-01T12:00:00+00:00", "9999-12-31T23:59:59-14:00"),
        "huge": ("0.5432", "1" + "0" * 400),
        "deep": ("0.5432", "[" * 5000 + "]" * 5000),
        "text": ('["1", "2"]', '"x"'),
        "a b": ("coast", "good"),
        "a-b": ("coast", "good"),
        "a\udcff": ("coast", "good"),
    }
    for name, (old, new) in odd.items():
        path = files.models_dir() / f"{name}.keras"
        path.write_bytes(_reworded(saved[0], old, new))
        os.utime(path, (0, 2**36))

    page = open_page()
    assert sorted(names(page)) == sorted(["a?", *list(odd)[:-1]])
    for entry in models.list_models():
        page = open_page(entry.id)
        assert shown(page) == entry.title
        assert len(page.error) == (entry.record is None)

    page = press(open_page("added/year-1.keras"), "Delete")
    page.button(key="models_question_yes").click().run()

    assert not page.exception
    assert "year-1" not in names(page)
    assert not (files.models_dir() / "year-1.keras").exists()


def test_an_odd_record_is_refused_by_one_sentence_when_it_is_uploaded(
    saved: tuple[Path, Path],
):
    data = _reworded(saved[0], "0.5432", "1" + "0" * 400)

    page = upload(open_page(), "huge.keras", data)

    (error,) = page.error
    assert error.value.replace("\\", "").startswith("huge.keras: the model description")
    assert names(page) == []


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
    exported.write_bytes(actions.hdf5_bytes(entry))

    assert actions.keras_bytes(entry) == embedded.read_bytes()
    assert exported.read_bytes()[1:4] == b"HDF"
    record = read_record(exported)
    assert record is not None
    assert record.name == "embedded"


def test_the_button_for_onnx_says_why_a_model_cannot_be_that(
    trained: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(onnxfile, "_PACKAGES", ())
    (button,) = [b for b in open_page().download_button if b.label == "model.onnx"]
    assert not button.disabled

    monkeypatch.setattr(onnxfile, "_PACKAGES", ("onnx_of_nobody",))
    (button,) = [b for b in open_page().download_button if b.label == "model.onnx"]
    assert button.disabled
    assert "requirements-onnx.txt" in button.help


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


def test_models_of_one_name_are_told_apart_wherever_one_is_chosen(
    tmp_path: Path, trained: Path
):
    later = craft_run(tmp_path / "coast", name="coast model", epochs=2)
    data = _reworded(trained / "model.keras", "2026-05-01", "2026-06-02")
    (later / "model.keras").write_bytes(data)
    expected = [
        "coast model (2026-06-02 12:00 UTC)",
        "coast model (2026-05-01 12:00 UTC)",
    ]

    assert names(open_page()) == expected
    offered = pick().selectbox[0].options[:2]
    assert [option.partition(" · ")[0] for option in offered] == expected
