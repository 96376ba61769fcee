"""What the workers of a cluster do: a scene, or a strip of one, by its path.

Only plain values come and go. A worker reads the model once, and writes what it makes
into a hidden folder of the job on the disk that all share; who gave the order moves it
to its place. So nothing half done is ever seen, however a worker ends.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from terrainlib import errors, files, rights
from terrainlib.errors import InputError, StoppedError, TerrainError
from terrainlib.mask.products.making import predict_file
from terrainlib.mask.products.records import Made, Wanted
from terrainlib.mask.products.strips import Strip, joined, predict_strip
from terrainlib.mask.products.task import opened
from terrainlib.runs.jobs.estimate import model_file
from terrainlib.types import Count, PathText, Seconds, Sentence, Text, checked

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

STOP: Final = "stop"
THREADS: Final = "TF_NUM_INTRAOP_THREADS"  # the variable that TensorFlow reads
_LOCK: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class Order:
    """One thing to do.

    Attributes:
        model: What `load_any` takes.
        image: Path of the scene.
        name: What to call it.
        stem: What the names of its results begin with.
        folder: The job's folder on the disk that all share.
        wanted: What to make of it.
        heights: Path of its heights; None without.
        part: The strip to predict, as `cut` gives it; None for the whole scene.
        strips: All strips of the scene, to be put together; empty where it is whole.
    """

    model: PathText
    image: PathText
    name: Text
    stem: Text
    folder: PathText
    wanted: Wanted
    heights: PathText | None = None
    part: tuple[Count, Count] | None = None
    strips: tuple[Strip, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form."""
        return asdict(self) | {
            "wanted": self.wanted.to_dict(),
            "part": self.part and list(self.part),
            "strips": [strip.to_dict() for strip in self.strips],
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an order; nothing where it was not begun.

    Attributes:
        worker: The address of the worker that did it.
        made: The scene.
        strip: Or the strip.
        kind: Or the class of what was wrong.
        message: What was wrong, in a sentence.
        file: The file at fault.
        elsewhere: Whether another worker may do better.
        loading: Seconds that it took to read the model, where that was not done before.
        seconds: That all of it took.
    """

    worker: Text
    made: dict[str, Any] | None = None
    strip: Strip | None = None
    kind: Text = ""
    message: Sentence = ""
    file: Text | None = None
    elsewhere: bool = False
    loading: Seconds = 0.0
    seconds: Seconds = 0.0

    @classmethod
    def from_dict(cls, values: Any) -> "Answer":
        """Return what a plain form says.

        Raises:
            ValueError: If it is none.
        """
        return checked(cls, values)

    @property
    def error(self) -> TerrainError | None:
        """What was wrong, if anything was."""
        if not self.kind:
            return None
        kind = getattr(errors, self.kind, errors.FailureError)
        error: TerrainError = kind(self.message, file=self.file)
        return error


def carry_out(values: Mapping[str, Any]) -> dict[str, Any]:
    """Do what an order says, in a worker of a cluster; return the answer.

    Args:
        values: The plain form of an `Order`.

    Raises:
        Exception: Whatever nobody foresaw, which the cluster carries back.
    """
    from distributed import get_worker  # there is one, or this would not run

    began = time.perf_counter()
    order = checked(Order, dict(values))
    answer: dict[str, Any] = {"worker": get_worker().address}
    try:
        _require_shared(Path(order.folder))
        with rights.acting(rights.OWNER):  # whose order it is was asked before
            if not _asked(order):
                model = model_of(order.model)
                answer["loading"] = time.perf_counter() - began
                answer |= _made(order, model)
    except StoppedError:
        pass
    except TerrainError as error:
        told = {"kind": type(error).__name__, "message": error.message}
        answer |= told | {"file": error.file, "elsewhere": _elsewhere(order, error)}
    return answer | {"seconds": time.perf_counter() - began}


def _require_shared(folder: Path) -> None:
    if not folder.is_dir():
        raise errors.FailureError(
            f"the worker on {socket.gethostname()} does not see the folder of the "
            "results. Put images, model and results where all machines find them under "
            "the same path.",
            file=folder.parent.name,
        )


def _asked(order: Order) -> bool:
    """Return whether the job is to stop, or is over."""
    folder = Path(order.folder)
    return (folder / STOP).exists() or not folder.exists()


def _elsewhere(order: Order, error: TerrainError) -> bool:
    """Return whether it may lie with the machine: bad input is bad everywhere."""
    needed = [order.image, str(model_file(order.model)), order.heights or order.image]
    missing = not all(files.is_file(Path(path)) for path in needed)
    return missing or not isinstance(error, InputError)


def _made(order: Order, model: "TerrainModel") -> dict[str, Any]:
    """Predict a scene or a strip, into a folder of its own."""
    folder, image = Path(order.folder), Path(order.image)
    heights = None if order.heights is None else Path(order.heights)
    own = folder / f"{os.getpid()}-{os.urandom(8).hex()}"
    if order.part is not None:
        about: Any = {"name": order.name, "heights": heights}
        with opened(model, image, own, order.stem, order.wanted, **about) as task:
            own.mkdir()
            path = own / "strip.tif"
            stop = partial(_asked, order)
            strip = predict_strip(task, order.part, path, should_stop=stop)
            return {"strip": strip.to_dict()}
    made = predict_file(
        model,
        image,
        own,
        order.stem,
        order.wanted,
        name=order.name,
        heights=heights,
        should_stop=partial(_asked, order),
        pass_over=joined(order.strips, order.wanted) if order.strips else None,
    )
    return {"made": _with_strips(made, order.strips).to_dict()}


def _with_strips(made: Made, strips: tuple[Strip, ...]) -> Made:
    """Return what was made, with the time that its strips took."""
    seconds = made.seconds + sum(strip.seconds for strip in strips)
    speed = made.rows * made.width / 1e6 / seconds
    return replace(made, seconds=seconds, megapixels_per_second=speed)


def model_of(model: str) -> "TerrainModel":
    """Return a model, read once in a process while its file stays as it is."""
    stamp = None
    with suppress(OSError):
        facts = model_file(model).stat()
        stamp = (facts.st_mtime_ns, facts.st_size)
    os.environ.setdefault(THREADS, "1")  # many workers share a machine
    with _LOCK:
        return _loaded(model, stamp)


@lru_cache(maxsize=1)
def _loaded(model: str, stamp: tuple[int, int] | None) -> "TerrainModel":
    from terrainlib.model.instant import load_any  # TensorFlow, at last

    del stamp  # a part of the key
    return load_any(model)


def dask_setup(_: Any) -> None:
    """Let a worker that was started here leave Ctrl-C to the one who started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
