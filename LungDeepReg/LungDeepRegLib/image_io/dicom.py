"""DICOM series by SimpleITK (GDCM): what a folder holds, and the volume of one series.

The geometry is computed here from the position of every slice, since ITK's series reader takes distances from the first
two slices and drops gantry tilt.
"""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .files import FileError, ImageWarning, existing, reading, three_axes
from .itk_images import itk_to_ras
from .nifti import smallest_integers
from .slice_stack import StackError, fill_planes, stack_slices

if TYPE_CHECKING:
    import SimpleITK

SERIES_UID, SERIES_NUMBER, DESCRIPTION, MODALITY = "0020|000e", "0020|0011", "0008|103e", "0008|0060"
POSITION, ORIENTATION, PIXEL_SPACING = "0020|0032", "0020|0037", "0028|0030"


@dataclass(frozen=True)
class DicomSeries:
    """One series of a folder.

    Attributes:
        uid: SeriesInstanceUID.
        description: SeriesDescription, empty if the files have none.
        modality: CT, MR, PT, ...
        slices: How many images.
        files: The files, in no particular order.
    """

    uid: str
    description: str
    modality: str
    slices: int
    files: tuple[Path, ...]


@dataclass(frozen=True, eq=False)
class Header:
    """What is needed of one DICOM image before its pixels are read. Positions and directions are LPS mm."""

    path: Path
    uid: str
    series_number: int
    description: str
    modality: str
    size: tuple[int, ...]
    components: int
    position: np.ndarray | None
    orientation: np.ndarray | None
    pixel_spacing: np.ndarray | None


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its preamble, or by its extension if it has none."""
    if path.suffix.lower() in (".dcm", ".ima"):
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:  # whoever reads the file afterwards says why
        return False


def list_dicom_series(folder: str | os.PathLike[str]) -> list[DicomSeries]:
    """The series of images in a folder and its subfolders, sorted by their number in the study.

    Raises:
        FileError: No such folder, or no DICOM image in it.
    """
    return [described_series(headers) for headers in scanned(existing(folder))]


def described_series(headers: Sequence[Header]) -> DicomSeries:
    """The summary of the images of one series."""
    first = headers[0]
    slices = sum(header.size[2] for header in headers)
    return DicomSeries(first.uid, first.description, first.modality, slices, tuple(header.path for header in headers))


def scanned(folder: Path) -> list[list[Header]]:
    """The headers of all images below a folder, one list a series, with a warning about unreadable files."""
    series, unreadable = defaultdict(list), []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name.upper() != "DICOMDIR" and is_dicom(path):
            try:
                header = read_header(path)
            except FileError:
                unreadable.append(path)
            else:
                series[header.uid].append(header)
    if unreadable:
        names = ", ".join(path.name for path in unreadable[:3]) + (", ..." if len(unreadable) > 3 else "")
        msg = f"{folder}: {len(unreadable)} DICOM files hold no readable image and are left out ({names})"
        warnings.warn(msg, ImageWarning, stacklevel=3)
    if not series:
        msg = f"{folder}: found no DICOM image in this folder, expected a series (or give an image file)"
        raise FileError(msg)
    return sorted(series.values(), key=lambda headers: (headers[0].series_number, headers[0].uid))


def read_header(path: Path) -> Header:
    """The header of one DICOM file; a :class:`FileError` if it holds no image."""
    reader = dicom_reader(path)
    with reading(path, "a DICOM image"):
        reader.ReadImageInformation()
        number = text(reader, SERIES_NUMBER)
        return Header(
            path=path,
            uid=text(reader, SERIES_UID),
            series_number=int(number) if number.lstrip("-").isdigit() else 0,
            description=text(reader, DESCRIPTION),
            modality=text(reader, MODALITY),
            size=(*reader.GetSize(), 1)[:3],
            components=reader.GetNumberOfComponents(),
            position=decimals(reader, POSITION, 3),
            orientation=decimals(reader, ORIENTATION, 6),
            pixel_spacing=decimals(reader, PIXEL_SPACING, 2),
        )


def dicom_reader(path: Path) -> SimpleITK.ImageFileReader:
    """A reader that takes nothing but DICOM."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    return reader


def text(reader: SimpleITK.ImageFileReader, tag: str) -> str:
    """A header entry as text, empty if absent; bytes that aren't UTF-8 are shown as question marks."""
    if not reader.HasMetaDataKey(tag):
        return ""
    raw = reader.GetMetaData(tag).encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "replace").strip(" \0")


def decimals(reader: SimpleITK.ImageFileReader, tag: str, count: int) -> np.ndarray | None:
    """A header entry as so many numbers, None if absent."""
    values = text(reader, tag)
    numbers = [float(value) for value in values.split("\\")] if values else []
    return np.array(numbers) if len(numbers) == count else None


def read_dicom(path: Path, series: str | int | None) -> tuple[np.ndarray, np.ndarray]:
    """Voxels ``(K, J, I)`` with slope and intercept applied, and the 4x4 ``ijk_to_ras``, of a folder or one file."""
    headers = chosen(path, scanned(path), series) if path.is_dir() else [read_header(path)]
    several = [header for header in headers if header.size[2] > 1]
    if len(several) == len(headers) == 1:
        return read_multiframe(headers[0].path)
    if several:
        msg = f"{path}: found {len(several)} files of many slices in one series, expected one: give the file itself"
        raise FileError(msg)
    if not path.is_dir():
        msg = f"{path}: found a single slice, expected a volume: give the folder of its series"
        raise FileError(msg)
    return read_slices(path, headers)


def chosen(folder: Path, found: list[list[Header]], series: str | int | None) -> list[Header]:
    """The series that was asked for, or the only one."""
    if series is None and len(found) == 1:
        return found[0]
    key = str(series).strip()
    by_uid = {headers[0].uid: headers for headers in found}
    if key in by_uid:
        return by_uid[key]
    if key.isdigit() and 1 <= int(key) <= len(found):
        return found[int(key) - 1]
    asked = "expected one" if series is None else f"none of them is {key!r}"
    lines = [f"  {number}: {summary(described_series(headers))}" for number, headers in enumerate(found, 1)]
    msg = "\n".join([f"{folder}: found {len(found)} DICOM series, {asked}; choose by number or UID (series):", *lines])
    raise FileError(msg)


def summary(series: DicomSeries) -> str:
    """A series in one line."""
    return f"{series.modality or 'unknown modality'}, {series.slices} slices, {series.description!r}, {series.uid}"


def read_slices(folder: Path, headers: Sequence[Header]) -> tuple[np.ndarray, np.ndarray]:
    """The volume of a series with one slice a file."""
    checked_slices(folder, headers)
    positions = np.array([place(header)[0] for header in headers])
    _, orientation, pixel_spacing = place(headers[0])
    # Files round direction cosines; ITK and others normalise them too.
    row, column = (axis / np.linalg.norm(axis) for axis in (orientation[:3], orientation[3:]))
    try:
        stack = stack_slices(positions, row, column, (pixel_spacing[1], pixel_spacing[0]))
    except StackError as error:
        msg = f"{folder}: {error}"
        raise FileError(msg) from error
    for note in stack.notes:
        warnings.warn(f"{folder}: {note}", ImageWarning, stacklevel=4)
    slices = np.stack([read_pixels(headers[index].path) for index in stack.order])
    return fill_planes(compact(slices), stack), stack.ijk_to_ras


def place(header: Header) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Position ``(3,)``, orientation ``(6,)`` and pixel spacing (between rows, between columns) of a slice."""
    if header.position is None or header.orientation is None or header.pixel_spacing is None:
        msg = f"{header.path}: found no position, orientation or pixel spacing, expected a slice with its place"
        raise FileError(msg)
    return header.position, header.orientation, header.pixel_spacing


def checked_slices(folder: Path, headers: Sequence[Header]) -> None:
    """Raise :class:`FileError` unless all slices are scalar, of one size, parallel and of one pixel spacing."""
    first = headers[0]
    _, orientation, pixel_spacing = place(first)
    for header in headers:
        three_axes(header.path, header.size, header.components)
        _, same_orientation, same_spacing = place(header)
        parallel = np.allclose(same_orientation, orientation, atol=1e-3)
        if header.size != first.size or not parallel or not np.allclose(same_spacing, pixel_spacing):
            msg = (
                f"{folder}: found slices of different size, orientation or pixel spacing in one series"
                f" ({first.path.name} and {header.path.name}), expected one stack: separate them into folders"
            )
            raise FileError(msg)


def read_pixels(path: Path) -> np.ndarray:
    """The pixels ``(J, I)`` of one slice, rescaled by GDCM to the modality's unit (HU)."""
    import SimpleITK as sitk

    with reading(path, "a DICOM image"):
        return sitk.GetArrayFromImage(dicom_reader(path).Execute())[0]


def compact(array: np.ndarray) -> np.ndarray:
    """Integers in the smallest type from int16 on, other numbers as float32."""
    return smallest_integers(array) if array.dtype.kind in "iu" else array.astype(np.float32, copy=False)


def read_multiframe(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The volume of one file with many slices, whose geometry only GDCM knows.

    GDCM gives a spacing of 1 x 1 x 1 mm where it found no regular one, and doesn't see gantry tilt.
    """
    import SimpleITK as sitk

    reader = dicom_reader(path)
    with reading(path, "a DICOM image"):
        reader.ReadImageInformation()
        three_axes(path, reader.GetSize(), reader.GetNumberOfComponents())
        image = reader.Execute()
    if image.GetSpacing() == (1, 1, 1):
        msg = (
            f"{path}: found a spacing of 1 x 1 x 1 mm in a file of many slices, which also stands for an unknown or"
            " irregular one: convert it to NIfTI first"
        )
        raise FileError(msg)
    msg = f"{path}: many slices in one file, whose positions can't be checked here for gaps and gantry tilt"
    warnings.warn(msg, ImageWarning, stacklevel=4)
    return compact(sitk.GetArrayFromImage(image)), itk_to_ras(image)
