"""What can be said of files before their voxels are read: whether they exist, and where an image is in space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.image_io import FileError, itk_images, nifti, read_volume
from LungDeepRegLib.image_io.dicom import is_dicom
from LungDeepRegLib.image_io.files import (
    checked_lattice,
    described,
    existing,
    extension,
    reading,
    three_axes,
    unknown_extension,
)
from LungDeepRegLib.image_io.volumes import READ_EXTENSIONS


def header_lattice(path: Path) -> Lattice | None:
    """Where the voxels of an image file are, from its header alone; None for DICOM, which has one a slice.

    Raises:
        FileError: Missing, damaged or unknown file; not one scalar 3D image; no usable geometry.
    """
    path = existing(path)
    if path.is_dir() or is_dicom(path):
        return None
    if extension(path) in nifti.EXTENSIONS:
        image = nifti.load_nifti(path)
        shape, matrix = three_axes(path, image.shape), image.affine
    elif extension(path) in itk_images.EXTENSIONS:
        reader = itk_header(path)
        shape = three_axes(path, reader.GetSize(), reader.GetNumberOfComponents())
        matrix = itk_images.itk_to_ras(reader)
    else:
        raise unknown_extension(path, (*READ_EXTENSIONS, "a DICOM folder"))
    return checked_lattice(path, (shape[2], shape[1], shape[0]), matrix)


def itk_header(path: Path) -> Any:
    """SimpleITK's reader of a file, which knows size, spacing, origin and direction once it has read the header."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with reading(path, "an image"):
        reader.ReadImageInformation()
    return reader


def image_lattice(path: Path) -> Lattice:
    """Where the voxels of an image are, if need be by reading it."""
    return header_lattice(path) or read_volume(path).lattice


def image_problems(origin: str, image: Path, mask: Path | None) -> Iterator[str]:
    """What is wrong with an image and its mask by their headers: missing, unreadable, not on one grid.

    Args:
        origin: Where the files are named, for the messages.
        image: The image's file or DICOM folder.
        mask: The mask's, if there is one.
    """
    lattices: dict[str, Lattice | None] = {}
    for field, path in (("image", image), ("mask", mask)):
        if path is None:
            continue
        try:
            lattices[field] = header_lattice(path)
        except FileError as error:
            yield f"{origin}, {field}: {error}"
    found, expected = lattices.get("mask"), lattices.get("image")
    if found is not None and expected is not None and found != expected:
        yield (
            f"{origin}, mask: {mask}: found a mask of {described(found)}, expected the grid of {image}:"
            f" {described(expected)}"
        )
