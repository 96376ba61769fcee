"""The facts of a model card: model, data, split, training and calibration."""

from typing import Any, Final

from terrainlib.errors import ConfigError
from terrainlib.model._card_values import count, number, part, text
from terrainlib.model.config import TrainingConfig
from terrainlib.model.record import ModelRecord

Fact = tuple[str, str]
Facts = tuple[Fact, ...]

_NOT_OPTIONS: Final = ("epochs_done", "best_epoch", "stopped")


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
    pairs = number(record.dataset, "pairs")
    return [
        ("Name", text(record.dataset, "name")),
        ("Pairs", f"{pairs:,.0f}" if pairs is not None else ""),
        ("Fingerprint", text(record.dataset, "fingerprint")),
    ]


def _split(record: ModelRecord) -> list[Fact]:
    split = record.split
    sizes = [
        (count(split, "train"), "train"),
        (count(split, "validation"), "validate"),
        (count(split, "left_out"), "left out"),
    ]
    pairs = ", ".join(f"{size:,} {word}" for size, word in sizes if size)
    return [
        ("Method", text(split, "method")),
        ("Pairs", pairs),
        ("Shared ground", text(split, "leak")),
        ("Fingerprint", text(split, "hash")),
    ]


def _last_training(record: ModelRecord) -> str:
    """Return in words how the weights were trained once more, on all pairs."""
    final = record.final
    if final is None:
        return ""
    details = []
    if (minutes := number(final, "minutes")) is not None:
        details.append(f"{minutes:g} minutes")
    if (epochs := number(final, "epochs")) is not None:
        details.append(f"{epochs:g} epochs")
    if (seed := number(final, "seed")) is not None:
        details.append(f"seed {seed:g}")
    how = f" ({', '.join(details)})" if details else ""
    return (
        f"once more on all {final['pairs']:,} pairs{how}; split and scores are those "
        "of the training before it"
    )


def _training(record: ModelRecord) -> list[Fact]:
    training = record.training
    minutes, epochs = number(training, "minutes"), number(training, "epochs")
    seed, batch = number(training, "seed"), number(training, "batch_size")
    done, best = number(training, "epochs_done"), number(training, "best_epoch")
    budget = f"{epochs:g} epochs" if epochs is not None else ""
    if minutes is not None:
        budget = f"{minutes:g} minutes"
    versions = [f"{name} {text(record.versions, name)}" for name in record.versions]
    return [
        ("Budget", budget),
        ("Seed", f"{seed:.0f}" if seed is not None else ""),
        ("Batch", f"{batch:.0f} images" if batch is not None else ""),
        ("Epochs done", f"{done:.0f}" if done is not None else ""),
        ("Best epoch", f"{best:.0f}" if best else ""),
        ("Unlike the preset", ", ".join(_unlike_preset(record))),
        ("Last training", _last_training(record)),
        ("Made", record.created.replace("T", " ").replace("+00:00", " UTC")),
        ("Versions", ", ".join(versions)),
    ]


def _calibration(record: ModelRecord) -> list[Fact]:
    error = number(record.scores, "ece")
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
        return TrainingConfig.from_dict(values) if values else None
    except (ConfigError, TypeError, ValueError):
        return None


def _unlike_preset(record: ModelRecord) -> list[str]:
    """Return options that differ from the preset's and are none of the command's."""
    config = _training_config(record)
    if config is None:
        return []
    network = config.network
    preset = TrainingConfig.preset(
        network.preset_name,
        network={
            "classes": network.classes,
            "height": network.height,
            "image_size": network.image_size,
        },
        epochs=config.epochs,
        minutes=config.minutes,
        batch_size=config.batch_size,
        seed=config.seed,
    ).to_dict()
    # only what the record holds: options that came later are not its own
    mine, own_network = record.training, part(record.training, "network")
    found = _differences(own_network, preset.pop("network"))
    return found + _differences(mine, preset)


def _differences(values: Any, preset: dict[str, Any]) -> list[str]:
    return [
        f"{name.replace('_', ' ')} {values[name]}"
        for name, usual in preset.items()
        if name in values and values[name] != usual
    ]
