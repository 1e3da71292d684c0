"""Displacement: how far and where to the tissue moves from the fixed to the moving image."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice, apply
from LungDeepRegLib.mrml.transforms import field_from_node, grid_from_field
from LungDeepRegLib.mrml.volumes import image_data
from slicer.i18n import tr as _

from .colors import (
    GREY,
    MAGNITUDE,
    Scale,
    display,
    evenTable,
    legend,
    niceLimit,
    refreshLegends,
    transferFunction,
)
from .lungs import viewOf, windows
from .preset import Preset
from .stage import FOUR_UP, Stage

STYLES = ("magnitude", "glyphs", "grid")
MOST_NODES = {"magnitude": 1_500_000, "glyphs": 200_000, "grid": 200_000}
"""Of the field that is drawn; a finer one is thinned out."""
MOST_SAMPLES = 100_000
ARROWS_ACROSS, LINES_ACROSS = 26, 20
REACH = 2.0
PERCENTILE = 99.0
OFFSET_RATIO = 2.0
"""An offset that is so many times greater than the deformation around it is taken for the table's."""


class Displacement(Preset):
    """The field as color, arrows or a deformed grid over the fixed image.

    The two scans of a patient may lie apart by some cm (another table position): drawn as it is, the field would be
    that offset and nothing else. So the mean displacement inside the covered image may be left out, and is where it
    is ``OFFSET_RATIO`` times greater than what remains; within one 4D scan the mean is breathing itself and stays.
    Only a translation is left out, not a rotation or the affine part: what remains is still in mm along the patient's
    own axes, and the affine part of breathing is what one wants to see. What is drawn is a temporary transform and
    volume; its *to parent* is the displacement, so that arrows start in the fixed image and point to where the tissue
    is in the moving one (Slicer draws a registration's own node the other way round).

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
            self._drawTransform(field, highest, fixed)
        refreshLegends(self.stage.scene)

    def _drawTransform(self, field: DisplacementField, highest: float, fixed: Any) -> None:
        temporary = self.stage.nodes
        transform = temporary.add("vtkMRMLTransformNode", _("displacement"))
        transform.SetAndObserveTransformToParent(grid_from_field(field))
        colors = temporary.add("vtkMRMLProceduralColorNode", "displacement")
        colors.SetAndObserveColorTransferFunction(transferFunction(MAGNITUDE, highest))
        drawn = temporary.add("vtkMRMLTransformDisplayNode", "displacement")
        drawn.SetAndObserveColorNodeID(colors.GetID())
        extent = float(np.median(viewOf(self.nodes.fixed).lattice.spacing_mm * fixed.GetImageData().GetDimensions()))
        if self.style == "glyphs":
            self.percent = setArrows(drawn, extent, highest)
        else:
            setLines(drawn, extent)
        drawn.SetScalarVisibility(True)
        drawn.SetScalarRange(0.0, highest)
        drawn.SetSliceIntersectionThickness(2)
        # Without a region nothing is drawn in 3D; one slice can be taken in, where a whole volume of arrows can't.
        drawn.SetAndObserveRegionNode(self.stage.mostCoronal() or fixed)
        drawn.SetVisibility(True)
        drawn.SetVisibility2D(True)
        drawn.SetVisibility3D(True)
        transform.SetAndObserveDisplayNodeID(drawn.GetID())


def setArrows(drawn: Any, extent: float, highest: float) -> float:
    """Arrows for an image of some mm and displacements up to some mm; returns their length in percent of the true one.

    The longest reach over two of their distances, so that they are seen and don't cover each other.
    """
    spacing = extent / ARROWS_ACROSS
    percent = float(np.clip(100.0 * REACH * spacing / highest, 20.0, 300.0).round(-1))
    drawn.SetVisualizationMode(drawn.VIS_MODE_GLYPH)
    drawn.SetGlyphType(drawn.GLYPH_TYPE_ARROW)
    drawn.SetGlyphSpacingMm(spacing)
    drawn.SetGlyphScalePercent(percent)
    drawn.SetGlyphDisplayRangeMinMm(0.03 * highest)
    drawn.SetGlyphDisplayRangeMaxMm(1000.0)
    drawn.SetGlyphDiameterMm(spacing / 3)
    drawn.SetGlyphShaftDiameterPercent(35)
    drawn.SetGlyphTipLengthPercent(40)
    return percent


def setLines(drawn: Any, extent: float) -> None:
    """A deformed grid for an image of some mm, to scale."""
    spacing = extent / LINES_ACROSS
    drawn.SetVisualizationMode(drawn.VIS_MODE_GRID)
    drawn.SetGridSpacingMm(spacing)
    drawn.SetGridResolutionMm(spacing / 4)
    drawn.SetGridScalePercent(100)
    drawn.SetGridLineDiameterMm(spacing / 15)
    drawn.SetGridShowNonWarped(False)


class Inside:
    """Nodes of a lattice, every so many, that lie in an image.

    Args:
        step: Every which node along each axis.
        mask: bool ``(K, J, I)`` of these nodes.
    """

    def __init__(self, step: int, mask: np.ndarray) -> None:
        self.step, self.mask = step, mask


def insideOf(lattice: Lattice, image: Lattice, covered: np.ndarray | None, step: int | None = None) -> Inside:
    """Which nodes of a lattice lie within an image, and where it isn't 0 if its voxels are given."""
    step = step or max(1, round((np.prod(lattice.shape) / MOST_SAMPLES) ** (1 / 3)))
    shape = tuple(-(-n // step) for n in lattice.shape)
    indices = np.indices(shape).reshape(3, -1)[::-1].T * float(step)
    points = apply(lattice.ijk_to_ras, indices)
    inside = image.contains(points)
    if covered is not None:
        i, j, k = np.round(apply(image.ras_to_ijk, points[inside])).astype(int).T
        limits = np.array(covered.shape) - 1
        inside[inside] = covered[np.minimum(k, limits[0]), np.minimum(j, limits[1]), np.minimum(i, limits[2])] > 0
    if not inside.any():
        inside[:] = True  # nothing is covered: the whole field then
    return Inside(step, inside.reshape(shape))


def thinned(field: DisplacementField, most: int) -> DisplacementField:
    """The field itself, or every second (third, ...) of its nodes where there are more than can be drawn quickly."""
    step = max(1, int(np.ceil((np.prod(field.lattice.shape) / most) ** (1 / 3))))
    if step == 1:
        return field
    vectors = np.ascontiguousarray(field.vectors[::step, ::step, ::step])
    matrix = np.array(field.lattice.ijk_to_ras)
    matrix[:3, :3] *= step
    return DisplacementField(vectors, Lattice(vectors.shape[:3], matrix))


def inner(mask: np.ndarray) -> np.ndarray:
    """A mask without the outermost nodes, as float32 ``(K, J, I, 1)``: beyond them a field goes on at its border."""
    weights = np.zeros((*mask.shape, 1), np.float32)
    weights[1:-1, 1:-1, 1:-1, 0] = mask[1:-1, 1:-1, 1:-1]
    return weights


def isOffset(vectors: np.ndarray) -> bool:
    """Whether displacements ``(N, 3)`` have a mean that is great beside what they differ from it by."""
    mean = vectors.mean(axis=0)
    spread = np.sqrt(np.mean(np.sum((vectors - mean) ** 2, axis=1)))
    return bool(np.linalg.norm(mean) > OFFSET_RATIO * spread)
