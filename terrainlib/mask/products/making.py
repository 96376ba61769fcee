"""What people want of an image, made in one pass over it, whatever its size.

The class mask and, on request, the soft mask, the probabilities, a sharpened picture,
polygons and a world-builder's pack; with it the areas of the classes, how sure the
model is, and whether the image looks like those that it was trained on. Memory does not
grow with the image's height; what polygons need stands in `vectors`.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.heights import Heights
from terrainlib.data.formats.source import ImageSource
from terrainlib.data.scene import Scene
from terrainlib.errors import InputError, StoppedError
from terrainlib.files import require_free_space, scratch_folder, storage_error
from terrainlib.mask.gap import Gap, scene_gap
from terrainlib.mask.ground.areaerrors import validation_of
from terrainlib.mask.ground.areas import AreaTally
from terrainlib.mask.pack.pack import PackContent, write_pack
from terrainlib.mask.products.products import files_of
from terrainlib.mask.products.records import Made, Wanted
from terrainlib.mask.products.task import (
    CleanedSink,
    Outputs,
    Task,
    opened,
    outputs_of,
)
from terrainlib.mask.tiles.bands import Sink
from terrainlib.mask.tiles.streaming import StreamOptions, StreamReport, predict_scene
from terrainlib.mask.vectors.polygons import TerrainPolygons, trace_geotiff, trace_mask
from terrainlib.mask.vectors.vectorfile import write_geojson, write_geopackage
from terrainlib.types import Progress, ShouldStop

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

_ROWS_AT_ONCE_PX: Final = 4 * 2**20
_NO_GEOJSON: Final = (
    "no GeoJSON: the image has no coordinate reference system, and GeoJSON is in "
    "longitude and latitude"
)


@dataclass(slots=True)
class _Extras:
    """What came of it."""

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    stopped: bool = False

    def attempt(self, what: str, make: Callable[[], None]) -> None:
        """Make something; where that is refused, say why and go on."""
        try:
            make()
        except InputError as error:
            self.missing.append(f"{what} could not be made: {error.message}")
        except MemoryError:
            self.missing.append(
                f"{what} could not be made: there is not enough memory. Cut the image "
                "into parts."
            )


def _make_extras(
    task: Task, outputs: Outputs, scratch: Path, should_stop: Callable[[], bool]
) -> _Extras:
    """Make what is wanted beside the files of the pass, which are finished."""
    extras = _Extras()
    makers: dict[str, Callable[[], None]] = {}
    if task.wanted.vectors:
        makers["polygons"] = lambda: _write_polygons(task, outputs, extras)
    if task.wanted.pack is not None:
        makers["the pack"] = lambda: _write_pack(task, outputs, scratch, extras)
    for what, make in makers.items():
        if should_stop():
            extras.stopped = True
            break
        extras.attempt(what, make)
    return extras


def _write_polygons(task: Task, outputs: Outputs, extras: _Extras) -> None:
    polygons = _trace(task, outputs)
    path = task.path(".gpkg")
    write_geopackage(path, polygons)
    extras.files.append(path)
    if not task.placed:
        return
    if not polygons.crs_wkt:
        extras.notes.append(_NO_GEOJSON)
        return
    path = task.path(".geojson")
    extras.attempt("the GeoJSON", lambda: _write_geojson(path, polygons, extras))


def _write_geojson(path: Path, polygons: TerrainPolygons, extras: _Extras) -> None:
    write_geojson(path, polygons)
    extras.files.append(path)


def _trace(task: Task, outputs: Outputs) -> TerrainPolygons:
    smallest = task.wanted.smallest
    if task.placed:
        return trace_geotiff(task.path("_mask.tif"), smallest=smallest)
    mask = outputs.planes["classes"].mapped()
    return trace_mask(mask, task.model.classes, None, smallest=smallest)


def _write_pack(task: Task, outputs: Outputs, scratch: Path, extras: _Extras) -> None:
    metres = None
    if task.heights is not None:
        metres = _mapped_heights(task.heights, scratch / "heights")
    content = PackContent(
        outputs.planes["weights"].mapped(),
        task.model.classes,
        mask=outputs.planes["classes"].mapped(),
        height=metres,
        georeference=task.scene.georeference,
        name=task.scene.name,
    )
    path = task.path("_pack.zip")
    write_pack(path, content, task.wanted.pack)
    extras.files.append(path)


def _mapped_heights(heights: Heights, path: Path) -> NDArray[np.float32]:
    """Return heights of any size as an array, mapped from a scratch file."""
    shape = (heights.height, heights.width)
    require_free_space(path.parent, 4 * shape[0] * shape[1])
    step = max(1, _ROWS_AT_ONCE_PX // heights.width)
    try:
        with path.open("wb") as stream:
            for start in range(0, heights.height, step):
                rows = slice(start, min(start + step, heights.height))
                part = heights.read((rows, slice(0, heights.width)))
                stream.write(np.ascontiguousarray(part, np.float32).data)
    except OSError as error:
        raise storage_error(path, error) from error
    return np.memmap(path, np.float32, mode="r", shape=shape)


class Pass(Protocol):
    """What hands the mask of a scene to sinks, as `predict_scene` does."""

    def __call__(
        self,
        model: "TerrainModel",
        scene: Scene,
        sink: Sequence[Sink],
        *,
        options: StreamOptions,
    ) -> StreamReport:
        """Hand it on in bands, and tell what they hold."""


_NO_DATA = "no pixel has data, so that there is nothing to see"


def predict_file(  # noqa: PLR0913 - what to make is one argument; the rest are keywords
    model: "TerrainModel",
    image: ImageSource,
    folder: Path,
    stem: str,
    wanted: Wanted,
    *,
    name: str | None = None,
    heights: ImageSource | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    pass_over: Pass | None = None,
) -> Made:
    """Predict an image and write what is wanted of it.

    Each file takes its name when it is complete, and replaces an older one of that
    name. Asked to stop, it keeps the finished rows in the mask, and makes neither
    polygons nor a pack; before the first rows it writes nothing.

    Args:
        model: The model.
        image: Path or bytes of a PNG, JPEG or TIFF file; a TIFF on disk may have any
            size.
        folder: Where the files go; it is made where it is missing.
        stem: What their names begin with, see `file_names`.
        wanted: What to make.
        name: Name of the image for messages; without it the file's.
        heights: Path or bytes of heights of the image's size, or with a place that
            covers the image's: needed by models that use them, and put into a pack.
        progress: Called with the numbers of tiles done and in all.
        should_stop: Asked before each batch of tiles and each further file.
        pass_over: What gives the mask in bands instead of the network.

    Raises:
        ConfigError: If something wanted is not for images such as this one.
        InputError: If the image or its heights cannot be read or do not fit, or a file
            would replace them.
        StorageError: If the disk is full, read-only or failing.
    """
    start = time.perf_counter()
    with ExitStack() as stack:
        task = stack.enter_context(
            opened(model, image, Path(folder), stem, wanted, name=name, heights=heights)
        )
        _keep_inputs(task, (image, heights))
        gap = scene_gap(model, task.scene, scale=wanted.scale)
        scratch = stack.enter_context(scratch_folder(task.folder))
        outputs = outputs_of(task, scratch)
        options = StreamOptions(
            heights=task.heights,
            scale=wanted.scale,
            progress=progress,
            should_stop=should_stop,
        )
        done = _run(task, outputs, options, pass_over or predict_scene)
        extras = _Extras(stopped=done.report.stopped)
        if not extras.stopped:
            asked = should_stop or (lambda: False)
            extras = _make_extras(task, outputs, scratch, asked)
    return _made(task, done, extras, gap, time.perf_counter() - start)


def file_names(
    stem: str, wanted: Wanted, *, placed: bool, system: bool = True
) -> tuple[str, ...]:
    """Return the name of every file that may be written for an image."""
    files = files_of(wanted, placed=placed, system=system)
    return tuple(f"{stem}{file.ending}" for file in files)


@dataclass(frozen=True, slots=True, eq=False)
class _Done:
    """What the pass over the image has given."""

    report: StreamReport
    areas: AreaTally
    files: tuple[Path, ...]


def _run(
    task: Task, outputs: Outputs, options: StreamOptions, pass_over: Pass
) -> _Done:
    """Predict the image, all sinks at once; their files are complete afterwards."""
    names = [item.name for item in task.model.classes]
    areas = AreaTally(task.scene.georeference, task.size[1], names)
    files = tuple(outputs.files)
    with suppress(StoppedError), ExitStack() as stack:
        for sink in outputs.sinks:
            stack.enter_context(sink)
        sinks: list[Sink] = [*outputs.sinks, areas]
        cleaned = None
        if task.cleans:  # what wants no other plane is made of the class mask alone
            of_classes = [sink for sink in sinks if not sink.wants]
            cleaned = CleanedSink(of_classes, task.wanted.cleaning, task.size)
            sinks = [cleaned, *(sink for sink in sinks if sink.wants)]
        report = pass_over(task.model, task.scene, sinks, options=options)
        if report.stopped and report.rows == 0:
            files = ()
            raise StoppedError("no row is finished: nothing is worth keeping.")
        if cleaned is not None:
            cleaned.hand_on()
        if report.stopped:
            for sink in outputs.sinks:
                sink.stopped_at(report.rows)
    return _Done(report, areas, files)


def _made(task: Task, done: _Done, extras: _Extras, gap: Gap, seconds: float) -> Made:
    report, (height, width) = done.report, task.size
    names = [item.name for item in task.model.classes]
    counts = done.areas.pixels  # of the mask as it is written
    known = int(counts.sum())
    notes = list(task.scene.notes)
    if task.heights is not None:
        notes += [f"{task.heights.name}: {note}" for note in task.heights.notes]
    if not known and report.rows:
        notes.append(_NO_DATA)
    notes += [
        f"{product.called} is written as GeoTIFF only: too large for PNG"
        for product in task.left_out
    ]
    return Made(
        name=task.scene.name,
        files=(*done.files, *extras.files),
        height=height,
        width=width,
        rows=report.rows,
        stopped=extras.stopped,
        shares={
            name: int(count) / max(1, known)
            for name, count in zip(names, counts, strict=True)
        },
        areas=done.areas.table(
            validation_of(task.model.record), unlike=gap.level == "different"
        ).to_dict(),
        gap=_plain({**asdict(gap), "title": gap.title}),
        unsure_share=report.unsure / max(1, known),
        notes=(*notes, *extras.notes, *extras.missing),
        seconds=seconds,
        network_seconds=report.network_seconds,
        megapixels_per_second=report.rows * width / 1e6 / seconds,
        missing=tuple(extras.missing),
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as JSON knows them: lists, and None for what is no number."""
    return {
        key: None
        if isinstance(value, float) and not math.isfinite(value)
        else list(value)
        if isinstance(value, tuple)
        else value
        for key, value in values.items()
    }


def _keep_inputs(task: Task, sources: tuple[ImageSource | None, ...]) -> None:
    inputs = {
        Path(source).resolve(): Path(source).name
        for source in sources
        if isinstance(source, str | Path)
    }
    for file in task.possible:
        if (taken := inputs.get(task.path(file.ending).resolve())) is not None:
            raise InputError(
                f"a result would replace the input {taken}. Choose another folder, or "
                "another name.",
                file=task.scene.name,
            )
