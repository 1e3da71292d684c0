"""What kind of image it is, and its window."""

import numpy as np
import pytest
from LungDeepRegLib.intensity import MODALITIES, choose_intensity, sampled_values
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.volume import Volume

SHAPE = (20, 30, 30)


def ct_hu(seed=0):
    """A quarter air and lung each, the rest soft tissue with some bone, in HU."""
    rng = np.random.default_rng(seed)
    hu = rng.normal(40, 25, SHAPE)
    hu[:5] = rng.normal(-990, 15, (5, 30, 30))
    hu[5:10] = rng.normal(-850, 50, (5, 30, 30))
    hu[18:, :5] = rng.normal(600, 100, (2, 5, 30))
    return np.clip(hu, -1024, 3000)


def mri_values(seed=0):
    """Dark background and lung, tissue spread over a wide range."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(200, 1300, SHAPE)
    values[:9] = np.abs(rng.normal(0, 12, (9, 30, 30)))
    return values


def volume(array, name="scan"):
    return Volume(array, np.eye(4), name)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_ct_is_recognised(dtype):
    found = choose_intensity(volume(ct_hu().astype(dtype)))
    assert (found.modality, found.low, found.high, found.fill, found.offset) == ("ct", -1000, 300, -1024, 0)
    assert found.reason.startswith("scan: CT (")
    assert "near air" in found.reason
    assert "window -1000 to 300" in found.reason
    assert "offset" not in found.reason


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_ct_with_its_offset_left_in_is_recognised(dtype):
    stored = (ct_hu() + 1024).astype(dtype)
    found = choose_intensity(volume(stored))
    assert (found.modality, found.low, found.high, found.fill, found.offset) == ("ct", 24, 1324, 0, 1024)
    assert "with an offset of 1024" in found.reason
    np.testing.assert_allclose(found.hounsfield(stored), stored - 1024.0)
    plain = choose_intensity(volume(ct_hu()))
    np.testing.assert_allclose(found.normalised(stored), plain.normalised(np.floor(ct_hu() + 1024) - 1024), atol=1e-5)


@pytest.mark.parametrize("offset", [0, 1024])
def test_ct_with_padding_outside_its_cone_is_recognised(offset):
    hu = ct_hu()
    hu[:, :4], hu[:, -4:] = -2048, -2048
    stored = (hu + offset).astype(np.int16)
    found = choose_intensity(volume(stored))
    assert (found.modality, found.fill, found.offset) == ("ct", -1024 + offset, offset)
    assert found.hounsfield(stored).min() == -1024
    assert found.normalised(stored)[:, :4].max() == 0


def test_mri_is_everything_else_between_percentiles_of_its_body():
    values = mri_values()
    found = choose_intensity(volume(values))
    assert found.modality == "mri"
    assert found.offset == 0
    assert found.fill == pytest.approx(values.min(), rel=1e-6)
    assert 0 <= found.low < 1
    assert 1200 < found.high < 1300
    assert found.reason.startswith("scan: MRI (its histogram has no air and soft tissue peaks")
    assert "by percentiles of the body" in found.reason


@pytest.mark.parametrize("factor", [0.01, 1.0, 50.0])
def test_the_window_of_mri_follows_its_scale(factor):
    found = choose_intensity(volume(mri_values() * factor))
    whole = choose_intensity(volume(mri_values()))
    assert found.modality == "mri"
    assert found.high == pytest.approx(whole.high * factor, rel=1e-3)


@pytest.mark.parametrize("contrast", ["ct", "mri"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_phantom_is_read_as_what_it_is(seed, contrast):
    pair = make_pair(PhantomConfig(seed=seed, contrast=contrast), chest_lattice(12.0), chest_lattice(12.0))
    for image in (pair.fixed, pair.moving):
        found = choose_intensity(image)
        assert (found.modality, found.offset) == (contrast, 0), found.reason


def test_mri_that_spans_the_numbers_of_ct_is_still_mri():
    found = choose_intensity(volume(np.random.default_rng(0).uniform(0, 2000, SHAPE)))
    assert found.modality == "mri"


def test_values_below_zero_are_no_reason_to_call_it_ct():
    found = choose_intensity(volume(mri_values() - 700))
    assert found.modality == "mri"
    assert found.fill < -600


def test_the_paper_has_a_fixed_window():
    values = mri_values()
    found = choose_intensity(volume(values), "paper")
    assert (found.modality, found.low, found.high) == ("mri", 0, 1300)
    assert found.fill == pytest.approx(values.min(), rel=1e-6)
    assert "paper's window [0, 1300]" in found.reason


@pytest.mark.parametrize("modality", ["ct", "mri"])
@pytest.mark.parametrize("make", [ct_hu, mri_values])
def test_what_is_asked_for_is_done(modality, make):
    found = choose_intensity(volume(make()), modality)
    assert found.modality == modality
    if (make is mri_values) or modality == "mri":
        assert "as asked for" in found.reason


def test_ct_that_is_asked_for_still_finds_its_offset():
    assert choose_intensity(volume(ct_hu() + 1024), "ct").offset == 1024


def test_an_unknown_modality_is_answered_with_those_that_exist():
    with pytest.raises(ValueError, match=f"'pet', expected one of {', '.join(MODALITIES)}"):
        choose_intensity(volume(ct_hu()), "pet")


def test_normalised_is_the_window_clipped_to_one():
    found = choose_intensity(volume(ct_hu()))
    stored = np.array([-3000, -1000, -350, 300, 2000], np.int16)
    normal = found.normalised(stored)
    np.testing.assert_allclose(normal, [0, 0, 0.5, 1, 1], atol=1e-6)
    assert normal.dtype == np.float32
    np.testing.assert_array_equal(stored, [-3000, -1000, -350, 300, 2000])


def test_a_nearly_constant_mri_still_has_a_window():
    array = np.zeros(SHAPE)
    array[0, 0, 0] = 5
    found = choose_intensity(volume(array))
    assert (found.low, found.high) == (0, 5)


def test_values_of_a_large_image_are_sampled():
    array = np.zeros((300, 300, 300), np.int8)
    array[150:] = 1
    values = sampled_values(array)
    assert 500_000 < values.size < 2_000_000
    assert values.mean() == pytest.approx(0.5, abs=0.01)
