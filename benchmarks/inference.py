"""Masks a second: the runtimes that can run the network, in one run on the same tiles.

Run from the project's folder: `python -m benchmarks.inference`. For OpenVINO and ONNX
Runtime, first `pip install -r benchmarks/requirements.txt`; what is not installed is
left out.

A scene of the sample is mirrored to the size asked for and cut into tiles without
margins, which go through the network one by one. Each way runs in a process of its own,
in turn (A B C A B C ...), beside Keras' `predict`, called for each tile as a notebook
would; the first tile, for which programs are compiled, is not timed. Both exports are
Keras' own.

Beside megapixels a second stands the time that processor cores were at work for one: on
a machine that others use as well it is the steadier measure.
"""

import argparse
import importlib.util
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._worker import Worker, WorkerError, stop_in_order
from terrainlib import files

MAX_DIFFERENCE = 1e-3
_AT_ONCE = 4  # processes that lie in memory together, 1 to 2 GB each
_CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Way:
    """One way to run the network.

    Attributes:
        name: What the table calls it.
        way: What the worker calls it.
        settings: What the worker is told to change.
        environment: Variables that are set for it.
        needs: Packages that must be installed.
    """

    name: str
    way: str
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass
class Measured:
    """What one way gave, one value a round; ratios are to Keras' predict.

    Attributes:
        rates: Megapixels a second.
        ratios: How many times as fast as predict in the same round.
        processor: Seconds of processor cores a megapixel.
        difference: Largest difference of a probability or colour from predict's.
        memory_mb: Peak of the resident set above that with the network loaded.
        failed: Why it gave nothing.
    """

    rates: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    difference: float = 0.0
    memory_mb: float = 0.0
    failed: str = ""


def _openvino(name: str, **settings: Any) -> Way:
    return Way(name, "openvino", settings, needs=("openvino",))


def _onnx(name: str, **settings: Any) -> Way:
    return Way(name, "onnx", settings, needs=("onnxruntime", "tf2onnx"))


PREDICT = Way("Keras predict, tile by tile", "predict")
COMPARED = (
    Way("terrainlib", "terrainlib"),
    Way("tf.function, reads variables", "function"),
    _openvino("OpenVINO"),
    _onnx("ONNX Runtime"),
)
VARIANTS = (
    _openvino("OpenVINO, for any size", fixed=False),
    _openvino("OpenVINO, a tile a core", streams=_CORES),
    _openvino("OpenVINO, bfloat16", precision="bf16"),
    _onnx("ONNX Runtime, for any size", fixed=False),
    Way("tf.function, XLA", "function", {"xla": True}),
    Way(
        "terrainlib, without oneDNN",
        "terrainlib",
        environment={"TF_ENABLE_ONEDNN_OPTS": "0"},
    ),
)


def main() -> None:
    """Measure, print the table and what follows from it."""
    options = _parse()
    stop_in_order()
    wanted = (*COMPARED, *(() if options.short else VARIANTS))
    ways = [way for way in wanted if _installed(way)]
    measured: dict[str, Measured] = {PREDICT.name: Measured()}
    parameters = 0
    for start in range(0, len(ways), _AT_ONCE - 1):
        group = ways[start : start + _AT_ONCE - 1]
        parameters = measure(group, options, measured)
    print_table(measured, options, parameters)
    if options.json:
        told = {key: value for key, value in vars(options).items() if key != "json"}
        result = {name: asdict(values) for name, values in measured.items()}
        files.write_json(options.json, {**told, "cores": _CORES, "measured": result})


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model", default="default", help="a model or a preset's name")
    parser.add_argument("--size", type=int, default=2048, help="of the image in px")
    parser.add_argument("--tile", type=int, default=1024, help="side in px")
    parser.add_argument("--rounds", type=int, default=5, help="measurements a way")
    parser.add_argument("--short", action="store_true", help="leave out the settings")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    options = parser.parse_args()
    if options.tile % 64 or options.size % options.tile:
        parser.error("the tile must be a multiple of 64, and the size one of the tile")
    return options


def _installed(way: Way) -> bool:
    missing = [name for name in way.needs if importlib.util.find_spec(name) is None]
    if missing:
        print(f"{way.name}: left out, {' and '.join(missing)} not installed")
    return not missing


def measure(
    ways: Sequence[Way], options: argparse.Namespace, measured: dict[str, Measured]
) -> int:
    """Measure some ways beside predict, in turn; return the network's weights."""
    megapixels = options.size**2 / 1e6
    told = {"model": options.model, "size": options.size, "tile": options.tile}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workers, parameters = _start((PREDICT, *ways), told, measured, stack)
        for number in range(1, options.rounds + 1):
            _say(f"round {number} of {options.rounds}: {', '.join(workers)}")
            usual = 0.0
            for name, worker in workers.items():
                worker.tell({"save": str(folder / f"{name}.npy")})
                answer = worker.hear()
                values = measured[name]
                usual = usual or answer["seconds"]
                values.rates.append(megapixels / answer["seconds"])
                values.ratios.append(usual / answer["seconds"])
                values.processor.append(answer["processor"] / megapixels)
                values.memory_mb = max(values.memory_mb, answer["memory"])
        expected = np.load(folder / f"{PREDICT.name}.npy")
        for name in workers:
            off = np.abs(np.load(folder / f"{name}.npy") - expected).max()
            measured[name].difference = float(off)
    return parameters


def _start(
    ways: Sequence[Way],
    told: dict[str, Any],
    measured: dict[str, Measured],
    stack: ExitStack,
) -> tuple[dict[str, Worker], int]:
    """Start the workers one after the other; predict comes first and must run."""
    workers: dict[str, Worker] = {}
    parameters = 0
    for way in ways:
        _say(f"starting {way.name} ...")
        options = {**told, "way": way.way, "settings": way.settings}
        worker = stack.enter_context(
            Worker("benchmarks._inference_ways", options, way.environment)
        )
        values = measured.setdefault(way.name, Measured())
        try:
            parameters = worker.hear()["parameters"]
        except WorkerError as error:
            if way is PREDICT:
                raise SystemExit(f"{way.name}: {error}") from error
            values.failed = str(error).strip().splitlines()[-1]
            continue
        workers[way.name] = worker
    return workers, parameters


def print_table(
    measured: dict[str, Measured], options: argparse.Namespace, parameters: int
) -> None:
    """Print what each way gave, and which is the fastest that agrees."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"\nMegapixels a second: model {options.model}, {parameters:,} weights, "
        f"{options.size} px in tiles of {options.tile}, {_CORES} cores, load {load:.1f}"
    )
    head = f"{'':30}{'median':>8}{'lowest':>8}{'highest':>9}{'of predict':>12}"
    print(f"{head}{'core s / MP':>13}{'difference':>12}{'MB':>7}")
    for name, values in measured.items():
        if values.failed:
            print(f"{name:30}does not run: {values.failed}")
            continue
        rates = values.rates
        row = f"{name:30}{statistics.median(rates):8.2f}{min(rates):8.2f}"
        row += f"{max(rates):9.2f}{statistics.median(values.ratios):10.2f} x"
        row += f"{statistics.median(values.processor):13.2f}{values.difference:12.1e}"
        print(f"{row}{values.memory_mb:7.0f}")
    agreeing = {
        name: statistics.median(values.processor)
        for name, values in measured.items()
        if values.processor and values.difference <= MAX_DIFFERENCE
    }
    best = min(agreeing, key=agreeing.__getitem__)
    print(f"\nLeast processor time within {MAX_DIFFERENCE:g} of predict: {best}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("stopped; nothing was kept.") from None
