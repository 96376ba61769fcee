"""Areas in words and tables, with and without a place and an interval."""

import numpy as np
import pytest

from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.mask.ground.areaerrors import Validation
from terrainlib.mask.ground.areas import AreaTable, ClassArea, area_table
from terrainlib.ui.studio.areas import area_rows, area_text, corrected_text, in_words

NAMES = [item.name for item in KAGGLE_CLASSES]


@pytest.fixture
def table() -> AreaTable:
    """Areas of a mask whose classes are 100, 200, ... pixels of 50 m by 50 m."""
    groups = np.stack([np.eye(7, dtype=np.int64) * 90 + n for n in range(1, 9)])
    validation = Validation(groups.sum(axis=0), images=8, groups=groups)
    pixels = np.arange(1, 8) * 100
    return area_table(NAMES, pixels, validation, pixels * 2500.0)


@pytest.mark.parametrize(
    ("square_metres", "text"),
    [
        (None, "1,200 px"),
        (0.0, "0 km²"),
        (9_999.4, "9,999 m²"),
        (10_000.0, "0.01 km²"),
        (2_340_000.0, "2.34 km²"),
        (23_400_000.0, "23.4 km²"),
        (8_116_965e6, "8,116,965 km²"),
    ],
)
def test_areas_are_in_the_unit_that_reads_best(square_metres: float | None, text: str):
    assert area_text(ClassArea("Water", 1200, square_metres, 0.5)) == text


def test_the_table_shows_the_mask_first_and_the_correction_second(table: AreaTable):
    rows = area_rows(table, KAGGLE_CLASSES)

    assert list(rows) == ["Class", "Share", "Area", "Corrected share"]
    assert "Water" in rows["Class"][0]
    assert rows["Share"][0] == "3.6%"
    assert rows["Area"][0] == "0.25 km²"
    row = table.rows[0]
    assert row.adjusted_share is not None
    assert row.margin_pixels is not None
    half = row.margin_pixels / 2800
    expected = f"{100 * row.adjusted_share:.1f} ± {100 * half:.1f}%"
    assert rows["Corrected share"][0] == expected


def test_without_known_errors_there_is_no_column_for_them():
    table = area_table(NAMES, np.arange(7))

    rows = area_rows(table, KAGGLE_CLASSES)

    assert list(rows) == ["Class", "Share", "Area"]
    assert rows["Area"].tolist() == [f"{n} px" for n in range(7)]


def test_a_class_whose_area_cannot_be_estimated_has_a_dash():
    assert corrected_text(ClassArea("Water", 3, None, 0.5), 6) == "–"


def test_the_chart_is_told_in_words_the_largest_class_first(table: AreaTable):
    words = in_words(table)

    assert words.index("Tundra 25.0%") < words.index("Water 3.6%")
    assert words.count("corrected") == 7
