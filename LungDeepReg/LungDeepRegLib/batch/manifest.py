"""The manifest of a batch: a CSV table, one case a line.

case,fixed,moving,fixed_mask,moving_mask,fixed_landmarks,moving_landmarks
P01,P01/exhale.nii.gz,P01/inhale.nii.gz,,,,
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..image_io.csv_tables import Row, read_table
from ..image_io.files import FileError
from .case import FILES, IMAGES, SERIES, Case, folder_name
from .table import RESERVED

REQUIRED = ("case", *IMAGES)
OPTIONAL = (*FILES[len(IMAGES) :], *SERIES)


def read_manifest(path: str | os.PathLike[str]) -> list[Case]:
    """Read a manifest; relative paths are relative to it.

    A bad line doesn't spoil the others: it becomes a case with a problem.

    Args:
        path: The CSV file, as :func:`image_io.csv_tables.read_table` takes it; columns REQUIRED and OPTIONAL.

    Raises:
        FileError: A manifest that can't be read at all: missing, no table, no case, missing or unknown columns.
    """
    path = Path(path)
    rows = read_table(path, REQUIRED, OPTIONAL)
    if not rows:
        msg = f"{path}: found a header line and nothing below it, expected one case a line"
        raise FileError(msg)
    return unique([case_of(row, path.absolute()) for row in rows])


def case_of(row: Row, path: Path) -> Case:
    """The case of a line, with the first thing that is wrong with it."""
    origin = f"{path.name}, line {row.line}"
    given = {name: row.fields[name] or None for name in (*FILES, *SERIES)}
    inputs = {name: value and (str(path.parent / value) if name in FILES else value) for name, value in given.items()}
    name = row.fields["case"] or f"line {row.line}"
    problem = next(problems(row, inputs), "")
    return Case(name, folder_name(name, RESERVED), origin, inputs, problem and f"{origin}{problem}")


def problems(row: Row, inputs: Mapping[str, str | None]) -> Iterator[str]:
    """What is wrong with a line, each to stand behind the line's name."""
    if row.problem:
        yield f": {row.problem}"
    for name in REQUIRED:
        if not row.fields[name]:
            yield f", {name}: found nothing, expected it to be filled in"
    yield from missing_files(inputs)


def missing_files(inputs: Mapping[str, str | None]) -> Iterator[str]:
    """Files that are named but aren't there, or can't be looked at."""
    for name in FILES:
        path = inputs[name]
        try:
            if path and not Path(path).exists():
                yield f", {name}: {path}: no such file or folder"
        except OSError as error:
            yield f", {name}: {path}: {error.strerror or error}"


def unique(cases: Sequence[Case]) -> list[Case]:
    """The cases; those that would share a folder get that for a problem, all of them, since any may be the wrong one.

    Names that differ in capitals only share one on Windows and macOS.
    """
    sharing: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        sharing[case.folder.lower()].append(case)
    found = []
    for case in cases:
        others = [other for other in sharing[case.folder.lower()] if other is not case]
        if others and not case.problem:
            named = ", ".join(f"{other.name!r} in {other.origin.partition(', ')[2]}" for other in others)
            problem = f"{case.origin}, case: found {case.name!r} here and {named}, expected different names"
            case = replace(case, problem=problem)
        found.append(case)
    return found
