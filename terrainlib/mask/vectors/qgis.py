"""What QGIS reads beside the data themselves: colours of polygons, names of pixels."""

from typing import Final
from xml.etree import ElementTree

from terrainlib.data.palette import Classes

# The table that QGIS makes and looks for.
STYLE_TABLE: Final = """
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256),
    f_table_schema TEXT(256),
    f_table_name TEXT(256),
    f_geometry_column TEXT(256),
    styleName TEXT(30),
    styleQML TEXT,
    styleSLD TEXT,
    useAsDefault BOOLEAN,
    description TEXT,
    owner TEXT(30),
    ui TEXT(30),
    update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)
"""
_HEAD: Final = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"


def qml_style(classes: Classes) -> str:
    """Return a QGIS style that fills polygons by their attribute `class`.

    Args:
        classes: The K classes.
    """
    root = ElementTree.Element("qgis", version="3.22", styleCategories="Symbology")
    renderer = ElementTree.SubElement(
        root, "renderer-v2", type="categorizedSymbol", attr="class", symbollevels="0"
    )
    categories = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, item in enumerate(classes):
        ElementTree.SubElement(
            categories,
            "category",
            value=item.name,
            label=item.name,
            symbol=str(number),
            render="true",
            type="string",
        )
        _add_fill(symbols, number, item.color)
    return _HEAD + ElementTree.tostring(root, encoding="unicode")


def raster_names(classes: Classes) -> bytes:
    """Return the file that gives the pixels of a class GeoTIFF their names in QGIS.

    It belongs beside the GeoTIFF, under its name with `.aux.xml` behind. A GeoTIFF
    itself has no place for names of values that QGIS would read.

    Args:
        classes: The K classes.
    """
    root = ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    names = ElementTree.SubElement(band, "CategoryNames")
    for item in classes:
        ElementTree.SubElement(names, "Category").text = item.name
    return (ElementTree.tostring(root, encoding="unicode") + "\n").encode()


def _add_fill(
    symbols: ElementTree.Element, number: int, color: tuple[int, int, int]
) -> None:
    """Add a plain fill without an outline, in both spellings that QGIS has had."""
    symbol = ElementTree.SubElement(
        symbols, "symbol", type="fill", name=str(number), alpha="1", clip_to_extent="1"
    )
    layer = ElementTree.SubElement(
        symbol, "layer", {"class": "SimpleFill"}, enabled="1", locked="0"
    )
    settings = {
        "color": ",".join(map(str, (*color, 255))),
        "style": "solid",
        "outline_style": "no",
        "joinstyle": "miter",
    }
    options = ElementTree.SubElement(layer, "Option", type="Map")
    for name, value in settings.items():
        ElementTree.SubElement(
            options, "Option", name=name, type="QString", value=value
        )
    for name, value in settings.items():
        ElementTree.SubElement(layer, "prop", k=name, v=value)
