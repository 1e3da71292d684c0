"""How Dice is spread in each method: box plots, with the paper's means beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from LungDeepRegLib.results.report.style import ALERT, BACKGROUND, FAINT, NOWHERE, TEXT

from .published import PUBLISHED, Published
from .record import DRAWN, REST, VALIDATION, Record, RunNote
from .rows import of_what, shown_methods, title_of
from .statistics import (
    ALL,
    ALL_GROUPS,
    DEFAULT,
    DRAWN_ONES,
    INHALE_EXHALE,
    combination_groups,
    dice_percent,
    of_method,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OURS, DEFAULTS, OTHERS = "#4dd0e1", "#ffd54f", "#78909c"
ROW_INCHES, WIDTH_INCHES = 0.42, 15.0
FEW = 40
"""Up to so many values are drawn one by one as well."""


def dice_figure(records: Sequence[Record], note: RunNote) -> Figure | None:
    """Pairs within patients on the left, combinations on the right; None without any Dice."""
    from matplotlib.figure import Figure

    names = [name for name in shown_methods(records, note) if any_dice(records, name)]
    if not names:
        return None
    panels = {INHALE_EXHALE: {name: of_method(records, name, (VALIDATION,)) for name in names}}
    if of_combinations(records):
        what = ALL if any(record.group == REST for record in records) else DRAWN_ONES
        panels[what] = {name: of_method(records, name, combination_groups(records, (name,))[1]) for name in names}
    height = 2.2 + ROW_INCHES * len(names)
    figure = Figure(figsize=(WIDTH_INCHES, height), dpi=100, facecolor=BACKGROUND, layout="constrained")
    figure.suptitle(f"Dice of the lungs after registration, {of_what(note)}", color=TEXT, fontsize=15, weight="bold")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for shown, (what, by_name) in zip(axes, panels.items(), strict=True):
        draw_panel(shown, what, by_name, note)
    axes[0].set_yticks(range(len(names)), [title_of(name, note) for name in names])
    axes[0].invert_yaxis()
    figure.supxlabel(
        "Box: quartiles and median; whiskers: within 1.5 interquartile ranges; white point: mean."
        " Yellow: the product's defaults; cyan: our other rows.\n"
        "Orange diamonds: mean and standard deviation of the paper's data (other images), at the nearest row.",
        color=FAINT, fontsize=10,
    )  # fmt: skip
    return figure


def any_dice(records: Sequence[Record], name: str) -> bool:
    """Whether a method has any Dice at all."""
    return any(record.dice is not None for record in of_method(records, name, ALL_GROUPS))


def of_combinations(records: Sequence[Record]) -> bool:
    """Whether there are pairs between patients at all."""
    return any(record.group in (DRAWN, REST) for record in records)


def draw_panel(axes: Axes, what: str, by_name: dict[str, list[Record]], note: RunNote) -> None:
    """A row of boxes from top to bottom."""
    most = max(len(records) for records in by_name.values())
    axes.set_facecolor(BACKGROUND)
    axes.set_title(f"{what} ({most} pairs)", color=TEXT, fontsize=12)
    axes.set_xlabel("Dice [%]", color=FAINT)
    axes.tick_params(colors=TEXT, labelsize=10.5)
    axes.spines[:].set_color(NOWHERE)
    axes.grid(axis="x", color=NOWHERE)
    axes.set_axisbelow(True)
    least = []
    for row, (name, records) in enumerate(by_name.items()):
        values = np.array([value for value in map(dice_percent, records) if value is not None])
        if values.size:
            draw_box(axes, row, values, colour_of(name), f" n = {values.size}" if values.size < most else "")
            least.append(float(values.min()))
        paper = PUBLISHED.get(name, Published(""))
        published = paper.dice if what == INHALE_EXHALE else paper.combinations
        if published is not None:
            draw_paper(axes, row, *published)
            least.append(published[0] - published[1])
    axes.set_xlim(max(0.0, min(least, default=0.0) - 3), 101)


def colour_of(name: str) -> str:
    """The defaults, our other rows, everybody else's."""
    if name == DEFAULT:
        return DEFAULTS
    return OURS if name.startswith("network") or name == "refine" else OTHERS


def draw_box(axes: Axes, row: int, values: np.ndarray, colour: str, note: str) -> None:
    """One method's values; few of them one by one as well."""
    line: dict[str, Any] = {"color": colour, "linewidth": 1.3}
    axes.boxplot(
        [values], positions=[row], orientation="horizontal", widths=0.5, patch_artist=True, manage_ticks=False,
        showfliers=values.size > FEW, showmeans=True, boxprops={"facecolor": colour + "44", "edgecolor": colour},
        medianprops={**line, "linewidth": 2.5}, whiskerprops=line, capprops=line,
        flierprops={"marker": ".", "markersize": 4, "markerfacecolor": colour, "markeredgecolor": "none"},
        meanprops={"marker": "o", "markersize": 5, "markerfacecolor": TEXT, "markeredgecolor": BACKGROUND},
    )  # fmt: skip
    if values.size <= FEW:
        apart = (np.arange(values.size) % 5 - 2) * 0.07
        axes.scatter(values, row + apart, s=9, color=colour, alpha=0.8, linewidths=0, zorder=3)
    axes.text(values.max() + 0.5, row, note, color=FAINT, fontsize=8.5, va="center")


def draw_paper(axes: Axes, row: int, mean: float, sd: float) -> None:
    """What the paper found, at the lower edge of the row."""
    axes.errorbar(mean, row + 0.36, xerr=sd, fmt="D", color=ALERT, markersize=4, linewidth=1, capsize=2, alpha=0.9)
