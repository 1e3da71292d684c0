"""The type that all sources become: scans, cohorts, their split by patient, and the check before training."""

import pickle
import shutil
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from LungDeepRegLib.image_io import read_landmarks, read_volume
from LungDeepRegLib.landmarks import Landmarks

from training.cohorts import Cohort, CohortError, Scan, check_cohort, split_patients

# Left-handed, oblique and anisotropic.
ANGLE = np.deg2rad(20)
AFFINE = np.array([[-1.5, 0, 0, 40], [0, 2, 0, -30], [0, 0, 3, 15], [0, 0, 0, 1.0]])
AFFINE[:3, :3] = (
    np.array([[1, 0, 0], [0, np.cos(ANGLE), -np.sin(ANGLE)], [0, np.sin(ANGLE), np.cos(ANGLE)]]) @ AFFINE[:3, :3]
)
SIZE = (7, 6, 5)


def nifti(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def image(path: Path, seed: int = 0) -> Path:
    return nifti(path, np.random.default_rng(seed).normal(0, 100, SIZE).astype(np.float32))


def named(patient: str, phase: str) -> Scan:
    return Scan(patient, phase, f"list, {patient} {phase}", partial(read_volume, f"{patient}_{phase}.nii.gz"))


def cohort(patients: int, split: dict | None = None, order: int = 1) -> Cohort:
    scans = [named(f"P{n:02}", phase) for n in range(patients)[::order] for phase in ("exhale", "inhale")]
    return Cohort("list", tuple(scans), split=split or {})


def test_a_scan_loads_image_mask_and_landmarks_in_a_worker(tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    mask[2:4, 1:5, 1:3] = 3
    point = nibabel.affines.apply_affine(AFFINE, [3, 2, 1])
    (tmp_path / "points.csv").write_text(f"label,r,a,s\nbranch,{point[0]},{point[1]},{point[2]}\n")
    scan = Scan(
        "P1",
        "exhale",
        "test",
        partial(read_volume, image(tmp_path / "i.nii.gz")),
        partial(read_volume, nifti(tmp_path / "m.nii.gz", mask)),
        partial(read_landmarks, tmp_path / "points.csv"),
    )
    loaded = pickle.loads(pickle.dumps(scan)).load()
    assert loaded.lungs.dtype == bool
    assert np.array_equal(loaded.lungs, mask.T > 0)
    ijk = nibabel.affines.apply_affine(np.linalg.inv(loaded.image.ijk_to_ras), loaded.landmarks.points_ras)
    assert ijk == pytest.approx(np.array([[3, 2, 1]]), abs=1e-4)


def test_what_a_scan_does_not_have_is_none(tmp_path):
    loaded = Scan("P1", "exhale", "test", partial(read_volume, image(tmp_path / "i.nii.gz"))).load()
    assert (loaded.lungs, loaded.landmarks) == (None, None)


def broken(tmp_path: Path, what: str) -> Scan:
    """A scan with one thing wrong with it."""
    array = np.random.default_rng(1).normal(size=SIZE).astype(np.float32)
    mask, points = np.ones(SIZE, np.uint8), AFFINE[:3, 3]
    mask_affine = AFFINE
    if what == "nan":
        array[1, 2, 3] = np.nan
    elif what == "constant":
        array[:] = 7
    elif what == "shape":
        mask = mask[:-1]
    elif what == "place":
        mask_affine = AFFINE.copy()
        mask_affine[2, 3] += 0.5
    elif what == "empty":
        mask[:] = 0
    elif what == "fraction":
        mask = mask * np.float32(0.5)
    elif what == "outside":
        points = nibabel.affines.apply_affine(AFFINE, [0, 0, 5.6])
    nifti(tmp_path / "i.nii.gz", array)
    nifti(tmp_path / "m.nii.gz", mask, mask_affine)
    if what == "missing":
        (tmp_path / "i.nii.gz").unlink()
    return Scan(
        "P7",
        "T00",
        "cohort.csv, line 3",
        partial(read_volume, tmp_path / "i.nii.gz"),
        partial(read_volume, tmp_path / "m.nii.gz"),
        partial(Landmarks, points[None], ("carina",), "points.csv"),
    )


@pytest.mark.parametrize(
    ("what", "field", "said"),
    [
        ("nan", "image", "i.nii.gz: found 1 NaN"),
        ("constant", "image", "i.nii.gz: found the same value 7"),
        ("missing", "image", "i.nii.gz: no such file"),
        ("shape", "mask", "m.nii.gz: found a mask of 6 x 6 x 5 voxels"),
        ("place", "mask", "expected the grid of i.nii.gz"),
        ("empty", "mask", "m.nii.gz: found an empty mask"),
        ("fraction", "mask", "m.nii.gz: found fractional"),
        ("outside", "landmarks", r"points.csv: found 1 of 1 points outside i.nii.gz \(carina\)"),
    ],
)
def test_errors_name_origin_field_and_file(tmp_path, what, field, said):
    with pytest.raises(CohortError, match=f"^cohort.csv, line 3, {field} of patient P7, phase T00: .*{said}"):
        broken(tmp_path, what).load()


def test_a_point_up_to_half_a_voxel_beyond_the_outer_centres_is_inside(tmp_path):
    broken(tmp_path, "nothing").load()
    edge = nibabel.affines.apply_affine(AFFINE, [[6.4, -0.4, 4.4]])
    scan = Scan(
        "P", "T00", "o", partial(read_volume, tmp_path / "i.nii.gz"), None, partial(Landmarks, edge, ("a",), "p")
    )
    assert len(scan.load().landmarks) == 1


def test_pairs_within_patients_and_between_all():
    three = cohort(3)
    every = three.all_pairs()
    assert len(every) == len(set(every)) == 6 * 5
    assert all(fixed != moving for fixed, moving in every)
    assert three.patient_pairs() == ((0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4))


def test_a_part_of_a_cohort_keeps_its_own_pairs_and_split():
    whole = Cohort("list", cohort(3).scans, ((1, 0), (3, 2), (5, 0), (5, 4)), {"P00": "train", "P02": "validation"})
    part = whole.select(["P02", "P01"])
    assert part.patients == ("P01", "P02")
    assert [(part.scans[a].name, part.scans[b].name) for a, b in part.pairs] == [
        ("P01 inhale", "P01 exhale"),
        ("P02 inhale", "P02 exhale"),
    ]
    assert part.split == {"P02": "validation"}
    with pytest.raises(CohortError, match="no scan of P9"):
        whole.select(["P9"])


def test_a_cohort_that_contradicts_itself_is_refused_with_all_reasons(tmp_path):
    file = image(tmp_path / "same.nii.gz")
    link = tmp_path / "link.nii.gz"
    link.symlink_to(file)
    read = partial(read_volume, file)
    scans = (
        Scan("P1", "T00", "a", read, file=file),
        Scan("P1", "T00", "b", read),
        Scan("P2", "T50", "c", read, file=link),
        Scan("P1", "T90", "d", read, file=file),
        Scan("", "T50", "e", read),
    )
    with pytest.raises(CohortError) as error:
        Cohort("list", scans, ((0, 0), (0, 9)), {"P1": "test", "P9": "train"})
    lines = str(error.value).splitlines()
    assert lines[0] == "list: found 8 problems"
    text = "\n".join(lines)
    for said in (
        "a; b: found phase T00 of patient P1 2 times",
        f"a; c: found the image {link} under two patients, P1 and P2",
        f"a; d: found the image {file} twice",
        "e: found patient '' and phase 'T50'",
        "found the pair (0, 0), expected two different scans",
        "found the pair (0, 9)",
        "found the split 'test' of patient P1, expected train or validation",
        "found a split of patient P9, of whom there is no scan",
    ):
        assert said in text
    with pytest.raises(CohortError, match="list: found no scan"):
        Cohort("list", ())


def test_the_papers_split_is_random_by_patient_and_repeatable():
    train, validation = split_patients(cohort(41), 13, seed=3)
    assert (len(train.patients), len(validation.patients)) == (28, 13)
    assert (len(train.scans), len(validation.scans)) == (56, 26)
    assert set(train.patients).isdisjoint(validation.patients)
    again = split_patients(cohort(41, order=-1), 13, seed=3)
    assert set(again[1].patients) == set(validation.patients)
    others = {frozenset(split_patients(cohort(41), 13, seed)[1].patients) for seed in range(20)}
    assert len(others) == 20


@pytest.mark.parametrize(("part", "expected"), [(0.25, 2), (0.01, 1), (0.5, 5), (0.95, 9)])
def test_a_part_of_the_patients_validates(part, expected):
    expected = min(expected, 9)
    if part == 0.95:  # rounds to all ten
        with pytest.raises(CohortError, match="no patient for train"):
            split_patients(cohort(10), part, 0)
        return
    assert len(split_patients(cohort(10), part, 0)[1].patients) == expected


def test_a_split_that_the_source_names_is_kept():
    words = {f"P{n:02}": "validation" if n in (1, 4) else "train" for n in range(6)}
    train, validation = split_patients(cohort(6, words), 0.5, seed=0)
    assert validation.patients == ("P01", "P04")
    assert train.patients == ("P00", "P02", "P03", "P05")


def test_patients_without_a_named_split_are_drawn_to_make_up_the_number():
    for seed in range(10):
        train, validation = split_patients(cohort(8, {"P00": "validation", "P01": "train"}), 3, seed)
        assert len(validation.patients) == 3
        assert "P00" in validation.patients
        assert "P01" in train.patients
    enough = split_patients(cohort(4, {"P00": "validation", "P01": "validation"}), 1, 0)
    assert enough[1].patients == ("P00", "P01")


@pytest.mark.parametrize(
    ("patients", "split", "validation", "said"),
    [
        (3, {}, 3, "no patient for train"),
        (1, {}, 1, "no patient for train"),
        (2, {"P00": "train", "P01": "train"}, 1, "no patient for validation .*names a split for 2"),
        (2, {"P00": "validation", "P01": "validation"}, 1, "no patient for train"),
        (3, {}, 0, "found validation 0"),
        (3, {}, -1, "found validation -1"),
        (3, {}, 1.0, "found validation 1.0"),
        (3, {}, True, "found validation True"),
    ],
)
def test_a_split_with_an_empty_side_or_no_sense_is_refused(patients, split, validation, said):
    with pytest.raises(CohortError, match=f"^list: .*{said}"):
        split_patients(cohort(patients, split), validation, 0)


def test_the_check_reads_every_scan_once_and_reports_everything(tmp_path):
    scans = []
    for n in range(14):
        array = np.random.default_rng(n).normal(size=SIZE).astype(np.float32)
        if n >= 2:
            array[0, 0, n % 5] = np.inf
        nifti(tmp_path / f"{n}.nii.gz", array)
        scans.append(Scan(f"P{n}", "T00", f"line {n + 2}", partial(read_volume, tmp_path / f"{n}.nii.gz")))
    seen = []
    with pytest.raises(CohortError) as error:
        check_cohort(Cohort("list", tuple(scans)), lambda items: (seen.append(scan) or scan for scan in items))
    lines = str(error.value).splitlines()
    assert lines[0] == "list: found 12 problems"
    assert lines[1].startswith("  line 4, image of patient P2, phase T00: 2.nii.gz: found 1 NaN or infinite")
    assert lines[11:] == ["  and 2 more"]
    assert seen == scans
    check_cohort(Cohort("list", tuple(scans[:2])))


def test_the_check_finds_a_copied_image_under_two_patients(tmp_path):
    first = image(tmp_path / "a.nii.gz")
    shutil.copy(first, tmp_path / "b.nii.gz")
    again = sitk.GetImageFromArray(nibabel.load(first).get_fdata(dtype=np.float32).T)
    sitk.WriteImage(again, str(tmp_path / "c.nrrd"))
    files = {"P1": first, "P2": tmp_path / "b.nii.gz", "P3": tmp_path / "c.nrrd", "P4": image(tmp_path / "d.nii", 5)}
    scans = tuple(Scan(p, "T00", p, partial(read_volume, file), file=file) for p, file in files.items())
    with pytest.raises(CohortError, match="found 2 problems") as error:
        check_cohort(Cohort("list", scans))
    assert "P1; P2: found the same voxels in an image of patient P1 and one of P2" in str(error.value)
    assert "P1; P3" in str(error.value)
