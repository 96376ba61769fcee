"""Layers that are no U-Net layers: refused by their type, and nothing happens.

Every row puts one layer into a good file, whose record stays in it. The rows are those
of the list of hostile models (M01 to M36).
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
