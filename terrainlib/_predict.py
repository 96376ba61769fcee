"""The commands `predict` and `sharpen`."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from terrainlib import files
from terrainlib._console import Counter, complain, note, progress_bar, say
from terrainlib.data.imagery import Image, read_height, read_image
from terrainlib.errors import (
    ConfigError,
    FailureError,
    ImageError,
    InputError,
    TerrainError,
)
from terrainlib.mask.export import encode_png, geotiff_mask, mask_png, to_bytes
from terrainlib.mask.sharpen import MAX_AMOUNT, sharpen

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_JPEG_QUALITY = 95

Bytes = NDArray[np.uint8]
FloatArray = NDArray[np.float32]


def predict(options: argparse.Namespace) -> int:
    """Write the masks of images; a bad image does not stop the others.

    Returns:
        0; where images failed 2, or 1 if none of them was bad input.

    Raises:
        InputError: If the options do not fit; nothing is written then.
    """
    images = _images(options.images)
    _check_options(options, images)
    errors: list[TerrainError] = []
    with progress_bar("Loading the model") as (count, rename):
        from terrainlib.model.modelfile import load_model

        model = load_model(options.model)
        _check_height(options, model)
        names = _Names(options, images)
        for number, path in enumerate(images, start=1):
            rename(f"{path.name} ({number} of {len(images)})")
            try:
                _predict_one(path, names.take(path), model, options, count)
            except TerrainError as error:
                errors.append(error)
            except MemoryError:
                sentence = "the memory is not enough for this image. Use a smaller one."
                errors.append(FailureError(sentence, file=path.name))
    done = len(images) - len(errors)
    if done:
        say(f"{done} {'mask' if done == 1 else 'masks'} written to {options.out}")
    for bad in errors:
        complain(bad)
    return max((bad.exit_status for bad in errors), default=0)


def sharpen_image(options: argparse.Namespace) -> int:
    """Sharpen an image into a new file of the same size.

    Raises:
        InputError: If the image or an option is not usable; nothing is written then.
    """
    if options.out.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(
            f"the format is chosen by the name's end, and {options.out.suffix!r} is "
            "none of .png, .jpg, .jpeg, .tif and .tiff. Rename it.",
            file=options.out.name,
        )
    if options.out.is_dir():
        raise InputError("is a folder. Name a file to write.", file=options.out.name)
    if _same(options.out, options.image):
        raise InputError(
            "would be overwritten. Give the result another name.",
            file=options.image.name,
        )
    image = read_image(options.image)
    for text in image.notes:
        note(f"{image.name}: {text}")
    result = sharpen(
        _as_stored(image.rgb),
        options.amount,
        method=options.method,
        radius=options.radius,
    )
    files.write_bytes(options.out, encode(to_bytes(result), options.out.suffix))
    return 0


def encode(rgb: Bytes, suffix: str) -> bytes:
    """Return RGB pixels (H, W, 3) as a PNG, JPEG or TIFF file, by the name's end.

    Raises:
        FailureError: If the pixels cannot be encoded.
    """
    import cv2

    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    options = quality if suffix.lower() in (".jpg", ".jpeg") else []
    done, data = cv2.imencode(suffix.lower(), rgb[..., ::-1], options)
    if not done:
        raise FailureError(f"{rgb.shape[1]} x {rgb.shape[0]} px cannot be encoded.")
    return bytes(data)


class _Names:
    """Where the files of each image go, so that nothing is lost.

    Args:
        options: The command's options.
        images: Every input image.
    """

    def __init__(self, options: argparse.Namespace, images: list[Path]) -> None:
        self._options = options
        inputs = [*images, options.height_file] if options.height_file else images
        self._inputs = {path.resolve(): path.name for path in inputs}
        self._owners: dict[str, Path] = {}

    def take(self, path: Path) -> "_Outputs":
        """Return the outputs of an image.

        Raises:
            InputError: If they would replace an input, or the masks of another image.
        """
        outputs = _Outputs(self._options.out, path.stem)
        for output in outputs.all(self._options):
            if (taken := self._inputs.get(output.resolve())) is not None:
                raise InputError(
                    f"its mask would replace the input {taken}. Choose another folder "
                    "with --out.",
                    file=path.name,
                )
        owner = self._owners.setdefault(path.stem.lower(), path)
        if owner != path:
            raise InputError(
                f"its mask would have the name of that of {owner.name}. Rename one of "
                "them, or choose another folder with --out.",
                file=path.name,
            )
        return outputs


@dataclass(frozen=True, slots=True)
class _Outputs:
    """The files of one image."""

    folder: Path
    stem: str

    def path(self, kind: str, suffix: str = ".png") -> Path:
        """Return the path of one of them."""
        return self.folder / f"{self.stem}_{kind}{suffix}"

    def all(self, options: argparse.Namespace) -> list[Path]:
        """Return every path that may be written."""
        paths = [self.path("mask"), self.path("mask", ".tif")]
        if options.soft:
            paths.append(self.path("soft"))
        if options.sharpen is not None:
            paths.append(self.path("sharpened"))
        return paths


def _predict_one(
    path: Path,
    outputs: _Outputs,
    model: "TerrainModel",
    options: argparse.Namespace,
    count: Counter,
) -> None:
    """Predict one image and write what was asked for."""
    from terrainlib.mask.prediction import predict_image

    image = read_image(path)
    for text in image.notes:
        note(f"{image.name}: {text}")
    prediction = predict_image(
        model,
        image,
        height=_height(options.height_file, image),
        tiling=options.tiling,
        scale=options.scale,
        progress=count,
    )
    if image.georeference is None:
        data = mask_png(prediction.classes, model.classes)
        files.write_bytes(outputs.path("mask"), data)
    else:
        data = geotiff_mask(prediction.classes, model.classes, image.georeference)
        files.write_bytes(outputs.path("mask", ".tif"), data)
    soft = to_bytes(prediction.soft)  # sharpened as it is saved, as in the studio
    if options.soft:
        files.write_bytes(outputs.path("soft"), encode_png(soft))
    if options.sharpen is not None:
        sharpened = sharpen(soft, options.sharpen)
        files.write_bytes(outputs.path("sharpened"), encode_png(sharpened))


def _images(paths: list[Path]) -> list[Path]:
    """Return the image files that the arguments name, each of them once.

    Raises:
        InputError: If a folder holds no image.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = sorted(
                entry
                for entry in path.iterdir()
                if entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file()
            )
            if not inside:
                raise InputError("holds no PNG, JPEG or TIFF image.", file=path.name)
        for entry in inside:
            found.setdefault(entry.resolve(), entry)
    return list(found.values())


def _check_options(options: argparse.Namespace, images: list[Path]) -> None:
    """Refuse options that do not fit together.

    Raises:
        InputError: With the option's name.
    """
    if options.sharpen is not None and not 0 <= options.sharpen <= MAX_AMOUNT:
        raise ConfigError(
            f"--sharpen must be 0 to {MAX_AMOUNT:g}, not {options.sharpen:g}."
        )
    if options.scale is not None and options.scale <= 0:
        raise ConfigError(f"--scale must be greater than 0, not {options.scale:g}.")
    if options.height_file is not None and len(images) != 1:
        raise InputError(
            f"--height-file takes exactly one IMAGE, not {len(images)}. Name one."
        )
    if options.out.exists() and not options.out.is_dir():
        raise InputError(
            "is no folder. Choose another one with --out.", file=options.out.name
        )


def _check_height(options: argparse.Namespace, model: "TerrainModel") -> None:
    """Refuse a model that needs heights without any; say where they are of no use.

    Raises:
        InputError: If the model needs heights.
    """
    if model.config.height and options.height_file is None:
        raise InputError(
            "uses the height of the land. Give it with --height-file, for one IMAGE at "
            "a time, or use a model without height.",
            file=model.name,
        )
    if options.height_file is not None and not model.config.height:
        note(f"{model.name} does not use the height; the height file changes nothing.")


def _height(path: Path | None, image: Image) -> FloatArray | None:
    """Return the heights of an image.

    Raises:
        InputError: If their size is not the image's.
    """
    if path is None:
        return None
    height = read_height(path)
    if height.shape != image.rgb.shape[:2]:
        rows, columns = height.shape
        raise ImageError(
            f"{columns} x {rows} px, but {image.name} has {image.width} x "
            f"{image.height}. Use heights on the image's own grid.",
            file=path.name,
        )
    return height


def _as_stored(rgb: FloatArray) -> Bytes | FloatArray:
    """Return pixels that were bytes as bytes, so that they are sharpened as such."""
    pixels = to_bytes(rgb)
    return pixels if np.allclose(pixels / np.float32(255), rgb, atol=1e-6) else rgb


def _same(first: Path, second: Path) -> bool:
    """Return whether two paths name the same file."""
    return first.exists() and second.exists() and first.samefile(second)
