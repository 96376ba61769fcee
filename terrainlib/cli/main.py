"""The command line: what it takes, and how it ends.

The commands themselves are in private modules beside this one, imported when they are
used: neither `--help` nor `check` loads TensorFlow. Exit status 0; 2 for bad input or
usage; 1 for a failure on the way. The last line on standard error then begins with
`error: `.
"""

import argparse
import importlib
import logging
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from terrainlib import rights
from terrainlib.errors import ConfigError
from terrainlib.model.config import DEFAULT_PRESET, MAX_BANDS, PRESETS

if TYPE_CHECKING:
    from terrainlib.mask.pack.pack import PackTarget
    from terrainlib.mask.vectors.polygons import SmallestArea

_PACK = re.compile(r"source|(unity|unreal)(:\d+(:(crop|stretch))?)?")
_AREA = re.compile(r"(\d+(?:\.\d*)?)(px|m2)?")


def number(text: str) -> float:
    """Return a finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"a finite number is needed, not {text!r}")
    return value


def bands(text: str) -> tuple[int | str, ...]:
    """Return bands by number or name: `4,3,2`, or `red,nir`."""
    words = [word.strip() for word in text.split(",")]
    if not all(words) or len(words) > MAX_BANDS:
        raise argparse.ArgumentTypeError(
            f"1 to {MAX_BANDS} numbers or names such as 4,3,2 or red,green,blue,nir "
            f"are needed, not {text!r}"
        )
    return tuple(int(word) if word.isdecimal() else word for word in words)


def pack_target(text: str) -> "PackTarget":
    """Return what a pack is made for: `source`, `unity:1025`, `unreal:1009:stretch`."""
    from terrainlib.mask.pack.pack import PackTarget

    engine, *rest = text.split(":")
    if _PACK.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(
            "source, unity:PX or unreal:PX is needed, with :stretch behind to keep "
            f"all of an image that is not square; not {text!r}"
        )
    options = dict(zip(("size_px", "fit"), rest, strict=False))
    size = int(options["size_px"]) if rest else None
    try:
        return PackTarget(engine, size, options.get("fit", "crop"))  # type: ignore[arg-type] # checked there
    except ConfigError as error:
        raise argparse.ArgumentTypeError(error.message) from error


def smallest_area(text: str) -> "SmallestArea":
    """Return the smallest area that gets a polygon: `16`, `16px`, `500m2`."""
    from terrainlib.mask.vectors.polygons import SmallestArea

    match = _AREA.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"a number of pixels or of square metres such as 500m2 is needed, not "
            f"{text!r}"
        )
    try:
        return SmallestArea(float(match[1]), "m2" if match[2] == "m2" else "px")
    except ConfigError as error:
        raise argparse.ArgumentTypeError(error.message) from error


def with_bare_pack(words: Sequence[str]) -> list[str]:
    """Return words in which `--pack` takes no file for what it is made for.

    Args:
        words: The command line. What follows `--pack` belongs to it only where it names
            an engine.
    """
    given = list(words)
    for place, word in enumerate(given):
        following = given[place + 1 : place + 2]
        if word == "--pack" and not any(map(_PACK.fullmatch, following)):
            given[place] = "--pack=source"
    return given


EXIT_USAGE: Final = 2
PREDICT_TEXT: Final = """\
Write the masks of images, at their size. For IMAGE.png or .jpg:

{plain}

For georeferenced TIFF files, which may have any size, on the same grid:

{placed}

Of several images, or a folder, class_shares.csv lists the share of each class, and
what failed. A bad image does not stop the others; the exit status is 2 then.
Ctrl-C keeps the finished rows of the image at work in its mask and begins no other;
the exit status is 1. A second Ctrl-C ends at once."""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one `error: ` line, the last one."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status.

    Args:
        arguments: The words after `python -m terrainlib`; None takes the process's.
    """
    try:
        words = sys.argv[1:] if arguments is None else arguments
        options = build_parser().parse_args(with_bare_pack(words))
    except SystemExit as end:
        return int(end.code or 0)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    rights.work_for(rights.OWNER)  # whoever has a command line here
    try:
        module, command = options.command
        status: int = getattr(importlib.import_module(module), command)(options)
        return status
    except (Exception, KeyboardInterrupt) as problem:  # noqa: BLE001 - one sentence
        from terrainlib.cli.console import complain, in_words

        return complain(in_words(problem))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(
        prog="python -m terrainlib",
        description="Terrain masks from satellite images.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_check(commands)
    _add_patches(commands)
    _add_label(commands)
    _add_train(commands)
    _add_evaluate(commands)
    _add_predict(commands)
    _add_sharpen(commands)
    _add_export(commands)
    models = commands.add_parser("models", help="list the models on this machine")
    models.set_defaults(command=("terrainlib.cli.models", "models"))
    return parser


def _add_check(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser("check", help="look through a data set")
    parser.add_argument("data", metavar="DATA", type=Path, help="folder of a data set")
    parser.add_argument(
        "--overlaps", action="store_true", help="also find patches that share ground"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(command=("terrainlib.cli.check", "check"))


def _add_patches(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser(
        "patches",
        help="make a data set of labelled scenes",
        description="Cut large images into patches, with what is labelled of them.",
    )
    add = parser.add_argument
    files: dict[str, Any] = {"type": Path, "nargs": "+"}
    add("images", metavar="IMAGE", help="TIFF of any size, PNG or JPEG", **files)
    _add_labels(parser)
    add("--out", metavar="DATA", type=Path, required=True, help="new folder")
    add("--size", metavar="PX", type=int, help="side of a patch (default: what fits)")
    add(
        "--width",
        metavar="PX",
        type=number,
        default=3.0,
        help="of lines and points without a field width_px (default: 3)",
    )
    add(
        "--bands",
        metavar="BANDS",
        type=bands,
        help="bands that trainings use, by number or name, such as red,green,blue,nir; "
        "all are kept",
    )
    parser.set_defaults(command=("terrainlib.cli.patches", "patches"))


def _add_label(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser(
        "label",
        help="make a mask of one image from labels on it",
        description="Learn an instant classifier from labels on an image and write its "
        "mask, the classes' areas and the classifier, which `predict` takes as MODEL.",
    )
    add = parser.add_argument
    add("image", metavar="IMAGE", type=Path, help="TIFF of any size, PNG or JPEG")
    _add_labels(parser)
    add("--out", metavar="DIR", type=Path, required=True, help="folder for the files")
    add("--bands", metavar="BANDS", type=bands, help="bands to use, by number or name")
    add("--height-file", metavar="FILE", type=Path, help="heights of the image")
    parser.set_defaults(command=("terrainlib.cli.label", "label"))


def _add_labels(parser: argparse.ArgumentParser) -> None:
    """Add what both commands of labels take: the files, and the field of the class."""
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        nargs="+",
        required=True,
        help="class rasters, or polygons, lines and points of GeoPackage, GeoJSON or "
        "Shapefile; later ones lie over earlier ones",
    )
    parser.add_argument(
        "--field", metavar="NAME", help="field of the class, where it is not clear"
    )


def _add_train(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser("train", help="train a model in the foreground")
    add = parser.add_argument
    add("data", metavar="DATA", type=Path, help="folder of a data set")
    add("--out", metavar="RUN_DIR", type=Path, required=True, help="new run folder")
    kinds = " ".join(f"{name}: {preset.sentence}" for name, preset in PRESETS.items())
    add(
        "--preset",
        choices=PRESETS,
        help=f"kind of network (default: {DEFAULT_PRESET}). {kinds}",
    )
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--epochs", metavar="N", type=int, help="budget in epochs")
    budget.add_argument("--minutes", metavar="M", type=number, help="or in minutes")
    add(
        "--image-size",
        metavar="PX",
        type=int,
        help="side of the square that the middle-sized image is scaled to; one scale "
        "for all",
    )
    add("--batch-size", metavar="N", type=int, help="images in a batch")
    add(
        "--bands",
        metavar="B,B,...",
        type=bands,
        help="bands of the images to train on, by number from 1 or name, such as 4,3,2 "
        "or red,green,blue,nir; without it those in dataset.json, else red, green and "
        "blue, or the only one or two",
    )
    add("--height", action="store_true", help="use the height as a further channel")
    add(
        "--from",
        metavar="MODEL",
        dest="start_from",
        help="start from the weights of a model, at a third of the learning rate; "
        "without --preset, with its network",
    )
    add("--seed", metavar="S", type=int, help="the number that all chance comes from")
    add("--resume", action="store_true", help="continue the run in RUN_DIR")
    add("--wait", action="store_true", help="wait while another training is running")
    parser.set_defaults(command=("terrainlib.cli.train", "train"))


def _add_evaluate(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser("evaluate", help="score a model on a data set")
    parser.add_argument("model", metavar="MODEL", help="model file, run or `default`")
    parser.add_argument("data", metavar="DATA", type=Path, help="folder of a data set")
    parser.add_argument(
        "--split",
        choices=("all", "train", "validation"),
        default="all",
        help="part of the data set, by the model's own split",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(command=("terrainlib.cli.evaluate", "evaluate_model"))


def _add_predict(commands: "argparse._SubParsersAction[_Parser]") -> None:
    from terrainlib.mask.products.products import help_lines

    plain, placed = help_lines(placed=False), help_lines(placed=True)
    parser = commands.add_parser(
        "predict",
        help="write the masks of images",
        description=PREDICT_TEXT.format(plain=plain, placed=placed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="model file, run folder or `default`")
    add(
        "images",
        metavar="IMAGE|FOLDER",
        type=Path,
        nargs="+",
        help="PNG, JPEG or TIFF files, or folders of them",
    )
    add("--out", metavar="DIR", type=Path, required=True, help="folder for the masks")
    add("--height-file", metavar="FILE", type=Path, help="heights of the one IMAGE")
    _add_products(parser)
    add("--scale", metavar="S", type=number, help="working px per image px")
    add(
        "--bands",
        metavar="B,B,...",
        type=bands,
        help="bands to use in place of the model's, by number from 1 or name, such as "
        "4,3,2 for red, green and blue; without it those of the same names (red, green "
        "and blue may also be the first three)",
    )
    add(
        "--dask",
        metavar="ADDRESS",
        help="share the images among the workers of a Dask cluster: the address of its "
        "scheduler, or local:4 for four processes of this machine",
    )
    parser.set_defaults(command=("terrainlib.cli.predict", "predict"))


def _add_export(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser("export", help="write a model for other programs")
    add = parser.add_argument
    add("model", metavar="MODEL", help="model file, run folder or `default`")
    add(
        "--onnx",
        metavar="FILE",
        type=Path,
        required=True,
        help="new file, for QGIS with the plugin Deepness and whatever reads ONNX",
    )
    parser.set_defaults(command=("terrainlib.cli.export", "export"))


# What the options take that are more than yes or no.
_VALUES: Final[dict[str, dict[str, Any]]] = {
    "--sharpen": {"metavar": "A", "type": number},
    "--pack": {
        "metavar": "ENGINE",
        "type": pack_target,
        "nargs": "?",
        "const": "source",
    },
}


def _add_products(parser: _Parser) -> None:
    from terrainlib.mask.cleaning import STEPS
    from terrainlib.mask.products.products import CHOICES

    add = parser.add_argument
    for product in CHOICES:
        values = _VALUES.get(product.option, {"action": "store_true"})
        add(product.option, help=product.option_help, **values)
        if product.name == "vectors":
            add(
                "--min-area",
                metavar="AREA",
                type=smallest_area,
                help="smallest polygon, in px or in square metres: 16 (the default), "
                "500m2",
            )
    for step in STEPS:
        add(
            f"--{step.name}",
            metavar="PX",
            type=int,
            default=0,
            dest=step.field,
            help=step.option_help,
        )


def _add_sharpen(commands: "argparse._SubParsersAction[_Parser]") -> None:
    parser = commands.add_parser("sharpen", help="sharpen an image")
    add = parser.add_argument
    add("image", metavar="IMAGE", type=Path, help="PNG, JPEG or TIFF")
    add("out", metavar="OUT", type=Path, help="PNG, JPEG or TIFF to write")
    add("--amount", metavar="A", type=number, required=True, help="0 to 10")
    add("--method", choices=("laplacian", "unsharp"), default="laplacian")
    add(
        "--radius",
        metavar="R",
        type=number,
        default=1.0,
        help="radius of the unsharp mask in px",
    )
    parser.set_defaults(command=("terrainlib.cli.sharpen", "sharpen_image"))
