"""What the tables' rows are, and the sentences that every table carries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .published import SOURCE
from .record import Record, RunNote
from .statistics import ALL_GROUPS, DEFAULT, of_method
from .tables import Line

SYNTHETIC = "synthetic"


def shown_methods(records: Sequence[Record], note: RunNote) -> list[str]:
    """The rows, in the order of the run's methods: whatever ran or was meant to."""
    ran = {record.method for record in records}
    named = [name for name, method in note.methods.items() if name in ran or method.missing]
    return named + sorted(ran.difference(named))


def title_of(name: str, note: RunNote) -> str:
    """A method's title."""
    return note.methods[name].title if name in note.methods else name


def title_cell(line: Line) -> str:
    """A line's title in its table; the product's defaults in bold."""
    return f"**{line['title']}**" if line.get("method") == DEFAULT else str(line["title"])


def costly_methods(note: RunNote) -> list[str]:
    """Methods of whose combinations only the drawn ones are registered."""
    return [name for name, method in note.methods.items() if method.costly]


def of_what(note: RunNote) -> str:
    """What the images are, for a title."""
    kind = f"{SYNTHETIC} {'pair' if note.one_pair else 'cohort'} " if note.synthetic else ""
    return f"{kind}{note.cohort}"


def failures(records: Sequence[Record], name: str) -> str | None:
    """How many of a method's registrations failed, such as ``2 of 33``; None where it hasn't run."""
    own = [record for record in records if record.method == name]
    return f"{sum(record.error is not None for record in own)} of {len(own)}" if own else None


def common_notes(records: Sequence[Record], note: RunNote) -> list[str]:
    """What has to be said of the images, the run, and what is missing from it."""
    shape, spacing = (" x ".join(f"{n:.4g}" for n in values) for values in (note.lattice_shape[::-1], note.spacing_mm))
    found = []
    if note.synthetic:
        found.append("**Synthetic images**: computed, not scanned. No figure of this run was measured on a patient.")
    found.append(f"Input `{note.protocol}`: {shape} voxels of {spacing} mm (i, j, k). Command: `{note.command}`")
    processor = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in note.machine.items() if value not in (None, "")
    )
    if processor:
        found.append(f"Machine: {processor}.")
    missing = [(name, method.missing) for name, method in note.methods.items() if method.missing]
    found += [f"{title_of(name, note)}: not run ({why})." for name, why in missing]
    return found + unfinished(records, note)


def unfinished(records: Sequence[Record], note: RunNote) -> list[str]:
    """A sentence for each method that lacks pairs which others have."""
    found = []
    for name in {record.method: None for record in records}:
        own = len(of_method(records, name, ALL_GROUPS))
        every = pairs_meant(records, note, name)
        if own < every:
            found.append(f"{title_of(name, note)}: {own} of {every} pairs done so far.")
    return found


def pairs_meant(records: Sequence[Record], note: RunNote, name: str) -> int:
    """How many pairs a method would register in the groups that any method has begun."""
    costly = name in note.methods and note.methods[name].costly
    groups = ALL_GROUPS[:2] if costly else ALL_GROUPS
    return len({(record.fixed, record.moving) for record in records if record.group in groups})


def errors(records: Sequence[Record], note: RunNote) -> list[str]:
    """What failed and why, the first ten."""
    failed = [record for record in records if record.error is not None]
    found = [
        f"Failed: {title_of(record.method, note)}, {record.fixed} from {record.moving}: {one_line(record.error or '')}"
        for record in failed[:10]
    ]
    return found + ([f"And {len(failed) - 10} more that failed: see cases.csv."] if len(failed) > 10 else [])


def one_line(text: str) -> str:
    """The last line of an error, where Python says what it was; shortened."""
    lines = [line for line in text.strip().splitlines() if line.strip()] or ["no message"]
    return lines[-1].strip()[:200]


def paper_note() -> str:
    """What the paper's columns are."""
    return (
        f"Columns marked *paper* are **the paper's data** ({SOURCE}): other images, other machines, to be read beside"
        " ours. They stand at the nearest row: the paper's network isn't refined, and its B-splines were another"
        " program's."
    )


def median(values: Sequence[float | None]) -> float | None:
    """The median of those that are known."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are known."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def largest(values: Sequence[float | None]) -> float | None:
    """The largest of those that are known."""
    return max((value for value in values if value is not None), default=None)
