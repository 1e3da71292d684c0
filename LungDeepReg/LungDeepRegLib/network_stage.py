"""A trained network, run on one pair: its lattice in the fixed image, and what it finds as a displacement."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from .checkpoint import Checkpoint
from .displacement_field import DisplacementField
from .geometry import Lattice, apply, canonical_axes
from .network import NetworkConfig
from .preprocessing import Prepared
from .volume import Volume, averaged


def network_lattice(config: NetworkConfig, fixed: Prepared) -> Lattice:
    """The lattice that the weights were trained for, centred on the fixed image's lungs (without a mask: on the image).

    Its axes are the fixed image's own, in the canonical order and signs that ``fixed`` has.
    """
    centre = fixed.image.lattice.centre_ras
    if fixed.lungs is not None:
        centre = apply(fixed.lungs.ijk_to_ras, np.array(ndimage.center_of_mass(fixed.lungs.array))[::-1])
    matrix = np.eye(4)
    matrix[:3, :3] = canonical_axes(fixed.image.ijk_to_ras) * config.lattice_spacing_mm
    matrix[:3, 3] = centre - matrix[:3, :3] @ ((np.array(config.lattice_shape[::-1]) - 1) / 2)
    return Lattice(config.lattice_shape, matrix)


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
    lattice = network_lattice(checkpoint.config, fixed)
    # The lattice as the moving image sees it, so that averaging and sampling happen in the moving image's own frame.
    seen = Lattice(lattice.shape, matrix @ lattice.ijk_to_ras)
    images = [on_lattice(fixed.image, lattice), on_lattice(moving.image, seen)]
    network = checkpoint.network.to(device).eval()
    with torch.inference_mode():
        output = network(*(image.tensor(device) for image in images), use_linear=use_linear)
        voxels = output.displacement()[0].movedim(0, -1).cpu().numpy()
    return DisplacementField(voxels @ lattice.ijk_to_ras[:3, :3].T.astype(np.float32), lattice)


def on_lattice(image: Volume, lattice: Lattice) -> Volume:
    """An image in [0, 1] averaged down to a lattice."""
    return averaged(image, lattice, lambda array: array.astype(np.float32, copy=False))
