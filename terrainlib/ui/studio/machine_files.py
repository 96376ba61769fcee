"""Files on this machine that may be opened by a typed path, and folders for results.

Whoever reaches the app can type a path. It is resolved first, links and all, and must
then lie in one of the allowed folders.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from terrainlib import files
from terrainlib.errors import InputError

FOLDERS_VARIABLE: Final = "TERRAINLIB_FOLDERS"
IMAGE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
MAX_IMAGES: Final = 10_000
_SHOWN_LETTERS: Final = 60


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


def allowed_folders() -> tuple[Path, ...]:
    """Return the folders whose files may be opened.

    The home and the working folder, the one of runs and models, and those that the
    variable `TERRAINLIB_FOLDERS` adds, parted as in `PATH`.
    """
    added = filter(None, os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep))
    wanted = [*_home(), Path.cwd(), files.home_dir(), *map(Path, added)]
    resolved = dict.fromkeys(folder.resolve() for folder in wanted)
    return tuple(
        folder
        for folder in resolved
        if not any(folder.is_relative_to(o) for o in resolved if o != folder)
    )


def find_images(typed: str) -> Found:
    """Return the image of a typed path, or the images directly in that folder.

    Args:
        typed: The path as a person types or pastes it; `~` and quotes are understood.

    Raises:
        InputError: If there is no such file or folder, it is outside of the allowed
            folders, or it holds no image.
    """
    path = _existing(typed)
    if path.is_file():
        return Found((path,))
    if not path.is_dir():
        raise InputError(
            f"'{_shown(typed)}' is a device or a pipe. Give a file or a folder."
        )
    try:
        inside = sorted(e for e in path.iterdir() if not e.name.startswith("."))
    except OSError as error:
        raise InputError(
            f"Folder '{_shown(typed)}' cannot be read. Change its permissions."
        ) from error
    named = [e for e in inside if e.suffix.lower() in IMAGE_SUFFIXES]
    links = [e for e in named if e.is_symlink()]
    images = [e for e in named if not e.is_symlink() and e.is_file()]
    if not images:
        raise InputError(
            f"Folder '{_shown(typed)}' holds no PNG, JPEG or TIFF file. Choose another."
        )
    if len(images) > MAX_IMAGES:
        raise InputError(
            f"Folder '{_shown(typed)}' holds {len(images):,} images; the limit is "
            f"{MAX_IMAGES:,}. Split it."
        )
    return Found(tuple(images), path, len(links))


def find_file(typed: str) -> Path:
    """Return the file of a typed path.

    Raises:
        InputError: If there is no such file, or it is outside of the allowed folders.
    """
    path = _existing(typed)
    if not path.is_file():
        raise InputError(f"'{_shown(typed)}' is no file. Give the path of one.")
    return path


def results_folder(typed: str) -> Path:
    """Return a folder to write to; it may be missing yet.

    Raises:
        InputError: If it is outside of the allowed folders, or a file.
    """
    text = _plain(typed)
    try:
        path = Path(text).expanduser().resolve()
        is_other = path.exists() and not path.is_dir()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"Folder '{_shown(typed)}' cannot be made. Choose another name."
        ) from error
    _require_allowed(path, typed)
    if is_other:
        raise InputError(f"'{_shown(typed)}' is a file. Name a folder for the results.")
    return path


def _home() -> list[Path]:
    try:
        return [Path.home()]
    except RuntimeError:  # an account without a home
        return []


def _existing(typed: str) -> Path:
    """Return the resolved path of something that is there and may be opened."""
    text = _plain(typed)
    try:
        path = Path(text).expanduser().resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"'{_shown(typed)}' does not exist or may not be read. Check the path."
        ) from error
    _require_allowed(path, typed)
    return path


def _require_allowed(path: Path, typed: str) -> None:
    roots = allowed_folders()
    if not any(path.is_relative_to(root) for root in roots):
        raise InputError(
            f"'{_shown(typed)}' is outside of the allowed folders "
            f"({', '.join(map(str, roots))}). Ask the person who runs the server to "
            f"add it to {FOLDERS_VARIABLE}."
        )


def _plain(typed: str) -> str:
    text = typed.strip().strip("\"'")
    if not text:
        raise InputError("No path was given. Type or paste one.")
    return text


def _shown(typed: str) -> str:
    text = typed.strip()
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}…"
