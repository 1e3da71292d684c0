"""The checks of a registration, and what they say together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..json_values import entry
from ..metrics import Distribution
from .thresholds import DEFAULT_THRESHOLDS, FOLDED, LANDMARKS, LEAST_PAIRS, WORST_PAIR_MM, Light, Threshold


@dataclass(frozen=True)
class Check:
    """One figure and its light.

    Attributes:
        name: As in :data:`DEFAULT_THRESHOLDS` and :data:`MEANINGS`.
        title: For people.
        value: The figure, or None where it wasn't measured.
        unit: ``mm``, ``%`` or nothing.
        threshold: What the light follows from.
        light: Grey where there is no value.
        note: More about the value, or why there is none; may be empty.
    """

    name: str
    title: str
    value: float | None
    unit: str
    threshold: Threshold
    light: Light
    note: str = ""


Statistics = Mapping[str, Any] | Distribution | None
"""A distribution, as it is or as summary.json has it."""


def checks(
    summary: Mapping[str, Any],
    thresholds: Mapping[str, Threshold] | None = None,
    landmark_statistics: Mapping[str, Distribution] | None = None,
    consistency: Statistics = None,
    *,
    landmark_count: int | None = None,
) -> list[Check]:
    """All checks of a registration, always in the same order.

    Args:
        summary: The entries of summary.json; those that are missing are not measured.
        thresholds: By name; where one is missing its default holds.
        landmark_statistics: Errors in mm of the blind manual pairs after registration; ``ds`` is what counts.
        consistency: Inverse consistency in mm where the backward run was made later than the summary.
        landmark_count: Number of those pairs, where it is known: too few don't make a green light.

    Returns:
        The checks. That of landmarks given with the images is left out where there are none.
    """
    limits = {**DEFAULT_THRESHOLDS, **(thresholds or {})}

    def check(name: str, title: str, value: Any, unit: str = "", note: str = "") -> Check:
        number = finite(value)
        return Check(name, title, number, unit, limits[name], limits[name].light(number), note)

    found = [blind_landmarks(check, landmark_statistics, landmark_count)]
    given = entry(summary, "landmark_error_mm", "after", "ds")
    if given is not None:
        title = "Error of the given landmarks"
        made = check("given_landmark_error", title, given.get("mean"), "mm", spread(given, "mm"))
        found.append(with_worst(made, given.get("max")))
    back = summary.get("inverse_consistency_mm") if consistency is None else consistency
    back = asdict(back) if isinstance(back, Distribution) else back
    note = "needs the backward run" if back is None else spread(back, "mm")
    return [
        *found,
        *overlap_checks(check, summary),
        *jacobian_checks(check, summary),
        check("inverse_consistency", "Inverse consistency", (back or {}).get("mean"), "mm", note),
        similarity_check(check, summary),
        check("coverage", "Lungs covered by the moving image", summary.get("coverage_percent_lung"), "%"),
    ]


def overall(found: list[Check]) -> tuple[Light, list[str]]:
    """The light of the whole, and why, a sentence each.

    Red if anything is red. Grey, "not enough measured", unless errors of blind landmark pairs are known: overlap and
    Jacobian alone never make it green, however good they are. Otherwise yellow if anything is yellow, or if it isn't
    known whether the lungs are folded: landmarks are few. Otherwise green.
    """
    of = {light: [check for check in found if check.light is light] for light in Light}
    said = {light: [f"{check.title}: {shown(check)}" for check in of[light]] for light in Light}
    unmeasured = [f"Not measured: {', '.join(check.title for check in of[Light.GREY])}"] if of[Light.GREY] else []
    if of[Light.RED]:
        return Light.RED, [*said[Light.RED], *said[Light.YELLOW], *unmeasured]
    landmarks = next((check for check in found if check.name == LANDMARKS), None)
    if landmarks is None or landmarks.light is Light.GREY:
        why = "Not enough measured: only the errors of landmark pairs that were placed blind can make this green"
        return Light.GREY, [why, *said[Light.YELLOW], *unmeasured]
    if of[Light.YELLOW] or any(check.name == FOLDED for check in of[Light.GREY]):
        return Light.YELLOW, [*said[Light.YELLOW], *unmeasured]
    return Light.GREEN, [f"{landmarks.title}: {shown(landmarks)}", *unmeasured]


def shown(check: Check) -> str:
    """A check's value with its unit."""
    return "not measured" if check.value is None else f"{check.value:.3g} {check.unit}".strip()


Maker = Callable[..., Check]


def blind_landmarks(check: Maker, statistics: Mapping[str, Distribution] | None, count: int | None) -> Check:
    """The one check that can make the whole green."""
    title = "Landmark error, placed blind"
    if not statistics:
        return check(LANDMARKS, title, None, "mm", "needs landmark pairs that were placed blind")
    errors = statistics["ds"]
    note = spread(asdict(errors), "mm")
    if count is None:
        made = check(LANDMARKS, title, errors.mean, "mm", note)
    elif count < LEAST_PAIRS:
        few = f"only {count} pairs, expected at least {LEAST_PAIRS}"
        made = doubted(check(LANDMARKS, title, errors.mean, "mm", note), few)
    else:
        made = check(LANDMARKS, title, errors.mean, "mm", f"{count} pairs; {note}")
    return with_worst(made, errors.max)


def with_worst(check: Check, worst: float | None) -> Check:
    """A landmark error that isn't green where a single pair is far off: a mean hides it."""
    far = finite(worst)
    if far is None or far <= WORST_PAIR_MM:
        return check
    return doubted(check, f"one pair is {far:.3g} mm off, expected at most {WORST_PAIR_MM:g} mm")


def doubted(check: Check, why: str) -> Check:
    """The check with a reason why it isn't green, and yellow if it was."""
    light = Light.YELLOW if check.light is Light.GREEN else check.light
    return replace(check, light=light, note=f"{why}; {check.note}" if check.note else why)


def overlap_checks(check: Maker, summary: Mapping[str, Any]) -> list[Check]:
    """Of the lung masks."""
    distance = summary.get("hausdorff95_mm") or {}
    no_masks = "needs both lung masks"
    dice, before = finite(summary.get("dice_after")), summary.get("dice_before")
    return [
        check("dice", "Dice of the lungs", dice, "", no_masks if dice is None else beforehand(before)),
        check(
            "hausdorff95",
            "95 % Hausdorff distance",
            distance.get("after"),
            "mm",
            beforehand(distance.get("before"), "mm") if distance else no_masks,
        ),
    ]


def jacobian_checks(check: Maker, summary: Mapping[str, Any]) -> list[Check]:
    """Of the volume changes in the lungs."""
    lung = summary.get("jacobian_lung") or {}
    no_mask = "" if lung else "needs a mask of the fixed lungs"
    log_sd = finite(lung.get("log_sd"))
    mean, ratio = finite(summary.get("mean_jacobian_lung")), finite(summary.get("lung_volume_ratio"))
    off, note = None, "needs both lung masks"
    if mean is not None and ratio:
        off, note = 100 * abs(mean / ratio - 1), f"mean Jacobian {mean:.3g}, volume ratio {ratio:.3g}"
    of_log = no_mask if log_sd is None else f"standard deviation of the logarithm {log_sd:.3g}"
    return [
        check(FOLDED, "Folded in the lungs", summary.get("folded_percent_lung"), "%", no_mask),
        check("jacobian_min", "Least Jacobian", lung.get("min"), "", no_mask),
        check("jacobian_max", "Greatest Jacobian", lung.get("max"), "", no_mask),
        check("jacobian_outside", "Jacobian outside 0.3 to 3", lung.get("percent_outside"), "%", of_log),
        check("volume_agreement", "Mean Jacobian against volume ratio", off, "%", note),
    ]


def similarity_check(check: Maker, summary: Mapping[str, Any]) -> Check:
    """Local correlation; one that got worse by the registration is never better than yellow."""
    similarity = summary.get("similarity") or {}
    before, after = finite(similarity.get("before")), finite(similarity.get("after"))
    made: Check = check("similarity", "Local correlation", after, "", beforehand(before))
    if before is not None and after is not None and after < before:
        return doubted(made, "the images were more alike without the registration")
    return made


def spread(figures: Mapping[str, Any], unit: str) -> str:
    """Median, 95th percentile and maximum, for a note."""
    names = {"median": "median", "p95": "95 %", "max": "max"}
    known = [
        f"{title} {number:.3g}" for name, title in names.items() if (number := finite(figures.get(name))) is not None
    ]
    return f"{', '.join(known)} {unit}" if known else ""


def beforehand(value: Any, unit: str = "") -> str:
    """The same figure before registration, for a note."""
    number = finite(value)
    return "" if number is None else f"before {number:.3g} {unit}".strip()


def finite(value: Any) -> float | None:
    """The value as a number, or None."""
    return float(value) if value is not None and math.isfinite(value) else None
