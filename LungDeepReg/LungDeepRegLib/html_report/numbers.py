"""Figures as people read them; the page keeps the full value beside each one."""

from __future__ import annotations

from collections.abc import Mapping

from .markup import Markup, element

NOT_MEASURED = "not measured"
NOTHING = "\N{EN DASH}"
"""Where a table has no such figure at all."""
MINUS = "\N{MINUS SIGN}"


def rounded(value: float, digits: int) -> str:
    """A figure with so many digits behind its point; only one that is zero is shown as zero.

    >>> rounded(0.00012, 2), rounded(0.0, 2), rounded(3.14159, 2)
    ('< 0.01', '0', '3.14')
    """
    if value == 0:
        return "0"
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        least = f"{10.0**-digits:.{digits}f}"
        return f"< {least}" if value > 0 else f"> {MINUS}{least}"
    return text.replace("-", MINUS)


def figure(value: float | None, digits: int, unit: str = "", entry: str | None = None) -> Markup:
    """A figure for a cell, its full value in ``value`` as JSON has it; "not measured" for None.

    Args:
        value: The figure.
        digits: Behind the point, as it is shown.
        unit: Shown behind it.
        entry: Where it stands in summary.json, such as ``similarity.after``.
    """
    if value is None:
        return element("span", NOT_MEASURED, class_="missing", data_entry=entry)
    text = f"{value:d}" if isinstance(value, int) else rounded(value, digits)
    shown = f"{text}\N{NO-BREAK SPACE}{unit}" if unit else text
    return element("data", shown, value=repr(value), title=f"{value!r} {unit}".strip(), data_entry=entry)


def mean_and_sd(distribution: Mapping[str, float], digits: int) -> Markup:
    """Both in one cell."""
    mean, sd = (figure(distribution[name], digits) for name in ("mean", "sd"))
    return Markup(f"{mean}\N{NO-BREAK SPACE}\N{PLUS-MINUS SIGN}\N{NO-BREAK SPACE}{sd}")
