"""A training on a disk that fails: old files stay whole, and it can go on later."""

import errno

import pytest

from terrainlib.runs.folder import read_run
from tests.conftest import more
from tests.faults.disk import FailingDisk
from tests.faults.oracle import require_whole
from tests.faults.small_runs import Undisturbed, new_run, require_it_goes_on, train
from tests.models import KERAS_COPY_WARNING

SHARES = [0.0, 0.6, 1.0, *more(0.2, 0.8)]  # of all writes

pytestmark = [
    pytest.mark.filterwarnings(KERAS_COPY_WARNING),
    pytest.mark.usefixtures("same_home"),
]


def test_the_disk_is_asked_often_enough_to_be_tested(undisturbed: Undisturbed) -> None:
    assert undisturbed.writes > 40


@pytest.mark.parametrize("share", SHARES)
def test_a_full_disk_ends_a_training_in_words_and_it_goes_on_later(
    undisturbed: Undisturbed, share: float
) -> None:
    path = new_run(undisturbed.data)
    with FailingDisk(operation_at(share, undisturbed)) as disk:
        sentence = train(path)

    assert disk.failed
    assert "No space left on the disk" in sentence or not sentence
    require_whole(path)
    require_it_goes_on(path, undisturbed)


@pytest.mark.parametrize("number", [errno.EIO, *more(errno.EROFS)])
@pytest.mark.parametrize("share", [0.45])
def test_one_failure_harms_no_file(
    undisturbed: Undisturbed, share: float, number: int
) -> None:
    path = new_run(undisturbed.data)
    first = operation_at(share, undisturbed)
    with FailingDisk(first, many=1, number=number) as disk:
        sentence = train(path)

    assert disk.failed == 1
    assert read_run(path).state == ("failed" if sentence else "finished")
    require_whole(path)
    require_it_goes_on(path, undisturbed)


def operation_at(share: float, undisturbed: Undisturbed) -> int:
    """Return the number of the operation at a share of a whole training."""
    return max(1, round(share * undisturbed.writes))
