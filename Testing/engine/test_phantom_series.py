"""A breath of the synthetic chest in phases: its motion is known at every point of time."""

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import lattice_points
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.phantom import PhantomConfig, PhantomError, PhantomSeries, chest_lattice, make_pair

LATTICE = chest_lattice(12.0)
CONFIG = PhantomConfig(seed=3, motion_mm=25.0, landmarks=12)


@pytest.fixture(scope="module")
def series():
    return PhantomSeries(CONFIG, 10, LATTICE)


def lung_volume(series, phase):
    return int((series.image(phase)[1].array > 0).sum()) * LATTICE.voxel_volume_mm3


def test_it_breathes_in_and_out_again(series):
    assert [series.percent(phase) for phase in (0, 1, 9)] == [0, 10, 90]
    depths = [series.depth(phase) for phase in range(10)]
    assert (depths[0], depths[5]) == (0, 1)
    assert depths[:6] == sorted(depths[:6])
    np.testing.assert_allclose(depths[1:5], depths[:5:-1])
    volumes = [lung_volume(series, phase) for phase in (0, 2, 5)]
    assert volumes == sorted(volumes)
    assert volumes[2] > 1.05 * volumes[0]


def test_its_ends_are_the_pair(series):
    pair = make_pair(CONFIG, LATTICE, LATTICE)
    np.testing.assert_allclose(series.landmarks(0).points_ras, pair.fixed_landmarks.points_ras, atol=1e-8)
    np.testing.assert_allclose(series.landmarks(5).points_ras, pair.moving_landmarks.points_ras, atol=1e-8)
    for phase, mask, image in ((0, pair.fixed_mask, pair.fixed), (5, pair.moving_mask, pair.moving)):
        found, labels = series.image(phase)
        np.testing.assert_array_equal(labels.array, mask.array)
        difference = found.array.astype(float) - image.array  # noise of two images
        assert np.abs(difference).mean() < 1.3 * CONFIG.noise
        assert difference.std() > CONFIG.noise


def test_landmarks_move_by_the_map_between_phases(series):
    for reference, phase in ((0, 3), (4, 8), (7, 0)):
        moved = series.phi(reference, phase, series.landmarks(reference).points_ras)
        np.testing.assert_allclose(moved, series.landmarks(phase).points_ras, atol=1e-8)
    points = series.landmarks(2).points_ras
    np.testing.assert_allclose(series.phi(2, 2, points), points, atol=1e-8)
    there_and_back = series.phi(5, 1, series.phi(1, 5, points))
    np.testing.assert_allclose(there_and_back, points, atol=1e-8)


def test_tissue_moves_further_the_deeper_the_breath(series):
    start = series.landmarks(0).points_ras
    ways = [np.linalg.norm(series.landmarks(phase).points_ras - start, axis=1).max() for phase in range(6)]
    assert ways == sorted(ways)
    assert 15 < ways[5] < CONFIG.motion_mm


def test_the_picture_shows_what_the_map_says(series):
    """Whatever is lung when inhaled was lung when exhaled, where the map says."""
    inhaled, exhaled = series.image(5)[1], series.image(0)[1]
    lung = lattice_points(LATTICE)[inhaled.array.ravel() > 0]

    def share(points):
        i, j, k = np.rint(apply(LATTICE.ras_to_ijk, points)).astype(int).T
        return (exhaled.array[k, j, i] > 0).mean()

    mapped, unmoved = share(series.phi(5, 0, lung)), share(lung)
    assert mapped > 0.95  # all but voxels at the border
    assert 1 - unmoved > 3 * (1 - mapped)


def test_each_phase_has_noise_of_its_own_and_is_the_same_each_time(series):
    first, again = series.image(1)[0].array, series.image(1)[0].array
    np.testing.assert_array_equal(first, again)
    mirrored = series.image(9)[0].array  # as deep as phase 1
    assert (first != mirrored).mean() > 0.9


def test_a_phase_may_lie_on_another_lattice(series):
    image, labels = series.image(2, chest_lattice(15.0, (4, -3, 2)))
    assert image.lattice == labels.lattice == chest_lattice(15.0, (4, -3, 2))


def test_phases_that_do_not_exist_are_refused(series):
    with pytest.raises(PhantomError, match="found the phase 10, expected one of 0 to 9"):
        series.image(10)
    with pytest.raises(PhantomError, match="found 1 phases, expected 2 or more"):
        PhantomSeries(CONFIG, 1)
