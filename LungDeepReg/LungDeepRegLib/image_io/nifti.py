"""NIfTI by nibabel, which keeps sheared matrices and tells which of sform and qform is set."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .files import FileError, ImageWarning, extension, reading, three_axes, writing

if TYPE_CHECKING:
    import nibabel

EXTENSIONS = (".nii", ".nii.gz")
SHEAR_LIMIT = 1e-5  # cosine between axes: 5 micrometres over 500 mm


def load_nifti(path: Path) -> nibabel.Nifti1Image:
    """Header and matrix of a NIfTI file; the voxels are read later. Warns if the file doesn't say where it is."""
    import nibabel

    with reading(path, "NIfTI"):
        image: Any = nibabel.load(path, mmap=False)
        codes = int(image.header["sform_code"]), int(image.header["qform_code"])
    if codes == (0, 0):
        msg = f"{path}: neither sform nor qform is set, so left and right are assumed from the order of the voxels only"
        warnings.warn(msg, ImageWarning, stacklevel=2)
    return image


def read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels ``(K, J, I)`` with slope and intercept applied, and the 4x4 ``ijk_to_ras`` (sform before qform)."""
    image = load_nifti(path)
    if image.get_data_dtype().fields:
        msg = f"{path}: found a colour image {image.get_data_dtype().names}, expected one scalar 3D image"
        raise FileError(msg)
    shape = image.shape
    components = shape[4] if len(shape) == 5 and shape[3] == 1 else 1
    spatial = three_axes(path, shape[:3] if components > 1 else shape, components)
    return stored_values(path, image).reshape(spatial, order="F").T, image.affine


def stored_values(path: Path, image: nibabel.Nifti1Image) -> np.ndarray:
    """The values ``(I, J, K, ...)`` of a NIfTI file, rescaled, in the machine's byte order, which torch insists on."""
    proxy: Any = image.dataobj
    with reading(path, "NIfTI"):
        raw = proxy.get_unscaled()
        return scaled(raw.astype(raw.dtype.newbyteorder("="), copy=False), proxy.slope, proxy.inter)


def scaled(raw: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """``slope * raw + intercept``: whole numbers stay whole, in the smallest type that holds them, others get float."""
    if (slope, intercept) == (1, 0):
        return raw
    if raw.dtype.kind in "iu" and float(slope).is_integer() and float(intercept).is_integer():
        ends = [int(end) * int(slope) + int(intercept) for end in (raw.min(), raw.max(), 0)]
        wide = np.int32 if raw.dtype.itemsize <= 2 and max(map(abs, ends)) < 2**31 else np.int64
        return smallest_integers(raw.astype(wide) * int(slope) + int(intercept))
    # A float32 holds a 16-bit value times a slope; wider integers are computed in float64.
    return raw.astype(np.result_type(raw.dtype, np.float32)) * slope + intercept


def smallest_integers(array: np.ndarray) -> np.ndarray:
    """Integers as int16, which is what HU need, or else as the smallest wider type that holds them."""
    low, high = int(array.min()), int(array.max())
    fits = (t for t in (np.int16, np.int32, np.int64) if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
    return array.astype(next(fits), copy=False)


def write_nifti(path: Path, data: np.ndarray, ijk_to_ras: np.ndarray, *, intent: int | None = None) -> None:
    """Write voxels ``(I, J, K, ...)``, with sform and qform of code 1 (scanner coordinates).

    A sheared matrix is written as sform only, since a qform can't hold it: then no reader takes a wrong one.
    """
    import nibabel

    image = nibabel.Nifti1Image(data, ijk_to_ras)
    image.set_sform(ijk_to_ras, code=1)
    image.set_qform(ijk_to_ras, code=0 if is_sheared(ijk_to_ras) else 1)
    image.header.set_xyzt_units("mm")
    if intent is not None:
        image.header.set_intent(intent)
    with writing(path):
        if extension(path) == ".nii":
            nibabel.save(image, path)
            return
        with path.open("wb") as file:
            file.writelines(compressed(image))


def compressed(image: nibabel.Nifti1Image) -> Iterator[bytes]:
    """A .nii.gz file, part by part, at gzip's quickest level.

    Only scalars that aren't whole numbers are searched for strings that recur. Elsewhere there are noise and runs: to
    look for runs alone takes half the time, or for vectors a third, and makes files of the same size within a tenth.
    """
    data: Any = image.dataobj
    smooth = data.ndim == 3 and data.dtype.kind == "f"
    strategy = zlib.Z_DEFAULT_STRATEGY if smooth else zlib.Z_RLE
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, strategy)
    image.update_header()
    image.header.set_data_offset(image.header.single_vox_offset)
    image.header.set_slope_inter(1, 0)
    yield packer.compress(image.header.binaryblock + bytes(4))  # no extensions
    for part in data.T:
        yield packer.compress(np.ascontiguousarray(part).data)
    yield packer.flush()


def is_sheared(ijk_to_ras: np.ndarray) -> bool:
    """Whether the axes of a 4x4 index-to-world matrix aren't at right angles."""
    unit = ijk_to_ras[:3, :3] / np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    return bool(np.abs(unit.T @ unit - np.eye(3)).max() > SHEAR_LIMIT)
