"""What a browser sends is taken as settings only where it fits."""

import math

import pytest

from terrainlib.ui.studio.live import ViewSettings


def test_settings_survive_the_way_to_the_browser_and_back():
    settings = ViewSettings(1.25, "unsharp", 2.5, True, 0.4, "confidence")

    assert ViewSettings.from_browser(settings.to_dict()) == settings


@pytest.mark.parametrize("sent", [None, "text", 3, [], {"amount": "1"}, {"else": 1}])
def test_anything_that_is_no_setting_is_left_out(sent: object):
    assert ViewSettings.from_browser(sent) == ViewSettings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("amount", -0.1),
        ("amount", 3.1),
        ("amount", math.nan),
        ("amount", math.inf),
        ("amount", True),
        ("radius", 0),
        ("radius", 500),
        ("opacity", 2),
        ("method", "else"),
        ("snap", 1),
        ("shown", "else"),
        ("shown", ["mask"]),
    ],
)
def test_values_out_of_bounds_take_the_default(name: str, value: object):
    assert ViewSettings.from_browser({name: value}) == ViewSettings()
