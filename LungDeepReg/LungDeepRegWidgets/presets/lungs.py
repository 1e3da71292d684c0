"""Where in an image the lungs are, and the window they are read in; quick, without copying voxels."""

from __future__ import annotations

import numpy as np
import slicer
from LungDeepRegLib.geometry import apply, orthonormal_axes
from LungDeepRegLib.intensity import Intensity, choose_intensity
from LungDeepRegLib.mrml.volumes import ijk_to_world
from LungDeepRegLib.volume import Volume
from vtk.util.numpy_support import vtk_to_numpy

LUNG_WINDOW_HU = (-1350.0, 150.0)
"""W 1500, L -600."""
LUNG_HU = (-950.0, -500.0)
"""Lung without the air around the patient."""
LEAST_LUNG = 0.02
"""Part of an image that is lung in HU, below which its middle is taken instead."""
BINS = 48
OBLIQUE = 1e-3


def viewOf(node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    """A volume that shares a node's voxels: for reading only.

    Raises:
        NodeError: The node lies under a non-linear transform.
    """
    image = node.GetImageData()
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    return Volume(array, ijk_to_world(node), node.GetName())


def windows(
    fixed: slicer.vtkMRMLScalarVolumeNode, moving: slicer.vtkMRMLScalarVolumeNode
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The lowest and highest value shown of the fixed and of the moving image, so that the same tissue looks the same.

    CT gets the lung window; two images of another kind get the fixed one's own window; where only one is CT, the
    other keeps its own.
    """
    fixedIntensity, movingIntensity = choose_intensity(viewOf(fixed)), choose_intensity(viewOf(moving))
    fixedWindow = windowOf(fixed, fixedIntensity)
    if fixedIntensity.modality == movingIntensity.modality != "ct":
        return fixedWindow, fixedWindow
    return fixedWindow, windowOf(moving, movingIntensity)


def windowOf(node: slicer.vtkMRMLScalarVolumeNode, intensity: Intensity) -> tuple[float, float]:
    """The lung window for CT, otherwise the node's own, otherwise the intensity's."""
    display = node.GetDisplayNode()
    if intensity.modality == "ct":
        low, high = (edge + intensity.offset for edge in LUNG_WINDOW_HU)
        return low, high
    if display is None:
        return intensity.low, intensity.high
    return display.GetWindowLevelMin(), display.GetWindowLevelMax()


def middleOfLungs(node: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    """A point, RAS mm, whose axial, coronal and sagittal slices show much lung; otherwise the image's middle.

    Along each direction it is where most voxels read as lung; so the sagittal slice goes through one lung and not
    between the two.
    """
    volume = viewOf(node)
    intensity = choose_intensity(volume)
    if intensity.modality != "ct":
        return volume.lattice.centre_ras
    step = max(1, round((volume.array.size / 200_000) ** (1 / 3)))
    hu = volume.array[::step, ::step, ::step].astype(np.float32) - intensity.offset
    lung = (hu > LUNG_HU[0]) & (hu < LUNG_HU[1])
    if lung.mean() < LEAST_LUNG:
        return volume.lattice.centre_ras
    points = apply(volume.ijk_to_ras, np.argwhere(lung)[:, ::-1].astype(np.float64) * step)
    axes = orthonormal_axes(volume.ijk_to_ras)
    return axes @ np.array([fullest(along) for along in (points @ axes).T])


def fullest(coordinates: np.ndarray) -> float:
    """Where along a line most of the points are, their numbers smoothed over a tenth of its length."""
    counts, edges = np.histogram(coordinates, BINS)
    smooth = np.convolve(counts, np.hanning(BINS // 5 + 2)[1:-1], mode="same")
    best = int(np.argmax(smooth))
    return float(edges[best] + edges[best + 1]) / 2


def isOblique(node: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether a volume's axes differ from right, anterior and superior."""
    axes = np.abs(orthonormal_axes(ijk_to_world(node)))
    return bool(np.abs(axes - np.round(axes)).max() > OBLIQUE)
