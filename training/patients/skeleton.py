"""Bones of a synthetic patient, in the chest's frame: ribs around its own cage, spine, sternum, shoulders, arms."""

from __future__ import annotations

import numpy as np
from LungDeepRegLib.phantom.shapes import smooth_max
from LungDeepRegLib.phantom.tubes import Tubes

from .anatomy import Anatomy

RIBS, RIB_STEP_MM = 12, 24.0
RIB_RADIUS_MM, RIB_OUTSIDE_MM = 4.6, 6.5
BONE_END_DEG = (136, 140, 141, 140, 139, 138, 134, 128, 120, 108, 84, 56)
CARTILAGE_END_DEG = (172, 174, 174, 174, 174, 172, 166, 156, 146, 132, 90, 60)
FALL_MM = 92.0  # from the spine to the lowest point of a long rib
VERTEBRA_MM = 24.0


def rib_tubes(anatomy: Anatomy) -> tuple[Tubes, Tubes]:
    """The ribs' bone, and the cartilage that joins them to the sternum."""
    bone, cartilage = [], []
    for number, (bone_end, end) in enumerate(zip(BONE_END_DEG, CARTILAGE_END_DEG, strict=True)):
        for side in (1, -1):
            at = _around(anatomy, number, np.linspace(10, bone_end, 15), side)
            bone.append(Tubes.chain(at.tolist(), [RIB_RADIUS_MM] * len(at)))
            if number < 10:
                front = _around(anatomy, number, np.linspace(bone_end, end, 6), side)
                cartilage.append(Tubes.chain(front.tolist(), [RIB_RADIUS_MM - 0.4] * len(front)))
    return Tubes.union(bone), Tubes.union(cartilage)


def _around(anatomy: Anatomy, number: int, degrees: np.ndarray, side: int) -> np.ndarray:
    """Points ``(A, 3)`` of one rib, just outside the cage, at angles from the spine (0) to the sternum (180)."""
    angle = np.radians(degrees)
    length = np.interp(number, (0, 3, 8, 11), (0.45, 0.85, 1.0, 0.7))
    fall = FALL_MM * length * np.interp(degrees, (0, 25, 70, 115, 145, 180), (0, 0.04, 0.45, 0.92, 1.0, 0.78))
    z = anatomy.shape.apex - 14 - number * RIB_STEP_MM - fall
    middle = np.stack((0.7 * anatomy.spine_right(z), np.full_like(z, -12.0), z), axis=1)
    heading = np.stack((side * np.sin(angle), -np.cos(angle), np.zeros_like(angle)), axis=1)
    near, far = np.zeros(len(z)), np.full(len(z), 220.0)
    for _ in range(16):
        half = (near + far) / 2
        inside = anatomy.cage(middle + half[:, None] * heading) < RIB_OUTSIDE_MM
        near, far = np.where(inside, half, near), np.where(inside, far, half)
    return middle + near[:, None] * heading


def shoulder_tubes(anatomy: Anatomy) -> Tubes:
    """Clavicles, the blades' thick edges, and the bones of the upper arms."""
    width, top = anatomy.shape.half_width, anatomy.shape.apex
    parts = []
    for side in (1, -1):
        joint = (side * (width + 40), -22, top + 8)
        clavicle = [(side * 24, 38, top - 18), (side * 70, 40, top - 2), (side * 112, 12, top + 14), joint]
        parts.append(Tubes.chain(clavicle, [7, 5.5, 5, 6]))
        blade = [joint, (side * (width - 6), -66, top - 40), (side * (width - 22), -82, top - 130)]
        parts.append(Tubes.chain(blade, [8, 5, 4]))
        parts.append(
            Tubes.chain([joint, (side * (width + 54), -26, top - 20), *_arm(anatomy, side)[1:]], [21, 14, 11, 10])
        )
    return Tubes.union(parts)


def arm_tubes(anatomy: Anatomy) -> Tubes:
    """The upper arms by their skin."""
    parts = [Tubes.chain(_arm(anatomy, side), [44, 42, 38]) for side in (1, -1)]
    return Tubes.union(parts).inflated(0.5 * (anatomy.shape.fat - 12))


def _arm(anatomy: Anatomy, side: int) -> list[tuple[float, float, float]]:
    width, top = anatomy.shape.half_width, anatomy.shape.apex
    return [
        (side * (width + 44), -22, top),
        (side * (width + 74), -28, top - 110),
        (side * (width + 86), -30, top - 240),
    ]


def sternum(anatomy: Anatomy, p: np.ndarray, cage: np.ndarray) -> np.ndarray:
    """Distance ``(N,)`` from the sternum.

    Args:
        anatomy: The chest.
        p: Points ``(N, 3)``.
        cage: Their distance from the inner surface of the chest wall.
    """
    x, y, z = p.T
    top = anatomy.shape.apex - 34
    half_width = np.interp(top - z, (0, 14, 42, 56, 120, 150, 175), (20, 27, 20, 13, 17, 13, 5))
    plate = smooth_max(np.abs(x - 0.7 * anatomy.spine_right(z)) - half_width, np.abs(cage - 9) - 5.5, 6)
    ends = np.maximum(z - top, top - 172 - z)
    return np.where(y > 0, smooth_max(plate, ends, 6), 50.0).astype(np.float32)


def spine(anatomy: Anatomy, p: np.ndarray) -> dict[str, np.ndarray]:
    """Distances ``(N,)`` from ``vertebrae``, ``discs``, the ``canal`` and the ``muscle`` beside the arches."""
    z = p[:, 2]
    u, v = p[:, 0] - anatomy.spine_right(z), p[:, 1] - anatomy.spine_front(z)
    height = np.abs((z / VERTEBRA_MM - np.round(z / VERTEBRA_MM)) * VERTEBRA_MM)
    size = 1 - np.clip(z, -150, 150) / 900
    column = (np.sqrt(np.square(u / 18) + np.square((v + 14) / 14.5)) / size - 1) * 16
    canal = np.hypot(u / 1.2, v + 38) - 8.5
    ring = np.maximum(np.abs(canal - 2.5) - 2.5, height - 8)
    process = np.maximum(np.maximum(np.abs(u) - 3, np.abs(v + 54) - 10), height - 6)
    wings = np.maximum(np.hypot(v + 34 + 0.35 * np.abs(u), np.minimum(height, 9)) - 5.5, np.abs(u) - 32)
    arches = np.maximum(np.minimum(np.minimum(ring, process), wings), -canal)
    vertebrae = np.minimum(smooth_max(column, height - 9.3, 3), arches)
    muscle = np.hypot(np.abs(u) - 26, (v + 48) * 1.1) - 24
    parts = {"vertebrae": vertebrae, "discs": np.maximum(column + 1, 9.3 - height), "canal": canal, "muscle": muscle}
    return {name: values.astype(np.float32) for name, values in parts.items()}
