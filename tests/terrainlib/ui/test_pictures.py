"""The pictures of a gallery."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.layout import Pair
from terrainlib.data.palette import KAGGLE_CLASSES, color_table
from terrainlib.errors import ImageError
from terrainlib.ui import pictures
from tests.synthetic import terrain, write_kaggle_dataset


@pytest.fixture
def dataset(tiny_dataset: Path) -> Dataset:
    return open_dataset(tiny_dataset)


@pytest.fixture
def pair(dataset: Dataset) -> Pair:
    return dataset.pairs[0]


def _decode(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_a_small_mask_is_enlarged_by_a_whole_factor_without_new_colours(
    pair: Pair, dataset: Dataset
) -> None:
    picture = _decode(pictures.mask_picture(pair, dataset))
    assert picture.shape == (512, 512, 3)
    truth = np.asarray(Image.open(pair.mask).convert("RGB"))
    assert np.array_equal(picture[8::16, 8::16], truth)
    colors = {tuple(color) for color in picture.reshape(-1, 3).tolist()}
    assert colors <= {tuple(color) for color in color_table(KAGGLE_CLASSES).tolist()}


def test_a_large_image_is_shrunk_to_the_thumbnail_size(tmp_path: Path) -> None:
    folder = write_kaggle_dataset(tmp_path / "large", pairs=1, size=700)
    dataset = open_dataset(folder)
    pair = dataset.pairs[0]
    assert _decode(pictures.image_picture(pair, dataset)).shape == (512, 512, 3)
    mask = _decode(pictures.mask_picture(pair, dataset))
    assert mask.shape == (512, 512, 3)
    colors = {tuple(color) for color in mask.reshape(-1, 3).tolist()}
    assert colors <= {tuple(color) for color in color_table(KAGGLE_CLASSES).tolist()}


@pytest.mark.parametrize(("opacity", "like"), [(0.0, "image"), (1.0, "mask")])
def test_the_overlay_goes_from_the_image_to_the_mask(
    pair: Pair, dataset: Dataset, opacity: float, like: str
) -> None:
    overlay = _decode(pictures.overlay_picture(pair, dataset, opacity))
    if like == "mask":
        expected = _decode(pictures.mask_picture(pair, dataset))
    else:
        image = _decode(pictures.image_picture(pair, dataset))
        expected = cv2.resize(image, (512, 512), interpolation=cv2.INTER_CUBIC)
    difference = np.abs(overlay.astype(int) - expected.astype(int))
    assert difference.mean() < 6  # JPEG


def test_a_pair_without_height_has_no_relief(tmp_path: Path) -> None:
    folder = write_kaggle_dataset(tmp_path / "flat", pairs=1, heights=False)
    assert pictures.relief_picture(open_dataset(folder).pairs[0]) is None


def test_the_relief_is_a_picture_of_the_height(pair: Pair) -> None:
    data = pictures.relief_picture(pair)
    assert data is not None
    assert _decode(data).std() > 1


def test_a_picture_of_a_changed_file_is_made_anew(pair: Pair, dataset: Dataset) -> None:
    before = pictures.image_picture(pair, dataset)
    rgb, _, _ = terrain(32, seed=99)
    Image.fromarray(rgb).save(pair.image, compress_level=0)
    assert pictures.image_picture(pair, dataset) != before


def test_a_file_that_is_gone_is_named_in_one_sentence(
    pair: Pair, dataset: Dataset
) -> None:
    pair.image.unlink()
    with pytest.raises(ImageError, match=pair.image.name):
        pictures.image_picture(pair, dataset)
