"""The downloads of the mask studio: pictures, files for GIS, a pack for game engines.

They are made by the library when they are clicked, at the image's full size, with the
settings of the page. What makes them draws nothing: it runs in other threads.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import streamlit as st

from terrainlib import files
from terrainlib.data.formats.categories import CATEGORIES_ENDING
from terrainlib.data.formats.heights import open_heights
from terrainlib.data.imagery import Grid
from terrainlib.data.palette import NO_DATA, colorize
from terrainlib.mask.confidence import confidence_picture
from terrainlib.mask.pack.pack import (
    ENGINES,
    FITS,
    SIZES,
    PackContent,
    PackTarget,
    write_pack,
)
from terrainlib.mask.products.products import (
    FORMATS,
    PACK,
    Product,
    ProductFile,
    offered_files,
)
from terrainlib.mask.rasters import png
from terrainlib.mask.rasters.geotiff import SoftRasterSink, raster_names
from terrainlib.mask.rasters.rasterfile import RasterSink
from terrainlib.mask.sharpen import sharpen
from terrainlib.mask.tiles.bands import Band, Plane
from terrainlib.mask.tiles.result import snap_to_classes
from terrainlib.mask.vectors.polygons import SmallestArea, TerrainPolygons, trace_mask
from terrainlib.mask.vectors.vectorfile import write_geojson, write_geopackage
from terrainlib.types import ByteArray
from terrainlib.ui import state
from terrainlib.ui.errors import explained, show_failures
from terrainlib.ui.page import pick_one
from terrainlib.ui.studio.live import Shown, ViewSettings
from terrainlib.ui.studio.masks import MadeMask
from terrainlib.ui.turns import made_in_turn

Unit = Literal["px", "m2"]
UNITS: Final[dict[Unit, str]] = {"px": "px", "m2": "m²"}
ENGINE_NAMES: Final = {
    "source": "Image's own size",
    "unity": "Unity",
    "unreal": "Unreal",
}
FIT_NAMES: Final = {"crop": "Crop to the middle", "stretch": "Stretch"}
_MAX_SMALLEST: Final = 1e9


def pick_smallest_area(key: str, *, on_earth: bool) -> SmallestArea:
    """Ask for the smallest polygon."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        value = st.number_input(
            "Smallest polygon",
            0.0,
            _MAX_SMALLEST,
            float(SmallestArea().value),
            step=1.0,
            format="%.10g",
            help="Smaller islands take the class around them. 0 keeps every pixel.",
            key=f"{key}_value",
            persist_state="session",
        )
        unit: Unit = "px"
        if on_earth:
            unit = pick_one("Unit", UNITS, f"{key}_unit", hidden=True)
    return SmallestArea(float(value), unit)


def pick_pack_target(key: str, size: tuple[int, int]) -> PackTarget:
    """Ask what a world-builder's pack is made for."""
    engine = st.selectbox(
        "Made for",
        ENGINES,
        format_func=ENGINE_NAMES.__getitem__,
        key=f"{key}_engine",
        persist_state="session",
    )
    sizes = SIZES[engine]
    if not sizes:
        return PackTarget()
    side = min(size)
    enough = [number for number, px in enumerate(sizes) if px >= side]
    chosen = st.selectbox(
        "Heightmap",
        sizes,
        index=min(enough, default=len(sizes) - 1),
        format_func=lambda px: f"{px} × {px} px",
        key=f"{key}_size_{engine}",
        persist_state="session",
        help="The sizes that this engine takes. The weights have the same size, for "
        "Unity one pixel less.",
    )
    if size[0] == size[1]:
        return PackTarget(engine, chosen)
    fit = st.selectbox(
        "The image is not square",
        FITS,
        format_func=FIT_NAMES.__getitem__,
        key=f"{key}_fit",
        persist_state="session",
    )
    return PackTarget(engine, chosen, fit)


NOWHERE: Final = (
    "The image does not say where it lies on the Earth, so there is nothing here for "
    "GIS. Open a GeoTIFF to get the mask on its grid, and as polygons."
)
NAMES_MIME: Final = "application/xml"
NAMES_HELP: Final = (
    "QGIS shows the classes of the GeoTIFF in their colours, and calls them by their "
    "names where this file lies beside it, under the name that it comes with."
)
NO_CRS: Final = (
    "No GeoJSON: it needs longitude and latitude, and the coordinate system of this "
    "image is not known here."
)
_OVERLAYS: Final[dict[Shown, str]] = {
    "mask": "The sharpened mask",
    "classes": "The class mask",
    "confidence": "The confidence",
}


@dataclass(frozen=True, slots=True)
class Download:
    """One file on offer.

    Attributes:
        label: Its name on the button.
        file_name: Name of the file.
        mime: Its media type.
        help: What it is.
        make: Makes it.
        barred: Why it cannot be made for this image; empty where it can.
    """

    label: str
    file_name: str
    mime: str
    help: str
    make: Callable[[], bytes]
    barred: str = ""


def show_downloads(made: MadeMask, view: ViewSettings) -> None:
    """Show a button for each file, in three groups; nothing is made before a click."""
    st.header("Downloads", anchor=False)
    pictures, gis, engines = st.columns(3, gap="medium")
    with pictures:
        st.markdown("**Pictures**")
        _buttons(made, picture_downloads(made, view))
        st.caption(f"Sharpened mask and overlay follow the view: {describe(view)}.")
    with gis:
        st.markdown("**For GIS**")
        _show_gis(made, view)
    with engines:
        st.markdown("**For game engines**")
        height, width = made.predicted.shape
        target = pick_pack_target(state.STUDIO_PACK, (height, width))
        _buttons(made, [pack_download(made, target)])
    show_failures(made.key)


def describe(view: ViewSettings) -> str:
    """Return the settings in words, such as `Laplacian, amount 1.50`."""
    method = f"unsharp mask of {view.radius:.1f} px"
    parts = ["Laplacian" if view.method == "laplacian" else method]
    parts.append(f"amount {view.amount:.2f}")
    if view.snap:
        parts.append("snapped to classes")
    return ", ".join(parts)


def _kind(made: MadeMask) -> str:
    return "not cleaned" if made.cleaning.changes_nothing else "cleaned as set"


def picture_downloads(made: MadeMask, view: ViewSettings) -> list[Download]:
    """Return the pictures on offer."""
    makers = {"_sharpened.png": partial(sharpened_png, made, view)}
    return [
        *_offered(made, ".png", picture, makers),
        Download(
            "Overlay (PNG)",
            f"{made.stem}_overlay.png",
            FORMATS[".png"][1],
            f"{_OVERLAYS[view.shown]} over the image, at {view.opacity:.0%} opacity, "
            "as in the view.",
            partial(overlay_png, made, view),
        ),
    ]


def raster_downloads(made: MadeMask, view: ViewSettings) -> list[Download]:
    """Return the rasters on offer for an image with a place."""
    makers = {"_sharpened.tif": partial(sharpened_tif, made, view)}
    mask, *others = _offered(made, ".tif", _raster, makers)
    names = Download(
        "Class names (AUX.XML)",
        f"{mask.file_name}{CATEGORIES_ENDING}",
        NAMES_MIME,
        NAMES_HELP,
        partial(raster_names, made.classes),
    )
    return [mask, names, *others]


def vector_downloads(made: MadeMask, smallest: SmallestArea) -> list[Download]:
    """Return the polygons on offer for an image with a place."""
    writers = {".gpkg": write_geopackage, ".geojson": write_geojson}
    package, geojson = (
        _download(made, product, file, partial(_vectors, made, smallest, suffix, write))
        for suffix, write in writers.items()
        for product, file in offered_files(suffix)
    )
    on_earth = made.areas.square_metres is not None
    return [package, geojson if on_earth else replace(geojson, barred=NO_CRS)]


def _offered(
    made: MadeMask,
    suffix: str,
    make: Callable[[MadeMask, Any], bytes],
    makers: Mapping[str, Callable[[], bytes]],
) -> list[Download]:
    """Return the files with an ending, made by sinks or, where given, by `makers`."""
    return [
        _download(
            made,
            product,
            file,
            makers.get(file.ending) or partial(make, made, file.sink),
        )
        for product, file in offered_files(suffix)
    ]


def _download(
    made: MadeMask, product: Product, file: ProductFile, make: Callable[[], bytes]
) -> Download:
    kind, mime = FORMATS[file.suffix]
    of_classes = not product.wants  # and so of the cleaned mask
    about = f"{file.about}; {_kind(made)}." if of_classes else f"{file.about}."
    name = f"{made.stem}{file.ending}"
    return Download(f"{product.label} ({kind})", name, mime, about, make)


def pack_download(made: MadeMask, target: PackTarget) -> Download:
    """Return the world-builder's pack."""
    heights = "the heights, " if made.height is not None else ""
    [file] = PACK.files
    kind, mime = FORMATS[file.suffix]
    return Download(
        f"{PACK.label} ({kind})",
        f"{made.stem}{file.ending}",
        mime,
        f"Weights of each class, splat maps, {heights}the class mask "
        f"({_kind(made)}) and how to import them, for Unity, Unreal, Godot and "
        "Blender.",
        partial(_pack_zip, made, target),
    )


def _show_gis(made: MadeMask, view: ViewSettings) -> None:
    """Show the files that keep the image's place, where it has one."""
    if made.georeference is None:
        st.caption(NOWHERE)
        return
    _buttons(made, raster_downloads(made, view))
    on_earth = made.areas.square_metres is not None
    smallest = pick_smallest_area(state.STUDIO_SMALLEST, on_earth=on_earth)
    _buttons(made, vector_downloads(made, smallest))


def _buttons(made: MadeMask, downloads: Sequence[Download]) -> None:
    for download in downloads:
        st.download_button(
            download.label,
            data=made_in_turn(explained(download.make, made.key, download.label)),
            file_name=download.file_name,
            mime=download.mime,
            help=download.barred or download.help,
            disabled=bool(download.barred),
            key=f"studio_download_{download.label}",
            on_click="ignore",
            icon=":material/download:",
            width="stretch",
        )


def picture(made: MadeMask, sink: type[RasterSink]) -> bytes:
    """Return as PNG what a sink writes into a picture."""
    height, width = made.predicted.shape
    path = Path(f"{made.stem}.png")  # that nothing is written to
    maker = sink(path, height=height, width=width, classes=made.classes)
    rows = [maker.pixels(band) for band in _bands(made, sink.wants)]
    return png.encode_png(np.concatenate(rows), clear=maker.clear)


def sharpened_png(made: MadeMask, view: ViewSettings) -> bytes:
    """Return the sharpened mask as PNG; where it is snapped, no data is transparent."""
    sharp = _sharp(made, view)
    if view.snap:
        return png.mask_png(_snapped(made, sharp), made.classes)
    return png.encode_png(sharp)


def sharpened_tif(made: MadeMask, view: ViewSettings) -> bytes:
    """Return the sharpened mask as GeoTIFF on the image's grid."""
    return _raster(replace(made, soft=sharpened(made, view)), SoftRasterSink)


def overlay_png(made: MadeMask, view: ViewSettings) -> bytes:
    """Return what the view shows over the image as PNG."""
    image = made.picture.read()
    shown = _shown_over_image(made, view)
    return png.encode_png(png.overlay(image.rgb, shown, view.opacity))


def sharpened(made: MadeMask, view: ViewSettings) -> ByteArray:
    """Return the soft mask with the view's sharpening and snapping, (H, W, 3) uint8."""
    sharp = _sharp(made, view)
    return colorize(_snapped(made, sharp), made.classes) if view.snap else sharp


def _sharp(made: MadeMask, view: ViewSettings) -> ByteArray:
    return sharpen(made.soft, view.amount, method=view.method, radius=view.radius)


def _snapped(made: MadeMask, sharp: ByteArray) -> ByteArray:
    """Return the class whose colour is the nearest, 255 where there is no data."""
    index = snap_to_classes(sharp, made.classes)
    index[made.predicted == NO_DATA] = NO_DATA
    return index


def _shown_over_image(made: MadeMask, view: ViewSettings) -> ByteArray:
    """Return what the view shows over the image at full size, (H, W, 3) uint8."""
    if view.shown == "classes":
        return colorize(made.index, made.classes)
    if view.shown == "confidence":
        return confidence_picture(made.margins, made.predicted)
    return sharpened(made, view)


def _raster(made: MadeMask, sink: type[RasterSink]) -> bytes:
    """Return as GeoTIFF on the image's grid what a sink writes."""
    height, width = made.predicted.shape

    def write(path: Path) -> None:
        with sink(
            path,
            height=height,
            width=width,
            classes=made.classes,
            georeference=made.georeference,
        ) as target:
            for band in _bands(made, sink.wants):
                target.write(band)

    return _written(f"{made.stem}.tif", write)


def _vectors(
    made: MadeMask,
    smallest: SmallestArea,
    suffix: str,
    write: Callable[[Path, TerrainPolygons], None],
) -> bytes:
    place = made.georeference
    polygons = trace_mask(made.index, made.classes, place, smallest=smallest)
    return _written(f"{made.stem}{suffix}", lambda path: write(path, polygons))


def _pack_zip(made: MadeMask, target: PackTarget) -> bytes:
    height = None
    if made.height is not None:
        rows, columns = made.predicted.shape
        grid = Grid(rows, columns, made.georeference)
        with open_heights(made.height.source, name=made.height.name) as opened:
            height = opened.on(grid).read_all()
    content = PackContent(
        made.probabilities.weights(made.predicted),
        made.classes,
        mask=made.index,
        height=height,
        georeference=made.georeference,
        name=made.stem,
    )
    name = f"{made.stem}_pack.zip"
    return _written(name, lambda path: write_pack(path, content, target))


def _bands(made: MadeMask, wants: Collection[Plane]) -> Iterator[Band]:
    """Yield the mask as a prediction would: what wants classes alone has them clean."""
    if not wants:
        yield Band(slice(0, len(made.index)), made.index)
    elif "weights" in wants:
        yield from made.probabilities.bands(made.predicted)
    else:
        rows = slice(0, len(made.predicted))
        yield Band(rows, made.predicted, soft=made.soft, margin=made.margins)


def _written(name: str, write: Callable[[Path], None]) -> bytes:
    with files.scratch_folder(files.cache_dir()) as folder:
        path = folder / name
        write(path)
        try:
            return path.read_bytes()
        except OSError as error:
            raise files.storage_error(path, error) from error
