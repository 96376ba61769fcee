"""Strokes: what painting does to them, and the file in which they stand."""

import itertools
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
import shapely

from terrainlib.data.formats.raster import Georeference
from terrainlib.data.labels.layers import classes_of, open_labels
from terrainlib.data.labels.scenes import open_stored
from terrainlib.data.labels.strokefile import (
    StrokeFile,
    image_digest,
    write_labels,
)
from terrainlib.data.labels.strokes import (
    MAX_POINTS,
    MAX_STROKES,
    Operation,
    Painted,
    Stroke,
    check_stroke,
    done,
    stroke_layer,
    strokes_of,
    with_classes,
)
from terrainlib.data.palette import NO_DATA, TerrainClass
from terrainlib.errors import DatasetError, StorageError
from tests.labelled import GRID, scene

CLASSES = (TerrainClass("Water", (0, 0, 255)), TerrainClass("Wood", (0, 99, 0)))
SIZE = 64, 64
DEGREES = Georeference("EPSG:4326", (1e-6, 0, 179.5, 0, -1e-6, 47.25), None)


def line(name, word, *points, width=4.0):
    return Stroke(name, "line", word, points, width)


def area(name, word, *points):
    return Stroke(name, "area", word, points, 0.0)


def add(stroke):
    return Operation(f"op-{stroke.id}", "add", stroke)


LAKE = area("lake", "Water", (4, 4), (40, 4), (40, 40), (4, 40))
ROAD = line("road", "Wood", (0, 20.125), (60, 20.125))
HOLE = line("hole", None, (20, 20), (21, 20), width=12.0)
DOT = line("dot", "Wood", (50, 50), width=6.0)
PAINTED = Painted((LAKE, ROAD, HOLE, DOT), CLASSES)


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("TERRAINLIB_HOME", str(tmp_path))
    return StrokeFile.of("0" * 32, None)


def laid(strokes):
    mask = np.full(SIZE, NO_DATA, np.uint8)
    whole = slice(0, SIZE[0]), slice(0, SIZE[1])
    stroke_layer(strokes, CLASSES, SIZE).lay(whole, mask)
    return mask


def test_an_operation_counts_once_however_often_it_is_sent():
    twice = done(PAINTED, [add(line("a", "Wood", (1, 1)))] * 2)
    undone = done(twice, [Operation("undo", "remove", stroke_id="a")])
    again = done(undone, [add(line("a", "Wood", (1, 1)))])
    assert [len(p.strokes) for p in (twice, undone, again)] == [5, 4, 4]
    redone = done(again, [Operation("redo", "add", line("a", "Wood", (1, 1)))])
    assert redone.strokes[-1].id == "a"
    assert done(redone, [Operation("clear", "clear")]).strokes == ()


def test_later_strokes_lie_over_earlier_ones_and_erasers_take_away():
    mask = laid(PAINTED.strokes)
    seen = [mask[30, 30], mask[20, 8], mask[20, 20], mask[50, 50], mask[60, 60]]
    assert seen == [0, 1, NO_DATA, 1, NO_DATA]


def test_a_smaller_picture_gets_the_same_strokes():
    mask = np.full((32, 32), NO_DATA, np.uint8)
    whole = slice(0, 32), slice(0, 32)
    stroke_layer(PAINTED.strokes, CLASSES, (32, 32), scale=0.5).lay(whole, mask)
    same = mask == laid(PAINTED.strokes)[::2, ::2]
    assert same.mean() > 0.95


@pytest.mark.parametrize(
    "place", [None, DEGREES, Georeference("EPSG:32632", GRID[:6], None)]
)
def test_what_is_written_comes_back_as_it_was(file, place):
    file = replace(file, place=place)
    written = file.change(lambda _: PAINTED)
    assert file.read() == written
    assert written.strokes == PAINTED.strokes
    assert written.version > 0


def test_a_change_is_made_to_what_stands_there_now(file):
    file.change(lambda _: Painted((), CLASSES))
    tabs = [StrokeFile(file.path, None), StrokeFile(file.path, None)]
    for number, tab in enumerate([*tabs, tabs[0]]):
        tab.change(lambda p, n=number: done(p, [add(line(f"s{n}", "Wood", (n, 1)))]))
    assert [stroke.id for stroke in file.read().strokes] == ["s0", "s1", "s2"]


PAINT = """
import sys
from terrainlib.data.labels.strokefile import StrokeFile
from terrainlib.data.labels.strokes import Operation, Stroke, done
who = sys.argv[1]
for n in range(6):
    s = Stroke(f"{who}{n}", "line", None, ((n, 1.0),), 2.0)
    StrokeFile.of("0" * 32, None).change(lambda p: done(p, [Operation(s.id, "add", s)]))
"""


def test_processes_that_paint_at_once_lose_nothing(file):
    command = [sys.executable, "-c", PAINT]
    both = [subprocess.Popen([*command, who]) for who in "ab"]
    assert [process.wait() for process in both] == [0, 0]
    assert len(file.read().strokes) == 12


def test_a_file_that_is_damaged_is_told_and_kept(file):
    file.change(lambda _: PAINTED)
    data = file.path.read_bytes()
    file.path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DatasetError, match="damaged; it was kept as strokes-damaged"):
        file.read()
    [aside] = file.path.parent.glob("strokes-damaged-*.gpkg")
    assert aside.read_bytes() == data[: len(data) // 2]
    assert file.read() == Painted()


def test_what_cannot_be_written_leaves_the_old_file(file, monkeypatch):
    before = file.change(lambda _: PAINTED)
    monkeypatch.setenv("TERRAINLIB_FREE_SPACE_RESERVE_MB", "1e12")
    with pytest.raises(StorageError, match="No space left"):
        file.change(lambda p: done(p, [add(line("more", "Wood", (1, 1)))]))
    assert file.read() == before


def test_classes_are_renamed_and_go_with_their_strokes():
    changed = (TerrainClass("Sea", (0, 0, 255)),)
    painted = with_classes(PAINTED, changed, {"Water": "Sea"})
    assert [s.class_name for s in painted.strokes] == ["Sea", None]
    with pytest.raises(DatasetError, match="two classes are called Sea"):
        with_classes(PAINTED, changed * 2)


@pytest.mark.parametrize(
    "wrong",
    [
        line("a", "Wood", (float("nan"), 1)),
        line("a", "Wood", (1e9, 1)),
        line("a", "Wood", (1, 1), width=float("inf")),
        line("a", "Wood", *((1, 1),) * (MAX_POINTS + 1)),
        area("a", "Wood", (1, 1), (2, 2)),
        line("a", "Wood"),
    ],
)
def test_a_stroke_that_is_none_is_refused(wrong):
    with pytest.raises(DatasetError, match="a stroke does not fit"):
        check_stroke(wrong, SIZE)


def test_too_many_strokes_are_refused():
    many = [add(line(str(n), "Wood", (1, 1))) for n in range(MAX_STROKES + 1)]
    with pytest.raises(DatasetError, match="the limit is 4,000 strokes"):
        done(Painted((), CLASSES), many)


def test_labels_for_others_mean_on_the_image_what_was_painted(tmp_path):
    path = scene(tmp_path)
    with ExitStack() as stack:
        image = stack.enter_context(open_stored(path))
        for name in ("out.gpkg", "out.geojson"):
            write_labels(tmp_path / name, PAINTED, image.georeference)
            [labels] = open_labels([tmp_path / name], stack, field=None, width=1)
            mask = np.full(SIZE, NO_DATA, np.uint8)
            classes = classes_of([labels])
            labels.on(image, classes).lay((slice(0, 64), slice(0, 64)), mask)
            assert [item.name for item in classes] == ["Water", "Wood"]
            assert (mask != laid(PAINTED.strokes)).mean() < 0.02


def test_shapes_of_others_become_strokes_that_cover_them():
    ring = shapely.box(4, 4, 60, 60) - shapely.box(20, 20, 40, 40)
    wave = shapely.Point(32, 32).buffer(30, quad_segs=MAX_POINTS)
    ids = map(str, itertools.count())
    for shape in (ring, wave):
        strokes = list(strokes_of(shape, "Wood", 0, ids))
        covered = shapely.union_all([shapely.Polygon(s.points) for s in strokes])
        assert covered.symmetric_difference(shape).area < 1
        assert max(len(stroke.points) for stroke in strokes) <= MAX_POINTS


def test_an_image_is_known_by_what_its_file_holds(tmp_path, monkeypatch):
    one, other = tmp_path / "a.bin", tmp_path / "b.bin"
    one.write_bytes(os.urandom(5_000))
    other.write_bytes(one.read_bytes())
    assert image_digest(one) == image_digest(other)
    other.write_bytes(one.read_bytes()[:-1] + b"x")
    assert image_digest(one) != image_digest(other)
