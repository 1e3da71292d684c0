"""What a benchmark shows: tables and pictures, made from its records alone, at any time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from LungDeepRegLib.json_values import plain

from .box_plots import dice_figure
from .case_tables import case_table, pair_table
from .comparison_table import comparison_table
from .landmark_table import landmark_table
from .overlap_table import overlap_table
from .pictures import (
    FieldsReader,
    by_quality,
    chosen_pairs,
    judged_method,
    pair_figure,
    worst_figure,
    write_figure,
)
from .published import INTER_OBSERVER, PUBLISHED, SOURCE
from .record import PAIR, Record, RunNote
from .rows import title_of
from .statistics import ALL_GROUPS
from .tables import Table, write_text

RESULTS, DICE, FIGURE_2, WORST, ONE_PAIR = "results.json", "dice.png", "figure2.png", "worst.png", "pair.png"


def write_report(records: Sequence[Record], note: RunNote, fields: FieldsReader, out: Path) -> list[Path]:
    """Write all tables and pictures that the records allow, each file in the place of an earlier one.

    Args:
        records: Of one run, as far as it is.
        note: What the run is.
        fields: For the pictures.
        out: The folder; made if it is missing.

    Returns:
        The files that were written.

    Raises:
        OutputError: A full disk, or a place that isn't writable.
    """
    tables = tables_of(records, note)
    written = [path for table in tables for path in table.write(out)]
    written.append(write_text(out / RESULTS, results_json(records, note, tables)))
    return written + (write_pair_picture if note.one_pair else write_pictures)(records, note, fields, out)


def tables_of(records: Sequence[Record], note: RunNote) -> list[Table]:
    """All tables that the records allow."""
    if note.one_pair:
        return [pair_table(records, note), case_table(records, note)]
    found = [f(records, note) for f in (overlap_table, landmark_table, comparison_table, case_table)]
    return [table for table in found if table is not None]


def results_json(records: Sequence[Record], note: RunNote, tables: Sequence[Table]) -> str:
    """The run, every table but the cases (they have a file of their own), the worst cases, and the paper's data."""
    values: dict[str, Any] = {
        "run": asdict(note),
        "tables": {table.name: {"notes": table.notes, "lines": table.lines} for table in tables if table.columns},
        "worst": worst_cases(records, note),
        "paper": {
            "source": f"{SOURCE}: the paper's data, other images",
            "rows": {name: asdict(row) for name, row in PUBLISHED.items()},
            "inter_observer": asdict(INTER_OBSERVER),
        },
    }
    return json.dumps(plain(values), indent=2, allow_nan=False) + "\n"


def worst_cases(records: Sequence[Record], note: RunNote, count: int = 5) -> dict[str, Any]:
    """The registrations of the judged method with the least Dice, whether within a patient or not."""
    method = judged_method(records, note)
    if method is None:
        return {}
    worst = by_quality(records, method, (*ALL_GROUPS, PAIR))[:count]
    kept = ("fixed", "moving", "fixed_label", "moving_label", "within_patient", "dice", "folded_percent_lung")
    return {"method": method, "cases": [{name: getattr(record, name) for name in kept} for record in worst]}


def write_pictures(records: Sequence[Record], note: RunNote, fields: FieldsReader, out: Path) -> list[Path]:
    """The box plots, the pair in the middle of ours and the worst one, as far as there are such."""
    written = []
    boxes = dice_figure(records, note)
    if boxes is not None:
        written.append(write_figure(out / DICE, boxes))
    method = judged_method(records, note)
    chosen = None if method is None else chosen_pairs(records, method)
    if chosen is None or method is None:
        return written
    middle, worst = chosen
    why = f'the pair in the middle of all inhale-exhale pairs by the Dice of "{title_of(method, note)}"'
    written.append(write_figure(out / FIGURE_2, pair_figure(records, note, fields, middle, why)))
    return [*written, write_figure(out / WORST, worst_figure(records, note, fields, worst))]


def write_pair_picture(records: Sequence[Record], note: RunNote, fields: FieldsReader, out: Path) -> list[Path]:
    """The one pair through all methods."""
    method = judged_method(records, note)
    if method is None:
        return []
    shown = by_quality(records, method, (PAIR,))[0]
    figure = pair_figure(records, note, fields, shown, "one pair through all methods that were run")
    return [write_figure(out / ONE_PAIR, figure)]
