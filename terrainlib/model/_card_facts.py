"""The facts of a model card: model, data, split, training and calibration."""

from typing import Any, Final

from terrainlib.model.config import TrainingConfig
from terrainlib.model.record import ModelRecord
from terrainlib.types import checked

Fact = tuple[str, str]
Facts = tuple[Fact, ...]

_NOT_OPTIONS: Final = ("epochs_done", "best_epoch", "stopped")
_IN_COMMAND: Final = (  # or in the data
    *("epochs", "minutes", "batch_size", "seed", "height", "image_size", "classes"),
)


def sections_of(record: ModelRecord) -> tuple[tuple[str, Facts], ...]:
    """Return titles and facts in the order of the card; what is unknown is left out."""
    return (
        ("Model", _known(_model(record))),
        ("Data", _known(_data(record))),
        ("Split", _known(_split(record))),
        ("Training", _known(_training(record))),
        ("Calibration", _known(_calibration(record))),
    )


def repeat_command(record: ModelRecord) -> str | None:
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
    if network.height:
        words.append("--height")
    if network.image_size != preset.network.image_size:
        words.append(f"--image-size {network.image_size}")
    if config.batch_size != preset.batch_size:
        words.append(f"--batch-size {config.batch_size}")
    return " ".join([*words, f"--seed {config.seed}"])


def _known(facts: list[Fact]) -> Facts:
    return tuple((name, value) for name, value in facts if value)


def _model(record: ModelRecord) -> list[Fact]:
    config = record.unet_config()
    names = ", ".join(item.name for item in record.terrain_classes())
    colors = config.output == "colors"
    stem = "stem at half resolution, " if config.stem_stride == 2 else ""
    filters = "-".join(str(value) for value in config.filters)
    return [
        ("Preset", config.preset_name),
        ("Network", f"U-Net, {stem}filters {filters}"),
        ("Parameters", f"{record.parameters:,}" if record.parameters else ""),
        ("Input", "RGB image and heights in metres" if config.height else "RGB image"),
        ("Works at", _resolution(record, config.image_size)),
        ("Gives", f"{'colours' if colors else 'probabilities'} of {names}"),
    ]


def _resolution(record: ModelRecord, size: int) -> str:
    if record.scale is None:
        return f"{size} × {size} px, to which the whole image is resized"
    same = "the image's own resolution"
    scaled = f"{record.scale:.3g} of the image's resolution"
    return f"{same if record.scale == 1 else scaled}, trained at {size} × {size} px"


def _data(record: ModelRecord) -> list[Fact]:
    pairs = record.dataset.get("pairs")
    return [
        ("Name", record.dataset.get("name", "")),
        ("Pairs", f"{pairs:,}" if pairs is not None else ""),
        ("Fingerprint", record.dataset.get("fingerprint", "")),
    ]


def _split(record: ModelRecord) -> list[Fact]:
    split = record.split or {}
    words = {"train": "train", "validation": "validate", "left_out": "left out"}
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
        ("Seed", str(training.get("seed", ""))),
        ("Batch", f"{batch} images" if batch is not None else ""),
        ("Epochs done", str(training.get("epochs_done", ""))),
        ("Best epoch", str(training.get("best_epoch") or "")),
        ("Unlike the preset", ", ".join(_unlike_preset(record))),
        ("Last training", _last_training(record)),
        ("Made", record.created.replace("T", " ").replace("+00:00", " UTC")),
        ("Versions", ", ".join(versions)),
    ]


def _calibration(record: ModelRecord) -> list[Fact]:
    error = (record.scores or {}).get("ece")
    if error is None and record.temperature == 1:
        return []
    return [
        ("Temperature", f"{record.temperature:.3g}, already within the weights"),
        (
            "Expected calibration error",
            f"{error:.1%} on the validation pairs" if error is not None else "",
        ),
    ]


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
    usual = TrainingConfig.preset(config.network.preset_name).to_dict()
    # only what the record holds: options that came later are not its own
    found = _differences(record.training["network"], usual.pop("network"))
    return found + _differences(record.training, usual)


def _differences(values: Any, preset: dict[str, Any]) -> list[str]:
    return [
        f"{name.replace('_', ' ')} {values[name]}"
        for name, usual in preset.items()
        if name in values and name not in _IN_COMMAND and values[name] != usual
    ]
