"""The table of statistics: the registration's errors, and two observers beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt
from LungDeepRegLib.landmark_review.observers import Comparison, ObserverComparison
from LungDeepRegLib.landmark_review.table import COLUMNS, Exclusion, PairErrors, left_out, statistics
from LungDeepRegLib.metrics import Distribution
from slicer.i18n import tr as _

FIGURES = ("mean", "sd", "median", "p95", "max")
ROW_PIXELS = 20
Block = tuple[str, int, dict[str, Distribution]]
"""A title, a number of pairs, and dx, dy, dz, ds in mm."""


def titles() -> list[str]:
    """The columns'."""
    return [_("mm"), "", _("mean"), _("SD"), _("median"), _("95 %"), _("max")]


class StatisticsTable:
    """Shows distributions in blocks of four rows.

    Args:
        widget: The QTableWidget.
    """

    def __init__(self, widget: Any) -> None:
        self.widget = widget
        widget.setColumnCount(len(titles()))
        widget.setHorizontalHeaderLabels(titles())
        widget.verticalHeader().setVisible(False)
        widget.verticalHeader().setDefaultSectionSize(ROW_PIXELS)

    def show(self, blocks: Sequence[Block]) -> None:
        """Show these, one below the other."""
        self.widget.clearSpans()
        self.widget.setRowCount(len(COLUMNS) * len(blocks))
        for number, (title, count, distances) in enumerate(blocks):
            first = number * len(COLUMNS)
            self.widget.setSpan(first, 0, len(COLUMNS), 1)
            self._put(first, 0, title + "\n" + _("{count} pairs").format(count=count))
            for offset, axis in enumerate(COLUMNS):
                self._put(first + offset, 1, axis)
                for column, figure in enumerate(FIGURES, start=2):
                    self._put(first + offset, column, f"{getattr(distances[axis], figure):.2f}")
        self.widget.resizeColumnsToContents()

    def _put(self, row: int, column: int, text: str) -> None:
        item = qt.QTableWidgetItem(text)
        item.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled)
        if column > 1:
            item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
        self.widget.setItem(row, column, item)


def errorBlocks(rows: Sequence[PairErrors], *, doubtful: bool) -> list[Block]:
    """Before and after registration, over the blind pairs."""
    blocks: list[Block] = []
    for which, title in (("before", _("Before registration")), ("after", _("After registration"))):
        found = statistics(rows, which, doubtful=doubtful)
        if found is not None:
            count = len(rows) - sum(left_out(rows, which, doubtful=doubtful).values())
            blocks.append((title, count, found))
    return blocks


def observerBlocks(comparison: ObserverComparison) -> list[Block]:
    """Two observers, and the registration against each of them."""
    names = {
        Comparison.OBSERVERS_FIXED: _("Observers, fixed volume"),
        Comparison.OBSERVERS_MOVING: _("Observers, moving volume"),
        Comparison.BEFORE: _("Before, mean of observers"),
        Comparison.AFTER_A: _("After, first observer"),
        Comparison.AFTER_B: _("After, second observer"),
        Comparison.AFTER_MEAN: _("After, mean of observers"),
    }
    return [(names[row.what], len(comparison.labels), row.distances) for row in comparison.rows]


def leftOutText(rows: Sequence[PairErrors], *, doubtful: bool, registered: bool) -> str:
    """How many pairs don't count, and why; empty if all do."""
    names = {
        Exclusion.UNPAIRED: _("{count} without a moving point"),
        Exclusion.AUTOMATIC: _("{count} automatic"),
        Exclusion.ASSISTED: _("{count} assisted"),
        Exclusion.DOUBTFUL: _("{count} doubtful"),
        Exclusion.UNREGISTERED: _("{count} not registered"),
    }
    found = left_out(rows, "after" if registered else "before", doubtful=doubtful)
    parts = [names[reason].format(count=count) for reason, count in found.items()]
    return _("Left out: {reasons}.").format(reasons=", ".join(parts)) if parts else ""
