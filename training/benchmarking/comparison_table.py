"""The tests of the product's defaults against every other row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from LungDeepRegLib.html_report.numbers import rounded

from .record import Record, RunNote
from .rows import SYNTHETIC, of_what, shown_methods, title_of
from .statistics import DEFAULT, Comparison, comparisons
from .tables import Column, Table, number, word

SIGNIFICANT = 0.05


def comparison_table(records: Sequence[Record], note: RunNote) -> Table | None:
    """Wilcoxon signed-rank tests; None where nothing can be compared."""
    others = [name for name in shown_methods(records, note) if name != DEFAULT]
    tests = comparisons(records, others)
    if not tests:
        return None
    lines = [comparison_line(test, note) for test in tests]
    columns = (
        Column("measure", word("measure")),
        Column("pairs", word("pairs")),
        Column("against", word("title")),
        Column("n", word("n")),
        Column("registrations", word("registrations")),
        Column("left out", word("left_out")),
        Column("median difference", number("median", 2)),
        Column("ours better in", word("better_of")),
        Column("p", number("p", 4)),
        Column("p (Holm)", number("p_holm", 4)),
        Column(f"at {SIGNIFICANT:g}", word("verdict")),
    )
    title = f'Tests of "{title_of(DEFAULT, note)}" against every other row, {of_what(note)}'
    return Table("tests", title, columns, lines, comparison_notes(tests, note))


def comparison_line(test: Comparison, note: RunNote) -> dict[str, Any]:
    """A test's line."""
    return {
        **asdict(test),
        "title": title_of(test.other, note),
        "better_of": f"{test.better} of {test.n}",
        "verdict": verdict(test),
    }


def verdict(test: Comparison) -> str:
    """Which way a test decides, in a word."""
    if test.p_holm >= SIGNIFICANT:
        return "undecided"
    return "ours better" if test.ahead else "ours worse"


def comparison_notes(tests: Sequence[Comparison], note: RunNote) -> list[str]:
    """How to read the tests, and what they can't say."""
    least = min(test.n for test in tests)
    synthetic = f" The images are {SYNTHETIC}: p says nothing of patients." if note.synthetic else ""
    return [
        "Two-sided Wilcoxon signed-rank tests, paired; Holm-corrected for all tests of one measure within patients, and"
        f" for all of combinations, drawn or not.{synthetic}",
        "Median difference: ours minus the other's; more Dice and less distance are better.",
        "Combinations that share a fixed patient aren't independent: their differences are averaged per fixed patient"
        " first. They still share moving patients, so these p are too small rather than too large.",
        "Left out: pairs that only one of both methods has a figure of (failed, or not done yet).",
        f"With n = {least} no p can be below {rounded(2.0 ** (1 - least), 4)}.",
    ]
