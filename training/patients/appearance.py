"""A synthetic patient as MRI: a T1-weighted gradient echo, as its scanner would give it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from LungDeepRegLib.displacement_field import lattice_points
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.volume import Volume, slabs

from .acquisition import Coils, acquired
from .painting import Painter
from .patient import SIGNALS, Patient

SLAB_VOXELS = 250_000
WINDOW = (0.0, 1300.0)
COARSEST_MM = 4.0  # images of larger voxels are painted as sharp as with these


class InhalingMap(Protocol):
    """A map phi from a state of the chest to the inhaled one, RAS mm."""

    def with_jacobian(self, points_ras: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both phi ``(N, 3)`` and det(d phi / d x) ``(N,)``."""


def picture(
    patient: Patient, lattice: Lattice, phi: InhalingMap | None, rng: np.random.Generator
) -> tuple[Volume, Volume]:
    """One state of the patient on a lattice, 0 to 1300, float32, and its lungs, uint8: 1 right, 2 left.

    At x it shows the tissue that is at phi(x) when inhaled; healthy lung's signal times det(d phi / d x), 4 at most.

    Args:
        patient: Who is shown.
        lattice: Where the voxels are.
        phi: The map from this state to the inhaled one, or None for that itself.
        rng: Of the noise, and of how the coils lie.
    """
    look = patient.look
    painter = Painter(patient, look.signals(patient.generator(SIGNALS)), picture_voxel_mm(lattice))
    coils = Coils.around(patient.placement.frame_to_ras[:3, 3], rng)
    image, lungs = np.empty(lattice.shape, np.float32), np.empty(lattice.shape, np.uint8)
    pulsing = np.empty(lattice.shape, np.float32)
    for planes, slab in slabs(lattice, SLAB_VOXELS):
        x = lattice_points(slab).astype(np.float32)
        y, expansion = (x, np.ones(len(x), np.float32)) if phi is None else phi.with_jacobian(x)
        canvas = painter.paint(y.astype(np.float32, copy=False), expansion.astype(np.float32, copy=False))
        shade = coils(x) ** np.float32(look.shading)
        image[planes] = (canvas.values * shade).reshape(slab.shape)
        pulsing[planes] = (canvas.pulsing * shade).reshape(slab.shape)
        lungs[planes] = canvas.labels.reshape(slab.shape)
    image = acquired(image, pulsing, lattice, look.noise, look.coverage, look.ghosting, rng)
    name = patient.member.name
    return (
        Volume(np.clip(image, *WINDOW), lattice.ijk_to_ras, name),
        Volume(lungs, lattice.ijk_to_ras, f"{name} lungs"),
    )


def picture_voxel_mm(lattice: Lattice) -> float:
    """How large a voxel tissue is painted for."""
    return min(lattice.voxel_volume_mm3 ** (1 / 3), COARSEST_MM)
