"""Files on this machine that are opened by a typed path, and folders for results."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from terrainlib.errors import InputError
from terrainlib.ui.paths import allowed_path, existing_path, shown

IMAGE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
MAX_IMAGES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Found:
    """What a typed path has led to.

    Attributes:
        images: The image files, sorted by name.
        folder: The folder that they were found in; None where a file was typed.
        links: How many links in the folder were left out.
    """

    images: tuple[Path, ...]
    folder: Path | None = None
    links: int = 0


def find_images(typed: str) -> Found:
    """Return the image of a typed path, or the images directly in that folder.

    Args:
        typed: The path as a person types or pastes it; `~` and quotes are understood.

    Raises:
        InputError: If there is no such file or folder, it is outside of the allowed
            folders, or it holds no image.
    """
    path = existing_path(typed)
    if path.is_file():
        return Found((path,))
    if not path.is_dir():
        raise InputError(
            f"'{shown(typed)}' is a device or a pipe. Give a file or a folder."
        )
    try:
        inside = sorted(e for e in path.iterdir() if not e.name.startswith("."))
    except OSError as error:
        raise InputError(
            f"Folder '{shown(typed)}' cannot be read. Change its permissions."
        ) from error
    named = [e for e in inside if e.suffix.lower() in IMAGE_SUFFIXES]
    links = [e for e in named if e.is_symlink()]
    images = [e for e in named if not e.is_symlink() and e.is_file()]
    if not images:
        raise InputError(
            f"Folder '{shown(typed)}' holds no PNG, JPEG or TIFF file. Choose another."
        )
    if len(images) > MAX_IMAGES:
        raise InputError(
            f"Folder '{shown(typed)}' holds {len(images):,} images; the limit is "
            f"{MAX_IMAGES:,}. Split it."
        )
    return Found(tuple(images), path, len(links))


def find_file(typed: str) -> Path:
    """Return the file of a typed path.

    Raises:
        InputError: If there is no such file, or it is outside of the allowed folders.
    """
    path = existing_path(typed)
    if not path.is_file():
        raise InputError(f"'{shown(typed)}' is no file. Give the path of one.")
    return path


def results_folder(typed: str) -> Path:
    """Return a folder to write to; it may be missing yet.

    Raises:
        InputError: If it is outside of the allowed folders, or a file.
    """
    path = allowed_path(typed)
    try:
        is_other = path.exists() and not path.is_dir()
    except OSError as error:
        raise InputError(
            f"Folder '{shown(typed)}' cannot be made. Choose another name."
        ) from error
    if is_other:
        raise InputError(f"'{shown(typed)}' is a file. Name a folder for the results.")
    return path
