from pathlib import Path

import numpy as np
import psutil
import pytest

from terrainlib import files
from terrainlib.ui.memory import leave_to_disk, on_disk

LARGE = np.arange(2**24, dtype=np.uint16).reshape(2**12, -1)  # 32 MB


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAINLIB_HOME", str(tmp_path))


def test_a_large_array_lies_in_a_file_that_nobody_sees():
    small = LARGE[:2]

    kept = on_disk(LARGE)

    np.testing.assert_array_equal(kept, LARGE)
    assert not kept.flags.writeable
    assert list(files.cache_dir().iterdir()) == []
    assert on_disk(small) is small


@pytest.mark.skipif(not psutil.LINUX, reason="counts pages as Linux does")
def test_what_was_read_from_there_takes_no_memory_until_it_is_read_again():
    kept = on_disk(LARGE)

    before = _pages_of_files()
    total = kept.sum()
    read = _pages_of_files()
    leave_to_disk()

    assert read - before > LARGE.nbytes // 2
    assert _pages_of_files() - before < LARGE.nbytes // 2
    assert kept.sum() == total


def _pages_of_files() -> int:
    """Return the bytes of files that lie in this process's memory."""
    shared: int = psutil.Process().memory_info().shared
    return shared
