"""A real worker where the disk, the size of files or the memory comes to an end."""

import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from terrainlib.errors import StorageError
from terrainlib.model.config import TrainingConfig
from terrainlib.runs.folder import Run, create_run, log_tail, read_run
from terrainlib.runs.launcher import mark_starting, worker_command
from terrainlib.runs.process import child_environment
from terrainlib.runs.training.config import RunConfig
from tests.faults.oracle import require_whole
from tests.models import KERAS_COPY_WARNING
from tests.synthetic import write_kaggle_dataset

GIB = 2**30
SMALL_DISK_MB = 24
CRASHES = (-signal.SIGSEGV, -signal.SIGBUS, 139, 135)

pytestmark = pytest.mark.filterwarnings(KERAS_COPY_WARNING)


def new_run(
    data: Path,
    *,
    image_size: int = 32,
    filters: tuple[int, ...] = (4, 8),
    batch: int = 2,
) -> Path:
    training = TrainingConfig.preset(
        "fast",
        network={"image_size": image_size, "filters": filters, "classes": 7},
        epochs=6,
        batch_size=batch,
        validation_share=0.3,
    )
    return create_run(RunConfig("Limits", str(data), training))


def work(path: Path, *options: str, limit: Callable[[], None] | None = None) -> Run:
    """Run the worker of a run to its end, without a reserve of free space."""
    environment = child_environment() | {"TERRAINLIB_FREE_SPACE_RESERVE_MB": "0"}
    with (path / "train.log").open("ab") as log:
        code = subprocess.run(
            worker_command(path, *options),
            stdout=log,
            stderr=log,
            env=environment,
            preexec_fn=limit,
            check=False,
        ).returncode
    assert code not in CRASHES, log_tail(path)
    return read_run(path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 24 MB; without the right to mount one, skip."""
    place = tmp_path / "small"
    place.mkdir()
    mount = [
        "mount",
        "-t",
        "tmpfs",
        "-o",
        f"size={SMALL_DISK_MB}m",
        "tmpfs",
        str(place),
    ]
    allowed = (
        shutil.which("mount") and subprocess.run(mount, check=False).returncode == 0
    )
    if not allowed:
        pytest.skip(
            "mounting is not allowed here; the limit on files is tested instead"
        )
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.exhaustive  # `test_disk` asks for the same of a disk that says so
def test_a_disk_that_is_full_ends_a_training_in_words_and_it_goes_on_later(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERRAINLIB_HOME", str(small_disk))
    path = new_run(write_kaggle_dataset(small_disk / "tiny", pairs=8), filters=(48, 96))
    filler = small_disk / "filler"
    free = shutil.disk_usage(small_disk).free
    filler.write_bytes(bytes(free - 5_000_000))

    failed = work(path)

    assert failed.state == "failed"
    assert "No space left" in failed.message
    require_whole(path)
    filler.unlink()
    mark_starting(failed)
    assert work(path, "--resume").state == "finished"
    require_whole(path)


def test_a_limit_on_the_size_of_files_ends_a_training_in_words(tmp_path: Path) -> None:
    path = new_run(write_kaggle_dataset(tmp_path / "tiny", pairs=8), filters=(48, 96))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    failed = work(path, limit=limit)

    assert failed.state == "failed"
    assert "arger than this system allows" in failed.message
    require_whole(path)


@pytest.mark.parametrize("gigabytes", [1, 3])
def test_too_little_memory_ends_a_training_in_words(
    tmp_path: Path, gigabytes: int
) -> None:
    data = write_kaggle_dataset(tmp_path / "large", pairs=40, size=64)
    path = new_run(data, image_size=256, filters=(48, 96, 192), batch=40)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (gigabytes * GIB, gigabytes * GIB))

    failed = work(path, limit=limit)

    assert failed.state == "failed", log_tail(path)
    assert "There is not enough memory" in failed.message
    assert "Lower the batch size" in failed.message
    require_whole(path)


def test_a_folder_that_is_read_only_is_refused_before_anything_is_trained(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERRAINLIB_HOME", str(small_disk))
    data = write_kaggle_dataset(small_disk / "tiny", pairs=8)
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)

    with pytest.raises(StorageError, match="The disk is read-only"):
        new_run(data)
