"""How far a registration can be trusted, place by place, by what the images themselves say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..displacement_field import DisplacementField, lattice_points
from ..metrics import consistency_mm
from ..quality import NOT_MEASURED
from .local_moments import NEAR, local_moments
from .lung_samples import FINER, LungSamples

LEAST_VOXELS = 20
"""In a cube; with fewer nothing is measured."""
NOISE_HU = 15.0
NOISE_SHARE = 0.01
"""Of the window, where it isn't CT: structure that is weaker than noise is none."""
WEIGHTS = {
    "densities": {"constant": 0.6, "correlation": 5.0, "ratio": -2.0},
    "densities, both ways": {"constant": 1.5, "correlation": 4.1, "ratio": -1.3, "consistency": -0.4},
    "signal": {"constant": 9.6, "correlation": 1.4, "ratio": -11.4},
    "signal, both ways": {"constant": 8.5, "correlation": 1.1, "ratio": -7.1, "consistency": -0.8},
}
"""Of the logit of trust, for two CTs (densities) and otherwise. Fitted to whether the error is below 3 mm in pairs with
known motion: phantoms as CT and as MRI and a chest CT under two simulated breaths, as they were registered, and with
fields that were spoiled in places. Testing/benchmarks/trust_against_truth.py judges them on other pairs."""
FARTHEST_MM = 10.0
LOW_TRUST = 0.5


@dataclass(frozen=True, eq=False)
class TrustMaps:
    """float32 ``(K, J, I)`` each, :data:`quality.NOT_MEASURED` where nothing is known.

    Attributes:
        residual: Root mean square of the fixed image minus what the moving one lets expect, in the cube of 21 mm
            around each node: HU for two CTs, otherwise percent of the window.
        correlation: Correlation of both there, -1 to 1.
        consistency: ``|psi(phi(x)) - x|`` in mm, psi being the registration of the swapped pair; None without one.
        trust: 0 to 1, see :func:`trust_maps`.
    """

    residual: np.ndarray
    correlation: np.ndarray
    consistency: np.ndarray | None
    trust: np.ndarray


def trust_maps(samples: LungSamples, phi: DisplacementField, backward: DisplacementField | None) -> TrustMaps:
    """Residual, correlation, consistency, and what they say together.

    ``trust = 1 / (1 + exp(-z))``, z being a weighted sum of the correlation, of the residual as a multiple of the
    fixed image's own standard deviation in the cube (so that a residual counts where there is structure that should
    agree, and a place without any structure isn't trusted), and of the consistency. In the pairs with known motion to
    which the weights were fitted it is the share of places whose error is below 3 mm; elsewhere it is a guide. It
    can't see an error along a structure, such as a vessel's own direction.

    Args:
        samples: Both images in the lungs.
        phi: Fixed RAS mm to moving RAS mm.
        backward: psi, moving RAS mm to fixed RAS mm, or None.
    """
    found = local_moments(samples.fixed, samples.expected, samples.judged, FINER, NEAR)
    noise = (NOISE_HU if samples.ct else NOISE_SHARE) ** 2
    variance = found.first_variance + noise
    residual = np.sqrt(found.mean_square)
    correlation = found.covariance / np.sqrt(variance * (found.second_variance + noise))
    known = samples.known & (found.count >= LEAST_VOXELS)
    evidence = {"constant": np.float32(1), "correlation": correlation, "ratio": residual / np.sqrt(variance)}
    kind, consistency = "densities" if samples.ct else "signal", None
    if backward is not None:
        points = lattice_points(samples.lattice)[known.ravel()]
        consistency = np.full(known.shape, NOT_MEASURED, np.float32)
        consistency[known] = consistency_mm(phi, backward, points)
        evidence["consistency"] = np.clip(consistency, 0, FARTHEST_MM)
        kind += ", both ways"
    logit = sum((np.float32(weight) * evidence[name] for name, weight in WEIGHTS[kind].items()), np.float32(0))
    return TrustMaps(
        residual=where(known, residual if samples.ct else 100 * residual),
        correlation=where(known, np.clip(correlation, -1, 1)),
        consistency=consistency,
        trust=where(known, 1 / (1 + np.exp(-np.clip(logit, -50, 50)))),
    )


def where(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values where they are known, float32, elsewhere :data:`quality.NOT_MEASURED`."""
    return np.where(known, values, NOT_MEASURED).astype(np.float32)
