"""Pairs with known motion, made from anatomy that is random or real: what the shipped weights learn from."""

from .anatomy import AnatomyError
from .motion import Motion
from .pairs import SyntheticPairs
from .settings import SynthesisError
from .variety import Variety

__all__ = ["AnatomyError", "Motion", "SynthesisError", "SyntheticPairs", "Variety"]
