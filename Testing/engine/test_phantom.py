"""The synthetic chest: what its pair promises, and that it looks like one to a threshold."""

import numpy as np
import pytest
import torch
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice, apply
from LungDeepRegLib.phantom import BreathingError, PhantomConfig, PhantomError, chest_lattice, make_pair
from LungDeepRegLib.volume import Volume
from LungDeepRegLib.warp import warp
from scipy import ndimage

COARSE = chest_lattice(5.0)
QUIET = {"noise": 0.0, "motion_mm": 30.0}


@pytest.fixture(scope="module")
def ct():
    return make_pair(PhantomConfig(seed=3, **QUIET), COARSE, COARSE)


@pytest.fixture(scope="module")
def default():
    return make_pair(PhantomConfig(seed=3, **QUIET))


@pytest.fixture(scope="module")
def mri():
    return make_pair(PhantomConfig(seed=3, contrast="mri", noise=15.0, motion_mm=30.0), COARSE, COARSE)


def sample(volume: Volume, points_ras: np.ndarray) -> np.ndarray:
    grid = torch.from_numpy(apply(volume.lattice.ras_to_grid, points_ras)).float().reshape(1, 1, 1, -1, 3)
    return warp(volume.tensor(), grid)[0, 0, 0, 0].numpy()


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    result = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        turn = np.eye(3)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn[[i, j], [i, j]], turn[i, j], turn[j, i] = np.cos(angle), -np.sin(angle), np.sin(angle)
        result = result @ turn
    return result


def test_same_seed_gives_the_same_pair_and_another_seed_another():
    lattice = chest_lattice(12.0)
    first, second, other = (make_pair(PhantomConfig(seed=seed), lattice, lattice) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.fixed.array, second.fixed.array)
    np.testing.assert_array_equal(first.moving.array, second.moving.array)
    np.testing.assert_array_equal(first.fixed_landmarks.points_ras, second.fixed_landmarks.points_ras)
    assert dice(first.fixed_mask.array > 0, other.fixed_mask.array > 0) < 0.97
    assert not np.array_equal(first.moving_landmarks.points_ras, other.moving_landmarks.points_ras)


def test_the_lattice_changes_nothing_but_the_voxels(ct):
    other = make_pair(PhantomConfig(seed=3, **QUIET), chest_lattice(15.0), chest_lattice(15.0))
    np.testing.assert_array_equal(ct.fixed_landmarks.points_ras, other.fixed_landmarks.points_ras)
    points = np.random.default_rng(0).uniform(-100, 100, (50, 3))
    np.testing.assert_array_equal(ct.phi(points), other.phi(points))


def test_default_lattices_differ_and_hold_both_lungs(default):
    assert default.fixed.lattice != default.moving.lattice
    for mask in (default.fixed_mask.array, default.moving_mask.array):
        assert set(np.unique(mask)) == {0, 1, 2}
        shell = np.ones(mask.shape, dtype=bool)
        shell[1:-1, 1:-1, 1:-1] = False
        assert not mask[shell].any()


def test_masks_agree_under_phi(default):
    lattice, fixed = default.fixed.lattice, default.fixed_mask.array
    phi = default.displacement(lattice)
    identity = DisplacementField(np.zeros_like(phi.vectors), lattice)
    for side in (1, 2):
        moving = default.moving_mask.with_array((default.moving_mask.array == side).astype(np.float32))
        assert dice(phi.warp(moving, lattice, fill=0)[0].array > 0.5, fixed == side) > 0.98
        assert dice(identity.warp(moving, lattice, fill=0)[0].array > 0.5, fixed == side) < 0.92
    right = apply(lattice.ijk_to_ras, np.argwhere(fixed == 1)[:, ::-1].astype(float))
    assert right[:, 0].mean() > 50  # x points to the patient's right


def test_mean_jacobian_is_the_ratio_of_the_lung_volumes(ct):
    inside = apply(COARSE.ijk_to_ras, np.argwhere(ct.fixed_mask.array > 0)[:, ::-1].astype(float))
    ratio = (ct.moving_mask.array > 0).sum() / (ct.fixed_mask.array > 0).sum()
    assert ratio > 1.1  # moving is the inhaled one
    assert ct.phi.jacobian(inside).mean() == pytest.approx(ratio, rel=0.01)


def test_jacobian_is_the_derivative_of_phi_and_positive_everywhere(ct):
    points = np.random.default_rng(1).uniform(-220, 220, (4000, 3))
    assert ct.phi.jacobian(points).min() > 0.1
    step = 1e-4
    sides = [(ct.phi(points + e) - ct.phi(points - e)) / (2 * step) for e in np.eye(3) * step]
    np.testing.assert_allclose(ct.phi.jacobian_matrix(points), np.stack(sides, axis=-1), atol=1e-6)


def test_motion_is_as_large_as_asked_downward_at_the_domes_and_gone_far_away(ct):
    x = np.stack(np.meshgrid(*[np.arange(-150, 151, 5.0)] * 3), axis=-1).reshape(-1, 3)
    u = ct.phi(x) - x
    length = np.linalg.norm(u, axis=1)
    assert length.max() == pytest.approx(30.0, rel=0.02)
    assert u[length.argmax(), 2] < -25  # from exhale to inhale the dome goes down
    np.testing.assert_allclose(ct.phi(np.array([[0.0, 0.0, 900.0]])), [[0.0, 0.0, 900.0]], atol=1e-9)
    assert np.array_equal(make_pair(PhantomConfig(motion_mm=0), chest_lattice(20.0), chest_lattice(20.0)).phi(x), x)


def test_landmarks_are_vessel_branchings_seen_in_both_images(default):
    fixed, moving = default.fixed_landmarks, default.moving_landmarks
    np.testing.assert_allclose(default.phi(fixed.points_ras), moving.points_ras, atol=1e-9)
    assert len(fixed) == 40
    around = np.random.default_rng(0).normal(size=(60, 3))
    around *= 9 / np.linalg.norm(around, axis=1, keepdims=True)
    for image, mask, marks in (
        (default.fixed, default.fixed_mask, fixed),
        (default.moving, default.moving_mask, moving),
    ):
        labels = np.rint(sample(mask, marks.points_ras))
        assert (labels == 1).sum() == (labels == 2).sum() == 20
        here = sample(image, marks.points_ras)
        beside = np.stack([sample(image, marks.points_ras + offset) for offset in around])
        assert (here > np.median(beside, axis=0) + 70).all()
    distance = np.linalg.norm(fixed.points_ras[:, None] - fixed.points_ras[None], axis=-1) + np.eye(40) * 1e3
    assert distance.min() > 20


def test_warping_the_moving_image_by_phi_gives_the_fixed_but_for_density(default):
    lattice = default.fixed.lattice
    warped, covered = default.displacement(lattice).warp(default.moving, lattice, fill=-1024)
    far_from_vessels = ndimage.maximum_filter(default.fixed.array, 5) < -720
    lung = (default.fixed_mask.array > 0) & covered & far_from_vessels
    x = apply(lattice.ijk_to_ras, np.argwhere(lung)[:, ::-1].astype(float))
    fixed = default.fixed.array[lung].astype(float)
    same_density = warped.array[lung] - fixed
    same_mass = (warped.array[lung] + 1000) * default.phi.jacobian(x) - 1000 - fixed
    assert np.median(same_density) < -10
    assert abs(np.median(same_mass)) < 3
    assert np.median(np.abs(same_mass)) < 6
    solid = (default.fixed.array > -200) & covered
    assert np.median(np.abs(warped.array[solid] - default.fixed.array[solid])) < 2


def test_ct_has_the_values_of_ct(ct):
    assert ct.fixed.array.dtype == ct.moving.array.dtype == np.int16
    for image, mask in ((ct.fixed, ct.fixed_mask), (ct.moving, ct.moving_mask)):
        assert np.median(image.array[:, -1]) == -1000  # the front plane: air before the chest
        lung = image.array[mask.array > 0]
        assert -900 < np.median(lung) < -650
        assert image.array.max() > 400  # bone
    exhaled, inhaled = (
        np.median(image.array[mask.array > 0])
        for image, mask in ((ct.fixed, ct.fixed_mask), (ct.moving, ct.moving_mask))
    )
    assert exhaled > inhaled + 15


def test_noise_is_as_strong_as_asked():
    lattice = chest_lattice(12.0)
    quiet, noisy = (make_pair(PhantomConfig(seed=3, noise=noise), lattice, lattice) for noise in (0.0, 20.0))
    for a, b in ((quiet.fixed, noisy.fixed), (quiet.moving, noisy.moving)):
        body = a.array > -950  # in air the values are cut off at -1024
        assert (b.array.astype(float) - a.array)[body].std() == pytest.approx(20, rel=0.1)


def test_mri_has_dark_lungs_bright_fat_and_the_range_of_the_paper(mri):
    values, lung = mri.fixed.array, mri.fixed_mask.array > 0
    assert values.dtype == np.float32
    assert values.min() >= 0
    assert 800 < np.percentile(values, 99) < 1300
    body = values > 200
    assert np.median(values[lung]) < 0.4 * np.median(values[body])
    air = values[:, -6:, :4]  # beside the front of the chest
    assert air.mean() == pytest.approx(15 * np.sqrt(np.pi / 2), rel=0.05)  # a Rician without signal is a Rayleigh


def test_an_oblique_left_handed_anisotropic_crop_shows_the_same_chest():
    axes = rotation((12, -9, 20)) * [3.5, 4.3, -5.5]
    oblique = np.eye(4)
    oblique[:3, :3], oblique[:3, 3] = axes, np.array((-30, -70, 95))
    lattice = Lattice((32, 38, 40), oblique)
    assert np.linalg.det(axes) < 0
    same_size = chest_lattice(lattice.voxel_volume_mm3 ** (1 / 3))
    config = PhantomConfig(seed=3, **QUIET)
    crop, whole = make_pair(config, lattice, lattice), make_pair(config, same_size, same_size)
    points = apply(lattice.ijk_to_ras, np.argwhere(np.ones(lattice.shape))[:, ::-1].astype(float))
    for a, b in ((crop.fixed, whole.fixed), (crop.moving, whole.moving)):
        seen, expected = a.array.ravel().astype(float), sample(b, points)
        assert np.corrcoef(seen, expected)[0, 1] > 0.985
        assert np.median(np.abs(seen - expected)) < 20


def test_voxels_depend_on_their_place_only():
    config = PhantomConfig(seed=3, **QUIET)
    lattice = chest_lattice(9.0)
    flipped = np.array(lattice.ijk_to_ras)
    flipped[:3, 3] = apply(flipped, np.array([lattice.shape[2] - 1.0, 0, 0]))
    flipped[:, 0] *= -1
    first, second = make_pair(config, lattice, lattice), make_pair(config, Lattice(lattice.shape, flipped), lattice)
    np.testing.assert_allclose(second.fixed.array[:, :, ::-1], first.fixed.array, atol=1)


@pytest.mark.parametrize("options", [{"contrast": "pet"}, {"noise": -1.0}, {"landmarks": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(PhantomError, match="expected"):
        PhantomConfig(**options)


def test_a_motion_that_would_fold_is_refused():
    with pytest.raises(BreathingError, match="Jacobian determinant"):
        make_pair(PhantomConfig(motion_mm=400.0), COARSE, COARSE)
