"""Displacement fields as vector images: NIfTI (intent 1006), NRRD and MetaImage.

What is in the files differs. NIfTI with intent 1006 holds RAS components, which ITK 5 and 3D Slicer turn to LPS when
they read it; NRRD and MetaImage hold LPS components as ITK has them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..displacement_field import DisplacementField, FieldError
from .files import FileError, checked_lattice, extension, reading
from .itk_images import itk_to_ras, to_itk, write_itk
from .nifti import EXTENSIONS as NIFTI_EXTENSIONS
from .nifti import load_nifti, stored_values, write_nifti

if TYPE_CHECKING:
    import SimpleITK

DISPLACEMENT_INTENT = 1006
VECTOR_INTENT = 1007
RAS_TO_LPS = np.array([-1, -1, 1], dtype=np.float32)


def read_displacement_image(path: Path) -> DisplacementField:
    """A displacement field from a vector image of fixed LPS to moving LPS (ITK's sense)."""
    return read_nifti_field(path) if extension(path) in NIFTI_EXTENSIONS else read_itk_field(path)


def read_nifti_field(path: Path) -> DisplacementField:
    """A NIfTI displacement field of RAS components, ``(I, J, K, 1, 3)`` with intent 1006."""
    image = load_nifti(path)
    shape = image.shape
    with reading(path, "NIfTI"):
        intent, _, name = image.header.get_intent("code")
    if len(shape) != 5 or shape[3:] != (1, 3):
        msg = f"{path}: found an image of shape {shape}, expected a displacement field (I, J, K, 1, 3)"
        raise FileError(msg)
    if intent != DISPLACEMENT_INTENT:
        raise wrong_intent(path, intent, name)
    vectors = stored_values(path, image)
    return checked_field(path, vectors[:, :, :, 0].transpose(2, 1, 0, 3), image.affine)


def wrong_intent(path: Path, intent: int, name: str) -> FileError:
    """The error for vectors whose meaning the file leaves open."""
    code = f"{intent} ({name})" if name else f"{intent}"
    found = f"{path}: found NIfTI vectors of intent {code}, expected 1006 (displacement)"
    if intent == VECTOR_INTENT and name.startswith("NREG"):
        return FileError(
            f"{found}. NiftyReg writes 1007 for positions, displacements and velocities alike: make a displacement"
            " field of it (reg_transform -disp) and set its intent to 1006"
        )
    if intent == VECTOR_INTENT:
        return FileError(
            f"{found}. 1007 says nothing about the vectors' frame; ANTs and ITK write LPS displacements with it: if it"
            " is one of theirs, read it in ITK or SimpleITK and save it as .nrrd, .mha or .h5"
        )
    return FileError(found)


def read_itk_field(path: Path) -> DisplacementField:
    """A displacement field of LPS components from NRRD or MetaImage."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with reading(path, "a displacement field"):
        reader.ReadImageInformation()
    if reader.GetDimension() != 3 or reader.GetNumberOfComponents() != 3:
        msg = (
            f"{path}: found a {reader.GetDimension()}D image of {reader.GetNumberOfComponents()} values a voxel,"
            " expected a displacement field: 3D, with 3"
        )
        raise FileError(msg)
    key = "displacement field type"
    if reader.HasMetaDataKey(key) and reader.GetMetaData(key) != "resampling":
        msg = (
            f"{path}: found a field of type {reader.GetMetaData(key)!r}, which maps moving to fixed, expected"
            " 'resampling' (fixed to moving): save the inverse"
        )
        raise FileError(msg)
    with reading(path, "a displacement field"):
        image = reader.Execute()
    return from_itk_field(path, image)


def from_itk_field(path: Path, image: SimpleITK.Image) -> DisplacementField:
    """The field of an ITK vector image of LPS displacements; ``path`` is for messages."""
    import SimpleITK as sitk

    vectors = sitk.GetArrayViewFromImage(image).astype(np.float32)
    vectors *= RAS_TO_LPS
    return checked_field(path, vectors, itk_to_ras(image))


def to_itk_field(field: DisplacementField) -> SimpleITK.Image:
    """The ITK vector image (float32) of a field's displacements in LPS."""
    return to_itk(field.vectors * RAS_TO_LPS, field.lattice)


def checked_field(path: Path, vectors: np.ndarray, ijk_to_ras: np.ndarray) -> DisplacementField:
    """The field of vectors ``(K, J, I, 3)`` in RAS; its errors name the file."""
    lattice = checked_lattice(path, vectors.shape[:3], ijk_to_ras)
    try:
        return DisplacementField(vectors, lattice)
    except FieldError as error:
        msg = f"{path}: {error}"
        raise FileError(msg) from error


def write_displacement_image(path: Path, field: DisplacementField) -> None:
    """Write a field as a vector image, float32. Slicer takes each as a transform."""
    if extension(path) in NIFTI_EXTENSIONS:
        vectors = field.vectors.transpose(2, 1, 0, 3)[:, :, :, None]
        write_nifti(path, vectors, field.lattice.ijk_to_ras, intent=DISPLACEMENT_INTENT)
        return
    image = to_itk_field(field)
    image.SetMetaData("displacement field type", "resampling")
    image.SetMetaData("intent_code", str(DISPLACEMENT_INTENT))
    write_itk(path, image)
