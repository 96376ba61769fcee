"""The training page, as a person sees it."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from terrainlib import files
from terrainlib.data.dataset import open_dataset
from terrainlib.data.overlaps import find_overlaps
from terrainlib.data.splits import LEAK_FREE, Split
from terrainlib.errors import RunError
from terrainlib.model.machine import Machine
from terrainlib.runs import launcher
from terrainlib.runs.folder import list_runs, read_run
from terrainlib.runs.status import STOP_FILE
from terrainlib.runs.training.config import RunConfig
from tests.conftest import PAGE_TIMEOUT_S, ROOT
from tests.crafted_runs import craft_run
from tests.overlapping import write_overlapping_dataset
from tests.synthetic import write_kaggle_dataset

PAGE = "pages/3_Training.py"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_kaggle_dataset(tmp_path / "coast", pairs=8)


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here trains: the browser tests do."""

    def spawn(path: Path, *_: object) -> None:
        raise AssertionError(f"a worker was started for {path.name}")

    monkeypatch.setattr(launcher, "spawn_worker", spawn)


def open_page(
    run: str | None = None, view: str | None = None, folder: Path | None = None
) -> AppTest:
    app = str(ROOT / "streamlit_app.py")
    page = AppTest.from_file(app, default_timeout=PAGE_TIMEOUT_S).switch_page(PAGE)
    if folder is not None:
        page.session_state["shared_dataset_source"] = "folder"
        page.session_state["shared_dataset_folders"] = {"folder": str(folder)}
    if run is not None:
        page.query_params["run"] = run
    page.run()
    assert not page.exception
    if view is not None:
        page.segmented_control(key="training_view").set_value(view).run()
        assert not page.exception
    return page


def open_form(data: Path) -> AppTest:
    return open_page(folder=data)


def address(page: AppTest) -> str:
    """The run that the address names; AppTest keeps one value or a list of them."""
    value = page.query_params["run"]
    return value if isinstance(value, str) else value[0]


def press(page: AppTest, key: str) -> AppTest:
    page.button(key=key).click().run()
    assert not page.exception
    return page


def texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.info, *page.error, *page.header]
    titles = [str(item.proto.title) for item in (*page.info, *page.error)]
    return "\n".join([*(str(part.value) for part in parts), *titles]).replace("\\", "")


def numbers(page: AppTest) -> dict[str, str]:
    return {item.label: item.value for item in page.metric}


def test_without_any_training_the_page_opens_with_the_form(data: Path):
    page = open_page()

    assert page.segmented_control(key="training_view").value == "New training"
    assert page.radio(key="training_preset").value == "fast"
    assert not page.button(key="training_start").disabled


def test_without_any_training_there_is_nothing_to_watch_and_it_says_what_to_do():
    watched = open_page(view="Watch")
    listed = open_page(view="All trainings")

    assert "Start a training under New training" in texts(watched)
    assert "Start one under New training" in texts(listed)


def test_the_form_says_that_shared_ground_will_be_looked_for(data: Path):
    page = open_form(data)

    assert "15% of 8 patches will be held out" in texts(page)
    assert "First the app looks for shared ground" in texts(page)
    assert "Water, Grassland, Forest" in texts(page)


def test_the_form_says_what_is_taken_over_of_a_model_to_start_from(data: Path):
    page = open_form(data)
    usual = page.number_input(key="training_learning_rate_fast").value

    page.selectbox(key="training_start_from").set_value("default").run()

    assert not page.exception
    assert "Starts from Embedded default. All its layers are taken" in texts(page)
    rate = page.number_input(key="training_learning_rate_fast_start").value
    assert rate == pytest.approx(usual / 3)
    page.radio(key="training_preset").set_value("notebook").run()
    assert "no layer of" in texts(page)
    assert page.button(key="training_start").disabled


def test_the_form_says_what_the_split_costs_where_shared_ground_is_known(
    tmp_path: Path,
):
    folder = write_overlapping_dataset(tmp_path / "cut")
    find_overlaps(open_dataset(folder))

    page = open_form(folder)

    seen = texts(page)
    assert "6 of 7 patches for training, 1 held out for scoring, none left out." in seen
    assert "leak-free" in texts(page)
    assert "looks for shared ground" not in seen


def test_every_preset_brings_its_own_values(data: Path):
    page = open_form(data)
    assert page.number_input(key="training_minutes_fast").value == 10

    page.radio(key="training_preset").set_value("notebook").run()

    assert not page.exception
    assert page.number_input(key="training_epochs_notebook").value == 50
    assert page.number_input(key="training_batch_size_notebook").value == 32


def test_the_sizes_are_chosen_for_the_data_and_follow_it(tmp_path: Path, data: Path):
    large = write_kaggle_dataset(tmp_path / "large", pairs=80, size=64, heights=False)
    page = open_form(data)
    size = page.number_input(key="training_image_size_fast")
    batch = page.number_input(key="training_batch_size_fast")
    assert (size.value, batch.value) == (32, 2)
    assert "The images' own size, 32 px." in size.help
    assert "Small, so that 7 pairs make enough steps." in batch.help
    assert "GB are free" in texts(page)
    page.number_input(key="training_batch_size_fast").set_value(3).run()

    page.session_state["shared_dataset_folders"] = {"folder": str(large)}
    page.run()

    assert not page.exception
    assert page.number_input(key="training_image_size_fast").value == 64
    assert page.number_input(key="training_batch_size_fast").value == 3


def test_what_the_user_sets_is_there_again_after_another_preset(data: Path):
    page = open_form(data)
    page.number_input(key="training_image_size_fast").set_value(64).run()
    page.number_input(key="training_fast_crop_size").set_value(48).run()

    page.radio(key="training_preset").set_value("best").run()
    assert page.number_input(key="training_best_crop_size").value == 0
    page.radio(key="training_preset").set_value("fast").run()

    assert page.number_input(key="training_image_size_fast").value == 64
    assert page.number_input(key="training_fast_crop_size").value == 48


def test_a_training_larger_than_the_memory_is_warned_of(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    small = Machine(2**30, cores=2)
    monkeypatch.setattr(Machine, "here", lambda: small)
    page = open_form(data)
    assert not page.warning

    page.number_input(key="training_image_size_fast").set_value(512).run()
    assert page.number_input(key="training_fast_crop_size").value == 64
    page.number_input(key="training_batch_size_fast").set_value(256).run()

    assert "1.1 GB are free. Lower the batch" in page.warning[0].value


def test_height_is_offered_only_where_every_pair_has_one(tmp_path: Path, data: Path):
    flat = write_kaggle_dataset(tmp_path / "flat", pairs=4, heights=False)

    def offers(folder: Path) -> bool:
        keys = [toggle.key for toggle in open_form(folder).toggle]
        return "training_height_fast" in keys

    assert offers(data)
    assert not offers(flat)


def test_the_note_on_turned_light_is_beside_the_turns(data: Path):
    assert "lit from the north-west" in texts(open_form(data))


def test_a_size_that_the_network_cannot_take_is_named_and_start_is_off(data: Path):
    page = open_form(data)

    page.number_input(key="training_image_size_fast").set_value(100).run()

    assert "the image size must be a multiple of 8 px" in texts(page)
    assert page.button(key="training_start").disabled


def test_filters_that_are_no_numbers_are_named_and_start_is_off(data: Path):
    page = open_form(data)

    page.text_input(key="training_fast_filters").set_value("24, many").run()

    assert "the filters must be whole numbers" in texts(page)
    assert page.button(key="training_start").disabled


def test_start_hands_over_what_the_form_says_and_shows_the_run(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[RunConfig] = []

    def start(config: RunConfig, *, wait: bool) -> Path:
        asked.append(config)
        return craft_run(data, name=config.name, state="starting", epochs=0)

    monkeypatch.setattr(launcher, "start_run", start)
    page = open_form(data)
    page.segmented_control(key="training_unit_fast").set_value("epochs").run()
    page.number_input(key="training_epochs_fast").set_value(3)
    page.number_input(key="training_image_size_fast").set_value(32)
    page.number_input(key="training_fast_crop_size").set_value(16)
    page.toggle(key="training_height_fast").set_value(True)
    page.slider(key="training_fast_jitter").set_value(0.1)
    page.text_input(key="training_fast_filters").set_value("8 16").run()

    press(page, "training_start")

    training = asked[0].training
    assert Path(asked[0].data) == data
    assert (training.epochs, training.minutes, training.jitter) == (3, None, 0.1)
    assert (training.network.image_size, training.network.height) == (32, True)
    assert training.network.filters == (8, 16)
    assert (training.crop_size, training.batch_size) == (16, 2)
    assert page.segmented_control(key="training_view").value == "Watch"
    assert address(page) == list_runs()[0].path.name
    assert "starting" in texts(page)


def test_while_one_trains_the_next_is_put_into_the_queue(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    craft_run(data, name="islands", state="running", epochs=3, planned=8)

    def start(config: RunConfig, *, wait: bool) -> Path:
        return craft_run(data, name="next", state="waiting" if wait else "failed")

    monkeypatch.setattr(launcher, "start_run", start)
    page = open_page(view="New training")
    assert "A training is running" in texts(page)
    assert "islands is under way (epoch 4 of 8)" in texts(page)
    assert page.button(key="training_start").label == "Start when the other one ends"

    press(page, "training_start")

    assert "Next in the queue, after islands (epoch 4 of 8)." in texts(page)
    assert page.button(key="training_stop").label == "Take out of the queue"


def test_a_start_in_spite_of_another_training_shows_the_launchers_sentence(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    def start(config: RunConfig, *, wait: bool) -> Path:
        raise RunError(
            "A training is already running: islands, epoch 3 of 8. Wait or stop it."
        )

    monkeypatch.setattr(launcher, "start_run", start)
    page = press(open_form(data), "training_start")

    assert "already running: islands, epoch 3 of 8. Wait or stop it." in texts(page)
    assert "The training was not started" in texts(page)
    assert list_runs() == []


def test_a_data_set_that_is_too_small_gives_one_sentence_and_no_run(tmp_path: Path):
    small = write_kaggle_dataset(tmp_path / "small", pairs=1)

    page = press(open_form(small), "training_start")

    assert "1 usable pair; a training needs at least 2" in texts(page)
    assert list_runs() == []


def test_a_training_that_goes_on_is_watched_at_once(data: Path):
    path = craft_run(data, name="islands", state="running", epochs=3, planned=8)

    page = open_page()

    assert page.segmented_control(key="training_view").value == "Watch"
    assert address(page) == path.name
    assert "running" in texts(page)
    assert numbers(page)["Epochs done"] == "3 / 8"
    progress = page.get("progress")[0].proto.text.replace("\\", "")
    assert progress.startswith("Epoch 4 of 8 · step 7 of 34 · ")
    assert "done at about" in progress


def test_the_link_decides_which_run_is_seen_also_after_a_reload(data: Path):
    old = craft_run(data, name="old one", days_ago=2, epochs=5)
    craft_run(data, name="islands", state="running", epochs=3)

    for _ in range(2):
        page = open_page(run=old.name)
        assert "old one" in texts(page)
        assert numbers(page)["Epochs done"] == "5 / 8"


def test_a_link_does_not_hold_the_page_back(data: Path):
    path = craft_run(data, epochs=2)
    page = open_page(run=path.name)

    page.segmented_control(key="training_view").set_value("New training").run()
    page.run()

    assert page.segmented_control(key="training_view").value == "New training"


@pytest.mark.parametrize("name", ["nowhere", "../../etc", ""])
def test_a_link_to_no_training_says_so(data: Path, name: str):
    craft_run(data, epochs=2)

    page = open_page(run=name)

    assert "This training is not there" in texts(page)


def write_split(run: Path, leak: str, left_out: tuple[str, ...] = ()) -> None:
    train, validation = ("0001", "0002", "0003", "0004"), ("0005",)
    split = Split("leak-free", 0, 0.15, train, validation, "0" * 16, leak, left_out)
    record = {"fingerprint": "0" * 16, "split": split.to_dict()}
    files.write_json(run / "split.json", record)


def test_a_leak_free_split_is_a_quiet_line_beside_the_scores(data: Path):
    run = craft_run(data, epochs=2)
    write_split(run, LEAK_FREE, ("0006", "0007"))

    seen = texts(open_page(run=run.name))

    assert "4 of 7 patches for training, 1 held out for scoring, 2 left out" in seen
    assert ":gray-badge[:material/check: leak-free]" in seen
    assert "orange-badge" not in seen


def test_a_random_split_is_warned_of_beside_every_score(data: Path):
    run = craft_run(data, epochs=2)
    write_split(run, "random: may leak")

    page = open_page(run=run.name)
    assert texts(page).count("random: may leak") >= 3
    assert "orange-badge" in texts(page)

    page.segmented_control(key="training_view").set_value("All trainings").run()
    assert not page.exception
    assert list(page.dataframe[0].value["Split"]) == ["random: may leak"]


def test_six_charts_are_named_explained_and_described(data: Path):
    page = open_page(run=craft_run(data, epochs=4).name)

    charts = page.get("vega_lite_chart")
    seen = texts(page)
    for title in (
        "Loss",
        "Accuracy",
        "Validation mIoU",
        "IoU of each class",
        "Learning rate",
        "Seconds per epoch",
    ):
        assert f"**{title}**" in seen
        assert any(chart.proto.alt.startswith(title) for chart in charts)
    assert len(charts) == 6
    assert "lower is better" in seen


def test_four_previews_are_shown_and_the_slider_replays_the_epochs(data: Path):
    path = craft_run(data, epochs=4)
    page = open_page(run=path.name)
    newest = "prediction after epoch 4"
    assert newest in texts(page)
    assert len(page.get("image")) == 4

    page.select_slider(key=f"training_preview_{path.name}").set_value(1).run()

    assert not page.exception
    assert "prediction after epoch 1" in texts(page)
    assert newest not in texts(page)


def test_a_run_before_its_first_step_says_when_curves_begin(data: Path):
    page = open_page(run=craft_run(data, state="starting", epochs=0).name)

    assert "The curves begin with the first steps of training" in texts(page)
    assert page.get("vega_lite_chart") == []


def test_the_first_epoch_shows_its_steps_against_what_one_likes(data: Path):
    path = craft_run(data, state="running", epochs=0, steps=8)
    page = open_page(run=path.name)
    loss, _ = page.get("vega_lite_chart")
    assert loss.proto.alt.startswith("Loss against epochs")

    page.segmented_control(key="training_axis").set_value("step").run()
    page.slider(key="training_smoothing").set_value(0.6).run()

    assert not page.exception
    loss, _ = page.get("vega_lite_chart")
    assert loss.proto.alt.startswith("Loss against steps")
    page.switch_page("pages/6_Models.py").run()
    page.switch_page("pages/3_Training.py").run()
    assert page.slider(key="training_smoothing").value == 0.6


def test_the_end_of_the_log_is_shown(data: Path):
    page = open_page(run=craft_run(data, epochs=2).name)

    assert any("epoch 2 done" in block.value for block in page.code)


def test_stop_leaves_the_wish_for_the_worker(data: Path):
    path = craft_run(data, state="running", epochs=2)

    page = press(open_page(), "training_stop")

    assert (path / STOP_FILE).exists()
    assert page.button(key="training_stop").disabled
    assert "stopping" in texts(page)


def test_force_stop_asks_first(data: Path, monkeypatch: pytest.MonkeyPatch):
    forced: list[Path] = []
    monkeypatch.setattr(launcher, "force_stop", forced.append)
    path = craft_run(data, state="running", epochs=2)
    page = press(open_page(), "training_force_stop")
    assert forced == []
    assert "is ended at once" in texts(page)

    press(page, "training_question_yes")

    assert forced == [path]


def test_a_crashed_training_says_so_and_can_be_resumed(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    resumed: list[Path] = []
    monkeypatch.setattr(launcher, "resume", lambda path, **_: resumed.append(path))
    path = craft_run(data, state="crashed", epochs=2)
    page = open_page(run=path.name)
    assert "the training process is gone" in texts(page)

    press(page, "training_resume")

    assert resumed == [path]


def test_a_failed_training_shows_its_sentence(data: Path):
    path = craft_run(data, state="failed", epochs=1, message="loss is not finite.")

    page = open_page(run=path.name)

    assert [item.value for item in page.error] == ["loss is not finite\\."]


def test_a_finished_training_leads_on_and_cannot_be_resumed(data: Path):
    path = craft_run(data, state="finished", epochs=8)
    (path / "model.keras").write_bytes(b"a model")

    page = open_page(run=path.name)

    links = {link.proto.label: link.proto for link in page.get("page_link")}
    assert f"run%2F{path.name}" in links["See the gallery"].query_string
    assert f"run%2F{path.name}" in links["Open in the studio"].query_string
    assert "training_resume" not in [button.key for button in page.button]


def test_a_training_is_deleted_after_a_question_and_is_gone(data: Path):
    path = craft_run(data, name="islands", epochs=1)
    kept = craft_run(data, name="kept", epochs=1, days_ago=1)
    page = press(open_page(run=path.name), "training_delete")
    assert path.exists()
    assert "This cannot be undone" in texts(page)

    press(page, "training_question_yes")

    assert not path.exists()
    assert kept.exists()
    assert "1 training was deleted" in "\n".join(s.value for s in page.success)


def test_all_trainings_are_listed_newest_first(data: Path):
    craft_run(data, name="first", preset="notebook", days_ago=2, epochs=3)
    craft_run(data, name="second", state="crashed", epochs=2)

    table = open_page(view="All trainings").dataframe[0].value

    assert list(table["Name"]) == ["second", "first"]
    assert list(table["State"]) == ["crashed", "finished"]
    assert list(table["Preset"]) == ["fast", "notebook"]
    assert list(table["Data"]) == ["coast", "coast"]
    assert list(table["Epochs"]) == [2, 3]
    assert list(table["Best mIoU"]) == [
        run.status.best_miou for run in list_runs(files.runs_dir())
    ]


def test_names_from_outside_are_shown_as_they_are(data: Path):
    path = craft_run(data, name="**:red[bold]** <b>", epochs=1)

    page = open_page(run=path.name)

    assert page.header[0].value == r"\*\*\:red\[bold\]\*\* \<b\>"
    assert read_run(path).name == "**:red[bold]** <b>"
