"""Which pairs of a cohort are registered: inhaled onto exhaled, within patients and between them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from LungDeepRegLib.batch.record import content
from LungDeepRegLib.image_io import read_volume

from ..cohorts.manifest import landmarks_of_image
from ..cohorts.scan import VALIDATION as VALIDATION_SPLIT
from ..cohorts.scan import Cohort, CohortError, Scan
from .record import DRAWN, PAIR, REST, VALIDATION, digest

FIXED_PHASE, MOVING_PHASE = "exhale", "inhale"
COMBINATIONS_DRAWN = 20
"""Of the combinations between patients, as many are registered by the costly methods too."""


@dataclass(frozen=True)
class Source:
    """A scan, and a digest of the content of its files.

    Attributes:
        scan: What reads them.
        digest: The same for the same bytes, whatever the files' names and dates.
    """

    scan: Scan
    digest: str

    @property
    def name(self) -> str:
        """Patient and phase."""
        return self.scan.name


@dataclass(frozen=True)
class Case:
    """Two scans to be registered.

    Attributes:
        fixed: What stays.
        moving: What is deformed.
        group: See :class:`Record`.
    """

    fixed: Source
    moving: Source
    group: str

    @property
    def within_patient(self) -> bool:
        """Whether both are one patient's; the pair of files that isn't of a cohort counts as such."""
        return self.group in (VALIDATION, PAIR)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.moving.name} onto {self.fixed.name}"


def cohort_cases(cohort: Cohort, drawn: int, seed: int) -> list[Case]:
    """All fixed images with all moving ones of the patients that validate, in the order in which they are run.

    First the pairs within a patient, then ``drawn`` pairs between patients at random (all, if there are no more), then
    the rest. The draw depends on the seed and on the patients' names alone. Where the source names no split, all
    patients count.

    Raises:
        CohortError: A split in which no patient validates, a patient without a fixed or moving image, or a file that
            can't be read.
    """
    chosen = {patient for patient, word in cohort.split.items() if word == VALIDATION_SPLIT}
    if cohort.split and not chosen:
        msg = f"{cohort.name}: found no patient in the split {VALIDATION_SPLIT}, expected some, or no split at all"
        raise CohortError(msg)
    part = cohort.select(chosen or cohort.patients)
    pairs = {patient: patient_pair(part, patient) for patient in sorted(part.patients)}
    sources = {scan.name: source_of(scan) for pair in pairs.values() for scan in pair}
    between = [(a, b) for a in pairs for b in pairs if a != b]
    picked = set(random.Random(seed).sample(between, min(drawn, len(between))))
    groups = {
        VALIDATION: [(patient, patient) for patient in pairs],
        DRAWN: [pair for pair in between if pair in picked],
        REST: [pair for pair in between if pair not in picked],
    }
    return [
        Case(sources[pairs[a][0].name], sources[pairs[b][1].name], group)
        for group, members in groups.items()
        for a, b in members
    ]


def patient_pair(cohort: Cohort, patient: str) -> tuple[Scan, Scan]:
    """A patient's fixed and moving scan: the pair that the source names, or else ``exhale`` and ``inhale``.

    Raises:
        CohortError: There is none.
    """
    for fixed, moving in cohort.pairs:
        if cohort.scans[fixed].patient == cohort.scans[moving].patient == patient:
            return cohort.scans[fixed], cohort.scans[moving]
    phases = {scan.phase: scan for scan in cohort.scans if scan.patient == patient}
    if FIXED_PHASE not in phases or MOVING_PHASE not in phases:
        msg = (
            f"{cohort.name}: found the phases {', '.join(sorted(phases))} of patient {patient}, expected {FIXED_PHASE}"
            f" (fixed) and {MOVING_PHASE} (moving)"
        )
        raise CohortError(msg)
    return phases[FIXED_PHASE], phases[MOVING_PHASE]


def file_case(
    fixed: Path,
    moving: Path,
    masks: Sequence[Path] | None = None,
    landmarks: Sequence[Path] | None = None,
) -> Case:
    """Two images from files, with their masks and landmarks (fixed, moving) if there are any.

    Raises:
        CohortError: The same file twice, or one that isn't there.
    """
    if fixed.exists() and moving.exists() and fixed.samefile(moving):
        msg = f"{moving}: found the same image as fixed and as moving, expected two"
        raise CohortError(msg)
    given = [(path, *(files and files[n] for files in (masks, landmarks))) for n, path in enumerate((fixed, moving))]
    scans = [
        Scan(
            patient=path.name.split(".")[0] or path.name,
            phase=role,
            origin=str(path),
            image=partial(read_volume, path),
            lungs=mask and partial(read_volume, mask),
            landmarks=points and partial(landmarks_of_image, points, path),
            file=path,
        )
        for role, (path, mask, points) in zip(("fixed", "moving"), given, strict=True)
    ]
    return Case(source_of(scans[0]), source_of(scans[1]), PAIR)


def source_of(scan: Scan) -> Source:
    """A scan with the digest of its files: those that its readers (``partial(read_volume, path)``) name.

    Raises:
        CohortError: A file that can't be read.
    """
    readers = (scan.image, scan.lungs, scan.landmarks, scan.second_landmarks, scan.true_landmarks)
    try:
        parts = [
            [content(argument) for argument in getattr(reader, "args", ()) if isinstance(argument, Path)]
            for reader in readers
        ]
    except OSError as error:
        msg = f"{scan.origin}: {error.filename} can't be read ({error.strerror})"
        raise CohortError(msg) from error
    return Source(scan, digest([scan.name, parts]))
