"""What a scanner does to an MRI: receiving coils, frequencies that aren't measured, the heart's copies, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from LungDeepRegLib.geometry import Lattice, canonical_order

REACH_MM = 130.0
GHOSTS_APART = 0.21  # of the field of view


@dataclass(frozen=True, eq=False)
class Coils:
    """Receiving coils on the chest and under the back, joined by the root of the sum of squares.

    They belong to the scanner: their shading doesn't move with the tissue. Each image has its own.

    Attributes:
        places: ``(C, 3)`` RAS mm.
        strength: ``(C,)``.
    """

    places: np.ndarray
    strength: np.ndarray

    @classmethod
    def around(cls, middle_ras: np.ndarray, rng: np.random.Generator) -> Coils:
        """Six coils in front of a chest and six behind, no two quite alike.

        Args:
            middle_ras: The middle of the chest.
            rng: Of where they lie and how strong they are.
        """
        grid = [(x, y, z) for y in (135.0, -145.0) for x in (-115.0, 0.0, 115.0) for z in (-95.0, 85.0)]
        places = np.asarray(middle_ras) + np.array(grid) + rng.normal(0, 14, (len(grid), 3))
        return cls(places.astype(np.float32), rng.normal(1, 0.12, len(grid)).astype(np.float32))

    def __call__(self, points_ras: np.ndarray) -> np.ndarray:
        """The factor ``(N,)`` float32 at points ``(N, 3)``, about 1 under the skin and less in the middle."""
        total = np.full(len(points_ras), 0.02, np.float32)
        x, y, z = np.ascontiguousarray(points_ras.T) / np.float32(REACH_MM)
        for (a, b, c), strength in zip(self.places / np.float32(REACH_MM), self.strength, strict=True):
            squared = np.square(x - a) + np.square(y - b) + np.square(z - c)
            total += np.square(strength / (np.float32(0.35) + squared))
        return np.sqrt(total) / np.float32(2.0)


def acquired(
    image: np.ndarray,
    pulsing: np.ndarray,
    lattice: Lattice,
    noise: float,
    coverage: float,
    ghosting: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The image as it is measured and reconstructed: a magnitude, ``(K, J, I)`` float32.

    Args:
        image: The signal, ``(K, J, I)``.
        pulsing: The part of it that moves with the heart's beat.
        lattice: Where the voxels are; phase is encoded from left to right.
        noise: Standard deviation in each channel.
        coverage: Share of the frequencies along each axis that are measured; the others are taken as 0.
        ghosting: How strong the heart's copies to both sides are.
        rng: Of the noise.
    """
    from scipy import fft

    axis = 2 - canonical_order(lattice.ijk_to_ras)[0][0]
    shift = round(GHOSTS_APART * image.shape[axis])
    copies = np.roll(pulsing, shift, axis) + np.roll(pulsing, -shift, axis)
    signal = np.empty(image.shape, np.complex64)
    signal.real = image + np.float32(ghosting) * copies
    signal.imag = 0
    signal.real += np.float32(noise) * rng.standard_normal(image.shape, dtype=np.float32)
    signal.imag += np.float32(noise) * rng.standard_normal(image.shape, dtype=np.float32)
    spectrum = fft.fftn(signal, overwrite_x=True)
    for direction, count in enumerate(image.shape):
        shape = [1, 1, 1]
        shape[direction] = count
        spectrum *= _window(count, coverage).reshape(shape)
    return np.abs(fft.ifftn(spectrum, overwrite_x=True))


def _window(count: int, coverage: float) -> np.ndarray:
    """1 for the measured frequencies of an axis, falling smoothly to 0 at the edge of what is measured."""
    share = np.abs(np.fft.fftfreq(count)) / (0.5 * coverage)
    return np.where(share < 1, np.cos(np.pi / 2 * np.clip((share - 0.7) / 0.3, 0, 1)) ** 2, 0).astype(np.float32)
