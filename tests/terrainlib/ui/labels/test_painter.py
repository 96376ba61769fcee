"""What the painter takes from a browser, whatever that sends."""

import pytest

from terrainlib.data.labels.strokes import MAX_POINTS, Painted
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.ui.labels.painter import (
    MAX_OPERATIONS,
    PaintView,
    Seen,
    seen_by,
    sent_operations,
)

VIEW = PaintView("lake", "lake.tif", (200, 100), b"")
LINE = {
    "id": "a" * 36,
    "kind": "line",
    "class_name": "Water",
    "points": [[10, 20.5], [200, 100]],
    "width_px": 7,
}


def add(name="op", **changes):
    return {"id": name, "deed": "add", "stroke": LINE | changes}


def sent(*operations, image="lake"):
    found = {"image": image, "operations": list(operations)}
    return sent_operations(found, VIEW, Painted((), KAGGLE_CLASSES, 1, ("old",)))


def test_strokes_come_in_as_they_were_painted():
    take_away = {"id": "two", "deed": "remove", "stroke_id": "a" * 36}

    [added, removed] = sent(add(), take_away).operations

    assert added.stroke.points == ((10.0, 20.5), (200.0, 100.0))
    assert (added.stroke.class_name, added.stroke.width_px) == ("Water", 7.0)
    assert (removed.deed, removed.stroke_id) == ("remove", "a" * 36)


@pytest.mark.parametrize(
    "odd",
    [
        add(points=[[float("nan"), 1]]),
        add(points=[[1, float("inf")]]),
        add(points=[[1e9, 1]]),
        add(points=[[1, 2, 3]]),
        add(points=[["1", "2"]]),
        add(points=[[1, 1]] * (MAX_POINTS + 1)),
        add(points=[]),
        add(points=None),
        add(kind="area"),
        add(kind="circle"),
        add(width_px=-1),
        add(width_px=1e9),
        add(width_px=True),
        add(class_name=3),
        add(id="a" * 99),
        {"id": "op", "deed": "add"},
        {"id": "op", "deed": "add", "stroke": []},
        {"id": "op", "deed": "drop"},
        {"id": "op", "deed": "remove", "stroke_id": 7},
        {"id": "op"},
    ],
)
def test_what_is_no_operation_is_passed_over_and_not_asked_for_again(odd):
    found = sent(odd, add("good"))

    assert [one.id for one in found.operations] == ["good"]
    assert found.settled == ("op",)


@pytest.mark.parametrize(
    "odd",
    [
        None,
        7,
        "text",
        [],
        {},
        {"image": "lake", "operations": {"id": "op"}},
        {"image": "lake", "operations": [None, 3, [], {"id": 3}, {"id": "x" * 99}]},
        {"image": "other", "operations": [add()]},
    ],
)
def test_odd_messages_bring_nothing(odd):
    found = sent_operations(odd, VIEW, Painted())

    assert (found.operations, found.settled) == ((), ())


def test_what_is_known_is_settled_and_not_done_again():
    found = sent(add("old"), add("new"))

    assert found.settled == ("old",)
    assert [one.id for one in found.operations] == ["new"]


def test_no_more_is_taken_at_once_than_is_sensible():
    many = [add(str(number)) for number in range(MAX_OPERATIONS + 5)]
    assert len(sent(*many).operations) == MAX_OPERATIONS


@pytest.mark.parametrize(
    ("window", "scale", "known"),
    [
        ([0, 0, 200, 100], 2.5, True),
        ([0, 0, 201, 100], 1, False),
        ([-1, 0, 20, 10], 1, False),
        ([20, 0, 20, 10], 1, False),
        ([0, 0, 20], 1, False),
        ([0.5, 0, 20, 10], 1, False),
        ([0, 0, 20, 10], float("nan"), False),
        ([0, 0, 20, 10], float("inf"), False),
        ([0, 0, 20, 10], 0, False),
        ("all", 1, False),
    ],
)
def test_only_a_part_of_the_image_is_on_the_screen(window, scale, known):
    found = seen_by({"image": "lake", "window": window, "scale": scale}, VIEW)

    assert found == (Seen(tuple(window), scale) if known else None)
    assert seen_by({"image": "x", "window": window, "scale": scale}, VIEW) is None
