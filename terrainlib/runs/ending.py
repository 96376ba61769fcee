"""How work ends, in words: every end becomes a state and one sentence."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from terrainlib.errors import FailureError, StoppedError, TerrainError
from terrainlib.runs.report import StatusReport
from terrainlib.runs.words import TRAINING, Words

if TYPE_CHECKING:
    from terrainlib.model.reports import TrainingResult

MAX_ERROR_LETTERS = 300
_FULL_NAMES = ("ResourceExhaustedError",)
_FULL_TEXTS = ("failed to map segment", "Cannot allocate memory", "std::bad_alloc")
_logger = logging.getLogger(__name__)


@contextmanager
def ending_in_words(
    report: StatusReport[Any], words: Words = TRAINING
) -> Iterator[None]:
    """Make the status say how the block ended, whatever happens in it.

    Args:
        report: Where to say it.
        words: Those of the kind of work.
    """
    try:
        with memory_in_words(words):
            yield
    except StoppedError:
        report.end("stopped", words.too_early)
    except TerrainError as error:
        _logger.error("%s", error)
        report.end("failed", str(error))
        raise
    except KeyboardInterrupt:
        report.end("stopped", words.interrupted)
        raise
    except Exception as error:
        _logger.exception("unexpected error")
        report.end("failed", unexpected(error, words))
        raise


def unexpected(error: Exception, words: Words) -> str:
    """Return the sentence for an error that nobody foresaw."""
    text = " ".join(str(error).split())[:MAX_ERROR_LETTERS]
    return f"unexpected error: {type(error).__name__}: {text}; see {words.log}"


@contextmanager
def memory_in_words(words: Words) -> Iterator[None]:
    """Turn the ways of running out of memory into one sentence.

    Raises:
        FailureError: With that sentence.
    """
    try:
        yield
    except Exception as error:
        if _is_for_want_of_memory(error):
            raise FailureError(words.too_large) from error
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
