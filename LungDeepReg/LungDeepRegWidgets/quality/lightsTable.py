"""The table of checks: a light, a figure, and two thresholds that can be edited."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import qt
from slicer.i18n import tr as _

LIGHT, TITLE, VALUE, GOOD, BAD = range(5)
"""The columns."""
COLORS = {"green": "#2e9e44", "yellow": "#e0a800", "red": "#d62d2d", "grey": "#909090"}
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def lightText(light: str) -> str:
    """What a light says, in words: colors alone don't reach everybody."""
    return {"green": _("good"), "yellow": _("borderline"), "red": _("bad"), "grey": _("none")}[light]


class LightsTable:
    """Shows checks, and takes thresholds from the user.

    Args:
        table: Has the columns already.
        onThreshold: Given a check's name and its new :class:`quality.Threshold`.
        onRefused: Given what is wrong with a threshold that the user has typed.
    """

    def __init__(
        self,
        table: qt.QTableWidget,
        onThreshold: Callable[[str, Any], None],
        onRefused: Callable[[str], None],
    ) -> None:
        self._table, self._onThreshold, self._onRefused = table, onThreshold, onRefused
        self._checks: list[Any] = []
        table.horizontalHeader().setSectionResizeMode(TITLE, qt.QHeaderView.Stretch)
        table.connect("cellChanged(int,int)", self._onCell)

    def show(self, checks: list[Any]) -> None:
        """Show these :class:`quality.Check`, one a row."""
        self._checks = checks
        blocked = self._table.blockSignals(True)
        self._table.setRowCount(len(checks))
        for row, check in enumerate(checks):
            self._fill(row, check)
        for column in (LIGHT, VALUE, GOOD, BAD):
            self._table.resizeColumnToContents(column)
        self._table.blockSignals(blocked)
        fitHeight(self._table)

    def _fill(self, row: int, check: Any) -> None:
        from LungDeepRegLib.quality import MEANINGS

        higher = check.threshold.higher_is_better
        texts = {
            LIGHT: f"\N{BLACK CIRCLE} {lightText(check.light)}",
            TITLE: check.title,
            VALUE: "" if check.value is None else f"{check.value:.3g} {check.unit}".strip(),
            GOOD: f"{'≥' if higher else '≤'} {check.threshold.good:g}",
            BAD: f"{'<' if higher else '>'} {check.threshold.bad:g}",
        }
        meaning = "\n".join(filter(None, (check.note, MEANINGS[check.name])))
        for column, text in texts.items():
            item = qt.QTableWidgetItem(text)
            editable = column in (GOOD, BAD)
            flags = qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable
            item.setFlags(flags | qt.Qt.ItemIsEditable if editable else flags)
            item.setToolTip(_("Double-click to change it. It is kept with the scene.") if editable else meaning)
            if column == LIGHT:
                item.setForeground(qt.QBrush(qt.QColor(COLORS[check.light])))
            self._table.setItem(row, column, item)

    def _onCell(self, row: int, column: int) -> None:
        """The user has typed a threshold."""
        check = self._checks[row]
        found = NUMBER.search(self._table.item(row, column).text().replace(",", "."))
        try:
            if found is None:
                raise ValueError(_("{check}: expected a number").format(check=check.title))
            threshold = replace(check.threshold, **{"good" if column == GOOD else "bad": float(found.group())})
        except ValueError as error:
            self.show(self._checks)
            self._onRefused(str(error))
            return
        self._onThreshold(check.name, threshold)


def fitHeight(table: qt.QTableWidget, scrollBar: int = 0) -> None:
    """Make a table as high as its rows are, so that it needs no scroll bar of its own beside the panel's."""
    table.resizeRowsToContents()
    rows = sum(table.rowHeight(row) for row in range(table.rowCount))
    table.setFixedHeight(rows + table.horizontalHeader().height + scrollBar + 2 * table.frameWidth)
