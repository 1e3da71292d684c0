"""Text and JSON as the readers of cohorts need them: UTF-8, with errors that say where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from LungDeepRegLib.image_io import FileError, csv_tables

from .scan import CohortError


def read_text(path: Path) -> str:
    """The text of a file; a :class:`CohortError` if it is missing or isn't UTF-8."""
    try:
        return csv_tables.read_text(path)
    except FileError as error:
        raise CohortError(str(error)) from error


def read_json(path: Path) -> Any:
    """The content of a JSON file; a :class:`CohortError` that names line and column if it isn't JSON."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        msg = f"{path}, line {error.lineno}, column {error.colno}: found no valid JSON ({error.msg})"
        raise CohortError(msg) from error
