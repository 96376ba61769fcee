"""The command `predict`: what it makes on request, what it says, how it is stopped."""

import csv
import io
import os
import signal
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
from PIL import Image

from terrainlib.cli import main, predict
from terrainlib.cli.main import with_bare_pack
from terrainlib.cli.predict import in_time
from terrainlib.data.sample import SCENES_DIR
from terrainlib.mask.cleaning import STEPS, PostProcessing
from terrainlib.mask.pack.pack import PackTarget
from terrainlib.mask.products.products import CHOICES
from terrainlib.mask.products.records import Made
from terrainlib.mask.vectors.polygons import SmallestArea
from terrainlib.ui.studio.masks import PictureFile, clean_mask, make_mask
from tests.imagefiles import encode, naming_overviews, placed_at, tiff, write
from tests.models import KERAS_COPY_WARNING, write_model
from tests.synthetic import terrain

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)

GRID = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def europe(tmp_path: Path) -> Path:
    """Return a part of the sample's scene, 90 x 150 px on its own grid."""
    with rasterio.open(SCENES_DIR / "europe.tif") as scene:
        a, _, c, _, e, f = tuple(scene.transform)[:6]
        rgb = np.moveaxis(scene.read()[:, 180:270, 200:350], 0, -1)
        grid = rasterio.Affine(a, 0, c + 200 * a, 0, e, f + 180 * e)
        return write(tmp_path, "part.tif", tiff(rgb, crs=scene.crs, transform=grid))


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run(*words: Any) -> int:
    return main.main(["predict", *map(str, words)])


def test_everything_asked_for_lies_on_the_images_own_grid(
    model: Path, europe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    options = ("--soft", "--probabilities", "--sharpen", "2")
    more = ("--vectors", "--min-area", "20", "--pack", "unity:33")
    assert run(model, europe, "--out", out, *options, *more) == 0
    assert listing(out) == [
        "part.geojson",
        "part.gpkg",
        "part_mask.tif",
        "part_mask.tif.aux.xml",
        "part_pack.zip",
        "part_probabilities.tif",
        "part_sharpened.png",
        "part_sharpened.tif",
        "part_soft.png",
        "part_soft.tif",
    ]
    for name in filter(lambda name: name.endswith(".tif"), listing(out)):
        with rasterio.open(europe) as scene, rasterio.open(out / name) as data:
            assert (data.crs, data.transform) == (scene.crs, scene.transform)
            assert (data.height, data.width) == (scene.height, scene.width)
    with (
        rasterio.open(out / "part_sharpened.tif") as data,
        Image.open(out / "part_sharpened.png") as picture,
    ):
        np.testing.assert_array_equal(np.moveaxis(data.read(), 0, -1), picture)
    facts = pyogrio.read_info(out / "part.gpkg", layer="terrain")
    assert (facts["crs"], facts["geometry_type"]) == ("EPSG:3035", "Polygon")
    with zipfile.ZipFile(out / "part_pack.zip") as pack:
        weights = pack.read("weights/0_Water.png")
    with Image.open(io.BytesIO(weights)) as picture:
        assert picture.size == (32, 32)
    said = capsys.readouterr()
    assert said.out == f"1 mask written to {out}\n"
    assert "; unsure of " in said.err


def test_the_masks_of_a_scene_carry_names_and_colours(
    model: Path, europe: Path, tmp_path: Path
) -> None:
    assert run(model, europe, "--out", tmp_path, "--vectors") == 0
    with rasterio.open(tmp_path / "part_mask.tif") as data:
        assert data.tags()["CLASS_0"] == "Water"
        assert data.colormap(1)[0] == (17, 141, 215, 255)
        assert data.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    info = pyogrio.read_info(tmp_path / "part.gpkg", layer="layer_styles")
    assert info["features"] == 1


def test_the_same_command_again_gives_the_same_files(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rgb, _, _ = terrain(16, seed=1)
    for name in ("a_2.png", "a_10.png"):
        write(tmp_path, name, encode(rgb))
    for name in ("._a_2.png", ".DS_Store", "Thumbs.db"):
        write(tmp_path, name, b"hidden")
    assert run(model, tmp_path, "--out", tmp_path, "--soft") == 0
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(first) == sorted(
        ["._a_2.png", ".DS_Store", "Thumbs.db", "class_shares.csv"]
        + [f"a_{n}{end}.png" for n in (2, 10) for end in ("", "_mask", "_soft")]
    )
    capsys.readouterr()
    assert run(model, tmp_path, "--out", tmp_path, "--soft") == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    said = capsys.readouterr()
    assert "4 files are called like results for images beside them" in said.err
    shares = (tmp_path / "class_shares.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in shares[1:]] == ["a_2.png", "a_10.png"]


def test_heights_in_a_folder_go_with_their_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rgb, _, height = terrain(32, seed=1)
    write(tmp_path, "a.png", encode(rgb))
    write(tmp_path, "a_height.png", encode(height.astype(np.uint16)))
    write(tmp_path, "b.png", encode(rgb))
    out = tmp_path / "out"

    model = write_model(tmp_path / "models", height=True)
    assert run(model, tmp_path, "--out", out) == 2

    said = capsys.readouterr().err
    assert "taken as heights of images: a_height.png" in said
    assert "b.png: this model needs the heights beside the image" in said
    assert (out / "a_mask.png").exists()
    assert not (out / "a_height_mask.png").exists()


def test_bands_are_asked_for_and_chosen(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rgb, _, _ = terrain(40, seed=3)
    wide = np.concatenate([rgb[..., ::-1], rgb[..., :1]], axis=-1).astype(np.uint16)
    data = tiff(257 * wide, photometric="MINISBLACK", crs="EPSG:32633", transform=GRID)
    many = write(tmp_path, "many.tif", data)
    plain = tiff(rgb, crs="EPSG:32633", transform=GRID)
    three = write(tmp_path, "three.tif", plain)
    assert run(model, three, "--out", tmp_path) == 0
    assert "--bands" not in capsys.readouterr().err
    assert run(model, many, "--out", tmp_path) == 0
    said = capsys.readouterr().err
    assert "note: many.tif: 4 bands; 1, 2 and 3 used as red, green and blue" in said
    assert "such as --bands 3,2,1; the file has 1 Band 1, 2 Band 2" in said
    assert run(model, many, "--out", tmp_path, "--bands", "3,2,1") == 0
    assert "bands 3, 2 and 1 of 4 used, as chosen" in capsys.readouterr().err
    with (
        rasterio.open(tmp_path / "many_mask.tif") as one,
        rasterio.open(tmp_path / "three_mask.tif") as other,
    ):
        np.testing.assert_array_equal(one.read(), other.read())
    assert run(model, many, "--out", tmp_path, "--bands", "1,2,7") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: many.tif: there is no band 7; the file has 4 bands")


def test_a_folder_gives_a_table_of_shares_and_of_what_failed(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    rgb, _, _ = terrain(40, seed=3)
    write(folder, "a.png", encode(rgb))
    write(folder, "b.tif", tiff(rgb[..., :2]))
    whole = tiff(rgb, crs="EPSG:32633", transform=GRID)
    write(folder, "c.tif", whole)
    write(folder, "d.tif", whole[:-900])
    assert run(model, folder, "--out", out) == 2
    masks = ["a_mask.png", "c_mask.tif", "c_mask.tif.aux.xml"]
    assert listing(out) == [*masks, "class_shares.csv"]
    rows = list(csv.DictReader(io.StringIO((out / "class_shares.csv").read_text())))
    assert [(row["image"], row["state"]) for row in rows] == [
        ("a.png", "done"),
        ("c.tif", "done"),
        ("b.tif", "failed"),
        ("d.tif", "failed"),
    ]
    assert rows[0]["share_Water"] == rows[1]["share_Water"]
    errors = [
        line for line in capsys.readouterr().err.splitlines() if "error: " in line
    ]
    assert [line.split(": ")[1] for line in errors] == ["b.tif", "d.tif"]


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("so what"), OSError("gone"), MemoryError()]
)
def test_what_nobody_foresaw_in_one_image_does_not_stop_the_others(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        write(folder, name, encode(terrain(40, seed=3)[0]))
    real = predict.predict_file

    def fail(first: Any, path: Path, *words: Any, **options: Any) -> Made:
        if path.name == "a.png":
            raise error
        return real(first, path, *words, **options)

    monkeypatch.setattr(predict, "predict_file", fail)
    assert run(model, folder, "--out", out) == 1
    assert listing(out) == ["b_mask.png", "class_shares.csv"]
    rows = csv.DictReader(io.StringIO((out / "class_shares.csv").read_text()))
    assert [(row["image"], row["state"]) for row in rows] == [
        ("b.png", "done"),
        ("a.png", "failed"),
    ]
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ")


NAN, INFINITE = float("nan"), float("inf")
NOWHERE = {
    "not a number": (10, 0, NAN, 0, -10, 5e6),
    "infinite": (INFINITE, 0, 5e5, 0, -10, 5e6),
    "in a line": (10, 10, 5e5, 10, 10, 5e6),
    "all in one place": (0, 0, 5e5, 0, 0, 5e6),
    "lost in rounding": (1e-20, 0, 5e5, 0, -1e-20, 5e6),
    "beyond all bounds": (10, 0, 1e300, 0, -10, 5e6),
}


@pytest.mark.parametrize("transform", NOWHERE.values(), ids=NOWHERE)
@pytest.mark.parametrize("crs", ["EPSG:32633", None])
def test_a_georeference_that_is_no_place_is_told_and_left_out(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    transform: tuple[float, ...],
    crs: str | None,
) -> None:
    image = write(tmp_path, "land.tif", placed_at(transform, crs=crs))
    out = tmp_path / "out"
    assert run(model, image, "--out", out, "--vectors") == 0
    assert listing(out) == ["land.gpkg", "land_mask.png"]
    said = capsys.readouterr().err
    assert (
        "note: land.tif: its georeference is not a place on the Earth; read as" in said
    )


def test_an_image_that_names_files_fails_alone(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    secret = write(tmp_path, "secret.png", encode(terrain(16, seed=1)[0]))
    write(folder, "a.tif", naming_overviews(secret))
    write(folder, "b.png", encode(terrain(40, seed=3)[0]))
    assert run(model, folder, "--out", out) == 2
    said = capsys.readouterr().err
    assert "error: a.tif: it names another file for its overviews" in said
    assert listing(out) == ["b_mask.png", "class_shares.csv"]


def test_probabilities_of_a_picture_are_one_sentence(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = write(tmp_path, "land.png", encode(terrain(40, seed=3)[0]))
    assert run(model, image, "--out", tmp_path / "out", "--probabilities") == 2
    [error] = capsys.readouterr().err.splitlines()[-1:]
    assert error.startswith(
        "error: land.png: it has no place on the Earth, and probabilities"
    )
    area = ("--vectors", "--min-area", "50m2")
    assert run(model, image, "--out", tmp_path / "out", *area) == 2
    assert "error: land.png: the image has no coord" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_the_finished_rows_and_begins_no_other_image(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    before = signal.getsignal(signal.SIGINT)
    rng = np.random.default_rng(4)
    rgb = rng.integers(0, 256, (2500, 16, 3), np.uint8)
    tall = write(tmp_path, "tall.tif", tiff(rgb, crs="EPSG:32633", transform=GRID))
    next_one = write(tmp_path, "zebra.png", encode(rgb[:40]))
    real = predict.predict_file

    def interrupted(*words: Any, progress: Any, **options: Any) -> Made:
        def count(done: int, total: int) -> None:
            progress(done, total)
            if done == 2:
                os.kill(os.getpid(), number)

        return real(*words, progress=count, **options)

    monkeypatch.setattr(predict, "predict_file", interrupted)
    out = tmp_path / "out"
    assert run(model, tall, next_one, "--out", out, "--vectors") == 1
    masks = ["tall_mask.tif", "tall_mask.tif.aux.xml"]
    assert listing(out) == ["class_shares.csv", *masks]
    with rasterio.open(out / "tall_mask.tif") as data:
        rows, mask = int(data.tags()["ROWS_DONE"]), data.read(1)
    assert 1000 < rows < 2500
    assert (mask[:rows] != 255).all()
    assert (mask[rows:] == 255).all()
    errors = capsys.readouterr().err.splitlines()[-2:]
    assert errors[0].startswith(f"error: tall.tif: stopped after {rows} of 2500 rows")
    assert errors[1] == "error: 1 image was not begun."
    assert signal.getsignal(signal.SIGINT) is before


def test_what_a_large_image_takes_is_told_before(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predict, "LONG_MEGAPIXELS", 0.001)
    image = write(tmp_path, "land.png", encode(terrain(40, seed=3)[0]))
    assert run(model, image, "--out", tmp_path) == 0
    [line] = [text for text in capsys.readouterr().err.splitlines() if "about" in text]
    assert line.startswith("note: land.png: 40 x 40 px in 1 tile, about ")
    assert line.endswith(" MB of memory beside the model")


def test_pack_takes_no_file_for_an_engine() -> None:
    words = ["predict", "--pack", "default", "a.png", "--out", "o"]
    options = main.build_parser().parse_args(with_bare_pack(words))
    assert options.pack == PackTarget()
    assert options.images == [Path("a.png")]
    words = ["predict", "default", "a.png", "--out", "o", "--pack"]
    assert main.build_parser().parse_args(with_bare_pack(words)).pack == PackTarget()
    words = ["predict", "default", "a.png", "--out", "o", "--pack", "unity:1025"]
    parsed = main.build_parser().parse_args(with_bare_pack(words))
    assert parsed.pack == PackTarget("unity", 1025)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ((), "pack", None),
        (
            ("--pack=unreal:1009:stretch",),
            "pack",
            PackTarget("unreal", 1009, "stretch"),
        ),
        (("--min-area", "16"), "min_area", SmallestArea(16)),
        (("--min-area", "7px"), "min_area", SmallestArea(7)),
        (("--min-area", "500m2"), "min_area", SmallestArea(500, "m2")),
        (("--bands", "4,3,2"), "bands", (4, 3, 2)),
    ],
)
def test_words_become_values(words: tuple[str, ...], name: str, value: Any) -> None:
    options = main.build_parser().parse_args(
        ["predict", "m", "i", "--out", "o", *words]
    )
    assert getattr(options, name) == value


def test_help_tells_every_option_and_every_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("--help") == 0
    said = capsys.readouterr().out
    for option in ("--bands", "--probabilities", "--min-area", "--pack", "--vectors"):
        assert option in said
    for name in ("_mask.tif", "_probabilities.tif", ".gpkg", ".geojson", "_pack.zip"):
        assert name in said
    assert "class_shares.csv" in said


def test_times_are_told_in_words() -> None:
    words = [in_time(seconds) for seconds in (0.1, 40, 720, 9000)]
    assert words == ["1 second", "40 seconds", "12 minutes", "2.5 hours"]


def test_cleaning_gives_the_mask_that_the_studio_gives(
    model: Path, europe: Path, tmp_path: Path
) -> None:
    options = ("--median", "3", "--sieve", "12", "--fill", "8")
    assert run(model, europe, "--out", tmp_path / "out", *options) == 0
    made = make_mask(
        PictureFile.on_disk(europe), None, str(model), progress=lambda *_: None
    )
    clean = clean_mask(made, PostProcessing(3, 12, 8))
    assert clean.changed > 0
    with rasterio.open(tmp_path / "out" / "part_mask.tif") as data:
        np.testing.assert_array_equal(data.read(1), clean.index)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--median", "4"), "must be 0 or an odd number from 3 to 31 px, not 4."),
        (("--sieve", "-1"), "the size for sieve must be a whole number from 0 to"),
        (("--fill", "1.5"), "argument --fill: invalid int value: '1.5'"),
    ],
)
def test_a_size_for_cleaning_out_of_its_bounds_is_one_sentence(
    europe: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    sentence: str,
) -> None:
    assert run("default", europe, "--out", tmp_path / "out", *words) == 2
    [*_, last] = capsys.readouterr().err.splitlines()
    assert last.startswith("error: ")
    assert sentence in last
    assert not (tmp_path / "out").exists()


def test_help_lists_every_product_and_every_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert "  IMAGE_sharpened.png      --sharpen\n" in text
    assert "  IMAGE_soft.tif           --soft, beside the PNG\n" in text
    for product in CHOICES:
        assert f"\n  {product.option}" in text
    for step in STEPS:
        assert f"\n  --{step.name} PX" in text
