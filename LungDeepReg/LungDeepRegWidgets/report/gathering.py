"""What is known in the scene about a result, as the content of a report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
from LungDeepRegLib import mrml
from LungDeepRegLib.html_report import ReportContent
from LungDeepRegLib.landmark_review.observers import ObserverComparison, compare
from LungDeepRegLib.landmark_review.pairs import LandmarkPair
from LungDeepRegLib.landmark_review.table import PairErrors, Phi, errors
from LungDeepRegLib.mrml.landmark_pairs import PairLists, pair_lists, pairs_of
from LungDeepRegLib.mrml.phi import phi_of
from slicer.i18n import tr as _

from ..quality.checks import checksOf, landmarkErrorsOf
from .privacy import privateTexts
from .shots import Jump


def contentOf(parameters: Any, nodes: Any, *, named: bool) -> ReportContent:
    """Everything but the pictures.

    Args:
        parameters: The module's parameter node; it has the figures of a result.
        nodes: The result, ``mrml.ResultNodes``.
        named: Whether names are told.
    """
    lists = observersLists(parameters, nodes)
    rows, observers, notes = landmarksOf(nodes, lists)
    assessed = mrml.assessed(nodes.transform)
    return ReportContent(
        summary=json.loads(parameters.summary),
        checks=checksOf(parameters, nodes, landmarkErrorsOf(rows or [])),
        landmarks=rows,
        observers=observers,
        observer_names=[pair.observer for pair in lists[:2]],
        regions=None if assessed is None else assessed["region_figures"],
        assessment=None if assessed is None else assessed["figures"],
        notes=(*notes, *([] if assessed is None else assessed["warnings"])),
        named=named,
        private=[*privateTexts(slicer.mrmlScene), *(pair.observer for pair in lists[2:])],
    )


def observersLists(parameters: Any, nodes: Any) -> list[PairLists]:
    """The observers' landmarks of the result's images: first those of the one who works now."""
    found = pair_lists(slicer.mrmlScene, nodes.fixed, nodes.moving)
    return sorted(found, key=lambda lists: lists.observer != parameters.landmarkObserver)


def landmarksOf(
    nodes: Any, lists: Sequence[PairLists]
) -> tuple[list[PairErrors] | None, ObserverComparison | None, list[str]]:
    """The first observer's table, the comparison with the second one, and why something of it is missing."""
    if not lists:
        return None, None, []
    try:
        pairs = pairs_of(lists[0])
    except ValueError as error:  # such as two points of one name, made in another module
        return None, None, [str(error)]
    rows, phi, notes = tableOf(nodes, pairs)
    if len(lists) == 1:
        return rows, None, notes
    notes += notesOfOthers(nodes, lists)
    try:
        return rows, compare(pairs, pairs_of(lists[1]), phi), notes
    except ValueError as error:
        return rows, None, [*notes, _("The observers can't be compared: {error}").format(error=error)]


def notesOfOthers(nodes: Any, lists: Sequence[PairLists]) -> list[str]:
    """Whose landmarks make the light, and what the others' say: nobody is to be misled by a choice of observers."""
    text = _("The light, the table and the statistics of landmark pairs are of {observer}, who is chosen in Slicer.")
    notes = [text.format(observer=lists[0].observer)]
    for other in lists[1:]:
        try:
            found = landmarkErrorsOf(tableOf(nodes, pairs_of(other))[0])
        except ValueError as error:
            notes.append(str(error))
            continue
        if found is not None:
            text = _("By the landmarks of {observer} the mean error is {error:.2f} mm ({count} pairs placed blind).")
            notes.append(text.format(observer=other.observer, error=found[0]["ds"].mean, count=found[1]))
    if len(lists) > 2:
        names = ", ".join(pair.observer for pair in lists[:2])
        notes.append(_("Two observers are compared: {names}.").format(names=names))
    return notes


def tableOf(nodes: Any, pairs: Sequence[LandmarkPair]) -> tuple[list[PairErrors], Phi | None, list[str]]:
    """The table of pairs and the map; without errors after registration where they can't be had, and then why."""
    if nodes.transform is None:
        return errors(pairs, None), None, []
    try:
        phi = phi_of(nodes.transform)
        return errors(pairs, phi), phi, []
    except ValueError as error:
        return errors(pairs, None), None, [str(error)]


def worstPair(nodes: Any, rows: Sequence[PairErrors] | None) -> Jump | None:
    """The pair with the largest error after registration, or None where none is known."""
    known = [row for row in rows or () if row.after is not None]
    if not known:
        return None
    pair = max(known, key=lambda row: row.after.ds).pair
    registered = phi_of(nodes.transform)(np.array([pair.fixed_ras]))[0]
    return Jump(pair.label, pair.fixed_ras, pair.moving_ras, registered)
