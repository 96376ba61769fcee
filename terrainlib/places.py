"""Which files and folders whoever acts now may open, and which they may change.

A path is resolved first, links and all, and then held against the places below. The
owner of the machine may open and change everything; only what is typed into a page is
held against `allowed_folders` for them too.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from terrainlib import files, rights
from terrainlib.errors import RightsError

FOLDERS_VARIABLE: Final = "TERRAINLIB_FOLDERS"
ASSETS: Final = Path(__file__).resolve().parent / "assets"
SHARED: Final = ("runs", "predictions", "models", "datasets")  # below the app's home

Zone = Literal["own", "shared", "others", "app", "machine"]
_READ: Final[dict[Zone, rights.Right]] = {
    "shared": "read shared",
    "others": "other people",
    "machine": "read folders",
}
_CHANGE: Final[dict[Zone, rights.Right]] = {
    "shared": "change shared",
    "others": "other people",
    "app": "change shared",
    "machine": "change folders",
}


def allowed_folders() -> tuple[Path, ...]:
    """Return the folders whose files may be opened from a page.

    Those are one's own one, what is shared, and what the variable `TERRAINLIB_FOLDERS`
    adds, separated as in `PATH`. In the mode `own` the home and the working folder
    belong to them (but not where that is the whole disk).
    """
    wanted = [files.home_dir()]
    if rights.may("read folders"):
        added = os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)
        wanted += map(Path, filter(None, added))
    if rights.mode() == "own":
        own = (*_home(), Path.cwd())
        wanted = [*(o for o in own if o != o.parent), *wanted]
    elif rights.may("read shared"):
        wanted += shared_places()
    resolved = dict.fromkeys(folder.resolve() for folder in wanted)
    return tuple(
        folder
        for folder in resolved
        if not any(folder.is_relative_to(o) for o in resolved if o != folder)
    )


def shared_places() -> list[Path]:
    """Return the folders of what is shared."""
    return [files.shared_dir() / name for name in SHARED]


def is_allowed(path: Path) -> bool:
    """Return whether a path, resolved, may be opened from a page."""
    zone = zone_of(path)
    if zone == "app" or (zone == "others" and not rights.may("other people")):
        return zone == "app"
    roots = [*allowed_folders()]
    if rights.may("download from Kaggle"):
        roots += kaggle_dirs()
    return any(path.is_relative_to(folder) for folder in roots)


def kaggle_dirs() -> tuple[Path, ...]:
    """Return where `kagglehub` keeps its downloads."""
    set_folder = os.environ.get("KAGGLEHUB_CACHE")
    if set_folder:
        return (Path(set_folder).resolve(),)
    return tuple(home.resolve() / ".cache" / "kagglehub" for home in _home())


def zone_of(path: Path) -> Zone:
    """Return where a path, resolved, lies for whoever acts now."""
    home, shared = files.home_dir(), files.shared_dir()
    if path.is_relative_to(ASSETS):
        return "app"
    if path.is_relative_to(home):
        return "own"
    if path.is_relative_to(shared):
        common = any(path.is_relative_to(place) for place in shared_places())
        return "shared" if common else "others"
    return "machine"


def is_readable(path: Path | str) -> bool:
    """Return whether whoever acts now may open what a path leads to."""
    return _refused(path, _READ) is None


def require_readable(path: Path | str) -> None:
    """Refuse to open what whoever acts now may not.

    Raises:
        RightsError: With what is not allowed, and what to do.
    """
    if (error := _refused(path, _READ)) is not None:
        raise error


def require_changeable(path: Path | str) -> None:
    """Refuse to write or delete what whoever acts now may not.

    Raises:
        RightsError: With what is not allowed, and what to do.
    """
    if (error := _refused(path, _CHANGE)) is not None:
        raise error


def why_kept(path: Path | str, *, to_delete: bool = False) -> str | None:
    """Return why whoever acts now may not change, or delete, a path; None if they may.

    It is what stands beside a button that is disabled for it.
    """
    if to_delete and not rights.may("delete"):
        return rights.refusal("delete")
    error = _refused(path, _CHANGE)
    return None if error is None else error.message


def _refused(
    path: Path | str, needed: Mapping[Zone, rights.Right]
) -> RightsError | None:
    """Return why a path is not for whoever acts now, by the right its zone needs."""
    if rights.actor().role == "owner":
        return None
    real = Path(path).resolve()
    zone = zone_of(real)
    if zone not in needed:
        return None
    if not rights.may(needed[zone]):
        return RightsError(rights.refusal(needed[zone]))
    allowed = zone != "machine" or is_allowed(real)
    return None if allowed else outside(Path(path).name)


def outside(shown: str) -> RightsError:
    """Return the sentence for a path that may not be opened."""
    listed = ", ".join(map(str, allowed_folders()))
    return RightsError(
        f"'{shown}' is outside the folders that may be opened ({listed}). Ask the "
        f"person who runs the server to add it to {FOLDERS_VARIABLE}."
    )


def _home() -> list[Path]:
    try:
        return [Path.home()]
    except RuntimeError:  # an account without a home
        return []
