"""Where the voxels of a patient's images are: coronal slices of the paper's raw size, tilted a little."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from LungDeepRegLib.geometry import Lattice
from scipy.spatial.transform import Rotation

CORONAL = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])
"""Columns: the directions of i (to the patient's left), j (down) and k (backwards)."""


@dataclass(frozen=True)
class Scanner:
    """How images are taken: the table ``[scanner]``.

    The paper gives the number of voxels; it doesn't publish their spacing.

    Attributes:
        slices: How many coronal slices.
        matrix: Voxels along both sides of a slice.
        in_plane_mm: Distance between voxel centres in a slice.
        slice_mm: Distance between slices.
        tilt_deg: Standard deviation of the slices' tilt about each axis.
        aim_mm: Standard deviation of the distance between the middles of image and lungs, along each axis.
    """

    slices: int
    matrix: int
    in_plane_mm: float
    slice_mm: float
    tilt_deg: float
    aim_mm: float

    def lattice(self, middle: np.ndarray, rng: np.random.Generator, coarser: float = 1.0) -> Lattice:
        """The voxels of one patient's images; both breath-holds have the same.

        Args:
            middle: Of the lungs, ``(3,)`` RAS mm.
            rng: Where tilt and aim come from.
            coarser: How many times larger the voxels are than the scanner's, in the same field of view.
        """
        tilt = Rotation.from_rotvec(rng.normal(0, self.tilt_deg, 3), degrees=True).as_matrix()
        aim = middle + rng.normal(0, self.aim_mm, 3)
        shape = np.array([self.slices, self.matrix, self.matrix])
        count = np.maximum(np.round(shape / coarser).astype(int), 2)
        spacing = np.array([self.in_plane_mm, self.in_plane_mm, self.slice_mm]) * (shape / count)[::-1]
        matrix = np.eye(4)
        matrix[:3, :3] = tilt @ CORONAL * spacing
        matrix[:3, 3] = aim - matrix[:3, :3] @ (count[::-1] - 1) / 2
        return Lattice(tuple(count), matrix)
