"""What a reviewer does with a pair that is there: look at it, judge it, lock, rename, delete it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from LungDeepRegLib.landmark_review.pairs import LandmarkPair, State
from LungDeepRegLib.landmarks import LandmarkError
from LungDeepRegLib.mrml.landmark_pairs import indices_by_label
from LungDeepRegLib.mrml.volumes import NodeError
from slicer.i18n import tr as _

from .book import PairBook
from .pairTable import PairTable


class PairActions:
    """Acts on the pair of the selected row; nothing is asked, all of it can be undone.

    Args:
        book: The pairs.
        table: Has the selection.
        jump: Brings the views to a pair.
        say: Shows what was done, or why it can't be.
    """

    def __init__(
        self, book: PairBook, table: PairTable, jump: Callable[[LandmarkPair], None], say: Callable[[str], None]
    ) -> None:
        self.book, self.table, self._jump, self._say = book, table, jump, say

    @property
    def current(self) -> LandmarkPair | None:
        """The selected pair, or None."""
        return self.book.pair(self.table.label)

    def go(self, label: str) -> None:
        """Select a pair and bring the views to it."""
        pair = self.book.pair(label)
        if pair is not None:
            self.table.select(label)
            self._jump(pair)

    def next(self) -> None:
        """Go to the next row's pair that isn't reviewed yet; where all are, to the next row's."""
        labels = self.table.labels()
        if not labels:
            return
        start = labels.index(self.table.label) + 1 if self.table.label else 0
        behind = labels[start:] + labels[:start]
        waiting = [label for label in behind if self.book.pair(label).state is State.UNREVIEWED]
        self.go((waiting or behind)[0])
        if not waiting:
            self._say(_("All pairs are reviewed."))

    def judge(self, state: State) -> None:
        """Accept or doubt the pair, and go to the next one."""
        pair = self.current
        if pair is not None and self._done(lambda: self.book.change(pair.label, state=state)):
            self.next()

    def lock(self) -> None:
        """Keep the pair from being moved, or let it be moved again."""
        pair = self.current
        if pair is not None:
            self._done(lambda: self.book.change(pair.label, locked=not pair.locked))

    def remove(self) -> None:
        """Delete the pair whose point is under the mouse, otherwise that of the selected row."""
        label = self._pointed() or self.table.label
        if self.book.pair(label) is not None and self._done(lambda: self.book.remove(label)):
            self._say(_("Pair {label} is deleted. Undo brings it back.").format(label=label))

    def rename(self, label: str, new: str) -> None:
        """Give a pair another label; where that can't be, the row shows the old one again."""
        if self._done(lambda: self.book.rename(label, new)):
            self.table.select(new)

    def undo(self) -> None:
        """Take the last change back."""
        self._done(self.book.undo)

    def _done(self, action: Callable[[], None]) -> bool:
        """Do something; False, and the reason is shown, where it can't be done."""
        try:
            action()
        except (NodeError, LandmarkError) as error:
            self._say(str(error))
            return False
        return True

    def _pointed(self) -> str:
        """The label of the point under the mouse, or empty."""
        for node in self.book.lists.both if self.book.lists is not None else ():
            display: Any = node.GetDisplayNode()
            if display is not None and display.GetActiveComponentType() == display.ComponentControlPoint:
                index = display.GetActiveComponentIndex()
                return next((label for label, place in indices_by_label(node).items() if place == index), "")
        return ""
