"""What a result was made of, so that nothing is computed twice and nothing outdated passes for new."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..geometry import Lattice
from ..volume import Volume

SAMPLED_PLANES = 8
"""So many planes of voxels tell images apart, and a change of all of one; reading every voxel would take too long."""


@dataclass(frozen=True, eq=False)
class MadeOf:
    """Two images and the settings with which they were registered.

    Attributes:
        lattices: Of the fixed and the moving image, in the world, with axes as near to R, A, S as they go: Slicer turns
            some images when it saves a sequence.
        checksums: Of some of their voxels, likewise.
        settings: Plain JSON values.
    """

    lattices: tuple[Lattice, Lattice]
    checksums: tuple[int, int]
    settings: dict[str, Any]

    def __eq__(self, other: object) -> bool:
        """The same images, in the same place to a thousandth of a voxel, with the same settings."""
        if not isinstance(other, MadeOf):
            return NotImplemented
        mine, theirs = (self.checksums, self.settings), (other.checksums, other.settings)
        return mine == theirs and self.lattices == other.lattices

    __hash__ = None  # type: ignore[assignment]

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        lattices = [[list(lattice.shape), lattice.ijk_to_ras.tolist()] for lattice in self.lattices]
        return {"lattices": lattices, "checksums": list(self.checksums), "settings": self.settings}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> MadeOf:
        """From :meth:`plain`."""
        fixed, moving = (Lattice(tuple(shape), np.array(matrix)) for shape, matrix in values["lattices"])
        return cls((fixed, moving), tuple(values["checksums"]), values["settings"])


def checksum(volume: Volume) -> int:
    """Of an image's type and of some planes of its voxels, spread over all of it."""
    planes = volume.array[:: max(1, len(volume.array) // SAMPLED_PLANES)]
    return zlib.crc32(planes.tobytes(), zlib.crc32(volume.array.dtype.str.encode()))
