"""The command `patches`: labelled scenes become a data set."""

import argparse

from terrainlib.cli.console import note, progress_bar, say, say_table
from terrainlib.data.labels.patches import PatchOptions, make_patches


def patches(options: argparse.Namespace) -> int:
    """Cut labelled scenes into a data set and print what is in it."""
    chosen = PatchOptions(
        field=options.field,
        size=options.size,
        width=options.width,
        bands=options.bands,
    )
    with progress_bar("Cutting patches") as (count, _):
        made = make_patches(
            options.images, options.labels, options.out, chosen, progress=count
        )
    say(f"{options.out}: {made.patches:,} patches of at most {made.size} px")
    total = max(sum(made.counts), 1)
    rows = [
        [item.name, f"{pixels:,}", f"{pixels / total:.1%}"]
        for item, pixels in zip(made.classes, made.counts, strict=True)
    ]
    say_table("Labelled", ["class", "pixels", "share"], rows)
    for text in made.notes:
        note(text)
    return 0
