"""Files, to and from volumes, transformations and landmarks."""

from .dicom import DicomSeries, list_dicom_series
from .files import FileError, ImageWarning
from .landmark_files import read_landmarks, write_landmarks
from .transform_files import read_transform, write_transform
from .volumes import read_mask, read_volume, write_volume

__all__ = [
    "DicomSeries",
    "FileError",
    "ImageWarning",
    "list_dicom_series",
    "read_landmarks",
    "read_mask",
    "read_transform",
    "read_volume",
    "write_landmarks",
    "write_transform",
    "write_volume",
]
