"""The preview images of a run: four validation images, predicted after every epoch."""

import re
from dataclasses import dataclass
from pathlib import Path

PREVIEWS = "previews"
_EPOCH_FOLDER = re.compile(r"epoch-([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class PreviewInput:
    """One of the validation images that the previews show.

    Attributes:
        id: Id of the pair.
        image: PNG of the image at the working size.
        truth: PNG of its mask in class colours.
    """

    id: str
    image: Path
    truth: Path


def preview_inputs(path: Path) -> tuple[PreviewInput, ...]:
    """Return the images that the previews of the run folder `path` show, by id."""
    found = []
    for image in sorted((path / PREVIEWS).glob("*_image.png")):
        name = image.name.removesuffix("_image.png")
        truth = image.with_name(f"{name}_truth.png")
        if truth.is_file():
            found.append(PreviewInput(name, image, truth))
    return tuple(found)


def previews(path: Path) -> dict[int, dict[str, Path]]:
    """Return the preview masks of the run folder `path`: epoch -> id -> PNG file."""
    found: dict[int, dict[str, Path]] = {}
    for folder in sorted((path / PREVIEWS).glob("epoch-*")):
        if match := _EPOCH_FOLDER.fullmatch(folder.name):
            masks = {mask.stem: mask for mask in sorted(folder.glob("[!.]*.png"))}
            if masks:
                found[int(match[1])] = masks
    return dict(sorted(found.items()))
