"""What little would do as well: logistic regression on a mean of the displacement in the lungs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .residuals import Residuals

PENALTY = 1.0
"""Times half the squared weights, beside the sum of the losses over the patients."""


def mean_length(found: Residuals) -> np.ndarray:
    """Mean ``|u|`` in mm over the lungs, ``(N, 1)``."""
    return lung_means(np.linalg.norm(found.displacement, axis=1)[:, None], found.lungs)


def mean_displacement(found: Residuals) -> np.ndarray:
    """Mean u in mm over the lungs, ``(N, 3)`` along R, A, S."""
    return lung_means(found.displacement, found.lungs)


YARDSTICKS: dict[str, Callable[[Residuals], np.ndarray]] = {
    "mean length of u in the lungs": mean_length,
    "mean u in the lungs": mean_displacement,
}


def lung_means(values: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """Means over the lungs, ``(N, C)``, of values ``(N, C, K, J, I)``."""
    weight = lungs[:, None]
    return (values * weight).sum(axis=(2, 3, 4)) / weight.sum(axis=(2, 3, 4))


def logistic_logits(features: np.ndarray, ill: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Logits ``(M,)`` of unseen patients' features ``(M, C)``, by a logistic regression on those that are known.

    Args:
        features: ``(N, C)``; they are standardised first.
        ill: bool ``(N,)``.
        unseen: ``(M, C)``.
    """
    from scipy.optimize import minimize

    middle, spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    known, sign = (features - middle) / spread, np.where(ill, 1.0, -1.0)

    def loss(weights: np.ndarray) -> float:
        margins = sign * (known @ weights[1:] + weights[0])
        return float(np.logaddexp(0, -margins).sum() + PENALTY / 2 * (weights[1:] ** 2).sum())

    weights = minimize(loss, np.zeros(1 + features.shape[1])).x
    return (unseen - middle) / spread @ weights[1:] + weights[0]
