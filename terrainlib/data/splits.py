"""Which pairs train and which validate, decided once and stored with the model."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

from terrainlib.data._split_search import Choice, as_thousandths, choose
from terrainlib.data.overlaps import Overlaps
from terrainlib.errors import DatasetError
from terrainlib.types import Finite, PathText, Sentence, Text, checked

RANDOM_LEAK: Final = "random: may leak"
LEAK_FREE: Final = "leak-free: no shared ground found"
MIN_TRAIN_SHARE: Final = (
    0.5  # of all pairs; fewer validate before fewer than this train
)
MIN_TRAIN: Final = 2
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


def leak_free_split(
    ids: Iterable[str],
    overlaps: Overlaps,
    class_shares: Mapping[str, Sequence[float]],
    *,
    share: float = 0.15,
    seed: int = 0,
) -> Split:
    """Hold out pairs that share no ground with any that trains.

    Pairs that share ground with a validation pair neither train nor validate: they are
    left out. The validation pairs are chosen so that few are, and so that they show the
    classes in about the shares of all pairs. The same on every machine, in whatever
    order the ids come.

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
    number = {name: index for index, name in enumerate(unique)}
    careful = overlaps.neighbours(careful=True)
    near = [
        sorted(number[other] for other in careful.get(name, ()) if other in number)
        for name in unique
    ]
    shares = as_thousandths([class_shares[name] for name in unique])
    count = _count(len(unique), share)
    needed = max(min(MIN_TRAIN, len(unique) - 1), MIN_TRAIN_SHARE * len(unique))
    if len(unique) - 1 - min(len(row) for row in near) < needed:
        count = 0  # not even the loneliest pair can be held out
    while count:
        choice = choose(near, shares, count, _number(seed))
        if len(unique) - count - choice.left_out >= min(needed, len(unique) - count):
            return _of_choice(unique, choice, share, seed)
        count = int(count * _FEWER)
    split = random_split(unique, share=share, seed=seed, overlaps=overlaps)
    return replace(
        split,
        leak=f"{split.leak}; too many patches overlap to keep them apart",
    )


def random_split(
    ids: Iterable[str],
    *,
    share: float = 0.15,
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
    """Return how many pairs validate when nothing stands against it."""
    return min(max(round(share * total), 1), total - 1)


def _leak(overlaps: Overlaps, train: Sequence[str], validation: Sequence[str]) -> str:
    """Return what is known about the shared ground of a random division."""
    leak = overlaps.leak(train, validation)
    return f"random: {leak:.0%} of validation shares ground with training"


def _of_choice(unique: list[str], choice: Choice, share: float, seed: int) -> Split:
    """Return the division of a choice of validation patches."""
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
        leak=LEAK_FREE,
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
