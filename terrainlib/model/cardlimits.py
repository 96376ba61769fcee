"""What a model is not good for, and what its scores are worth, out of its record."""

from typing import Final

from terrainlib.model.record import ModelRecord

RARE_SHARE: Final = 0.02
WEAK_IOU: Final = 0.4
FEW_PAIRS: Final = 50


def stored_leak(record: ModelRecord) -> str | None:
    """Return what stands beside the scores that are stored in a record.

    Returns:
        What the split knows of shared ground, and whether the weights were trained
        further since; None where the record holds no split.
    """
    leak = (record.split or {}).get("leak") or None
    if record.final is None:
        return leak
    later = f"scored before the last training on all {record.final['pairs']:,} pairs"
    return f"{leak}; {later}" if leak else later


def fresh_leak(record: ModelRecord) -> str | None:
    """Return what stands beside scores computed now on a model's validation pairs.

    Weights that were trained once more on all pairs have seen the validation pairs as
    well, however clean the stored split is.
    """
    if record.final is None:
        return (record.split or {}).get("leak") or None
    return (
        f"seen in training: these weights were trained once more on all "
        f"{record.final['pairs']:,} pairs"
    )


def limits_of(record: ModelRecord) -> tuple[str, ...]:
    """Return what the facts of a record warn of, a sentence each."""
    found = [
        _resolution(record),
        _looks(record),
        _heights(record),
        _rare_classes(record),
        _weak_classes(record),
        _pixel_classifier(record),
        _scores(record),
        _few_pairs(record),
        _stopped(record),
    ]
    return tuple(sentence for sentence in found if sentence)


def _resolution(record: ModelRecord) -> str:
    size = record.unet_config().image_size
    if record.scale is None:
        return (
            f"Large images: the whole image is resized to {size} × {size} px, and what "
            "is smaller than a pixel of that is lost."
        )
    side = round(size / record.scale)
    return (
        "Images of another resolution: it has only seen pixels that cover as much "
        f"ground as those of {_data(record)}, in images of about {side} px. Where a "
        "pixel covers much more or less, set the scale and expect worse masks."
    )


def _looks(record: ModelRecord) -> str:
    means = record.statistics.get("color_mean")
    contrast = record.statistics.get("contrast")
    if means is None or contrast is None:
        return "Images that look unlike those it was trained on."
    red, green, blue = (f"{255 * level:.0f}" for level in means)
    return (
        "Images that look unlike those it was trained on, such as ordinary "
        "photographs or other seasons and sensors: its training images have a mean "
        f"colour of red {red}, green {green}, blue {blue} and, within an image, a "
        f"brightness that varies by {255 * contrast:.0f} of 255."
    )


def _heights(record: ModelRecord) -> str:
    if not record.unet_config().height:
        return ""
    return "Images without heights: it needs a height in metres for every pixel."


def _rare_classes(record: ModelRecord) -> str:
    shares, where = _class_shares(record)
    rare = [f"{name} ({v:.1%})" for name, v in shares.items() if v < RARE_SHARE]
    if not rare:
        return ""
    return (
        f"Rare classes: {_joined(rare)} of the {where} pixels, too few to learn well."
    )


def _class_shares(record: ModelRecord) -> tuple[dict[str, float], str]:
    names = [item.name for item in record.terrain_classes()]
    trained = record.statistics.get("class_shares", {})
    known = {name: trained[name] for name in names if trained.get(name) is not None}
    if known:
        return known, "training"
    rows = [sum(row) for row in record.confusion or []]
    if len(rows) != len(names) or not sum(rows):
        return {}, ""
    total = sum(rows)
    return {n: row / total for n, row in zip(names, rows, strict=True)}, "validation"


def _weak_classes(record: ModelRecord) -> str:
    known = (record.scores or {}).get("iou", {}).items()
    weak = [f"{name} ({v:.2f})" for name, v in known if v is not None and v < WEAK_IOU]
    if not weak:
        return ""
    word = "class" if len(weak) == 1 else "classes"
    return f"Finding the {word} {_joined(weak)}: an IoU below {WEAK_IOU:g} misses much."


def _pixel_classifier(record: ModelRecord) -> str:
    own, other = (
        (s or {}).get("miou") for s in (record.scores, record.pixel_classifier)
    )
    if own is None or other is None or own > other:
        return ""
    return (
        f"What the pixel classifier can do as well: its mIoU of {own:.3f} is not "
        f"ahead of {other:.3f} there."
    )


def _scores(record: ModelRecord) -> str:
    if (record.scores or {}).get("miou") is None:
        return "Relying on it unchecked: no scores are stored with it."
    if (record.split or {}).get("method") == "random":
        return (
            "Judging it by its scores alone: the held-out pairs were drawn at "
            "random, so many may share ground with training pairs, and the scores "
            "are too good."
        )
    if record.final is not None:
        return (
            "Scoring it again on its own data: the last training has seen all pairs, "
            "and only other data say how good it is now."
        )
    return ""


def _few_pairs(record: ModelRecord) -> str:
    pairs = len((record.split or {}).get("train", ()))
    if record.final is not None or not 0 < pairs < FEW_PAIRS:
        return ""
    return f"Landscapes beyond its data: it learnt from {pairs} pairs only."


def _stopped(record: ModelRecord) -> str:
    if record.training.get("stopped") is not True:
        return ""
    return "Comparing recipes: its training was stopped before its budget was used."


def _data(record: ModelRecord) -> str:
    name = record.dataset.get("name")
    return f"the data set {name}" if name else "its training images"


def _joined(words: list[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
