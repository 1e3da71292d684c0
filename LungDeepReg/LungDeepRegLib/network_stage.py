"""A trained network, run on one pair: its lattice in the fixed image, and what it finds as a displacement."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from .checkpoint import Checkpoint
from .displacement_field import DisplacementField
from .geometry import Lattice, apply, canonical_axes, index_box
from .preprocessing import Prepared
from .volume import Volume, averaged, block_mean

FINER = 2  # samples along each axis of a voxel that are averaged


def network_lattice(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], fixed: Prepared
) -> Lattice:
    """The lattice that weights were trained for, centred on the fixed image's lungs (without a mask: on the image).

    Its axes are the fixed image's own, in the canonical order and signs that ``fixed`` has.

    Args:
        shape: Voxels ``(K, J, I)``.
        spacing_mm: Along ``(i, j, k)``.
        fixed: The fixed image.
    """
    centre = fixed.image.lattice.centre_ras
    if fixed.lungs is not None:
        centre = apply(fixed.lungs.ijk_to_ras, np.array(ndimage.center_of_mass(fixed.lungs.array))[::-1])
    matrix = np.eye(4)
    matrix[:3, :3] = canonical_axes(fixed.image.ijk_to_ras) * spacing_mm
    matrix[:3, 3] = centre - matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return Lattice(shape, matrix)


def predict(
    fixed: Prepared,
    moving: Prepared,
    matrix: np.ndarray,
    checkpoint: Checkpoint,
    *,
    use_linear: bool,
    device: torch.device | str = "cpu",
) -> DisplacementField:
    """One forward pass: the residual displacement v, ``phi(x) = matrix @ (x + v(x))``, on the network's lattice.

    Args:
        fixed: The fixed image.
        moving: The moving image.
        matrix: The alignment, 4x4, fixed RAS mm to moving RAS mm.
        checkpoint: The trained network.
        use_linear: Whether its linear branch takes part.
        device: Where it runs.
    """
    config = checkpoint.config
    lattice = network_lattice(config.lattice_shape, config.lattice_spacing_mm, fixed)
    # The lattice as the moving image sees it, so that averaging and sampling happen in the moving image's own frame.
    seen = Lattice(lattice.shape, matrix @ lattice.ijk_to_ras)
    images = [on_lattice(fixed.image, lattice), on_lattice(moving.image, seen)]
    network = checkpoint.network.to(device).eval()
    with torch.inference_mode():
        output = network(*(image.tensor(device) for image in images), use_linear=use_linear)
        voxels = output.displacement()[0].movedim(0, -1).cpu().numpy()
    return DisplacementField(voxels @ lattice.ijk_to_ras[:3, :3].T.astype(np.float32), lattice)


def on_lattice(image: Volume, lattice: Lattice) -> Volume:
    """An image in [0, 1] on a lattice, each value the mean over its voxel."""
    counts = np.array(lattice.shape[::-1])
    finer = index_box(lattice, np.zeros(3), counts * FINER, 1 / FINER)
    samples = averaged(image, finer, _as_float)
    return block_mean(samples, [FINER] * 3, _as_float)


def _as_float(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32, copy=False)
