"""How far a patient breathes: what is drawn for each, and what disease takes away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .members import Member

Range = tuple[float, float]


@dataclass(frozen=True)
class Breath:
    """How far one patient breathes.

    Attributes:
        descent_mm: Of the right dome of the diaphragm, along S, as its muscle wants it: the elastic chest gives way to
            nearly all of a shallow breath, and to four fifths of the deepest.
        left: The left dome's descent relative to it.
        behind: How much further the diaphragm descends at its back than in the middle, as a share of the descent.
        forward: How far the domes go forward for each mm that they descend.
        side: How far the lower ribs go outwards on each side for each mm that the domes descend.
        front: How far the breastbone's lower end goes forwards, likewise.
        rise: How far it rises for each mm that it goes forwards.
    """

    descent_mm: float
    left: float
    behind: float
    forward: float
    side: float
    front: float
    rise: float


@dataclass(frozen=True)
class Breaths:
    """What breaths are drawn from: the table ``[breathing]``.

    Attributes:
        descent_mm: From the shallowest healthy breath to the deepest.
        lost: Share of the descent that disease of the whole lung would take away.
        least: Share that is always left.
        left: Range of :attr:`Breath.left`, and so on.
        behind: Likewise.
        forward: Likewise.
        side: Likewise.
        front: Likewise.
        rise: Likewise.
    """

    descent_mm: Range
    lost: float
    least: float
    left: Range
    behind: Range
    forward: Range
    side: Range
    front: Range
    rise: Range

    def sample(self, member: Member, extent: float, rng: np.random.Generator) -> Breath:
        """One patient's breath.

        Args:
            member: Who says how deeply they breathe for their condition.
            extent: The share of the lungs that is ill.
            rng: Where the rest comes from.
        """
        low, high = self.descent_mm
        left = max(self.least, 1 - self.lost * extent)
        names = ("left", "behind", "forward", "side", "front", "rise")
        drawn = {name: float(rng.uniform(*getattr(self, name))) for name in names}
        return Breath(descent_mm=left * (low + (high - low) * member.depth), **drawn)
