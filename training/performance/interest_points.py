"""Pairs of interest points that judge a registration without landmarks: matched by no method's own similarity.

Points are found in the fixed lungs (Foerstner and Guelch 1987) and looked for in the moving image around where the
affine alignment, which all methods share, puts them; never around any method's result. They are told apart by
histograms of gradient orientations (Lowe 2004; root and distance by Arandjelovic and Zisserman 2012), which no method
here optimises. A match counts if it is distinct (Lowe's ratio) and if the search back from it ends where it began.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement, product

import numpy as np
from LungDeepRegLib.displacement_field import lattice_points
from LungDeepRegLib.geometry import Lattice, apply, canonical_axes, corner_indices, enclosing_lattice
from LungDeepRegLib.landmark_review.candidates import closed, odd
from LungDeepRegLib.landmark_review.proposal import between_nodes
from LungDeepRegLib.resampling import averaged
from LungDeepRegLib.results.pair import Pair
from LungDeepRegLib.volume import Volume
from scipy import ndimage

from ..errors import TrainingError

SPACING_MM = 1.5
GRADIENT_SD_MM = 1.2
STRUCTURE_SD_MM = 2.5
APART_MM = 6.0
"""Between two points of one image."""
CLOSING_MM = 7.5
"""Gaps in a lung mask up to this width are vessels that it leaves out."""
EDGE_MM = 4.0
"""How far from the lungs' surface a point has to be."""
MOST_POINTS = 1500
CELL_SD_MM = 2.0
CELLS_APART = 3
"""In voxels: a descriptor has 3 x 3 x 3 cells."""
SEEN_MM = 9.0
"""How far a descriptor looks: as near to an image's border nothing is described."""
REACH_MM = 24.0
"""How far from where the alignment puts it a point is looked for."""
RATIO = 0.8
"""Most distance to the match, of the distance to the best one elsewhere."""
ELSEWHERE_MM = 4.5
RETURN_MM = 1.5
"""Most distance between a point and where the search back from its match ends."""


class PointsError(TrainingError):
    """A pair in which no points can be looked for."""


@dataclass(frozen=True, eq=False)
class PointPairs:
    """The same places in both images.

    Attributes:
        fixed: ``(N, 3)`` RAS mm.
        moving: ``(N, 3)`` RAS mm.
        found: How many points were looked for.
    """

    fixed: np.ndarray
    moving: np.ndarray
    found: int


def point_pairs(pair: Pair, matrix: np.ndarray) -> PointPairs:
    """Match points of the fixed lungs with the moving image.

    Args:
        pair: Both images; the fixed one with its lungs.
        matrix: The alignment, 4x4, fixed RAS mm to moving RAS mm.

    Raises:
        PointsError: No mask of the fixed lungs.
    """
    lattice = searched_lattice(pair)
    # The moving image where the alignment puts it, so that a match is an offset on one lattice.
    aligned = Volume(pair.moving.array, np.linalg.inv(matrix) @ pair.moving.ijk_to_ras, pair.moving.name)
    image = averaged(pair.fixed, lattice, pair.fixed_intensity.normalised).array
    fixed = Described.of(image, shown(pair.fixed.lattice, lattice))
    image_there = averaged(aligned, lattice, pair.moving_intensity.normalised).array
    moving = Described.of(image_there, shown(aligned.lattice, lattice))
    assert pair.fixed_mask is not None
    lungs = averaged(pair.fixed.with_array(pair.fixed_mask), lattice, lambda mask: mask.astype(np.float32)).array > 0.5
    points = interest_points(image, lungs, fixed.size > 0)
    there, kept = matched(fixed, moving, points)
    at, to = (apply(lattice.ijk_to_ras, voxels[kept][:, ::-1].astype(float)) for voxels in (points, there))
    return PointPairs(at, apply(matrix, to), len(points))


def searched_lattice(pair: Pair) -> Lattice:
    """An isotropic lattice around the fixed lungs and all that is searched around them."""
    if pair.fixed_mask is None or not pair.fixed_mask.any():
        msg = f"{pair.fixed.name}: found no lungs, expected a chest CT or a lung mask to look for points in"
        raise PointsError(msg)
    inside = np.argwhere(pair.fixed_mask)[:, ::-1]
    low, high = inside.min(axis=0), inside.max(axis=0)
    corners = apply(pair.fixed.ijk_to_ras, low + corner_indices(tuple((high - low + 1)[::-1])))
    margin = REACH_MM + (CELLS_APART + 1) * SPACING_MM
    return enclosing_lattice(corners, canonical_axes(pair.fixed.ijk_to_ras), SPACING_MM, margin)


def shown(image: Lattice, lattice: Lattice) -> np.ndarray:
    """Which voxels of a lattice an image shows; beyond its border it only goes on as it ends."""
    points = lattice_points(lattice)
    return image.contains(points).reshape(lattice.shape)


def interest_points(image: np.ndarray, lungs: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Voxels ``(N, 3)`` along ``(k, j, i)``, the most distinct ones, well inside the lungs.

    Where the gradient's structure tensor has three large eigenvalues: ``1 / trace(S^-1)`` peaks.

    Args:
        image: ``(K, J, I)`` in [0, 1] on an isotropic lattice of :data:`SPACING_MM`.
        lungs: bool.
        known: Where points may be, bool.
    """
    slopes = gradients(image)
    structure = np.empty((*image.shape, 3, 3), np.float32)
    for a, b in combinations_with_replacement(range(3), 2):
        products = ndimage.gaussian_filter(slopes[a] * slopes[b], STRUCTURE_SD_MM / SPACING_MM)
        structure[..., a, b] = structure[..., b, a] = products
    eigenvalues = np.maximum(np.linalg.eigvalsh(structure), 1e-12)
    distinct = 1 / (1 / eigenvalues).sum(axis=-1)
    whole = closed(lungs, CLOSING_MM / SPACING_MM)
    inner = known & (ndimage.distance_transform_edt(whole, sampling=SPACING_MM) >= EDGE_MM)
    peaks = np.argwhere(inner & (distinct == ndimage.maximum_filter(distinct, odd(APART_MM / SPACING_MM))))
    return peaks[np.argsort(-distinct[tuple(peaks.T)], kind="stable")[:MOST_POINTS]]


def gradients(image: np.ndarray) -> list[np.ndarray]:
    """Derivatives along ``(k, j, i)``, each ``(K, J, I)`` per voxel, of the smoothed image."""
    orders = np.eye(3, dtype=int)
    return [ndimage.gaussian_filter(image, GRADIENT_SD_MM / SPACING_MM, order=tuple(order)) for order in orders]


def directions() -> np.ndarray:
    """The corners of an icosahedron, ``(12, 3)`` unit vectors."""
    golden = (1 + 5**0.5) / 2
    corners = [np.roll((0.0, a, b * golden), shift) for shift in range(3) for a, b in product((-1, 1), repeat=2)]
    return np.array(corners) / np.hypot(1, golden)


CELLS = np.array(list(product((-CELLS_APART, 0, CELLS_APART), repeat=3)))
"""Where a descriptor's cells are, ``(27, 3)`` voxels along ``(k, j, i)``."""


@dataclass(frozen=True, eq=False)
class Described:
    """What each voxel's surroundings look like.

    Attributes:
        cells: ``(12, K, J, I)`` float32: around each voxel how much the image rises in each direction, as a root and
            relative to the mean over the directions.
        size: ``(K, J, I)``: the length of each voxel's descriptor, which is ``cells`` at :data:`CELLS` around it; 0
            where the image doesn't show all of its surroundings.
    """

    cells: np.ndarray
    size: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray, shown: np.ndarray) -> Described:
        """Describe an image in [0, 1] on an isotropic lattice of :data:`SPACING_MM`, of which it shows a part."""
        slopes = np.stack(gradients(image))
        steepness = np.sqrt(np.square(slopes).sum(axis=0)) + 1e-6
        cells = np.empty((12, *image.shape), np.float32)
        for number, direction in enumerate(directions()):
            along = np.maximum(np.tensordot(direction.astype(np.float32), slopes, 1), 0)
            share = np.power(along / steepness, 4) * steepness
            cells[number] = np.sqrt(ndimage.gaussian_filter(share, CELL_SD_MM / SPACING_MM))
        cells -= cells.mean(axis=0)
        power = np.pad(np.square(cells).sum(axis=0), CELLS_APART)
        k, j, i = image.shape
        total = sum(power[c:, b:, a:][:k, :j, :i] for c, b, a in CELLS + CELLS_APART)
        whole = ndimage.minimum_filter(shown, odd(2 * SEEN_MM / SPACING_MM), mode="constant")
        return cls(cells, np.where(whole, np.sqrt(total), 0))

    def descriptor(self, voxel: np.ndarray) -> np.ndarray:
        """``(27, 12)`` of unit length; the voxel is at least :data:`CELLS_APART` from the border."""
        around = self.cells[(slice(None), *(voxel + CELLS).T)].T
        return around / max(float(np.linalg.norm(around)), 1e-12)

    def likeness(self, descriptor: np.ndarray, centre: np.ndarray, reach: int) -> np.ndarray:
        """Correlation of a descriptor with those of all voxels within so many of a centre, ``(2 reach + 1,) * 3``.

        -1 outside the sphere, and where nothing is described.
        """
        width = 2 * reach + 1
        low = centre - reach - CELLS_APART
        wanted = width + 2 * CELLS_APART
        begin, end = np.maximum(low, 0), np.minimum(low + wanted, self.size.shape)
        box = tuple(slice(a, b) for a, b in zip(begin, end, strict=True))
        lacking = list(zip(begin - low, low + wanted - end, strict=True))
        cells = np.pad(self.cells[(slice(None), *box)], [(0, 0), *lacking])
        parts = (descriptor @ cells.reshape(len(cells), -1)).reshape(len(CELLS), *cells.shape[1:])
        sums = np.zeros((width,) * 3, np.float32)
        for part, (k, j, i) in zip(parts, CELLS + CELLS_APART, strict=True):
            sums += part[k : k + width, j : j + width, i : i + width]
        inner = (slice(CELLS_APART, CELLS_APART + width),) * 3
        size = np.pad(self.size[box], lacking)[inner]
        return np.where((size > 1e-3) & sphere(reach), sums / np.maximum(size, 1e-3), -1)


def sphere(reach: int) -> np.ndarray:
    """Which voxels of a cube lie within so many of its middle."""
    along = np.square(np.arange(-reach, reach + 1))
    return along[:, None, None] + along[:, None] + along <= reach * reach


def matched(fixed: Described, moving: Described, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points are in the moving image.

    Args:
        fixed: The fixed image.
        moving: The moving image on the same lattice.
        points: ``(N, 3)`` voxels along ``(k, j, i)``.

    Returns:
        Their matches ``(N, 3)``, between voxels, and which of them count, bool ``(N,)``.
    """
    there, kept = np.zeros(points.shape), np.zeros(len(points), bool)
    for number, point in enumerate(points):
        to, distinct = best_match(fixed, point, moving, point)
        there[number] = to
        if distinct:
            start = np.rint(to).astype(int)
            # Back from the voxel nearest to the match; what lies between it and the match is its own again.
            back, distinct = best_match(moving, start, fixed, point)
            kept[number] = distinct and np.linalg.norm(back - (start - to) - point) * SPACING_MM <= RETURN_MM
    return there, kept


def best_match(source: Described, point: np.ndarray, target: Described, centre: np.ndarray) -> tuple[np.ndarray, bool]:
    """The place in ``target`` around a centre that looks most like a point of ``source``; whether it is distinct.

    Both are voxels along ``(k, j, i)``; the place lies between voxels.
    """
    reach = round(REACH_MM / SPACING_MM)
    likeness = target.likeness(source.descriptor(point), centre, reach)
    peak = np.unravel_index(likeness.argmax(), likeness.shape)
    best = float(likeness[peak])
    offset = np.array(peak) - reach
    if best <= 0 or np.linalg.norm(offset) >= reach - 1:
        return centre + offset.astype(float), False
    elsewhere = likeness.copy()
    gap = round(ELSEWHERE_MM / SPACING_MM)
    elsewhere[tuple(slice(max(0, n - gap), n + gap + 1) for n in peak)] = -1
    # Distances of unit vectors: |a - b|^2 = 2 - 2 a.b
    distinct = 1 - best < RATIO * RATIO * (1 - float(elsewhere.max()))
    return centre + offset + between_nodes(likeness, peak), distinct
