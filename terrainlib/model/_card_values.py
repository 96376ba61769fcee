"""Reading the loose parts of a record: what is missing or strange is None.

A record's own check refuses what prediction could stumble over. Scores, split and
training are for people only; a card leaves out what it cannot read.
"""

import math
from collections.abc import Mapping
from typing import Any


def number(values: Mapping[str, Any] | None, key: str) -> float | None:
    """Return a finite number of a mapping, else None."""
    value = (values or {}).get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def text(values: Mapping[str, Any] | None, key: str) -> str:
    """Return a text of a mapping in one line, empty where there is none."""
    value = (values or {}).get(key)
    return " ".join(value.split()) if isinstance(value, str) else ""


def count(values: Mapping[str, Any] | None, key: str) -> int:
    """Return how many entries a list of a mapping has."""
    value = (values or {}).get(key)
    return len(value) if isinstance(value, list | tuple) else 0


def part(values: Mapping[str, Any] | None, key: str) -> Mapping[str, Any]:
    """Return a mapping within a mapping, empty where there is none."""
    value = (values or {}).get(key)
    return value if isinstance(value, Mapping) else {}
