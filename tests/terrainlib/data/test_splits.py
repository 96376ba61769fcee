"""Holding pairs out by a seeded hash."""

import pytest

from terrainlib.data.splits import Split, random_split, split_hash
from terrainlib.errors import DatasetError

IDS = tuple(f"{number:04d}" for number in range(1, 101))


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
