"""Parts of the report's figure, for a page: fewer columns each, and without the header, which names the images."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .figure import Layout

OUTLINES = "Outlines: fixed lungs yellow, moving lungs light blue."
PARTS = (
    (
        "The images",
        ("Fixed", "Moving", "Warped"),
        f"Coronal, sagittal and axial cuts; the patient's right is on the left. {OUTLINES}",
    ),
    (
        "Differences before and after registration",
        ("Difference before", "Difference after"),
        "Moving minus fixed image: dark where both agree, orange where the moving one is brighter. Lung with more air"
        " in it is less dense, so a difference stays even where the match is perfect.",
    ),
    (
        "The deformation",
        ("Deformation", "Displacement", "Jacobian"),
        "A regular grid of the fixed image as it is deformed and the length of the displacement, both without what"
        " moves the image as a whole (as said above them), and the change of volume: green where tissue grows from the"
        " fixed to the moving image, purple where it shrinks, magenta where it folds. Read the change of"
        " volume by region, not by voxel.",
    ),
)
"""Title, the columns from the first to the last one, caption."""
COLUMN_TITLES_PX = 50
"""Height of what stands above the columns."""


def extracts(
    pixels: np.ndarray, layout: Layout, titles: list[str], header_px: int, left_px: int
) -> Iterator[np.ndarray]:
    """Cut the figure into :data:`PARTS`, each with the names of the cuts on its left.

    Args:
        pixels: The drawn figure, uint8 ``(H, W, 3 or 4)``.
        layout: Where its columns are.
        titles: Of the columns.
        header_px: Where the first row of cuts begins.
        left_px: Width of what stands left of the columns.
    """
    for _, columns, _ in PARTS:
        first, last = titles.index(columns[0]), titles.index(columns[-1])
        start, stop = round(layout.left(first)), round(layout.left(last) + layout.column)
        yield np.concatenate([pixels[:, :left_px], pixels[:, start:stop]], axis=1)[header_px - COLUMN_TITLES_PX :]


def png(pixels: np.ndarray) -> bytes:
    """An array ``(H, W, 3 or 4)`` as a PNG file, opaque."""
    from matplotlib.image import imsave

    stream = io.BytesIO()
    imsave(stream, np.ascontiguousarray(pixels[..., :3]), format="png", pil_kwargs={"compress_level": 3})
    return stream.getvalue()
