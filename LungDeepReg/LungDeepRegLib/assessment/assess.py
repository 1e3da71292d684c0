"""All that is found out about a registration afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..displacement_field import DisplacementField
from ..geometry import Lattice
from ..json_values import plain
from ..quality import NOT_MEASURED
from ..results.evaluation import consistency
from ..results.pair import Pair
from ..volume import Volume
from .local_moments import blocks
from .lung_samples import FINER, LungSamples, sample_lungs
from .motion import motion_maps
from .region_figures import WHOLE, region_figures
from .regions import find_regions
from .trust import TrustMaps, trust_maps, where
from .ventilation import density_ventilation, jacobian_map, jacobian_ventilation

Step = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Assessment:
    """Maps on one lattice around the fixed image's lungs, their regions, and the figures of both.

    Attributes:
        lattice: Of the maps and of the regions.
        trust: What the images say about each place.
        jacobian_ventilation: See :mod:`ventilation`.
        density_ventilation: None unless both images are CT.
        regions: Labels of :data:`regions.NAMES`.
        region_figures: See :func:`region_figures.region_figures`.
        figures: Of the lungs as a whole.
        warnings: A sentence each.
    """

    lattice: Lattice
    trust: TrustMaps
    jacobian_ventilation: np.ndarray
    density_ventilation: np.ndarray | None
    regions: Volume
    region_figures: list[dict[str, Any]]
    figures: dict[str, Any]
    warnings: tuple[str, ...]

    def volume(self, values: np.ndarray, name: str) -> Volume:
        """A map as an image."""
        return Volume(values, self.lattice.ijk_to_ras, name)


def assess(
    pair: Pair,
    phi: DisplacementField,
    *,
    backward: DisplacementField | None = None,
    inhale: str | None = None,
    step: Step = lambda fraction: None,
) -> Assessment:
    """Find out how far a registration can be trusted, and how the lungs change, place by place.

    Args:
        pair: The images; the fixed one's lungs must be known.
        phi: The registration, fixed RAS mm to moving RAS mm.
        backward: That of the swapped pair, moving RAS mm to fixed RAS mm, or None.
        inhale: ``fixed`` or ``moving``, whichever image is the inhaled one; None if it isn't known.
        step: Told the fraction that is done.

    Raises:
        AssessmentError: No mask of the fixed lungs.
        ValueError: Another ``inhale``.
    """
    samples = sample_lungs(pair, phi)
    step(0.4)
    trust = trust_maps(samples, phi, backward)
    step(0.7)
    determinant, known = jacobian_map(samples)
    ventilation = jacobian_ventilation(determinant, known, inhale), density_ventilation(samples, inhale)
    lungs = Volume(samples.in_lungs, samples.lattice.ijk_to_ras, "lungs")
    regions = find_regions(lungs)
    step(0.9)
    maps: Mapping[str, np.ndarray | None] = {
        "residual": trust.residual,
        "correlation": trust.correlation,
        "consistency_mm": trust.consistency,
        "trust": trust.trust,
        "jacobian": where(known, determinant),
        "ventilation_jacobian": ventilation[0],
        "ventilation_density": ventilation[1],
        **motion_maps(samples, phi),
    }
    rows = region_figures(regions.array, maps, inhale, lung_ml(pair, samples))
    figures = whole_figures(pair, phi, backward, samples, trust, rows[0])
    warnings = remarks(samples, trust, ventilation[1], rows)
    step(1.0)
    return Assessment(
        samples.lattice, trust, *ventilation, regions, rows, {**figures, "inhale": inhale}, tuple(warnings)
    )


def lung_ml(pair: Pair, samples: LungSamples) -> np.ndarray:
    """How much lung each node stands for, so that all together have the mask's own volume."""
    share = np.where(samples.in_lungs, blocks(samples.lungs, FINER), 0)
    assert pair.fixed_mask is not None, "there are no samples without lungs"
    total_ml = int(pair.fixed_mask.sum()) * pair.fixed.lattice.voxel_volume_mm3 / 1000
    return share * (total_ml / max(float(share.sum(dtype=np.float64)), 1.0))


def whole_figures(
    pair: Pair,
    phi: DisplacementField,
    backward: DisplacementField | None,
    samples: LungSamples,
    trust: TrustMaps,
    lungs: Mapping[str, Any],
) -> dict[str, Any]:
    """Of the lungs as a whole."""
    residual = trust.residual[trust.residual != NOT_MEASURED].astype(np.float64)
    return {
        "inverse_consistency_mm": None if backward is None else plain(consistency(pair, phi, backward)),
        "residual_unit": "HU" if samples.ct else "%",
        "residual_rms": float(np.sqrt(np.mean(residual**2))) if residual.size else None,
        "correlation_mean": (lungs["correlation"] or {}).get("mean"),
        "trust_mean": (lungs["trust"] or {}).get("mean"),
        "low_trust_percent": lungs["low_trust_percent"],
        "modality": pair.modality,
    }


def remarks(
    samples: LungSamples, trust: TrustMaps, density: np.ndarray | None, rows: list[dict[str, Any]]
) -> list[str]:
    """What should be known before the maps are read."""
    notes = []
    lungs = samples.in_lungs
    unknown = unknown_share(trust.trust, lungs)
    if unknown > 0.01:
        notes.append(f"nothing is known about {unknown:.0%} of the lungs, where the moving image doesn't cover them")
    if density is not None and (blank := unknown_share(density, lungs) - unknown) > 0.1:
        notes.append(
            f"ventilation by density isn't given in {blank:.0%} of the lungs, where they are below -950 HU (emphysema),"
            " or too dense"
        )
    if not any(row["region"].startswith(("Right", "Left")) for row in rows if row["region"] != WHOLE):
        notes.append("only one lung is in view, or the two can't be told apart: its side isn't given")
    return notes


def unknown_share(values: np.ndarray, lungs: np.ndarray) -> float:
    """The share of the lungs in which a map holds nothing."""
    return float(np.mean(values[lungs] == NOT_MEASURED)) if lungs.any() else 1.0
