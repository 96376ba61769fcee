"""Predicting on a cluster of two processes: the same files, whatever becomes of them.

The workers are armed with functions of the tests, which are sent to them as they are.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from terrainlib.cli import main
from terrainlib.errors import ConfigError, FailureError
from terrainlib.mask.products.records import Wanted
from terrainlib.runs.folder import create_job
from terrainlib.runs.jobs import cluster
from terrainlib.runs.jobs.cluster import ClusterState, Outcome, connected, predict_on
from terrainlib.runs.jobs.config import (
    JobConfig,
    check_address,
    input_images,
    local_workers,
)
from terrainlib.runs.jobs.orders import STOP, Order
from terrainlib.runs.jobs.predict import run_job
from terrainlib.runs.slot import JOB_SLOT
from tests.imagefiles import encode, pattern, tiff, write
from tests.models import write_instant

GRID = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with connected("local:2") as client:
        yield client


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_instant(tmp_path_factory.mktemp("model"))


@pytest.fixture
def arm(client: Any) -> Iterator[Callable[..., None]]:
    """Return what puts a function in the place of `predict_file` in workers."""

    def disarm() -> None:
        from terrainlib.mask.products.making import predict_file
        from terrainlib.runs.jobs import orders

        orders.predict_file = predict_file

    def put(change: Callable[..., Any], workers: list[str] | None = None) -> None:
        client.run(change, workers=workers)

    client.wait_for_workers(2)
    yield put
    client.wait_for_workers(2)
    client.run(disarm)


def workers(client: Any) -> list[str]:
    return list(client.scheduler_info()["workers"])


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Return a folder of a tall scene, pictures, and what is none."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    rgb = np.random.default_rng(3).integers(0, 256, (2500, 16, 3), np.uint8)
    write(folder, "a.tif", tiff(rgb, crs="EPSG:32633", transform=GRID))
    write(folder, "b.png", b"no picture")
    for name in ("c.png", "d.png", "e.png"):
        write(folder, name, encode(pattern()))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run(*words: Any) -> int:
    return main.main(["predict", *map(str, words)])


def orders(model: Path, scenes: Path, folder: Path) -> list[Order]:
    folder.mkdir()
    paths = sorted(scenes.iterdir())
    return [
        Order(str(model), str(path), path.name, path.stem, str(folder), Wanted())
        for path in paths
    ]


@pytest.mark.parametrize("strips", [False, True], ids=["whole", "strips"])
def test_a_cluster_gives_the_same_files_and_the_same_last_words(
    client: Any,
    model: Path,
    scenes: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    strips: bool,
) -> None:
    out = scenes.with_name("out")
    assert run(model, scenes, "--out", out, "--soft") == 2
    once, said = contents(out), capsys.readouterr()
    for path in out.iterdir():
        path.unlink()
    (out / "c_mask.png").write_bytes(b"older")

    if strips:
        monkeypatch.setattr(cluster, "CUT_MEGAPIXELS", 0.01)
    seen: list[int] = []
    usual = cluster.cut

    def cut(*words: Any) -> list[tuple[int, int]]:
        parts = usual(*words)
        seen.append(len(parts))
        return parts

    monkeypatch.setattr(cluster, "cut", cut)
    address = client.scheduler.address
    assert run(model, scenes, "--out", out, "--soft", "--dask", address) == 2
    assert contents(out) == once
    again = capsys.readouterr()
    assert again.out == said.out
    assert again.err.splitlines()[-1] == said.err.splitlines()[-1]
    assert sorted(again.err.splitlines()) == sorted(said.err.splitlines())
    assert seen == ([4] if strips else [])


def test_a_worker_that_is_killed_is_made_up_for(
    client: Any, model: Path, scenes: Path, tmp_path: Path, arm: Callable[..., None]
) -> None:
    def die() -> None:
        from terrainlib.runs.jobs import orders

        real = orders.predict_file

        def within(*words: Any, **options: Any) -> Any:
            def killed() -> bool:
                os.kill(os.getpid(), signal.SIGKILL)
                return False

            return real(*words, **options | {"should_stop": killed})

        orders.predict_file = within

    one, two = tmp_path / "one", tmp_path / "two"
    assert run(model, scenes, "--out", one) == 2
    gone = workers(client)[0]
    arm(die, [gone])
    address = client.scheduler.address
    assert run(model, scenes, "--out", two, "--dask", address) == 2
    assert gone not in workers(client)
    assert contents(two) == contents(one)


def test_what_fails_on_one_worker_is_tried_on_another(
    client: Any, model: Path, scenes: Path, tmp_path: Path, arm: Callable[..., None]
) -> None:
    def fail() -> None:
        from terrainlib.errors import StorageError
        from terrainlib.runs.jobs import orders

        def full(*_: Any, **__: Any) -> Any:
            raise StorageError("No space left on the disk.")

        orders.predict_file = full

    arm(fail, workers(client)[:1])
    (scenes / "b.png").unlink()
    states: list[ClusterState] = []
    given = orders(model, scenes, tmp_path / "shared")
    ended = list(predict_on(client, given, watch=states.append))
    assert {one.number for one in ended if one.made} == {0, 1, 2, 3}
    assert states[-1].workers == 2
    assert states[-1].memory_bytes > 0


def test_what_fails_everywhere_is_told_once(
    client: Any, model: Path, scenes: Path, tmp_path: Path, arm: Callable[..., None]
) -> None:
    def fail() -> None:
        from terrainlib.runs.jobs import orders

        def broken(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError("so what")

        orders.predict_file = broken

    arm(fail)
    given = orders(model, scenes, tmp_path / "shared")[:1]
    [ended] = predict_on(client, given)
    assert isinstance(ended.problem, ZeroDivisionError)


def test_a_stop_ends_what_is_running_and_begins_no_more(
    client: Any, model: Path, scenes: Path, tmp_path: Path, arm: Callable[..., None]
) -> None:
    folder, stop = tmp_path / "shared", STOP

    def wait() -> None:
        from terrainlib.mask.products.making import predict_file
        from terrainlib.runs.jobs import orders

        def waiting(*words: Any, **options: Any) -> Any:
            (folder / f"begun-{os.getpid()}").touch()
            while not (folder / stop).exists():
                time.sleep(0.01)
            return predict_file(*words, **options)

        orders.predict_file = waiting

    arm(wait)
    (scenes / "b.png").unlink()
    given = orders(model, scenes, folder)
    ended: list[Outcome] = list(
        predict_on(
            client, given, should_stop=lambda: len(list(folder.glob("begun*"))) == 2
        )
    )
    begun = [one.made for one in ended if one.made]
    assert [(made.stopped, made.rows, made.files) for made in begun] == [
        (True, 0, ()),
        (True, 0, ()),
    ]
    assert [one for one in ended if one.problem] == []
    assert len(ended) == 4


def test_a_folder_that_a_worker_does_not_see_is_a_sentence(
    client: Any, model: Path, scenes: Path, tmp_path: Path
) -> None:
    [order, *_] = orders(model, scenes, tmp_path / "shared")
    Path(order.folder).rmdir()
    [ended] = predict_on(client, [order])
    assert isinstance(ended.problem, FailureError)
    assert "does not see the folder of the results" in str(ended.problem)


def test_a_job_on_a_cluster_waits_for_no_other_and_tells_of_the_workers(
    client: Any,
    model: Path,
    scenes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERRAINLIB_HOME", str(tmp_path / "home"))
    images = input_images(sorted(scenes.iterdir()))
    config = JobConfig(str(model), images, cluster=client.scheduler.address)
    other, path = create_job(JobConfig(str(model), images)), create_job(config)
    with JOB_SLOT.held(other):
        ended = run_job(path, wait=True)
    assert ended.state == "finished"
    assert [made.name for made in ended.made] == ["a.tif", "c.png", "d.png", "e.png"]
    assert all(file.is_file() for made in ended.made for file in made.files)
    assert list(ended.failures) == ["b.png"]
    assert ended.message == "4 of 5 images predicted. 1 failed: b.png."
    assert (ended.status.workers, ended.status.memory_bytes > 0) == (2, True)
    assert not [item for item in ended.folder.iterdir() if item.name.startswith(".")]


@pytest.mark.parametrize(
    "address", ["local:0", "local:x", "10.0.0.5", "http://a:1", ""]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is no address of a cluster"):
        check_address(address)


def test_an_address_says_whether_it_means_this_machine() -> None:
    told = {"local": 0, "local:4": 4, "tcp://10.0.0.5:8786": None, "head:8786": None}
    assert {word: local_workers(check_address(word)) for word in told} == told


def test_a_cluster_that_cannot_be_had_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 0.2)
    with (
        pytest.raises(ConfigError, match=r"no scheduler answers at tcp://127\.0\.0\.1"),
        connected("tcp://127.0.0.1:9"),
    ):
        pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(ConfigError, match="distributed, which is not installed"),
        connected("local:1"),
    ):
        pass
