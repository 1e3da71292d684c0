"""What a benchmark shows: tables and pictures, made from its records alone, at any time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.results.pair import Pair

from .record import Record, RunNote


class FieldsReader(Protocol):
    """Where the pictures' images and transformations come from."""

    def images(self, fixed: str, moving: str) -> Pair:
        """The images of a pair with their lungs, as they were made ready, where they lie in world coordinates."""

    def phi(self, method: str, fixed: str, moving: str) -> DisplacementField | None:
        """The whole map (alignment included) that a method found, fixed to moving RAS mm; None if it wasn't kept.

        Asked for ``affine`` and the methods, never for ``unregistered``.
        """


def write_report(records: Sequence[Record], note: RunNote, fields: FieldsReader, out: Path) -> list[Path]:
    """Write all tables and pictures that the records allow, each file in the place of an earlier one.

    Args:
        records: Of one run, as far as it is.
        note: What the run is.
        fields: For the pictures.
        out: The folder; made if it is missing.

    Returns:
        The files that were written.

    Raises:
        OutputError: A full disk, or a place that isn't writable.
    """
    raise NotImplementedError
