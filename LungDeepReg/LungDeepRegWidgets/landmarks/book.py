"""One observer's pairs in the scene, followed and changed; every change can be taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import qt
import slicer
import vtk
from LungDeepRegLib.landmark_review.description import words_of
from LungDeepRegLib.landmark_review.pairs import LandmarkPair, Provenance, State
from LungDeepRegLib.mrml.landmark_pairs import (
    PairLists,
    check_unlocked,
    defined_points,
    pairs_of,
    rename_pair,
    set_pairs,
)
from LungDeepRegLib.mrml.volumes import NodeError

MOST_STEPS = 100
"""That can be taken back."""
MOVED_MM = 1e-6
NODE = slicer.vtkMRMLMarkupsNode
EVENTS = (
    NODE.PointModifiedEvent,
    NODE.PointPositionDefinedEvent,
    NODE.PointRemovedEvent,
    NODE.LockModifiedEvent,
    slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
)


class PairBook:
    """Keeps an observer's pairs in step with his lists, whoever changes them.

    A point that is moved while the registration's result is seen is no longer blind: it becomes ``assisted``. A pair
    that is moved at all is ``unreviewed`` again.

    Args:
        seen: Whether the registration's result is seen at this moment.
        onChanged: Called after anything changed.
        onAssisted: Given the labels of pairs that have just become assisted.
        onPointed: Given the label of a point that was clicked in a view.
    """

    def __init__(
        self,
        seen: Callable[[], bool],
        onChanged: Callable[[], None],
        onAssisted: Callable[[list[str]], None],
        onPointed: Callable[[str], None],
    ) -> None:
        self._seen, self._onChanged, self._onAssisted, self._onPointed = seen, onChanged, onAssisted, onPointed
        self._tags: list[tuple[Any, int]] = []
        self._helped = self._waiting = self._paused = False
        self._steps: list[list[LandmarkPair]] = []
        self.lists: PairLists | None = None
        self.pairs: list[LandmarkPair] = []
        self.error = ""

    def open(self, lists: PairLists | None) -> None:
        """Follow other lists, or none."""
        self.close()
        self.lists = lists
        for node in lists.both if lists is not None else ():
            self._tags += [(node, node.AddObserver(event, self._onModified)) for event in EVENTS]
            self._tags.append((node, node.AddObserver(NODE.PointEndInteractionEvent, self._onEnd)))
            self._observeClicks(node)
        self._read()
        self._onChanged()

    def close(self) -> None:
        """Follow nothing any more."""
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        self._tags, self._steps, self.lists = [], [], None
        self.pairs, self.error = [], ""
        self._helped = self._paused = False

    def pause(self) -> None:
        """Take no notice of the lists while points are placed in them that aren't pairs yet."""
        self._paused = True

    def resume(self) -> None:
        """Follow the lists again; what somebody else changed meanwhile is noted."""
        if self._paused:
            self._paused = False
            self._look()

    def pair(self, label: str) -> LandmarkPair | None:
        """The pair of a label, or None."""
        return next((pair for pair in self.pairs if pair.label == label), None)

    def freeLabel(self) -> str:
        """The least number that is no label yet."""
        taken = {label for node in self.lists.both for label in defined_points(node).values()} if self.lists else set()
        return next(str(number) for number in range(1, len(taken) + 2) if str(number) not in taken)

    @property
    def canUndo(self) -> bool:
        """Whether there is a change to be taken back."""
        return bool(self._steps)

    def add(self, pair: LandmarkPair) -> None:
        """Add a pair.

        Raises:
            NodeError, LandmarkError: The lists are locked, or have the label already.
        """
        self.write([*self.pairs, pair])

    def change(self, label: str, **values: Any) -> None:
        """Give a pair other values. A locked one is only changed by what unlocks it.

        Raises:
            NodeError: The lists or the pair are locked.
        """
        self._checkFree(label, values)
        self.write([replace(pair, **values) if pair.label == label else pair for pair in self.pairs])

    def remove(self, label: str) -> None:
        """Take a pair out of both lists.

        Raises:
            NodeError: The lists or the pair are locked.
        """
        self._checkFree(label, {})
        self.write([pair for pair in self.pairs if pair.label != label])

    def rename(self, label: str, new: str) -> None:
        """Give a pair another label.

        Raises:
            NodeError: The lists or the pair are locked, or the label is taken.
        """
        self._checkFree(label, {})
        before = list(self.pairs)
        rename_pair(self.lists, label, new)
        self._remember(before)
        self._read()

    def write(self, pairs: list[LandmarkPair]) -> None:
        """Make these the pairs, as one step that can be taken back.

        Raises:
            NodeError, LandmarkError: As :func:`mrml.landmark_pairs.set_pairs`.
        """
        before = list(self.pairs)
        set_pairs(self.lists, pairs)
        self._remember(before)
        self._read()

    def undo(self) -> None:
        """Take the last change back.

        Raises:
            NodeError: The lists are locked.
        """
        if self._steps:
            set_pairs(self.lists, self._steps[-1])
            self._steps.pop()
            self._read()

    def _checkFree(self, label: str, values: dict[str, Any]) -> None:
        check_unlocked(self.lists)
        pair = self.pair(label)
        if pair is not None and pair.locked and values.get("locked", True):
            msg = f"{self.lists.fixed.GetName()}: found the pair {label} locked, expected it unlocked"
            raise NodeError(msg)

    def _remember(self, pairs: list[LandmarkPair]) -> None:
        self._steps = [*self._steps[-MOST_STEPS + 1 :], pairs]

    def _read(self) -> None:
        """Take over what the lists hold."""
        before, self._helped = (self.pairs, self.error), False
        try:
            self.pairs, self.error = pairs_of(self.lists) if self.lists is not None else [], ""
        except NodeError as error:  # two points of one name, made in another module: nothing is changed meanwhile
            self.pairs, self.error = [], str(error)
        if (self.pairs, self.error) != before:
            self._onChanged()

    def _observeClicks(self, node: Any) -> None:
        display = node.GetDisplayNode()
        if display is None:
            return

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def onClick(_display: Any, _event: Any, data: Any) -> None:
            label = defined_points(node).get(data.GetComponentIndex())
            if label is not None:
                self._onPointed(label)

        self._tags.append((display, display.AddObserver(display.JumpToPointEvent, onClick)))

    def _onEnd(self, _node: Any, _event: Any) -> None:
        """A point was let go of."""
        self._lookSoon()

    def _onModified(self, _node: Any, _event: Any) -> None:
        """Look when the change is complete: markups tell of their parts one by one, and of each step of a drag."""
        if self._paused:
            return
        self._helped = self._helped or self._seen()
        if not dragging():
            self._lookSoon()

    def _lookSoon(self) -> None:
        if not self._waiting and not self._paused:
            self._waiting = True
            qt.QTimer.singleShot(0, self._look)

    def _look(self) -> None:
        """Note what somebody changed in the lists: points dragged in a view, or edited in another module."""
        self._waiting = False
        if self.lists is None or self._paused:
            return
        before, helped = list(self.pairs), self._helped
        self._read()
        if self.error:
            return
        known = {pair.label: pair for pair in before}
        judged = [self._judged(pair, known.get(pair.label), helped) for pair in self.pairs]
        if before != self.pairs:
            self._remember(before)
        if judged != self.pairs:
            assisted = [now.label for now, was in zip(judged, self.pairs, strict=True) if was.blind and not now.blind]
            set_pairs(self.lists, judged)
            self._read()
            if assisted:
                self._onAssisted(assisted)

    def _judged(self, pair: LandmarkPair, known: LandmarkPair | None, helped: bool) -> LandmarkPair:
        """A pair with the provenance and the state that it has by now."""
        changed = {
            part: known is None or moved(getattr(known, f"{part}_ras"), getattr(pair, f"{part}_ras"))
            for part in ("fixed", "moving")
        }
        if known is None and self._hasWords(pair.label):
            return pair
        values: dict[str, Any] = {}
        for part in (part for part in changed if changed[part] and helped):
            values[f"{part}_provenance"] = Provenance.ASSISTED
        if known is not None and any(changed.values()):
            values["state"] = State.UNREVIEWED
        return replace(pair, **values)

    def _hasWords(self, label: str) -> bool:
        """Whether a point says itself how it came to its place, such as one that an undone deletion brings back."""
        found = {name: index for index, name in defined_points(self.lists.fixed).items()}
        return "provenance" in words_of(self.lists.fixed.GetNthControlPointDescription(found[label]))


def dragging() -> bool:
    """Whether a mouse button is held down.

    The markups' own events don't tell: Slicer's key S, which puts a point into the slice, begins and never ends.
    """
    buttons = qt.QApplication.mouseButtons()
    return bool(buttons & qt.Qt.LeftButton) or bool(buttons & qt.Qt.MiddleButton)


def moved(before: Any, after: Any) -> bool:
    """Whether a point is elsewhere now."""
    if before is None or after is None:
        return before is not after
    return max(abs(a - b) for a, b in zip(before, after, strict=True)) > MOVED_MM
