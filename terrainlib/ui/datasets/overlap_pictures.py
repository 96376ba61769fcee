"""Pictures of shared ground, encoded once: two patches side by side, and the map."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from terrainlib.data.dataset import Dataset, Pair
from terrainlib.data.imagery import read_image
from terrainlib.data.overlaps import Overlap, Overlaps
from terrainlib.errors import ImageError
from terrainlib.mask.overlap_map import (
    Part,
    PatchGroup,
    draw_map,
    patch_groups,
    side_by_side,
)
from terrainlib.mask.overlap_picture import overlap_pictures
from terrainlib.mask.rasters.export import to_bytes
from terrainlib.ui import cached

MAX_MAP_PATCHES: Final = 600
MAP_PX: Final = 1400
_PATCH_PX: Final = 256  # of a patch on the map, before it is brought to its place
_BACKGROUNDS: Final = {"light": (255, 255, 255), "dark": (18, 23, 20)}
_MISSING: Final = 128  # grey of a patch that can no longer be read


def pair_pictures(first: Pair, second: Pair, overlap: Overlap) -> tuple[bytes, bytes]:
    """Return two patches with their shared ground outlined, as JPEG.

    Args:
        first: The overlap's first patch.
        second: Its second.
        overlap: The overlap.

    Raises:
        ImageError: If a file cannot be read any more.
    """
    files = [str(pair.image) for pair in (first, second)]
    stamps = [cached.file_stamp(file) for file in files]
    return _pair_pictures((*files, *stamps), first, second, overlap)


@st.cache_data(max_size="32MB", show_spinner=False)
def _pair_pictures(
    key: tuple[Any, ...], _first: Pair, _second: Pair, _overlap: Overlap
) -> tuple[bytes, bytes]:
    del key  # names the files
    images = [read_image(pair.image).rgb for pair in (_first, _second)]
    one, two = overlap_pictures(images[0], images[1], _overlap)
    return cached.encode_jpeg(one), cached.encode_jpeg(two)


def map_groups(dataset: Dataset, overlaps: Overlaps) -> list[PatchGroup]:
    """Return the groups that the map shows: the largest, up to a number of patches."""
    shown: list[PatchGroup] = []
    for group in patch_groups(overlaps, _sizes(dataset)):
        if shown and sum(len(one.places) for one in shown) > MAX_MAP_PATCHES:
            break
        shown.append(group)
    return shown


def map_picture(
    dataset: Dataset, groups: list[PatchGroup], parts: Mapping[str, Part], theme: str
) -> bytes:
    """Return the map of overlaps as JPEG.

    Args:
        dataset: The data set.
        groups: The groups to show, at least one.
        parts: The part of each patch, by id.
        theme: `light` or `dark`.
    """
    key = (str(dataset.folder), dataset.fingerprint, theme, tuple(parts.items()))
    return _map_picture(key, dataset, groups, parts, theme)


@st.cache_data(max_size="32MB", show_spinner="Drawing the map …")
def _map_picture(
    key: tuple[Any, ...],
    _dataset: Dataset,
    _groups: list[PatchGroup],
    _parts: Mapping[str, Part],
    theme: str,
) -> bytes:
    del key  # names data set and split
    pairs = {pair.id: pair for pair in _dataset.pairs}
    drawn = draw_map(
        side_by_side(_groups),
        _parts,
        lambda name: _small(pairs[name]),
        _sizes(_dataset),
        longest_px=MAP_PX,
        background=_BACKGROUNDS[theme],
    )
    return cached.encode_jpeg(drawn)


def _small(pair: Pair) -> NDArray[np.uint8]:
    """Return the image of a patch, small; grey if it can no longer be read."""
    try:
        rgb = to_bytes(read_image(pair.image).rgb)
    except ImageError:
        return np.full((*pair.size, 3), _MISSING, np.uint8)
    return np.asarray(cached.shrink(rgb, _PATCH_PX, nearest=False), np.uint8)


def _sizes(dataset: Dataset) -> dict[str, tuple[int, int]]:
    """Return (W, H) of every patch in px, by id."""
    return {pair.id: (pair.size[1], pair.size[0]) for pair in dataset.pairs}
