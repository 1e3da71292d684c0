"""Interest points find a motion that is known, whatever the contrast, and find nothing where nothing is the same."""

import numpy as np
import pytest
from LungDeepRegLib.intensity import Intensity
from LungDeepRegLib.results.pair import Pair
from LungDeepRegLib.volume import Volume
from scipy import ndimage
from scipy.spatial.transform import Rotation

from training.performance import interest_points
from training.performance.interest_points import Described, PointsError, directions, point_pairs, sphere

SHAPE = (48, 52, 50)
READING = Intensity("mri", 0.0, 1.0, 0.0, "made up")
MOTION_MM = np.array([4.0, -3.0, 2.5])


@pytest.fixture(autouse=True)
def nearer(monkeypatch):
    """A short search, so that it is quick."""
    monkeypatch.setattr(interest_points, "REACH_MM", 9.0)
    monkeypatch.setattr(interest_points, "MOST_POINTS", 60)


def texture(seed):
    """Blobs of 3 mm in [0, 1]."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(SHAPE), 2.0)
    return np.clip(0.5 + 0.2 * noise / noise.std(), 0, 1).astype(np.float32)


def image(array, offset=(0.0, 0.0, 0.0)):
    """Oblique, left-handed and anisotropic."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", 10, degrees=True).as_matrix() * (-1.5, 1.5, 1.7)
    matrix[:3, 3] = np.array([20.0, -40.0, 100.0]) + offset
    return Volume(array, matrix)


def pair_of(fixed, moving):
    lungs = np.zeros(SHAPE, bool)
    lungs[8:-8, 8:-8, 8:-8] = True
    return Pair(fixed, moving, READING, READING, lungs, None)


def test_a_shift_is_found_around_the_alignment_also_in_another_contrast():
    """phi(x) = x + motion, of which the alignment knows a part, and turns the image besides."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("y", 40, degrees=True).as_matrix()
    moving = image(1 - 0.5 * np.sqrt(1 - texture(1)), MOTION_MM)
    moving = Volume(moving.array, turn @ moving.ijk_to_ras)
    known = turn.copy()
    known[:3, 3] = turn[:3, :3] @ np.array([2.0, 0.0, 0.0])
    found = point_pairs(pair_of(image(texture(1)), moving), known)
    assert len(found.fixed) > 0.8 * found.found > 30
    errors = np.linalg.norm((found.fixed + MOTION_MM) @ turn[:3, :3].T - found.moving, axis=1)
    assert np.median(errors) < 0.2
    assert errors.max() < 1


def test_where_nothing_is_the_same_nothing_is_matched():
    found = point_pairs(pair_of(image(texture(1)), image(texture(2))), np.eye(4))
    assert len(found.fixed) < 0.1 * found.found


def test_points_lie_well_inside_the_lungs_and_apart():
    pair = pair_of(image(texture(1)), image(texture(1)))
    found = point_pairs(pair, np.eye(4))
    ijk = (found.fixed - pair.fixed.ijk_to_ras[:3, 3]) @ np.linalg.inv(pair.fixed.ijk_to_ras[:3, :3]).T
    assert (ijk > 7.5 + 3.0 / 1.7).all()
    assert (ijk < np.array(SHAPE[::-1]) - 8.5 - 3.0 / 1.7).all()
    apart = np.linalg.norm(found.fixed[:, None] - found.fixed, axis=-1)
    assert apart[~np.eye(len(apart), dtype=bool)].min() >= 4.5


def test_where_the_image_ends_nothing_is_described():
    shown = np.ones(SHAPE, bool)
    shown[:, :, 30:] = False
    size = Described.of(texture(3), shown).size
    assert (size[7:-7, 7:-7, 7:24] > 0).all()
    assert (size[:, :, 24:] == 0).all()
    assert (size[:6] == 0).all()


def test_likeness_is_the_correlation_of_descriptors_also_at_the_border():
    described = Described.of(texture(3), np.ones(SHAPE, bool))
    centre = np.array([11, 11, 36])
    likeness = described.likeness(described.descriptor(np.array([20, 25, 30])), centre, 5)
    for voxel in (centre, centre + np.array([3, -2, 2]), centre + np.array([-4, 0, 1])):
        wanted = np.sum(described.descriptor(np.array([20, 25, 30])) * described.descriptor(voxel))
        assert likeness[tuple(voxel - centre + 5)] == pytest.approx(wanted, abs=1e-4)
    assert (likeness[~sphere(5)] == -1).all()
    beyond = described.likeness(described.descriptor(centre), np.array([11, 11, 41]), 5)
    assert (beyond[:, :, 8:] == -1).all()


def test_directions_are_evenly_spread():
    found = directions()
    assert np.linalg.norm(found, axis=1) == pytest.approx(1)
    cosines = np.sort(found @ found.T, axis=1)
    assert cosines[:, -2] == pytest.approx(1 / np.sqrt(5))
    assert cosines[:, 0] == pytest.approx(-1)


def test_without_lungs_nothing_is_looked_for():
    pair = Pair(image(texture(1)), image(texture(1)), READING, READING)
    with pytest.raises(PointsError, match="no lungs, expected"):
        point_pairs(pair, np.eye(4))
