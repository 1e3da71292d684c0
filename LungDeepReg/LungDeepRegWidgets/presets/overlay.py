"""Overlay: the fixed image in blue, the moving one in orange over it; what agrees is grey."""

from __future__ import annotations

from typing import Any, ClassVar

from slicer.i18n import tr as _

from .colors import FIXED_TINT, MOVING_TINT, display, evenTable
from .lungs import windows
from .preset import Preset
from .stage import FOUR_UP, Stage


class Overlay(Preset):
    """The two images over each other, before or after registration.

    Args:
        stage: The views.
        nodes: The result.
        after: Show the deformed image, not the moving one where it lies.
        opacity: Of the moving image, 0 to 1.
    """

    NEEDS: ClassVar = ("fixed", "moving", "warped")
    TINTS: ClassVar = (FIXED_TINT, MOVING_TINT)

    def __init__(self, stage: Stage, nodes: Any, after: bool = True, opacity: float = 0.5) -> None:
        super().__init__(stage, nodes)
        self.after, self.opacity = after, opacity
        self._shown: dict[str, Any] = {}

    def show(self) -> None:
        """Take the views."""
        self.stage.open(FOUR_UP)
        fixedWindow, movingWindow = windows(self.nodes.fixed, self.nodes.moving)
        fixedColors, movingColors = (evenTable(self.stage.nodes, "tint", tint) for tint in self.TINTS)
        for name in ("fixed", "moving", "warped"):
            self._shown[name] = self.stage.nodes.sharing(getattr(self.nodes, name))
        display(self.stage.nodes, self._shown["fixed"], fixedColors, fixedWindow)
        display(self.stage.nodes, self._shown["moving"], movingColors, movingWindow)
        display(self.stage.nodes, self._shown["warped"], movingColors, movingWindow)
        self._layer()
        self.stage.dimOutside(self.nodes.coverage)
        self.stage.setOutsideDimmed(self.after)
        self.stage.placeAtLungs(self._shown["fixed"])
        self.stage.showSlicesIn3D(self._shown["fixed"])

    def setAfter(self, after: bool) -> None:
        """Show the deformed image, or the moving one where it lies."""
        self.after = after
        self.stage.setOutsideDimmed(after)  # before registration the moving image ends elsewhere
        for sliceNode in self.stage.slices():
            composite = self.stage.composite(sliceNode)
            if composite is not None:
                composite.SetForegroundVolumeID(self._front().GetID())

    def setOpacity(self, opacity: float) -> None:
        """Of the moving image, 0 to 1."""
        self.opacity = opacity
        self.stage.setOpacity(opacity)

    @classmethod
    def purpose(cls) -> str:
        """What it is good for, as a tooltip."""
        return _("Both volumes over each other in two colors: where they agree it is gray")

    def note(self) -> str:
        """How to read the colors."""
        return _("Fixed volume in blue, moving volume in orange: gray where they agree.")

    def _front(self) -> Any:
        return self._shown["warped" if self.after else "moving"]

    def _layer(self) -> None:
        self.stage.show(self.stage.slices(), self._shown["fixed"], self._front(), opacity=self.opacity)
