"""The table of regions: each lung and each third of it, with what was measured there."""

from typing import Any

import qt
from slicer.i18n import tr as _

from .lightsTable import fitHeight

SCROLL_BAR = 18
"""Pixels for the horizontal one."""


def columns() -> dict[str, tuple[str, str]]:
    """The columns: the figure's name in a row of the assessment, the header, and the format of its mean."""
    return {
        "volume_ml": (_("Volume (ml)"), ".0f"),
        "trust": (_("Trust"), ".2f"),
        "low_trust_percent": (_("Low trust (%)"), ".1f"),
        "residual": (_("Residual ({unit})"), ".1f"),
        "correlation": (_("Correlation"), ".2f"),
        "consistency_mm": (_("There and back (mm)"), ".2f"),
        "jacobian": (_("Jacobian"), ".3f"),
        "volume_change": (_("Volume change"), ".3f"),
        "ventilation_jacobian": (_("Ventilation"), ".3f"),
        "ventilation_density": (_("Ventilation by density"), ".3f"),
        "displacement_mm": (_("Displacement (mm)"), ".1f"),
        "displacement_beyond_mean_mm": (_("Beyond the mean (mm)"), ".1f"),
        "displacement_r_mm": (_("To the right (mm)"), ".1f"),
        "displacement_a_mm": (_("To the front (mm)"), ".1f"),
        "displacement_s_mm": (_("To the head (mm)"), ".1f"),
    }


def showRegions(table: qt.QTableWidget, assessed: dict[str, Any] | None) -> None:
    """Show the regional figures of an assessment, means with the rest as tooltips; columns of nothing are left out."""
    rows = assessed["region_figures"] if assessed else []
    there = {name: how for name, how in columns().items() if any(row.get(name) is not None for row in rows)}
    unit = assessed["figures"].get("residual_unit") if assessed else ""
    table.setRowCount(len(rows))
    table.setColumnCount(1 + len(there))
    headers = [
        _("Region"),
        *(title.format(unit=unit) if "{unit}" in title else title for title, _format in there.values()),
    ]
    table.setHorizontalHeaderLabels(headers)
    for number, row in enumerate(rows):
        table.setItem(number, 0, cell(row["region"], ""))
        for column, (name, (_title, form)) in enumerate(there.items(), start=1):
            table.setItem(number, column, cell(*textOf(row.get(name), form)))
    table.resizeColumnsToContents()
    table.setVisible(bool(rows))
    fitHeight(table, SCROLL_BAR)


def textOf(value: Any, form: str) -> tuple[str, str]:
    """A figure, or the mean of a distribution, and the rest of it as a tooltip."""
    if value is None:
        return "", _("not measured")
    if not isinstance(value, dict):
        return format(value, form), ""
    spread = _("mean {mean}, SD {sd}, median {median}, 5 % {p5}, 95 % {p95}")
    texts = {name: format(number, form) for name, number in value.items()}
    return texts["mean"], spread.format(**texts)


def cell(text: str, toolTip: str) -> qt.QTableWidgetItem:
    """A cell that can be read and copied, not edited."""
    item = qt.QTableWidgetItem(text)
    item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
    item.setToolTip(toolTip)
    return item
