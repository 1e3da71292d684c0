"""Initial alignment: an affine map that brings two images together from anywhere, in RAS mm.

Centres and a search over all offsets give starting points; a rigid, then an affine fit follows. The result says how
sure it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import fft, ndimage
from torch import Tensor

from .descent import Adam
from .geometry import Lattice, apply, corner_indices, covering_lattice, enclosing_lattice
from .preprocessing import Prepared
from .resampling import averaged
from .similarity import Similarity, parse_similarity
from .volume import Volume
from .warp import warp

ALIGNMENTS = ("none", "centre", "affine")
SEARCH_SPACING_MM = 10.0
FIT_SPACING_MM = 5.0
NEAR_LUNG_MM = 20.0
LEVER_MM = 100.0
"""Linear parameters are scaled by this, so that all twelve are displacements in mm at a lung's distance."""
STRETCH_PENALTY = 2.0
FIRST_STEP_MM, LAST_STEP_MM = 3.0, 0.1
FIT_POINTS = 20_000
LEAST_OVERLAP = 0.3
DISTINCT_MM = 25.0


@dataclass(frozen=True)
class Alignment:
    """The affine map T_align, from fixed RAS mm to moving RAS mm, and how far to trust it.

    Attributes:
        matrix: 4x4.
        similarity: Correlation of the aligned images where they overlap (of their masks for different modalities).
        overlap: Fraction of the fixed image's region of interest that the aligned moving image covers.
        doubts: Sentences that say why it may be wrong; empty when it is sure.
    """

    matrix: np.ndarray
    similarity: float | None = None
    overlap: float | None = None
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scene:
    """What a candidate is scored on: the fixed image's points of interest, and the coarse moving image."""

    points: Tensor  # (N, 3) RAS mm
    fixed: Tensor  # (1, 1, 1, 1, N)
    fixed_lungs: Tensor | None
    moving: Tensor  # (1, 1, K, J, I)
    moving_lungs: Tensor | None
    moving_lattice: Lattice
    similarity: Similarity

    def moved(self, matrix: Tensor) -> Tensor:
        """Grid ``(1, 1, 1, N, 3)`` of the points taken through a 4x4 matrix into the moving image."""
        world = self.points @ matrix[:3, :3].T + matrix[:3, 3]
        return apply(self.moving_lattice.ras_to_grid, world).reshape(1, 1, 1, -1, 3)


def align(fixed: Prepared, moving: Prepared, mode: str = "affine") -> Alignment:
    """Find T_align.

    Args:
        fixed: The fixed image, prepared.
        moving: The moving image, prepared.
        mode: ``none`` (world coordinates as they are), ``centre`` (the lungs' centres, or the intensities', brought
            together), or ``affine`` (a fit that starts from centres and from a search over all offsets).

    Raises:
        ValueError: An unknown mode.
    """
    if mode not in ALIGNMENTS:
        msg = f"found the alignment {mode!r}, expected one of {', '.join(ALIGNMENTS)}"
        raise ValueError(msg)
    scene = make_scene(fixed, moving)
    if mode == "none":
        return judged(scene, [np.eye(4)])
    if mode == "centre":
        return judged(scene, [translation(centre(moving) - centre(fixed))])
    starts = promising(scene, starting_offsets(fixed, moving))
    rigid = sorted((fit(scene, start, rigid=True, steps=40) for start in starts), key=lambda found: found[1])
    final, _ = fit(scene, rigid[0][0], rigid=False, steps=60)
    return judged(scene, [final, *(matrix for matrix, _ in rigid[1:])])


def promising(scene: Scene, offsets: list[np.ndarray], count: int = 3) -> list[np.ndarray]:
    """The best few translations, as 4x4 matrices, none near a better one."""
    found: list[np.ndarray] = []
    for offset in sorted(offsets, key=lambda offset: score(scene, torch.from_numpy(translation(offset))).item()):
        if all(np.linalg.norm(offset - other[:3, 3]) > DISTINCT_MM for other in found):
            found.append(translation(offset))
    return found[:count]


def translation(offset: np.ndarray) -> np.ndarray:
    """4x4 matrix of a translation in mm."""
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def centre(image: Prepared) -> np.ndarray:
    """Centre of the lungs, or of the intensities where there is no mask, in RAS mm."""
    weights = image.lungs if image.lungs is not None else image.image
    return apply(weights.ijk_to_ras, np.array(ndimage.center_of_mass(weights.array))[::-1])


def make_scene(fixed: Prepared, moving: Prepared) -> Scene:
    """Both images at the fit's spacing; the fixed one as points near the lungs (or everywhere without a mask)."""
    lattice = covering_lattice(fixed.image.lattice, FIT_SPACING_MM, 0.0)
    image = coarse(fixed.image, lattice)
    lungs = coarse(fixed.lungs, lattice) if fixed.lungs else None
    known = fixed.image.lattice.contains(apply(lattice.ijk_to_ras, index_points(lattice.shape)))
    near = known & (within(lungs.array > 0.5, NEAR_LUNG_MM / FIT_SPACING_MM).ravel() if lungs else True)
    chosen = np.flatnonzero(near)
    chosen = chosen[:: max(1, len(chosen) // FIT_POINTS)]
    points = apply(lattice.ijk_to_ras, index_points(lattice.shape)[chosen])
    moving_lattice = covering_lattice(moving.image.lattice, FIT_SPACING_MM, 0.0)
    same = fixed.intensity.modality == moving.intensity.modality
    return Scene(
        points=torch.from_numpy(points).float(),
        fixed=torch.from_numpy(image.array.ravel()[chosen]).reshape(1, 1, 1, 1, -1),
        fixed_lungs=torch.from_numpy(lungs.array.ravel()[chosen]).reshape(1, 1, 1, 1, -1) if lungs else None,
        moving=coarse(moving.image, moving_lattice).tensor(),
        moving_lungs=coarse(moving.lungs, moving_lattice).tensor() if moving.lungs else None,
        moving_lattice=moving_lattice,
        similarity=parse_similarity("ncc" if same else "mi"),
    )


def coarse(volume: Volume, lattice: Lattice) -> Volume:
    """The volume on a coarse lattice, smoothed a little more so that its gradient reaches further."""
    found = averaged(volume, lattice, lambda array: array.astype(np.float32))
    return found.with_array(ndimage.gaussian_filter(found.array, 0.7))


def index_points(shape: tuple[int, int, int]) -> np.ndarray:
    """All indices ``(i, j, k)`` of an array, ``(N, 3)``, i fastest."""
    k, j, i = np.indices(shape)
    return np.stack((i, j, k), axis=-1).reshape(-1, 3)


def within(mask: np.ndarray, voxels: float) -> np.ndarray:
    """The mask and all that lies within so many voxels of it."""
    return ndimage.distance_transform_edt(~mask) <= voxels if mask.any() else np.ones_like(mask)


def score(scene: Scene, matrix: Tensor) -> Tensor:
    """Lower is better: dissimilarity of the images and of their masks, and a penalty for too little overlap."""
    grid = scene.moved(matrix.float())
    outside = (grid.abs() - 1).clamp_min(0).sum(-1).reshape(scene.fixed.shape)
    weight = torch.exp(-20 * outside)
    overlap = weight.mean()
    penalty = (LEAST_OVERLAP - overlap).clamp_min(0) * 10
    if overlap < 0.01:
        return penalty + 3 + outside.mean()
    total = scene.similarity(scene.fixed, warp(scene.moving, grid), weight) + penalty
    if scene.fixed_lungs is not None and scene.moving_lungs is not None:
        lungs = warp(scene.moving_lungs, grid) * weight
        total = total + 1 - 2 * (lungs * scene.fixed_lungs).sum() / (lungs + scene.fixed_lungs * weight).sum()
    return total


def fit(scene: Scene, start: np.ndarray, *, rigid: bool, steps: int) -> tuple[np.ndarray, float]:
    """Improve a 4x4 start by gradient steps, rigidly or with all twelve parameters; the best matrix and its score."""
    pivot = scene.points.mean(dim=0)
    parameters = torch.zeros(3, 4, requires_grad=True)
    optimiser = Adam(parameters)
    best, best_score = start, float("inf")
    for step in range(steps):
        linear = parameters[:, :3] / LEVER_MM
        stretch = (linear + linear.T) / 2
        matrix = torch.from_numpy(start).float() @ about(pivot, linear - stretch if rigid else linear, parameters[:, 3])
        value = score(scene, matrix)
        if value.item() < best_score:
            best, best_score = matrix.detach().double().numpy(), value.item()
        rate = LAST_STEP_MM + (FIRST_STEP_MM - LAST_STEP_MM) * (1 + math.cos(math.pi * step / steps)) / 2
        optimiser.step(value + (0 if rigid else STRETCH_PENALTY * stretch.square().sum()), rate)
    return best, best_score


def about(pivot: Tensor, generator: Tensor, offset: Tensor) -> Tensor:
    """4x4 matrix of ``pivot + exp(generator) (x - pivot) + offset``."""
    linear = torch.linalg.matrix_exp(generator)
    top = torch.cat([linear, (pivot + offset - linear @ pivot)[:, None]], dim=1)
    return torch.cat([top, torch.tensor([[0.0, 0.0, 0.0, 1.0]])])


def starting_offsets(fixed: Prepared, moving: Prepared) -> list[np.ndarray]:
    """Offsets in mm worth trying: by centres of lungs or mass, of the fields of view, none, the best of all offsets."""
    middles = moving.image.lattice.centre_ras - fixed.image.lattice.centre_ras
    return [centre(moving) - centre(fixed), middles, np.zeros(3), *search_offsets(fixed, moving)]


def search_offsets(fixed: Prepared, moving: Prepared, count: int = 3) -> list[np.ndarray]:
    """The offsets, in mm, whose overlapping parts correlate best, of all there are on a coarse lattice.

    Survives fields of view that overlap only partly, where centres mislead. Padfield, "Masked object registration in
    the Fourier domain", IEEE TIP 2012.
    """
    lattice = covering_lattice(fixed.image.lattice, SEARCH_SPACING_MM, 0.0)
    f, f_known = on_search_axes(fixed, lattice)
    start = covering_lattice_along(moving.image.lattice, lattice)
    m, m_known = on_search_axes(moving, start)
    correlation, overlap = masked_correlation(f, f_known, m, m_known)
    correlation[overlap < LEAST_OVERLAP * min(f_known.sum(), m_known.sum())] = -1
    offsets = []
    origin = start.ijk_to_ras[:3, 3] - lattice.ijk_to_ras[:3, 3]
    for _ in range(count):
        peak = np.unravel_index(correlation.argmax(), correlation.shape)
        shift = np.array([p - (n - 1) for p, n in zip(peak, f.shape, strict=True)])[::-1]
        offsets.append(origin + lattice.ijk_to_ras[:3, :3] @ shift)
        correlation[tuple(slice(max(0, p - 3), p + 4) for p in peak)] = -1
    return offsets


def covering_lattice_along(lattice: Lattice, like: Lattice) -> Lattice:
    """A lattice with the axes and spacing of ``like`` that covers ``lattice``."""
    corners = apply(lattice.ijk_to_ras, corner_indices(lattice.shape, outer=True))
    spacing = float(like.spacing_mm[0])
    return enclosing_lattice(corners, like.ijk_to_ras[:3, :3] / spacing, spacing, 0.0)


def on_search_axes(image: Prepared, lattice: Lattice) -> tuple[np.ndarray, np.ndarray]:
    """Image values and where they are known, on a coarse lattice."""
    known = image.image.lattice.contains(apply(lattice.ijk_to_ras, index_points(lattice.shape))).reshape(lattice.shape)
    return coarse(image.image, lattice).array.astype(np.float64), known.astype(np.float64)


def masked_correlation(
    f: np.ndarray, f_known: np.ndarray, m: np.ndarray, m_known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Correlation coefficient of f(p) and m(p + s) over the voxels where both are known, for every shift s.

    Returns:
        Correlation and number of voxels, both of shape ``f.shape + m.shape - 1``; index ``f.shape - 1`` is s = 0.
    """
    shape = [a + b - 1 for a, b in zip(f.shape, m.shape, strict=True)]
    size = [fft.next_fast_len(n, real=True) for n in shape]

    def spectrum(a: np.ndarray, *, flip: bool) -> np.ndarray:
        return fft.rfftn(a[::-1, ::-1, ::-1] if flip else a, size)

    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return fft.irfftn(a * b, size)[tuple(slice(n) for n in shape)]

    known_f, image_f, square_f = (spectrum(a * f_known, flip=True) for a in (1.0, f, f * f))
    known_m, image_m, square_m = (spectrum(a * m_known, flip=False) for a in (1.0, m, m * m))
    overlap = np.maximum(np.round(product(known_f, known_m)), 1.0)
    mean_f, mean_m = product(image_f, known_m) / overlap, product(known_f, image_m) / overlap
    covariance = product(image_f, image_m) / overlap - mean_f * mean_m
    variance_f = np.maximum(product(square_f, known_m) / overlap - mean_f**2, 0)
    variance_m = np.maximum(product(known_f, square_m) / overlap - mean_m**2, 0)
    floor = 1e-4 * max(float(variance_f.max() * variance_m.max()) ** 0.5, 1e-12)
    return covariance / (np.sqrt(variance_f * variance_m) + floor), overlap


def judged(scene: Scene, ranked: list[np.ndarray]) -> Alignment:
    """The first of the ranked matrices, with its figures and the reasons to doubt it."""
    matrix = ranked[0]
    grid = scene.moved(torch.from_numpy(matrix).float())
    covered = (grid.abs() <= 1).all(-1).reshape(scene.fixed.shape).float()
    overlap = float(covered.mean())
    if overlap == 0:
        return Alignment(matrix, None, 0.0, ("the images do not overlap after alignment",))
    correlation = 1 - float(parse_similarity("ncc")(scene.fixed, warp(scene.moving, grid), covered))
    doubts = []
    if overlap < LEAST_OVERLAP:
        doubts.append(f"the aligned moving image covers only {overlap:.0%} of the fixed image's region of interest")
    if scene.similarity == parse_similarity("ncc") and correlation < 0.5:
        doubts.append(f"the aligned images correlate by only {correlation:.2f}")
    stretch = float(np.linalg.det(matrix[:3, :3])) ** (1 / 3)
    if not 0.75 < stretch < 1.35:
        doubts.append(f"the fit scales lengths by {stretch:.2f}")
    doubts += rivals(scene, ranked)
    return Alignment(matrix, correlation, overlap, tuple(doubts))


def rivals(scene: Scene, ranked: list[np.ndarray]) -> list[str]:
    """Whether another candidate, somewhere else, scores nearly as well."""
    middle = scene.points.mean(dim=0).double().numpy()
    best = score(scene, torch.from_numpy(ranked[0])).item()
    for other in ranked[1:]:
        distance = float(np.linalg.norm(apply(other, middle) - apply(ranked[0], middle)))
        if distance > DISTINCT_MM and score(scene, torch.from_numpy(other)).item() < best + 0.02:
            return [f"another alignment, {distance:.0f} mm away, fits nearly as well"]
    return []
