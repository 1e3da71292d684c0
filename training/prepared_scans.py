"""Scans made ready for pairing, and what is known between two of them, kept in files between runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from LungDeepRegLib.alignment import align
from LungDeepRegLib.intensity import Intensity, choose_intensity
from LungDeepRegLib.landmarks import Landmarks
from LungDeepRegLib.lung_mask import find_lungs
from LungDeepRegLib.preprocessing import Prepared, prepare
from LungDeepRegLib.volume import Volume

from .cohorts import Scan

VERSION = 1
"""Raised whenever the same scan would be prepared in another way, so that no stale file is read."""

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class ReadyScan:
    """A scan as pairs are made of it, and its landmarks if it has any."""

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
        """A scan, read, averaged and with its lungs (in CT found where there is no mask)."""
        return ready_of(self._kept(self._key(scan), lambda: arrays_of(self._prepared(scan))), scan)

    def alignment(self, fixed: Scan, moving: Scan, mode: str) -> np.ndarray:
        """The alignment of two scans, 4x4, fixed RAS mm to moving RAS mm."""

        def make() -> Arrays:
            return {"matrix": align(self.scan(fixed).scan, self.scan(moving).scan, mode).matrix}

        return self._kept([self._key(fixed), self._key(moving), mode], make)["matrix"]

    def _prepared(self, scan: Scan) -> ReadyScan:
        image, lungs, landmarks = scan.load()
        intensity = choose_intensity(image, self.modality)
        lungs = find_lungs(image, intensity) if lungs is None else lungs
        return ReadyScan(prepare(image, intensity, lungs, self.spacing_mm), landmarks)

    def _key(self, scan: Scan) -> list:
        """What the result depends on: the scan, the state of its file, and the settings."""
        state = scan.file.stat() if scan.file is not None and scan.file.exists() else None
        when = [state.st_mtime_ns, state.st_size] if state is not None else []
        return [VERSION, scan.origin, scan.name, str(scan.file), when, self.modality, self.spacing_mm]

    def _kept(self, key: list, make: Callable[[], Arrays]) -> Arrays:
        if self.cache is None:
            return make()
        name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
        path = self.cache / f"scan_{name}.npz"
        if not path.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f"{name}.{os.getpid()}.unfinished.npz")
            np.savez(unfinished, **make())
            unfinished.replace(path)
        with np.load(path) as stored:
            return dict(stored)


def arrays_of(ready: ReadyScan) -> Arrays:
    """A prepared scan as arrays."""
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
