"""THE contract of every method that is compared: from one aligned pair to one displacement.

What is before a method (reading, masks, alignment) and after it (warping, figures) is the same for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.intensity import CT_WINDOW_HU, PAPER_WINDOW, choose_intensity
from LungDeepRegLib.preprocessing import Prepared, prepare, registration_lattice, working_spacing
from LungDeepRegLib.registration import Options
from LungDeepRegLib.resampling import resample
from LungDeepRegLib.volume import Volume
from scipy import ndimage

from ..errors import TrainingError

WINDOWS = {"ct": CT_WINDOW_HU, "paper": PAPER_WINDOW}
"""What the values of an aligned pair lie in, by its modality."""


class MethodError(TrainingError):
    """A method that can't run here, such as one whose library isn't installed, or that found nothing usable."""


@dataclass(frozen=True, eq=False)
class AlignedPair:
    """Two images on one lattice, as every method gets them.

    Attributes:
        fixed: The fixed image, float32 within its modality's window, in HU or the paper's MRI units.
        moving: The moving image through the alignment, sampled once, on the same lattice.
        fixed_lungs: bool ``(K, J, I)`` on the lattice, or None.
        moving_lungs: The moving image's, through the alignment, or None.
        modality: ``ct`` (window -1000 to 300 HU) or ``paper`` (window 0 to 1300).
    """

    fixed: Volume
    moving: Volume
    fixed_lungs: np.ndarray | None
    moving_lungs: np.ndarray | None
    modality: str

    @property
    def lattice(self) -> Lattice:
        """The lattice of both images; its axes are ordered and signed as near to R, A, S as they go."""
        return self.fixed.lattice

    def normalised(self) -> tuple[np.ndarray, np.ndarray]:
        """The fixed and the moving image's values in [0, 1], float32 ``(K, J, I)``."""
        low, high = (np.float32(edge) for edge in WINDOWS[self.modality])
        fixed, moving = (np.clip((image.array - low) / (high - low), 0, 1) for image in (self.fixed, self.moving))
        return fixed, moving

    def near_lungs(self, mask: np.ndarray | None, reach_mm: float) -> np.ndarray | None:
        """A mask of this pair and all within so many mm of it, so that the lungs' surface counts; None stays None."""
        if mask is None:
            return None
        return ndimage.distance_transform_edt(~mask, sampling=self.lattice.spacing_mm[::-1]) <= reach_mm


class Method(Protocol):
    """A registration method."""

    @property
    def name(self) -> str:
        """In commands and files, such as ``syn``."""

    @property
    def title(self) -> str:
        """In tables."""

    @property
    def costly(self) -> bool:
        """Of all combinations of patients it gets the drawn ones only."""

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides its result, and its library's version; JSON values."""

    def ready(self) -> None:
        """Import and load what is needed, so that no pair's time has it in it.

        Raises:
            MethodError: A library that isn't installed, with how to install it.
        """

    def __call__(self, pair: AlignedPair, threads: int, device: str = "cpu") -> DisplacementField:
        """Register one pair.

        Args:
            pair: The two images.
            threads: How many CPU threads it may use.
            device: ``cpu`` or ``cuda``, for those that can use a GPU.

        Returns:
            v, in RAS mm in the fixed frame: ``phi(x) = matrix @ (x + v(x))``, matrix being the alignment.
        """


def aligned_pair(
    fixed: Volume,
    moving: Volume,
    fixed_lungs: np.ndarray | None,
    moving_lungs: np.ndarray | None,
    matrix: np.ndarray,
    modality: str,
) -> AlignedPair:
    """Bring two images onto the lattice that every method works on.

    It consists of the fixed image's voxels (means of blocks of them where they are finer than the engine works with)
    in the box of both lungs with the engine's margin; the whole fixed image without masks.

    Args:
        fixed: The fixed image, in stored units.
        moving: The moving image.
        fixed_lungs: bool on the fixed image's voxels, or None.
        moving_lungs: bool on the moving image's voxels, or None.
        matrix: The alignment, 4x4, fixed RAS mm to moving RAS mm.
        modality: ``auto``, ``ct``, ``mri`` or ``paper``; MRI in another window is brought to the paper's.
    """
    readings = [choose_intensity(image, modality) for image in (fixed, moving)]
    spacing = working_spacing(fixed, fixed_lungs, Options().voxel_budget)
    kind = "ct" if all(reading.modality == "ct" for reading in readings) else "paper"
    fixed_ready = prepare(fixed, readings[0], fixed_lungs, spacing)
    moving_ready = prepare(moving, readings[1], moving_lungs, spacing)
    lattice = registration_lattice(fixed_ready, moving_ready, matrix)
    return AlignedPair(
        fixed=in_window(fixed_ready.image, lattice, np.eye(4), kind),
        moving=in_window(moving_ready.image, lattice, matrix, kind),
        fixed_lungs=lungs_on(fixed_ready, lattice, np.eye(4)),
        moving_lungs=lungs_on(moving_ready, lattice, matrix),
        modality=kind,
    )


def in_window(image: Volume, lattice: Lattice, matrix: np.ndarray, modality: str) -> Volume:
    """An image in [0, 1] at ``matrix @ x`` for the lattice's x, as values of the modality's window."""
    low, high = WINDOWS[modality]
    found = resample(image, lattice, matrix=matrix)
    return found.with_array(np.float32(low) + found.array * np.float32(high - low))


def lungs_on(image: Prepared, lattice: Lattice, matrix: np.ndarray) -> np.ndarray | None:
    """Which voxels of the lattice are mostly lung at ``matrix @ x``, or None without a mask."""
    return None if image.lungs is None else resample(image.lungs, lattice, matrix=matrix).array > 0.5


def field_of_voxels(voxels: np.ndarray, lattice: Lattice) -> DisplacementField:
    """Displacements in voxels along ``(i, j, k)``, ``(K, J, I, 3)``, as RAS mm.

    Libraries that aren't given the lattice's directions, only its voxels, all come back through this.
    """
    return DisplacementField(voxels @ lattice.ijk_to_ras[:3, :3].T, lattice)
