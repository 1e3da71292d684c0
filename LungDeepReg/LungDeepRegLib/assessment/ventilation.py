"""Where the lung takes up air, by two methods. For research: neither is a validated measure of ventilation.

* From the Jacobian determinant (Reinhardt et al. 2008, "Registration-based estimates of local lung tissue expansion
  compared to xenon CT measures of specific ventilation", Medical Image Analysis 12: 752-763): the specific volume
  change ``V_in / V_ex - 1`` of a piece of lung, tissue and air together.
* From density (Simon 2000, "Non-invasive imaging of regional lung function using x-ray computed tomography", Journal of
  Clinical Monitoring and Computing 16: 433-442; Guerrero et al. 2005, "Quantification of regional ventilation from
  treatment planning CT", International Journal of Radiation Oncology Biology Physics 62: 630-634): the specific change
  of the air alone. Lung is a mixture of air (-1000 HU) and tissue (0 HU), the tissue's mass doesn't change, hence
  ``V_air,in / V_air,ex - 1 = 1000 (HU_in - HU_ex) / (HU_ex (HU_in + 1000))``.

V_ex and V_in are volumes of the exhaled and of the inhaled lung. Both are 0 where nothing changes, 1 where it doubles.
"""

from __future__ import annotations

import numpy as np

from .local_moments import NEAR, blocks, local_moments
from .lung_samples import FINER, VOLUME_CHANGES, LungSamples
from .trust import LEAST_VOXELS, where

INHALE = ("fixed", "moving", None)
LEAST_AIR = 0.1
"""Exhaled lung with a smaller share of air is a vessel or consolidated: its relative change means nothing."""
LEAST_TISSUE = 0.05
"""Below -950 HU (emphysema) the formula magnifies any error of the calibration."""


def volume_change(jacobian: np.ndarray, inhale: str | None) -> np.ndarray:
    """Specific volume change of determinants ``det(d phi / d x)``: ``V_moving / V_fixed`` of a piece of lung.

    Args:
        jacobian: Above 0.
        inhale: ``moving``: ``J - 1``. ``fixed``: ``1 / J - 1``. None: not known, then without a sign, the greater
            volume over the smaller one minus 1.
    """
    return signed(np.asarray(jacobian), inhale) - 1


def signed(ratio: np.ndarray, inhale: str | None) -> np.ndarray:
    """Inhaled over exhaled, of a ratio of moving over fixed; without knowing which is which, the greater over the less.

    Raises:
        ValueError: Anything but ``fixed``, ``moving`` and None.
    """
    if inhale not in INHALE:
        msg = f"found {inhale!r} as the inhaled image, expected fixed, moving or None"
        raise ValueError(msg)
    if inhale == "moving":
        return ratio
    return 1 / ratio if inhale == "fixed" else np.maximum(ratio, 1 / ratio)


def jacobian_map(samples: LungSamples) -> tuple[np.ndarray, np.ndarray]:
    """The mean Jacobian determinant of each node, ``(K, J, I)``, and where it is known: in covered lung, unfolded."""
    lung = blocks(samples.lungs, FINER)
    mean = blocks(samples.jacobian * samples.lungs, FINER) / np.maximum(lung, 1)
    low, high = VOLUME_CHANGES
    return mean, samples.known & (mean > low) & (mean < high)


def jacobian_ventilation(jacobian: np.ndarray, known: np.ndarray, inhale: str | None) -> np.ndarray:
    """:func:`volume_change` of a :func:`jacobian_map`, :data:`quality.NOT_MEASURED` where it isn't known."""
    return where(known, volume_change(np.where(known, jacobian, 1), inhale))


def density_ventilation(samples: LungSamples, inhale: str | None) -> np.ndarray | None:
    """The specific change of the air by density at each node; None unless both images are CT.

    HU are means over cubes of 21 mm, so that noise and small errors of the registration count less.
    """
    if not samples.ct:
        return None
    found = local_moments(samples.fixed, samples.moving, samples.judged, FINER, NEAR)
    fixed_air, moving_air = (1 - mean / 1000 for mean in (found.first_mean, found.second_mean))
    known = samples.known & (found.count >= LEAST_VOXELS)
    for air in (fixed_air, moving_air):
        known &= (air > LEAST_AIR) & (air < 1 - LEAST_TISSUE)
    fixed_air, moving_air = (np.where(known, air, 0.5) for air in (fixed_air, moving_air))
    ratio = (moving_air / (1 - moving_air)) / (fixed_air / (1 - fixed_air))
    return where(known, signed(ratio, inhale) - 1)
