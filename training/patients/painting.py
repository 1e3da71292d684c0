"""A synthetic patient tissue by tissue: each painted over the last by the fraction of a voxel that it fills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from LungDeepRegLib.phantom.shapes import ellipsoid, occupancy, sheet_occupancy
from LungDeepRegLib.phantom.tubes import TubeIndex

from . import organs, skeleton
from .lung_texture import LungTexture, ill_bronchi
from .patient import BENDS, GRAIN, Patient

AIRWAY_LUMEN = 0.7
FISSURE_MM = 0.5
DENSEST = 4.0
RIGHT, LEFT = 1, 2


@dataclass
class Canvas:
    """Voxels while they are being painted.

    Attributes:
        look: The signal of each tissue.
        voxel_mm: The size of a voxel.
        values: Their signal so far, ``(N,)`` float32.
        pulsing: The part of it that moves with the heart's beat, likewise.
        labels: 1 in the right lung, 2 in the left one, else 0, ``(N,)`` uint8.
    """

    look: Mapping[str, float]
    voxel_mm: float
    values: np.ndarray
    pulsing: np.ndarray
    labels: np.ndarray

    def cover(self, rows: np.ndarray, fraction: np.ndarray, value: np.ndarray | float, beats: float = 0.0) -> None:
        """Cover a fraction of the voxels ``rows`` with a signal, a share of which beats."""
        fraction = np.asarray(fraction, dtype=np.float32)
        self.values[rows] += fraction * (np.asarray(value, dtype=np.float32) - self.values[rows])
        self.pulsing[rows] += fraction * (np.float32(beats) * value - self.pulsing[rows])

    def fill(self, tissue: str, rows: np.ndarray, distance: np.ndarray, beats: float = 0.0) -> None:
        """Cover the voxels ``rows`` with a solid of a tissue, by its distance."""
        self.cover(rows, occupancy(distance, self.voxel_mm), self.look[tissue], beats)


class Painter:
    """Paints one patient at one resolution.

    Args:
        patient: Who.
        look: The signal of each tissue.
        voxel_mm: The size of a voxel, in the world.
    """

    def __init__(self, patient: Patient, look: Mapping[str, float], voxel_mm: float) -> None:
        self.patient, self.anatomy, self.look = patient, patient.anatomy, look
        self.voxel_mm = voxel_mm / patient.placement.size
        self.sigma_mm = max(0.42 * self.voxel_mm, 0.3)
        self.grain = LungTexture.sampled(patient.generator(GRAIN))
        reach, rng, trees = 2.5 * self.sigma_mm, patient.generator(BENDS), patient.trees
        self.vessels = [TubeIndex(trees[name].tubes(rng), reach) for name in ("arteries", "veins")]
        bronchi = ill_bronchi(trees["bronchi"], patient.disease).tubes(rng)
        self.bronchi = TubeIndex(bronchi.inflated(0.3), reach)
        self.lumens = TubeIndex(bronchi.inflated(0.0, AIRWAY_LUMEN), reach)
        trunk = self.anatomy.airway_trunk
        self.trunk, self.trunk_lumen = TubeIndex(trunk, reach), TubeIndex(trunk.inflated(-1.8), reach)
        self.great_vessels = TubeIndex(self.anatomy.great_vessels, reach)
        ribs, cartilage = skeleton.rib_tubes(self.anatomy)
        self.ribs, self.cartilage = TubeIndex(ribs, reach), TubeIndex(cartilage, reach)
        self.shoulders = TubeIndex(skeleton.shoulder_tubes(self.anatomy), max(reach, 3.0))
        self.arms = TubeIndex(skeleton.arm_tubes(self.anatomy), max(reach, 3.0))
        self.inner_arms = TubeIndex(skeleton.arm_tubes(self.anatomy).inflated(-self.anatomy.shape.fat), reach)

    def paint(self, tissue: np.ndarray, expansion: np.ndarray) -> Canvas:
        """The signal at some places.

        Args:
            tissue: Where in the inhaled patient the tissue is that is seen there, ``(N, 3)`` float32, RAS mm.
            expansion: ``(N,)`` how many times denser the lung is there than when inhaled.
        """
        p = self.patient.to_frame(tissue)
        empty = np.zeros(len(p), np.float32)
        canvas = Canvas(self.look, self.voxel_mm, empty, empty.copy(), np.zeros(len(p), np.uint8))
        self._arms(canvas, p)
        body = self.anatomy.body(p)
        rows = np.flatnonzero(body < self.voxel_mm)
        p, body = p[rows], body[rows]
        cage = self.anatomy.cage(p)
        self._wall(canvas, rows, p, body, cage)
        within = np.flatnonzero(cage < self.voxel_mm)
        self._within(canvas, rows[within], p[within], cage[within], expansion[rows[within]])
        self._bones(canvas, rows, p, body, cage)
        return canvas

    def _arms(self, canvas: Canvas, p: np.ndarray) -> None:
        rows = np.flatnonzero(np.abs(p[:, 0]) > 100)
        canvas.fill("fat", rows, self.arms.distance(p[rows]))
        canvas.fill("muscle", rows, self.inner_arms.distance(p[rows]))

    def _wall(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, body: np.ndarray, cage: np.ndarray) -> None:
        fat = np.float32(self.anatomy.shape.fat)
        coarse = self.grain.coarse(p)
        canvas.fill("skin", rows, body)
        canvas.fill("fat", rows, body + 2)
        canvas.fill("muscle", rows, body + fat + 2 * coarse)
        layer = sheet_occupancy(body + fat + 11 + 5 * coarse, 4.0, self.voxel_mm) * np.clip(0.4 + 0.5 * coarse, 0, 0.8)
        canvas.cover(rows, layer, self.look["fat"])
        sides = np.stack((np.abs(p[:, 0]), p[:, 1], p[:, 2]), axis=1)
        shape = self.anatomy.shape
        armpit = ellipsoid(sides, (shape.half_width + 14, -8, shape.apex - 62), (24, 34, 46)) + 5 * coarse
        canvas.cover(rows, 0.7 * occupancy(np.maximum(armpit, 12 - cage), self.voxel_mm), self.look["fat"])
        canvas.values[rows] *= 1 + np.float32(0.04) * coarse

    def _within(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, cage: np.ndarray, expansion: np.ndarray) -> None:
        """All that the rib cage encloses."""
        canvas.fill("mediastinum", rows, cage + 3)
        diaphragm = self.anatomy.diaphragm(p)
        low = np.flatnonzero(diaphragm < 2 * self.voxel_mm)
        canvas.fill("diaphragm", rows[low], diaphragm[low] - self.voxel_mm)
        under = np.maximum(diaphragm[low], cage[low] + 2)
        self._bowel(canvas, rows[low], p[low], under)
        for tissue, distance in organs.abdomen(self.anatomy, p[low], under).items():
            canvas.fill(tissue, rows[low], distance)
        canvas.values[rows[low]] *= 1 + np.float32(0.03) * self.grain.fine(p[low])
        high = np.flatnonzero(diaphragm > -self.voxel_mm)
        rows, p, diaphragm = rows[high], p[high], diaphragm[high]
        self._lungs(canvas, rows, p, expansion[high])
        above = occupancy(-diaphragm - 1, self.voxel_mm)
        self._mediastinum(canvas, rows, p, diaphragm)
        blood = np.maximum(*(tree.coverage(p, self.sigma_mm) for tree in self.vessels))
        canvas.cover(rows, blood * above, self.look["vessel"])
        canvas.cover(rows, self.bronchi.coverage(p, self.sigma_mm) * above, self.look["airway_wall"])
        canvas.cover(rows, self.lumens.coverage(p, self.sigma_mm) * above, self.look["air"])

    def _bowel(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, under: np.ndarray) -> None:
        canvas.fill("fat", rows, under + 3)
        coarse = self.grain.coarse(p)
        canvas.cover(rows, occupancy(under + 8, self.voxel_mm) * np.clip(4 * coarse + 1.5, 0, 1), self.look["bowel"])

    def _lungs(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, expansion: np.ndarray) -> None:
        distance = self.anatomy.lungs(p)
        near = np.flatnonzero(distance < self.voxel_mm)
        rows, p, distance, filled = rows[near], p[near], distance[near], occupancy(distance[near], self.voxel_mm)
        right = p[:, 0] > self.anatomy.midline(p)
        canvas.labels[rows] = np.where(distance < 0, np.where(right, RIGHT, LEFT), 0)
        dependent = 1 - np.float32(0.003) * p[:, 1] - np.float32(0.0006) * p[:, 2]  # blood and weight
        density = np.clip(dependent, 0.5, 1.8) * np.minimum(expansion[near], DENSEST)
        canvas.cover(rows, filled, self.grain.signal(p, density, self.patient.disease, self.look))
        oblique, minor, left = self.anatomy.fissures(p)
        sheet = sheet_occupancy(np.where(right, oblique, left), FISSURE_MM, self.voxel_mm)
        flat = sheet_occupancy(minor, FISSURE_MM, self.voxel_mm) * (right & (oblique > 0))
        canvas.cover(rows, np.maximum(sheet, flat) * filled, self.look["fissure"])

    def _mediastinum(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, diaphragm: np.ndarray) -> None:
        heart = np.maximum(self.anatomy.heart(p), -diaphragm)
        near = np.flatnonzero(heart < self.voxel_mm)
        canvas.fill("myocardium", rows[near], heart[near], beats=0.5)
        canvas.fill("blood", rows[near], organs.chambers(self.anatomy, p[near], heart[near]), beats=1.0)
        canvas.fill("blood", rows, self.great_vessels.distance(p), beats=0.6)
        canvas.fill("airway_wall", rows, self.trunk.distance(p))
        canvas.fill("air", rows, self.trunk_lumen.distance(p))

    def _bones(self, canvas: Canvas, rows: np.ndarray, p: np.ndarray, body: np.ndarray, cage: np.ndarray) -> None:
        wall = np.flatnonzero((cage > -self.voxel_mm) & (cage < 30))
        at = p[wall]
        canvas.fill("cartilage", rows[wall], self.cartilage.distance(at))
        for solid in (self.ribs.distance(at), skeleton.sternum(self.anatomy, at, cage[wall])):
            canvas.fill("bone", rows[wall], solid)
            canvas.fill("marrow", rows[wall], solid + 1.4)
        shoulders = self.shoulders.distance(p)
        canvas.fill("bone", rows, shoulders)
        canvas.fill("marrow", rows, shoulders + 1.8)
        back = np.flatnonzero((np.abs(p[:, 0]) < 75) & (p[:, 1] < -20))
        parts = skeleton.spine(self.anatomy, p[back])
        inside = body[back] + 4
        canvas.fill("muscle", rows[back], np.maximum(parts["muscle"], inside))
        canvas.fill("disc", rows[back], parts["discs"])
        canvas.fill("cord", rows[back], parts["canal"])
        vertebrae = np.maximum(parts["vertebrae"], inside)
        canvas.fill("bone", rows[back], vertebrae)
        canvas.fill("marrow", rows[back], vertebrae + 1.6)
