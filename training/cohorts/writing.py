"""Scans as files with a manifest, which :func:`manifest.read_manifest` reads."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from LungDeepRegLib.image_io import write_landmarks, write_volume
from LungDeepRegLib.landmarks import Landmarks
from LungDeepRegLib.results.staging import OutputError, failing_as_output, staged_folder
from LungDeepRegLib.volume import Volume

from .manifest import FIELDS, POINTS

SUFFIXES = dict(zip(POINTS, ("", "_observer_2", "_truth"), strict=True))


@contextmanager
def staged_cohort(out: Path) -> Iterator[Path]:
    """A temporary folder for a cohort's files, which becomes ``out`` at the end; after any error it is gone.

    Raises:
        OutputError: ``out`` isn't empty, is a file, or can't be written.
    """
    if out.is_dir() and any(out.iterdir()):
        msg = f"{out}: found files in this folder, expected an empty one or none"
        raise OutputError(msg)
    with staged_folder(out, ours=lambda name: False) as folder, failing_as_output(out):
        yield folder


def write_scan(
    folder: Path, image: Volume, mask: Volume, landmarks: Mapping[str, Landmarks], fields: Mapping[str, str]
) -> dict[str, str]:
    """Write one scan's files.

    Args:
        folder: Where.
        image: The scan.
        mask: Its lungs.
        landmarks: By the manifest's columns ``landmarks``, ``landmarks_2``, ``landmarks_truth``.
        fields: ``patient`` and ``phase``, after which the files are named, and the manifest's other columns.

    Returns:
        Its line of the manifest.
    """
    name = f"{fields['patient']}_{fields['phase']}"
    row = {**fields, "image": f"{name}.nii.gz", "mask": f"{name}_lungs.nii.gz"}
    write_volume(folder / row["image"], image)
    write_volume(folder / row["mask"], mask)
    for column, points in landmarks.items():
        row[column] = f"{name}{SUFFIXES[column]}.mrk.json"
        write_landmarks(folder / row[column], points)
    return row


def write_manifest(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write a manifest as CSV: one line a scan; fields that a row doesn't have stay empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, FIELDS, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
