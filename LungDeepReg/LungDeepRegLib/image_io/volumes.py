"""Image files and volumes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..volume import Volume
from . import itk_images, nifti
from .dicom import is_dicom, read_dicom
from .files import FileError, checked_lattice, described, existing, extension, unknown_extension

READ_EXTENSIONS = (*nifti.EXTENSIONS, *itk_images.EXTENSIONS)
WRITTEN_EXTENSIONS = (*nifti.EXTENSIONS, *itk_images.WRITTEN_EXTENSIONS)


def read_volume(path: str | os.PathLike[str], series: str | int | None = None) -> Volume:
    """Read one scalar 3D image.

    NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd), a folder of DICOM files, or one DICOM file of
    many slices. Integers stay integers; HU and other rescaled values come with slope and intercept applied. Voxels
    aren't checked here (see :func:`volume.check_image`).

    Args:
        path: The file or folder.
        series: Of a DICOM folder with several series, the SeriesInstanceUID or the number in the list of
            :func:`list_dicom_series`, counted from 1.

    Raises:
        FileError: Missing, damaged, incomplete or unknown file; not one scalar 3D image; no usable geometry; several
            DICOM series and none chosen.

    Warns:
        ImageWarning: The file leaves its place in space open, or DICOM slices are missing, tilted or displaced.
    """
    path = existing(path)
    if series is not None and not path.is_dir():
        msg = f"{path}: the series {series!r} was chosen, but this isn't a DICOM folder"
        raise FileError(msg)
    if path.is_dir() or is_dicom(path):
        array, matrix = read_dicom(path, series)
    elif extension(path) in nifti.EXTENSIONS:
        array, matrix = nifti.read_nifti(path)
    elif extension(path) in itk_images.EXTENSIONS:
        array, matrix = itk_images.read_itk(path)
    else:
        raise unknown_extension(path, (*READ_EXTENSIONS, "a DICOM folder"))
    if array.dtype.kind not in "buif":
        msg = f"{path}: found voxels of type {array.dtype}, expected real scalars"
        raise FileError(msg)
    lattice = checked_lattice(path, array.shape, matrix)
    return Volume(array, lattice.ijk_to_ras, path.name)


def read_mask(path: str | os.PathLike[str], like: Volume) -> np.ndarray:
    """Read a label image as a mask: whatever is greater than 0.

    Args:
        path: An image of whole numbers, in any format of :func:`read_volume`.
        like: The image the mask belongs to.

    Returns:
        bool ``(K, J, I)`` on the voxels of ``like``.

    Raises:
        FileError: As :func:`read_volume`; another grid than that of ``like``; fractional values; an empty mask.
    """
    labels = read_volume(path)
    if labels.lattice != like.lattice:
        msg = (
            f"{path}: found a mask of {described(labels.lattice)}, expected the grid of {like.name}:"
            f" {described(like.lattice)}"
        )
        raise FileError(msg)
    if labels.array.dtype.kind == "f" and not np.array_equal(labels.array, np.round(labels.array)):
        msg = f"{path}: found fractional or NaN values, expected whole numbers (threshold probabilities first)"
        raise FileError(msg)
    mask = labels.array > 0
    if not mask.any():
        msg = f"{path}: found an empty mask, expected labels greater than 0"
        raise FileError(msg)
    return mask


def write_volume(path: str | os.PathLike[str], volume: Volume) -> None:
    """Write a volume as .nii, .nii.gz, .nrrd or .mha.

    Types are kept, but for those that other programs stumble over: bool becomes uint8, float16 and float64 become
    float32, 64-bit integers become int32. Sheared volumes are kept in all formats; ITK, and with it 3D Slicer, reads
    them from NRRD and MetaImage but refuses them in NIfTI.

    Raises:
        FileError: Unknown extension, a full disk, a place that isn't writable, integers beyond int32.
    """
    path = Path(path)
    if extension(path) not in WRITTEN_EXTENSIONS:
        raise unknown_extension(path, WRITTEN_EXTENSIONS)
    array = storable(path, volume.array)
    if extension(path) in nifti.EXTENSIONS:
        nifti.write_nifti(path, array.T, volume.ijk_to_ras)
    else:
        itk_images.write_itk(path, itk_images.to_itk(array, volume.lattice))


def storable(path: Path, array: np.ndarray) -> np.ndarray:
    """The array in a type that every format and reader knows."""
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        return array.astype(np.float32, copy=False)
    if array.dtype.itemsize < 8:
        return array
    if array.min() < np.iinfo(np.int32).min or array.max() > np.iinfo(np.int32).max:
        msg = f"{path}: can't be written, found values from {array.min()} to {array.max()}, expected at most 32 bits"
        raise FileError(msg)
    return array.astype(np.int32)
