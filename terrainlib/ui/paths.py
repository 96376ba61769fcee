"""Which files and folders of this machine the pages may open: one rule for all.

Whoever reaches the app can type a path, or send one in place of a box's choice. It is
resolved first, links and all, and must then lie in one of the allowed folders.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from terrainlib.errors import InputError
from terrainlib.mask.products.products import folder_images
from terrainlib.places import is_allowed, outside

_SHOWN_LETTERS: Final = 60


def allowed_path(typed: str | Path) -> Path:
    """Return a path, resolved; it may be missing.

    The embedded sample and what was downloaded from Kaggle are allowed as well.

    Args:
        typed: The path as a person types or pastes it; `~` and quotes are understood.

    Raises:
        InputError: If it is outside of the allowed folders, or no path at all.
    """
    text = str(typed).strip().strip("\"'")
    if not text:
        raise InputError("No path was given. Type or paste one.")
    try:
        path = Path(text).expanduser().resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise _missing(text) from error
    if not is_allowed(path):
        raise outside(shown(text))
    return path


def existing_path(typed: str | Path) -> Path:
    """Return a path, resolved, of something that is there.

    Raises:
        InputError: If it is outside of the allowed folders, missing or unreadable.
    """
    path = allowed_path(typed)
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise _missing(str(typed)) from error


def shown(typed: str) -> str:
    """Return a typed path as a message names it: one that is too long, cut."""
    text = typed.strip()
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}…"


def _missing(typed: str) -> InputError:
    return InputError(
        f"'{shown(typed)}' does not exist or may not be read. Check the path."
    )


MAX_IMAGES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Found:
    """What a typed path has led to.

    Attributes:
        images: The image files, in the order of their names.
        folder: The folder that they were found in; None where a file was typed.
        links: How many links in the folder were left out.
        results: How many results of earlier predictions in it were left out.
        heights: How many files in it are heights of an image beside them.
    """

    images: tuple[Path, ...]
    folder: Path | None = None
    links: int = 0
    results: int = 0
    heights: int = 0


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
            f"'{shown(typed)}' is neither a file nor a folder. Give one of these."
        )
    try:
        inside = folder_images(path)
    except OSError as error:
        raise InputError(
            f"Folder '{shown(typed)}' cannot be read. Change its permissions."
        ) from error
    images = [image for image in inside.images if not image.is_symlink()]
    if not images:
        raise InputError(
            f"Folder '{shown(typed)}' has no PNG, JPEG or TIFF file in it. Choose "
            "another."
        )
    if len(images) > MAX_IMAGES:
        raise InputError(
            f"Folder '{shown(typed)}' holds {len(images):,} images; the limit is "
            f"{MAX_IMAGES:,}. Split it."
        )
    links = len(inside.images) - len(images)
    return Found(tuple(images), path, links, len(inside.results), len(inside.heights))


def find_file(typed: str) -> Path:
    """Return the file of a typed path.

    Raises:
        InputError: If there is no such file, or it is outside of the allowed folders.
    """
    path = existing_path(typed)
    if not path.is_file():
        raise InputError(f"'{shown(typed)}' is not a file. Give the path of one.")
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
