"""Every error the library raises on purpose, with the exit status it maps to.

A message is one sentence: what is wrong, the limit, what to do. `file` names the file
at fault, by its name alone; `str(error)` puts it in front.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any, ClassVar


class TerrainError(Exception):
    """Base of every error above.

    Args:
        message: What is wrong, the limit and what to do, in one sentence.
        file: Name of the file or folder at fault, if there is one.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, file: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.file = file

    def __str__(self) -> str:
        return f"{self.file}: {self.message}" if self.file else self.message


class InputError(TerrainError, ValueError):
    """Bad input or usage: a file, a folder, an argument."""

    exit_status: ClassVar[int] = 2


class ImageError(InputError):
    """An image, mask or height file that cannot be read or does not fit."""


class BandsError(ImageError):
    """An image that does not say which of its bands are those of a model."""


class DatasetError(InputError):
    """A folder that is no usable data set."""


class ModelFileError(InputError):
    """A file that is no model of ours, or is damaged, or is dangerous."""


class ConfigError(InputError):
    """An option out of its bounds."""


class RightsError(InputError):
    """Something that whoever asks for it may not do here."""


class RunError(InputError):
    """A run folder that cannot be used the way it was asked for."""


class FailureError(TerrainError, RuntimeError):
    """A failure on the way: disk, memory, a loss that is not finite."""


class StoppedError(FailureError):
    """Work that ended early because its caller asked it to."""


class StorageError(FailureError):
    """The disk is full, read-only or failing."""


class TrainingError(FailureError):
    """A training that cannot go on."""


_MEMORY_NAMES = ("ResourceExhaustedError",)  # TensorFlow's
_MEMORY_TEXTS = ("failed to map segment", "Cannot allocate memory", "std::bad_alloc")


def lacks_memory(error: Exception) -> bool:
    """Return whether an error of any library says that there is not enough memory."""
    if isinstance(error, MemoryError) or type(error).__name__ in _MEMORY_NAMES:
        return True
    return any(text in str(error) for text in _MEMORY_TEXTS)


def require_number(what: str, value: Any, low: float, high: float) -> None:
    """Refuse what is no number, or one out of its bounds.

    Raises:
        ConfigError: Naming both bounds.
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and low <= value <= high):
        raise ConfigError(
            f"the {what} must be {low:g} to {high:g}, not {value!r}. Choose a number "
            "in that range."
        )


# `warnings.catch_warnings` changes the whole process; one thread at a time.
_LOCK = threading.Lock()


@contextmanager
def ignored_warnings(
    message: str = "", category: type[Warning] = Warning
) -> Iterator[None]:
    """Pass over a warning while the block lasts; other threads wait for its end.

    Args:
        message: Pattern of how its text begins; empty for any.
        category: Its class.
    """
    with _LOCK, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message, category)
        yield
