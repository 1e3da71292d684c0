"""Learn2Reg data sets, in the layouts of the distributed files."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from training.cohorts import CohortError, check_cohort, read_cohort, read_learn2reg, split_patients

# Left-handed, oblique and anisotropic, which the distributed images aren't: so that no axis can be mistaken.
TURN = np.array([[np.cos(0.4), -np.sin(0.4), 0], [np.sin(0.4), np.cos(0.4), 0], [0, 0, 1]])
AFFINE = np.eye(4)
AFFINE[:3, :3] = TURN @ np.diag([-1.75, 1.25, 1.5])
AFFINE[:3, 3] = (11, -22, 33)
SIZE = (8, 7, 6)
POINTS = np.array([[1, 2, 3], [6.25, 0.5, 4.75], [0, 6, 5]])


def write_case(folder: Path, name: str, split: str = "Tr", *, mask: bool = True, points: str = "keypoints") -> None:
    """The files of one image; a bright voxel lies at the first point."""
    array = np.random.default_rng(list(name.encode())).normal(-700, 50, SIZE).astype(np.float32)
    array[1, 2, 3] = 3000
    for what in ("images", "masks", "keypoints", "landmarks"):
        (folder / f"{what}{split}").mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), folder / f"images{split}" / f"{name}.nii.gz")
    if mask:
        inside = np.zeros(SIZE, np.uint8)
        inside[1:6, 1:6, 1:5] = 1
        nibabel.save(nibabel.Nifti1Image(inside, AFFINE), folder / f"masks{split}" / f"{name}.nii.gz")
    if points:
        np.savetxt(folder / f"{points}{split}" / f"{name}.csv", POINTS, delimiter=",", fmt="%.3f")


def described(name: str, *fields: str, folder: str = "Tr") -> dict[str, str]:
    kinds = {"image": "nii.gz", "mask": "nii.gz", "keypoints": "csv", "landmarks": "csv"}
    return {field: f"./{field}s{folder}/{name}.{kinds[field]}".replace("ss", "s") for field in fields}


def pair(patient: str, folder: str = "Tr") -> dict[str, str]:
    return {"fixed": f"./images{folder}/{patient}_0000.nii.gz", "moving": f"./images{folder}/{patient}_0001.nii.gz"}


def dataset(name: str, training, paired, validation, **others) -> dict:
    """A dataset file with the entries that the distributed ones have."""
    return {
        "name": name,
        "release": "1.1",
        "pairings": "paired",
        "provided_data": {"0": ["image", "mask", "keypoints"]},
        "registration_direction": {"fixed": 0, "moving": 1},
        "modality": {"0": "CT"},
        "img_shift": {"fixed": "exhale", "moving": "inhale"},
        "labels": {},
        "tensorImageSize": {"0": "3D"},
        "tensorImageShape": {"0": list(SIZE)},
        "numTraining": 0,
        "numTest": 0,
        "training": training,
        "test": [],
        "numPairedTraining": 0,
        "training_paired_images": paired,
        "numPairedTest": 0,
        "test_paired_images": [],
        "numRegistration_val": 0,
        "registration_val": validation,
        "numRegistration_test": 0,
        "registration_test": [],
        **others,
    }


def saved(folder: Path, content: dict) -> Path:
    path = folder / f"{content['name']}_dataset.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def lung_ct(tmp_path) -> Path:
    """Three cases in the order of LungCT (all first images, then all second); case 1 is for validation, 4 for test."""
    cases = [f"LungCT_000{n}" for n in (1, 2, 3)]
    for case in cases:
        for phase in ("0000", "0001"):
            write_case(tmp_path, f"{case}_{phase}")
    names = [f"{case}_{phase}" for phase in ("0000", "0001") for case in cases]
    write_case(tmp_path, "LungCT_0004_0000", "Ts")
    write_case(tmp_path, "LungCT_0004_0001", "Ts")
    training = [described(name, "image", "mask", "keypoints") for name in names]
    test = [described(f"LungCT_0004_{phase}", "image", "mask", folder="Ts") for phase in ("0000", "0001")]
    content = dataset(
        "LungCT",
        training,
        [pair(case) for case in cases],
        [pair(cases[0])],
        test=test,
        registration_test=[pair("LungCT_0004", "Ts")],
        test_paired_images=[pair("LungCT_0004", "Ts")],
    )
    return saved(tmp_path, content)


def changed(path: Path, change) -> Path:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_patients_phases_pairs_and_split(lung_ct):
    cohort = read_cohort(lung_ct)
    assert cohort.patients == ("LungCT_0001", "LungCT_0002", "LungCT_0003")
    assert [scan.phase for scan in cohort.scans] == ["0000"] * 3 + ["0001"] * 3
    assert cohort.pairs == ((0, 3), (1, 4), (2, 5))
    assert cohort.split == {"LungCT_0001": "validation", "LungCT_0002": "train", "LungCT_0003": "train"}
    train, validation = split_patients(cohort, 1, seed=5)
    assert validation.patients == ("LungCT_0001",)
    assert validation.pairs == ((0, 1),)
    assert train.pairs == ((0, 2), (1, 3))
    check_cohort(cohort)


def test_points_are_voxels_of_the_image_counted_from_0(lung_ct):
    loaded = read_learn2reg(lung_ct).scans[0].load()
    assert loaded.landmarks.points_ras == pytest.approx(nibabel.affines.apply_affine(AFFINE, POINTS), abs=1e-3)
    assert loaded.landmarks.labels == ("1", "2", "3")
    brightest = np.argwhere(loaded.image.array == loaded.image.array.max())[0, ::-1]
    there = nibabel.affines.apply_affine(loaded.image.ijk_to_ras, brightest)
    assert there == pytest.approx(loaded.landmarks.points_ras[0], abs=1e-3)
    assert loaded.lungs.sum() == 5 * 5 * 4


def test_lists_by_modality_are_read_as_one(lung_ct):
    def by_modality(content: dict) -> None:
        content["training"] = {"0": content["training"][:3], "1": content["training"][3:]}
        content["training_paired_images"] = {"0": content["training_paired_images"]}

    assert read_learn2reg(changed(lung_ct, by_modality)).pairs == ((0, 3), (1, 4), (2, 5))


def test_what_entries_do_not_name_is_found_in_the_folders_beside(lung_ct):
    """As in data sets whose keypoints are a download of their own, and pairs whose images aren't in ``training``."""

    def bare(content: dict) -> None:
        content["training"] = [
            {"image": item["image"]} for item in content["training"] if "0001_0" not in item["image"]
        ]

    cohort = read_learn2reg(changed(lung_ct, bare))
    assert len(cohort.scans) == 6
    assert sorted(cohort.split.items())[0] == ("LungCT_0001", "validation")
    for scan in cohort.scans:
        loaded = scan.load()
        assert loaded.lungs is not None
        assert len(loaded.landmarks) == 3
    assert cohort.scans[-1].origin == "LungCT_dataset.json, training_paired_images 1"


def test_points_named_as_images_are_found_as_csv(lung_ct):
    """``"keypoints": "./keypointsTr/x.nii.gz"`` for ``x.csv``, as one of the distributed files has it."""

    def misnamed(content: dict) -> None:
        for item in content["training"]:
            item["keypoints"] = item["keypoints"].replace(".csv", ".nii.gz")

    assert len(read_learn2reg(changed(lung_ct, misnamed)).scans[0].load().landmarks) == 3


def test_experts_landmarks_come_first_where_both_images_have_them(lung_ct):
    folder = lung_ct.parent
    for name in ("LungCT_0001_0000", "LungCT_0001_0001", "LungCT_0002_0000"):
        (folder / "landmarksTr" / f"{name}.csv").write_text("1,1,1\n2,2,2\n")
    cohort = read_learn2reg(lung_ct)
    counts = {scan.name: len(scan.load().landmarks) for scan in cohort.scans}
    assert counts["LungCT_0001 0000"] == counts["LungCT_0001 0001"] == 2
    assert counts["LungCT_0002 0000"] == counts["LungCT_0002 0001"] == 3


def test_images_without_mask_points_or_validation(tmp_path):
    for phase in ("0000", "0001", "0002"):
        write_case(tmp_path, f"NLST_0007_{phase}", mask=False, points="")
    training = [{"image": f"./imagesTr/NLST_0007_{phase}.nii.gz"} for phase in ("0000", "0001", "0002")]
    cohort = read_learn2reg(saved(tmp_path, dataset("NLST", training, [], [])))
    assert cohort.pairs == ()
    assert cohort.split == {}
    assert [(scan.lungs, scan.landmarks) for scan in cohort.scans] == [(None, None)] * 3


def test_all_problems_of_a_dataset_come_together(lung_ct):
    folder = lung_ct.parent

    def spoil(content: dict) -> None:
        content["training"][1]["mask"] = "./masksTr/none.nii.gz"
        content["training"][2]["keypoints"] = "./keypointsTr/none.csv"
        content["training"][5] = {"mask": "./masksTr/LungCT_0003_0001.nii.gz"}
        content["training"].append(dict(content["training"][0]))
        content["training"].append({"image": "./imagesTr/scout.nii.gz"})
        content["registration_val"].append({"fixed": 1, "moving": 2})

    nibabel.save(nibabel.Nifti1Image(np.ones((8, 7, 5), np.uint8), AFFINE), folder / "masksTr/LungCT_0001_0000.nii.gz")
    (folder / "imagesTr" / "LungCT_0002_0001.nii.gz").unlink()
    nibabel.save(nibabel.Nifti1Image(np.ones(SIZE, np.uint8), AFFINE), folder / "imagesTr" / "scout.nii.gz")
    with pytest.raises(CohortError) as error:
        read_learn2reg(changed(lung_ct, spoil))
    text = str(error.value)
    assert text.startswith(f"{lung_ct}: found 8 problems")
    for said in (
        "LungCT_dataset.json, training 6, image: found {'mask'",
        "LungCT_dataset.json, training 7, image: found",
        "a second time, first in LungCT_dataset.json, training 1",
        "LungCT_dataset.json, registration_val 2: found {'fixed': 1, 'moving': 2}, expected the image files",
        "training 3, keypoints: ",
        "training 1, mask: ",
        "found a mask of 8 x 7 x 5 voxels",
        "training 2, mask: ",
        "training 5, image: ",
        "training 8, image: found scout.nii.gz, expected a name as LungCT_0001_0000.nii.gz",
    ):
        assert said in text


@pytest.mark.parametrize(
    ("line", "said"), [("x,y,z", "line 1: found 'x,y,z'"), ("1,2", "line 1"), ("1,2,3,4", "expected three numbers")]
)
def test_points_that_are_none_are_refused_with_their_line(lung_ct, line, said):
    (lung_ct.parent / "keypointsTr" / "LungCT_0001_0000.csv").write_text(f"{line}\n")
    with pytest.raises(CohortError, match="training 1, landmarks of patient LungCT_0001, phase 0000: ") as error:
        read_learn2reg(lung_ct).scans[0].load()
    assert said in str(error.value)


@pytest.mark.parametrize("content", ["[]", '{"name": "LungCT"}', '{"training": "all"}'])
def test_json_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "x_dataset.json").write_text(content)
    with pytest.raises(CohortError, match=r"x_dataset.json: found no list 'training'"):
        read_cohort(tmp_path / "x_dataset.json")
