"""What a transformation is judged on: two images with all that is known about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..intensity import Intensity
from ..landmarks import LandmarkError, Landmarks, matched, shortened
from ..volume import Volume, VolumeError


@dataclass(frozen=True, eq=False)
class Pair:
    """A fixed and a moving image, how their values are read, and their lungs and landmarks as far as they are known.

    Attributes:
        fixed: The image that stays.
        moving: The image that is deformed.
        fixed_intensity: How the fixed image's stored values are read.
        moving_intensity: How the moving image's are.
        fixed_mask: The fixed image's lungs, bool ``(K, J, I)`` on its voxels, or None.
        moving_mask: The moving image's.
        fixed_landmarks: Points in the fixed image, or None.
        moving_landmarks: Points in the moving image; with the fixed ones they are paired by :func:`landmarks.matched`.

    Raises:
        VolumeError: A mask that is empty, not bool, or of another shape than its image.
        LandmarkError: A landmark outside its image, or two sets that can't be paired.
    """

    fixed: Volume
    moving: Volume
    fixed_intensity: Intensity
    moving_intensity: Intensity
    fixed_mask: np.ndarray | None = None
    moving_mask: np.ndarray | None = None
    fixed_landmarks: Landmarks | None = None
    moving_landmarks: Landmarks | None = None

    def __post_init__(self) -> None:
        for volume, mask in ((self.fixed, self.fixed_mask), (self.moving, self.moving_mask)):
            if mask is not None:
                check_mask(mask, volume)
        for landmarks, volume in ((self.fixed_landmarks, self.fixed), (self.moving_landmarks, self.moving)):
            if landmarks is not None:
                check_inside(landmarks, volume)
        if self.fixed_landmarks is not None and self.moving_landmarks is not None:
            matched(self.fixed_landmarks, self.moving_landmarks)

    @property
    def modality(self) -> str | None:
        """``ct`` or ``mri`` where both images are of one modality, otherwise None."""
        same = self.fixed_intensity.modality == self.moving_intensity.modality
        return self.fixed_intensity.modality if same else None


def check_mask(mask: np.ndarray, volume: Volume) -> None:
    """Raise :class:`VolumeError` for a mask that marks nothing, or that isn't one of this image."""
    if mask.shape != volume.array.shape or mask.dtype != bool:
        msg = f"{volume.name}: found a mask of {mask.dtype} {mask.shape}, expected bool {volume.array.shape}"
        raise VolumeError(msg)
    if not mask.any():
        msg = f"{volume.name}: found an empty mask, expected some lung, or no mask"
        raise VolumeError(msg)


def check_inside(landmarks: Landmarks, volume: Volume) -> None:
    """Raise :class:`LandmarkError`, naming them, where points lie outside the image that they belong to."""
    outside = ~volume.lattice.contains(landmarks.points_ras)
    if outside.any():
        first = landmarks.points_ras[outside][0].round(1).tolist()
        labels = [label for label, out in zip(landmarks.labels, outside, strict=True) if out]
        msg = (
            f"{landmarks.name}: found {len(labels)} of {len(landmarks)} landmarks outside the image {volume.name}"
            f" ({shortened(labels)}; the first at {first} RAS mm), expected all within it"
        )
        raise LandmarkError(msg)
