"""The command `predict`."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from terrainlib import files
from terrainlib.cli.console import complain, in_words, note, progress_bar, say
from terrainlib.data.imagery import read_size
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.data.scene import list_bands
from terrainlib.errors import ConfigError, InputError, StoppedError, TerrainError
from terrainlib.mask.cleaning import STEPS, PostProcessing
from terrainlib.mask.products.making import file_names, predict_file
from terrainlib.mask.products.products import CHOICES, folder_images
from terrainlib.mask.products.records import SHARES_FILE, Made, Wanted, shares_csv
from terrainlib.mask.vectors.polygons import SmallestArea
from terrainlib.model.forward import require_heights
from terrainlib.types import Progress

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel
    from terrainlib.runs.jobs.cluster import ClusterState
    from terrainlib.runs.jobs.estimate import Estimate
    from terrainlib.runs.jobs.orders import Order


def find_images(paths: list[Path]) -> dict[Path, Path | None]:
    """Return the image files that the arguments name, each once, with their heights.

    Of a folder hidden files and the results of earlier predictions are left out, and
    heights, as `NAME_height.tif`, belong to the image beside them.

    Raises:
        InputError: If a folder holds no image.
    """
    found: dict[Path, tuple[Path, Path | None]] = {}
    for path in paths:
        inside: Sequence[Path] = [path]
        heights: Mapping[Path, Path] = {}
        if path.is_dir():
            folder = folder_images(path)
            inside, heights = folder.images, folder.heights
            if not inside:
                raise InputError("holds no PNG, JPEG or TIFF image.", file=path.name)
            if folder.results:
                note(_results_text(path, len(folder.results)))
            if heights:
                first, *more = (file.name for file in heights.values())
                and_more = f" and {len(more):,} more" if more else ""
                note(f"{path.name}: taken as heights of images: {first}{and_more}")
        for entry in inside:
            found.setdefault(entry.resolve(), (entry, heights.get(entry)))
    return dict(found.values())


def _results_text(folder: Path, count: int) -> str:
    made = "1 file is" if count == 1 else f"{count:,} files are"
    return (
        f"{folder.name}: {made} called like results for images beside them and left "
        "out; to predict such a file, name it"
    )


class Names:
    """Where the files of each image go.

    Args:
        options: The command's options.
        images: Every input image.
        wanted: What is made of each.
    """

    def __init__(
        self, options: argparse.Namespace, images: list[Path], wanted: Wanted
    ) -> None:
        self._out = options.out
        self._wanted = wanted
        inputs = [*images, options.height_file] if options.height_file else images
        self._inputs = {path.resolve(): path.name for path in inputs}
        self._owners: dict[str, Path] = {}

    def take(self, path: Path) -> str:
        """Return what the names of an image's files begin with.

        Raises:
            InputError: If they would replace an input, or the masks of another image.
        """
        stem = path.stem
        names = {
            name
            for placed in (False, True)
            for name in file_names(stem, self._wanted, placed=placed, system=False)
        }
        for name in sorted(names):
            taken = self._inputs.get((self._out / name).resolve())
            if taken is not None:
                raise InputError(
                    f"its mask would replace the input {taken}. Choose another folder "
                    "with --out.",
                    file=path.name,
                )
        owner = self._owners.setdefault(stem.lower(), path)
        if owner != path:
            raise InputError(
                f"its mask would have the name of that of {owner.name}. Rename one of "
                "them, or choose another folder with --out.",
                file=path.name,
            )
        return stem


LONG_MEGAPIXELS: Final = 16  # from here on it is told before what it takes


def say_before(path: Path, model: "TerrainModel", wanted: Wanted, folder: Path) -> None:
    """Tell which bands could be chosen, and what a large image takes.

    Says nothing of a file that cannot be read: its prediction will.
    """
    with suppress(TerrainError):
        _say_bands(path, model, wanted)
        size = read_size(path, in_parts=True)
        if is_long(size):
            from terrainlib.runs.jobs.estimate import estimate, measure_speed

            measure_speed(model)
            told = estimate(model, [size], wanted, folder)
            note(f"{path.name}: {_estimate_text(size, told)}")


def _say_bands(path: Path, model: "TerrainModel", wanted: Wanted) -> None:
    """Tell which bands could be chosen; nothing of a file that cannot be read."""
    with suppress(TerrainError):
        plain = wanted.bands is None and model.record.bands is None
        if plain and (bands := list_bands(path)).asks:
            listed = ", ".join(f"{band.number} {band.name}" for band in bands.all)
            note(
                f"{path.name}: to use other bands as red, green and blue give their "
                f"numbers, such as --bands {bands.default[2]},{bands.default[1]},"
                f"{bands.default[0]}; the file has {listed}"
            )


def remember_long(made: Made, model: "TerrainModel", wanted: Wanted) -> None:
    """Remember what a large image took on this machine."""
    if is_long((made.height, made.width)) and not made.stopped:
        from terrainlib.runs.jobs.estimate import remember

        remember(model, made, wanted)


def say_after(made: Made) -> None:
    """Tell what is known of an image and its mask."""
    for text in made.notes:
        if text not in made.missing:
            note(f"{made.name}: {text}")
    if not made.rows or not any(made.shares.values()):
        return
    shares = sorted(made.shares.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{name} {share:.1%}" for name, share in shares if share)
    note(f"{made.name}: {listed}; unsure of {made.unsure_share:.1%}")
    if made.gap["level"] == "different":
        reasons = "; ".join(made.gap["reasons"])
        note(f"{made.name}: {made.gap['title']} ({reasons})")


def in_time(seconds: float) -> str:
    """Return a time in words: `1 second`, `12 minutes`, `2.5 hours`."""
    if seconds < 90:
        whole = max(1, round(seconds))
        return f"{whole} second{'s' if whole > 1 else ''}"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


def is_long(size: tuple[int, int]) -> bool:
    """Return whether an image (H, W) is so large that it is told what it takes."""
    return size[0] * size[1] >= LONG_MEGAPIXELS * 1e6


def _estimate_text(size: tuple[int, int], told: "Estimate") -> str:
    tiles = f"{told.tiles} tile{'s' if told.tiles > 1 else ''}"
    text = f"{size[1]} x {size[0]} px in {tiles}, about "
    if told.seconds is not None:
        text += f"{in_time(told.seconds)} and "
    return f"{text}{told.bytes / 1e6:.0f} MB of memory beside the model"


def predict(options: argparse.Namespace) -> int:
    """Write the masks of images; a bad image does not stop the others.

    Ctrl-C and SIGTERM end it in order: the finished rows of the image at work are kept.

    Returns:
        0; where images failed 2, or 1 if none of them was bad input.

    Raises:
        InputError: If the options do not fit; nothing is written then.
    """
    found = find_images(options.images)
    images = list(found)
    wanted = _wanted(options, images)
    if options.height_file:
        found |= {images[0]: options.height_file}
    batch = _Batch()
    names = Names(options, images, wanted)
    way = _predict_here if options.dask is None else _predict_on_cluster
    with progress_bar("Loading the model") as bar:
        way(_Work(options, wanted, names, found, *bar), batch)
    if len(images) > 1 or any(path.is_dir() for path in options.images):
        batch.write_shares(options.out)
    return batch.end(options.out)


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What all images of a batch have in common, and the bar that shows it."""

    options: argparse.Namespace
    wanted: Wanted
    names: Names
    heights: Mapping[Path, Path | None]  # of each image
    count: Progress
    rename: Callable[[str], None]

    def check_height(self, model: "TerrainModel") -> None:
        """Refuse a model that needs heights without any; say where they are no use."""
        given = [path for path in self.heights.values() if path]
        _check_height(self.options, model, given)


def _predict_here(work: _Work, batch: "_Batch") -> None:
    """Predict the images one after the other."""
    from terrainlib.model.instant import load_any
    from terrainlib.runs.process import stop_requested_by_signals

    model = load_any(work.options.model)
    work.check_height(model)
    total = len(work.heights)
    with stop_requested_by_signals() as asked:
        for number, path in enumerate(work.heights, start=1):
            if asked():
                batch.left_out = total - number + 1
                break
            work.rename(f"{path.name} ({number} of {total})")
            batch.take(path, partial(_predict_one, work, model, path, asked))


def _predict_one(
    work: _Work, model: "TerrainModel", path: Path, should_stop: Callable[[], bool]
) -> Made:
    """Predict one image, and say what is to be known of it."""
    stem = work.names.take(path)
    say_before(path, model, work.wanted, work.options.out)
    made = predict_file(
        model,
        path,
        work.options.out,
        stem,
        work.wanted,
        heights=work.heights[path],
        progress=work.count,
        should_stop=should_stop,
    )
    remember_long(made, model, work.wanted)
    say_after(made)
    return made


def _predict_on_cluster(work: _Work, batch: "_Batch") -> None:
    """Share the images among the workers of a cluster."""
    from terrainlib.runs.jobs.cluster import connected, predict_on
    from terrainlib.runs.jobs.estimate import model_outline
    from terrainlib.runs.process import stop_requested_by_signals

    model = model_outline(work.options.model)
    work.check_height(model)
    work.rename("Looking for the cluster")
    ended: dict[Path, Made | Exception] = {}
    with (
        stop_requested_by_signals() as asked,
        connected(work.options.dask) as client,
        files.scratch_folder(work.options.out.absolute()) as shared,
    ):
        orders = _orders(work, shared, ended)
        paths = list(orders)
        for outcome in predict_on(
            client, list(orders.values()), should_stop=asked, watch=_Watch(work)
        ):
            path = paths[outcome.number]
            if outcome.made is not None:
                _say_bands(path, model, work.wanted)
                ended[path] = _brought(outcome.made, work.options.out)
            elif outcome.problem is not None:
                ended[path] = outcome.problem
    for path in work.heights:  # the table and the errors in the images' order
        if path in ended:
            batch.take(path, partial(_made_or_raise, ended[path]))
        else:
            batch.left_out += 1


def _orders(
    work: _Work, shared: Path, refused: dict[Path, Made | Exception]
) -> dict[Path, "Order"]:
    """Return what the workers of a cluster are to do, by image."""
    from terrainlib.runs.jobs.orders import Order

    model = work.options.model
    if model not in EMBEDDED_MODELS:
        model = str(Path(model).absolute())
    orders = {}
    for path, heights in work.heights.items():
        try:
            stem = work.names.take(path)
        except InputError as error:
            refused[path] = error
            continue
        orders[path] = Order(
            model,
            str(path.absolute()),
            path.name,
            stem,
            str(shared),
            work.wanted,
            None if heights is None else str(heights.absolute()),
        )
    return orders


def _brought(made: Made, folder: Path) -> Made | Exception:
    """Bring the files of an image to their place, and say what is to be known of it."""
    from terrainlib.runs.jobs.delivery import hand_over

    try:
        made = replace(made, files=hand_over(made.files, folder))
    except TerrainError as error:
        return error
    say_after(made)
    return made


def _made_or_raise(ended: Made | Exception) -> Made:
    if isinstance(ended, Exception):
        raise ended
    return ended


class _Watch:
    """Shows how a cluster gets on."""

    def __init__(self, work: _Work) -> None:
        self._work = work
        self._said: set[str] = set()

    def __call__(self, state: "ClusterState") -> None:
        """Show the state, and once what could be better."""
        work = self._work
        of = len(work.heights)
        workers = "1 worker" if state.workers == 1 else f"{state.workers} workers"
        work.rename(f"{state.done + state.failed} of {of} images, {workers}")
        work.count(state.pixels, state.of_pixels)
        if not state.workers:
            self._say(
                f"no worker is at {work.options.dask} yet; start some with `dask "
                f"worker {work.options.dask} --nthreads 1`"
            )
        if state.threads > 1:
            self._say(
                f"workers have up to {state.threads} threads, which wait for each "
                "other; start them with --nthreads 1, one for each core"
            )

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            note(text)


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
    if not made.rows:
        text = "stopped before its first rows; nothing was written."
    elif made.rows < made.height:
        text = (
            f"stopped after {made.rows} of {made.height} rows; they are in the mask, "
            "the others have no data."
        )
    else:
        text = "stopped after the mask; the other files were not made."
    return StoppedError(text, file=made.name)


def _wanted(options: argparse.Namespace, images: list[Path]) -> Wanted:
    """Return what the options ask for."""
    if options.min_area is not None and not options.vectors:
        raise ConfigError("--min-area is the smallest polygon. Add --vectors.")
    if options.height_file is not None and len(images) != 1:
        raise InputError(
            f"--height-file takes exactly one IMAGE, not {len(images)}. Name one."
        )
    require_folder(options.out)
    return Wanted(
        **{product.field: getattr(options, product.field) for product in CHOICES},
        smallest=options.min_area or SmallestArea(),
        cleaning=PostProcessing(
            **{step.field: getattr(options, step.field) for step in STEPS}
        ),
        scale=options.scale,
        bands=options.bands,
    )


def require_folder(out: Path) -> None:
    """Refuse to write results where something stands that is no folder."""
    if out.exists() and not out.is_dir():
        raise InputError("is not a folder. Choose another with --out.", file=out.name)


def _check_height(
    options: argparse.Namespace, model: "TerrainModel", heights: list[Path]
) -> None:
    """Refuse a model that needs heights without any; say where they are of no use."""
    require_heights(model.config, heights or None, file=model.name)
    if not heights or model.config.height:
        return
    text = f"{model.name} does not use the height; "
    changes = "it goes into the pack only" if options.pack else "it changes nothing"
    note(f"{text}{changes}.")
