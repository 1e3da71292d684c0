"""From the positions of single slices to one lattice: order, distances, missing slices, gantry tilt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..geometry import LPS_TO_RAS

SAME_POSITION_MM = 0.01
IRREGULAR_FRACTION = 0.05  # of the usual distance between slices; positions are often rounded in the files
SIDEWAYS_LIMIT_MM = 0.1
TILT_LIMIT_DEG = 0.1
MOST_ADDED_FRACTION = 1.0  # at most as many planes made up as slices found


class StackError(ValueError):
    """Slices that don't make one volume."""


@dataclass(frozen=True, eq=False)
class SliceStack:
    """Where the slices of a series are.

    Attributes:
        order: Indices of the slices, sorted along the normal of their planes, ``(N,)``.
        planes_at: Where each sorted slice is on the k axis of the volume, ``(N,)`` from 0 to ``planes - 1``.
        planes: How many planes the regular volume has; more than N where slices are missing.
        ijk_to_ras: 4x4 matrix of the regular volume; sheared if the slices are displaced along their planes.
        notes: What the user should know, one sentence each.
    """

    order: np.ndarray
    planes_at: np.ndarray
    planes: int
    ijk_to_ras: np.ndarray
    notes: tuple[str, ...]

    @property
    def is_regular(self) -> bool:
        """Whether there is one slice for each plane, so that nothing must be interpolated."""
        return is_regular(self.planes_at, self.planes)


def stack_slices(
    positions: np.ndarray, row: np.ndarray, column: np.ndarray, pixel_spacing: tuple[float, float]
) -> SliceStack:
    """The regular volume of parallel slices.

    Args:
        positions: ``(N, 3)`` centre of the first pixel of each slice, LPS mm (ImagePositionPatient), in any order.
        row: Unit direction of growing i, LPS (the first three numbers of ImageOrientationPatient).
        column: Unit direction of growing j, LPS (the last three).
        pixel_spacing: Distance in mm between pixels along i and along j.

    Raises:
        StackError: Fewer than two slices, several at one place, or distances too irregular to be filled in.
    """
    if len(positions) < 2:
        msg = "found a single slice, expected at least 2"
        raise StackError(msg)
    normal = np.cross(row, column)
    order = np.argsort(positions @ normal, kind="stable")
    sorted_positions = positions[order]
    along = (sorted_positions - sorted_positions[0]) @ normal
    planes = plane_count(np.diff(along))
    step = (sorted_positions[-1] - sorted_positions[0]) / (planes - 1)
    planes_at = along / (step @ normal)
    notes = irregular_notes(np.diff(along), planes_at, planes)
    notes += sideways_notes(sorted_positions, planes_at, step, normal)
    matrix = np.eye(4)
    matrix[:3, :3] = np.column_stack([row * pixel_spacing[0], column * pixel_spacing[1], step])
    matrix[:3, 3] = sorted_positions[0]
    return SliceStack(order, planes_at, planes, LPS_TO_RAS @ matrix, tuple(notes))


def plane_count(distances: np.ndarray) -> int:
    """How many equidistant planes are needed for slices of these distances in mm."""
    same = int((distances < SAME_POSITION_MM).sum())
    if same:
        msg = (
            f"found {same} of {len(distances) + 1} slices at the place of another one, expected one slice a place:"
            " the series holds several time points or copies"
        )
        raise StackError(msg)
    slices, usual = len(distances) + 1, float(np.median(distances))
    if np.allclose(distances, usual, rtol=IRREGULAR_FRACTION):
        return slices
    planes = max(round(distances.sum() / usual) + 1, 2)
    if planes - slices > MOST_ADDED_FRACTION * slices:
        msg = f"found {apart(distances)}, expected about equal distances"
        raise StackError(msg)
    return planes


def is_regular(planes_at: np.ndarray, planes: int) -> bool:
    """Whether slices at these places on the k axis are the planes of the volume."""
    return len(planes_at) == planes and np.allclose(planes_at, np.arange(planes), rtol=0, atol=IRREGULAR_FRACTION)


def irregular_notes(distances: np.ndarray, planes_at: np.ndarray, planes: int) -> list[str]:
    """What to say about slices at unequal distances in mm."""
    if is_regular(planes_at, planes):
        return []
    return [
        f"{apart(distances)}: slices are missing or irregular, the volume's {planes} equidistant planes are"
        f" interpolated from the {len(distances) + 1} slices"
    ]


def apart(distances: np.ndarray) -> str:
    """The distances between slices in words."""
    return f"slices {distances.min():.4g} to {distances.max():.4g} mm apart (usually {np.median(distances):.4g} mm)"


def sideways_notes(positions: np.ndarray, planes_at: np.ndarray, step: np.ndarray, normal: np.ndarray) -> list[str]:
    """What to say about slices that aren't stacked straight along their normal."""
    notes = []
    tilt = np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1, 1)))
    if tilt > TILT_LIMIT_DEG:
        notes.append(f"gantry tilt: the slices are stacked {tilt:.3g} degrees off their normal, the volume is sheared")
    off = np.linalg.norm(positions - (positions[0] + planes_at[:, None] * step), axis=1).max()
    if off > SIDEWAYS_LIMIT_MM:
        notes.append(f"slices are displaced by up to {off:.3g} mm from a straight stack, which the volume ignores")
    return notes


def fill_planes(slices: np.ndarray, stack: SliceStack) -> np.ndarray:
    """The planes ``(K, J, I)`` of the volume from its sorted slices ``(N, J, I)``, linear between neighbours."""
    if stack.is_regular:
        return slices
    filled = np.empty((stack.planes, *slices.shape[1:]), slices.dtype)
    for plane in range(stack.planes):
        lower = int(np.clip(np.searchsorted(stack.planes_at, plane, side="right") - 1, 0, len(slices) - 2))
        start, stop = stack.planes_at[lower : lower + 2]
        weight = (plane - start) / (stop - start)
        between = (1 - weight) * slices[lower] + weight * slices[lower + 1]
        filled[plane] = np.round(between) if slices.dtype.kind in "iu" else between
    return filled
