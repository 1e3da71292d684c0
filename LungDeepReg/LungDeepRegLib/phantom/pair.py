"""A pair of images of one synthetic chest, exhaled and inhaled, and all that is known about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..displacement_field import DisplacementField
from ..geometry import Lattice
from ..landmarks import Landmarks
from ..volume import Volume
from .anatomy import sample_anatomy
from .breathing import Breathing, sample_breathing
from .contrast import CT_HU, MRI_SIGNAL, sample_shading, sample_texture, with_ct_noise, with_mri_noise
from .render import Chest, render
from .trees import grow_trees, landmark_candidates
from .tubes import Tubes

CONTRASTS = ("ct", "mri")
FIELD_OF_VIEW_MM = (376.0, 276.0, 312.0)
CENTRE_RAS_MM = (0.0, -6.0, -3.0)
LEAST_LANDMARK_RADIUS_MM = 1.1
# Independent streams of random numbers, so that a draw more in one never changes another.
ANATOMY, TREES, TEXTURE, BREATHING, LANDMARKS, FIXED, MOVING, PHASES = range(8)


class PhantomError(ValueError):
    """Options that describe no chest."""


@dataclass(frozen=True)
class PhantomConfig:
    """Which chest, and how it is imaged.

    Attributes:
        seed: Chooses the chest, its breathing and the noise. Nothing else does: not the lattice, not the contrast.
        contrast: ``ct`` (HU, int16) or ``mri`` (about 0 to 1300, float32, dark lungs, coil shading).
        motion_mm: Greatest displacement between exhale and inhale, at the domes of the diaphragm.
        noise: Standard deviation of the noise, in HU or in units of the MRI signal.
        landmarks: How many branchings of vessels to mark, 1 or more, half of them in each lung (about 500 exist).

    Raises:
        PhantomError: Another contrast, a negative number, or no landmarks.
    """

    seed: int = 0
    contrast: str = "ct"
    motion_mm: float = 35.0
    noise: float = 18.0
    landmarks: int = 40

    def __post_init__(self) -> None:
        if self.contrast not in CONTRASTS:
            msg = f"found the contrast {self.contrast!r}, expected one of {', '.join(CONTRASTS)}"
            raise PhantomError(msg)
        if min(self.seed, self.motion_mm, self.noise, self.landmarks - 1) < 0:
            msg = f"found {self}, expected no negative number and at least one landmark"
            raise PhantomError(msg)


@dataclass(frozen=True, eq=False)
class PhantomPair:
    """Two images and the truth between them: ``fixed(x)`` shows the tissue that ``moving`` shows at ``phi(x)``.

    Attributes:
        fixed: The exhaled chest.
        moving: The inhaled chest.
        fixed_mask: Its lungs, uint8: 1 right, 2 left.
        moving_mask: Likewise.
        fixed_landmarks: Branchings of vessels in the fixed image.
        moving_landmarks: The same branchings in the moving image: phi of the fixed ones.
        phi: The map from fixed RAS mm to moving RAS mm, for points ``(N, 3)``; ``phi.jacobian`` gives its determinant.
    """

    fixed: Volume
    moving: Volume
    fixed_mask: Volume
    moving_mask: Volume
    fixed_landmarks: Landmarks
    moving_landmarks: Landmarks
    phi: Breathing

    def displacement(self, lattice: Lattice) -> DisplacementField:
        """The map phi as a field on a lattice."""
        return self.phi.on(lattice)


def make_pair(
    config: PhantomConfig, fixed_lattice: Lattice | None = None, moving_lattice: Lattice | None = None
) -> PhantomPair:
    """An exhaled (fixed) and an inhaled (moving) image of the chest that the seed chooses.

    Args:
        config: Which chest, and how it is imaged.
        fixed_lattice: Where the fixed image's voxels are; by default the whole chest at 2.5 mm.
        moving_lattice: Likewise for the moving image; by default shifted by a few mm and with thicker slices.

    Raises:
        BreathingError: A motion that would fold tissue.
    """
    chest = sample_chest(config.seed)
    phi = chest_breathing(config, chest.scale)
    exhaled, inhaled = fixed_lattice or chest_lattice(2.5), moving_lattice or chest_lattice((2.5, 2.5, 3.0), (3, 5, -6))
    names, rngs = ("phantom exhale", "phantom inhale"), [generator(config.seed, side) for side in (FIXED, MOVING)]
    fixed, fixed_mask = picture(chest, config, exhaled, phi, rngs[0], names[0])
    moving, moving_mask = picture(chest, config, inhaled, None, rngs[1], names[1])
    points = phi.inverse(branchings(chest, config))
    landmarks = (named(points, names[0]), named(phi(points), names[1]))
    return PhantomPair(fixed, moving, fixed_mask, moving_mask, *landmarks, phi)


def sample_chest(seed: int) -> Chest:
    """The chest that a seed chooses, apart from any picture of it."""
    anatomy = sample_anatomy(generator(seed, ANATOMY))
    rng = generator(seed, TREES)
    trees = grow_trees(anatomy, rng)
    vessels = Tubes.union([trees["arteries"].tubes(rng), trees["veins"].tubes(rng)])
    texture = sample_texture(generator(seed, TEXTURE))
    return Chest(anatomy, trees, vessels, trees["airways"].tubes(rng), texture)


def chest_breathing(config: PhantomConfig, scale: np.ndarray) -> Breathing:
    """How the chest breathes that a seed chooses: from exhaled to inhaled.

    Args:
        config: Its seed and its motion.
        scale: The chest's, see :attr:`render.Chest.scale`.

    Raises:
        BreathingError: A motion that would fold tissue.
    """
    return sample_breathing(generator(config.seed, BREATHING), config.motion_mm, scale)


def chest_lattice(
    spacing_mm: float | tuple[float, float, float], shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> Lattice:
    """A lattice along R, A and S that holds the whole chest.

    Args:
        spacing_mm: Distance between voxel centres, for all axes or along each.
        shift_mm: How far its middle is from the chest's.
    """
    spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), 3)
    count = np.round(np.array(FIELD_OF_VIEW_MM) / spacing).astype(int)
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = np.array(CENTRE_RAS_MM) + np.array(shift_mm) - (count - 1) / 2 * spacing
    return Lattice(tuple(count[::-1]), matrix)


def picture(
    chest: Chest,
    config: PhantomConfig,
    lattice: Lattice,
    breathing: Breathing | None,
    rng: np.random.Generator,
    name: str,
) -> tuple[Volume, Volume]:
    """The chest in one state on a lattice, with noise, and its lung labels.

    Args:
        chest: What is shown.
        config: How it is imaged.
        lattice: Where the voxels are.
        breathing: The map from this state to the inhaled one, or None for that itself.
        rng: Of the noise.
        name: Of the image; its lungs are named after it.
    """
    ct = config.contrast == "ct"
    shading = sample_shading(rng)
    image = np.empty(lattice.shape, dtype=np.int16 if ct else np.float32)
    lungs = np.empty(lattice.shape, dtype=np.uint8)
    for planes, slab, values, labels in render(chest, lattice, CT_HU if ct else MRI_SIGNAL, breathing):
        lungs[planes] = labels
        if ct:
            image[planes] = with_ct_noise(values, config.noise, rng)
        else:
            image[planes] = with_mri_noise(values * shading(slab), config.noise, rng)
    return Volume(image, lattice.ijk_to_ras, name), Volume(lungs, lattice.ijk_to_ras, f"{name} lungs")


def branchings(chest: Chest, config: PhantomConfig) -> np.ndarray:
    """Branchings of arteries far from one another, half in each lung, where they are inhaled, ``(N, 3)`` RAS mm."""
    points, radius = landmark_candidates(chest.trees["arteries"], chest.anatomy)
    points = points[radius > LEAST_LANDMARK_RADIUS_MM] * chest.scale.astype(np.float64)
    right = points[:, 0] > 0
    rng = generator(config.seed, LANDMARKS)
    halves = ((right, (config.landmarks + 1) // 2), (~right, config.landmarks // 2))
    return np.concatenate([_far_apart(points[side], count, rng) for side, count in halves])


def named(points: np.ndarray, name: str) -> Landmarks:
    """Branchings as landmarks, numbered."""
    return Landmarks(points, tuple(f"vessel branching {n + 1}" for n in range(len(points))), name)


def _far_apart(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """At most ``count`` of the points, each the farthest from those taken before it."""
    count = min(count, len(points))
    if count == 0:
        return points[:0]
    taken = [int(rng.integers(len(points)))]
    gap = np.linalg.norm(points - points[taken[0]], axis=1)
    while len(taken) < count:
        taken.append(int(gap.argmax()))
        gap = np.minimum(gap, np.linalg.norm(points - points[taken[-1]], axis=1))
    return points[taken]


def generator(seed: int, *stream: int) -> np.random.Generator:
    """The random numbers of one of the streams above (of the phases: and of which one)."""
    return np.random.default_rng([seed, *stream])
