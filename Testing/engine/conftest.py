"""Pairs that several files test with: made once."""

from types import SimpleNamespace

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice, covering_lattice
from LungDeepRegLib.intensity import Intensity
from LungDeepRegLib.landmarks import Landmarks
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.results.pair import Pair
from LungDeepRegLib.volume import Volume
from scipy import ndimage
from scipy.spatial.transform import Rotation

CT = Intensity("ct", -1000.0, 300.0, -1024.0, "as the test says")
GEOMETRIES = {
    "axial": np.eye(3),
    "oblique": Rotation.from_euler("xyz", [15, -20, 10], degrees=True).as_matrix(),
    "left_handed": Rotation.from_euler("xyz", [5, 15, -10], degrees=True).as_matrix() * [-1, 1, 1],
    "coronal": np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}


def lattice(name, shape, spacing, centre):
    """An anisotropic lattice around a point in RAS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = GEOMETRIES[name] * spacing
    matrix[:3, 3] = np.array(centre) - matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return Lattice(shape, matrix)


def blobs(where, seed):
    """Smooth random HU, int16, and a mask of about half of it in the middle."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=where.shape), 1.5)
    array = (-400 + 500 * noise / noise.std()).astype(np.int16)
    at = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in where.shape), indexing="ij"))
    return Volume(array, where.ijk_to_ras, f"blobs {seed}"), (at**2).sum(axis=0) < 0.7


def true_displacement(x):
    """Smooth and without symmetry, with an offset of 40 mm to A, as from another table position."""
    return 3 * np.sin(x[:, [1, 2, 0]] / 18) + 2 * np.sin(x / 12) + x * [0.05, -0.03, 0.02] + [2, 40, -6]


def build(name):
    """A pair of small images of other geometries and fields of view, and a known map between them."""
    names = [*GEOMETRIES]
    other = names[names.index(name) - 1]
    fixed, fixed_mask = blobs(lattice(name, (20, 24, 28), (2.0, 2.5, 3.0), (0, 0, 5)), 1)
    moving, moving_mask = blobs(lattice(other, (26, 22, 24), (2.5, 2.2, 2.0), (4, 42, 0)), 2)
    phi = DisplacementField.from_displacement(true_displacement, covering_lattice(fixed.lattice, 4.0, 8.0))
    points = fixed.lattice.centre_ras + np.random.default_rng(3).uniform(-12, 12, (6, 3))
    labels = tuple("abcdef")
    pair = Pair(
        fixed, moving, CT, CT, fixed_mask, moving_mask, Landmarks(points, labels, "fixed points"),
        Landmarks(phi(points), labels, "moving points"),
    )  # fmt: skip
    warped, covered = phi.warp(moving, fixed.lattice, fill=CT.fill)
    return SimpleNamespace(pair=pair, phi=phi, truth=true_displacement, warped=warped, covered=covered)


@pytest.fixture(scope="session", params=[*GEOMETRIES])
def made(request):
    """Pairs of all geometries, one after the other."""
    return build(request.param)


@pytest.fixture(scope="session")
def oblique():
    """One of them, where one will do."""
    return build("oblique")


@pytest.fixture(scope="session")
def phantom():
    """A coarse phantom, the moving image with another field of view and thicker slices."""
    return make_pair(PhantomConfig(landmarks=10), chest_lattice(6.0), chest_lattice((6.0, 6.0, 7.0), (2, 4, -5.5)))
