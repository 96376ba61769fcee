"""What the pages keep between reruns: data sets and splits, models, results.

Every key holds the file's date and size, so a retrained model or a changed file is
seen. Every cache is bounded.
"""

import gc
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import streamlit as st
from numpy.typing import NDArray
from streamlit.runtime import Runtime, RuntimeState
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from terrainlib import files
from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.layouts.find import watched_paths
from terrainlib.data.overlaps import Overlaps, known_overlaps
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.data.splits import Split, leak_free_split
from terrainlib.mask.tiles.bands import to_bytes
from terrainlib.model import beside
from terrainlib.places import require_readable
from terrainlib.ui.memory import give_memory_back
from terrainlib.ui.paths import allowed_path

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

JPEG_QUALITY = 88
_LOOK_SECONDS: Final = 10
_ALONE_SECONDS: Final = 125  # sessions without a page are kept for 120
_OPENED = "cached_opened_datasets"

Stamp = tuple[int, int]


def file_stamp(path: str | Path) -> Stamp:
    """Return date (ns) and size of a file, (0, 0) where it is missing: a cache key."""
    try:
        facts = Path(path).stat()
    except OSError:
        return (0, 0)
    return (facts.st_mtime_ns, facts.st_size)


def dataset(
    folder: str | Path, *, progress: Callable[[int, int], None] | None = None
) -> Dataset:
    """Return an opened data set, again from memory while its folder is unchanged.

    Every data set of the pages comes this way, and is held against the allowed folders.

    Args:
        folder: The data set's folder, as typed or chosen.
        progress: Called with (done, total) while it is checked for the first time.

    Raises:
        InputError: If it is outside of the allowed folders.
        DatasetError: If the folder is no usable data set.
    """
    folder = allowed_path(folder)
    stamp = tuple(file_stamp(path) for path in watched_paths(folder))
    opened: list[str] = st.session_state.setdefault(_OPENED, [])
    key = f"{folder}|{stamp}"
    if progress is not None and key not in opened:
        open_dataset(folder, progress=progress)  # leaves its scan on the disk
        st.session_state[_OPENED] = [*opened, key][-32:]
    return _dataset(str(folder), stamp)


def forget_dataset() -> None:
    """Check all data sets again the next time they are asked for."""
    st.session_state.pop(_OPENED, None)
    _dataset.clear()


def overlaps(dataset: Dataset) -> Overlaps | None:
    """Return the shared ground of a data set, or None while nobody has looked."""
    key = (str(files.cache_dir()), str(dataset.folder), dataset.fingerprint)
    try:
        return _overlaps(key, dataset)
    except LookupError:
        return None


def leak_free(
    dataset: Dataset, shared: Overlaps, *, share: float, seed: int = 0
) -> Split:
    """Return the split that a training of these settings makes."""
    key = (str(dataset.folder), dataset.fingerprint, len(shared.pairs))
    return _leak_free(key, share, seed, dataset, shared)


def model(path: str | Path) -> "TerrainModel":
    """Return a loaded model, shared by all visitors: predict with it, never train it.

    Raises:
        RightsError: If whoever acts now may not open it.
        ModelFileError: If it is no model of ours, damaged, or dangerous.
    """
    if str(path) not in EMBEDDED_MODELS:
        require_readable(path)
    free_when_alone()
    return _model(str(path), model_stamp(path))


def model_stamp(path: str | Path) -> Stamp:
    """Return date and size of the file that a model's word or path stands for."""
    if str(path) in EMBEDDED_MODELS:
        return file_stamp(EMBEDDED_MODELS[str(path)])
    place = Path(path)
    return file_stamp(place / "model.keras" if place.is_dir() else place)


@st.cache_resource(max_entries=4, show_spinner="Checking the data set …")
def _dataset(folder: str, stamp: tuple[Stamp, ...]) -> Dataset:
    del stamp  # part of the key
    return open_dataset(Path(folder))


@st.cache_resource(max_entries=4, show_spinner=False)
def _overlaps(key: tuple[str, ...], _dataset: Dataset) -> Overlaps:
    del key  # names what is looked up
    known = known_overlaps(_dataset)
    if known is None:
        raise LookupError  # not to be kept: it may be known the next time
    return known


@st.cache_resource(max_entries=32, show_spinner="Choosing validation patches …")
def _leak_free(
    key: tuple[Any, ...], share: float, seed: int, _dataset: Dataset, _shared: Overlaps
) -> Split:
    del key  # names data set and overlaps
    counts = {pair.id: pair.counts for pair in _dataset.pairs}
    return leak_free_split(_dataset.ids, _shared, counts, share=share, seed=seed)


@st.cache_resource(max_entries=2, show_spinner="Loading the model …")
def _model(path: str, stamp: Stamp) -> "TerrainModel":
    from terrainlib.model.instant import load_any

    del stamp  # part of the key
    return load_any(path)


def encode_jpeg(rgb: NDArray[Any]) -> bytes:
    """Return a uint8 or float32 [0, 1] picture, (H, W, 3) or (H, W), as JPEG."""
    picture: NDArray[Any] = to_bytes(rgb)
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    return bytes(cv2.imencode(".jpg", picture, quality)[1].tobytes())


RESULTS_MB: Final = 384
DESCRIBED_MB: Final = 3_000  # twenty views


@dataclass(slots=True)
class BoundedStore:
    """Keeps the values used last, up to a number of bytes; safe for several threads.

    Attributes:
        max_bytes: Limit of the sizes together; the newest value is always kept.
    """

    max_bytes: int
    _values: "OrderedDict[str, tuple[Any, int]]" = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: str) -> Any | None:
        """Return the value of `key`, or None where it is not kept (any more)."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: str, value: Any, size_bytes: int) -> None:
        """Keep `value`, and let go of those not used for longest."""
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = (value, size_bytes)
            total = sum(size for _, size in self._values.values())
            while total > self.max_bytes and len(self._values) > 1:
                _, (_, size) = self._values.popitem(last=False)
                total -= size


def let_go(upload: UploadedFile) -> None:
    """Free the memory of an upload that was taken; its box holds nothing then."""
    context = get_script_run_ctx()
    if context and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        context.uploaded_file_mgr.remove_file(context.session_id, upload.file_id)


@st.cache_resource(show_spinner=False)
def results() -> BoundedStore:
    """Return the store of predicted masks."""
    return BoundedStore(RESULTS_MB * 1_000_000)


@st.cache_resource(show_spinner=False)
def described() -> BoundedStore:
    """Return the store of pixels described to be learnt from, which lie on the disk."""
    return BoundedStore(DESCRIBED_MB * 1_000_000)


@st.cache_resource(show_spinner=False)
def load_ahead() -> None:
    """Begin to load TensorFlow beside, so that the first prediction finds it there.

    Once while there are visitors; call it when the page is drawn.
    """
    if beside.is_wanted():
        threading.Thread(target=beside.load_ahead, daemon=True).start()
    free_when_alone()


@st.cache_resource(show_spinner=False)
def free_when_alone() -> None:
    """Free what is kept for visitors when the last one has left, by a thread beside."""
    runtime = st.runtime.get_instance() if st.runtime.exists() else None
    if type(runtime) is Runtime:  # no test
        threading.Thread(target=_free_when_alone, args=(runtime,), daemon=True).start()


def _free_when_alone(runtime: Runtime) -> None:
    alone = 0
    while alone * _LOOK_SECONDS <= _ALONE_SECONDS:
        time.sleep(_LOOK_SECONDS)
        nobody = runtime.state is RuntimeState.NO_SESSIONS_CONNECTED
        alone = alone + 1 if nobody else 0
    runtime.stats_mgr.get_stats()  # looks at old sessions, which lets them go
    st.cache_resource.clear()  # this function's too: the next visitor begins anew
    beside.end_beside()
    gc.collect()
    give_memory_back()
