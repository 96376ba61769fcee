"""Unpacked uploads: kept for the next time, the oldest out at a size."""

import io
import os
import threading
import zipfile
from pathlib import Path

import pytest

from terrainlib import files
from terrainlib.data import fetch
from terrainlib.data.fetch import mark_used, unpack_upload


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three uploads of `archive` fit."""
    monkeypatch.setattr(fetch, "MAX_KEPT_MB", 0.0035)


def archive(number: int) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr("a.txt", f"{number:1000d}")
    return data.getvalue()


def unpack(number: int, *in_use: Path) -> Path:
    """Unpack an upload and let it be used long ago: the later the larger the number."""
    folder = unpack_upload(archive(number), f"set {number}.zip", in_use)
    used(folder, number)
    return folder


def used(folder: Path, seconds: int) -> None:
    os.utime(folder.parent, (seconds, seconds))


def test_an_upload_keeps_its_name_and_is_unpacked_once() -> None:
    folder = unpack(1)
    (folder / "a.txt").write_text("kept")

    assert unpack(1) == folder
    assert folder.name == "set 1"
    assert (folder / "a.txt").read_text() == "kept"


def test_the_uploads_used_longest_ago_go_out() -> None:
    folders = [unpack(number) for number in range(3)]
    used(folders[0], 3)

    newest = unpack(3)

    assert [mark_used(folder) for folder in folders] == [True, False, True]
    assert newest.is_dir()
    left = {path.name for path in newest.parent.parent.iterdir()}
    assert left == {path.parent.name for path in (folders[0], folders[2], newest)}


def test_what_was_used_just_now_stays_in_spite_of_the_limit() -> None:
    folders = [unpack(number) for number in range(3)]
    for folder in folders:
        assert mark_used(folder)

    unpack(3)

    assert all(folder.is_dir() for folder in folders)


def test_what_is_in_use_stays_however_old_and_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained = unpack(0)
    monkeypatch.setattr(fetch, "MAX_KEPT_MB", 0)

    newest = unpack(1, trained / "images")

    assert trained.is_dir()
    assert newest.is_dir()


def test_nothing_is_removed_through_a_link_or_beside_the_uploads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("x" * 9000)
    old = unpack(0)
    (old / "link").symlink_to(outside)
    root = files.cache_dir() / "uploads"
    (root / ("0" * 32)).symlink_to(outside)
    (root / "images").mkdir()
    monkeypatch.setattr(fetch, "MAX_KEPT_MB", 0)

    unpack(1)

    assert not old.exists()
    assert (outside / "mine.txt").exists()
    assert (root / ("0" * 32)).is_symlink()
    assert (root / "images").is_dir()


def test_what_somebody_else_is_unpacking_stays() -> None:
    other = files.cache_dir() / "uploads" / ("f" * 32)
    (other / ".set.1.tmp").mkdir(parents=True)
    (other / ".set.1.tmp" / "a.txt").write_text("x" * 9000)
    os.utime(other, (0, 0))

    unpack(1)

    assert (other / ".set.1.tmp" / "a.txt").exists()


def test_two_sessions_can_clear_at_once() -> None:
    for number in range(3):
        unpack(number)
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def work(number: int) -> None:
        try:
            start.wait(10)
            for again in range(5):
                assert unpack_upload(archive(10 * number + again), "a.zip").is_dir()
        except BaseException as error:  # noqa: BLE001 - to be seen outside the thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert failures == []
    root = files.cache_dir() / "uploads"
    assert len(list(root.iterdir())) == 20  # the three of long ago went out

    for upload in root.iterdir():
        os.utime(upload, (0, 0))
    unpack(99)
    assert len(list(root.iterdir())) == 3
