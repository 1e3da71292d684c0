"""A manifest: the user's own files, listed in a CSV or JSON file.

patient,phase,image,mask,landmarks,label,split
P01,exhale,P01/exhale.nii.gz,P01/exhale_lungs.nii.gz,P01/exhale.mrk.json,ILD,train
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from LungDeepRegLib.image_io import FileError, read_landmarks, read_volume
from LungDeepRegLib.image_io import landmark_files as points
from LungDeepRegLib.image_io.csv_tables import column_problems, read_table
from LungDeepRegLib.image_io.files import extension
from LungDeepRegLib.landmarks import Landmarks

from .file_headers import image_lattice, image_problems
from .scan import SPLITS, Cohort, CohortError, Scan, raise_problems, scan_problems
from .text_files import read_json

REQUIRED = ("patient", "phase", "image")
POINTS = ("landmarks", "landmarks_2", "landmarks_truth")
OPTIONAL = ("mask", *POINTS, "label", "split", "synthetic")
FIELDS = (*REQUIRED, *OPTIONAL)
YES, NO = "yes", "no"


@dataclass(frozen=True)
class Entry:
    """One line of a CSV, or one object of a JSON file: every field as text, empty where it isn't given."""

    origin: str
    fields: Mapping[str, str]


def read_manifest(path: str | os.PathLike[str]) -> Cohort:
    """Read a manifest; relative paths are relative to it.

    A CSV file (separated by comma, semicolon or tab; with or without a byte-order mark) has a header line; a JSON file
    holds a list of objects, or ``{"scans": [...]}``. Columns or names: patient, phase, image (required), mask,
    landmarks, landmarks_2 (a second observer's), landmarks_truth (where it is known), label, split (``train`` or
    ``validation``), synthetic (``yes`` where the scan was computed).

    Args:
        path: The ``.csv`` or ``.json`` file.

    Raises:
        CohortError: All that is wrong with the manifest at once, each with line or entry and field: unknown or missing
            columns, empty required fields, files that are missing or of another kind, a mask on another grid than its
            image, a phase twice in one patient, an image under two patients, two splits for a patient.
    """
    path = Path(path)
    entries = list(json_entries(path) if path.suffix.lower() == ".json" else csv_entries(path))
    problems = [problem for entry in entries for problem in entry_problems(entry, path.parent)]
    scans = [scan_of(entry, path.parent) for entry in entries if all(entry.fields[name] for name in REQUIRED)]
    problems += [*scan_problems(scans), *split_problems(entries)]
    raise_problems(str(path), problems)
    split = {entry.fields["patient"]: entry.fields["split"] for entry in entries if entry.fields["split"]}
    return Cohort(str(path), tuple(scans), split=split)


def csv_entries(path: Path) -> Iterator[Entry]:
    """The lines of a CSV manifest; a :class:`CohortError` for a table whose lines can't be told apart into fields."""
    try:
        rows = read_table(path, REQUIRED, OPTIONAL)
    except FileError as error:
        raise CohortError(str(error)) from error
    raise_problems(str(path), [f"line {row.line}: {row.problem}" for row in rows if row.problem])
    for row in rows:
        yield Entry(f"{path.name}, line {row.line}", row.fields)


def json_entries(path: Path) -> list[Entry]:
    """The objects of a JSON manifest."""
    content = read_json(path)
    if isinstance(content, dict) and set(content) == {"scans"}:
        content = content["scans"]
    if not isinstance(content, list) or not content:
        found = f"an object with {sorted(content)}" if isinstance(content, dict) else f"{content!r:.60}"
        msg = f'{path}: found {found}, expected a list of scans that isn\'t empty, or {{"scans": [...]}}'
        raise CohortError(msg)
    problems = []
    for number, item in enumerate(content, 1):
        problems += [f"entry {number}: {problem}" for problem in object_problems(item)]
    raise_problems(str(path), problems)
    return [
        Entry(f"{path.name}, entry {number}", {name: text_of(item.get(name)) for name in FIELDS})
        for number, item in enumerate(content, 1)
    ]


def object_problems(item: Any) -> Iterator[str]:
    """What is wrong with one object of a JSON manifest, whatever its fields say."""
    if not isinstance(item, dict):
        yield f"found {item!r:.60}, expected an object with {', '.join(REQUIRED)}"
        return
    yield from column_problems(list(item), REQUIRED, OPTIONAL)
    for name, value in item.items():
        if (name in FIELDS and not (value is None or isinstance(value, str | int))) or isinstance(value, bool):
            yield f"{name}: found {value!r:.60}, expected text"


def text_of(value: str | int | None) -> str:
    """A field of a JSON object as text; patients may be numbers."""
    return "" if value is None else str(value).strip()


def entry_problems(entry: Entry, folder: Path) -> Iterator[str]:
    """What is wrong with one scan, as far as its fields and the headers of its files say."""
    fields = entry.fields
    for name in REQUIRED:
        if not fields[name]:
            yield f"{entry.origin}, {name}: found nothing, expected it to be filled in"
    if fields["split"] not in ("", *SPLITS):
        yield f"{entry.origin}, split: found {fields['split']!r}, expected {' or '.join(SPLITS)}, or nothing"
    if fields["image"]:
        yield from image_problems(
            entry.origin, folder / fields["image"], folder / fields["mask"] if fields["mask"] else None
        )
    if fields["synthetic"] not in ("", YES, NO):
        yield f"{entry.origin}, synthetic: found {fields['synthetic']!r}, expected {YES} or {NO}, or nothing"
    for name in POINTS:
        if fields[name]:
            yield from points_problems(f"{entry.origin}, {name}", folder / fields[name])


def points_problems(origin: str, path: Path) -> Iterator[str]:
    """What is wrong with a file of landmarks, as far as its name says."""
    if not path.is_file():
        yield f"{origin}: {path}: no such file"
    elif extension(path) not in points.READ_EXTENSIONS:
        kinds = ", ".join(points.READ_EXTENSIONS)
        yield f"{origin}: {path}: found {extension(path) or 'no extension'}, expected one of {kinds}"


def split_problems(entries: Sequence[Entry]) -> Iterator[str]:
    """Patients whose scans are in different splits."""
    seen: dict[str, Entry] = {}
    for entry in entries:
        patient, split = entry.fields["patient"], entry.fields["split"]
        if not split:
            continue
        first = seen.setdefault(patient, entry)
        if first.fields["split"] != split:
            yield (
                f"{first.origin}; {entry.origin}, split: found patient {patient} in {first.fields['split']} and in"
                f" {split}, expected all scans of a patient in one split"
            )


def scan_of(entry: Entry, folder: Path) -> Scan:
    """The scan that an entry describes."""
    fields = entry.fields
    image = folder / fields["image"]
    first, second, true = (
        partial(landmarks_of_image, folder / fields[name], image) if fields[name] else None for name in POINTS
    )
    return Scan(
        patient=fields["patient"],
        phase=fields["phase"],
        origin=entry.origin,
        image=partial(read_volume, image),
        lungs=partial(read_volume, folder / fields["mask"]) if fields["mask"] else None,
        landmarks=first,
        label=fields["label"],
        file=image,
        second_landmarks=second,
        true_landmarks=true,
        synthetic=fields["synthetic"] == YES,
    )


def landmarks_of_image(path: Path, image: Path) -> Landmarks:
    """Read landmarks; elastix' and DIR-Lab's files (.txt, .pts) may count voxels of the image."""
    indices = extension(path) in points.TEXT_EXTENSIONS
    return read_landmarks(path, image_lattice(image) if indices else None)
