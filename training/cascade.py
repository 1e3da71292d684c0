"""Pairs as a network of several passes sees them: coarse voxels first, and each time what is left to find.

As a registration runs the network (:func:`network_stage.predict`), but for one thing: between passes the moving image
is sampled from the lattice's voxels, not from its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch.nn.functional as functional
from LungDeepRegLib.deformation import displacement_grid, finer
from LungDeepRegLib.network import NetworkConfig, NetworkOutput
from LungDeepRegLib.warp import warp
from torch import Tensor

from .errors import TrainingError
from .pairs import Pair

ITERATIONS = 6


class CascadeError(TrainingError):
    """Passes whose voxels aren't whole blocks of the lattice's."""


def check_passes(config: NetworkConfig) -> None:
    """Raise a CascadeError unless what a network sees in each pass is whole blocks of its lattice's voxels."""
    for scale in config.passes:
        block = int(scale) * config.stride
        if scale != int(scale) or any(n % block for n in config.lattice_shape):
            msg = f"found a pass on voxels {scale:g} times as large and the stride {config.stride} on a lattice of"
            msg += (
                f" {config.lattice_shape} voxels, expected whole multiples whose blocks divide the lattice to train on"
            )
            raise CascadeError(msg)


def passes_of(
    network: Callable[[Pair], NetworkOutput], pair: Pair, scales: tuple[float, ...]
) -> Iterator[tuple[Pair, NetworkOutput]]:
    """What the network sees in each pass, and what it finds then. No derivative goes from a pass to those before it.

    Args:
        network: Registers a batch.
        pair: A batch on the lattice.
        scales: Size of each pass' voxels in those of the lattice.
    """
    for number, scale in enumerate(scales, start=1):
        seen = coarser(pair, int(scale))
        output = network(seen)
        yield seen, output
        if number < len(scales):
            pair = remaining(pair, finer(output.displacement().detach(), int(scale)))


def found_together(outputs: list[NetworkOutput], scales: tuple[float, ...]) -> NetworkOutput:
    """All passes as one map on the lattice; spatial gradients and matrix are those of the last pass."""
    total: Tensor | None = None
    for output, scale in zip(outputs, scales, strict=True):
        step = finer(output.displacement(), int(scale))
        total = step if total is None else step + warp(total, displacement_grid(step))
    assert total is not None
    return outputs[-1]._replace(grid=displacement_grid(total))


def coarser(pair: Pair, factor: int) -> Pair:
    """The batch averaged over cubes of so many voxels, with displacements and landmarks in voxels of that size."""
    if factor == 1:
        return pair
    averaged = [functional.avg_pool3d(part, factor) for part in pair[:-1]]
    seen = Pair(*averaged, (pair.landmarks - (factor - 1) / 2) / factor)
    return seen._replace(displacement=seen.displacement / factor)


def remaining(pair: Pair, found: Tensor) -> Pair:
    """The batch whose moving image is deformed by what was found, ``(B, 3, K, J, I)`` in voxels.

    Its known map w is what is left of the whole one u: ``x + w + found(x + w) = x + u``, by a fixed-point iteration as
    in :func:`both_ways.inverse_displacement`. Landmarks, whose partners would move as well, are left out.
    """
    left = pair.displacement - found
    for _ in range(ITERATIONS):
        left = pair.displacement - warp(found, displacement_grid(left))
    grid = displacement_grid(found)
    return pair._replace(
        moving=warp(pair.moving, grid),
        moving_lungs=warp(pair.moving_lungs, grid),
        displacement=left,
        landmarks=pair.landmarks[:, :0],
    )
