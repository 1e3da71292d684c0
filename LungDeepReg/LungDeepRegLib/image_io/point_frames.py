"""What the readers of landmark files share: coordinates from text, and their frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..geometry import LPS_TO_RAS, apply
from ..landmarks import LandmarkError, Landmarks
from .files import FileError


def point_of(values: Any, where: str) -> list[float]:
    """Three numbers, or a :class:`FileError` that says where in the file they should have been."""
    try:
        point = [float(value) for value in values]
    except (TypeError, ValueError):
        point = []
    if len(point) != 3 or not np.isfinite(point).all():
        msg = f"{where}: found the position {values!r}, expected three finite numbers"
        raise FileError(msg)
    return point


def ras(points: Sequence[Sequence[float]] | np.ndarray, frame: str) -> np.ndarray:
    """Points ``(N, 3)`` between RAS and the frame ``RAS`` or ``LPS``: the same operation either way."""
    points = np.reshape(np.asarray(points, dtype=np.float64), (-1, 3))
    return points if frame == "RAS" else apply(LPS_TO_RAS, points)


def landmarks_of(path: Path, points_ras: np.ndarray, labels: Sequence[str]) -> Landmarks:
    """The landmarks of a file; errors name it."""
    try:
        return Landmarks(points_ras, tuple(labels), path.name)
    except LandmarkError as error:
        msg = f"{path}: {error}"
        raise FileError(msg) from error
