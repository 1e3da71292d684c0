"""What can be wrong with a pair: a CT under a known breath, displaced, turned, cropped, noisy, in other contrasts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from LungDeepRegLib.geometry import apply, index_box
from LungDeepRegLib.intensity import CT_AIR_HU, choose_intensity
from LungDeepRegLib.preprocessing import block_factors
from LungDeepRegLib.volume import Volume, block_mean
from scipy import ndimage
from scipy.spatial.transform import Rotation

from ..known_motion import Breath, KnownPair, simulate

KINDS = ("offset", "rotation", "crop", "noise", "contrast", "all")
OFFSET_MM, ROTATION_DEGREES = (20.0, 60.0), (5.0, 15.0)
MOTION_MM = (8.0, 30.0)
QUIET_HU, NOISE_HU = 15.0, (40.0, 150.0)
CROPS = (
    "one lung of the moving image",
    "one lung of both",
    "the moving lungs' lower part",
    "the fixed lungs' upper part",
)
CONTRASTS = ("CT, another scale", "MRI-like", "MRI-like, dark fat", "MRI-like onto CT")
SHARE_KEPT = (0.55, 0.8)
"""Of the lungs' height."""
BEYOND_MM = 15.0
"""What is kept around lungs when an image is cropped."""
TISSUE_HU = (-1024.0, -900.0, -700.0, -100.0, 40.0, 300.0, 1500.0)
SIGNALS = {
    "MRI-like": (0.0, 40.0, 90.0, 950.0, 600.0, 350.0, 120.0),
    "MRI-like, dark fat": (0.0, 60.0, 130.0, 180.0, 700.0, 500.0, 250.0),
}
"""Of the tissues of :data:`TISSUE_HU`, linear in between: fat outshines muscle, or is suppressed; bone is dark."""
SIGNAL_NOISE = 15.0
GAIN, SHIFT_HU = (0.95, 1.05), (-50.0, 50.0)
"""Of a badly calibrated scanner."""
LEAST_SEEN = 500


@dataclass(frozen=True)
class Disturbance:
    """What is done to a pair.

    Attributes:
        kind: One of :data:`KINDS`.
        breath: The deformation, with its noise and seed.
        offset_mm: Of the moving image, R, A, S.
        rotation_degrees: Of the moving image around its centre, as a vector.
        crop: One of :data:`CROPS`, or nothing.
        kept: The share of the lungs' height that a crop leaves.
        right: Which lung a crop leaves.
        contrast: One of :data:`CONTRASTS`, or nothing.
    """

    kind: str
    breath: Breath
    offset_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    crop: str = ""
    kept: float = 1.0
    right: bool = True
    contrast: str = ""

    @property
    def words(self) -> str:
        """For people."""
        found = [f"breath {self.breath.motion_mm:.0f} mm"]
        if any(self.offset_mm):
            found.append(f"offset {np.linalg.norm(self.offset_mm):.0f} mm")
        if any(self.rotation_degrees):
            found.append(f"rotation {np.linalg.norm(self.rotation_degrees):.0f} degrees")
        if self.breath.noise_hu > QUIET_HU:
            found.append(f"noise {self.breath.noise_hu:.0f} HU")
        return ", ".join([*found, *filter(None, (self.crop, self.contrast))])


def disturbance(number: int, seed: int) -> Disturbance:
    """The disturbance of a number: kinds in turn, all else at random; the same for the same number and seed."""
    random, kind = np.random.default_rng([seed, number]), KINDS[number % len(KINDS)]
    turn = number // len(KINDS)
    direction, axis = (vector / np.linalg.norm(vector) for vector in random.standard_normal((2, 3)))
    offset, angle = direction * random.uniform(*OFFSET_MM), axis * random.uniform(*ROTATION_DEGREES)
    motion, noise = random.choice([-1, 1]) * random.uniform(*MOTION_MM), random.uniform(*NOISE_HU)
    kept, right = random.uniform(*SHARE_KEPT), bool(random.random() < 0.5)

    def has(name: str) -> bool:
        return kind in (name, "all")

    return Disturbance(
        kind=kind,
        breath=Breath(motion, noise_hu=noise if has("noise") else QUIET_HU, seed=1000 * seed + number),
        offset_mm=tuple(offset) if has("offset") else (0.0,) * 3,
        rotation_degrees=tuple(angle) if has("rotation") else (0.0,) * 3,
        crop=CROPS[turn % len(CROPS)] if has("crop") else "",
        kept=kept,
        right=right,
        contrast=CONTRASTS[turn % len(CONTRASTS)] if has("contrast") else "",
    )


@dataclass(frozen=True, eq=False)
class DisturbedPair:
    """Two images, and where the fixed one's lungs are in the moving one.

    Attributes:
        fixed: The fixed image.
        moving: The moving image.
        fixed_lungs: The fixed image's lungs, bool ``(K, J, I)``; for pictures, no registration gets them.
        seen: Points ``(N, 3)`` RAS mm of the fixed lungs that both images show.
        truth: Where they are in the moving image.
    """

    fixed: Volume
    moving: Volume
    fixed_lungs: np.ndarray
    seen: np.ndarray
    truth: np.ndarray


def coarser(ct: Volume, spacing_mm: float) -> Volume:
    """A CT in HU, averaged over whole voxels to about a spacing."""
    return block_mean(ct, block_factors(ct.lattice, spacing_mm), choose_intensity(ct).hounsfield)


def disturbed(ct: Volume, what: Disturbance) -> DisturbedPair:
    """A pair with known motion from one chest CT.

    Raises:
        ValueError: An image in which no lung is found, a motion that folds, or a crop that leaves nothing.
    """
    known = simulate(ct, what.breath)
    fixed, moving = recoloured(known, what)
    lungs = known.fixed.with_array(known.fixed_lungs)
    lung_points = apply(lungs.ijk_to_ras, np.argwhere(lungs.array)[:, ::-1].astype(float))
    lung_points = lung_points[:: max(1, len(lung_points) // 50_000)]
    there = known.psi(lung_points)
    fixed, lungs = (cropped(image, lung_points, what, "fixed") for image in (fixed, lungs))
    moving = cropped(moving, there, what, "moving")
    seen = fixed.lattice.contains(lung_points) & moving.lattice.contains(there)
    if seen.sum() < LEAST_SEEN:
        msg = f"found {seen.sum()} points of the lungs in both images, expected at least {LEAST_SEEN}"
        raise ValueError(msg)
    place = placement(what, moving.lattice.centre_ras)
    moved = Volume(moving.array, place @ moving.ijk_to_ras, moving.name)
    return DisturbedPair(fixed, moved, lungs.array, lung_points[seen], apply(place, there[seen]))


def placement(what: Disturbance, centre: np.ndarray) -> np.ndarray:
    """The 4x4 matrix of the moving image's rotation around a centre and of its offset, RAS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(what.rotation_degrees, degrees=True).as_matrix()
    matrix[:3, 3] = centre + what.offset_mm - matrix[:3, :3] @ centre
    return matrix


def cropped(image: Volume, lungs: np.ndarray, what: Disturbance, role: str) -> Volume:
    """The part of an image that a crop leaves, by its lungs' points ``(N, 3)``."""
    if not what.crop or (role == "fixed" and "moving" in what.crop) or (role == "moving" and "fixed" in what.crop):
        return image
    low, high = lungs.min(axis=0) - BEYOND_MM, lungs.max(axis=0) + BEYOND_MM
    middle = (low + high) / 2
    if what.crop.startswith("one lung"):
        (low if what.right else high)[0] = middle[0]
    else:
        height = what.kept * (high[2] - low[2])
        if "lower" in what.crop:
            high[2] = low[2] + height
        else:
            low[2] = high[2] - height
    return box_of(image, low, high)


def box_of(image: Volume, low: np.ndarray, high: np.ndarray) -> Volume:
    """The part of an image within two corners ``(3,)`` RAS mm."""
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, 8).T
    ijk = apply(image.lattice.ras_to_ijk, corners)
    last = np.array(image.array.shape[::-1])
    start = np.clip(np.floor(ijk.min(axis=0)).astype(int), 0, last - 2)
    stop = np.clip(np.ceil(ijk.max(axis=0)).astype(int) + 1, start + 2, last)
    i, j, k = (slice(a, b) for a, b in zip(start, stop, strict=True))
    lattice = index_box(image.lattice, start, stop - start)
    return Volume(np.ascontiguousarray(image.array[k, j, i]), lattice.ijk_to_ras, image.name)


def recoloured(known: KnownPair, what: Disturbance) -> tuple[Volume, Volume]:
    """Both images of a pair in the contrast of a disturbance."""
    random = np.random.default_rng([what.breath.seed, 7])
    if not what.contrast:
        return known.fixed, known.moving
    if what.contrast == "CT, another scale":
        gain, offset = random.uniform(*GAIN), random.uniform(*SHIFT_HU)
        values = (known.moving.array.astype(np.float32) + 1000) * gain - 1000 + offset
        clipped = np.clip(values, CT_AIR_HU, 3071)
        return known.fixed, known.moving.with_array(clipped.astype(np.int16))
    if what.contrast == "MRI-like onto CT":
        return known.fixed, as_mri(known.moving, SIGNALS["MRI-like"], random)
    fixed, moving = (as_mri(image, SIGNALS[what.contrast], random) for image in (known.fixed, known.moving))
    return fixed, moving


def as_mri(image: Volume, signals: tuple[float, ...], random: np.random.Generator) -> Volume:
    """A CT with the signal of an MRI: other tissues are bright, a coil shades it, its noise is Rician."""
    values = np.interp(image.array, TISSUE_HU, signals) * random.uniform(0.7, 1.4)
    shade = ndimage.zoom(random.uniform(0.75, 1.25, (3, 3, 3)), np.array(image.array.shape) / 3, order=1)
    noise = random.normal(0, SIGNAL_NOISE, (2, *image.array.shape))
    return image.with_array(np.hypot(values * shade + noise[0], noise[1]).astype(np.float32))
