"""Names that people say themselves, and what the names of a folder suggest."""

import json
from pathlib import Path

import pytest

from terrainlib.data.choices import Choices, Patterns, save_choices
from terrainlib.data.dataset import open_dataset
from terrainlib.data.layouts.find import UnknownNamesError, find_layout
from terrainlib.data.layouts.patterns import (
    group_names,
    list_all,
    match,
    suggest_patterns,
)
from terrainlib.errors import DatasetError
from tests.terrainlib.data.layouts.test_layout_rules import pairs, put


@pytest.mark.parametrize(
    ("pattern", "path", "stars"),
    [
        ("*_sat.jpg", "119_sat.jpg", ("119",)),
        ("*_sat.jpg", "deep/119_SAT.JPG", ("deep/119",)),
        ("*_sat.jpg", "_sat.jpg", None),
        ("a/*.png", "b/1.png", None),
        ("*/rgb/*.png", "Town/Rural/rgb/7.png", ("Town/Rural", "7")),
        ("*/rgb/*.png", "rgb/7.png", None),
        ("a*a", "aa", None),
        ("*.png", "İx.png", ("İx",)),
    ],
)
def test_stars_stand_for_something(
    pattern: str, path: str, stars: tuple[str, ...] | None
) -> None:
    assert match(pattern, path) == stars


@pytest.mark.parametrize(
    ("names", "suggested", "ids"),
    [
        pytest.param(
            ["a_s2.tif", "a_lc.tif", "b_s2.tif", "b_lc.tif"],
            Patterns("*_s2.tif", "*_lc.tif"),
            ["a", "b"],
            id="endings",
        ),
        pytest.param(
            ["scene1.jpg", "scene2.jpg", "label1.png", "label2.png"],
            Patterns("scene*.jpg", "label*.png"),
            ["1", "2"],
            id="beginnings",
        ),
        pytest.param(
            [f"{t}/{k}/{n}.png" for t in "AB" for k in ("rgb", "truth") for n in "12"],
            Patterns("*/rgb/*.png", "*/truth/*.png"),
            ["A/1", "A/2", "B/1", "B/2"],
            id="two levels of folders",
        ),
        pytest.param(
            [f"s{n}/{k}.tif" for n in range(4) for k in ("optical", "segment", "dem")],
            Patterns("*/optical.tif", "*/segment.tif", "*/dem.tif"),
            ["s0", "s1", "s2", "s3"],
            id="a folder for each id",
        ),
        pytest.param(
            [f"x/{k}{n}.tif" for n in "12" for k in ("optic/p_", "gtruth/")],
            Patterns("x/optic/p_*.tif", "x/gtruth/*.tif"),
            ["1", "2"],
            id="folders and endings",
        ),
    ],
)
def test_patterns_are_suggested_and_fit(
    tmp_path: Path, names: list[str], suggested: Patterns, ids: list[str]
) -> None:
    put(tmp_path, *names)
    with pytest.raises(DatasetError):
        find_layout(tmp_path)
    assert suggest_patterns(group_names(list_all(tmp_path))) == suggested
    save_choices(tmp_path, Choices(suggested))
    layout = find_layout(tmp_path)
    assert layout.name == "patterns"
    assert list(pairs(layout)) == ids
    assert layout.problems == []


def test_names_that_fit_no_rule_are_told_with_the_way_out(tmp_path: Path) -> None:
    put(tmp_path, *(f"{n}_{k}.tif" for n in "123" for k in ("s2", "lc")))
    with pytest.raises(UnknownNamesError, match=r"\*_lc\.tif \(3\)") as caught:
        open_dataset(tmp_path)
    text = str(caught.value)
    said = json.loads(text[text.index("{") : text.rindex("}") + 1])
    (tmp_path / "dataset.json").write_text(json.dumps(said))
    assert list(pairs(find_layout(tmp_path))) == ["1", "2", "3"]


def test_patterns_that_fit_nothing_are_told(tmp_path: Path) -> None:
    put(tmp_path, "1_t.png", "1_l.png", "2_t.png", "2_l.png")
    save_choices(tmp_path, Choices(Patterns("*_a.png", "*_b.png")))
    with pytest.raises(
        UnknownNamesError, match=r'says \{"patterns".*_a\.png'
    ) as caught:
        open_dataset(tmp_path)
    assert caught.value.patterns == Patterns("*_l.png", "*_t.png")


def test_what_patterns_leave_over_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png", "a/2.png")
    save_choices(tmp_path, Choices(Patterns("a/*.png", "b/*.png")))
    (problem,) = find_layout(tmp_path).problems
    assert (problem.file, problem.problem) == (
        "a/2.png",
        "an image without a mask. Add b/2.png.",
    )


@pytest.mark.parametrize(
    "patterns",
    [
        ("../*.png", "*_m.png"),
        ("/etc/*.png", "*_m.png"),
        ("C:/*.png", "*_m.png"),
        ("..\\*.png", "*_m.png"),
        ("", "*_m.png"),
        ("image.png", "mask.png"),
        ("*/*.png", "*_m.png"),
        ("*.png", "*.png"),
    ],
)
def test_patterns_that_cannot_be_meant_are_refused(patterns: tuple[str, str]) -> None:
    with pytest.raises(DatasetError, match=r"the pattern.* Write .*\.$"):
        Patterns(*patterns)


def test_linked_files_fit_no_pattern(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside", "1.png")
    folder = put(tmp_path / "data", "a/1.png", "b/0.png")
    (folder / "b" / "1.png").symlink_to(outside / "1.png")
    (folder / "c").symlink_to(outside)
    save_choices(folder, Choices(Patterns("a/*.png", "b/*.png")))
    with pytest.raises(DatasetError, match=r"2 masks|1 mask found, 1 link skipped"):
        find_layout(folder)
