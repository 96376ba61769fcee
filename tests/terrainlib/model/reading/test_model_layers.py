"""Layer lists that are no U-Net's, or out of bounds: refused before anything is built.

Every row changes the layer list of a good file, whose record stays in it. The rows M01
to M36 are those of the list of hostile models.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crafted_models import (
    KINDS,
    extra_layer,
    good_file,
    lambda_layer,
    set_description,
    with_description,
)
from tests.hostile_models import Canary, refused

NOT_OURS = "Only U-Net layers made by this app are accepted"


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    made = Canary(tmp_path)
    yield made
    made.check()
    made.close()


def gadget(module: str, function: str, **arguments: Any) -> Callable[[Canary], Any]:
    return lambda _canary: lambda_layer(module, function, **arguments)


def layer(kind: str, module: str | None = "keras.layers", **config: Any) -> Any:
    return lambda _canary: {"module": module, "class_name": kind, "config": config}


def as_function(module: str, kind: str, **config: Any) -> Any:
    return layer(
        "Lambda", function={"module": module, "class_name": kind, "config": config}
    )


CODE = "4wEAAAAAAAAAAAAAAAEAAAABAAAAQwAAAPMEAAAAlwB8AFMA"

# A layer to smuggle in, and the type that the sentence names.
LAYERS = {
    "M01 Lambda": (
        layer(
            "Lambda", function={"class_name": "__lambda__", "config": {"code": CODE}}
        ),
        "Lambda",
    ),
    "M02 Lambda, old form": (
        layer("Lambda", None, function=[CODE, None, None], function_type="lambda"),
        "Lambda",
    ),
    "M03 os.system": (gadget("os", "system", command="true"), "Lambda"),
    "M03 bare function": (
        lambda _: {
            "module": "os",
            "class_name": "function",
            "config": {"name": "system"},
            "registered_name": "system",
        },
        None,
    ),
    "M03 Popen": (layer("Popen", "subprocess", args=["true"]), "Popen"),
    "M04 unsafe switch": (
        gadget("keras.config", "enable_unsafe_deserialization"),
        "Lambda",
    ),
    "M05 get_file": (
        lambda c: lambda_layer("keras.utils", "get_file", origin=c.url),
        "Lambda",
    ),
    "M05 load_model": (
        lambda c: lambda_layer("keras.models", "load_model", filepath=str(c.victim)),
        "Lambda",
    ),
    "M06 overwrite a file": (
        lambda c: lambda_layer(
            "keras.visualization", "plot_image_gallery", path=str(c.victim)
        ),
        "Lambda",
    ),
    "M07 floatx": (gadget("keras.config", "set_floatx", value="float16"), "Lambda"),
    "M07 max_epochs": (gadget("keras.config", "set_max_epochs", value=1), "Lambda"),
    "M08 download": (
        gadget("keras.applications.resnet50", "ResNet50", weights="imagenet"),
        "Lambda",
    ),
    "M09 TFSMLayer": (
        lambda c: {
            "module": "keras.layers",
            "class_name": "TFSMLayer",
            "config": {"filepath": str(c.victim.parent)},
        },
        "TFSMLayer",
    ),
    "M09 class as function": (as_function("keras.saving", "KerasFileEditor"), "Lambda"),
    "M10 data set": (
        gadget("keras.datasets.mnist", "load_data", path="../../x"),
        "Lambda",
    ),
    "M11 StringLookup": (
        lambda c: {
            "module": "keras.layers",
            "class_name": "StringLookup",
            "config": {"vocabulary": str(c.victim)},
        },
        "StringLookup",
    ),
    "M21 a billion units": (layer("Dense", units=10**12), "Dense"),
    "M22 enlarging": (layer("UpSampling3D", size=[3000, 3000, 1]), "UpSampling3D"),
    "M36 registered name": (
        lambda _: {
            "module": "keras.layers",
            "class_name": "Conv2D",
            "registered_name": "evil>Conv2D",
        },
        "Conv2D",
    ),
    "a class of another module": (layer("Conv2D", "os"), "Conv2D"),
    "a network as a layer": (layer("Functional", "keras", layers=[]), "Functional"),
    "a function as initialiser": (
        layer(
            "Conv2D",
            kernel_initializer={
                "module": "builtins",
                "class_name": "function",
                "config": "eval",
            },
        ),
        "eval",
    ),
    "a function as activation": (
        layer("Activation", activation={"module": "os", "config": "system"}),
        "os",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", LAYERS)
def test_a_layer_that_is_no_u_net_layer_is_refused_by_its_type(
    row: str, kind: str, canary: Canary, tmp_path: Path
) -> None:
    make, named = LAYERS[row]
    data = with_description(good_file(kind), extra_layer(make(canary)))

    sentence = refused(data, kind, tmp_path)

    assert NOT_OURS in sentence
    if named:
        assert f"layer type '{named}' cannot be loaded here" in sentence


@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_layer_of_another_project_is_named_with_its_module(
    kind: str, tmp_path: Path
) -> None:
    honest = {
        "module": "my_project.layers",
        "class_name": "Attention",
        "registered_name": "my_project>Attention",
    }
    data = with_description(good_file(kind), extra_layer(honest))

    assert "contains the custom layer 'Attention' from 'my_project.layers'" in refused(
        data, kind, tmp_path
    )


def test_a_compiled_model_of_another_program_is_called_so(tmp_path: Path) -> None:
    def compiled(description: dict[str, Any]) -> None:
        optimizer = {"module": "keras.optimizers", "class_name": "Adam", "config": {}}
        description["compile_config"] = {"optimizer": optimizer}

    data = with_description(good_file("model.keras"), compiled)

    assert (
        "a Keras model of another program: it holds the settings of its training "
        "('Adam'), which this app's models do not. Only U-Nets of this app or the"
    ) in refused(data, "model.keras", tmp_path)


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
    "a layer as activation": (
        set_option(
            "down1_conv1_relu",
            "activation",
            {"class_name": "Activation", "config": {"name": "relu"}},
        ),
        "has activation = ",
    ),
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
    "another activation": (
        set_option("down1_conv1_relu", "activation", "elu"),
        "its layers are not those that its record describes",
    ),
    "wired otherwise": (
        set_nodes("up1_concat", node("down1_conv2_relu", "up1_transpose")),
        "its layers are not those that its record describes",
    ),
    "another normalisation": (
        set_option("down1_conv1_norm", "epsilon", 0.01),
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
