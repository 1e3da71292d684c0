"""Lung masks: given as labels on any voxels, or found in CT as air inside the body that looks like lung."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from .field_sampling import inside
from .geometry import Lattice, apply, corner_indices, covering_lattice
from .intensity import Intensity
from .labels import Marked, cropped, labelled_box, marks, name_of
from .resampling import averaged, interpolated, world_grid
from .volume import Volume, VolumeError, part_around, slabs
from .warp import warp

WORKING_SPACING_MM = 2.5
AIR_BELOW_HU = -400.0
EMPTY_HU = -1005.0
"""Whole regions below this hold no tissue at all, but a filling value where there was no image."""
LUNG_HU = (-970.0, -500.0)
LEAST_LUNG_ML = 150.0
LEAST_PARENCHYMA = 0.5
LEAST_ENCLOSURE = 0.75
CLOSING_MM = 8.0


def find_lungs(volume: Volume, intensity: Intensity) -> np.ndarray | None:
    """The lungs in a chest CT, vessels included, or None where nothing looks like a lung.

    Air-like regions are told apart as connected components: a lung is large, has tissue around it, and much of its
    inside, away from its edge, lies between air and soft tissue (an emphysematous lung still does; bowel and sinuses
    don't). Lungs may touch the image's border. Large airways that are open to the lung remain in the mask.

    Args:
        volume: CT in stored values.
        intensity: How to read them; its modality must be ``ct``.

    Returns:
        bool ``(K, J, I)`` on the volume's own voxels, or None.
    """
    if intensity.modality != "ct":
        return None
    coarse = covering_lattice(volume.lattice, WORKING_SPACING_MM, 0.0)
    hu = averaged(volume, coarse, intensity.hounsfield).array
    lungs = lung_components(hu, coarse.voxel_volume_mm3 / 1000)
    if lungs is None:
        return None
    closed = close_and_fill(lungs, coarse)
    soft = Volume(ndimage.gaussian_filter(closed.astype(np.float32), 0.5), coarse.ijk_to_ras)
    return more_than_half(soft, volume.lattice)


def more_than_half(share: Volume, lattice: Lattice) -> np.ndarray:
    """Where a share in [0, 1], linear between its voxels, is above 0.5 on another lattice: bool ``(K, J, I)``."""
    found = np.zeros(lattice.shape, bool)
    box = labelled_box(share.array > 0.5)
    if box is None:
        return found
    first, last = (np.array([getattr(side, end) for side in box[::-1]]) for end in ("start", "stop"))
    corners = first - 1 + corner_indices(tuple((last - first + 2)[::-1]))  # only between these can it be above 0.5
    part, voxels = part_around(lattice, apply(share.ijk_to_ras, corners))
    values, wanted = share.tensor(), found[voxels]
    for planes, slab in slabs(part):
        wanted[planes] = interpolated(values, share.lattice, slab)[0, 0].numpy() > 0.5
    return found


def lung_components(hu: np.ndarray, voxel_ml: float) -> np.ndarray | None:
    """Those air-like components, bool ``(K, J, I)``, that look like lungs; None where there are none.

    Args:
        hu: CT along the canonical axes (i to the right, j to the front, k upwards).
        voxel_ml: Volume of one voxel.
    """
    air = hu < AIR_BELOW_HU
    air &= (enclosure(~air) >= LEAST_ENCLOSURE) & (ndimage.gaussian_filter(hu, 1.0) > EMPTY_HU)
    labels, count = ndimage.label(air)
    if not count:
        return None
    inner = ndimage.binary_erosion(air, border_value=1) * labels  # its edge is mixed with tissue
    parenchyma = (hu > LUNG_HU[0]) & (hu < LUNG_HU[1])
    numbers = np.arange(1, count + 1)
    sizes = ndimage.sum_labels(air, labels, numbers) * voxel_ml
    inner_sizes = ndimage.sum_labels(inner > 0, inner, numbers)
    fraction = ndimage.sum_labels(parenchyma, inner, numbers) / np.maximum(inner_sizes, 1)
    lung_like = (sizes >= LEAST_LUNG_ML) & (fraction >= LEAST_PARENCHYMA)
    if not lung_like.any():
        return None
    return without_sheets(np.isin(labels, numbers[lung_like & (sizes >= 0.1 * sizes[lung_like].max())]))


def without_sheets(mask: np.ndarray) -> np.ndarray:
    """The mask less what hangs on it by a sheet or strand of under five voxels, but with its own thin edges."""
    core = ndimage.binary_opening(np.pad(mask, 2, mode="edge"), iterations=2)[2:-2, 2:-2, 2:-2]
    return ndimage.binary_dilation(core, iterations=4) & mask


def enclosure(tissue: np.ndarray) -> np.ndarray:
    """In how many of the directions right, left, front and back tissue lies before the image ends, as a fraction.

    Air around the body has nothing on its far side; a lung that is cut off by the image's border still has three.
    """
    hits = [np.logical_or.accumulate(tissue, axis) for axis in (1, 2)]
    hits += [np.flip(np.logical_or.accumulate(np.flip(tissue, axis), axis), axis) for axis in (1, 2)]
    return np.mean(hits, axis=0)


def close_and_fill(mask: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Close the gaps of vessels and fill holes, also where the mask runs out of the image."""
    box = labelled_box(mask)
    if box is None:
        return mask
    voxels = round(CLOSING_MM / float(lattice.spacing_mm.min()))
    rim = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)  # neither reaches beyond the mask's box
    padded = np.pad(mask[rim], voxels, mode="edge")
    grown = ndimage.distance_transform_edt(~padded) <= voxels
    closed = ndimage.distance_transform_edt(grown) > voxels
    result = np.zeros_like(mask)
    result[rim] = ndimage.binary_fill_holes(closed | padded)[(slice(voxels, -voxels),) * 3]
    return result


def mask_on(labels: Sequence[Volume | Marked], like: Volume) -> np.ndarray:
    """The mask that label images make together: where the nearest voxel of any of them is marked.

    Args:
        labels: On any voxels; beyond its own voxels each marks nothing. A Volume marks where it is greater than 0.
        like: The image that the mask is for.

    Returns:
        bool ``(K, J, I)`` on the voxels of ``like``.

    Raises:
        VolumeError: Labels that mark nothing there.
    """
    mask = np.zeros(like.lattice.shape, bool)
    for image in labels:
        for marked in marks(image):
            mark(mask, marked, like.lattice)
    if not mask.any():
        names = ", ".join(dict.fromkeys(name_of(image) for image in labels)) or "no labels"
        msg = f"{names}: found an empty mask on the voxels of {like.name}, expected some lung"
        raise VolumeError(msg)
    return mask


def mark(mask: np.ndarray, marked: Volume, lattice: Lattice) -> None:
    """Add what is marked in a bool volume to a mask on a lattice. Only the part that it can reach is looked at."""
    if marked.lattice == lattice:
        mask |= marked.array
        return
    part = cropped(marked)
    if part is None:
        return
    box, voxels = part_around(lattice, apply(part.ijk_to_ras, corner_indices(part.array.shape, outer=True)))
    wanted, source = mask[voxels], part.tensor()
    for planes, slab in slabs(box):
        grid = world_grid(slab, part.lattice)
        near = (warp(source, grid, mode="nearest")[0, 0] > 0) & inside(grid, part.lattice)[0]
        wanted[planes] |= near.numpy()
