"""Several images at once: the table of what became of each of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from terrainlib.mask.products.records import Made
from terrainlib.mask.tables import csv_bytes

SHARES_FILE: Final = "class_shares.csv"


def shares_csv(made: Sequence[Made], failures: Mapping[str, str]) -> bytes:
    """Return the class shares of several images as UTF-8 CSV, one row an image.

    The columns are `image`, `state` (done, stopped or failed), `height` and `width` in
    px, `share_NAME` of each class among the pixels with data (0 to 1), `unsure_share`,
    `training_images` (how the image compares with them) and `problem`.

    Args:
        made: What became of the images.
        failures: A sentence for each image that failed, by its name.
    """
    names = list(dict.fromkeys(name for one in made for name in one.shares))
    header = ["image", "state", "height", "width", *(f"share_{n}" for n in names)]
    header += ["unsure_share", "training_images", "problem"]
    rows: list[list[Any]] = []
    for one in made:
        shares = [_rounded(one.shares.get(name)) for name in names]
        state = "stopped" if one.stopped else "done"
        row = [one.name, state, one.height, one.width, *shares]
        row += [_rounded(one.unsure_share), one.gap.get("title")]
        rows.append([*row, " ".join(one.missing) or None])
    empty = [None] * (len(names) + 4)
    rows += [[name, "failed", *empty, text] for name, text in failures.items()]
    return csv_bytes(header, rows)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)
