"""Values as JSON can hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Dataclasses, tuples and numbers as JSON has them; NaN and infinity become null, numbers keep 6 digits."""
    if hasattr(value, "__dataclass_fields__"):
        value = asdict(value)
    if isinstance(value, dict):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def entry(values: Mapping[str, Any], *names: str) -> Any:
    """An entry of an entry, and so on; None where it is null or absent, or what it stands in."""
    found: Any = values
    for name in names:
        found = (found or {}).get(name)
    return found
