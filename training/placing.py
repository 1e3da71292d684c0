"""Two images put on the network's lattice, as the registration's network stage does it."""

from __future__ import annotations

import numpy as np
import torch
from LungDeepRegLib.displacement_field import lattice_points
from LungDeepRegLib.geometry import Lattice, apply
from LungDeepRegLib.landmarks import Landmarks, matched
from LungDeepRegLib.network_stage import network_lattice, on_lattice
from LungDeepRegLib.preprocessing import Prepared
from LungDeepRegLib.volume import Volume
from scipy import ndimage
from torch import Tensor

from .errors import TrainingError
from .pairs import Pair, Truth

SAMPLINGS = ("mean", "cubic")


class PlacingError(TrainingError):
    """Settings by which no image can be put on a lattice."""


def placed(
    fixed: Prepared,
    moving: Prepared,
    matrix: np.ndarray,
    lattice: Lattice,
    *,
    sampling: str = "mean",
    landmarks: tuple[Landmarks | None, Landmarks | None] = (None, None),
    truth: Truth | None = None,
) -> Pair:
    """The pair as the network sees it.

    The moving image is put where the alignment takes it; both images are sampled on the lattice at the fixed image.

    Args:
        fixed: The fixed image.
        moving: The moving image.
        matrix: The alignment, 4x4, fixed RAS mm to moving RAS mm.
        lattice: Its shape and spacing count; where it lies follows from the fixed image.
        sampling: ``mean`` over each voxel, as in the engine, or ``cubic`` spline interpolation at its centre (the
            paper's, meant for images that are hardly finer than the lattice).
        landmarks: Of the fixed and of the moving image; both or they are left out.
        truth: The map from fixed to moving RAS mm where it is known, for points ``(N, 3)``.

    Raises:
        PlacingError: Another sampling.
        LandmarkError: Landmarks that can't be paired.
    """
    if sampling not in SAMPLINGS:
        msg = f"found the sampling {sampling!r}, expected one of {', '.join(SAMPLINGS)}"
        raise PlacingError(msg)
    spacing = (float(mm) for mm in lattice.spacing_mm)
    place = network_lattice(lattice.shape, tuple(spacing), fixed)  # type: ignore[arg-type]
    seen = Lattice(place.shape, matrix @ place.ijk_to_ras)
    sample = on_lattice if sampling == "mean" else interpolated
    displacement, certainty = (None, None) if truth is None else known(truth, place, seen, fixed, moving)
    return Pair.of_images(
        tensor(sample(fixed.image, place)),
        tensor(sample(aligned(moving.image, matrix), place)),
        fixed_lungs=None if fixed.lungs is None else tensor(within(fixed.lungs, place)),
        moving_lungs=None if moving.lungs is None else tensor(within(aligned(moving.lungs, matrix), place)),
        displacement=displacement,
        certainty=certainty,
        landmarks=positions(*landmarks, place, seen),
    )


def aligned(moving: Volume, matrix: np.ndarray) -> Volume:
    """The moving image, in fixed RAS mm, where an alignment ``matrix`` (4x4, fixed to moving RAS mm) takes it."""
    return Volume(moving.array, np.linalg.inv(matrix) @ moving.ijk_to_ras, moving.name)


def interpolated(image: Volume, lattice: Lattice) -> Volume:
    """An image in [0, 1] at a lattice's voxel centres, by cubic splines, clamped to [0, 1]."""
    to_index = image.lattice.ras_to_ijk @ lattice.ijk_to_ras
    backwards = to_index[:3, :3][::-1, ::-1]  # scipy counts (k, j, i)
    array = ndimage.affine_transform(
        image.array.astype(np.float32), backwards, to_index[2::-1, 3], lattice.shape, order=3, mode="nearest"
    )
    return Volume(np.clip(array, 0, 1), lattice.ijk_to_ras, image.name)


def within(lungs: Volume, lattice: Lattice) -> Volume:
    """Lungs on a lattice; nothing beyond the image that they were drawn in."""
    found = on_lattice(lungs, lattice)
    covered = lungs.lattice.contains(lattice_points(lattice)).reshape(lattice.shape)
    return found.with_array(found.array * covered)


def known(truth: Truth, place: Lattice, seen: Lattice, fixed: Prepared, moving: Prepared) -> tuple[Tensor, Tensor]:
    """What is known of the map from fixed to moving image.

    Args:
        truth: The map, fixed to moving RAS mm.
        place: The lattice in fixed RAS mm.
        seen: The same voxels in moving RAS mm, by the alignment.
        fixed: The fixed image.
        moving: The moving image.

    Returns:
        The displacement beyond the alignment, in voxels ``(3, K, J, I)``, and where both images show the tissue,
        ``(1, K, J, I)``, 0 or 1.
    """
    x = lattice_points(place)
    y = truth(x)
    voxels = apply(seen.ras_to_ijk, y) - apply(place.ras_to_ijk, x)
    covered = fixed.image.lattice.contains(x) & moving.image.lattice.contains(y)
    shaped = torch.from_numpy(voxels.astype(np.float32)).reshape(*place.shape, 3).movedim(-1, 0)
    return shaped, torch.from_numpy(covered.astype(np.float32)).reshape(1, *place.shape)


def positions(fixed: Landmarks | None, moving: Landmarks | None, place: Lattice, seen: Lattice) -> Tensor | None:
    """Corresponding points as voxels ``(i, j, k)``, ``(N, 2, 3)``: the fixed ones of ``place``, the moving of ``seen``.

    None unless there are both.
    """
    if fixed is None or moving is None:
        return None
    fixed_points, moving_points, _ = matched(fixed, moving)
    both = apply(place.ras_to_ijk, fixed_points), apply(seen.ras_to_ijk, moving_points)
    return torch.from_numpy(np.stack(both, axis=1).astype(np.float32))


def tensor(volume: Volume) -> Tensor:
    """The voxels as ``(1, K, J, I)`` float32."""
    return volume.tensor()[0]
