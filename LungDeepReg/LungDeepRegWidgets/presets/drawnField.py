"""What of a displacement field is drawn: which of its nodes, and whether its mean says more than the rest."""

from __future__ import annotations

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice, apply

MOST_SAMPLES = 100_000
OFFSET_RATIO = 2.0
"""An offset that is so many times greater than the deformation around it is taken for the table's."""


class Inside:
    """Nodes of a lattice, every so many, that lie in an image.

    Args:
        step: Every which node along each axis.
        mask: bool ``(K, J, I)`` of these nodes.
    """

    def __init__(self, step: int, mask: np.ndarray) -> None:
        self.step, self.mask = step, mask


def insideOf(lattice: Lattice, image: Lattice, covered: np.ndarray | None, step: int | None = None) -> Inside:
    """Which nodes of a lattice lie within an image, and where it isn't 0 if its voxels are given."""
    step = step or max(1, round((np.prod(lattice.shape) / MOST_SAMPLES) ** (1 / 3)))
    shape = tuple(-(-n // step) for n in lattice.shape)
    indices = np.indices(shape).reshape(3, -1)[::-1].T * float(step)
    points = apply(lattice.ijk_to_ras, indices)
    inside = image.contains(points)
    if covered is not None:
        i, j, k = np.round(apply(image.ras_to_ijk, points[inside])).astype(int).T
        limits = np.array(covered.shape) - 1
        inside[inside] = covered[np.minimum(k, limits[0]), np.minimum(j, limits[1]), np.minimum(i, limits[2])] > 0
    if not inside.any():
        inside[:] = True  # nothing is covered: the whole field then
    return Inside(step, inside.reshape(shape))


def thinned(field: DisplacementField, most: int) -> DisplacementField:
    """The field itself, or every second (third, ...) of its nodes where there are more than can be drawn quickly."""
    step = max(1, int(np.ceil((np.prod(field.lattice.shape) / most) ** (1 / 3))))
    if step == 1:
        return field
    vectors = np.ascontiguousarray(field.vectors[::step, ::step, ::step])
    matrix = np.array(field.lattice.ijk_to_ras)
    matrix[:3, :3] *= step
    return DisplacementField(vectors, Lattice(vectors.shape[:3], matrix))


def inner(mask: np.ndarray) -> np.ndarray:
    """A mask without the outermost nodes, as float32 ``(K, J, I, 1)``: beyond them a field goes on at its border."""
    weights = np.zeros((*mask.shape, 1), np.float32)
    weights[1:-1, 1:-1, 1:-1, 0] = mask[1:-1, 1:-1, 1:-1]
    return weights


def isOffset(vectors: np.ndarray) -> bool:
    """Whether displacements ``(N, 3)`` have a mean that is great beside what they differ from it by."""
    mean = vectors.mean(axis=0)
    spread = np.sqrt(np.mean(np.sum((vectors - mean) ** 2, axis=1)))
    return bool(np.linalg.norm(mean) > OFFSET_RATIO * spread)
