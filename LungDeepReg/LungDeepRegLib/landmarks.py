"""Anatomical landmarks in world coordinates, and their pairing between two images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


class LandmarkError(ValueError):
    """Landmarks that are no points in space, or two sets that can't be paired."""


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Named points.

    Attributes:
        points_ras: ``(N, 3)`` float64, RAS mm, at least one point; read-only.
        labels: One name a point, as in the file. They needn't be unique.
        name: The file or node they came from, for messages.

    Raises:
        LandmarkError: No points, another shape, NaN or infinite coordinates, or another number of labels.
    """

    points_ras: np.ndarray
    labels: tuple[str, ...]
    name: str = "landmarks"

    def __post_init__(self) -> None:
        points = np.array(self.points_ras, dtype=np.float64)
        labels = tuple(str(label) for label in self.labels)
        if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
            msg = f"{self.name}: found points of shape {points.shape}, expected (N, 3) with at least one point"
            raise LandmarkError(msg)
        if len(labels) != len(points):
            msg = f"{self.name}: found {len(labels)} labels for {len(points)} points, expected one label a point"
            raise LandmarkError(msg)
        bad = [label for label, point in zip(labels, points, strict=True) if not np.isfinite(point).all()]
        if bad:
            msg = f"{self.name}: found NaN or infinite coordinates at {shortened(bad)}, expected finite mm"
            raise LandmarkError(msg)
        points.setflags(write=False)
        object.__setattr__(self, "points_ras", points)
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        """How many points there are."""
        return len(self.labels)


def matched(fixed: Landmarks, moving: Landmarks) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Corresponding points of two images.

    Paired by label where both sets have the same labels, each once; by their order where no label of one set stands
    in the other, or labels stand twice, and the counts are equal. The result is in the order of ``fixed``.

    Returns:
        Points in the fixed image and in the moving image, ``(N, 3)`` RAS mm each, and the labels of ``fixed``.

    Raises:
        LandmarkError: Only some labels in common (order could pair the wrong ones), or another number of points.
    """
    order = {label: index for index, label in enumerate(moving.labels)}
    if same_labels(fixed, moving):
        return fixed.points_ras, moving.points_ras[[order[label] for label in fixed.labels]], fixed.labels
    unique = len(order) == len(moving) and len(set(fixed.labels)) == len(fixed)
    partly = unique and not set(fixed.labels).isdisjoint(order)
    if len(fixed) == len(moving) and not partly:
        return fixed.points_ras, moving.points_ras, fixed.labels
    only_fixed = [label for label in fixed.labels if label not in order]
    only_moving = [label for label in moving.labels if label not in fixed.labels]
    msg = (
        f"found {len(fixed)} points in {fixed.name} and {len(moving)} in {moving.name}, expected the same labels or the"
        f" same number; only in {fixed.name}: {shortened(only_fixed)}; only in {moving.name}: {shortened(only_moving)}"
    )
    raise LandmarkError(msg)


def same_labels(fixed: Landmarks, moving: Landmarks) -> bool:
    """Whether points of two images can be paired by label: both sets have the same ones, each once."""
    return sorted(fixed.labels) == sorted(moving.labels) and len(set(fixed.labels)) == len(fixed)


def shortened(labels: list[str], most: int = 8) -> str:
    """Labels for a message, the first few of them."""
    if not labels:
        return "none"
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(labels[:most]) + more
