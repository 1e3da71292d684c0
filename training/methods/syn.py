"""SyN, symmetric normalisation, as antspyx has it (Avants et al. 2008, Medical Image Analysis 12(1))."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.pyramid import NEAR_LUNG_MM

from .library import library, version
from .method import AlignedPair, MethodError, field_of_voxels

DISTRIBUTION = "antspyx"


@dataclass(frozen=True)
class Syn:
    """SyN without linear stages, since the pair is aligned.

    Attributes:
        options: Of ``ants.registration``: its own defaults for ``SyN``, written out.
        reach_mm: How far beyond the fixed lungs its mask reaches, so that it sees their surface.
    """

    name: str = "syn"
    title: str = "SyN (ANTs)"
    costly: bool = True
    reach_mm: float = NEAR_LUNG_MM
    options: dict[str, Any] = field(
        default_factory=lambda: {
            "type_of_transform": "SyNOnly",
            "syn_metric": "mattes",
            "syn_sampling": 32,
            "reg_iterations": (40, 20, 0),
            "grad_step": 0.2,
            "flow_sigma": 3,
            "total_sigma": 0,
        }
    )

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`Method`."""
        return {**self.options, "mask_reach_mm": self.reach_mm, "antspyx": version(DISTRIBUTION)}

    def ready(self) -> None:
        """Import antspyx."""
        library("ants", DISTRIBUTION)

    def __call__(self, pair: AlignedPair, threads: int, device: str = "cpu") -> DisplacementField:
        """See :class:`Method`. ITK reads its number of threads once in a process, before its first filter runs."""
        os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(threads)
        ants = library("ants", DISTRIBUTION)
        # In the lattice's own axes: voxels and their spacing, no directions.
        spacing = tuple(float(mm) for mm in pair.lattice.spacing_mm)
        fixed, moving = (ants.from_numpy(array.T.copy(), spacing=spacing) for array in pair.normalised())
        masks = {}
        near = pair.near_lungs(pair.fixed_lungs, self.reach_mm)
        if near is not None:
            masks["mask"] = ants.from_numpy(near.T.astype(np.float32), spacing=spacing)
        with TemporaryDirectory() as folder:
            found = ants.registration(
                fixed, moving, initial_transform="Identity", outprefix=f"{folder}/", **masks, **self.options
            )
            warps = [path for path in found["fwdtransforms"] if Path(path).name.endswith("Warp.nii.gz")]
            if len(warps) != 1:
                msg = f"found the transforms {found['fwdtransforms']} of SyN, expected one warp among them"
                raise MethodError(msg)
            mm = ants.image_read(warps[0]).numpy()  # (I, J, K, 3)
        return field_of_voxels(mm.transpose(2, 1, 0, 3) / pair.lattice.spacing_mm, pair.lattice)
