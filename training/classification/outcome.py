"""All that is known at the end, and what it is worth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .cross_validation import Control, OutOfFold, cross_validate, cross_validate_yardstick, permutation_control
from .lung_box import in_lung_boxes
from .network import Training
from .patients import Patient
from .residuals import Residuals
from .scores import Scores, proportion, score
from .yardsticks import YARDSTICKS


@dataclass(frozen=True)
class Procedure:
    """What is done, with whatever labels.

    Attributes:
        folds: Models, each of which judges the patients that it hasn't seen.
        seed: Of everything random.
        training: How each model learns.
    """

    folds: int
    seed: int
    training: Training


@dataclass(frozen=True, eq=False)
class Outcome:
    """What was found.

    Attributes:
        patients: In the order of everything else.
        residuals: Theirs.
        boxes: What the network sees of these, see :func:`lung_box.in_lung_boxes`.
        network: What the network's models say of them.
        yardsticks: What the simple models say, logits ``(N,)`` by name.
        control: The same procedure on shuffled labels.
    """

    patients: list[Patient]
    residuals: Residuals
    boxes: Residuals
    network: OutOfFold
    yardsticks: dict[str, np.ndarray]
    control: Control

    @cached_property
    def ill(self) -> np.ndarray:
        """The truth, bool ``(N,)``."""
        return truth(self.patients)

    @cached_property
    def called_right(self) -> np.ndarray:
        """Whom the network calls what they are, bool ``(N,)``."""
        return (self.network.logits > 0) == self.ill

    @cached_property
    def scores(self) -> dict[str, Scores]:
        """The network's and the yardsticks' scores, by name."""
        return {name: score(self.ill, said) for name, said in self.all_logits.items()}

    @cached_property
    def all_logits(self) -> dict[str, np.ndarray]:
        """The network's logits and the yardsticks', by name."""
        return {NETWORK: self.network.logits, **self.yardsticks}

    def accuracy_of(self, chosen: np.ndarray) -> dict[str, object]:
        """How many of some patients the network calls what they are; ``chosen`` is bool ``(N,)``, some of it true."""
        right, count = int(self.called_right[chosen].sum()), int(chosen.sum())
        return {"right": right, "patients": count, "accuracy": proportion(right, count)}


NETWORK = "network"


def truth(patients: list[Patient]) -> np.ndarray:
    """Who is ill, bool ``(N,)``."""
    return np.array([patient.ill for patient in patients])


def judge(patients: list[Patient], found: Residuals, procedure: Procedure, rounds: Iterable[int]) -> Outcome:
    """Judge all patients out of fold, by the network and by the yardsticks, and shuffle the labels as a control.

    Args:
        patients: Of both kinds, at least as many of each as there are folds.
        found: Their residuals.
        procedure: What is done.
        rounds: The shufflings' numbers from 1; may show how far it is.

    Raises:
        ClassificationError: Too few patients of a kind.
    """
    ill, settings = truth(patients), (procedure.folds, procedure.training, procedure.seed)
    boxes = in_lung_boxes(found)
    network = cross_validate(boxes.displacement, ill, *settings)
    yardsticks = {
        name: cross_validate_yardstick(features(found), ill, network.fold) for name, features in YARDSTICKS.items()
    }
    area = score(ill, network.logits).auc.value
    control = permutation_control(boxes.displacement, ill, area, *settings, rounds)
    return Outcome(patients, found, boxes, network, yardsticks, control)
