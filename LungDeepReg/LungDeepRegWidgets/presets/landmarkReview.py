"""Landmark review: the fixed image above, the moving image below; the deformed one between them only where wanted."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from LungDeepRegLib.mrml.landmark_candidates import CANDIDATES_ATTRIBUTE
from LungDeepRegLib.mrml.landmark_pairs import LIST_CLASS, OBSERVER_ATTRIBUTE, PairLists
from LungDeepRegLib.mrml.transforms import field_from_node
from slicer.i18n import tr as _

from .colors import GREY, display, evenTable
from .displayState import nodesOf, showIn
from .drawnField import thinned
from .drawnTransform import drawArrowsAt
from .layouts import THREE_ROWS, addThreeRows
from .linkedCursor import follow
from .lungs import viewOf, windows
from .marks import MAGENTA, Mark
from .preset import Preset, isThere
from .stage import THREE_OVER_THREE, Stage

MOVING_GROUP = 1
"""Slicer moves all slices of a group to a point that is clicked: those of the other image must not follow."""
MOST_NODES = 200_000
"""Of the field that arrows are drawn of."""


class LandmarkReview(Preset):
    """Both images in three directions, unlinked, and an observer's landmarks, each list over its own image.

    Shown blindly, nothing in the views comes from the registration: the moving views start at the same place of the
    scanner's space as the fixed ones, and only points that the observer placed move them. Other observers' points are
    hidden. Compared with the registration there are, besides, the deformed image under the fixed one, a cross where
    the registration takes the fixed point, and arrows from the fixed landmarks to there.

    Args:
        stage: The views.
        nodes: The images, and a result if there is one.
        lists: The observer's points, or None.
        compared: Whether the registration's result is shown.
    """

    NEEDS: ClassVar = ("fixed", "moving")

    def __init__(self, stage: Stage, nodes: Any, lists: PairLists | None = None, compared: bool = False) -> None:
        super().__init__(stage, nodes)
        self.compared, self.lists = compared, lists
        self._rows: dict[str, list[Any]] = {}
        self._marks: dict[str, Mark] = {}

    @property
    def blind(self) -> bool:
        """Whether nothing in the views comes from the registration."""
        return not self.compared

    def show(self) -> None:
        """Take the views."""
        names = ["fixed", "moving"]
        if self.compared and isThere(self.nodes.warped):
            names.insert(1, "warped")
            addThreeRows(self.stage.scene.GetFirstNodeByClass("vtkMRMLLayoutNode"))
        self.stage.open(THREE_ROWS if len(names) == 3 else THREE_OVER_THREE)
        self._rows = dict(zip(names, self.stage.rows(), strict=False))
        both = windows(self.nodes.fixed, self.nodes.moving)
        colors = evenTable(self.stage.nodes, "gray", GREY)
        for name, row in self._rows.items():
            shown = self.stage.nodes.sharing(getattr(self.nodes, name))
            display(self.stage.nodes, shown, colors, both[0 if name == "fixed" else 1])
            self.stage.show(row, shown, linked=False)
            self._marks[name] = Mark(self.stage.nodes, row)
        for sliceNode in self._rows.get("moving", []):
            sliceNode.SetViewGroup(MOVING_GROUP)
        if self.compared:
            self._marks["registered"] = Mark(self.stage.nodes, self._rows.get("moving", []), MAGENTA, projected=True)
        point = self.stage.placeAtLungs(self.nodes.fixed)
        for name in self._rows:
            self._align(name, self._start(name))
        self.jump(point, marked=False)
        self.showLists(self.lists)
        self._drawArrows()

    @classmethod
    def purpose(cls) -> str:
        """What it is good for, as a tooltip."""
        return _("Fixed volume above, moving volume below, to place landmarks in both")

    def note(self) -> str:
        """What is seen."""
        if not self.compared:
            return _("Fixed volume above, moving volume below; nothing of the registration is shown.")
        return _("The magenta cross is where the registration takes the fixed point, the arrows show how far.")

    def showLists(self, lists: PairLists | None) -> None:
        """Show one observer's points over their images, and no other observer's."""
        self.lists = lists
        self.stage.keep()
        for node in nodesOf(self.stage.scene, LIST_CLASS):
            ours = any(node.GetAttribute(name) is not None for name in (OBSERVER_ATTRIBUTE, CANDIDATES_ATTRIBUTE))
            if ours and node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(False)
        if lists is None:
            return
        for name, node in (("fixed", lists.fixed), ("moving", lists.moving)):
            if node.GetDisplayNode() is not None:
                showIn(node.GetDisplayNode(), [view.GetID() for view in self._rows.get(name, [])])
                node.GetDisplayNode().SetVisibility(True)

    def jump(
        self, fixed: np.ndarray, moving: np.ndarray | None = None, registered: np.ndarray | None = None, *,
        marked: bool = True,
    ) -> None:  # fmt: skip
        """Center all views on a pair.

        Args:
            fixed: The point in the fixed image, RAS mm of the world.
            moving: That in the moving image; None where there is none: its views are then left where they are.
            registered: Where the registration takes the fixed point; not shown blindly.
            marked: Whether crosses are shown.
        """
        for name in ("fixed", "warped"):
            for sliceNode in self._rows.get(name, []):
                sliceNode.JumpSliceByCentering(*map(float, fixed))
            self.mark(name, fixed if marked else None)
        if moving is not None:
            self._align("moving", np.asarray(moving) - fixed)
        self.mark("moving", moving if marked else None)
        self.mark("registered", registered if marked and self.compared else None)

    def goTo(self, name: str, point: np.ndarray) -> None:
        """Show a point in the other views of the image, ``fixed`` or ``moving``, too, without shifting any picture."""
        for sliceNode in self._rows.get(name, []):
            sliceNode.JumpSliceByOffsetting(*map(float, point))

    def lookNear(self, point: np.ndarray) -> None:
        """Bring the moving views to the same place of the scanner's space as a point of the fixed image.

        That is what a linked display of two series does; the registration has no part in it.
        """
        self._align("moving", self._start("moving"))
        self.goTo("moving", np.asarray(point) + self._start("moving"))

    def imageContains(self, name: str, point: np.ndarray) -> bool:
        """Whether a point of the world lies in the image, ``fixed`` or ``moving``."""
        return bool(viewOf(getattr(self.nodes, name)).lattice.contains(np.reshape(point, (1, 3)))[0])

    def mark(self, name: str, point: np.ndarray | None) -> None:
        """Put the cross of an image, ``fixed`` or ``moving``, to a point, RAS mm of the world; None to hide it."""
        if name in self._marks:
            self._marks[name].put(point)

    def _align(self, name: str, shift: np.ndarray) -> None:
        """Give a row the fixed row's directions and zoom, at a place some mm away from it."""
        if name == "fixed":
            return
        for other, sliceNode in zip(self._rows["fixed"], self._rows.get(name, []), strict=False):
            follow(sliceNode, other, shift)

    def _start(self, name: str) -> np.ndarray:
        """From the fixed image to another one: nothing, or between their middles where they lie apart in space."""
        middle = viewOf(self.nodes.fixed).lattice.centre_ras
        other = viewOf(getattr(self.nodes, name)).lattice
        return np.zeros(3) if other.contains(middle[None])[0] else other.centre_ras - middle

    def _drawArrows(self) -> None:
        """Arrows from the fixed landmarks to where the registration takes them, in true length."""
        if not self.compared or self.lists is None or not isThere(self.nodes.transform):
            return
        field = thinned(field_from_node(self.nodes.transform, viewOf(self.nodes.fixed).lattice), MOST_NODES)
        drawArrowsAt(self.stage.nodes, field, self.lists.fixed, self._rows["fixed"])
