"""What the values of a raster are called.

GDAL's side file `NAME.aux.xml` says it by category names, or by the names and colours
of a raster attribute table. The class rasters that are written here also say it
themselves, in the metadata of the GeoTIFF.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from terrainlib.data.palette import Classes, TerrainClass
from terrainlib.files import parse_json, read_bytes
from terrainlib.types import checked

CLASSES_TAG: Final = "CLASSES"  # JSON as in `classes.json`, in a GeoTIFF's metadata
CATEGORIES_ENDING: Final = ".aux.xml"  # behind the whole name: `a.tif.aux.xml`
_MAX_BYTES: Final = 4_000_000
_MAX_NAME_CHARACTERS: Final = 60
_REFUSED: Final = (b"<!DOCTYPE", b"<!ENTITY", b"\0")  # what could grow without end
# GDAL's numbers for what a column is used for.
_NAME, _MINIMUM, _VALUE = 2, 3, 5
_COLORS: Final = (6, 7, 8)


@dataclass(frozen=True, slots=True)
class Category:
    """What a value of a raster is called.

    Attributes:
        name: 1 to 60 printable characters.
        color: Red, green and blue, None where there is none.
    """

    name: str
    color: tuple[int, int, int] | None = None


def read_categories(path: Path) -> dict[int, Category]:
    """Return the categories of a raster's values, none where nothing usable says so.

    Args:
        path: The raster; its side file has the same name with `.aux.xml` behind.
    """
    try:
        data = read_bytes(path.with_name(path.name + CATEGORIES_ENDING), _MAX_BYTES)
        if any(word in data for word in _REFUSED):
            return {}
        band = ElementTree.fromstring(data).find("PAMRasterBand")
    except (OSError, ValueError, ElementTree.ParseError):
        return {}
    if band is None:
        return {}
    listed = enumerate(band.findall("CategoryNames/Category"))
    named = {value: _text(item) for value, item in listed}
    found = {value: Category(name) for value, name in named.items() if name}
    table = band.find("GDALRasterAttributeTable")
    return found if table is None else found | _of_table(table)


def classes_of_tags(tags: Mapping[str, str]) -> Classes:
    """Return the classes that a raster written here names itself; none of others."""
    with suppress(ValueError):
        listed = parse_json(tags.get(CLASSES_TAG, "[]"))
        return checked(tuple[TerrainClass, ...], listed)
    return ()


def _of_table(table: ElementTree.Element) -> dict[int, Category]:
    """Return the categories of a raster attribute table."""
    columns = enumerate(table.findall("FieldDefn"))
    usages = {_number(item.findtext("Usage")): place for place, item in columns}
    value = usages.get(_VALUE, usages.get(_MINIMUM))
    name = usages.get(_NAME)
    found: dict[int, Category] = {}
    if value is None or name is None:
        return found
    for row in table.findall("Row"):
        cells = row.findall("F")
        if len(cells) <= max(usages.values()):
            continue
        code, text = _number(cells[value].text), _text(cells[name])
        rgb = [_number(cells[usages[use]].text) for use in _COLORS if use in usages]
        color = [part for part in rgb if part is not None and 0 <= part <= 255]
        if code is not None and text:
            whole = (color[0], color[1], color[2]) if len(color) == 3 else None
            found[code] = Category(text, whole)
    return found


def _text(item: ElementTree.Element) -> str:
    """Return a name as a class may have it, empty for one that cannot be."""
    text = " ".join((item.text or "").split())
    return text[:_MAX_NAME_CHARACTERS] if text.isprintable() else ""


def _number(text: str | None) -> int | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return int(number) if number.is_integer() else None
