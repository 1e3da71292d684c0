"""The table of pairs: one row each, sorted by any column."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import qt
from LungDeepRegLib.landmark_review.pairs import LandmarkPair, Provenance, State
from LungDeepRegLib.landmark_review.table import PairErrors
from slicer.i18n import tr as _

LABEL = 0
DISTANCES = tuple((axis, when) for axis in ("ds", "dx", "dy", "dz") for when in ("before", "after"))
"""What the columns of distances show: what one asks for first comes first."""
NUMBERS = range(2, 2 + len(DISTANCES))
"""Where these columns are."""
ROW_PIXELS = 22
COLORS = {State.ACCEPTED: "#2e9d52", State.DOUBTFUL: "#d9822b", State.UNREVIEWED: "#8a8a8a"}
SIGNS = {State.ACCEPTED: "\N{CHECK MARK}", State.DOUBTFUL: "?", State.UNREVIEWED: "\N{MIDDLE DOT}"}


def headers() -> list[str]:
    """The columns' titles."""
    times = {"before": _("before"), "after": _("after")}
    return [_("Pair"), _("State"), *(f"{axis}\n{times[when]}" for axis, when in DISTANCES), _("Placed"), _("Observer")]


def provenanceText(pair: LandmarkPair) -> str:
    """How a pair was placed; both images' words where they differ."""
    names = {
        Provenance.MANUAL: _("manual, blind"),
        Provenance.ASSISTED: _("assisted"),
        Provenance.AUTOMATIC: _("automatic"),
    }
    if pair.moving_ras is None:
        return _("no moving point")
    return ", ".join(dict.fromkeys(names[found] for found in (pair.fixed_provenance, pair.moving_provenance)))


def stateText(state: State) -> str:
    """A state for people."""
    names = {State.ACCEPTED: _("accepted"), State.DOUBTFUL: _("doubtful"), State.UNREVIEWED: _("unreviewed")}
    return names[state]


class PairTable:
    """Shows pairs and their errors.

    Args:
        widget: The QTableWidget.
        onSelected: Given the label of the row that the user selects.
        onRenamed: Given a label and the one that the user has typed over it.
    """

    def __init__(self, widget: Any, onSelected: Callable[[str], None], onRenamed: Callable[[str, str], None]) -> None:
        self.widget, self._onSelected, self._onRenamed = widget, onSelected, onRenamed
        self._rows: list[PairErrors] = []
        self._filled: list[PairErrors | None] = []  # what the cells hold: a row that stays isn't made anew
        self._column, self._descending, self._filling = LABEL, False, False
        titles = headers()
        widget.setColumnCount(len(titles))
        widget.setHorizontalHeaderLabels(titles)
        header = widget.horizontalHeader()
        header.setSortIndicatorShown(True)
        header.setSectionsClickable(True)
        header.connect("sectionClicked(int)", self.onHeader)
        widget.verticalHeader().setVisible(False)
        widget.verticalHeader().setDefaultSectionSize(ROW_PIXELS)
        widget.connect("itemSelectionChanged()", self._select)
        widget.connect("cellClicked(int,int)", self._select)  # the row that is selected already, too
        widget.connect("cellChanged(int,int)", self._edit)
        self._showOrder()

    @property
    def label(self) -> str:
        """The label of the selected row, or empty."""
        rows = self.widget.selectionModel().selectedRows(LABEL)
        return self.labels()[rows[0].row()] if rows else ""

    def labels(self) -> list[str]:
        """In the order of the rows."""
        return [entry.pair.label for entry in self._rows]

    def show(self, rows: Sequence[PairErrors]) -> None:
        """Show other pairs; the selection stays with its label."""
        kept, self._rows = self.label, self._sorted(rows)
        self._filling = True
        self.widget.setRowCount(len(self._rows))
        held = [*self._filled, *[None] * len(self._rows)]
        others = [number for number, entry in enumerate(self._rows) if entry != held[number]]
        for number in others:
            self._fill(number, self._rows[number])
        self._filled = list(self._rows)
        if others:
            self.widget.resizeColumnsToContents()
        self._filling = False
        self.select(kept)

    def select(self, label: str) -> None:
        """Select a row without telling; an unknown label leaves none selected."""
        self._filling = True
        self.widget.clearSelection()
        if label in self.labels():
            number = self.labels().index(label)
            self.widget.selectRow(number)
            self.widget.scrollToItem(self.widget.item(number, LABEL))
        self._filling = False

    def onHeader(self, column: int) -> None:
        """Sort by a column; a second click turns the order round."""
        self._descending = column == self._column and not self._descending
        self._column = column
        self._showOrder()
        self.show(self._rows)

    def _showOrder(self) -> None:
        order = qt.Qt.DescendingOrder if self._descending else qt.Qt.AscendingOrder
        self.widget.horizontalHeader().setSortIndicator(self._column, order)

    def _sorted(self, rows: Sequence[PairErrors]) -> list[PairErrors]:
        """What a row doesn't have comes last in either order."""
        keyed = [(self._key(entry), entry) for entry in rows]
        there = [entry for entry in keyed if entry[0] is not None]
        there.sort(key=lambda entry: entry[0], reverse=self._descending)
        return [entry for _key, entry in there] + [entry for key, entry in keyed if key is None]

    def _key(self, entry: PairErrors) -> Any:
        if self._column in NUMBERS:
            return number(entry, self._column)
        return natural(self._text(entry, self._column))

    def _text(self, entry: PairErrors, column: int) -> str:
        """What a cell shows."""
        pair = entry.pair
        if column == LABEL:
            return pair.label
        if column in NUMBERS:
            value = number(entry, column)
            return "" if value is None else f"{value:.1f}"
        lock = ", " + _("locked") if pair.locked else ""
        return {
            1: f"{SIGNS[pair.state]} {stateText(pair.state)}{lock}",
            NUMBERS.stop: provenanceText(pair),
            NUMBERS.stop + 1: pair.observer,
        }[column]

    def _fill(self, row: int, entry: PairErrors) -> None:
        for column in range(NUMBERS.stop + 2):
            item = qt.QTableWidgetItem(self._text(entry, column))
            if column != LABEL or entry.pair.locked:
                item.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled)
            if column in NUMBERS:
                item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            if column == 1:
                item.setForeground(qt.QBrush(qt.QColor(COLORS[entry.pair.state])))
            if column == NUMBERS.stop and not entry.pair.blind:
                item.setToolTip(_("Doesn't count in the statistics: only pairs that were placed blindly do"))
            self.widget.setItem(row, column, item)

    def _select(self, *_cell: int) -> None:
        if not self._filling and self.label:
            self._onSelected(self.label)

    def _edit(self, row: int, column: int) -> None:
        if self._filling or column != LABEL:
            return
        new, label = self.widget.item(row, LABEL).text().strip(), self.labels()[row]
        self._filled[row] = None
        if new != label:  # the row is filled anew by that, which is not for the midst of its own change
            qt.QTimer.singleShot(0, lambda: self._onRenamed(label, new))


def number(entry: PairErrors, column: int) -> float | None:
    """The distance in a column, in mm, or None."""
    axis, when = DISTANCES[column - NUMBERS.start]
    found = getattr(entry, when)
    return None if found is None else getattr(found, axis)


def natural(text: str) -> list[tuple[int, int, str]]:
    """What sorts "2" before "10"."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text) if part]
