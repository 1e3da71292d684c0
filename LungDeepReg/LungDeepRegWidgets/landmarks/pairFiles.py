"""Pairs from and to files, in the formats of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from LungDeepRegLib.image_io.review_files import (
    is_pair_table,
    read_pair_lists,
    read_pairs,
    write_pair_lists,
    write_pairs,
)
from LungDeepRegLib.landmark_review.pairs import LandmarkPair
from LungDeepRegLib.landmarks import LandmarkError, shortened
from slicer.i18n import tr as _

FORMATS = ("table", ".mrk.json", ".fcsv", ".csv", "elastix", "DIR-Lab")
"""What can be written, in the order of the selector: a table of all pairs, or two lists of points."""
ENDINGS = {"table": ".csv", "elastix": ".txt", "DIR-Lab": ".txt"}
BARE_ENDINGS = (".txt", ".pts")
"""Of files that hold positions alone: not who placed them, and how."""
PARTS = ("fixed", "moving")


def partnerOf(path: str) -> str:
    """The moving points' file that belongs to the fixed points' by its name, if it is there; or empty."""
    file = Path(path)
    for name in (file.name.replace("fixed", "moving"), file.name.replace("Fixed", "Moving")):
        if name != file.name and file.with_name(name).is_file():
            return str(file.with_name(name))
    return ""


def readFiles(fixedFile: str, movingFile: str, lattices: tuple[Any, Any], observer: str) -> list[LandmarkPair]:
    """Pairs of a table, or of a list of fixed and one of moving points.

    Args:
        fixedFile: The table, or the fixed points.
        movingFile: The moving points; not needed for a table.
        lattices: Of the fixed and the moving image, for files that hold voxels.
        observer: Whose pairs they are where the files don't say.

    Raises:
        FileError, LandmarkError: What is there can't be used; the message names it.
    """
    if is_pair_table(fixedFile):
        return read_pairs(fixedFile)
    if not movingFile:
        msg = _("{file}: found the points of one image, expected a file of the moving points besides")
        raise LandmarkError(msg.format(file=Path(fixedFile).name))
    return read_pair_lists(fixedFile, movingFile, lattices, observer=observer)


def isBare(path: str | Path) -> bool:
    """Whether a file holds positions alone, as elastix and DIR-Lab have them."""
    return Path(path).suffix.lower() in BARE_ENDINGS


def targets(folder: str, name: str, kind: str) -> list[Path]:
    """The files that :func:`writeFiles` writes."""
    ending = ENDINGS.get(kind, kind)
    if kind == "table":
        return [Path(folder) / f"{name}{ending}"]
    return [Path(folder) / f"{name}_{part}{ending}" for part in PARTS]


def writeFiles(paths: Sequence[Path], kind: str, pairs: Sequence[LandmarkPair], lattices: tuple[Any, Any]) -> None:
    """Write pairs, all files or none.

    Raises:
        FileError, LandmarkError: What can't be written; the message says why.
    """
    if kind == "table":
        write_pairs(paths[0], pairs)
    else:
        write_pair_lists(paths[0], paths[1], pairs, lattices if kind == "DIR-Lab" else None)


def outside(pairs: Sequence[LandmarkPair], lattices: tuple[Any, Any]) -> str:
    """A warning that names pairs with a point outside their image; empty without any.

    Raises:
        LandmarkError: All points of an image lie outside it: most likely they belong to another one.
    """
    texts = []
    for part, lattice, title in zip(PARTS, lattices, (_("fixed"), _("moving")), strict=True):
        there = [pair for pair in pairs if getattr(pair, f"{part}_ras") is not None]
        points = np.array([getattr(pair, f"{part}_ras") for pair in there]).reshape(-1, 3)
        labels = [pair.label for pair, inside in zip(there, lattice.contains(points), strict=True) if not inside]
        if labels and len(labels) == len(there):
            msg = _("All {count} points of the {image} volume lie outside it: they belong to other images.")
            raise LandmarkError(msg.format(count=len(labels), image=title))
        if labels:
            text = _("Outside the {image} volume: {labels}.")
            texts.append(text.format(image=title, labels=shortened(labels)))
    return " ".join(texts)
