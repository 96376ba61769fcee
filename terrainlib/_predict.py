"""The command `predict`."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from terrainlib import files
from terrainlib._console import Counter, complain, in_words, note, progress_bar, say
from terrainlib._predict_names import Names, find_images
from terrainlib._predict_text import say_after, say_before
from terrainlib.errors import (
    ConfigError,
    InputError,
    StoppedError,
    TerrainError,
)
from terrainlib.mask.products.batch import SHARES_FILE, shares_csv
from terrainlib.mask.products.making import Made, Wanted, predict_file
from terrainlib.mask.vectors.polygons import SmallestArea
from terrainlib.model.inputs import require_heights

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel


def predict(options: argparse.Namespace) -> int:
    """Write the masks of images; a bad image does not stop the others.

    Ctrl-C and SIGTERM end it in order: the finished rows of the image at work are kept.

    Returns:
        0; where images failed 2, or 1 if none of them was bad input.

    Raises:
        InputError: If the options do not fit; nothing is written then.
    """
    images = find_images(options.images)
    wanted = _wanted(options, images)
    batch = _Batch()
    with progress_bar("Loading the model") as (count, rename):
        from terrainlib.model.modelfile import load_model
        from terrainlib.runs.signals import stop_requested_by_signals

        model = load_model(options.model)
        _check_height(options, model)
        work = _Work(model, options, wanted, Names(options, images, wanted), count)
        with stop_requested_by_signals() as asked:
            for number, path in enumerate(images, start=1):
                if asked():
                    batch.left_out = len(images) - number + 1
                    break
                rename(f"{path.name} ({number} of {len(images)})")
                batch.take(path, partial(work.predict, path, asked))
    if len(images) > 1 or any(path.is_dir() for path in options.images):
        batch.write_shares(options.out)
    return batch.end(options.out)


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What all images of a batch have in common."""

    model: "TerrainModel"
    options: argparse.Namespace
    wanted: Wanted
    names: Names
    count: Counter

    def predict(self, path: Path, should_stop: Callable[[], bool]) -> Made:
        """Predict one image, and say what is to be known of it."""
        stem = self.names.take(path)
        say_before(path, self.model, self.wanted, self.options.out)
        made = predict_file(
            self.model,
            path,
            self.options.out,
            stem,
            self.wanted,
            heights=self.options.height_file,
            progress=self.count,
            should_stop=should_stop,
        )
        say_after(made, self.model, self.wanted)
        return made


@dataclass(slots=True)
class _Batch:
    """What became of the images.

    Attributes:
        made: Those that are predicted, wholly or in part.
        errors: What to complain about, in the order in which it came up.
        failures: A sentence for each image that failed, by name.
        left_out: How many were not begun, as asked.
    """

    made: list[Made] = field(default_factory=list)
    errors: list[TerrainError] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    left_out: int = 0

    def take(self, path: Path, work: Callable[[], Made]) -> None:
        """Do the work for one image and keep what comes of it."""
        try:
            made = work()
        except Exception as problem:  # noqa: BLE001 - no image ends the batch
            error = in_words(problem)
            error.file = error.file or path.name
            self.errors.append(error)
            self.failures[path.name] = error.message
            return
        self.made.append(made)
        self.errors += [InputError(text, file=made.name) for text in made.missing]
        if made.stopped:
            self.errors.append(_stopped(made))

    def write_shares(self, folder: Path) -> None:
        """Write the table of class shares, where there are any."""
        if not self.made:
            return
        try:
            table = shares_csv(self.made, self.failures)
            files.write_bytes(folder / SHARES_FILE, table)
        except TerrainError as error:  # the masks are there all the same
            self.errors.append(error)

    def end(self, folder: Path) -> int:
        """Say how it went; return the exit status."""
        done = sum(1 for made in self.made if not made.stopped)
        if done:
            say(f"{done} {'mask' if done == 1 else 'masks'} written to {folder}")
        if self.left_out:
            images = "image was" if self.left_out == 1 else "images were"
            self.errors.append(StoppedError(f"{self.left_out} {images} not begun."))
        for bad in self.errors:
            complain(bad)
        return max((bad.exit_status for bad in self.errors), default=0)


def _stopped(made: Made) -> StoppedError:
    """Return what to say of an image whose prediction was stopped."""
    if not made.rows:
        text = "stopped before its first rows; nothing was written."
    elif made.rows < made.height:
        text = (
            f"stopped after {made.rows} of {made.height} rows; they are in the mask, "
            "the others have no data."
        )
    else:
        text = "stopped after the mask; what was wanted beside it was not made."
    return StoppedError(text, file=made.name)


def _wanted(options: argparse.Namespace, images: list[Path]) -> Wanted:
    """Return what the options ask for.

    Raises:
        InputError: If they do not fit together, with the option's name.
    """
    if options.min_area is not None and not options.vectors:
        raise ConfigError("--min-area is the smallest polygon. Add --vectors.")
    if options.height_file is not None and len(images) != 1:
        raise InputError(
            f"--height-file takes exactly one IMAGE, not {len(images)}. Name one."
        )
    if options.out.exists() and not options.out.is_dir():
        raise InputError(
            "is no folder. Choose another one with --out.", file=options.out.name
        )
    return Wanted(
        soft=options.soft,
        probabilities=options.probabilities,
        sharpen=options.sharpen,
        vectors=options.vectors,
        smallest=options.min_area or SmallestArea(),
        pack=options.pack,
        scale=options.scale,
        bands=options.bands,
    )


def _check_height(options: argparse.Namespace, model: "TerrainModel") -> None:
    """Refuse a model that needs heights without any; say where they are of no use.

    Raises:
        InputError: If the model needs heights.
    """
    require_heights(model.config, options.height_file, file=model.name)
    if options.height_file is None or model.config.height:
        return
    text = f"{model.name} does not use the height; "
    changes = "it goes into the pack only" if options.pack else "it changes nothing"
    note(f"{text}{changes}.")
