"""A trained network, run on one pair: its lattice in the fixed image, and what it finds as a displacement.

Looking again at what a first look has brought nearer is a recursive cascade (Zhao et al. 2019, arXiv 1907.12353).
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from .checkpoint import Checkpoint
from .displacement_field import DisplacementField
from .field_sampling import sampling_grid
from .geometry import Lattice, apply, canonical_axes, index_box
from .network import NetworkConfig, RegistrationNetwork
from .network_inference import infer
from .preprocessing import Prepared
from .resampling import averaged
from .volume import Volume, averaging_factors, block_mean
from .warp import warp

FINER = 2  # samples along each axis of a voxel that are averaged
COARSE = 2.0  # passes on voxels at least so many times the lattice's are coarse


def network_lattice(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], fixed: Prepared) -> Lattice:
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
    to_refine: bool = False,
    unlike: Callable[[DisplacementField], float] = lambda v: 0.0,
    device: torch.device | str = "cpu",
) -> DisplacementField | None:
    """The residual displacement v, ``phi(x) = matrix @ (x + v(x))``, on the lattice of the network's last pass.

    The network looks once for each of its configuration's passes, each time at the moving image as deformed so far.

    Args:
        fixed: The fixed image.
        moving: The moving image.
        matrix: The alignment, 4x4, fixed RAS mm to moving RAS mm.
        checkpoint: The trained network.
        use_linear: Whether its linear branch takes part.
        to_refine: Leave out the passes that aren't coarse (if any are), whose work a refinement does better.
        unlike: How unlike the images are, deformed by some v; what a coarse pass finds counts only if they get no more
            so. Coarse passes find the way in deep breaths, and blur what is nearly in place. Of what a pass both ways
            finds the least unlike counts.
        device: Where it runs.

    Returns:
        None where nothing that the network found counts.
    """
    config = checkpoint.config
    network = checkpoint.network.to(device).eval()
    # The moving image where the alignment puts it, so that what is left to find is near the identity.
    aligned = Volume(moving.image.array, np.linalg.inv(matrix) @ moving.image.ijk_to_ras, moving.image.name)
    passes = passes_of(config, to_refine=to_refine)
    found: DisplacementField | None = None
    least = unlike(DisplacementField.from_matrix(np.eye(4), pass_lattice(config, passes[0], fixed)))
    for scale in passes:
        lattice = pass_lattice(config, scale, fixed)
        seen = on_lattice(fixed.image, lattice), on_lattice(aligned, lattice, found)
        images = [image.tensor(device) for image in seen]
        steps = looks(network, images, use_linear=use_linear, both_ways=config.both_ways and scale < COARSE)
        maps = [in_mm(step, lattice) for step in steps]
        maps = maps if found is None else [found.after(step) for step in maps]
        after, best = min(((unlike(v), v) for v in maps), key=itemgetter(0))
        if scale < COARSE or after <= least:
            found, least = best, after
    return found


def passes_of(config: NetworkConfig, *, to_refine: bool) -> tuple[float, ...]:
    """The passes to run, as multiples of the lattice's spacing."""
    coarse = tuple(scale for scale in config.passes if scale >= COARSE)
    return coarse if to_refine and coarse else config.passes


def pass_lattice(config: NetworkConfig, scale: float, fixed: Prepared) -> Lattice:
    """The network's lattice with voxels so many times larger: whole blocks, about the same extent."""
    shape = tuple(max(2, round(n / scale / config.stride)) * config.stride for n in config.lattice_shape)
    spacing = tuple(mm * scale for mm in config.lattice_spacing_mm)
    return network_lattice(shape, spacing, fixed)  # type: ignore[arg-type]


def looks(network: RegistrationNetwork, images: list[Tensor], *, use_linear: bool, both_ways: bool) -> list[Tensor]:
    """The displacement, ``(1, 3, K, J, I)`` in voxels, that the network finds; both ways a better one may come first.

    So near the identity the way back is the opposite of the way, and in their mean cancels what doesn't turn round with
    the images. But one way can be far worse than the other, as on a CT whose fixed image was the shallower breath.
    """
    way = infer(network, *images, use_linear=use_linear).displacement()
    if not both_ways:
        return [way]
    back = infer(network, *images[::-1], use_linear=use_linear).displacement()
    return [(way - back) / 2, way]


def in_mm(voxels: Tensor, lattice: Lattice) -> DisplacementField:
    """A displacement ``(1, 3, K, J, I)`` in voxels of a lattice, along ``(i, j, k)``, as a field in RAS mm."""
    vectors = voxels[0].movedim(0, -1).cpu().numpy() @ lattice.ijk_to_ras[:3, :3].T.astype(np.float32)
    return DisplacementField(vectors, lattice)


def on_lattice(image: Volume, lattice: Lattice, field: DisplacementField | None = None) -> Volume:
    """An image in [0, 1] on a lattice, each value the mean over its voxel.

    Args:
        image: On its own voxels; beyond them its border values go on.
        lattice: Where it is wanted.
        field: The image is sampled at ``field(x)``; None for x itself.
    """
    finer = index_box(lattice, np.zeros(3), np.array(lattice.shape[::-1]) * FINER, np.full(3, 1 / FINER))
    if field is None:
        samples = averaged(image, finer, _as_float)
    else:
        blocks = block_mean(image, averaging_factors(image.lattice, finer), _as_float)
        grid = sampling_grid(field.tensor(), field.lattice, finer, blocks.lattice)
        samples = Volume(warp(blocks.tensor(), grid)[0, 0].numpy(), finer.ijk_to_ras, image.name)
    return block_mean(samples, [FINER] * 3, _as_float)


def _as_float(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32, copy=False)
