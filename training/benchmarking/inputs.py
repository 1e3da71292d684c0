"""Scans made ready for all methods alike, and the alignment of two of them, kept in files between processes."""

from __future__ import annotations

import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from LungDeepRegLib.alignment import align
from LungDeepRegLib.geometry import Lattice, index_box
from LungDeepRegLib.intensity import PAPER_WINDOW, Intensity, choose_intensity
from LungDeepRegLib.landmarks import Landmarks
from LungDeepRegLib.lung_mask import find_lungs
from LungDeepRegLib.preprocessing import prepare, working_spacing
from LungDeepRegLib.registration import Options
from LungDeepRegLib.resampling import resample
from LungDeepRegLib.results.pair import Pair
from LungDeepRegLib.volume import Volume

from ..cohorts.scan import LoadedScan, Scan
from ..kept_arrays import Arrays, kept_arrays, read_arrays
from ..placing import interpolated
from .cases import Case, Source
from .record import RecordError, file_name

PAPER, AS_IS = "paper", "as-is"
PROTOCOLS = (PAPER, AS_IS)
PAPER_STEP = 1.5
"""The paper scales by 2/3: a voxel of the result is so many of the image's along each axis."""
VERSION = 1
"""Raised whenever the same scan would be made ready in another way, so that no stale file is read."""


@dataclass(frozen=True, eq=False)
class ReadyScan:
    """A scan as it is registered and judged.

    Attributes:
        image: float32 in [0, 1300] and scaled (``paper``), or as stored (``as-is``).
        lungs: bool on the image's voxels, or None.
        observers: Landmarks in RAS mm: ``1`` and ``2`` of observers, ``truth`` where it is known; none without any.
        modality: ``paper``, or ``auto`` for ``as-is``.
    """

    image: Volume
    lungs: np.ndarray | None
    observers: dict[str, Landmarks] = field(default_factory=dict)
    modality: str = "auto"

    @property
    def intensity(self) -> Intensity:
        """How the image's values are read."""
        return choose_intensity(self.image, self.modality)


@dataclass(frozen=True)
class Aligned:
    """The alignment of two scans.

    Attributes:
        matrix: 4x4, fixed RAS mm to moving RAS mm.
        seconds: How long it took.
    """

    matrix: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Inputs:
    """Where what is made of scans is kept, and by which protocol.

    Attributes:
        folder: For the files.
        protocol: ``paper`` or ``as-is``.
    """

    folder: Path
    protocol: str

    def scan(self, source: Source) -> ReadyScan:
        """A scan, made ready by the protocol; in CT the lungs are found where there is no mask.

        Raises:
            CohortError: A file that can't be read or used, see :meth:`Scan.load`.
        """
        key = [VERSION, self.protocol, source.digest]
        return ready_of(kept_arrays(self.folder, scan_kind(source.name), key, lambda: self._made(source.scan)))

    def alignment(self, case: Case) -> Aligned:
        """The engine's affine alignment of a pair, by images and masks."""
        key = [VERSION, self.protocol, case.fixed.digest, case.moving.digest]
        kind = f"alignment_{file_name(case.fixed.name, case.moving.name)}"
        kept = kept_arrays(self.folder, kind, key, lambda: aligned(self.scan(case.fixed), self.scan(case.moving)))
        return Aligned(kept["matrix"], float(kept["seconds"]))

    def kept_pair(self, fixed: str, moving: str) -> Pair:
        """The images and lungs of a pair of scans that were made ready before, by their names.

        Raises:
            RecordError: They aren't there, or damaged.
        """
        return pair_of(self._kept(fixed), self._kept(moving))

    def _made(self, scan: Scan) -> Arrays:
        loaded = scan.load()
        return arrays_of(by_paper(loaded) if self.protocol == PAPER else as_it_is(loaded))

    def _kept(self, name: str) -> ReadyScan:
        found = sorted(self.folder.glob(f"{scan_kind(name)}_{'?' * 24}.npz"), key=lambda path: path.stat().st_mtime)
        if not found:
            msg = (
                f"{self.folder}: found no images of {name}, expected what the run kept; run it again without its folder"
            )
            raise RecordError(msg)
        try:
            return ready_of(read_arrays(found[-1]))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            msg = f"{found[-1]}: found a file that can't be read ({error}), expected a scan; remove it and run it again"
            raise RecordError(msg) from error


def scan_kind(name: str) -> str:
    """What the name of a ready scan's file begins with."""
    return f"scan_{file_name(name, 'ready')}"


def by_paper(loaded: LoadedScan) -> ReadyScan:
    """Clipped to [0, 1300] and scaled by 2/3 along each axis with cubic splines; the mask by nearest neighbour."""
    image = loaded.image
    low, high = PAPER_WINDOW
    lattice = scaled_lattice(image.lattice)
    small = interpolated(image.with_array(choose_intensity(image, PAPER).normalised(image.array)), lattice)
    lungs = None if loaded.lungs is None else resample(image.with_array(loaded.lungs), lattice, mode="nearest").array
    values = np.float32(low) + small.array * np.float32(high - low)
    return ReadyScan(small.with_array(values, image.name), lungs, observers_of(loaded), PAPER)


def scaled_lattice(lattice: Lattice) -> Lattice:
    """The same field of view in 2/3 as many voxels along each axis: 64 x 192 x 192 from 96 x 288 x 288."""
    count = np.maximum(np.rint(np.array(lattice.shape[::-1]) / PAPER_STEP), 2)
    return index_box(lattice, np.zeros(3), count, PAPER_STEP)  # type: ignore[arg-type]


def as_it_is(loaded: LoadedScan) -> ReadyScan:
    """Voxels as stored; lungs found automatically in CT without a mask."""
    lungs = find_lungs(loaded.image, choose_intensity(loaded.image)) if loaded.lungs is None else loaded.lungs
    return ReadyScan(loaded.image, lungs, observers_of(loaded))


def observers_of(loaded: LoadedScan) -> dict[str, Landmarks]:
    """All landmarks of a scan by who placed them."""
    named = {"1": loaded.landmarks, "2": loaded.second_landmarks, "truth": loaded.true_landmarks}
    return {name: landmarks for name, landmarks in named.items() if landmarks is not None}


def aligned(fixed: ReadyScan, moving: ReadyScan) -> Arrays:
    """The affine alignment as the engine's ``register`` computes it, with the time it takes."""
    started = time.perf_counter()
    spacing = working_spacing(fixed.image, fixed.lungs, Options().voxel_budget)
    ready = [prepare(scan.image, scan.intensity, scan.lungs, spacing) for scan in (fixed, moving)]
    found = align(ready[0], ready[1], Options().alignment)
    return {"matrix": found.matrix, "seconds": np.array(time.perf_counter() - started)}


def pair_of(fixed: ReadyScan, moving: ReadyScan) -> Pair:
    """Two scans as the engine judges them; without landmarks, of which there may be several sets."""
    return Pair(fixed.image, moving.image, fixed.intensity, moving.intensity, fixed.lungs, moving.lungs)


def arrays_of(ready: ReadyScan) -> Arrays:
    """A ready scan taken apart."""
    arrays: Arrays = {
        "image": ready.image.array,
        "ijk_to_ras": ready.image.ijk_to_ras,
        "name": np.array(ready.image.name),
        "modality": np.array(ready.modality),
        "observers": np.array(list(ready.observers), dtype=str),
    }
    if ready.lungs is not None:
        arrays["lungs"] = ready.lungs
    for name, landmarks in ready.observers.items():
        arrays |= {f"points_{name}": landmarks.points_ras, f"labels_{name}": np.array(landmarks.labels)}
    return arrays


def ready_of(arrays: Arrays) -> ReadyScan:
    """The scan that :func:`arrays_of` took apart."""
    name = str(arrays["name"])
    observers = {
        str(who): Landmarks(arrays[f"points_{who}"], tuple(str(label) for label in arrays[f"labels_{who}"]), name)
        for who in arrays["observers"]
    }
    image = Volume(arrays["image"], arrays["ijk_to_ras"], name)
    return ReadyScan(image, arrays.get("lungs"), observers, str(arrays["modality"]))
