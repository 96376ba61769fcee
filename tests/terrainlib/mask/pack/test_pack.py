"""The world-builder's pack: what is in the zip is exactly what its text says."""

import io
import json
import re
import tempfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from terrainlib.data.formats.raster import Georeference
from terrainlib.data.imagery import read_raster
from terrainlib.data.palette import (
    KAGGLE_CLASSES,
    NO_DATA,
    TerrainClass,
    color_table,
    load_classes,
)
from terrainlib.errors import ConfigError, ImageError, StorageError
from terrainlib.mask.pack import planes as planes_module
from terrainlib.mask.pack.pack import (
    PackContent,
    PackTarget,
    frame_of,
    pixel_size,
    write_pack,
)
from terrainlib.mask.pack.planes import make_heights, make_planes, resizer_of
from terrainlib.mask.tiles.bands import quantized
from tests.synthetic import terrain

PALETTE = (
    *KAGGLE_CLASSES,
    TerrainClass("Übergang / Moor", (90, 60, 120)),
    TerrainClass("CON: *?", (10, 20, 30)),
)


def weights_of(count, height, width, seed=0):
    """Return probabilities of `count` classes in 255ths."""
    rng = np.random.default_rng(seed)
    values = rng.random((height, width, count), np.float32) ** 4 + np.float32(1e-3)
    return quantized(values)


def content_of(count=7, size=(48, 60), *, valid=True, **more):
    """Return weights and their most probable classes, nothing where `valid` is not."""
    weights = weights_of(count, *size) * np.atleast_3d(np.asarray(valid, np.uint8))
    mask = weights.argmax(-1).astype(np.uint8)
    mask[weights.sum(-1) == 0] = NO_DATA
    return PackContent(weights, PALETTE[:count], **{"mask": mask, **more})


def heights_of(height, width):
    return terrain(max(height, width), 3)[2][:height, :width].astype(np.float32) - 200


def opened(content, target=None):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pack.zip")
        write_pack(path, content, target)
        return zipfile.ZipFile(io.BytesIO(path.read_bytes()))


def picture(archive, name):
    return np.array(PillowImage.open(io.BytesIO(archive.read(name))))


def weights_in(archive):
    names = sorted(n for n in archive.namelist() if n.startswith("weights/"))
    return np.stack([picture(archive, name) for name in names], axis=-1)


def text_of(archive):
    return archive.read("README.txt").decode("utf-8-sig")


def flowing(archive):
    """Return the text as one line."""
    return re.sub(r"\s+", " ", text_of(archive))


TARGETS = [
    PackTarget(),
    PackTarget("unity", 33),
    PackTarget("unity", 129, "stretch"),
    PackTarget("unreal", 127),
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.engine}-{t.size_px}")
@pytest.mark.parametrize("count", [2, 7, 9])
def test_weights_sum_to_255_in_every_pixel_and_splat_maps_hold_the_same(count, target):
    archive = opened(content_of(count), target)
    weights = weights_in(archive)
    assert weights.shape[2] == count
    assert (weights.sum(-1, dtype=int) == 255).all()
    for number in range((count + 3) // 4):
        splat = picture(archive, f"splat/splat_{number}.png")
        assert splat.shape == (*weights.shape[:2], 4)
        part = weights[..., 4 * number : 4 * number + 4]
        assert np.array_equal(splat[..., : part.shape[2]], part)
        assert not splat[..., part.shape[2] :].any()
    assert f"splat/splat_{(count + 3) // 4}.png" not in archive.namelist()


def test_at_the_images_size_weights_come_out_as_they_are():
    content = content_of(7)
    assert np.array_equal(weights_in(opened(content)), content.weights)


@pytest.mark.parametrize("count", [2, 7, 9])
def test_the_class_index_is_the_mask_with_its_palette(count):
    content = content_of(count)
    archive = opened(content)
    image = PillowImage.open(io.BytesIO(archive.read("class_index.png")))
    assert image.mode == "P"
    index = np.array(image)
    assert np.array_equal(index, content.mask)
    table = color_table(PALETTE[:count])
    assert np.array_equal(np.array(image.convert("RGB")), table[index])
    assert np.array_equal(picture(archive, "class_colors.png"), table[index])


def test_a_mask_of_another_size_takes_the_nearest_classes():
    mask = terrain(60, 1)[1][:48]
    archive = opened(content_of(7, mask=mask), PackTarget("unity", 33))
    index = picture(archive, "class_index.png")
    expected = mask[:, 6:54]  # the middle; 48 px to 32: every new centre's own pixel
    at = ((np.arange(32) + 0.5) * 1.5).astype(int)
    assert np.array_equal(index, expected[at[:, None], at[None, :]])


def test_the_palette_says_where_each_class_is(tmp_path):
    archive = opened(content_of(9))
    palette = json.loads(archive.read("palette.json"))
    for number, entry in enumerate(palette):
        assert entry["index"] == number
        weight = picture(archive, entry["weight"])
        channel = ["red", "green", "blue", "alpha"].index(entry["channel"])
        splat = picture(archive, entry["splat"])
        assert np.array_equal(splat[..., channel], weight)
    path = tmp_path / "classes.json"
    path.write_bytes(archive.read("palette.json"))
    assert load_classes(path) == PALETTE


def test_names_of_files_are_plain_whatever_the_classes_are_called():
    twins = (TerrainClass("Öde", (1, 2, 3)), TerrainClass("!?", (4, 5, 6)))
    content = PackContent(
        weights_of(2, 8, 8), twins, np.zeros((8, 8), np.uint8), name="../a\nb"
    )
    names = opened(content).namelist()
    assert "weights/0_Ode.png" in names
    assert "weights/1_class.png" in names
    assert all(re.fullmatch(r"[A-Za-z0-9_./]+", name) for name in names)
    assert not any(name.startswith(("/", ".")) or ".." in name for name in names)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.engine}-{t.size_px}")
def test_heights_are_16_bit_grey_and_the_same_values_as_raw(target):
    archive = opened(content_of(height=heights_of(48, 60)), target)
    numbers = json.loads(archive.read("pack.json"))
    png_name, raw_name = numbers["height_files"]
    width, height = numbers["height_size_px"]
    raw = archive.read(raw_name)
    assert len(raw) == 2 * width * height
    values = np.frombuffer(raw, "<u2").reshape(height, width)
    assert values.min() == 0
    assert values.max() == 65535
    assert values[0, 0] == raw[0] + 256 * raw[1]
    image = PillowImage.open(io.BytesIO(archive.read(png_name)))
    assert image.mode == "I;16"
    assert np.array_equal(np.array(image), values)
    read_back = read_raster(archive.read(png_name))
    assert np.array_equal(read_back.pixels[..., 0], values)


def test_at_the_images_size_heights_are_right_to_half_a_step():
    heights = heights_of(48, 60)
    archive = opened(content_of(height=heights))
    numbers = json.loads(archive.read("pack.json"))
    values = np.frombuffer(archive.read("height.r16"), "<u2").reshape(48, 60)
    low, high = numbers["height_m"]["at_0"], numbers["height_m"]["at_65535"]
    assert (low, high) == (heights.min(), heights.max())
    metres = low + values * (high - low) / 65535
    assert np.abs(metres - heights).max() <= (high - low) / 65535 * 0.501


def test_flat_ground_is_packed_too():
    archive = opened(content_of(height=np.full((48, 60), 7.0, np.float32)))
    assert not np.frombuffer(archive.read("height.r16"), "<u2").any()
    numbers = json.loads(archive.read("pack.json"))
    assert numbers["height_m"] == {"at_0": 7.0, "at_65535": 7.0}
    assert numbers["unreal"]["location_z_cm"] == 700


def test_the_file_of_heights_has_the_ending_that_the_engine_shows():
    heights = heights_of(48, 60)
    for target, ending in (
        (PackTarget("unity", 33), "raw"),
        (PackTarget("unreal", 127), "r16"),
        (PackTarget(), "r16"),
    ):
        assert (
            f"height.{ending}" in opened(content_of(height=heights), target).namelist()
        )


def test_sizes_are_those_that_each_engine_takes():
    for size in (33, 65):
        archive = opened(
            content_of(height=heights_of(48, 60)), PackTarget("unity", size)
        )
        assert weights_in(archive).shape[:2] == (size - 1, size - 1)
        assert picture(archive, "height_16bit.png").shape == (size, size)
    archive = opened(content_of(height=heights_of(48, 60)), PackTarget("unreal", 253))
    assert weights_in(archive).shape[:2] == (253, 253)
    assert picture(archive, "height_16bit.png").shape == (253, 253)


def test_cropping_takes_the_middle_and_stretching_all():
    frame = frame_of(PackTarget("unity", 33), (40, 101), "x")
    assert (frame.rows, frame.columns) == (slice(0, 40), slice(30, 70))
    frame = frame_of(PackTarget("unity", 33, "stretch"), (40, 101), "x")
    assert (frame.rows, frame.columns) == (slice(0, 40), slice(0, 101))
    crop = flowing(opened(content_of(), PackTarget("unity", 33)))
    assert "48 x 48 px from column 6 and row 0" in crop
    stretch = flowing(opened(content_of(), PackTarget("unity", 33, "stretch")))
    assert "stretched to a square" in stretch


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.engine}-{t.size_px}")
def test_every_file_is_named_in_the_text_and_only_those(target):
    valid = np.ones((48, 60), bool)
    valid[:20, 20:30] = False
    content = content_of(9, height=heights_of(48, 60), valid=valid)
    archive = opened(content, target)
    assert archive.testzip() is None
    text = text_of(archive)
    for name in archive.namelist():
        assert name == "README.txt" or name in text
    named = set(re.findall(r"[\w/]+\.(?:png|json|raw|r16)", text))
    assert named <= set(archive.namelist())
    for engine in ("Unity", "Unreal Engine", "Godot", "Blender"):
        assert f"\n{engine}\r\n---" in text


def test_the_text_says_what_is_missing():
    text = flowing(opened(content_of()))
    assert "does not say how large a pixel is" in text
    assert "There are no heights" in text
    assert ".raw" not in text
    assert ".r16" not in text
    assert "no_data.png" not in text


def metres(a, e):
    from pyproj import CRS

    wkt = CRS.from_epsg(32633).to_wkt()
    return Georeference(wkt, (a, 0.0, 500_000.0, 0.0, e, 5_500_000.0), None)


def test_scales_are_those_of_the_engines():
    heights = np.linspace(100, 612, 48 * 60, dtype=np.float32).reshape(48, 60)
    content = content_of(height=heights, georeference=metres(10, -10))
    archive = opened(content, PackTarget("unreal", 127))
    numbers = json.loads(archive.read("pack.json"))
    assert numbers["pixel_m"] == pytest.approx([10, 10], rel=1e-3)
    assert numbers["ground_m"] == pytest.approx([480, 480], rel=1e-3)
    x, y, z = numbers["unreal"]["scale"]
    # 127 heights from rim to rim are 126 gaps
    assert (x, y) == pytest.approx((100 * 480 / 126, 100 * 480 / 126), rel=1e-3)
    low, high = numbers["height_m"]["at_0"], numbers["height_m"]["at_65535"]
    assert z == pytest.approx((high - low) * 100 / 512, rel=1e-4)
    # what Unreal makes of the lowest and the highest value
    for value, expected in ((0, low), (65535, high)):
        local_cm = (value - 32768) / 128 * z
        at_m = (local_cm + numbers["unreal"]["location_z_cm"]) / 100
        assert at_m == pytest.approx(expected, abs=1e-6)
    text = flowing(archive)
    assert f"X {x:.4f}".rstrip("0") in text
    assert f"Z {z:.4f}".rstrip("0") in text


def test_unity_gets_ground_and_height_in_metres():
    heights = heights_of(48, 60)
    content = content_of(height=heights, georeference=metres(2, -4))
    target = PackTarget("unity", 65, "stretch")
    archive = opened(content, target)
    numbers = json.loads(archive.read("pack.json"))
    assert numbers["ground_m"] == pytest.approx([120, 192], rel=1e-3)
    text = flowing(archive)
    assert "Resolution 65, Byte Order Windows, Flip Vertically on" in text
    assert "Control Texture Resolution to 64" in text
    span = numbers["height_m"]["at_65535"] - numbers["height_m"]["at_0"]
    assert re.search(rf"Y {span:.4f}".rstrip("0").rstrip("."), text)


def test_pixels_are_measured_on_the_ground_whatever_their_units():
    from pyproj import CRS

    def size(epsg, a, x, y):
        wkt = CRS.from_epsg(epsg).to_wkt()
        return pixel_size(Georeference(wkt, (a, 0, x, 0, -a, y), None), 100, 100)

    # a second of arc on the equator: 30.92 m to the east, 30.71 m to the north
    assert size(4326, 1 / 3600, 0, 0) == pytest.approx((30.922, 30.715), abs=2e-3)
    feet = size(2263, 10, 980_000, 200_000)
    assert feet == pytest.approx((3.048, 3.048), rel=1e-3)
    # web mercator is stretched by about 1 / cos(latitude)
    across, down = size(3857, 10, 1e6, 8_399_738)
    assert across == pytest.approx(5, abs=0.03)
    assert down == pytest.approx(5, abs=0.03)
    turned = Georeference(CRS.from_epsg(32633).to_wkt(), (6, 8, 5e5, 8, -6, 5e6), None)
    assert pixel_size(turned, 10, 10) == pytest.approx((10, 10), rel=1e-3)


def test_without_a_place_on_earth_pixels_have_no_size():
    assert pixel_size(None, 10, 10) is None
    assert pixel_size(Georeference("", (1, 0, 0, 0, -1, 0), None), 10, 10) is None
    local = 'LOCAL_CS["site",UNIT["metre",1]]'
    assert pixel_size(Georeference(local, (1, 0, 0, 0, -1, 0), None), 10, 10) is None


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.engine}-{t.size_px}")
def test_pixels_without_data_take_the_nearest_weights_and_are_named(target):
    valid = np.ones((48, 60), bool)
    valid[:, :26] = False
    heights = heights_of(48, 60)
    heights[:, :30] = np.nan
    content = content_of(height=heights, valid=valid)
    archive = opened(content, target)
    weights = weights_in(archive)
    assert (weights.sum(-1, dtype=int) == 255).all()
    index = picture(archive, "class_index.png")
    unknown = index == NO_DATA
    assert unknown[:, : unknown.shape[1] // 4].all()
    assert not unknown[:, unknown.shape[1] // 2 :].any()
    marked = picture(archive, "no_data.png")
    assert np.array_equal(marked == 255, unknown)
    assert not marked[~unknown].any()
    assert not picture(archive, "class_colors.png")[unknown].any()
    assert "have no data" in flowing(archive)


def test_the_nearest_weights_are_taken_exactly():
    valid = np.ones((6, 8), bool)
    valid[:, :3] = False
    content = content_of(3, (6, 8), valid=valid)
    made = weights_in(opened(content))
    for column in range(3):
        assert np.array_equal(made[:, column], made[:, 3])


def test_missing_heights_are_filled_from_the_nearest():
    heights = np.arange(12, dtype=np.float32).reshape(3, 4)
    heights[:, 0] = np.nan
    frame = frame_of(PackTarget(), (3, 4), "x")
    assert make_heights(heights, frame)[:, 0].tolist() == [1, 5, 9]
    assert np.isnan(heights[:, 0]).all()


def test_heights_that_are_all_missing_are_no_heights():
    archive = opened(content_of(height=np.full((48, 60), np.nan, np.float32)))
    assert json.loads(archive.read("pack.json"))["height_m"] is None
    assert not any("height" in name for name in archive.namelist())


def test_an_image_without_data_is_refused():
    content = content_of(valid=False)
    with pytest.raises(ImageError, match="no pixel of it has data"):
        opened(content)


@pytest.mark.parametrize(
    ("length", "count"), [(8, 8), (60, 20), (60, 37), (512, 100), (20, 60), (3, 50)]
)
def test_squares_are_resampled_as_opencv_does(length, count):
    values = np.random.default_rng(2).random((length, 5), np.float32)
    method = cv2.INTER_AREA if count < length else cv2.INTER_LINEAR
    expected = cv2.resize(values, (5, count), interpolation=method)
    made = resizer_of((length, 5), (count, 5), corners=False).whole(values)
    assert np.abs(made - expected).max() < 1e-5


def test_corners_go_from_edge_to_edge():
    ramp = np.arange(10, dtype=np.float32)[:, None] + 0.5  # the value is the place
    for count in (11, 31):
        made = resizer_of((10, 1), (count, 2), corners=True).whole(ramp)
        # beyond the middle of the last square nothing is known but its value
        expected = np.clip(np.linspace(0, 10, count), 0.5, 9.5)
        assert np.abs(made - expected[:, None]).max() < 1e-5
    # a corner stands for the ground around it
    made = resizer_of((10, 1), (4, 2), corners=True).whole(ramp)[:, 0]
    # 0.5 and two thirds of 1.5; a third of 1.5 and 2.5, 3.5, 4.5; and so on
    assert made == pytest.approx([1.5 / (5 / 3), 11 / (10 / 3), 6.7, 9.1], abs=1e-5)


@pytest.mark.parametrize("length", [1, 2, 7, 100, 4096])
@pytest.mark.parametrize("count", [33, 128, 129, 505])
@pytest.mark.parametrize("corners", [True, False])
def test_constant_ground_stays_constant(length, count, corners):
    ground = np.full((length, 1), 3, np.float32)
    flat = resizer_of((length, 1), (count, 2), corners=corners).whole(ground)
    assert np.abs(flat - 3).max() < 1e-5


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.engine}-{t.size_px}")
def test_rows_in_bands_give_what_all_together_give(target, monkeypatch):
    content = content_of(5, (90, 70))
    frame = frame_of(target, (90, 70), "x")
    whole = make_planes(content.weights, content.mask, frame)
    monkeypatch.setattr(planes_module, "_BAND_VALUES", 3 * 5 * 129)
    parts = make_planes(content.weights, content.mask, frame)
    assert all(map(np.array_equal, parts, whole))


def test_the_smallest_images_are_packed():
    for size in ((1, 1), (1, 9), (9, 1)):
        content = content_of(2, size, height=np.ones(size, np.float32))
        for target in (PackTarget(), PackTarget("unity", 33, "stretch")):
            weights = weights_in(opened(content, target))
            assert (weights.sum(-1, dtype=int) == 255).all()


def test_the_same_content_gives_the_same_bytes(tmp_path):
    content = content_of(height=heights_of(48, 60))
    before = content.weights.copy()
    target = PackTarget("unity", 33)
    first, second = tmp_path / "deep" / "pack.zip", tmp_path / "again.zip"
    write_pack(first, content, target)
    write_pack(second, content, target)
    assert first.read_bytes() == second.read_bytes()
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["pack.zip"]
    assert np.array_equal(content.weights, before)


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "pack.zip"
    path.write_bytes(b"old")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(StorageError, match="No space left"):
        write_pack(path, content_of())
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["pack.zip"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("unity", 1024), "33, 65, 129, 257, 513, 1025, 2049, 4097 px, not 1024"),
        (("unity",), "not None"),
        (("unreal", 1025), "127, 253, 505, 1009, 2017, 4033, 8129 px, not 1025"),
        (("source", 512), "Source takes no size, not 512"),
        (("cryengine", 512), "source, unity, unreal, not for 'cryengine'"),
        (("unity", 33, "pad"), "crop, stretch, not by 'pad'"),
    ],
)
def test_sizes_that_no_engine_takes_are_refused(options, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        PackTarget(*options)


def test_an_image_too_large_for_its_own_size_is_refused():
    huge = np.broadcast_to(np.uint8(255), (9000, 9000, 1))
    water = np.broadcast_to(np.uint8(0), (9000, 9000))
    content = PackContent(huge, PALETTE[:1], water, name="huge.tif")
    with pytest.raises(ImageError, match=r"huge.tif: 9,000 x 9,000 px .* 80 mega"):
        opened(content)
    assert (weights_in(opened(content, PackTarget("unity", 33))) == 255).all()


def test_content_that_does_not_fit_together_is_refused():
    weights, mask = weights_of(3, 4, 5), np.zeros((4, 5), np.uint8)
    with pytest.raises(ImageError, match="weights are 4 x 5 x 3, but 4 x 5 x 2 are"):
        PackContent(weights, PALETTE[:2], mask)
    with pytest.raises(ImageError, match="heights are 5 x 4, but 4 x 5 are needed"):
        PackContent(weights, PALETTE[:3], mask, np.zeros((5, 4), np.float32))


def test_the_guide_is_wrapped_and_leaves_nothing_to_fill_in():
    content = content_of(9, height=heights_of(48, 60), name="a {name} [heights]")
    text = text_of(opened(content))
    assert text.startswith(
        "a {name} [heights]: terrain masks for world building\r\n==="
    )
    assert max(map(len, text.splitlines())) <= 78
    rest = text.replace("a {name} [heights]", "")
    assert not set("{}[]#$") & set(rest)
