"""Manifests: the user's own files, listed as CSV or JSON."""

import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from training.cohorts import CohortError, check_cohort, read_cohort, read_manifest

AFFINE = np.array([[0, -1.5, 0.2, 40], [2, 0, 0, -30], [0, 0.1, 3, 15], [0, 0, 0, 1.0]])  # sheared, left-handed
SIZE = (7, 6, 5)
HEADER = "patient,phase,image,mask,landmarks,label,split"


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two patients with two scans each, in several formats and folders."""
    for n, patient in enumerate(("P1", "P2")):
        (tmp_path / patient).mkdir()
        for m, phase in enumerate(("exhale", "inhale")):
            array = np.random.default_rng([n, m]).normal(0, 300, SIZE).astype(np.int16)
            nibabel.save(nibabel.Nifti1Image(array, AFFINE), tmp_path / patient / f"{phase}.nii.gz")
            mask = np.zeros(SIZE, np.uint8)
            mask[1:5, 1:4, 1:4] = 1
            nibabel.save(nibabel.Nifti1Image(mask, AFFINE), tmp_path / patient / f"{phase}_lungs.nii.gz")
            point = nibabel.affines.apply_affine(AFFINE, [2, 3, 1])
            text = "label,r,a,s\ncarina," + ",".join(map(str, point)) + "\n"
            (tmp_path / patient / f"{phase}.csv").write_text(text)
    return tmp_path


def written(folder: Path, lines: list[str], name: str = "cohort.csv", encoding: str = "utf-8") -> Path:
    (folder / name).write_text("\n".join(lines) + "\n", encoding=encoding)
    return folder / name


def row(patient: str, phase: str, label: str = "ILD", split: str = "train") -> str:
    start = f"{patient}/{phase}"
    return f"{patient},{phase},{start}.nii.gz,{start}_lungs.nii.gz,{start}.csv,{label},{split}"


def good_rows() -> list[str]:
    return [
        row("P1", "exhale"),
        row("P1", "inhale"),
        row("P2", "exhale", "healthy", "validation"),
        row("P2", "inhale", "healthy", ""),
    ]


def problems(path: Path) -> list[str]:
    with pytest.raises(CohortError) as error:
        read_manifest(path)
    return str(error.value).splitlines()


def test_a_csv_manifest_becomes_scans_with_their_files(folder):
    cohort = read_manifest(written(folder, [HEADER, *good_rows()]))
    assert [(scan.patient, scan.phase, scan.label) for scan in cohort.scans] == [
        ("P1", "exhale", "ILD"),
        ("P1", "inhale", "ILD"),
        ("P2", "exhale", "healthy"),
        ("P2", "inhale", "healthy"),
    ]
    assert cohort.split == {"P1": "train", "P2": "validation"}
    assert cohort.pairs == ()
    assert cohort.scans[1].origin == "cohort.csv, line 3"
    loaded = cohort.scans[1].load()
    expected = nibabel.load(folder / "P1" / "inhale.nii.gz")
    assert np.array_equal(loaded.image.array, np.asarray(expected.dataobj).T)
    assert loaded.image.ijk_to_ras == pytest.approx(expected.affine)
    assert loaded.lungs.sum() == 4 * 3 * 3
    assert loaded.landmarks.points_ras == pytest.approx(nibabel.affines.apply_affine(AFFINE, [[2, 3, 1]]))
    check_cohort(cohort)


def test_what_spreadsheets_do_to_csv_is_read_all_the_same(folder):
    """Semicolons, a byte-order mark, quotes, empty lines and columns, capitals; only the required columns."""
    lines = ["Phase;IMAGE;patient;;", "", ' inhale ;"P1/inhale.nii.gz";"Müller; 1";;', ";;;;"]
    cohort = read_manifest(written(folder, lines, encoding="utf-8-sig"))
    assert [(scan.patient, scan.phase, scan.origin) for scan in cohort.scans] == [
        ("Müller; 1", "inhale", "cohort.csv, line 3")
    ]
    assert cohort.scans[0].load().image.array.shape == SIZE[::-1]
    tabs = read_manifest(written(folder, ["patient\tphase\timage", "P1\tT00\tP1/inhale.nii.gz"], "tabs.csv"))
    assert tabs.scans[0].phase == "T00"


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_json_manifest_says_the_same(folder, wrapped):
    names = HEADER.split(",")
    items = [dict(zip(names, line.split(","), strict=True)) for line in good_rows()]
    items[0] |= {"label": None}
    del items[3]["split"]
    path = folder / "cohort.json"
    path.write_text(json.dumps({"scans": items} if wrapped else items))
    cohort = read_cohort(path)
    assert [scan.name for scan in cohort.scans] == ["P1 exhale", "P1 inhale", "P2 exhale", "P2 inhale"]
    assert cohort.scans[0].label == ""
    assert cohort.split == {"P1": "train", "P2": "validation"}
    assert cohort.scans[2].origin == "cohort.json, entry 3"
    check_cohort(cohort)


def test_absolute_paths_other_formats_and_landmarks_by_index(folder):
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 99, (4, 5, 6)).astype(np.int16))
    image.SetSpacing((1, 2, 3))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    sitk.WriteImage(image, str(folder / "P1" / "scan.mha"))
    (folder / "P1" / "index.txt").write_text("index\n2\n5 4 3\n0 0 0\n")
    lines = ["patient,phase,image,landmarks", f"7,T00,{folder / 'P1' / 'scan.mha'},P1/index.txt"]
    loaded = read_manifest(written(folder, lines)).scans[0].load()
    lps = np.array([image.TransformIndexToPhysicalPoint((5, 4, 3)), image.TransformIndexToPhysicalPoint((0, 0, 0))])
    assert loaded.landmarks.points_ras == pytest.approx(lps * [-1, -1, 1])


def test_all_problems_of_a_manifest_come_together(folder):
    bad = nibabel.Nifti1Image(np.ones((7, 6, 4), np.uint8), AFFINE)
    nibabel.save(bad, folder / "short.nii.gz")
    (folder / "P1" / "broken.nii.gz").write_bytes(b"not a NIfTI file")
    lines = [
        HEADER,
        row("P1", "exhale"),
        "P1,exhale,P1/inhale.nii.gz,short.nii.gz,,,",
        "P2,exhale,nowhere.nii.gz,,gone.csv,,validaton",
        ",inhale,P1/broken.nii.gz,,P1/exhale.nii.gz,,",
        "P3,T00,P1/inhale.nii.gz,,,,validation",
        "P1,T90,P2/inhale.nii.gz,,,,validation",
    ]
    found = problems(written(folder, lines))
    expected = [
        "cohort.csv, line 3, mask: .*short.nii.gz: found a mask of 7 x 6 x 4 voxels",
        "cohort.csv, line 4, split: found 'validaton', expected train or validation",
        "cohort.csv, line 4, image: .*nowhere.nii.gz: no such file",
        "cohort.csv, line 4, landmarks: .*gone.csv: no such file",
        "cohort.csv, line 5, patient: found nothing",
        "cohort.csv, line 5, image: .*broken.nii.gz: can't be read as NIfTI",
        "cohort.csv, line 5, landmarks: .*exhale.nii.gz: found .nii.gz, expected one of .mrk.json",
        "line 2; cohort.csv, line 3: found phase exhale of patient P1 2 times",
        "line 3; cohort.csv, line 6: found the image .*inhale.nii.gz under two patients, P1 and P3",
        "line 2; cohort.csv, line 7, split: found patient P1 in train and in validation",
    ]
    assert found[0] == f"{folder / 'cohort.csv'}: found 10 problems"
    for said, line in zip(expected, found[1:], strict=True):
        assert re.search(said, line)


def test_more_than_ten_problems_are_counted(folder):
    found = problems(written(folder, ["patient,phase,image", *(f"P{n},T00,none{n}.nii.gz" for n in range(25))]))
    assert found[0].endswith("found 25 problems")
    assert found[-1] == "  and 15 more"
    assert len(found) == 12


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["patient,phase"], "line 1: found no image, expected patient, phase, image"),
        (["patient,phase,image,scanner"], "found the unknown 'scanner', expected of patient, phase, image, mask"),
        (["patient,phase,image,phase"], "found phase twice"),
        (["patient,phase,image", "P1,T00,a.nii,b.nii"], "line 2: found 4 fields, expected at most 3"),
        (["patient,phase,image"], "found no scan, expected at least one"),
        (["", ""], "found nothing, expected a header line patient,phase,image"),
    ],
)
def test_tables_that_are_none_are_refused(folder, lines, said):
    assert said in "\n".join(problems(written(folder, lines)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cohort.json, line 1, column 2: found no valid JSON"),
        ('{"scans": [], "name": "x"}', "found an object with ['name', 'scans'], expected a list of scans"),
        ("[]", "expected a list of scans that isn't empty"),
        ('["P1"]', "entry 1: found 'P1', expected an object with patient, phase, image"),
        ('[{"patient": "P1", "phase": "T00", "file": "a"}]', "entry 1: found the unknown 'file'"),
        ('[{"patient": "P1", "phase": "T00"}]', "entry 1: found no image"),
        ('[{"patient": "P1", "phase": 1.5, "image": "a"}]', "entry 1: phase: found 1.5, expected text"),
        ('[{"patient": "P1", "phase": "", "image": "a"}]', "cohort.json, entry 1, phase: found nothing"),
    ],
)
def test_json_that_is_no_manifest_is_refused(folder, content, said):
    (folder / "cohort.json").write_text(content)
    assert said in "\n".join(problems(folder / "cohort.json"))


def test_a_manifest_in_another_encoding_is_refused(folder):
    path = written(folder, ["patient,phase,image", "Müller,T00,P1/inhale.nii.gz"], encoding="cp1252")
    assert "cohort.csv: found bytes that aren't UTF-8 at byte 21" in problems(path)[0]


def test_nan_voxels_show_in_the_check_of_all_scans(folder):
    array = np.random.default_rng(0).normal(size=SIZE).astype(np.float32)
    array[3, 3, 3] = np.nan
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), folder / "P1" / "exhale.nii.gz")
    cohort = read_manifest(written(folder, [HEADER, *good_rows()]))
    with pytest.raises(CohortError, match=r"cohort.csv, line 2, image of patient P1, phase exhale: exhale.*NaN"):
        check_cohort(cohort)


def test_sources_of_no_known_kind_are_refused(tmp_path):
    (tmp_path / "scans.xlsx").write_bytes(b"")
    with pytest.raises(CohortError, match=r"scans.xlsx: found a file of another kind, expected a folder of DIR-Lab"):
        read_cohort(tmp_path / "scans.xlsx")
    with pytest.raises(CohortError, match=r"none.csv: no such file or folder, expected a folder of DIR-Lab"):
        read_cohort(tmp_path / "none.csv")
