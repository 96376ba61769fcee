"""The model card: what a model is, what it learnt from and what it is worth.

Everything comes out of its record and is plain data: the models page draws it, and
`card_markdown` writes it as text. No TensorFlow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from terrainlib.model._card_facts import Fact, repeat_command, sections_of
from terrainlib.model._card_limits import fresh_leak, limits_of, stored_leak
from terrainlib.model.record import ModelRecord

__all__ = [
    "ModelCard",
    "Score",
    "Section",
    "card_markdown",
    "class_scores",
    "fresh_leak",
    "model_card",
    "overall_scores",
    "stored_leak",
]

YARDSTICK_NAME: Final = "Pixel classifier"
_SCORES: Final = {
    "miou": "mIoU",
    "pixel_accuracy": "Pixel accuracy",
    "boundary_f1": "Boundary F1",
}
_MARKDOWN: Final = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<>|#~$"})


@dataclass(frozen=True, slots=True)
class Score:
    """One score of a model beside the pixel classifier's on the same pairs.

    Attributes:
        name: What was scored: `mIoU`, or the name of a class.
        value: The model's, 0 to 1; None where there is none.
        yardstick: The pixel classifier's; None where there is none.
    """

    name: str
    value: float | None
    yardstick: float | None = None

    @property
    def difference(self) -> float | None:
        """How far the model is ahead; None where either score is missing."""
        if self.value is None or self.yardstick is None:
            return None
        return self.value - self.yardstick


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the card: its title, and what is known, by name."""

    title: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Everything that people should know before they use a model.

    Attributes:
        title: The model's name.
        sections: Model, data, split, training and calibration.
        command: The command that repeats the training; None where it is not known.
        scores: Over all classes, on the validation pairs; empty without scores.
        classes: IoU of each class.
        leak: What stands beside the scores, or None.
        limits: What it is not good for, a sentence each.
        notes: What its makers say about it, a sentence each.
    """

    title: str
    sections: tuple[Section, ...]
    command: str | None
    scores: tuple[Score, ...]
    classes: tuple[Score, ...]
    leak: str | None
    limits: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def compared(self) -> bool:
        """Whether the pixel classifier was scored on the same pairs."""
        return any(score.yardstick is not None for score in self.scores)


def model_card(record: ModelRecord) -> ModelCard:
    """Return the card of a model."""
    sections = (Section(title, facts) for title, facts in sections_of(record))
    return ModelCard(
        title=record.name or "Model",
        sections=tuple(section for section in sections if section.facts),
        command=repeat_command(record),
        scores=overall_scores(record.scores, record.yardstick),
        classes=class_scores(record.scores, record.yardstick),
        leak=stored_leak(record),
        limits=limits_of(record),
        notes=tuple(record.notes),
    )


def card_markdown(record: ModelRecord) -> str:
    """Return the card of a model as Markdown, for a file beside it."""
    card = model_card(record)
    parts = [f"# Model card: {_escaped(card.title)}"]
    for section in card.sections:
        lines = [f"- {name}: {_escaped(value)}" for name, value in section.facts]
        parts += [f"## {section.title}", "\n".join(lines)]
    if card.command is not None:
        parts += ["## The command that repeats it", f"```bash\n{card.command}\n```"]
    parts += ["## Scores on the validation pairs", _scores_markdown(card)]
    parts += ["## What it is not good for", _listed(card.limits)]
    if card.notes:
        parts += ["## Notes", _listed(card.notes)]
    return "\n\n".join(parts) + "\n"


def overall_scores(
    own: Mapping[str, Any] | None, other: Mapping[str, Any] | None
) -> tuple[Score, ...]:
    """Return the scores over all classes, in the JSON form of an evaluation.

    Args:
        own: The model's scores.
        other: The pixel classifier's on the same pairs, where there are any.

    Returns:
        mIoU, pixel accuracy and boundary F1; nothing where the model has no mIoU.
    """
    mine, theirs = own or {}, other or {}
    if mine.get("miou") is None:
        return ()
    return tuple(
        Score(name, mine.get(key), theirs.get(key)) for key, name in _SCORES.items()
    )


def class_scores(
    own: Mapping[str, Any] | None, other: Mapping[str, Any] | None
) -> tuple[Score, ...]:
    """Return the IoU of each class of the model, beside the pixel classifier's."""
    theirs = (other or {}).get("iou", {})
    mine = (own or {}).get("iou", {})
    return tuple(Score(name, value, theirs.get(name)) for name, value in mine.items())


def _scores_markdown(card: ModelCard) -> str:
    """Return the scores as a table, with the leak below it."""
    if not card.scores:
        return "None are stored in the model file."
    rows = [*card.scores, *(_of_class(score) for score in card.classes)]
    if card.compared:
        lines = [
            f"| score | model | {YARDSTICK_NAME.lower()} | difference |",
            "| --- | ---: | ---: | ---: |",
        ]
        lines += [
            f"| {_escaped(row.name)} | {_decimal(row.value)} | "
            f"{_decimal(row.yardstick)} | {_decimal(row.difference, '+')} |"
            for row in rows
        ]
    else:
        lines = ["| score | model |", "| --- | ---: |"]
        lines += [f"| {_escaped(row.name)} | {_decimal(row.value)} |" for row in rows]
    return "\n".join(lines) + (
        f"\n\nSplit: {_escaped(card.leak)}." if card.leak else ""
    )


def _of_class(score: Score) -> Score:
    return Score(f"IoU {score.name}", score.value, score.yardstick)


def _decimal(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.3f}"


def _listed(sentences: tuple[str, ...]) -> str:
    return "\n".join(f"- {_escaped(sentence)}" for sentence in sentences)


def _escaped(text: str) -> str:
    """Return a text as one line that Markdown shows as it is."""
    return " ".join(text.split()).translate(_MARKDOWN)
