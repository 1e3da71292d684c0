"""What a person is shown of a registration, as plain arrays: the worker makes it, Slicer's own process shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .displacement_field import DisplacementField
from .volume import Volume


@dataclass(frozen=True, eq=False)
class Outcome:
    """A registration's results, all in world coordinates.

    Attributes:
        field: phi, fixed RAS mm to moving RAS mm; its lattice encloses the whole fixed image.
        warped: ``moving(phi(x))`` on the fixed image's voxels, in the moving image's stored type.
        coverage: uint8, 1 where the moving image covers the fixed one.
        difference: Warped minus fixed, as :func:`results.images.difference` has it; zero where not covered.
        difference_before: The same of the moving image as it lies in the world.
        jacobian: ``det(d phi / d x)``, float32, on the field's lattice.
        fixed_lungs: The fixed image's lungs, given or found, uint8 on its voxels, or None.
        summary: The entries of summary.json (see :mod:`results.summary`).
    """

    field: DisplacementField
    warped: Volume
    coverage: Volume
    difference: Volume
    difference_before: Volume
    jacobian: Volume
    fixed_lungs: Volume | None
    summary: dict[str, Any]
