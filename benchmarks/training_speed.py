"""Training images a second: our loop against Keras' `fit` and PyTorch, in one run.

Run from the project's folder: `python -m benchmarks.training_speed`. For PyTorch, first
`pip install -r benchmarks/requirements.txt`.

The network is that of preset `fast`, on the embedded sample at the preset's own image
and batch size, in every way the same layers and the same number of weights. Each way
runs in a process of its own and trains whole epochs, in turn (A B C A B C ...), so that
a machine that slows down slows them all; the first epoch, in which graphs are compiled,
is not timed.

- Ours: `Trainer.step` fed by `training_batches`, as a training does, with augmentation,
  the preset's loss, averaged weights, accuracy, and the same result for the same seed.
- Keras: `compile` (AdamW, cross-entropy) and `fit` on float32 arrays in memory, with
  XLA, which is its default, and without.
- PyTorch: AdamW and cross-entropy on float32 tensors in memory, in both memory layouts.

Where the processor multiplies bfloat16 numbers, our loop does by itself; so that the
numbers' format is not all that is compared, each way is also measured in the other.

Then what the input costs of a step, and what settings of the processor's libraries do
to our loop.
"""

import argparse
import importlib.util
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks._worker import Worker, WorkerError, stop_in_order
from terrainlib import files
from terrainlib.model.config import TrainingConfig

INPUT_SHARE_GOAL = 0.03
_AT_ONCE = 4  # processes that lie in memory together
_NO_ONEDNN = {"TF_ENABLE_ONEDNN_OPTS": "0"}
_CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Way:
    """One way to train the network.

    Attributes:
        name: What the table calls it.
        module: The worker.
        options: What the worker is told.
        environment: Variables that are set for it.
    """

    name: str
    module: str = "benchmarks._speed_keras"
    options: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


def _ours(name: str, **settings: Any) -> Way:
    return Way(name, options={"way": "ours", "settings": settings})


def _keras(name: str, **settings: Any) -> Way:
    return Way(name, options={"way": "fit", "settings": settings})


def _torch(name: str, **settings: Any) -> Way:
    return Way(name, "benchmarks._speed_torch", {"settings": settings})


OURS = _ours("terrainlib")
OURS_FLOAT32 = _ours("terrainlib, float32", precision="float32")
KERAS = (
    _keras("Keras fit, XLA (its default)"),
    _keras("Keras fit, without XLA", xla=False),
    _keras("Keras fit, bfloat16", bfloat16=True),
)
TORCH = (
    _torch("PyTorch, eager"),
    _torch("PyTorch, channels last", channels_last=True),
    _torch("PyTorch, channels last, bfloat16", channels_last=True, bfloat16=True),
)
# XLA has no repeatable form of pooling's gradient.
VARIANTS = (
    _ours("XLA, not repeatable", xla=True, deterministic=False),
    Way("without oneDNN", options=OURS.options, environment=_NO_ONEDNN),
    _ours("not repeatable", deterministic=False),
    _ours("1 thread in an operation", intra=1, inter=_CORES),
    _ours("1 operation at a time", intra=_CORES, inter=1),
    _ours("twice the threads", intra=2 * _CORES, inter=2 * _CORES),
)


@dataclass
class Measured:
    """What a group of ways gave.

    Attributes:
        rates: Training images a second of each round, by way.
        shares: Share of an epoch that the input cost, for each epoch timed.
        parameters: Weights that are trained, by way.
        failed: Why a way gave nothing, by way.
    """

    rates: dict[str, list[float]] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)
    parameters: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def main() -> None:
    """Measure, print the tables and the goals."""
    options = _parse()
    stop_in_order()
    config = TrainingConfig.preset("fast", network={"height": options.height})
    torch_ways = TORCH if importlib.util.find_spec("torch") else ()
    main_ways = (OURS, OURS_FLOAT32, *KERAS, *torch_ways)
    with tempfile.TemporaryDirectory(prefix="terrain-benchmark-") as home:
        os.environ["TERRAINLIB_HOME"] = home
        compared = measure(main_ways, config, options, with_input=True)
        variants = []
        for start in range(0, 0 if options.short else len(VARIANTS), _AT_ONCE - 1):
            group = (OURS, *VARIANTS[start : start + _AT_ONCE - 1])
            variants.append(measure(group, config, options))
    print_comparison(compared, config)
    print_variants(variants)
    print_goals(compared)
    if options.json:
        result = {
            "config": config.to_dict(),
            "cores": _CORES,
            "compared": vars(compared),
            "variants": [vars(group) for group in variants],
        }
        files.write_json(options.json, result)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="a measurement")
    parser.add_argument("--rounds", type=int, default=5, help="measurements a way")
    parser.add_argument("--height", action="store_true", help="with heights as well")
    parser.add_argument("--short", action="store_true", help="leave out the settings")
    parser.add_argument("--pairs", type=int, help="of an epoch; all without it")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    return parser.parse_args()


def measure(
    ways: Sequence[Way],
    config: TrainingConfig,
    options: argparse.Namespace,
    *,
    with_input: bool = False,
) -> Measured:
    """Start every way in a process of its own and measure them in turn."""
    measured = Measured()
    told = {"config": config.to_dict(), "pairs": options.pairs}
    with ExitStack() as stack:
        workers = _start(ways, told, measured, stack)
        for number in range(1, options.rounds + 1):
            _say(f"round {number} of {options.rounds}: {', '.join(workers)}")
            for name, worker in workers.items():
                worker.tell({"measure": "loop", "seconds": options.seconds})
                answer = worker.hear()
                rate = answer["images"] / answer["seconds"]
                measured.rates.setdefault(name, []).append(rate)
            if with_input:
                ours = workers[OURS.name]
                ours.tell({"measure": "input", "seconds": 2 * options.seconds})
                measured.shares += ours.hear()["shares"]
    return measured


def _start(
    ways: Sequence[Way], told: dict[str, Any], measured: Measured, stack: ExitStack
) -> dict[str, Worker]:
    """Start the workers one after the other; our own comes first and must run."""
    workers: dict[str, Worker] = {}
    network = ""
    for way in ways:
        _say(f"starting {way.name} ...")
        options = {**told, "network": network, **way.options}
        worker = stack.enter_context(Worker(way.module, options, way.environment))
        try:
            answer = worker.hear()
        except WorkerError as error:
            if way is OURS:
                raise SystemExit(f"{way.name}: {error}") from error
            measured.failed[way.name] = _reason(str(error))
            _say(f"{way.name}: {error}")
            continue
        network = network or answer["network"]
        measured.parameters[way.name] = answer["parameters"]
        workers[way.name] = worker
    if len(set(measured.parameters.values())) > 1:
        raise SystemExit(f"not the same network: {measured.parameters} weights.")
    return workers


def _reason(text: str) -> str:
    """Return the line that names the error, or else the last one."""
    lines = text.strip().splitlines()
    named = [
        line for line in lines if re.match(r"[\w.]+(Error|Exit|Exception): ", line)
    ]
    return (named or lines)[-1]


def print_comparison(measured: Measured, config: TrainingConfig) -> None:
    """Print our loop beside the other two libraries'."""
    size = config.network.image_size
    weights = measured.parameters[OURS.name]
    print(
        f"\nTraining images a second: preset fast, {weights:,} weights, {size} px, "
        f"batches of {config.batch_size}, {config.network.input_channels} channels, "
        f"{_CORES} cores"
    )
    _print_rates(measured, "terrainlib is")
    shares = sorted(measured.shares)
    middle = statistics.median(shares)
    low, high = shares[len(shares) // 4], shares[3 * len(shares) // 4]
    print(
        f"\nOf an epoch, the input costs {middle:.1%} (middle half {low:.1%} to "
        f"{high:.1%}, {len(shares)} epochs):\nepochs from the pipeline between epochs "
        "of the same steps on one batch in memory."
    )


def print_variants(groups: Sequence[Measured]) -> None:
    """Print what settings do to our loop; each group has its own row without any."""
    if groups:
        print("\nOur loop with other settings, each against ours in the same rounds")
    for measured in groups:
        _print_rates(measured, "terrainlib is")


def _print_rates(measured: Measured, title: str) -> None:
    ours = measured.rates[OURS.name]
    print(f"{'':34}{'median':>8}{'lowest':>8}{'highest':>9}  {title}")
    for name, rates in measured.rates.items():
        middle = statistics.median(rates)
        ratios = [mine / other for mine, other in zip(ours, rates, strict=True)]
        ratio = "" if name == OURS.name else f"{statistics.median(ratios):.2f} x"
        row = f"{name:34}{middle:8.1f}{min(rates):8.1f}{max(rates):9.1f}"
        print(f"{row}  {ratio}".rstrip())
    for name, reason in measured.failed.items():
        print(f"{name:34}does not run: {reason}")


def print_goals(measured: Measured) -> None:
    """Print whether our loop is ahead of both, and the input cheap enough."""
    print()
    for title, ways in (("Keras' fit", KERAS), ("PyTorch", TORCH)):
        known = [measured.rates[w.name] for w in ways if w.name in measured.rates]
        if not known:
            print(f"unknown  {title}: not measured; see benchmarks/requirements.txt")
            continue
        fastest = max(known, key=statistics.median)
        ours = measured.rates[OURS.name]
        ratio = statistics.median(a / b for a, b in zip(ours, fastest, strict=True))
        _goal(f"ahead of {title}, the fastest of its forms: {ratio:.2f} x", ratio > 1)
    share = statistics.median(measured.shares)
    text = f"input under {INPUT_SHARE_GOAL:.0%} of a step: {share:.1%}"
    _goal(text, share < INPUT_SHARE_GOAL)


def _goal(text: str, reached: bool) -> None:
    print(f"{'reached' if reached else 'MISSED':8} {text}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("stopped; nothing was kept.") from None
