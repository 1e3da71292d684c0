"""One type for all sources: a scan of a patient, and the cohort that scans make.

Nothing is read from a scan's files until :meth:`Scan.load`; a scan is small and can be sent to worker processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from LungDeepRegLib.image_io.files import described
from LungDeepRegLib.landmarks import Landmarks, shortened
from LungDeepRegLib.volume import Volume, check_image

from ..errors import TrainingError

TRAIN, VALIDATION = "train", "validation"
SPLITS = (TRAIN, VALIDATION)
NAMED_PROBLEMS = 10


class CohortError(TrainingError):
    """Scans that can't be trained on: the message names source, file and field, what was found and was expected."""


class LoadedScan(NamedTuple):
    """What a scan's files hold.

    Attributes:
        image: The voxels as stored, none of them NaN.
        lungs: bool ``(K, J, I)`` on the image's voxels, or None without a mask.
        landmarks: Points in RAS mm, inside the image, or None.
        second_landmarks: The same points placed by a second observer, likewise.
        true_landmarks: Where they really are, likewise.
    """

    image: Volume
    lungs: np.ndarray | None
    landmarks: Landmarks | None
    second_landmarks: Landmarks | None = None
    true_landmarks: Landmarks | None = None


@dataclass(frozen=True)
class Scan:
    """One image of one patient, not yet read.

    Attributes:
        patient: Whose it is. A patient is never in both splits.
        phase: ``exhale``, ``inhale``, ``T00``, ... free text, unique within a patient.
        origin: Where the scan is named, for messages: ``cohort.csv, line 3``.
        image: Reads the image. Can be pickled, as all of these: ``functools.partial(read_volume, path)``.
        lungs: Reads the lung mask, on the image's lattice; whatever is greater than 0 is lung.
        landmarks: Reads the landmarks.
        label: Diagnosis or group, free text.
        file: The image's file or folder, if it is one; no file may stand under two patients.
        second_landmarks: Reads the same landmarks placed by a second observer.
        true_landmarks: Reads where they really are, which only synthetic scans know.
        synthetic: Computed, not scanned.
    """

    patient: str
    phase: str
    origin: str
    image: Callable[[], Volume]
    lungs: Callable[[], Volume] | None = None
    landmarks: Callable[[], Landmarks] | None = None
    label: str = ""
    file: Path | None = None
    second_landmarks: Callable[[], Landmarks] | None = None
    true_landmarks: Callable[[], Landmarks] | None = None
    synthetic: bool = False

    @property
    def name(self) -> str:
        """Patient and phase in one word."""
        return f"{self.patient} {self.phase}"

    def load(self) -> LoadedScan:
        """Read image, mask and landmarks, and check them.

        Raises:
            CohortError: A file that can't be read; an image with NaN voxels or of one value; a mask on another lattice,
                of fractions, or empty; landmarks outside the image. Names origin, field and file.
        """
        with self._field("image"):
            image = self.image()
            check_image(image)
        with self._field("mask"):
            lungs = None if self.lungs is None else checked_lungs(self.lungs(), image)
        points = [
            self._points(name, read, image)
            for name, read in (
                ("landmarks", self.landmarks),
                ("second landmarks", self.second_landmarks),
                ("true landmarks", self.true_landmarks),
            )
        ]
        return LoadedScan(image, lungs, *points)

    def _points(self, name: str, read: Callable[[], Landmarks] | None, image: Volume) -> Landmarks | None:
        with self._field(name):
            return None if read is None else checked_landmarks(read(), image)

    @contextmanager
    def _field(self, name: str) -> Iterator[None]:
        """Let the engine's errors (all ValueErrors) say which scan and which field of it they are about."""
        try:
            yield
        except (ValueError, OSError) as error:
            msg = f"{self.origin}, {name} of patient {self.patient}, phase {self.phase}: {error}"
            raise CohortError(msg) from error


def checked_lungs(mask: Volume, image: Volume) -> np.ndarray:
    """The mask as bool ``(K, J, I)``; a :class:`CohortError` if it is no lung mask of this image."""
    if mask.lattice != image.lattice:
        msg = (
            f"{mask.name}: found a mask of {described(mask.lattice)}, expected the grid of {image.name}:"
            f" {described(image.lattice)}"
        )
        raise CohortError(msg)
    if mask.array.dtype.kind == "f" and not np.array_equal(mask.array, np.round(mask.array)):
        msg = f"{mask.name}: found fractional or NaN values, expected whole numbers (threshold probabilities first)"
        raise CohortError(msg)
    lungs = mask.array > 0
    if not lungs.any():
        msg = f"{mask.name}: found an empty mask, expected labels greater than 0"
        raise CohortError(msg)
    return lungs


def checked_landmarks(landmarks: Landmarks, image: Volume) -> Landmarks:
    """The landmarks, or a :class:`CohortError` if some lie outside the image."""
    inside = image.lattice.contains(landmarks.points_ras)
    if not inside.all():
        outside = [label for label, within in zip(landmarks.labels, inside, strict=True) if not within]
        msg = (
            f"{landmarks.name}: found {len(outside)} of {len(landmarks)} points outside {image.name}"
            f" ({shortened(outside)}), expected all of them inside: {described(image.lattice)}"
        )
        raise CohortError(msg)
    return landmarks


@dataclass(frozen=True)
class Cohort:
    """Scans of patients, from one source.

    Attributes:
        name: Of the source, for messages.
        scans: At least one.
        pairs: Indices ``(fixed, moving)`` into ``scans`` that the source itself names; none where it names none.
        split: Patient to ``train`` or ``validation``, for those patients whose split the source itself names.

    Raises:
        CohortError: No scans, an empty patient or phase, a phase twice in one patient, one image file twice (under two
            patients, above all), pairs of scans or splits of patients that don't exist.
    """

    name: str
    scans: tuple[Scan, ...]
    pairs: tuple[tuple[int, int], ...] = ()
    split: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.scans:
            msg = f"{self.name}: found no scan, expected at least one"
            raise CohortError(msg)
        problems = [*scan_problems(self.scans), *self._pair_problems(), *self._split_problems()]
        raise_problems(self.name, problems)

    @property
    def synthetic(self) -> bool:
        """Whether any of the scans was computed."""
        return any(scan.synthetic for scan in self.scans)

    @property
    def patients(self) -> tuple[str, ...]:
        """The patients, each once, in the order of their first scans."""
        return tuple(dict.fromkeys(scan.patient for scan in self.scans))

    def select(self, patients: Collection[str]) -> Cohort:
        """The part of the cohort that belongs to these patients; a pair stays if both of its scans do.

        Raises:
            CohortError: A patient that isn't in the cohort, or none at all.
        """
        unknown = sorted(set(patients) - set(self.patients))
        if unknown:
            msg = f"{self.name}: found no scan of {shortened(unknown)}, expected patients of the cohort"
            raise CohortError(msg)
        kept = [index for index, scan in enumerate(self.scans) if scan.patient in patients]
        new = {old: index for index, old in enumerate(kept)}
        pairs = tuple((new[fixed], new[moving]) for fixed, moving in self.pairs if fixed in new and moving in new)
        split = {patient: word for patient, word in self.split.items() if patient in patients}
        return Cohort(self.name, tuple(self.scans[index] for index in kept), pairs, split)

    def all_pairs(self) -> tuple[tuple[int, int], ...]:
        """All ordered pairs ``(fixed, moving)`` of different scans, also between patients, as the paper trained."""
        return tuple(permutations(range(len(self.scans)), 2))

    def patient_pairs(self) -> tuple[tuple[int, int], ...]:
        """All ordered pairs ``(fixed, moving)`` of different scans of one patient."""
        return tuple((a, b) for a, b in self.all_pairs() if self.scans[a].patient == self.scans[b].patient)

    def _pair_problems(self) -> Iterator[str]:
        last = len(self.scans) - 1
        for pair in self.pairs:
            if len(pair) != 2 or pair[0] == pair[1] or not all(0 <= index <= last for index in pair):
                yield f"found the pair {pair}, expected two different scans, each numbered 0 to {last}"

    def _split_problems(self) -> Iterator[str]:
        patients = set(self.patients)
        for patient, word in self.split.items():
            if word not in SPLITS:
                yield f"found the split {word!r} of patient {patient}, expected {' or '.join(SPLITS)}"
            if patient not in patients:
                yield f"found a split of patient {patient}, of whom there is no scan"


def scan_problems(scans: Sequence[Scan]) -> Iterator[str]:
    """What is wrong with scans as a set: empty names, a phase or an image that stands twice."""
    for scan in scans:
        if not scan.patient or not scan.phase:
            yield f"{scan.origin}: found patient {scan.patient!r} and phase {scan.phase!r}, expected both to be named"
    for (patient, phase), count in Counter((scan.patient, scan.phase) for scan in scans).items():
        if count > 1:
            places = [scan.origin for scan in scans if (scan.patient, scan.phase) == (patient, phase)]
            yield f"{'; '.join(places)}: found phase {phase} of patient {patient} {count} times, expected it once"
    seen: dict[Path, Scan] = {}
    for scan in scans:
        if scan.file is None:
            continue
        first = seen.setdefault(scan.file.resolve(), scan)
        if first.patient != scan.patient:
            yield (
                f"{first.origin}; {scan.origin}: found the image {scan.file} under two patients, {first.patient} and"
                f" {scan.patient}, expected each image under one"
            )
        elif first is not scan:
            yield f"{first.origin}; {scan.origin}: found the image {scan.file} twice, expected each image once"


def raise_problems(name: str, problems: Sequence[str]) -> None:
    """Raise one :class:`CohortError` for all problems of a source, the first ten in words; none: do nothing."""
    if not problems:
        return
    lines = list(problems[:NAMED_PROBLEMS])
    if len(problems) > NAMED_PROBLEMS:
        lines.append(f"and {len(problems) - NAMED_PROBLEMS} more")
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise CohortError("\n".join([f"{name}: found {count}", *(f"  {line}" for line in lines)]))
