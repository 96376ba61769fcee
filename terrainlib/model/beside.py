"""TensorFlow in a process of its own, for the app: its pages never wait for it.

In their own process it would hold up all pages while it is loaded, be gone through by
each collection of garbage, and keep half a gigabyte when everybody has left. Where
nobody has asked for such a process, everything happens here.
"""

import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final, ParamSpec, TypeVar, cast

from terrainlib import rights
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.errors import TerrainError, lacks_memory
from terrainlib.model.forward import Distant, run_network
from terrainlib.model.modelfile import TerrainModel, find_model_file, load_model
from terrainlib.places import require_readable
from terrainlib.types import FloatArray

_KEPT_MODELS: Final = 3
_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(slots=True)
class _Beside:
    """The process, started when it is first needed and again where it has ended."""

    wanted: bool = False
    ready: bool = False
    process: "subprocess.Popen[bytes] | None" = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, *request: Any) -> Any:
        """Return what the process answers; it is ended if it is not heard out."""
        with self.lock:
            try:
                told, heard = self._pipes()
                pickle.dump(request, told, pickle.HIGHEST_PROTOCOL)
                told.flush()
                answer = pickle.load(heard)
            except (OSError, EOFError) as error:
                self.end()
                raise MemoryError("the process with TensorFlow has ended") from error
            except BaseException:
                self.end()
                raise
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self) -> None:
        """End the process, and all memory that it has taken."""
        if self.process is not None:
            self.process.kill()
            with suppress(OSError):  # what it has not read cannot be flushed
                self.process.communicate()
        self.process, self.ready = None, False

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self.process is None or self.process.poll() is not None:
            self.end()
            root, known = str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")
            path = f"{root}{os.pathsep}{known}" if known else root
            self.process = subprocess.Popen(
                (sys.executable, "-m", "terrainlib.model.beside"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,
            )
        return (
            cast("IO[bytes]", self.process.stdin),
            cast("IO[bytes]", self.process.stdout),
        )


_BESIDE: Final = _Beside()


def work_beside(*, wanted: bool = True) -> None:
    """Have a process for TensorFlow from now on, once it is needed; or none again.

    It is ended whatever it does: whoever stops the app does not wait for it.
    """
    _BESIDE.wanted = wanted
    if not wanted:
        if _BESIDE.process is not None:
            _BESIDE.process.kill()
        end_beside()


def is_wanted() -> bool:
    """Return whether there is such a process, when it is needed."""
    return _BESIDE.wanted


def load_ahead() -> None:
    """Load TensorFlow where it is going to be used, and wait for it."""
    run_beside(_load)
    _BESIDE.ready = True


def is_loaded() -> bool:
    """Return whether TensorFlow is there, so that a prediction begins at once."""
    return _BESIDE.ready if _BESIDE.wanted else _is_here()


def end_beside() -> None:
    """End the process until it is needed again, when what it does is done."""
    with _BESIDE.lock:
        _BESIDE.end()


def run_beside(function: Callable[_P, _R], *args: _P.args, **options: _P.kwargs) -> _R:
    """Call a module's function in the process for TensorFlow, for whoever acts now.

    Raises:
        MemoryError: If the process has ended.
        Exception: Whatever the function raises.
    """
    if not _BESIDE.wanted:
        return function(*args, **options)
    answer: _R = _BESIDE.ask(rights.actor(), partial(function, **options), args)
    return answer


def model_to_run(model: str | Path) -> TerrainModel:
    """Load a model to predict with; its network stays in the process for TensorFlow.

    Raises:
        ModelFileError: As `load_model`.
        RightsError: If whoever acts now may not open it.
    """
    if not _BESIDE.wanted:
        return load_model(model)
    embedded = str(model) in EMBEDDED_MODELS
    word = str(model) if embedded else str(Path(model).absolute())
    date = 0
    with suppress(OSError):  # a file that is missing is told where it is read
        date = find_model_file(word).stat().st_mtime_ns
    outline = run_beside(_outline, word, date)
    _BESIDE.ready = True
    network = Distant(lambda batch: run_beside(_run, word, date, batch))
    return replace(outline, network=network)


def _load() -> None:
    import_module("keras")


def _is_here() -> bool:
    return hasattr(sys.modules.get("keras"), "Model")


@lru_cache(_KEPT_MODELS)
def _model(word: str, date: int) -> TerrainModel:
    del date  # part of the key
    return load_model(word)


def _outline(word: str, date: int) -> TerrainModel:
    require_readable(find_model_file(word))
    return replace(_model(word, date), network=None)


def _run(word: str, date: int, batch: FloatArray) -> FloatArray:
    return run_network(_model(word, date).network, batch)


def _answer_all() -> None:
    """Do what is asked for, until nobody can ask any more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    while True:
        try:
            who, function, args = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer: Any
        try:
            with rights.acting(who):
                answer = function(*args)
        except TerrainError as error:
            answer = error
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            traceback.print_exc()
            kind = MemoryError if lacks_memory(error) else RuntimeError
            answer = kind(f"{type(error).__name__}: {error}")
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    _answer_all()
