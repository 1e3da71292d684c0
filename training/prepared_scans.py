"""Scans made ready for pairing, and what is known between two of them, kept in files between runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from LungDeepRegLib.alignment import align
from LungDeepRegLib.intensity import Intensity, choose_intensity
from LungDeepRegLib.landmarks import Landmarks
from LungDeepRegLib.lung_mask import find_lungs
from LungDeepRegLib.preprocessing import Prepared, prepare
from LungDeepRegLib.volume import Volume

from .cohorts import Scan
from .kept_arrays import Arrays, file_state, kept_arrays

VERSION = 1
"""Raised whenever the same scan would be prepared in another way, so that no stale file is read."""


@dataclass(frozen=True)
class ReadyScan:
    """A scan as pairs are made of it.

    Attributes:
        scan: Image and lungs; they hold 16 bits a voxel, since many scans are in memory at a time.
        landmarks: In RAS mm, or None.
    """

    scan: Prepared
    landmarks: Landmarks | None


@dataclass(frozen=True)
class Preparation:
    """How scans are prepared.

    Attributes:
        modality: ``auto``, ``ct``, ``mri`` or ``paper``.
        spacing_mm: Finer voxels are averaged to about this.
        cache: A folder in which the results are kept; None keeps nothing.
    """

    modality: str
    spacing_mm: float
    cache: Path | None

    def scan(self, scan: Scan) -> ReadyScan:
        """A scan, read, averaged and with its lungs (in CT found where there is no mask).

        Raises:
            CohortError: A file that can't be read or used, see :meth:`Scan.load`.
        """
        return ready_of(self._kept(self._key(scan), lambda: arrays_of(self._prepared(scan))), scan)

    def alignment(self, fixed: Scan, moving: Scan, mode: str) -> np.ndarray:
        """The alignment of two scans, 4x4, fixed RAS mm to moving RAS mm.

        Args:
            fixed: The fixed scan.
            moving: The moving scan.
            mode: ``none``, ``centre`` or ``affine``.
        """
        if mode == "none":
            return np.eye(4)

        def make() -> Arrays:
            return {"matrix": align(self.scan(fixed).scan, self.scan(moving).scan, mode).matrix}

        return self._kept([self._key(fixed), self._key(moving), mode], make)["matrix"]

    def _prepared(self, scan: Scan) -> ReadyScan:
        loaded = scan.load()
        intensity = choose_intensity(loaded.image, self.modality)
        lungs = find_lungs(loaded.image, intensity) if loaded.lungs is None else loaded.lungs
        return ReadyScan(prepare(loaded.image, intensity, lungs, self.spacing_mm), loaded.landmarks)

    def _key(self, scan: Scan) -> list:
        """What the result depends on: the scan, the state of its files, and the settings."""
        return [VERSION, *state_of(scan), self.modality, self.spacing_mm]

    def _kept(self, key: list, make: Callable[[], Arrays]) -> Arrays:
        return make() if self.cache is None else kept_arrays(self.cache, "scan", key, make)


def state_of(scan: Scan) -> list:
    """What tells the present state of a scan's files from others: of image, mask and landmarks.

    Its readers are functions with the files as arguments (``partial(read_volume, path)``). A scan whose readers name
    no file goes by where it is named, and isn't noticed to change.
    """
    files = [None if reader is None else files_of(reader) for reader in (scan.image, scan.lungs, scan.landmarks)]
    image = files[0] or ([] if scan.file is None else file_state(scan.file))
    return [image or [scan.origin, scan.name], *files[1:]]


def files_of(reader: Callable) -> list:
    """The states of the files that a reader has as arguments."""
    paths = [argument for argument in reader.args if isinstance(argument, Path)] if isinstance(reader, partial) else []
    return [state for path in paths for state in file_state(path)]


def arrays_of(ready: ReadyScan) -> Arrays:
    """A prepared scan as arrays: image and lungs in 16 bits, and what it takes to read and place them."""
    prepared, landmarks = ready.scan, ready.landmarks
    intensity = prepared.intensity
    arrays: Arrays = {
        "image": prepared.image.array.astype(np.float16),
        "ijk_to_ras": prepared.image.ijk_to_ras,
        "window": np.array([intensity.low, intensity.high, intensity.fill, intensity.offset]),
        "modality": np.array(intensity.modality),
        "reason": np.array(intensity.reason),
    }
    if prepared.lungs is not None:
        arrays["lungs"] = prepared.lungs.array.astype(np.float16)
    if landmarks is not None:
        arrays |= {"points": landmarks.points_ras, "labels": np.array(landmarks.labels)}
    return arrays


def ready_of(arrays: Arrays, scan: Scan) -> ReadyScan:
    """The prepared scan that :func:`arrays_of` took apart."""
    low, high, fill, offset = (float(value) for value in arrays["window"])
    intensity = Intensity(str(arrays["modality"]), low, high, fill, str(arrays["reason"]), offset)
    image = Volume(arrays["image"], arrays["ijk_to_ras"], scan.name)
    lungs = image.with_array(arrays["lungs"]) if "lungs" in arrays else None
    landmarks = None
    if "points" in arrays:
        landmarks = Landmarks(arrays["points"], tuple(str(label) for label in arrays["labels"]), scan.name)
    return ReadyScan(Prepared(image, lungs, intensity), landmarks)
