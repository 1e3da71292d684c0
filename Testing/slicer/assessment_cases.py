"""An assessment as the worker answers it, of a result in the scene, without the worker: quick, and known by value."""

from typing import Any

import numpy as np
from LungDeepRegLib import DisplacementField
from LungDeepRegLib.geometry import covering_lattice
from LungDeepRegLib.mrml import volume_from_node
from LungDeepRegLib.quality import NOT_MEASURED
from LungDeepRegLib.volume import Volume

REGIONS = ("Right lung, apical", "Right lung, basal", "Left lung, apical", "Left lung, basal")
SPACING_MM = 8.0


def answer_of(nodes, *, backward: bool = False, inhale: str | None = "moving") -> dict[str, Any]:
    """What the task ``assess`` could say of a result: trust falls from right to left, volumes change downwards."""
    lungs = volume_from_node(nodes.lungs)
    lattice = covering_lattice(lungs.lattice, SPACING_MM, 0.0)
    k, j, i = np.indices(lattice.shape)
    points = np.stack([i, j, k], axis=-1) @ lattice.ijk_to_ras[:3, :3].T + lattice.ijk_to_ras[:3, 3]
    inside = values_at(lungs, points) > 0

    def map_of(values: np.ndarray, name: str) -> Volume:
        return Volume(np.where(inside, values, NOT_MEASURED).astype(np.float32), lattice.ijk_to_ras, name)

    x, _, z = ((points[..., axis] - points[..., axis].min()) / np.ptp(points[..., axis]) for axis in range(3))
    change = (z - 0.4) if inhale else np.abs(z - 0.4)
    maps = {"trust": x, "residual": 100 * (1 - x), "correlation": x, "consistency": 5 * (1 - x) if backward else None}
    labels = np.where(inside, 1 + 2 * (x > 0.5) + (z < 0.5), 0).astype(np.uint8)
    vectors = np.full((*lattice.shape, 3), (1.0, -2.0, 3.0), np.float32)
    return {
        "maps": {name: None if values is None else map_of(values, name) for name, values in maps.items()},
        "ventilation": {"jacobian": map_of(change, "ventilation"), "density": None},
        "regions": Volume(labels, lattice.ijk_to_ras, "regions"),
        "region_names": list(REGIONS),
        "region_figures": [region_row("Lungs"), *(region_row(name) for name in REGIONS)],
        "figures": figures(backward=backward, inhale=inhale),
        "lungs": lungs,
        "backward": DisplacementField(vectors, lattice) if backward else None,
        "warnings": ["The follow-up shows less of the lungs."],
    }


def values_at(volume: Volume, points: np.ndarray) -> np.ndarray:
    """The nearest voxels' values at points ``(..., 3)``, 0 outside."""
    inside = volume.lattice.contains(points)
    ijk = points[inside] @ volume.lattice.ras_to_ijk[:3, :3].T + volume.lattice.ras_to_ijk[:3, 3]
    i, j, k = np.clip(np.round(ijk).astype(int), 0, np.array(volume.array.shape[::-1]) - 1).T
    found = np.zeros(points.shape[:-1], volume.array.dtype)
    found[inside] = volume.array[k, j, i]
    return found


def distribution(mean: float) -> dict[str, float]:
    return {"mean": mean, "sd": 0.1, "median": mean, "p5": mean - 0.2, "p95": mean + 0.2}


def region_row(name: str) -> dict[str, Any]:
    return {
        "region": name,
        "volume_ml": 1234.5,
        "residual": distribution(42.0),
        "correlation": distribution(0.8),
        "consistency_mm": None,
        "trust": distribution(0.75),
        "jacobian": distribution(1.2),
        "ventilation_jacobian": distribution(0.2),
        "ventilation_density": None,
        "low_trust_percent": 3.5,
        "volume_change": 0.19,
    }


def figures(*, backward: bool, inhale: str | None) -> dict[str, Any]:
    consistency = {"mean": 1.5, "sd": 0.5, "median": 1.4, "p95": 2.5, "max": 4.0}
    return {
        "inverse_consistency_mm": consistency if backward else None,
        "residual_unit": "HU",
        "residual_rms": 60.0,
        "correlation_mean": 0.8,
        "trust_mean": 0.75,
        "low_trust_percent": 3.5,
        "modality": "ct",
        "inhale": inhale,
    }
