"""Names of images and results: no two the same, all of them fit for files."""

import json

import pytest

from terrainlib.errors import ConfigError
from terrainlib.mask.products.records import Wanted
from terrainlib.runs.jobs.config import InputImage, JobConfig, input_images
from terrainlib.types import checked


def test_images_of_the_same_name_get_names_and_stems_of_their_own() -> None:
    images = input_images(["a/X.tif", "b/x.tif", "c/x.png", "d/X.tif"])
    assert [image.stem for image in images] == ["X", "x-2", "x-3", "X-4"]
    names = [image.name for image in images]
    assert names == ["X.tif", "x.tif", "x.png", "X.tif (2)"]
    assert len(JobConfig("default", images).images) == 4


def test_a_name_of_its_own_can_be_given() -> None:
    (image,) = input_images(["/uploads/17"], ["scene.tif"])
    assert image == InputImage("/uploads/17", "scene.tif", "scene")


@pytest.mark.parametrize("stem", ["", " ", ".hidden", "a/b", "a\\b", "c:d", "x" * 181])
def test_a_stem_that_no_file_can_have_is_refused(stem: str) -> None:
    with pytest.raises(ConfigError, match="no file can be called after"):
        InputImage("x.png", "x.png", stem)


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"is not valid UTF-8\. Rename it"):
        input_images(["broken\udcff.png"])


def test_two_results_of_the_same_name_are_refused() -> None:
    images = InputImage("a/x.tif", "1", "same"), InputImage("b/x.tif", "2", "SAME")
    with pytest.raises(ConfigError, match="two images have the stem same"):
        JobConfig("default", images)


def test_heights_belong_to_one_image() -> None:
    with pytest.raises(ConfigError, match="one height file cannot belong to 2 images"):
        JobConfig("default", input_images(["a.png", "b.png"]), heights="h.tif")


def test_there_must_be_an_image() -> None:
    with pytest.raises(ConfigError, match="there is no image to predict"):
        JobConfig("default", ())


def test_it_is_called_after_its_first_image() -> None:
    assert JobConfig("default", input_images(["a.png"])).name == "a.png"
    several = JobConfig("default", input_images(["a.png", "b.png", "c.png"]))
    assert several.name == "a.png and 2 more"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "`model` is missing"),
        ({"model": "m"}, "`images` is missing"),
        ({"model": "m", "images": [1]}, "`images.0`: Input should be an object"),
        ({"model": "m" * 5000, "images": []}, "`model`: no path of a file"),
    ],
)
def test_an_incomplete_configuration_is_refused(
    values: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        checked(JobConfig, values)


def test_a_configuration_reads_back_as_it_was_written() -> None:
    images = input_images(["a/x.tif"])
    given = JobConfig(
        "m", images, wanted=Wanted(soft=True, bands=(4, 3, 2)), heights="h"
    )
    stored = json.loads(json.dumps(given.to_dict()))
    assert checked(JobConfig, stored) == given
