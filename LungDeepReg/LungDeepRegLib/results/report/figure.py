"""The report's figure: a row for each cut, all at one scale, a column for each kind of picture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...displacement_field import DisplacementField
from ...html_report import Picture
from ..pair import Pair
from .columns import Column, columns
from .extracts import PARTS, extracts, png
from .header import draw_header
from .slices import Slice, slices
from .style import BACKGROUND, FAINT, NOWHERE, TEXT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
WIDEST_PX, HIGHEST_PX = 2400, 1480
HEADER_PX, BARS_PX, LEFT_PX, RIGHT_PX, GAP_PX = 206, 66, 66, 20, 8
LEAST_COLUMN_PX = 190
SCALE_BAR_MM = 50


def write_report(
    path: Path,
    pair: Pair,
    phi: DisplacementField,
    summary: dict[str, Any],
    alignment: np.ndarray | None = None,
) -> list[Picture]:
    """Draw report.png.

    Args:
        path: The file.
        pair: The images, and their lungs if they are known.
        phi: The transformation.
        summary: The figures for the header, from :func:`summary.summary`.
        alignment: The affine part, 4x4; the deformation beyond it is drawn.

    Returns:
        The same in parts, without the header and the names in it, for the page.

    Raises:
        OSError: A full disk or a place that isn't writable.
        ModuleNotFoundError: matplotlib is absent.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure, layout, titles = drawn(pair, phi, summary, alignment)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    with ThreadPoolExecutor() as pool:
        whole, *files = pool.map(png, [pixels, *extracts(pixels, layout, titles, HEADER_PX, LEFT_PX)])
    path.write_bytes(whole)
    return [Picture(title, caption, file) for (title, _, caption), file in zip(PARTS, files, strict=True)]


def draw_report(
    pair: Pair, phi: DisplacementField, summary: dict[str, Any], alignment: np.ndarray | None = None
) -> Figure:
    """The figure of :func:`write_report`, made without touching matplotlib's global state."""
    return drawn(pair, phi, summary, alignment)[0]


def drawn(
    pair: Pair, phi: DisplacementField, summary: dict[str, Any], alignment: np.ndarray | None
) -> tuple[Figure, Layout, list[str]]:
    """The figure, where things are in it, and its columns' titles."""
    from matplotlib.figure import Figure

    rows = slices(pair, phi, alignment)
    kinds = columns(pair, rows, aligned=alignment is not None)
    layout = make_layout(rows, len(kinds))
    figure = Figure(figsize=(layout.width / DPI, layout.height / DPI), dpi=DPI, facecolor=BACKGROUND)
    draw_header(figure, summary, LEFT_PX, RIGHT_PX)
    for number, kind in enumerate(kinds):
        title(figure, layout, number, kind)
        for row, top in zip(rows, layout.tops, strict=True):
            axes = panel(figure, layout, row, number, top)
            kind.draw(axes, row)
            if number < 3:
                letters(axes, row)
            if number == 0:
                label_row(figure, layout, row, top)
            if number == 0 and row is rows[0]:
                scale_bar(axes, row)
        colour_bar(figure, layout, number, kind)
    return figure, layout, [kind.title for kind in kinds]


@dataclass(frozen=True)
class Layout:
    """Where panels are, in pixels from the top left."""

    width: int
    height: int
    column: float
    tops: list[float]
    px_per_mm: float

    def left(self, number: int) -> float:
        """Left edge of a column."""
        return LEFT_PX + number * (self.column + GAP_PX)

    def axes(self, figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
        """Axes at a place."""
        return figure.add_axes(
            (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        )

    def text(self, figure: Figure, x: float, y: float, words: str, size: float, colour: str, **style: Any) -> None:
        """Words at a place."""
        figure.text(x / self.width, 1 - y / self.height, words, fontsize=size, color=colour, **style)


def make_layout(rows: list[Slice], count: int) -> Layout:
    """One scale for all cuts, as large as the picture's greatest width and height allow."""
    widest = max(row.cut.size_mm[0] for row in rows)
    heights = [row.cut.size_mm[1] for row in rows]
    room = (WIDEST_PX - LEFT_PX - RIGHT_PX) / count - GAP_PX
    px_per_mm = min(room / widest, (HIGHEST_PX - HEADER_PX - BARS_PX) / sum(heights))
    column = max(widest * px_per_mm, LEAST_COLUMN_PX)
    tops, top = [], float(HEADER_PX)
    for height in heights:
        tops.append(top)
        top += height * px_per_mm + GAP_PX
    width = round(LEFT_PX + count * (column + GAP_PX) + RIGHT_PX)
    return Layout(width, round(top + BARS_PX), column, tops, px_per_mm)


def panel(figure: Figure, layout: Layout, row: Slice, number: int, top: float) -> Axes:
    """Empty axes in mm for one picture, in the middle of its column."""
    width, height = (side * layout.px_per_mm for side in row.cut.size_mm)
    axes = layout.axes(figure, layout.left(number) + (layout.column - width) / 2, top, width, height)
    axes.set(xticks=[], yticks=[], facecolor=NOWHERE)
    axes.spines[:].set_visible(False)
    return axes


def title(figure: Figure, layout: Layout, number: int, kind: Column) -> None:
    """Name and note of a column above it."""
    middle = layout.left(number) + layout.column / 2
    layout.text(figure, middle, HEADER_PX - 26, kind.title, 13, TEXT, ha="center", va="bottom", weight="bold")
    layout.text(figure, middle, HEADER_PX - 7, kind.note, 10, FAINT, ha="center", va="bottom")


def label_row(figure: Figure, layout: Layout, row: Slice, top: float) -> None:
    """Name and place of a cut, on its left."""
    middle = top + row.cut.size_mm[1] * layout.px_per_mm / 2
    style: dict[str, Any] = {"rotation": 90, "ha": "center", "va": "center"}
    layout.text(figure, LEFT_PX - 46, middle, row.cut.name.capitalize(), 14, TEXT, weight="bold", **style)
    layout.text(figure, LEFT_PX - 20, middle, row.cut.place, 11, FAINT, **style)


def letters(axes: Axes, row: Slice) -> None:
    """Anatomical directions at the edges of a picture."""
    left, right, top, bottom = row.cut.letters
    style: dict[str, Any] = {"transform": axes.transAxes, "color": TEXT, "fontsize": 12, "weight": "bold"}
    style["path_effects"] = edged(2.5)
    axes.text(0.02, 0.5, left, ha="left", va="center", **style)
    axes.text(0.98, 0.5, right, ha="right", va="center", **style)
    axes.text(0.5, 0.985, top, ha="center", va="top", **style)
    axes.text(0.5, 0.015, bottom, ha="center", va="bottom", **style)


def scale_bar(axes: Axes, row: Slice) -> None:
    """A length of 50 mm, at the bottom left."""
    x, y = 0.05 * row.cut.size_mm[0], row.cut.size_mm[1] * 0.955
    axes.plot([x, x + SCALE_BAR_MM], [y, y], color=TEXT, linewidth=3, path_effects=edged(5.5), solid_capstyle="butt")
    axes.text(x, y - 5, f"{SCALE_BAR_MM} mm", fontsize=10, va="bottom", color=TEXT, path_effects=edged(2.5))


def edged(width: float) -> list[Any]:
    """A dark edge, so that light words and lines can be read on any picture."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground=BACKGROUND)]


def colour_bar(figure: Figure, layout: Layout, number: int, kind: Column) -> None:
    """What a column's colours mean, below it."""
    if kind.scale is None:
        return
    from matplotlib.cm import ScalarMappable

    scale, left = kind.scale, layout.left(number)
    axes = layout.axes(figure, left + 4, layout.height - BARS_PX + 8, layout.column - 8, 13)
    bar = figure.colorbar(ScalarMappable(scale.norm, scale.colours), cax=axes, orientation="horizontal")
    bar.minorticks_off()
    bar.set_ticks(scale.ticks, labels=scale.labels)
    first, _, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    bar.outline.set_visible(False)
    axes.tick_params(colors=FAINT, labelsize=10.5, length=3)
