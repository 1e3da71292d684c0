"""The network on one pair: where its lattice lies, and which way its displacement points."""

import dataclasses

import numpy as np
import pytest
import torch
from LungDeepRegLib import network_stage
from LungDeepRegLib.checkpoint import Checkpoint
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice, apply, canonical_axes
from LungDeepRegLib.intensity import Intensity
from LungDeepRegLib.network import NetworkConfig, RegistrationNetwork
from LungDeepRegLib.network_inference import infer
from LungDeepRegLib.network_stage import network_lattice, on_lattice, predict
from LungDeepRegLib.preprocessing import prepare
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
TINY = NetworkConfig(
    (4,), (1,), (4,), squeeze_reduction=2, lattice_shape=(8, 10, 9), lattice_spacing_mm=(6.0, 6.0, 6.0)
)
UNIT = Intensity("mri", 0.0, 1.0, 0.0, "as the test says")
MATRIX = np.eye(4)
MATRIX[:3, :3] = Rotation.from_euler("z", 20, degrees=True).as_matrix()
MATRIX[:3, 3] = [100, -20, 35]


def image(name, lungs=None):
    matrix = np.eye(4)
    matrix[:3, :3] = DIRECTIONS[name] * [2.0, 2.5, 3.0]
    matrix[:3, 3] = [30, -120, 55]
    array = np.random.default_rng(0).uniform(size=(20, 22, 24)).astype(np.float32)
    return prepare(Volume(array, matrix, name), UNIT, lungs, 1.25)


def checkpoint(voxels=(0.0, 0.0, 0.0)):
    """A network that moves everything by so many of its voxels ``(i, j, k)``."""
    network = RegistrationNetwork(TINY)
    longest = max(TINY.lattice_shape) - 1
    with torch.no_grad():
        network.linear_branch.matrix.bias[[3, 7, 11]] = torch.tensor(voxels) * 2 / longest
    return Checkpoint(network.eval(), {})


@each_direction
def test_the_lattice_is_that_of_the_weights_in_the_middle_of_the_image(name):
    fixed = image(name)
    found = network_lattice(TINY.lattice_shape, TINY.lattice_spacing_mm, fixed)
    assert found.shape == TINY.lattice_shape
    np.testing.assert_allclose(found.spacing_mm, 6.0)
    np.testing.assert_allclose(found.ijk_to_ras[:3, :3] / 6, canonical_axes(fixed.image.ijk_to_ras), atol=1e-9)
    np.testing.assert_allclose(found.centre_ras, fixed.image.lattice.centre_ras, atol=1e-9)


@each_direction
def test_with_a_mask_it_is_centred_on_the_lungs(name):
    lungs = np.zeros((20, 22, 24), bool)
    lungs[3:8, 12:20, 5:9] = True
    fixed = image(name, lungs)
    k, j, i = np.argwhere(lungs).mean(axis=0)
    expected = np.array([30, -120, 55]) + (DIRECTIONS[name] * [2.0, 2.5, 3.0]) @ [i, j, k]
    np.testing.assert_allclose(
        network_lattice(TINY.lattice_shape, TINY.lattice_spacing_mm, fixed).centre_ras, expected, atol=1e-3
    )


@each_direction
@pytest.mark.parametrize("use_linear", [True, False])
def test_a_fresh_network_moves_nothing(name, use_linear):
    v = predict(image(name), image("coronal"), MATRIX, checkpoint(), use_linear=use_linear)
    assert v.lattice.shape == TINY.lattice_shape
    assert not v.vectors.any()


@each_direction
def test_voxels_of_its_lattice_become_mm_in_the_world(name):
    fixed = image(name)
    v = predict(fixed, image("coronal"), MATRIX, checkpoint((1.0, -0.5, 2.0)), use_linear=True)
    expected = canonical_axes(fixed.image.ijk_to_ras) @ (6 * np.array([1.0, -0.5, 2.0]))
    np.testing.assert_allclose(v.vectors, np.broadcast_to(expected, v.vectors.shape), atol=1e-3)


def test_without_the_linear_branch_its_translation_is_gone():
    v = predict(image("oblique"), image("axial"), MATRIX, checkpoint((1.0, -0.5, 2.0)), use_linear=False)
    assert not v.vectors.any()


@pytest.fixture
def shown(monkeypatch):
    """The images that the network was last shown."""
    kept = []

    def spy(network, fixed, moving, *, use_linear):
        kept[:] = fixed, moving
        return infer(network, fixed, moving, use_linear=use_linear)

    monkeypatch.setattr(network_stage, "infer", spy)
    return kept


def ramp(where):
    """Linear in the fixed world."""
    points = apply(where.ijk_to_ras, np.stack(np.indices(where.shape)[::-1], axis=-1))
    return (0.5 + (points - [50, -90, 80]) @ np.array([0.003, -0.002, 0.004])).astype(np.float32)


@each_direction
def test_it_is_shown_both_images_through_the_alignment(name, shown):
    wide = np.eye(4)
    wide[:3, :3] = DIRECTIONS[name] * 4.0
    shape = (30, 32, 31)
    wide[:3, 3] = np.array([50, -90, 80]) - wide[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    where = Lattice(shape, wide)
    fixed = prepare(Volume(ramp(where), wide), UNIT, None, 1.25)
    # the moving image is the same tissue elsewhere in the world
    moving = prepare(Volume(ramp(where), MATRIX @ wide), UNIT, None, 1.25)
    predict(fixed, moving, MATRIX, checkpoint(), use_linear=True)
    expected = ramp(network_lattice(TINY.lattice_shape, TINY.lattice_spacing_mm, fixed))
    assert len(shown) == 2
    for image_shown in shown:
        assert image_shown.shape == (1, 1, *TINY.lattice_shape)
        np.testing.assert_allclose(image_shown[0, 0].numpy(), expected, atol=2e-3)


def test_the_network_is_left_as_it_was_and_its_answer_is_the_same_again():
    trained = checkpoint((0.3, 0.1, -0.4))
    with torch.no_grad():
        trained.network.deformable_branch.gradients.weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    before = {name: tensor.clone() for name, tensor in trained.network.state_dict().items()}
    fixed, moving = image("oblique"), image("coronal")
    copies = fixed.image.array.copy(), moving.image.array.copy()
    first, second = (predict(fixed, moving, MATRIX, trained, use_linear=True).vectors for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.std() > 0.1
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained.network.state_dict().items())
    np.testing.assert_array_equal(fixed.image.array, copies[0])
    np.testing.assert_array_equal(moving.image.array, copies[1])


@each_direction
def test_each_pass_looks_at_the_moving_image_as_moved_so_far(name, shown):
    """Two passes of one network that moves by a fixed number of voxels, on lattices of 12 and of 6 mm."""
    wide = np.eye(4)
    wide[:3, :3] = DIRECTIONS[name] * 4.0
    shape = (50, 52, 51)
    wide[:3, 3] = np.array([50, -90, 80]) - wide[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    where = Lattice(shape, wide)
    fixed = prepare(Volume(ramp(where), wide), UNIT, None, 1.25)
    moving = prepare(Volume(ramp(where), MATRIX @ wide), UNIT, None, 1.25)
    config = dataclasses.replace(TINY, passes=(2.0, 1.0))
    network = RegistrationNetwork(config).eval()
    coarse_voxels = [round(n / 2) for n in TINY.lattice_shape]
    with torch.no_grad():  # half a voxel of either lattice along i: in grid units that depends on the lattice
        network.linear_branch.matrix.bias[3] = 0.1
    v = predict(fixed, moving, MATRIX, Checkpoint(network, {}), use_linear=True)
    axes = canonical_axes(fixed.image.ijk_to_ras)
    first, second = (0.1 / 2 * (max(n) - 1) * mm for n, mm in ((coarse_voxels, 12.0), (TINY.lattice_shape, 6.0)))
    assert v.lattice.shape == TINY.lattice_shape
    np.testing.assert_allclose(v.vectors, np.broadcast_to(axes[:, 0] * (first + second), v.vectors.shape), atol=1e-3)
    shown_fixed, shown_moving = (image[0, 0].numpy() for image in shown)
    slope = np.array([0.003, -0.002, 0.004]) @ axes[:, 0]
    np.testing.assert_allclose(shown_moving, shown_fixed + slope * first, atol=2e-3)


@pytest.mark.parametrize(("passes", "left"), [((2.0, 1.0), 2.0), ((1.0,), 1.0)])
def test_before_a_refinement_the_finest_of_several_passes_is_left_out(passes, left):
    network = RegistrationNetwork(dataclasses.replace(TINY, passes=passes)).eval()
    v = predict(image("oblique"), image("coronal"), MATRIX, Checkpoint(network, {}), use_linear=True, to_refine=True)
    np.testing.assert_allclose(v.lattice.spacing_mm, np.array(TINY.lattice_spacing_mm) * left)


@pytest.mark.parametrize(("allowed_mm", "counted"), [(0, (1.0,)), (3, (4.0, 1.0)), (10, (4.0, 2.0, 1.0))])
def test_a_coarse_pass_counts_only_if_the_images_get_no_more_unlike(allowed_mm, counted):
    """The network moves by 2.7, 5.3 and 6 mm in its passes; only so many mm leave the images as they are."""

    def moved(passes, **settings):
        network = RegistrationNetwork(dataclasses.replace(TINY, passes=passes)).eval()
        network.load_state_dict(checkpoint((1.0, 0.0, 0.0)).network.state_dict())
        return predict(image("axial"), image("coronal"), MATRIX, Checkpoint(network, {}), use_linear=True, **settings)

    def unlike(v):
        return max(0.0, float(np.linalg.norm(v.vectors, axis=-1).mean()) - allowed_mm)

    expected = sum(moved((scale,)).vectors[0, 0, 0] for scale in counted)
    found = moved((4.0, 2.0, 1.0), unlike=unlike)
    np.testing.assert_allclose(found.vectors, np.broadcast_to(expected, found.vectors.shape), atol=1e-3)
    nothing = moved((4.0, 2.0, 1.0), unlike=unlike, to_refine=True) is None
    assert nothing == (counted == (1.0,))


@pytest.mark.parametrize(("passes", "counted"), [((1.0,), None), ((2.0, 1.0), 2.0)])
def test_both_ways_what_does_not_turn_round_with_the_images_cancels_in_fine_passes(passes, counted):
    """The network says the same motion whatever it sees."""

    def moved(**settings):
        network = RegistrationNetwork(dataclasses.replace(TINY, **settings)).eval()
        network.load_state_dict(checkpoint((1.0, 0.0, 0.0)).network.state_dict())
        return predict(image("oblique"), image("coronal"), MATRIX, Checkpoint(network, {}), use_linear=True)

    expected = moved(passes=(counted,)).vectors[0, 0, 0] if counted else 0.0
    found = moved(passes=passes, both_ways=True)
    np.testing.assert_allclose(found.vectors, np.broadcast_to(expected, found.vectors.shape), atol=1e-3)


def test_both_ways_the_one_way_counts_where_the_images_are_more_alike_by_it():
    network = RegistrationNetwork(dataclasses.replace(TINY, both_ways=True)).eval()
    network.load_state_dict(checkpoint((1.0, 0.0, 0.0)).network.state_dict())
    pair = image("axial"), image("coronal"), MATRIX, Checkpoint(network, {})
    far = predict(*pair, use_linear=True, unlike=lambda v: -float(np.abs(v.vectors).max()))
    near = predict(*pair, use_linear=True, unlike=lambda v: float(np.abs(v.vectors).max()))
    np.testing.assert_allclose(np.linalg.norm(far.vectors, axis=-1), 6, atol=1e-3)
    np.testing.assert_allclose(near.vectors, 0, atol=1e-3)


def test_images_of_every_pass_are_whole_blocks():
    config = dataclasses.replace(TINY, stride=2, matches=1, lattice_shape=(14, 12, 10), passes=(2.0, 1.0))
    v = predict(
        image("oblique"), image("coronal"), MATRIX, Checkpoint(RegistrationNetwork(config).eval(), {}), use_linear=True
    )
    assert v.lattice.shape == (14, 12, 10)
    np.testing.assert_allclose(v.vectors, 0, atol=1e-4)


def test_what_was_found_first_is_looked_up_where_the_second_map_leads():
    lattice = Lattice((12, 12, 12), np.diag([2.0, 2.0, 2.0, 1.0]))
    first = DisplacementField.from_displacement(lambda x: x * [0.1, 0, 0], lattice)
    second = DisplacementField.from_displacement(lambda x: np.broadcast_to([3.0, 0, 1.0], x.shape), lattice)
    both = first.after(second)
    inner = np.array([[4.0, 6.0, 8.0], [10.0, 2.0, 4.0]])
    np.testing.assert_allclose(both(inner), first(second(inner)), atol=1e-5)
    np.testing.assert_allclose(both(inner)[0], [7.7, 6, 9], atol=1e-5)


def test_fine_voxels_are_averaged_onto_its_lattice():
    checks = Volume((np.indices((24, 24, 24)).sum(axis=0) % 2).astype(np.float32), np.eye(4))
    matrix = np.diag([4.0, 4, 4, 1])
    matrix[:3, 3] = 5.5
    np.testing.assert_allclose(on_lattice(checks, Lattice((4, 4, 4), matrix)).array, 0.5, atol=1e-6)
