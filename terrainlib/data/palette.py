"""Terrain classes: their names, their colours, and masks turned into colours and back.

A class mask is a uint8 (H, W) array of class indices; `NO_DATA` marks pixels without a
class. Reading mask files is the business of `masks`, not of this module.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from terrainlib.errors import DatasetError
from terrainlib.files import is_file, parse_json, read_bytes, write_json
from terrainlib.places import require_changeable
from terrainlib.types import Byte, Text

NO_DATA: Final = 255
MAX_CLASSES: Final = 64
MAX_NAME_CHARACTERS: Final = 60
MAX_JSON_KB: Final = 256
MAX_CODE: Final = 65_535
_HEX_COLOR: Final = re.compile("#[0-9A-Fa-f]{6}")
MAX_VALUES: Final = 1_024  # of one class
MAX_IGNORED: Final = 1_024

# Told apart by people with any kind of colour vision (after Okabe and Ito, and Tol).
_DISTINCT: Final = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
    (136, 34, 85),
)

Color = tuple[Byte, Byte, Byte]


@dataclass(frozen=True, slots=True)
class TerrainClass:
    """One terrain class.

    Attributes:
        name: What the class is called, for example `Forest`.
        color: Red, green and blue, each 0 to 255.
    """

    name: Text
    color: Color


Classes = tuple[TerrainClass, ...]

KAGGLE_CLASSES: Final[Classes] = (
    TerrainClass("Water", (17, 141, 215)),
    TerrainClass("Grassland", (225, 227, 155)),
    TerrainClass("Forest", (127, 173, 123)),
    TerrainClass("Hills", (185, 122, 87)),
    TerrainClass("Desert", (230, 200, 181)),
    TerrainClass("Mountain", (150, 150, 150)),
    TerrainClass("Tundra", (193, 190, 175)),
)


def color_table(classes: Classes) -> NDArray[np.uint8]:
    """Return the colours of the classes, (K, 3) uint8, RGB.

    Example:
        >>> color_table(KAGGLE_CLASSES)[0].tolist()
        [17, 141, 215]
    """
    return np.array([item.color for item in classes], np.uint8).reshape(-1, 3)


def colorize(mask: NDArray[np.uint8], classes: Classes) -> NDArray[np.uint8]:
    """Return a class mask in the colours of its classes.

    Args:
        mask: (H, W) uint8 class indices; `NO_DATA` and every index without a class
            become black.
        classes: The K classes.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    table = np.zeros((256, 3), np.uint8)
    table[: len(classes)] = color_table(classes)
    return table[mask]


def soft_colors(
    probabilities: NDArray[np.float32], classes: Classes
) -> NDArray[np.float32]:
    """Return the class colours weighted by the class probabilities.

    Args:
        probabilities: (H, W, K) float32 in [0, 1], summing to 1 along K.
        classes: The K classes.

    Returns:
        (H, W, 3) float32 in [0, 1], RGB.
    """
    table = color_table(classes).astype(np.float32) / np.float32(255)
    colors = np.asarray(probabilities, np.float32) @ table
    return np.clip(colors, 0.0, 1.0, out=colors)


def nearest_class(
    rgb: NDArray[np.uint8], classes: Classes
) -> tuple[NDArray[np.uint8], float]:
    """Return the class whose colour is nearest to each pixel's.

    Nearest by the squared distance in RGB; between equally near classes the first wins.

    Args:
        rgb: (H, W, 3) uint8, RGB.
        classes: The K classes.

    Returns:
        The class mask, (H, W) uint8, and the share (0 to 1) of pixels whose colour is
        not exactly the colour of a class.
    """
    keys = color_keys(rgb)
    index = _exact_table(classes)[keys]
    strange = index == 0
    index -= 1
    if not strange.any():
        return index, 0.0
    unknown, inverse = np.unique(keys[strange], return_inverse=True)
    colors = np.stack([unknown >> 16, unknown >> 8 & 255, unknown & 255], axis=1)
    table = color_table(classes).astype(np.int64)
    index[strange] = nearest_colors(colors.astype(np.int64), table)[inverse.ravel()]
    return index, float(strange.mean())


@lru_cache(maxsize=4)
def _exact_table(classes: Classes) -> NDArray[np.uint8]:
    """Return 1 + the class of every colour, (2**24,) uint8, 0 where there is none.

    Nearly all of it is zeros that the system never gives memory for.
    """
    table = np.zeros(1 << 24, np.uint8)
    for index, key in reversed(list(enumerate(color_keys(color_table(classes))))):
        table[key] = index + 1
    return table


def nearest_colors(
    colors: NDArray[np.int64], table: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return which of (k, 3) colours is nearest to each of (n, 3): (n,) int64.

    By the squared distance in RGB; between equally near ones the first wins.
    """
    best = np.full(len(colors), np.iinfo(np.int64).max, np.int64)
    index = np.zeros(len(colors), np.int64)
    for number, color in enumerate(table):
        distance = ((colors - color) ** 2).sum(axis=1)
        closer = distance < best
        best[closer] = distance[closer]
        index[closer] = number
    return index


def color_keys(rgb: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return each pixel's colour as one number, red first.

    Args:
        rgb: (..., 3) uint8, RGB.

    Returns:
        (...) uint32, 0xRRGGBB.
    """
    if rgb.size == 0:
        return np.zeros(rgb.shape[:-1], np.uint32)
    width = rgb.shape[-2] if rgb.ndim > 1 else 1
    pixels = np.ascontiguousarray(rgb).reshape(-1, width, 3)
    wide = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGRA))
    keys = wide.view("<u4").reshape(rgb.shape[:-1])
    return keys & np.uint32(0xFFFFFF)


# What stands in masks for a class: a code (or a palette's index), or a colour.
Value = Annotated[int, Field(ge=0, le=MAX_CODE)] | Color


@dataclass(frozen=True, slots=True)
class ClassList:
    """The contents of a `classes.json`.

    Attributes:
        classes: Names and colours.
        values: What stands for each class in the masks, as far as it is said; without
            it that is the place in the list, and in masks of colours its colour.
        ignore: What stands in the masks for no class.
    """

    classes: Classes
    values: tuple[tuple[Value, ...], ...]
    ignore: tuple[Value, ...] = ()


def load_classes(path: Path) -> Classes:
    """Return names and colours of a `classes.json`; raises as `load_class_list`."""
    return load_class_list(path).classes


def load_class_list(path: Path) -> ClassList:
    """Read a `classes.json`.

    Raises:
        DatasetError: If the file is missing, no JSON, or lists no valid classes.
    """
    path = Path(path)
    listed, ignored = _entries(path)
    named: list[tuple[str, Color | None]] = []
    values: list[tuple[Value, ...]] = []
    for number, item in enumerate(listed, 1):
        named.append(_name_and_color(path, number, item))
        values.append(_values(path, f"class {number}", item))
    ignore = tuple(_value(path, "`ignore`", value) for value in ignored)
    _require_different(path, "name", [name for name, _ in named])
    _require_different(path, "color", [color for _, color in named if color])
    coded = any(isinstance(value, int) for given in values for value in given)
    places = [n for n, given in enumerate(values) if coded and not given]
    meant = [value for given in (*values, ignore) for value in given]
    _require_different(path, "value", [*meant, *places])
    return ClassList(_with_colors(named), tuple(values), ignore)


def load_titles(path: Path) -> dict[Color, str]:
    """Return what a `classes.json` of a labelling tool calls its colours.

    There each class has a `title`, and a `color` such as `#118DD7`. It need not list
    all that the masks hold. Any other file calls nothing.

    Raises:
        DatasetError: If the file is in no encoding of Unicode.
    """
    held = _parsed(path)
    listed = held.get("classes") if isinstance(held, Mapping) else held
    titles: dict[Color, str] = {}
    for item in listed if isinstance(listed, list) else ():
        title, color = (
            (item.get("title"), item.get("color"))
            if isinstance(item, Mapping)
            else (None, None)
        )
        if not (isinstance(title, str) and isinstance(color, str)):
            return {}
        name = " ".join(title.split())
        fits = 0 < len(name) <= MAX_NAME_CHARACTERS and name.isprintable()
        if not (fits and _HEX_COLOR.fullmatch(color)):
            return {}
        red, green, blue = bytes.fromhex(color[1:])
        titles[red, green, blue] = name
    return titles


def save_classes(path: Path, classes: Classes) -> None:
    """Write classes as a `classes.json`, atomically; raises as `save_class_list`."""
    save_class_list(path, ClassList(classes, ((),) * len(classes)))


def save_class_list(path: Path, listed: ClassList) -> None:
    """Write a `classes.json`, atomically.

    Raises:
        RightsError: If whoever acts now may not change the data set.
        StorageError: If it cannot be written.
    """
    require_changeable(path)
    entries: list[dict[str, Any]] = []
    for item, values in zip(listed.classes, listed.values, strict=True):
        entry: dict[str, Any] = {"name": item.name, "color": list(item.color)}
        if len(values) == 1:
            entry["value"] = values[0]
        elif values:
            entry["values"] = values
        entries.append(entry)
    ignored = {"classes": entries, "ignore": listed.ignore}
    write_json(Path(path), ignored if listed.ignore else entries)


def require_distinct(classes: Classes) -> None:
    """Refuse classes that people could not tell apart.

    Raises:
        DatasetError: If a name is empty, too long or not plain, or two classes have the
            same name or colour.
    """
    names: set[str] = set()
    owners: dict[Color, str] = {}
    for item in classes:
        name = item.name
        if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
            raise DatasetError(
                f"a class must have a name of 1 to {MAX_NAME_CHARACTERS} plain "
                f"characters, not {name[:MAX_NAME_CHARACTERS]!r}. Write another one."
            )
        if name in names:
            raise DatasetError(
                f"two classes are called {name}. Give each class a name of its own."
            )
        names.add(name)
        if item.color in owners:
            raise DatasetError(
                f"{owners[item.color]} and {name} have the same colour. Give each "
                "class a colour of its own."
            )
        owners[item.color] = name


def distinct_colors(count: int, taken: Iterable[Color] = ()) -> list[Color]:
    """Return colours that people with any kind of colour vision tell apart.

    From the ninth on they are darker shades of the first eight.

    Args:
        count: How many, 1 to 64.
        taken: Colours that shall not be among them.
    """
    taken = set(taken)
    found: list[Color] = []
    for number in range(count + len(taken)):
        level = number // len(_DISTINCT)
        shade = 1 - level % 9 / 9 - level // 9 * 0.05
        red, green, blue = _DISTINCT[number % len(_DISTINCT)]
        color = int(red * shade), int(green * shade), int(blue * shade)
        if color not in taken:
            found.append(color)
    return found[:count]


def _entries(path: Path) -> tuple[list[Any], list[Any]]:
    """Return the listed classes and what is ignored, as they stand in the file."""
    if is_file(path) and path.stat().st_size > MAX_JSON_KB * 1024:
        raise DatasetError(
            f"the file is larger than {MAX_JSON_KB} kB, the limit for a list of "
            "classes. Check that it is the right file.",
            file=path.name,
        )
    held = _parsed(path)
    listed, ignored = held, None
    if isinstance(held, Mapping):
        listed, ignored = held.get("classes"), held.get("ignore")
    if not isinstance(listed, list) or not listed:
        raise _bad(path, "it is not a list of classes")
    if len(listed) > MAX_CLASSES:
        raise _bad(path, f"it lists {len(listed)} classes, the limit is {MAX_CLASSES}")
    ignored = [] if ignored is None else ignored
    if not isinstance(ignored, list) or len(ignored) > MAX_IGNORED:
        raise _bad(path, f"`ignore` is not a list of up to {MAX_IGNORED} values")
    return listed, ignored


def _parsed(path: Path) -> Any:
    try:
        return parse_json(read_bytes(path, MAX_JSON_KB * 1024))
    except (OSError, ValueError) as error:
        if isinstance(error.__cause__, UnicodeDecodeError):
            raise DatasetError(f"{error}.", file=path.name) from error
        return None


def _with_colors(named: list[tuple[str, Color | None]]) -> Classes:
    """Return the classes; one without a colour has Kaggle's, else one of our own."""
    kaggle = {item.name.casefold(): item.color for item in KAGGLE_CLASSES}
    taken = {color for _, color in named if color is not None}
    colors: list[Color | None] = []
    for name, stated in named:
        color = stated
        usual = kaggle.get(name.casefold())
        if color is None and usual is not None and usual not in taken:
            color = usual
            taken.add(usual)
        colors.append(color)
    missing = colors.count(None)
    spare = iter(distinct_colors(missing, {color for color in colors if color}))
    return tuple(
        TerrainClass(name, color or next(spare))
        for (name, _), color in zip(named, colors, strict=True)
    )


def _values(path: Path, owner: str, item: Mapping[str, Any]) -> tuple[Value, ...]:
    """Return the `value` or the `values` of an entry."""
    if "value" in item:
        return (_value(path, f"the value of {owner}", item["value"]),)
    values = item.get("values", [])
    if not isinstance(values, list) or len(values) > MAX_VALUES:
        raise _bad(path, f"the values of {owner} are not a list of up to {MAX_VALUES}")
    return tuple(_value(path, f"a value of {owner}", value) for value in values)


def _value(path: Path, owner: str, value: Any) -> Value:
    if _is_within(value, MAX_CODE):
        return int(value)
    if isinstance(value, list) and len(value) == 3 and all(map(_is_byte, value)):
        return value[0], value[1], value[2]
    what = f"{owner} is no number from 0 to {MAX_CODE:,} and no colour of three numbers"
    raise _bad(path, what)


def _require_different(path: Path, what: str, items: list[Any]) -> None:
    if len(set(items)) == len(items):
        return
    if what == "value":
        twice = next(item for item in items if items.count(item) > 1)
        what = (
            f"the value {value_text(twice)} is listed twice (a class without a `value` "
            "stands for its place in the list, from 0)"
        )
        raise _bad(path, what)
    raise _bad(path, f"two classes have the same {what}")


def value_text(value: Value) -> str:
    """Return a code as its number, a colour as `#RRGGBB`."""
    if isinstance(value, int):
        return str(value)
    return "#{:02X}{:02X}{:02X}".format(*value)


def hex_color(color: tuple[int, int, int]) -> str:
    """Return a colour as `#rrggbb`, as charts and maps take it."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def is_unnamed(item: TerrainClass) -> bool:
    """Return whether a class has no name yet: it is called by its colour or code."""
    return item.name == value_text(item.color) or item.name.isdecimal()


def titles_of_values(path: Path) -> dict[str, str]:
    """Return what a `classes.json` calls each code or colour, by its text.

    Raises:
        DatasetError: As `load_class_list`.
    """
    listed = load_class_list(path)
    coded = any(listed.values)
    titles: dict[str, str] = {}
    for place, (item, given) in enumerate(
        zip(listed.classes, listed.values, strict=True)
    ):
        for value in (*given, item.color, *(() if coded else (place,))):
            titles.setdefault(value_text(value), item.name)
    return titles


def _name_and_color(path: Path, number: int, item: Any) -> tuple[str, Color | None]:
    if not isinstance(item, Mapping):
        raise _bad(path, f"class {number} has no name and color")
    name, color = item.get("name"), item.get("color")
    if not isinstance(name, str) or not 0 < len(name.strip()) <= MAX_NAME_CHARACTERS:
        raise _bad(
            path,
            f"the name of class {number} is not a text of 1 to {MAX_NAME_CHARACTERS} "
            "characters",
        )
    if not name.isprintable():
        raise _bad(path, f"the name of class {number} holds unprintable characters")
    if color is None:
        return name.strip(), None
    if not (isinstance(color, list) and len(color) == 3 and all(map(_is_byte, color))):
        raise _bad(path, f"the color of class {number} is not three numbers 0 to 255")
    return name.strip(), (color[0], color[1], color[2])


def _is_byte(value: Any) -> bool:
    return _is_within(value, 255)


def _is_within(value: Any, highest: int) -> bool:
    number = isinstance(value, int) and not isinstance(value, bool)
    return number and 0 <= value <= highest


def _bad(path: Path, what: str) -> DatasetError:
    return DatasetError(
        f"not a valid list of classes: {what}. "
        'Write it as [{"name": "Water", "color": [17, 141, 215]}, ...].',
        file=path.name,
    )
