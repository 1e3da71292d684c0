"""Which way bright structures go from a voxel: the darkest value on the way out, in directions all around."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

DIRECTIONS = 200
NEAR_MM, FAR_MM, STEP_MM = 1.5, 6.75, 0.75
BRANCH_ANGLE_DEG = 50.0
NEIGHBOURS = 10
VOXELS_AT_ONCE = 20_000
AXIS_MM, AXIS_STEP_MM = 2.0, 0.5
"""Radius of the ball in which the middle of a structure is found, and the distance of its samples."""
MEETING_STEPS, STAY_WEIGHT = 2, 0.1


class Rays:
    """Rays through an image.

    Args:
        image: ``(K, J, I)`` float32, 0 where there is nothing.
        spacing_mm: Its voxels' size, the same along each axis.
    """

    def __init__(self, image: np.ndarray, spacing_mm: float) -> None:
        self.margin = int(np.ceil(FAR_MM / spacing_mm)) + 1
        self.spacing_mm = spacing_mm
        self.padded = np.pad(image, self.margin)
        self.values = self.padded.ravel()
        self.strides = np.array([self.padded.shape[1] * self.padded.shape[2], self.padded.shape[2], 1])
        self.directions = evenly_spread(DIRECTIONS)  # along (k, j, i)
        cosines = self.directions @ self.directions.T
        self.close_by = cosines > np.cos(np.radians(BRANCH_ANGLE_DEG))
        self.neighbours = np.argsort(-cosines, axis=1)[:, 1 : NEIGHBOURS + 1]
        distances = np.arange(NEAR_MM, FAR_MM + STEP_MM / 2, STEP_MM)
        steps = np.round(distances[:, None, None] * self.directions / spacing_mm).astype(int)
        self.offsets = steps @ self.strides
        within = np.arange(-AXIS_MM, AXIS_MM + AXIS_STEP_MM / 2, AXIS_STEP_MM)
        cube = np.stack(np.meshgrid(within, within, within, indexing="ij"), axis=-1).reshape(-1, 3)
        self.ball = cube[np.linalg.norm(cube, axis=1) <= AXIS_MM + 1e-6] / spacing_mm

    def branches(self, voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The third brightest way out of each voxel ``(N, 3)`` along ``(k, j, i)``.

        Returns:
            Its brightness ``(N,)``, 0 where it is but the edge of a brighter one, and the fraction of all directions
            ``(N,)`` that are at least half as bright.
        """
        third, fraction = np.empty(len(voxels), np.float32), np.empty(len(voxels), np.float32)
        for start in range(0, len(voxels), VOXELS_AT_ONCE):
            some = slice(start, start + VOXELS_AT_ONCE)
            darkest = self.darkest((voxels[some] + self.margin) @ self.strides)
            chosen = self.brightest(darkest)[:, 2]
            value = darkest[np.arange(len(darkest)), chosen]
            around = np.take_along_axis(darkest, self.neighbours[chosen], axis=1).max(axis=1)
            third[some] = np.where(value >= around, value, 0)
            fraction[some] = (darkest > third[some, None] / 2).mean(axis=1)
        return third, fraction

    def darkest(self, at: np.ndarray) -> np.ndarray:
        """The darkest value ``(N, DIRECTIONS)`` on the ways out of voxels, given as places in ``values``."""
        darkest = np.full((len(at), DIRECTIONS), np.inf, np.float32)
        for offsets in self.offsets:
            np.minimum(darkest, self.values[at[:, None] + offsets], out=darkest)
        return darkest

    def brightest(self, darkest: np.ndarray) -> np.ndarray:
        """The numbers ``(N, 3)`` of the brightest directions that are well apart from one another."""
        left, found = darkest.copy(), []
        for _ in range(3):
            found.append(left.argmax(axis=1))
            left[self.close_by[found[-1]]] = -np.inf
        return np.stack(found, axis=1)

    def meeting_point(self, position: np.ndarray) -> np.ndarray:
        """Where the axes of the three brightest structures around a position ``(3,)`` meet, both along ``(k, j, i)``.

        The axis of each goes through its middle near the voxel and at the sphere. The point has the least sum of
        squared distances from the three lines and, weakly, from the position itself.
        """
        for _ in range(MEETING_STEPS):
            voxel = np.round(position).astype(int)
            darkest = self.darkest((voxel[None] + self.margin) @ self.strides)
            chosen = self.brightest(darkest)[0]
            level = darkest[0, chosen[2]] / 2
            system, right = STAY_WEIGHT * np.eye(3), STAY_WEIGHT * position
            for direction in self.directions[chosen]:
                inner, outer = (
                    self.middle(voxel + direction * reach / self.spacing_mm, level) for reach in (FAR_MM / 2, FAR_MM)
                )
                axis = (outer - inner) / max(float(np.linalg.norm(outer - inner)), 1e-6)
                across = np.eye(3) - np.outer(axis, axis)
                system, right = system + across, right + across @ outer
            position = np.linalg.solve(system, right)
        return position

    def middle(self, position: np.ndarray, level: float) -> np.ndarray:
        """The centre of what is brighter than ``level`` around a position, both along ``(k, j, i)``."""
        places = position + self.ball
        values = ndimage.map_coordinates(self.padded, (places + self.margin).T, order=1)
        weights = np.maximum(values - level, 0)
        return weights @ places / weights.sum() if weights.any() else position


def evenly_spread(count: int) -> np.ndarray:
    """Unit vectors ``(count, 3)`` spread over the sphere: a spiral whose turns are a golden angle."""
    number = np.arange(count) + 0.5
    height, turn = 1 - 2 * number / count, np.pi * (1 + np.sqrt(5)) * number
    around = np.sqrt(1 - np.square(height))
    return np.stack([around * np.cos(turn), around * np.sin(turn), height], axis=1)
