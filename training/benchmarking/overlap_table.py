"""Table 1: overlap of the lungs, time, memory and regularity of each method, beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .published import PUBLISHED, Published
from .record import DRAWN, VALIDATION, Record, RunNote
from .rows import (
    common_notes,
    costly_methods,
    errors,
    failures,
    largest,
    mean,
    median,
    of_what,
    paper_note,
    shown_methods,
    title_cell,
    title_of,
)
from .statistics import ALL_GROUPS, DICE, distribution, of_method
from .tables import Column, Table, fixed, mean_sd, number, spread, word


def overlap_table(records: Sequence[Record], note: RunNote) -> Table:
    """Table 1: Dice of the pairs within patients and of the combinations, time, memory, folding."""
    lines = [overlap_line(records, note, name) for name in shown_methods(records, note)]
    columns = (
        Column("method", title_cell),
        Column("Dice inhale-exhale [%]", mean_sd("dice", 2)),
        Column(f"Dice all {note.combinations} combinations [%]", mean_sd("dice_combinations", 2)),
        Column(f"Dice drawn {note.drawn} of {note.combinations} [%]", mean_sd("dice_drawn", 2)),
        Column("time CPU [s]", number("seconds", 1)),
        Column("time GPU [s]", number("gpu_seconds", 2)),
        Column("peak memory [MB]", number("peak_memory_mb", 0)),
        Column("folded in lungs [%]", number("folded_percent_lung", 3)),
        Column("SD of Jacobian", number("jacobian_sd", 3)),
        Column("failed", word("failed")),
        Column("paper: inhale-exhale [%]", mean_sd("paper_dice", 2)),
        Column("paper: all 169 [%]", mean_sd("paper_dice_combinations", 2)),
        Column("paper: time", word("paper_time")),
    )
    title = f"Table 1. Dice of the lungs after registration, {of_what(note)}"
    return Table("table1", title, columns, lines, overlap_notes(records, note))


def overlap_line(records: Sequence[Record], note: RunNote, name: str) -> dict[str, Any]:
    """A method's line of Table 1. Dice in percent, times are medians and regularity means of the validation pairs."""
    validation = of_method(records, name, (VALIDATION,))
    combined = of_method(records, name, ALL_GROUPS)
    done = [record for record in records if record.method == name and record.error is None]
    paper = PUBLISHED.get(name, Published(""))
    return {
        "method": name,
        "title": title_of(name, note),
        **spread(*distribution(validation, DICE.value), "dice"),
        **spread(
            *distribution(combined if len(combined) == note.combinations else [], DICE.value), "dice_combinations"
        ),
        **spread(*distribution(of_method(records, name, (DRAWN,)), DICE.value), "dice_drawn"),
        "seconds": median([record.seconds for record in validation]),
        "gpu_seconds": median([record.gpu_seconds for record in validation]),
        "alignment_seconds": median([record.alignment_seconds for record in validation]),
        "peak_memory_mb": largest([record.peak_memory_mb for record in done]),
        "folded_percent_lung": mean([record.folded_percent_lung for record in validation]),
        "folded_percent_lung_most": largest([record.folded_percent_lung for record in done]),
        "folded_percent": mean([record.folded_percent for record in validation]),
        "jacobian_sd": mean([record.jacobian_sd for record in validation]),
        "log_jacobian_sd": mean([record.log_jacobian_sd for record in validation]),
        "failed": failures(records, name),
        **published_spread(paper.dice, "paper_dice"),
        **published_spread(paper.combinations, "paper_dice_combinations"),
        "paper_time": paper.time,
    }


def overlap_notes(records: Sequence[Record], note: RunNote) -> list[str]:
    """What Table 1's columns mean."""
    side_by_side = f", {note.workers} methods side by side" if note.workers > 1 else ""
    aligned = median([record.alignment_seconds for record in records if record.group == VALIDATION])
    notes = [
        *common_notes(records, note),
        "Mean \N{PLUS-MINUS SIGN} standard deviation (number of pairs). Inhale-exhale: both images of one patient;"
        " combinations: each fixed image with each moving one. Standard deviation: of these pairs (divided by n)."
        ' Pairs that failed count in "failed" alone. Bold: the product\'s defaults.',
        f"Time: median per inhale-exhale pair, {note.threads} thread{'s' * (note.threads != 1)}{side_by_side}, without"
        " reading images and without the alignment, which all methods share"
        + (f" (median {fixed(aligned, 1)} s)." if aligned is not None else "."),
        "Peak memory: the most over all pairs. Folding (cells with a one-sided Jacobian determinant of 0 or less) and"
        " SD of the Jacobian determinant: means of the inhale-exhale pairs, all methods on one lattice.",
    ]
    few = [title_of(name, note) for name in costly_methods(note)]
    if few and any(record.group == DRAWN for record in records):
        notes.append(
            f"{'; '.join(few)}: of the {note.combinations} combinations only a fixed random {note.drawn} between"
            f' patients (seed {note.seed}); the column "drawn" has all methods\' figures on these.'
        )
    return [*notes, paper_note(), *errors(records, note)]


def published_spread(values: tuple[float, float] | None, name: str) -> dict[str, float | None]:
    """Mean and standard deviation that the paper has."""
    first, second = values or (None, None)
    return {f"{name}_mean": first, f"{name}_sd": second}
