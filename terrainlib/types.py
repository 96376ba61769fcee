"""Types that every floor uses: what a value read from a file may be.

They are pydantic's: `Annotated` types for the fields of a schema, and the way to hold a
parsed JSON value against one.
"""

import json
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Final, TypeVar, cast

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

Kind = TypeVar("Kind")

MAX_TEXT_CHARACTERS: Final = 2_000
YEARS: Final = (1970, 2200)


def _moment(text: str) -> str:
    """Refuse a text that is no ISO time of our years; an empty one stands for none."""
    if text:
        moment = datetime.fromisoformat(text)
        if not YEARS[0] <= moment.year <= YEARS[1]:
            raise ValueError(f"a year beyond {YEARS[0]} to {YEARS[1]}")
        moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    return text


Text = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS)]
Moment = Annotated[str, Field(max_length=64), AfterValidator(_moment)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**53)]


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def checked(kind: type[Kind], value: Any) -> Kind:
    """Return a parsed JSON value as a value of a type, such as a frozen dataclass.

    Lists become tuples where the type says so; apart from that nothing is converted:
    "3" is no number and 1 is no truth value. Halves of characters, which no page can
    show, become question marks. Fields that the type does not know are passed over: a
    later version may add some.

    Raises:
        ValueError: With one short phrase that names the field and what is wrong.
    """
    try:
        text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        result: Kind = _adapter(cast(Any, kind)).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:80]
        where = "".join(c if c.isprintable() else "?" for c in where)
        what = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"`{where}`: {what}" if where else what) from error
    return result
