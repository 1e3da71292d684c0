"""The files of a result: images, transforms, landmarks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..displacement_field import DisplacementField, lattice_points
from ..geometry import covering_lattice
from ..html_report import REPORT_FILES
from ..image_io import write_landmarks, write_transform, write_volume
from ..inversion import inverse_points, invert
from ..landmarks import Landmarks, shortened
from ..volume import Volume
from .images import by_world_identity, difference, jacobian_volume, stored, warped_mask
from .pair import Pair
from .staging import CASE_RECORD

FORMATS = ("nii.gz", "nrrd", "mha")
IMAGES = {
    "warped": "the moving image deformed onto the fixed one, in its own stored type; where it doesn't reach: -1024 HU"
    " for CT, otherwise its minimum",
    "warped_mask": "the moving image's lung mask deformed likewise (nearest neighbour), if there is one",
    "difference_before": "moving minus fixed image as both lie in world coordinates; 0 where the moving one doesn't"
    " reach",
    "difference_after": "warped minus fixed image, likewise; CT in HU clamped at -1024",
    "displacement": "phi(x) - x, in mm, on its own lattice, which encloses the fixed image",
    "jacobian": "determinant of phi's Jacobian on the fixed image's voxels: above 1 where volume grows from fixed to"
    " moving",
    "coverage": "1 where the moving image covers the fixed one, otherwise 0",
}
OTHERS = {
    "transform.h5": "phi as an ITK transform, for resampling the moving image onto the fixed one (SimpleITK, ANTs,"
    " elastix, 3D Slicer)",
    "inverse_transform.h5": "phi^-1 on a lattice that encloses the moving image, if asked for",
    "landmarks_warped.mrk.json": "the moving image's landmarks taken into the fixed image by phi^-1, if there are any",
    "report.png": "all of this at a glance",
    **REPORT_FILES,
    "summary.json": "all figures",
}
WRITERS = 2
"""Compressing takes longer than computing, and gains from a second core."""
UNREACHED_MM = 0.5


@dataclass(frozen=True, eq=False)
class Findings:
    """All that goes into the files of a result.

    Attributes:
        pair: The images with their masks and landmarks.
        phi: The transformation, fixed RAS mm to moving RAS mm.
        warped: The moving image on the fixed image's voxels.
        covered: Where it covers them, bool ``(K, J, I)``.
        alignment: The affine part that came first, 4x4, where there was one.
        inverse: phi^-1 and its residual in mm, where it was asked for.
        backward: The registration of the swapped pair, where it was asked for.
    """

    pair: Pair
    phi: DisplacementField
    warped: Volume
    covered: np.ndarray
    alignment: np.ndarray | None = None
    inverse: tuple[DisplacementField, np.ndarray] | None = None
    backward: DisplacementField | None = None


def is_ours(name: str) -> bool:
    """Whether a file name is one that a result can have."""
    return name in (*OTHERS, CASE_RECORD) or any(name == f"{image}.{kind}" for image in IMAGES for kind in FORMATS)


def inverse_of(pair: Pair, phi: DisplacementField) -> tuple[DisplacementField, np.ndarray]:
    """phi^-1 on a lattice that encloses the moving image, of the field's spacing, and its residual in mm."""
    spacing = float(phi.lattice.spacing_mm.min())
    return invert(phi, covering_lattice(pair.moving.lattice, spacing, spacing))


def warped_landmarks(phi: DisplacementField, moving: Landmarks) -> tuple[Landmarks, list[str]]:
    """The moving image's landmarks in the fixed image, by phi^-1 at each point, and what the user should know."""
    points, residual = inverse_points(phi, moving.points_ras)
    unreached = [label for label, left in zip(moving.labels, residual, strict=True) if left > UNREACHED_MM]
    notes = [f"{moving.name}: the transformation doesn't reach {shortened(unreached)}"] if unreached else []
    return Landmarks(points, moving.labels, f"{moving.name} warped"), notes


def remarks(pair: Pair, covered: np.ndarray) -> list[str]:
    """What should be known about the images of a result before they are read."""
    notes = []
    if not overlap_in_world(pair):
        notes.append(
            f"{pair.moving.name} and {pair.fixed.name} don't overlap in world coordinates: difference_before is 0"
            " everywhere"
        )
    if not covered.any():
        notes.append(f"{pair.moving.name} covers nothing of {pair.fixed.name}: warped holds the fill value only")
    if pair.modality is None:
        notes.append("the images are of different modalities: differences are of their windows, scaled to [0, 1]")
    return notes


def overlap_in_world(pair: Pair) -> bool:
    """Whether the moving image reaches into the fixed one without any registration."""
    lattice = pair.fixed.lattice
    spacing = max(float(lattice.spacing_mm.max()), 5.0)
    points = lattice_points(covering_lattice(lattice, spacing, 0.0))
    return bool((lattice.contains(points) & pair.moving.lattice.contains(points)).any())


def write_files(folder: Path, findings: Findings, kind: str = "nii.gz") -> None:
    """Write all images, transforms and landmarks of a result.

    Args:
        folder: Where to; it exists.
        findings: What to write.
        kind: Of the images, one of :data:`FORMATS`.

    Raises:
        FileError: A full disk or a place that isn't writable.
    """
    pair, phi, lattice = findings.pair, findings.phi, findings.pair.fixed.lattice
    warped, covered = stored(findings.warped, pair.moving.array.dtype), findings.covered

    def image(name: str, volume: Volume) -> None:
        write_volume(folder / f"{name}.{kind}", volume)

    def before() -> None:
        moving, reached = by_world_identity(pair)
        image("difference_before", difference(pair, stored(moving, pair.moving.array.dtype), reached))

    def mask() -> None:
        if pair.moving_mask is not None:
            lungs = warped_mask(phi, pair.moving_mask, pair.moving.lattice, lattice)
            image("warped_mask", pair.fixed.with_array(lungs))

    def landmarks() -> None:
        if pair.moving_landmarks is not None:
            points, _ = warped_landmarks(phi, pair.moving_landmarks)
            write_landmarks(folder / "landmarks_warped.mrk.json", points)

    def transforms() -> None:  # in one job, since HDF5 may not be used from two threads
        write_transform(folder / "transform.h5", phi)
        if findings.inverse is not None:
            write_transform(folder / "inverse_transform.h5", findings.inverse[0])

    run_all(
        [
            before,
            lambda: image("jacobian", jacobian_volume(phi, lattice)),
            lambda: image("warped", warped),
            lambda: image("difference_after", difference(pair, warped, covered)),
            lambda: write_transform(folder / f"displacement.{kind}", phi),
            lambda: image("coverage", pair.fixed.with_array(covered)),
            transforms,
            mask,
            landmarks,
        ]
    )


def run_all(jobs: Sequence[Callable[[], None]]) -> None:
    """Run jobs in a few threads; the first error (or Ctrl-C) stops those that haven't begun, and is raised."""
    with ThreadPoolExecutor(WRITERS) as pool:
        try:
            for job in [pool.submit(job) for job in jobs]:
                job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
