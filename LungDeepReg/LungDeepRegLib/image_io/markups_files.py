"""Landmarks as 3D Slicer stores them: .mrk.json, and the older .fcsv."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from ..landmarks import Landmarks
from .files import FileError, reading, writing
from .point_frames import landmarks_of, point_of, ras

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
FCSV_FRAMES = {"0": "RAS", "RAS": "RAS", "1": "LPS", "LPS": "LPS"}
FCSV_STATUS_FIELD = 14  # written, but not named in the file's list of columns


def read_markups(path: Path) -> Landmarks:
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
    return landmarks_of(path, ras(found, frame), labels)


def write_markups(path: Path, landmarks: Landmarks) -> None:
    """Write a Slicer fiducial list, in LPS."""
    markup: dict[str, Any] = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "controlPoints": [
            {"id": str(number), "label": label, "position": position, "positionStatus": "defined"}
            for number, (label, position) in enumerate(
                zip(landmarks.labels, ras(landmarks.points_ras, "LPS").tolist(), strict=True), 1
            )
        ],
    }
    with writing(path):
        path.write_text(json.dumps({"@schema": SCHEMA, "markups": [markup]}, indent=1) + "\n", encoding="utf-8")


def read_fcsv(path: Path) -> Landmarks:
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
    points, labels = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = next(csv.reader([line]))
        if len(fields) > FCSV_STATUS_FIELD and fields[FCSV_STATUS_FIELD] not in ("", "2"):
            continue  # undefined, preview or missing
        named = dict(zip(columns, fields, strict=False))
        points.append(point_of([named.get(axis) for axis in "xyz"], f"{path}, line {number}"))
        labels.append(named.get("label") or str(len(points)))
    return landmarks_of(path, ras(points, FCSV_FRAMES[system]), labels)


def entry(line: str) -> tuple[str, str]:
    """Name (lower case) and value of a header line ``# name = value``."""
    name, value = line.lstrip("#").split("=", 1)
    return name.strip().lower(), value.strip()
