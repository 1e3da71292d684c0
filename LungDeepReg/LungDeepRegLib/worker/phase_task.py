"""One phase of a 4D image registered to another: a registration of which only what a series keeps is passed back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..outcome import Outcome
from ..registration import Progress

FIGURES = ("dice_before", "dice_after", "folded_percent_lung", "folded_percent", "mean_jacobian_lung", "warnings")
"""The entries of summary.json that a series keeps for each phase."""


def phase(
    register: Callable[[dict[str, Any], Progress], Outcome], request: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """Register a phase.

    Args:
        register: The task that registers a pair.
        request: That task's, and ``warped_wanted``: whether the deformed volume is to be passed back.
        progress: Told the stages of a registration.

    Returns:
        ``field``; ``warped``, a Volume or None; ``fixed_lungs``, given or found, a Volume or None: the next phase of
        the same reference needs no search for them; ``figures``: some of the summary's entries.
    """
    found = register(request, progress)
    return {
        "field": found.field,
        "warped": found.warped if request.get("warped_wanted", True) else None,
        "fixed_lungs": found.fixed_lungs,
        "figures": {name: found.summary[name] for name in FIGURES},
    }
