"""Two observers: how far apart they are, beside the registration's error.

As in Table 2 of Christodoulidis et al. 2018 (arXiv:1809.06226), where the distance between two observers is what a
registration's error is judged by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ..landmarks import LandmarkError, shortened
from ..metrics import Distribution, landmark_errors
from .pairs import LandmarkPair, check_labels
from .table import Phi


class Comparison(StrEnum):
    """What a row compares."""

    OBSERVERS_FIXED = "observers, fixed image"
    """The two observers' points in the fixed image."""
    OBSERVERS_MOVING = "observers, moving image"
    """Their points in the moving image."""
    BEFORE = "before registration, mean of observers"
    """The mean of their fixed points and the mean of their moving points, as both lie in world coordinates."""
    AFTER_A = "registration, first observer"
    """phi(fixed points) and moving points of the first observer."""
    AFTER_B = "registration, second observer"
    """And of the second one."""
    AFTER_MEAN = "registration, mean of observers"
    """phi of the mean of their fixed points, and the mean of their moving points."""


@dataclass(frozen=True)
class ComparisonRow:
    """One row: distances in mm, ``dx``, ``dy``, ``dz`` (absolute, along R, A, S) and ``ds`` (in space)."""

    what: Comparison
    distances: dict[str, Distribution]


@dataclass(frozen=True)
class ObserverComparison:
    """The table, and what it is made of.

    Attributes:
        rows: In the order of :class:`Comparison`; those of the registration are absent without one.
        labels: The pairs that both observers placed blindly, in the first one's order.
        left_out: The labels of all other pairs.
    """

    rows: tuple[ComparisonRow, ...]
    labels: tuple[str, ...]
    left_out: tuple[str, ...]


def compare(pairs_a: Sequence[LandmarkPair], pairs_b: Sequence[LandmarkPair], phi: Phi | None) -> ObserverComparison:
    """Compare two observers' pairs, matched by label. Only pairs that both placed blindly count.

    Args:
        pairs_a: The first observer's.
        pairs_b: The second one's.
        phi: The registration's map; None before there is one.

    Raises:
        LandmarkError: A label that stands twice in a list, or no blind pair in common.
    """
    names = [
        pairs[0].observer or f"the {which} list" if pairs else f"the {which} list"
        for which, pairs in (("first", pairs_a), ("second", pairs_b))
    ]
    for pairs, name in zip((pairs_a, pairs_b), names, strict=True):
        check_labels(pairs, name)
    blind_b = {pair.label: pair for pair in pairs_b if pair.blind}
    both = [(pair, blind_b[pair.label]) for pair in pairs_a if pair.blind and pair.label in blind_b]
    labels = tuple(pair.label for pair, _ in both)
    everything = dict.fromkeys(pair.label for pair in (*pairs_a, *pairs_b))
    rest = tuple(label for label in everything if label not in labels)
    if not both:
        msg = (
            f"found no label in common between the blind manual pairs of {names[0]} and {names[1]}, expected the same"
            f" labels for the same places; found {shortened(list(rest))}"
        )
        raise LandmarkError(msg)
    fixed, moving = (
        np.array([[getattr(pair, name) for pair in pairs] for pairs in zip(*both, strict=True)])
        for name in ("fixed_ras", "moving_ras")
    )
    rows = tuple(ComparisonRow(what, landmark_errors(a, b)) for what, a, b in compared(fixed, moving, phi))
    return ObserverComparison(rows, labels, rest)


def compared(fixed: np.ndarray, moving: np.ndarray, phi: Phi | None) -> list[tuple[Comparison, np.ndarray, np.ndarray]]:
    """What each row compares: two sets of points ``(N, 3)`` RAS mm.

    Args:
        fixed: ``(2, N, 3)`` fixed points of both observers.
        moving: Likewise the moving points.
        phi: The registration's map, or None.
    """
    fixed_mean, moving_mean = fixed.mean(axis=0), moving.mean(axis=0)
    rows = [
        (Comparison.OBSERVERS_FIXED, fixed[0], fixed[1]),
        (Comparison.OBSERVERS_MOVING, moving[0], moving[1]),
        (Comparison.BEFORE, fixed_mean, moving_mean),
    ]
    if phi is not None:
        rows += [
            (Comparison.AFTER_A, phi(fixed[0]), moving[0]),
            (Comparison.AFTER_B, phi(fixed[1]), moving[1]),
            (Comparison.AFTER_MEAN, phi(fixed_mean), moving_mean),
        ]
    return rows
