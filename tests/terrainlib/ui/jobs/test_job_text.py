"""Predictions of large images and batches, in words and in a table."""

from dataclasses import replace
from pathlib import Path

from terrainlib.mask.products.records import Made
from terrainlib.runs.folder import Job
from terrainlib.runs.jobs.config import JobConfig, input_images
from terrainlib.runs.jobs.estimate import Estimate
from terrainlib.runs.status import JobStatus
from terrainlib.ui.jobs.result import (
    batch_frame,
    estimate_text,
    largest_class,
    made_text,
    mask_file,
    progress_text,
)

MADE = Made(
    name="a.tif",
    files=(Path("/out/a_mask.tif"), Path("/out/a_soft.png")),
    height=5000,
    width=6000,
    rows=5000,
    stopped=False,
    shares={"Water": 0.25, "Forest": 0.75},
    areas={},
    gap={},
    unsure_share=0.1,
    notes=(),
    seconds=60.0,
    network_seconds=50.0,
    megapixels_per_second=0.5,
)


def job(count: int = 1, state: str = "running", **status: object) -> Job:
    images = input_images([f"/in/{letter}.tif" for letter in "abcd"[:count]])
    return Job(
        path=Path("/jobs/one"),
        config=JobConfig("default", images),
        status=replace(JobStatus(images=count), **status),
        state=state,
        message="Loading the model",
        made=(),
        failures={},
    )


def test_progress_names_tiles_and_the_time_left():
    text = progress_text(job(image=1, tile=20, tiles=80, seconds_left=90.0), "UTC")

    assert text.startswith("Tile 20 of 80 · 1 min 30 s left · done at about ")


def test_progress_of_a_batch_names_the_image_first():
    text = progress_text(job(3, image=2, tile=1, tiles=4), "UTC")

    assert text == "Image 2 of 3 · tile 1 of 4"


def test_progress_on_a_cluster_counts_images():
    shared = job(3, done=1, workers=2, seconds_left=90.0)
    config = replace(shared.config, cluster="tcp://10.0.0.5:8786")
    text = progress_text(replace(shared, config=config), "UTC")

    assert text.startswith("1 of 3 images done · 1 min 30 s left · done at about ")


def test_before_the_first_tile_progress_is_what_the_worker_says():
    assert progress_text(job(), "UTC") == "Loading the model"


def test_a_result_says_how_long_it_took():
    assert made_text(MADE) == "30 megapixels in 1 min (0.5 megapixels a second)"


def test_a_stopped_result_says_how_far_it_came():
    assert made_text(replace(MADE, rows=1200, stopped=True)).endswith(
        "stopped: 1,200 of 5,000 rows are predicted"
    )


def test_the_largest_class_is_named_with_its_share():
    assert largest_class(MADE) == "Forest 75%"
    assert largest_class(replace(MADE, shares={"Water": 0.0})) == "–"


def test_the_mask_is_found_among_the_files():
    assert mask_file(MADE) == Path("/out/a_mask.tif")
    assert mask_file(replace(MADE, files=())) is None


def test_an_estimate_names_time_memory_and_disk():
    text = estimate_text(Estimate(9, 712_000_000, 75.0, 60.0, 5000.0))

    assert text == (
        "Takes about 1 min 15 s · 712 MB of memory · at most 60.0 MB on the disk "
        "(5.0 GB free)."
    )


def test_the_table_of_a_batch_tells_what_each_image_is_at():
    running = replace(
        job(4, image=3), made=(MADE,), failures={"b.tif": "damaged. Copy it again."}
    )

    table = batch_frame(running)

    assert list(table["State"]) == ["finished", "failed", "at work", "waiting"]
    assert list(table["Largest class"]) == ["Forest 75%", "–", "–", "–"]
    assert table["Shares"][0] == [0.25, 0.75]
    assert table["What went wrong"][1] == "damaged. Copy it again."


def test_images_that_a_stop_left_out_are_not_called_waiting():
    assert list(batch_frame(job(1, "stopped"))["State"]) == ["not predicted"]
