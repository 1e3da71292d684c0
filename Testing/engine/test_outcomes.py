"""What is shown of a registration: its images fit the voxels they belong to, and its figures are those of the files."""

import time
from dataclasses import replace

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.metrics import jacobian_determinant
from LungDeepRegLib.registration import Options, register
from LungDeepRegLib.results.folder import write_result
from LungDeepRegLib.results.outcomes import outcome
from LungDeepRegLib.results.summary import SCHEMA

COARSE = Options(device="cpu", refine="off", voxel_budget=50_000)
PASSING = {"seconds", "seconds_total", "peak_memory_mb", "options"}
"""What differs from run to run, or between a folder of files and what is shown."""


@pytest.fixture(scope="module")
def registration(phantom):
    return register(
        phantom.fixed, phantom.moving, Options(device="cpu", refine="off", voxel_budget=50_000), checkpoint=None
    )


@pytest.fixture(scope="module")
def shown(phantom, registration):
    given = {"fixed": True, "moving": False}
    return outcome(
        registration, phantom.fixed, phantom.moving, given=given, weights="none", started=time.perf_counter() - 100
    )


def test_images_lie_on_the_fixed_images_voxels(phantom, registration, shown):
    for image in (shown.warped, shown.coverage, shown.difference, shown.difference_before, shown.fixed_lungs):
        assert image.lattice == phantom.fixed.lattice
    assert shown.field is registration.field
    assert shown.jacobian.lattice == shown.field.lattice
    np.testing.assert_array_equal(shown.jacobian.array, jacobian_determinant(shown.field))


def test_types_are_those_of_what_is_shown(phantom, shown):
    assert shown.warped.array.dtype == phantom.moving.array.dtype == np.int16
    assert shown.coverage.array.dtype == shown.fixed_lungs.array.dtype == np.uint8
    assert set(np.unique(shown.coverage.array)) == {0, 1}
    assert shown.jacobian.array.dtype == np.float32


def test_differences_are_of_the_images_themselves(phantom, shown):
    covered = shown.coverage.array > 0
    hu = [np.maximum(image.array.astype(int), -1024) for image in (shown.warped, phantom.fixed)]
    np.testing.assert_array_equal(shown.difference.array[covered], (hu[0] - hu[1])[covered])
    assert not shown.difference.array[~covered].any()
    lungs = shown.fixed_lungs.array > 0
    still = DisplacementField(np.zeros_like(shown.field.vectors), shown.field.lattice)
    before, reached = still.warp(phantom.moving, phantom.fixed.lattice, fill=0)
    expected = np.maximum(before.array, -1024) - phantom.fixed.array
    error = np.abs(shown.difference_before.array - expected)[reached]
    assert np.percentile(error, 99.9) <= 1  # rounded to whole HU
    assert np.abs(shown.difference.array[lungs]).mean() < np.abs(shown.difference_before.array[lungs]).mean()


def test_figures_are_those_of_summary_json(phantom, registration, shown, tmp_path, monkeypatch):
    monkeypatch.setattr("LungDeepRegLib.results.folder.write_report", lambda *_: [])
    written = write_result(tmp_path / "out", phantom.fixed, phantom.moving, registration, masks_given=True)
    assert list(shown.summary) == list(SCHEMA)
    for name in set(SCHEMA) - PASSING - {"masks"}:
        assert shown.summary[name] == written[name], name
    assert shown.summary["masks"] == {"fixed": "given", "moving": "found"}
    assert shown.summary["options"]["weights"] == "none"
    assert shown.summary["seconds_total"] > 100
    assert set(shown.summary["seconds"]) == {*registration.seconds, "measure"}


def test_without_lungs(phantom):
    mri = phantom.fixed.with_array(np.abs(phantom.fixed.array.astype(np.float32)))
    options = replace(COARSE, alignment="none", modality="mri")
    found = register(mri, mri, options, checkpoint=None)
    given = {"fixed": False, "moving": False}
    shown = outcome(found, mri, mri, given=given, weights="none", started=time.perf_counter())
    assert shown.fixed_lungs is None
    assert shown.summary["masks"] == {"fixed": None, "moving": None}
    assert shown.summary["dice_after"] is None
    assert np.abs(shown.difference.array).max() < 0.05  # of about 1000
