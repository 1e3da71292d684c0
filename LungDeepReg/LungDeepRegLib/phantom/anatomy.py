"""The inhaled chest as solids: what is sampled from the seed, and the distances that give body, lungs and lobes.

Everything is written in the frame of a standard adult: RAS axes in mm, origin in the middle of the chest. A chest's own
size is a factor per axis between that frame and the world. Distances are signed, in mm, negative inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .shapes import either, ellipsoid, oriented_ellipsoid, smooth_max, smooth_min, superellipse
from .tubes import TubeIndex, Tubes

# Outer shape of the body at these heights: half width, half depth, middle of the depth.
BODY_Z_MM = (-400.0, -100.0, 0.0, 60.0, 105.0, 135.0, 170.0, 210.0)
BODY_HALF_WIDTH_MM = (162.0, 166.0, 166.0, 174.0, 190.0, 198.0, 178.0, 120.0)
BODY_HALF_DEPTH_MM = (121.0, 121.0, 117.0, 109.0, 98.0, 88.0, 76.0, 66.0)
BODY_MIDDLE_MM = (-4.0, -4.0, -4.0, -10.0, -18.0, -25.0, -29.0, -31.0)

CAGE_HALF_WIDTH_MM, CAGE_HALF_DEPTH_MM = 131.0, 94.0
CAGE_SHOULDER_MM, CAGE_APEX_MM = -30.0, 130.0
HILUM_MM = {"right": (40.0, -20.0, 14.0), "left": (-42.0, -22.0, 18.0)}
LOBES = ("right upper", "right middle", "right lower", "left upper", "left lower")


@dataclass(frozen=True)
class Anatomy:
    """What makes one chest different from another. Lengths in mm.

    Attributes:
        scale: Size along R, A, S relative to the standard adult.
        dome_right: Height of the right dome of the diaphragm.
        dome_left: Height of the left one.
        dome_drop_lateral: How far the diaphragm falls from the dome to the side wall.
        dome_drop_back: And to the back.
        fat: Thickness of the fat under the skin.
        breast: Size of the breasts, 0 for none.
        heart: Size of the heart relative to the standard one.
        heart_shift: Where its middle is, relative to the standard one.
        fissure_tilt: Slopes of the fissures, relative to the standard ones.
        fissure_shift: Their heights, relative to the standard ones.
        rib_drop: How far the ribs slope down to the front, relative to the standard.
        gas: Size of the stomach's gas bubble relative to the standard one.
        kyphosis: How far the upper spine bends backwards.
    """

    scale: tuple[float, ...]
    dome_right: float
    dome_left: float
    dome_drop_lateral: float
    dome_drop_back: float
    fat: float
    breast: float
    heart: float
    heart_shift: tuple[float, ...]
    fissure_tilt: tuple[float, ...]
    fissure_shift: tuple[float, ...]
    rib_drop: float
    gas: float
    kyphosis: float

    @cached_property
    def great_vessels(self) -> Tubes:
        """Aorta with its branches, venae cavae, pulmonary trunk and main pulmonary arteries."""
        x, y, z = self.heart_shift
        base = (-4 + x, 24 + y, -4 + z)
        aorta = [base, (8, 26, 22), (10, 20, 44), (2, 4, 62), (-12, -18, 64), (-22, -38, 52), (-25, -48, 30)]
        aorta += [(-24, -52, -10), (-20, -54, -60), (-12, -52, -110), (-6, -50, -200)]
        parts = [
            Tubes.chain(aorta, [15, 15.5, 15, 14, 13, 12.5, 12, 11.5, 11, 10.5, 10]),
            Tubes.chain([(24, 18, -10), (27, 18, 20), (26, 18, 60), (18, 16, 88), (26, 8, 116)], [11, 10, 9, 8, 6]),
            Tubes.chain([(18, 16, 88), (-18, 20, 82), (-26, 8, 114)], [6, 6, 5.5]),
            Tubes.chain([(6, 10, 64), (12, 0, 96), (20, -6, 122)], [6.5, 6, 4.5]),
            Tubes.chain([(-6, -4, 66), (-14, -8, 100), (-16, -8, 200)], [4.5, 4, 3.5]),
            Tubes.chain([(-15, -18, 66), (-22, -20, 100), (-27, -14, 122)], [5, 4.5, 4]),
            Tubes.chain([(24, 2, -40), (22, -6, -75), (22, -10, -110), (20, -22, -220)], [13, 12, 12, 11]),
            Tubes.chain([(-24 + x, 42 + y, -8 + z), (-26, 28, 18), (-22, 8, 27)], [15, 14, 12]),
            Tubes.chain([(-20, 8, 27), (6, -2, 24), (30, -10, 18), HILUM_MM["right"]], [11, 10.5, 10, 8]),
            Tubes.chain([(-24, 8, 28), (-34, -12, 30), HILUM_MM["left"]], [11, 10, 8]),
        ]
        return Tubes.union(parts)

    @cached_property
    def airway_trunk(self) -> Tubes:
        """Trachea and main bronchi, by their outer wall."""
        trachea = [(-2, 2, 240), (0, -10, 150), (1, -18, 95), (2, -26, 46)]
        right = [(2, -26, 46), (18, -27, 31), (38, -27, 20)]
        left = [(2, -26, 46), (-16, -28, 34), (-40, -29, 17)]
        parts = [Tubes.chain(trachea, [9.5, 9.5, 9.3, 9.5])]
        parts += [Tubes.chain(right, [8.5, 8, 7]), Tubes.chain(left, [8, 7, 6.5])]
        return Tubes.union(parts)

    @cached_property
    def mediastinal_index(self) -> TubeIndex:
        """What keeps the lungs apart besides the heart, for :meth:`mediastinum`."""
        return TubeIndex(Tubes.union([self.great_vessels.inflated(2.5), self.airway_trunk.inflated(2)]), 16.0)

    def body(self, p: np.ndarray) -> np.ndarray:
        """Distance ``(N,)`` from the skin."""
        x, y, z = p.T
        rx, ry, middle = (
            np.interp(z, BODY_Z_MM, column).astype(p.dtype)
            for column in (BODY_HALF_WIDTH_MM, BODY_HALF_DEPTH_MM, BODY_MIDDLE_MM)
        )
        rx, ry = rx + np.float32(self.fat - 12), ry + np.float32(self.fat - 12)
        narrowed = rx * (1 - np.float32(0.05) * np.tanh((y - middle) / ry))
        wall = superellipse([x / narrowed, (y - middle) / ry], [narrowed, ry])
        wall += either(y < 0, 4, 0) * np.exp(-np.square(x / 13))  # the furrow over the spine
        if self.breast > 0:
            radii = (52 * self.breast, 40 * self.breast, 50 * self.breast)
            folded = np.stack((np.abs(x), y, z), axis=1)
            wall = smooth_min(wall, ellipsoid(folded, (78, 88, -18), radii), 18)
        return wall

    def cage(self, p: np.ndarray) -> np.ndarray:
        """Distance ``(N,)`` from the inner surface of the chest wall, closed above by the apices."""
        x, y, z = p.T
        height = CAGE_APEX_MM - CAGE_SHOULDER_MM
        above = np.maximum(z - CAGE_SHOULDER_MM, 0)
        middle = -18 * (above / height) ** 2
        rx = CAGE_HALF_WIDTH_MM + 4 * np.tanh(z / -120)
        ry = np.float32(CAGE_HALF_DEPTH_MM)
        rx = rx * (1 - np.float32(0.11) * np.tanh((y - middle + 25) / ry))  # narrower in front
        return superellipse([x / rx, (y - middle) / ry, above / height], [rx, ry, np.float32(height)])

    def spine_middle(self, z: np.ndarray) -> np.ndarray:
        """How far forward the middle of the vertebral bodies is, ``(N,)`` mm, at heights z."""
        bend = self.kyphosis * np.exp(-np.square((z - 20) / 75))
        return 14 / (1 + np.exp(-(z - 85) / 14)) - bend - 68

    def diaphragm(self, p: np.ndarray) -> np.ndarray:
        """Distance ``(N,)`` from the dome of the diaphragm, positive above it."""
        x, y, z = p.T
        heights, slopes = [], []
        for side, top in ((1, self.dome_right), (-1, self.dome_left)):
            u, v = (side * x - 64) / 66, (y + 2) / 90
            across = either(u > 0, self.dome_drop_lateral, 20)
            along = either(v > 0, 34, self.dome_drop_back)
            heights.append(top - across * u * u - along * v * v)
            slopes.append(np.square(2 * across * u / 66) + np.square(2 * along * v / 90))
        surface = smooth_max(heights[0], heights[1], 18)
        steepness = either(heights[0] > heights[1], slopes[0], slopes[1])
        return (z - surface) / np.sqrt(1 + steepness)

    def heart_wall(self, p: np.ndarray) -> np.ndarray:
        """Distance ``(N,)`` from the heart: ventricles, and both atria."""
        shift, size = np.array(self.heart_shift), self.heart
        ventricles = oriented_ellipsoid(
            p, tuple(np.array((-28, 28, -40)) + shift), (-0.72, 0.46, -0.52), (62 * size, 45 * size)
        )
        right_atrium = ellipsoid(p, tuple(np.array((18, 16, -28)) + shift), (28 * size, 32 * size, 38 * size))
        left_atrium = ellipsoid(p, tuple(np.array((-2, -16, -12)) + shift), (34 * size, 20 * size, 26 * size))
        return smooth_min(smooth_min(ventricles, right_atrium, 16), left_atrium, 12)

    def mediastinum(self, p: np.ndarray) -> np.ndarray:
        """Distance ``(N,)`` from all that lies between the lungs: heart, great vessels, trachea, spine, fat."""
        x, y, z = p.T
        half_width = 4 + (12 + 10 / (1 + np.exp(-(z - 72) / 10))) * np.exp(-np.square((y + 5) / 42))
        half_width += 16 / (1 + np.exp(-(z - 112) / 7))
        slab = np.abs(x + 3 - 4 / (1 + np.exp(-(y - 55) / 8))) - half_width
        back = np.sqrt(np.square(x) + np.square(y - self.spine_middle(z) + 16)) - 36
        solid = smooth_min(slab, back, 26)
        solid = smooth_min(solid, self.heart_wall(p) - 4, 14)
        return smooth_min(solid, self.mediastinal_index.distance(p), 12)

    def lungs(self, p: np.ndarray) -> np.ndarray:
        """Distance ``(N,)`` from the surface of the lungs; the right one has x above :meth:`midline`."""
        wall = smooth_max(self.cage(p), -self.mediastinum(p), 9)
        return smooth_max(wall, -self.diaphragm(p), 4)

    def midline(self, p: np.ndarray) -> np.ndarray:
        """The x ``(N,)`` that parts the lungs."""
        return np.full(len(p), -3.0, dtype=p.dtype)

    def fissures(self, p: np.ndarray) -> np.ndarray:
        """Distances ``(3, N)`` from right oblique, right horizontal and left oblique fissure, positive above."""
        x, y, z = p.T
        tilt, shift = self.fissure_tilt, self.fissure_shift
        wave = 5 * np.sin(y / 23 + x / 31)
        sheets = []
        for side, index in ((1, 0), (-1, 2)):
            slope, bow = 0.95 + tilt[index], 0.10 * (side * x - 70)
            sheets.append((z + 14 - shift[index] + slope * y + bow + wave) / np.sqrt(1 + slope**2))
        horizontal = z - 2 - shift[1] + (0.12 + tilt[1]) * y - 5 * np.cos(x / 24)
        return np.stack((sheets[0], horizontal, sheets[1]))

    def lobe(self, p: np.ndarray) -> np.ndarray:
        """The number ``(N,)`` in :data:`LOBES` of the lobe that each point would belong to."""
        right_oblique, horizontal, left_oblique = self.fissures(p)
        right = np.where(right_oblique < 0, 2, np.where(horizontal > 0, 0, 1))
        return np.where(p[:, 0] > self.midline(p), right, np.where(left_oblique < 0, 4, 3))


def sample_anatomy(rng: np.random.Generator) -> Anatomy:
    """A chest drawn from the generator."""
    size = rng.normal(1, 0.035)
    scale = tuple(float(np.clip(size * rng.normal(1, 0.025), 0.88, 1.1)) for _ in range(3))
    dome = float(rng.uniform(-66, -54))
    return Anatomy(
        scale=scale,
        dome_right=dome,
        dome_left=dome - float(rng.uniform(6, 16)),
        dome_drop_lateral=float(rng.uniform(38, 54)),
        dome_drop_back=float(rng.uniform(58, 76)),
        fat=float(rng.uniform(9, 18)),
        breast=float(rng.uniform(0.8, 1.05)) if rng.random() < 0.5 else 0.0,
        heart=float(rng.uniform(0.93, 1.08)),
        heart_shift=tuple(float(v) for v in rng.uniform((-5, -4, -4), (4, 4, 4))),
        fissure_tilt=tuple(float(v) for v in rng.uniform(-0.12, 0.12, 3)),
        fissure_shift=tuple(float(v) for v in rng.uniform(-7, 7, 3)),
        rib_drop=float(rng.uniform(0.85, 1.1)),
        gas=float(rng.uniform(0.4, 1.0)),
        kyphosis=float(rng.uniform(4, 12)),
    )
