"""Displacement: how far and where to the tissue moves from the fixed to the moving image."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.mrml.transforms import field_from_node
from LungDeepRegLib.mrml.volumes import image_data
from slicer.i18n import tr as _

from .colors import GREY, MAGNITUDE, Scale, display, evenTable, legend, niceLimit, refreshLegends
from .drawnField import Inside, inner, insideOf, isOffset, thinned
from .drawnTransform import drawTransform
from .lungs import viewOf, windows
from .preset import Preset
from .stage import FOUR_UP, Stage

MOST_NODES = {"magnitude": 1_500_000, "glyphs": 200_000, "grid": 200_000}
"""Of the field that is drawn; a finer one is thinned out."""
PERCENTILE = 99.0


class Displacement(Preset):
    """The field as color, arrows or a deformed grid over the fixed image.

    The two scans of a patient may lie apart by some cm (another table position): drawn as it is, the field would be
    that offset and nothing else. So the mean displacement inside the covered image may be left out, and is where it
    is ``drawnField.OFFSET_RATIO`` times greater than what remains; within one 4D scan the mean is breathing itself and
    stays. Only a translation is left out, not a rotation or the affine part: what remains is still in mm along the
    patient's own axes, and the affine part of breathing is what one wants to see. What is drawn is a temporary
    transform and volume; its *to parent* is the displacement, so that arrows start in the fixed image and point to
    where the tissue is in the moving one (Slicer draws a registration's own node the other way round).

    Args:
        stage: The views.
        nodes: The result.
        style: ``magnitude``, ``glyphs`` or ``grid``.
        withoutOffset: Leave the mean displacement out; None to decide by the field.
        opacity: Of the colors over the fixed image, 0 to 1.
    """

    NEEDS: ClassVar = ("fixed", "moving", "transform")

    def __init__(
        self,
        stage: Stage,
        nodes: Any,
        style: str = "glyphs",
        withoutOffset: bool | None = None,
        opacity: float = 0.5,
    ) -> None:
        super().__init__(stage, nodes)
        self.style, self.withoutOffset, self.opacity = style, withoutOffset, opacity
        self.offset = np.zeros(3)
        self.percent = 100.0

    def show(self) -> None:
        """Take the views."""
        fixed = viewOf(self.nodes.fixed)
        field = thinned(field_from_node(self.nodes.transform, fixed.lattice), MOST_NODES[self.style])
        inside = self._inside(field.lattice)
        vectors = field.vectors[:: inside.step, :: inside.step, :: inside.step][inside.mask]
        self.offset = vectors.mean(axis=0)
        if self.withoutOffset is None:
            self.withoutOffset = isOffset(vectors)
        if self.withoutOffset:
            field = DisplacementField(field.vectors - self.offset.astype(np.float32), field.lattice)
            vectors = vectors - self.offset
        highest = niceLimit(float(np.percentile(np.linalg.norm(vectors, axis=1), PERCENTILE)))
        if self.style == "glyphs":
            field = DisplacementField(field.vectors * inner(self._inside(field.lattice, 1).mask), field.lattice)
        self.stage.open(FOUR_UP)
        self._draw(field, highest)

    @classmethod
    def purpose(cls) -> str:
        """What it is good for, as a tooltip."""
        return _("How far and where to the tissue moves: arrows, colors, or a deformed grid")

    def note(self) -> str:
        """What is drawn."""
        notes = []
        if self.style == "glyphs":
            notes.append(
                _("Arrows point from the fixed to the moving volume, drawn at {percent:.0f}% of their length.").format(
                    percent=self.percent
                )
            )
        elif self.style == "grid":
            notes.append(_("A regular grid of the fixed volume, as it lies in the moving one."))
        else:
            notes.append(_("Length of the displacement, over the fixed volume."))
        if self.withoutOffset:
            notes.append(
                _("The mean displacement of {offset:.1f} mm, mostly the position on the table, is left out.").format(
                    offset=float(np.linalg.norm(self.offset))
                )
            )
        return " ".join(notes)

    def setOpacity(self, opacity: float) -> None:
        """Of the colors over the fixed image, 0 to 1."""
        self.opacity = opacity
        if self.style == "magnitude":
            self.stage.setOpacity(opacity)

    def _inside(self, lattice: Lattice, step: int | None = None) -> Inside:
        area = self.nodes.coverage if self.nodes.coverage is not None else self.nodes.fixed
        volume = viewOf(area)
        return insideOf(lattice, volume.lattice, volume.array if self.nodes.coverage is not None else None, step)

    def _draw(self, field: DisplacementField, highest: float) -> None:
        temporary = self.stage.nodes
        fixed = temporary.sharing(self.nodes.fixed)
        display(temporary, fixed, evenTable(temporary, "gray", GREY), windows(self.nodes.fixed, self.nodes.moving)[0])
        table = evenTable(temporary, "displacement", MAGNITUDE)
        magnitude = None
        if self.style == "magnitude":
            sizes = np.linalg.norm(field.vectors, axis=3)
            magnitude = temporary.volume(_("displacement in mm"), image_data(sizes), field.lattice.ijk_to_ras)
            display(temporary, magnitude, table, (0.0, highest))
        title = _("mm from mean") if self.withoutOffset else _("mm")
        legend(temporary, fixed, title, Scale(table, (0.0, highest)), self.stage.last())
        self.stage.show(self.stage.slices(), fixed, magnitude, opacity=self.opacity)
        self.stage.dimOutside(self.nodes.coverage)
        self.stage.placeAtLungs(fixed)
        self.stage.showSlicesIn3D(fixed)
        if self.style != "magnitude":
            extent = np.median(viewOf(self.nodes.fixed).lattice.spacing_mm * fixed.GetImageData().GetDimensions())
            # In 3D one slice can be taken in, where a whole volume of arrows can't.
            region = self.stage.mostCoronal() or fixed
            self.percent = drawTransform(temporary, field, self.style, highest, float(extent), region)
        refreshLegends(self.stage.scene)
