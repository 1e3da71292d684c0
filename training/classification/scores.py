"""How well patients are told apart, with 95 % confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
Z = 1.959964
"""Of the normal distribution, two-sided 95 %."""


@dataclass(frozen=True)
class Estimate:
    """A figure between 0 and 1.

    Attributes:
        value: As found.
        low: Lower end of its 95 % confidence interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def percent(self) -> str:
        """In words: ``84.6 % (57.8 to 95.7)``."""
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f})"

    def plain(self) -> str:
        """In words: ``0.93 (0.79 to 0.98)``."""
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Scores:
    """How well patients are told apart; who has a logit above zero is called ill.

    Attributes:
        accuracy: Part of the patients who are called what they are.
        sensitivity: Part of the ill ones who are called ill.
        specificity: Part of the others who aren't.
        auc: Area under the receiver operating characteristic: how often an ill patient's logit exceeds another's.
        confusion: Patients ``((ill, called ill), (ill, not called ill)), ((not ill, called ill), (..., ...))``.
    """

    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    auc: Estimate
    confusion: tuple[tuple[int, int], tuple[int, int]]


def score(ill: np.ndarray, logits: np.ndarray) -> Scores:
    """All scores of logits ``(N,)`` against the truth, bool ``(N,)``, of which some must be ill and some not."""
    called = logits > 0
    hit, missed = int((ill & called).sum()), int((ill & ~called).sum())
    alarm, right = int((~ill & called).sum()), int((~ill & ~called).sum())
    return Scores(
        accuracy=proportion(hit + right, len(ill)),
        sensitivity=proportion(hit, hit + missed),
        specificity=proportion(right, right + alarm),
        auc=area_estimate(area(ill, logits), hit + missed, alarm + right),
        confusion=((hit, missed), (alarm, right)),
    )


def proportion(successes: int, count: int) -> Estimate:
    """A proportion with Wilson's interval."""
    from scipy.stats import binomtest

    interval = binomtest(successes, count).proportion_ci(CONFIDENCE, "wilson")
    return Estimate(successes / count, interval.low, interval.high)


def area(ill: np.ndarray, logits: np.ndarray) -> float:
    """Area under the receiver operating characteristic (the Mann-Whitney statistic; ties count half)."""
    from scipy.stats import rankdata

    count = int(ill.sum())
    return float(rankdata(logits)[ill].sum() - count * (count + 1) / 2) / (count * (len(ill) - count))


def area_estimate(found: float, ill: int, others: int) -> Estimate:
    """An area with the score interval of Newcombe 2006 (Statistics in Medicine 25:559, method 5).

    Resampling the patients says that an area of 1 is certain, however few they are; this doesn't.
    """
    n = (ill + others) / 2 - 1

    def distance(true: float) -> float:
        shape = 1 + n * (1 - true) / (2 - true) + n * true / (1 + true)
        return abs(found - true) - Z * math.sqrt(true * (1 - true) * shape / (ill * others))

    return Estimate(found, _end(distance, found, 0.0), _end(distance, found, 1.0))


def _end(distance: Callable[[float], float], found: float, bound: float) -> float:
    """Where the distance turns positive between the value and a bound of its range."""
    from scipy.optimize import brentq

    return bound if found == bound else float(brentq(distance, found + math.copysign(1e-9, bound - found), bound))
