"""Labels taken to other programs, and brought from them."""

from functools import partial
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np
import streamlit as st

from terrainlib import files, rights
from terrainlib.data.formats.categories import CATEGORIES_ENDING
from terrainlib.data.imagery import read_grid
from terrainlib.data.labels.bring import add_brought, bring_labels, with_example
from terrainlib.data.labels.strokefile import StrokeFile, image_digest, write_labels
from terrainlib.data.labels.strokes import Painted, stroke_layer
from terrainlib.data.palette import NO_DATA
from terrainlib.data.sample import example_scenes
from terrainlib.errors import DatasetError, InputError
from terrainlib.mask.rasters.geotiff import ClassRasterSink, raster_names
from terrainlib.mask.tiles.bands import Band
from terrainlib.ui import state
from terrainlib.ui.datasets.labelled import LABEL_ENDINGS, on_disk, pick_field
from terrainlib.ui.errors import errors_shown, explained, show_failures
from terrainlib.ui.labels.work import Work, with_some_classes
from terrainlib.ui.page import leave_notice, noticed
from terrainlib.ui.studio.downloads import NAMES_HELP, NAMES_MIME, NO_CRS
from terrainlib.ui.text import md_escape, plural
from terrainlib.ui.turns import made_in_turn

_ROWS: Final = 512
_KINDS: Final = {
    "_labels.gpkg": (
        "GeoPackage",
        "application/geopackage+sqlite3",
        "Lines, points and areas with their class, for QGIS and others, in the image's "
        "own reference system.",
    ),
    "_labels.geojson": (
        "GeoJSON",
        "application/geo+json",
        "The same in longitude and latitude.",
    ),
    "_labels.tif": (
        "Class raster",
        "image/tiff",
        "One band of class indices on the image's grid, 255 where nothing is painted.",
    ),
    f"_labels.tif{CATEGORIES_ENDING}": ("Class names", NAMES_MIME, NAMES_HELP),
}


def show_taking(work: Work) -> None:
    """Show a button for each form in which the labels can be taken along."""
    on_earth = work.file.place is not None and bool(work.file.place.crs_wkt)
    with st.container(horizontal=True, gap="small"):
        for ending, (label, mime, about) in _KINDS.items():
            barred = ending.endswith(".geojson") and not on_earth
            st.download_button(
                label,
                made_in_turn(
                    explained(partial(_made, work, ending), work.view.id, label)
                ),
                f"{work.stem}{ending}",
                mime,
                icon=":material/download:",
                on_click="ignore",
                help=NO_CRS if barred else about,
                disabled=barred,
                key=f"{state.LABELS}_take{ending}",
            )
    show_failures(work.view.id, f"{state.LABELS}_failures")


def _made(work: Work, ending: str) -> bytes:
    """Return a file of the labels as they stand on the disk now.

    Raises:
        TerrainError: If nothing is painted, or the disk is full.
    """
    if ending.endswith(CATEGORIES_ENDING):
        return raster_names(work.read().classes)
    with files.scratch_folder(files.cache_dir()) as folder:
        path = folder / f"labels{PurePath(ending).suffix}"
        if path.suffix == ".tif":
            _write_raster(work, path)
        else:
            write_labels(path, work.read(), work.file.place)
        return path.read_bytes()


def _write_raster(work: Work, path: Path) -> None:
    painted = work.read()
    if not painted.strokes:
        raise DatasetError("nothing is painted yet. Paint a stroke first.")
    height, width = work.image.size
    layer = stroke_layer(painted.strokes, painted.classes, (height, width))
    with ClassRasterSink(
        path,
        height=height,
        width=width,
        classes=painted.classes,
        georeference=work.file.place,
    ) as sink:
        for top in range(0, height, _ROWS):
            rows = slice(top, min(height, top + _ROWS))
            marks = np.full((rows.stop - top, width), NO_DATA, np.uint8)
            layer.lay((rows, slice(0, width)), marks)
            sink.write(Band(rows, marks))


def offer_example(painted: Painted) -> None:
    """Show the button that opens an example with strokes, while nothing is painted."""
    if painted.strokes:
        return
    if st.button(
        "Try it with an example",
        icon=":material/school:",
        key=f"{state.LABELS}_example",
        help="A scene of Europe with three strokes for each of its classes.",
        on_click=_open_example,
    ):
        st.rerun()


def _open_example() -> None:
    scene = example_scenes()[0]
    with noticed("The example was not opened"):
        file = StrokeFile.of(image_digest(scene.image), read_grid(scene.image).place)
        file.change(with_example)
        st.session_state[state.STUDIO_SOURCE] = "example"
        st.session_state[state.STUDIO_SCENE] = scene.name


def show_bringing(work: Work) -> None:
    """Show the box for labels of other programs, which come on top of what is there."""
    key = f"{state.LABELS}_bring"
    sent: list[Any] = st.file_uploader(
        "Labels from a file: GeoPackage, GeoJSON, Shapefile (all its parts) or a class "
        "raster",
        list(LABEL_ENDINGS),
        accept_multiple_files=True,
        max_upload_size=rights.limits().upload_mb,
        key=f"{key}_{st.session_state.get(key, 0)}",
    )
    if not sent:
        return
    field = pick_field(key, sent)
    if st.button("Bring them in", type="primary", key=f"{key}_go"):
        with errors_shown("The labels cannot be used"):
            _bring(work, sent, field)
            st.session_state[key] = st.session_state.get(key, 0) + 1
            st.rerun()


def _bring(work: Work, sent: list[Any], field: str | None) -> None:
    with st.spinner("Reading the labels"), on_disk(sent) as paths:
        if len(paths) != 1:
            raise InputError("Bring one file at a time (a Shapefile with its parts).")
        present = work.read().classes
        brought = bring_labels(paths[0], work.path, present, field)
    work.file.change(lambda found: add_brought(with_some_classes(found), brought))
    names = ", ".join(md_escape(item.name) for item in brought.classes)
    text = f"{plural(len(brought.strokes), 'label')} brought in: {names}."
    if brought.left_out:
        text += f" {plural(brought.left_out, 'small area')} left out."
    leave_notice(text)
