"""Folders of runs and predictions whose records somebody has edited to nonsense."""

import copy
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from terrainlib import files
from terrainlib.mask.products.records import Made
from terrainlib.model.config import TrainingConfig
from terrainlib.runs.folder import create_job, create_run
from terrainlib.runs.jobs.config import InputImage, JobConfig, write_results
from terrainlib.runs.status import JobStatus, RunStatus, Stage, write_status
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.metrics import MetricsTable

Place = tuple[str | int, ...]

DEEP: Final = "[" * 5_000 + "]" * 5_000
MOMENT: Final = "2026-01-01T00:00:00.000+00:00"
# What a field is set to, as JSON text: other types, signs, sizes, depth, no numbers,
# days outside the calendar.
VALUES: Final = {
    "null": "null",
    "true": "true",
    "text": '"abc"',
    "zero": "0",
    "negative": "-1",
    "fraction": "0.5",
    "2**70": str(2**70),
    "1e308": "1e308",
    "beyond": "1e999",
    "digits": "9" * 5_000,
    "NaN": "NaN",
    "long": f'"{"x" * 200_000}"',
    "deep": DEEP,
    "list": "[]",
    "object": "{}",
    "last day": '"9999-12-31T23:59:59-23:59"',
    "first day": '"0001-01-01T00:00:00+10:00"',
    "no text": '"\\udcff\\u0000"',
}
WHOLE_FILES: Final = {
    "empty": b"",
    "binary": b"\x00\x01\xff\xfe",
    "deep": DEEP.encode(),
    "list": b"[1]",
    "cut": b'{"state": "fin',
}
TABLES: Final = {
    "infinite epoch": b"epoch,loss,seconds\ninf,1,1\n1,0.5,1\n",
    "huge epoch": b"epoch,loss,seconds\n1e30,1,1\n1,0.5,1\n",
    "half an epoch": b"epoch,loss,seconds\n1.5,1,1\n1,0.5,1\n",
    "negative epoch": b"epoch,loss,seconds\n-1,1,1\n1,0.5,1\n",
    "large field": b"epoch,loss,seconds\n2," + b"9" * 200_000 + b",1\n1,0.5,1\n",
    "open quote": b'epoch,loss,seconds\n2,"3,1\n1,0.5,1\n' + b"x\n" * 100_000,
    "carriage returns": b"epoch,loss,seconds\n1\r,0.5\r,1\r\n",
    "bytes": b"epoch,loss,seconds\n\x00\xff,\x00,1\n1,0.5,1\n",
    "no numbers": b"epoch,loss,seconds\nnan,nan,nan\n1,0.5,1\n2,inf,-1e400\n",
    "other columns": b"epoch,loss\n1,0.5\n",
}
RUN_RECORDS: Final = (
    "config.json",
    "status.json",
    "process.json",
    "pixelclassifier.json",
    "split.json",
    "minutes.json",
    "files.json",
)
PREDICTION_RECORDS: Final = (
    "job.json",
    "status.json",
    "results.json",
    "process.json",
)
_PROCESS: Final = {
    "pid": 999_999,
    "create_time": 1.0,
    "since_boot": 1.0,
    "boot_id": "x",
    "host": socket.gethostname(),
    "started": MOMENT,
    "exit_code": 1,
}


def whole_run(name: str = "whole", *, data: str = "/data") -> Path:
    """Make a run folder in which every record is whole."""
    training = TrainingConfig.preset("fast", epochs=8)
    config = RunConfig(name, data, training, MOMENT)
    path = create_run(config, path=files.runs_dir() / name)
    MetricsTable(path / "metrics.csv").rewrite(
        [
            {"epoch": n, "loss": 0.5, "val_miou": 0.4, "seconds": 1.0, "iou_Water": 0.3}
            for n in (1, 2)
        ]
    )
    write_status(
        path,
        RunStatus(
            *("finished", 2, 8, 0, 4, 2.0, 1, 0.4),
            heartbeat=MOMENT,
            progressed=MOMENT,
            stages=(Stage("files", MOMENT, 1.5), Stage("pairs", MOMENT, None, 0.5)),
            free_share=0.5,
        ),
    )
    iou = {"Water": 0.5, "Hills": None}
    pixel_score = {"miou": 0.3, "pixel_accuracy": 0.5, "boundary_f1": 0.2, "iou": iou}
    pixel_score |= {"images": 4, "seconds": 1.5, "split": "abc"}
    split = {"method": "m", "seed": 0, "share": 0.15, "train": ["1"], "hash": "abc"}
    split |= {"validation": ["3"], "leak": "random: may leak", "left_out": ["4"]}
    files.write_json(path / "pixelclassifier.json", pixel_score)
    files.write_json(path / "split.json", {"fingerprint": "f", "split": split})
    files.write_json(path / "files.json", {"1_t.png": "0" * 64})
    files.write_json(path / "minutes.json", {"minutes": 7.0})
    files.write_json(path / "process.json", _PROCESS)
    return path


def whole_prediction(name: str = "whole") -> Path:
    """Make the folder of a prediction in which every record is whole."""
    image = InputImage("/data/one.png", "one.png", "one")
    config = JobConfig("default", (image,), created=MOMENT)
    path = create_job(config).rename(files.predictions_dir() / name)
    times = {"heartbeat": MOMENT, "progressed": MOMENT}
    write_status(path, JobStatus("finished", 1, 1, 4, 4, 1.0, 2.0, **times))
    write_results(path, [_made()], {"bad.png": "no picture."})
    files.write_json(path / "process.json", _PROCESS)
    return path


def _made() -> Made:
    area = {"name": "Water", "pixels": 50, "square_metres": 1.5, "share": 0.5}
    return Made(
        name="one.png",
        files=(Path("/data/one_mask.png"),),
        height=10,
        width=10,
        rows=10,
        stopped=False,
        shares={"Water": 0.5},
        areas={"pixels": 50, "square_metres": 3.0, "classes": [area], "notes": ["n"]},
        gap={"level": "alike", "reasons": ["as they are"], "title": "t", "windows": 3},
        unsure_share=0.1,
        notes=("a note",),
        seconds=1.0,
        network_seconds=0.5,
        megapixels_per_second=2.0,
    )


def places(record: Any, at: Place = ()) -> Iterator[Place]:
    """Yield the place of every field of a record, also within it."""
    inside: list[tuple[str | int, Any]] = []
    if isinstance(record, dict):
        inside = list(record.items())
    elif isinstance(record, list):
        inside = list(enumerate(record))
    for key, value in inside:
        yield (*at, key)
        yield from places(value, (*at, key))


def with_field(record: Any, at: Place, text: str) -> bytes:
    """Return a record as JSON with a field set to a JSON text."""
    edited = copy.deepcopy(record)
    inner = edited
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = "@here@"
    return json.dumps(edited).replace('"@here@"', text).encode()


def edits(path: Path, *, values: int = len(VALUES)) -> Iterator[tuple[str, bytes]]:
    """Yield what a record is edited to: a name for it, and the file's bytes.

    Args:
        path: The whole record.
        values: How many of the values each field is set to; which, changes from field
            to field.
    """
    record = json.loads(path.read_text())
    for name, data in WHOLE_FILES.items():
        yield f"{path.name} {name}", data
    names = list(VALUES)
    for number, at in enumerate(places(record)):
        for turn in range(values):
            name = names[(number * values + turn) % len(names)]
            label = f"{path.name} {'.'.join(map(str, at))} {name}"
            yield label, with_field(record, at, VALUES[name])
