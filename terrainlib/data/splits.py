"""Which pairs train and which validate, decided once and stored with the model."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from terrainlib.errors import DatasetError

RANDOM_LEAK = "random: may leak"


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
    """

    method: str
    seed: int
    share: float
    train: tuple[str, ...]
    validation: tuple[str, ...]
    hash: str
    leak: str = RANDOM_LEAK

    def ids(self, part: str) -> tuple[str, ...]:
        """Return the ids of `all`, `train` or `validation`.

        Raises:
            DatasetError: If there is no such part.
        """
        if part == "all":
            return tuple(sorted(self.train + self.validation))
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
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the split of a JSON form.

        Raises:
            DatasetError: If a field is missing or of a wrong kind, or if an id both
                trains and validates.
        """
        try:
            split = cls(
                method=str(values["method"]),
                seed=int(values["seed"]),
                share=float(values["share"]),
                train=_ids(values["train"]),
                validation=_ids(values["validation"]),
                hash=str(values["hash"]),
                leak=str(values.get("leak", RANDOM_LEAK)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DatasetError(
                "The stored split cannot be read; train again to make a new one."
            ) from error
        both = set(split.train) & set(split.validation)
        if both:
            raise DatasetError(
                f"The stored split is not usable: {min(both)} both trains and "
                "validates; train again to make a new one."
            )
        return split


def random_split(ids: Iterable[str], *, share: float = 0.15, seed: int = 0) -> Split:
    """Hold out a seeded random share of the pairs.

    Each id is placed by a hash of the seed and itself: the same on every machine and
    with every version of every library, and for most ids also after pairs were added.
    Patches that share ground may fall on both sides: the split's `leak` says so.

    Args:
        ids: Ids of the usable pairs, in any order.
        share: Share held out, above 0 and below 1; at least one pair each way.
        seed: Seed of the choice.

    Raises:
        DatasetError: If there are fewer than two pairs, or `share` is out of bounds.
    """
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
    count = min(max(round(share * len(unique)), 1), len(unique) - 1)
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
    )


def split_hash(train: Iterable[str], validation: Iterable[str]) -> str:
    """Return the 16 hexadecimal digits that name a division, whatever the order."""
    parts = ("\n".join(sorted(train)), "\n".join(sorted(validation)))
    return _digest("\n\n".join(parts))[:16]


def _ids(values: Any) -> tuple[str, ...]:
    """Return a JSON list of ids as a sorted tuple."""
    if not isinstance(values, (list, tuple)):
        raise TypeError
    return tuple(sorted(str(value) for value in values))


def _digest(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
