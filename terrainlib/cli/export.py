"""The command `export`."""

import argparse

from terrainlib import files
from terrainlib.cli.console import say
from terrainlib.errors import InputError


def export(options: argparse.Namespace) -> int:
    """Write a model for other programs; no file is written over."""
    out = options.onnx
    if out.exists():
        raise InputError("exists already. Name a new file.", file=out.name)
    from terrainlib.mask.pixelsize import training_pixel_metres
    from terrainlib.model.modelfile import load_model
    from terrainlib.model.reading.onnxfile import export_onnx, input_text

    model = load_model(options.model)
    metres = training_pixel_metres(model.record)
    data = export_onnx(model.network, model.record, pixel_metres=metres)
    files.write_bytes(out, data)
    say(f"{out}: {len(data) / 1e6:.1f} MB. Input: {input_text(model.record)}.")
    if metres is None:
        say("How much ground a pixel covers is not known: set the resolution yourself.")
    return 0
