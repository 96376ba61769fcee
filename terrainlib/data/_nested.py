"""Pairs that lie deeper than expected: archives and downloads wrap them in folders."""

import os
from pathlib import Path
from typing import Final

from terrainlib.data._layout import find_layout
from terrainlib.data._records import Layout
from terrainlib.errors import DatasetError

_DEPTH: Final = 3
_MAX_FOLDERS: Final = 300  # looked into; someone may have given the root of a disk


def require_layout(root: Path) -> Layout:
    """Return the layout of a folder.

    Raises:
        DatasetError: If it is missing, empty or without pairs; where they are in a
            folder below, it is named.
    """
    try:
        return find_layout(root)
    except DatasetError as error:
        nested = find_data_folder(root)
        if nested == root:
            raise
        name = nested.relative_to(root).as_posix()
        raise DatasetError(
            f"the pairs are not in this folder, but in {name} below it. Open that one.",
            file=root.name,
        ) from error


def find_data_folder(root: Path) -> Path:
    """Return the first folder at or below `root` that holds pairs, else `root` itself.

    Nearer folders come first, then the alphabet; links and hidden ones are passed by.
    """
    level = [root]
    looked = 0
    for _ in range(_DEPTH + 1):
        for folder in level:
            looked += 1
            if looked > _MAX_FOLDERS:
                return root
            if _has_pairs(folder):
                return folder
        level = [sub for folder in level for sub in _subfolders(folder)]
    return root


def _has_pairs(folder: Path) -> bool:
    try:
        find_layout(folder)
    except DatasetError:
        return False
    return True


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                Path(entry.path)
                for entry in entries
                if not entry.name.startswith(".")
                and entry.is_dir(follow_symlinks=False)
            )
    except (OSError, ValueError):  # ValueError: a name with a NUL
        return []
