"""What synthetic pairs show: chests at a coarse spacing, random phantoms and real CT, kept in a cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from LungDeepRegLib import Volume, read_volume
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.intensity import choose_intensity
from LungDeepRegLib.lung_mask import find_lungs
from LungDeepRegLib.phantom import chest_lattice
from LungDeepRegLib.phantom.breathing import sample_breathing
from LungDeepRegLib.phantom.contrast import CT_HU, MRI_SIGNAL
from LungDeepRegLib.phantom.pair import sample_chest
from LungDeepRegLib.phantom.render import render
from LungDeepRegLib.preprocessing import prepare
from LungDeepRegLib.volume import check_image

from ..kept_arrays import Arrays, file_state, kept_arrays
from .settings import SynthesisError

SPACING_MM = 3.0
VERSION = 2
"""Raised whenever the same names would make other images, so that no stale cache is read."""
CONTRASTS = ("ct", "mri", "random")


class AnatomyError(SynthesisError):
    """An image that can't be read or shows no lungs, to synthesise pairs from. The message names the file."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """One chest.

    Attributes:
        image: In [0, 1], float16 ``(K, J, I)``; lung is dark, vessels are brighter.
        lungs: How much of each voxel is lung, float16 in [0, 1].
        lattice: Where the voxels are, in mm; axes along R, A and S.
    """

    image: np.ndarray
    lungs: np.ndarray
    lattice: Lattice


def phantom_anatomy(seed: int) -> Anatomy:
    """A random chest in a random state of breathing, as CT, as MRI, or with a random value for every tissue.

    Args:
        seed: Chooses the chest; its remainder by 3 chooses between the three looks.
    """
    random = np.random.default_rng([seed, 77])
    contrast = CONTRASTS[seed % len(CONTRASTS)]
    chest = sample_chest(seed)
    breathing = sample_breathing(random, float(random.uniform(0, 30)), chest.scale)
    lattice = chest_lattice(SPACING_MM)
    image, lungs = np.empty(lattice.shape, np.float32), np.empty(lattice.shape, np.float16)
    for planes, _, values, labels in render(chest, lattice, random_look(contrast, random), breathing):
        image[planes], lungs[planes] = values, labels > 0
    volume = Volume(image, lattice.ijk_to_ras, f"phantom {seed}")
    reading = choose_intensity(volume, "ct" if contrast == "ct" else "mri")
    return Anatomy(reading.normalised(image).astype(np.float16), lungs, lattice)


def random_look(contrast: str, random: np.random.Generator) -> dict[str, float]:
    """The value of each tissue: varied CT or MRI, or any at all but for a dark lung with brighter vessels.

    Args:
        contrast: One of :data:`CONTRASTS`.
        random: Where the randomness comes from.

    Returns:
        Tissue to HU (``ct``), to the phantom's MRI signal (``mri``), or to numbers up to 1 (``random``).
    """
    if contrast == "random":
        look = {tissue: float(random.uniform(0.15, 1.0)) for tissue in CT_HU}
        dark = {tissue: float(random.uniform(0.0, 0.1)) for tissue in ("air", "airway", "gas", "table")}
        lung = float(random.uniform(0.02, 0.3))
        vessel = lung + float(random.uniform(0.2, 0.7))
        return {**look, **dark, "lung": lung, "vessel": vessel}
    look, size = (CT_HU, 25.0) if contrast == "ct" else (MRI_SIGNAL, 60.0)
    varied = {tissue: value + float(random.normal(0, size)) for tissue, value in look.items()}
    return varied if contrast == "ct" else {tissue: max(value, 0.0) for tissue, value in varied.items()}


def ct_anatomy(path: Path) -> Anatomy:
    """A real chest CT at about :data:`SPACING_MM`.

    Raises:
        AnatomyError: A file that can't be read or used, or in which no lung is found.
    """
    try:
        volume = read_volume(path)
        check_image(volume)
    except (ValueError, OSError) as error:
        msg = f"{path}: found no image to synthesise pairs from, expected a chest CT ({error})"
        raise AnatomyError(msg) from error
    reading = choose_intensity(volume)
    lungs = find_lungs(volume, reading)
    if lungs is None:
        msg = f"{path}: found no lung, expected a chest CT"
        raise AnatomyError(msg)
    ready = prepare(volume, reading, lungs, SPACING_MM)
    assert ready.lungs is not None
    # Upright, whatever the scan's obliquity: only the map between two pictures of it counts.
    lattice = Lattice(ready.image.array.shape, np.diag([*ready.image.lattice.spacing_mm, 1.0]))
    return Anatomy(ready.image.array.astype(np.float16), ready.lungs.array.astype(np.float16), lattice)


class Chest:
    """An anatomy that is made when first asked for, and kept in a file for later runs.

    A broken file is made anew, with a warning, see :func:`kept_arrays`.

    Args:
        key: What tells this anatomy from others, as JSON has it.
        make: Makes it; can be pickled.
        folder: Where the file is; without one nothing is kept.
    """

    def __init__(self, key: dict[str, object], make: Callable[[], Anatomy], folder: Path | None) -> None:
        self.key, self.make, self.folder = key, make, folder
        self.anatomy: Anatomy | None = None

    @classmethod
    def of_phantom(cls, seed: int, folder: Path | None) -> Chest:
        """The random chest of this seed."""
        return cls({"phantom": seed}, partial(phantom_anatomy, seed), folder)

    @classmethod
    def of_ct(cls, path: Path, folder: Path | None) -> Chest:
        """The chest of a CT; another file of the same name is another chest."""
        return cls({"ct": file_state(path)}, partial(ct_anatomy, path), folder)

    def __call__(self) -> Anatomy:
        """The anatomy."""
        if self.anatomy is None:
            self.anatomy = self.make() if self.folder is None else self._kept(self.folder)
        return self.anatomy

    def _kept(self, folder: Path) -> Anatomy:
        key = {**self.key, "version": VERSION}
        stored = kept_arrays(folder, "anatomy", key, lambda: arrays_of(self.make()))
        return Anatomy(stored["image"], stored["lungs"], Lattice(stored["image"].shape, stored["ijk_to_ras"]))


def arrays_of(anatomy: Anatomy) -> Arrays:
    """An anatomy as arrays."""
    return {"image": anatomy.image, "lungs": anatomy.lungs, "ijk_to_ras": anatomy.lattice.ijk_to_ras}
