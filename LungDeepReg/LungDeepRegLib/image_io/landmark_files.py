"""Files of landmarks: Slicer markups, CSV and elastix point files."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import numpy as np

from ..geometry import Lattice, apply
from ..landmarks import Landmarks
from .files import FileError, existing, extension, reading, unknown_extension, writing
from .markups_files import read_fcsv, read_markups, write_markups
from .point_frames import landmarks_of, point_of, ras

MARKUPS_EXTENSIONS = (".mrk.json", ".json")
ELASTIX_EXTENSIONS = (".txt", ".pts")
READ_EXTENSIONS = (*MARKUPS_EXTENSIONS, ".fcsv", ".csv", *ELASTIX_EXTENSIONS)
WRITTEN_EXTENSIONS = (".mrk.json", ".csv")

CSV_COLUMNS = {("r", "a", "s"): "RAS", ("l", "p", "s"): "LPS", ("x", "y", "z"): "LPS"}
FRAME_COMMENT = re.compile(r"#\s*coordinate\s*system\s*[:=]\s*(\w+)", re.IGNORECASE)


def read_landmarks(path: str | os.PathLike[str], lattice: Lattice | None = None) -> Landmarks:
    """Read landmarks.

    * ``.mrk.json`` (or ``.json``), ``.fcsv``: 3D Slicer, in the frame that the file names; undefined points are left
      out.
    * ``.csv``: a header with the columns r,a,s (RAS) or l,p,s or x,y,z (both LPS, as DICOM, ITK and ANTs have it) and,
      optionally, label; separated by comma, semicolon or tab. A line ``# coordinate system: RAS`` (or LPS) wins over
      the columns' names.
    * ``.txt``, ``.pts``: elastix; ``point`` (LPS mm) or ``index`` (voxel ``i j k``), the count, one point a line.

    Args:
        path: The file.
        lattice: The image that an elastix file of indices belongs to.

    Raises:
        FileError: Missing, damaged or unknown file; no point in it; indices without an image. Names file and line.
    """
    path = existing(path)
    kind = extension(path)
    if kind in MARKUPS_EXTENSIONS:
        return read_markups(path)
    if kind == ".fcsv":
        return read_fcsv(path)
    if kind == ".csv":
        return read_csv(path)
    if kind in ELASTIX_EXTENSIONS:
        return read_elastix_points(path, lattice)
    raise unknown_extension(path, READ_EXTENSIONS)


def write_landmarks(path: str | os.PathLike[str], landmarks: Landmarks) -> None:
    """Write landmarks as .mrk.json (for 3D Slicer) or as .csv with the columns label, r, a, s in mm.

    Raises:
        FileError: Unknown extension, a full disk, a place that isn't writable.
    """
    path = Path(path)
    if extension(path) == ".mrk.json":
        write_markups(path, landmarks)
    elif extension(path) == ".csv":
        write_csv(path, landmarks)
    else:
        raise unknown_extension(path, WRITTEN_EXTENSIONS)


def read_csv(path: Path) -> Landmarks:
    """Landmarks from a table with a header, see :func:`read_landmarks`."""
    with reading(path, "a CSV table"):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    comments = [match for line in lines if (match := FRAME_COMMENT.match(line.strip()))]
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    if not numbered:
        msg = f"{path}: found no table, expected a header with r,a,s or l,p,s or x,y,z, and one point a line"
        raise FileError(msg)
    header = numbered[0][1]
    delimiter = max(",;\t", key=header.count)
    names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter))]
    axes = next((axes for axes in CSV_COLUMNS if set(axes) <= set(names)), None)
    if axes is None:
        msg = f"{path}, line {numbered[0][0]}: found the columns {names}, expected r,a,s or l,p,s or x,y,z among them"
        raise FileError(msg)
    frame = comments[0][1].upper() if comments else CSV_COLUMNS[axes]
    if frame not in ("RAS", "LPS"):
        msg = f"{path}: found the coordinate system {frame!r}, expected RAS or LPS"
        raise FileError(msg)
    points, labels = [], []
    for number, line in numbered[1:]:
        row = dict(zip(names, next(csv.reader([line], delimiter=delimiter)), strict=False))
        points.append(point_of([row.get(axis) for axis in axes], f"{path}, line {number}"))
        labels.append((row.get("label") or "").strip() or str(len(points)))
    return landmarks_of(path, ras(points, frame), labels)


def write_csv(path: Path, landmarks: Landmarks) -> None:
    """Write the table that :func:`read_csv` reads."""
    with writing(path), path.open("w", encoding="utf-8", newline="") as file:
        file.write("# coordinate system: RAS\n")
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["label", "r", "a", "s"])
        for label, point in zip(landmarks.labels, landmarks.points_ras.tolist(), strict=True):
            table.writerow([label, *point])


def read_elastix_points(path: Path, lattice: Lattice | None) -> Landmarks:
    """Landmarks from an elastix or transformix input file (elastix manual, "transformix", option -def)."""
    with reading(path, "elastix points"):
        text = path.read_text(encoding="utf-8-sig")
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    kind = lines[0][1][0].lower() if lines else "nothing"
    if kind not in ("point", "index") or len(lines) < 2 or not lines[1][1][0].isdigit():
        msg = f"{path}, lines 1 and 2: found {kind!r}, expected 'point' or 'index' and the number of points"
        raise FileError(msg)
    points = np.array([point_of(values, f"{path}, line {number}") for number, values in lines[2:]]).reshape(-1, 3)
    if len(points) != int(lines[1][1][0]):
        msg = f"{path}, line {lines[1][0]}: found {len(points)} points, expected {lines[1][1][0]} as announced"
        raise FileError(msg)
    labels = [str(number) for number in range(1, len(points) + 1)]
    if kind == "point":
        return landmarks_of(path, ras(points, "LPS"), labels)
    if lattice is None:
        msg = f"{path}: found voxel indices, expected points in mm or the image that they belong to"
        raise FileError(msg)
    return landmarks_of(path, apply(lattice.ijk_to_ras, points), labels)
