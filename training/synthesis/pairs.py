"""Pairs of images of one chest between which the map is known: ``fixed(x) = moving(psi(x))``.

As the network will see them: the moving image is already aligned, by an affine map that is right on average over the
lungs but for a random error, and both are averaged down to the lattice.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from LungDeepRegLib.geometry import Lattice, apply, identity_grid
from LungDeepRegLib.warp import warp
from scipy.spatial.transform import Rotation
from torch import Tensor
from tqdm import tqdm

from ..augmentation import Augmentation
from ..pairs import Pair, PairSource
from .anatomy import Anatomy, Chest, ct_anatomy, phantom_anatomy
from .appearance import random_contrast
from .free_form import random_free_form
from .motion import Motion, jacobian

FINER = 2  # samples along each axis of a voxel that are averaged


@dataclass(frozen=True)
class Variety:
    """How one chest becomes many.

    Attributes:
        scale: Standard deviation of the size along each axis.
        turn: Standard deviation of a rotation about each axis, in radians.
        elastic_mm: Greatest typical displacement of a smooth change of shape.
        offset_mm: Standard deviation of where the lattice's middle is relative to the lungs'.
        misalignment: Standard deviation of each entry of the linear part of the alignment's error.
        misalignment_mm: Standard deviation of its offset.
        contrast: Share of the pairs in which both images get the same random contrast.
        cropped: Share of the images that don't cover the whole lattice.
        density: Greatest power of the Jacobian determinant that the lung's density follows; 1 keeps its mass.
    """

    scale: float = 0.08
    turn: float = 0.06
    elastic_mm: float = 8.0
    offset_mm: float = 8.0
    misalignment: float = 0.012
    misalignment_mm: float = 2.0
    contrast: float = 0.6
    cropped: float = 0.25
    density: float = 1.2


class SyntheticPairs(PairSource):
    """Random chests, random contrast, random motion.

    Args:
        phantoms: How many random phantoms there are to draw from.
        first_phantom: The seed of the first one; the others follow.
        ct: Real chest CTs, which take ``ct_share`` of the pairs.
        ct_share: See ``ct``; of no effect without any.
        motion: How chests move.
        variety: How much they differ otherwise.
        augmentation: How much the two images of a pair differ in looks.
        cache: A folder in which the chests are kept between runs.
    """

    def __init__(
        self,
        phantoms: int = 48,
        first_phantom: int = 100_000,
        ct: list[Path] | None = None,
        ct_share: float = 0.35,
        motion: Motion | None = None,
        variety: Variety | None = None,
        augmentation: Augmentation | None = None,
        cache: Path | None = None,
    ) -> None:
        self.ct = [Chest({"ct": str(path)}, partial(ct_anatomy, path), cache) for path in ct or []]
        seeds = range(first_phantom, first_phantom + phantoms)
        self.phantoms = [Chest({"phantom": seed}, partial(phantom_anatomy, seed), cache) for seed in seeds]
        self.ct_share = ct_share
        self.motion, self.variety = motion or Motion(), variety or Variety()
        self.augmentation = augmentation or Augmentation()

    def check(self) -> None:
        """Make every chest once, so that what is wrong with a file is said before training starts."""
        for chest in tqdm([*self.ct, *self.phantoms], "chests", leave=False, file=sys.stderr):
            chest()

    def draw(self, lattice: Lattice, random: np.random.Generator) -> Pair:
        """A pair of one chest, see :class:`PairSource`."""
        real = bool(self.ct) and (not self.phantoms or random.random() < self.ct_share)
        chests = self.ct if real else self.phantoms
        return self.pair_of(chests[int(random.integers(len(chests)))](), lattice, random)

    def pair_of(self, anatomy: Anatomy, lattice: Lattice, random: np.random.Generator) -> Pair:
        """A pair of a given chest."""
        scene = Scene(anatomy, lattice, self.variety, random)
        u = self.motion.sample(scene.sample(scene.lungs, scene.positions), scene.spacing_mm, random)
        fixed_lungs = scene.sample(scene.lungs, scene.moved(u, scene.positions))
        matrix = misaligned(affine_fit(u, scene.positions, fixed_lungs), self.variety, random)
        seen = transformed(matrix, scene.positions)
        moving_lungs = scene.sample(scene.lungs, seen)

        fixed_view, moving_view = (scene.random_view(self.variety, random) for _ in range(2))
        fixed = scene.picture(scene.moved(u, clamped(scene.positions, fixed_view)))
        moving = scene.picture(clamped(seen, moving_view))
        growth = jacobian(u, scene.spacing_mm)[:, None].clamp(0.4, 2.5)
        power = float(random.uniform(0, self.variety.density))
        fixed = (fixed * (1 + fixed_lungs * (growth**power - 1))).clamp(0, 1)
        if random.random() < self.variety.contrast:
            fixed, moving = random_contrast(fixed, moving, random)

        residual = transformed(np.linalg.inv(matrix), scene.moved(u, scene.positions)) - scene.positions
        there = transformed(matrix, scene.positions + residual)
        known = covers(fixed_view, scene.positions) & covers(moving_view, there)
        return Pair.of_images(
            self.augmentation(fixed[0], random),
            self.augmentation(moving[0], random),
            fixed_lungs=fixed_lungs[0] * covers(fixed_view, scene.positions),
            moving_lungs=moving_lungs[0] * covers(moving_view, seen),
            displacement=(residual / scene.spacing_mm).movedim(-1, 1)[0],
            certainty=known.float(),
        )


View = tuple[Tensor, Tensor]
"""The box that an image covers: its lowest and its highest corner, ``(3,)`` mm."""


class Scene:
    """A chest in front of a lattice. Positions are ``(1, K, J, I, 3)``, in mm along R, A, S from the lattice's middle.

    Attributes:
        spacing_mm: Of the lattice along ``(i, j, k)``.
        positions: Its voxel centres.
        image: The chest's image, ``(1, 1, K, J, I)`` on its own lattice.
        lungs: Its lungs.
    """

    def __init__(self, anatomy: Anatomy, lattice: Lattice, variety: Variety, random: np.random.Generator) -> None:
        self.spacing_mm = torch.from_numpy(lattice.spacing_mm.astype(np.float32))
        self.half = torch.tensor([(n - 1) / 2 for n in lattice.shape[::-1]]) * self.spacing_mm
        self.positions = identity_grid(lattice.shape)[None] * self.half
        self.image = torch.from_numpy(anatomy.image.astype(np.float32))[None, None]
        self.lungs = torch.from_numpy(anatomy.lungs.astype(np.float32))[None, None]
        self._to_anatomy = anatomy.lattice.ras_to_grid @ random_pose(anatomy, variety, random)
        size = float(random.uniform(0, variety.elastic_mm))
        self._shape = size * random_free_form(lattice.shape, self.spacing_mm, (80.0, 80.0, 80.0), random)

    def moved(self, displacement: Tensor, positions: Tensor) -> Tensor:
        """``x + u(x)`` for u ``(1, 3, K, J, I)`` in mm on the lattice; beyond it u goes on at its border value."""
        return positions + warp(displacement, positions / self.half).movedim(1, -1)

    def sample(self, image: Tensor, positions: Tensor) -> Tensor:
        """The chest's image or lungs at some positions, ``(1, 1, K, J, I)``."""
        return warp(image, self._in_anatomy(positions))

    def picture(self, positions: Tensor) -> Tensor:
        """The image at some positions, each value an average over its voxel, ``(1, 1, K, J, I)``."""
        grid = self._in_anatomy(positions).movedim(-1, 1)
        fine = functional.interpolate(grid, scale_factor=FINER, mode="trilinear", align_corners=False)
        return functional.avg_pool3d(warp(self.image, fine.movedim(1, -1)), FINER)

    def _in_anatomy(self, positions: Tensor) -> Tensor:
        return transformed(self._to_anatomy, self.moved(self._shape, positions))

    def random_view(self, variety: Variety, random: np.random.Generator) -> View:
        """All of the lattice, or a box that leaves up to a third of it out at each side, often only one of them."""
        low, high = -2 * self.half, 2 * self.half
        if random.random() < variety.cropped:
            low, high = low.clone(), high.clone()
            for axis in range(3):
                cut = torch.from_numpy(random.uniform(-0.4, 0.65, 2).clip(0)) * self.half[axis]
                low[axis], high[axis] = -self.half[axis] + cut[0], self.half[axis] - cut[1]
        return low, high


def random_pose(anatomy: Anatomy, variety: Variety, random: np.random.Generator) -> np.ndarray:
    """4x4 from positions to the chest's RAS mm: around its lungs, resized, turned, and mirrored half of the time."""
    weights = anatomy.lungs.astype(np.float64)
    found = np.argwhere(weights > 0.5)[:, ::-1]
    matrix = np.eye(4)
    matrix[:3, 3] = apply(anatomy.lattice.ijk_to_ras, found.mean(axis=0)) + random.normal(0, variety.offset_mm, 3)
    size = np.exp(random.normal(0, variety.scale, 3)) * [random.choice([-1, 1]), 1, 1]
    matrix[:3, :3] = Rotation.from_rotvec(random.normal(0, variety.turn, 3)).as_matrix() * size
    return matrix


def affine_fit(displacement: Tensor, positions: Tensor, weights: Tensor) -> np.ndarray:
    """The 4x4 map nearest to ``x + u(x)`` in the weighted least squares; u ``(1, 3, K, J, I)``, weights likewise."""
    chosen = (weights[0, 0] > 0.5).reshape(-1)
    x = torch.cat([positions.reshape(-1, 3), torch.ones(chosen.numel(), 1)], dim=1)[chosen].double().numpy()
    u = displacement[0].reshape(3, -1).T[chosen].double().numpy()
    matrix = np.eye(4)
    if len(x) > x.shape[1]:
        matrix[:3] += np.linalg.lstsq(x, u, rcond=None)[0].T
    return matrix


def misaligned(matrix: np.ndarray, variety: Variety, random: np.random.Generator) -> np.ndarray:
    """The alignment with an error: sometimes twice as large as usual, sometimes none."""
    error = np.eye(4)
    severity = float(random.choice([0.3, 1.0, 2.0]))
    error[:3, :3] += severity * variety.misalignment * random.standard_normal((3, 3))
    error[:3, 3] = severity * variety.misalignment_mm * random.standard_normal(3)
    return matrix @ error


def transformed(matrix: np.ndarray, positions: Tensor) -> Tensor:
    """A 4x4 map of positions ``(..., 3)``."""
    linear = torch.from_numpy(matrix[:3].astype(np.float32))
    return positions @ linear[:, :3].T + linear[:, 3]


def clamped(positions: Tensor, view: View) -> Tensor:
    """Positions moved onto the box where they lie outside it: an image goes on at its border value."""
    return torch.maximum(torch.minimum(positions, view[1]), view[0])


def covers(view: View, positions: Tensor) -> Tensor:
    """Which positions lie in the box, bool ``(1, K, J, I)``."""
    return ((positions >= view[0]) & (positions <= view[1])).all(dim=-1)
