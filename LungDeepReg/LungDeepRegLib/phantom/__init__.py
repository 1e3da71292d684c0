"""A synthetic chest, exhaled and inhaled, with the map between both known exactly.

:func:`make_pair` gives the pair that the demo, the tests and training use. The chest is described by formulas in world
coordinates, so it can be imaged on any lattice; breathing is a sum of smooth modes (:mod:`breathing`).
:class:`PhantomSeries` images one breath of it, phase by phase.
"""

from .breathing import Breathing, BreathingError
from .pair import PhantomConfig, PhantomError, PhantomPair, chest_lattice, make_pair
from .series import PhantomSeries

__all__ = [
    "Breathing",
    "BreathingError",
    "PhantomConfig",
    "PhantomError",
    "PhantomPair",
    "PhantomSeries",
    "chest_lattice",
    "make_pair",
]
