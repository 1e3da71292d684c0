"""Who belongs to the synthetic cohort: group, side of the split and depth of breath of each patient, in fixed numbers.

The shares are those of the paper: 29 patients with interstitial lung disease and 12 healthy ones, 13 of them for
validation. Those come first, so that a smaller cohort is a part of the whole one that validates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cohorts.scan import TRAIN, VALIDATION
from .parameters import Parameters

ILD, HEALTHY = "ILD", "healthy"
MEMBERS = 0xC0


@dataclass(frozen=True)
class Shares:
    """How many patients there are: the table ``[cohort]``.

    Attributes:
        validation_ild: Patients with interstitial lung disease, for validation.
        validation_healthy: Healthy ones, for validation.
        train_ild: With the disease, for training.
        train_healthy: Healthy, for training.
    """

    validation_ild: int
    validation_healthy: int
    train_ild: int
    train_healthy: int


@dataclass(frozen=True)
class Member:
    """One patient of the cohort, before anything of them is drawn.

    Attributes:
        number: 0, 1, ...: the first of :meth:`Parameters.generator`'s arguments.
        name: ``P01``, ``P02``, ...
        label: ``ILD`` or ``healthy``.
        split: ``validation`` or ``train``.
        severity: How ill, from 0 to 1 evenly among those of the same label and split.
        depth: How deeply they breathe for their condition, likewise, and independent of it.
    """

    number: int
    name: str
    label: str
    split: str
    severity: float
    depth: float


def members(parameters: Parameters) -> tuple[Member, ...]:
    """All patients of the cohort, those for validation first."""
    shares = parameters.section("cohort", Shares)
    rng = np.random.default_rng([parameters.seed, MEMBERS])
    found: list[Member] = []
    for split, ill, healthy in (
        (VALIDATION, shares.validation_ild, shares.validation_healthy),
        (TRAIN, shares.train_ild, shares.train_healthy),
    ):
        drawn = [
            (label, *pair)
            for label, count in ((ILD, ill), (HEALTHY, healthy))
            for pair in zip(evenly(count, rng), evenly(count, rng), strict=True)
        ]
        for index in rng.permutation(len(drawn)):
            label, severity, depth = drawn[index]
            found.append(Member(len(found), f"P{len(found) + 1:02}", label, split, severity, depth))
    return tuple(found)


def evenly(count: int, rng: np.random.Generator) -> list[float]:
    """The middles of ``count`` equal parts of 0 to 1, in random order: chance makes no group shallower than another."""
    return [float(value) for value in (rng.permutation(count) + 0.5) / max(count, 1)]
