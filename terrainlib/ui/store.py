"""Stores for what is too large for session state and too costly to compute again.

The results are shared by all visitors (their keys name the content); uploads belong to
one session and are freed with it.
"""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

import streamlit as st

RESULTS_MB: Final = 512
UPLOADS_PER_SESSION: Final = 4


@dataclass(slots=True)
class BoundedStore:
    """Keeps the values used last, up to a number of bytes; safe for several threads.

    Attributes:
        max_bytes: Limit of the sizes together; the newest value is always kept.
    """

    max_bytes: int
    _values: "OrderedDict[str, tuple[Any, int]]" = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: str) -> Any | None:
        """Return the value of `key`, or None where it is not kept (any more)."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: str, value: Any, size_bytes: int) -> None:
        """Keep `value`, and let go of those not used for longest."""
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = (value, size_bytes)
            total = sum(size for _, size in self._values.values())
            while total > self.max_bytes and len(self._values) > 1:
                _, (_, size) = self._values.popitem(last=False)
                total -= size


@st.cache_resource(show_spinner=False)
def results() -> BoundedStore:
    """Return the store of predicted masks."""
    return BoundedStore(RESULTS_MB * 1_000_000)


def keep_upload(data: bytes) -> str:
    """Keep an uploaded file for this session; return its SHA-256."""
    digest = hashlib.sha256(data).hexdigest()
    kept = _uploads()
    kept.pop(digest, None)
    kept[digest] = data
    while len(kept) > UPLOADS_PER_SESSION:
        kept.pop(next(iter(kept)))
    return digest


def kept_upload(digest: str) -> bytes | None:
    """Return an uploaded file by its SHA-256, or None where it is gone."""
    return _uploads().get(digest)


@st.cache_resource(scope="session", show_spinner=False)
def _uploads() -> dict[str, bytes]:
    return {}
