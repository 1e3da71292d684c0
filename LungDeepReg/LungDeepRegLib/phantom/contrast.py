"""How tissue looks: values for CT and for MRI, texture, coil shading and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..displacement_field import lattice_points
from ..geometry import Lattice
from ..warp import warp

CT_HU: dict[str, float] = {
    "air": -1000, "skin": 10, "fat": -102, "muscle": 52, "bone": 640, "marrow": 190, "cartilage": 105, "disc": 85,
    "cord": 30, "lung": -868, "vessel": 45, "airway_wall": 10, "airway": -985, "fissure": 0, "blood": 42,
    "myocardium": 48, "diaphragm": 45, "liver": 62, "spleen": 50, "stomach": 25, "gas": -960,
    "mediastinum": -78, "table": -250,
}  # fmt: skip
MRI_SIGNAL: dict[str, float] = {
    "air": 0, "skin": 420, "fat": 980, "muscle": 330, "bone": 60, "marrow": 560, "cartilage": 380, "disc": 300,
    "cord": 420, "lung": 62, "vessel": 560, "airway_wall": 250, "airway": 8, "fissure": 260, "blood": 610,
    "myocardium": 430, "diaphragm": 330, "liver": 520, "spleen": 400, "stomach": 260, "gas": 0,
    "mediastinum": 790, "table": 0,
}  # fmt: skip
TEXTURE_BOX_MM = 480.0


@dataclass(frozen=True, eq=False)
class Texture:
    """Smooth random variation of tissue, fixed to the tissue, with mean 0 and about unit standard deviation.

    Attributes:
        octaves: Cubes of random numbers, coarse to fine, each spread over the same box of tissue.
        weights: How much each counts.
    """

    octaves: tuple[np.ndarray, ...]
    weights: tuple[float, ...]

    def __call__(self, p: np.ndarray) -> np.ndarray:
        """The variation ``(N,)`` at points ``(N, 3)`` in the anatomy's frame."""
        grid = torch.from_numpy(np.ascontiguousarray(p / np.float32(TEXTURE_BOX_MM / 2), dtype=np.float32))
        grid = grid.reshape(1, 1, 1, -1, 3)
        total = np.zeros(len(p), dtype=np.float32)
        for cube, weight in zip(self.octaves, self.weights, strict=True):
            total += weight * warp(torch.from_numpy(cube)[None, None], grid)[0, 0, 0, 0].numpy()
        return total


def sample_texture(rng: np.random.Generator) -> Texture:
    """Texture drawn from the generator: grains of about 25, 9 and 4 mm."""
    sizes = [int(TEXTURE_BOX_MM / grain) for grain in (25, 9, 4)]
    cubes = tuple(rng.standard_normal((n, n, n), dtype=np.float32) for n in sizes)
    return Texture(cubes, (0.7, 0.8, 0.8))


@dataclass(frozen=True)
class CoilShading:
    """How much stronger the receiving coils make the signal, from place to place.

    Coils lie on the chest and under the back, so the signal falls towards the middle. The shading belongs to the
    scanner: it doesn't move with the tissue.

    Attributes:
        front: How much the coil on the chest adds beneath it.
        back: Likewise the one under the back.
        sideways: How much stronger it is 170 mm to the right.
        upward: How much stronger it is 150 mm higher up.
    """

    front: float
    back: float
    sideways: float
    upward: float

    def __call__(self, lattice: Lattice) -> np.ndarray:
        """The factor at each voxel, ``(K, J, I)`` float32, about 0.7 to 1.3."""
        x, y, z = lattice_points(lattice).astype(np.float32).T
        coils = self.front * np.exp((np.minimum(y, 130) - 110) / 60)
        coils += self.back * np.exp((-np.maximum(y, -150) - 130) / 60)
        return (0.8 + coils + self.sideways * x / 170 + self.upward * z / 150).reshape(lattice.shape)


def sample_shading(rng: np.random.Generator) -> CoilShading:
    """Shading drawn for one image."""
    values = rng.uniform((0.25, 0.25, -0.08, -0.08), (0.45, 0.45, 0.08, 0.08))
    return CoilShading(*(float(value) for value in values))


def with_ct_noise(values: np.ndarray, noise_hu: float, rng: np.random.Generator) -> np.ndarray:
    """The image with Gaussian noise of a standard deviation in HU, as int16 from -1024 up."""
    noisy = values + np.float32(noise_hu) * rng.standard_normal(values.shape, dtype=np.float32)
    return np.clip(np.rint(noisy), -1024, 3071).astype(np.int16)


def with_mri_noise(values: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """The magnitude of the image with Gaussian noise in both channels (Rician noise), float32."""
    real, imaginary = np.float32(noise) * rng.standard_normal((2, *values.shape), dtype=np.float32)
    return np.hypot(values + real, imaginary)
