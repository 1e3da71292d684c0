"""The kinds of pictures of the report: one column each, with one colour bar for its three cuts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...intensity import Intensity
from ..images import difference_unit
from ..pair import Pair
from .slices import Slice
from .style import (
    BACKGROUND,
    DETERMINANT_COLOURS,
    DIFFERENCE_COLOURS,
    FIXED_OUTLINE,
    FOLDED,
    MOVING_OUTLINE,
    NOWHERE,
    colour_map,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize

LUNG_WINDOW_HU = (-1350.0, 150.0)
DIFFERENCE_LIMITS_HU = (200.0, 800.0)
LEAST_DISPLACEMENT_MM = 2.0
DETERMINANT_LIMITS = (1.5, 4.0)
NO_VOLUME = 1e-6
"""Stands for what is folded on a logarithmic scale."""
GRID_MM = 10.0
GRID_IMAGE_ALPHA = 0.2
OUTLINE_WIDTH = 1.1
OUTSIDE_ALPHA = 0.3
"""What is beyond the lungs is continued, not registered."""


@dataclass(frozen=True, eq=False)
class Scale:
    """What the colours of a column mean.

    Attributes:
        colours: matplotlib's colour map.
        norm: matplotlib's map of values to [0, 1].
        ticks: The three values that the colour bar names: at its left end, in between, at its right end.
        unit: Their unit.
    """

    colours: Colormap
    norm: Normalize
    ticks: list[float]
    unit: str

    @property
    def labels(self) -> list[str]:
        """The ticks in words."""
        words = [f"{tick:.0f}" if abs(tick) >= 100 else f"{round(tick, 2):g}" for tick in self.ticks]
        return [words[0], words[1], f"{words[2]} {self.unit}".strip()]


@dataclass(frozen=True, eq=False)
class Column:
    """One kind of picture.

    Attributes:
        title: Above the column.
        note: Below the title.
        draw: Draws a cut into axes in mm.
        scale: Of its colour bar; None for none.
    """

    title: str
    note: str
    draw: Callable[[Axes, Slice], None]
    scale: Scale | None


def columns(pair: Pair, rows: list[Slice], *, aligned: bool) -> list[Column]:
    """The columns of the report, from left to right."""
    grey = grey_scale(pair.fixed_intensity), grey_scale(pair.moving_intensity)
    difference = difference_scale(pair, rows)
    displacement, determinant = displacement_scale(rows), determinant_scale(rows)
    beyond = "beyond the alignment" if aligned else "beyond its median"

    def image(part: str, scale: Scale, *outlines: tuple[str, str]) -> Callable[[Axes, Slice], None]:
        def draw(axes: Axes, row: Slice) -> None:
            picture(axes, row, getattr(row, part), scale)
            for name, colour in outlines:
                outline(axes, row, getattr(row, name), colour)

        return draw

    fixed, moved, warped = (
        ("fixed_lungs", FIXED_OUTLINE),
        ("moving_lungs", MOVING_OUTLINE),
        ("warped_lungs", MOVING_OUTLINE),
    )

    def of_lungs(values: Callable[[Slice], np.ndarray], scale: Scale) -> Callable[[Axes, Slice], None]:
        def draw(axes: Axes, row: Slice) -> None:
            axes.set_facecolor(BACKGROUND)
            picture(axes, row, values(row), scale, np.where(in_lungs(row), 1.0, OUTSIDE_ALPHA))
            outline(axes, row, row.fixed_lungs, FIXED_OUTLINE)

        return draw

    def growth(row: Slice) -> np.ndarray:
        return np.where(row.jacobian <= 0, NO_VOLUME, np.maximum(row.jacobian, 1.01 * determinant.ticks[0]))

    def grid(axes: Axes, row: Slice) -> None:
        axes.set_facecolor(BACKGROUND)
        picture(axes, row, row.fixed, grey[0], GRID_IMAGE_ALPHA)
        deformed_grid(axes, row)

    return [
        Column("Fixed", "", image("fixed", grey[0], fixed), grey[0]),
        Column("Moving", "as it lies in the scanner", image("moving", grey[1], moved), grey[1]),
        Column("Warped", "moving, registered", image("warped", grey[1], fixed, warped), grey[1]),
        Column("Difference before", "moving - fixed", image("difference_before", difference), difference),
        Column("Difference after", "warped - fixed", image("difference_after", difference), difference),
        Column("Deformation", f"{GRID_MM:.0f} mm grid, {beyond}", grid, None),
        Column("Displacement", beyond, of_lungs(length, displacement), displacement),
        Column("Jacobian", "volume, fixed to moving", of_lungs(growth, determinant), determinant),
    ]


def picture(axes: Axes, row: Slice, values: np.ndarray, scale: Scale, alpha: np.ndarray | float = 1.0) -> None:
    """An array in its place, in mm."""
    width, height = row.cut.size_mm
    axes.imshow(
        values, cmap=scale.colours, norm=scale.norm, extent=(0, width, height, 0), aspect="auto", alpha=alpha,
        interpolation="auto" if np.ndim(alpha) == 0 else "nearest",
    )  # fmt: skip


def outline(axes: Axes, row: Slice, lungs: np.ndarray | None, colour: str) -> None:
    """The lungs' edge."""
    if lungs is None or not 0 < (lungs > 0.5).mean() < 1:
        return
    x, y = pixel_centres(row)
    axes.contour(x, y, lungs, levels=[0.5], colors=[colour], linewidths=OUTLINE_WIDTH, alpha=0.9)


def pixel_centres(row: Slice) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the pixels across and down, in mm from the top left."""
    height, width = row.cut.points.shape[:2]
    return (np.arange(width) + 0.5) * row.cut.pixel_mm, (np.arange(height) + 0.5) * row.cut.pixel_mm


def deformed_grid(axes: Axes, row: Slice) -> None:
    """Where the lines of a regular grid in the fixed image go, as seen in the plane."""
    width, height = row.cut.size_mm
    axes.set(xlim=(0, width), ylim=(height, 0))
    x, y = pixel_centres(row)
    across = x[None, :] + row.deformation @ row.cut.right
    down = y[:, None] - row.deformation @ row.cut.up
    step = max(1, round(GRID_MM / row.cut.pixel_mm))
    style: dict[str, Any] = {"color": "#90caf9", "linewidth": 0.8, "alpha": 0.95}
    for at in range(step // 2, across.shape[0], step):
        axes.plot(across[at], down[at], **style)
    for at in range(step // 2, across.shape[1], step):
        axes.plot(across[:, at], down[:, at], **style)
    outline(axes, row, row.fixed_lungs, FIXED_OUTLINE)


def length(row: Slice) -> np.ndarray:
    """Length of the displacement that is drawn, in mm."""
    return np.linalg.norm(row.deformation, axis=-1)


def grey_scale(intensity: Intensity) -> Scale:
    """The lung window for CT, otherwise the window of the engine."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    ct = intensity.modality == "ct"
    low, high = LUNG_WINDOW_HU if ct else (intensity.low, intensity.high)
    return Scale(
        colormaps["gray"].with_extremes(bad=NOWHERE),
        Normalize(low, high),
        [low, (low + high) / 2, high],
        "HU" if ct else "",
    )


def difference_scale(pair: Pair, rows: list[Slice]) -> Scale:
    """Symmetric, and the same before and after."""
    from matplotlib.colors import Normalize

    limit = percentile([abs(row.difference_before) for row in rows] + [abs(row.difference_after) for row in rows], 98)
    if pair.modality == "ct":
        limit = float(np.clip(limit, *DIFFERENCE_LIMITS_HU))
    limit = float(f"{limit:.1g}") or 1.0
    colours = colour_map(DIFFERENCE_COLOURS)
    return Scale(colours, Normalize(-limit, limit), [-limit, 0.0, limit], difference_unit(pair))


def displacement_scale(rows: list[Slice]) -> Scale:
    """From 0, as far as displacements go in the lungs."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    lengths = [length(row)[in_lungs(row)] for row in rows]
    limit = max(LEAST_DISPLACEMENT_MM, float(np.ceil(percentile(lengths, 99.5))))
    return Scale(colormaps["inferno"], Normalize(0, limit), [0, limit / 2, limit], "mm")


def determinant_scale(rows: list[Slice]) -> Scale:
    """Logarithmic around 1; what is folded gets a colour of its own."""
    from matplotlib.colors import LogNorm

    values = [row.jacobian[in_lungs(row)] for row in rows]
    spread = percentile([abs(np.log(part[part > 0])) for part in values], 99)
    limit = float(np.clip(np.round(np.exp(spread), 1), *DETERMINANT_LIMITS))
    colours = colour_map(DETERMINANT_COLOURS).with_extremes(bad=NOWHERE, under=FOLDED)
    return Scale(colours, LogNorm(1 / limit, limit), [1 / limit, 1.0, limit], "")


def in_lungs(row: Slice) -> np.ndarray:
    """The pixels of a cut by which its colours are scaled: of the lungs, or all."""
    return np.ones(row.fixed.shape, bool) if row.fixed_lungs is None else row.fixed_lungs > 0.5


def percentile(parts: list[np.ndarray], percent: float) -> float:
    """A percentile of all finite values, 0 where there are none."""
    values = np.concatenate([part[np.isfinite(part)] for part in parts])
    return float(np.percentile(values, percent)) if values.size else 0.0
