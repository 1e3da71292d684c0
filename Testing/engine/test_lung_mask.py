"""Lungs found in CT, and nothing found where there are none."""

import numpy as np
import pytest
from LungDeepRegLib.geometry import Lattice, apply, index_box
from LungDeepRegLib.intensity import choose_intensity
from LungDeepRegLib.lung_mask import close_and_fill, enclosure, find_lungs, lung_components, mask_on
from LungDeepRegLib.metrics import dice
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.volume import Volume, VolumeError
from scipy import ndimage

from Testing.engine.conftest import GEOMETRIES, lattice

SPACING_MM = 5.0


@pytest.fixture(scope="module")
def chest():
    return make_pair(PhantomConfig(seed=2), chest_lattice(SPACING_MM), chest_lattice(20.0))


def lungs_of(volume):
    return find_lungs(volume, choose_intensity(volume))


def body(shape, seed=0):
    """HU of an ellipse of tissue in air, and the distance from its axis as a fraction of its size."""
    rng = np.random.default_rng(seed)
    _, j, i = np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2
    radius = np.hypot(j / (0.42 * shape[1]), i / (0.42 * shape[2]))
    return np.where(radius < 1, rng.normal(40, 20, shape), rng.normal(-1000, 10, shape)), radius


def balls(shape, centres, radii):
    found = np.zeros(shape, bool)
    index = np.stack(np.indices(shape), axis=-1)
    for centre, radius in zip(centres, radii, strict=True):
        found |= np.linalg.norm(index - centre, axis=-1) < radius
    return found


def scan(hu, name):
    """Voxels of 2.5 mm; a little blur, since the edges of real gas are mixed with tissue too."""
    return Volume(ndimage.gaussian_filter(hu, 0.5).astype(np.int16), np.diag([2.5, 2.5, 2.5, 1]), name)


# --- the phantom


def test_lungs_of_the_phantom(chest):
    before = chest.fixed.array.copy()
    found = lungs_of(chest.fixed)
    assert found.dtype == bool
    assert found.shape == chest.fixed.array.shape
    assert dice(found, chest.fixed_mask.array > 0) > 0.95
    np.testing.assert_array_equal(chest.fixed.array, before)


def left_lung(chest):
    """The phantom cut off at the mediastinum, and its mask: the lung touches the border."""
    i = chest.fixed.array.shape[2] // 2 - 4  # through the medial part of one lung
    cut = np.s_[10:-10, :, :i]
    mask = chest.fixed_mask.array[cut] > 0
    assert mask[..., -1].any()
    return Volume(chest.fixed.array[cut], chest.fixed.ijk_to_ras, "cut"), mask


def test_a_lung_that_touches_the_border(chest):
    volume, mask = left_lung(chest)
    assert dice(lungs_of(volume), mask) > 0.95


def test_an_offset_and_padding_and_another_orientation_change_nothing(chest):
    volume, mask = left_lung(chest)
    plain = lungs_of(volume)
    stored = volume.array.astype(np.int32) + 1024
    stored[volume.array < -1010] = -2048
    coronal = np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    matrix = np.eye(4)
    matrix[:3, :3] = coronal * SPACING_MM
    # axes (k, j, i) of the coronal array run to the front, down and left
    turned = stored[::-1, :, ::-1].transpose(1, 0, 2)
    found = lungs_of(Volume(turned, matrix, "coronal"))
    back = found.transpose(1, 0, 2)[::-1, :, ::-1]
    assert dice(back, mask) > 0.95
    assert dice(back, plain) > 0.98


# --- what is no chest


def test_an_abdomen_with_bowel_gas_has_none():
    hu, radius = body((50, 68, 80))
    rng = np.random.default_rng(1)
    centres = rng.uniform([4, 22, 24], [46, 44, 56], (25, 3))
    gas = balls(hu.shape, centres, rng.uniform(2, 10, 25)) & (radius < 0.8)
    hu[gas] = rng.normal(-1000, 10, gas.sum())
    labels, count = ndimage.label(gas)
    largest_ml = np.bincount(labels.ravel())[1:].max() * 2.5**3 / 1000
    assert count > 1
    assert largest_ml > 200  # more than the least lung: it isn't its size that tells
    volume = scan(hu, "abdomen")
    assert choose_intensity(volume).modality == "ct"
    assert lungs_of(volume) is None


def test_a_head_with_sinuses_has_none():
    hu, radius = body((60, 80, 68))
    hu[(radius < 0.95) & (radius > 0.85)] = 900
    hu[balls(hu.shape, [(16, 20, 24), (16, 20, 44), (20, 16, 34), (24, 28, 34)], [7, 7, 6, 5])] = -1000
    assert lungs_of(scan(hu, "head")) is None


def test_a_body_without_any_air_inside_has_none():
    assert lungs_of(scan(body((30, 68, 80))[0], "legs")) is None


def test_mri_has_none():
    hu, _ = body((30, 34, 40))
    volume = scan(hu, "mri")
    assert find_lungs(volume, choose_intensity(volume, "mri")) is None


# --- its parts


def test_enclosure_counts_directions_in_the_plane():
    tissue = np.zeros((3, 5, 5), bool)
    tissue[1, 1:4, 1:4] = True
    tissue[1, 2, 2] = False
    found = enclosure(tissue)
    assert found[1, 2, 2] == 1
    assert found[1, 0, 0] == 0
    assert found[1, 0, 2] == 0.25
    assert not found[0].any()
    tissue[1, 2, 3] = False  # open on one side
    assert enclosure(tissue)[1, 2, 2] == 0.75


@pytest.mark.parametrize(("hu", "lung"), [(-850, True), (-955, True), (-600, True), (-1000, False), (-450, False)])
def test_a_large_component_is_a_lung_by_its_density(hu, lung):
    array = np.full((24, 24, 24), 40.0)
    array[6:18, 6:18, 6:18] = hu
    found = lung_components(array, 0.125)
    assert (found is not None) == lung
    if lung:
        np.testing.assert_array_equal(found, array == hu)


def test_a_sheet_that_hangs_on_a_lung_is_cut_off():
    array = np.full((24, 40, 40), 40.0)
    array[6:18, 6:18, 6:18] = -850
    array[11:13, 6:34, 18:36] = -850
    found = lung_components(array, 0.125)
    assert found[6:18, 6:18, 6:18].all()
    assert not found[:, :, 24:].any()


def test_small_components_beside_a_lung_are_left_out():
    array = np.full((24, 24, 40), 40.0)
    array[6:18, 6:18, 6:18] = -850
    array[6:9, 6:9, 28:31] = -850
    np.testing.assert_array_equal(np.flatnonzero(lung_components(array, 0.125).any(axis=(0, 1))), range(6, 18))


def test_too_little_air_is_no_lung():
    array = np.full((24, 24, 24), 40.0)
    array[6:15, 6:15, 6:15] = -850  # 729 voxels of 0.125 ml
    assert lung_components(array, 0.125) is None
    assert lung_components(array, 0.25) is not None


def test_vessels_are_closed_also_at_the_border():
    lattice = Lattice((30, 30, 30), np.diag([2.5, 2.5, 2.5, 1]))
    lung = np.zeros(lattice.shape, bool)
    lung[:, 8:22, 8:22] = True
    holed = lung.copy()
    holed[10:20, 14:16, 14:16] = False  # a hole
    holed[:10, 14:16, 8:22] = False  # a vessel out to the side, through the border of the image
    found = close_and_fill(holed, lattice)
    assert dice(found, lung) > 0.99
    assert found[0, 14, 15]
    assert not found[:, 0].any()


def test_a_lung_is_closed_alike_wherever_it_lies_in_its_image():
    small = Lattice((24, 20, 22), np.diag([2.5, 2.5, 2.5, 1]))
    blobs = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=small.shape), 2) > 0.02
    lung = np.pad(blobs[6:-6, 6:-6, 6:-6], 6)
    around = ((9, 0), (3, 12), (0, 5))
    padded = np.pad(lung, around)
    found = close_and_fill(padded, Lattice(padded.shape, small.ijk_to_ras))
    inner = tuple(slice(before, before + n) for (before, _), n in zip(around, lung.shape, strict=True))
    assert found.sum() > lung.sum()
    assert np.array_equal(found[inner], close_and_fill(lung, small))
    assert found.sum() == found[inner].sum()


# --- labels on other voxels


def labels_on(where, seed=0):
    """Large blobs of two labels, up to the border, and background that is 0 or less."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=where.shape), 3)
    array = np.where(noise > 0.02, 300, np.where(noise < -0.05, 1, -1 * (noise > 0)))
    return Volume(array.astype(np.int16), where.ijk_to_ras, f"labels {seed}")


def by_hand(labels, where):
    """The nearest voxel to each voxel centre, one after the other, and whether any is too near an edge to tell."""
    index = np.stack(np.meshgrid(*map(np.arange, where.shape[::-1]), indexing="ij"), axis=-1).reshape(-1, 3)
    ijk = apply(labels.lattice.ras_to_ijk @ where.ijk_to_ras, index.astype(float))
    nearest = np.rint(ijk).astype(int)
    within = labels.lattice.contains(apply(where.ijk_to_ras, index.astype(float)))
    mask = np.zeros(where.shape, bool)
    k, j, i = nearest[within].T[::-1]
    mask[tuple(index[within].T[::-1])] = labels.array[k, j, i] > 0
    unsure = np.zeros(where.shape, bool)
    unsure[tuple(index.T[::-1])] = (np.abs(np.abs(ijk - nearest) - 0.5) < 1e-3).any(axis=-1)
    return mask, unsure


@pytest.mark.parametrize("name", [*GEOMETRIES])
def test_labels_on_any_voxels_are_taken_by_nearest_neighbour(name):
    others = [other for other in GEOMETRIES if other != name]
    image = Volume(np.zeros((24, 22, 20)), lattice(name, (24, 22, 20), (2.0, 2.5, 3.0), (0.31, 0.17, 5.23)).ijk_to_ras)
    labels = [
        labels_on(lattice(others[0], (30, 18, 26), (1.53, 2.21, 4.07), (6, -9, 20)), 1),
        labels_on(lattice(others[1], (9, 8, 7), (0.93, 3.11, 2.03), (-18, 22, -5)), 2),  # small, in a corner
    ]
    found = mask_on(labels, image)
    (first, unsure), (second, also) = (by_hand(volume, image.lattice) for volume in labels)
    assert 0.03 < first.mean() < 0.6
    assert second.any()
    known = ~(unsure | also)
    assert known.mean() > 0.95
    np.testing.assert_array_equal(found[known], (first | second)[known])


def test_labels_on_the_images_own_voxels_and_on_a_part_of_them(chest):
    lungs = chest.fixed_mask
    np.testing.assert_array_equal(mask_on([lungs], chest.fixed), lungs.array > 0)
    part = index_box(lungs.lattice, np.array([5, 6, 27]), np.array([40, 30, 20]))
    cut = Volume(lungs.array[27:47, 6:36, 5:45], part.ijk_to_ras)
    inside = np.zeros(lungs.array.shape, bool)
    inside[27:47, 6:36, 5:45] = cut.array > 0
    assert inside[27].any(), "it is cut off there, and may not go on"
    np.testing.assert_array_equal(mask_on([cut], chest.fixed), inside)
    before = cut.array.copy()
    halves = [cut.with_array(cut.array == side) for side in (1, 2)]
    np.testing.assert_array_equal(mask_on(halves, chest.fixed), inside)
    np.testing.assert_array_equal(cut.array, before)


def test_values_of_a_label_map(chest):
    """Only those that are wanted, on the image's own voxels and on a cut of them."""
    sides = chest.fixed_mask
    assert np.isin([1, 2], sides.array).all()
    part = index_box(sides.lattice, np.array([5, 6, 27]), np.array([40, 30, 20]))
    cut = Volume(sides.array[27:47, 6:36, 5:45], part.ijk_to_ras)
    inside = np.zeros(sides.array.shape, np.uint8)
    inside[27:47, 6:36, 5:45] = cut.array
    for values in ([1], [2], [1, 2]):
        whole, found = (mask_on([{"labels": labels, "values": values}], chest.fixed) for labels in (sides, cut))
        np.testing.assert_array_equal(whole, np.isin(sides.array, values))
        np.testing.assert_array_equal(found, np.isin(inside, values))
    with pytest.raises(VolumeError, match=r"found an empty mask"):
        mask_on([{"labels": sides, "values": [3]}], chest.fixed)


def test_labels_that_mark_nothing_are_named(chest):
    away = chest.fixed_mask.ijk_to_ras.copy()
    away[0, 3] += 1000
    nothing = chest.fixed_mask.with_array(np.zeros_like(chest.fixed_mask.array), "left lung")
    for labels in ([nothing], [Volume(chest.fixed_mask.array, away, "left lung"), nothing]):
        with pytest.raises(VolumeError, match=r"^left lung: found an empty mask on the voxels of phantom exhale"):
            mask_on(labels, chest.fixed)
