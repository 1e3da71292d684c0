"""Label images as they come from elsewhere: which of their voxels are meant, and where those lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

import numpy as np

from .geometry import index_box
from .volume import Volume


class Marked(TypedDict):
    """What is marked in a label image that holds more: where it has one of the values."""

    labels: Volume
    values: list[int]


def marks(labels: Volume | Marked) -> Iterator[Volume]:
    """What is marked, as bool volumes on the image's own voxels: whatever is greater than 0, or value by value."""
    if isinstance(labels, Volume):
        yield labels.with_array(labels.array > 0)
        return
    image = labels["labels"]
    for value in labels["values"]:
        yield image.with_array(image.array == value)


def name_of(labels: Volume | Marked) -> str:
    """The image's name."""
    return labels.name if isinstance(labels, Volume) else labels["labels"].name


def cropped(marked: Volume) -> Volume | None:
    """What is True in a bool volume, cut to that with a rim of False; None if nothing is."""
    box = labelled_box(marked.array)
    if box is None:
        return None
    array = np.pad(marked.array[box], 1)
    first = np.array([axis.start - 1 for axis in box[::-1]])
    return Volume(array, index_box(marked.lattice, first, np.array(array.shape[::-1])).ijk_to_ras, marked.name)


def labelled_box(labelled: np.ndarray) -> tuple[slice, slice, slice] | None:
    """The least box, along ``(k, j, i)``, around all that is True in ``(K, J, I)``; None if nothing is."""
    in_plane = np.any(labelled, axis=0)
    along = (np.any(labelled, axis=(1, 2)), np.any(in_plane, axis=1), np.any(in_plane, axis=0))
    ends = [np.flatnonzero(axis) for axis in along]
    if not all(found.size for found in ends):
        return None
    k, j, i = (slice(int(found[0]), int(found[-1]) + 1) for found in ends)
    return k, j, i
