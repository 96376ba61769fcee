"""Data sets of Kaggle, with a stand-in for the network."""

from pathlib import Path

import kagglehub
import pytest
import requests
from kagglehub import exceptions

from terrainlib.data.dataset import open_dataset
from terrainlib.data.fetch import KAGGLE_DATASET, download_kaggle
from terrainlib.errors import DatasetError
from tests.synthetic import write_kaggle_dataset


def _answer(status: int) -> exceptions.KaggleApiHTTPError:
    response = requests.Response()
    response.status_code = status
    return exceptions.KaggleApiHTTPError("secret server text", response=response)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Answer every download with a nested folder of pairs; return the names asked."""
    names: list[str] = []
    write_kaggle_dataset(tmp_path / "versions" / "1" / "_dataset" / "_dataset", pairs=2)

    def download(name: str) -> str:
        names.append(name)
        return str(tmp_path / "versions" / "1")

    monkeypatch.setattr(kagglehub, "dataset_download", download)
    return names


def test_the_folder_with_the_pairs_is_found_below_the_downloaded_one(
    asked: list[str],
) -> None:
    folder = download_kaggle(KAGGLE_DATASET)
    assert asked == [KAGGLE_DATASET]
    assert len(open_dataset(folder).pairs) == 2


def test_spaces_around_a_pasted_name_do_not_matter(asked: list[str]) -> None:
    download_kaggle("  owner/data-set/ \n")
    assert asked == ["owner/data-set"]


@pytest.mark.parametrize(
    "name", ["", "terrain", "a/b/c", "../../etc", "a b/c", "owner/", "x" * 200 + "/y"]
)
def test_a_malformed_name_is_refused_without_asking_anybody(
    asked: list[str], name: str
) -> None:
    with pytest.raises(DatasetError, match="named owner/dataset"):
        download_kaggle(name)
    assert asked == []


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (requests.ConnectionError("secret host"), "could not be reached"),
        (requests.Timeout("secret host"), "could not be reached"),
        (exceptions.DataCorruptionError("secret path"), "did not deliver"),
        (exceptions.NotFoundError("secret"), "knows no data set of this name"),
        (exceptions.UnauthenticatedError(), "asks for a log-in"),
        (_answer(404), "knows no data set of this name"),
        (_answer(403), "asks for a log-in"),
        (_answer(500), "could not be reached"),
    ],
)
def test_a_download_that_fails_is_explained_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, sentence: str
) -> None:
    def download(name: str) -> str:
        raise failure

    monkeypatch.setattr(kagglehub, "dataset_download", download)
    with pytest.raises(DatasetError, match=sentence) as caught:
        download_kaggle(KAGGLE_DATASET)
    assert caught.value.file == KAGGLE_DATASET
    assert "secret" not in str(caught.value)


def test_without_kagglehub_the_sentence_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "kagglehub", None)
    with pytest.raises(DatasetError, match="pip install kagglehub"):
        download_kaggle(KAGGLE_DATASET)
