"""Points as plain text without labels: elastix' point files, and DIR-Lab's voxel lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..geometry import Lattice, apply
from ..landmarks import Landmarks
from .files import FileError, described, reading
from .point_frames import landmarks_of, point_of, ras

FIRST_VOXEL = 1
"""DIR-Lab counts voxels from here."""
VOXEL_DECIMALS = 6

Lines = list[tuple[int, list[str]]]
"""Lines that aren't empty, as words, with their number in the file."""


def read_point_text(path: Path, lattice: Lattice | None) -> Landmarks:
    """Landmarks from elastix (begins with ``point`` or ``index``) or DIR-Lab (three numbers a line)."""
    with reading(path, "points"):
        text = path.read_text(encoding="utf-8-sig")
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if lines and is_number(lines[0][1][0]):
        return read_dirlab_points(path, lines, lattice)
    return read_elastix_points(path, lines, lattice)


def is_number(word: str) -> bool:
    """Whether a word is one."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def read_elastix_points(path: Path, lines: Lines, lattice: Lattice | None) -> Landmarks:
    """Landmarks from an elastix or transformix input file (elastix manual, "transformix", option -def)."""
    kind = lines[0][1][0].lower() if lines else "nothing"
    if kind not in ("point", "index") or len(lines) < 2 or not lines[1][1][0].isdigit():
        msg = (
            f"{path}, lines 1 and 2: found {kind!r}, expected 'point' or 'index' and the number of points (elastix), or"
            " a voxel x y z in each line (DIR-Lab)"
        )
        raise FileError(msg)
    points = np.array([point_of(values, f"{path}, line {number}") for number, values in lines[2:]]).reshape(-1, 3)
    if len(points) != int(lines[1][1][0]):
        msg = f"{path}, line {lines[1][0]}: found {len(points)} points, expected {lines[1][1][0]} as announced"
        raise FileError(msg)
    if kind == "point":
        return landmarks_of(path, ras(points, "LPS"), counted(len(points)))
    return at_voxels(path, points, [number for number, _ in lines[2:]], lattice, first=0)


def elastix_text(landmarks: Landmarks) -> str:
    """The points in LPS mm, as elastix and transformix read them. Labels have no place there."""
    points = ras(landmarks.points_ras, "LPS").tolist()
    return "".join(["point\n", f"{len(points)}\n", *(f"{x!r} {y!r} {z!r}\n" for x, y, z in points)])


def read_dirlab_points(path: Path, lines: Lines, lattice: Lattice | None) -> Landmarks:
    """Landmarks from lines ``x y z``: voxels along (i, j, k) as they are stored in the image, counted from 1.

    DIR-Lab's images store the patient's right, front and top first: x counts towards left, y towards the back, z
    downwards. An image whose slices were turned round on the way to another format needs voxels that were turned, too.
    """
    points = np.array([point_of(values[:3], f"{path}, line {number}") for number, values in lines])
    return at_voxels(path, points, [number for number, _ in lines], lattice, first=FIRST_VOXEL)


def dirlab_text(landmarks: Landmarks, lattice: Lattice) -> str:
    """The points as voxels of their image, as :func:`read_dirlab_points` reads them. Labels have no place there.

    DIR-Lab's own points are whole voxels, which are written as such; others keep their decimals.
    """
    voxels = apply(lattice.ras_to_ijk, landmarks.points_ras) + FIRST_VOXEL
    return "".join("\t".join(voxel_text(value) for value in voxel) + "\n" for voxel in voxels.tolist())


def voxel_text(value: float) -> str:
    """A coordinate without needless zeros."""
    return f"{round(value, VOXEL_DECIMALS) + 0.0:.{VOXEL_DECIMALS}f}".rstrip("0").rstrip(".")


def at_voxels(
    path: Path, voxels: np.ndarray, line_numbers: list[int], lattice: Lattice | None, first: int
) -> Landmarks:
    """Landmarks at voxels ``(N, 3)`` of an image, in ``(i, j, k)`` counted from ``first``.

    Raises:
        FileError: No image, or a voxel that it doesn't have.
    """
    if lattice is None:
        msg = f"{path}: found voxel indices, expected points in mm or the image that they belong to"
        raise FileError(msg)
    points = apply(lattice.ijk_to_ras, voxels - first)
    outside = ~lattice.contains(points)
    if outside.any():
        wrong = int(np.argmax(outside))
        last = " ".join(str(n - 1 + first) for n in lattice.shape[::-1])
        msg = (
            f"{path}, line {line_numbers[wrong]}: found the voxel {' '.join(map(voxel_text, voxels[wrong]))}, expected"
            f" {first} {first} {first} to {last} in the image of {described(lattice)}"
        )
        raise FileError(msg)
    return landmarks_of(path, points, counted(len(points)))


def counted(count: int) -> list[str]:
    """Labels for points without any."""
    return [str(number) for number in range(1, count + 1)]
