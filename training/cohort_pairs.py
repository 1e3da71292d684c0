"""Pairs of a cohort's scans: read when first asked for, prepared once, kept in a cache."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from LungDeepRegLib.alignment import ALIGNMENTS
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.intensity import MODALITIES
from LungDeepRegLib.landmarks import LandmarkError, matched
from tqdm import tqdm

from .augmentation import Augmentation
from .cohorts import Cohort, CohortError, check_cohort, read_cohort, split_patients
from .cohorts.scan import raise_problems
from .pairs import Pair, PairSource
from .placing import SAMPLINGS, placed
from .prepared_scans import Preparation, ReadyScan

PARTS = ("all", "train", "validation")
PAIRINGS = ("all", "patient", "named")


class CohortPairs(PairSource):
    """Pairs of scans from files.

    Args:
        cohort: A manifest (CSV or JSON), Learn2Reg's ``*_dataset.json``, or a folder of DIR-Lab's cases.
        part: ``train`` or ``validation`` patients, or ``all``. Both parts must be split with the same two settings.
        validation: How many patients validate, or which share of them (below 1), where the source doesn't say who.
        split_seed: Of the random split.
        pairing: ``all`` ordered pairs, also between patients (as the paper trained); those within a ``patient``; or
            the pairs ``named`` by the source.
        alignment: ``none``, ``centre`` or ``affine``: what brings the two images together before the network.
        modality: How values are read: ``auto``, ``ct``, ``mri`` or ``paper``.
        sampling: ``mean`` or ``cubic``, see :func:`placing.placed`.
        spacing_mm: Finer voxels are averaged to about this before they are kept.
        augmentation: Random change of looks in training; null for none.
        cache: A folder in which prepared images and alignments are kept between runs.

    Raises:
        CohortError: An unknown word or spacing, a source that can't be read, or no pair of the kind asked for.
    """

    def __init__(
        self,
        cohort: Path,
        part: str = "all",
        validation: float = 0.2,
        split_seed: int = 0,
        pairing: str = "patient",
        alignment: str = "affine",
        modality: str = "auto",
        sampling: str = "mean",
        spacing_mm: float = 2.0,
        augmentation: Augmentation | None = None,
        cache: Path | None = None,
    ) -> None:
        for name, value, allowed in (
            ("part", part, PARTS), ("pairing", pairing, PAIRINGS), ("alignment", alignment, ALIGNMENTS),
            ("modality", modality, MODALITIES), ("sampling", sampling, SAMPLINGS),
        ):  # fmt: skip
            if value not in allowed:
                msg = f"found {name} {value!r}, expected one of {', '.join(allowed)}"
                raise CohortError(msg)
        if not (math.isfinite(spacing_mm) and spacing_mm > 0):
            msg = f"found spacing_mm {spacing_mm}, expected a number of mm above 0"
            raise CohortError(msg)
        self.cohort = part_of(read_cohort(cohort), part, validation, split_seed)
        self.pairs = pairs_of(self.cohort, pairing)
        self.preparation = Preparation(modality, spacing_mm, cache)
        self.alignment, self.sampling, self.augmentation = alignment, sampling, augmentation
        self._scans: dict[int, ReadyScan] = {}
        self._matrices: dict[tuple[int, int], np.ndarray] = {}

    def check(self) -> None:
        """Read every scan once.

        Raises:
            CohortError: All that is wrong with the scans, see :func:`check_cohort`; landmarks of one patient that
                can't be paired.
        """
        check_cohort(self.cohort, lambda scans: tqdm(scans, "scans", len(self.cohort.scans), file=sys.stderr))
        raise_problems(self.cohort.name, list(landmark_problems(self.cohort, self.pairs)))

    def draw(self, lattice: Lattice, random: np.random.Generator) -> Pair:
        """Any of the pairs, see :class:`PairSource`."""
        pair = self._pair(lattice, self.pairs[int(random.integers(len(self.pairs)))])
        return pair if self.augmentation is None else self.augmentation.pair(pair, random)

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.pairs)

    def numbered(self, lattice: Lattice, number: int) -> Pair:
        """The pairs in their order."""
        return self._pair(lattice, self.pairs[number])

    def _pair(self, lattice: Lattice, pair: tuple[int, int]) -> Pair:
        fixed, moving = (self._scan(index) for index in pair)
        # Landmarks of two patients needn't be the same places, whatever their names.
        one_patient = self.cohort.scans[pair[0]].patient == self.cohort.scans[pair[1]].patient
        marks = (fixed.landmarks, moving.landmarks) if one_patient else (None, None)
        return placed(fixed.scan, moving.scan, self._matrix(pair), lattice, sampling=self.sampling, landmarks=marks)

    def _scan(self, index: int) -> ReadyScan:
        if index not in self._scans:
            self._scans[index] = self.preparation.scan(self.cohort.scans[index])
        return self._scans[index]

    def _matrix(self, pair: tuple[int, int]) -> np.ndarray:
        if pair not in self._matrices:
            fixed, moving = (self.cohort.scans[index] for index in pair)
            self._matrices[pair] = self.preparation.alignment(fixed, moving, self.alignment)
        return self._matrices[pair]


def part_of(cohort: Cohort, part: str, validation: float, seed: int) -> Cohort:
    """The patients that train, those that validate, or all.

    Args:
        cohort: All scans.
        part: One of :data:`PARTS`.
        validation: A number of patients, or a share of them below 1.
        seed: Of the split.

    Raises:
        CohortError: No patient on one of the sides.
    """
    if part == "all":
        return cohort
    whole = validation >= 1 and float(validation).is_integer()
    train, held_back = split_patients(cohort, int(validation) if whole else validation, seed)
    return train if part == "train" else held_back


def pairs_of(cohort: Cohort, pairing: str) -> tuple[tuple[int, int], ...]:
    """Indices ``(fixed, moving)`` of the scans to pair.

    Raises:
        CohortError: A cohort without any such pair.
    """
    pairs = {"all": cohort.all_pairs, "patient": cohort.patient_pairs, "named": lambda: cohort.pairs}[pairing]()
    if not pairs:
        msg = f"{cohort.name}: found no pair of the kind {pairing!r} among {len(cohort.scans)} scans, expected one"
        raise CohortError(msg)
    return pairs


def landmark_problems(cohort: Cohort, pairs: Iterable[tuple[int, int]]) -> Iterator[str]:
    """Landmarks of two scans of a patient that can't be paired with each other."""
    for a, b in dict.fromkeys((min(pair), max(pair)) for pair in pairs):
        first, second = cohort.scans[a], cohort.scans[b]
        if first.patient != second.patient or first.landmarks is None or second.landmarks is None:
            continue
        try:
            matched(first.landmarks(), second.landmarks())
        except LandmarkError as error:
            yield f"{first.origin}; {second.origin}, landmarks of patient {first.patient}: {error}"
