"""The lights of the checks, their thresholds, and where these come from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

NOT_MEASURED = -1000.0
"""What the maps of trust and ventilation hold outside the lungs and wherever else nothing could be measured."""
LEAST_PAIRS = 5
"""Fewer blind landmark pairs than this don't make their light green (a choice of this project)."""
WORST_PAIR_MM = 5.0
"""A pair with a larger error keeps the light of landmarks from being green. TG-132 has both for clinical 4D CT: a mean
below 2 mm, and no landmark above 5 mm."""
LANDMARKS = "landmark_error"
FOLDED = "folded"


class Light(StrEnum):
    """Green: within the threshold. Yellow: between both. Red: beyond. Grey: not measured."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"
    GREY = "grey"


@dataclass(frozen=True)
class Threshold:
    """From which value on a figure is good, and from which on it is bad.

    Attributes:
        good: Up to here (if higher is better: from here on) the light is green.
        bad: Beyond this (below it) the light is red.
        higher_is_better: Which way the figure goes.

    Raises:
        ValueError: Numbers that aren't finite, or that are the wrong way round.
    """

    good: float
    bad: float
    higher_is_better: bool = False

    def __post_init__(self) -> None:
        right = self.good >= self.bad if self.higher_is_better else self.good <= self.bad
        if not (math.isfinite(self.good) and math.isfinite(self.bad) and right):
            order = "at least as high as" if self.higher_is_better else "at most as high as"
            msg = f"found the thresholds {self.good} (good) and {self.bad} (bad), expected good {order} bad"
            raise ValueError(msg)

    def light(self, value: float | None) -> Light:
        """Of a value; grey for None and for what isn't a number."""
        if value is None or not math.isfinite(value):
            return Light.GREY
        sign = -1 if self.higher_is_better else 1
        if sign * value <= sign * self.good:
            return Light.GREEN
        return Light.RED if sign * value > sign * self.bad else Light.YELLOW


DEFAULT_THRESHOLDS = {
    LANDMARKS: Threshold(2.0, 3.0),
    "given_landmark_error": Threshold(2.0, 3.0),
    "dice": Threshold(0.90, 0.80, higher_is_better=True),
    "hausdorff95": Threshold(3.0, 6.0),
    FOLDED: Threshold(0.0, 0.0),
    "jacobian_min": Threshold(0.3, 0.0, higher_is_better=True),
    "jacobian_max": Threshold(3.0, 9.0),
    "jacobian_outside": Threshold(1.0, 5.0),
    "volume_agreement": Threshold(5.0, 10.0),
    "inverse_consistency": Threshold(2.0, 3.0),
    "similarity": Threshold(0.5, 0.25, higher_is_better=True),
    "coverage": Threshold(99.0, 95.0, higher_is_better=True),
}
"""By the check's name. Where TG-132 gives a range of tolerance, its strict end is good and its lenient end bad."""

MEANINGS = {
    LANDMARKS: "Mean distance between where the registration takes the fixed landmarks and where the moving ones were"
    " placed blind, by hand. TG-132: largest voxel dimension, about 2 to 3 mm, and no pair above 5 mm.",
    "given_landmark_error": "The same of landmarks that came with the images; whether they were placed blind isn't"
    " known, so they never make the whole green. TG-132: about 2 to 3 mm.",
    "dice": "Overlap of the fixed lungs and the deformed moving lungs. Lungs are large: a good value says little about"
    " what is inside them. TG-132: about 0.80 to 0.90.",
    "hausdorff95": "95 % of both lung surfaces lie within this distance of each other. TG-132 asks for 2 to 3 mm of"
    " the mean distance; the limits for 95 % of the surface are a choice of this project.",
    FOLDED: "Part of the lungs where the transformation folds tissue onto itself. TG-132: no negative Jacobian.",
    "jacobian_min": "The strongest shrinking in the lungs; negative where tissue is turned inside out. TG-132: no"
    " negative values; 0.3 is a choice of this project.",
    "jacobian_max": "The strongest expansion in the lungs. The limits are a choice of this project.",
    "jacobian_outside": "Part of the lungs that shrinks to less than 0.3 or grows to more than 3 times its volume,"
    " which breathing hardly does. The limits are a choice of this project.",
    "volume_agreement": "How far the mean Jacobian in the lungs is from the ratio of the lung volumes that the masks"
    " tell. The limits are a choice of this project.",
    "inverse_consistency": "Mean distance between a point of the fixed lungs and where it ends after going to the"
    " moving image and back by the registration of the swapped pair. TG-132: largest voxel dimension, about 2 to 3 mm.",
    "similarity": "Mean squared local correlation of both images in the lungs, 0 to 1. There is no accepted tolerance:"
    " the limits are a choice of this project, and never enough by themselves.",
    "coverage": "Part of the fixed lungs that the deformed moving image covers; elsewhere nothing is known. The limits"
    " are a choice of this project.",
}
"""What each check says, and where its default threshold comes from."""
