"""ConvexAdam (Siebert, Hansen, Heinrich 2021): coupled convex optimisation, then Adam, on MIND-SSC features."""

from __future__ import annotations

from contextlib import redirect_stdout
from dataclasses import dataclass, field
from sys import stderr
from typing import Any

import numpy as np
import torch
from LungDeepRegLib.displacement_field import DisplacementField

from .library import library, version
from .method import AlignedPair, field_of_voxels

DISTRIBUTION = "convexAdam"
BLOCK = 12
"""Its grids have cells of whole voxels: where an axis is no multiple of them it stretches its result."""


@dataclass(frozen=True)
class ConvexAdam:
    """ConvexAdam with the settings of its entry to Learn2Reg 2021's lung CT task, but without masks.

    With masks it sees the lungs' inside alone, their border values going on around them, and so not their surface:
    on synthetic MRI its error was twice as large and its Dice 3 points lower.

    Without ``ic`` the library starts Adam from the convex optimisation's displacements as they are, in cells of
    ``grid_sp`` voxels, which that entry multiplies by it. Adam makes up for it: on a synthetic pair that moves by
    12 mm on average, the mean error was 1.45 mm so and 1.44 mm with it.

    Attributes:
        options: Of ``convex_adam_pt``.
    """

    name: str = "convexadam"
    title: str = "ConvexAdam"
    costly: bool = True
    options: dict[str, Any] = field(
        default_factory=lambda: {
            "mind_r": 1,
            "mind_d": 2,
            "grid_sp": 4,
            "disp_hw": 6,
            "ic": False,
            "lambda_weight": 0.65,
            "selected_niter": 50,
            "grid_sp_adam": 2,
            "selected_smooth": 3,
        }
    )

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`Method`."""
        return {**self.options, "convexadam": version(DISTRIBUTION)}

    def ready(self) -> None:
        """Import ConvexAdam."""
        library("convexAdam.convex_adam_MIND", DISTRIBUTION)

    def __call__(self, pair: AlignedPair, threads: int, device: str = "cpu") -> DisplacementField:
        """See :class:`Method`."""
        torch.set_num_threads(threads)
        convex_adam = library("convexAdam.convex_adam_MIND", DISTRIBUTION).convex_adam_pt
        fixed, moving = (padded(array) for array in pair.normalised())
        with redirect_stdout(stderr):  # it speaks to standard output
            voxels = convex_adam(fixed, moving, dtype=torch.float32, device=torch.device(device), **self.options)
        k, j, i = pair.lattice.shape
        return field_of_voxels(voxels[:k, :j, :i, ::-1], pair.lattice)


def padded(array: np.ndarray) -> np.ndarray:
    """The voxels, the last ones repeated until each axis is a multiple of :data:`BLOCK`."""
    return np.pad(array, [(0, -n % BLOCK) for n in array.shape], mode="edge")
