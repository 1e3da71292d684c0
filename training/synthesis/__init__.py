"""Pairs with known motion, made from anatomy that is random or real: what the shipped weights learn from."""

from .anatomy import AnatomyError
from .motion import Motion
from .pairs import SyntheticPairs

__all__ = ["AnatomyError", "Motion", "SyntheticPairs"]
