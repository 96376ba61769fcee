"""The model card: what a model is, what it learnt from and what it is worth.

Everything comes out of its record and is plain data: the models page draws it, and
`card_markdown` writes it as text. No TensorFlow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from terrainlib.metrics import OF_CLASSES, OVERALL, decimal
from terrainlib.model.cardlimits import limits_of, stored_leak
from terrainlib.model.config import TrainingConfig
from terrainlib.model.record import PIXEL_CLASSIFIER_NAME, ModelRecord
from terrainlib.types import checked

Fact = tuple[str, str]

_NOT_OPTIONS: Final = ("epochs_done", "best_epoch", "stopped", "started_from")
_IN_COMMAND: Final = (  # or in the data
    *("epochs", "minutes", "batch_size", "seed", "height", "image_size", "classes"),
    "bands",
)


def _repeat_command(record: ModelRecord) -> str | None:
    """Return the command that repeats the training, None where it is not recorded."""
    config = _training_config(record)
    if config is None:
        return None
    network = config.network
    preset = TrainingConfig.preset(network.preset_name)
    words = ["python -m terrainlib train DATA --out RUN_DIR"]
    words.append(f"--preset {network.preset_name}")
    if config.epochs is not None:
        words.append(f"--epochs {config.epochs}")
    else:
        words.append(f"--minutes {config.minutes:g}")
    if record.training.get("started_from"):
        words.append("--from MODEL")
    used = record.band_set()
    if used is not None:
        plain = [b.name if b.name.isidentifier() else b.number for b in used.bands]
        words.append(f"--bands {','.join(map(str, plain))}")
    if network.height:
        words.append("--height")
    if network.image_size != preset.network.image_size:
        words.append(f"--image-size {network.image_size}")
    if config.batch_size != preset.batch_size:
        words.append(f"--batch-size {config.batch_size}")
    return " ".join([*words, f"--seed {config.seed}"])


def _model(record: ModelRecord) -> list[Fact]:
    config = record.unet_config()
    names = ", ".join(item.name for item in record.terrain_classes())
    colors = config.output == "colors"
    stem = "stem at half resolution, " if config.stem_stride == 2 else ""
    encoder = "encoder learnt on ImageNet, " if config.encoder == "imagenet" else ""
    filters = "-".join(str(value) for value in config.filters)
    return [
        ("Preset", config.preset_name),
        ("Network", f"U-Net, {encoder}{stem}filters {filters}"),
        ("Parameters", f"{record.parameters:,}" if record.parameters else ""),
        ("Input", _input(record, height=config.height)),
        ("Works at", _resolution(record, config.image_size)),
        ("Gives", f"{'colours' if colors else 'probabilities'} of {names}"),
    ]


def _input(record: ModelRecord, *, height: bool) -> str:
    used = record.band_set()
    image = "RGB image"
    if used is not None:
        count = len(used.bands)
        bands = f"{count} {'band' if count == 1 else 'bands'}: {', '.join(used.names)}"
        image = f"image of {bands}"
    return f"{image} and heights in metres" if height else image


def _resolution(record: ModelRecord, size: int) -> str:
    if record.scale is None:
        return f"{size} × {size} px, to which the whole image is resized"
    same = "the image's own resolution"
    scaled = f"{record.scale:.3g} of the image's resolution"
    crop = record.training.get("crop_size") or size
    return f"{same if record.scale == 1 else scaled}, trained at {crop} × {crop} px"


def _data(record: ModelRecord) -> list[Fact]:
    pairs = record.dataset.get("pairs")
    return [
        ("Name", record.dataset.get("name", "")),
        ("Pairs", f"{pairs:,}" if pairs is not None else ""),
        ("Fingerprint", record.dataset.get("fingerprint", "")),
    ]


def _split(record: ModelRecord) -> list[Fact]:
    split = record.split or {}
    words = {"train": "for training", "validation": "held out", "left_out": "left out"}
    sizes = [(len(split.get(part, ())), word) for part, word in words.items()]
    return [
        ("Method", split.get("method", "")),
        ("Pairs", ", ".join(f"{size:,} {word}" for size, word in sizes if size)),
        ("Shared ground", split.get("leak", "")),
        ("Fingerprint", split.get("hash", "")),
    ]


def _last_training(record: ModelRecord) -> str:
    """Return in words how the weights were trained once more, on all pairs."""
    final = record.final
    if final is None:
        return ""
    details = []
    if (minutes := final.get("minutes")) is not None:
        details.append(f"{minutes:g} minutes")
    if (epochs := final.get("epochs")) is not None:
        details.append(f"{epochs} epochs")
    if (seed := final.get("seed")) is not None:
        details.append(f"seed {seed}")
    how = f" ({', '.join(details)})" if details else ""
    return (
        f"once more on all {final['pairs']:,} pairs{how}; split and scores are those "
        "of the training before it"
    )


def _training(record: ModelRecord) -> list[Fact]:
    training = record.training
    minutes, epochs = training.get("minutes"), training.get("epochs")
    budget = f"{epochs} epochs" if epochs is not None else ""
    if minutes is not None:
        budget = f"{minutes:g} minutes"
    batch = training.get("batch_size")
    versions = [f"{name} {version}" for name, version in record.versions.items()]
    return [
        ("Budget", budget),
        ("Started from", _start(training.get("started_from", {}))),
        ("Seed", str(training.get("seed", ""))),
        ("Batch", f"{batch} images" if batch is not None else ""),
        ("Epochs done", str(training.get("epochs_done", ""))),
        ("Best epoch", str(training.get("best_epoch") or "")),
        ("Unlike the preset", ", ".join(_unlike_preset(record))),
        ("Last training", _last_training(record)),
        ("Made", record.created.replace("T", " ").replace("+00:00", " UTC")),
        ("Versions", ", ".join(versions)),
    ]


def _start(start: Mapping[str, str]) -> str:
    if not start.get("name"):
        return ""
    return f"{start['name']} (SHA-256 {start.get('hash', '')[:16]})"


def _calibration(record: ModelRecord) -> list[Fact]:
    if record.temperature == 1:
        return []
    return [("Temperature", f"{record.temperature:.3g}, already within the weights")]


def _training_config(record: ModelRecord) -> TrainingConfig | None:
    """Return the options of the training; None where they cannot be read."""
    values = {k: v for k, v in record.training.items() if k not in _NOT_OPTIONS}
    try:
        checked(TrainingConfig, values)
        return TrainingConfig.from_dict(values)
    except ValueError:
        return None


def _unlike_preset(record: ModelRecord) -> list[str]:
    """Return options that differ from the preset's and are none of the command's."""
    config = _training_config(record)
    if config is None:
        return []
    network = config.network
    shape = {"height": network.height}
    usual = TrainingConfig.preset(network.preset_name, network=shape).to_dict()
    # only what the record holds: options that came later are not its own
    found = _differences(record.training["network"], usual.pop("network"))
    return found + _differences(record.training, usual)


def _differences(values: Any, preset: dict[str, Any]) -> list[str]:
    return [
        f"{name.replace('_', ' ')} {values[name]}"
        for name, usual in preset.items()
        if name in values and name not in _IN_COMMAND and values[name] != usual
    ]


_MARKDOWN: Final = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<>|#~$"})


@dataclass(frozen=True, slots=True)
class Score:
    """One score of a model beside the pixel classifier's on the same pairs.

    Attributes:
        name: What was scored: `mIoU`, or the name of a class.
        value: The model's, 0 to 1; None where there is none.
        pixel_classifier: The pixel classifier's; None where there is none.
        lower_is_better: Whether 0 is perfect.
    """

    name: str
    value: float | None
    pixel_classifier: float | None = None
    lower_is_better: bool = False

    @property
    def difference(self) -> float | None:
        """How far the model is ahead; None where either score is missing."""
        if self.value is None or self.pixel_classifier is None:
            return None
        ahead = self.value - self.pixel_classifier
        return -ahead if self.lower_is_better else ahead

    @property
    def text(self) -> str:
        """The score with the difference: `0.812 (+0.051)`; a dash for none."""
        ahead = self.difference
        return decimal(self.value) + (
            "" if ahead is None else f" ({decimal(ahead, '+')})"
        )


ScoresOfClasses = Mapping[str, tuple[Score, ...]]


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
        classes: Each score that every class has its own of, by its key.
        leak: What stands beside the scores, or None.
        limits: What it is not good for, a sentence each.
        notes: What its makers say about it, a sentence each.
    """

    title: str
    sections: tuple[Section, ...]
    command: str | None
    scores: tuple[Score, ...]
    classes: ScoresOfClasses
    leak: str | None
    limits: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def compared(self) -> bool:
        """Whether the pixel classifier was scored on the same pairs."""
        return any(score.pixel_classifier is not None for score in self.scores)


def model_card(record: ModelRecord) -> ModelCard:
    """Return the card of a model."""
    known = {
        "Model": _model(record),
        "Data": _data(record),
        "Split": _split(record),
        "Training": _training(record),
        "Calibration": _calibration(record),
    }
    sections = (
        Section(title, tuple((name, value) for name, value in facts if value))
        for title, facts in known.items()
    )
    scores = record.known_scores()
    return ModelCard(
        title=record.name or "Model",
        sections=tuple(section for section in sections if section.facts),
        command=_repeat_command(record),
        scores=overall_scores(scores, record.pixel_classifier),
        classes=class_scores(scores, record.pixel_classifier),
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

    Returns:
        One of each kind of score; nothing where the model has no mIoU.
    """
    mine, theirs = own or {}, other or {}
    if mine.get("miou") is None:
        return ()
    return tuple(
        Score(k.label, mine.get(k.key), theirs.get(k.key), k.lower_is_better)
        for k in OVERALL
    )


def class_scores(
    own: Mapping[str, Any] | None, other: Mapping[str, Any] | None
) -> ScoresOfClasses:
    """Return the scores of each class, beside the pixel classifier's, by their keys."""
    mine, theirs = own or {}, other or {}
    return {
        k.key: tuple(
            Score(
                name,
                mine.get(k.key, {}).get(name),
                theirs.get(k.key, {}).get(name),
                k.lower_is_better,
            )
            for name in mine.get("iou", {})
        )
        for k in OF_CLASSES
    }


def _scores_markdown(card: ModelCard) -> str:
    if not card.scores:
        return "None are stored in the model file."
    rows = card.scores
    if card.compared:
        lines = [
            f"| score | model | {PIXEL_CLASSIFIER_NAME.lower()} | difference |",
            "| --- | ---: | ---: | ---: |",
        ]
        lines += [
            f"| {_escaped(row.name)} | {decimal(row.value)} | "
            f"{decimal(row.pixel_classifier)} | {decimal(row.difference, '+')} |"
            for row in rows
        ]
    else:
        lines = ["| score | model |", "| --- | ---: |"]
        lines += [f"| {_escaped(row.name)} | {decimal(row.value)} |" for row in rows]
    lines += ["", f"| class | {' | '.join(kind.label for kind in OF_CLASSES)} |"]
    lines.append("| --- |" + " ---: |" * len(OF_CLASSES))
    lines += [
        f"| {_escaped(row[0].name)} | {' | '.join(score.text for score in row)} |"
        for row in zip(*card.classes.values(), strict=True)
    ]
    return "\n".join(lines) + (
        f"\n\nSplit: {_escaped(card.leak)}." if card.leak else ""
    )


def _listed(sentences: tuple[str, ...]) -> str:
    return "\n".join(f"- {_escaped(sentence)}" for sentence in sentences)


def _escaped(text: str) -> str:
    return " ".join(text.split()).translate(_MARKDOWN)
