"""Every patient judged by a model that never saw them, and what that is worth if labels mean nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .network import Training, as_input, fit, logits, saliency
from .patients import ClassificationError
from .scores import area
from .yardsticks import logistic_logits


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What was said of each patient by the one model that hadn't seen them.

    Attributes:
        logits: ``(N,)``, above zero for ill.
        fold: Which model judged, ``(N,)`` from 0.
        saliency: ``(N, K, J, I)`` per mm, see :func:`network.saliency`.
    """

    logits: np.ndarray
    fold: np.ndarray
    saliency: np.ndarray


def stratified_folds(ill: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each patient, ``(N,)`` from 0: at random, with as many ill ones and others in each as can be.

    Raises:
        ClassificationError: Fewer ill patients, or others, than folds, or fewer than two folds.
    """
    fewest = min(int(ill.sum()), int((~ill).sum()))
    if not 2 <= folds <= fewest:
        msg = f"found {folds} folds for {int(ill.sum())} patients who are ill and {int((~ill).sum())} who aren't,"
        msg += " expected at least 2 folds and as many patients of both kinds"
        raise ClassificationError(msg)
    random = np.random.default_rng([seed, 1])
    dealt = np.concatenate([random.permutation(np.flatnonzero(kind)) for kind in (ill, ~ill)])
    fold = np.empty(len(ill), dtype=int)
    fold[dealt] = np.arange(len(ill)) % folds
    return fold


def cross_validate(displacement: np.ndarray, ill: np.ndarray, folds: int, training: Training, seed: int) -> OutOfFold:
    """Train a network for each fold on the others, and let it judge that fold.

    Args:
        displacement: ``(N, 3, K, J, I)`` in mm.
        ill: bool ``(N,)``.
        folds: How many.
        training: How each network learns.
        seed: Of the folds, the weights and the order of learning.

    Raises:
        ClassificationError: See :func:`stratified_folds`.
    """
    fold, inputs = stratified_folds(ill, folds, seed), as_input(displacement)
    said, looked_at = np.empty(len(ill)), np.empty((len(ill), *displacement.shape[2:]), np.float32)
    for number in range(folds):
        held_out = fold == number
        network = fit(inputs[~held_out], ill[~held_out], training, seed * folds + number)
        said[held_out] = logits(network, inputs[held_out])
        looked_at[held_out] = saliency(network, inputs[held_out])
    return OutOfFold(said, fold, looked_at)


def cross_validate_yardstick(features: np.ndarray, ill: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Logits ``(N,)`` of a logistic regression on features ``(N, C)``, in the same folds as the network."""
    said = np.empty(len(ill))
    for number in np.unique(fold):
        held_out = fold == number
        said[held_out] = logistic_logits(features[~held_out], ill[~held_out], features[held_out])
    return said


@dataclass(frozen=True)
class Control:
    """What the same procedure finds where there is nothing to find.

    Attributes:
        areas: The area under the curve for each shuffling of the labels.
        p_value: How often chance does as well: ``(1 + as good or better) / (1 + shufflings)``.
    """

    areas: tuple[float, ...]
    p_value: float


def permutation_control(
    displacement: np.ndarray,
    ill: np.ndarray,
    found: float,
    folds: int,
    training: Training,
    seed: int,
    rounds: Iterable[int],
) -> Control:
    """Shuffle the labels and do all of it again: folds, training, judging.

    Args:
        displacement: ``(N, 3, K, J, I)`` in mm.
        ill: bool ``(N,)``.
        found: The area with the true labels.
        folds: How many.
        training: How each network learns.
        seed: Of everything.
        rounds: The shufflings' numbers from 1; may show how far it is.
    """
    areas = []
    for number in rounds:
        shuffled = np.random.default_rng([seed, 2, number]).permutation(ill)
        areas.append(area(shuffled, cross_validate(displacement, shuffled, folds, training, seed + number).logits))
    as_good = sum(other >= found for other in areas)
    return Control(tuple(areas), (1 + as_good) / (1 + len(areas)))
