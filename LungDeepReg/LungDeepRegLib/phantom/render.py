"""The chest as voxels: tissue painted over tissue, each by the fraction of the voxel that it fills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..displacement_field import lattice_points
from ..geometry import Lattice
from ..volume import slabs
from . import organs, skeleton
from .anatomy import Anatomy
from .breathing import Breathing
from .contrast import Texture
from .shapes import occupancy, sheet_occupancy
from .trees import Tree
from .tubes import TubeIndex, Tubes

SLAB_VOXELS = 250_000
COARSEST_MM = 4.0  # images of larger voxels are drawn as sharp as with these
AIRWAY_LUMEN = 0.72
FISSURE_MM = 0.45
RIGHT, LEFT = 1, 2


@dataclass(frozen=True, eq=False)
class Chest:
    """One inhaled chest, sampled: all that a picture of it needs except the contrast.

    Attributes:
        anatomy: Its solids.
        trees: Its ``arteries``, ``veins`` and ``airways``.
        vessels: Arteries and veins as tubes.
        airways: The airways inside the lungs as tubes, by their outer wall.
        texture: Variation of its tissue.
    """

    anatomy: Anatomy
    trees: dict[str, Tree]
    vessels: Tubes
    airways: Tubes
    texture: Texture

    @property
    def scale(self) -> np.ndarray:
        """World mm per mm of the anatomy's frame, ``(3,)`` float32."""
        return np.array(self.anatomy.scale, dtype=np.float32)


@dataclass
class Canvas:
    """One slab while it is being painted.

    Attributes:
        look: The value of each tissue.
        voxel_mm: The size of a voxel.
        values: What is painted so far, ``(N,)`` float32.
        labels: 1 in the right lung, 2 in the left one, else 0, ``(N,)`` uint8.
    """

    look: dict[str, float]
    voxel_mm: float
    values: np.ndarray
    labels: np.ndarray

    def paint(self, tissue: str, rows: np.ndarray, fraction: np.ndarray, value: np.ndarray | None = None) -> None:
        """Cover ``fraction`` of the voxels ``rows`` with a tissue, of its usual or of a given value per voxel."""
        seen = fraction > 0
        rows, fraction = rows[seen], fraction[seen]
        colour = np.float32(self.look[tissue]) if value is None else value[seen]
        self.values[rows] += fraction * (colour - self.values[rows])

    def fill(self, tissue: str, rows: np.ndarray, distance: np.ndarray) -> None:
        """Cover the voxels ``rows`` with a solid of a tissue, by its distance."""
        self.paint(tissue, rows, occupancy(distance, self.voxel_mm))


class Painter:
    """Paints one chest in one contrast at one resolution."""

    def __init__(self, chest: Chest, look: dict[str, float], voxel_mm: float) -> None:
        self.chest, self.look = chest, look
        self.voxel_mm = min(voxel_mm, COARSEST_MM) / float(np.mean(chest.scale))
        self.sigma_mm = max(0.42 * self.voxel_mm, 0.3)
        reach = 2.5 * self.sigma_mm
        self.vessels = TubeIndex(chest.vessels, reach)
        self.airways = TubeIndex(chest.airways.inflated(0.25), reach)
        self.lumens = TubeIndex(chest.airways.inflated(0.0, AIRWAY_LUMEN), reach)
        trunk = chest.anatomy.airway_trunk
        self.trunk, self.trunk_lumen = TubeIndex(trunk, reach), TubeIndex(trunk.inflated(-1.8), reach)
        self.great_vessels = TubeIndex(chest.anatomy.great_vessels, reach)
        self.oesophagus = TubeIndex(organs.OESOPHAGUS, reach)
        self.limbs = skeleton.limb_girdle()

    def paint(self, places: np.ndarray, tissue: np.ndarray, expansion: np.ndarray) -> Canvas:
        """The picture at some places.

        Args:
            places: Where in the image, ``(N, 3)`` float32, RAS mm: what doesn't breathe (the table) is found here.
            tissue: Where in the inhaled chest that tissue is, ``(N, 3)`` float32, RAS mm.
            expansion: ``(N,)`` how many times denser the lung is there than when inhaled.
        """
        p = tissue / self.chest.scale
        air = np.full(len(p), self.look["air"], dtype=np.float32)
        canvas = Canvas(self.look, self.voxel_mm, air, np.zeros(len(p), dtype=np.uint8))
        canvas.fill("table", np.arange(len(p)), organs.table(self.chest.anatomy, places / self.chest.scale))
        body = self.chest.anatomy.body(p).astype(np.float32)
        rows = np.flatnonzero(body < self.voxel_mm)
        p, body = p[rows], body[rows]
        cage = self.chest.anatomy.cage(p).astype(np.float32)
        self._wall(canvas, rows, p, body, cage)
        within = np.flatnonzero(cage < self.voxel_mm)
        self._within(canvas, rows[within], p[within], cage[within], expansion[rows[within]])
        self._bones(canvas, rows, p, body, cage)
        return canvas

    def _wall(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, body: np.ndarray, cage: np.ndarray) -> None:
        canvas.fill("skin", rows, body)
        canvas.fill("fat", rows, body + 2)
        canvas.fill("muscle", rows, organs.wall_muscle(self.chest.anatomy, p, body, cage))
        shade = self.chest.texture(p) * np.float32(0.04 * (self.look["muscle"] - self.look["fat"]))
        canvas.values[rows] += shade * occupancy(body + 2, self.voxel_mm)

    def _within(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, cage: np.ndarray, expansion: np.ndarray) -> None:
        """All that the rib cage encloses."""
        anatomy = self.chest.anatomy
        canvas.fill("mediastinum", rows, cage + 4)
        diaphragm = anatomy.diaphragm(p).astype(np.float32)
        low = np.flatnonzero(diaphragm < 2 * self.voxel_mm)
        canvas.fill("diaphragm", rows[low], diaphragm[low] - self.voxel_mm)
        canvas.fill("fat", rows[low], np.maximum(diaphragm[low] + 3.5, cage[low] + 3))
        for tissue, distance in organs.abdomen(anatomy, p[low], diaphragm[low], cage[low]).items():
            canvas.fill(tissue, rows[low], distance)
        high = np.flatnonzero(diaphragm > -self.voxel_mm)
        rows, p, diaphragm = rows[high], p[high], diaphragm[high]
        self._lungs(canvas, rows, p, expansion[high])
        self._vessels(canvas, rows, p, occupancy(-diaphragm - 1, self.voxel_mm))
        self._mediastinum(canvas, rows, p, diaphragm)

    def _lungs(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, expansion: np.ndarray) -> None:
        anatomy = self.chest.anatomy
        distance = anatomy.lungs(p).astype(np.float32)
        near = np.flatnonzero(distance < self.voxel_mm)
        rows, p, distance, filled = rows[near], p[near], distance[near], occupancy(distance[near], self.voxel_mm)
        right = p[:, 0] > anatomy.midline(p)
        canvas.labels[rows] = np.where(distance < 0, np.where(right, RIGHT, LEFT), 0)
        air = np.float32(self.look["air"])
        dependent = 1 - p[:, 1] * np.float32(0.0022)  # blood and weight: denser towards the back
        grain = 1 + np.float32(0.09) * self.chest.texture(p)
        density = np.clip(dependent * grain, 0.4, 2.2) * np.minimum(expansion[near], 4)
        canvas.paint("lung", rows, filled, air + (self.look["lung"] - air) * density)
        right_oblique, horizontal, left_oblique = anatomy.fissures(p)
        oblique = sheet_occupancy(np.where(right, right_oblique, left_oblique), FISSURE_MM, self.voxel_mm)
        minor = sheet_occupancy(horizontal, FISSURE_MM, self.voxel_mm) * (right & (right_oblique > 0))
        canvas.paint("fissure", rows, (np.maximum(oblique, minor) * filled).astype(np.float32))

    def _vessels(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, above: np.ndarray) -> None:
        """The trees of vessels and airways, above the diaphragm."""
        canvas.paint("vessel", rows, self.vessels.coverage(p, self.sigma_mm) * above)
        canvas.paint("airway_wall", rows, self.airways.coverage(p, self.sigma_mm) * above)
        canvas.paint("airway", rows, self.lumens.coverage(p, self.sigma_mm) * above)

    def _mediastinum(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, diaphragm: np.ndarray) -> None:
        anatomy = self.chest.anatomy
        middle = np.flatnonzero(np.abs(p[:, 0] + 20) < 85)
        rows, p, diaphragm = rows[middle], p[middle], diaphragm[middle]
        heart = np.maximum(anatomy.heart_wall(p), -diaphragm)
        canvas.fill("myocardium", rows, heart)
        canvas.fill("blood", rows, np.maximum(organs.heart_chambers(anatomy, p), heart + 2))
        canvas.fill("blood", rows, self.great_vessels.distance(p))
        canvas.fill("muscle", rows, self.oesophagus.distance(p))
        canvas.fill("airway_wall", rows, self.trunk.distance(p))
        canvas.fill("airway", rows, self.trunk_lumen.distance(p))

    def _bones(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, body: np.ndarray, cage: np.ndarray) -> None:
        anatomy = self.chest.anatomy
        wall = np.flatnonzero((cage > -self.voxel_mm) & (cage < 32))
        at, shell = p[wall], cage[wall]
        bone, cartilage = skeleton.ribs(anatomy, at, shell)
        canvas.fill("cartilage", rows[wall], cartilage)
        for solid, cortex in ((bone, 1.5), (skeleton.sternum(at, shell), 1.3)):
            canvas.fill("bone", rows[wall], solid)
            canvas.fill("marrow", rows[wall], solid + cortex)
        canvas.fill("bone", rows[wall], skeleton.shoulder_blades(at, shell))
        limbs = self.limbs.distance(p)
        canvas.fill("bone", rows, limbs)
        canvas.fill("marrow", rows, limbs + 2)
        self._spine(canvas, rows, p, body)

    def _spine(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, body: np.ndarray) -> None:
        near = np.flatnonzero((np.abs(p[:, 0]) < 42) & (p[:, 1] < -40))
        rows, p, body = rows[near], p[near], body[near]
        behind = p[:, 1] - self.chest.anatomy.spine_middle(p[:, 2]).astype(np.float32)
        beside = np.sqrt(np.square(p[:, 0]) + np.square(behind + 16)) - 34
        canvas.fill("muscle", rows, np.maximum(np.maximum(beside, behind + 6), body + 5))
        parts = skeleton.spine(self.chest.anatomy, p)
        canvas.fill("disc", rows, parts["discs"])
        canvas.fill("cord", rows, parts["canal"])
        vertebrae = np.maximum(parts["vertebrae"], body + 3)
        canvas.fill("bone", rows, vertebrae)
        canvas.fill("marrow", rows, vertebrae + 1.6)


def render(
    chest: Chest, lattice: Lattice, look: dict[str, float], breathing: Breathing | None
) -> Iterator[tuple[slice, Lattice, np.ndarray, np.ndarray]]:
    """The chest on a lattice, slab by slab.

    At x it shows the tissue that is at phi(x) when inhaled, with the lung's density times det(d phi / d x), so that
    lung mass is kept.

    Args:
        chest: What to show.
        lattice: Where.
        look: The value of each tissue.
        breathing: phi, or None for the inhaled chest itself.

    Yields:
        Which planes, the slab's own lattice, its values without noise (float32) and its lung labels (uint8).
    """
    painter = Painter(chest, look, lattice.voxel_volume_mm3 ** (1 / 3))
    for planes, slab in slabs(lattice, SLAB_VOXELS):
        x = lattice_points(slab).astype(np.float32)
        y, expansion = (x, np.ones(len(x), np.float32)) if breathing is None else breathing.with_jacobian(x)
        canvas = painter.paint(x, y, expansion)
        yield planes, slab, canvas.values.reshape(slab.shape), canvas.labels.reshape(slab.shape)
