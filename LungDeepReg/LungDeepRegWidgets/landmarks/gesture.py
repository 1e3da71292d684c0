"""Placing a pair: a click in a view of the fixed image, then one in a view of the moving image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qt
from LungDeepRegLib.mrml.landmark_pairs import LIST_CLASS, PairLists, defined_points

FIXED, MOVING = "fixed", "moving"
PARTS = (FIXED, MOVING)


@dataclass(frozen=True)
class Listener:
    """Who is told how placing goes.

    Attributes:
        refused: Why a point, RAS mm of the world, can't be in the ``fixed`` or ``moving`` image; empty if it can.
        placed: Given ``fixed`` or ``moving`` and the point that was placed; there may be more to come.
        done: Given the points ``fixed`` and, where it was asked for, ``moving``; the lists hold none of them.
        canceled: Nothing was placed.
    """

    refused: Callable[[str, tuple[float, ...]], str]
    placed: Callable[[str, tuple[float, ...]], None]
    done: Callable[[dict[str, tuple[float, ...]]], None]
    canceled: Callable[[], None]


class PairGesture:
    """Uses Slicer's own place mode, so that the point follows the mouse and a right click cancels.

    Slicer ends the place mode after each point; the next step begins when it has, not in the midst of it.

    Args:
        applicationLogic: ``slicer.app.applicationLogic()`` in Slicer: knows the nodes of the place mode.
        listener: Told how it goes.
    """

    def __init__(self, applicationLogic: Any, listener: Listener) -> None:
        self._logic, self._listener = applicationLogic, listener
        self._observed: list[tuple[Any, int]] = []
        self._lists: PairLists | None = None
        self._waiting: list[str] = []
        self._points: dict[str, tuple[float, ...]] = {}
        self._before: tuple[Any, Any, int] = (None, None, 0)
        self._known: dict[str, int] = {}
        self._defined: dict[str, int] = {}
        self._step = 0

    @property
    def active(self) -> bool:
        """Whether a pair is being placed."""
        return bool(self._waiting)

    @property
    def part(self) -> str:
        """Which image the next click is for: ``fixed``, ``moving``, or empty."""
        return self._waiting[0] if self._waiting else ""

    def remember(self) -> None:
        """Note what Slicer would place now, which it does afterwards, too; it changes with every new list."""
        selection, interaction = self._logic.GetSelectionNode(), self._logic.GetInteractionNode()
        className, nodeId = selection.GetActivePlaceNodeClassName(), selection.GetActivePlaceNodeID()
        self._before = className, nodeId, interaction.GetPlaceModePersistence()

    def start(self, lists: PairLists, parts: tuple[str, ...] = PARTS) -> None:
        """Wait for the first click.

        Args:
            lists: The observer's lists; each list is shown in the views of its image alone, so that no click in
                another one counts.
            parts: The images in which the user is to place a point.
        """
        self.cancel()
        self._lists, self._waiting, self._points = lists, list(parts), {}
        self._place()

    def cancel(self) -> None:
        """Give up what is being placed, without a trace."""
        if self.active:
            self._end()
            self._listener.canceled()

    def _node(self) -> Any:
        return self._lists.fixed if self.part == FIXED else self._lists.moving

    def _place(self) -> None:
        """Let Slicer place one point of the list that is next."""
        self._ignore()
        selection, interaction = self._logic.GetSelectionNode(), self._logic.GetInteractionNode()
        self._step += 1
        self._known, self._defined = pointIds(self._node()), pointIds(self._node(), defined=True)
        selection.SetReferenceActivePlaceNodeClassName(LIST_CLASS)
        selection.SetActivePlaceNodeID(self._node().GetID())
        interaction.SwitchToSinglePlaceMode()
        for node, event, callback in (
            (interaction, interaction.InteractionModeChangedEvent, self._onMode),
            (selection, selection.ActivePlaceNodeIDChangedEvent, self._onSelection),
        ):
            self._observed.append((node, node.AddObserver(event, callback)))

    def _onMode(self, interaction: Any, _event: Any) -> None:
        """Placing has ended: by a click, or because the user doesn't want to."""
        if interaction.GetCurrentInteractionMode() != interaction.Place:
            step = self._step
            qt.QTimer.singleShot(0, lambda: self._look(step))

    def _onSelection(self, selection: Any, _event: Any) -> None:
        """Something else is to be placed."""
        if self.active and selection.GetActivePlaceNodeID() != self._node().GetID():
            self._end(giveBack=False)
            self._listener.canceled()

    def _look(self, step: int) -> None:
        """Take the point that was placed; without one the user has canceled."""
        if not self.active or step != self._step:
            return
        node = self._node()
        found = [index for pointId, index in pointIds(node, defined=True).items() if pointId not in self._defined]
        if not found:
            self.cancel()
            return
        part, point = self.part, node.GetNthControlPointPositionWorld(found[-1])
        self._removeNew()
        if self._listener.refused(part, point):
            self._place()
            return
        self._points[part] = tuple(point)
        self._waiting.pop(0)
        points = dict(self._points)
        if self._waiting:
            self._listener.placed(part, point)
            if self.active:
                self._place()
            return
        self._end()
        self._listener.placed(part, point)
        self._listener.done(points)

    def _removeNew(self) -> None:
        """Take out of the list what placing put there, the point that follows the mouse too."""
        node = self._node()
        if node.GetScene() is None:
            return
        for pointId, index in reversed(pointIds(node).items()):
            if pointId not in self._known:
                node.RemoveNthControlPoint(index)
            elif pointId not in self._defined:
                node.UnsetNthControlPointPosition(index)

    def _end(self, *, giveBack: bool = True) -> None:
        """Leave the place mode as it was before, or to whoever uses it now."""
        self._ignore()
        self._step += 1
        interaction, selection = self._logic.GetInteractionNode(), self._logic.GetSelectionNode()
        if giveBack and selection is not None and interaction is not None:
            if interaction.GetCurrentInteractionMode() == interaction.Place:  # or else the user has another tool by now
                interaction.SwitchToViewTransformMode()  # takes the point that follows the mouse away
            className, nodeId, persistence = self._before
            interaction.SetPlaceModePersistence(persistence)
            selection.SetReferenceActivePlaceNodeClassName(className)
            selection.SetActivePlaceNodeID(nodeId)
        if self._waiting:
            self._removeNew()
        self._waiting, self._points = [], {}

    def _ignore(self) -> None:
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []


def pointIds(node: Any, *, defined: bool = False) -> dict[str, int]:
    """The indices of a list's points by their IDs: of all, or of those that have a position."""
    indices = defined_points(node) if defined else range(node.GetNumberOfControlPoints())
    return {node.GetNthControlPointID(index): index for index in indices}
