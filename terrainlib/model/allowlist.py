"""What a model description may name: a short list of Keras' own classes.

Keras' safe mode is a list of what is forbidden; this is a list of what is allowed. A
description is walked as data before anything else is done with it.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from terrainlib.errors import ModelFileError

NETWORKS: Final = frozenset({"Functional", "Model"})
_SEQUENTIAL: Final = "Sequential"
LAYERS: Final = frozenset(
    {
        "InputLayer",
        "Conv2D",
        "Conv2DTranspose",
        "BatchNormalization",
        "Activation",
        "MaxPooling2D",
        "AveragePooling2D",
        "UpSampling2D",
        "Dropout",
        "Concatenate",
    }
)
_INITIALIZERS: Final = frozenset(
    {
        "Zeros",
        "Ones",
        "Constant",
        "RandomNormal",
        "RandomUniform",
        "TruncatedNormal",
        "VarianceScaling",
        "GlorotNormal",
        "GlorotUniform",
        "HeNormal",
        "HeUniform",
        "LecunNormal",
        "LecunUniform",
        "Orthogonal",
    }
)
_MODULES: Final[dict[str, frozenset[str | None]]] = {
    **dict.fromkeys(
        NETWORKS,
        frozenset({None, "keras", "keras.models", "keras.src.models.functional"}),
    ),
    **dict.fromkeys(LAYERS, frozenset({None, "keras.layers"})),
    **dict.fromkeys(_INITIALIZERS, frozenset({None, "keras.initializers"})),
    **dict.fromkeys(("L1", "L2", "L1L2"), frozenset({None, "keras.regularizers"})),
    **dict.fromkeys(
        ("DTypePolicy", "Policy"),
        frozenset({None, "keras", "keras.dtype_policies", "keras.mixed_precision"}),
    ),
    **dict.fromkeys(
        ("__keras_tensor__", "__tuple__", "TensorShape"), frozenset({None})
    ),
}


def check_names(description: Any) -> None:
    """Refuse a description that names anything but the allowed classes.

    Args:
        description: Parsed JSON of any kind.

    Raises:
        ModelFileError: With the name of what is not allowed.
    """
    sequential = False
    for item in _objects(description):
        if item.get("class_name") == _SEQUENTIAL:
            sequential = True  # what it holds says more, where that is not allowed
        elif "class_name" in item:
            _check_class(item)
        elif "module" in item or "registered_name" in item:
            raise forbidden(item.get("registered_name") or item.get("module"))
    if sequential:
        raise forbidden(_SEQUENTIAL)


def forbidden(kind: Any) -> ModelFileError:
    """Return the sentence for a layer type that is not allowed."""
    return ModelFileError(
        f"layer type '{shortened(kind)}' cannot be loaded here. Only U-Net layers made "
        "by this app are accepted. Retrain, or export the weights from the original "
        "program."
    )


def shortened(value: Any) -> str:
    """Return a foreign name in a form that fits into a sentence."""
    text = "".join(c if c.isprintable() else "?" for c in str(value)[:61])
    return text if len(text) <= 60 else text[:57] + "..."


def _objects(description: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every JSON object, outermost first, without recursion."""
    level = [description]
    while level:
        below: list[Any] = []
        for value in level:
            if isinstance(value, Mapping):
                yield value
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
        level = below


def _check_class(item: Mapping[str, Any]) -> None:
    kind, module = item["class_name"], item.get("module")
    registered = item.get("registered_name")
    modules = _MODULES.get(kind) if isinstance(kind, str) else None
    if modules is None and _is_custom(kind, module):
        raise ModelFileError(
            f"contains the custom layer '{shortened(kind)}' from "
            f"'{shortened(module)}'. This app loads only its own U-Net models."
        )
    allowed = isinstance(module, str | None) and modules and module in modules
    if not allowed or registered not in (None, kind):
        # A function is named where a layer's settings would be.
        config = item.get("config")
        raise forbidden(config if kind == "function" else kind)


def _is_custom(kind: Any, module: Any) -> bool:
    """Tell an honest layer of another project from a function of Python or Keras."""
    if not (isinstance(module, str) and isinstance(kind, str)) or kind == "function":
        return False
    package = module.partition(".")[0]
    return package not in {"keras", "tensorflow", *sys.stdlib_module_names}
