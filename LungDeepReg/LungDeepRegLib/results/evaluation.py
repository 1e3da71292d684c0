"""The figures that judge a transformation, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..displacement_field import DisplacementField, lattice_points
from ..field_sampling import inside, sampling_grid
from ..geometry import Lattice, apply, covering_lattice, index_box
from ..inversion import affine_fit
from ..landmarks import matched
from ..metrics import (
    Distribution,
    consistency_mm,
    dice,
    folded_cells,
    folded_percent,
    landmark_errors,
)
from ..preprocessing import block_factors
from ..resampling import averaged, resample
from ..similarity import parse_similarity
from ..volume import block_mean
from ..warp import warp
from .images import affine_field, extent, warped_mask
from .lung_volume import JacobianStatistics, lung_determinants, lungs_on_field, volume_ratio
from .pair import Pair
from .surfaces import Mapping, hausdorff95_mm

SIMILARITY_SPACING_MM = 3.0
NEAR_LUNG_MM = 10.0
"""Statistics of local similarity reach a little beyond the lungs."""
FOLDING_PLANES = 32


@dataclass(frozen=True)
class Evaluation:
    """What was measured; None where it wasn't. :data:`summary.SCHEMA` says what each figure is."""

    dice_before: float | None
    dice_aligned: float | None
    dice_after: float | None
    hausdorff95_mm: dict[str, float | None] | None
    landmark_error_mm: dict[str, dict[str, Distribution] | None] | None
    similarity: dict[str, str | float | None]
    folded_percent_lung: float | None
    folded_percent: float
    jacobian_lung: JacobianStatistics | None
    mean_jacobian_lung: float | None
    lung_volume_ratio: float | None
    coverage_percent_lung: float | None
    inversion_residual_mm: dict[str, float] | None
    inverse_consistency_mm: Distribution | None


def evaluate(
    pair: Pair,
    phi: DisplacementField,
    *,
    covered: np.ndarray | None = None,
    alignment: np.ndarray | None = None,
    inverse: tuple[DisplacementField, np.ndarray] | None = None,
    backward: DisplacementField | None = None,
) -> Evaluation:
    """Judge a transformation by all that is known about a pair of images.

    Args:
        pair: The images with their masks and landmarks.
        phi: The transformation, fixed RAS mm to moving RAS mm.
        covered: Where the moving image covers the fixed one, as :meth:`DisplacementField.warp` has it, if it is known.
        alignment: The affine part that came first, 4x4, where there was one.
        inverse: phi^-1 and its residual, from :func:`displacement_field.invert`, where it was asked for.
        backward: The registration of the swapped pair, moving RAS mm to fixed RAS mm, where it was asked for.
    """
    identity = affine_field(np.eye(4), pair.fixed.lattice)
    aligned = None if alignment is None else affine_field(alignment, pair.fixed.lattice)
    lungs = None if pair.fixed_mask is None else lungs_on_field(pair.fixed.with_array(pair.fixed_mask), phi)
    determinants = lung_determinants(pair, phi)
    similarity_before, similarity_after = local_similarities(pair, identity, phi)
    return Evaluation(
        dice_before=mask_overlap(pair, identity),
        dice_aligned=None if aligned is None else mask_overlap(pair, aligned),
        dice_after=mask_overlap(pair, phi),
        hausdorff95_mm=surface_distances(pair, phi, alignment),
        landmark_error_mm=errors_of_landmarks(pair, phi, alignment),
        similarity={"measure": "lncc", "before": similarity_before, "after": similarity_after},
        folded_percent_lung=None if lungs is None else number(folded_percent(*lungs)),
        folded_percent=folded_percent_everywhere(phi),
        jacobian_lung=None if determinants is None else JacobianStatistics.of(determinants),
        mean_jacobian_lung=None if determinants is None else float(determinants.mean(dtype=np.float64)),
        lung_volume_ratio=volume_ratio(pair),
        coverage_percent_lung=coverage_percent(pair, covered),
        inversion_residual_mm=None if inverse is None else inversion_residual(pair, *inverse),
        inverse_consistency_mm=None if backward is None else consistency(pair, phi, backward),
    )


def number(value: float) -> float | None:
    """The value, or None where it isn't a number (nothing to be measured there)."""
    return float(value) if np.isfinite(value) else None


def mask_overlap(pair: Pair, phi: DisplacementField) -> float | None:
    """Dice of the fixed mask and the moving mask warped by nearest neighbour; None without both masks."""
    if pair.fixed_mask is None or pair.moving_mask is None:
        return None
    warped = warped_mask(phi, pair.moving_mask, pair.moving.lattice, pair.fixed.lattice)
    return number(dice(warped, pair.fixed_mask))


def surface_distances(
    pair: Pair, phi: DisplacementField, alignment: np.ndarray | None
) -> dict[str, float | None] | None:
    """95 % Hausdorff distances of the masks' surfaces before, aligned and after; None without both masks."""

    def affine(matrix: np.ndarray) -> Mapping:
        return lambda points: apply(matrix, points), matrix

    maps = {
        "before": affine(np.eye(4)),
        "aligned": None if alignment is None else affine(alignment),
        "after": (phi, affine_fit(phi)),
    }
    return hausdorff95_mm(pair, maps)


def coverage_percent(pair: Pair, covered: np.ndarray | None) -> float | None:
    """How much of the fixed image's lungs the deformed moving image covers; None without a mask."""
    if pair.fixed_mask is None or covered is None:
        return None
    return 100 * int((pair.fixed_mask & covered).sum()) / int(pair.fixed_mask.sum())


def errors_of_landmarks(
    pair: Pair, phi: DisplacementField, alignment: np.ndarray | None
) -> dict[str, dict[str, Distribution] | None] | None:
    """Distances between mapped fixed and moving landmarks before, aligned and after; None without both sets."""
    if pair.fixed_landmarks is None or pair.moving_landmarks is None:
        return None
    fixed, moving, _ = matched(pair.fixed_landmarks, pair.moving_landmarks)
    return {
        "before": landmark_errors(fixed, moving),
        "aligned": None if alignment is None else landmark_errors(apply(alignment, fixed), moving),
        "after": landmark_errors(phi(fixed), moving),
    }


def local_similarities(pair: Pair, *fields: DisplacementField) -> list[float | None]:
    """Mean squared local correlation coefficient of the fixed and the warped image for each field, 0 to 1 (alike).

    Over cubes of 7 voxels of 3 mm around the voxels of the fixed image's lungs (without a mask: of the whole image)
    that the moving image covers; None where there are none.
    """
    fixed, moving, lattice = pair.fixed, pair.moving, similarity_lattice(pair)
    still = averaged(fixed, lattice, pair.fixed_intensity.normalised).tensor()
    factors = block_factors(moving.lattice, SIMILARITY_SPACING_MM)
    blocks = block_mean(moving, factors, pair.moving_intensity.normalised)
    region = fixed.lattice.contains(lattice_points(lattice)).reshape(lattice.shape)
    if pair.fixed_mask is not None:
        region &= resample(fixed.with_array(pair.fixed_mask), lattice, mode="nearest").array
    found: list[float | None] = []
    for phi in fields:
        # Beyond the moving image its border goes on: a fill value would be structure in the cubes that it reaches into.
        grid = sampling_grid(phi.tensor(), phi.lattice, lattice, blocks.lattice)
        weights = (torch.from_numpy(region) & inside(grid, blocks.lattice)[0])[None, None].float()
        loss = parse_similarity("lncc")(still, warp(blocks.tensor(), grid), weights) if weights.any() else None
        found.append(None if loss is None else 1.0 - float(loss))
    return found


def similarity_lattice(pair: Pair) -> Lattice:
    """The lattice on which similarity is measured: 3 mm around the lungs, or around the whole image."""
    lattice = pair.fixed.lattice
    if pair.fixed_mask is not None:
        first, last = extent(pair.fixed_mask)
        lattice = index_box(lattice, first, np.maximum(last - first + 1, 2))
        return covering_lattice(lattice, SIMILARITY_SPACING_MM, NEAR_LUNG_MM)
    return covering_lattice(lattice, SIMILARITY_SPACING_MM, 0.0)


def folded_percent_everywhere(phi: DisplacementField) -> float:
    """Percentage of folded cells of the whole field, a few planes at a time."""
    folded = total = 0
    i, j, k = phi.lattice.shape[::-1]
    for start in range(0, k - 1, FOLDING_PLANES):
        stop = min(start + FOLDING_PLANES + 1, k)  # neighbours share a plane
        part = index_box(phi.lattice, np.array([0, 0, start]), np.array([i, j, stop - start]))
        cells = folded_cells(DisplacementField(phi.vectors[start:stop], part))
        folded, total = folded + int(cells.sum()), total + cells.size
    return 100 * folded / total


def inversion_residual(pair: Pair, inverse: DisplacementField, residual: np.ndarray) -> dict[str, float] | None:
    """What is left of ``|phi(phi^-1(y)) - y|`` at the inverse's nodes y in the moving image's lungs.

    Without a mask: at the nodes y of the moving image whose phi^-1(y) lies in the fixed image.
    """
    nodes = lattice_points(inverse.lattice)
    region = pair.moving.lattice.contains(nodes)
    if pair.moving_mask is not None:
        mask = pair.moving.with_array(pair.moving_mask)
        region &= resample(mask, inverse.lattice, mode="nearest").array.ravel()
    else:
        region &= pair.fixed.lattice.contains(nodes + inverse.vectors.reshape(-1, 3))
    values = residual.ravel()[region]
    if not values.size:
        return None
    found = Distribution.of(values)
    return {"mean": found.mean, "p95": found.p95, "max": found.max}


def consistency(pair: Pair, phi: DisplacementField, backward: DisplacementField) -> Distribution | None:
    """``|psi(phi(x)) - x|`` at the field's nodes x in the fixed image's lungs (without a mask: in the fixed image)."""
    if pair.fixed_mask is None:
        nodes = lattice_points(phi.lattice)
        points = nodes[pair.fixed.lattice.contains(nodes)]
    else:
        part, lungs = lungs_on_field(pair.fixed.with_array(pair.fixed_mask), phi)
        points = lattice_points(part.lattice)[lungs.ravel()]
    return Distribution.of(consistency_mm(phi, backward, points)) if len(points) else None
