"""Files of transformations, and displacement fields.

All hold the same map in ITK's sense: T(LPS(x)) = LPS(phi(x)), from the fixed image to the moving image.
"""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..displacement_field import DisplacementField
from ..geometry import LPS_TO_RAS, Lattice, apply, corner_indices, covering_lattice
from . import itk_images, nifti
from .displacement_images import from_itk_field, read_displacement_image, to_itk_field, write_displacement_image
from .files import FileError, ImageWarning, existing, extension, reading, unknown_extension, writing
from .itk_images import itk_geometry

if TYPE_CHECKING:
    import SimpleITK

ITK_EXTENSIONS = (".h5", ".hdf5", ".tfm", ".txt", ".mat", ".xfm")
IMAGE_EXTENSIONS = (*nifti.EXTENSIONS, *itk_images.EXTENSIONS)
WRITTEN_EXTENSIONS = (".h5", *nifti.EXTENSIONS, *itk_images.WRITTEN_EXTENSIONS)

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
SAMPLED_NODES = 16_000_000  # 192 MB of vectors
SAMPLED_SPACING_MM = 2.0
LINEAR_SPACING_MM = 10.0
MARGIN_MM = 10.0
SAMPLING_TOLERANCE_MM = 0.1


def write_transform(path: str | os.PathLike[str], field: DisplacementField) -> None:
    """Write a field as .h5 (ITK transform) or as .nii.gz, .nii, .nrrd or .mha (vector image).

    ITK's .h5 holds a DisplacementFieldTransform in double precision, without compression: 24 bytes a node, and while it
    is written SimpleITK holds it twice (a field of 512 x 512 x 300 nodes: 1.9 GB on disk, 4 GB in memory). The vector
    images are float32 and compressed. Outside the field's lattice ITK applies no displacement, whereas this project
    and 3D Slicer go on with the border value: a field should enclose the fixed image.

    Raises:
        FileError: Unknown extension, a full disk, a place that isn't writable.
    """
    path = Path(path)
    if extension(path) not in WRITTEN_EXTENSIONS:
        raise unknown_extension(path, WRITTEN_EXTENSIONS)
    if extension(path) != ".h5":
        write_displacement_image(path, field)
        return
    import SimpleITK as sitk

    with writing(path):
        check_space(path, 8 * field.vectors.size)
        # The float32 image is gone before the file is written, the transform takes over the double one without a copy.
        transform = sitk.DisplacementFieldTransform(sitk.Cast(to_itk_field(field), sitk.sitkVectorFloat64))
        sitk.WriteTransform(transform, str(path))


def check_space(path: Path, needed: int) -> None:
    """Raise :class:`FileError` if the disk can't take so many bytes.

    HDF5 has its place before its content: what it leaves behind on a full disk reads as a displacement of zero.
    """
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        msg = f"{path}: can't be written, found {free / 1e6:.0f} MB free on the disk, expected {needed / 1e6:.0f} MB"
        raise FileError(msg)


def read_transform(path: str | os.PathLike[str], fixed: Lattice) -> DisplacementField:
    """Read a transformation from the fixed to the moving image.

    ITK transforms (.h5, .tfm, .txt, .mat, .xfm: ANTs, 3D Slicer, SimpleITK) and displacement fields (.nii, .nii.gz
    with intent 1006, .nrrd, .nhdr, .mha, .mhd). A displacement field keeps its own lattice. Anything else (affine,
    B-spline, composite) is sampled on a lattice that encloses the fixed image.

    Args:
        path: The file.
        fixed: The fixed image's lattice.

    Raises:
        FileError: Missing, damaged or unknown file; not 3D; vectors of unknown meaning.

    Warns:
        ImageWarning: The field ends within the fixed image, or sampling it wasn't accurate.
    """
    path = existing(path)
    if extension(path) in IMAGE_EXTENSIONS:
        field = read_displacement_image(path)
    elif extension(path) in ITK_EXTENSIONS:
        field = field_of(path, read_itk_transform(path), fixed)
    else:
        raise unknown_extension(path, (*ITK_EXTENSIONS, *IMAGE_EXTENSIONS))
    corners = apply(fixed.ijk_to_ras, corner_indices(fixed.shape))
    if not field.lattice.contains(corners).all():
        msg = f"{path}: the field ends within the fixed image; outside it the displacement of its border goes on"
        warnings.warn(msg, ImageWarning, stacklevel=2)
    return field


def read_itk_transform(path: Path) -> SimpleITK.Transform:
    """A 3D transform as SimpleITK reads it; of a composite with a single part, that part."""
    import SimpleITK as sitk

    with path.open("rb") as file:
        start = file.read(4096)
    if extension(path) in (".h5", ".hdf5") and not start.startswith(HDF5_SIGNATURE):
        msg = f"{path}: found no HDF5 file, expected an ITK transform"
        raise FileError(msg)
    if b"(Transform " in start:
        msg = f"{path}: found elastix parameters, expected an ITK transform: let transformix write a deformation field"
        raise FileError(msg)
    with reading(path, "an ITK transform"):
        try:
            transform = sitk.ReadTransform(str(path))
        except RuntimeError as error:
            if "Inverse" not in str(error):
                raise
            msg = f"{path}: found an inverse transform, which only 3D Slicer knows: save it as a displacement field"
            raise FileError(msg) from error
        if transform.GetTransformEnum() == sitk.sitkComposite:
            composite = sitk.CompositeTransform(transform)
            if composite.GetNumberOfTransforms() == 1:
                transform = composite.GetNthTransform(0)
    if transform.GetDimension() != 3:
        msg = f"{path}: found a {transform.GetDimension()}D transform, expected a 3D one"
        raise FileError(msg)
    return transform


def field_of(path: Path, transform: SimpleITK.Transform, fixed: Lattice) -> DisplacementField:
    """The field of an ITK transform: its own if it is one, otherwise sampled on a lattice that encloses ``fixed``."""
    import SimpleITK as sitk

    if transform.GetTransformEnum() == sitk.sitkDisplacementField:
        return from_itk_field(path, sitk.DisplacementFieldTransform(transform).GetDisplacementField())
    lattice = covering_lattice(fixed, sampling_spacing_mm(transform, fixed), MARGIN_MM)
    geometry = itk_geometry(lattice)
    with reading(path, "an ITK transform"):
        image = sitk.TransformToDisplacementField(
            transform,
            sitk.sitkVectorFloat32,
            lattice.shape[::-1],
            geometry["origin"],
            geometry["spacing"],
            geometry["direction"],
        )
    field = from_itk_field(path, image)
    error = sampling_error_mm(transform, field, fixed)
    if error > SAMPLING_TOLERANCE_MM:
        msg = (
            f"{path}: sampled every {lattice.spacing_mm[0]:.3g} mm, the transform is met to {error:.2g} mm only (the"
            " largest of 1000 random points)"
        )
        warnings.warn(msg, ImageWarning, stacklevel=3)
    return field


def sampling_spacing_mm(transform: SimpleITK.Transform, fixed: Lattice) -> float:
    """The distance of nodes: coarse where the map is affine, since interpolation between them is exact then."""
    if transform.IsLinear():
        return LINEAR_SPACING_MM
    volume_mm3 = fixed.voxel_volume_mm3 * np.prod(fixed.shape)
    return max(min(SAMPLED_SPACING_MM, fixed.spacing_mm.min()), (volume_mm3 / SAMPLED_NODES) ** (1 / 3))


def sampling_error_mm(transform: SimpleITK.Transform, field: DisplacementField, fixed: Lattice) -> float:
    """The largest distance between a transform and its sampled field, at 1000 random points of the fixed image."""
    points = apply(fixed.grid_to_ras, np.random.default_rng(0).uniform(-1, 1, (1000, 3)))
    exact = [transform.TransformPoint(point) for point in apply(LPS_TO_RAS, points).tolist()]
    return float(np.linalg.norm(apply(LPS_TO_RAS, np.array(exact)) - field(points), axis=1).max())
