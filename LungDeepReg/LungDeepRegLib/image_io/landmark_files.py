"""Files of landmarks: Slicer markups, CSV, elastix point files, DIR-Lab voxel lists."""

from __future__ import annotations

import csv
import io
import os
import re
from pathlib import Path

from ..geometry import Lattice
from ..landmarks import Landmarks
from .csv_tables import delimiter_of
from .files import FileError, existing, extension, reading, unknown_extension, write_texts
from .markups_files import fcsv_text, markups_text, read_fcsv, read_markups
from .point_frames import landmarks_of, point_of, ras
from .point_lists import PointList
from .point_text_files import dirlab_text, elastix_text, read_point_text

MARKUPS_EXTENSIONS = (".mrk.json", ".json")
TEXT_EXTENSIONS = (".txt", ".pts")
READ_EXTENSIONS = (*MARKUPS_EXTENSIONS, ".fcsv", ".csv", *TEXT_EXTENSIONS)
WRITTEN_EXTENSIONS = (".mrk.json", ".fcsv", ".csv", *TEXT_EXTENSIONS)

CSV_COLUMNS = {("r", "a", "s"): "RAS", ("l", "p", "s"): "LPS", ("x", "y", "z"): "LPS"}
FRAME_COMMENT = re.compile(r"#\s*coordinate\s*system\s*[:=]\s*(\w+)", re.IGNORECASE)
YES = ("1", "true", "yes")


def read_landmarks(path: str | os.PathLike[str], lattice: Lattice | None = None) -> Landmarks:
    """Read landmarks.

    * ``.mrk.json`` (or ``.json``), ``.fcsv``: 3D Slicer, in the frame that the file names; undefined points are left
      out.
    * ``.csv``: a header with the columns r,a,s (RAS) or l,p,s or x,y,z (both LPS, as DICOM, ITK and ANTs have it) and,
      optionally, label; separated by comma, semicolon or tab. A line ``# coordinate system: RAS`` (or LPS) wins over
      the columns' names.
    * ``.txt``, ``.pts``: elastix; ``point`` (LPS mm) or ``index`` (voxel ``i j k``), the count, one point a line. Or
      DIR-Lab: voxels ``x y z`` counted from 1, one a line (see :func:`point_text_files.read_dirlab_points`).

    Args:
        path: The file.
        lattice: The image that a file of voxels belongs to.

    Raises:
        FileError: Missing, damaged or unknown file; no point in it; voxels without an image or outside it. Names file
            and line.
    """
    return read_points(path, lattice).landmarks


def read_points(path: str | os.PathLike[str], lattice: Lattice | None = None) -> PointList:
    """Read landmarks as :func:`read_landmarks` does, with their descriptions and locks."""
    path = existing(path)
    kind = extension(path)
    if kind in MARKUPS_EXTENSIONS:
        return read_markups(path)
    if kind == ".fcsv":
        return read_fcsv(path)
    if kind == ".csv":
        return read_csv(path)
    if kind in TEXT_EXTENSIONS:
        return PointList.plain(read_point_text(path, lattice))
    raise unknown_extension(path, READ_EXTENSIONS)


def write_landmarks(path: str | os.PathLike[str], landmarks: Landmarks, voxels_of: Lattice | None = None) -> None:
    """Write landmarks as .mrk.json or .fcsv (3D Slicer), .csv (columns label, r, a, s in mm), .txt or .pts (elastix).

    Args:
        path: The file, which is replaced if it is there.
        landmarks: The points. Of labels, elastix' and DIR-Lab's files keep only the order.
        voxels_of: With an image, .txt and .pts become voxels of it, as DIR-Lab has them.

    Raises:
        FileError: Unknown extension, a full disk, a place that isn't writable.
    """
    path = Path(path)
    write_texts({path: points_text(path, PointList.plain(landmarks), voxels_of)})


def points_text(path: Path, points: PointList, voxels_of: Lattice | None = None) -> str:
    """What a file of this name holds, see :func:`write_landmarks`."""
    kind = extension(path)
    if kind == ".mrk.json":
        return markups_text(points)
    if kind == ".fcsv":
        return fcsv_text(points)
    if kind == ".csv":
        return csv_text(points)
    if kind in TEXT_EXTENSIONS:
        return elastix_text(points.landmarks) if voxels_of is None else dirlab_text(points.landmarks, voxels_of)
    raise unknown_extension(path, WRITTEN_EXTENSIONS)


def read_csv(path: Path) -> PointList:
    """Landmarks from a table with a header, see :func:`read_landmarks`; also ``description`` and ``locked``."""
    with reading(path, "a CSV table"):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    comments = [match for line in lines if (match := FRAME_COMMENT.match(line.strip()))]
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    if not numbered:
        msg = f"{path}: found no table, expected a header with r,a,s or l,p,s or x,y,z, and one point a line"
        raise FileError(msg)
    header = numbered[0][1]
    delimiter = delimiter_of(header)
    names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter))]
    axes = next((axes for axes in CSV_COLUMNS if set(axes) <= set(names)), None)
    if axes is None:
        msg = f"{path}, line {numbered[0][0]}: found the columns {names}, expected r,a,s or l,p,s or x,y,z among them"
        raise FileError(msg)
    frame = comments[0][1].upper() if comments else CSV_COLUMNS[axes]
    if frame not in ("RAS", "LPS"):
        msg = f"{path}: found the coordinate system {frame!r}, expected RAS or LPS"
        raise FileError(msg)
    points, labels, descriptions, locked = [], [], [], []
    for number, line in numbered[1:]:
        row = dict(zip(names, next(csv.reader([line], delimiter=delimiter)), strict=False))
        points.append(point_of([row.get(axis) for axis in axes], f"{path}, line {number}"))
        labels.append((row.get("label") or "").strip() or str(len(points)))
        descriptions.append(row.get("description") or "")
        locked.append((row.get("locked") or "").strip().lower() in YES)
    return PointList(landmarks_of(path, ras(points, frame), labels), tuple(descriptions), tuple(locked))


def csv_text(points: PointList) -> str:
    """The table that :func:`read_csv` reads; descriptions and locks only where there are any."""
    more = any(points.descriptions) or any(points.locked)
    text = io.StringIO()
    text.write("# coordinate system: RAS\n")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["label", "r", "a", "s", *(["description", "locked"] if more else [])])
    positions = points.landmarks.points_ras.tolist()
    placed = zip(points.landmarks.labels, positions, points.descriptions, points.locked, strict=True)
    for label, position, description, locked in placed:
        table.writerow([label, *position, *([description, str(locked).lower()] if more else [])])
    return text.getvalue()
