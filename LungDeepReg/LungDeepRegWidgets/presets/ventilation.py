"""Ventilation: how much the volume of each part of the lungs changes by breathing. For research."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from LungDeepRegLib.mrml.assessment import INHALE_ATTRIBUTE
from slicer.i18n import tr as _

from .colors import JACOBIAN, MAGNITUDE, Color, niceLimit
from .mapInLungs import MapInLungs, Window

PERCENTILE = 98.0


class Ventilation(MapInLungs):
    """Specific volume change: 0.5 is half as much volume more.

    Without knowing which image is the inhaled one there is no sign, and no change is at the scale's end.
    """

    MAPS: ClassVar = ("ventilation", "ventilation_density")

    @property
    def signed(self) -> bool:
        """Whether it is known which image is the inhaled one."""
        return bool(getattr(self.nodes, self.which).GetAttribute(INHALE_ATTRIBUTE))

    def title(self) -> str:
        """Of the color bar; it has little room."""
        return _("change")

    def scale(self, values: np.ndarray) -> tuple[Sequence[Color], Window]:
        """Around no change where there is a sign, otherwise from there."""
        highest = niceLimit(float(np.percentile(np.abs(values), PERCENTILE)))
        return (JACOBIAN, (-highest, highest)) if self.signed else (MAGNITUDE, (0.0, highest))

    @classmethod
    def purpose(cls) -> str:
        """What it is good for, as a tooltip."""
        return _("How much each part of the lungs expands by breathing in")

    def note(self) -> str:
        """How to read the colors."""
        source = {
            "ventilation": _("Of the Jacobian."),
            "ventilation_density": _(
                "Of the air alone, by the CT's density (Simon 2000, Guerrero 2005); no color where that says nothing."
            ),
        }[self.which]
        text = _("Volume change per volume at exhale: 0.5 is half as much more. {source} For research only.")
        unsigned = (
            ""
            if self.signed
            else " " + _("No sign: say under Quality which volume is the inhaled one, and assess again.")
        )
        return text.format(source=source) + unsigned
