"""What a prediction will take, told from headers and from what was measured before."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from terrainlib import files
from terrainlib.data.sample import example_scenes
from terrainlib.errors import ModelFileError
from terrainlib.mask.cleaning import PostProcessing
from terrainlib.mask.products.making import predict_file
from terrainlib.mask.products.records import Made, Wanted
from terrainlib.model.config import UNetConfig
from terrainlib.model.modelfile import load_model
from terrainlib.runs.jobs import estimate as module
from terrainlib.runs.jobs.config import JobConfig, input_images
from terrainlib.runs.jobs.estimate import (
    SPEEDS_FILE,
    estimate,
    estimate_job,
    measure_speed,
    model_outline,
    remember,
    remember_start,
)
from tests.imagefiles import encode, pattern, write
from tests.mask_models import ColorReader, make_model
from tests.models import KERAS_COPY_WARNING, write_model

SCENES = [scene.image for scene in example_scenes()]


def made(height: int, width: int, seconds: float, network: float) -> Made:
    return Made(
        name="a",
        files=(),
        height=height,
        width=width,
        rows=height,
        stopped=False,
        shares={},
        areas={},
        gap={},
        unsure_share=0,
        notes=(),
        seconds=seconds,
        network_seconds=network,
        megapixels_per_second=1.0,
    )


def config(*images: Path, **options: object) -> JobConfig:
    return JobConfig("default", input_images(images), **options)  # type: ignore[arg-type]


def seconds(image: Path, wanted: Wanted | None = None) -> float | None:
    return estimate_job(config(image, wanted=wanted or Wanted())).seconds


def test_size_memory_and_disk_are_known_without_any_prediction() -> None:
    one, both = estimate_job(config(SCENES[0])), estimate_job(config(*SCENES))
    assert one.seconds is None
    assert one.bytes > 0
    assert both.needed_disk_mb > one.needed_disk_mb > 0
    assert both.free_disk_mb > 0


def test_more_that_is_wanted_needs_more_room() -> None:
    plain = estimate_job(config(SCENES[0])).needed_disk_mb
    full = Wanted(soft=True, probabilities=True, vectors=True, sharpen=1.0)
    assert estimate_job(config(SCENES[0], wanted=full)).needed_disk_mb > 5 * plain


def test_an_image_that_cannot_be_read_counts_nothing(tmp_path: Path) -> None:
    bad = write(tmp_path, "bad.png", b"nothing")
    assert estimate_job(config(bad, tmp_path / "missing.png")).tiles == 0
    with_bad, alone = (
        estimate_job(config(bad, SCENES[0])),
        estimate_job(config(SCENES[0])),
    )
    assert replace(with_bad, free_disk_mb=0) == replace(alone, free_disk_mb=0)


@pytest.mark.filterwarnings(KERAS_COPY_WARNING)
def test_a_model_that_is_loaded_is_timed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_model(tmp_path)
    wanted = JobConfig(str(path), input_images(SCENES[:1]))
    assert estimate_job(wanted).seconds is None
    measure_speed(load_model(path))
    known = estimate_job(wanted).seconds
    assert known is not None
    assert known > 0
    monkeypatch.setattr(module, "run_network", None)  # not run again
    measure_speed(model_outline(str(path)))
    assert estimate_job(wanted).seconds == known


def test_the_tiles_are_those_that_are_predicted(tmp_path: Path) -> None:
    rgb = np.zeros((700, 1500, 3), np.uint8)
    net = UNetConfig.preset("fast", image_size=32)
    model = make_model(ColorReader(net), net)
    image = write(tmp_path, "a.png", encode(rgb))
    seen: list[int] = []
    predict_file(
        model,
        image,
        tmp_path,
        "a",
        Wanted(),
        progress=lambda _done, total: seen.append(total),
    )
    told = estimate(model, [(700, 1500)], Wanted(), tmp_path)
    assert told.tiles == seen[-1] > 1
    coarse = estimate(model, [(700, 1500)], Wanted(scale=0.5), tmp_path)
    assert coarse.tiles < told.tiles
    assert coarse.bytes < told.bytes
    more = estimate(model, [(700, 1500)], Wanted(soft=True), tmp_path)
    assert more.bytes > told.bytes
    cleaned = Wanted(cleaning=PostProcessing(sieve_px=9))
    more = estimate(model, [(700, 1500)], cleaned, tmp_path)
    assert more.bytes > told.bytes + 700 * 1500


def test_what_a_prediction_took_is_what_the_next_one_will_take(tmp_path: Path) -> None:
    image = write(tmp_path, "a.png", encode(pattern(200, 300)))
    model = model_outline("default")
    remember(model, made(200, 300, seconds=7.0, network=4.0), Wanted())
    assert seconds(image) == pytest.approx(7.0)
    remember_start(5.0)
    assert seconds(image) == pytest.approx(12.0)


def test_what_was_never_made_counts_as_the_mask_alone_until_it_was(
    tmp_path: Path,
) -> None:
    image = write(tmp_path, "a.png", encode(pattern(200, 300)))
    model, more = model_outline("default"), Wanted(vectors=True)
    remember(model, made(200, 300, seconds=7.0, network=4.0), Wanted())
    assert seconds(image, more) == pytest.approx(7.0)
    remember(model, made(200, 300, seconds=24.0, network=4.0), more)
    assert seconds(image, more) == pytest.approx(24.0)
    assert seconds(image) == pytest.approx(7.0)


def test_a_small_image_does_not_replace_what_a_large_one_has_shown(
    tmp_path: Path,
) -> None:
    image = write(tmp_path, "a.png", encode(pattern(200, 300)))
    model = model_outline("default")
    remember(model, made(2000, 3000, seconds=700.0, network=400.0), Wanted())
    known = seconds(image)
    remember(model, made(20, 30, seconds=9.0, network=8.0), Wanted())
    assert seconds(image) == known


@pytest.mark.parametrize(
    "text", ["", "[]", '{"start": 1}', '{"start": {"amount": 0, "seconds": "x"}}']
)
def test_a_damaged_memory_is_none(tmp_path: Path, text: str) -> None:
    files.write_bytes(files.cache_dir() / SPEEDS_FILE, text.encode())
    assert seconds(SCENES[0]) is None


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    images = input_images(SCENES[:1])
    with pytest.raises(ModelFileError, match=r"^gone\.keras: is missing or no model"):
        estimate_job(JobConfig(str(tmp_path / "gone.keras"), images))
