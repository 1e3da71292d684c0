"""Who is to be told apart: the patients of a cohort, each with two images and a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass

from LungDeepRegLib.landmarks import shortened

from ..cohorts import Cohort, Scan
from ..cohorts.scan import VALIDATION, raise_problems
from ..errors import TrainingError


class ClassificationError(TrainingError):
    """Patients or settings that no classifier can be judged by."""


@dataclass(frozen=True)
class Patient:
    """One patient.

    Attributes:
        name: As in the cohort.
        fixed: The image that stays when the two are registered.
        moving: The image that is deformed.
        ill: Whether the diagnosis is the one that is looked for.
        validates: Whether the cohort's source keeps this patient for validation.
    """

    name: str
    fixed: Scan
    moving: Scan
    ill: bool
    validates: bool


def read_patients(cohort: Cohort, fixed: str, moving: str, ill: str) -> list[Patient]:
    """The patients of a cohort with their two images.

    Args:
        cohort: Its labels are diagnoses: the one that is looked for, and one other.
        fixed: The phase of the fixed image.
        moving: The phase of the moving image.
        ill: The label that is looked for.

    Raises:
        CohortError: Patients without one of the phases, or whose scans have no label or two; all of them at once.
        ClassificationError: One phase given twice, other than two labels, or ``ill`` isn't one of them.
    """
    if fixed == moving:
        msg = f"found {fixed!r} as the phase of the fixed and of the moving image, expected two phases"
        raise ClassificationError(msg)
    scans = {(scan.patient, scan.phase): scan for scan in cohort.scans}
    problems = []
    for patient in cohort.patients:
        labels = {scan.label for scan in cohort.scans if scan.patient == patient}
        if len(labels) != 1 or "" in labels:
            found = " and ".join(repr(label) for label in sorted(labels))
            problems.append(f"patient {patient}, label: found {found}, expected one diagnosis for all scans")
        problems += [
            f"patient {patient}: found no scan of the phase {phase!r}, expected one"
            for phase in (fixed, moving)
            if (patient, phase) not in scans
        ]
    raise_problems(cohort.name, problems)
    diagnoses = sorted({scan.label for scan in cohort.scans})
    if len(diagnoses) != 2 or ill not in diagnoses:
        msg = f"{cohort.name}: found the labels {shortened(diagnoses)}, expected {ill!r} and one other"
        raise ClassificationError(msg)
    return [
        Patient(
            patient,
            scans[patient, fixed],
            scans[patient, moving],
            scans[patient, fixed].label == ill,
            cohort.split.get(patient) == VALIDATION,
        )
        for patient in cohort.patients
    ]
