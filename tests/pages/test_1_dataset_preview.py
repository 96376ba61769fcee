"""The dataset preview page, as a person sees it."""

import io
import os
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from rasterio import Affine
from streamlit.testing.v1 import AppTest

from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.palette import KAGGLE_CLASSES, load_classes
from terrainlib.errors import ImageError
from terrainlib.runs.folder import create_search, list_searches
from terrainlib.runs.process import utc_now, write_process
from terrainlib.runs.searches.config import SearchConfig
from terrainlib.runs.searches.search import run_search
from terrainlib.runs.status import SEARCH, SearchStatus, write_status
from terrainlib.ui.datasets import overlaps as section
from tests.conftest import PAGE_TIMEOUT_S, ROOT
from tests.imagefiles import pattern, tiff
from tests.overlapping import OVERLAPPING, write_overlapping_dataset
from tests.synthetic import write_folders_dataset, write_kaggle_dataset

PAGE = "pages/1_Dataset_Preview.py"


def open_page(source: str = "sample") -> AppTest:
    app = str(ROOT / "streamlit_app.py")
    page = AppTest.from_file(app, default_timeout=PAGE_TIMEOUT_S).switch_page(PAGE)
    page.session_state["shared_dataset_source"] = source
    page.run()
    assert not page.exception
    return page


def open_folder(folder: object) -> AppTest:
    page = open_page("folder")
    page.text_input(key="preview_folder").set_value(str(folder))
    page.button(key="preview_folder_send").click().run()
    assert not page.exception
    return page


def metrics(page: AppTest) -> dict[str, str]:
    return {item.label: item.value for item in page.metric}


def errors(page: AppTest) -> list[str]:
    return [item.value.replace("\\", "") for item in page.error]


def test_the_embedded_sample_is_shown_without_any_choice() -> None:
    page = open_page()
    assert metrics(page).items() >= {
        ("Pairs", "320"),
        ("Image size", "128 px"),
        ("With height", "all"),
        ("Problems", "0"),
    }
    shown = [alt for alt in pictures(page) if "of pair" in alt]
    assert len(shown) == 48  # 24 images and 24 masks
    assert not page.error
    assert page.get("pagination")


def test_opening_the_page_needs_no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # importing it is an error now
    monkeypatch.setitem(sys.modules, "keras", None)
    assert metrics(open_page())["Pairs"] == "320"


def test_a_folder_shows_its_counts_and_pictures(tiny_dataset: Path) -> None:
    page = open_folder(tiny_dataset)
    assert metrics(page)["Pairs"] == "6"
    assert metrics(page)["Image size"] == "32 px"
    assert len(page.get("image")) == 12
    assert not page.get("pagination")


def test_quotes_and_spaces_around_a_pasted_path_do_no_harm(tiny_dataset: Path) -> None:
    page = open_folder(f'  "{tiny_dataset}" ')
    assert metrics(page)["Pairs"] == "6"


@pytest.mark.parametrize(
    ("view", "pictures"),
    [("Overlay", 6), ("Image", 6), ("Mask", 6), ("Height", 6), ("Image and mask", 12)],
)
def test_each_view_shows_its_pictures(
    tiny_dataset: Path, view: str, pictures: int
) -> None:
    page = open_folder(tiny_dataset)
    page.segmented_control(key="preview_view_5").set_value(view).run()
    assert not page.exception
    assert len(page.get("image")) == pictures


def test_the_overlay_has_an_opacity(tiny_dataset: Path) -> None:
    page = open_folder(tiny_dataset)
    assert not page.slider
    page.segmented_control(key="preview_view_5").set_value("Overlay").run()
    page.slider(key="preview_opacity").set_value(100).run()
    assert not page.exception
    assert len(page.get("image")) == 6


def test_without_heights_no_height_is_offered(tmp_path: Path) -> None:
    page = open_folder(write_kaggle_dataset(tmp_path / "flat", heights=False))
    assert metrics(page)["With height"] == "none"
    assert "Height" not in page.segmented_control(key="preview_view_4").options


def test_a_folder_that_is_missing_gives_one_sentence(tmp_path: Path) -> None:
    page = open_folder(tmp_path / "nowhere")
    assert len(page.error) == 1
    assert errors(page)[0].startswith("nowhere: ")
    assert str(tmp_path) not in errors(page)[0]
    assert not page.metric
    assert page.info[0].value.startswith("Choose one above")


def test_a_folder_that_is_empty_gives_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    page = open_folder(tmp_path / "empty")
    assert len(page.error) == 1
    assert errors(page)[0].startswith("empty: ")
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_folder_without_pairs_gives_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "readme.txt").write_text("no pictures here")
    page = open_folder(folder)
    assert len(page.error) == 1
    assert errors(page)[0].startswith("notes: ")


def test_a_path_with_markup_is_shown_as_text(tmp_path: Path) -> None:
    page = open_folder(tmp_path / ":red[x]<b>")
    assert "\\:red\\[x\\]" in page.error[0].value


def test_bad_files_are_listed_and_the_rest_is_used(tiny_dataset: Path) -> None:
    (tiny_dataset / "0001_t.png").write_text("this is no picture")
    whole = (tiny_dataset / "0002_t.png").read_bytes()
    (tiny_dataset / "0002_t.png").write_bytes(whole[: len(whole) // 2])
    (tiny_dataset / "0003_t.png").write_bytes(b"")
    Image.new("RGB", (16, 16)).save(tiny_dataset / "0004_i2.png")
    page = open_folder(tiny_dataset)
    assert metrics(page)["Pairs"] == "2"
    assert metrics(page)["Problems"] == "4"
    table = page.dataframe[0].value
    assert sorted(table["file"]) == [
        "0001_t.png",
        "0002_t.png",
        "0003_t.png",
        "0004_i2.png",
    ]
    assert all(text for text in table["problem"])


def test_masks_on_another_grid_are_shown_on_their_images_and_told(
    tmp_path: Path,
) -> None:
    south = Affine(10, 0, 500_000, 0, 10, 4_999_840)
    for part, pixels, place in (
        ("images", pattern(16, 16), Affine(10, 0, 500_000, 0, -10, 5_000_000)),
        ("masks", pattern(16, 16, 1)[..., 0] % 3, south),
        ("heights", pattern(16, 16, 1)[..., 0], south),
    ):
        (tmp_path / part).mkdir()
        data = tiff(pixels, crs="EPSG:32633", transform=place)
        (tmp_path / part / "a.tif").write_bytes(data)
    page = open_folder(tmp_path)
    assert "Notes on 2 files that are used" in [item.label for item in page.expander]
    notes = next(table.value for table in page.dataframe if "note" in table.value)
    assert notes["file"].tolist() == ["masks/a.tif", "heights/a.tif"]
    assert len(page.get("image")) == 2
    assert not page.error


def test_classes_found_in_the_colours_can_be_named_and_saved(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for number in (1, 2):
        Image.new("RGB", (16, 16), (90, 90, 90)).save(folder / f"{number}_t.png")
        mask = Image.new("RGB", (16, 16), (255, 0, 0))
        mask.paste((0, 0, 255), (0, 0, 8, 16))
        mask.save(folder / f"{number}_i2.png")
    page = open_folder(folder)
    found = [box.label for box in page.text_input if "#" in box.label]
    assert found == ["Name of class #0000FF", "Name of class #FF0000"]
    for box, name in zip(
        [box for box in page.text_input if "#" in box.label],
        ("Sea", "Lava"),
        strict=True,
    ):
        box.set_value(name)
    next(b for b in page.button if b.label == "Save the classes").click().run()
    assert not page.exception
    names = [item.name for item in load_classes(folder / "classes.json")]
    assert names == ["Sea", "Lava"]
    named = [box.value for box in page.text_input if "#" in box.label]
    assert named == ["Sea", "Lava"]


def test_one_name_for_all_values_is_refused(tmp_path: Path) -> None:
    folder = write_folders_dataset(tmp_path / "binary", pairs=2, heights=False)
    for mask in (folder / "masks").iterdir():
        Image.new("L", (32, 32), 255).save(mask)
        picture = Image.open(mask).copy()
        picture.paste(0, (0, 0, 16, 32))
        picture.save(mask)
    page = open_folder(folder)
    for box in page.text_input:
        if "#" in box.label:
            box.set_value("Land")
    next(b for b in page.button if b.label == "Save the classes").click().run()
    assert not page.exception
    assert "fewer than 2 classes are left" in errors(page)[0]
    assert not (folder / "classes.json").exists()


def _zip(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return buffer.getvalue()


def test_a_zip_is_unpacked_and_shown(tiny_dataset: Path) -> None:
    page = open_page("zip")
    upload = page.file_uploader(key="preview_zip")
    upload.upload("my tiles.zip", _zip(tiny_dataset), "application/zip").run()
    assert not page.exception
    assert not page.error
    assert metrics(page)["Pairs"] == "6"


def reload_page(page: AppTest) -> AppTest:
    """Open the address of a page in a new session, as F5 does."""
    app = str(ROOT / "streamlit_app.py")
    new = AppTest.from_file(app, default_timeout=PAGE_TIMEOUT_S).switch_page(PAGE)
    for name, values in page.query_params.items():
        new.query_params[name] = values
    new.run()
    assert not new.exception
    return new


def test_a_reload_keeps_a_folder(tiny_dataset: Path) -> None:
    page = reload_page(open_folder(tiny_dataset))
    assert metrics(page)["Pairs"] == "6"
    assert page.text_input(key="preview_folder").value == str(tiny_dataset)


def test_a_reload_keeps_an_upload_and_names_no_path(tiny_dataset: Path) -> None:
    page = open_page("zip")
    upload = page.file_uploader(key="preview_zip")
    upload.upload("my tiles.zip", _zip(tiny_dataset), "application/zip").run()
    assert "/" not in "".join(page.query_params["at"])
    assert metrics(reload_page(page))["Pairs"] == "6"


@pytest.mark.parametrize("place", ["../../..", "0" * 32, "/etc", "*"])
def test_an_address_leads_to_no_upload_that_is_not_there(place: str) -> None:
    page = open_page()
    page.query_params["data"], page.query_params["at"] = "zip", place
    page = reload_page(page)
    assert not page.metric
    assert "not kept any more" in page.warning[0].value


@pytest.mark.parametrize("data", [b"", b"no zip at all", b"PK\x03\x04 cut off"])
def test_a_zip_that_is_none_gives_one_sentence(
    data: bytes, terrainlib_home: Path
) -> None:
    page = open_page("zip")
    upload = page.file_uploader(key="preview_zip")
    assert not list(upload.proto.type)  # what the box refuses gets no sentence
    upload.upload("bad.rar", data, "application/zip").run()
    assert not page.exception
    assert len(page.error) == 1
    assert errors(page)[0].startswith("bad.rar: ")
    assert not list((terrainlib_home / "cache").rglob("*_t.png"))


def test_a_kaggle_set_that_cannot_be_reached_gives_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from terrainlib.errors import DatasetError
    from terrainlib.ui.datasets import picker

    def refuse(name: str) -> Path:
        raise DatasetError("Kaggle cannot be reached. Try later.", file=name)

    monkeypatch.setattr(picker, "download_kaggle", refuse)
    page = open_page("kaggle")
    page.text_input(key="preview_kaggle").set_value("me/land")
    page.button(key="preview_kaggle_send").click().run()
    assert not page.exception
    assert errors(page) == ["me/land: Kaggle cannot be reached. Try later."]


def test_filters_show_the_pairs_that_fit_and_stand_in_the_address(
    tmp_path: Path,
) -> None:
    folder = write_kaggle_dataset(tmp_path / "tiles", pairs=4, heights=False)
    Image.new("RGB", (32, 32), KAGGLE_CLASSES[4].color).save(folder / "0002_i2.png")
    page = open_folder(folder)
    page.selectbox(key="preview_class").set_value("Desert").run()
    assert opened(page)[0] == "0002"
    page.selectbox(key="preview_class").set_value("All").run()
    page.text_input(key="preview_find").set_value("3").run()
    assert opened(page) == ["0003"]
    page.query_params["preview_find"] = "2"  # a browser writes it there
    page.query_params["preview_class"] = "Lava"  # there is none
    assert opened(reload_page(page)) == ["0002"]


def test_a_pair_is_shown_large_with_its_classes_as_switches(tiny_dataset: Path) -> None:
    page = open_folder(tiny_dataset)
    page.button(key="open_0001").click().run()
    assert pictures(page) == ["Pair 0001 with its mask over it"]
    page.pills[0].set_value([]).run()
    page.toggle(key="preview_relief").set_value(True).run()
    assert not page.exception
    page = reload_page(page)
    assert pictures(page) == ["Pair 0001 with its mask over it"]
    page.button(key="preview_back").click().run()
    assert len(opened(page)) == 6


def opened(page: AppTest) -> list[str]:
    return [str(b.key)[5:] for b in page.button if str(b.key).startswith("open_")]


def texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def labels(page: AppTest) -> list[str]:
    return [button.label for button in page.button]


def pictures(page: AppTest) -> list[str]:
    return [alt for item in page.get("image") for alt in [item.proto.imgs[0].alt]]


def until(page: AppTest, done: Callable[[AppTest], bool]) -> AppTest:
    """Draw the page anew, as its timer does, until something is to be seen."""
    deadline = time.monotonic() + PAGE_TIMEOUT_S
    while not done(page):
        assert time.monotonic() < deadline
        time.sleep(0.05)
        page.run()
        assert not page.exception
    return page


def test_shared_ground_of_a_small_set_is_found_counted_and_drawn(
    tmp_path: Path,
) -> None:
    page = open_folder(write_overlapping_dataset(tmp_path / "cut"))
    page = until(page, lambda page: "Overlaps" in metrics(page))
    assert metrics(page)["Overlaps"] == "3"
    assert metrics(page)["Patches that overlap"] == "5 of 7"
    assert "of the held-out patches would share" in texts(page)
    assert "1 held out for scoring" in texts(page)
    assert "Random split" in page.get("vega_lite_chart")[-1].proto.alt
    assert any("Map of 5 patches in 2 groups" in alt for alt in pictures(page))
    assert "It shows 5 of 7 patches" in texts(page)


def test_the_pairs_that_share_ground_are_listed_and_shown_side_by_side(
    tmp_path: Path,
) -> None:
    page = open_folder(write_overlapping_dataset(tmp_path / "cut"))
    page = until(page, lambda page: "Overlaps" in metrics(page))
    view = next(
        box for box in page.segmented_control if box.label == "Show overlaps as"
    )
    view.set_value("Side by side").run()
    assert not page.exception
    table = next(frame.value for frame in page.dataframe if "second" in frame.value)
    assert set(zip(table["first"], table["second"], strict=True)) == OVERLAPPING
    assert list(table["share"]) == sorted(table["share"], reverse=True)
    outlined = [alt for alt in pictures(page) if "outlined" in alt]
    assert outlined == [
        "Patch 0004 with the shared ground outlined",
        "Patch 0005 with the shared ground outlined",
    ]
    assert "**0004** and **0005** share" in texts(page)


def test_a_pair_that_cannot_be_read_any_more_gives_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, **_: object) -> None:
        raise ImageError("cannot be read.", file=Path(path).name)

    page = open_folder(write_overlapping_dataset(tmp_path / "cut"))
    page = until(page, lambda page: "Overlaps" in metrics(page))
    view = next(
        box for box in page.segmented_control if box.label == "Show overlaps as"
    )
    monkeypatch.setattr(section, "read_image", fail)
    view.set_value("Side by side").run()
    assert not page.exception
    assert "0004_t.png: cannot be read." in errors(page)


def test_without_shared_ground_one_line_says_so(tmp_path: Path) -> None:
    apart = [(0, 0), (300, 300), (0, 300), (300, 0)]
    page = open_folder(write_overlapping_dataset(tmp_path / "apart", apart))
    sentence = "No two of the 4 patches share ground"
    page = until(page, lambda page: sentence in texts(page))
    assert "a random split does not leak" in texts(page)
    assert "Overlaps" not in metrics(page)


def test_a_large_set_is_searched_when_asked_and_the_search_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(dataset: Dataset) -> None:
        path = create_search(SearchConfig.of(dataset))
        write_process(path, os.getpid())
        now = utc_now()
        write_status(path, SearchStatus("running", 0.42, heartbeat=now, progressed=now))

    monkeypatch.setattr(section, "SMALL_DATASET", 3)
    monkeypatch.setattr(section, "start_search", start)
    page = open_folder(write_overlapping_dataset(tmp_path / "large"))
    assert "pixels of all 7 patches" in texts(page)
    page.button(key="preview_look").click().run()
    assert not page.exception
    assert "Looking for shared ground: 42%" in progress(page)
    page = open_folder(tmp_path / "large")  # in another tab
    assert "It goes on even if you leave" in texts(page)
    page.button(key="preview_look_stop").click().run()
    assert "Stopping …" in progress(page)
    (search,) = list_searches()
    write_status(search.path, SearchStatus("stopped", message=SEARCH.too_early))
    page.run()
    assert "Look for shared ground" in labels(page)
    assert "Stopped; nothing was kept" in texts(page)


def test_a_search_that_failed_says_why_and_can_be_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_overlapping_dataset(tmp_path / "large")
    path = create_search(SearchConfig.of(open_dataset(folder)))
    write_status(path, SearchStatus("failed", message="0001_t.png: cannot be read."))
    page = open_folder(folder)
    assert "0001_t.png: cannot be read." in errors(page)
    assert "Look for shared ground" in labels(page)


def test_a_small_set_that_takes_long_is_searched_beside_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(section, "QUICK_SECONDS", -1.0)
    monkeypatch.setattr(section, "start_search", lambda data: started.append(data.name))
    open_folder(write_overlapping_dataset(tmp_path / "slow"))
    assert started == ["slow"]


def progress(page: AppTest) -> list[str]:
    return [bar.proto.text for bar in page.get("progress")]


def test_a_search_that_ends_shows_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(section, "SMALL_DATASET", 3)
    monkeypatch.setattr(
        section,
        "start_search",
        lambda data: run_search(create_search(SearchConfig.of(data))),
    )
    page = open_folder(write_overlapping_dataset(tmp_path / "large"))
    page.button(key="preview_look").click().run()
    page = until(page, lambda page: "Overlaps" in metrics(page))
    assert metrics(page)["Overlaps"] == "3"


def test_a_single_pair_is_told_to_be_too_few_for_a_training(tmp_path: Path):
    page = open_folder(write_kaggle_dataset(tmp_path / "one", pairs=1))

    assert "A training needs at least 2 pairs with labels." in texts(page)
