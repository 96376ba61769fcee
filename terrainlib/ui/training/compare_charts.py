"""One curve of several trainings in one chart."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import altair as alt
import pandas as pd

from terrainlib.ui.training.training_charts import finished, points

COMPARE_HEIGHT_PX = 360


def compare_table(
    runs: Mapping[str, pd.DataFrame], column: str, *, against: str
) -> pd.DataFrame:
    """Return the rows that lay one curve of several runs over each other.

    Args:
        runs: Metrics of each run by its name.
        column: A column of `metrics.csv`.
        against: `epochs` or `minutes` (seconds of the epochs so far, added up).

    Returns:
        Columns `x`, `value` and `curve` (the run).
    """
    parts = [pd.DataFrame({"x": [], "value": [], "curve": []})]
    for name, metrics in runs.items():
        if column not in metrics or metrics.empty:
            continue
        if against == "epochs":
            x = metrics["epoch"]
        elif "seconds" in metrics:
            x = pd.to_numeric(metrics["seconds"], errors="coerce").cumsum() / 60
        else:
            continue
        values = pd.to_numeric(metrics[column], errors="coerce")
        parts.append(pd.DataFrame({"x": x, "value": values, "curve": name}))
    filled = [part for part in parts if len(part)] or parts
    rows: pd.DataFrame = pd.concat(filled, ignore_index=True)
    return rows.dropna(subset=["value"])


@lru_cache(maxsize=64)
def compare_spec(title: str, against: str, *, share: bool) -> dict[str, Any]:
    """Return the description of a chart over the rows of `compare_table`."""
    scale = alt.Scale(domain=[0, 1]) if share else alt.Scale(zero=False)
    whole = alt.Axis(format="d", tickMinStep=1)
    axis = whole if against == "epochs" else alt.Axis(format="~g")
    x = alt.X("x:Q", title=against.removesuffix("s"), axis=axis)
    base = alt.Chart().encode(
        x=x, y=alt.Y("value:Q", title=None, scale=scale, axis=alt.Axis(format=".3~g"))
    )
    legend = alt.Legend(title=None, orient="top", columns=1, labelLimit=420)
    tooltip = [
        alt.Tooltip("curve:N", title="run"),
        alt.Tooltip("x:Q", title=against.removesuffix("s"), format=".3~g"),
        alt.Tooltip("value:Q", title=title, format=".4~g"),
    ]
    line = base.mark_line(strokeWidth=2.2, point=points()).encode(
        color=alt.Color("curve:N", legend=legend)
    )
    hover = base.mark_circle(size=160, opacity=0)
    hovered = hover.encode(detail="curve:N", tooltip=tooltip)
    return finished(line, hovered, height=COMPARE_HEIGHT_PX)
