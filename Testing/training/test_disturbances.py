"""Disturbed pairs: the truth still leads from the one image to the other, and all depends on number and seed alone."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.intensity import choose_intensity
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from scipy import ndimage

from training.known_motion import Breath, simulate
from training.performance import disturbances
from training.performance.disturbances import CONTRASTS, CROPS, KINDS, Disturbance, coarser, disturbance, disturbed

STILL = Disturbance("offset", Breath(motion_mm=15, noise_hu=0))


@pytest.fixture(scope="module")
def ct():
    lattice = chest_lattice(6.0)
    return make_pair(PhantomConfig(noise=0), fixed_lattice=lattice, moving_lattice=lattice).moving


@pytest.fixture(autouse=True)
def one_breath(ct, monkeypatch):
    """Simulated once for all tests."""
    monkeypatch.setattr(disturbances, "simulate", lambda image, breath: simulated(image))


@cache
def simulated(ct):
    return simulate(ct, STILL.breath)


def values_at(image, points):
    ijk = apply(image.lattice.ras_to_ijk, points)
    return ndimage.map_coordinates(image.array.astype(np.float32), ijk[:, ::-1].T, order=1, mode="nearest")


def likeness(pair):
    """The correlation of the fixed lungs with what the truth says they are in the moving image."""
    return np.corrcoef(values_at(pair.fixed, pair.seen), values_at(pair.moving, pair.truth))[0, 1]


@pytest.mark.parametrize("change", [
    {}, {"offset_mm": (30.0, -20.0, 45.0)}, {"rotation_degrees": (5.0, -9.0, 8.0), "offset_mm": (9.0, 0.0, 0.0)},
    *({"crop": crop, "kept": 0.6} for crop in CROPS), *({"contrast": contrast} for contrast in CONTRASTS[:3]),
])  # fmt: skip
def test_the_truth_leads_to_the_same_tissue(ct, change):
    pair = disturbed(ct, replace(STILL, **change))
    assert len(pair.seen) == len(pair.truth) > 500
    assert likeness(pair) > (0.6 if "MRI" in change.get("contrast", "") else 0.9)
    assert pair.fixed_lungs.shape == pair.fixed.array.shape
    assert pair.fixed.lattice.contains(pair.seen).all()
    assert pair.moving.lattice.contains(pair.truth).all()


def test_offset_and_rotation_move_the_truth_by_as_much(ct):
    still, moved, turned = (
        disturbed(ct, replace(STILL, **change))
        for change in ({}, {"offset_mm": (0.0, 36.0, 48.0)}, {"rotation_degrees": (0.0, 0.0, 12.0)})
    )
    assert moved.truth - still.truth == pytest.approx(np.broadcast_to([0.0, 36.0, 48.0], still.truth.shape))
    middle = still.moving.lattice.centre_ras
    angles = [np.arctan2(*(truth - middle).T[[1, 0]]) for truth in (still.truth, turned.truth)]
    assert np.rad2deg((angles[1] - angles[0] + np.pi) % (2 * np.pi) - np.pi) == pytest.approx(12)


def test_crops_leave_what_they_say(ct):
    whole, one, both, low, high = (disturbed(ct, replace(STILL, crop=crop, kept=0.6)) for crop in ("", *CROPS))
    assert one.fixed.array.shape == whole.fixed.array.shape
    assert one.moving.array.shape[2] < 0.7 * whole.moving.array.shape[2]
    assert both.fixed.array.shape[2] < 0.7 * whole.fixed.array.shape[2]
    assert both.seen[:, 0].min() > whole.seen[:, 0].mean() - 20
    assert low.truth[:, 2].max() < whole.truth[:, 2].max() - 50
    assert high.seen[:, 2].min() > whole.seen[:, 2].min() + 50
    assert high.moving.array.shape == whole.moving.array.shape


def test_contrasts_are_read_as_what_they_are(ct):
    pairs = {contrast: disturbed(ct, replace(STILL, contrast=contrast)) for contrast in CONTRASTS}
    modalities = {
        contrast: [choose_intensity(image).modality for image in (pair.fixed, pair.moving)]
        for contrast, pair in pairs.items()
    }
    assert modalities == {
        "CT, another scale": ["ct", "ct"], "MRI-like": ["mri", "mri"], "MRI-like, dark fat": ["mri", "mri"],
        "MRI-like onto CT": ["ct", "mri"],
    }  # fmt: skip


def test_kinds_come_in_turn_and_keep_within_their_bounds():
    found = [disturbance(number, seed=4) for number in range(48)]
    assert [what.kind for what in found[:6]] == list(KINDS)
    for what in found:
        every = what.kind == "all"
        assert 8 <= abs(what.breath.motion_mm) <= 30
        assert any(what.offset_mm) == (every or what.kind == "offset")
        assert np.linalg.norm(what.offset_mm) <= 60
        assert any(what.rotation_degrees) == (every or what.kind == "rotation")
        assert np.linalg.norm(what.rotation_degrees) <= 15
        assert (what.breath.noise_hu > 20) == (every or what.kind == "noise")
        assert bool(what.crop) == (every or what.kind == "crop")
        assert bool(what.contrast) == (every or what.kind == "contrast")
    assert {what.crop for what in found} == {"", *CROPS}
    assert {what.contrast for what in found} == {"", *CONTRASTS}
    assert found[7] == disturbance(7, seed=4) != disturbance(7, seed=5)
    assert "offset" in found[0].words
    assert found[5].crop in found[5].words


def test_the_same_number_gives_the_same_pair(ct):
    first, again = (disturbed(ct, disturbance(10, seed=1)) for _ in range(2))
    assert np.array_equal(first.moving.array, again.moving.array)
    assert np.array_equal(first.truth, again.truth)


def test_a_crop_that_leaves_nothing_is_an_error(ct):
    with pytest.raises(ValueError, match="points of the lungs in both images, expected at least"):
        disturbed(ct, replace(STILL, crop=CROPS[2], kept=0.1))


def test_coarser_voxels_are_whole_means(ct):
    small = coarser(ct, 12.0)
    assert small.lattice.spacing_mm == pytest.approx(12.0)
    assert small.array[3, 4, 5] == pytest.approx(ct.array[6:8, 8:10, 10:12].mean())
