"""How far each place of the lungs moves, and where to: the displacement phi(x) - x."""

from __future__ import annotations

import numpy as np

from ..displacement_field import DisplacementField
from ..field_sampling import vectors_on
from .lung_samples import LungSamples
from .trust import where


def motion_maps(samples: LungSamples, phi: DisplacementField) -> dict[str, np.ndarray]:
    """The displacement at the maps' nodes, ``(K, J, I)`` in mm, :data:`quality.NOT_MEASURED` where it isn't known.

    Returns:
        ``displacement_mm``, its length; ``displacement_beyond_mean_mm``, the length of what is left without the lungs'
        mean displacement, in which the tables of two scans differ; ``displacement_r_mm``, ``_a_mm`` and ``_s_mm``,
        towards the patient's right, front and head.
    """
    vectors, known = vectors_on(phi.tensor(), phi.lattice, samples.lattice), samples.known
    mean = vectors[known].mean(axis=0, dtype=np.float64) if known.any() else np.zeros(3)
    beyond = vectors - mean.astype(np.float32)
    found = {
        "displacement_mm": np.linalg.norm(vectors, axis=-1),
        "displacement_beyond_mean_mm": np.linalg.norm(beyond, axis=-1),
        **{f"displacement_{axis}_mm": vectors[..., number] for number, axis in enumerate("ras")},
    }
    return {name: where(known, values) for name, values in found.items()}
