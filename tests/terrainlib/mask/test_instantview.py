"""The mask of what is on the screen, learnt at once from strokes."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from terrainlib.data.labels.strokes import Painted, Stroke
from terrainlib.data.palette import NO_DATA, TerrainClass
from terrainlib.errors import DatasetError
from terrainlib.mask import instantview
from terrainlib.mask.instantview import LabelledImage, View
from terrainlib.mask.labelled import held_out
from terrainlib.mask.prediction import predict_image
from terrainlib.model.instant import Describer

CLASSES = tuple(TerrainClass(name, (n, n, n)) for n, name in enumerate(["a", "b", "c"]))
SIZE = 320, 384  # three by three blocks


class Kept(dict):
    """A store without a bound that tells what it was asked to keep."""

    def put(self, key, value, size_bytes):
        assert size_bytes > 0
        self[key] = value

    def described(self):
        return [key for key in self if key.startswith(("described", "labelled"))]


def colors():
    """Three upright bands of colour with a little noise."""
    noise = np.random.default_rng(0).integers(0, 9, (*SIZE, 3), np.uint8)
    rgb = noise + 20
    rgb[:, 128:256, 0] += 80
    rgb[:, 256:, 1] += 160
    return rgb


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(colors()).save(path)
    describe = Describer(height=False)
    return LabelledImage(
        "k", path, SIZE, None, None, None, lambda: describe, 21, Kept()
    )


def stroke(number, name, x, y):
    points = ((x, float(y)), (x + 60.0, y + 20.0))
    return Stroke(f"{name}{number}", "line", name, points, 12.0)


def painted(*places):
    strokes = [stroke(n, *place) for n, place in enumerate(places)]
    return Painted(tuple(strokes), CLASSES)


ALL = painted(("a", 30, 90), ("b", 160, 90), ("c", 290, 90))
TRUTH = np.repeat([0, 1, 2], 128)


def agreement(mask, step=1, truth=TRUTH):
    """Share of the right pixels, where no neighbour is within a window's reach."""
    inner = np.tile(np.r_[[False] * 16, [True] * 96, [False] * 16], 3)[::step]
    return (mask == truth[::step])[:, inner].mean()


def test_two_strokes_are_enough_for_a_mask_and_one_is_not(image):
    view = image.view_of((0, 0, SIZE[1], SIZE[0]))
    assert image.learn(painted(("a", 40, 40)), view) is None
    learnt = image.learn(ALL, view)
    assert agreement(learnt.mask) > 0.97
    assert learnt.margins[160, 64] > 200  # sure


def test_a_view_is_described_once(image):
    view = image.view_of((0, 0, SIZE[1], SIZE[0]))
    assert not image.is_described(view)
    image.learn(ALL, view)
    before = image.store.described()
    image.learn(painted(("a", 40, 40), ("b", 180, 200)), view)
    assert image.is_described(view)
    assert image.store.described() == before


def test_a_part_learns_from_labels_elsewhere(image, monkeypatch):
    monkeypatch.setattr(instantview, "VIEW_VALUES", 320 * 384 * 21 // 2)
    seen = image.view_of((0, 199, 384, 315))  # below all labels
    learnt = image.learn(ALL, seen)
    assert learnt.view.window == (0, 192, 384, 320)
    assert agreement(learnt.mask) > 0.97
    read = []
    monkeypatch.setattr(LabelledImage, "_describe", lambda _, view: read.append(view))
    image.learn(ALL, seen)
    assert read == []


def test_what_is_too_large_is_looked_at_more_coarsely(image, monkeypatch):
    monkeypatch.setattr(instantview, "VIEW_VALUES", 320 * 384 * 21 // 4)
    view = image.view_of((0, 0, 384, 320))
    assert view == View(slice(0, 160), slice(0, 192), 2)
    learnt = image.learn(ALL, view)
    assert agreement(learnt.mask, 2) > 0.95
    assert image.view_of((10.5, 20, 100, 110)).step == 1


def test_erased_labels_teach_nothing(image):
    view = image.view_of((0, 0, SIZE[1], SIZE[0]))
    gone = Stroke("x", "area", None, ((210, 0), (384, 0), (384, 320), (210, 320)), 0)
    wrong = stroke(9, "a", 300, 50)  # says that c is a
    right = painted(("a", 30, 90), ("b", 130, 60))
    before = image.learn(right, view)
    both = replace(ALL, strokes=(*right.strokes, wrong, gone))
    assert (image.learn(both, view).mask == before.mask).all()


def test_the_places_to_paint_next_are_unlike_what_is_labelled(image):
    view = image.view_of((0, 0, SIZE[1], SIZE[0]))
    learnt = image.learn(painted(("a", 40, 40), ("b", 180, 60)), view)
    assert len(learnt.places) == 3
    x, y, radius = learnt.places[0]
    assert 256 <= x < 384
    assert 0 <= y < 320
    assert radius > 0


def test_weak_labels_fill_in_and_strokes_overrule_them(image):
    view = image.view_of((0, 0, SIZE[1], SIZE[0]))
    weak = np.broadcast_to(TRUTH, SIZE).astype(np.uint8)
    weak = np.where(weak == 2, 0, weak).astype(np.uint8)  # wrong about c
    alone = image.learn(painted(), view, weak)
    assert (alone.mask == weak).mean() > 0.97
    places = [("c", 270, 20 + 30 * n) for n in range(9)]
    corrected = image.learn(painted(*places), view, weak)
    assert agreement(corrected.mask) > 0.97


def test_the_whole_image_gets_the_mask_that_the_screen_shows(image):
    model, blocks = image.teach(ALL)
    view = image.view_of((0, 0, SIZE[1], SIZE[0]))
    predicted = predict_image(model, colors()).classes
    assert (predicted == image.learn(ALL, view).mask).mean() > 0.99
    assert len(blocks) == 3
    with pytest.raises(DatasetError, match="nothing is painted yet"):
        image.teach(painted())


def test_a_large_image_gets_a_classifier_of_its_own_scale(image, monkeypatch):
    monkeypatch.setattr(instantview, "WHOLE_PIXELS", 320 * 384 // 4)
    model, _ = image.teach(ALL)
    assert model.scale == 0.5
    predicted = predict_image(model, colors()).classes
    assert agreement(predicted) > 0.95


def test_scores_are_of_labels_held_out_and_too_few_have_none(image):
    model, blocks = image.teach(ALL)
    assert held_out(blocks, model) is None
    places = [
        (n, x, y)
        for n, x in zip("abc", (30, 160, 290), strict=True)
        for y in (40, 170, 290)
    ]
    model, blocks = image.teach(painted(*places))
    confusion = held_out(blocks, model)
    assert confusion.trace() / confusion.sum() > 0.95
    assert confusion.sum() == sum(len(labels) for _, labels in blocks)


def test_pixels_without_data_stay_without(image, tmp_path):
    rgba = np.dstack([colors(), np.full(SIZE, 255, np.uint8)])
    rgba[:64] = 0
    Image.fromarray(rgba).save(tmp_path / "clear.png")
    image = replace(image, key="clear", source=tmp_path / "clear.png")
    learnt = image.learn(ALL, image.view_of((0, 0, 384, 320)))
    assert (learnt.mask[:64] == NO_DATA).all()
    assert not (learnt.mask[64:] == NO_DATA).any()
