"""What a prediction is asked to do, and what became of it: plain values."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain, count
from pathlib import Path, PurePath
from typing import Any, Final

from terrainlib import files
from terrainlib.errors import ConfigError, RunError
from terrainlib.mask.products.records import Made, Wanted
from terrainlib.runs.process import utc_now
from terrainlib.types import Moment, PathText, Sentence, Text, read_record

RESULTS_FILE: Final = "results.json"
RESULTS_FOLDER: Final = "results"
MAX_STEM_BYTES: Final = 180  # with what is added, below the 255 of a file's name


@dataclass(frozen=True, slots=True)
class InputImage:
    """An image to predict.

    Attributes:
        path: Where it lies.
        name: What to call it for people; a file's own name, as a rule.
        stem: What the names of its results begin with.

    Raises:
        ConfigError: If the stem cannot begin the name of a file, or a name is no text.
    """

    path: PathText
    name: Text
    stem: Text

    def __post_init__(self) -> None:
        unfit = any(mark in self.stem for mark in ("/", "\\", "\0", ":"))
        unfit |= not self.stem.strip() or self.stem.startswith(".")
        try:
            f"{self.path}{self.name}".encode()
            size_bytes = len(self.stem.encode())
        except UnicodeEncodeError as error:
            shown = self.name.encode("ascii", "replace").decode()
            raise ConfigError(
                "its name or folder is not valid UTF-8. Rename it.", file=shown
            ) from error
        if unfit or size_bytes > MAX_STEM_BYTES:
            raise ConfigError(
                f"no file can be called after {self.stem!r} (up to {MAX_STEM_BYTES} "
                "bytes, without /, \\ and :, and no dot in front). Rename the image.",
                file=self.name,
            )


def input_images(
    paths: Iterable[Path | str], names: Iterable[str] | None = None
) -> tuple[InputImage, ...]:
    """Return images with names and stems of which no two are the same.

    Args:
        paths: Where they lie.
        names: What to call them, instead of the files' own names.

    Raises:
        ConfigError: If no file can be called after one of them.
    """
    found = [Path(path) for path in paths]
    titles = [path.name for path in found] if names is None else list(names)
    named: set[str] = set()
    begun: set[str] = set()  # disks may not tell large from small letters
    images = []
    for path, title in zip(found, titles, strict=True):
        name = _free([title], (f"{title} ({n})" for n in count(2)), named)
        stem = PurePath(title).stem
        stem = _free([stem], (f"{stem}-{n}" for n in count(2)), begun, str.lower)
        images.append(InputImage(str(path), name, stem))
    return tuple(images)


def _free(
    first: Iterable[str],
    others: Iterable[str],
    taken: set[str],
    key: Callable[[str], str] = str,
) -> str:
    """Return the first text that is not taken, and take it."""
    text = next(text for text in chain(first, others) if key(text) not in taken)
    taken.add(key(text))
    return text


_LOCAL: Final = re.compile(r"local(?::([1-9]\d{0,2}))?")
_ADDRESS: Final = re.compile(
    r"(?!local:)(?:(?:tcp|tls|ws|wss|ucx)://)?[\w.\-\[\]:]+:\d{1,5}"
)


def local_workers(address: str) -> int | None:
    """Return how many processes of this machine an address asks for.

    Returns:
        0 for as many as there are cores; None for the address of a scheduler.
    """
    found = _LOCAL.fullmatch(address)
    return None if found is None else int(found[1] or 0)


def check_address(address: str) -> str:
    """Return the address of a cluster.

    Raises:
        ConfigError: If it is none.
    """
    if local_workers(address) is None and _ADDRESS.fullmatch(address) is None:
        raise ConfigError(
            f"{address[:100]!r} is no address of a cluster. Give that of its "
            "scheduler, such as tcp://10.0.0.5:8786, or local:4 for four processes of "
            "this machine."
        )
    return address


@dataclass(frozen=True, slots=True)
class JobConfig:
    """What a prediction is asked to do; the contents of `job.json`.

    Attributes:
        model: What `load_any` takes.
        images: One image or more.
        folder: Where the results go; empty for a folder of their own.
        wanted: What to make of each image.
        heights: Path of the heights of the one image; None without.
        created: UTC ISO time; empty for "now".
        cluster: Address of the cluster that does it; empty for this process.

    Raises:
        ConfigError: If there is no image, two results would have the same name, or
            heights come with several images.
    """

    model: PathText
    images: tuple[InputImage, ...]
    folder: PathText = ""
    wanted: Wanted = field(default_factory=Wanted)
    heights: PathText | None = None
    created: Moment = ""
    cluster: Text = ""

    def __post_init__(self) -> None:
        if self.cluster:
            check_address(self.cluster)
        if not self.images:
            raise ConfigError("there is no image to predict. Choose one or more.")
        self._require_distinct("name", [image.name for image in self.images])
        self._require_distinct("stem", [image.stem.lower() for image in self.images])
        if self.heights is not None and len(self.images) > 1:
            raise ConfigError(
                f"one height file cannot belong to {len(self.images)} images. Predict "
                "them one at a time."
            )
        if not self.created:
            object.__setattr__(self, "created", utc_now())

    @staticmethod
    def _require_distinct(what: str, texts: list[str]) -> None:
        twice = next((text for text, n in Counter(texts).items() if n > 1), None)
        if twice is not None:
            raise ConfigError(
                f"two images have the {what} {twice}, and one's results would take the "
                "other's place. Rename one of them."
            )

    @property
    def name(self) -> str:
        """What to call it: the first image, and how many more."""
        more = len(self.images) - 1
        return self.images[0].name + (f" and {more} more" if more else "")

    @property
    def needs_machine(self) -> bool:
        """Whether this machine does the work: another prediction waits for its end."""
        return not self.cluster or local_workers(self.cluster) is not None

    def results_in(self, path: Path) -> Path:
        """Return where the results go, for a prediction in the folder `path`."""
        return Path(self.folder) if self.folder else path / RESULTS_FOLDER

    def to_dict(self) -> dict[str, Any]:
        """Return the plain JSON form."""
        return asdict(self) | {"wanted": self.wanted.to_dict()}


@dataclass(frozen=True, slots=True)
class Results:
    """What became of a prediction's images so far; the contents of `results.json`.

    Attributes:
        made: What became of the images that are done, in their order.
        failures: Names of the images that failed, and why.
    """

    made: tuple[Made, ...] = ()
    failures: dict[Text, Sentence] = field(default_factory=dict)


def read_results(path: Path) -> Results:
    """Return what became of the images so far; nothing where none is done.

    Raises:
        RunError: If the file that holds it is damaged.
    """
    limit = files.MAX_JSON_BYTES
    try:
        found = read_record(path / RESULTS_FILE, Results, limit_bytes=limit)
    except ValueError as error:
        raise RunError(
            f"{RESULTS_FILE} cannot be used: {error}.", file=path.name
        ) from error
    return found or Results()


def write_results(path: Path, made: list[Made], failures: Mapping[str, str]) -> None:
    """Write what became of the images so far.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """
    values = {"made": [item.to_dict() for item in made], "failures": dict(failures)}
    files.write_json(path / RESULTS_FILE, values)
