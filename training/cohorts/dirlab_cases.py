"""The geometry of the DIR-Lab cases, which their files don't hold.

Sizes and spacings are those of DIR-Lab's reference data pages: med.emory.edu, Radiation Oncology, Deformable Image
Registration, "Downloads and Reference Data", 4DCT and COPDgene; the pages as quoted in March 2023 by the vroc project
of IPMI Hamburg, and independently in icon_registration (COPDgene) and in other public readers (4DCT).
The data: Castillo R. et al., Phys Med Biol 54 (2009) 1849 (4DCT 1-5); Castillo E. et al., Phys Med Biol 55 (2010) 305
(4DCT 6-10); Castillo R. et al., Phys Med Biol 58 (2013) 2861 (COPDgene).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from LungDeepRegLib.geometry import Lattice

BYTES_PER_VOXEL = 2


@dataclass(frozen=True)
class DirLabCase:
    """How the images of one case are stored.

    Attributes:
        shape: Voxels along ``(k, j, i)``: slices, rows, columns.
        spacing_mm: Distance of voxel centres along ``(i, j, k)``.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    @property
    def file_bytes(self) -> int:
        """The size of an image file."""
        return int(np.prod(self.shape)) * BYTES_PER_VOXEL

    @property
    def lattice(self) -> Lattice:
        """Where the voxels are: the first one at RAS 0, i towards left, j towards posterior, k towards inferior.

        The files are axial slices of patients lying on their back, the uppermost slice first. Public readers of both
        data sets agree in that: they turn the stack round (vroc; the ANTsX lung example), or give it the LPS directions
        1 0 0, 0 1 0, 0 0 -1.
        """
        return Lattice(self.shape, np.diag([*(-spacing for spacing in self.spacing_mm), 1.0]))


def table(pixels: int, slices_and_spacings: tuple[tuple[int, float], ...]) -> dict[int, DirLabCase]:
    """Cases 1, 2, ... of square slices ``pixels`` wide, 2.5 mm apart: number of slices, spacing within them in mm."""
    return {
        number: DirLabCase((slices, pixels, pixels), (spacing, spacing, 2.5))
        for number, (slices, spacing) in enumerate(slices_and_spacings, 1)
    }


FOUR_D_CT = table(256, ((94, 0.97), (112, 1.16), (104, 1.15), (99, 1.13), (106, 1.10))) | {
    number + 5: case for number, case in table(512, tuple((n, 0.97) for n in (128, 136, 128, 128, 120))).items()
}
COPDGENE = table(
    512,
    (
        (121, 0.625),
        (102, 0.645),
        (126, 0.652),
        (126, 0.590),
        (131, 0.647),
        (119, 0.633),
        (112, 0.625),
        (115, 0.586),
        (116, 0.664),
        (135, 0.742),
    ),
)
