"""Many scenes on a cluster: one worker against two, a worker killed, and the parts.

Run from the project's folder: `python -m benchmarks.cluster --scenes 200`. The scenes
are parts of the sample's, of 256 px; the model is the embedded one.

Each way starts a cluster of processes on this machine and predicts all scenes. What is
timed begins when every worker has read the model, for that is done once. One of the
ways loses a worker when a quarter is done; its files are compared with the others'.
With fewer cores than workers the ratio says what the cores give, not what Dask does.

The parts of a scene are those of one worker: reading it (measured here, apart), the
network, all else that its worker does (comparing it with the training images, finishing
the mask, writing and checking the files), and what the cluster adds to that (wall clock
of the one worker less what it says itself). `order` is what the process that gives the
orders spends on a scene, of its processor: the part that no worker takes off it.
"""

import argparse
import os
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from terrainlib.data.sample import SCENES_DIR
from terrainlib.data.scene import open_scene
from terrainlib.mask.products.records import Wanted
from terrainlib.runs.jobs.cluster import Outcome, connected, predict_on
from terrainlib.runs.jobs.delivery import hand_over
from terrainlib.runs.jobs.orders import THREADS, Order

_SIDE = 256
_MACHINES, _MANY = 50, 5000


@dataclass(frozen=True, slots=True)
class Way:
    """What one way took, in seconds for all scenes, but for the start."""

    start: float
    wall: float
    processor: float  # of the process that gives the orders
    worker: float
    network: float
    inside: float  # of `predict_file`


def main() -> None:
    """Predict the scenes in every way and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=200, help="how many")
    parser.add_argument("--model", default="default", help="model file")
    options = parser.parse_args()
    os.environ.setdefault(THREADS, "1")  # the same for every worker
    with tempfile.TemporaryDirectory(prefix="cluster-") as name:
        folder = Path(name)
        scenes = _scenes(folder / "scenes", options.scenes)
        ways: dict[str, Way] = {}
        for title, workers, kill in (
            ("1 worker", 1, False),
            ("2 workers", 2, False),
            ("2 workers, one killed", 2, True),
        ):
            out = folder / title.replace(" ", "-")
            ways[title] = _run(options.model, scenes, out, workers, kill=kill)
            print(_line(title, ways[title], len(scenes)), flush=True)
        first, *others = (_contents(folder / t.replace(" ", "-")) for t in ways)
        print(f"files the same in every way: {all(o == first for o in others)}")
        _parts(ways["1 worker"], _reading(scenes), len(scenes))


def _scenes(folder: Path, count: int) -> list[Path]:
    """Write parts of the sample's scenes as GeoTIFFs."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    with rasterio.open(SCENES_DIR / "europe.tif") as data:
        pixels, profile = data.read(), data.profile
    size = {"height": _SIDE, "width": _SIDE}
    paths = []
    for number in range(count):
        y, x = (int(rng.integers(0, n - _SIDE + 1)) for n in pixels.shape[1:])
        place = profile["transform"] * rasterio.Affine.translation(x, y)
        paths.append(folder / f"scene{number:04d}.tif")
        with rasterio.open(
            paths[-1], "w", **profile | size | {"transform": place}
        ) as data:
            data.write(pixels[:, y : y + _SIDE, x : x + _SIDE])
    return paths


def _run(model: str, scenes: list[Path], out: Path, workers: int, *, kill: bool) -> Way:
    shared = out / ".shared"
    shared.mkdir(parents=True)
    orders = [
        Order(model, str(path), path.name, path.stem, str(shared), Wanted())
        for path in scenes
    ]
    begun = time.perf_counter()
    with connected(f"local:{workers}") as client:
        client.wait_for_workers(workers)
        client.run(_load, model)
        start = time.perf_counter() - begun
        begun, processor = time.perf_counter(), time.process_time()
        ended: list[Outcome] = []
        for outcome in predict_on(client, orders):
            if outcome.made is None:
                raise SystemExit(f"{scenes[outcome.number].name}: {outcome.problem}")
            hand_over(outcome.made.files, out)
            ended.append(outcome)
            if kill and len(ended) == len(scenes) // 4:
                _kill_one(client)
        wall = time.perf_counter() - begun
        processor = time.process_time() - processor
    made = [one.made for one in ended if one.made is not None]
    return Way(
        start,
        wall,
        processor,
        sum(one.seconds for one in ended),
        sum(one.network_seconds for one in made),
        sum(one.seconds for one in made),
    )


def _load(model: str) -> None:
    """Read the model in a worker, and let its network run once."""
    from terrainlib.model.forward import run_network
    from terrainlib.runs.jobs import orders

    loaded = orders.model_of(model)
    run_network(loaded.network, np.zeros((1, _SIDE, _SIDE, 3), np.float32))


def _kill_one(client: Any) -> None:
    """End the process of a worker that is at work, at once."""
    busy = client.processing()
    address = next(address for address, keys in busy.items() if keys)
    os.kill(client.run(os.getpid, workers=[address])[address], signal.SIGKILL)


def _reading(scenes: list[Path]) -> float:
    """Return the seconds that reading every scene takes."""
    begun = time.perf_counter()
    for path in scenes:
        with open_scene(path) as scene:
            scene.read((slice(0, scene.height), slice(0, scene.width)))
    return time.perf_counter() - begun


def _contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def _line(title: str, way: Way, count: int) -> str:
    return (
        f"{title:24} start {way.start:6.1f} s   all scenes {way.wall:7.1f} s   "
        f"a scene {1000 * way.wall / count:6.0f} ms"
    )


def _parts(way: Way, reading: float, count: int) -> None:
    """Print what one scene is made of, and what that means for many machines."""
    parts = {
        "reading": reading,
        "network": way.network,
        "all else of its worker": way.worker - way.network - reading,
        "cluster": way.wall - way.worker,
        "order": way.processor,
    }
    print("a scene of one worker, ms:")
    for name, seconds in parts.items():
        print(f"  {name:24} {1000 * seconds / count:8.1f}")
    scene, order = way.wall / count, way.processor / count
    shared, given = -(-_MANY // _MACHINES) * scene, _MANY * order
    print(
        f"{_MANY} such scenes on {_MACHINES} workers: {way.start:.0f} s to start, then "
        f"{max(shared, given):.0f} s ({shared:.0f} s of each worker, {given:.0f} s of "
        f"the orders, which are the limit from {scene / order:.0f} workers on)"
    )


if __name__ == "__main__":
    main()
