"""The synthetic cohort as files, with voxels of about 12 mm."""

import csv

import numpy as np
import pytest
from LungDeepRegLib.geometry import apply

from training.cohort import SyntheticCohort, SyntheticCohortError, main, write_cohort
from training.cohorts import check_cohort, read_cohort
from training.patients.calibration import Lungs, combinations, overlap, report
from training.patients.calibration import main as calibrate
from training.patients.case import EXHALE, INHALE, sample_case
from training.patients.observers import Observers
from training.patients.parameters import read_parameters
from training.worker_processes import mapped

ILL = 1  # a patient of the cohort with the disease


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("cohort") / "deeper" / "cohort"
    assert main(["--out", str(out), "--patients", "1", "--coarser", "8"]) == 0
    return out


@pytest.fixture(scope="module")
def case():
    return sample_case(read_parameters(), ILL)


def test_the_manifest_is_read_back_with_all_landmarks(written):
    cohort = read_cohort(written / "manifest.csv")
    assert [scan.name for scan in cohort.scans] == ["P01 exhale", "P01 inhale"]
    assert cohort.split == {"P01": "validation"}
    assert cohort.synthetic
    check_cohort(cohort)
    for scan in cohort.scans:
        loaded = scan.load()
        assert loaded.image.array.shape == (12, 36, 36)
        assert 0 <= loaded.image.array.min() < 200 < loaded.image.array.max() <= 1300
        assert len(loaded.landmarks) == len(loaded.second_landmarks) == len(loaded.true_landmarks) == 11
        errors = np.abs(loaded.landmarks.points_ras - loaded.true_landmarks.points_ras)
        assert 0.3 < errors.mean() < 3
        assert not np.allclose(loaded.landmarks.points_ras, loaded.second_landmarks.points_ras)
        assert loaded.landmarks.labels == loaded.true_landmarks.labels


def test_inhaled_lungs_are_larger_and_on_the_same_lattice(written):
    exhaled, inhaled = (scan.load() for scan in read_cohort(written / "manifest.csv").scans)
    assert exhaled.image.lattice == inhaled.image.lattice
    assert inhaled.lungs.sum() > 1.05 * exhaled.lungs.sum()


def test_files_are_what_the_parameters_say(written):
    """Made again from the same file: the same voxels and points."""
    again = sample_case(read_parameters(), 0)
    exhaled = read_cohort(written / "manifest.csv").scans[0].load()
    image, lungs = again.picture(EXHALE, again.lattice(8))
    assert exhaled.image.array.dtype == np.int16
    assert np.array_equal(exhaled.image.array, image.array)
    assert np.array_equal(exhaled.lungs, lungs.array > 0)
    assert exhaled.true_landmarks.points_ras == pytest.approx(again.landmarks(EXHALE).points_ras, abs=1e-4)
    assert exhaled.second_landmarks.points_ras == pytest.approx(again.placed(EXHALE, 2).points_ras, abs=1e-4)


def test_phi_takes_the_exhaled_patient_to_the_inhaled_one(case):
    exhaled, inhaled = case.landmarks(EXHALE), case.landmarks(INHALE)
    assert case.phi(exhaled.points_ras) == pytest.approx(inhaled.points_ras, abs=1e-5)
    assert np.linalg.norm(exhaled.points_ras - inhaled.points_ras, axis=1).max() > 3
    assert case.lungs(EXHALE, exhaled.points_ras).all()
    assert case.lungs(INHALE, inhaled.points_ras).all()


def test_no_tissue_folds_and_fibrosis_expands_less(case):
    points = np.random.default_rng(0).uniform(-150, 150, (60000, 3))
    assert case.phi.jacobian(points).min() > 0.05
    lungs = points[case.patient.lungs(case.phi(points)) < -6]
    stiffness, expansion = case.patient.stiffness(case.phi(lungs)), case.phi.jacobian(lungs)
    assert np.mean(expansion[stiffness > 4]) < np.mean(expansion[stiffness < 1.2])


def test_landmarks_lie_in_the_image(case):
    lattice = case.lattice()
    for phase in (EXHALE, INHALE):
        ijk = apply(lattice.ras_to_ijk, case.placed(phase, 1).points_ras)
        assert (ijk > 3).all()
        assert (ijk < np.array(lattice.shape[::-1]) - 4).all()
    assert case.observers == read_parameters().section("observers", Observers)


def test_the_manifest_says_that_it_is_synthetic(written, capsys):
    with (written / "manifest.csv").open(encoding="utf-8") as file:
        assert {line["synthetic"] for line in csv.DictReader(file)} == {"yes"}
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "computed, not scanned" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--patients", "0"], "found 0 patients, expected 1 to 41"),
        (["--patients", "42"], "found 42 patients"),
        (["--coarser", "0.5"], "found voxels 0.5 times larger, expected 1 to 16"),
        (["--coarser", "nan"], "found voxels nan times larger"),
        (["--workers", "0"], "found 0 workers"),
        (["--times", "0"], "found 0 times as many patients and the seed None, expected at least 1 and 0"),
        (["--seed", "-1"], "the seed -1, expected at least 1 and 0"),
        (["--times", "2", "--patients", "83"], "found 83 patients, expected 1 to 82"),
    ],
)
def test_options_that_make_no_cohort_leave_nothing_behind(tmp_path, capsys, options, said):
    assert main(["--out", str(tmp_path / "a" / "b"), *options]) == 3
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_files_is_left_alone_and_an_interrupted_run_leaves_none(tmp_path, capsys):
    (tmp_path / "note.txt").write_text("mine")
    assert main(["--out", str(tmp_path), "--coarser", "8"]) == 3
    assert "found files in this folder, expected an empty one or none" in capsys.readouterr().err

    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_cohort(tmp_path / "out", SyntheticCohort(1, 8.0), progress=interrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
    with pytest.raises(SyntheticCohortError):
        SyntheticCohort(99)


def test_processes_side_by_side_keep_the_order():
    with mapped(2) as run:
        assert list(run(abs, [-3, 2, -1])) == [3, 2, 1]


def test_calibration_refuses_no_worker_and_other_files(tmp_path, capsys):
    assert calibrate(["--workers", "0"]) == 3
    assert calibrate(["--parameters", str(tmp_path / "gone.toml")]) == 3
    said = capsys.readouterr().err
    assert "found 0 workers, expected 1 or more" in said
    assert "gone.toml: found no parameters" in said


def test_overlap_and_combinations_of_lungs():
    a, b = np.array([True, True, False, False]), np.array([True, False, False, False])
    assert overlap(a, b) == pytest.approx(200 / 3)
    table = combinations([Lungs(b, a), Lungs(a, a)])
    assert table == pytest.approx(np.array([[200 / 3, 200 / 3], [100, 100]]))
    assert "all patients: 83.33 +- 23.57 (n = 2); the paper's data: 75.62" in report([Lungs(b, a), Lungs(a, a)], 2)
