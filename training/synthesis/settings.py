"""What settings of synthetic pairs may be."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from ..errors import TrainingError


class SynthesisError(TrainingError):
    """Settings or images that no pairs can be made with."""


def check_amounts(settings: Any, shares: tuple[str, ...]) -> None:
    """Raise :class:`SynthesisError` unless all fields of a dataclass are numbers from 0, and the ``shares`` at most 1.

    Args:
        settings: A dataclass of numbers.
        shares: Names of the fields that are parts of a whole.
    """
    for field in dataclasses.fields(settings):
        value, most = getattr(settings, field.name), 1.0 if field.name in shares else math.inf
        if not (math.isfinite(value) and 0 <= value <= most):
            expected = "a number from 0 to 1" if field.name in shares else "a number of at least 0"
            msg = f"found {field.name} {value} in {type(settings).__name__}, expected {expected}"
            raise SynthesisError(msg)
