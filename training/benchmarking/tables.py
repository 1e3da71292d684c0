"""A table for people (Markdown) and for programs (CSV), from one list of lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from LungDeepRegLib.html_report.numbers import rounded
from LungDeepRegLib.metrics import Distribution
from LungDeepRegLib.results.staging import failing_as_output, staged_file

NONE = "-"
"""Where a table has no figure."""

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """What Markdown shows in a column: its heading, and a line's cell (:data:`NONE` for none)."""

    heading: str
    cell: Callable[[Line], str]


@dataclass(frozen=True)
class Table:
    """A table with all that has to be said about it.

    Attributes:
        name: Of its files, without an extension.
        title: Above it.
        columns: For people; those without any figure are left out. None at all: for programs only.
        lines: For programs: name and value; None, or nothing, where there is no figure.
        notes: Sentences below it.
    """

    name: str
    title: str
    columns: Sequence[Column]
    lines: Sequence[Line]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """The table for people."""
        cells = {column.heading: [column.cell(line) for line in self.lines] for column in self.columns}
        shown = {heading: column for heading, column in cells.items() if any(cell != NONE for cell in column)}
        rule = ["---", *["---:"] * (len(shown) - 1)]
        rows = [list(shown), rule, *([escaped(cell) for cell in row] for row in zip(*shown.values(), strict=True))]
        body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        notes = "\n".join(f"- {note}" for note in self.notes)
        return f"**{self.title}**\n\n{body}\n" + (f"\n{notes}\n" if notes else "")

    def csv(self) -> str:
        """The table for programs, full precision."""
        names = list(dict.fromkeys(name for line in self.lines for name in line))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.lines)
        return text.getvalue()

    def write(self, out: Path) -> list[Path]:
        """Write the files into a folder, each in the place of an earlier one.

        Raises:
            OutputError: A full disk, or a place that isn't writable.
        """
        texts = {f"{self.name}.csv": self.csv()}
        if self.columns:
            texts[f"{self.name}.md"] = self.markdown()
        return [write_text(out / name, text) for name, text in texts.items()]


def write_text(path: Path, text: str) -> Path:
    """Write a text file, whole or not at all, in the place of an earlier one; returns its path.

    Raises:
        OutputError: A full disk, or a place that isn't writable.
    """
    with failing_as_output(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path, overwrite=True) as unfinished, failing_as_output(path):
        unfinished.write_text(text, encoding="utf-8", newline="")
    return path


def escaped(cell: str) -> str:
    """A cell's text without signs that end a cell."""
    return cell.replace("|", r"\|").replace("\n", " ")


def spread(values: Distribution | None, n: int, name: str) -> dict[str, float | int | None]:
    """The parts of a line that :func:`mean_sd` shows."""
    mean, sd = (None, None) if values is None else (values.mean, values.sd)
    return {f"{name}_mean": mean, f"{name}_sd": sd, f"{name}_n": n}


def mean_sd(name: str, digits: int) -> Callable[[Line], str]:
    """A cell such as ``91.5 ± 2.3 (13)``: mean, standard deviation and how many."""

    def cell(line: Line) -> str:
        mean, sd, n = (line.get(f"{name}_{part}") for part in ("mean", "sd", "n"))
        if mean is None or sd is None:
            return NONE
        return f"{fixed(mean, digits)} \N{PLUS-MINUS SIGN} {fixed(sd, digits)}" + (f" ({n})" if n is not None else "")

    return cell


def number(name: str, digits: int) -> Callable[[Line], str]:
    """A cell of one figure."""
    return lambda line: NONE if line.get(name) is None else rounded(line[name], digits)


def word(name: str) -> Callable[[Line], str]:
    """A cell of a text or a count."""
    return lambda line: NONE if line.get(name) is None else str(line[name])


def fixed(value: float, digits: int) -> str:
    """A figure with so many digits behind its point, also where they are zero."""
    return f"{value:.{digits}f}"
