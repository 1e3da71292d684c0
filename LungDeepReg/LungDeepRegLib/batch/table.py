"""The table of a batch: one line a case, with the main figures of its summary.json."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..json_values import entry
from ..results.staging import OutputError, failing_as_output, staged_file
from .case import Answer, Case

CSV_TABLE, JSON_TABLE, MOTION_CURVES = "cases.csv", "cases.json", "motion_curves.csv"
RESERVED = (CSV_TABLE, JSON_TABLE, MOTION_CURVES)
DONE, FAILED, WAITING = "done", "failed", "waiting"
ABOUT = ("case", "status", "error", "seconds", "folder", "origin")

STEPS = ("before", "aligned", "after")
FIGURES: dict[str, tuple[str, ...]] = {
    **{f"dice_{step}": (f"dice_{step}",) for step in STEPS},
    **{f"hausdorff95_mm_{step}": ("hausdorff95_mm", step) for step in STEPS},
    **{
        f"landmark_error_mm_{step}_{entry}": ("landmark_error_mm", step, "ds", entry)
        for step in STEPS
        for entry in ("mean", "sd", "median", "p95", "max")
    },
    "similarity_before": ("similarity", "before"),
    "similarity_after": ("similarity", "after"),
    "folded_percent_lung": ("folded_percent_lung",),
    "folded_percent": ("folded_percent",),
    "jacobian_lung_min": ("jacobian_lung", "min"),
    "jacobian_lung_max": ("jacobian_lung", "max"),
    "mean_jacobian_lung": ("mean_jacobian_lung",),
    "lung_volume_ratio": ("lung_volume_ratio",),
    "coverage_percent_lung": ("coverage_percent_lung",),
    "inversion_residual_mm_p95": ("inversion_residual_mm", "p95"),
    "inverse_consistency_mm_mean": ("inverse_consistency_mm", "mean"),
    "inverse_consistency_mm_p95": ("inverse_consistency_mm", "p95"),
    "peak_memory_mb": ("peak_memory_mb",),
    "device": ("device",),
}
"""Each column beside ABOUT, and where its value stands in summary.json."""
COLUMNS = (*ABOUT, *FIGURES, "warnings")


def row_of(case: Case, answer: Answer | None) -> dict[str, Any]:
    """A line of the table.

    Args:
        case: Whose line it is.
        answer: What became of it; None if nothing yet.
    """
    status = WAITING if answer is None else FAILED if answer.error else DONE
    answer = answer or Answer()
    summary = answer.summary or {}
    about = (case.name, status, answer.error or None, answer.seconds, case.folder, case.origin)
    figures = {column: entry(summary, *where) for column, where in FIGURES.items()}
    return {**dict(zip(ABOUT, about, strict=True)), **figures, "warnings": "; ".join(summary.get("warnings", ()))}


def write_tables(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the table as CSV and as JSON (a list of objects); each file is replaced as a whole.

    Raises:
        OutputError: A full disk, or a place that isn't writable.
    """
    lines = io.StringIO()
    table = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    objects = json.dumps(list(rows), indent=2, allow_nan=False) + "\n"
    for name, text in ((CSV_TABLE, lines.getvalue()), (JSON_TABLE, objects)):
        with staged_file(out / name, overwrite=True) as path, failing_as_output(out / name):
            path.write_text(text, encoding="utf-8", newline="")


def check_tables_place(out: Path) -> None:
    """Raise :class:`OutputError` where a table would replace a file that is no table of a batch."""
    for name, beginning in ((CSV_TABLE, ",".join(ABOUT)), (JSON_TABLE, "["), (MOTION_CURVES, "# coordinate system")):
        path = out / name
        with failing_as_output(path):
            if path.exists() and not (path.is_file() and path.read_bytes().startswith(beginning.encode())):
                msg = f"{path}: found something that no batch wrote, where its table goes; choose another --out"
                raise OutputError(msg)
