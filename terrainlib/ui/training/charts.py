"""The curves of a training as Altair charts, and the long tables that fill them.

A chart holds no data: its description stays the same from epoch to epoch and only the
rows change, so that the browser adds a point instead of drawing the chart anew. The
colours of classes are those of `ui.colors.curve_colors`.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import altair as alt
import pandas as pd

from terrainlib.metrics import ScoreKind, class_columns
from terrainlib.model.record import PIXEL_CLASSIFIER_NAME

CHART_HEIGHT_PX = 260
MAX_POINTS = 2000
MARKER_GREY = "#8a938c"
TRAINING = "training"
VALIDATION = "validation"
IOU_PREFIX = "iou_"
_ROWS: Final = "rows"


@dataclass(frozen=True, slots=True)
class ChartText:
    """One chart.

    Attributes:
        title: Its name.
        meaning: One line that explains it.
        curves: Column and name of each of its curves.
        share: Whether the values go from 0 to 1.
        scored: Whether they are validation scores, which a leaking split flatters.
        ruled: Whether a horizontal line may mark what the pixel classifier scores.
        digits: How a value is written.
        axis: How the axis is written.
    """

    title: str
    meaning: str
    curves: tuple[tuple[str, str], ...]
    share: bool = False
    scored: bool = False
    ruled: bool = False
    digits: str = ".3f"
    axis: str = "~g"


LOSS: Final = ChartText(
    "Loss",
    "How far the answers are from the truth: lower is better. Training falling while "
    "validation rises means learning by heart.",
    (("loss", TRAINING), ("val_loss", VALIDATION)),
)
ACCURACY: Final = ChartText(
    "Accuracy",
    "Share of pixels with the right class. Large classes count most, so look at the "
    "IoU as well.",
    (("accuracy", TRAINING), ("val_accuracy", VALIDATION)),
    share=True,
)
MIOU: Final = ChartText(
    "Validation mIoU",
    "Overlap of prediction and truth on the held-out images, averaged over the "
    "classes: 1 is perfect. The best epoch is the one that is kept.",
    (("val_miou", VALIDATION),),
    share=True,
    scored=True,
    ruled=True,
)
LEARNING_RATE: Final = ChartText(
    "Learning rate",
    "How large a step the network takes when it corrects itself.",
    (("learning_rate", TRAINING),),
    digits=".2e",
)
SECONDS: Final = ChartText(
    "Seconds an epoch",
    "Time for one pass over the training images, validation included.",
    (("seconds", TRAINING),),
    digits=".1f",
)
NOT_FOUND_YET: Final = "A line at 0 is a class that the network does not find yet."


def class_chart_text(kind: ScoreKind, names: tuple[str, ...]) -> ChartText:
    """Return the chart of a score with one line a class."""
    return ChartText(
        title=f"{kind.label} of each class",
        meaning=f"{kind.meaning} {NOT_FOUND_YET}",
        curves=tuple(class_columns(kind.key, names, names).items()),
        share=True,
        scored=True,
    )


def class_names(metrics: pd.DataFrame) -> tuple[str, ...]:
    """Return the class names that the columns `iou_<class>` of a run speak of."""
    columns = [str(column) for column in metrics.columns]
    return tuple(
        name.removeprefix(IOU_PREFIX) for name in columns if name.startswith(IOU_PREFIX)
    )


def long_table(
    metrics: pd.DataFrame,
    text: ChartText,
    *,
    best_epoch: int | None,
    pixel_score: float | None = None,
) -> pd.DataFrame:
    """Return the rows of a chart: one a point.

    Args:
        metrics: One row an epoch, with the columns of `metrics.csv`.
        text: The chart.
        best_epoch: Epoch to mark, or None.
        pixel_score: The pixel classifier's score, for a chart that is ruled with it.

    Returns:
        Columns `epoch`, `value`, `curve`, `best` (True in the rows of the best epoch)
        and `rule` (the label of the horizontal line in the one row that is no point,
        else empty), without the points that have no number; at most `MAX_POINTS` a
        curve.
    """
    parts = [
        pd.DataFrame(
            {
                "epoch": metrics["epoch"].astype(int),
                "value": pd.to_numeric(metrics[column], errors="coerce"),
                "curve": name,
            }
        )
        for column, name in text.curves
        if column in metrics
    ]
    empty = pd.DataFrame({"epoch": [], "value": [], "curve": []})
    rows: pd.DataFrame = pd.concat(parts or [empty], ignore_index=True)
    rows = rows.dropna(subset=["value"])
    step = -(-len(metrics) // MAX_POINTS) or 1
    kept = (rows["epoch"] % step == 0) | (rows["epoch"] == rows["epoch"].max())
    rows = rows[kept].reset_index(drop=True)
    rows = rows.assign(best=rows["epoch"] == (best_epoch or 0), rule="")
    if pixel_score is None or not text.ruled:
        return rows
    rule = {
        "epoch": 0,
        "value": pixel_score,
        "curve": PIXEL_CLASSIFIER_NAME,
        "best": False,
    }
    label = f"{PIXEL_CLASSIFIER_NAME} {pixel_score:.2f}"
    line = pd.DataFrame([{**rule, "rule": label}])
    return pd.concat([rows, line], ignore_index=True) if len(rows) else line


@lru_cache(maxsize=64)
def line_spec(
    text: ChartText, colors: tuple[tuple[str, str], ...] = ()
) -> dict[str, Any]:
    """Return the description of a chart over the rows of `long_table`.

    Args:
        text: The chart.
        colors: Name and colour of each curve; without them training and validation
            have the first and the second colour of the theme on every chart.

    Returns:
        A Vega-Lite dictionary without data. Shared: do not change it.
    """
    scale = alt.Scale(domain=[0, 1]) if text.share else alt.Scale(zero=False)
    x = alt.X(
        "epoch:Q",
        title="epoch",
        axis=alt.Axis(format="d", tickMinStep=1),
        scale=alt.Scale(zero=False, nice=False),
    )
    y = alt.Y("value:Q", title=None, scale=scale, axis=alt.Axis(format=text.axis))
    tooltip = [
        alt.Tooltip("curve:N", title="curve"),
        alt.Tooltip("epoch:Q", title="epoch", format="d"),
        alt.Tooltip("value:Q", title=text.title, format=text.digits),
    ]
    base = alt.Chart().encode(x=x, y=y)
    layers = []
    if text.ruled:
        layers = _rule(y)
        base = base.transform_filter("!datum.rule")
    color = _color(text, colors)
    once = alt.X("max(epoch):Q", title="epoch")  # one mark, however many curves
    best = alt.Chart().encode(x=once).transform_filter("datum.best")
    layers += [
        best.mark_rule(aria=False, color=MARKER_GREY, strokeDash=[4, 4]),
        best.mark_text(text="best", color=MARKER_GREY, align="right", dx=-5).encode(
            y=alt.value(6)
        ),
    ]
    if colors:
        casing = base.mark_line(color=MARKER_GREY, strokeWidth=3.4, opacity=0.5)
        layers.append(casing.encode(detail="curve:N"))
    dots = points() if not colors else alt.OverlayMarkDef(size=6)
    layers.append(base.mark_line(strokeWidth=2.2, point=dots).encode(color=color))
    layers.append(
        base.mark_circle(size=160, opacity=0).encode(detail="curve:N", tooltip=tooltip)
    )
    return finished(*layers)


def _rule(y: alt.Y) -> list[alt.Chart]:
    """Return the horizontal line of the pixel classifier, with its label on it."""
    rule = alt.Chart().transform_filter("datum.rule").encode(y=y)
    label = rule.mark_text(align="left", dx=4, dy=-7, color=MARKER_GREY, fontSize=12)
    return [
        rule.mark_rule(
            aria=False, color=MARKER_GREY, strokeDash=[7, 4], strokeWidth=1.6
        ),
        label.encode(x=alt.value(0), text="rule:N"),
    ]


def filled(spec: dict[str, Any], rows: pd.DataFrame) -> dict[str, Any]:
    """Return a chart's description together with its rows, to be drawn."""
    return copy.deepcopy(spec) | {"data": {"name": _ROWS}, "datasets": {_ROWS: rows}}


def _color(text: ChartText, colors: tuple[tuple[str, str], ...]) -> alt.Color:
    if colors:
        scale = alt.Scale(domain=[n for n, _ in colors], range=[c for _, c in colors])
        legend = alt.Legend(title=None, orient="right", symbolType="stroke")
        return alt.Color("curve:N", scale=scale, legend=legend)
    scale = alt.Scale(domain=[TRAINING, VALIDATION])
    if len(text.curves) == 1:
        return alt.Color("curve:N", scale=scale, legend=None)
    return alt.Color(
        "curve:N", scale=scale, legend=alt.Legend(title=None, orient="top")
    )


def points() -> alt.OverlayMarkDef:
    """Return the small points on a curve, which also show a curve of one epoch."""
    return alt.OverlayMarkDef(size=14)


def finished(*layers: alt.Chart, height: int = CHART_HEIGHT_PX) -> dict[str, Any]:
    """Return the layers as one description without data and without a look."""
    chart = alt.layer(*layers).properties(height=height)
    described: dict[str, Any] = chart.to_dict()
    for part in (described, *described["layer"]):
        part.pop("data", None)  # the rows come separately
        part.pop("config", None)  # the look is the theme's business
    return described


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
