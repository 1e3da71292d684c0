"""A chest that is a formula, and lattices to see it on."""

import nibabel
import numpy as np
from LungDeepRegLib.geometry import Lattice

from training.synthesis.anatomy import Anatomy

EVEN = Lattice((34, 30, 36), np.diag([8.0, 8.0, 8.0, 1.0]))
UNEVEN = Lattice((28, 36, 22), np.diag([13.0, 7.0, 9.0, 1.0]))
COARSE = Lattice((13, 11, 14), np.diag([24.0, 26.0, 22.0, 1.0]))
ALIKE = {"scale": 0.0, "turn": 0.0, "elastic_mm": 0.0, "offset_mm": 0.0}
"""Settings of Variety by which a chest is seen as it is, but for a mirror."""
ALIGNED = {"misalignment": 0.0, "misalignment_mm": 0.0}


def ras_of(lattice):
    """RAS mm of all voxels ``(K, J, I, 3)``, by nibabel."""
    ijk = np.stack(np.meshgrid(*map(np.arange, lattice.shape), indexing="ij")[::-1], axis=-1)
    return nibabel.affines.apply_affine(lattice.ijk_to_ras, ijk)


def smooth_chest():
    """A chest of waves of at least 120 mm, with two lungs, so that interpolation doesn't matter."""
    matrix = np.diag([6.0, 5.0, 7.0, 1.0])
    matrix[:3, 3] = [-170, -100, 30]
    lattice = Lattice((44, 50, 58), matrix)
    r, a, s = np.moveaxis(ras_of(lattice), -1, 0)
    image = 0.5 + 0.15 * np.sin(r / 22 + 1) + 0.15 * np.cos(a / 20) + 0.15 * np.sin(s / 24 - a / 60)
    sides = [((r - at) / 55) ** 2 + ((a - 20) / 75) ** 2 + ((s - 180) / 105) ** 2 < 1 for at in (-70, 70)]
    return Anatomy(image.astype(np.float16), (sides[0] | sides[1]).astype(np.float16), lattice)
