"""What the values of a data set's masks mean: decided once, from all its masks.

The classes come from `classes.json`; without one they are found in the masks. Reading
one mask as was decided is the business of `masks`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Literal

import numpy as np

from terrainlib.data.classes.masks import (
    MaskKind,
    MaskMeaning,
    MaskValues,
    color_class,
    key_color,
)
from terrainlib.data.formats.categories import Category
from terrainlib.data.palette import (
    KAGGLE_CLASSES,
    MAX_CLASSES,
    MAX_CODE,
    NO_DATA,
    ClassList,
    Color,
    TerrainClass,
    Value,
    color_keys,
    color_table,
    distinct_colors,
    value_text,
)
from terrainlib.errors import DatasetError

ClassesSource = Literal["classes.json", "kaggle", "masks", "found"]

_EXACT_SHARE: Final = 0.99
_GREY_STEP: Final = 32  # greys that people tell apart; codes lie closer
NO_DATA_CODES: Final = (NO_DATA, MAX_CODE)
_BLACK_AND_WHITE: Final = ((0, 0, 0), (255, 255, 255))
_SHOWN_VALUES: Final = 12
_ZEROS: Final[frozenset[Value]] = frozenset({0, (0, 0, 0)})
_STRAY_SHARE: Final = 0.005  # of the pixels; rarer colours may be smoothed edges
_HELD: Final[Mapping[MaskKind, str]] = {
    "colors": "the colours of the classes",
    "palette": "palette indices",
    "codes": "codes",
    "binary": "0 and full scale",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for a data set.

    Attributes:
        listed: The classes, what stands for them and what for none.
        source: Where the classes come from.
        meaning: How each mask is read.
        notes: What people should know of it, one sentence each.
        unlisted: Values found in the masks that stand for nothing, at most 64.
    """

    listed: ClassList
    source: ClassesSource
    meaning: MaskMeaning
    notes: tuple[str, ...] = ()
    unlisted: tuple[Value, ...] = ()


def decide(
    found: Sequence[MaskValues],
    listed: ClassList | None,
    named: Mapping[int, Category] | None = None,
) -> Decision:
    """Decide what the values of masks mean.

    Without a list, where at least 99 % of the pixels have exact Kaggle colours, over
    the set or in more than half of its masks, they are the Kaggle classes. Otherwise
    they are the values found, called by their categories, colours or codes.

    Args:
        found: The values of all masks of the set that can be read.
        listed: The contents of `classes.json`, None without one.
        named: What the masks themselves call their values.

    Raises:
        DatasetError: If there are more than 64 classes.
    """
    zeros = sum(item.zeros for item in found)
    found = [item.without_zeros() for item in found]
    source: ClassesSource = "classes.json"
    if listed is None:
        listed, source = _find_list(found, named or {})
    totals = _total(found, zeros)
    by_index = _counts_by_index(totals, listed)
    codes, notes = _codes(totals, listed, by_index)
    meaning = MaskMeaning(
        kind=_kind(found, codes, by_index),
        colors=_mask_colors(listed),
        codes=codes,
        ignore=(*listed.ignore, *_no_data_codes(totals, codes, listed)),
        by_index=by_index,
        zero=any(_ZEROS & set(values) for values in listed.values),
    )
    notes = (*notes, *_zero_note(totals, meaning))
    return Decision(listed, source, meaning, notes, _unlisted(found, totals, meaning))


def with_titles(decision: Decision, titles: Mapping[Color, str]) -> Decision:
    """Return what was decided, with the classes called by titles of their colours.

    Args:
        decision: What was decided without a list.
        titles: Names by colours; the classes of other colours keep theirs.
    """
    names = [titles.get(item.color, item.name) for item in decision.listed.classes]
    if not titles or len(set(names)) < len(names):
        return decision
    found = sum(item.color in titles for item in decision.listed.classes)
    note = (
        f"classes.json comes from a labelling tool: it names {found} of the "
        f"{len(names)} classes."
    )
    classes = tuple(
        replace(item, name=name)
        for item, name in zip(decision.listed.classes, names, strict=True)
    )
    listed = replace(decision.listed, classes=classes)
    return replace(decision, listed=listed, notes=(*decision.notes, note))


def describe(meaning: MaskMeaning, names: Sequence[str]) -> str:
    """Return in one sentence what the masks hold, such as `... 0 Sea`."""
    if meaning.kind == "binary":
        return f"The masks hold 0 ({names[0]}) and full scale ({names[1]})."
    pairs = zip(names, meaning.values(), strict=True)
    known = [_meant(name, values) for name, values in pairs]
    shown = known[:_SHOWN_VALUES] + ["..."] * (len(known) > _SHOWN_VALUES)
    none = [
        value_text(value)
        for value in meaning.ignore
        if isinstance(value, int) != (meaning.kind == "colors")
    ]
    ignored = f" No class: {', '.join(none)}." if none else ""
    return f"The masks hold {_HELD[meaning.kind]}: {', '.join(shown)}.{ignored}"


def _meant(name: str, values: Sequence[Value]) -> str:
    text = ", ".join(map(value_text, values))
    return text if text == name else f"{text} {name}"


@dataclass(frozen=True, slots=True)
class _Totals:
    """The values of all masks together.

    Attributes:
        numbers: Pixels of each number of one band.
        entries: Pixels of each (index, colour) of palettes.
        zeros: Pixels of 0 where the file declares it as no data; not among the others.
        pixels: All others.
        greys: Colours of the numbers; None where some are no greys.
        colored: Whether more than half of the masks hold colours or a palette.
        full: Numbers that are full scale, where all masks of one band hold only them
            and 0; else empty.
    """

    numbers: Counter[int]
    entries: Counter[tuple[int, int]]
    zeros: int
    pixels: int
    greys: frozenset[int] | None
    colored: bool
    full: frozenset[int]


def _total(found: Sequence[MaskValues], zeros: int = 0) -> _Totals:
    numbers: Counter[int] = Counter()
    entries: Counter[tuple[int, int]] = Counter()
    greys: set[int] | None = set()
    for item in found:
        keys, counts = item.keys.tolist(), item.counts.tolist()
        colors = keys if item.colors is None else item.colors.tolist()
        if item.form == "numbers" and greys is not None:
            greys = None if item.colors is None else greys.union(colors)
        for key, color, count in zip(keys, colors, counts, strict=True):
            if item.form == "numbers":
                numbers[key] += count
            elif item.form == "palette":
                entries[key, color] += count
    return _Totals(
        numbers,
        entries,
        zeros,
        sum(item.pixels for item in found),
        None if greys is None else frozenset(greys),
        _mostly_colors(found),
        _full_scale(found) if numbers[0] or zeros else frozenset(),
    )


def _full_scale(found: Sequence[MaskValues]) -> frozenset[int]:
    """Return the numbers beside 0 where all masks hold only full scale and 0.

    Masks of 1 bit say nothing by themselves: they may hold indices as well.
    """
    full: set[int] = set()
    for item in found:
        if item.form != "numbers" or item.full_scale == 1:
            continue
        ends = {item.full_scale or NO_DATA, NO_DATA}
        others = set(item.keys.tolist()) - {0}
        if not others <= ends:
            return frozenset()
        full |= others
    return frozenset(full | {1}) if full else frozenset()


def _mask_colors(listed: ClassList) -> tuple[tuple[tuple[int, int, int], ...], ...]:
    """Return of each class the colours that stand for it in masks of colours."""
    stated = [
        tuple(value for value in values if not isinstance(value, int))
        for values in listed.values
    ]
    pairs = zip(listed.classes, stated, strict=True)
    return tuple(colors or (item.color,) for item, colors in pairs)


def _stated_codes(listed: ClassList) -> list[tuple[int, ...]]:
    return [
        tuple(value for value in values if isinstance(value, int))
        for values in listed.values
    ]


def _counts_by_index(totals: _Totals, listed: ClassList) -> bool:
    """Say whether the indices of palettes are the classes, and not their colours.

    They are where the palettes' colours are not all those of classes, but the indices
    are, and the two do not contradict each other in most.
    """
    owners = {
        key: number
        for number, colors in enumerate(_mask_colors(listed))
        for key in color_keys(np.array(colors, np.uint8)).tolist()
    }
    used = [e for e in totals.entries if e[0] != NO_DATA or e[1] in owners]
    exact = [entry for entry in used if entry[1] in owners]
    stated = {code for codes in _stated_codes(listed) for code in codes}
    codes = stated or set(range(len(listed.classes) + 1))
    ignored = {value for value in listed.ignore if isinstance(value, int)}
    fits = {code for code, _ in used} <= codes | ignored
    if stated:
        return bool(used) and (fits or len(exact) < len(used))
    agree = all(owners[color] == code for code, color in exact)
    return fits and len(exact) < len(used) and (agree or 2 * len(exact) <= len(used))


def _codes(
    totals: _Totals, listed: ClassList, by_index: bool
) -> tuple[tuple[tuple[int, ...], ...], tuple[str, ...]]:
    """Return what stands for each class in one band, and what to tell of that.

    Empty where the numbers are greys, which count as colours.
    """
    count = len(listed.classes)
    stated = _stated_codes(listed)
    taken = {code for codes in stated for code in codes}
    places = [() if n in taken else (n,) for n in range(count)]
    plain = tuple(codes or place for codes, place in zip(stated, places, strict=True))
    if taken:
        return plain, ()
    colors = color_table(listed.classes)
    keys = set(color_keys(colors).tolist()) if count else set()
    greys_only = bool(count) and bool((colors == colors[:, :1]).all())
    found = set(totals.numbers)
    greys = found and totals.greys is not None and totals.greys <= keys
    if greys and (greys_only or totals.colored):
        return (), ()
    if count == 2 and totals.full and not by_index:
        return ((0,), tuple(sorted(totals.full))), ()
    if by_index:
        found |= {code for code, _ in totals.entries}
    found -= set(NO_DATA_CODES) | {v for v in listed.ignore if isinstance(v, int)}
    if found and min(found) == 1 and max(found) == count and 0 not in found:
        note = (
            f"The values of the masks start at 1: they are taken as 1 to {count}, in "
            "the order of the classes."
        )
        return tuple((n + 1,) for n in range(count)), (note,)
    return plain, ()


def _no_data_codes(
    totals: _Totals, codes: tuple[tuple[int, ...], ...], listed: ClassList
) -> tuple[int, ...]:
    """Return which of 255 and 65,535 stand for no class: those above all codes."""
    highest = max((code for each in codes for code in each), default=0)
    return tuple(
        code
        for code in NO_DATA_CODES
        if codes and code > highest and code not in listed.ignore
        if code == NO_DATA or code in totals.numbers
    )


def _kind(
    found: Sequence[MaskValues], codes: tuple[tuple[int, ...], ...], by_index: bool
) -> MaskKind:
    forms = Counter(item.form for item in found)
    colors = forms["colors"] + (0 if by_index else forms["palette"])
    if 2 * colors >= len(found) or not codes:
        return "colors"
    if by_index and forms["palette"] > forms["numbers"]:
        return "palette"
    binary = len(codes) == 2 and codes[0] == (0,) and {1, NO_DATA} <= {*codes[1], 1}
    return "binary" if binary and len(codes[1]) > 1 else "codes"


def _unlisted(
    found: Sequence[MaskValues], totals: _Totals, meaning: MaskMeaning
) -> tuple[Value, ...]:
    """Return codes of no class, or colours of none that are no mere strays."""
    known = {value for values in meaning.values() for value in values}
    known |= set(meaning.ignore)
    undecided = _undecided_zero(totals, meaning)
    if meaning.kind != "colors":
        held = set(totals.numbers)
        if meaning.by_index:
            held |= {code for code, _ in totals.entries}
        zero = {0} if undecided else set()
        return tuple(sorted((held - known) | zero)[:MAX_CLASSES])
    colors = _colors_of(item for item in found if item.form != "numbers")
    least = max(1, round(_STRAY_SHARE * sum(item.pixels for item in found)))
    shown = [key_color(key) for key, count in colors.most_common() if count >= least]
    black: tuple[Value, ...] = ((0, 0, 0),) if undecided else ()
    others = tuple(color for color in shown if color not in known)
    return (*black, *others)[:MAX_CLASSES]


def _colors_of(found: Iterable[MaskValues]) -> Counter[int]:
    """Return the pixels of each colour, 0xRRGGBB."""
    colors: Counter[int] = Counter()
    for item in found:
        keys = [] if item.colors is None else item.colors.tolist()
        for key, count in zip(keys, item.counts.tolist(), strict=True):
            colors[key] += count
    return colors


def _undecided_zero(totals: _Totals, meaning: MaskMeaning) -> bool:
    """Say whether masks declare 0 as no data and nobody has said what it is."""
    return bool(totals.zeros) and not meaning.zero and not _ZEROS & set(meaning.ignore)


def _zero_note(totals: _Totals, meaning: MaskMeaning) -> tuple[str, ...]:
    if not _undecided_zero(totals, meaning):
        return ()
    share = totals.zeros / (totals.zeros + totals.pixels)
    value = "[0, 0, 0]" if meaning.kind == "colors" else "0"
    return (
        f"The masks mark 0 as no data ({share:.1%} of their pixels), as QGIS does by "
        f'itself. If it is a class, list it with "value": {value} in classes.json, '
        f'or name it on the page; else add "ignore": [{value}].',
    )


def _find_list(
    found: Sequence[MaskValues], named: Mapping[int, Category]
) -> tuple[ClassList, ClassesSource]:
    """Return the classes of masks without a `classes.json`."""
    colored = [item for item in found if item.form != "numbers"]
    if _mostly_colors(found):
        if _fit_kaggle(colored):
            return _plain(KAGGLE_CLASSES), "kaggle"
        entries = _clear_palette(found)
        if entries is not None:
            return _of_codes(entries, named)
        return _color_classes(found), "found"
    numbers = [item for item in found if item.form == "numbers"]
    totals = _total(numbers)
    if totals.full and not named:
        return _plain(map(color_class, _BLACK_AND_WHITE)), "found"
    codes = sorted(totals.numbers)
    greys = _are_greys(codes) and not named
    kept = _without_no_data(codes)
    if totals.greys is not None and (greys or len(kept) > MAX_CLASSES):
        return _color_classes(numbers), "found"
    if len(kept) > MAX_CLASSES:
        raise DatasetError(
            f"{len(kept)} values in the masks; the limit is {MAX_CLASSES} classes. "
            "Merge them in a classes.json, with the values of each class."
        )
    if kept == [0]:
        kept = [0, 1]  # a network tells at least two classes apart
    return _of_codes(dict.fromkeys(kept), named)


def _plain(classes: Iterable[TerrainClass]) -> ClassList:
    classes = tuple(classes)
    return ClassList(classes, ((),) * len(classes))


def _mostly_colors(found: Sequence[MaskValues]) -> bool:
    return 2 * sum(item.form != "numbers" for item in found) > len(found)


def _fit_kaggle(found: Sequence[MaskValues]) -> bool:
    keys = color_keys(color_table(KAGGLE_CLASSES))
    colors = [item.keys if item.colors is None else item.colors for item in found]
    pairs = zip(colors, found, strict=True)
    exact = [int(item.counts[np.isin(key, keys)].sum()) for key, item in pairs]
    pixels = [item.pixels for item in found]
    parts = zip(exact, pixels, strict=True)
    fitting = sum(part >= _EXACT_SHARE * whole for part, whole in parts if whole)
    labelled = sum(1 for whole in pixels if whole)
    if not labelled:
        return False
    return 2 * fitting > labelled or sum(exact) >= _EXACT_SHARE * sum(pixels)


def _clear_palette(found: Sequence[MaskValues]) -> dict[int, int] | None:
    """Return the colours of the indices where all masks share one clear palette."""
    if any(item.form != "palette" for item in found):
        return None
    entries = list(_total(found).entries)
    table = dict(entries)
    if len(table) < len(entries) or len(set(table.values())) < len(entries):
        return None
    codes = sorted(table)
    kept = codes if codes == [0, NO_DATA] else _without_no_data(codes)
    return {code: table[code] for code in kept} if len(kept) <= MAX_CLASSES else None


def _without_no_data(codes: list[int]) -> list[int]:
    """Return the codes without 255 or 65,535 where all others are smaller."""
    kept = list(codes)
    for code in reversed(NO_DATA_CODES):
        if kept and kept[-1] == code:
            kept.pop()
    return kept


def _are_greys(codes: list[int]) -> bool:
    """Say whether numbers from 0 to 255 are so far apart that greys are meant."""
    wide = all(after - before >= _GREY_STEP for before, after in pairwise(codes))
    return len(codes) > 2 and codes[0] == 0 and codes[-1] == NO_DATA and wide


def _of_codes(
    codes: Mapping[int, int | None], named: Mapping[int, Category]
) -> tuple[ClassList, ClassesSource]:
    """Return classes of codes, with their colours of a palette where there are any.

    Codes of one category are one class.
    """
    spare = iter(distinct_colors(len(codes)))
    classes: dict[str, TerrainClass] = {}
    values: dict[str, list[Value]] = {}
    for code, key in codes.items():
        category = named.get(code)
        shown = None if key is None else color_class(key_color(key))
        name = category.name if category else shown.name if shown else str(code)
        own = category.color if category else None
        color = own or (shown.color if shown else next(spare))
        classes.setdefault(name, TerrainClass(name, color))
        values.setdefault(name, []).append(code)
    listed = ClassList(tuple(classes.values()), tuple(map(tuple, values.values())))
    return listed, "masks" if any(code in named for code in codes) else "found"


def _color_classes(found: Sequence[MaskValues]) -> ClassList:
    """Return the colours of the masks as classes, in the order of their numbers.

    A minority of masks that hold more colours than there may be classes does not count.
    """
    colored = [item for item in found if item.colors is not None]
    moderate = [item for item in colored if len(item.keys) <= MAX_CLASSES]
    if 2 * len(moderate) > len(colored):
        colored = moderate
    colors = _colors_of(colored)
    pixels = sum(item.pixels for item in colored)
    kept = colors.most_common(MAX_CLASSES)
    if len(colors) > MAX_CLASSES:
        if sum(count for _, count in kept) < _EXACT_SHARE * pixels:
            raise DatasetError(
                f"{len(colors)} or more colours in the masks; the limit is "
                f"{MAX_CLASSES} classes. Save the masks without smoothing or JPEG "
                "compression, or add a classes.json."
            )
        kept = _prefix(kept, _EXACT_SHARE * pixels)
    return _plain(color_class(key_color(key)) for key, _ in sorted(kept))


def _prefix(ranked: list[tuple[int, int]], pixels: float) -> list[tuple[int, int]]:
    """Return the most common colours that make up the given number of pixels."""
    sums = np.cumsum([count for _, count in ranked])
    return ranked[: int(np.searchsorted(sums, pixels)) + 1]
