"""Layer lists out of their bounds: refused before anything is built."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.crafted_models import (
    KINDS,
    good_file,
    set_description,
    with_description,
)
from tests.hostile_models import refused


def set_option(name: str, option: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(description: dict[str, Any]) -> None:
        for item in description["config"]["layers"]:
            if item["name"] == name:
                item["config"][option] = value

    return change


def enlarge(**options: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change that makes a layer that enlarges out of the first pooling."""

    def change(description: dict[str, Any]) -> None:
        for item in description["config"]["layers"]:
            if item["name"] == "down1_pool":
                item["class_name"] = "UpSampling2D"
                item["config"] = {"name": "down1_pool", **options}

    return change


def set_nodes(name: str, nodes: Any) -> Callable[[dict[str, Any]], None]:
    def change(description: dict[str, Any]) -> None:
        for item in description["config"]["layers"]:
            if item["name"] == name:
                item["inbound_nodes"] = nodes

    return change


def node(*sources: str) -> list[Any]:
    return [[[source, 0, 0, {}] for source in sources]]


DESCRIPTIONS = {
    "filters": (set_option("mask", "filters", 10**9), "filters = 1000000000"),
    "kernel": (set_option("mask", "kernel_size", [10**6, 10**6]), "kernel_size"),
    "stride": (set_option("up1_transpose", "strides", [3000, 3000]), "strides"),
    "groups": (set_option("mask", "groups", 2), "groups = 2"),
    "channels": (
        set_option("image", "batch_shape", [None, None, None, 10**6]),
        "batch_shape",
    ),
    "batch": (set_option("image", "batch_shape", [64, 16, 16, 3]), "batch_shape"),
    "activation": (set_option("mask", "activation", "evil"), "activation = evil"),
    "type": (set_option("mask", "dtype", "float16"), "dtype = float16"),
    "axis": (set_option("up1_concat", "axis", 1), "axis = 1"),
    "unknown option": (set_option("mask", "lora_rank", 4), "lora_rank = 4"),
    "layer name": (set_option("mask", "name", "../mask"), "layer name"),
    "size": (
        set_option("up1_transpose", "strides", [4, 4]),
        "has kernel_size = 3|changes the image's size|different sizes",
    ),
    "used twice": (
        set_nodes("mask", [*node("up1_conv2_relu"), *node("image")]),
        "used more than once",
    ),
    "circle": (set_nodes("down1_conv1", node("mask")), "unused|circle"),
    "missing": (set_nodes("mask", node("nowhere")), "missing or unused"),
    "second result": (
        set_nodes("mask", [[["up1_conv2_relu", 0, 1, {}]]]),
        "connections of layer 'mask'",
    ),
    "call arguments": (
        set_nodes("mask", [[["up1_conv2_relu", 0, 0, {"training": True}]]]),
        "called with arguments",
    ),
    "M22 a larger size": (
        enlarge(size=[3000, 3000], interpolation="nearest"),
        "layer 'down1_pool' has size = [3000, 3000]",
    ),
    "another way to enlarge": (
        enlarge(size=[2, 2], interpolation="lanczos5"),
        "layer 'down1_pool' has interpolation = lanczos5",
    ),
    "other filters": (
        set_option("down1_conv2", "filters", 5),
        "its layers are not those that its record describes",
    ),
    "other bands": (
        set_option("image", "batch_shape", [None, None, None, 4]),
        "expects 4 input channels; its record says 3",
    ),
    "no layers": (lambda d: d["config"].pop("layers"), "lists no layers"),
    "two outputs": (
        lambda d: d["config"].update(output_layers=[["mask", 0, 0], ["image", 0, 0]]),
        "exactly one output",
    ),
    "a layer in a row of layers": (
        lambda d: (
            d.update(class_name="Sequential")
            or d["config"]["layers"][1].update(class_name="Lambda")
        ),
        "layer type 'Lambda'",
    ),
    "no U-Net": (lambda d: d.update(class_name="Sequential"), "'Sequential'"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", DESCRIPTIONS)
def test_a_description_out_of_its_bounds_is_refused(
    row: str, kind: str, tmp_path: Path
) -> None:
    change, named = DESCRIPTIONS[row]
    data = with_description(good_file(kind), change)

    sentence = refused(data, kind, tmp_path)

    assert any(part in sentence for part in named.split("|")), sentence


@pytest.mark.parametrize("kind", KINDS)
def test_m23_a_description_a_hundred_thousand_levels_deep_is_refused(
    kind: str, tmp_path: Path
) -> None:
    data = set_description(good_file(kind), b"[" * 100_000 + b"]" * 100_000)

    assert "the model description cannot be read" in refused(data, kind, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_m23_a_description_deeper_than_any_model_is_refused(
    kind: str, tmp_path: Path
) -> None:
    data = set_description(good_file(kind), b"[" * 60 + b"]" * 60)

    assert "nested deeper than 40" in refused(data, kind, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_m24_three_thousand_layers_are_refused(kind: str, tmp_path: Path) -> None:
    def change(description: dict[str, Any]) -> None:
        layers = description["config"]["layers"]
        one = {"class_name": "Activation", "config": {"name": "a"}, "name": "a"}
        layers.extend([one] * 3000)

    data = with_description(good_file(kind), change)

    assert "layers; the limit is 400" in refused(data, kind, tmp_path)
