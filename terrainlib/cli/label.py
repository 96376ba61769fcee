"""The command `label`: a mask of one image from labels on it."""

import argparse

from terrainlib.cli.console import note, progress_bar, say
from terrainlib.cli.predict import Names, remember_long, require_folder, say_after
from terrainlib.files import write_bytes
from terrainlib.mask.products.records import SHARES_FILE, Wanted, shares_csv

CLASSIFIER = "_classifier.json"


def label(options: argparse.Namespace) -> int:
    """Learn from labels, write the mask, its areas and the classifier.

    Raises:
        TerrainError: If the image or the labels cannot be used; nothing is written.
    """
    require_folder(options.out)
    wanted = Wanted(bands=options.bands)
    stem = Names(options, [options.image, *options.labels], wanted).take(options.image)
    with progress_bar("Loading") as (count, rename):
        from terrainlib.mask.instant import learn_instant
        from terrainlib.mask.products.making import predict_file
        from terrainlib.model.instant import save_instant
        from terrainlib.runs.process import stop_requested_by_signals

        with stop_requested_by_signals() as asked:
            rename("Learning from the labels")
            model = learn_instant(
                options.image,
                options.labels,
                heights=options.height_file,
                bands=options.bands,
                field=options.field,
                progress=count,
                should_stop=asked,
            )
            rename(options.image.name)
            made = predict_file(
                model,
                options.image,
                options.out,
                stem,
                wanted,
                heights=options.height_file,
                progress=count,
                should_stop=asked,
            )
    save_instant(model, options.out / f"{stem}{CLASSIFIER}")
    write_bytes(options.out / SHARES_FILE, shares_csv([made], {}))
    remember_long(made, model, wanted)
    say_after(made)
    for text in made.missing:
        note(f"{made.name}: {text}")
    say(f"mask, areas and classifier written to {options.out}")
    return 1 if made.stopped else 0
