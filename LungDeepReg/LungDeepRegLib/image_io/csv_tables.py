"""Tables that people wrote: CSV with a header line, as spreadsheets leave it."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .files import FileError, existing

DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        line: Its number in the file, counted from 1.
        fields: Each known column's text without blanks around it, empty where it isn't given.
        problem: What is wrong with the line, or nothing.
    """

    line: int
    fields: Mapping[str, str]
    problem: str = ""


def read_table(path: str | os.PathLike[str], required: Sequence[str], optional: Sequence[str]) -> list[Row]:
    """Read a table: separated by comma, semicolon or tab; with or without a byte-order mark; blank lines are left out.

    Args:
        path: The file.
        required: Columns that must be there, in lower case; the header may have them in any case and order.
        optional: Columns that may be there.

    Raises:
        FileError: Missing, not UTF-8, no table, or columns that are missing, unknown or there twice.
    """
    path = existing(Path(path))
    lines = read_text(path).splitlines()
    header = next((line for line in lines if line.strip()), "")
    table = csv.reader(lines, delimiter=delimiter_of(header))
    try:
        rows = [(table.line_num, trimmed(row)) for row in table if trimmed(row)]
    except csv.Error as error:
        msg = f"{path}, line {table.line_num}: can't be read as a CSV table ({error})"
        raise FileError(msg) from error
    if not rows:
        msg = f"{path}: found nothing, expected a header line {','.join((*required, *optional))} and a line for each"
        raise FileError(msg)
    number, names = rows[0][0], [name.lower() for name in rows[0][1]]
    problems = [f"{path}, line {number}: {problem}" for problem in column_problems(names, required, optional)]
    if problems:
        raise FileError("\n".join(problems))
    empty = dict.fromkeys((*required, *optional), "")
    return [Row(line, empty | dict(zip(names, row, strict=False)), too_long(row, names)) for line, row in rows[1:]]


def delimiter_of(header: str) -> str:
    """What parts the columns of a table, by its first line."""
    return max(DELIMITERS, key=header.count)


def read_text(path: Path) -> str:
    """The text of a file; a :class:`FileError` if it can't be read or isn't UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path}: found bytes that aren't UTF-8 at byte {error.start}, expected UTF-8 (save it as 'CSV UTF-8')"
        raise FileError(msg) from error
    except OSError as error:
        msg = f"{path}: can't be read ({error.strerror or error})"
        raise FileError(msg) from error


def trimmed(row: Sequence[str]) -> list[str]:
    """The cells without blanks around them, and without the empty ones at the end, which spreadsheets like to add."""
    cells = [cell.strip() for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def too_long(row: Sequence[str], names: Sequence[str]) -> str:
    """What is wrong with a row that has more cells than there are columns."""
    if len(row) <= len(names):
        return ""
    return f"found {len(row)} fields, expected at most {len(names)}: {', '.join(names)}"


def column_problems(names: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> Iterator[str]:
    """What is wrong with the names of columns."""
    known = (*required, *optional)
    unknown = [name for name in names if name not in known]
    if unknown:
        yield f"found the unknown {', '.join(map(repr, unknown))}, expected of {', '.join(known)}"
    missing = [name for name in required if name not in names]
    if missing:
        yield f"found no {', '.join(missing)}, expected {', '.join(required)} and, optionally, {', '.join(optional)}"
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        yield f"found {', '.join(twice)} twice, expected each name once"
