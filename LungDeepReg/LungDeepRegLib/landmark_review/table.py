"""The errors of a registration at landmark pairs, pair by pair and in all.

Only blind manual pairs enter the statistics: a point that the registration helped to place can't judge it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ..landmarks import LandmarkError, shortened
from ..metrics import Distribution
from .pairs import LandmarkPair, Provenance, State

Phi = Callable[[np.ndarray], np.ndarray]
"""From points ``(N, 3)`` of the fixed image to the moving image, both RAS mm."""
COLUMNS = ("dx", "dy", "dz", "ds")


@dataclass(frozen=True)
class Errors:
    """How far apart two points are, in mm: along R, A and S (absolute), and in space."""

    dx: float
    dy: float
    dz: float
    ds: float

    @classmethod
    def between(cls, a: np.ndarray, b: np.ndarray) -> Errors:
        """The distances between two points ``(3,)`` in RAS mm."""
        difference = np.abs(np.asarray(a) - np.asarray(b))
        dx, dy, dz = difference.tolist()
        return cls(dx, dy, dz, float(np.linalg.norm(difference)))


@dataclass(frozen=True)
class PairErrors:
    """One pair's row of the table.

    Attributes:
        pair: The pair.
        before: Between fixed and moving point as both lie in world coordinates; None without a moving point.
        after: Between phi(fixed point) and moving point; None without a moving point or without a registration.
    """

    pair: LandmarkPair
    before: Errors | None
    after: Errors | None


class Exclusion(StrEnum):
    """Why a pair doesn't enter the statistics; the first reason that holds."""

    UNPAIRED = "no moving point"
    AUTOMATIC = "automatic"
    ASSISTED = "assisted"
    DOUBTFUL = "doubtful"
    UNREGISTERED = "no registration"


def errors(pairs: Sequence[LandmarkPair], phi: Phi | None) -> list[PairErrors]:
    """The table: a row for each pair, in the same order.

    Args:
        pairs: Of one observer or of several.
        phi: The registration's map; None before there is one.

    Raises:
        LandmarkError: phi takes a point to no place.
    """
    mapped = mapped_points(pairs, phi)
    return [row(pair, None if mapped is None else mapped[number]) for number, pair in enumerate(pairs)]


def mapped_points(pairs: Sequence[LandmarkPair], phi: Phi | None) -> np.ndarray | None:
    """phi of the fixed points, ``(N, 3)`` RAS mm in the moving image, or None without phi or pairs."""
    if phi is None or not pairs:
        return None
    mapped = np.asarray(phi(np.array([pair.fixed_ras for pair in pairs])), dtype=np.float64)
    lost = [pair.label for pair, point in zip(pairs, mapped, strict=True) if not np.isfinite(point).all()]
    if lost:
        msg = f"the registration takes {shortened(lost)} to no place, expected finite coordinates"
        raise LandmarkError(msg)
    return mapped


def row(pair: LandmarkPair, mapped: np.ndarray | None) -> PairErrors:
    """One pair's errors; ``mapped`` is phi of its fixed point."""
    if pair.moving_ras is None:
        return PairErrors(pair, None, None)
    moving = np.array(pair.moving_ras)
    after = None if mapped is None else Errors.between(mapped, moving)
    return PairErrors(pair, Errors.between(np.array(pair.fixed_ras), moving), after)


def statistics(
    rows: Sequence[PairErrors], which: str = "after", *, doubtful: bool = True
) -> dict[str, Distribution] | None:
    """The distribution of the errors over the blind manual pairs.

    Args:
        rows: The table.
        which: ``before`` or ``after``.
        doubtful: Whether pairs that the reviewer doubts count.

    Returns:
        ``dx``, ``dy``, ``dz``, ``ds`` in mm; None where no pair counts.
    """
    counted = [getattr(entry, which) for entry in rows if exclusion(entry, which, doubtful=doubtful) is None]
    if not counted:
        return None
    return {name: Distribution.of(np.array([getattr(found, name) for found in counted])) for name in COLUMNS}


def exclusion(entry: PairErrors, which: str = "after", *, doubtful: bool = True) -> Exclusion | None:
    """Why a row doesn't enter :func:`statistics` with the same arguments; None where it does.

    Raises:
        ValueError: ``which`` is neither ``before`` nor ``after``.
    """
    if which not in ("before", "after"):
        msg = f"found {which!r}, expected before or after"
        raise ValueError(msg)
    pair = entry.pair
    if pair.moving_ras is None:
        return Exclusion.UNPAIRED
    provenances = (pair.fixed_provenance, pair.moving_provenance)
    if Provenance.AUTOMATIC in provenances:
        return Exclusion.AUTOMATIC
    if Provenance.ASSISTED in provenances:
        return Exclusion.ASSISTED
    if pair.state == State.DOUBTFUL and not doubtful:
        return Exclusion.DOUBTFUL
    return Exclusion.UNREGISTERED if getattr(entry, which) is None else None


def left_out(rows: Sequence[PairErrors], which: str = "after", *, doubtful: bool = True) -> Counter[Exclusion]:
    """How many rows :func:`statistics` leaves out, by reason."""
    found = (exclusion(entry, which, doubtful=doubtful) for entry in rows)
    return Counter(reason for reason in found if reason is not None)
