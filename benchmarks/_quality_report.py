"""The tables and the figure of the scores over time."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._curves import Curve, clock, score_text, shared_times

_TABLE_ROWS = 24
_SHORT_CHARACTERS = 14


def print_curves(curves: Sequence[Curve]) -> None:
    """Print what each training would have kept at the same times."""
    times = shared_times(curves, _TABLE_ROWS)
    print("\nValidation mIoU of the weights kept so far, at equal times (min:s)")
    print(f"{'time':>8}" + "".join(f"{_short(c.name):>16}" for c in curves))
    for when in times:
        scores = "".join(
            f"{score_text(curve.at(when)):>15}{'.' if when > curve.total else ' '}"
            for curve in curves
        )
        print(f"{clock(when):>8}{scores}")
    print("A point marks a training that has ended by then.")


def print_finals(curves: Sequence[Curve]) -> None:
    """Print where each training ended."""
    width = max(len(curve.name) for curve in curves) + 2
    print(
        f"\n{'':{width}}{'weights':>12}{'epochs':>8}{'time':>8}"
        f"{'last':>8}{'best':>8}{'kept':>8}"
    )
    for curve in curves:
        weights = f"{curve.parameters:,}" if curve.parameters else "-"
        scores = (curve.final, curve.best, curve.kept)
        print(
            f"{curve.name:{width}}{weights:>12}{len(curve.miou):>8}"
            f"{clock(curve.total):>8}"
            + "".join(f"{score_text(score):>8}" for score in scores)
            + ("  stopped before its end" if curve.stopped else "")
        )
    for curve in curves:
        if curve.note:
            print(f"{curve.name}: {curve.note}")


def passing(curve: Curve, reference: Curve) -> dict[str, Any]:
    """Return when a training passes the score that another one keeps.

    Returns:
        `score` to be reached, `seconds` until an epoch had it (None if none had), and
        `share` of the other's whole time.
    """
    seconds = None if math.isnan(reference.kept) else curve.reaches(reference.kept)
    known = seconds is not None and reference.total > 0
    return {
        "score": None if math.isnan(reference.kept) else reference.kept,
        "seconds": seconds,
        "share": seconds / reference.total if seconds is not None and known else None,
    }


def print_passing(curve: Curve, reference: Curve) -> None:
    """Print that time as a sentence."""
    found = passing(curve, reference)
    goal = f"{reference.name}'s final score of {score_text(reference.kept)}"
    if found["seconds"] is None:
        print(f"{curve.name} does not reach {goal} in {clock(curve.total)}.")
        return
    share = f" or 1/{1 / found['share']:.1f}" if found["share"] else ""
    print(
        f"{curve.name} passes {goal} after {found['seconds']:.1f} s: "
        f"{found['share']:.3f}{share} of the {reference.total:.0f} s that "
        f"{reference.name} trains."
    )


def draw_curves(curves: Sequence[Curve], reference: Curve, folder: Path) -> None:
    """Draw every epoch's score over time into `curves.png` and `curves.svg`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    for curve in curves:
        marker = "o" if len(curve.miou) < 3 else ""
        minutes = [seconds / 60 for seconds in curve.seconds]
        axes.plot(minutes, curve.miou, marker=marker, label=curve.name)
    if not math.isnan(reference.kept):
        label = f"{reference.name}, final"
        axes.axhline(reference.kept, color="grey", linestyle="--", label=label)
    axes.set(xscale="log", xlabel="minutes of training", ylabel="validation mIoU")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    for kind in ("png", "svg"):
        figure.savefig(folder / f"curves.{kind}", dpi=150)


def _short(name: str) -> str:
    return name if len(name) <= _SHORT_CHARACTERS else name[:_SHORT_CHARACTERS] + "."
