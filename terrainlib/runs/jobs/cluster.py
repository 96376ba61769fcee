"""Predicting on a cluster: orders to a scheduler of Dask, answers as they come.

`distributed` does the queueing, notices workers that are gone and does their work
again. It is imported when a cluster is asked for. What is here decides what to order,
tries elsewhere what failed, and puts scenes that were cut together.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from terrainlib import files, rights
from terrainlib.data.imagery import read_size
from terrainlib.errors import (
    ConfigError,
    FailureError,
    StoppedError,
    TerrainError,
)
from terrainlib.mask.products.records import Made
from terrainlib.mask.products.strips import Strip, cut
from terrainlib.model.machine import usable_cores
from terrainlib.runs.jobs.config import check_address, local_workers
from terrainlib.runs.jobs.estimate import model_outline
from terrainlib.runs.jobs.orders import STOP, THREADS, Answer, Order, carry_out
from terrainlib.types import Size

CUT_MEGAPIXELS: Final = 100  # a smaller scene is one task, whatever else there is
STRIPS_A_WORKER: Final = 4  # so that the last ones do not wait for one of them
TRIES: Final = 3
_CONNECT_SECONDS: Final = 15
_WAIT_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 1.0  # hundreds of workers have much to tell
_ANSWER_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class ClusterState:
    """How it goes.

    Attributes:
        workers: Processes that work.
        memory_bytes: What they take together.
        threads: The most threads that one of them has.
        done: Scenes that are done.
        failed: Scenes that failed.
        pixels: Pixels that are done.
        of_pixels: Pixels of all scenes.
    """

    workers: int = 0
    memory_bytes: int = 0
    threads: int = 1
    done: int = 0
    failed: int = 0
    pixels: int = 0
    of_pixels: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a scene; neither, where it was not begun.

    Attributes:
        number: Its place among the orders.
        made: What was made; the files lie in the job's folder still.
        problem: Or what was wrong.
        loading: Seconds that its worker took to read the model, where it had to.
        seconds: That its worker took in all.
    """

    number: int
    made: Made | None = None
    problem: Exception | None = None
    loading: float = 0.0
    seconds: float = 0.0

    @property
    def begun(self) -> bool:
        """Whether anything became of it."""
        return self.made is not None or self.problem is not None

    def result(self) -> Made:
        """Return what was made, or raise what was wrong."""
        if self.made is None:
            raise self.problem or StoppedError("was not begun.")
        return self.made


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Yield a client of the cluster at an address, or of one made here for it.

    Raises:
        ConfigError: If it is no address, `distributed` is not installed, or nobody
            answers.
        RightsError: If whoever acts now may not use a cluster.
    """
    rights.require("use a cluster")
    here = local_workers(check_address(address))
    try:
        import dask
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise ConfigError(
            "a cluster needs the package distributed, which is not installed. Install "
            "it with: pip install -r requirements-dask.txt"
        ) from error
    logging.getLogger("distributed").setLevel(logging.ERROR)  # it tells of every step
    if here is None:
        try:
            client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise ConfigError(
                f"no scheduler answers at {address}. Start one with `dask scheduler`, "
                "or check the address."
            ) from error
        with client:
            yield client
        return
    cores = usable_cores()
    count = here or cores
    with (
        dask.config.set({"distributed.scheduler.worker-saturation": 1.0}),
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            dashboard_address=":0",
            scheduler_kwargs={"dashboard": False},
            silence_logs=logging.ERROR,
            preload=[carry_out.__module__],
            env={THREADS: os.environ.get(THREADS, str(max(1, cores // count)))},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def predict_on(
    client: Any,
    orders: Sequence[Order],
    *,
    should_stop: Callable[[], bool] = lambda: False,
    watch: Callable[[ClusterState], None] = lambda _: None,
) -> Iterator[Outcome]:
    """Predict scenes on a cluster; yield what becomes of each, as they end.

    Args:
        client: From `connected`.
        orders: The scenes, all of one job.
        should_stop: Asked twice a second. What is running keeps its finished rows, and
            nothing more is begun.
        watch: Told how it goes, each second.
    """
    yield from _Run(client, orders, watch).outcomes(should_stop)


@dataclass(slots=True, eq=False)
class _Scene:
    """A scene on its way."""

    number: int
    order: Order
    size: Size | None  # unknown where its header cannot be read: the worker will tell
    strips: list[Strip | None] = field(default_factory=list)
    over: bool = False

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1] if self.size else 1


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """An order that a worker has or will have."""

    scene: _Scene
    order: Order
    pixels: int
    strip: int | None = None
    tries: int = 1
    only: frozenset[str] = frozenset()  # workers that may have it; empty for any


class _Run:
    """The orders of one job."""

    def __init__(
        self,
        client: Any,
        orders: Sequence[Order],
        watch: Callable[[ClusterState], None],
    ) -> None:
        self._client = client
        self._watch = watch
        self._scenes = [
            _Scene(number, order, _size(order)) for number, order in enumerate(orders)
        ]
        total = sum(scene.pixels for scene in self._scenes)
        self._state = ClusterState(of_pixels=max(1, total))
        self._ended: SimpleQueue[Any] = SimpleQueue()
        self._tasks: dict[Any, _Task] = {}
        self._looked = 0.0

    def outcomes(self, should_stop: Callable[[], bool]) -> Iterator[Outcome]:
        """Order everything, and yield what becomes of it."""
        stopped = False
        while not self._look() and not (stopped := should_stop()):
            time.sleep(_WAIT_SECONDS)
        if stopped:
            yield from (Outcome(scene.number) for scene in self._scenes)
            return
        for scene in sorted(self._scenes, key=lambda scene: -scene.pixels):
            self._order(scene)
        while self._tasks:
            if not stopped and should_stop():
                stopped = True
                files.write_bytes(Path(self._scenes[0].order.folder, STOP), b"")
            with suppress(Empty):
                ended = self._ended.get(timeout=_WAIT_SECONDS)
                if (outcome := self._take(ended)) is not None:
                    yield outcome
            self._look()

    def _look(self) -> int:
        """Tell how it goes, now and then; return how many workers there are."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            known = self._workers()
            workers = list(known.values())
            self._free(set(known))
            self._state = replace(
                self._state,
                workers=len(workers),
                memory_bytes=sum(w["metrics"].get("memory", 0) for w in workers),
                threads=max((w["nthreads"] for w in workers), default=1),
            )
            self._watch(self._state)
        return self._state.workers

    def _workers(self) -> dict[str, Any]:
        try:
            return dict(self._client.scheduler_info(n_workers=-1)["workers"])
        except (OSError, TimeoutError):  # it may come back; if not, the answers tell
            return {}

    def _free(self, known: set[str]) -> None:
        """Let anybody do what only workers may do that are gone."""
        for future, task in list(self._tasks.items()):
            if known and task.only and task.only.isdisjoint(known):
                del self._tasks[future]
                self._client.cancel([future])
                self._submit(replace(task, only=frozenset()))

    def _order(self, scene: _Scene) -> None:
        """Order a scene, in strips where it would keep one worker busy to the end."""
        workers, pixels = self._state.workers, scene.pixels
        large = pixels >= CUT_MEGAPIXELS * 1e6 and workers > 1
        if scene.size and large and workers * pixels > self._state.of_pixels:
            with suppress(TerrainError):  # too wide: the worker will tell
                model = model_outline(scene.order.model)
                wanted, count = scene.order.wanted, STRIPS_A_WORKER * workers
                parts = cut(model, scene.size, wanted, count)
                scene.strips = [None] * len(parts)
                for number, part in enumerate(parts):
                    order = replace(scene.order, part=part)
                    self._submit(_Task(scene, order, pixels // len(parts), number))
                return
        self._submit(_Task(scene, scene.order, pixels))

    def _submit(self, task: _Task) -> None:
        future = self._client.submit(
            carry_out,
            task.order.to_dict(),
            key=f"{task.order.stem}-{os.urandom(8).hex()}",
            workers=sorted(task.only) or None,
            retries=TRIES - 1,
            pure=False,
        )
        self._tasks[future] = task
        future.add_done_callback(self._ended.put)

    def _take(self, future: Any) -> Outcome | None:
        """Take an answer; return what became of its scene where that is decided."""
        task = self._tasks.pop(future, None)
        if task is None or task.scene.over:
            return None
        scene = task.scene
        try:
            answer = Answer.from_dict(future.result(timeout=_ANSWER_SECONDS))
        except Exception as error:  # noqa: BLE001 - no scene ends the job
            if future.status != "error" and isinstance(error, TimeoutError):
                self._tasks[future] = task  # its worker went with it: it is done again
                future.add_done_callback(self._ended.put)
                return None
            return self._end(scene, problem=_in_words(error))
        if answer.elsewhere and task.tries < TRIES:
            others = frozenset(self._workers()) - {answer.worker}
            self._submit(replace(task, tries=task.tries + 1, only=others))
            return None
        if answer.error is not None:
            return self._end(scene, problem=answer.error)
        if answer.made is not None:
            self._add(task.pixels)
            outcome = self._end(scene, made=Made.from_dict(answer.made))
            return replace(outcome, loading=answer.loading, seconds=answer.seconds)
        if answer.strip is None or task.strip is None:
            return self._end(scene, problem=_stopped(scene) if scene.strips else None)
        self._add(task.pixels)
        scene.strips[task.strip] = answer.strip
        self._join(scene)
        return None

    def _join(self, scene: _Scene) -> None:
        """Order that strips are put together, where all of them are there."""
        strips = [strip for strip in scene.strips if strip is not None]
        if len(strips) == len(scene.strips):
            order = replace(scene.order, strips=tuple(strips))
            self._submit(_Task(scene, order, 0))

    def _end(
        self, scene: _Scene, made: Made | None = None, problem: Exception | None = None
    ) -> Outcome:
        scene.over = True
        rest = [future for future, task in self._tasks.items() if task.scene is scene]
        if rest:
            self._client.cancel(rest)
        for strip in filter(None, scene.strips):
            shutil.rmtree(Path(strip.path).parent, ignore_errors=True)
        done, failed = self._state.done, self._state.failed
        self._state = replace(
            self._state,
            done=done + (made is not None and not made.stopped),
            failed=failed + (problem is not None),
        )
        return Outcome(scene.number, made, problem)

    def _add(self, pixels: int) -> None:
        self._state = replace(self._state, pixels=self._state.pixels + pixels)


def _stopped(scene: _Scene) -> StoppedError:
    return StoppedError(
        "stopped before all its strips were there; nothing was written.",
        file=scene.order.name,
    )


def _in_words(error: Exception) -> Exception:
    """Return what a cluster says of itself in a sentence; anything else as it is."""
    name = type(error).__name__
    if name == "KilledWorker":
        return FailureError(
            "each worker that had it ended, as a rule for want of memory. Give the "
            "workers more, or use a smaller scale."
        )
    if name in ("CancelledError", "FutureCancelledError", "CommClosedError"):
        return FailureError("the scheduler of the cluster is gone. Start again.")
    if isinstance(error, ModuleNotFoundError):
        return ConfigError(
            f"the workers do not have the package {error.name}. Install there what is "
            "installed here."
        )
    return error


def _size(order: Order) -> Size | None:
    with suppress(Exception):
        return read_size(Path(order.image), in_parts=True)
    return None
