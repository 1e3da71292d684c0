"""The paper's Figure 2: one pair through every method: what became of the moving image, what differs still."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.metrics import jacobian_determinant
from LungDeepRegLib.results.pair import Pair
from LungDeepRegLib.results.report.columns import Scale, difference_scale, grey_scale, outline, picture
from LungDeepRegLib.results.report.cuts import Cut, cuts
from LungDeepRegLib.results.report.figure import letters, scale_bar
from LungDeepRegLib.results.report.slices import Slice, sliced
from LungDeepRegLib.results.report.style import BACKGROUND, FAINT, FIXED_OUTLINE, MOVING_OUTLINE, NOWHERE, TEXT
from LungDeepRegLib.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
EDGE_PX, GAP_PX, TITLE_PX, HEAD_PX, FOOT_PX = 24, 8, 78, 100, 64
TITLE_LETTER_PX = 11
MOST_COLUMNS = 8
WIDTH_PX = 2300
WIDEST_PANEL_PX = 420


@dataclass(frozen=True, eq=False)
class Panel:
    """A method on the pair.

    Attributes:
        title: Its name.
        note: Its figures on this pair.
        phi: What it found, fixed to moving RAS mm; None for no registration.
    """

    title: str
    note: str
    phi: DisplacementField | None


@dataclass(frozen=True, eq=False)
class Cell:
    """A panel cut; ``row`` of the fixed image's own cell is any of the cut's."""

    title: str
    note: str
    row: Slice
    is_fixed: bool = False


def comparison_figure(
    pair: Pair, panels: Sequence[Panel], headline: str, words: str, views: Sequence[str] = ("coronal",)
) -> Figure:
    """Draw a pair, made without touching matplotlib's global state.

    Above, the fixed image and the moving image through each method; below each, moving minus fixed.

    Args:
        pair: The images, and their lungs if they are known.
        panels: The methods, at least one, from left to right; bands of up to eight.
        headline: Above all.
        words: Below the headline.
        views: Which of ``coronal``, ``sagittal``, ``axial``, each in bands of its own.
    """
    from matplotlib.figure import Figure

    bands = [band for cut in cuts(pair) if cut.name in views for band in bands_of(pair, panels, cut)]
    scales = grey_scale(pair.moving_intensity), difference_scale(pair, [cell.row for band in bands for cell in band])
    columns = max(map(len, bands))
    px_per_mm = scale_of(bands, columns)
    column = max(cell.row.cut.size_mm[0] for band in bands for cell in band) * px_per_mm
    heights = [TITLE_PX + 2 * (band[0].row.cut.size_mm[1] * px_per_mm + GAP_PX) for band in bands]
    width = round(max(2 * EDGE_PX + columns * (column + GAP_PX), 900))
    height = round(HEAD_PX + sum(heights) + FOOT_PX)
    sheet = Sheet(Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=BACKGROUND), width, height)
    sheet.text(EDGE_PX, 34, headline, 19, TEXT, weight="bold", va="center")
    sheet.text(EDGE_PX, 74, words, 13, FAINT, va="center")
    top = float(HEAD_PX)
    for band, high in zip(bands, heights, strict=True):
        for number, cell in enumerate(band):
            draw_cell(sheet, cell, EDGE_PX + number * (column + GAP_PX), top, column, px_per_mm, scales)
        top += high
    foot(sheet, scales)
    return sheet.figure


@dataclass(frozen=True, eq=False)
class Sheet:
    """A figure measured in pixels from its top left."""

    figure: Figure
    width: int
    height: int

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes at a place."""
        box = left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height
        return self.figure.add_axes(box)

    def text(self, x: float, y: float, words: str, size: float, colour: str, **style: Any) -> None:
        """Words at a place."""
        self.figure.text(x / self.width, 1 - y / self.height, words, fontsize=size, color=colour, **style)


def bands_of(pair: Pair, panels: Sequence[Panel], cut: Cut) -> list[list[Cell]]:
    """The cells of one cut, the fixed image first, in rows that fit."""
    rows = [slice_through(pair, cut, panel.phi) for panel in panels]
    cells = [Cell("Fixed", cut.place, rows[0], is_fixed=True)]
    cells += [Cell(panel.title, panel.note, row) for panel, row in zip(panels, rows, strict=True)]
    count = -(-len(cells) // MOST_COLUMNS)
    size = -(-len(cells) // count)
    return [cells[start : start + size] for start in range(0, len(cells), size)]


def slice_through(pair: Pair, cut: Cut, phi: DisplacementField | None) -> Slice:
    """What a transformation makes of one cut."""
    field = DisplacementField.from_matrix(np.eye(4), Lattice((2, 2, 2), np.eye(4))) if phi is None else phi
    determinant = Volume(jacobian_determinant(field), field.lattice.ijk_to_ras, "jacobian")
    return sliced(cut, pair, field, determinant, np.eye(4))


def scale_of(bands: Sequence[Sequence[Cell]], columns: int) -> float:
    """Pixels per mm, one for all panels."""
    widest = max(cell.row.cut.size_mm[0] for band in bands for cell in band)
    return min((WIDTH_PX - 2 * EDGE_PX) / columns - GAP_PX, WIDEST_PANEL_PX) / widest


def draw_cell(
    sheet: Sheet, cell: Cell, left: float, top: float, column: float, px_per_mm: float, scales: tuple[Scale, Scale]
) -> None:
    """A method's title, the image it made, and what is left of the difference."""
    width, height = (side * px_per_mm for side in cell.row.cut.size_mm)
    middle, start = left + column / 2, left + (column - width) / 2
    name = "\n".join(textwrap.wrap(cell.title, max(12, int(column / TITLE_LETTER_PX))))
    sheet.text(middle, top + TITLE_PX - 25, name, 12.5, TEXT, ha="center", va="bottom", weight="bold", linespacing=1.05)
    sheet.text(middle, top + TITLE_PX - 12, cell.note, 11.5, FAINT, ha="center", va="center")
    image = panel_axes(sheet, start, top + TITLE_PX, width, height)
    picture(image, cell.row, cell.row.fixed if cell.is_fixed else cell.row.warped, scales[0])
    outline(image, cell.row, cell.row.fixed_lungs, FIXED_OUTLINE)
    below = top + TITLE_PX + height + GAP_PX
    if cell.is_fixed:
        letters(image, cell.row)
        scale_bar(image, cell.row)
        legend(sheet, cell.row, left, below)
        return
    outline(image, cell.row, cell.row.warped_lungs, MOVING_OUTLINE)
    difference = panel_axes(sheet, start, below, width, height)
    picture(difference, cell.row, cell.row.difference_after, scales[1])
    outline(difference, cell.row, cell.row.fixed_lungs, FIXED_OUTLINE)


def panel_axes(sheet: Sheet, left: float, top: float, width: float, height: float) -> Axes:
    """Empty axes in mm for one picture."""
    axes = sheet.axes(left, top, width, height)
    axes.set(xticks=[], yticks=[], facecolor=NOWHERE)
    axes.spines[:].set_visible(False)
    return axes


def legend(sheet: Sheet, row: Slice, left: float, top: float) -> None:
    """What the outlines are, below the fixed image."""
    sheet.text(left + 4, top + 16, "Above: image. Below: minus fixed.", 12, FAINT, va="center")
    if row.fixed_lungs is not None:
        sheet.text(left + 4, top + 44, "lungs, fixed image", 12, FIXED_OUTLINE, va="center")
    if row.warped_lungs is not None:
        sheet.text(left + 4, top + 68, "lungs, moving image", 12, MOVING_OUTLINE, va="center")


def foot(sheet: Sheet, scales: tuple[Scale, Scale]) -> None:
    """What the colours mean."""
    from matplotlib.cm import ScalarMappable

    for number, (scale, name) in enumerate(zip(scales, ("image", "moving - fixed"), strict=True)):
        left = EDGE_PX + 430 * number
        sheet.text(left, sheet.height - FOOT_PX + 22, name, 12, TEXT, va="center")
        axes = sheet.axes(left + 150, sheet.height - FOOT_PX + 16, 250, 13)
        bar = sheet.figure.colorbar(ScalarMappable(scale.norm, scale.colours), cax=axes, orientation="horizontal")
        bar.minorticks_off()
        bar.set_ticks(scale.ticks, labels=scale.labels)
        bar.outline.set_visible(False)
        axes.tick_params(colors=FAINT, labelsize=11, length=3)
