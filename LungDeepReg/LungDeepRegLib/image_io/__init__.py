"""Files, to and from volumes, transformations and landmarks."""

from .dicom import DicomSeries, list_dicom_series
from .files import FileError, ImageWarning
from .landmark_files import read_landmarks, write_landmarks
from .review_files import is_pair_table, read_pair_lists, read_pairs, write_pair_lists, write_pairs
from .transform_files import read_transform, write_transform
from .volumes import read_mask, read_volume, write_volume

__all__ = [
    "DicomSeries",
    "FileError",
    "ImageWarning",
    "is_pair_table",
    "list_dicom_series",
    "read_landmarks",
    "read_mask",
    "read_pair_lists",
    "read_pairs",
    "read_transform",
    "read_volume",
    "write_landmarks",
    "write_pair_lists",
    "write_pairs",
    "write_transform",
    "write_volume",
]
