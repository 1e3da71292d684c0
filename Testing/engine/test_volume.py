"""Volumes and their resampling: closed form on every geometry, then SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from LungDeepRegLib.geometry import (
    LPS_TO_RAS,
    Lattice,
    apply,
    canonical_axes,
    canonical_order,
    covering_lattice,
    index_box,
)
from LungDeepRegLib.resampling import averaged, interpolated, parallel_axes, resample, world_grid
from LungDeepRegLib.volume import Volume, VolumeError, block_mean, canonical, check_image, slabs
from LungDeepRegLib.warp import warp
from scipy.spatial.transform import Rotation

OBLIQUE = Rotation.from_euler("xyz", [15, -20, 10], degrees=True).as_matrix()
DIRECTIONS = {
    "axial": np.eye(3),
    "oblique": OBLIQUE,
    "left-handed": OBLIQUE * [-1, 1, 1],
    "coronal": np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "sagittal": np.array([[0, 0, -1.0], [-1, 0, 0], [0, 1, 0]]),
    "sheared": np.array([[1, 0, 0], [0, 1, np.sin(0.3)], [0, 0, np.cos(0.3)]]),
}
SHAPE = (6, 9, 8)
each_direction = pytest.mark.parametrize("name", DIRECTIONS)


def lattice(name, shape=SHAPE, spacing=(1.0, 1.5, 3.0), origin=(30, -120, 55)):
    matrix = np.eye(4)
    matrix[:3, :3] = DIRECTIONS[name] * spacing
    matrix[:3, 3] = origin
    return Lattice(shape, matrix)


def world(where):
    k, j, i = np.indices(where.shape)
    return apply(where.ijk_to_ras, np.stack([i, j, k], axis=-1))


def ramp(where, slope=(2.0, -1.0, 0.5)):
    """A volume that is linear in the world."""
    return Volume((world(where) @ np.array(slope)).astype(np.float32), where.ijk_to_ras, "ramp")


def noise(where, seed=0):
    return Volume(np.random.default_rng(seed).normal(size=where.shape).astype(np.float32), where.ijk_to_ras, "noise")


def as_float(array):
    return array.astype(np.float32)


def in_itk(volume):
    image = sitk.GetImageFromArray(volume.array)
    matrix = LPS_TO_RAS @ volume.ijk_to_ras
    image.SetSpacing(volume.lattice.spacing_mm.tolist())
    image.SetDirection((matrix[:3, :3] / volume.lattice.spacing_mm).ravel().tolist())
    image.SetOrigin(matrix[:3, 3].tolist())
    return image


# --- what a volume may be


@pytest.mark.parametrize(
    ("array", "matrix", "message"),
    [
        (np.zeros((5, 5)), np.eye(4), "2 axes"),
        (np.zeros((5, 5, 5, 3)), np.eye(4), "4 axes"),
        (np.zeros((5, 5, 5), complex), np.eye(4), "complex"),
        (np.zeros((5, 5, 5), object), np.eye(4), "object"),
        (np.zeros((5, 1, 5)), np.eye(4), "at least 2 voxels"),
        (np.zeros((5, 5, 5)), np.diag([1.0, 1, 0, 1]), "spacing"),
        (np.zeros((5, 5, 5)), np.ones((4, 4)), "last row"),
    ],
)
def test_what_is_no_image_is_refused_by_name(array, matrix, message):
    with pytest.raises(VolumeError, match=message) as caught:
        Volume(array, matrix, "the follow-up")
    assert str(caught.value).startswith("the follow-up: ")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers_are_counted(bad):
    array = np.arange(27.0).reshape(3, 3, 3)
    array[1, 1, :2] = bad
    with pytest.raises(VolumeError, match="scan: found 2 NaN or infinite"):
        check_image(Volume(array, np.eye(4), "scan"))


@pytest.mark.parametrize("dtype", [np.int16, np.float32, bool])
def test_a_constant_image_is_refused(dtype):
    with pytest.raises(VolumeError, match="scan: found the same value"):
        check_image(Volume(np.ones((3, 3, 3), dtype), np.eye(4), "scan"))


def test_an_image_passes():
    check_image(noise(lattice("oblique")))
    check_image(Volume(np.arange(8, dtype=np.uint8).reshape(2, 2, 2), np.eye(4)))


def test_other_voxels_at_the_same_place():
    volume = noise(lattice("oblique"))
    other = volume.with_array(volume.array > 0)
    assert other.lattice == volume.lattice
    assert other.name == "noise"
    assert volume.with_array(volume.array, "mask").name == "mask"


# --- slabs


@pytest.mark.parametrize("planes", [2, 3, 4, 5, 8, 100])
@pytest.mark.parametrize("count", [2, 3, 7, 8, 9])
def test_slabs_are_the_lattice_cut_along_k(planes, count):
    where = lattice("oblique", (count, 4, 5))
    parts = slabs(where, voxels=planes * 20)
    np.testing.assert_allclose(np.concatenate([world(part) for _, part in parts]), world(where), atol=1e-9)
    assert np.concatenate([np.arange(count)[planes] for planes, _ in parts]).tolist() == list(range(count))
    assert all(part.shape[0] >= 2 for _, part in parts)


# --- canonical orientation


@each_direction
def test_canonical_loses_nothing(name):
    volume = noise(lattice(name))
    turned = canonical(volume)
    order, signs = canonical_order(turned.ijk_to_ras)
    assert order == [0, 1, 2]
    assert (signs > 0).all()
    assert sorted(turned.array.ravel()) == sorted(volume.array.ravel())
    # each voxel of the one is the voxel of the other at the same place
    ijk = apply(turned.lattice.ras_to_ijk, world(volume.lattice)).round(6)
    np.testing.assert_array_equal(ijk, ijk.round())
    i, j, k = np.moveaxis(ijk.astype(int), -1, 0)
    np.testing.assert_array_equal(turned.array[k, j, i], volume.array)


def test_canonical_of_canonical_is_the_same():
    once = canonical(noise(lattice("coronal")))
    twice = canonical(once)
    assert once.lattice == twice.lattice
    np.testing.assert_array_equal(once.array, twice.array)


def test_canonical_keeps_obliquity_type_and_name():
    volume = Volume(np.arange(432, dtype=np.int16).reshape(SHAPE), lattice("left-handed").ijk_to_ras, "scan")
    turned = canonical(volume)
    np.testing.assert_allclose(canonical_axes(turned.ijk_to_ras), OBLIQUE, atol=1e-9)
    assert turned.array.dtype == np.int16
    assert turned.name == "scan"


# --- averaging


@each_direction
@pytest.mark.parametrize("factors", [[1, 1, 1], [2, 3, 2], [3, 2, 1], [1, 1, 4]])
def test_block_means_of_a_ramp_are_exact(name, factors):
    means = block_mean(ramp(lattice(name)), factors, as_float)
    np.testing.assert_allclose(means.array, ramp(means.lattice).array, atol=1e-4)
    assert means.array.shape == tuple(max(2, n // f) for n, f in zip(SHAPE, factors[::-1], strict=True))


def test_an_incomplete_block_is_left_out():
    volume = Volume(np.arange(5 * 4 * 4.0).reshape(5, 4, 4), np.eye(4))
    means = block_mean(volume, [2, 2, 2], as_float)
    np.testing.assert_allclose(means.array, volume.array[:4].reshape(2, 2, 2, 2, 2, 2).mean(axis=(1, 3, 5)))
    np.testing.assert_allclose(means.ijk_to_ras[:3, 3], 0.5)


def test_values_are_read_before_they_are_averaged():
    array = np.zeros((4, 4, 4), np.int16)
    array[::2] = -3000
    means = block_mean(Volume(array, np.eye(4)), [1, 1, 2], lambda a: np.clip(a, -1000, None).astype(np.float32))
    np.testing.assert_array_equal(means.array, np.full((2, 4, 4), -500))


@each_direction
def test_averaging_a_ramp_onto_a_coarser_lattice_is_exact(name):
    volume = ramp(lattice(name, (16, 32, 48)))
    inner = index_box(volume.lattice, np.array([8, 8, 4]), np.array([5, 4, 3]), np.array([6, 4, 2]))
    turned = np.array(inner.ijk_to_ras)
    turned[:3, :3] = Rotation.from_euler("z", 4, degrees=True).as_matrix() @ turned[:3, :3]
    wanted = Lattice(inner.shape, turned)
    np.testing.assert_allclose(averaged(volume, wanted, as_float).array, ramp(wanted).array, rtol=1e-5, atol=2e-3)


def test_averaging_does_not_alias():
    fine = Volume(np.indices((24, 24, 24)).sum(axis=0) % 2, np.eye(4))
    blocks = index_box(fine.lattice, np.array([1, 2, 0]), np.array([5, 5, 5]), 4)
    coarse = averaged(fine, blocks, as_float)
    np.testing.assert_allclose(coarse.array, 0.5, atol=1e-6)


# --- resampling


@each_direction
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_resampling_by_the_identity_is_exact(name, mode):
    volume = Volume(np.random.default_rng(1).integers(-1024, 3000, SHAPE).astype(np.int16), lattice(name).ijk_to_ras)
    found = resample(volume, volume.lattice, mode=mode)
    np.testing.assert_allclose(found.array, volume.array, atol=2e-2 if mode == "bilinear" else 0)
    assert found.array.dtype == (np.float32 if mode == "bilinear" else np.int16)


@each_direction
def test_the_identity_grid_of_the_world_is_that_of_the_voxels(name):
    where = lattice(name)
    ijk = apply(where.ras_to_ijk, apply(where.grid_to_ras, world_grid(where, where)[0].double())).numpy()
    np.testing.assert_allclose(ijk, np.stack(np.indices(SHAPE)[::-1], axis=-1), atol=1e-5)


@pytest.mark.parametrize("target", DIRECTIONS)
@each_direction
def test_a_ramp_is_the_same_on_any_other_lattice(name, target):
    volume = ramp(lattice(name, (20, 30, 40)))
    middle = volume.lattice.centre_ras
    wanted = lattice(target, (5, 4, 6), (2.0, 1.3, 1.1), middle - 3)
    np.testing.assert_allclose(resample(volume, wanted).array, ramp(wanted).array, rtol=1e-4, atol=5e-3)


def test_beyond_the_volume_its_border_goes_on():
    volume = ramp(lattice("axial"), (1, 0, 0))
    wide = index_box(volume.lattice, np.array([-3, 0, 0]), np.array([14, 9, 6]))
    np.testing.assert_allclose(resample(volume, wide).array[0, 0], [30] * 3 + [*range(30, 38)] + [37] * 3, atol=1e-4)


def test_resampling_through_a_matrix_reads_where_the_matrix_points():
    volume = noise(lattice("oblique"))
    matrix = np.eye(4)
    matrix[:3, 3] = volume.ijk_to_ras[:3, 0]  # one voxel along i
    found = resample(volume, volume.lattice, matrix=matrix).array
    np.testing.assert_allclose(found[..., :-1], volume.array[..., 1:], atol=1e-4)


@each_direction
def test_axis_by_axis_is_as_position_by_position(name):
    volume = noise(lattice(name))
    coarse = covering_lattice(volume.lattice, 1.7, 2.0)  # canonical axes: others in order and sign than the volume's
    assert (parallel_axes(coarse, volume.lattice) is None) == (name == "sheared")
    for source, other in ((volume.lattice, coarse), (coarse, volume.lattice)):
        values = torch.randn(1, 3, *source.shape, generator=torch.Generator().manual_seed(0))
        expected = warp(values, world_grid(other, source))
        assert torch.allclose(interpolated(values, source, other), expected, atol=1e-4)


def test_axes_that_come_apart_are_not_parallel():
    where = lattice("oblique", (40, 50, 60))
    for degrees, parallel in ((1e-4, True), (0.1, False)):
        turned = np.array(where.ijk_to_ras)
        turned[:3, :3] = Rotation.from_euler("z", degrees, degrees=True).as_matrix() @ turned[:3, :3]
        assert (parallel_axes(Lattice(where.shape, turned), where) is not None) == parallel


@pytest.mark.parametrize("name", ["oblique", "left-handed", "coronal"])
def test_resampling_equals_that_of_simpleitk(name):
    moving = noise(lattice("sagittal", (14, 15, 16), (1.2, 2.0, 1.5)))
    fixed = lattice(name, (7, 9, 8), (1.1, 0.9, 1.7))
    shifted = fixed.ijk_to_ras.copy()
    shifted[:3, 3] += moving.lattice.centre_ras - fixed.centre_ras
    fixed = Lattice(fixed.shape, shifted)
    reference = Volume(np.zeros(fixed.shape, np.float32), fixed.ijk_to_ras)
    image = sitk.Resample(in_itk(moving), in_itk(reference), sitk.Transform(), sitk.sitkLinear, 99.0)
    expected = sitk.GetArrayFromImage(image)
    known = expected != 99.0
    assert known.mean() > 0.9
    np.testing.assert_allclose(resample(moving, fixed).array[known], expected[known], atol=1e-4)
