"""The checks of the chosen pair's result, with the thresholds that the user has set."""

import json
from collections.abc import Mapping
from typing import Any

LandmarkErrors = tuple[Mapping[str, Any], int]
"""``statistics`` of :mod:`landmark_review.table` after registration, and of how many pairs."""


def landmarkErrorsOf(rows: list[Any]) -> LandmarkErrors | None:
    """Of the pairs in a table that count, :class:`landmark_review.table.PairErrors`; None where none does."""
    from LungDeepRegLib.landmark_review.table import exclusion, statistics

    found = statistics(rows)
    return None if found is None else (found, sum(exclusion(row) is None for row in rows))


def checksOf(parameters: Any, nodes: Any, landmarks: LandmarkErrors | None = None) -> list[Any]:
    """All :class:`quality.Check` of the result of a parameter node's pair; none where there is no result.

    Args:
        parameters: The module's parameter node: its summary, its thresholds.
        nodes: The result, ``mrml.ResultNodes``, or None.
        landmarks: Errors of the blind manual pairs, or None where there are none.
    """
    if parameters is None or nodes is None or not parameters.summary:
        return []
    from LungDeepRegLib import mrml
    from LungDeepRegLib.quality import checks

    assessed = mrml.assessed(nodes.transform) or {"figures": {}}
    statistics, count = landmarks or (None, None)
    return checks(
        json.loads(parameters.summary),
        thresholdsOf(parameters),
        statistics,
        assessed["figures"].get("inverse_consistency_mm"),
        landmark_count=count,
    )


def thresholdsOf(parameters: Any) -> dict[str, Any]:
    """The thresholds that the user has set, :class:`quality.Threshold` by the check's name.

    What another version of the module knew and this one doesn't is left out.
    """
    from LungDeepRegLib.quality import DEFAULT_THRESHOLDS, Threshold

    kept = json.loads(parameters.qualityThresholds) if parameters.qualityThresholds else {}
    return {
        name: Threshold(good, bad, DEFAULT_THRESHOLDS[name].higher_is_better)
        for name, (good, bad) in kept.items()
        if name in DEFAULT_THRESHOLDS
    }


def keepThreshold(parameters: Any, name: str, threshold: Any) -> None:
    """Let a check follow from another threshold from now on."""
    kept = {key: [old.good, old.bad] for key, old in thresholdsOf(parameters).items()}
    parameters.qualityThresholds = json.dumps(kept | {name: [threshold.good, threshold.bad]})
