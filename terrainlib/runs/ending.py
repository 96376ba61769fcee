"""How a training ends, in words: every end becomes a state and one sentence."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from terrainlib.errors import FailureError, StoppedError, TerrainError
from terrainlib.runs.report import Report

if TYPE_CHECKING:
    from terrainlib.model.reports import TrainingResult

MAX_ERROR_LETTERS = 300
_FULL_NAMES = ("ResourceExhaustedError",)
_FULL_TEXTS = ("failed to map segment", "Cannot allocate memory", "std::bad_alloc")
_logger = logging.getLogger(__name__)


@contextmanager
def ending_in_words(report: Report) -> Iterator[None]:
    """Make the status say how the block ended, whatever happens in it."""
    try:
        with _memory_in_words():
            yield
    except StoppedError:
        report.end("stopped", "Stopped before the first step.")
    except TerrainError as error:
        _logger.error("%s", error)
        report.end("failed", str(error))
        raise
    except KeyboardInterrupt:
        report.end("stopped", "Interrupted. Resume continues from the last epoch.")
        raise
    except Exception as error:
        _logger.exception("unexpected error")
        text = " ".join(str(error).split())[:MAX_ERROR_LETTERS]
        kind = type(error).__name__
        report.end("failed", f"unexpected error: {kind}: {text}; see train.log")
        raise


@contextmanager
def _memory_in_words() -> Iterator[None]:
    """Turn the ways of running out of memory into one sentence."""
    try:
        yield
    except Exception as error:
        if _is_for_want_of_memory(error):
            raise FailureError(
                "The memory is not enough. Lower the batch size or the image size."
            ) from error
        raise


def _is_for_want_of_memory(error: Exception) -> bool:
    """Whether Python, TensorFlow or the loader of its libraries found no memory."""
    if isinstance(error, MemoryError) or type(error).__name__ in _FULL_NAMES:
        return True
    return any(text in str(error) for text in _FULL_TEXTS)


def last_words(result: "TrainingResult", left_out: int) -> str:
    """Return the sentence that a run ends with when its model is saved.

    Args:
        result: What the training gave.
        left_out: Pairs that could not be read.
    """
    if result.best_epoch:
        words = f"The model is that of epoch {result.best_epoch}."
    else:
        words = "Stopped within the first epoch; the model has hardly learnt anything."
    if left_out:
        pairs = "1 pair was" if left_out == 1 else f"{left_out} pairs were"
        words += f" {pairs} left out as unreadable; the log says why."
    return words
