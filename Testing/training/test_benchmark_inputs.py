"""Which pairs a benchmark consists of, and that images keep their place and values when they are made ready."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import lattice_points
from LungDeepRegLib.geometry import Lattice, apply, corner_indices
from LungDeepRegLib.image_io import write_volume
from LungDeepRegLib.landmarks import Landmarks
from LungDeepRegLib.volume import Volume

from training.benchmarking.cases import Source, cohort_cases, file_case, source_of
from training.benchmarking.inputs import AS_IS, PAPER, Inputs, by_paper
from training.benchmarking.record import RecordError
from training.cohorts.scan import Cohort, CohortError, LoadedScan, Scan


def scan(patient, phase, label=""):
    return Scan(patient, phase, f"{patient} {phase}", partial(float, 0), label=label)


def cohort(patients, phases=("inhale", "exhale"), **more):
    return Cohort("cohort.csv", tuple(scan(patient, phase) for patient in patients for phase in phases), **more)


def names(cases, group):
    return {(case.fixed.name, case.moving.name) for case in cases if case.group == group}


def oblique(shape):
    """Left-handed, oblique and anisotropic."""
    angle = np.deg2rad(17)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.array([[-1.4, 0, 0], [0, 0, 2.7], [0, 1.4, 0]]) @ np.diag([1, 1, -1])
    matrix[:3, 3] = [12, -40, 7]
    return Lattice(shape, matrix)


def test_all_fixed_images_with_all_moving_ones_and_a_draw_between_patients():
    patients = [f"P{n:02}" for n in range(13)]
    cases = cohort_cases(cohort(patients), drawn=20, seed=0)
    assert [case.group for case in cases] == ["validation"] * 13 + ["drawn"] * 20 + ["rest"] * 136
    assert len({(case.fixed.name, case.moving.name) for case in cases}) == 169
    assert all(case.fixed.scan.phase == "exhale" and case.moving.scan.phase == "inhale" for case in cases)
    assert all((case.fixed.scan.patient == case.moving.scan.patient) == case.within_patient for case in cases)


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_the_scans():
    patients = [f"P{n}" for n in range(6)]
    drawn = names(cohort_cases(cohort(patients), 5, seed=3), "drawn")
    assert drawn == names(cohort_cases(cohort(patients[::-1]), 5, seed=3), "drawn")
    assert drawn != names(cohort_cases(cohort(patients), 5, seed=4), "drawn")


def test_only_patients_that_validate_count_where_the_source_says_who_does():
    split = {"A": "train", "B": "validation", "C": "validation"}
    cases = cohort_cases(cohort("ABC", split=split), drawn=20, seed=0)
    assert {case.fixed.scan.patient for case in cases} == {"B", "C"}
    assert len(names(cases, "drawn")) == 2
    assert not names(cases, "rest")
    with pytest.raises(CohortError, match="no patient in the split validation"):
        cohort_cases(cohort("AB", split={"A": "train"}), 20, 0)


def test_pairs_that_the_source_names_go_before_phases():
    named = cohort("A", ("T00", "T50"), pairs=((1, 0),))
    assert names(cohort_cases(named, 0, 0), "validation") == {("A T50", "A T00")}
    with pytest.raises(CohortError, match="T00, T50 of patient A, expected exhale"):
        cohort_cases(cohort("A", ("T00", "T50")), 0, 0)


def test_a_source_is_known_by_its_bytes_and_not_by_its_place(tmp_path):
    image = Volume(np.arange(27, dtype=np.int16).reshape(3, 3, 3), np.eye(4))
    for name in ("a", "b"):
        write_volume(tmp_path / f"{name}.nrrd", image)
    write_volume(tmp_path / "c.nrrd", image.with_array(image.array + 1))
    first, moved, other = (
        source_of(Scan("P", "x", "here", partial(tuple, tmp_path / f"{name}.nrrd"))).digest for name in "abc"
    )
    assert first == moved != other
    with pytest.raises(CohortError, match="same image"):
        file_case(tmp_path / "a.nrrd", tmp_path / "a.nrrd")
    with pytest.raises(CohortError, match=r"missing\.nrrd can't be read"):
        file_case(tmp_path / "a.nrrd", tmp_path / "missing.nrrd")


def test_the_papers_scaling_keeps_the_field_of_view_and_every_place():
    lattice = oblique((12, 18, 24))
    ramp = (lattice_points(lattice) @ np.array([3.0, -4.0, 5.0]) + 600).reshape(lattice.shape)
    lungs = ramp > 650
    ready = by_paper(LoadedScan(Volume(ramp.astype(np.float32), lattice.ijk_to_ras), lungs, None))
    small = ready.image.lattice
    assert small.shape == (8, 12, 16)
    outer = [apply(which.ijk_to_ras, corner_indices(which.shape, outer=True)) for which in (lattice, small)]
    np.testing.assert_allclose(outer[1], outer[0], atol=1e-9)
    expected = (lattice_points(small) @ np.array([3.0, -4.0, 5.0]) + 600).reshape(small.shape)
    inner = (slice(3, -3),) * 3
    np.testing.assert_allclose(ready.image.array[inner], expected[inner], atol=0.5)
    unsure = np.abs(expected - 650) < 3.0 * 2.7 * 5
    assert (ready.lungs == (expected > 650))[~unsure].all()


def test_values_are_clipped_as_in_the_paper():
    values = np.full((6, 6, 6), 2000.0, np.float32)
    values[:3] = -50
    ready = by_paper(LoadedScan(Volume(values, np.eye(4)), None, None))
    assert ready.image.array.min() == 0
    assert ready.image.array.max() == 1300
    assert ready.lungs is None


def test_ready_scans_are_kept_with_all_that_is_known_of_them(tmp_path):
    made = []

    def image():
        made.append(1)
        return Volume(np.random.default_rng(0).normal(200, 50, (9, 9, 9)).astype(np.float32), np.eye(4), "chest")

    def lungs():
        return Volume(np.pad(np.ones((3, 3, 3), np.uint8), 3), np.eye(4))

    def points(at):
        return Landmarks([[at, 1, 2]], ("carina",))

    seen = Scan("P01", "exhale", "here", image, lungs, partial(points, 1), second_landmarks=partial(points, 3))
    source = Source(replace(seen, true_landmarks=partial(points, 2)), "digest")
    for protocol in (PAPER, AS_IS):
        inputs = Inputs(tmp_path / protocol, protocol)
        first, again = inputs.scan(source), inputs.scan(source)
        np.testing.assert_array_equal(first.image.array, again.image.array)
        np.testing.assert_array_equal(first.lungs, again.lungs)
        assert {name: float(found.points_ras[0, 0]) for name, found in again.observers.items()} == {
            "1": 1, "2": 3, "truth": 2,
        }  # fmt: skip
        assert inputs.kept_pair("P01 exhale", "P01 exhale").fixed.lattice == first.image.lattice
        with pytest.raises(RecordError, match="P02 exhale"):
            inputs.kept_pair("P01 exhale", "P02 exhale")
        next(inputs.folder.iterdir()).write_bytes(b"PK damaged")
        with pytest.raises(RecordError, match="can't be read"):
            inputs.kept_pair("P01 exhale", "P01 exhale")
    assert len(made) == 2
    assert first.image.array.shape == (9, 9, 9)
