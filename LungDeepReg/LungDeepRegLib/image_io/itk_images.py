"""Images by SimpleITK (NRRD and MetaImage), and the conversion between its LPS and our RAS."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..geometry import LPS_TO_RAS, Lattice
from .files import ImageWarning, extension, reading, three_axes, writing

if TYPE_CHECKING:
    import SimpleITK

EXTENSIONS = (".nrrd", ".nhdr", ".mha", ".mhd")
WRITTEN_EXTENSIONS = (".nrrd", ".mha")


def read_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels ``(K, J, I)`` and the 4x4 ``ijk_to_ras`` of a scalar image."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with reading(path, "an image"):
        reader.ReadImageInformation()
        spatial = three_axes(path, reader.GetSize(), reader.GetNumberOfComponents())
        image = reader.Execute()
        if extension(path) in (".nrrd", ".nhdr") and not image.HasMetaDataKey("NRRD_space"):
            msg = f"{path}: the header names no space, so its axes are taken as left, posterior, superior"
            warnings.warn(msg, ImageWarning, stacklevel=3)
        return sitk.GetArrayFromImage(image).reshape(spatial[::-1]), itk_to_ras(image)


def itk_to_ras(image: SimpleITK.Image) -> np.ndarray:
    """The 4x4 matrix from voxel index ``(i, j, k)`` to RAS mm; a fourth dimension (time) is left out."""
    n = image.GetDimension()
    directions = np.reshape(image.GetDirection(), (n, n))[:3, :3]
    matrix = np.eye(4)
    matrix[:3, :3] = directions * image.GetSpacing()[:3]
    matrix[:3, 3] = image.GetOrigin()[:3]
    return LPS_TO_RAS @ matrix


def itk_geometry(lattice: Lattice) -> dict[str, Any]:
    """Spacing, origin and direction as ITK has them, in LPS."""
    matrix = LPS_TO_RAS @ lattice.ijk_to_ras
    return {
        "spacing": lattice.spacing_mm.tolist(),
        "origin": matrix[:3, 3].tolist(),
        "direction": (matrix[:3, :3] / lattice.spacing_mm).ravel().tolist(),
    }


def to_itk(array: np.ndarray, lattice: Lattice) -> SimpleITK.Image:
    """An ITK image of scalars ``(K, J, I)`` or vectors ``(K, J, I, 3)`` on a lattice."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
    geometry = itk_geometry(lattice)
    image.SetSpacing(geometry["spacing"])
    image.SetOrigin(geometry["origin"])
    image.SetDirection(geometry["direction"])
    return image


def write_itk(path: Path, image: SimpleITK.Image) -> None:
    """Write an image, compressed at the quickest level. Sheared directions are kept by NRRD and MetaImage."""
    import SimpleITK as sitk

    with writing(path):
        sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=1)
