"""An app with nothing but the painter; what is painted stands in a file."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import streamlit as st

from terrainlib.data.labels.strokes import Operation, Painted, done
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.files import write_json
from terrainlib.mask.rasters.png import encode_png
from terrainlib.types import known_record
from terrainlib.ui.cached import encode_jpeg
from terrainlib.ui.labels.painter import PaintView, painter

STORE = Path(os.environ["TERRAINLIB_HOME"]) / "painted.json"
SIDE = int(os.environ.get("PAINTER_SIDE", "640"))
SIZE = SIDE, SIDE * 3 // 4


def stored() -> Painted:
    return known_record(STORE, Painted) or Painted((), KAGGLE_CLASSES)


def keep(operations: Sequence[Operation]) -> Painted:
    painted = done(stored(), operations)
    write_json(STORE, asdict(painted))
    return painted


@st.cache_data
def picture(width: int, height: int) -> bytes:
    """A blue lake with an island, in green ground."""
    noise = np.random.default_rng(1).integers(0, 6, (height, width, 1))
    shown = (np.full((height, width, 3), (70, 120, 60)) + noise).astype(np.uint8)
    middle = width // 2, height // 2
    axes = round(0.29 * width), round(0.26 * height)
    cv2.ellipse(shown, middle, axes, 0, 0, 360, (40, 80, 170), -1)
    cv2.circle(shown, middle, width // 17, (190, 180, 120), -1)
    return encode_jpeg(shown)


if __name__ == "__main__":
    st.set_page_config(layout="wide")
    mask = np.zeros((96, 128, 4), np.uint8)
    mask[:, :40] = 255, 200, 0, 255
    width, height = SIZE
    seen = painter(
        PaintView(
            "lake", "lake.tif", SIZE, picture(*(min(side, 2048) for side in SIZE))
        ),
        stored(),
        key="painter",
        apply=keep,
        layers={
            "mask": (encode_png(mask), (0, 0, width, height)),
            "unsure": (encode_png(mask[:, ::-1].copy()), (0, 0, width, height)),
        },
        places=((width * 0.3, height * 0.4, 20.0), (width * 0.7, height * 0.6, 30.0)),
    )
    st.json(
        {
            "seen": seen and asdict(seen),
            "strokes": json.loads(
                json.dumps([asdict(one) for one in stored().strokes])
            ),
        },
        expanded=False,
    )
