"""Pictures of how well patients are told apart, and by what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from LungDeepRegLib.results.report.style import BACKGROUND, FAINT, FIXED_OUTLINE, TEXT, colour_map

from .outcome import NETWORK, Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#4fc3f7", "#ffb74d", "#aed581")
SHARES = (BACKGROUND, "#0d47a1", "#0277bd")
TITLE_SIZE = 13
SMOOTHED = 1.0
"""Gaussian SD for the saliency: convolutions with stride 2 look at every second voxel more than at the others."""


def scores_figure(outcome: Outcome, ill: str, other: str, heading: str) -> Figure:
    """Confusion matrix, receiver operating characteristic, and the areas that shuffled labels give.

    Args:
        outcome: What was found.
        ill: The label that is looked for.
        other: The other one.
        heading: What the patients are.
    """
    figure, axes = sheet(1, 3, (13.5, 4.9), f"{ill} or {other}, by breathing: {heading}")
    confusion(axes[0, 0], outcome, ill, other)
    characteristic(axes[0, 1], outcome)
    control(axes[0, 2], outcome)
    return figure


def confusion(axes: Axes, outcome: Outcome, ill: str, other: str) -> None:
    """How many of which kind are called what."""
    counts = np.array(outcome.scores[NETWORK].confusion)
    axes.imshow(counts / counts.sum(axis=1, keepdims=True), cmap=colour_map(SHARES), vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(column, row, str(count), ha="center", va="center", color="white", size=22, weight="bold")
    axes.set_xticks([0, 1], [ill, other])
    axes.set_yticks([0, 1], [ill, other], rotation=90, va="center")
    axes.set(xlabel="called", ylabel="is")
    scores = outcome.scores[NETWORK]
    axes.set_title(f"Accuracy {scores.accuracy.percent()}", size=TITLE_SIZE)


def characteristic(axes: Axes, outcome: Outcome) -> None:
    """Sensitivity over false alarms for every threshold."""
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1)
    for (name, said), colour in zip(outcome.all_logits.items(), COLOURS, strict=True):
        thresholds = np.concatenate([[np.inf], np.unique(said)[::-1]])
        hits, alarms = ([np.mean(said[kind] >= t) for t in thresholds] for kind in (outcome.ill, ~outcome.ill))
        words = f"{name}: {outcome.scores[name].auc.plain()}"
        axes.plot(alarms, hits, color=colour, linewidth=2.5 if name == NETWORK else 1.5, label=words)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
    axes.legend(loc="lower right", fontsize=8, labelcolor=TEXT, facecolor=BACKGROUND, edgecolor=FAINT)
    axes.set_title("Area under the curve (95 %)", size=TITLE_SIZE)


def control(axes: Axes, outcome: Outcome) -> None:
    """The area that was found among those of shuffled labels."""
    from matplotlib.ticker import MaxNLocator

    areas, found = outcome.control.areas, outcome.scores[NETWORK].auc.value
    counts, _, _ = axes.hist(areas, bins=20, range=(0, 1), color=FAINT, label=f"{len(areas)} times shuffled labels")
    axes.axvline(found, color=COLOURS[0], linewidth=2.5, label="true labels")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.4 * np.max(counts)), xlabel="area under the curve", ylabel="times")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left", fontsize=8, labelcolor=TEXT, facecolor=BACKGROUND, edgecolor=FAINT)
    axes.set_title(f"Permutation control: p = {outcome.control.p_value:.3f}", size=TITLE_SIZE)


def saliency_figure(outcome: Outcome, ill: str, other: str, heading: str) -> Figure:
    """How far tissue moves, and how much the answer depends on it: means over those called what they are.

    Args:
        outcome: What was found.
        ill: The label that is looked for.
        other: The other one.
        heading: What the patients are.
    """
    lungs, length = outcome.boxes.lungs, np.linalg.norm(outcome.boxes.displacement, axis=1)
    plane = int(lungs.sum(axis=(0, 1, 3)).argmax())
    looked_at = smoothed(outcome.network.saliency)
    title = f"How tissue moves, and what the answer depends on; coronal plane: {heading}"
    figure, axes = sheet(2, 2, (11.5, 9.6), title)
    kinds = ((ill, outcome.ill), (other, ~outcome.ill))
    quantities = (
        (length, "mean |u| without its affine part, in mm", "viridis"),
        (looked_at / looked_at.max(), "mean |d logit / d u|, relative, smoothed", "inferno"),
    )
    for column, (values, words, colours) in enumerate(quantities):
        shown = [cut(values, kind & outcome.called_right, plane) for _, kind in kinds]
        highest = max((float(image.max()) for image in shown if image is not None), default=1.0)
        for row, (label, kind) in enumerate(kinds):
            panel, chosen = axes[row, column], kind & outcome.called_right
            panel.set_title(f"{label}, the {chosen.sum()} of {kind.sum()} called so\n{words}", size=11)
            draw(figure, panel, shown[row], cut(lungs, chosen, plane), colours, highest)
    return figure


def smoothed(values: np.ndarray) -> np.ndarray:
    """Maps ``(N, K, J, I)``, each smoothed by :data:`SMOOTHED` voxels."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(values, SMOOTHED, axes=(1, 2, 3))


def cut(values: np.ndarray, chosen: np.ndarray, plane: int) -> np.ndarray | None:
    """The mean of some patients' ``(N, K, J, I)`` in a coronal plane, patient's right on the left; None for nobody."""
    return values[chosen][:, :, plane, ::-1].mean(axis=0) if chosen.any() else None


def draw(
    figure: Figure, axes: Axes, image: np.ndarray | None, lungs: np.ndarray | None, colours: str, highest: float
) -> None:
    """A cut in colours with the outline of half the patients' lungs."""
    if image is None:
        axes.text(0.5, 0.5, "nobody", transform=axes.transAxes, ha="center", color=FAINT)
        axes.set_axis_off()
        return
    height, width = image.shape
    extent = (0, width, 0, height)
    shown = axes.imshow(image, colours, origin="lower", extent=extent, vmin=0, vmax=highest, interpolation="bilinear")
    if lungs is not None and lungs.max() > 0.5:
        axes.contour(lungs, [0.5], colors=FIXED_OUTLINE, origin="lower", extent=extent, linewidths=1.2)
    axes.set_xticks([0, width], ["R", "L"])
    axes.set_yticks([0, height], ["I", "S"])
    bar = figure.colorbar(shown, ax=axes, shrink=0.85)
    bar.ax.tick_params(colors=TEXT)


def sheet(rows: int, columns: int, size: tuple[float, float], title: str) -> tuple[Figure, np.ndarray]:
    """A dark figure with axes ``(rows, columns)``, made without touching matplotlib's global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=120, facecolor=BACKGROUND, layout="constrained")
    figure.suptitle(title, color=TEXT, weight="bold")
    axes = figure.subplots(rows, columns, squeeze=False)
    for one in axes.flat:
        one.set_facecolor(BACKGROUND)
        one.tick_params(colors=TEXT)
        one.title.set_color(TEXT)
        one.xaxis.label.set_color(TEXT)
        one.yaxis.label.set_color(TEXT)
        for spine in one.spines.values():
            spine.set_color(FAINT)
    return figure, axes
