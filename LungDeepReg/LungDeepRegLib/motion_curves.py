"""How landmarks of a reference phase move over the phases of a 4D image."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .image_io.files import writing
from .landmarks import LandmarkError, Landmarks, shortened

Phi = Callable[[np.ndarray], np.ndarray]
"""The map of a phase: points ``(N, 3)`` of the reference phase in RAS mm to where they are in that phase."""
CSV_COLUMNS = ("landmark", "phase", "r", "a", "s", "dr", "da", "ds", "displacement_mm", "amplitude_mm")


@dataclass(frozen=True, eq=False)
class MotionCurves:
    """Where landmarks are in each phase, in RAS mm.

    Attributes:
        labels: The landmarks' names, N of them, each once.
        phases: The phases' names, P of them, each once, in their order.
        reference: The index of the phase in which the landmarks were placed.
        positions: ``(P, N, 3)`` float64.
    """

    labels: tuple[str, ...]
    phases: tuple[str, ...]
    reference: int
    positions: np.ndarray

    @property
    def displacement(self) -> np.ndarray:
        """From the reference phase to each phase, ``(P, N, 3)`` mm along R, A, S."""
        return self.positions - self.positions[self.reference]

    @property
    def distance(self) -> np.ndarray:
        """Lengths of :attr:`displacement`, ``(P, N)`` mm."""
        return np.linalg.norm(self.displacement, axis=-1)

    @property
    def amplitude(self) -> np.ndarray:
        """The longest way between any two phases, ``(N,)`` mm; whichever phase is the reference."""
        apart = self.positions[:, None] - self.positions[None]
        return np.linalg.norm(apart, axis=-1).max(axis=(0, 1))


def motion_curves(landmarks: Landmarks, phases: Sequence[tuple[str, Phi | None]]) -> MotionCurves:
    """The positions of landmarks over phases.

    Args:
        landmarks: Placed in the reference phase.
        phases: In the order of breathing, each with its map from the reference phase, which has None instead.

    Raises:
        LandmarkError: A label or a phase that is there twice, none or several references, or a map that gives no
            finite points.
    """
    names = tuple(str(name) for name, _ in phases)
    for what, found in ((f"{landmarks.name}: found the labels", landmarks.labels), ("found the phases", names)):
        twice = [name for name, count in Counter(found).items() if count > 1]
        if twice:
            msg = f"{what} {shortened(twice)} more than once, expected each once"
            raise LandmarkError(msg)
    references = [index for index, (_, phi) in enumerate(phases) if phi is None]
    if len(references) != 1:
        msg = f"found {len(references)} reference phases among {shortened(list(names))}, expected one"
        raise LandmarkError(msg)
    start = landmarks.points_ras
    positions = np.stack([start if phi is None else moved(start, phi, name) for name, phi in phases])
    return MotionCurves(landmarks.labels, names, references[0], positions)


def moved(points: np.ndarray, phi: Phi, phase: str) -> np.ndarray:
    """Where a phase's map takes points ``(N, 3)``."""
    result = np.asarray(phi(points), dtype=np.float64)
    if result.shape != points.shape or not np.isfinite(result).all():
        msg = f"{phase}: found points of shape {result.shape} or not finite, expected {points.shape} finite RAS mm"
        raise LandmarkError(msg)
    return result


def write_motion_curves(path: str | os.PathLike[str], curves: MotionCurves) -> None:
    """Write a CSV table of :data:`CSV_COLUMNS`: a row for each landmark and phase, landmark by landmark.

    ``r, a, s`` are positions in mm, ``dr, da, ds`` displacements from the reference phase along R, A and S,
    ``displacement_mm`` their length, and ``amplitude_mm`` the landmark's longest way between any two phases.

    Raises:
        FileError: A full disk, a place that isn't writable.
    """
    path = Path(path)
    values = np.concatenate([curves.positions, curves.displacement, curves.distance[..., None]], axis=-1)
    with writing(path), path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# coordinate system: RAS, in mm; reference phase: {curves.phases[curves.reference]}\n")
        table = csv.writer(file, lineterminator="\n")
        table.writerow(CSV_COLUMNS)
        for n, (label, amplitude) in enumerate(zip(curves.labels, curves.amplitude, strict=True)):
            for phase, row in zip(curves.phases, values[:, n], strict=True):
                table.writerow([label, phase, *(f"{value:.4f}" for value in (*row, amplitude))])
