"""Trust: where the registration can be believed, and why not where it can't."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.mrml.assessment import UNIT_ATTRIBUTE
from LungDeepRegLib.quality import NOT_MEASURED
from scipy.ndimage import uniform_filter
from slicer.i18n import tr as _

from .colors import Color, niceLimit
from .inLungs import mapOf
from .mapInLungs import MapInLungs, Window

GOOD_BELOW = ((0.16, 0.35, 0.55), (0.35, 0.55, 0.65), (0.95, 0.85, 0.35), (0.95, 0.50, 0.10), (0.80, 0.05, 0.10))
"""Blue where it is good, red where it is bad: also told apart by people who don't see red and green."""
PERCENTILE = 95.0
WORST_MM = 10.0
"""Size of the place that is looked for: a single voxel may be noise."""


class Trust(MapInLungs):
    """What is left between the images, place by place.

    The colors mean the same in all maps: blue is good, red is to be looked at.
    """

    MAPS: ClassVar = ("trust", "residual", "correlation", "consistency")

    def title(self) -> str:
        """Of the color bar; it has little room."""
        unit = self.nodes.residual.GetAttribute(UNIT_ATTRIBUTE) if self.which == "residual" else ""
        return {
            "trust": _("trust"),
            "residual": unit or _("residual"),
            "correlation": _("correlation"),
            "consistency": _("mm"),
        }[self.which]

    def scale(self, values: np.ndarray) -> tuple[Sequence[Color], Window]:
        """Trust and correlation from 0 to 1, the others up to where few values are greater."""
        if self.which in ("trust", "correlation"):
            return GOOD_BELOW[::-1], (0.0, 1.0)
        return GOOD_BELOW, (0.0, niceLimit(float(np.percentile(np.abs(values), PERCENTILE))))

    @classmethod
    def purpose(cls) -> str:
        """What it is good for, as a tooltip."""
        return _("Where to look first: where both images disagree after registration")

    def goToWorst(self) -> None:
        """Move the slices to the middle of the place that looks worst, about 1 cm wide."""
        shown, values = mapOf(self.nodes, self.which)
        known = shown.array != NOT_MEASURED
        if not values.size:
            return
        good = self.which in ("trust", "correlation")
        bad = np.where(known, values.max() - shown.array if good else np.abs(shown.array), 0)
        size = np.maximum(1, np.round(WORST_MM / shown.lattice.spacing_mm)).astype(int)[::-1]
        mean = uniform_filter(bad, size.tolist()) * known
        k, j, i = np.unravel_index(int(mean.argmax()), mean.shape)
        point = apply(shown.ijk_to_ras, np.array([i, j, k], dtype=np.float64))
        for sliceNode in self.stage.slices():
            sliceNode.JumpSliceByOffsetting(*point)

    def note(self) -> str:
        """How to read the colors."""
        return {
            "trust": _(
                "Blue: what both images show agrees. Red: look here first. High trust is no proof of a small error:"
                " what is shifted along a vessel still looks the same."
            ),
            "residual": _("What still differs between both images, the lung's change of density taken out."),
            "correlation": _("How alike the structure of both images is around each place: 1 is the same."),
            "consistency": _("How far a point is from itself after going to the moving volume and back again."),
        }[self.which]
