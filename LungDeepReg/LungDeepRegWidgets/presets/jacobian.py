"""Jacobian: how the volume of the tissue changes from the fixed to the moving image, over the fixed image."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from slicer.i18n import tr as _

from .colors import GREY, JACOBIAN, STEPS, Scale, colorTable, display, evenTable, legend, ramp, refreshLegends
from .inLungs import drawn, mapOf, showMeasured
from .lungs import windows
from .preset import Preset, isThere
from .stage import FOUR_UP, Stage

RANGE = (0.5, 2.0)
"""Half and double the volume get the extreme colors."""


class Jacobian(Preset):
    """The determinant on a logarithmic scale around 1, in the lungs where these are known.

    The volume shown is the determinant itself, so that the mouse reads true values: the logarithm is in the colors
    (a window maps values evenly, so its table is stretched), and in a color bar with 1 in its middle.

    Args:
        stage: The views.
        nodes: The result.
        opacity: Of the colors over the fixed image, 0 to 1.
    """

    NEEDS: ClassVar = ("fixed", "moving", "jacobian")

    def __init__(self, stage: Stage, nodes: Any, opacity: float = 0.6) -> None:
        super().__init__(stage, nodes)
        self.opacity = opacity

    def show(self) -> None:
        """Take the views."""
        self.stage.open(FOUR_UP)
        temporary = self.stage.nodes
        fixed, jacobian = temporary.sharing(self.nodes.fixed), self._map()
        display(temporary, fixed, evenTable(temporary, "gray", GREY), windows(self.nodes.fixed, self.nodes.moving)[0])
        shown = display(temporary, jacobian, colorTable(temporary, "Jacobian", stretchedColors()), RANGE)
        if isThere(self.nodes.lungs):
            showMeasured(shown)
        even = evenTable(temporary, "Jacobian", JACOBIAN)
        legend(temporary, jacobian, _("Jacobian"), Scale(even, RANGE, "%.2g", logarithmic=True), self.stage.last())
        self.stage.show(self.stage.slices(), fixed, jacobian, opacity=self.opacity)
        self.stage.dimOutside(self.nodes.coverage)
        self.stage.placeAtLungs(fixed)
        self.stage.showSlicesIn3D(fixed)
        refreshLegends(self.stage.scene)

    def _map(self) -> Any:
        if not isThere(self.nodes.lungs):
            return self.stage.nodes.sharing(self.nodes.jacobian)
        return drawn(self.stage.nodes, mapOf(self.nodes, "jacobian")[0], self.nodes.jacobian.GetName())

    def setOpacity(self, opacity: float) -> None:
        """Of the colors over the fixed image, 0 to 1."""
        self.opacity = opacity
        self.stage.setOpacity(opacity)

    @classmethod
    def purpose(cls) -> str:
        """What it is good for, as a tooltip."""
        return _("Where the tissue expands and where it shrinks")

    def note(self) -> str:
        """How to read the colors."""
        return _(
            "Volume in the moving volume per volume in the fixed one: 2 is twice the volume, 0.5 half of it."
            " Read it by region, not by voxel."
        )


def stretchedColors() -> np.ndarray:
    """Colors ``(N, 3)`` evenly spread over the window that make equal steps of the logarithm look equal."""
    low, high = np.log(RANGE)
    values = np.linspace(*RANGE, 2 * STEPS)
    return ramp(JACOBIAN, (np.log(values) - low) / (high - low))
