"""The compact cache of pairs that training reads from."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrainlib.data import cache
from terrainlib.data.cache import (
    PairCache,
    build_cache,
    resize_area,
    resize_height,
    resize_nearest,
)
from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.errors import DatasetError, StoppedError, StorageError
from tests.synthetic import (
    terrain,
    write_folders_dataset,
    write_kaggle_dataset,
    write_sized_dataset,
)


@pytest.fixture
def dataset(tiny_dataset: Path) -> Dataset:
    return open_dataset(tiny_dataset)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _folders(home: Path) -> list[Path]:
    return sorted((home / "cache" / "pairs").glob("*"))


# Content


@pytest.mark.parametrize("size", [16, 32, 48])
def test_shapes_and_types_follow_the_size(dataset: Dataset, size: int) -> None:
    cache = build_cache(dataset, size)
    assert {(i.shape, i.dtype.name) for i in cache.images} == {
        ((size, size, 3), "uint8")
    }
    assert {(m.shape, m.dtype.name) for m in cache.masks} == {((size, size), "uint8")}
    assert cache.heights is not None
    assert {(h.shape, h.dtype.name) for h in cache.heights} == {
        ((size, size), "float32")
    }
    assert cache.shapes == ((size, size),) * 6
    assert cache.ids == dataset.ids
    assert cache.scale == pytest.approx(size / 32)
    assert cache.skipped == ()


def test_at_their_own_size_the_pixels_are_those_of_the_files(dataset: Dataset) -> None:
    cache = build_cache(dataset, 32)
    for row in range(6):
        rgb, mask, height = terrain(32, row + 1)
        np.testing.assert_array_equal(cache.images[row], rgb)
        np.testing.assert_array_equal(cache.masks[row], mask)
        assert cache.heights is not None
        np.testing.assert_array_equal(cache.heights[row], height)


def test_a_shrunk_image_holds_the_means_of_areas(dataset: Dataset) -> None:
    cache = build_cache(dataset, 16)
    rgb = terrain(32, 1)[0].astype(np.float64)
    means = rgb.reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(cache.images[0], means, atol=0.51)


def test_a_resized_mask_holds_no_new_classes(dataset: Dataset) -> None:
    for size in (13, 20, 45):
        masks = build_cache(dataset, size).masks
        for row in range(6):
            assert set(np.unique(masks[row])) <= set(np.unique(terrain(32, row + 1)[1]))


def test_without_heights_there_are_none(tmp_path: Path) -> None:
    folder = write_kaggle_dataset(tmp_path / "data", pairs=2, heights=False)
    assert build_cache(open_dataset(folder), 16).heights is None


def test_transparent_pixels_have_no_class(tmp_path: Path) -> None:
    folder = write_folders_dataset(tmp_path / "data", pairs=1, heights=False)
    path = folder / "images" / "tile_01.png"
    with Image.open(path) as image:
        pixels = np.dstack([np.array(image), np.full((32, 32), 255, np.uint8)])
    pixels[:8, :, 3] = 0
    Image.fromarray(pixels).save(path)
    masks = build_cache(open_dataset(folder), 16).masks
    assert (masks[0][:4] == 255).all()
    assert (masks[0][4:] != 255).all()


def test_pixels_without_data_darken_no_average(tmp_path: Path) -> None:
    folder = write_folders_dataset(tmp_path / "data", pairs=1, heights=False)
    pixels = np.full((32, 32, 4), 200, np.uint8)
    pixels[:7, :, 3] = 0
    pixels[7:, :, 3] = 255
    Image.fromarray(pixels).save(folder / "images" / "tile_01.png")

    cache = build_cache(open_dataset(folder), 16)

    assert (cache.images[0][3:] == 200).all()  # of two rows, one has data
    assert (cache.images[0][:3] == 0).all()
    assert (cache.masks[0][:3] == 255).all()


def test_one_scale_serves_both_sides_of_all_images(tmp_path: Path) -> None:
    sizes = [(8, 128), (64, 16), (33, 31), (1, 20)]
    folder = write_sized_dataset(tmp_path, sizes)

    cache = build_cache(open_dataset(folder), 16)

    assert cache.scale == pytest.approx(0.5, abs=1e-3)  # the median image is 32 px
    assert cache.shapes == ((4, 64), (32, 8), (17, 16), (1, 10))
    assert [image.shape[:2] for image in cache.images] == list(cache.shapes)
    assert cache.side == 16
    masks = [np.unique(mask) for mask in cache.masks]
    assert all(set(found) <= set(range(7)) for found in masks)


def test_whole_images_are_squeezed_into_a_square(tmp_path: Path) -> None:
    folder = write_sized_dataset(tmp_path, [(16, 64), (64, 48)])

    cache = build_cache(open_dataset(folder), 16, whole=True)

    assert cache.shapes == ((16, 16), (16, 16))
    assert cache.scale is None
    rgb = terrain(64, 1)[0][:16].astype(float)
    means = (rgb[:, 1::4] + rgb[:, 2::4]) / 2  # bilinear, not over areas
    np.testing.assert_allclose(cache.images[0], means, atol=0.51)


def test_the_middles_are_the_middles(dataset: Dataset) -> None:
    cache = build_cache(dataset, 32)

    middles = cache.middles(16)

    assert middles.shapes == ((16, 16),) * 6
    np.testing.assert_array_equal(middles.images[2], cache.images[2][8:24, 8:24])
    np.testing.assert_array_equal(middles.masks[2], cache.masks[2][8:24, 8:24])
    assert cache.middles(40).shapes == cache.shapes


def test_the_arrays_are_read_from_the_disk_as_needed(dataset: Dataset) -> None:
    cache = build_cache(dataset, 16)
    flat = cache.images[3].base
    assert flat is not None
    assert isinstance(flat.base, np.memmap)
    assert not cache.images[3].flags.writeable


# Made once


def test_a_second_call_reads_no_image(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build_cache(dataset, 16)

    def fail(*args: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(cache, "read_raster", fail)
    second = build_cache(dataset, 16)
    np.testing.assert_array_equal(first.images, second.images)
    assert second.ids == first.ids
    assert second.scale == first.scale


def test_every_size_and_every_part_has_its_own(
    dataset: Dataset, terrainlib_home: Path
) -> None:
    build_cache(dataset, 16)
    build_cache(dataset, 32)
    build_cache(dataset.with_ids(["0001", "0002"]), 16)
    assert len(_folders(terrainlib_home)) == 3


def test_changed_files_are_read_again(tiny_dataset: Path) -> None:
    before = build_cache(open_dataset(tiny_dataset), 32)
    black = np.zeros((32, 32, 3), np.uint8)
    Image.fromarray(black).save(tiny_dataset / "0001_t.png")
    after = build_cache(open_dataset(tiny_dataset), 32)
    assert before.images[0].any()
    assert not after.images[0].any()


@pytest.mark.parametrize("file", ["images.raw", "masks.raw", "heights.raw"])
def test_a_cut_cache_is_made_again(
    dataset: Dataset, terrainlib_home: Path, file: str
) -> None:
    expected = np.array(build_cache(dataset, 16).images)
    (folder,) = _folders(terrainlib_home)
    _cut(folder / file)
    np.testing.assert_array_equal(build_cache(dataset, 16).images, expected)


def test_a_cache_without_its_description_is_made_again(
    dataset: Dataset, terrainlib_home: Path
) -> None:
    build_cache(dataset, 16)
    (folder,) = _folders(terrainlib_home)
    (folder / "about.json").write_text("{}")
    assert len(build_cache(dataset, 16).ids) == 6


def test_the_caches_used_longest_ago_go_out(
    dataset: Dataset, terrainlib_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MAX_KEPT_MB", 0)
    build_cache(dataset, 16)
    build_cache(dataset, 24)
    old, used = _folders(terrainlib_home)
    os.utime(old, (0, 0))

    build_cache(dataset, 32)

    left = _folders(terrainlib_home)
    assert len(left) == 2
    assert used in left


# Trouble


def test_a_file_that_became_unreadable_is_left_out_and_named(
    dataset: Dataset,
) -> None:
    _cut(dataset.pair("0002").image)
    cache = build_cache(dataset, 32)
    assert cache.ids == ("0001", "0003", "0004", "0005", "0006")
    assert len(cache.images) == len(cache.masks) == 5
    np.testing.assert_array_equal(cache.images[1], terrain(32, 3)[0])
    (skipped,) = cache.skipped
    assert skipped.file == "0002_t.png"
    assert "cut off" in skipped.problem
    assert build_cache(dataset, 32).skipped == cache.skipped


def test_a_file_that_vanished_is_left_out(dataset: Dataset) -> None:
    height = dataset.pair("0006").height
    assert height is not None
    height.unlink()
    cache = build_cache(dataset, 16)
    assert len(cache.ids) == 5
    assert cache.skipped[0].file == "0006_h.png"


def test_masks_decoded_by_the_scan_are_not_decoded_again(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("terrainlib.data.dataset.read_mask", fail)
    cache = build_cache(dataset, 32)
    for row in range(6):
        np.testing.assert_array_equal(cache.masks[row], terrain(32, row + 1)[1])


@pytest.mark.parametrize("damage", [Path.unlink, _cut, lambda p: p.write_bytes(b"PK")])
def test_without_the_masks_of_the_scan_they_are_decoded(
    dataset: Dataset, terrainlib_home: Path, damage: Callable[[Path], object]
) -> None:
    (store,) = (terrainlib_home / "cache" / "scans").glob("*.masks")
    damage(store)
    masks = build_cache(dataset, 32).masks
    np.testing.assert_array_equal(masks[0], terrain(32, 1)[1])


def test_very_large_masks_are_not_kept(
    tiny_dataset: Path, terrainlib_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("terrainlib.data.check.MAX_MASK_PIXELS", 1000)
    monkeypatch.setattr("terrainlib.data.scan.MAX_STORE_MB", 0)
    cache = build_cache(open_dataset(tiny_dataset), 32)
    np.testing.assert_array_equal(cache.masks[5], terrain(32, 6)[1])


def test_a_set_without_a_readable_pair_is_an_error(
    dataset: Dataset, terrainlib_home: Path
) -> None:
    for pair in dataset.pairs:
        _cut(pair.image)
    with pytest.raises(DatasetError, match=r"no usable pair is left .*0001_t\.png"):
        build_cache(dataset, 16)
    assert _folders(terrainlib_home) == []


def test_an_empty_set_is_an_error(dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="no usable pair is left"):
        build_cache(dataset.with_ids([]), 16)


def test_a_stop_leaves_nothing_behind(dataset: Dataset, terrainlib_home: Path) -> None:
    done: list[int] = []
    with pytest.raises(StoppedError, match="stopped, as asked"):
        build_cache(
            dataset,
            16,
            progress=lambda count, _: done.append(count),
            should_stop=lambda: len(done) >= 3,
        )
    assert done == [1, 2, 3]
    assert _folders(terrainlib_home) == []


def test_progress_counts_every_pair(dataset: Dataset) -> None:
    seen: list[tuple[int, int]] = []
    build_cache(dataset, 16, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 6) for number in range(1, 7)]


def test_a_disk_without_space_is_told_before_the_work(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, terrainlib_home: Path
) -> None:
    monkeypatch.setattr("terrainlib.files.FREE_SPACE_RESERVE_MB", 10**12)
    with pytest.raises(StorageError, match="No space left"):
        build_cache(dataset, 16)
    assert _folders(terrainlib_home) == []


# Parts


@pytest.mark.parametrize(
    "ids", [("0002", "0003", "0004"), ("0001", "0006"), ("0006", "0001", "gone")]
)
def test_a_part_holds_its_pairs_in_the_order_of_the_cache(
    dataset: Dataset, ids: tuple[str, ...]
) -> None:
    cache = build_cache(dataset, 32)
    part = cache.subset(ids)
    rows = [int(name) - 1 for name in sorted(set(ids) - {"gone"})]
    assert part.ids == tuple(sorted(set(ids) - {"gone"}))
    assert part.heights is not None
    assert cache.heights is not None
    for place, row in enumerate(rows):
        np.testing.assert_array_equal(part.images[place], cache.images[row])
        np.testing.assert_array_equal(part.masks[place], cache.masks[row])
        np.testing.assert_array_equal(part.heights[place], cache.heights[row])
    assert part.scale == cache.scale


def test_an_empty_part_is_empty(dataset: Dataset) -> None:
    part: PairCache = build_cache(dataset, 16).subset([])
    assert len(part.images) == len(part.ids) == 0


# Resizing by hand


def test_the_mean_of_heights_leaves_out_what_has_no_data() -> None:
    height = np.array([[1, 3, np.nan, np.nan], [5, np.nan, np.nan, np.nan]], np.float32)
    height = np.vstack([height, np.full((2, 4), 7, np.float32)])
    small = resize_height(height, (2, 2))
    np.testing.assert_allclose(small, [[3, np.nan], [7, 7]])


def test_the_nearest_pixel_is_the_one_under_the_new_centre() -> None:
    mask = np.arange(16, dtype=np.uint8).reshape(4, 4)
    np.testing.assert_array_equal(resize_nearest(mask, (2, 2)), [[5, 7], [13, 15]])
    np.testing.assert_array_equal(resize_nearest(mask[:1, :2], (1, 4)), [[0, 0, 1, 1]])


def test_the_same_size_changes_nothing() -> None:
    image = np.random.default_rng(0).random((8, 8, 3), np.float32)
    np.testing.assert_array_equal(resize_area(image, (8, 8)), image)
