"""The engine's phantom as training data, made on the fly: random chests that breathe by a known map."""

from __future__ import annotations

import numpy as np
from LungDeepRegLib.alignment import ALIGNMENTS, align
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.intensity import choose_intensity
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.preprocessing import Prepared, prepare
from LungDeepRegLib.volume import Volume

from .augmentation import Augmentation
from .errors import TrainingError
from .pairs import Pair, PairSource
from .placing import placed

SHIFT_MM = 10.0


class PhantomPairsError(TrainingError):
    """Settings that describe no phantoms."""


class PhantomPairs(PairSource):
    """Exhaled (fixed) and inhaled (moving) phantoms, with masks, landmarks and the map between them.

    Args:
        contrasts: Of ``ct`` and ``mri``, those to choose from.
        motion_mm: The least and the greatest motion.
        spacing_mm: Of the images' voxels; finer ones take longer to draw (4 mm about a second).
        phantoms: How many different phantoms there are.
        first_seed: The seed of the first one; the others follow.
        alignment: ``none``, ``centre`` or ``affine``: what brings the two images together before the network.
        augmentation: Random change of looks in training; null for none.

    Raises:
        PhantomPairsError: An unknown contrast or alignment, or no phantoms.
    """

    def __init__(
        self,
        contrasts: tuple[str, ...] = ("ct", "mri"),
        motion_mm: tuple[float, float] = (10.0, 30.0),
        spacing_mm: float = 4.0,
        phantoms: int = 1000,
        first_seed: int = 300_000,
        alignment: str = "centre",
        augmentation: Augmentation | None = None,
    ) -> None:
        if not contrasts or alignment not in ALIGNMENTS or phantoms < 1:
            msg = f"found contrasts {contrasts}, alignment {alignment!r}, {phantoms} phantoms, expected at least one "
            msg += f"contrast and phantom, and one of {', '.join(ALIGNMENTS)}"
            raise PhantomPairsError(msg)
        self.contrasts, self.motion_mm, self.spacing_mm = contrasts, motion_mm, spacing_mm
        self.seeds = range(first_seed, first_seed + phantoms)
        self.alignment, self.augmentation = alignment, augmentation

    def check(self) -> None:
        """Every contrast must be one that the phantom has."""
        for contrast in self.contrasts:
            PhantomConfig(contrast=contrast)

    def draw(self, lattice: Lattice, random: np.random.Generator) -> Pair:
        """A random phantom with a random motion, see :class:`PairSource`."""
        contrast = self.contrasts[int(random.integers(len(self.contrasts)))]
        seed = self.seeds[int(random.integers(len(self.seeds)))]
        shift = tuple(float(mm) for mm in random.uniform(-SHIFT_MM, SHIFT_MM, 3))
        images = chest_lattice(self.spacing_mm), chest_lattice(self.spacing_mm, shift)
        pair = make_pair(PhantomConfig(seed, contrast, float(random.uniform(*self.motion_mm))), *images)
        fixed, moving = prepared(pair.fixed, pair.fixed_mask), prepared(pair.moving, pair.moving_mask)
        matrix = align(fixed, moving, self.alignment).matrix
        marks = pair.fixed_landmarks, pair.moving_landmarks
        found = placed(fixed, moving, matrix, lattice, landmarks=marks, truth=pair.phi)
        return found if self.augmentation is None else self.augmentation.pair(found, random)


def prepared(image: Volume, mask: Volume) -> Prepared:
    """A phantom's image and mask as the engine computes with them."""
    spacing = float(image.lattice.spacing_mm.max())
    return prepare(image, choose_intensity(image), mask.array > 0, spacing)
