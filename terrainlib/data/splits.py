"""Which pairs train and which validate, decided once and stored with the model."""

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import sqrt
from typing import Any, Final, Self

from terrainlib.data.overlaps import Overlaps
from terrainlib.errors import DatasetError
from terrainlib.types import Finite, PathText, Sentence, Text, checked

USUAL_SHARE: Final = 0.15
_MOST_HELD_OUT: Final = 1000  # where nobody says how many
SPENT: Final = 0.11  # share of the patches that may be left out for a wide spread
START_THRESHOLD: Final = 2.0  # patches' worth of cost that a swap may add at first
MIN_TRAIN_SHARE: Final = 0.5  # of all; fewer validate before fewer than this train
RARE: Final = 0.02  # added to a class's share before its difference is weighed by it
STARTS: Final = 4  # the cheapest of their ends is taken
MAX_STEPS: Final = 50_000  # of swapping, for each start
STEPS_A_PATCH: Final = 200
MAX_WORK: Final = 1_500_000  # neighbours looked at by such a start, about
LOOKED_AT: Final = 24  # patches compared before a region grows by one
BESIDE: Final = 0.6  # of the patches proposed lie beside one that validates
REGION: Final = 12  # patches, about, that a region has at first


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts in a choice of validation patches.

    Attributes:
        crowd: Of validation neighbours, each patch's mean; with 0 they form blocks.
        classes: Of a difference of class shares, against patches left out.
        overspent: Of each patch left out beyond `SPENT`.
        too_few: Of each patch by which fewer than `MIN_TRAIN_SHARE` train.
    """

    crowd: float = 6.0
    classes: float = 0.5
    overspent: float = 10.0
    too_few: float = 0.0


SEARCHED: Final = Weights()
# Neighbours are left out though they share no ground: classes count for more.
PLACED: Final = Weights(crowd=0.0, classes=2.0, overspent=2.0, too_few=100.0)


class Choice:
    """A choice of validation patches, and what it costs.

    Patches are numbered in the order of their ids.

    Args:
        near: Indices of the patches that share ground with each.
        shares: Thousandths of each class in each patch.
        weights: What counts.
    """

    def __init__(
        self,
        near: Sequence[Sequence[int]],
        shares: Sequence[Sequence[int]],
        weights: Weights = SEARCHED,
    ) -> None:
        self.chosen: set[int] = set()
        self.left_out = 0
        self._counts = weights
        self._crowd = 0  # pairs of validation patches that share ground, counted twice
        self._near = near
        self._shares = shares
        self._touched = [0] * len(near)  # validation patches that share its ground
        classes = len(shares[0])
        whole = [sum(row[k] for row in shares) for k in range(classes)]
        total = max(sum(whole), 1)
        self._aim = [value / total for value in whole]
        self._weights = [
            1 / sqrt(aim + RARE) / sqrt(classes) if aim else 0.0 for aim in self._aim
        ]
        self._sums = [0] * classes

    @property
    def cost(self) -> float:
        """Crowding, patches left out beyond the allowance, difference of classes."""
        total = max(sum(self._sums), 1)
        apart = sum(
            weight * abs(value / total - aim)
            for value, aim, weight in zip(
                self._sums, self._aim, self._weights, strict=True
            )
        )
        crowding = self._counts.crowd * self._crowd / max(len(self.chosen), 1)
        beyond = max(0.0, self.left_out - SPENT * len(self._near))
        trained = len(self._near) - len(self.chosen) - self.left_out
        lacking = max(0.0, MIN_TRAIN_SHARE * len(self._near) - trained)
        spread = crowding + self._counts.overspent * beyond
        spread = (spread + self._counts.too_few * lacking) / len(self._near)
        return spread + self._counts.classes * apart

    @property
    def gaps(self) -> int:
        """Classes that no validation patch shows, and ten for each not trained on.

        A class of a single patch can only be trained on.
        """
        rows = list(enumerate(self._shares))
        trained = [
            row for i, row in rows if i not in self.chosen and not self.is_left_out(i)
        ]
        gaps = 0
        for k, aim in enumerate(self._aim):
            shown = sum(1 for row in self._shares if row[k])
            gaps += 10 * (aim > 0 and not any(row[k] for row in trained))
            gaps += shown > 1 and not self._sums[k]
        return gaps

    def is_left_out(self, patch: int) -> bool:
        """Return whether a patch neither trains nor validates."""
        return self._touched[patch] > 0 and patch not in self.chosen

    def add(self, patch: int) -> None:
        """Let a patch validate."""
        self._turn(patch, 1)

    def remove(self, patch: int) -> None:
        """Let a patch validate no more."""
        self._turn(patch, -1)

    def _turn(self, patch: int, way: int) -> None:
        touched, chosen = self._touched, self.chosen
        self._crowd += 2 * way * touched[patch]
        if way > 0:
            chosen.add(patch)
        self.left_out -= way if touched[patch] else 0
        for other in self._near[patch]:
            before = touched[other]
            touched[other] = before + way
            if before == (0 if way > 0 else 1) and other not in chosen:
                self.left_out += way
        if way < 0:
            chosen.discard(patch)
        self._sums = [
            old + way * new
            for old, new in zip(self._sums, self._shares[patch], strict=True)
        ]


def choose(
    near: Sequence[Sequence[int]],
    shares: Sequence[Sequence[int]],
    count: int,
    seed: int,
    weights: Weights = SEARCHED,
) -> Choice:
    """Return `count` validation patches that cost little.

    Args:
        near: Indices of the patches that share ground with each.
        shares: Thousandths of each class in each patch.
        count: Number of validation patches, 1 to all.
        seed: Seed of the search.
        weights: What counts.
    """
    rng = random.Random(seed)
    ends = []
    for _ in range(STARTS):
        choice = Choice(near, shares, weights)
        _grow(choice, near, count, rng)
        if count < len(near):
            _improve(choice, near, rng)
        ends.append(choice)
    return min(ends, key=lambda choice: choice.cost)


def _grow(
    choice: Choice, near: Sequence[Sequence[int]], count: int, rng: random.Random
) -> None:
    members: list[int] = []
    while len(members) < count:
        pool: Sequence[int] = range(len(near))
        if len(members) % REGION:
            beside = near[_any(members, rng)]
            pool = [other for other in beside if other not in choice.chosen] or pool
        looked = {_any(pool, rng) for _ in range(LOOKED_AT)} - choice.chosen
        if not looked:
            looked = set(range(len(near))) - choice.chosen
        best = min(looked, key=lambda patch: (_cost_with(choice, patch), patch))
        choice.add(best)
        members.append(best)


def _any(values: Sequence[int], rng: random.Random) -> int:
    """Return one of the values; `random` is the same in every version of Python."""
    return values[int(rng.random() * len(values))]


def _cost_with(choice: Choice, patch: int) -> float:
    choice.add(patch)
    cost = choice.cost
    choice.remove(patch)
    return cost


def _improve(choice: Choice, near: Sequence[Sequence[int]], rng: random.Random) -> None:
    """Swap patches, at first also where that costs a little."""
    total = len(near)
    neighbours = sum(len(row) for row in near) // total + 1
    steps = min(MAX_STEPS, STEPS_A_PATCH * total, MAX_WORK // neighbours)
    members = sorted(choice.chosen)
    cost = choice.cost
    for step in range(steps):
        allowed = START_THRESHOLD * (1 - step / steps) ** 2 / total
        place = int(rng.random() * len(members))
        leaving = members[place]
        coming = _proposal(near, members, rng)
        if coming in choice.chosen:
            continue
        choice.remove(leaving)
        choice.add(coming)
        changed = choice.cost
        if changed <= cost + allowed:
            cost, members[place] = changed, coming
        else:
            choice.remove(coming)
            choice.add(leaving)


def _proposal(
    near: Sequence[Sequence[int]],
    members: Sequence[int],
    rng: random.Random,
) -> int:
    """Return a patch that might validate: beside one that does, or any."""
    beside = near[_any(members, rng)]
    if beside and rng.random() < BESIDE:
        return _any(beside, rng)
    return _any(range(len(near)), rng)


def as_thousandths(rows: Sequence[Sequence[float]]) -> list[list[int]]:
    """Return the class shares of patches in thousandths; rows may be pixel counts."""
    totals = [sum(row) for row in rows]
    return [
        [round(1000 * value / total) if total > 0 else 0 for value in row]
        for row, total in zip(rows, totals, strict=True)
    ]


RANDOM_LEAK: Final = "random: may leak"
LEAK_FREE: Final = "leak-free: no shared ground found"
BLOCKS: Final = "leak-free: blocks of ground, no training patch beside one"
BLOCKS_TOUCHING: Final = "leak-free: no shared ground, but patches lie side by side"
MIN_TRAIN: Final = 2
MOST_SHARE: Final = 0.25  # of the pairs that validate, to show all classes
_TRIES: Final = 6  # numbers of validation patches, until all classes are shown
_FEWER: Final = 0.7  # validation patches of the next try, of those of the last


@dataclass(frozen=True, slots=True)
class Split:
    """A division of a data set's pairs.

    Attributes:
        method: How it was made.
        seed: Seed of the choice.
        share: Share of the pairs asked for validation, 0 to 1.
        train: Ids that train, sorted.
        validation: Ids that validate, sorted; none of them trains.
        hash: 16 hexadecimal digits that name this very division.
        leak: What is known about shared ground, to be shown beside every score.
        left_out: Ids that neither train nor validate, because they share ground with a
            validation patch; sorted.
    """

    method: Text
    seed: int
    share: Finite
    train: tuple[PathText, ...]
    validation: tuple[PathText, ...]
    hash: Text
    leak: Sentence = RANDOM_LEAK
    left_out: tuple[PathText, ...] = ()

    def __post_init__(self) -> None:
        both = set(self.train) & set(self.validation)
        if both:
            raise DatasetError(f"{min(both)} both trains and validates.")
        used = (set(self.train) | set(self.validation)) & set(self.left_out)
        if used:
            raise DatasetError(f"{min(used)} is used and left out.")

    def ids(self, part: str) -> tuple[str, ...]:
        """Return the ids of `all`, `train` or `validation`.

        Raises:
            DatasetError: If there is no such part.
        """
        if part == "all":
            return tuple(sorted(self.train + self.validation + self.left_out))
        if part == "train":
            return self.train
        if part == "validation":
            return self.validation
        raise DatasetError(
            f"There is no part {part!r}; choose all, train or validation."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form."""
        return asdict(self) | {
            "train": list(self.train),
            "validation": list(self.validation),
            "left_out": list(self.left_out),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the split of a JSON form.

        Raises:
            DatasetError: If a field is missing or of a wrong kind, or if an id is on
                two sides.
        """
        try:
            return checked(cls, values)
        except ValueError as error:
            raise DatasetError(
                f"The stored split cannot be read ({error}); train again to make a new "
                "one."
            ) from error


def class_gaps(
    split: Split, counts: Mapping[str, Sequence[float]], names: Sequence[str]
) -> tuple[str, ...]:
    """Return a sentence for each part of a split in which classes are missing.

    Args:
        split: The division.
        counts: Pixels of each class, for every id.
        names: Names of the classes.
    """
    parts = (
        ("training", split.train, "the network cannot learn it"),
        ("validation", split.validation, "it has no score"),
    )
    sentences = []
    for part, ids, effect in parts:
        seen = [sum(pixels) for pixels in zip(*(counts[i] for i in ids), strict=True)]
        there = [sum(pixels) for pixels in zip(*counts.values(), strict=True)]
        missing = [
            name
            for name, here, anywhere in zip(names, seen, there, strict=True)
            if anywhere and not here
        ]
        if missing:
            listed = ", ".join(missing)
            sentences.append(f"No {part} patch shows {listed}: {effect}.")
    return tuple(sentences)


def usual_share(pairs: int) -> float:
    """Return the share of so many pairs that is held out where nobody says.

    It is 15 %, but of many pairs no more than make 1,000, in whole per cent and at
    least 2: more tell hardly more, and all are looked at after every epoch.
    """
    if pairs * USUAL_SHARE <= _MOST_HELD_OUT:
        return USUAL_SHARE
    return max(2, 100 * _MOST_HELD_OUT // pairs) / 100


def leak_free_split(
    ids: Iterable[str],
    overlaps: Overlaps,
    class_shares: Mapping[str, Sequence[float]],
    *,
    share: float = USUAL_SHARE,
    seed: int = 0,
) -> Split:
    """Hold out pairs that share no ground with any that trains.

    Pairs that share ground with a validation pair neither train nor validate: they are
    left out. The validation pairs are chosen so that few are, and so that they show the
    classes in about the shares of all pairs. The same on every machine, in whatever
    order the ids come.

    Where the places of the patches are known, the validation patches form blocks of
    ground, and no patch beside a block trains, as long as enough train.

    Where this would leave less than half of the pairs to train on, fewer validate;
    where even one validation pair costs that much, the split is random and its `leak`
    says so.

    Args:
        ids: Ids of the usable pairs, in any order.
        overlaps: Which of them share ground.
        class_shares: Share (or pixels) of each class, for every id, as many for each.
        share: Share held out, above 0 and below 1; at least one pair each way.
        seed: Seed of the choice.

    Raises:
        DatasetError: If there are fewer than two pairs, or `share` is out of bounds.
    """
    unique = _checked(ids, share)
    shares = as_thousandths([class_shares[name] for name in unique])
    for careful, leak in _ways(overlaps):
        near = _near(unique, overlaps, careful=careful)
        choice = _chosen(near, shares, share, seed, blocks=overlaps.exact)
        if choice is not None:
            return _of_choice(unique, choice, share, seed, leak)
    split = random_split(unique, share=share, seed=seed, overlaps=overlaps)
    return replace(
        split,
        leak=f"{split.leak}; too many patches overlap to keep them apart",
    )


def _ways(overlaps: Overlaps) -> tuple[tuple[bool, str], ...]:
    """Return whether to keep neighbours apart too, best first, and what that gives."""
    if overlaps.exact:
        return (True, BLOCKS), (False, BLOCKS_TOUCHING)
    return ((True, LEAK_FREE),)


def _near(unique: list[str], overlaps: Overlaps, *, careful: bool) -> list[list[int]]:
    number = {name: index for index, name in enumerate(unique)}
    found = overlaps.neighbours(careful=careful)
    return [
        sorted(number[other] for other in found.get(name, ()) if other in number)
        for name in unique
    ]


def _chosen(
    near: list[list[int]],
    shares: list[list[int]],
    share: float,
    seed: int,
    *,
    blocks: bool,
) -> Choice | None:
    """Return validation patches that leave enough to train on, None without any.

    Blocks may be of more or fewer patches than were asked for, where that shows more
    classes in both parts.
    """
    total = len(near)
    count = _count(total, share)
    needed = max(min(MIN_TRAIN, total - 1), MIN_TRAIN_SHARE * total)
    if total - 1 - min(len(row) for row in near) < needed:
        return None  # not even the loneliest pair can be held out

    def choice_of(count: int) -> Choice | None:
        weights = PLACED if blocks else SEARCHED
        choice = choose(near, shares, count, _number(seed), weights)
        enough = total - count - choice.left_out >= min(needed, total - count)
        return choice if enough else None

    found: Choice | None = None
    for near_count in _counts(count, total) if blocks else [count]:
        choice = choice_of(near_count)
        if choice and (found is None or choice.gaps < found.gaps):
            found = choice
        if found and not found.gaps:
            break
    while found is None and (count := int(count * _FEWER)):
        found = choice_of(count)
    return found


def _counts(count: int, total: int) -> list[int]:
    """Return numbers of validation patches to try, the one asked for first."""
    most = max(count, round(MOST_SHARE * total))
    return sorted(range(1, most + 1), key=lambda other: abs(other - count))[:_TRIES]


def random_split(
    ids: Iterable[str],
    *,
    share: float = USUAL_SHARE,
    seed: int = 0,
    overlaps: Overlaps | None = None,
) -> Split:
    """Hold out a seeded random share of the pairs.

    Each id is placed by a hash of the seed and itself: the same on every machine and
    with every version of every library, and for most ids also after pairs were added.
    Patches that share ground may fall on both sides: the split's `leak` says so, and
    how many, where the overlaps are known.

    Args:
        ids: Ids of the usable pairs, in any order.
        share: Share held out, above 0 and below 1; at least one pair each way.
        seed: Seed of the choice.
        overlaps: Which of them share ground, where that is known.

    Raises:
        DatasetError: If there are fewer than two pairs, or `share` is out of bounds.
    """
    unique = _checked(ids, share)
    count = _count(len(unique), share)
    order = sorted(unique, key=lambda name: (_digest(f"{seed}\n{name}"), name))
    validation = tuple(sorted(order[:count]))
    train = tuple(sorted(order[count:]))
    return Split(
        method="random",
        seed=seed,
        share=share,
        train=train,
        validation=validation,
        hash=split_hash(train, validation),
        leak=RANDOM_LEAK if overlaps is None else _leak(overlaps, train, validation),
    )


def _checked(ids: Iterable[str], share: float) -> list[str]:
    """Return ids sorted and once each, if they can be divided by such a share."""
    unique = sorted(set(ids))
    if len(unique) < 2:
        raise DatasetError(
            f"{len(unique)} usable {'pair' if len(unique) == 1 else 'pairs'}; at least "
            "2 are needed, one to train on and one to validate on. Add pairs."
        )
    if not 0.0 < share < 1.0:
        raise DatasetError(
            f"the share held out must lie between 0 and 1, not {share}. Use 0.15."
        )
    return unique


def _count(total: int, share: float) -> int:
    return min(max(round(share * total), 1), total - 1)


def _leak(overlaps: Overlaps, train: Sequence[str], validation: Sequence[str]) -> str:
    leak = overlaps.leak(train, validation)
    return f"random: {leak:.0%} of validation shares ground with training"


def _of_choice(
    unique: list[str], choice: Choice, share: float, seed: int, leak: str
) -> Split:
    names = {True: [], False: []}  # type: dict[bool, list[str]]
    for index, name in enumerate(unique):
        if index not in choice.chosen:
            names[choice.is_left_out(index)].append(name)
    train = tuple(names[False])
    validation = tuple(unique[index] for index in sorted(choice.chosen))
    return Split(
        method="leak-free",
        seed=seed,
        share=share,
        train=train,
        validation=validation,
        hash=split_hash(train, validation),
        leak=leak,
        left_out=tuple(names[True]),
    )


def split_hash(train: Iterable[str], validation: Iterable[str]) -> str:
    """Return the 16 hexadecimal digits that name a division, whatever the order."""
    parts = ("\n".join(sorted(train)), "\n".join(sorted(validation)))
    return _digest("\n\n".join(parts))[:16]


def _number(seed: int) -> int:
    """Return the seed of a search: the same for the same seed everywhere."""
    return int(_digest(f"split\n{seed}")[:16], 16)


def _digest(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
