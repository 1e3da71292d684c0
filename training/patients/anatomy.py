"""The inhaled chest of a synthetic patient as solids: body, rib cage, diaphragm, mediastinum, lungs and lobes.

Own formulas, none of those of the engine's phantom, on which the shipped weights were trained: the rib cage differs
between the sides and from front to back, the spine may be bent, each dome of the diaphragm is a cap that meets the
wall steeply and may be elevated. All in the chest's frame, see :mod:`solids`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from LungDeepRegLib.phantom.shapes import smooth_max, smooth_min
from LungDeepRegLib.phantom.tubes import TubeIndex, Tubes
from scipy import ndimage

from .chest_shape import ChestShape
from .solids import STEP_MM, GridValues, along, axes_mm, solid, step
from .vessels import airway_trunk, great_vessels

LEAST_APART_MM = 3.5  # half of the least distance between the lungs
LEAST_PIECE = 0.05  # of both lungs: what is smaller is no lung
LOBES = ("right upper", "right middle", "right lower", "left upper", "left lower")


@dataclass(frozen=True, eq=False)
class Anatomy:
    """One chest as solids: distances ``(N,)`` in mm at points ``(N, 3)`` in the frame, negative inside.

    Attributes:
        shape: Its measures.
    """

    shape: ChestShape

    def spine_right(self, z: np.ndarray) -> np.ndarray:
        """How far to the right the spine is at heights z, mm."""
        turn = 2 * np.pi / self.shape.scoliosis_length
        return self.shape.scoliosis * np.sin(turn * (z - 10)) * np.exp(-np.square((z - 10) / 210))

    def spine_front(self, z: np.ndarray) -> np.ndarray:
        """Where the front of the vertebral bodies is at heights z, mm."""
        bend = self.shape.kyphosis * np.exp(-np.square((z - 35) / 80))
        return 18 * step((z - 95) / 30) - bend - self.shape.spine_depth

    def midline(self, p: np.ndarray) -> np.ndarray:
        """The x ``(N,)`` that parts the lungs."""
        return (self.spine_right(p[:, 2]) - 3).astype(p.dtype)

    @cached_property
    def great_vessels(self) -> Tubes:
        """Aorta, venae cavae, pulmonary trunk, and their large branches."""
        return great_vessels(self.shape.hilum_up, self.shape.heart_right, self.shape.mediastinum)

    @cached_property
    def airway_trunk(self) -> Tubes:
        """Trachea and main bronchi, by their outer wall."""
        return airway_trunk(self.shape.hilum_up)

    @cached_property
    def cage(self) -> GridValues:
        """The inner surface of the chest wall, closed above by the apices."""
        return solid(self._cage)

    @cached_property
    def body(self) -> GridValues:
        """The skin of the trunk, without arms."""
        return solid(self._body)

    @cached_property
    def diaphragm(self) -> GridValues:
        """The upper surface of the diaphragm, positive above it."""
        return solid(lambda x, y, z: z - self._dome_height(x, y))

    @cached_property
    def heart(self) -> GridValues:
        """Ventricles and atria, by their outer wall."""
        return solid(self._heart)

    @cached_property
    def mediastinum(self) -> GridValues:
        """All that lies between the lungs: heart, great vessels, trachea, spine, fat."""
        return solid(self._mediastinum)

    @cached_property
    def lungs(self) -> GridValues:
        """Both lungs; the right one has x above :meth:`midline`."""
        wall = smooth_max(self.cage.values, -self.mediastinum.values, 10)
        return GridValues(_without_islands(smooth_max(wall, -self.diaphragm.values, 5)))

    def fissures(self, p: np.ndarray) -> np.ndarray:
        """Distances ``(3, N)`` from right oblique, right horizontal and left oblique fissure, positive above."""
        x, y, z = p.T
        shape = self.shape
        sheets = []
        sides = ((shape.fissure_slope_right, shape.fissure_up_right), (shape.fissure_slope_left, shape.fissure_up_left))
        for slope, up in sides:
            bent = slope * y + 14 * np.tanh((y + 20) / 60) + 0.0012 * np.square(np.abs(x) - 60)
            sheets.append((z - up + bent + 4 * np.sin(x / 37 + y / 51)) / np.sqrt(1 + slope**2))
        minor = z - shape.fissure_up_minor + 0.002 * np.square(x - 70) + 0.18 * y + 3 * np.sin(y / 29)
        return np.stack((sheets[0], minor, sheets[1]))

    def lobe(self, p: np.ndarray) -> np.ndarray:
        """The number ``(N,)`` in :data:`LOBES` of the lobe that each point would belong to."""
        right_oblique, horizontal, left_oblique = self.fissures(p)
        right = np.where(right_oblique < 0, 2, np.where(horizontal > 0, 0, 1))
        return np.where(p[:, 0] > self.midline(p), right, np.where(left_oblique < 0, 4, 3))

    def half_widths(self, z: np.ndarray) -> np.ndarray:
        """Half of the rib cage's width at heights z, before it closes towards the apices."""
        flare = self.shape.flare
        profile = (0.96 + 1.2 * flare, 1.0 + 1.0 * flare, 1.0 + 0.5 * flare, 1.0, 0.95, 0.84, 0.66)
        return self.shape.half_width * along(z, (-300, -190, -110, -30, 40, 90, 140), profile)

    def _cage(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        shape = self.shape
        u = x - 0.7 * self.spine_right(z)
        side = np.tanh(u / 25)
        width = self.half_widths(z) * (1 + shape.asymmetry * side)
        hollow = along(z, (10, 70, 120), (0.0, 22.0, 40.0))  # the apices stand apart
        middle = along(z, (-300, -60, 20, 80, 140), (0, 0, -5, -19, -38)) - 0.3 * shape.kyphosis
        v = y - middle
        front = shape.half_depth_front * along(z, (-300, -120, 0, 60, 100, 140), (0.96, 1, 0.97, 0.84, 0.68, 0.55))
        back = shape.half_depth_back * along(z, (-300, -120, 0, 60, 140), (0.97, 1, 1, 0.96, 0.8))
        power = np.where(v > 0, np.float32(shape.round_front), np.float32(shape.round_back))
        across = np.maximum(np.abs(u) - hollow, 0) / (width - hollow)
        outline = np.power(across, power) + np.power(np.abs(v) / np.where(v > 0, front, back), power)
        closing = np.maximum(z - shape.shoulder, 0) / (shape.apex - shape.shoulder)
        return np.sqrt(np.power(outline, 2 / power) + np.power(closing, 2.4)) - 1

    def _body(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        shape = self.shape
        wall = shape.fat + shape.muscle
        more = along(z, (-300, -120, 0, 60, 105, 140, 165, 190), (4, 2, 6, 20, 44, 52, 20, -70))
        width = self.half_widths(np.minimum(z, 0)) + wall + more
        middle = along(z, (-300, 0, 80, 170), (0, -4, -22, -34)) - 0.3 * shape.kyphosis
        front = shape.half_depth_front * along(z, (-300, -60, 60, 110, 150, 200), (1.0, 1.0, 0.86, 0.7, 0.58, 0.5))
        back = shape.half_depth_back * along(z, (-300, 80, 140, 200), (1, 1, 0.9, 0.62))
        v = y - middle
        depth = np.where(v > 0, front + wall - 4, back + wall + 8)
        outline = (np.abs(x) / width) ** 2.6 + (np.abs(v) / depth) ** 2.4
        trunk = (np.power(outline, 1 / 2.5) - 1) * 100
        if shape.breast <= 0:
            return trunk
        size = 1 + 0.5 * shape.breast
        breasts = np.square((np.abs(x) - 0.58 * shape.half_width) / 50) + np.square((z + 12) / 54)
        breasts = np.sqrt(breasts + np.square((y - shape.half_depth_front + 4) / 44)) / size - 1
        return smooth_min(trunk, breasts * 46, 20)

    def _dome_height(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        shape = self.shape
        reach = np.float32(0.56 * shape.half_width)
        depth = np.float32(0.54 * (shape.half_depth_front + shape.half_depth_back))
        heights = []
        for side, top in ((1, shape.dome), (-1, shape.dome - shape.dome_left)):
            u, v = (side * x - 0.48 * shape.half_width) / reach, (y + 2) / depth
            squared = np.square(u) + np.square(v)
            cap = np.sqrt(np.maximum(1 - squared, 0) + 0.01)
            fall = shape.dome_cap * (1.005 - cap) + 30 * np.maximum(np.sqrt(squared) - 1, 0)
            raised = shape.elevation if side * shape.elevated_side > 0 else 0.0
            bump = raised * np.exp(-np.square(u + 0.1) / 0.3 - np.square(v - 0.2) / 0.4)
            heights.append(top - fall + shape.dome_tilt * (y + 2) + bump)
        return smooth_max(heights[0], heights[1], 24)

    def _heart(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        shape, size = self.shape, self.shape.heart
        tilt = np.radians(shape.heart_tilt_deg)
        axis = np.array([-0.8 * np.cos(tilt), 0.6 * np.cos(tilt), -np.sin(tilt)])
        x, y, z = x - shape.heart_right, y - 20, z - shape.heart_up
        t = axis[0] * x + axis[1] * y + axis[2] * z
        across = np.sqrt(np.maximum(x * x + y * y + z * z - t * t, 0))
        taper = size * 44 * (1 - 0.22 * np.tanh(t / (50 * size)))
        ventricles = (np.sqrt(np.square(t / (66 * size)) + np.square(across / taper)) - 1) * 45
        right = np.sqrt(np.square((x - 36) / 28) + np.square((y + 3) / 32) + np.square((z - 8) / 40)) / size - 1
        left = np.sqrt(np.square((x - 16) / 36) + np.square((y + 34) / 20) + np.square((z - 20) / 27)) / size - 1
        return smooth_min(smooth_min(ventricles, right * 30, 14), left * 24, 12)

    def _mediastinum(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        u = x - self.spine_right(z) + 2
        thickness = along(z, (-300, -80, 0, 40, 80, 110, 135, 160), (8, 8, 11, 15, 21, 25, 27, 34))
        thickness = thickness * self.shape.mediastinum
        waist = along(y, (-90, -50, -15, 30, 60, 110), (0.35, 0.6, 1.0, 0.75, 0.25, 0.15))
        front = self.spine_front(z)
        back = np.sqrt(np.square(x - self.spine_right(z)) + np.square(np.minimum(y - front + 18, 0) / 1.15)) - 26
        back = np.where(y - front + 18 > 0, np.hypot(x - self.spine_right(z), y - front + 18) - 26, back)
        united = smooth_min(np.abs(u) - np.maximum(thickness * waist, LEAST_APART_MM), back, 22)
        tubes = Tubes.union([self.great_vessels.inflated(2.5), self.airway_trunk.inflated(2.0)])
        near = TubeIndex(tubes, 18.0).distance(_points(x, y, z)).reshape(united.shape)
        united = smooth_min(united, near, 10)
        return smooth_min(united, self.heart.values - 4, 12)


def _without_islands(values: np.ndarray) -> np.ndarray:
    """The same without the solid's small pieces, such as between heart and diaphragm."""
    pieces, count = ndimage.label(values < 0)
    voxels = np.bincount(pieces.ravel(), minlength=count + 1)
    small = (voxels < LEAST_PIECE * voxels[1:].sum()) & (np.arange(count + 1) > 0)
    return np.where(small[pieces], np.float32(STEP_MM), values)


def _points(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    grids = np.broadcast_arrays(x, y, z)
    return np.stack([grid.ravel() for grid in grids], axis=1).astype(np.float32)


def frame_points() -> np.ndarray:
    """The points ``(N, 3)`` of the frame's grid, float32."""
    return _points(*axes_mm())
