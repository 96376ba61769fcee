"""Who may do what: modes of the app, roles of people, and who acts now.

`TERRAINLIB_MODE` says who the app is for. `own` (the default) is one person on one
machine, who may do everything. `team` is people who log in, each with a folder of their
own. `demo` is strangers, who try it for a while. What starts, stops, deletes or reads
a path asks here first, in the function that does it.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import asdict, dataclass, replace
from functools import wraps
from typing import Final, Literal, ParamSpec, TypeVar, get_args

from terrainlib.errors import ConfigError, RightsError

Mode = Literal["own", "team", "demo"]
Role = Literal["owner", "administrator", "member", "visitor", "nobody"]
Right = Literal[
    "predict",
    "train",
    "search",
    "stop",
    "delete",
    "upload an image",
    "upload a data set",
    "upload a model",
    "download from Kaggle",
    "make default",
    "read shared",
    "change shared",
    "read folders",
    "change folders",
    "other people",
    "use a cluster",
]

MODE_VARIABLE: Final = "TERRAINLIB_MODE"
ACTOR_VARIABLE: Final = "TERRAINLIB_ACTOR"  # of a worker: for whom it works
MODES: Final[dict[Mode, str]] = {
    "own": "for one person: whoever opens it may do everything.",
    "team": "for a team: people log in, and each has trainings, predictions, labels "
    "and models of their own.",
    "demo": "a demo: everything of a visitor is deleted an hour after the visit.",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Who has a right.

    Attributes:
        roles: The roles that have it.
        what: What it lets people do, as the start of a sentence.
    """

    roles: frozenset[Role]
    what: str


_MASTERS: Final[frozenset[Role]] = frozenset({"owner", "administrator"})
_KNOWN: Final[frozenset[Role]] = _MASTERS | {"member"}
_ALL: Final[frozenset[Role]] = _KNOWN | {"visitor"}
RULES: Final[dict[Right, Rule]] = {
    "predict": Rule(_ALL, "Making masks"),
    "train": Rule(_ALL, "Training"),
    "search": Rule(_ALL, "Looking for overlaps"),
    "stop": Rule(_ALL, "Stopping work"),
    "delete": Rule(_KNOWN, "Deleting"),
    "upload an image": Rule(_ALL, "Uploading images"),
    "upload a data set": Rule(_KNOWN, "Uploading a data set"),
    "upload a model": Rule(_KNOWN, "Adding a model from a file"),
    "download from Kaggle": Rule(_KNOWN, "Downloading from Kaggle"),
    "make default": Rule(_KNOWN, "Choosing the default model"),
    "read shared": Rule(_KNOWN, "Opening what is shared"),
    "change shared": Rule(_MASTERS, "Changing what is shared"),
    "read folders": Rule(_KNOWN, "Opening folders of the machine"),
    "change folders": Rule(_MASTERS, "Writing into folders of the machine"),
    "other people": Rule(_MASTERS, "Seeing or changing what belongs to others"),
    "use a cluster": Rule(_MASTERS, "Predicting on a cluster"),  # with all rights there
}
_WAYS: Final[dict[Role, str]] = {
    "owner": "",
    "administrator": "",
    "member": "Ask an administrator.",
    "visitor": "This is a demo; run the app on your own machine for that.",
    "nobody": "Log in first.",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one person may ask for at most; None stands for the app's usual limits.

    Attributes:
        upload_mb: Megabytes (10^6 bytes) of one upload.
        megapixels: Size of one image.
        training_minutes: Length of a training, which is then of the sample alone.
        training_gb: Memory of such a training, in 10^9 bytes.
        hours_kept: How long after a visit its folder goes.
    """

    upload_mb: int | None = None
    megapixels: int | None = None
    training_minutes: float | None = None
    training_gb: float | None = None
    hours_kept: float | None = None


_LIMITS: Final[dict[Mode, Limits]] = {
    "own": Limits(),
    "team": Limits(),
    "demo": Limits(50, 16, 2.0, 2.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who does something.

    Attributes:
        role: What they are here.
        folder: Where their things lie below the app's home; empty for the home itself.
        name: What to call them on their own pages.
    """

    role: Role
    folder: str = ""
    name: str = ""


OWNER: Final = Actor("owner")
NOBODY: Final = Actor("nobody")
PEOPLE: Final = "people"
VISITORS: Final = "visitors"
_MAX_SLUG_LETTERS: Final = 24
_MAX_NAME_LETTERS: Final = 80
_FOLDER: Final = re.compile(rf"({PEOPLE}|{VISITORS})/[a-z0-9-]+")


def person(identity: str, name: str, *, administrator: bool = False) -> Actor:
    """Return somebody who has logged in.

    Args:
        identity: What tells them from all others, for ever.
        name: What to call them; a part of it is seen in the name of their folder.
        administrator: Whether they are one.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower().partition("@")[0]).strip("-")
    start = plain[:_MAX_SLUG_LETTERS].strip("-") or "person"
    role: Role = "administrator" if administrator else "member"
    folder = f"{PEOPLE}/{start}-{_digest(identity)}"
    return Actor(role, folder, name[:_MAX_NAME_LETTERS])


def visitor(token: str) -> Actor:
    """Return a visitor of a demo, known by a secret of their browser."""
    return Actor("visitor", f"{VISITORS}/{_digest(token)}")


def in_place_of(owner: str) -> Actor | None:
    """Return whoever acts now, at work among the things of somebody else of a team.

    Args:
        owner: The name of that one's folder; None is returned for what can be none.

    Raises:
        RightsError: If whoever acts now has no right to those.
    """
    require("other people")
    folder = f"{PEOPLE}/{owner}"
    return replace(actor(), folder=folder) if _FOLDER.fullmatch(folder) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def mode() -> Mode:
    """Return who the app is for, as `TERRAINLIB_MODE` says.

    Raises:
        ConfigError: If it says something else.
    """
    said = os.environ.get(MODE_VARIABLE) or "own"
    for known in get_args(Mode):
        if said == known:
            return known  # type: ignore[no-any-return] # get_args forgets it
    raise ConfigError(f"{MODE_VARIABLE} is {said!r}; it must be own, team or demo.")


_acting: ContextVar[Actor | None] = ContextVar("acting", default=None)
_process: list[Actor] = []  # for whom the whole process works
_askers: list[Callable[[], Actor | None]] = []  # who knows whose page is drawn


def actor() -> Actor:
    """Return who acts now; nobody where a team or a demo has not said so."""
    found = _acting.get()
    if found is not None:
        return found
    if mode() == "own":
        return OWNER
    for ask in _askers:
        found = ask()
        if found is not None:
            return found
    return _process[-1] if _process else NOBODY


@contextmanager
def acting(who: Actor) -> Iterator[None]:
    """Let somebody act in this thread while the block lasts."""
    token = _acting.set(who)
    try:
        yield
    finally:
        _acting.reset(token)


_P = ParamSpec("_P")
_R = TypeVar("_R")


def bound(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a function for whoever acts now, to be called in another thread.

    It sees all context variables of here, as whose turn it is (`ui.turns`).
    """
    who, context = actor(), copy_context()

    @wraps(function)
    def run(*args: _P.args, **options: _P.kwargs) -> _R:
        def work() -> _R:
            with acting(who):
                return function(*args, **options)

        return context.copy().run(work)

    return run


def work_for(who: Actor) -> None:
    """Let this whole process work for somebody."""
    _process[:] = [who]


def ask_for_actor(ask: Callable[[], Actor | None]) -> None:
    """Let a function say who acts in a thread; it returns None where it cannot tell."""
    _askers[:] = [ask]


def actor_to_text() -> str:
    """Return who acts now as text for the environment of a worker."""
    return json.dumps(asdict(actor()))


def work_as_told() -> None:
    """Let this process work for whom its environment names; for the owner without one.

    Raises:
        ConfigError: If that is no actor.
    """
    text = os.environ.get(ACTOR_VARIABLE)
    if text is None:
        return work_for(OWNER)
    try:
        who = Actor(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{ACTOR_VARIABLE} names nobody. Unset it.") from error
    strange = bool(who.folder) and not _FOLDER.fullmatch(who.folder)
    if strange or who.role not in get_args(Role):
        raise ConfigError(f"{ACTOR_VARIABLE} names nobody. Unset it.")
    return work_for(who)


def may(right: Right) -> bool:
    """Return whether whoever acts now has a right."""
    return actor().role in RULES[right].roles


def require(right: Right) -> None:
    """Refuse what whoever acts now has no right to.

    Raises:
        RightsError: With what is not allowed, and what to do.
    """
    if not may(right):
        raise RightsError(refusal(right))


def refusal(right: Right) -> str:
    """Return why whoever acts now does not have a right, in one sentence."""
    return f"{RULES[right].what} is not allowed here. {_WAYS[actor().role]}".strip()


def limits() -> Limits:
    """Return what whoever acts now may ask for at most."""
    return Limits() if actor().role == "owner" else _LIMITS[mode()]


def require_upload(size_bytes: int, name: str) -> None:
    """Refuse an upload that is larger than whoever acts now may send.

    Raises:
        RightsError: With both sizes.
    """
    limit = limits().upload_mb
    if limit is not None and size_bytes > limit * 1_000_000:
        raise RightsError(
            f"the file has {-(-size_bytes // 1_000_000)} MB; the limit here is {limit} "
            f"MB. {_WAYS[actor().role]}".strip(),
            file=name,
        )
