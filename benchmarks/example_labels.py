"""Make the example of the labels page: three strokes a class on the scene of Europe.

Strokes lie where the embedded model with heights sees one class, chosen by a seed:

    python -m benchmarks.example_labels
"""

from typing import Final

import numpy as np

from terrainlib.data.imagery import read_height, read_image
from terrainlib.data.labels.bring import EXAMPLE_STROKES
from terrainlib.data.sample import example_scenes
from terrainlib.files import write_json
from terrainlib.mask.prediction import predict_image
from terrainlib.model.modelfile import load_model

SEED: Final = 4
STROKES: Final = 3  # a class
HALF_PX: Final = 9  # of a stroke's length
WIDTH_PX: Final = 6.0
_TRIES: Final = 2_000


def main() -> None:
    """Write the strokes of the example."""
    scene = example_scenes()[0]
    image = read_image(scene.image)
    model = load_model("default-height")
    mask = predict_image(model, image, height=read_height(scene.height)).classes
    rng = np.random.default_rng(SEED)
    strokes = []
    for number, item in enumerate(model.classes):
        rows, columns = np.nonzero(mask == number)
        made = 0
        for place in rng.integers(len(rows), size=_TRIES) if len(rows) else ():
            y, x = int(rows[place]), int(columns[place])
            part = slice(y - 5, y + 6), slice(x - HALF_PX - 4, x + HALF_PX + 5)
            inside = min(part[0].start, part[1].start) >= 0
            own = mask[part] == number
            if made < STROKES and inside and own.mean() > 0.93 and own.size > 200:
                ends = [[x - HALF_PX, y + 2.0], [x + HALF_PX, y - 2.0]]
                stroke = {
                    "id": f"example-{number}-{made}",
                    "kind": "line",
                    "class_name": item.name,
                    "points": ends,
                    "width_px": WIDTH_PX,
                }
                strokes.append(stroke)
                made += 1
    write_json(EXAMPLE_STROKES, strokes)
    print(f"{len(strokes)} strokes written to {EXAMPLE_STROKES.name}")


if __name__ == "__main__":
    main()
