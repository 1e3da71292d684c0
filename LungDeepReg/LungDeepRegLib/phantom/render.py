"""The chest as voxels: tissue painted over tissue, each by the fraction of the voxel that it fills."""

from __future__ import annotations

from dataclasses import dataclass, field

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
AIRWAY_LUMEN = 0.72
FISSURE_MM = 0.8
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
    """Values ``(N,)`` of one slab while it is being painted, and how tissue looks."""

    look: dict[str, float]
    voxel_mm: float
    values: np.ndarray = field(repr=False)

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
        self.voxel_mm = voxel_mm / float(np.mean(chest.scale))
        self.sigma_mm = max(0.42 * self.voxel_mm, 0.3)
        reach = 3 * self.sigma_mm
        self.vessels = TubeIndex(chest.vessels, reach)
        self.airways = TubeIndex(chest.airways.inflated(0.5), reach)
        self.lumens = TubeIndex(chest.airways.inflated(0.0, AIRWAY_LUMEN), reach)
        trunk = chest.anatomy.airway_trunk
        self.trunk, self.trunk_lumen = TubeIndex(trunk, reach), TubeIndex(trunk.inflated(-1.8), reach)
        self.great_vessels = TubeIndex(chest.anatomy.great_vessels, reach)
        self.oesophagus = TubeIndex(organs.OESOPHAGUS, reach)
        self.limbs = skeleton.limb_girdle()

    def paint(self, points: np.ndarray, expansion: np.ndarray) -> np.ndarray:
        """Values ``(N,)`` at points ``(N, 3)`` of the inhaled chest in RAS mm.

        Args:
            points: Where, float32.
            expansion: ``(N,)`` how many times denser the lung is there than when inhaled.
        """
        p = points / self.chest.scale
        canvas = Canvas(self.look, self.voxel_mm, np.full(len(p), self.look["air"], dtype=np.float32))
        body = self.chest.anatomy.body(p).astype(np.float32)
        rows = np.flatnonzero(body < self.voxel_mm)
        p, body = p[rows], body[rows]
        cage = self.chest.anatomy.cage(p).astype(np.float32)
        self._wall(canvas, rows, p, body, cage)
        within = np.flatnonzero(cage < self.voxel_mm)
        self._within(canvas, rows[within], p[within], cage[within], expansion[rows[within]])
        self._bones(canvas, rows, p, cage)
        return canvas.values

    def _wall(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, body: np.ndarray, cage: np.ndarray) -> None:
        canvas.fill("skin", rows, body)
        canvas.fill("fat", rows, body + 2)
        canvas.fill("muscle", rows, organs.wall_muscle(self.chest.anatomy, p, body, cage))
        shade = self.chest.texture(p) * np.float32(0.04 * (self.look["muscle"] - self.look["fat"]))
        canvas.values[rows] += shade * occupancy(body + 2, self.voxel_mm)

    def _within(
        self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, cage: np.ndarray, expansion: np.ndarray
    ) -> None:
        """All that the rib cage encloses."""
        anatomy = self.chest.anatomy
        canvas.fill("fat", rows, cage + 1)
        diaphragm = anatomy.diaphragm(p).astype(np.float32)
        low = np.flatnonzero(diaphragm < self.voxel_mm)
        canvas.fill("diaphragm", rows[low], diaphragm[low])
        canvas.fill("fat", rows[low], np.maximum(diaphragm[low] + 3.5, cage[low] + 3))
        for tissue, distance in organs.abdomen(anatomy, p[low], diaphragm[low], cage[low]).items():
            canvas.fill(tissue, rows[low], distance)
        self._lungs(canvas, rows, p, expansion)
        self._mediastinum(canvas, rows, p, diaphragm)

    def _lungs(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, expansion: np.ndarray) -> None:
        anatomy = self.chest.anatomy
        distance = anatomy.lungs(p).astype(np.float32)
        near = np.flatnonzero(distance < self.voxel_mm)
        rows, p, filled = rows[near], p[near], occupancy(distance[near], self.voxel_mm)
        air = np.float32(self.look["air"])
        dependent = 1 - p[:, 1] * np.float32(0.0022)  # blood and weight: denser towards the back
        grain = 1 + np.float32(0.09) * self.chest.texture(p)
        density = np.clip(dependent * grain, 0.4, 2.2) * np.minimum(expansion[near], 4)
        canvas.paint("lung", rows, filled, air + (self.look["lung"] - air) * density)
        right_oblique, horizontal, left_oblique = anatomy.fissures(p)
        right = p[:, 0] > anatomy.midline(p)
        oblique = sheet_occupancy(np.where(right, right_oblique, left_oblique), FISSURE_MM, self.voxel_mm)
        minor = sheet_occupancy(horizontal, FISSURE_MM, self.voxel_mm) * (right & (right_oblique > 0))
        canvas.paint("fissure", rows, (np.maximum(oblique, minor) * filled).astype(np.float32))

    def _mediastinum(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, diaphragm: np.ndarray) -> None:
        anatomy = self.chest.anatomy
        above = occupancy(-diaphragm - 1, self.voxel_mm)
        canvas.paint("vessel", rows, self.vessels.coverage(p, self.sigma_mm) * above)
        canvas.paint("airway_wall", rows, self.airways.coverage(p, self.sigma_mm) * above)
        canvas.paint("airway", rows, self.lumens.coverage(p, self.sigma_mm) * above)
        middle = np.flatnonzero((np.abs(p[:, 0] + 20) < 85) & (diaphragm > -self.voxel_mm))
        heart = np.maximum(anatomy.heart_wall(p[middle]), -diaphragm[middle])
        canvas.fill("myocardium", rows[middle], heart)
        chambers = np.maximum(organs.heart_chambers(anatomy, p[middle]), heart + 2)
        canvas.fill("blood", rows[middle], chambers)
        canvas.fill("blood", rows, self.great_vessels.distance(p))
        canvas.fill("muscle", rows, self.oesophagus.distance(p))
        canvas.fill("airway_wall", rows, self.trunk.distance(p))
        canvas.fill("airway", rows, self.trunk_lumen.distance(p))

    def _bones(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, cage: np.ndarray) -> None:
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
        self._spine(canvas, rows, p)

    def _spine(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray) -> None:
        near = np.flatnonzero((np.abs(p[:, 0]) < 42) & (p[:, 1] < -40))
        rows, p = rows[near], p[near]
        behind = p[:, 1] - self.chest.anatomy.spine_middle(p[:, 2]).astype(np.float32)
        beside = np.sqrt(np.square(p[:, 0]) + np.square(behind + 16)) - 34
        canvas.fill("muscle", rows, np.maximum(beside, behind + 6))
        parts = skeleton.spine(self.chest.anatomy, p)
        canvas.fill("disc", rows, parts["discs"])
        canvas.fill("cord", rows, parts["canal"])
        canvas.fill("bone", rows, parts["vertebrae"])
        canvas.fill("marrow", rows, parts["vertebrae"] + 1.6)


def render(
    chest: Chest, lattice: Lattice, look: dict[str, float], breathing: Breathing | None
) -> tuple[np.ndarray, np.ndarray]:
    """The chest on a lattice: values without noise, float32 ``(K, J, I)``, and lung labels, uint8.

    At x it shows the tissue that is at phi(x) when inhaled, with the lung's density times det(d phi / d x), so that
    lung mass is kept.

    Args:
        chest: What to show.
        lattice: Where.
        look: The value of each tissue.
        breathing: phi, or None for the inhaled chest itself.
    """
    voxel_mm = lattice.voxel_volume_mm3 ** (1 / 3)
    painter = Painter(chest, look, voxel_mm)
    values = np.empty(lattice.shape, dtype=np.float32)
    labels = np.empty(lattice.shape, dtype=np.uint8)
    for planes, slab in slabs(lattice, SLAB_VOXELS):
        x = lattice_points(slab).astype(np.float32)
        expansion = np.ones(len(x), np.float32) if breathing is None else breathing.jacobian(x)
        y = x if breathing is None else breathing(x)
        values[planes] = painter.paint(y, expansion).reshape(slab.shape)
        labels[planes] = lung_labels(chest.anatomy, y).reshape(slab.shape)
    return values, labels


def lung_labels(anatomy: Anatomy, points: np.ndarray) -> np.ndarray:
    """1 in the right lung, 2 in the left one, else 0, uint8 ``(N,)``, at points ``(N, 3)`` of the inhaled chest."""
    p = points / np.array(anatomy.scale, dtype=points.dtype)
    labels = np.zeros(len(p), dtype=np.uint8)
    box = np.flatnonzero(anatomy.cage(p) < 0)
    inside = box[anatomy.lungs(p[box]) < 0]
    labels[inside] = np.where(p[inside, 0] > anatomy.midline(p[inside]), RIGHT, LEFT)
    return labels
