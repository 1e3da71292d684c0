"""The figure of validation pairs: in the manner of report.png, on the network's own lattice.

Radiological convention: superior up, the patient's right on the left of a coronal cut, anterior on the left of a
sagittal one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from LungDeepRegLib.deformation import voxels
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.intensity import Intensity
from LungDeepRegLib.results.pair import Pair as ImagePair
from LungDeepRegLib.results.report.columns import (
    Column,
    columns,
    grey_scale,
    picture,
    pixel_centres,
)
from LungDeepRegLib.results.report.cuts import sample
from LungDeepRegLib.results.report.figure import (
    DPI,
    LEFT_PX,
    Layout,
    colour_bar,
    label_row,
    letters,
    make_layout,
    panel,
    scale_bar,
    title,
)
from LungDeepRegLib.results.report.slices import Slice, slices
from LungDeepRegLib.results.report.style import BACKGROUND, FAINT, TEXT
from LungDeepRegLib.volume import Volume
from torch import Tensor

from .pairs import Pair

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CUTS = 2
"""Coronal and sagittal; the axial one of the report shows little of breathing."""
GRID_MM = 20.0
GRID_IMAGE_ALPHA = 0.5
FOUND, KNOWN = "#90caf9", "#ffb74d"
READING = Intensity("mri", 0.0, 1.0, 0.0, "the network's input")


@dataclass(frozen=True, eq=False)
class PairSlice(Slice):
    """A cut of a pair, with what was to be found.

    Attributes:
        known: The displacement that is right, ``(H, W, 3)`` RAS mm, NaN where it isn't known.
    """

    known: np.ndarray


@dataclass(frozen=True, eq=False)
class PairPicture:
    """What is drawn of one pair.

    Attributes:
        images: As the report's columns want them.
        cuts: The coronal one and the sagittal one.
        errors: From :func:`learner.measures`.
        spacing_mm: Of the network's lattice along ``(i, j, k)``.
    """

    images: ImagePair
    cuts: list[PairSlice]
    errors: dict[str, float]
    spacing_mm: tuple[float, float, float]


def pair_picture(
    pair: Pair, displacement: Tensor, spacing_mm: tuple[float, float, float], errors: dict[str, float]
) -> PairPicture:
    """Cut through a pair's lungs where they are widest (without lungs: near the middle).

    Args:
        pair: A batch of one.
        displacement: What the network found for it, ``(1, 3, K, J, I)`` in voxels along ``(i, j, k)``.
        spacing_mm: Of the network's lattice along ``(i, j, k)``, which are R, A and S.
        errors: From :func:`learner.measures`.

    Raises:
        FieldError: A displacement that isn't finite.
    """
    shape = voxels(pair.fixed)
    matrix = np.diag([*spacing_mm, 1.0])
    matrix[:3, 3] = -(np.array(shape[::-1]) - 1) / 2 * spacing_mm
    lattice = Lattice(shape, matrix)

    def field(u: Tensor) -> DisplacementField:
        return DisplacementField(array(u).transpose(1, 2, 3, 0) * np.array(spacing_mm, np.float32), lattice)

    def lungs(mask: Tensor) -> np.ndarray | None:
        found = array(mask)[0] > 0.5
        return found if found.any() else None

    fixed, moving = (Volume(array(image)[0], matrix) for image in (pair.fixed, pair.moving))
    images = ImagePair(fixed, moving, READING, READING, lungs(pair.fixed_lungs), lungs(pair.moving_lungs))
    truth, certainty = field(pair.displacement), fixed.with_array(array(pair.certainty)[0])
    cuts = []
    for cut in slices(images, field(displacement), np.eye(4))[:CUTS]:
        x = cut.cut.points
        known = np.where(sample(certainty, x)[..., None] > 0.5, truth(x) - x, np.nan)
        cuts.append(PairSlice(**vars(cut), known=known))
    return PairPicture(images, cuts, errors, spacing_mm)


def array(batch: Tensor) -> np.ndarray:
    """The only item of a batch, float32."""
    return batch[0].float().cpu().numpy()


def draw_pairs(pictures: list[PairPicture], step: int) -> Figure:
    """A row for each cut, all at one scale, made without touching matplotlib's global state.

    Args:
        pictures: At least one.
        step: How many steps the network has learnt for.
    """
    from matplotlib.figure import Figure

    rows = [row for number, shown in enumerate(pictures, 1) for row in labelled(shown, number)]
    kinds = kinds_of_pictures(pictures[0].images, rows)
    layout = make_layout(rows, len(kinds))  # type: ignore[arg-type]
    figure = Figure(figsize=(layout.width / DPI, layout.height / DPI), dpi=DPI, facecolor=BACKGROUND)
    head(figure, layout, pictures, step)
    for number, kind in enumerate(kinds):
        title(figure, layout, number, kind)
        for row, top in zip(rows, layout.tops, strict=True):
            axes = panel(figure, layout, row, number, top)
            kind.draw(axes, row)
            if number == 0:
                letters(axes, row)
                label_row(figure, layout, row, top)
                if row is rows[0]:
                    scale_bar(axes, row)
        colour_bar(figure, layout, number, kind)
    return figure


def labelled(shown: PairPicture, number: int) -> list[PairSlice]:
    """A pair's cuts with its number and its errors where the report names the place of a cut."""
    notes = [*error_notes(shown.errors), *[""] * CUTS]
    return [
        dataclasses.replace(row, cut=dataclasses.replace(row.cut, name=f"pair {number} {row.cut.name}", place=note))
        for row, note in zip(shown.cuts, notes, strict=False)
    ]


def error_notes(errors: dict[str, float]) -> list[str]:
    """What is known of how well a pair was registered, the most telling first."""
    notes = []
    for name, words in (("error", "error"), ("landmark_error", "landmarks")):
        if f"{name}_mm" in errors:
            notes.append(f"{words} {errors[f'{name}_before_mm']:.1f} to {errors[f'{name}_mm']:.1f} mm")
    return [*notes, f"Dice {errors['dice']:.3f}"] if "dice" in errors else notes


def kinds_of_pictures(images: ImagePair, rows: list[PairSlice]) -> list[Column]:
    """The report's columns up to the deformation, which shows what was to be found as well."""
    fixed, moving, warped, before, after, deformation = columns(images, list(rows), aligned=True)[:6]
    grey = grey_scale(READING)

    def grids(axes: Axes, row: Slice) -> None:
        assert isinstance(row, PairSlice)
        axes.set_facecolor(BACKGROUND)
        picture(axes, row, row.fixed, grey, GRID_IMAGE_ALPHA)
        deformed_grid(axes, row, row.known, KNOWN)
        deformed_grid(axes, row, row.deformation, FOUND)

    known = any(np.isfinite(row.known).any() for row in rows)
    return [
        fixed,
        dataclasses.replace(moving, note="aligned"),
        dataclasses.replace(warped, note="moving, by the network"),
        before,
        after,
        dataclasses.replace(deformation, note="found over known" if known else "found", draw=grids),
    ]


def deformed_grid(axes: Axes, row: Slice, displacement: np.ndarray, colour: str) -> None:
    """Where the lines of a regular grid in the fixed image go, as seen in the plane."""
    width, height = row.cut.size_mm
    axes.set(xlim=(0, width), ylim=(height, 0))
    x, y = pixel_centres(row)
    across = x[None, :] + displacement @ row.cut.right
    down = y[:, None] - displacement @ row.cut.up
    step = max(1, round(GRID_MM / row.cut.pixel_mm))
    style: dict[str, Any] = {"color": colour, "linewidth": 1.0}
    for at in range(step // 2, across.shape[0], step):
        axes.plot(across[at], down[at], **style)
    for at in range(step // 2, across.shape[1], step):
        axes.plot(across[:, at], down[:, at], **style)


def head(figure: Figure, layout: Layout, pictures: list[PairPicture], step: int) -> None:
    """What the picture shows, and what its grey values, colours and lines mean."""
    counted = [shown.errors for shown in pictures if "error_mm" in shown.errors]
    error = ""
    if counted:
        before, after = (np.mean([errors[name] for errors in counted]) for name in ("error_before_mm", "error_mm"))
        error = f": mean error in the lungs {before:.1f} mm before, {after:.1f} mm after"
    headline = f"Validation after {step} step{'' if step == 1 else 's'}{error}"
    layout.text(figure, LEFT_PX, 40, headline, 20, TEXT, weight="bold", va="center")
    spacing = " x ".join(f"{mm:g}" for mm in pictures[0].spacing_mm)
    words = (
        f"Grey: the network's input on its lattice of {spacing} mm, 0 black to 1 white. Outlines: lungs of the fixed"
        " image yellow, of the moving one blue.",
        "Differences: black where both images agree, blue where the moving one is darker, orange where it is brighter.",
        f"Deformation: lines every {GRID_MM:.0f} mm of the fixed image, where they go in the moving one; blue as found,"
        " orange as known.",
    )
    for number, line in enumerate(words):
        layout.text(figure, LEFT_PX, 78 + 24 * number, line, 12, FAINT, va="center")
