"""Landmarks as 3D Slicer stores them: .mrk.json, and the older .fcsv."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from .files import FileError, reading
from .point_frames import landmarks_of, point_of, ras
from .point_lists import PointList

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
FCSV_FRAMES = {"0": "RAS", "RAS": "RAS", "1": "LPS", "LPS": "LPS"}
FCSV_STATUS_FIELD = 14  # written, but not named in the file's list of columns
FCSV_HEAD = """# Markups fiducial file version = 5.0
# CoordinateSystem = LPS
# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
"""


def read_markups(path: Path) -> PointList:
    """The defined points of the one markup in a .mrk.json file, in the frame that it names (LPS if it names none)."""
    with reading(path, "Slicer markups"):
        content = json.loads(path.read_text(encoding="utf-8"))
        markups = content["markups"]
        if len(markups) != 1:
            msg = f"{path}: found {len(markups)} markups, expected one list of points"
            raise FileError(msg)
        markup = markups[0]
        frame = markup.get("coordinateSystem", "LPS")
        units = markup.get("coordinateUnits", "mm")
        points = [p for p in markup.get("controlPoints", []) if p.get("positionStatus", "defined") == "defined"]
    if frame not in ("LPS", "RAS"):
        msg = f"{path}: found the coordinate system {frame!r}, expected LPS or RAS"
        raise FileError(msg)
    if (units if isinstance(units, str) else units[0]) != "mm":
        msg = f"{path}: found coordinates in {units!r}, expected mm"
        raise FileError(msg)
    labels = [str(point.get("label") or number) for number, point in enumerate(points, 1)]
    found = [
        point_of(point.get("position"), f"{path}, point {label}") for point, label in zip(points, labels, strict=True)
    ]
    descriptions = tuple(str(point.get("description") or "") for point in points)
    all_locked = bool(markup.get("locked"))
    locked = tuple(all_locked or bool(point.get("locked")) for point in points)
    return PointList(landmarks_of(path, ras(found, frame), labels), descriptions, locked)


def markups_text(points: PointList) -> str:
    """A Slicer fiducial list, in LPS."""
    landmarks = points.landmarks
    markup: dict[str, Any] = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "controlPoints": [
            {
                "id": str(number),
                "label": label,
                "description": description,
                "position": position,
                "locked": locked,
                "positionStatus": "defined",
            }
            for number, (label, description, position, locked) in enumerate(
                zip(
                    landmarks.labels,
                    points.descriptions,
                    ras(landmarks.points_ras, "LPS").tolist(),
                    points.locked,
                    strict=True,
                ),
                1,
            )
        ],
    }
    return json.dumps({"@schema": SCHEMA, "markups": [markup]}, indent=1) + "\n"


def read_fcsv(path: Path) -> PointList:
    """The defined points of an .fcsv file of any version of Slicer.

    Its header names the columns and the frame: 0 or RAS, 1 or LPS; files without (Slicer 3) are RAS.
    """
    with reading(path, "Slicer fiducials"):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    header = dict(entry(line) for line in lines if line.startswith("#") and "=" in line)
    system = header.get("coordinatesystem", "RAS").upper()
    if system not in FCSV_FRAMES:
        msg = f"{path}: found the coordinate system {system!r}, expected 0, RAS, 1 or LPS"
        raise FileError(msg)
    columns = [name.strip() for name in header.get("columns", "label,x,y,z,sel,vis").split(",")]
    missing = {"x", "y", "z"} - set(columns)
    if missing:
        msg = f"{path}: found the columns {', '.join(columns)}, expected x, y and z among them"
        raise FileError(msg)
    points, labels, descriptions, locked = [], [], [], []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = next(csv.reader([line]))
        if len(fields) > FCSV_STATUS_FIELD and fields[FCSV_STATUS_FIELD] not in ("", "2"):
            continue  # undefined, preview or missing
        named = dict(zip(columns, fields, strict=False))
        points.append(point_of([named.get(axis) for axis in "xyz"], f"{path}, line {number}"))
        labels.append(named.get("label") or str(len(points)))
        descriptions.append(named.get("desc") or "")
        locked.append(named.get("lock") == "1")
    found = landmarks_of(path, ras(points, FCSV_FRAMES[system]), labels)
    return PointList(found, tuple(descriptions), tuple(locked))


def fcsv_text(points: PointList) -> str:
    """A Slicer fiducial list in the format before .mrk.json, in LPS."""
    text = io.StringIO(FCSV_HEAD)
    text.seek(0, io.SEEK_END)
    table = csv.writer(text, lineterminator="\n")
    placed = zip(
        points.landmarks.labels,
        points.descriptions,
        ras(points.landmarks.points_ras, "LPS").tolist(),
        points.locked,
        strict=True,
    )
    for number, (label, description, position, locked) in enumerate(placed, 1):
        table.writerow([number, *position, 0, 0, 0, 1, 1, 1, int(locked), label, description, "", 2, 0])
    return text.getvalue()


def entry(line: str) -> tuple[str, str]:
    """Name (lower case) and value of a header line ``# name = value``."""
    name, value = line.lstrip("#").split("=", 1)
    return name.strip().lower(), value.strip()
