"""What became of one image of a prediction: mask, areas, files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import streamlit as st

from terrainlib import files
from terrainlib.data.palette import Classes, TerrainClass
from terrainlib.mask.gap.meter import Gap
from terrainlib.mask.ground.areas import AreaTable
from terrainlib.mask.products.making import Made
from terrainlib.runs.predictions import InputImage, PredictionJob
from terrainlib.types import checked
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.legend import show_legend
from terrainlib.ui.predictions.words import made_text, mask_file
from terrainlib.ui.studio.areas_view import show_areas
from terrainlib.ui.studio.gap import gap_in_words
from terrainlib.ui.studio.image_overview import image_overview, mask_overview
from terrainlib.ui.studio.masks import PictureFile
from terrainlib.ui.text import file_size, md_escape

_GREY: Final = (128, 128, 128)


def show_made(job: PredictionJob, made: Made, classes: Classes) -> None:
    """Show the result of an image.

    Args:
        job: Its prediction.
        made: What became of it.
        classes: The model's classes; empty where the model is gone.
    """
    if classes:
        show_legend(classes, shares=made.shares)
    image, mask = st.columns(2, gap="small")
    with image:
        for source in job.config.images:
            if source.name == made.name:
                show_source(job, source)
    with mask:
        _show_mask(made)
    st.caption(md_escape(made_text(made)))
    _show_gap(made.gap)
    _show_areas(made, classes)
    st.markdown(_unsure_text(made))
    for note in made.missing:
        st.warning(md_escape(_sentence(note)), icon=":material/info:")
    said = [note for note in made.notes if note not in made.missing]
    if said:
        st.caption(f"Notes: {md_escape('; '.join(said))}.")
    show_files(made.files)


def show_source(job: PredictionJob, image: InputImage) -> None:
    """Show an image in small, if it is still where it was."""
    path = Path(image.path)
    if not files.is_file(path):
        st.caption("The image is not where it was any more.")
        return
    picture = PictureFile.on_disk(path)
    if job.config.wanted.bands is not None:
        picture = picture.with_bands(job.config.wanted.bands)
    with errors_shown("The image cannot be shown"):
        jpeg = image_overview(picture).jpeg
        st.image(jpeg, alt=f"The image {image.name}", width="stretch")


def show_files(paths: tuple[Path, ...]) -> None:
    """Show the folder of files, their names and sizes."""
    there = [path for path in paths if files.is_file(path)]
    if not there:
        st.info("The files are not in their folder any more.")
        return
    st.markdown("**Files**")
    st.code(str(there[0].parent), language=None)
    listed = (
        f"- {md_escape(path.name)} :gray[{file_size(path.stat().st_size)}]"
        for path in there
    )
    st.markdown("\n".join(listed))


def _show_mask(made: Made) -> None:
    """Show the class mask in small."""
    path = mask_file(made)
    if path is None or not files.is_file(path):
        st.caption("The mask is not in its folder any more.")
        return
    with errors_shown("The mask cannot be shown here"):
        alt = f"Terrain mask of {made.name}; its legend is above"
        st.image(mask_overview(path), alt=alt, width="stretch")


def _show_gap(values: Mapping[str, Any]) -> None:
    """Say whether the image looks like the training images."""
    if values:
        st.markdown(gap_in_words(checked(Gap, values)))


def _show_areas(made: Made, classes: Classes) -> None:
    table = AreaTable.from_dict(made.areas) if made.areas else None
    if table is None or not table.rows:
        return
    grey = tuple(TerrainClass(row.name, _GREY) for row in table.rows)
    show_areas(
        table,
        classes if len(classes) == len(table.rows) else grey,
        file_name=f"{Path(made.name).stem}_areas.csv",
        key="studio_job_areas",
    )


def _unsure_text(made: Made) -> str:
    return (
        f"The model is unsure of {made.unsure_share:.1%} of the pixels: there its best "
        "two classes are close."
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
