"""The figures of the panel: the errors pair by pair, their statistics, two observers beside each other."""

from __future__ import annotations

from typing import Any

from LungDeepRegLib.landmark_review.observers import compare
from LungDeepRegLib.landmark_review.pairs import State
from LungDeepRegLib.landmark_review.table import PairErrors, errors
from LungDeepRegLib.landmarks import LandmarkError
from LungDeepRegLib.mrml.landmark_pairs import pairs_of
from LungDeepRegLib.mrml.phi import phi_of
from LungDeepRegLib.mrml.volumes import NodeError
from slicer.i18n import tr as _

from ..presets.preset import isThere
from .book import PairBook
from .observers import Observers
from .reviewViews import ReviewViews
from .statisticsTable import StatisticsTable, errorBlocks, leftOutText, observerBlocks


class Figures:
    """Computes what the tables show.

    Args:
        ui: The panel's widgets.
        views: Know the registration's result.
        book: The current observer's pairs.
        observers: Everybody's lists.
    """

    def __init__(self, ui: Any, views: ReviewViews, book: PairBook, observers: Observers) -> None:
        self.ui, self.views, self.book, self.observers = ui, views, book, observers
        self.statistics = StatisticsTable(ui.statisticsTable)

    def phi(self) -> tuple[Any, str]:
        """The registration's map, or None, and why there is none though there is a transform."""
        if not isThere(self.views.nodes.transform):
            return None, ""
        try:
            return phi_of(self.views.nodes.transform), ""
        except NodeError as error:
            return None, str(error)

    def shownPhi(self) -> tuple[Any, str]:
        """The registration's map as far as its errors may be shown, or None, and why not."""
        if self.views.blind and isThere(self.views.nodes.transform):
            return None, _("The errors after registration are hidden until the blind review is left.")
        return self.phi()

    def rows(self) -> list[PairErrors]:
        """The pairs with all their errors, whether they may be shown or not."""
        return self._errors(*self.phi())[0]

    def shownRows(self) -> tuple[list[PairErrors], str]:
        """The table, without the errors after registration where they can't be had or shown, and then why."""
        return self._errors(*self.shownPhi())

    def _errors(self, phi: Any, why: str) -> tuple[list[PairErrors], str]:
        try:
            return errors(self.book.pairs, phi), why
        except (NodeError, LandmarkError) as error:
            return errors(self.book.pairs, None), str(error)

    def show(self, rows: list[PairErrors]) -> str:
        """Fill the table of statistics; why the observers can't be compared."""
        doubtful = not self.ui.doubtfulCheckBox.checked
        blocks, doubt = errorBlocks(rows, doubtful=doubtful), ""
        other = self.observers.find(self.ui.otherSelector.currentText) if self.ui.otherSelector.currentIndex else None
        if other is not None:
            kept = [pair for pair in self.book.pairs if doubtful or pair.state is not State.DOUBTFUL]
            try:
                theirs = [pair for pair in pairs_of(other) if doubtful or pair.state is not State.DOUBTFUL]
                blocks += observerBlocks(compare(kept, theirs, self.shownPhi()[0]))
            except (NodeError, LandmarkError) as error:
                doubt = str(error)
        self.statistics.show(blocks)
        text = leftOutText(rows, doubtful=doubtful, registered=self.shownPhi()[0] is not None)
        self.ui.leftOutLabel.text = text or _("Only pairs that were placed blindly count.")
        return doubt
