"""Every registration on a line of its own: of a cohort, and of the one pair that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from .published import COORDINATES
from .record import PAIR, Record, RunNote
from .rows import common_notes, errors, of_what, shown_methods, title_cell, title_of
from .statistics import OBSERVERS, TRUTH, dice_percent, landmark_mm, true_landmark_mm
from .tables import Column, Table, number, word

NESTED = ("landmarks", "inter_observer")


def case_line(record: Record) -> dict[str, Any]:
    """All of a record, flat: ``landmarks_1_ds``, ``inter_observer_dx`` and so on."""
    line = {part.name: getattr(record, part.name) for part in fields(record) if part.name not in NESTED}
    for observer in (*OBSERVERS, TRUTH):
        found = (record.landmarks or {}).get(observer, {})
        line |= {f"landmarks_{observer}_{entry}": found.get(entry) for entry in COORDINATES}
    return line | {f"inter_observer_{entry}": (record.inter_observer or {}).get(entry) for entry in COORDINATES}


def case_table(records: Sequence[Record], note: RunNote) -> Table:
    """All records, for programs only: ``cases.csv``."""
    return Table("cases", f"All registrations, {of_what(note)}", (), [case_line(record) for record in records])


def pair_table(records: Sequence[Record], note: RunNote) -> Table:
    """All methods on one pair."""
    lines = []
    for name in shown_methods(records, note):
        own = [record for record in records if record.method == name and record.group == PAIR]
        lines += [pair_line(record, note) for record in own]
        if not own:
            lines.append({"method": name, "title": title_of(name, note), "result": "not run"})
    columns = (
        Column("method", title_cell),
        Column("Dice of lungs [%]", number("dice_percent", 2)),
        Column("Hausdorff 95 % [mm]", number("hausdorff95_mm", 2)),
        Column("similarity (LNCC)", number("similarity", 3)),
        Column("landmarks, ds [mm]", number("landmark_ds", 2)),
        Column("ds to the truth [mm]", number("truth_ds", 2)),
        Column("time CPU [s]", number("seconds", 1)),
        Column("time GPU [s]", number("gpu_seconds", 2)),
        Column("peak memory [MB]", number("peak_memory_mb", 0)),
        Column("folded in lungs [%]", number("folded_percent_lung", 3)),
        Column("SD of Jacobian", number("jacobian_sd", 3)),
        Column("result", word("result")),
    )
    return Table("pair", f"All methods on one pair, {of_what(note)}", columns, lines, pair_notes(records, note))


def pair_line(record: Record, note: RunNote) -> dict[str, Any]:
    """A method's line."""
    means = {"dice_percent": dice_percent(record), "landmark_ds": landmark_mm(record)}
    means["truth_ds"] = true_landmark_mm(record)
    result = None if record.error is None else "failed"
    return {"title": title_of(record.method, note), **means, "result": result, **case_line(record)}


def pair_notes(records: Sequence[Record], note: RunNote) -> list[str]:
    """What the columns mean; one pair proves nothing of a method in general."""
    aligned = next((record.alignment_seconds for record in records if record.alignment_seconds is not None), None)
    shared = "" if aligned is None else f" ({aligned:.1f} s)"
    return [
        *common_notes(records, note),
        f"Time: {note.threads} thread{'s' * (note.threads != 1)}, without reading images and without the alignment,"
        f" which all methods share{shared}.",
        "Similarity: mean squared local correlation near the fixed lungs; the first line is that before registration.",
        "One pair: an example, no ranking of methods.",
        *errors(records, note),
    ]
