"""Which images `predict` reads, and where the files of each go: none is lost."""

import argparse
from pathlib import Path
from typing import Final

from terrainlib.errors import InputError
from terrainlib.mask.products.making import Wanted, file_names

IMAGE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def find_images(paths: list[Path]) -> list[Path]:
    """Return the image files that the arguments name, each of them once.

    Raises:
        InputError: If a folder holds no image.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = sorted(
                entry
                for entry in path.iterdir()
                if entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file()
            )
            if not inside:
                raise InputError("holds no PNG, JPEG or TIFF image.", file=path.name)
        for entry in inside:
            found.setdefault(entry.resolve(), entry)
    return list(found.values())


class Names:
    """Where the files of each image go.

    Args:
        options: The command's options.
        images: Every input image.
        wanted: What is made of each.
    """

    def __init__(
        self, options: argparse.Namespace, images: list[Path], wanted: Wanted
    ) -> None:
        self._out = options.out
        self._wanted = wanted
        inputs = [*images, options.height_file] if options.height_file else images
        self._inputs = {path.resolve(): path.name for path in inputs}
        self._owners: dict[str, Path] = {}

    def take(self, path: Path) -> str:
        """Return what the names of an image's files begin with.

        Raises:
            InputError: If they would replace an input, or the masks of another image.
        """
        stem = path.stem
        names = {
            name
            for placed in (False, True)
            for name in file_names(stem, self._wanted, placed=placed)
        }
        for name in sorted(names):
            taken = self._inputs.get((self._out / name).resolve())
            if taken is not None:
                raise InputError(
                    f"its mask would replace the input {taken}. Choose another folder "
                    "with --out.",
                    file=path.name,
                )
        owner = self._owners.setdefault(stem.lower(), path)
        if owner != path:
            raise InputError(
                f"its mask would have the name of that of {owner.name}. Rename one of "
                "them, or choose another folder with --out.",
                file=path.name,
            )
        return stem
