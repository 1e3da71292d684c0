"""Images made ready: exact block means in canonical order, the budget, the registration lattice."""

import numpy as np
import pytest
from LungDeepRegLib.geometry import Lattice, apply, canonical_order, corner_indices
from LungDeepRegLib.intensity import Intensity
from LungDeepRegLib.preprocessing import (
    LEAST_SPACING_MM,
    MARGIN_MM,
    block_factors,
    lung_points,
    prepare,
    registration_lattice,
    working_spacing,
)
from LungDeepRegLib.volume import Volume
from scipy.spatial.transform import Rotation

OBLIQUE = Rotation.from_euler("xyz", [15, -20, 10], degrees=True).as_matrix()
DIRECTIONS = {
    "axial": np.eye(3),
    "oblique": OBLIQUE,
    "left-handed": OBLIQUE * [-1, 1, 1],
    "coronal": np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}
each_direction = pytest.mark.parametrize("name", DIRECTIONS)
CT = Intensity("ct", -1000.0, 300.0, -1024.0, "as the test says")
SHAPE = (12, 40, 36)
SPACING = (1.0, 1.5, 5.0)


def lattice(name, shape=SHAPE, spacing=SPACING, centre=(10.0, -40.0, 25.0)):
    matrix = np.eye(4)
    matrix[:3, :3] = DIRECTIONS[name] * spacing
    matrix[:3, 3] = np.array(centre) - matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return Lattice(shape, matrix)


def world(where):
    return apply(where.ijk_to_ras, np.stack(np.indices(where.shape)[::-1], axis=-1))


def ramp(where):
    """HU that are linear in the world, within the window."""
    centred = world(where) - np.array([10, -40, 25])
    return Volume((-400 + centred @ np.array([4.0, -3.0, 2.0])).astype(np.float32), where.ijk_to_ras, "ramp")


def box_mask(where, low, high):
    """Voxels whose index (i, j, k) is from low to below high."""
    index = np.stack(np.indices(where.shape)[::-1], axis=-1)
    return ((index >= low) & (index < high)).all(axis=-1)


# --- prepare


def test_fine_axes_are_averaged_and_thick_slices_are_not():
    assert block_factors(lattice("axial"), 3.0) == [3, 2, 1]
    assert block_factors(lattice("axial"), 1.25) == [1, 1, 1]


@each_direction
def test_voxels_are_block_means_in_canonical_order(name):
    volume = ramp(lattice(name))
    before = volume.array.copy()
    ready = prepare(volume, CT, None, 3.0)
    assert ready.lungs is None
    order, signs = canonical_order(ready.image.ijk_to_ras)
    assert order == [0, 1, 2]
    assert (signs > 0).all()
    assert sorted(ready.image.lattice.spacing_mm.round(6)) == [3.0, 3.0, 5.0]
    np.testing.assert_allclose(ready.image.array, CT.normalised(ramp(ready.image.lattice).array), atol=1e-5)
    np.testing.assert_array_equal(volume.array, before)


def test_clamping_comes_before_averaging():
    array = np.full((4, 4, 4), 300, np.int16)
    array[:, :, ::2] = 3000
    array[0, 0, 0] = -3000
    ready = prepare(Volume(array, np.eye(4)), CT, None, 2.0)
    assert ready.image.array.max() == 1
    assert ready.image.array[0, 0, 0] == pytest.approx(7 / 8)


@each_direction
def test_a_mask_becomes_how_much_of_a_voxel_is_lung(name):
    where = lattice(name)
    mask = box_mask(where, (6, 5, 3), (18, 20, 9))
    before = mask.copy()
    ready = prepare(ramp(where), CT, mask, 3.0)
    assert ready.lungs.lattice == ready.image.lattice
    volume = ready.lungs.array.sum() * ready.lungs.lattice.voxel_volume_mm3
    assert volume == pytest.approx(mask.sum() * where.voxel_volume_mm3, rel=1e-5)
    assert set(np.unique(ready.lungs.array)) == {0, 0.5, 1}
    centre = (world(ready.lungs.lattice) * ready.lungs.array[..., None]).sum(axis=(0, 1, 2)) / ready.lungs.array.sum()
    np.testing.assert_allclose(centre, world(where)[mask].mean(axis=0), atol=0.1)
    np.testing.assert_array_equal(mask, before)


# --- the budget


@pytest.mark.parametrize("budget", [20_000, 200_000])
def test_the_spacing_keeps_to_the_budget_and_no_coarser(budget):
    where = lattice("oblique", (200, 250, 300), (0.7, 0.7, 0.8))
    volume = Volume(np.zeros(where.shape, np.int8), where.ijk_to_ras)
    spacing = working_spacing(volume, None, budget)

    def count(s):
        return np.prod(np.array(where.shape[::-1]) / block_factors(where, s))

    assert count(spacing) <= budget < count(spacing / 1.05)


def test_a_generous_budget_gives_the_least_spacing():
    volume = Volume(np.zeros(SHAPE), lattice("oblique").ijk_to_ras)
    assert working_spacing(volume, None, 10**9) == LEAST_SPACING_MM


def test_the_budget_is_that_of_the_box_around_the_lungs():
    where = lattice("axial", (100, 100, 100), (1, 1, 1))
    volume = Volume(np.zeros(where.shape), where.ijk_to_ras)
    mask = box_mask(where, (40, 40, 40), (70, 65, 80))
    box = np.prod(np.array([30, 25, 40]) + 2 * MARGIN_MM)
    assert working_spacing(volume, mask, int(box) + 1) == LEAST_SPACING_MM
    assert working_spacing(volume, mask, int(box) - 1) > LEAST_SPACING_MM
    assert working_spacing(volume, None, int(box) + 1) > LEAST_SPACING_MM


# --- the registration lattice


def ready_pair(name, fixed_box, moving_box):
    fixed, moving = lattice(name), lattice("coronal", (40, 12, 36), (1.0, 5.0, 1.5))
    return tuple(
        prepare(ramp(where), CT, box_mask(where, *box) if box else None, 1.0)
        for where, box in ((fixed, fixed_box), (moving, moving_box))
    )


def test_without_masks_it_is_the_whole_fixed_image():
    fixed, moving = ready_pair("oblique", None, ((3, 3, 3), (6, 6, 6)))
    assert registration_lattice(fixed, moving, np.eye(4)) == fixed.image.lattice


@each_direction
def test_it_holds_both_lungs_with_a_margin_on_the_fixed_voxels(name):
    fixed, moving = ready_pair(name, ((10, 12, 4), (20, 24, 8)), ((8, 2, 10), (20, 8, 22)))
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", 20, degrees=True).as_matrix()
    matrix[:3, 3] = [30, 25, -18]
    found = registration_lattice(fixed, moving, matrix)
    first = apply(fixed.image.lattice.ras_to_ijk, found.ijk_to_ras[:3, 3])
    np.testing.assert_allclose(first, first.round(), atol=1e-6)
    np.testing.assert_allclose(found.ijk_to_ras[:3, :3], fixed.image.ijk_to_ras[:3, :3], atol=1e-9)
    seen = [lung_points(fixed.lungs), apply(np.linalg.inv(matrix), lung_points(moving.lungs))]
    ijk = apply(found.ras_to_ijk, np.concatenate(seen))
    margin = np.minimum(ijk.min(axis=0), np.array(found.shape[::-1]) - 1 - ijk.max(axis=0)) * found.spacing_mm
    assert (margin >= MARGIN_MM - 1e-6).all()
    assert (margin <= MARGIN_MM + found.spacing_mm + 1e-6).all()


def test_it_goes_on_beyond_the_fixed_image_where_a_lung_touches_its_border():
    fixed, moving = ready_pair("oblique", ((0, 12, 4), (20, 24, 8)), None)
    found = registration_lattice(fixed, moving, np.eye(4))
    first = apply(fixed.image.lattice.ras_to_ijk, found.ijk_to_ras[:3, 3])
    assert first[0] <= -12


@each_direction
def test_corners_of_the_box_of_the_lungs(name):
    where = lattice(name)
    ready = prepare(ramp(where), CT, box_mask(where, (6, 5, 3), (18, 20, 9)), 1.0)
    expected = apply(where.ijk_to_ras, corner_indices((6, 15, 12)) + np.array([6, 5, 3]))
    found = lung_points(ready.lungs)
    np.testing.assert_allclose(sorted(found.round(6).tolist()), sorted(expected.round(6).tolist()), atol=1e-6)
