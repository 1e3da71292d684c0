"""A registration's figures in a few lines, for the results box."""

import html
from typing import Any

from slicer.i18n import tr as _


def resultText(summary: dict[str, Any]) -> str:
    """Rich text of the summary of a registration (the entries of summary.json).

    Each figure stands with what it is to be compared with; what wasn't measured is left out.
    """
    rows = [row for row in (timeRow(summary), diceRow(summary), foldingRow(summary), volumeRow(summary)) if row]
    cells = "".join(
        f"<tr><td>{html.escape(name)}&nbsp;&nbsp;</td><td>{html.escape(text)}</td></tr>" for name, text in rows
    )
    notes = "".join(f"<li>{html.escape(warning)}</li>" for warning in summary.get("warnings") or ())
    warnings = f"<p><b>{html.escape(_('Please note'))}</b></p><ul>{notes}</ul>" if notes else ""
    return f"<table>{cells}</table>{warnings}<p>{html.escape(_('Research software, not for clinical use.'))}</p>"


def timeRow(summary: dict[str, Any]) -> tuple[str, str]:
    """How long it took, and where."""
    text = _("{seconds:.1f} s on {device}").format(seconds=summary["seconds_total"], device=summary["device"])
    return _("Time"), text


def diceRow(summary: dict[str, Any]) -> tuple[str, str] | None:
    """How well the lungs overlap."""
    if summary.get("dice_after") is None:
        return None
    text = _("{before:.3f} before, {aligned:.3f} aligned, {after:.3f} after").format(
        before=summary["dice_before"], aligned=summary["dice_aligned"], after=summary["dice_after"]
    )
    return _("Dice of the lungs"), text


def foldingRow(summary: dict[str, Any]) -> tuple[str, str]:
    """How much of the field is folded: in the lungs where they are known."""
    if summary.get("folded_percent_lung") is not None:
        return _("Folded in the lungs"), _("{percent:.3g} %").format(percent=summary["folded_percent_lung"])
    return _("Folded"), _("{percent:.3g} %").format(percent=summary["folded_percent"])


def volumeRow(summary: dict[str, Any]) -> tuple[str, str] | None:
    """Whether the change of volume that the field describes is that of the masks."""
    if summary.get("mean_jacobian_lung") is None:
        return None
    jacobian, ratio = summary["mean_jacobian_lung"], summary.get("lung_volume_ratio")
    if ratio is None:
        return _("Mean Jacobian"), f"{jacobian:.3f}"
    text = _("{jacobian:.3f}; the lungs' volumes: {ratio:.3f}").format(jacobian=jacobian, ratio=ratio)
    return _("Mean Jacobian"), text
