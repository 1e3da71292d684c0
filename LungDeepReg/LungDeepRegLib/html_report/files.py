"""The three files of a report: a page for people, and its figures for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .content import ReportContent, captioned, report_data
from .figures import flattened
from .page import page

REPORT_FILES = {
    "report.html": "the report to keep, to print and to read in a browser: lights, pictures, tables",
    "report.csv": "all of its figures, one a line: table, entry, value; empty where it wasn't measured",
    "report.json": "the same as JSON",
}
COLUMNS = ("table", "entry", "value")


def write_report(folder: Path, content: ReportContent) -> None:
    """Write :data:`REPORT_FILES` into a folder that exists.

    Raises:
        OSError: A full disk or a place that isn't writable.
    """
    data = report_data(content)
    texts = {
        "report.html": page(data, captioned(content)),
        "report.csv": table_of(data),
        "report.json": json.dumps(data, indent=2, allow_nan=False) + "\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def table_of(data: Mapping[str, Any]) -> str:
    """All leaves of the report's data as CSV; what is a list counts from 1 but for rows that have a name."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, part in data.items():
        for path, value in flattened(part):
            writer.writerow([name, path, "" if value is None else value])
    return stream.getvalue()
