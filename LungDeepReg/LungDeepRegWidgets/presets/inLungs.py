"""Maps that are drawn in the lungs only."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from LungDeepRegLib.geometry import Lattice, index_box
from LungDeepRegLib.mrml.display import hide_unmeasured
from LungDeepRegLib.mrml.volumes import image_data, voxels, vtk_matrix
from LungDeepRegLib.quality import NOT_MEASURED
from LungDeepRegLib.volume import Volume

from .lungs import viewOf
from .temporaryNodes import TemporaryNodes

MOST_VOXELS = 2_000_000
"""Of what is drawn, which is finer than most maps, so that it ends where the lungs do."""
LEAST_KNOWN = 0.25
"""Share of the voxels of a map around a point that have to be known for a value there."""


def inLungs(map_: Volume, lungs: Volume) -> Volume:
    """A map as far as it lies in the lungs, on part of the lungs' voxels; elsewhere ``NOT_MEASURED``.

    Args:
        map_: Linear between its voxels, of which those that hold ``NOT_MEASURED`` don't count.
        lungs: Greater than 0 in the lungs.

    Raises:
        ValueError: Lungs that are marked nowhere.
    """
    inside = lungs.array > 0
    along = [np.flatnonzero(inside.any(axis=axes)) for axes in ((0, 1), (0, 2), (1, 2))]  # i, j, k
    if not along[0].size:
        msg = f"{lungs.name}: found no voxel that is marked, expected some lung"
        raise ValueError(msg)
    start, stop = np.array([(ends[0], ends[-1] + 1) for ends in along]).T
    step = max(1, int(np.ceil((np.prod((stop - start).astype(float)) / MOST_VOXELS) ** (1 / 3))))
    count = np.maximum(-(-(stop - start) // step), 2)
    i, j, k = (np.minimum(first + step * np.arange(n), n_all - 1) for first, n, n_all in zip(
        start, count, inside.shape[::-1], strict=True))  # fmt: skip
    lattice = index_box(lungs.lattice, start + (1 - step) / 2, count, step)
    values, known = sampled(map_, lattice)
    shown = inside[np.ix_(k, j, i)] & (known >= LEAST_KNOWN)
    return Volume(np.where(shown, values, np.float32(NOT_MEASURED)), lattice.ijk_to_ras, map_.name)


def sampled(map_: Volume, lattice: Lattice) -> tuple[np.ndarray, np.ndarray]:
    """A map's values ``(K, J, I)`` on a lattice, of what is known around each point, and how much of that is known."""
    known = map_.array != NOT_MEASURED
    to_map = map_.lattice.ras_to_ijk @ lattice.ijk_to_ras
    weights = resliced(known.astype(np.float32), to_map, lattice)
    sums = resliced(np.where(known, map_.array, 0).astype(np.float32), to_map, lattice)
    return sums / np.maximum(weights, np.float32(1e-6)), weights


def resliced(array: np.ndarray, toIndex: np.ndarray, lattice: Lattice) -> np.ndarray:
    """An array on a lattice, linear between voxels, 0 beyond them.

    Args:
        array: float32 ``(K, J, I)``.
        toIndex: 4x4, the lattice's voxel index ``(i, j, k, 1)`` to the array's.
        lattice: Where values are wanted.
    """
    transform = vtk.vtkMatrixToLinearTransform()
    transform.SetInput(vtk_matrix(toIndex))
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(image_data(array))
    reslice.SetResliceTransform(transform)
    reslice.SetInterpolationModeToLinear()
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputOrigin(0, 0, 0)
    k, j, i = lattice.shape
    reslice.SetOutputExtent(0, i - 1, 0, j - 1, 0, k - 1)
    reslice.Update()
    return voxels(reslice.GetOutput()).copy()


def mapOf(nodes: Any, name: str) -> tuple[Volume, np.ndarray]:
    """A result's map in the lungs, and its values there.

    Args:
        nodes: ``mrml.ResultNodes``, with lungs.
        name: Of the map in it.
    """
    shown = inLungs(viewOf(getattr(nodes, name)), viewOf(nodes.lungs))
    return shown, shown.array[shown.array != NOT_MEASURED]


def drawn(temporary: TemporaryNodes, volume: Volume, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    """A temporary volume of a map, without a display yet."""
    return temporary.volume(name, image_data(volume.array), volume.ijk_to_ras)


def showMeasured(display: slicer.vtkMRMLScalarVolumeDisplayNode) -> None:
    """Draw only what was measured, voxel by voxel: between what was and what wasn't there is no value."""
    display.InterpolateOff()
    hide_unmeasured(display)
