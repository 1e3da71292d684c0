"""The whole registration: its contracts, on a coarse phantom and on small images."""

import functools

import numpy as np
import pytest
import torch
from LungDeepRegLib.checkpoint import BUNDLED, Checkpoint, load_checkpoint
from LungDeepRegLib.displacement_field import lattice_points
from LungDeepRegLib.geometry import apply, corner_indices, index_box
from LungDeepRegLib.metrics import folded_cells
from LungDeepRegLib.network import NetworkConfig, RegistrationNetwork
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.registration import (
    STAGES,
    Options,
    RegistrationError,
    choose_device,
    with_cpu_in_reserve,
)
from LungDeepRegLib.registration import register as register_by_default
from LungDeepRegLib.volume import Volume, VolumeError
from scipy.spatial.transform import Rotation

LATTICE = chest_lattice(6.0)
FAST = Options(device="cpu")
STILL = Options(device="cpu", alignment="none", refine="off")
register = functools.partial(register_by_default, checkpoint=None)


class Chests:
    """A phantom pair with its masks, the truth in the lungs, and a plain registration of it."""

    def __init__(self):
        self.pair = make_pair(PhantomConfig(seed=1, motion_mm=25.0), LATTICE, LATTICE)
        self.fixed, self.moving = self.pair.fixed, self.pair.moving
        self.masks = {"fixed_mask": self.pair.fixed_mask.array, "moving_mask": self.pair.moving_mask.array}
        self.points = apply(LATTICE.ijk_to_ras, np.argwhere(self.masks["fixed_mask"])[:, ::-1].astype(float))
        self.truth = self.pair.phi(self.points)
        self.told = []
        self.before = [a.copy() for a in (self.fixed.array, self.moving.array, *self.masks.values())]
        self.plain = register(
            self.fixed, self.moving, FAST, **self.masks, progress=lambda *told: self.told.append(told)
        )


@pytest.fixture(scope="module")
def chests():
    return Chests()


def rms(vectors):
    return np.linalg.norm(vectors, axis=-1).mean()


# --- a pair with a known map


def test_the_known_map_is_found(chests):
    phi = chests.plain.field
    initial, aligned = (
        rms(chests.truth - chests.points),
        rms(chests.truth - apply(chests.plain.alignment.matrix, chests.points)),
    )
    assert initial > 10
    assert rms(phi(chests.points) - chests.truth) < 0.75 * aligned < 0.25 * initial
    assert rms(phi(chests.points) - chests.truth) < 2.5


def test_what_it_says_about_itself(chests):
    plain = chests.plain
    assert plain.options is FAST
    assert plain.device == "cpu"
    assert set(plain.seconds) == set(STAGES)
    assert plain.warnings == ("no trained weights: the network was left out",)
    assert plain.fixed_intensity.modality == plain.moving_intensity.modality == "ct"
    np.testing.assert_array_equal(plain.fixed_lungs, chests.masks["fixed_mask"] > 0)
    np.testing.assert_array_equal(plain.moving_lungs, chests.masks["moving_mask"] > 0)


def test_warped_is_the_moving_image_at_phi_of_x(chests):
    plain = chests.plain
    assert plain.warped.lattice == LATTICE
    mapped = plain.field(lattice_points(LATTICE)).reshape(*LATTICE.shape, 3)
    covered = chests.moving.lattice.contains(mapped)
    assert (plain.covered == covered).mean() > 0.999
    ijk = apply(chests.moving.lattice.ras_to_ijk, mapped)[covered & plain.covered]
    lower = np.floor(ijk).astype(int)
    top = np.array(LATTICE.shape[::-1]) - 1
    expected = np.zeros(len(ijk))
    for corner in np.ndindex(2, 2, 2):
        near = np.clip(lower + corner, 0, top)
        weight = np.prod(np.where(corner, ijk - lower, 1 - (ijk - lower)), axis=1)
        expected += weight * chests.moving.array[near[:, 2], near[:, 1], near[:, 0]]
    np.testing.assert_allclose(plain.warped.array[covered & plain.covered], expected, atol=1.0)


def test_the_field_encloses_the_fixed_image_and_does_not_fold(chests):
    where = chests.plain.field.lattice
    ijk = apply(where.ras_to_ijk, apply(LATTICE.ijk_to_ras, corner_indices(LATTICE.shape, outer=True)))
    assert (ijk >= 1 - 1e-6).all()
    assert (ijk <= np.array(where.shape[::-1]) - 2 + 1e-6).all()
    assert not folded_cells(chests.plain.field).any()


def test_the_inputs_are_never_changed(chests):
    now = [chests.fixed.array, chests.moving.array, *chests.masks.values()]
    for array, before in zip(now, chests.before, strict=True):
        np.testing.assert_array_equal(array, before)


def test_progress_goes_up_in_each_stage_in_their_order(chests):
    names = [stage for stage, _ in chests.told]
    assert list(dict.fromkeys(names)) == list(STAGES)
    assert names == sorted(names, key=STAGES.index)
    for stage in STAGES:
        fractions = [fraction for name, fraction in chests.told if name == stage]
        assert fractions == sorted(fractions)
        assert (fractions[0], fractions[-1]) == (0, 1)
    assert names.count("refine") > 20


def test_progress_can_stop_it(chests):
    class StoppedError(Exception):
        """What the user asked for."""

    def stop(stage, fraction):
        if stage == "refine" and fraction > 0:
            raise StoppedError

    with pytest.raises(StoppedError):
        register(chests.fixed, chests.moving, Options(device="cpu", alignment="none"), **chests.masks, progress=stop)


def test_two_runs_are_the_same_to_the_last_bit(chests):
    again = register(chests.fixed, chests.moving, FAST, **chests.masks)
    np.testing.assert_array_equal(again.field.vectors, chests.plain.field.vectors)
    np.testing.assert_array_equal(again.warped.array, chests.plain.warped.array)


# --- any geometry, any field of view

TILTED = np.eye(4)
TILTED[:3, :3] = Rotation.from_euler("xyz", [12, -15, 10], degrees=True).as_matrix()
TILTED[:3, 3] = [40, -60, 90]


def turned(volume, axes, flips, cut=0):
    """The same voxels in another axis order and other signs, some planes cut off; a function does it to any array."""

    def turn(array):
        inner = array[cut : array.shape[0] - cut, cut : array.shape[1] - cut]
        return np.flip(inner.transpose(axes), flips)

    k, j, i = (turn(index) for index in np.indices(volume.array.shape))
    ijk = np.stack([i, j, k], axis=-1)
    origin = apply(volume.ijk_to_ras, ijk[0, 0, 0])
    matrix = np.eye(4)
    for axis, neighbour in enumerate((ijk[0, 0, 1], ijk[0, 1, 0], ijk[1, 0, 0])):
        matrix[:3, axis] = apply(volume.ijk_to_ras, neighbour) - origin
    matrix[:3, 3] = origin
    return Volume(turn(volume.array), matrix, volume.name), turn


@pytest.mark.parametrize(
    ("fixed_as", "moving_as", "world"),
    [
        (((1, 0, 2), (0, 2)), ((0, 1, 2), (2,)), np.eye(4)),  # coronal; left-handed
        (((0, 1, 2), (2,)), ((2, 0, 1), (0, 1)), TILTED),  # left-handed and oblique; sagittal and oblique
    ],
    ids=["coronal", "oblique"],
)
def test_other_geometries_and_fields_of_view_give_the_same_map(chests, fixed_as, moving_as, world):
    fixed, turn_fixed = turned(chests.fixed, *fixed_as)
    moving, turn_moving = turned(chests.moving, *moving_as, cut=2)
    fixed, moving = (Volume(v.array, world @ v.ijk_to_ras, v.name) for v in (fixed, moving))
    found = register(
        fixed,
        moving,
        FAST,
        fixed_mask=turn_fixed(chests.masks["fixed_mask"]),
        moving_mask=turn_moving(chests.masks["moving_mask"]),
    )
    assert found.warped.lattice == fixed.lattice
    back = apply(np.linalg.inv(world), found.field(apply(world, chests.points)))
    assert rms(back - chests.plain.field(chests.points)) < 1.0
    assert rms(back - chests.truth) < 2.5
    assert not folded_cells(found.field).any()


# --- switches


def checkpoint(shift_mm, spacing_mm=20.0):
    """A network whose linear branch moves everything by so many mm along R, A and S."""
    config = NetworkConfig(
        (4,),
        (1,),
        (4,),
        squeeze_reduction=2,
        lattice_shape=(20, 16, 18),
        lattice_spacing_mm=(spacing_mm, spacing_mm, spacing_mm),
    )
    network = RegistrationNetwork(config)
    with torch.no_grad():
        network.linear_branch.matrix.bias[[3, 7, 11]] = torch.tensor(shift_mm) / spacing_mm * 2 / 19
    return Checkpoint(network.eval(), {})


def shifted(volume, mm):
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] += mm
    return Volume(volume.array, matrix, "shifted")


def test_without_network_and_refinement_it_is_the_alignment_alone(chests):
    found = register(
        chests.fixed,
        shifted(chests.moving, [9, 0, 30]),
        Options(device="cpu", alignment="centre", refine="off"),
        **chests.masks,
    )
    matrix = found.alignment.matrix
    assert 15 < matrix[2, 3] < 60
    np.testing.assert_array_equal(matrix[:3, :3], np.eye(3))
    np.testing.assert_allclose(found.field(chests.points), apply(matrix, chests.points), atol=1e-3)
    assert "no trained weights: the network was left out" in found.warnings


def test_identity_in_identity_out(chests):
    for trained in (None, checkpoint((0.0, 0.0, 0.0))):
        found = register(
            chests.fixed,
            chests.fixed,
            STILL,
            checkpoint=trained,
            fixed_mask=chests.masks["fixed_mask"],
            moving_mask=chests.masks["fixed_mask"],
        )
        assert not found.field.vectors.any()
        assert found.covered.all()
        np.testing.assert_allclose(found.warped.array, chests.fixed.array, atol=2e-2)


@pytest.mark.parametrize("linear_branch", [True, False])
def test_the_alignment_and_the_linear_branch_are_two_switches(chests, linear_branch):
    mask = chests.masks["fixed_mask"]
    moving = shifted(chests.fixed, [0, 20, 0])
    masks = {"fixed_mask": mask, "moving_mask": mask}
    trained = checkpoint((0.0, 20.0, 0.0))
    options = Options(device="cpu", alignment="none", refine="off", linear_branch=linear_branch)
    network = register(chests.fixed, moving, options, **masks, checkpoint=trained)
    np.testing.assert_allclose(
        network.field.vectors, np.broadcast_to([0, 20 * linear_branch, 0], network.field.vectors.shape), atol=1e-2
    )
    assert not any("network" in warning for warning in network.warnings)
    options = Options(device="cpu", alignment="centre", refine="off", linear_branch=linear_branch)
    aligned = register(chests.fixed, moving, options, **masks, checkpoint=checkpoint((0.0, 0.0, 0.0)))
    np.testing.assert_allclose(
        aligned.field(chests.points) - chests.points, np.broadcast_to([0, 20, 0], chests.points.shape), atol=1e-2
    )


@pytest.mark.parametrize("refine", ["off", "fast"])
def test_a_network_that_does_harm_is_left_out_and_that_is_said(chests, refine):
    options = Options(device="cpu", alignment="none", refine=refine)
    harmed = register(chests.fixed, chests.moving, options, **chests.masks, checkpoint=checkpoint((60.0, 0.0, 0.0)))
    without = register(chests.fixed, chests.moving, options, **chests.masks)
    np.testing.assert_allclose(harmed.field(chests.points), without.field(chests.points), atol=1e-2)
    assert "the network's result was left out: the images are more alike without it" in harmed.warnings


# --- fill and coverage


@pytest.mark.parametrize(
    ("contrast", "modality", "offset", "fill"),
    [("ct", "auto", 0, -1024), ("ct", "auto", 1024, 0), ("mri", "mri", 0, None), ("mri", "paper", 7, None)],
)
def test_outside_the_moving_image_there_is_air_or_its_least_value(contrast, modality, offset, fill):
    coarse = chest_lattice(12.0)
    pair = make_pair(PhantomConfig(contrast=contrast), coarse, coarse)
    fixed, moving = (v.with_array(v.array + np.array(offset, v.array.dtype)) for v in (pair.fixed, pair.moving))
    part = index_box(coarse, np.array([0, 0, 8]), np.array([*coarse.shape[:0:-1], coarse.shape[0] - 8]))
    moving = Volume(moving.array[8:], part.ijk_to_ras, "part")
    options = Options(device="cpu", alignment="none", refine="off", modality=modality)
    found = register(fixed, moving, options, fixed_mask=pair.fixed_mask.array, moving_mask=pair.moving_mask.array[8:])
    expected = np.ones(coarse.shape, bool)
    expected[:8] = False
    np.testing.assert_array_equal(found.covered, expected)
    fill = moving.array.min() if fill is None else fill
    np.testing.assert_allclose(found.warped.array[:8], fill, rtol=1e-6)
    # the original voxels, not those clamped to a window
    np.testing.assert_allclose(found.warped.array[8:], moving.array, atol=2e-2)


# --- what cannot be registered


def small(seed=0):
    array = np.random.default_rng(seed).normal(size=(12, 12, 12)).astype(np.float32)
    return Volume(array, np.diag([5.0, 5, 5, 1]), "small")


@pytest.mark.parametrize("which", ["fixed_mask", "moving_mask"])
def test_masks_of_another_grid_and_empty_ones_are_refused(which):
    with pytest.raises(VolumeError, match=r"small: found a mask of shape \(12, 12, 11\), expected .*\(12, 12, 12\)"):
        register(small(), small(1), STILL, **{which: np.ones((12, 12, 11))})
    with pytest.raises(VolumeError, match="small: found an empty mask"):
        register(small(), small(1), STILL, **{which: np.zeros((12, 12, 12))})


def test_images_without_numbers_and_constant_ones_are_refused():
    bad = small()
    bad.array[3, 3, 3] = np.nan
    for pair in ((bad, small()), (small(), bad)):
        with pytest.raises(VolumeError, match="small: found 1 NaN or infinite"):
            register(*pair, STILL)
    with pytest.raises(VolumeError, match="small: found the same value"):
        register(small(), small().with_array(np.zeros((12, 12, 12))), STILL)


@pytest.mark.parametrize("refine", ["off", "fast"])
def test_images_that_do_not_overlap_are_refused(refine):
    options = Options(device="cpu", alignment="none", refine=refine)
    with pytest.raises(RegistrationError, match="small and shifted do not overlap"):
        register(small(), shifted(small(1), [0, 1000, 0]), options)


def test_ct_without_lungs_is_registered_as_a_whole_and_that_is_said():
    rng = np.random.default_rng(0)
    hu = rng.normal(40, 20, (16, 20, 20))
    hu[:, :4], hu[:, -4:] = -1000, -1000
    volume = Volume(hu.astype(np.int16), np.diag([5.0, 5, 5, 1]), "legs")
    found = register(volume, volume, STILL)
    assert found.warnings[:2] == ("legs: no lung found; the whole image is used",) * 2
    assert found.fixed_lungs is None


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_gpu_that_is_asked_for_but_absent(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(RegistrationError, match=f"found no {device} device.*choose auto or cpu"):
        register(small(), small(1), Options(device=device))
    assert choose_device("auto") == torch.device("cpu")


def test_out_of_memory_on_the_gpu_goes_on_on_the_cpu_and_says_so():
    tried, warnings = [], []

    def run(device):
        tried.append(device.type)
        if device.type != "cpu":
            raise RuntimeError("MPS backend out of memory")  # noqa: EM101
        return "found"

    assert with_cpu_in_reserve(run, torch.device("mps"), warnings) == ("found", torch.device("cpu"))
    assert tried == ["mps", "cpu"]
    assert len(warnings) == 1
    assert "memory" in warnings[0]
    assert "CPU" in warnings[0]


@pytest.mark.parametrize(("device", "text"), [("cpu", "out of memory"), ("mps", "something else")])
def test_other_errors_are_not_hidden(device, text):
    def run(_):
        raise RuntimeError(text)

    with pytest.raises(RuntimeError, match=text):
        with_cpu_in_reserve(run, torch.device(device), [])


@pytest.mark.parametrize("name", ["modality", "alignment", "refine", "device", "similarity"])
def test_unknown_settings_are_answered_with_those_that_exist(name):
    with pytest.raises(ValueError, match=r"'unheard_of'.*, expected one of"):
        Options(**{name: "unheard_of"})


@pytest.mark.parametrize("region", ["lungs", "image"])
def test_the_voxel_budget_has_a_least_value_that_works(chests, region):
    with pytest.raises(ValueError, match="9999"):
        Options(voxel_budget=9999)
    options = Options(
        device="cpu", alignment="none", voxel_budget=10_000, modality="ct" if region == "lungs" else "mri"
    )
    found = register(chests.fixed, chests.moving, options, **(chests.masks if region == "lungs" else {}))
    assert not folded_cells(found.field).any()


def test_the_weights_that_ship_are_the_default(chests):
    options = Options(device="cpu", refine="off")
    found = register_by_default(chests.fixed, chests.moving, options, **chests.masks)
    asked = register(chests.fixed, chests.moving, options, **chests.masks, checkpoint=load_checkpoint(BUNDLED))
    assert not [warning for warning in found.warnings if "no trained weights" in warning]
    np.testing.assert_array_equal(found.field.vectors, asked.field.vectors)
