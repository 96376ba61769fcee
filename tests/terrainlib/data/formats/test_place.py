"""Where pictures lie: world files, masks beside a TIFF, orientation, control points."""

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image as Picture
from rasterio import Affine
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning

from terrainlib.data.dataset import open_dataset
from terrainlib.data.formats.place import world_lines
from terrainlib.data.imagery import read_image, read_size
from terrainlib.data.scene import open_scene
from terrainlib.errors import ignored_warnings
from tests.imagefiles import encode, pattern, tiff, write

RGB = pattern(20, 30)
PLACE = (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)
UTM = "EPSG:32633"


def both(path: Path) -> list[object]:
    """Return an image read whole and by window: pixels, data, place, notes."""
    image = read_image(path)
    with open_scene(path) as scene:
        rgb, valid = scene.read((slice(0, scene.height), slice(0, scene.width)))
        part, _ = scene.read((slice(3, 9), slice(2, 7)))
        assert np.array_equal(rgb, image.rgb)
        assert np.array_equal(valid, image.valid)
        assert np.array_equal(part, image.rgb[3:9, 2:7])
        assert scene.georeference == image.georeference
        assert set(image.notes) >= set(scene.notes)
    assert read_size(path) == (image.height, image.width)
    return [image.rgb, image.valid, image.georeference, image.notes]


@pytest.mark.parametrize(
    ("picture", "world"),
    [
        ("a.tif", "a.tfw"),
        ("a.tiff", "a.tifw"),
        ("a.png", "a.pgw"),
        ("a.jpg", "a.JGW"),
        ("a.b.jpeg", "a.b.wld"),
    ],
)
def test_a_world_file_gives_the_place(picture: str, world: str, tmp_path: Path) -> None:
    kind = "JPEG" if ".j" in picture else "PNG"
    data = tiff(RGB) if ".tif" in picture else encode(RGB, kind)
    path = write(tmp_path, picture, data)
    assert read_image(path).georeference is None
    write(tmp_path, world, world_lines(PLACE).encode())
    _, _, place, notes = both(path)
    assert place.transform == PLACE
    assert place.crs_wkt == ""
    assert any(f"placed by its world file {world}" in note for note in notes)


def test_a_world_file_that_is_none_is_told_and_a_link_is_passed_by(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "a.png", encode(RGB))
    write(tmp_path, "a.pgw", b"10\n0\n0\nsouth\n1\n2\n")
    image = read_image(path)
    assert image.georeference is None
    assert "its world file a.pgw holds no place and is not used" in image.notes
    good = write(tmp_path, "b.txt", world_lines(PLACE).encode())
    (tmp_path / "a.pgw").unlink()
    (tmp_path / "a.pgw").symlink_to(good)
    assert read_image(path).georeference is None
    (tmp_path / "a.pgw").unlink()
    os.mkfifo(tmp_path / "a.pgw")  # would be waited for for ever
    assert read_image(path).georeference is None


def test_the_place_inside_a_tiff_goes_before_a_world_file(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tif", tiff(RGB, crs=UTM, transform=Affine(*PLACE)))
    write(tmp_path, "a.tfw", world_lines((1.0, 0.0, 5.0, 0.0, -1.0, 9.0)).encode())
    place = read_image(path).georeference
    assert place is not None
    assert place.transform == PLACE


def test_a_mask_beside_a_tiff_gives_no_data(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tif", tiff(RGB))
    there = np.full((20, 30), 255, np.uint8)
    there[:7] = 0
    write(tmp_path, "a.tif.msk", tiff(there))
    _, valid, _, notes = both(path)
    assert not valid[:7].any()
    assert valid[7:].all()
    assert "no data where its mask a.tif.msk says so" in notes
    with open_scene(path) as scene:
        assert scene.overview(10).valid.mean() < 0.8


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (tiff(np.zeros((5, 5), np.uint8)), "has another size"),
        (encode(RGB), "is not a TIFF"),
        (tiff(np.zeros((20, 30), np.uint8))[:10], "is not used: the image is cut"),
    ],
)
def test_a_mask_that_does_not_fit_is_told(
    content: bytes, told: str, tmp_path: Path
) -> None:
    path = write(tmp_path, "a.tif", tiff(RGB))
    write(tmp_path, "a.tif.msk", content)
    _, valid, _, notes = both(path)
    assert valid.all()
    assert any(told in note for note in notes)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_upright(orientation: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Picture.fromarray(RGB).save(path, tiffinfo={274: orientation})
    exif = Picture.Exif()
    exif[274] = orientation
    expected = read_image(encode(RGB, "PNG", exif=exif)).rgb  # as Pillow turns it
    rgb, _, _, notes = both(path)
    assert np.array_equal(rgb, expected)
    assert any("turned upright" in note for note in notes) == (orientation > 1)


def test_what_has_a_place_stays_as_it_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Picture.fromarray(RGB).save(path, tiffinfo={274: 6})
    write(tmp_path, "a.tfw", world_lines(PLACE).encode())
    rgb, _, place, notes = both(path)
    assert rgb.shape == (20, 30, 3)
    assert place.transform == PLACE
    assert any("not turned as its orientation tag says" in note for note in notes)


def test_control_points_and_polynomials_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tif", tiff(RGB))
    points = [GroundControlPoint(r, c, c * 10, r * 10) for r in (0, 9) for c in (0, 9)]
    with (
        ignored_warnings(category=NotGeoreferencedWarning),
        rasterio.open(path, "r+") as data,
    ):
        data.gcps = points, rasterio.crs.CRS.from_user_input(UTM)
    _, _, place, notes = both(path)
    assert place is None
    assert any(note.startswith("4 ground control points, which") for note in notes)
    rpc = dict.fromkeys(("LINE_OFF", "SAMP_OFF", "LAT_OFF", "LONG_OFF"), "1")
    rpc |= {f"{name}_SCALE": "1" for name in ("LINE", "SAMP", "LAT", "LONG", "HEIGHT")}
    rpc |= {"HEIGHT_OFF": "0", "ERR_BIAS": "0", "ERR_RAND": "0"}
    for side in ("LINE", "SAMP"):
        rpc |= {f"{side}_{part}_COEFF": "1 " * 20 for part in ("NUM", "DEN")}
    path = write(tmp_path, "b.tif", tiff(RGB, tags={"RPC": rpc}))
    assert any(note.startswith("rational polynomials") for note in both(path)[3])


def test_a_new_world_file_lets_a_data_set_be_checked_again(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        write(tmp_path / part, "a.png", encode(pattern(8, 8)[..., 0] % 2))
    before = open_dataset(tmp_path).fingerprint
    write(tmp_path / "images", "a.pgw", world_lines(PLACE).encode())
    assert open_dataset(tmp_path).fingerprint != before
