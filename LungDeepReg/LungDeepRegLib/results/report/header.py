"""The head of the report: which images, the key figures, warnings."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...html_report import NOT_MEASURED, NOTICE
from .style import ALERT, FAINT, FIXED_OUTLINE, MOVING_OUTLINE, TEXT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_WARNINGS = 2
FOLDED_ALERT_PERCENT = 0.1
VOLUME_ALERT = 0.1


@dataclass(frozen=True)
class Tile:
    """One key figure: what it is, its value, and whether it should give pause."""

    label: str
    value: str
    alert: bool = False


def tiles(summary: dict[str, Any]) -> list[Tile]:
    """The key figures of a summary."""
    return [
        Tile("Lungs' Dice: before, aligned, after", *overlap(summary)),
        Tile("Mean landmark error [mm]", *landmark_error(summary)),
        Tile("Similarity in the lungs (LNCC)", *likeness(summary["similarity"])),
        Tile("Folded: lungs | whole field", *folding(summary)),
        Tile("Mean Jacobian | volume ratio of the lungs", *volumes(summary)),
        Tile("Time", duration(summary)),
    ]


def overlap(summary: dict[str, Any]) -> tuple[str, bool]:
    """Dice before, aligned and after."""
    found = arrows([summary[f"dice_{when}"] for when in ("before", "aligned", "after")], 3)
    before, after = summary["dice_before"], summary["dice_after"]
    return found, after is not None and (after < 0.9 or after < before)


def landmark_error(summary: dict[str, Any]) -> tuple[str, bool]:
    """Mean target registration error before, aligned and after."""
    errors = summary["landmark_error_mm"]
    if errors is None:
        return NOT_MEASURED, False
    means = [errors[when] and errors[when]["ds"]["mean"] for when in ("before", "aligned", "after")]
    return arrows(means, 2), means[2] > means[0]


def likeness(similarity: dict[str, Any]) -> tuple[str, bool]:
    """Local correlation before and after."""
    before, after = similarity["before"], similarity["after"]
    return arrows([before, after], 2), after is None or (before is not None and after < before)


def folding(summary: dict[str, Any]) -> tuple[str, bool]:
    """Folded cells in the lungs and everywhere."""
    lungs, everywhere = summary["folded_percent_lung"], summary["folded_percent"]
    worst = max(lungs or 0.0, everywhere)
    shown = [NOT_MEASURED if value is None else f"{value:.2g} %" for value in (lungs, everywhere)]
    return " | ".join(shown), worst > FOLDED_ALERT_PERCENT or bool(lungs)


def volumes(summary: dict[str, Any]) -> tuple[str, bool]:
    """Mean Jacobian in the lungs beside the ratio of the masks' volumes."""
    mean, ratio = summary["mean_jacobian_lung"], summary["lung_volume_ratio"]
    shown = " | ".join("-" if value is None else f"{value:.3f}" for value in (mean, ratio))
    return shown, mean is not None and ratio is not None and abs(mean / ratio - 1) > VOLUME_ALERT


def duration(summary: dict[str, Any]) -> str:
    """Time so far, and where it was spent."""
    seconds = f"{summary['seconds_total']:.0f} s"
    return f"{seconds}, {summary['device']}" if summary["device"] else seconds


def arrows(values: list[float | None], digits: int) -> str:
    """Known values in their order."""
    known = [f"{value:.{digits}f}" for value in values if value is not None]
    return " \N{RIGHTWARDS ARROW} ".join(known) or NOT_MEASURED


def draw_header(figure: Figure, summary: dict[str, Any], left: float, right: float) -> None:
    """Title, key figures and warnings at the top of a figure; positions in pixels."""
    width, height = figure.get_size_inches() * figure.dpi

    def text(x: float, y: float, words: str, size: float, colour: str, **style: Any) -> None:
        figure.text(x / width, 1 - y / height, words, fontsize=size, color=colour, va="top", **style)

    title = f"{summary['moving']} (moving)  \N{RIGHTWARDS ARROW}  {summary['fixed']} (fixed)"
    text(left, 16, textwrap.shorten(title, 110, placeholder=" ..."), 17, TEXT, weight="bold")
    text(width - right, 14, NOTICE, 13, ALERT, ha="right")
    if summary["masks"]["fixed"] or summary["masks"]["moving"]:
        text(width - right - 130, 37, "outlines: fixed lungs", 11.5, FIXED_OUTLINE, ha="right")
        text(width - right, 37, "moving lungs", 11.5, MOVING_OUTLINE, ha="right")
    found = tiles(summary)
    step = (width - left - right) / len(found)
    for number, tile in enumerate(found):
        text(left + number * step, 58, tile.label, 11.5, FAINT)
        text(left + number * step, 78, tile.value, 16, ALERT if tile.alert else TEXT)
    for line, words in enumerate(warning_lines(summary["warnings"], int((width - left - right) / 8))):
        text(left, 110 + 19 * line, words, 11.5, ALERT)


def warning_lines(warnings: list[str], most: int) -> list[str]:
    """The first warnings, each on one line, and how many more there are."""
    shown = [textwrap.shorten(f"! {warning}", most, placeholder=" ...") for warning in warnings[:MOST_WARNINGS]]
    left_out = len(warnings) - len(shown)
    return [*shown[:-1], f"{shown[-1]}   (and {left_out} more in summary.json)"] if left_out else shown
