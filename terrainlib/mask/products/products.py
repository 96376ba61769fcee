"""What can be made of an image, in one table.

A product is what somebody asks for, such as the soft mask; a file of it is what lies on
the disk then. Command line and its help, job form, studio's downloads, estimate and the
making itself read the table. A raster product is added by a row here, the sink that
writes it, and a field of `Wanted`.
"""

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

from terrainlib.data.layout import IMAGE_SUFFIXES
from terrainlib.data.layouts.rules import part_of_name
from terrainlib.files import is_hidden, natural_key
from terrainlib.mask.rasters.geotiff import (
    ClassRasterSink,
    NamesSink,
    SoftRasterSink,
    WeightRasterSink,
)
from terrainlib.mask.rasters.png import (
    ClassPngSink,
    SoftPngSink,
    WorldFileSink,
)
from terrainlib.mask.rasters.sharpened import SharpenedPngSink, SharpenedRasterSink
from terrainlib.mask.tiles.bands import FileSink, Plane

# Name for people and media type, by the ending of a file.
FORMATS: Final = {
    ".png": ("PNG", "image/png"),
    ".tif": ("GeoTIFF", "image/tiff"),
    ".gpkg": ("GeoPackage", "application/geopackage+sqlite3"),
    ".geojson": ("GeoJSON", "application/geo+json"),
    ".zip": ("ZIP", "application/zip"),
}
NEEDS_PLACE: Final = "Only for images that have a place on the Earth."
_HELP_COLUMN: Final = 27
_NUMBERED: Final = re.compile(r"-[0-9]+$")  # where two images have one stem


@dataclass(frozen=True, slots=True)
class ProductFile:
    """One file of a product.

    Attributes:
        ending: How its name ends, after that of the image.
        sink: Makes what writes it in the pass over the image; None for what is made
            afterwards. It takes the path, `height`, `width`, `classes` and
            `georeference`.
        place: Whether it is for images with a place (True) or without one (False); None
            for both.
        listed: What the help of `predict` says of it behind the option.
        about: What it is, for the studio's downloads, without the full stop; empty for
            what is not offered there.
        amount: Whether the sink also takes the `amount` that was asked for.
        world: Whether it is the world file of the PNG before it, written for images
            whose place names no coordinate reference system.
    """

    ending: str
    sink: Callable[..., FileSink] | None = None
    place: bool | None = None
    listed: str = ""
    about: str = ""
    amount: bool = False
    world: bool = False

    @property
    def suffix(self) -> str:
        """The last part of its name: `.png`, `.tif`."""
        return PurePath(f"x{self.ending}").suffix

    @property
    def wants(self) -> tuple[Plane, ...]:
        """What its sink needs beside the classes."""
        return getattr(self.sink, "wants", ())


@dataclass(frozen=True, slots=True)
class Product:
    """One thing that can be made of an image.

    Attributes:
        name: What it is called in keys of widgets and records.
        label: What people read on a page.
        called: The same amid a sentence.
        files: The files that it is.
        bytes_per_px: What they take at most, where nothing can be compressed.
        option: The command line's; without its dashes the name of the field of
            `Wanted`. Empty for what is always made.
        option_help: What the command line says of the option.
        about: What it is, in a sentence, for those who choose.
        per_class: Whether `bytes_per_px` are for each class.
        without_place: Why it cannot be made of an image without a place; empty where it
            can.
        planes: What it needs of a prediction beside what its sinks want.
    """

    name: str
    label: str
    called: str
    files: tuple[ProductFile, ...]
    bytes_per_px: int
    option: str = ""
    option_help: str = ""
    about: str = ""
    per_class: bool = False
    without_place: str = ""
    planes: frozenset[Plane] = frozenset()

    @property
    def field(self) -> str:
        """The field of `Wanted` that asks for it."""
        return self.option.removeprefix("--")

    @property
    def wants(self) -> frozenset[Plane]:
        """What it needs of a prediction beside the classes."""
        return self.planes.union(*(file.wants for file in self.files))

    def asked(self, wanted: Any) -> bool:
        """Return whether it is asked for."""
        value = getattr(wanted, self.field) if self.option else True
        return value is not None and value is not False

    def files_for(self, *, placed: bool, system: bool = True) -> list[ProductFile]:
        """Return the files of it for images with or without a place.

        Args:
            placed: Whether the image has one.
            system: Whether that names a coordinate reference system.
        """
        return [
            file
            for file in self.files
            if file.place in (None, placed) and not (file.world and system)
        ]

    def needed_bytes(self, pixels: int, classes: int) -> int:
        """Return the room that its files take, where nothing can be compressed."""
        return pixels * self.bytes_per_px * (classes if self.per_class else 1)


MASK: Final = Product(
    "mask",
    "Class mask",
    "the class mask",
    (
        ProductFile(
            "_mask.tif",
            ClassRasterSink,
            place=True,
            listed="classes, cloud-optimised, with colours and names;\n"
            "beside it, in .aux.xml, the names for QGIS",
            about="Class indices on the grid of the image, with names and colours, no "
            "data 255; cloud-optimised",
        ),
        ProductFile("_mask.tif.aux.xml", NamesSink, place=True),
        ProductFile(
            "_mask.png",
            ClassPngSink,
            place=False,
            listed="classes in their colours",
            about="The most probable class of every pixel, in its colour; no data is "
            "transparent",
        ),
    ),
    bytes_per_px=1,
)
PACK: Final = Product(
    "pack",
    "World-builder's pack",
    "the pack",
    (ProductFile("_pack.zip"),),
    bytes_per_px=1,
    per_class=True,
    option="--pack",
    option_help="also write a world-builder's pack (zip): source (the default: the "
    "image's own size), unity:1025, unreal:1009; of an image that is not square "
    "the middle is taken, or all of it with :stretch behind",
    about="One zip with weights of each class, splat maps and heights, for Unity, "
    "Unreal, Godot and Blender.",
    planes=frozenset({"weights"}),
)
CHOICES: Final = (
    Product(
        "soft",
        "Soft mask",
        "the soft mask",
        (
            ProductFile(
                "_soft.png",
                SoftPngSink,
                about="The class colours, mixed by how probable each class is; not "
                "sharpened",
            ),
            ProductFile("_soft.pgw", WorldFileSink, place=True, world=True),
            ProductFile(
                "_soft.tif",
                SoftRasterSink,
                place=True,
                listed="beside the PNG",
                about="The soft mask on the grid of the image; not sharpened",
            ),
        ),
        bytes_per_px=6,
        option="--soft",
        option_help="also write the soft mask",
        about="The class colours, mixed by how probable each class is.",
    ),
    Product(
        "probabilities",
        "Probabilities",
        "the probabilities",
        (
            ProductFile(
                "_probabilities.tif",
                WeightRasterSink,
                place=True,
                about="A band for each class, in 255ths that sum to 255 in every pixel",
            ),
        ),
        bytes_per_px=1,
        per_class=True,
        option="--probabilities",
        option_help="also write the probabilities, a band for each class (GeoTIFF "
        "only)",
        about="One band a class, as GeoTIFF.",
        without_place="it has no place on the Earth, and probabilities are written "
        "as GeoTIFF only. Leave them out, or ask for a pack, which holds them as "
        "weights.",
    ),
    Product(
        "sharpened",
        "Sharpened mask",
        "the sharpened mask",
        (
            ProductFile(
                "_sharpened.png",
                SharpenedPngSink,
                about="The soft mask sharpened, and snapped, as in the view",
                amount=True,
            ),
            ProductFile("_sharpened.pgw", WorldFileSink, place=True, world=True),
            ProductFile(
                "_sharpened.tif",
                SharpenedRasterSink,
                place=True,
                listed="beside the PNG",
                about="The soft mask sharpened, and snapped, as in the view, on the "
                "grid of the image",
                amount=True,
            ),
        ),
        bytes_per_px=6,
        option="--sharpen",
        option_help="also write the soft mask sharpened by A, 0 to 10",
        about="The soft mask, sharpened.",
    ),
    Product(
        "vectors",
        "Polygons",
        "polygons",
        (
            ProductFile(
                ".gpkg",
                about="Outlines of the class mask with class, area and share, with "
                "their colours for QGIS",
            ),
            ProductFile(
                ".geojson",
                place=True,
                listed="beside the GeoPackage, in WGS 84",
                about="Outlines of the class mask with class, area and share, in WGS "
                "84",
            ),
        ),
        bytes_per_px=2,  # about a mask each
        option="--vectors",
        option_help="also write polygons: GeoPackage, and GeoJSON where the image lies "
        "on the Earth",
        about="Outlines of the classes with their areas, as GeoPackage; also as "
        "GeoJSON where the image lies on the Earth.",
    ),
    PACK,
)
PRODUCTS: Final = (MASK, *CHOICES)


def products_of(wanted: Any) -> list[Product]:
    """Return the products that are made; the class mask always."""
    return [product for product in PRODUCTS if product.asked(wanted)]


def files_of(wanted: Any, *, placed: bool, system: bool = True) -> list[ProductFile]:
    """Return all files that may be written for an image.

    Args:
        wanted: What to make, a `Wanted`.
        placed: Whether the image is georeferenced.
        system: Whether its place names a coordinate reference system.
    """
    return [
        file
        for product in products_of(wanted)
        for file in product.files_for(placed=placed, system=system)
    ]


def help_lines(*, placed: bool) -> str:
    """Return the lines of the command line's help on the files of an image.

    Args:
        placed: Whether those that only images with a place have, or the others.
    """
    lines = []
    for product in PRODUCTS:
        for file in product.files_for(placed=placed):
            text = ", ".join(filter(None, (product.option, file.listed)))
            if text and (file.place is True) == placed:
                text = text.replace("\n", "\n" + " " * _HELP_COLUMN)
                lines.append(f"  IMAGE{file.ending}".ljust(_HELP_COLUMN) + text)
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class FolderImages:
    """The images directly in a folder, in the order of their names.

    Attributes:
        images: What can be predicted; hidden files are passed by.
        results: What an earlier prediction has made of images beside it.
        heights: The heights that lie beside an image, as `NAME_height`, by the image.
    """

    images: tuple[Path, ...]
    results: tuple[Path, ...]
    heights: Mapping[Path, Path]


def folder_images(folder: Path) -> FolderImages:
    """Return the images of a folder, and apart from them results and heights.

    A result is called after an image beside it and has the ending of a product.

    Raises:
        OSError: If the folder cannot be read.
    """
    found = sorted(
        (
            path
            for path in folder.iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES
            and not is_hidden(path.name)
            and path.is_file()
        ),
        key=lambda path: natural_key(path.name),
    )
    stems = {path.stem.lower() for path in found}
    results = tuple(path for path in found if _is_result(path.name.lower(), stems))
    heights = _heights([path for path in found if path not in set(results)])
    others = {*results, *heights.values()}
    images = tuple(path for path in found if path not in others)
    return FolderImages(images, results, heights)


def _heights(paths: Sequence[Path]) -> dict[Path, Path]:
    """Return the heights of each image that has some, by the rules of data sets."""
    images: dict[str, Path] = {}
    heights: dict[str, Path] = {}
    for path in paths:
        part, bare = part_of_name(path.stem)
        if part == "images":
            images.setdefault(bare.lower(), path)
        elif part == "heights":
            heights.setdefault(bare.lower(), path)
    return {images[bare]: path for bare, path in heights.items() if bare in images}


def _is_result(name: str, stems: Container[str]) -> bool:
    """Return whether a name is that of a product, and one of the stems its image's."""
    begins = [
        name.removesuffix(file.ending)
        for product in PRODUCTS
        for file in product.files
        if file.suffix in IMAGE_SUFFIXES and name.endswith(file.ending)
    ]
    return any(
        stem in stems or _NUMBERED.sub("", stem) in stems for stem in begins if stem
    )


def offered_files(suffix: str) -> Iterator[tuple[Product, ProductFile]]:
    """Yield the files with an ending that the studio offers for download."""
    for product in PRODUCTS:
        for file in product.files:
            if file.suffix == suffix and file.about:
                yield product, file
