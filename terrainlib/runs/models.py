"""The models on this machine: embedded, made by runs, added by hand.

Reads records only, so listing loads no TensorFlow. Which of them is the app's default
is remembered in `models/default.json`; the words `default` and `default-height` of the
command line always mean the embedded ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from terrainlib import files, places, rights
from terrainlib.data.sample import EMBEDDED_MODELS, SAMPLE_DIR
from terrainlib.errors import ModelFileError, RunError
from terrainlib.model.cardlimits import stored_leak
from terrainlib.model.instant import NAME, SUFFIX, read_any_record
from terrainlib.model.reading.writer import HDF5_FILE
from terrainlib.model.record import ModelRecord
from terrainlib.runs.folder import read_run_config
from terrainlib.runs.status import RUN

ModelKind = Literal["embedded", "run", "added", "pixel classifier"]
EMBEDDED_ID: Final = "default"
MODEL_SUFFIXES: Final = (".keras", ".h5", ".hdf5")
_DEFAULT_FILE: Final = "default.json"
_SHARED: Final = "shared/"  # in front of the id of what is not one's own
_LAST_TIME: Final = 2**33  # a file may have any time, the calendar has not: in 2242
_EMBEDDED_TITLES: Final = {
    "default": "Embedded default",
    "default-height": "Embedded default with height",
}


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model on disk.

    Attributes:
        id: `default`, `default-height`, `run/NAME` or `added/FILE`, with `shared/` in
            front of what is shared with others: stable, and safe to put in a link.
        kind: Where it comes from; a `pixel classifier` is fitted in memory and not
            listed.
        title: Its name for people.
        path: The model file.
        record: What the file says about itself; None for a damaged file.
        size_bytes: Size of the file.
        modified: When the file was written, UTC.
    """

    id: str
    kind: ModelKind
    title: str
    path: Path
    record: ModelRecord | None
    size_bytes: int
    modified: datetime

    @property
    def model(self) -> str:
        """What `load_model` takes for it: the embedded model's word or the path."""
        return self.id if self.kind == "embedded" else str(self.path)

    @property
    def preset(self) -> str:
        """Name of the preset, or what kind of model it is."""
        if self.record is None:
            return "damaged"
        if self.path.suffix == SUFFIX:
            return NAME.lower()
        return str(self.record.config.get("preset_name", "unknown"))

    @property
    def data(self) -> str:
        """Name of the data it was trained on, or an empty text."""
        return self.record.dataset.get("name", "") if self.record else ""

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the data it was trained on, or an empty text."""
        return self.record.dataset.get("fingerprint", "") if self.record else ""

    @property
    def created(self) -> datetime:
        """When it was made, UTC; the file's own date where the record names none."""
        if self.record is None or not self.record.created:
            return self.modified
        made = datetime.fromisoformat(self.record.created)
        return made if made.tzinfo else made.replace(tzinfo=UTC)

    def score(self, name: str) -> float | None:
        """Return one of its validation scores, such as `miou`, where it has it."""
        return self._scores.get(name)

    @property
    def class_scores(self) -> dict[str, float | None]:
        """Validation IoU of each class by its name; empty where there is none."""
        return dict(self._scores.get("iou", {}))

    @property
    def _scores(self) -> dict[str, Any]:
        return self.record.known_scores() if self.record else {}

    @property
    def leak(self) -> str | None:
        """The warning that goes beside its scores, such as `random: may leak`."""
        return stored_leak(self.record) if self.record else None


def list_models() -> list[ModelEntry]:
    """Return the models: the app's default, the others by date, damaged files last."""
    entries = [*_embedded(), *_of_runs(), *_added()]
    entries.sort(key=lambda entry: entry.created, reverse=True)
    default = default_id(entries)
    return sorted(entries, key=lambda e: (e.id != default, e.record is None))


def find_model(model_id: str) -> ModelEntry:
    """Return the model of an id.

    Raises:
        ModelFileError: If there is none, for instance because it was deleted meanwhile.
    """
    for entry in list_models():
        if entry.id == model_id:
            return entry
    raise ModelFileError("This model is not there any more. Choose another one.")


def training_folder(entry: ModelEntry, entries: Iterable[ModelEntry]) -> Path | None:
    """Return the folder of the data set that a model was trained on, where it is known.

    A run says it. A model that was added from a file knows the fingerprint of its data:
    it may be that of a run. The folder may be gone meanwhile.

    Args:
        entry: The model.
        entries: The models of this machine, as `list_models` returns them.
    """
    if entry.kind == "embedded":
        return SAMPLE_DIR
    if entry.kind == "pixel classifier":
        return entry.path
    if entry.kind == "run":
        try:
            return Path(read_run_config(entry.path.parent).data)
        except RunError:
            return None
    same = [
        e for e in entries if e.kind == "run" and e.fingerprint == entry.fingerprint
    ]
    return training_folder(same[0], ()) if same and entry.fingerprint else None


def default_id(entries: list[ModelEntry]) -> str | None:
    """Return the id of the app's default among `entries`; the embedded one if unset.

    People of a team have their own, and before they have chosen it the shared one.
    """
    ids = [entry.id for entry in entries if entry.record is not None]
    for folder in _model_homes():
        stored = files.read_json(folder / _DEFAULT_FILE)
        wanted = stored.get("model") if isinstance(stored, dict) else None
        if isinstance(wanted, str) and folder != files.models_dir():
            wanted = f"{_SHARED}{wanted}" if "/" in wanted else wanted
        if wanted in ids:
            return str(wanted)
    return EMBEDDED_ID if EMBEDDED_ID in ids else None


def set_default(model_id: str) -> None:
    """Make a model the app's default.

    Raises:
        RightsError: If whoever acts now may not choose one.
        ModelFileError: If there is no such model.
        StorageError: If the choice cannot be written.
    """
    rights.require("make default")
    entry = find_model(model_id)
    choice = {"format": 1, "model": entry.id}
    files.write_json(files.models_dir() / _DEFAULT_FILE, choice)


def delete_model(model_id: str) -> ModelEntry:
    """Delete a model's files, never an embedded one; return what it was.

    Raises:
        RightsError: If whoever acts now may not delete it.
        ModelFileError: If there is no such model, or it is part of the app.
        StorageError: If a file cannot be deleted.
    """
    rights.require("delete")
    entry = find_model(model_id)
    if entry.kind == "embedded":
        raise ModelFileError("This model is part of the app and cannot be deleted.")
    places.require_changeable(entry.path)
    doomed = [entry.path]
    if entry.kind == "run":
        doomed.append(entry.path.with_name(HDF5_FILE))
    for path in doomed:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise files.storage_error(path, error) from error
    return entry


def default_warning(chosen: ModelEntry, present: ModelEntry) -> str | None:
    """Return what speaks against `chosen` as the default in place of `present`.

    Returns:
        A sentence; None where it is at least as good on the same validation pairs.
    """
    own, other = chosen.score("miou"), present.score("miou")
    for entry, score in ((chosen, own), (present, other)):
        if score is None:
            return f"{entry.title} holds no scores, so the two cannot be compared."
    if own is None or other is None or (own >= other and _same_pairs(chosen, present)):
        return None
    values = f"mIoU {own:.3f} against {other:.3f}"
    if not _same_pairs(chosen, present):
        return (
            f"It cannot be compared with {present.title}: the two were scored on "
            f"different pairs ({values})."
        )
    return f"It is worse than {present.title} on the same pairs: {values}."


def _same_pairs(one: ModelEntry, other: ModelEntry) -> bool:
    """Return whether two models were judged on the same pairs and as many classes."""
    judged = [
        (r.dataset.get("fingerprint"), set((r.split or {}).get("validation", ())), n)
        for entry in (one, other)
        if (r := entry.record) is not None and (n := len(r.classes))
    ]
    return judged[0] == judged[-1] and bool(judged[0][0] and judged[0][1])


def _embedded() -> list[ModelEntry]:
    return [
        _entry(word, "embedded", _EMBEDDED_TITLES[word], path)
        for word, path in EMBEDDED_MODELS.items()
        if path.is_file()
    ]


def _of_runs() -> list[ModelEntry]:
    return [
        _entry(run_model_id(path.parent), "run", path.parent.name, path)
        for home in RUN.homes
        for path in sorted(home.glob("*/model.keras"), key=_order)
        if path.is_file() and not path.parent.name.startswith(".")
    ]


def run_model_id(run: Path) -> str:
    """Return the id of the model of a run, by its folder."""
    return f"{'' if run.parent == RUN.home() else _SHARED}run/{run.name}"


def _model_homes() -> list[Path]:
    """Return the folders of models that whoever acts now may see, their own first."""
    own = files.models_dir()
    both = dict.fromkeys((own, files.shared_dir() / own.name))
    return [folder for folder in both if places.is_readable(folder)]


def _added() -> list[ModelEntry]:
    own = files.models_dir()
    return [
        _entry(
            f"{'' if folder == own else _SHARED}added/{path.name}",
            "added",
            path.stem,
            path,
        )
        for folder in _model_homes()
        for path in sorted(folder.iterdir() if folder.is_dir() else [], key=_order)
        if path.suffix.lower() in (*MODEL_SUFFIXES, SUFFIX)
        and path.name != _DEFAULT_FILE
        and path.is_file()
        and path.stat().st_size
        and not path.name.startswith(".")
    ]


def _order(path: Path) -> Any:
    return files.natural_key(str(path))


def _entry(model_id: str, kind: ModelKind, title: str, path: Path) -> ModelEntry:
    facts = path.stat()
    record = _record(str(path), facts.st_mtime_ns, facts.st_size)
    named = kind == "run" and record is not None and record.name
    return ModelEntry(
        id=_shown(model_id),
        kind=kind,
        title=record.name if named and record else _shown(title),
        path=path,
        record=record,
        size_bytes=facts.st_size,
        modified=datetime.fromtimestamp(min(max(facts.st_mtime, 0), _LAST_TIME), UTC),
    )


def _shown(name: str) -> str:
    """Return the name of a file in characters that a page can hold."""
    return name.encode("utf-8", "replace").decode()


@lru_cache(maxsize=512)
def _record(path: str, modified_ns: int, size: int) -> ModelRecord | None:
    del modified_ns, size  # parts of the key
    return read_any_record(Path(path))
