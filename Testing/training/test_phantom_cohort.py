"""Synthetic patients as files."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair

from training.cohorts import check_cohort, read_cohort
from training.phantom_cohort import PhantomCohort, PhantomCohortError, main, write_phantom_cohort

ROOT = Path(__file__).parents[2]
COARSE = ["--spacing-mm", "12", "--motion-mm", "20"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantoms") / "deeper" / "cohort"
    done = subprocess.run(
        [sys.executable, "-m", "training.phantom_cohort", "--patients", "2", "--out", str(out), "--seed", "4", *COARSE],
        capture_output=True,
        encoding="utf-8",
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "LungDeepReg"), str(ROOT)])},
    )
    return out, done


def test_the_manifest_is_read_back(written):
    out, _ = written
    cohort = read_cohort(out / "manifest.csv")
    assert [scan.name for scan in cohort.scans] == ["P001 exhale", "P001 inhale", "P002 exhale", "P002 inhale"]
    assert {scan.label for scan in cohort.scans} == {"synthetic"}
    check_cohort(cohort)
    for scan in cohort.scans:
        loaded = scan.load()
        assert loaded.lungs.mean() > 0.05
        assert len(loaded.landmarks) == 40


def test_files_hold_the_phantom_of_the_patients_seed(written):
    out, _ = written
    fixed = nibabel.load(out / "P001_exhale.nii.gz")
    moving = nibabel.load(out / "P001_inhale.nii.gz")
    assert fixed.header.get_zooms() == pytest.approx((12, 12, 12))
    assert moving.header.get_zooms() == pytest.approx((12, 12, 14.4))
    config = PhantomCohort(2, 4, 12.0, PhantomConfig(motion_mm=20.0)).patient_config(0)
    pair = make_pair(config, chest_lattice(12.0), chest_lattice((12.0, 12.0, 14.4), (3, 5, -6)))
    assert np.array_equal(np.asarray(fixed.dataobj).T, pair.fixed.array)
    assert np.array_equal(np.asarray(moving.dataobj).T, pair.moving.array)
    scans = read_cohort(out / "manifest.csv").scans
    for scan, points in zip(scans, (pair.fixed_landmarks, pair.moving_landmarks), strict=False):
        assert scan.load().landmarks.points_ras == pytest.approx(points.points_ras, abs=1e-6)
        assert scan.load().landmarks.labels == points.labels


def test_progress_goes_to_standard_error(written):
    out, done = written
    assert done.stdout == f"{out / 'manifest.csv'}: 2 synthetic patients, two scans each\n"
    assert "2/2" in done.stderr


def test_neighbouring_seeds_share_no_patient():
    seeds = [PhantomCohort(50, seed).patient_config(number).seed for seed in range(20) for number in range(50)]
    assert len(set(seeds)) == 1000


def test_mri_is_another_contrast_of_the_same_patients(tmp_path):
    arguments = ["--patients", "1", *COARSE, "--out"]
    assert main([*arguments, str(tmp_path / "ct")]) == 0
    assert main([*arguments, str(tmp_path / "mri"), "--contrast", "mri"]) == 0
    ct, mri = (nibabel.load(tmp_path / kind / "P001_exhale.nii.gz") for kind in ("ct", "mri"))
    masks = [nibabel.load(tmp_path / kind / "P001_exhale_lungs.nii.gz").get_fdata() for kind in ("ct", "mri")]
    assert np.array_equal(*masks)
    assert ct.get_fdata().min() < -800
    assert mri.get_fdata().min() >= 0


def test_a_folder_with_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "note.txt").write_text("mine")
    assert main(["--patients", "1", "--out", str(tmp_path), *COARSE]) == 3
    assert "found files in this folder, expected an empty one or none" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--patients", "0"], "found 0 patients and seed 0"),
        (["--patients", "1", "--seed", "-1"], "seed -1"),
        (["--patients", "1", "--spacing-mm", "0.1"], "found a spacing of 0.1 mm, expected 0.5 to 20.0 mm"),
        (["--patients", "1", "--spacing-mm", "nan"], "found a spacing of nan mm"),
        (["--patients", "1", "--spacing-mm", "12", "--motion-mm", "900"], "900"),
        (["--patients", "1", "--motion-mm", "-3"], "motion_mm=-3.0"),
    ],
)
def test_options_that_make_no_cohort_leave_nothing_behind(tmp_path, capsys, options, said):
    assert main([*options, "--out", str(tmp_path / "a" / "b")]) == 3
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_leaves_nothing_behind(tmp_path):
    def interrupted(numbers):
        yield next(iter(numbers))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantom_cohort(tmp_path / "out", PhantomCohort(2, spacing_mm=12.0), interrupted)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(PhantomCohortError):
        PhantomCohort(0)


def test_help_and_manifest_say_that_it_is_synthetic(written, capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "computed, not scanned" in " ".join(capsys.readouterr().out.split())
    with (written[0] / "manifest.csv").open(encoding="utf-8") as file:
        assert {line["label"] for line in csv.DictReader(file)} == {"synthetic"}
