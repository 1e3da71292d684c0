"""Both images in the fixed image's lungs, voxel for voxel, as far as they should be alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..displacement_field import DisplacementField
from ..field_sampling import inside, sampling_grid
from ..geometry import Lattice, covering_lattice, index_box
from ..intensity import Intensity
from ..metrics import jacobian_determinant
from ..resampling import averaged, resample, world_grid
from ..results.images import extent
from ..results.pair import Pair
from ..volume import Volume, averaging_factors, block_mean, slabs
from ..warp import warp
from .local_moments import WIDE, blocks, local_moments, repeated

MAP_SPACING_MM = 3.0
FINER = 2
"""Voxels along each axis, for each node of a map."""
AROUND_MM = 6.0
"""How far the maps reach beyond the lungs' box."""
RIM = 2
"""Voxels (3 mm) within the lungs' surface that don't count: they show the surface itself, on which two images agree
wherever their insides are."""
DENSEST = 1300.0
"""Density in mg/ml above which everything is bone or metal."""
VOLUME_CHANGES = (0.05, 20.0)
"""Determinants beyond these are folds or tears of the field, and no tissue's."""


class AssessmentError(ValueError):
    """A pair whose registration can't be assessed."""


@dataclass(frozen=True, eq=False)
class LungSamples:
    """Both images on voxels of half the maps' spacing.

    Attributes:
        lattice: Of the maps.
        fixed: Density in mg/ml (HU + 1000) for two CTs, otherwise the window's share in [0, 1]; ``(K, J, I)`` float32.
        moving: The same at phi(x).
        expected: What the moving image lets expect of the fixed one, comparable with ``fixed``.
        jacobian: ``det(d phi / d x)``.
        lungs: Fixed lungs, bool.
        covered: Where phi(x) lies in the moving image, bool.
        judged: Those of them that count: covered by the moving image and not at the lungs' surface.
        ct: Whether these are densities.
    """

    lattice: Lattice
    fixed: np.ndarray
    moving: np.ndarray
    expected: np.ndarray
    jacobian: np.ndarray
    lungs: np.ndarray
    covered: np.ndarray
    judged: np.ndarray
    ct: bool

    @property
    def in_lungs(self) -> np.ndarray:
        """Nodes of the maps at least half of which is lung, bool."""
        return blocks(self.lungs, FINER) >= FINER**3 / 2

    @property
    def known(self) -> np.ndarray:
        """Those of them whose lung is covered, at least by half; elsewhere phi was only carried on, bool."""
        return self.in_lungs & (2 * blocks(self.lungs & self.covered, FINER) >= blocks(self.lungs, FINER))


def sample_lungs(pair: Pair, phi: DisplacementField) -> LungSamples:
    """Sample both images where the fixed one shows lung.

    For two CTs the moving image is corrected for density: mass is preserved, so what has J times the volume in it has
    1 / J of the density, and ``expected = J * moving(phi)``. Otherwise it is fitted to the fixed image linearly, over
    cubes of :data:`local_moments.WIDE` nodes around each: gain and coil shading differ, and vary slowly.

    Raises:
        AssessmentError: No mask of the fixed lungs.
    """
    if pair.fixed_mask is None:
        msg = f"{pair.fixed.name}: found no mask of the lungs, expected one (only in CT they are found automatically)"
        raise AssessmentError(msg)
    lattice = maps_lattice(pair.fixed_mask, pair.fixed.lattice)
    count = np.array(lattice.shape[::-1]) * FINER
    fine = index_box(lattice, np.zeros(3), count, np.full(3, 1 / FINER))
    ct = pair.modality == "ct"
    read_fixed, read_moving = (reading(of, ct=ct) for of in (pair.fixed_intensity, pair.moving_intensity))
    fixed = averaged(pair.fixed, fine, read_fixed).array
    moving, covered = warped(pair.moving, phi, fine, read_moving)
    jacobian = resample(Volume(jacobian_determinant(phi), phi.lattice.ijk_to_ras), fine).array
    lungs = resample(pair.fixed.with_array(pair.fixed_mask), fine, mode="nearest").array
    for planes, slab in slabs(fine):
        lungs[planes] &= inside(world_grid(slab, pair.fixed.lattice), pair.fixed.lattice)[0].numpy()
    judged = covered & ndimage.binary_erosion(lungs, iterations=RIM)
    if ct:
        expected = np.minimum(moving * np.clip(jacobian, 0, VOLUME_CHANGES[1]), DENSEST)
    else:
        expected = fitted(fixed, moving, judged)
    return LungSamples(lattice, fixed, moving, expected, jacobian, lungs, covered, judged, ct)


def maps_lattice(mask: np.ndarray, lattice: Lattice) -> Lattice:
    """The maps' nodes, :data:`MAP_SPACING_MM` apart, around what is marked in an image's mask ``(K, J, I)``."""
    first, last = extent(mask)
    box = index_box(lattice, first, np.maximum(last - first + 1, 2))
    return covering_lattice(box, MAP_SPACING_MM, AROUND_MM)


def reading(intensity: Intensity, *, ct: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Stored values to density in mg/ml, or to the share of the window."""
    if not ct:
        return intensity.normalised
    return lambda array: np.clip(intensity.hounsfield(array) + np.float32(1000), 0, DENSEST)


def warped(
    moving: Volume, phi: DisplacementField, lattice: Lattice, read: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The moving image at phi(x), averaged like the fixed one, and where it covers it."""
    coarse = block_mean(moving, averaging_factors(moving.lattice, lattice), read)
    values, covered = np.empty(lattice.shape, np.float32), np.empty(lattice.shape, bool)
    image, u = coarse.tensor(), phi.tensor()
    for planes, slab in slabs(lattice):
        grid = sampling_grid(u, phi.lattice, slab, coarse.lattice)
        values[planes] = warp(image, grid)[0, 0].numpy()
        covered[planes] = inside(grid, coarse.lattice)[0].numpy()
    return values, covered


def fitted(fixed: np.ndarray, moving: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """The moving image's values as those of the fixed one, by a slowly varying linear fit."""
    found = local_moments(fixed, moving, judged, FINER, WIDE)
    slope = found.covariance / (found.second_variance + 1e-6)
    offset = found.first_mean - slope * found.second_mean
    return repeated(slope, FINER) * moving + repeated(offset, FINER)
