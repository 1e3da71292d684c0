"""One breath of a synthetic chest in phases, as a 4D CT shows it, with the maps between all phases known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..geometry import Lattice
from ..landmarks import Landmarks
from ..volume import Volume
from .breathing import Breathing
from .pair import (
    PHASES,
    PhantomConfig,
    PhantomError,
    branchings,
    chest_breathing,
    chest_lattice,
    generator,
    named,
    picture,
    sample_chest,
)
from .render import Chest


@dataclass(frozen=True, eq=False)
class PhantomSeries:
    """The phases of one breath: exhaled at phase 0, inhaled in the middle, and back.

    The motion between exhale and inhale is that of :func:`make_pair` with the same options: what is at X when inhaled
    is at the x with ``x + (1 - depth) * u(x) = X`` at another depth, u being the pair's displacement.
    Each image is made when it is asked for; none is kept.

    Attributes:
        config: Which chest, and how it is imaged. The noise is another one in each phase.
        count: How many phases, 2 or more.
        lattice: Where the images' voxels are; by default the whole chest at 2.5 mm.

    Raises:
        PhantomError: Fewer than two phases.
        BreathingError: A motion that would fold tissue.
    """

    config: PhantomConfig
    count: int = 10
    lattice: Lattice | None = None

    def __post_init__(self) -> None:
        if self.count < 2:
            msg = f"found {self.count} phases, expected 2 or more"
            raise PhantomError(msg)
        _ = self.breathing

    @cached_property
    def chest(self) -> Chest:
        """The chest, inhaled."""
        return sample_chest(self.config.seed)

    @cached_property
    def breathing(self) -> Breathing:
        """The map from exhaled to inhaled."""
        return chest_breathing(self.config, self.chest.scale)

    def percent(self, phase: int) -> float:
        """How much of the breath is over at a phase, 0 to below 100."""
        return 100 * self._checked(phase) / self.count

    def depth(self, phase: int) -> float:
        """How deeply it is inhaled at a phase: 0 exhaled, 1 inhaled."""
        return float(np.sin(np.pi * self._checked(phase) / self.count) ** 2)

    def image(self, phase: int, lattice: Lattice | None = None) -> tuple[Volume, Volume]:
        """A phase, and its lung labels, uint8: 1 right, 2 left.

        Args:
            phase: Which, from 0.
            lattice: Where its voxels are; by default where those of the series are.
        """
        rng = generator(self.config.seed, PHASES, self._checked(phase))
        where = lattice or self.lattice or chest_lattice(2.5)
        name = f"phantom {self.percent(phase):g} %"
        return picture(self.chest, self.config, where, self._to_inhaled(phase), rng, name)

    def landmarks(self, phase: int) -> Landmarks:
        """The same branchings of vessels in each phase."""
        tissue = branchings(self.chest, self.config)
        return named(self._to_inhaled(phase).inverse(tissue), f"phantom {self.percent(phase):g} %")

    def phi(self, reference: int, phase: int, points_ras: np.ndarray) -> np.ndarray:
        """Where tissue is in a phase that is at points ``(N, 3)`` in the reference phase, RAS mm, to about 1e-10 mm."""
        points = np.asarray(points_ras, dtype=np.float64)
        return self._to_inhaled(phase).inverse(self._to_inhaled(reference)(points))

    def _to_inhaled(self, phase: int) -> Breathing:
        return self.breathing.scaled(1 - self.depth(phase))

    def _checked(self, phase: int) -> int:
        if not 0 <= phase < self.count:
            msg = f"found the phase {phase}, expected one of 0 to {self.count - 1}"
            raise PhantomError(msg)
        return phase
