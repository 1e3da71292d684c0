"""Two images on the network's lattice: oblique, anisotropic and left-handed ones, with a map known by formula."""

from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch
from LungDeepRegLib.deformation import displacement_grid
from LungDeepRegLib.geometry import Lattice, apply
from LungDeepRegLib.intensity import Intensity
from LungDeepRegLib.landmarks import LandmarkError, Landmarks
from LungDeepRegLib.network import compose
from LungDeepRegLib.network_stage import network_lattice, predict
from LungDeepRegLib.preprocessing import prepare
from LungDeepRegLib.volume import Volume
from LungDeepRegLib.warp import warp
from scipy import ndimage
from scipy.spatial.transform import Rotation

from training.placing import PlacingError, interpolated, placed

MRI = Intensity("mri", 0.0, 1.0, 0.0, "as the test says")
SHAPE, SPACING_MM = (13, 11, 15), (8.0, 10.0, 9.0)
LATTICE = Lattice(SHAPE, np.diag([*SPACING_MM, 1.0]))
ALIGNMENT = np.array([[0.98, 0.06, 0, 5], [-0.05, 1.03, 0.02, -30], [0.01, 0, 0.95, 12], [0, 0, 0, 1.0]])


def volume_lattice(shape, spacing, angles, order, signs, centre):
    """Axes in any order and of any sign, turned by some degrees, around a point in RAS mm."""
    axes = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()[:, order] * signs
    matrix = np.eye(4)
    matrix[:3, :3] = axes * spacing
    matrix[:3, 3] = np.array(centre) - matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return Lattice(shape, matrix)


def points_of(lattice):
    """RAS mm of all voxels ``(K, J, I, 3)``, by nibabel."""
    ijk = np.stack(np.meshgrid(*map(np.arange, lattice.shape), indexing="ij")[::-1], axis=-1)
    return nibabel.affines.apply_affine(lattice.ijk_to_ras, ijk)


def tissue(points):
    """The moving image as a function of RAS mm, with waves of about 90 mm."""
    r, a, s = np.moveaxis(points - [0, -30, 0], -1, 0)
    return 0.5 + 0.15 * np.sin(r / 14 + s / 30) + 0.15 * np.cos(a / 16) + 0.15 * np.sin(s / 13 - a / 40)


def truth(points):
    """The map from fixed to moving RAS mm: the alignment and a smooth motion of up to 10 mm."""
    r, a, s = np.moveaxis(np.asarray(points), -1, 0)
    motion = np.stack([6 * np.sin(s / 30), 5 * np.cos(r / 35) - 2, 8 * np.sin(a / 40 + 1)], axis=-1)
    return apply(ALIGNMENT, points) + motion


def ball(lattice, centre):
    return np.linalg.norm((points_of(lattice) - centre) / [40, 35, 45], axis=-1) < 1


def build(truth=truth, *, landmarks=True, sampling="mean"):
    """A pair whose fixed image is the moving one through a map."""
    fixed = volume_lattice((44, 38, 30), (3, 4, 5), (12, -15, 20), [1, 0, 2], [1, 1, 1], (2, 4, -3))  # left-handed
    moving = volume_lattice((30, 40, 36), (4, 3.5, 4.2), (-10, 8, -5), [0, 2, 1], [-1, 1, 1], (0, -30, 8))
    middle = fixed.centre_ras + np.array([3.0, -4, 5])
    images = (
        Volume(tissue(truth(points_of(fixed))), fixed.ijk_to_ras),
        Volume(tissue(points_of(moving)), moving.ijk_to_ras),
    )
    masks = ball(fixed, middle), ball(moving, truth(middle))
    marks = middle + np.random.default_rng(0).uniform(-25, 25, (12, 3))
    names = [f"p{n}" for n in range(12)]
    points = Landmarks(marks, tuple(names)), Landmarks(truth(marks)[::-1], tuple(names[::-1]))
    ready = [prepare(image, MRI, mask, 4.0) for image, mask in zip(images, masks, strict=True)]
    pair = placed(
        *ready, ALIGNMENT, LATTICE, sampling=sampling, landmarks=points if landmarks else (points[0], None), truth=truth
    )
    place = network_lattice(SHAPE, SPACING_MM, ready[0])
    return SimpleNamespace(
        pair=pair, place=place, fixed=ready[0], moving=ready[1], lattices=(fixed, moving), middle=middle
    )


@pytest.fixture(scope="module")
def made():
    return build()


def test_the_lattice_lies_around_the_fixed_lungs_with_the_fixed_axes(made):
    assert np.linalg.det(made.lattices[0].ijk_to_ras[:3, :3]) < 0 < np.linalg.det(made.place.ijk_to_ras[:3, :3])
    assert made.place.spacing_mm == pytest.approx(SPACING_MM)
    assert made.place.centre_ras == pytest.approx(made.middle, abs=1)
    cosines = np.abs(made.place.ijk_to_ras[:3, :3].T @ made.lattices[0].ijk_to_ras[:3, :3])
    assert np.sort(cosines.max(axis=1) / cosines.sum(axis=1)) == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(("sampling", "close"), [("mean", 0.035), ("cubic", 0.012)])
def test_both_images_show_what_lies_there(sampling, close):
    made = build(sampling=sampling)
    x = points_of(made.place)
    inside = np.stack(
        [ndimage.binary_erosion(made.lattices[n].contains(at)) for n, at in enumerate((x, apply(ALIGNMENT, x)))]
    )
    expected = tissue(truth(x)), tissue(apply(ALIGNMENT, x))
    for image, value, seen in zip((made.pair.fixed, made.pair.moving), expected, inside, strict=True):
        assert seen.mean() > 0.2
        assert np.abs(image[0].numpy() - value)[seen].max() < close
        assert np.abs(image[0].numpy() - value)[seen].mean() < close / 2


def test_the_known_displacement_warps_the_moving_image_onto_the_fixed_one(made):
    pair = made.pair
    warped = warp(pair.moving[None], displacement_grid(pair.displacement[None]))[0]
    certain = torch.from_numpy(ndimage.binary_erosion(pair.certainty[0].numpy() > 0))[None]
    before, after = ((image - pair.fixed)[certain].abs().mean() for image in (pair.moving, warped))
    assert float(after) < 0.25 * float(before)
    assert float(after) < 0.015


def test_it_is_the_truth_beyond_the_alignment_in_voxels(made):
    index = np.array([6, 5, 7])  # (i, j, k)
    x = nibabel.affines.apply_affine(made.place.ijk_to_ras, index)
    # The lattice's voxels as the alignment takes them into the moving image.
    seen = nibabel.affines.apply_affine(np.linalg.inv(ALIGNMENT @ made.place.ijk_to_ras), truth(x))
    assert made.pair.displacement[:, 7, 5, 6].numpy() == pytest.approx(seen - index, abs=1e-4)


def test_landmarks_are_paired_by_label_and_follow_the_displacement(made):
    assert made.pair.landmarks.shape == (12, 2, 3)
    u = made.pair.displacement.numpy()
    for x, y in made.pair.landmarks.numpy():
        at = np.array([ndimage.map_coordinates(part, x[::-1, None], order=3)[0] for part in u])
        assert x + at == pytest.approx(y, abs=0.02)
    assert np.ptp(made.pair.landmarks[:, 0].numpy(), axis=0).min() > 2


def test_landmarks_of_one_image_alone_are_left_out():
    assert build(landmarks=False).pair.landmarks.shape == (0, 2, 3)


def test_landmarks_that_cannot_be_paired_are_an_error(made):
    marks = Landmarks(np.zeros((2, 3)), ("a", "b"), "fixed.csv"), Landmarks(np.zeros((1, 3)), ("a",), "moving.csv")
    with pytest.raises(LandmarkError, match=r"2 points in fixed.csv and 1 in moving.csv"):
        placed(made.fixed, made.moving, ALIGNMENT, LATTICE, landmarks=marks)


def test_certain_is_what_both_images_cover(made):
    x = points_of(made.place)
    covered = np.ones(SHAPE, bool)
    for lattice, points in zip(made.lattices, (x, truth(x)), strict=True):
        ijk = nibabel.affines.apply_affine(np.linalg.inv(lattice.ijk_to_ras), points)
        covered &= ((ijk > -0.5) & (ijk < np.array(lattice.shape[::-1]) - 0.5)).all(axis=-1)
    assert 0.1 < covered.mean() < 0.9
    assert np.array_equal(made.pair.certainty[0].numpy() > 0, covered)


def test_lungs_keep_their_volume_and_end_with_the_image(made):
    volume = 4 / 3 * np.pi * 40 * 35 * 45
    voxel = np.prod(SPACING_MM)
    assert float(made.pair.fixed_lungs.sum()) * voxel == pytest.approx(volume, rel=0.02)
    assert float(made.pair.moving_lungs.sum()) * voxel == pytest.approx(volume / np.linalg.det(ALIGNMENT), rel=0.04)
    full = Volume(np.ones_like(made.moving.image.array), made.moving.image.ijk_to_ras)
    moving = type(made.moving)(made.moving.image, full, MRI)
    lungs = placed(made.fixed, moving, ALIGNMENT, LATTICE).moving_lungs[0].numpy()
    covered = made.lattices[1].contains(apply(ALIGNMENT, points_of(made.place)))
    assert not covered.all()
    assert np.array_equal(lungs > 0, covered)


def test_an_exact_alignment_leaves_nothing_to_find():
    pair = build(lambda x: apply(ALIGNMENT, x)).pair
    assert float(pair.displacement.abs().max()) < 1e-4
    certain = torch.from_numpy(ndimage.binary_erosion(pair.certainty[0].numpy() > 0))[None]
    assert float((pair.fixed - pair.moving)[certain].abs().max()) < 0.02


def test_without_masks_and_truth_nothing_is_known(made):
    fixed, moving = (type(ready)(ready.image, None, MRI) for ready in (made.fixed, made.moving))
    pair = placed(fixed, moving, np.eye(4), LATTICE)
    assert all(float(part.abs().sum()) == 0 for part in pair[2:6])
    centre = network_lattice(SHAPE, SPACING_MM, fixed).centre_ras
    assert centre == pytest.approx(fixed.image.lattice.centre_ras)


def test_the_network_sees_the_same_in_a_registration(made, monkeypatch):
    seen = []

    def watching(network, fixed, moving, *, use_linear):
        seen.extend([fixed[0], moving[0]])
        return compose(torch.ones(1, 3, *SHAPE), None, "first")

    monkeypatch.setattr("LungDeepRegLib.network_stage.infer", watching)
    config = SimpleNamespace(
        lattice_shape=SHAPE, lattice_spacing_mm=SPACING_MM, stride=1, passes=(1.0,), both_ways=False
    )
    checkpoint = SimpleNamespace(config=config, network=torch.nn.Identity())
    predict(made.fixed, made.moving, ALIGNMENT, checkpoint, use_linear=True)
    torch.testing.assert_close(seen[0], made.pair.fixed, atol=1e-6, rtol=0)
    torch.testing.assert_close(seen[1], made.pair.moving, atol=1e-6, rtol=0)


class TestCubicSampling:
    def test_cubic_polynomials_are_reproduced(self):
        lattice = volume_lattice((20, 24, 22), (2, 3, 2.5), (10, 20, -15), [0, 1, 2], [-1, 1, 1], (0, 0, 0))

        def polynomial(points):
            r, a, s = np.moveaxis(points / 40, -1, 0)
            return 0.5 + 0.2 * r**3 - 0.15 * a**2 * s + 0.1 * r * a * s - 0.1 * s**2 + 0.05 * a

        wanted = volume_lattice((6, 5, 7), (3.1, 2.2, 4), (-20, 5, 30), [2, 0, 1], [1, -1, 1], (1, -2, 1.5))
        image = Volume(polynomial(points_of(lattice)), lattice.ijk_to_ras)
        assert interpolated(image, wanted).array == pytest.approx(polynomial(points_of(wanted)), abs=1e-4)

    def test_the_papers_scaling_by_two_thirds(self):
        array = ndimage.gaussian_filter(np.random.default_rng(0).random((24, 18, 30)), 1).astype(np.float32)
        array = (array - array.min()) / np.ptp(array)
        ready = prepare(Volume(array, np.diag([2.0, 3, 1.5, 1])), MRI, None, 0.01)
        smaller = Lattice((16, 12, 20), np.diag([3.0, 4.5, 2.25, 1]))
        pair = placed(ready, ready, np.eye(4), smaller, sampling="cubic")
        scaled = ndimage.zoom(array, 2 / 3, order=3, mode="nearest", grid_mode=True)
        assert scaled.shape == (16, 12, 20)
        assert pair.fixed[0].numpy() == pytest.approx(np.clip(scaled, 0, 1), abs=1e-5)

    def test_values_stay_in_range(self):
        """A spline overshoots at edges."""
        array = np.zeros((8, 8, 8), np.float32)
        array[4:] = 1
        finer = volume_lattice((12, 12, 12), (0.5, 0.5, 0.5), (0, 0, 0), [0, 1, 2], [1, 1, 1], (3.5, 3.5, 3.5))
        found = interpolated(Volume(array, np.eye(4)), finer).array
        assert 0 <= found.min() <= found.max() <= 1

    def test_another_sampling_is_refused(self, made):
        with pytest.raises(PlacingError, match="found the sampling 'linear', expected one of mean, cubic"):
            placed(made.fixed, made.moving, ALIGNMENT, LATTICE, sampling="linear")
