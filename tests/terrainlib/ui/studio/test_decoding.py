"""The process that decodes an upload first: kept for others, ended at its limits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from terrainlib.errors import ImageError
from terrainlib.ui.studio import decoding
from tests.imagefiles import encode, jpeg_claiming, pattern, write

SENTENCE = r"^a\.jpg: it takes more than \d+ MB of memory or \d+ s to decode, which is"


@pytest.fixture(autouse=True)
def nobody_kept() -> Iterator[None]:
    """Let each test begin, and leave others, with a process of its own limits."""

    def end() -> None:
        for process in decoding._KEPT:
            process.kill()
            process.communicate()
        decoding._KEPT.clear()

    end()
    yield
    end()


def test_one_process_decodes_one_file_after_the_other(tmp_path: Path) -> None:
    good = write(tmp_path, "a.png", encode(pattern()))
    damaged = write(tmp_path, "b.png", encode(pattern())[:50])  # told where it is read

    decoding.start_ahead()
    [process] = decoding._KEPT
    for path in (good, damaged, good):
        decoding.check_cost(path, path.name)

    assert [process] == decoding._KEPT
    assert process.poll() is None


@pytest.mark.parametrize("limit", [("LIMIT_MB", 500), ("LIMIT_SECONDS", 0)])
def test_a_file_over_a_limit_is_refused_and_the_next_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: tuple[str, int]
) -> None:
    path = write(tmp_path, "a.jpg", jpeg_claiming(8900, 8900))
    with monkeypatch.context() as patch:
        patch.setattr(decoding, *limit)
        with pytest.raises(ImageError, match=SENTENCE):
            decoding.check_cost(path, "a.jpg")
    decoding.check_cost(write(tmp_path, "b.png", encode(pattern())), "b.png")
