"""From stored values to [0, 1]: what kind of image it is, and its intensity window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .volume import Volume

MODALITIES = ("auto", "ct", "mri", "paper")
CT_WINDOW_HU = (-1000.0, 300.0)
"""The lung, its vessels and the soft tissue around it; bone and metal are not what a lung is aligned by."""
CT_AIR_HU = -1024.0
PAPER_WINDOW = (0.0, 1300.0)
"""Christodoulidis et al. 2018: lung MRI clipped to [0, 1300]."""
SAMPLES = 1_000_000

Reading = Callable[[np.ndarray], np.ndarray]
"""Stored values to float32."""


@dataclass(frozen=True)
class Intensity:
    """How the values of one image are read.

    Attributes:
        modality: ``ct`` or ``mri``.
        low: Stored value that becomes 0; lower ones too.
        high: Stored value that becomes 1; higher ones too.
        fill: Stored value for places that the image doesn't cover (air in CT, the minimum otherwise).
        reason: One sentence that says what was chosen and why.
        offset: Stored value of 0 HU in CT (1024 where a scanner's offset was left in), 0 otherwise.
    """

    modality: str
    low: float
    high: float
    fill: float
    reason: str
    offset: float = 0.0

    def normalised(self, array: np.ndarray) -> np.ndarray:
        """Stored values to float32 in [0, 1]."""
        scaled = (array.astype(np.float32) - np.float32(self.low)) / np.float32(self.high - self.low)
        return np.clip(scaled, 0.0, 1.0, out=scaled)

    def hounsfield(self, array: np.ndarray) -> np.ndarray:
        """Stored CT values to HU, float32, clamped at -1024 (scanners pad outside their cone with less)."""
        return np.maximum(array.astype(np.float32) - np.float32(self.offset), np.float32(CT_AIR_HU))


def comparable_readings(moving: Intensity, fixed: Intensity) -> tuple[Reading, Reading]:
    """How stored values of the moving and of the fixed image become float32 numbers that may be subtracted.

    Two CTs: HU, clamped at -1024. Two MRIs: stored units. Different modalities: both windows to [0, 1].
    """
    if moving.modality != fixed.modality:
        return moving.normalised, fixed.normalised
    if moving.modality == "ct":
        return moving.hounsfield, fixed.hounsfield
    return _as_float, _as_float


def _as_float(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32)


def choose_intensity(volume: Volume, modality: str = "auto") -> Intensity:
    """The intensity window of an image.

    CT is recognised by its histogram: air near -1000 and soft tissue around 0, or both 1024 higher. Anything else is
    read as MRI, between robust percentiles of the body.

    Args:
        volume: The image; its name stands in ``reason``.
        modality: ``auto``, ``ct``, ``mri`` or ``paper`` (MRI in the paper's window [0, 1300]).

    Raises:
        ValueError: An unknown modality.
    """
    if modality not in MODALITIES:
        msg = f"found the modality {modality!r}, expected one of {', '.join(MODALITIES)}"
        raise ValueError(msg)
    values = sampled_values(volume.array)
    if modality == "paper":
        low, high = PAPER_WINDOW
        return Intensity("mri", low, high, float(values.min()), f"{volume.name}: MRI in the paper's window [0, 1300]")
    offset, why = ct_offset(values)
    if modality == "ct" or (modality == "auto" and offset is not None):
        return _ct(volume.name, offset or 0.0, why if offset is not None else "as asked for")
    return _mri(volume.name, values, "as asked for" if modality == "mri" else why)


def sampled_values(array: np.ndarray) -> np.ndarray:
    """About a million values, spread evenly over the image, as float32."""
    stride = max(1, round((array.size / SAMPLES) ** (1 / 3)))
    return array[::stride, ::stride, ::stride].astype(np.float32).ravel()


def ct_offset(values: np.ndarray) -> tuple[float | None, str]:
    """The stored value of 0 HU if the values look like CT, otherwise None; and why."""
    for offset in (0.0, 1024.0):
        hu = values - offset
        air = float(np.mean((hu > -1100) & (hu < -700)))
        soft = float(np.mean(np.abs(hu) < 150))
        dense = hu > -400
        # Soft tissue is a narrow peak in CT; an MRI that happens to span these numbers spreads over them.
        peaked = float(np.mean(np.abs(hu[dense] - 30) < 120)) if dense.any() else 0.0
        negative = offset > 0 or float(values.min()) < -500
        if negative and air > 0.02 and soft > 0.02 and peaked > 0.5:
            found = f"{air:.0%} of the voxels lie near air or lung and {soft:.0%} near water"
            return offset, found + (f", with an offset of {offset:.0f}" if offset else "")
    return None, "its histogram has no air and soft tissue peaks where CT has them"


def _ct(name: str, offset: float, why: str) -> Intensity:
    low, high = (edge + offset for edge in CT_WINDOW_HU)
    reason = f"{name}: CT ({why}), window {low:.0f} to {high:.0f}"
    return Intensity("ct", low, high, CT_AIR_HU + offset, reason, offset)


def _mri(name: str, values: np.ndarray, why: str) -> Intensity:
    background, bright = np.percentile(values, [1, 99])
    body = values[values > background + 0.1 * (bright - background)]
    low = float(np.percentile(values, 0.5))
    high = float(np.percentile(body, 99)) if body.size else float(values.max())
    if high <= low:
        low, high = float(values.min()), float(values.max())
    reason = f"{name}: MRI ({why}), window {low:.4g} to {high:.4g} by percentiles of the body"
    return Intensity("mri", low, high, float(values.min()), reason)
