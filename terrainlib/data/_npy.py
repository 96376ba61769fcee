"""Arrays written row by row to `.npy` files, with the number of rows left open."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray


class ArrayFile:
    """A `.npy` file that grows by one row at a time; use it in a `with` block.

    Args:
        path: File to write; it is complete only after the block.
        row_shape: Shape of a row.
        dtype: Type of the values.
    """

    def __init__(
        self, path: Path, row_shape: tuple[int, ...], dtype: DTypeLike
    ) -> None:
        self.rows = 0
        self._row_shape = row_shape
        self._dtype = np.dtype(dtype)
        self._file = path.open("wb")
        self._write_header()

    def append(self, row: NDArray[Any]) -> None:
        """Add a row of the shape and type that the file was made for."""
        if row.shape != self._row_shape or row.dtype != self._dtype:
            raise ValueError(
                f"row must be {self._row_shape} {self._dtype}. "
                f"Received: {row.shape} {row.dtype}."
            )
        self._file.write(np.ascontiguousarray(row).data)
        self.rows += 1

    def _write_header(self) -> None:
        """Write the header; NumPy pads it so that more rows need no more bytes."""
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (self.rows, *self._row_shape),
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._write_header()
        finally:
            self._file.close()
