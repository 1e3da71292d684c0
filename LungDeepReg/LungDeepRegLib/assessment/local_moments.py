"""Means, variances and covariance of two images in the cube around each node of a coarser lattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..similarity.box import add_neighbours

NEAR = 3
"""Nodes on either side of one that its cube reaches to: 21 mm of nodes 3 mm apart."""
WIDE = 10
"""The same for what varies slowly: 63 mm."""


@dataclass(frozen=True, eq=False)
class LocalMoments:
    """Of the voxels that count in the cube around each node, ``(K, J, I)`` float32 each.

    Attributes:
        count: How many there are.
        first_mean: Mean of the first image.
        second_mean: Of the second.
        first_variance: Variance of the first image.
        second_variance: Of the second.
        covariance: Of both.
        mean_square: Of the difference, mean of its square.
    """

    count: np.ndarray
    first_mean: np.ndarray
    second_mean: np.ndarray
    first_variance: np.ndarray
    second_variance: np.ndarray
    covariance: np.ndarray
    mean_square: np.ndarray


def local_moments(
    first: np.ndarray, second: np.ndarray, counting: np.ndarray, factor: int, radius: int
) -> LocalMoments:
    """The moments of two images, ``factor`` voxels a node along each axis, over cubes of ``2 * radius + 1`` nodes.

    Args:
        first: ``(factor K, factor J, factor I)`` float32.
        second: The same.
        counting: Which voxels count, bool.
        factor: Voxels of a node along each axis.
        radius: Nodes on either side.
    """
    weights = counting.astype(np.float32)
    n = add(weights, factor, radius)
    least = np.maximum(n, 1)
    # Around the middle of all values, so that squares don't lose digits.
    middle = np.float32(first[counting].mean()) if counting.any() else np.float32(0)
    a, b = (first - middle) * weights, (second - middle) * weights
    mean_a, mean_b = (add(image, factor, radius) / least for image in (a, b))
    return LocalMoments(
        count=n,
        first_mean=mean_a + middle,
        second_mean=mean_b + middle,
        first_variance=np.maximum(add(a * a, factor, radius) / least - mean_a**2, 0),
        second_variance=np.maximum(add(b * b, factor, radius) / least - mean_b**2, 0),
        covariance=add(a * b, factor, radius) / least - mean_a * mean_b,
        mean_square=add((a - b) ** 2, factor, radius) / least,
    )


def add(values: np.ndarray, factor: int, radius: int) -> np.ndarray:
    """Sums over the cube around each node."""
    return add_neighbours(torch.from_numpy(blocks(values, factor))[None, None], radius)[0, 0].numpy()


def blocks(values: np.ndarray, factor: int) -> np.ndarray:
    """Sums of the voxels of each node, ``(K, J, I)`` float32."""
    for axis in range(3):
        values = np.moveaxis(values, axis, 0)
        parts = [values[start::factor] for start in range(factor)]
        values = np.moveaxis(sum(parts[1:], parts[0].astype(np.float32)), 0, axis)
    return np.ascontiguousarray(values)


def repeated(values: np.ndarray, factor: int) -> np.ndarray:
    """Each node's value at all of its voxels."""
    for axis in range(3):
        values = np.repeat(values, factor, axis=axis)
    return values
