"""The choice of validation patches that costs training least.

A patch that shares ground with a validation patch cannot train: it is left out. Chosen
side by side, validation patches share what they cost; chosen apart, they show more
kinds of land, and the score holds for more of them. So the search spends a small share
of the patches, no more than it has to, and spreads the validation patches as widely as
that allows. It begins with regions grown from seeded places and then swaps patches as
long as that pays, by threshold accepting: whole numbers and square roots only, so that
every machine chooses the same.

References:
    Dueck and Scheuer, "Threshold accepting", J. Comput. Phys. 90, 1990.
"""

import random
from collections.abc import Sequence
from math import sqrt
from typing import Final

CLASS_WEIGHT: Final = 0.5  # of a difference of class shares, against patches left out
CROWD_WEIGHT: Final = 6.0  # of validation neighbours, each patch's mean
SPENT: Final = 0.11  # share of the patches that may be left out for a wide spread
OVERSPENT_WEIGHT: Final = 10.0  # of each patch left out beyond that
START_THRESHOLD: Final = 2.0  # patches' worth of cost that a swap may add at first
RARE: Final = 0.02  # added to a class's share before its difference is weighed by it
STARTS: Final = 4  # the cheapest of their ends is taken
MAX_STEPS: Final = 50_000  # of swapping, for each start
STEPS_A_PATCH: Final = 200
MAX_WORK: Final = 1_500_000  # neighbours looked at by such a start, about
LOOKED_AT: Final = 24  # patches compared before a region grows by one
BESIDE: Final = 0.6  # of the patches proposed lie beside one that validates
REGION: Final = 12  # patches, about, that a region has at first


class Choice:
    """A choice of validation patches, and what it costs.

    Patches are numbered in the order of their ids.

    Args:
        near: Indices of the patches that share ground with each.
        shares: Thousandths of each class in each patch.
    """

    def __init__(
        self, near: Sequence[Sequence[int]], shares: Sequence[Sequence[int]]
    ) -> None:
        self.chosen: set[int] = set()
        self.left_out = 0
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
        crowding = CROWD_WEIGHT * self._crowd / max(len(self.chosen), 1)
        beyond = max(0.0, self.left_out - SPENT * len(self._near))
        spread = (crowding + OVERSPENT_WEIGHT * beyond) / len(self._near)
        return spread + CLASS_WEIGHT * apart

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
) -> Choice:
    """Return `count` validation patches that cost little.

    Args:
        near: Indices of the patches that share ground with each.
        shares: Thousandths of each class in each patch.
        count: Number of validation patches, 1 to all.
        seed: Seed of the search.
    """
    rng = random.Random(seed)
    ends = []
    for _ in range(STARTS):
        choice = Choice(near, shares)
        _grow(choice, near, count, rng)
        if count < len(near):
            _improve(choice, near, rng)
        ends.append(choice)
    return min(ends, key=lambda choice: choice.cost)


def _grow(
    choice: Choice, near: Sequence[Sequence[int]], count: int, rng: random.Random
) -> None:
    """Grow regions until there are enough patches."""
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
    """Return the cost that a choice had with one more patch."""
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
