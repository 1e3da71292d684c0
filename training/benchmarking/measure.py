"""What is measured of a registration, the same for every method and on the same voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice, index_box
from LungDeepRegLib.landmarks import Landmarks, matched
from LungDeepRegLib.metrics import any_corner, dice, folded_cells, jacobian_determinant, landmark_errors
from LungDeepRegLib.preprocessing import block_factors, working_spacing
from LungDeepRegLib.registration import Options
from LungDeepRegLib.results.evaluation import local_similarities, number
from LungDeepRegLib.results.images import plane_sum, warped_mask
from LungDeepRegLib.results.lung_volume import lungs_on_field
from LungDeepRegLib.results.pair import Pair
from LungDeepRegLib.results.surfaces import hausdorff95_mm

from .inputs import ReadyScan, pair_of

FIRST, SECOND = "1", "2"
"""The observers between whom the distance is the inter-observer error."""
AXES = ("dx", "dy", "dz")


def measured(
    fixed: ReadyScan, moving: ReadyScan, phi: DisplacementField, matrix: np.ndarray, *, within_patient: bool
) -> dict[str, Any]:
    """The figures of a :class:`Record`, None where something is missing that they need.

    Args:
        fixed: The image that stayed.
        moving: The image that was deformed.
        phi: The whole map, fixed RAS mm to moving RAS mm.
        matrix: Its affine start, 4x4.
        within_patient: Whether landmarks mean the same places in both; also similarity and the surfaces' distance are
            measured then only, since they cost more than they tell of different patients.
    """
    found = {**overlap(fixed, moving, phi), **regularity(fixed, phi)}
    if within_patient:
        found |= likeness(pair_of(fixed, moving), phi, matrix)
        found |= {"landmarks": errors_by_observer(fixed, moving, phi), "inter_observer": inter_observer(fixed, moving)}
    return found


def judged_lattice(fixed: ReadyScan) -> Lattice:
    """The voxels on which every map is judged, whatever lattice its method works on (finer ones would fold more).

    The fixed image's own, or blocks of them where they are finer than the engine works with.
    """
    lattice = fixed.image.lattice
    factors = block_factors(lattice, working_spacing(fixed.image, fixed.lungs, Options().voxel_budget))
    return index_box(lattice, np.zeros(3), np.array(lattice.shape[::-1]) // factors, np.array(factors))


def whole_map(matrix: np.ndarray, v: DisplacementField | None, lattice: Lattice) -> DisplacementField:
    """``phi(x) = matrix @ (x + v(x))`` at the points x of a lattice; the affine map alone without v."""
    affine = (matrix - np.eye(4)) @ lattice.ijk_to_ras
    vectors = np.stack([plane_sum(lattice.shape, row) for row in affine[:3]], axis=-1)
    if v is not None:
        vectors += v.on(lattice).vectors @ matrix[:3, :3].T.astype(np.float32)
    return DisplacementField(vectors, lattice)


def overlap(fixed: ReadyScan, moving: ReadyScan, phi: DisplacementField) -> dict[str, float | None]:
    """Dice of the fixed mask and the moving one warped by nearest neighbour, on the fixed image's voxels."""
    if fixed.lungs is None or moving.lungs is None:
        return {"dice": None}
    warped = warped_mask(phi, moving.lungs, moving.image.lattice, fixed.image.lattice)
    return {"dice": number(dice(warped, fixed.lungs))}


def regularity(fixed: ReadyScan, phi: DisplacementField) -> dict[str, float | None]:
    """Folding and the spread of the Jacobian determinant, on the map's lattice around the fixed image's lungs."""
    if fixed.lungs is None:
        part, inside = phi, np.ones(phi.lattice.shape, bool)
    else:
        part, inside = lungs_on_field(fixed.image.with_array(fixed.lungs), phi)
    folded = folded_cells(part)
    determinants = jacobian_determinant(part)[inside]
    positive = determinants[determinants > 0]
    return {
        "folded_percent": 100 * float(folded.mean()),
        "folded_percent_lung": 100 * float(folded[any_corner(inside)].mean()),
        "jacobian_sd": float(determinants.std(dtype=np.float64)),
        "log_jacobian_sd": float(np.log(positive).std(dtype=np.float64)) if positive.size else None,
    }


def likeness(pair: Pair, phi: DisplacementField, matrix: np.ndarray) -> dict[str, float | None]:
    """Local correlation near the lungs, and how far the lungs' surfaces are apart."""
    surfaces = hausdorff95_mm(pair, {"after": (phi, matrix)})
    return {
        "similarity": local_similarities(pair, phi)[0],
        "hausdorff95_mm": None if surfaces is None else surfaces["after"],
    }


def errors_by_observer(
    fixed: ReadyScan, moving: ReadyScan, phi: DisplacementField
) -> dict[str, dict[str, float]] | None:
    """Means over the landmarks by observer, see :class:`Record`; None without any.

    Raises:
        LandmarkError: Points that can't be paired.
    """
    found = {}
    for name in fixed.observers.keys() & moving.observers.keys():
        there, wanted, _ = matched(fixed.observers[name], moving.observers[name])
        found[name] = means(phi(there), wanted)
    return dict(sorted(found.items())) or None


def inter_observer(fixed: ReadyScan, moving: ReadyScan) -> dict[str, float] | None:
    """Means over the landmarks of both images of the distance between observers; None without two of them.

    Raises:
        LandmarkError: Points that can't be paired.
    """
    both = [between_observers(scan.observers) for scan in (fixed, moving)]
    known = [values for values in both if values is not None]
    return {name: float(np.mean([values[name] for values in known])) for name in known[0]} if known else None


def between_observers(observers: dict[str, Landmarks]) -> dict[str, float] | None:
    """Means over the landmarks of one image of the distance between its two observers."""
    if FIRST not in observers or SECOND not in observers:
        return None
    first, second, _ = matched(observers[FIRST], observers[SECOND])
    return means(first, second)


def means(points: np.ndarray, others: np.ndarray) -> dict[str, float]:
    """Mean absolute difference along R, A, S and mean distance of points ``(N, 3)`` in mm: ``dx, dy, dz, ds``."""
    errors = landmark_errors(points, others)
    return {name: errors[name].mean for name in (*AXES, "ds")}
