"""A landmark in both images, with who placed it, how, and what the review made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ..landmarks import LandmarkError, shortened

Point = tuple[float, float, float]
"""R, A, S in mm."""


class Provenance(StrEnum):
    """How a point came to its place."""

    MANUAL = "manual"
    """A person placed it without the registration's help."""
    ASSISTED = "assisted"
    """A person took over or changed what the registration proposed, or saw its result meanwhile."""
    AUTOMATIC = "automatic"
    """No person placed it."""


class State(StrEnum):
    """What a reviewer thinks of a pair."""

    UNREVIEWED = "unreviewed"
    ACCEPTED = "accepted"
    DOUBTFUL = "doubtful"


@dataclass(frozen=True)
class LandmarkPair:
    """One anatomical place, marked in the fixed and in the moving image by one observer.

    Attributes:
        label: Its name, unique among the pairs of one observer.
        fixed_ras: ``(r, a, s)`` in mm in the fixed image; any three numbers are taken.
        moving_ras: Likewise in the moving image; None as long as it isn't placed there.
        observer: Who placed it; may be empty.
        fixed_provenance: How the fixed point came to its place.
        moving_provenance: How the moving point did.
        state: What the review made of it.
        locked: Whether it is kept from being moved.

    Raises:
        LandmarkError: An empty label, or a point that isn't three finite numbers.
        ValueError: An unknown provenance or state.
    """

    label: str
    fixed_ras: Point
    moving_ras: Point | None = None
    observer: str = ""
    fixed_provenance: Provenance = Provenance.MANUAL
    moving_provenance: Provenance = Provenance.MANUAL
    state: State = State.UNREVIEWED
    locked: bool = False

    def __post_init__(self) -> None:
        if not self.label.strip():
            msg = f"found a landmark pair without a label at {self.fixed_ras}, expected a name"
            raise LandmarkError(msg)
        object.__setattr__(self, "fixed_ras", checked_point(self.fixed_ras, f"{self.label}, fixed image"))
        if self.moving_ras is not None:
            object.__setattr__(self, "moving_ras", checked_point(self.moving_ras, f"{self.label}, moving image"))
        object.__setattr__(self, "fixed_provenance", Provenance(self.fixed_provenance))
        object.__setattr__(self, "moving_provenance", Provenance(self.moving_provenance))
        object.__setattr__(self, "state", State(self.state))

    @property
    def blind(self) -> bool:
        """Whether both points are there and placed by a person without the registration's help."""
        manual = self.fixed_provenance == self.moving_provenance == Provenance.MANUAL
        return manual and self.moving_ras is not None


def checked_point(point: Sequence[float] | np.ndarray, where: str) -> Point:
    """Three finite numbers, or a :class:`LandmarkError` that says where they should have been."""
    values = np.asarray(point, dtype=np.float64)
    if values.shape != (3,) or not np.isfinite(values).all():
        msg = f"{where}: found the position {np.asarray(point).tolist()}, expected three finite numbers in mm"
        raise LandmarkError(msg)
    r, a, s = values.tolist()
    return r, a, s


def check_labels(pairs: Sequence[LandmarkPair], name: str) -> None:
    """Raise :class:`LandmarkError` where two pairs of one list have the same label; ``name`` is the list's."""
    twice = [label for label, count in Counter(pair.label for pair in pairs).items() if count > 1]
    if twice:
        msg = f"{name}: found more than one landmark pair with the label {shortened(twice)}, expected each label once"
        raise LandmarkError(msg)
