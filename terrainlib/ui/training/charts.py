"""The curves of trainings as Altair charts, and the rows that fill them.

A chart holds no data: its description stays the same from epoch to epoch and only the
rows change, so that the browser changes points instead of drawing the chart anew, and
what somebody has zoomed into stays. One run and several are drawn by the same
description. The colours of classes are those of `ui.charts.curve_colors`.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from terrainlib.metrics import ScoreKind, class_columns
from terrainlib.model.record import PIXEL_CLASSIFIER_NAME
from terrainlib.ui.charts import chart_config

CHART_HEIGHT_PX = 260
COMPARE_HEIGHT_PX = 340  # and a line of the legend for each run
MAX_POINTS = 2000
MAX_HOVERED = 4000
MARKER_GREY = "#8a938c"
TRAINING = "training"
VALIDATION = "validation"
IOU_PREFIX = "iou_"
_ROWS: Final = "rows"
AXES: Final = {"epoch": "Epochs", "step": "Steps", "minutes": "Minutes"}
ZOOM_WORDS: Final = (
    "Drag a chart to move it, zoom with Ctrl and the wheel, double-click to see all."
)


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
        steep: Whether it may be drawn on a logarithmic scale.
    """

    title: str
    meaning: str
    curves: tuple[tuple[str, str], ...]
    share: bool = False
    scored: bool = False
    ruled: bool = False
    digits: str = ".3f"
    axis: str = "~r"  # ~g would write 70 as 7e+1
    steep: bool = False


LOSS: Final = ChartText(
    "Loss",
    "How far the answers are from the truth; lower is better. When training falls "
    "while validation rises, the network is learning by heart.",
    (("loss", TRAINING), ("val_loss", VALIDATION)),
    steep=True,
)
ACCURACY: Final = ChartText(
    "Accuracy",
    "The share of pixels with the right class. Large classes count most, so look at "
    "the IoU as well.",
    (("accuracy", TRAINING), ("val_accuracy", VALIDATION)),
    share=True,
)
MIOU: Final = ChartText(
    "Validation mIoU",
    "The mean IoU of the classes on the held-out images: of the pixels that are a "
    "class in truth or prediction, the share that are it in both. 1 is perfect. The "
    "best epoch is kept.",
    (("val_miou", VALIDATION),),
    share=True,
    scored=True,
    ruled=True,
)
LEARNING_RATE: Final = ChartText(
    "Learning rate",
    "How strongly each batch of images corrects the network.",
    (("learning_rate", TRAINING),),
    digits=".2e",
    steep=True,
)
SECONDS: Final = ChartText(
    "Seconds per epoch",
    "Time for an epoch: one pass over all training images, and the scoring after it.",
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


@dataclass(frozen=True, slots=True)
class Look:
    """How people want their curves.

    Attributes:
        axis: What they are drawn against, one of `AXES`.
        smoothing: Weight of what came before, 0 (none) to 0.99.
        log: Whether losses and rates stand on a logarithmic scale.
    """

    axis: str = "epoch"
    smoothing: float = 0.0
    log: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve.

    Attributes:
        name: Its name.
        x: (N) where its points lie on the axis, rising.
        y: (N) their values.
        faint: Points behind it, of the same kind: what the steps gave.
    """

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    faint: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None


def smoothed(values: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Return the exponential moving average of a curve, right from its first point.

    ``mean = weight * mean + (1 - weight) * value`` begins with 0, so it is divided by
    ``1 - weight ** n`` after n values, as TensorBoard does.

    Args:
        values: (N) finite numbers.
        weight: 0 returns the values; less than 1.
    """
    mean, result = 0.0, np.empty(len(values))
    for number, value in enumerate(values):
        mean = weight * mean + (1 - weight) * value
        result[number] = mean / (1 - weight ** (number + 1))
    return result


@dataclass(frozen=True, slots=True)
class Scale:
    """Where epochs, and what lies within them, are on an axis.

    Attributes:
        epochs: (E) their numbers.
        ends: (E) where each of them ends.
        steps: (S) where the rows of `Run.steps` lie.
    """

    epochs: NDArray[np.float64]
    ends: NDArray[np.float64]
    steps: NDArray[np.float64]

    def end(self, epoch: int | None) -> float | None:
        """Return where an epoch ends, None where it is not among them."""
        found = np.flatnonzero(self.epochs == (epoch or 0))
        return float(self.ends[found[0]]) if found.size else None


def scale_of(metrics: pd.DataFrame, steps: pd.DataFrame, axis: str) -> Scale:
    """Return the places of a run's epochs and steps on an axis.

    Args:
        metrics: One row an epoch, with the columns of `metrics.csv`.
        steps: What was noted within them: `Run.steps`.
        axis: One of `AXES`. Without any noted step an epoch counts as one step.
    """
    epochs = _numbers(metrics, "epoch")
    within = _numbers(steps, "epoch"), _numbers(steps, "step")
    lengths = np.maximum(_numbers(steps, "steps"), 1)
    if axis == "minutes":
        ends = np.nan_to_num(_numbers(metrics, "seconds")).cumsum() / 60
        moments = _numbers(steps, "seconds") / 60
        return Scale(epochs, ends, _before(within[0], epochs, ends) + moments)
    if axis == "epoch":
        return Scale(epochs, epochs, within[0] - 1 + within[1] / lengths)
    sizes = np.ones(len(epochs))
    if len(lengths):
        sizes = np.interp(epochs, within[0], lengths).round()
    ends = sizes.cumsum()
    return Scale(epochs, ends, _before(within[0], epochs, ends) + within[1])


def _before(
    epoch: NDArray[np.float64], epochs: NDArray[np.float64], ends: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return where each of some epochs begins."""
    starts = np.concatenate([[0.0], ends])
    begun: NDArray[np.float64] = starts[np.searchsorted(epochs, epoch)]
    return begun


def _numbers(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    if column not in table:
        return np.full(len(table), np.nan)
    return pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)


def curve_of(
    name: str, column: str, metrics: pd.DataFrame, steps: pd.DataFrame, scale: Scale
) -> Curve:
    """Return one column as a curve; the steps lie behind it where they tell it too.

    The epoch under way is drawn from its steps, so that a long one shows something.
    """
    x, y = scale.ends, _numbers(metrics, column)
    faint = None
    if column in ("loss", "accuracy") and len(steps):
        noted = scale.steps, _numbers(steps, column)
        late = scale.steps > (x[-1] if len(x) else 0.0)
        late &= steps["epoch"].to_numpy() > (scale.epochs[-1] if len(x) else 0)
        x = np.concatenate([x, noted[0][late]])
        y = np.concatenate([y, noted[1][late]])
        faint = noted
    known = np.isfinite(y) & np.isfinite(x)
    x, y = x[known], y[known]
    kept = slice(None, None, -(-len(x) // MAX_POINTS) or 1)
    last = [len(x) - 1] if len(x) and (len(x) - 1) % (kept.step or 1) else []
    chosen = np.concatenate([np.arange(len(x))[kept], last]).astype(int)
    return Curve(name, x[chosen], y[chosen], faint)


COLUMNS: Final = ("x", "value", "curve", "part", "label")


def chart_rows(
    curves: Sequence[Curve],
    look: Look,
    text: ChartText,
    *,
    best: float | None = None,
    rule: float | None = None,
) -> pd.DataFrame:
    """Return the rows of a chart.

    Args:
        curves: What is drawn.
        look: Smoothing and scale.
        text: The chart.
        best: Where on the axis the best epoch is marked.
        rule: The pixel classifier's score, for a chart that is ruled with it.

    Returns:
        A column named as the axis, then `value`, `curve`, `part` and `label`. Parts:
        `line`, the points of a curve; `faint`, points behind it; `told`, what is told
        at a place, by its `label`; `best` and `rule`, one row each, no points.
    """
    if look.log and text.steep:
        curves = [_positive(curve) for curve in curves]
    parts = []
    for curve in curves:
        line = smoothed(curve.y, look.smoothing)
        parts.append(_part(curve.x, line, curve.name, "line"))
        if curve.faint is not None:
            parts.append(_part(*curve.faint, curve.name, "faint"))
        elif look.smoothing:
            parts.append(_part(curve.x, curve.y, curve.name, "faint"))
    parts += _told(curves, look, text)
    if best is not None:
        parts.append(_part([best], [np.nan], "", "best"))
    if rule is not None and text.ruled:
        label = f"{PIXEL_CLASSIFIER_NAME} {rule:.2f}"
        parts.append(_part([np.nan], [rule], PIXEL_CLASSIFIER_NAME, "rule", label))
    parts = [part for part in parts if len(part)]
    if not parts:
        return pd.DataFrame({name: [] for name in (look.axis, *COLUMNS[1:])})
    rows: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return rows.rename(columns={"x": look.axis})


def _part(x: Any, value: Any, curve: str, part: str, label: str = "") -> pd.DataFrame:
    values = np.asarray(x, np.float64), np.asarray(value, np.float64)
    cells = (*values, curve, part, label)
    return pd.DataFrame(dict(zip(COLUMNS, cells, strict=True)))


def _positive(curve: Curve) -> Curve:
    """Return a curve without the points that a logarithm has no place for."""
    kept, faint = curve.y > 0, curve.faint
    if faint is not None:
        faint = faint[0][faint[1] > 0], faint[1][faint[1] > 0]
    return replace(curve, x=curve.x[kept], y=curve.y[kept], faint=faint)


def _told(curves: Sequence[Curve], look: Look, text: ChartText) -> list[pd.DataFrame]:
    """Return what is told at each place of the axis: the value of every curve there."""
    curves = [curve for curve in curves if len(curve.x)]
    if not curves:
        return []
    places = np.unique(np.concatenate([curve.x for curve in curves]))
    most = max(2, MAX_HOVERED // (len(curves) * (2 if look.smoothing else 1)))
    if len(places) > most:
        chosen = np.linspace(0, len(places) - 1, most).round().astype(int)
        places = places[chosen]
    told = []
    for curve in curves:
        here = places[(places >= curve.x[0]) & (places <= curve.x[-1])]
        kinds = {curve.name: curve.y}
        if look.smoothing:
            line = smoothed(curve.y, look.smoothing)
            kinds[f"{curve.name}, smoothed"] = line
        for label, values in kinds.items():
            value = _rounded(np.interp(here, curve.x, values), text.digits)
            told.append(_part(here.round(3), value, curve.name, "told", label))
    return told


def _rounded(values: NDArray[np.float64], digits: str) -> NDArray[np.float64]:
    return np.array([float(f"{value:{digits}}") for value in values])


@lru_cache(maxsize=64)
def line_spec(
    text: ChartText,
    look: Look,
    colors: tuple[tuple[str, str], ...] = (),
    *,
    classes: bool = False,
    height: int = CHART_HEIGHT_PX,
) -> dict[str, Any]:
    """Return the description of a chart over the rows of `chart_rows`.

    Args:
        text: The chart.
        look: Axis and scale; what is smoothed is the rows' business.
        colors: Name and colour of each curve; without them training and validation
            have the first and the second colour of the theme on every chart.
        classes: Whether the colours are those of classes, which may be as pale as the
            ground and are drawn with a casing.
        height: Of the curves, in px.

    Returns:
        A Vega-Lite dictionary without data. Shared: do not change it.
    """
    whole = alt.Axis(format="d", tickMinStep=1)
    x = alt.X(
        f"{look.axis}:Q",
        title=look.axis,
        axis=whole if look.axis != "minutes" else alt.Axis(),
        scale=alt.Scale(zero=False, nice=False),
    )
    y = alt.Y(
        "value:Q", title=None, scale=_y_scale(text, look), axis=_y_axis(text, look)
    )
    base = alt.Chart().encode(x=x, y=y)
    color = _color(text, colors, classes=classes)
    line = base.transform_filter("datum.part == 'line'")
    faint = base.transform_filter("datum.part == 'faint'")
    layers = _rule(y) if text.ruled else []
    layers.append(
        faint.mark_line(strokeWidth=1.2, opacity=0.35, clip=True).encode(color=color)
    )
    layers += _best(x)
    if classes:
        casing = line.mark_line(
            color=MARKER_GREY, strokeWidth=3.4, opacity=0.5, clip=True
        )
        layers.append(casing.encode(detail="curve:N"))
    dots = alt.OverlayMarkDef(size=6 if classes else 14)
    drawn = line.mark_line(strokeWidth=2.2, point=dots, clip=True)
    layers.append(drawn.encode(color=color).add_params(_zoom()))
    layers.append(_hover(x, look.axis))
    return finished(*layers, height=height)


def _y_scale(text: ChartText, look: Look) -> alt.Scale:
    if text.share:
        return alt.Scale(domain=[0, 1])
    if look.log and text.steep:
        return alt.Scale(type="log", nice=False)
    return alt.Scale(zero=False)


def _y_axis(text: ChartText, look: Look) -> alt.Axis:
    if look.log and text.steep:
        return alt.Axis(format=text.axis, tickCount=5)
    return alt.Axis(format=text.axis)


def _zoom() -> alt.Parameter:
    """Return the wish to drag and zoom; a wheel and a finger still move the page."""
    mouse = "[event.pointerType == 'mouse']"
    drag = f"[pointerdown{mouse}, window:pointerup] > window:pointermove!"
    return alt.selection_interval(
        name="zoom",
        bind="scales",
        on=drag,
        translate=drag,
        zoom="wheel![event.ctrlKey || event.metaKey || event.altKey]",
        clear="dblclick",
    )


def _hover(x: alt.X, axis: str) -> alt.Chart:
    """Return the line under the pointer, which tells the values of all curves there."""
    near = alt.selection_point(
        name="near",
        encodings=["x"],
        nearest=True,
        on="pointermove",
        clear="pointerout",
        empty=False,
    )
    told = alt.Chart().transform_filter("datum.part == 'told'")
    told = told.transform_pivot("label", value="value", groupby=[axis], op="max")
    rule = told.mark_rule(
        aria=False, color=MARKER_GREY, tooltip={"content": "data"}, clip=True
    )
    seen = alt.condition(near, alt.value(0.8), alt.value(0))
    drawn: alt.Chart = rule.encode(x=x, opacity=seen).add_params(near)
    return drawn


def _best(x: alt.X) -> list[alt.Chart]:
    best = alt.Chart().transform_filter("datum.part == 'best'").encode(x=x)
    label = best.mark_text(
        text="best", color=MARKER_GREY, align="right", dx=-5, clip=True
    )
    return [
        best.mark_rule(aria=False, color=MARKER_GREY, strokeDash=[4, 4], clip=True),
        label.encode(y=alt.value(6)),
    ]


def _rule(y: alt.Y) -> list[alt.Chart]:
    """Return the horizontal line of the pixel classifier, with its label on it."""
    rule = alt.Chart().transform_filter("datum.part == 'rule'").encode(y=y)
    label = rule.mark_text(
        align="left", dx=4, dy=-7, color=MARKER_GREY, fontSize=12, clip=True
    )
    return [
        rule.mark_rule(
            aria=False,
            color=MARKER_GREY,
            strokeDash=[7, 4],
            strokeWidth=1.6,
            clip=True,
        ),
        label.encode(x=alt.value(0), text="label:N"),
    ]


def filled(spec: dict[str, Any], rows: pd.DataFrame) -> dict[str, Any]:
    """Return a chart's description together with its rows, to be drawn."""
    data = {"data": {"name": _ROWS}, "datasets": {_ROWS: rows}}
    return copy.deepcopy(spec) | data | {"config": chart_config()}


def _color(
    text: ChartText, colors: tuple[tuple[str, str], ...], *, classes: bool
) -> alt.Color:
    if colors:
        scale = alt.Scale(domain=[n for n, _ in colors], range=[c for _, c in colors])
        legend = alt.Legend(
            title=None, orient="top", columns=1, labelLimit=420, symbolOpacity=1
        )
        if classes:
            legend = alt.Legend(title=None, orient="right", symbolType="stroke")
        return alt.Color("curve:N", scale=scale, legend=legend)
    scale = alt.Scale(domain=[TRAINING, VALIDATION])
    if len(text.curves) == 1:
        return alt.Color("curve:N", scale=scale, legend=None)
    return alt.Color(
        "curve:N",
        scale=scale,
        legend=alt.Legend(title=None, orient="top", symbolOpacity=1),
    )


def finished(*layers: alt.Chart, height: int = CHART_HEIGHT_PX) -> dict[str, Any]:
    """Return the layers as one description without data and without a look."""
    chart = alt.layer(*layers).properties(height=height)
    described: dict[str, Any] = chart.to_dict()
    for part in (described, *described["layer"]):
        part.pop("data", None)  # the rows come separately
        part.pop("config", None)  # the look is the theme's business
    return described
