"""Bones of the chest: ribs with their cartilage, sternum, clavicles, shoulder blades and spine.

Ribs and sternum lie in the wall of the rib cage, so they are described on it: by the distance from the cage, by the
angle around the body (0 at the spine, pi at the sternum), and by height.
"""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy
from .shapes import ellipsoid, smooth_max
from .tubes import TubeIndex, Tubes

RIBS = 12
RIB_SPACING_MM = 23.5
FIRST_RIB_MM = 123.0
RIB_HALF_HEIGHT_MM, RIB_HALF_THICKNESS_MM, RIB_DEPTH_MM = 6.0, 3.4, 6.5
# Where, around the body in degrees, each rib's bone ends and its cartilage ends.
BONE_END_DEG = (140, 142, 142, 142, 141, 140, 138, 134, 128, 120, 95, 62)
CARTILAGE_END_DEG = (180, 180, 180, 180, 180, 180, 178, 164, 156, 148, 100, 66)
SLOPE_ANGLE_DEG = (0, 20, 60, 100, 135, 160, 180)
SLOPE = (0.0, 0.03, 0.35, 0.78, 1.0, 0.88, 0.72)


def ribs(anatomy: Anatomy, p: np.ndarray, cage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances ``(N,)`` from the ribs' bone and from their cartilage.

    Args:
        anatomy: The chest.
        p: Points ``(N, 3)``.
        cage: Their distance from the inner surface of the chest wall.
    """
    x, y, z = p.T
    angle = np.degrees(np.arctan2(np.abs(x), -(y + 6))).astype(p.dtype)
    slope = np.interp(angle, SLOPE_ANGLE_DEG, SLOPE).astype(p.dtype) * np.float32(anatomy.rib_drop)
    spacing = RIB_SPACING_MM + 7 * slope
    number = (FIRST_RIB_MM - 30 * slope - z) / spacing
    nearest = np.clip(np.round(number), 0, RIBS - 1).astype(int)
    above = np.maximum(z + 30, 0) / 160  # near the apex the wall lies flat, and height runs faster along it
    height = (number - nearest) * spacing / np.sqrt(np.maximum(1 - above**2, 0.1))
    thickness = (cage - RIB_DEPTH_MM) / RIB_HALF_THICKNESS_MM
    across = np.sqrt(np.square(height / RIB_HALF_HEIGHT_MM) + np.square(thickness))
    bar = (across - 1) * 4.2
    around = np.sqrt(np.square(x) + np.square(y + 6)) * np.pi / 180  # mm per degree
    beyond_bone = (angle - np.take(BONE_END_DEG, nearest)) * around
    beyond_cartilage = (angle - np.take(CARTILAGE_END_DEG, nearest)) * around
    bone = smooth_max(bar, beyond_bone.astype(p.dtype), 4)
    return bone.astype(p.dtype), np.maximum(bar, beyond_cartilage).astype(p.dtype)


def sternum(p: np.ndarray, cage: np.ndarray) -> np.ndarray:
    """Distance ``(N,)`` from the sternum: a wide manubrium, a narrower body."""
    x, y, z = p.T
    half_width = np.interp(z, (-75, -60, -20, 48, 58, 90, 96), (6, 12, 17, 13, 19, 27, 24)).astype(p.dtype)
    plate = smooth_max(np.abs(x) - half_width, np.abs(cage - 8.5) - 5.5, 7)
    ends = np.maximum(z - 92, -62 - z)
    return np.where(y > 0, smooth_max(plate, ends, 6), np.float32(50))


def shoulder_blades(p: np.ndarray, cage: np.ndarray) -> np.ndarray:
    """Distance ``(N,)`` from the scapulae: thin plates in the muscle behind the ribs, thicker at their edges."""
    x, y, z = p.T
    side = np.abs(x)
    plate = np.abs(cage - 21) - 1.8 - 2.5 * np.exp(-np.square((side - 128) / 10))
    inner, outer = 62 - 0.06 * (z - 60), 96 + 0.36 * (z - 0)
    outline = np.maximum(np.maximum(inner - side, side - outer), np.maximum(-8 - z, z - 122))
    spine_of_it = ellipsoid(np.stack((side, y, z), axis=1), (112, -78, 92), (34, 9, 6))
    blade = np.where(y < 5, smooth_max(plate, outline, 4), np.float32(50))
    return np.minimum(blade, spine_of_it).astype(p.dtype)


def limb_girdle() -> TubeIndex:
    """Clavicles and the heads of the arm bones."""
    parts = []
    for side in (1, -1):
        clavicle = [(side * 22, 46, 100), (side * 60, 52, 112), (side * 105, 22, 122), (side * 150, 2, 136)]
        parts.append(Tubes.chain(clavicle, [8, 6, 5.5, 6]))
        parts.append(Tubes.chain([(side * 164, -22, 128), (side * 190, -14, 170)], [21, 14]))
    return TubeIndex(Tubes.union(parts), 6.0)


def spine(anatomy: Anatomy, p: np.ndarray) -> dict[str, np.ndarray]:
    """Distances ``(N,)`` from ``vertebrae`` (bodies and arches), ``discs`` and the spinal ``canal``."""
    x, y, z = p.T
    middle = anatomy.spine_middle(z).astype(p.dtype)
    v = y - middle
    phase = (FIRST_RIB_MM - 4 - z) / RIB_SPACING_MM
    height = (phase - np.round(phase)) * RIB_SPACING_MM
    size = 1 + np.clip(-z, -120, 120) / 1100  # vertebrae grow downwards
    waist = 1 - 0.09 * np.cos(height / RIB_SPACING_MM * 2 * np.pi)
    column = (np.sqrt(np.square(x / 17.5) + np.square(v / 14)) / (size * waist) - 1) * 15
    body = smooth_max(column, np.abs(height) - 9.4, 3)
    disc = np.maximum(column + 0.8, 9.4 - np.abs(height))
    canal = np.sqrt(np.square(x / 1.15) + np.square(v + 22.5)) - 8
    ring = np.maximum(np.abs(np.sqrt(np.square(x / 1.15) + np.square(v + 22.5)) - 11) - 2.6, np.abs(height) - 8)
    falling = height - 0.5 * (v + 30) + 6
    spinous = np.maximum(np.maximum(np.abs(x) - 3, np.abs(v + 37) - 9), np.abs(falling) - 6)
    bar = np.square(v + 19 + 0.4 * (np.abs(x) - 8)) + np.square(height - 3)
    transverse = np.maximum(np.abs(np.abs(x) - 20) - 14, np.sqrt(bar) - 5)
    arches = np.minimum(np.minimum(ring, spinous), transverse)
    arches = np.maximum(arches, -canal)
    return {"vertebrae": np.minimum(body, arches), "discs": disc, "canal": canal}
