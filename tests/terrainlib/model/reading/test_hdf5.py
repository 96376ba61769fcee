"""Weights that are not plainly in the file: refused before a value is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.crafted_models import KINDS, first_weight, good_file, with_weights
from tests.hostile_models import refused


def replace_weight(make: Callable[[h5py.File, str], None]) -> Any:
    def change(file: h5py.File) -> None:
        path = first_weight(file)
        del file[path]
        make(file, path)

    return change


def external_group(file: h5py.File) -> None:
    parent = file[first_weight(file)].parent.parent
    parent["elsewhere"] = h5py.ExternalLink("/etc/other.h5", "/")


def external_storage(file: h5py.File, path: str) -> None:
    file.create_dataset(path, (2,), "f4", external=[("/etc/hostname", 0, 8)])


def virtual(file: h5py.File, path: str) -> None:
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "data", (2,))
    file.create_virtual_dataset(path, layout)


def declared(count: int, **settings: Any) -> Any:
    def make(file: h5py.File, path: str) -> None:
        file.create_dataset(path, (count,), "f4", **settings)

    return replace_weight(make)


def zeros_packed(file: h5py.File, path: str) -> None:
    file.create_dataset(path, data=np.zeros(10**6, "f4"), compression="gzip")


def second_link(file: h5py.File) -> None:
    file["again"] = file[first_weight(file)].parent.parent


def circle(file: h5py.File) -> None:
    file["again"] = file["/"]


def not_finite(file: h5py.File) -> None:
    weight = file[first_weight(file)]
    values = weight[()]
    values.flat[0], values.flat[1] = np.nan, np.inf
    weight[...] = values


def retyped(file: h5py.File) -> None:
    path = first_weight(file)
    values = file[path][()]
    del file[path]
    file.create_dataset(path, data=values.astype("f8"))


def missing(file: h5py.File) -> None:
    del file[first_weight(file)]


def objects(file: h5py.File, path: str) -> None:
    file.create_dataset(path, data=np.array([b"text"], dtype="S9"))


WEIGHTS = {
    "M14 external link to a group": (
        external_group,
        "the weights point to another file (external link)",
    ),
    "M14 external link to values": (
        replace_weight(
            lambda f, p: f.__setitem__(p, h5py.ExternalLink("/etc/other.h5", "x"))
        ),
        "the weights point to another file (external link)",
    ),
    "M14 soft link": (
        replace_weight(lambda f, p: f.__setitem__(p, h5py.SoftLink("/x"))),
        "the weights point to another file (soft link)",
    ),
    "M14 external storage": (
        replace_weight(external_storage),
        "the weights point to another file (external storage)",
    ),
    "M14 virtual": (
        replace_weight(virtual),
        "the weights point to another file (virtual dataset)",
    ),
    "M15 5 GiB declared": (declared(5 * 2**28), "declares 5368.7 MB but stores 0.0 kB"),
    "M16 1 GiB declared": (declared(2**28), "declares 1073.7 MB but stores 0.0 kB"),
    "M16 in empty chunks": (
        declared(2**28, chunks=(1024,)),
        "declares 1073.7 MB but stores 0.0 kB",
    ),
    "packed": (replace_weight(zeros_packed), "is packed or holds no plain numbers"),
    "text": (replace_weight(objects), "is packed or holds no plain numbers"),
    "second link": (second_link, "second link to the same object"),
    "circle": (circle, "second link to the same object"),
    "M32 not finite": (not_finite, "2 weights are not numbers (NaN/Inf)"),
    "other type": (retyped, "is float64, not float32"),
    "other shape": (
        replace_weight(lambda f, p: f.create_dataset(p, data=np.zeros((3, 1), "f4"))),
        "has another shape",
    ),
    "missing": (missing, "do not fit the layers"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", WEIGHTS)
def test_weights_that_are_not_plainly_there_are_refused(
    row: str, kind: str, tmp_path: Path
) -> None:
    change, named = WEIGHTS[row]
    data = with_weights(good_file(kind), change)

    assert named in refused(data, kind, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_that_no_layer_uses_is_refused(kind: str, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file[first_weight(file)].parent["stranger"] = np.zeros(3, "f4")

    data = with_weights(good_file(kind), change)

    assert "no layer uses the weight" in refused(data, kind, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_m27_a_changed_weight_is_found_by_the_checksum(
    kind: str, tmp_path: Path
) -> None:
    def change(file: h5py.File) -> None:
        weight = file[first_weight(file)]
        weight[0] = weight[0] + 1

    data = with_weights(good_file(kind), change)

    assert "damaged (checksum does not match)" in refused(data, kind, tmp_path)
