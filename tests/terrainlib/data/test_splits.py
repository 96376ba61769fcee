"""Holding pairs out: by a seeded hash, or with no shared ground on both sides."""

import random
from dataclasses import replace

import pytest

from terrainlib.data.overlaps import Overlap, Overlaps
from terrainlib.data.splits import (
    Split,
    class_gaps,
    leak_free_split,
    random_split,
    split_hash,
)
from terrainlib.errors import DatasetError

IDS = tuple(f"{number:04d}" for number in range(1, 101))


def overlaps_of(pairs: list[tuple[str, str]]) -> Overlaps:
    matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    return Overlaps(tuple(Overlap(a, b, 0.3, matrix) for a, b in sorted(pairs)))


def grid(
    side: int,
) -> tuple[tuple[str, ...], Overlaps, dict[str, tuple[int, int, int]]]:
    """Return ids, overlaps of neighbours and class pixels of a square of patches."""
    names = {
        (row, col): f"{row:02d}{col:02d}" for row in range(side) for col in range(side)
    }
    pairs = [
        (name, names[row + down, col + right])
        for (row, col), name in names.items()
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1))
        if (row + down, col + right) in names
    ]
    rng = random.Random(5)
    shares = {
        name: (100 * row, 50 * (side - row), rng.randrange(200))
        for (row, _), name in names.items()
    }
    return tuple(names.values()), overlaps_of(pairs), shares


def class_part(
    ids: tuple[str, ...], shares: dict[str, tuple[int, int, int]]
) -> list[float]:
    """Return the mean class shares of some patches."""
    rows = [[value / sum(shares[name]) for value in shares[name]] for name in ids]
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(100, 0.15, 15), (6, 0.15, 1), (2, 0.15, 1), (2, 0.99, 1), (3, 0.9, 2)],
)
def test_a_share_of_the_pairs_is_held_out_and_at_least_one_each_way(
    count: int, share: float, expected: int
) -> None:
    split = random_split(IDS[:count], share=share)
    assert len(split.validation) == expected
    assert len(split.train) == count - expected


def test_every_pair_is_on_exactly_one_side() -> None:
    split = random_split(IDS)
    assert sorted(split.train + split.validation) == list(IDS)
    assert not set(split.train) & set(split.validation)


def test_the_same_seed_gives_the_same_split_whatever_the_order_of_the_ids() -> None:
    assert random_split(reversed(IDS), seed=3) == random_split(IDS, seed=3)


def test_another_seed_gives_another_split_with_another_hash() -> None:
    first, second = random_split(IDS, seed=0), random_split(IDS, seed=1)
    assert first.validation != second.validation
    assert first.hash != second.hash


def test_the_choice_does_not_depend_on_library_versions() -> None:
    assert random_split(IDS[:10], share=0.3, seed=0).validation == (
        "0006",
        "0008",
        "0010",
    )


def test_most_pairs_keep_their_side_when_one_is_added() -> None:
    before = random_split(IDS[:99])
    after = random_split(IDS)
    assert len(set(before.validation) - set(after.validation)) <= 1


def test_a_random_split_says_that_it_may_leak() -> None:
    assert random_split(IDS).leak == "random: may leak"


def test_a_split_survives_its_json_form() -> None:
    split = random_split(IDS, share=0.2, seed=5)
    assert Split.from_dict(split.to_dict()) == split


def test_the_hash_names_the_division_and_not_its_order() -> None:
    assert split_hash(["a", "b"], ["c"]) == split_hash(["b", "a"], ["c"])
    assert split_hash(["a", "b"], ["c"]) != split_hash(["a"], ["b", "c"])


def test_parts_are_found_by_name() -> None:
    split = random_split(IDS)
    assert split.ids("all") == IDS
    assert split.ids("train") == split.train
    assert split.ids("validation") == split.validation
    with pytest.raises(DatasetError, match="choose all, train or validation"):
        split.ids("test")


@pytest.mark.parametrize("ids", [[], ["0001"], ["0001", "0001"]])
def test_fewer_than_two_pairs_cannot_be_split(ids: list[str]) -> None:
    with pytest.raises(DatasetError, match="at least 2 are needed"):
        random_split(ids)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_out_of_bounds_is_refused(share: float) -> None:
    with pytest.raises(DatasetError, match="between 0 and 1"):
        random_split(IDS, share=share)


@pytest.mark.parametrize(
    "change",
    [
        {"train": None},
        {"validation": "0001"},
        {"seed": "many"},
        {"share": None},
    ],
)
def test_a_damaged_json_form_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DatasetError, match="stored split cannot be read"):
        Split.from_dict(random_split(IDS).to_dict() | change)


def test_a_stored_split_with_a_pair_on_both_sides_is_refused() -> None:
    values = random_split(IDS).to_dict()
    values["train"] = list(IDS)
    with pytest.raises(DatasetError, match="both trains and validates"):
        Split.from_dict(values)


def test_an_older_json_form_has_nothing_left_out() -> None:
    values = random_split(IDS).to_dict()
    del values["left_out"]
    assert Split.from_dict(values).left_out == ()


def test_a_stored_split_that_uses_what_it_leaves_out_is_refused() -> None:
    values = random_split(IDS).to_dict() | {"left_out": ["0001"]}
    with pytest.raises(DatasetError, match="0001 is used and left out"):
        Split.from_dict(values)


def test_a_random_split_tells_its_leak_where_overlaps_are_known() -> None:
    held = random_split(IDS[:20], share=0.2).validation
    trains = next(name for name in IDS[:20] if name not in held)
    overlaps = overlaps_of([(held[0], trains), (held[1], held[2])])
    split = random_split(IDS[:20], share=0.2, overlaps=overlaps)
    assert split.validation == held
    assert split.leak == "random: 25% of validation shares ground with training"


# leak-free


@pytest.mark.parametrize("seed", range(4))
def test_no_training_patch_shares_ground_with_a_validation_patch(seed: int) -> None:
    ids, overlaps, shares = grid(12)
    split = leak_free_split(ids, overlaps, shares, seed=seed)
    assert overlaps.leak(split.train, split.validation) == 0
    assert overlaps.leak(split.train, split.left_out) > 0
    assert sorted(split.train + split.validation + split.left_out) == sorted(ids)
    assert len(split.validation) == round(0.15 * len(ids))
    assert (split.method, split.leak) == (
        "leak-free",
        "leak-free: no shared ground found",
    )


def test_the_buffer_is_small_and_the_classes_keep_their_shares() -> None:
    ids, overlaps, shares = grid(12)
    split = leak_free_split(ids, overlaps, shares)
    one_square = 2 * 5 + 1  # around a square of 22 patches in a corner of the map
    assert len(split.left_out) <= 4 * one_square
    everywhere = class_part(ids, shares)
    for part in (split.train, split.validation):
        for share, aim in zip(class_part(part, shares), everywhere, strict=True):
            assert share == pytest.approx(aim, abs=0.06)


def test_only_patches_that_share_ground_with_validation_are_left_out() -> None:
    ids, overlaps, shares = grid(8)
    split = leak_free_split(ids, overlaps, shares)
    near = overlaps.neighbours()
    for name in split.left_out:
        assert near[name] & set(split.validation)


def test_possible_overlaps_are_kept_apart_too() -> None:
    ids, sure, shares = grid(8)
    careful = Overlaps((), sure.pairs)
    split = leak_free_split(ids, careful, shares)
    assert sure.leak(split.train, split.validation) == 0
    assert split.left_out


def test_a_leak_free_split_is_repeatable_whatever_the_order_of_the_ids() -> None:
    ids, overlaps, shares = grid(7)
    one = leak_free_split(ids, overlaps, shares, seed=3)
    two = leak_free_split(
        reversed(ids), overlaps, dict(reversed(shares.items())), seed=3
    )
    assert one == two


def test_another_seed_gives_another_leak_free_split() -> None:
    rng = random.Random(1)
    shares = {name: (rng.randrange(9), rng.randrange(9), 1) for name in IDS}
    one, two = (
        leak_free_split(IDS, Overlaps(()), shares, seed=seed) for seed in (0, 1)
    )
    assert one.validation != two.validation
    assert one.hash != two.hash


def test_the_leak_free_choice_does_not_depend_on_the_machine() -> None:
    ids, overlaps, shares = grid(5)
    split = leak_free_split(ids, overlaps, shares, share=0.2)
    assert split.validation == ("0004", "0104", "0204", "0304", "0404")


def test_pixels_and_shares_of_classes_choose_alike() -> None:
    ids, overlaps, shares = grid(6)
    parts = {name: [value / sum(row) for value in row] for name, row in shares.items()}
    assert leak_free_split(ids, overlaps, shares) == leak_free_split(
        ids, overlaps, parts
    )


def test_without_overlaps_nothing_is_left_out_and_classes_keep_their_shares() -> None:
    shares = {name: (i % 4 == 0, i % 4 != 0) for i, name in enumerate(IDS)}
    split = leak_free_split(IDS, Overlaps(()), shares, share=0.2)
    assert (len(split.train), len(split.validation), split.left_out) == (80, 20, ())
    assert sum(shares[name][0] for name in split.validation) == 5


def test_fewer_validate_where_the_buffer_would_eat_the_training() -> None:
    names = IDS[:40]
    hubs = [(hub, name) for hub in names[:36] for name in names if hub < name]
    fans = [pair for pair in hubs if int(pair[1]) - int(pair[0]) < 12]
    shares = dict.fromkeys(names, (1,))
    overlaps = overlaps_of(fans)
    split = leak_free_split(names, overlaps, shares, share=0.5)
    assert split.method == "leak-free"
    assert 1 <= len(split.validation) < 20
    assert len(split.train) >= 20
    assert overlaps.leak(split.train, split.validation) == 0


@pytest.mark.parametrize("count", [2, 3, 30])
def test_where_all_patches_overlap_the_split_is_random_and_says_so(count: int) -> None:
    names = IDS[:count]
    overlaps = overlaps_of([(a, b) for a in names for b in names if a < b])
    split = leak_free_split(names, overlaps, dict.fromkeys(names, (1, 0)))
    assert split.method == "random"
    assert split.leak == (
        "random: 100% of validation shares ground with training; "
        "too many patches overlap to keep them apart"
    )
    assert len(split.train) >= min(2, count - 1)
    assert len(split.validation) >= 1
    assert split.left_out == ()


def test_patches_without_any_class_are_split_too() -> None:
    split = leak_free_split(IDS[:10], Overlaps(()), dict.fromkeys(IDS[:10], (0, 0)))
    assert (len(split.train), len(split.validation)) == (8, 2)


def test_classes_that_a_part_does_not_show_are_told() -> None:
    counts = {"0001": (5, 0, 2, 0), "0002": (1, 3, 0, 0), "0003": (4, 0, 9, 0)}
    split = random_split(counts, share=0.34)
    split = replace(split, train=("0001", "0003"), validation=("0002",))
    assert class_gaps(split, counts, ["Water", "Sand", "Ice", "Never"]) == (
        "No training patch shows Sand: the network cannot learn it.",
        "No validation patch shows Ice: it has no score.",
    )


@pytest.mark.parametrize("ids", [[], ["0001"]])
def test_fewer_than_two_pairs_have_no_leak_free_split(ids: list[str]) -> None:
    with pytest.raises(DatasetError, match="at least 2 are needed"):
        leak_free_split(ids, Overlaps(()), dict.fromkeys(ids, (1,)))
