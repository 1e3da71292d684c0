"""Text and JSON as the readers of cohorts need them: UTF-8, with errors that say where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .scan import CohortError


def read_text(path: Path) -> str:
    """The text of a file; a :class:`CohortError` if it is missing or isn't UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path}: found bytes that aren't UTF-8 at byte {error.start}, expected UTF-8 (save it as 'CSV UTF-8')"
        raise CohortError(msg) from error
    except OSError as error:
        msg = f"{path}: can't be read ({error.strerror or error})"
        raise CohortError(msg) from error


def read_json(path: Path) -> Any:
    """The content of a JSON file; a :class:`CohortError` that names line and column if it isn't JSON."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        msg = f"{path}, line {error.lineno}, column {error.colno}: found no valid JSON ({error.msg})"
        raise CohortError(msg) from error
