"""Difference: moving minus fixed image before registration above, after it below."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from LungDeepRegLib.intensity import choose_intensity
from slicer.i18n import tr as _

from .colors import DIFFERENCE, Scale, display, evenTable, legend, niceLimit, refreshLegends
from .lungs import viewOf
from .preset import Preset
from .stage import THREE_OVER_THREE

SAMPLES = 500_000
PERCENTILE = 95.0
LIMITS_HU = (200.0, 1000.0)
"""Between noise and the step from lung to soft tissue."""


class Difference(Preset):
    """Both differences in one color scale, symmetric about zero."""

    NEEDS: ClassVar = ("fixed", "difference", "difference_before")

    def show(self) -> None:
        """Take the views."""
        self.stage.open(THREE_OVER_THREE)
        before, after = (self.stage.nodes.sharing(n) for n in (self.nodes.difference_before, self.nodes.difference))
        highest = max(typicalSize(viewOf(before).array), typicalSize(viewOf(after).array))
        ct = choose_intensity(viewOf(self.nodes.fixed)).modality == "ct"
        if ct:
            highest = float(np.clip(highest, *LIMITS_HU))
        window = (-highest, highest)
        colors = evenTable(self.stage.nodes, "difference", DIFFERENCE)
        titles = (_("before, HU"), _("after, HU")) if ct else (_("before"), _("after"))
        for row, volume, title in zip(self.stage.rows(), (before, after), titles, strict=False):
            display(self.stage.nodes, volume, colors, window)
            legend(self.stage.nodes, volume, title, Scale(colors, window), row[-1])
            self.stage.show(row, volume)
        rows = self.stage.rows()
        for row in rows[1:]:  # a slice that the user had turned has a counterpart that wasn't
            for sliceNode, other in zip(row, rows[0], strict=False):
                sliceNode.GetSliceToRAS().DeepCopy(other.GetSliceToRAS())
                sliceNode.UpdateMatrices()
        self.stage.placeAtLungs(self.nodes.fixed)
        refreshLegends(self.stage.scene)

    @classmethod
    def purpose(cls) -> str:
        """What it is good for, as a tooltip."""
        return _("Moving minus fixed volume, before and after registration")

    def note(self) -> str:
        """What a difference tells and what it doesn't."""
        return _(
            "Above before, below after registration; dark where both agree, orange where the moving volume is brighter."
            " Lung with more air in it is less dense, so a difference stays even where the match is perfect."
        )


def typicalSize(array: np.ndarray) -> float:
    """The 95th percentile of the sizes of values that aren't zero, rounded up."""
    values = np.abs(array.ravel()[:: max(1, array.size // SAMPLES)])
    values = values[values > 0]
    return niceLimit(float(np.percentile(values, PERCENTILE)) if values.size else 0.0)
