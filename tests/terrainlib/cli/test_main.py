"""The command line: what it prints where, its exit status, what stays untouched."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine

from terrainlib.cli import main
from terrainlib.data.palette import KAGGLE_CLASSES, color_table
from terrainlib.mask.sharpen import sharpen
from terrainlib.model.config import TrainingConfig
from terrainlib.runs.folder import Run, create_run, read_run
from terrainlib.runs.process import utc_now, write_process
from terrainlib.runs.slot import RUN_SLOT
from terrainlib.runs.status import RunStatus, write_status
from terrainlib.runs.training import train
from terrainlib.runs.training.config import RunConfig
from tests.imagefiles import encode, pattern, png_claiming, tiff, write
from tests.models import KERAS_COPY_WARNING, write_model
from tests.relief import relief_map, write_patches
from tests.synthetic import terrain, write_folders_dataset

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)

NAMES = ["Water", "Grassland", "Forest", "Hills", "Desert", "Mountain", "Tundra"]
IN = "Choose a number in that range."
GRID = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)


class Command:
    """Runs a command in this process; keeps what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = ""
        self.err = ""

    def __call__(self, *words: object) -> int:
        self._capsys.readouterr()
        status = main.main([str(word) for word in words])
        self.out, self.err = self._capsys.readouterr()
        return status

    @property
    def last(self) -> str:
        """The last line on standard error."""
        return self.err.rstrip("\n").rpartition("\n")[2]

    @property
    def errors(self) -> list[str]:
        """The lines on standard error that name an error."""
        return [line for line in self.err.split("\n") if line.startswith("error: ")]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    rgb, _, _ = terrain(40, seed=3)
    path = tmp_path / "in" / "land.png"
    path.parent.mkdir()
    Image.fromarray(rgb).save(path)
    return path


@pytest.fixture
def untouched(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Check that the test changed nothing on disk from the moment it calls this."""

    def listing() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in sorted(tmp_path.rglob("*"))
            if path.is_file() and "cache" not in path.relative_to(tmp_path).parts
        }

    before: list[dict[str, tuple[int, int]]] = []
    yield lambda: before.append(listing())
    assert before, "the test never said from when on"
    assert listing() == before[0]


def pixels(path: Path) -> Any:
    with Image.open(path) as opened:
        return np.asarray(opened)


# usage


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "COMMAND"),
        (["paint"], "invalid choice: 'paint'"),
        (["check"], "DATA"),
        (["train", "data"], "--out"),
        (["train", "d", "--out", "r", "--preset", "slow"], "invalid choice: 'slow'"),
        (["train", "d", "--out", "r", "--epochs", "many"], "invalid int value"),
        (["train", "d", "--out", "r", "--epochs", "1", "--minutes", "1"], "not allow"),
        (["predict", "default", "--out", "d"], "IMAGE"),
        (["predict", "m", "i", "--out", "o", "--sharpen", "nan"], "finite number"),
        (["predict", "m", "i", "--out", "o", "--bands", "1,,2"], "such as 4,3,2"),
        (
            ["predict", "m", "i", "--out", "o", "--bands", ",".join("1" * 65)],
            "1 to 64 numbers",
        ),
        (["predict", "m", "i", "--out", "o", "--pack", "unity:1000"], "--pack"),
        (["predict", "m", "i", "--out", "o", "--pack=godot"], "unity:PX"),
        (["predict", "m", "i", "--out", "o", "--min-area", "5ha"], "such as 500m2"),
        (["sharpen", "a.png", "b.png"], "--amount"),
        (["evaluate", "m", "d", "--split", "test"], "invalid choice: 'test'"),
    ],
)
def test_wrong_usage_ends_with_one_error_line_and_status_2(
    command: Command, words: list[str], complaint: str
) -> None:
    assert command(*words) == 2
    assert command.last.startswith("error: ")
    assert complaint in command.last
    assert command.out == ""


def test_help_names_every_command(command: Command) -> None:
    assert command("--help") == 0
    for name in ("check", "train", "evaluate", "predict", "export", "models"):
        assert f"    {name} " in command.out
    assert command("train", "--help") == 0
    assert "--image-size" in command.out


def test_an_unexpected_error_ends_with_one_line_and_status_1(
    command: Command, monkeypatch: pytest.MonkeyPatch, tiny_dataset: Path
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("terrainlib.cli.check.open_dataset", fail)
    assert command("check", tiny_dataset) == 1
    assert command.last == "error: unexpected error: ZeroDivisionError: two lines"


# check


def test_check_and_help_load_no_tensorflow(tiny_dataset: Path) -> None:
    code = (
        "import sys; from terrainlib.cli.main import main;"
        f"main(['--help']); main(['check', {str(tiny_dataset)!r}]);"
        "heavy = {'tensorflow', 'keras', 'streamlit', 'matplotlib'};"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_the_module_runs_as_a_program(tiny_dataset: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "terrainlib", "check", str(tiny_dataset), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["pairs"] == 6


def test_check_prints_one_json_object(command: Command, tiny_dataset: Path) -> None:
    write(tiny_dataset, "0003_t.png", b"no picture")
    assert command("check", tiny_dataset, "--json") == 0
    values = json.loads(command.out)
    parts = {"pairs", "problems", "classes", "layout", "no_data", "notes", "bands"}
    assert parts <= set(values)
    names = ["red", "green", "blue"]
    assert values["bands"] == {"count": 3, "names": names, "used": names}
    assert values["pairs"] == 5
    assert values["layout"] == "kaggle"
    assert [set(entry) for entry in values["problems"]] == [{"file", "problem"}]
    assert values["problems"][0]["file"] == "0003_t.png"
    assert list(values["classes"]) == NAMES
    assert sum(values["classes"].values()) == pytest.approx(1)


def stacks(folder: Path) -> None:
    """Write pairs of five bands without names."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for n in range(4):
        write(folder, f"images/{n}.tif", tiff(pattern(16, 16, 5).astype(np.uint16)))
        write(folder, f"masks/{n}.png", encode(np.eye(16, dtype=np.uint8)))


def test_check_and_train_ask_for_bands_in_the_same_words(
    command: Command, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    stacks(data)
    assert command("check", data, "--json") == 2
    values = json.loads(command.out)
    assert values["pairs"] == 0
    assert values["bands"]["count"] == 5
    assert values["bands"]["used"] is None
    asked = command.last
    assert "the images have 5 bands" in asked
    assert values["problems"][0]["problem"] in asked
    assert command("train", data, "--out", tmp_path / "run", "--epochs", 1) == 2
    assert command.last == asked


def test_check_tells_people_the_same(command: Command, tiny_dataset: Path) -> None:
    write(tiny_dataset, "0003_t.png", b"")
    assert command("check", tiny_dataset) == 0
    assert "5 usable pairs with height" in command.out
    assert "ID_t.png images with ID_i2.png masks" in command.out
    assert "Grassland" in command.out
    assert "1 problem:" in command.out
    assert "0003_t.png: the file is empty" in command.out


@pytest.fixture
def overlapping(tmp_path: Path) -> Path:
    """Return a folder of twelve patches, of which three in a row share ground."""
    rgb, height = relief_map(640, seed=1)
    corners = [(0, 0), (50, 0), (100, 0)]
    corners += [(120 * n, 120 * m) for n in range(3) for m in range(2, 5)]
    patches = {
        f"{number:04d}": (
            rgb[top : top + 96, left : left + 96],
            height[top : top + 96, left : left + 96],
        )
        for number, (left, top) in enumerate(corners, start=1)
    }
    return write_patches(tmp_path / "overlapping", patches)


def test_check_names_the_pairs_that_share_ground(
    command: Command, overlapping: Path
) -> None:
    assert command("check", overlapping, "--overlaps", "--json") == 0
    values = json.loads(command.out)
    assert values["overlaps"] == [["0001", "0002"], ["0002", "0003"]]


def test_check_tells_people_what_shared_ground_costs(
    command: Command, overlapping: Path
) -> None:
    assert command("check", overlapping, "--overlaps") == 0
    assert "2 pairs of patches; 3 of 12 patches" in command.out
    assert "A random split would leak: " in command.out
    assert "10 for training, 2 held out, 0 left out" in command.out
    assert "leak-free: no shared ground found" in command.out


def test_check_finds_no_shared_ground_where_there_is_none(
    command: Command, tiny_dataset: Path
) -> None:
    assert command("check", tiny_dataset, "--overlaps", "--json") == 0
    assert json.loads(command.out)["overlaps"] == []


def _empty(folder: Path) -> None:
    folder.mkdir()


def _pairless(folder: Path) -> None:
    folder.mkdir()
    write(folder, "holiday.jpg", b"x")


def _all_broken(folder: Path) -> None:
    write_folders_dataset(folder, pairs=1)
    write(folder / "images", "tile_01.png", b"text")


@pytest.mark.parametrize("make", [lambda _: None, _empty, _pairless, _all_broken])
@pytest.mark.parametrize(
    "words", [("check",), ("evaluate", "MODEL"), ("train", "--out", "OUT")]
)
def test_a_folder_without_a_usable_pair_is_one_sentence_on_every_door(
    command: Command,
    tmp_path: Path,
    model: Path,
    make: Callable[[Path], None],
    words: tuple[str, ...],
    untouched: Callable[[], None],
) -> None:
    folder = tmp_path / "set"
    make(folder)
    untouched()
    known = {"MODEL": str(model), "OUT": str(tmp_path / "out")}
    name, *rest = (known.get(word, word) for word in words)
    ordered = [name, *rest, folder] if name == "evaluate" else [name, folder, *rest]
    assert command(*ordered) == 2
    assert command.last.startswith("error: set: ")
    assert len(command.errors) == 1
    assert str(tmp_path) not in command.last


# train


def test_train_writes_a_run_folder_that_the_other_commands_take(
    command: Command, tiny_dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "first"
    options = ("--epochs", "1", "--image-size", "32", "--batch-size", "2")
    assert command("train", tiny_dataset, "--out", out, *options, "--height") == 0
    told = command.out
    assert "finished after epoch 1" in told
    run = read_run(out)
    assert (run.state, run.name) == ("finished", "first")
    assert run.config.training.network.height
    assert "epoch 1: loss" in (out / "train.log").read_text()
    assert "note: " not in command.err
    before = sorted(path.stat().st_mtime_ns for path in out.rglob("*"))

    assert command("train", tiny_dataset, "--out", out) == 2
    assert command.last.startswith("error: first: exists already")
    assert command("train", tiny_dataset, "--out", out, "--resume") == 2
    assert command.last.startswith("error: first: has finished (epoch 1 of 1)")
    assert sorted(path.stat().st_mtime_ns for path in out.rglob("*")) == before

    part = ("--split", "validation", "--json")
    assert command("evaluate", out, tiny_dataset, *part) == 0
    scores = json.loads(command.out)
    assert scores["images"] == 1
    assert f"mIoU {scores['miou']:.3f} at the full size of the masks" in told
    assert command("models") == 0
    assert "first" not in command.out  # it lies outside the folder of the runs


def test_train_chooses_what_is_not_given_and_says_so(
    command: Command,
    tiny_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_training(path: Path, **_options: object) -> Run:
        return read_run(path)

    monkeypatch.setattr(train, "run_training", no_training)
    out = tmp_path / "out"

    assert command("train", tiny_dataset, "--out", out, "--batch-size", "4") == 0

    training = read_run(out).config.training
    assert (training.network.image_size, training.batch_size) == (32, 4)
    [line] = [line for line in command.err.splitlines() if line.startswith("note: ")]
    assert line.startswith("note: image size 32 px (The images' own size, 32 px. ")
    assert line.endswith("no crops (Whole images), batches of 4 (As you set it).")


def test_train_says_once_what_a_busy_machine_leaves_of_the_minutes(
    command: Command,
    tiny_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def busy(path: Path, on_progress: Callable[..., None], **_options: object) -> Run:
        for _ in range(2):
            on_progress(RunStatus("running", epochs=9, free_share=0.3))
        return read_run(path)

    monkeypatch.setattr(train, "run_training", busy)
    assert (
        command("train", tiny_dataset, "--out", tmp_path / "out", "--minutes", 2) == 0
    )
    assert command.err.count("note: Other programs take about 70%") == 1
    assert "reaches about 9 epochs" in command.err
    assert "--minutes 7 makes up for it" in command.err


def test_train_starts_from_a_model_with_its_network_and_at_a_lower_rate(
    command: Command,
    tiny_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train, "run_training", lambda path, **_: read_run(path))
    model, out = write_model(tmp_path / "models"), tmp_path / "out"
    words = ("train", tiny_dataset, "--out")

    assert command(*words, out, "--from", model) == 0

    config = read_run(out).config
    assert config.start_from == str(model)
    assert config.training.network.filters == (4, 8)
    usual = TrainingConfig.preset("fast").learning_rate
    assert config.training.learning_rate == pytest.approx(usual / 3)
    assert "note: All its layers are taken over." in command.err

    other = ("--from", model, "--preset", "best")
    assert command(*words, tmp_path / "other", *other) == 2
    assert "no layer of tiny fits this network" in command.last
    assert command(*words, tmp_path / "other", "--from", tmp_path / "none.keras") == 2
    assert command.last.startswith("error: none.keras: there is no such model file")
    assert not (tmp_path / "other").exists()
    assert command(*words, out, "--resume", "--from", "default") == 2
    assert "did not start from default" in command.last


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_train_never_writes_over_anything(
    command: Command,
    tiny_dataset: Path,
    tmp_path: Path,
    kind: str,
    untouched: Callable[[], None],
) -> None:
    out = tmp_path / "precious"
    if kind == "folder":
        out.mkdir()
    elif kind == "file":
        out.write_text("thesis")
    else:
        out.symlink_to(tmp_path / "nowhere")
    untouched()
    assert command("train", tiny_dataset, "--out", out) == 2
    assert command.last.startswith("error: precious: exists already")
    assert not list(out.glob("*"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--epochs", "0"), "epochs must be 1 to 10000, not 0"),
        (("--minutes", "-1"), "minutes must be"),
        (("--image-size", "33"), "the image size must be a multiple of"),
        (("--batch-size", "0"), "batch size must be 1 to 512"),
        (("--seed", "-1"), "seed must be"),
        (("--height",), "tiny: 6 of 6 pairs have no height file"),
    ],
)
def test_train_refuses_bad_options_before_it_makes_a_folder(
    command: Command,
    tiny_dataset: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    sentence: str,
) -> None:
    for height in tiny_dataset.glob("*_h.png"):
        height.unlink()
    assert command("train", tiny_dataset, "--out", tmp_path / "out", *options) == 2
    assert command.last.startswith(f"error: {sentence}")
    assert not (tmp_path / "out").exists()


def test_train_waits_for_nobody_and_names_who_is_training(
    command: Command, tiny_dataset: Path, tmp_path: Path
) -> None:
    training = TrainingConfig.preset("fast", epochs=9)
    busy = create_run(RunConfig("Alps", str(tiny_dataset), training))
    write_process(busy)
    write_status(
        busy, RunStatus("running", 2, 9, heartbeat=utc_now(), progressed=utc_now())
    )
    assert command("train", tiny_dataset, "--out", tmp_path / "out") == 2
    assert command.last == (
        "error: A training is already running: Alps, epoch 3 of 9. Wait or stop it."
    )
    assert not (tmp_path / "out").exists()


def test_train_waits_where_it_is_told_to_and_says_its_place(
    command: Command,
    tiny_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def queued(
        path: Path, on_progress: Callable[..., None], *, wait: bool, **_options: object
    ) -> Run:
        assert wait
        for epoch in (3, 4):
            text = f"Next in the queue, after Alps (epoch {epoch} of 9)."
            on_progress(RunStatus("waiting", message=text))
        return read_run(path)

    monkeypatch.setattr(train, "run_training", queued)
    with RUN_SLOT.held(tmp_path / "Alps"):
        words = ("train", tiny_dataset, "--out", tmp_path / "out")
        assert command(*words) == 2
        assert command(*words, "--wait") == 0
    assert command.err.count("note: Next in the queue, after Alps (epoch 3 of 9).") == 1
    assert command.err.count("in the queue") == 1


def test_resume_needs_a_run_and_the_options_it_was_begun_with(
    command: Command, tiny_dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    resume = ("train", tiny_dataset, "--out", out, "--resume")
    assert command(*resume) == 2
    assert command.last.startswith("error: run: does not exist")
    training = TrainingConfig.preset("fast", epochs=3)
    create_run(RunConfig("run", str(tiny_dataset), training), path=out)
    write_status(out, RunStatus("stopped", 1, 3))
    assert command(*resume, "--epochs", "4") == 2
    assert command.last.startswith("error: run: was begun with epochs 3, not 4")
    assert command(*resume, "--preset", "best") == 2
    assert "was begun with preset fast, not best" in command.last
    assert command(*resume, "--height") == 2
    assert "was begun with height False" in command.last
    assert command("train", tmp_path, "--out", out, "--resume") == 2
    assert "was begun with other data" in command.last
    assert read_run(out).state == "stopped"


# evaluate


def test_evaluate_prints_the_scores_of_the_contract(
    command: Command, model: Path, tiny_dataset: Path
) -> None:
    assert command("evaluate", model, tiny_dataset, "--json") == 0
    values = json.loads(command.out)
    assert list(values) == [
        *("images", "pixel_accuracy", "miou", "iou", "precision", "recall"),
        *("boundary_f1", "seconds"),
    ]
    assert values["images"] == 6
    for key in ("iou", "precision", "recall"):
        assert list(values[key]) == NAMES
    assert 0 <= values["miou"] <= 1
    assert command("evaluate", model, tiny_dataset) == 0
    assert "mIoU" in command.out
    for word in ("Calibration error", "Precision", "Recall", "Forest"):
        assert word in command.out


def test_evaluate_refuses_a_part_that_the_model_does_not_know(
    command: Command, model: Path, tiny_dataset: Path
) -> None:
    assert command("evaluate", model, tiny_dataset, "--split", "train", "--json") == 2
    assert command.out == ""
    assert len(command.errors) == 1


@pytest.mark.parametrize("name", ["none.keras", "text.keras"])
@pytest.mark.parametrize("first", ["evaluate", "predict"])
def test_what_is_no_model_is_one_sentence_on_every_door(
    command: Command, tiny_dataset: Path, image: Path, name: str, first: str
) -> None:
    path = tiny_dataset.parent / name
    if name == "text.keras":
        path.write_text("no model")
    out = tiny_dataset.parent / "out"
    rest = (tiny_dataset,) if first == "evaluate" else (image, "--out", out)
    assert command(first, path, *rest) == 2
    assert command.last.startswith(f"error: {name}: ")
    assert not out.exists()


# predict


def test_predict_writes_a_mask_of_the_images_size_in_palette_colours(
    command: Command, model: Path, image: Path, tmp_path: Path
) -> None:
    out = tmp_path / "masks"
    assert command("predict", model, image, "--out", out) == 0
    assert [path.name for path in out.iterdir()] == ["land_mask.png"]
    mask = pixels(out / "land_mask.png")
    assert mask.shape == (40, 40, 3)
    colors = {tuple(color) for color in mask.reshape(-1, 3).tolist()}
    assert colors <= {tuple(c) for c in color_table(KAGGLE_CLASSES).tolist()}


def test_sharpen_adds_the_sharpened_soft_mask_and_changes_no_other_file(
    command: Command, model: Path, image: Path, tmp_path: Path
) -> None:
    plain, more = tmp_path / "plain", tmp_path / "more"
    assert command("predict", model, image, "--out", plain, "--soft") == 0
    options = ("--soft", "--sharpen", "2.5")
    assert command("predict", model, image, "--out", more, *options) == 0
    names = ["land_mask.png", "land_sharpened.png", "land_soft.png"]
    assert sorted(path.name for path in more.iterdir()) == names
    for name in ("land_mask.png", "land_soft.png"):
        assert (plain / name).read_bytes() == (more / name).read_bytes()
    soft = pixels(more / "land_soft.png")
    expected = sharpen(soft, 2.5)
    np.testing.assert_array_equal(pixels(more / "land_sharpened.png"), expected)
    assert (pixels(more / "land_sharpened.png") != soft).any()


def test_a_georeferenced_image_gives_a_mask_on_the_same_grid(
    command: Command, model: Path, tmp_path: Path
) -> None:
    rgb, _, _ = terrain(48, seed=1)
    data = tiff(rgb[:40], crs="EPSG:32633", transform=GRID)
    scene = write(tmp_path, "scene.tif", data)
    assert command("predict", model, scene, "--out", tmp_path / "out", "--soft") == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "scene_mask.tif",
        "scene_mask.tif.aux.xml",
        "scene_soft.png",
        "scene_soft.tif",
    ]
    with rasterio.open(tmp_path / "out" / "scene_mask.tif") as mask:
        assert mask.transform == GRID
        assert mask.crs.to_epsg() == 32633
        assert (mask.count, mask.dtypes[0], mask.nodata) == (1, "uint8", 255)
        assert (mask.height, mask.width) == (40, 48)
        assert mask.colormap(1)[0][:3] == KAGGLE_CLASSES[0].color


def test_a_bad_file_does_not_stop_the_batch(
    command: Command, model: Path, image: Path, tmp_path: Path
) -> None:
    folder = image.parent
    rgb = image.read_bytes()
    write(folder, "cut.png", rgb[: len(rgb) // 2])
    write(folder, "empty.png", b"")
    write(folder, "huge.png", png_claiming(20_000, 20_000))
    write(folder, "text.png", b"a letter")
    write(folder, "zebra.png", rgb)
    assert command("predict", model, folder, "--out", tmp_path / "out") == 2
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["class_shares.csv", "land_mask.png", "zebra_mask.png"]
    named = [line.split(":")[1].strip() for line in command.errors]
    assert named == ["cut.png", "empty.png", "huge.png", "text.png"]
    assert command.last == command.errors[-1]
    assert "2 masks written" in command.out


def test_an_input_is_never_written_over(
    command: Command, model: Path, image: Path, untouched: Callable[[], None]
) -> None:
    twin = image.with_name("land_mask.png")
    twin.write_bytes(image.read_bytes())
    untouched()
    assert command("predict", model, image, twin, "--out", image.parent) == 2
    assert command.errors == [
        "error: land.png: its mask would replace the input land_mask.png. Choose "
        "another folder with --out."
    ]
    assert image.with_name("land_mask_mask.png").exists()
    image.with_name("land_mask_mask.png").unlink()
    image.with_name("class_shares.csv").unlink()


def test_of_two_images_with_one_stem_none_is_lost(
    command: Command, model: Path, image: Path, tmp_path: Path
) -> None:
    other = image.with_name("Land.jpg")
    Image.fromarray(pixels(image)[:20]).save(other)
    out = tmp_path / "out"
    assert command("predict", model, image, image, other, "--out", out) == 2
    names = sorted(path.name for path in out.iterdir())
    assert names == ["class_shares.csv", "land_mask.png"]
    assert pixels(out / "land_mask.png").shape == (40, 40, 3)
    assert len(command.errors) == 1
    assert "Land.jpg: its mask would have the name of that of land.png" in command.last


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ("--sharpen", "10.5"),
            f"the sharpening amount must be 0 to 10, not 10.5. {IN}",
        ),
        (("--sharpen", "-1"), f"the sharpening amount must be 0 to 10, not -1.0. {IN}"),
        (("--scale", "0"), f"the scale must be 0.001 to 16, not 0.0. {IN}"),
        (("--scale", "17"), f"the scale must be 0.001 to 16, not 17.0. {IN}"),
        (
            ("--min-area", "9"),
            "--min-area is the smallest polygon. Add --vectors.",
        ),
    ],
)
def test_options_out_of_bounds_are_refused_before_anything_is_loaded(
    command: Command, image: Path, options: tuple[str, ...], sentence: str
) -> None:
    out = image.parent / "out"
    assert command("predict", "none.keras", image, "--out", out, *options) == 2
    assert command.err == f"error: {sentence}\n"
    assert not out.exists()


def test_the_folder_for_masks_must_not_be_a_file(command: Command, image: Path) -> None:
    assert command("predict", "none.keras", image, "--out", image) == 2
    assert command.err.startswith("error: land.png: is not a folder")


def test_a_folder_without_images_is_refused(command: Command, tmp_path: Path) -> None:
    assert command("predict", "m.keras", tmp_path, "--out", tmp_path / "out") == 2
    assert "holds no PNG, JPEG or TIFF image" in command.last


def test_a_height_file_takes_exactly_one_image(command: Command, image: Path) -> None:
    twin = image.with_name("twin.png")
    twin.write_bytes(image.read_bytes())
    options = ("--out", image.parent / "out", "--height-file", twin)
    assert command("predict", "m.keras", image, twin, *options) == 2
    assert command.last == (
        "error: --height-file takes exactly one IMAGE, not 2. Name one."
    )
    assert command("predict", "m.keras", image.parent, *options) == 2
    assert not (image.parent / "out").exists()


def test_a_model_with_height_asks_for_it_and_uses_it(
    command: Command, image: Path, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "models", "relief", height=True)
    height = tmp_path / "height.png"
    Image.fromarray(terrain(40, seed=3)[2]).save(height)
    small = tmp_path / "small.png"
    Image.fromarray(terrain(32, seed=3)[2]).save(small)
    run = ("predict", model, image, "--out", tmp_path / "out")
    assert command(*run) == 2
    assert "this model needs the heights" in command.last
    assert command(*run, "--height-file", small) == 2
    assert command.last.startswith(
        "error: land.png: the heights are 32 x 32 and the image"
    )
    assert command(*run, "--height-file", tmp_path / "none.tif") == 2
    assert command.last.startswith("error: none.tif: ")
    assert not (tmp_path / "out").exists()
    assert command(*run, "--height-file", height) == 0
    assert pixels(tmp_path / "out" / "land_mask.png").shape == (40, 40, 3)


# sharpen


@pytest.mark.parametrize("amount", [0.0, 1.0, 2.5])
def test_sharpen_is_the_originals_filter(
    command: Command, tmp_path: Path, amount: float
) -> None:
    rgb = pattern(20, 30)
    source = tmp_path / "in.png"
    Image.fromarray(rgb).save(source)
    out = tmp_path / "out.png"
    assert command("sharpen", source, out, "--amount", amount) == 0
    kernel = np.full((3, 3), -amount)
    kernel[1, 1] = 1 + 8 * amount
    expected = cv2.filter2D(rgb, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    np.testing.assert_array_equal(pixels(out), expected)


@pytest.mark.parametrize("name", ["out.png", "out.tif", "out.TIFF", "out.jpg"])
def test_sharpen_writes_the_format_that_the_name_asks_for(
    command: Command, tmp_path: Path, image: Path, name: str
) -> None:
    out = tmp_path / "new" / name
    options = ("--amount", "1", "--method", "unsharp", "--radius", "2")
    assert command("sharpen", image, out, *options) == 0
    with Image.open(out) as opened:
        expected = {"p": "PNG", "t": "TIFF", "j": "JPEG"}[name.lower()[4]]
        assert (opened.format, opened.size) == (expected, (40, 40))


@pytest.mark.parametrize(
    ("dtype", "top"),
    [("uint8", 255), ("uint16", 4000), ("int16", 4000), ("float32", 1)],
)
def test_sharpen_keeps_place_and_depth_of_a_geotiff(
    command: Command, tmp_path: Path, dtype: str, top: int
) -> None:
    stored = ((0.5 + pattern(20, 30, 5) / 5000) * top).astype(dtype)
    stored[:4, :5] = 0
    place = {"crs": "EPSG:32633", "transform": Affine(10, 0, 5e5, 0, -10, 5e6)}
    source = write(tmp_path, "in.tif", tiff(stored, nodata=0, **place))
    out = tmp_path / "out.tif"
    assert command("sharpen", source, out, "--amount", "0.5") == 0
    with rasterio.open(source) as before, rasterio.open(out) as after:
        assert after.profile["dtype"] == dtype
        assert (after.crs, after.transform, after.nodata, after.count) == (
            before.crs,
            before.transform,
            0,
            5,
        )
        made = np.moveaxis(after.read(), 0, -1)
    assert not made[:4, :5].any()
    kernel = np.full((3, 3), -0.5)
    kernel[1, 1] = 5
    expected = cv2.filter2D(stored[..., 4].astype(float), -1, kernel)
    difference = np.abs(made[..., 4] - expected)[6:-1, 1:-1]
    assert difference.max() <= (1e-4 if top == 1 else 0.51)


def test_sharpen_places_a_picture_by_a_world_file(
    command: Command, tmp_path: Path
) -> None:
    world = "10\n0\n0\n-10\n500005\n4999995\n"
    source = write(tmp_path, "in.png", encode(pattern(9, 8)))
    source.with_suffix(".pgw").write_text(world)
    assert command("sharpen", source, tmp_path / "out.jpg", "--amount", "1") == 0
    assert (tmp_path / "out.jgw").read_text() == world
    assert command("sharpen", source, tmp_path / "out.tif", "--amount", "1") == 0
    with rasterio.open(tmp_path / "out.tif") as made:
        assert made.transform == Affine(10, 0, 5e5, 0, -10, 5e6)


@pytest.mark.parametrize(
    ("out", "options", "sentence"),
    [
        ("land.png", ("--amount", "1"), "land.png: would be overwritten"),
        ("x.bmp", ("--amount", "1"), "x.bmp: the format is chosen by the name's end"),
        ("x", ("--amount", "1"), "x: the format is chosen by the name's end"),
        ("x.png", ("--amount", "11"), "amount"),
        ("x.png", ("--amount", "-1"), "amount"),
        ("x.png", ("--amount", "1", "--method", "unsharp", "--radius", "0"), "radius"),
    ],
)
def test_sharpen_refuses_in_one_sentence(
    command: Command,
    image: Path,
    out: str,
    options: tuple[str, ...],
    sentence: str,
    untouched: Callable[[], None],
) -> None:
    untouched()
    assert command("sharpen", image, image.parent / out, *options) == 2
    assert sentence in command.last
    assert len(command.errors) == 1


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the file is empty"),
        (b"a letter", "not a PNG, JPEG or TIFF"),
        (png_claiming(20_000, 20_000), "400"),
    ],
)
def test_sharpen_refuses_what_is_no_usable_image(
    command: Command, tmp_path: Path, data: bytes, sentence: str
) -> None:
    source = write(tmp_path, "bad.png", data)
    assert command("sharpen", source, tmp_path / "out.png", "--amount", "1") == 2
    assert command.last.startswith("error: bad.png: ")
    assert sentence in command.last
    assert not (tmp_path / "out.png").exists()


# models


def test_models_lists_what_is_on_this_machine(
    command: Command, terrainlib_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(terrainlib_home)
    write_model(terrainlib_home / "models", "mine")
    write(terrainlib_home / "models", "broken.h5", b"no model")
    write(terrainlib_home / "models", "default.json", b"{}")
    assert command("models") == 0
    for column in ("model", "preset", "data", "made", "mIoU", "size"):
        assert column in command.out
    lines = command.out.split("\n")
    mine = next(line for line in lines if "models/mine.keras" in line)
    assert "fast" in mine
    assert "MB" in mine
    assert any("models/broken.h5" in line and "not readable" in line for line in lines)
    assert "default.json" not in command.out


# export


def test_export_writes_a_new_file_and_never_over_another(
    command: Command, model: Path, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    out = tmp_path / "tiny.onnx"

    assert command("export", model, "--onnx", out) == 0
    assert "red, green, blue (8-bit values); all divided by 255." in command.out
    assert "set the resolution yourself" in command.out
    onnx.checker.check_model(onnx.load(out), full_check=True)

    written = out.read_bytes()
    assert command("export", model, "--onnx", out) == 2
    assert command.last == "error: tiny.onnx: exists already. Name a new file."
    assert out.read_bytes() == written
