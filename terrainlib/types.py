"""Types that every floor uses: arrays, callbacks, and what a value of a file may be.

The latter are pydantic's: `Annotated` types for the fields of a schema, and the way to
hold a parsed JSON value against one.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from terrainlib import files
from terrainlib.errors import TerrainError

Kind = TypeVar("Kind")

FloatArray = NDArray[np.float32]
ByteArray = NDArray[np.uint8]
MaskArray = NDArray[np.uint8]  # class indices, 255 where there is no data
BoolArray = NDArray[np.bool_]
Size = tuple[int, int]  # height and width in px
Window = tuple[slice, slice]  # rows and columns
Forward = Callable[[FloatArray], FloatArray]  # a network
Progress = Callable[[int, int], None]  # done, of how many
ShouldStop = Callable[[], bool]

MAX_TEXT_CHARACTERS: Final = 2_000
YEARS: Final = (1970, 2200)
RECORD_BYTES: Final = 4_000_000  # a status, a configuration: a few kB each
_MAX_PATH_BYTES: Final = 4_095
_MAX_NAME_BYTES: Final = 255


def _moment(text: str) -> str:
    """Refuse a text that is no ISO time of our years; an empty one stands for none."""
    if text:
        moment = datetime.fromisoformat(text)
        if not YEARS[0] <= moment.year <= YEARS[1]:
            raise ValueError(f"a year beyond {YEARS[0]} to {YEARS[1]}")
        moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    return text


def _place(path: Path | str) -> Path | str:
    """Refuse what no system takes for a path, so that asking for it never fails."""
    data = str(path).encode()
    longest = max(map(len, re.split(rb"[/\\]", data)))
    if b"\0" in data or len(data) > _MAX_PATH_BYTES or longest > _MAX_NAME_BYTES:
        raise ValueError("no path of a file")
    return path


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARACTERS else text[:MAX_TEXT_CHARACTERS]


def fits(kind: type[Any]) -> AfterValidator:
    """Return what checks that a plain JSON object fits a type, and leaves it plain.

    Args:
        kind: The type; an empty object fits too.
    """

    def check(value: dict[str, Any]) -> dict[str, Any]:
        if value:
            checked(kind, value)
        return value

    return AfterValidator(check)


Text = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS)]
Sentence = Annotated[str, AfterValidator(_cut)]  # for people; cut where it is longer
PathText = Annotated[str, AfterValidator(_place)]
FilePath = Annotated[Path, AfterValidator(_place)]
Moment = Annotated[str, Field(max_length=64), AfterValidator(_moment)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Byte = Annotated[int, Field(ge=0, le=255)]


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def checked(kind: type[Kind], value: Any) -> Kind:
    """Return a parsed JSON value as a value of a type, such as a frozen dataclass.

    Lists become tuples where the type says so; apart from that nothing is converted:
    "3" is no number and 1 is no truth value. Halves of characters, which no page can
    show, become question marks. Fields that the type does not know are passed over, for
    a later version may add some, unless it forbids them.

    Raises:
        ValueError: With one short phrase that names the field and what is wrong.
    """
    try:
        text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        result: Kind = _adapter(cast(Any, kind)).validate_json(text, strict=True)
    except ValidationError as error:
        raise ValueError(_phrase(error)) from error
    except TypeError as error:
        raise ValueError(f"no plain JSON ({error})") from error
    return result


def read_record(
    path: Path, kind: type[Kind], *, limit_bytes: int = RECORD_BYTES
) -> Kind | None:
    """Return what a JSON file holds, as a value of a type; None where it is missing.

    Raises:
        ValueError: With one short phrase: what is wrong with the file.
    """
    try:
        return checked(kind, files.parse_json(files.read_bytes(path, limit_bytes)))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from error


def known_record(
    path: Path, kind: type[Kind], *, limit_bytes: int = RECORD_BYTES
) -> Kind | None:
    """Return what a JSON file holds, or None where it is missing or does not fit."""
    try:
        return read_record(path, kind, limit_bytes=limit_bytes)
    except ValueError:
        return None


def _phrase(error: ValidationError) -> str:
    """Return what is wrong first, without a full stop."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))[:80]
    where = "".join(c if c.isprintable() else "?" for c in where)
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, TerrainError):  # it says itself which value is meant
        return str(cause).rstrip(".")[:400]
    if first["type"] == "unexpected_keyword_argument":
        return f"unknown option {str(first['loc'][-1])[:80]!r}"
    if first["type"] == "missing":
        return f"`{where}` is missing"
    reason = str(cause or first["msg"])[:200]
    return f"`{where}`: {reason}" if where else reason
