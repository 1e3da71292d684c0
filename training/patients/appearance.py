"""A synthetic patient as MRI."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from LungDeepRegLib.displacement_field import lattice_points
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.phantom.shapes import occupancy
from LungDeepRegLib.volume import Volume, slabs

from .patient import Patient

SLAB_VOXELS = 250_000
RIGHT, LEFT = 1, 2


class Breath(Protocol):
    """A map phi from a state of the chest to the inhaled one, RAS mm."""

    def with_jacobian(self, points_ras: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both phi ``(N, 3)`` and det(d phi / d x) ``(N,)``."""


def picture(patient: Patient, lattice: Lattice, phi: Breath | None, rng: np.random.Generator) -> tuple[Volume, Volume]:
    """One state of the patient on a lattice, 0 to 1300, float32, and its lungs, uint8: 1 right, 2 left.

    Args:
        patient: Who is shown.
        lattice: Where the voxels are.
        phi: The map from this state to the inhaled one, or None for that itself.
        rng: Of the noise.
    """
    voxel = lattice.voxel_volume_mm3 ** (1 / 3)
    image, lungs = np.empty(lattice.shape, np.float32), np.empty(lattice.shape, np.uint8)
    for planes, slab in slabs(lattice, SLAB_VOXELS):
        x = lattice_points(slab).astype(np.float32)
        y = x if phi is None else phi.with_jacobian(x)[0].astype(np.float32)
        inside = patient.lungs(y)
        value = 450 * occupancy(patient.body(y), voxel) - 380 * occupancy(inside, voxel)
        image[planes] = value.reshape(slab.shape)
        lungs[planes] = np.where(inside < 0, np.where(patient.right_lung(y), RIGHT, LEFT), 0).reshape(slab.shape)
    image = np.hypot(image + rng.normal(0, 15, image.shape), rng.normal(0, 15, image.shape)).astype(np.float32)
    name = patient.member.name
    return Volume(image, lattice.ijk_to_ras, name), Volume(lungs, lattice.ijk_to_ras, f"{name} lungs")
