"""Patients for training and patients for validation."""

from __future__ import annotations

import random

from .scan import TRAIN, VALIDATION, Cohort, CohortError


def split_patients(cohort: Cohort, validation: int | float, seed: int) -> tuple[Cohort, Cohort]:
    """Divide a cohort at random by patient (the paper: 28 to train, 13 to validate).

    Patients whose split the source names stay there; the others are drawn so that as many validate as was asked for,
    as far as that is possible. Where the source names all, nothing is drawn. The draw depends on the seed and on the
    set of patients, not on their order in the source.

    Args:
        cohort: All scans.
        validation: How many patients validate (int), or which part of them (float between 0 and 1).
        seed: Of the draw.

    Returns:
        The cohort to train on and the one to validate on, with no patient and no image file in both.

    Raises:
        CohortError: One of the two would be empty, or ``validation`` is no such number.
    """
    patients = sorted(cohort.patients)
    count = wanted(validation, len(patients), cohort.name)
    open_patients = [patient for patient in patients if patient not in cohort.split]
    random.Random(seed).shuffle(open_patients)
    chosen = {patient for patient, word in cohort.split.items() if word == VALIDATION}
    chosen.update(open_patients[: max(0, count - len(chosen))])
    rest = set(patients) - chosen
    for part, name in ((rest, TRAIN), (chosen, VALIDATION)):
        if not part:
            named = f", of which the source names a split for {len(cohort.split)}" if cohort.split else ""
            msg = (
                f"{cohort.name}: found no patient for {name} ({len(patients)} patients{named}; asked for {validation}"
                " to validate), expected at least one to train and one to validate"
            )
            raise CohortError(msg)
    return cohort.select(rest), cohort.select(chosen)


def wanted(validation: int | float, patients: int, name: str) -> int:
    """How many patients validate."""
    whole = isinstance(validation, int) and not isinstance(validation, bool)
    if whole and validation >= 1:
        return int(validation)
    if isinstance(validation, float) and 0 < validation < 1:
        return max(1, round(validation * patients))
    msg = (
        f"{name}: found validation {validation!r}, expected a number of patients (1, 2, ...) or a part of them between"
        " 0 and 1 (0.3)"
    )
    raise CohortError(msg)
