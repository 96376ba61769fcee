"""Data sets of Kaggle by their name, through `kagglehub`, which keeps them."""

import os
import re
from pathlib import Path
from typing import Final

from terrainlib.data._nested import find_data_folder
from terrainlib.errors import DatasetError

KAGGLE_DATASET: Final = "tpapp157/earth-terrain-height-and-segmentation-map-images"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
_MAX_NAME_CHARACTERS: Final = 120


def kaggle_dirs() -> tuple[Path, ...]:
    """Return where `kagglehub` keeps its downloads, unless that is its usual place."""
    set_folder = os.environ.get("KAGGLEHUB_CACHE")
    return (Path(set_folder).resolve(),) if set_folder else ()


def download_kaggle(name: str) -> Path:
    """Return the folder of a Kaggle data set, fetched on the first call.

    Args:
        name: `owner/dataset`, as in the data set's address.

    Returns:
        The folder that holds the pairs, below the one that `kagglehub` keeps.

    Raises:
        DatasetError: If the name is malformed, `kagglehub` is missing, or the data set
            cannot be reached, is unknown or asks for a log-in.
    """
    name = name.strip().strip("/")
    if len(name) > _MAX_NAME_CHARACTERS or _NAME.fullmatch(name) is None:
        raise DatasetError(
            "a Kaggle data set is named owner/dataset, for example "
            f"{KAGGLE_DATASET}. Copy the name from its address.",
            file=name[:60] or None,
        )
    return find_data_folder(Path(_download(name)))


def _download(name: str) -> str:
    """Fetch a data set and return its folder."""
    try:
        import kagglehub  # slow, and needed for this alone
        from kagglehub import exceptions
    except ImportError as error:
        raise DatasetError(
            "the package kagglehub is not installed. Install it with "
            "'pip install kagglehub', or download the data set and open its folder.",
            file=name,
        ) from error
    failures = (
        OSError,  # no network, no disk, and every answer that is an error
        ValueError,
        exceptions.BackendError,
        exceptions.CredentialError,
        exceptions.DataCorruptionError,
        exceptions.KaggleEnvironmentError,
        exceptions.NotFoundError,
        exceptions.UnauthenticatedError,
    )
    try:
        return str(kagglehub.dataset_download(name))
    except failures as error:
        raise DatasetError(_sentence(error), file=name) from error


def _sentence(error: Exception) -> str:
    """Return what went wrong and what to do."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 404 or type(error).__name__ == "NotFoundError":
        return (
            "Kaggle knows no data set of this name. Copy the name from the data set's "
            "address."
        )
    if status in (401, 403) or type(error).__name__ in (
        "UnauthenticatedError",
        "CredentialError",
    ):
        return (
            "Kaggle asks for a log-in for this data set. Log in with "
            "'kagglehub.login()', or download it in a browser and open its folder."
        )
    return (
        "Kaggle could not be reached, or did not deliver the data set. Check the "
        "network and try again, or download it elsewhere and open its folder."
    )
