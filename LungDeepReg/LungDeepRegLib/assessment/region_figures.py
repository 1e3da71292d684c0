"""What was measured place by place, summed up for each lung and each third of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..quality import NOT_MEASURED
from .regions import NAMES, SIDES, THIRDS
from .trust import LOW_TRUST
from .ventilation import volume_change

WHOLE = "Lungs"


def region_figures(
    labels: np.ndarray,
    maps: Mapping[str, np.ndarray | None],
    inhale: str | None,
    volume_ml: np.ndarray,
) -> list[dict[str, Any]]:
    """A row for the lungs as a whole, for each lung and for each third that is there.

    Args:
        labels: Of :func:`regions.find_regions`, ``(K, J, I)``.
        maps: By the figure's name, ``(K, J, I)`` each, :data:`quality.NOT_MEASURED` where nothing is known; or None.
            ``trust`` and ``jacobian`` (the determinant, from whose mean a region's volume change follows) are there.
        inhale: Which image is the inhaled one, or None.
        volume_ml: How much lung each node stands for.

    Returns:
        Each row with ``region``, ``volume_ml``, a distribution (or None) for each map, ``low_trust_percent`` and
        ``volume_change``.
    """
    rows = []
    for name, here in parts(labels):
        found = {key: None if values is None else distribution(values, here) for key, values in maps.items()}
        trust, jacobian = maps["trust"], found["jacobian"]
        assert trust is not None
        known = here & (trust != NOT_MEASURED)
        low = 100 * float(np.mean(trust[known] < LOW_TRUST)) if known.any() else None
        change = None if jacobian is None else float(volume_change(np.array(jacobian["mean"]), inhale))
        rows.append(
            {
                "region": name,
                "volume_ml": float(volume_ml[here].sum(dtype=np.float64)),
                **found,
                "low_trust_percent": low,
                "volume_change": change,
            }
        )
    return rows


def parts(labels: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Name and nodes of the lungs, of each lung and of each third, as far as they are there."""
    yield WHOLE, labels > 0
    for number, side in enumerate(SIDES):
        first = 1 + number * len(THIRDS)
        thirds = range(first, first + len(THIRDS))
        lung = np.isin(labels, thirds)
        if lung.any() and not lung[labels > 0].all():
            yield side, lung
        for label in thirds:
            here = labels == label
            if here.any():
                yield NAMES[label - 1], here


def distribution(values: np.ndarray, here: np.ndarray) -> dict[str, float] | None:
    """Mean, standard deviation, median, 5th and 95th percentile of what is known there; None where nothing is."""
    known = values[here & (values != NOT_MEASURED)].astype(np.float64)
    if not known.size:
        return None
    p5, median, p95 = np.percentile(known, [5, 50, 95])
    found = {"mean": known.mean(), "sd": known.std(), "median": median, "p5": p5, "p95": p95}
    return {name: float(value) for name, value in found.items()}
