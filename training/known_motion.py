"""A real CT under known motion: how far a registration is from the truth.

The moving image is the CT itself, the fixed one ``fixed(x) = moving(psi(x))`` for a simulated breath psi, so that psi
is what a registration should find. Lung density follows the volume, and independent noise is added to both afterwards.

    python -m training.known_motion --image chest.nii.gz --motion-mm 30
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass

import numpy as np
from LungDeepRegLib import DisplacementField, Options, Volume, read_volume, register
from LungDeepRegLib.displacement_field import lattice_points
from LungDeepRegLib.geometry import Lattice, apply, covering_lattice
from LungDeepRegLib.intensity import CT_AIR_HU, choose_intensity
from LungDeepRegLib.lung_mask import find_lungs
from LungDeepRegLib.metrics import Distribution, folded_percent, jacobian_determinant
from LungDeepRegLib.resampling import resample
from scipy import ndimage

FIELD_SPACING_MM = 4.0
LOCAL_SCALE_MM = 36.0
SCORED_POINTS = 100_000


@dataclass(frozen=True)
class Breath:
    """A simulated breath.

    Attributes:
        motion_mm: How far the diaphragm moves; negative: the fixed image is the deeper breath.
        local_mm: Largest displacement of a smooth random motion on top.
        noise_hu: Standard deviation of the noise of each image.
        seed: Of the random motion and the noise.
    """

    motion_mm: float = 30.0
    local_mm: float = 6.0
    noise_hu: float = 20.0
    seed: int = 0


@dataclass(frozen=True)
class KnownPair:
    """Two images and the truth between them: ``fixed(x) = moving(psi(x))`` but for density and noise."""

    fixed: Volume
    moving: Volume
    fixed_lungs: np.ndarray
    psi: DisplacementField


def breathing_field(lattice: Lattice, lung_points: np.ndarray, breath: Breath) -> DisplacementField:
    """psi around lungs at the given points ``(N, 3)`` RAS mm: down and forward below, still at the apex."""
    low, high = lung_points.min(axis=0), lung_points.max(axis=0)
    x = lattice_points(lattice)
    right, front, _ = ((x - (low + high) / 2) / (high - low)).T
    depth = np.clip((high[2] - x[:, 2]) / (high[2] - low[2]), 0, 1)
    rise = depth * depth * (3 - 2 * depth)
    dome = 0.35 + 0.65 * np.exp(-4 * (right**2 + front**2))
    u = np.zeros_like(x)
    u[:, 0] = 0.08 * rise * np.tanh(4 * right)
    u[:, 1] = 0.25 * rise * (1 - depth / 2) * np.tanh(4 * front)
    u[:, 2] = -rise * dome
    noise = np.random.default_rng(breath.seed).standard_normal((3, *lattice.shape))
    local = np.stack([ndimage.gaussian_filter(axis, LOCAL_SCALE_MM / FIELD_SPACING_MM) for axis in noise], axis=-1)
    local *= breath.local_mm / np.linalg.norm(local, axis=-1).max()
    return DisplacementField(breath.motion_mm * u.reshape(local.shape) + local, lattice)


def simulate(ct: Volume, breath: Breath) -> KnownPair:
    """A pair with known motion from one chest CT.

    Raises:
        ValueError: An image in which no lung is found, or a motion that folds.
    """
    intensity = choose_intensity(ct)
    lungs = find_lungs(ct, intensity)
    if lungs is None:
        msg = f"{ct.name}: found no lung, expected a chest CT"
        raise ValueError(msg)
    points = apply(ct.ijk_to_ras, np.argwhere(lungs)[::50, ::-1])
    psi = breathing_field(covering_lattice(ct.lattice, FIELD_SPACING_MM, 40.0), points, breath)
    if folded_percent(psi) > 0:
        msg = f"found that a motion of {breath.motion_mm} mm folds, expected a smaller one"
        raise ValueError(msg)
    hu = ct.with_array(intensity.hounsfield(ct.array))
    warped, covered = psi.warp(hu, ct.lattice, fill=CT_AIR_HU)
    inside, _ = psi.warp(ct.with_array(lungs.astype(np.uint8)), ct.lattice, fill=0, mode="nearest")
    fixed_lungs = inside.array > 0
    growth = resample(Volume(jacobian_determinant(psi), psi.lattice.ijk_to_ras), ct.lattice).array
    fixed = np.where(fixed_lungs, (warped.array + 1000) * growth - 1000, warped.array)
    random = np.random.default_rng(breath.seed + 1)
    images = [
        ct.with_array(noisy(array, breath.noise_hu, random), f"{ct.name} {name}")
        for array, name in ((np.where(covered, fixed, CT_AIR_HU), "fixed"), (hu.array, "moving"))
    ]
    return KnownPair(*images, fixed_lungs, psi)


def noisy(hu: np.ndarray, noise_hu: float, random: np.random.Generator) -> np.ndarray:
    """Gaussian noise added, clamped at -1024, int16."""
    return np.clip(hu + random.normal(0, noise_hu, hu.shape), CT_AIR_HU, 3071).astype(np.int16)


def error_mm(phi: DisplacementField, pair: KnownPair) -> Distribution:
    """``|phi(x) - psi(x)|`` over the fixed image's lungs, in mm."""
    found = np.argwhere(pair.fixed_lungs)[:, ::-1]
    points = apply(pair.fixed.ijk_to_ras, found[:: max(1, len(found) // SCORED_POINTS)])
    return Distribution.of(np.linalg.norm(phi(points) - pair.psi(points), axis=1))


def main(arguments: list[str] | None = None) -> int:
    """Simulate, register with the defaults, and write the errors as JSON to standard output."""
    parser = argparse.ArgumentParser(prog="python -m training.known_motion", description=__doc__.split("\n\n")[0])
    parser.add_argument("--image", required=True, help="a chest CT, any format that the registration reads")
    parser.add_argument("--motion-mm", type=float, default=30.0, help="motion of the diaphragm (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="of the local motion and the noise (default: 0)")
    parser.add_argument("--refine", default="fast", help="off, fast or accurate (default: fast)")
    chosen = parser.parse_args(arguments)
    pair = simulate(read_volume(chosen.image), Breath(motion_mm=chosen.motion_mm, seed=chosen.seed))
    start = time.perf_counter()
    result = register(pair.fixed, pair.moving, Options(refine=chosen.refine))
    seconds = time.perf_counter() - start
    still = DisplacementField.from_matrix(np.eye(4), result.field.lattice)
    aligned = DisplacementField.from_matrix(result.alignment.matrix, result.field.lattice)
    errors = {"before": still, "aligned": aligned, "after": result.field}
    report = {
        "error_mm": {name: asdict(error_mm(phi, pair)) for name, phi in errors.items()},
        "folded_percent": folded_percent(result.field),
        "seconds": {**result.seconds, "total": seconds},
        "warnings": result.warnings,
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
