"""How far candidates for landmarks lie from the phantom's true branchings, how long they take, and how they look.

Run by hand:

    PYTHONPATH=LungDeepReg:. OMP_NUM_THREADS=1 python Testing/benchmarks/landmark_candidates.py --out pictures
    ... landmark_candidates.py --image ct.mha --mask lungs.mha --out pictures
"""

import argparse
import resource
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.image_io import read_mask, read_volume
from LungDeepRegLib.intensity import choose_intensity
from LungDeepRegLib.landmark_review.candidates import candidates
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.volume import Volume
from scipy import ndimage
from scipy.spatial import cKDTree

from Testing.true_branchings import true_branchings

CASES = (("ct", 1.0, 0), ("ct", (0.9, 0.9, 1.5), 1), ("ct", 2.5, 2), ("mri", 1.5, 3))
LARGE = (300, 512, 512)
SHOWN, HALF_MM, STEP_MM, SLAB_MM = 12, 20.0, 0.5, 3.0


def patch(volume: Volume, point: np.ndarray, axis: int) -> np.ndarray:
    """The brightest of a slab around a point, seen along R, A or S: rows downwards along the last of the others."""
    across, along = [n for n in range(3) if n != axis]
    u = np.arange(-HALF_MM, HALF_MM + STEP_MM, STEP_MM)
    depth = np.arange(-SLAB_MM, SLAB_MM + STEP_MM, STEP_MM)
    places = np.zeros((len(depth), len(u), len(u), 3)) + point
    places[..., axis] += depth[:, None, None]
    places[..., across] += u
    places[..., along] -= u[:, None]
    ijk = apply(volume.lattice.ras_to_ijk, places.reshape(-1, 3))
    values = ndimage.map_coordinates(volume.array, ijk[:, ::-1].T, order=1, output=np.float32, mode="nearest")
    return values.reshape(places.shape[:3]).max(axis=0)


def picture(path: Path, volume: Volume, points: np.ndarray, truth: np.ndarray | None) -> None:
    """The first candidates (cross) in three thin slabs each, with the true branchings (circles) nearby."""
    shown = points[:SHOWN]
    intensity = choose_intensity(volume)
    figure, axes = plt.subplots(6, SHOWN // 2, figsize=(2 * SHOWN // 2, 12.4), layout="constrained")
    for number, point in enumerate(shown):
        for axis in range(3):
            place = axes[3 * (number // (SHOWN // 2)) + axis, number % (SHOWN // 2)]
            image = intensity.normalised(patch(volume, point, axis))
            extent = (-HALF_MM, HALF_MM, -HALF_MM, HALF_MM)
            place.imshow(image, cmap="gray", extent=extent, vmin=0, vmax=0.9)
            place.plot([-6, -2], [0, 0], "y", [2, 6], [0, 0], "y", [0, 0], [-6, -2], "y", [0, 0], [2, 6], "y", lw=0.8)
            if truth is not None:
                near = truth[np.abs(truth[:, axis] - point[axis]) < SLAB_MM] - point
                near = np.delete(near, axis, axis=1)
                near = near[np.abs(near).max(axis=1) < HALF_MM]
                place.plot(near[:, 0], near[:, 1], "o", mec="c", mfc="none", ms=6, lw=0.5)
            place.set_axis_off()
        axes[3 * (number // (SHOWN // 2)), number % (SHOWN // 2)].set_title(f"C-{number + 1}: R, A, S views", size=7)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def timed(volume: Volume, mask: np.ndarray | None, count: int) -> tuple[np.ndarray, float]:
    """Points and seconds."""
    started = time.perf_counter()
    found = candidates(volume, mask, count)
    return found.landmarks.points_ras, time.perf_counter() - started


def phantoms(out: Path) -> None:
    print("image, candidates: distance to truth median, 95 %, max; within 3 mm; gap; chance (bright voxels); seconds")
    for contrast, spacing, seed in CASES:
        config = PhantomConfig(seed=seed, contrast=contrast)
        pair = make_pair(config, chest_lattice(spacing), chest_lattice(20.0))
        truth = true_branchings(seed, pair.phi)
        tree, mask = cKDTree(truth), pair.fixed_mask.array > 0
        vessels = np.argwhere(mask & (pair.fixed.array > np.percentile(pair.fixed.array[mask], 97)))
        some = vessels[np.random.default_rng(0).integers(len(vessels), size=2000), ::-1]
        chance = tree.query(apply(pair.fixed.ijk_to_ras, some.astype(float)))[0]
        for count in (11, 40, 100):
            points, seconds = timed(pair.fixed, mask, count)
            distance = tree.query(points)[0]
            gap = cKDTree(points).query(points, 2)[0][:, 1]
            print(
                f"{contrast} {spacing} mm, {len(points)}: {np.median(distance):.2f}, {np.percentile(distance, 95):.2f},"
                f" {distance.max():.2f} mm; {(distance < 3).mean():.0%}; {np.median(gap):.0f} mm;"
                f" {np.median(chance):.1f} mm, {(chance < 3).mean():.0%}; {seconds:.1f} s"
            )
        picture(out / f"candidates_{contrast}_{seed}.png", pair.fixed, points, truth)


def large() -> None:
    """The size alone: a phantom brought to 512 x 512 x 300 voxels."""
    pair = make_pair(PhantomConfig(), chest_lattice(2.0), chest_lattice(20.0))
    factors = np.array(LARGE) / pair.fixed.array.shape
    matrix = pair.fixed.ijk_to_ras @ np.diag([*(1 / factors[::-1]), 1])
    image = Volume(ndimage.zoom(pair.fixed.array, factors, order=1), matrix, "large")
    mask = ndimage.zoom(pair.fixed_mask.array, factors, order=0) > 0
    for which, lungs in (("given", mask), ("found", None)):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        points, seconds = timed(image, lungs, 40)
        more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(f"512 x 512 x 300, mask {which}: {len(points)} in {seconds:.1f} s, peak memory +{more / 1024:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--mask", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.image is None:
        large()
        phantoms(args.out)
        return
    volume = read_volume(args.image)
    points, seconds = timed(volume, read_mask(args.mask, volume) if args.mask else None, 40)
    print(f"{args.image.name}: {len(points)} in {seconds:.1f} s")
    picture(args.out / f"candidates_{args.image.stem}.png", volume, points, None)


if __name__ == "__main__":
    main()
