"""Which way bright structures go from a voxel: the darkest value on the way out, in directions all around."""

from __future__ import annotations

import numpy as np

DIRECTIONS = 200
NEAR_MM, FAR_MM, STEP_MM = 1.5, 6.0, 0.75
BRANCH_ANGLE_DEG = 50.0
VOXELS_AT_ONCE = 20_000


class Rays:
    """Rays through an image.

    Args:
        image: ``(K, J, I)`` float32, 0 where there is nothing.
        spacing_mm: Its voxels' size, the same along each axis.
    """

    def __init__(self, image: np.ndarray, spacing_mm: float) -> None:
        self.margin = int(np.ceil(FAR_MM / spacing_mm)) + 1
        padded = np.pad(image, self.margin)
        self.values = padded.ravel()
        self.strides = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
        self.directions = evenly_spread(DIRECTIONS)
        self.close_by = self.directions @ self.directions.T > np.cos(np.radians(BRANCH_ANGLE_DEG))
        distances = np.arange(NEAR_MM, FAR_MM + STEP_MM / 2, STEP_MM)
        steps = np.round(distances[:, None, None] * self.directions / spacing_mm).astype(int)
        self.offsets = steps @ self.strides

    def branches(self, voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The third brightest way out of each voxel ``(N, 3)`` along ``(k, j, i)``.

        Returns:
            Its brightness ``(N,)``, and the fraction of all directions ``(N,)`` that are at least half as bright.
        """
        third, fraction = np.empty(len(voxels), np.float32), np.empty(len(voxels), np.float32)
        for start in range(0, len(voxels), VOXELS_AT_ONCE):
            some = slice(start, start + VOXELS_AT_ONCE)
            darkest = self.darkest((voxels[some] + self.margin) @ self.strides)
            third[some] = self.third_branch(darkest)
            fraction[some] = (darkest > third[some, None] / 2).mean(axis=1)
        return third, fraction

    def darkest(self, at: np.ndarray) -> np.ndarray:
        """The darkest value ``(N, DIRECTIONS)`` on the ways out of voxels, given as places in ``values``."""
        darkest = np.full((len(at), DIRECTIONS), np.inf, np.float32)
        for offsets in self.offsets:
            np.minimum(darkest, self.values[at[:, None] + offsets], out=darkest)
        return darkest

    def third_branch(self, darkest: np.ndarray) -> np.ndarray:
        """The brightest direction that is far enough from the two brightest ones, ``(N,)``."""
        left = darkest.copy()
        for _ in range(2):
            left[self.close_by[left.argmax(axis=1)]] = -np.inf
        return left.max(axis=1)


def evenly_spread(count: int) -> np.ndarray:
    """Unit vectors ``(count, 3)`` spread over the sphere: a spiral whose turns are a golden angle."""
    number = np.arange(count) + 0.5
    height, turn = 1 - 2 * number / count, np.pi * (1 + np.sqrt(5)) * number
    around = np.sqrt(1 - np.square(height))
    return np.stack([around * np.cos(turn), around * np.sin(turn), height], axis=1)
