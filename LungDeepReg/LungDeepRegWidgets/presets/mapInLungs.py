"""What the maps of an assessment share: colors in the lungs, over the fixed image."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from slicer.i18n import tr as _

from .colors import GREY, Color, Scale, display, evenTable, legend, refreshLegends
from .inLungs import drawn, mapOf, showMeasured
from .lungs import windows
from .preset import Preset, isThere
from .stage import FOUR_UP, Stage

Window = tuple[float, float]


class MapInLungs(Preset):
    """One map of several, chosen by its name.

    Attributes:
        MAPS: The maps that there are, by their names in ``ResultNodes``; the first one has to be there.

    Args:
        stage: The views.
        nodes: The result.
        which: The map's name in ``ResultNodes``.
        opacity: Of the colors over the fixed image, 0 to 1.
    """

    NEEDS: ClassVar = ("fixed", "moving", "lungs")
    MAPS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, stage: Stage, nodes: Any, which: str = "", opacity: float = 0.6) -> None:
        super().__init__(stage, nodes)
        self.which = which or self.MAPS[0]
        self.opacity = opacity

    @abstractmethod
    def title(self) -> str:
        """Of the color bar: what is shown, with its unit."""

    @abstractmethod
    def scale(self, values: np.ndarray) -> tuple[Sequence[Color], Window]:
        """The colors and the window of values ``(N,)`` of which at least one is there."""

    def show(self) -> None:
        """Take the views."""
        shown, values = mapOf(self.nodes, self.which)
        colors, window = self.scale(values if values.size else np.zeros(1, np.float32))
        self.stage.open(FOUR_UP)
        temporary = self.stage.nodes
        fixed, volume = temporary.sharing(self.nodes.fixed), drawn(temporary, shown, self.title())
        display(temporary, fixed, evenTable(temporary, "gray", GREY), windows(self.nodes.fixed, self.nodes.moving)[0])
        table = evenTable(temporary, self.title(), colors)
        showMeasured(display(temporary, volume, table, window))
        legend(temporary, volume, self.title(), Scale(table, window), self.stage.last())
        self.stage.show(self.stage.slices(), fixed, volume, opacity=self.opacity)
        self.stage.placeAtLungs(fixed)
        self.stage.showSlicesIn3D(fixed)
        refreshLegends(self.stage.scene)

    def setOpacity(self, opacity: float) -> None:
        """Of the colors over the fixed image, 0 to 1."""
        self.opacity = opacity
        self.stage.setOpacity(opacity)

    @classmethod
    def missing(cls, nodes: Any) -> str:
        """What to do before it can be shown; empty if it can be."""
        lacking = super().missing(nodes) if nodes is None else ""
        if lacking or all(isThere(getattr(nodes, need)) for need in (*cls.NEEDS, cls.MAPS[0])):
            return lacking
        return _("Needs the assessment: click Assess under Quality.")
