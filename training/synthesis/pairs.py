"""Pairs of images of one chest between which the map is known: ``fixed(x) = moving(psi(x))``.

As the network will see them: the moving image is already aligned, by an affine map that is right on average over the
lungs but for a random error, and both are averaged down to the lattice.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from LungDeepRegLib.geometry import Lattice
from torch import Tensor
from tqdm import tqdm

from ..augmentation import Augmentation
from ..pairs import Pair, PairSource
from .anatomy import Anatomy, Chest
from .appearance import random_contrast
from .motion import Motion, jacobian
from .scene import Scene, View, transformed
from .settings import SynthesisError
from .variety import Variety

DENSITY_LIMITS = (0.4, 2.5)
"""A lung's density follows its volume as far as this."""


class SyntheticPairs(PairSource):
    """Random chests, random contrast, random motion.

    Args:
        phantoms: How many random phantoms there are to draw from.
        first_phantom: The seed of the first one; the others follow.
        ct: Real chest CTs, which take ``ct_share`` of the pairs.
        ct_share: See ``ct``; of no effect without any, or without phantoms.
        motion: How chests move.
        variety: How much they differ otherwise.
        augmentation: How much the two images of a pair differ in looks.
        cache: A folder in which the chests are kept between runs.

    Raises:
        SynthesisError: No chest to draw from, or a share that isn't from 0 to 1.
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
        if phantoms < 0 or first_phantom < 0 or not (phantoms or ct) or not 0 <= ct_share <= 1:
            msg = (
                f"found {phantoms} phantoms from seed {first_phantom}, {len(ct or [])} CTs and ct_share {ct_share},"
                " expected at least one phantom or CT, no negative number, and a share from 0 to 1"
            )
            raise SynthesisError(msg)
        self.ct = [Chest.of_ct(path, cache) for path in ct or []]
        self.phantoms = [Chest.of_phantom(seed, cache) for seed in range(first_phantom, first_phantom + phantoms)]
        self.ct_share = ct_share
        self.motion, self.variety = motion or Motion(), variety or Variety()
        self.augmentation = augmentation or Augmentation()

    def check(self) -> None:
        """Make every chest once.

        Raises:
            AnatomyError: A CT that can't be used.
        """
        for chest in tqdm([*self.ct, *self.phantoms], "chests", leave=False, file=sys.stderr):
            chest()

    def draw(self, lattice: Lattice, random: np.random.Generator) -> Pair:
        """A pair of one chest, see :class:`PairSource`."""
        real = bool(self.ct) and (not self.phantoms or random.random() < self.ct_share)
        chests = self.ct if real else self.phantoms
        return self.pair_of(chests[int(random.integers(len(chests)))](), lattice, random)

    def pair_of(self, anatomy: Anatomy, lattice: Lattice, random: np.random.Generator) -> Pair:
        """A pair of a given chest.

        Args:
            anatomy: The chest.
            lattice: The network's; its shape and spacing count.
            random: Where the randomness comes from.
        """
        scene = Scene(anatomy, lattice, self.variety.pose(anatomy, random), self.variety.shape(lattice, random))
        u = self.motion.sample(scene.lungs_at(scene.positions), scene.spacing_mm, random)
        moved = scene.moved(u, scene.positions)
        fixed_lungs = scene.lungs_at(moved)
        matrix = self.variety.misaligned(affine_fit(u, scene.positions, fixed_lungs), random)
        seen = transformed(matrix, scene.positions)
        views = self.variety.view(scene.half_mm, random), self.variety.view(scene.half_mm, random)
        fixed, moving = self._pictures(scene, u, seen, fixed_lungs, views, random)

        residual = transformed(np.linalg.inv(matrix), moved) - scene.positions
        return Pair.of_images(
            self.augmentation(fixed[0], random),
            self.augmentation(moving[0], random),
            fixed_lungs=fixed_lungs[0] * views[0].covers(scene.positions),
            moving_lungs=scene.lungs_at(seen)[0] * views[1].covers(seen),
            displacement=(residual / scene.spacing_mm).movedim(-1, 1)[0],
            certainty=(views[0].covers(scene.positions) & views[1].covers(moved)).float(),
        )

    def _pictures(
        self,
        scene: Scene,
        u: Tensor,
        seen: Tensor,
        fixed_lungs: Tensor,
        views: tuple[View, View],
        random: np.random.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Fixed and moving image, ``(1, 1, K, J, I)`` in [0, 1], with the density that the lung's volume gives it."""
        covered = views[0].clamped(scene.positions)
        fixed, moving = scene.picture(scene.moved(u, covered)), scene.picture(views[1].clamped(seen))
        growth = jacobian(u, scene.spacing_mm)[:, None].clamp(*DENSITY_LIMITS)
        power = float(random.uniform(0, self.variety.density))
        density = 1 + fixed_lungs * (growth**power - 1)
        fixed = (fixed * scene.at(density, covered)).clamp(0, 1)
        if random.random() < self.variety.contrast:
            return random_contrast(fixed, moving, random)
        return fixed, moving


def affine_fit(displacement: Tensor, positions: Tensor, weights: Tensor) -> np.ndarray:
    """The 4x4 map nearest to ``x + u(x)`` in the least squares over lung.

    Args:
        displacement: u, ``(1, 3, K, J, I)`` in mm.
        positions: x, ``(1, K, J, I, 3)`` in mm.
        weights: ``(1, 1, K, J, I)``; voxels of more than a half take part. Of four or fewer the identity is made.
    """
    chosen = (weights[0, 0] > 0.5).reshape(-1)
    x = torch.cat([positions.reshape(-1, 3), torch.ones(chosen.numel(), 1)], dim=1)[chosen].double().numpy()
    u = displacement[0].reshape(3, -1).T[chosen].double().numpy()
    matrix = np.eye(4)
    if len(x) > x.shape[1]:
        matrix[:3] += np.linalg.lstsq(x, u, rcond=None)[0].T
    return matrix
