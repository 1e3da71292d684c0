"""DIR-Lab's raw images and landmark texts, in files of true size (sparse on disk)."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from LungDeepRegLib.volume import canonical

from training.cohorts import COPDGENE, FOUR_D_CT, CohortError, read_cohort, read_dirlab

# The names that DIR-Lab's own archives have.
CASE_1 = ("Case1Pack/Images/case1_{}_s.img", "Case1Pack/ExtremePhases/Case1_300_{}_xyz.txt")
CASE_2 = ("Case2Pack/Images/case2_{}-ssm.img", "Case2Pack/ExtremePhases/Case2_300_{}_xyz.txt")
CASE_8 = ("Case8Deploy/Images/case8_{}.img", "Case8Deploy/extremePhases/case8_dirLab300_{}_xyz.txt")
COPD_2 = ("copd2/copd2/copd2_{}BHCT.img", "copd2/copd2/copd2_300_{}BH_xyz_r1.txt")


def write_image(path: Path, size: tuple[int, int, int], voxels: dict[tuple[int, int, int], int]) -> None:
    """Zeros but for some stored values at voxels ``(x, y, z)`` counted from 1, i fastest, little-endian int16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(2 * size[0] * size[1] * size[2])
        for (x, y, z), value in voxels.items():
            file.seek(2 * ((z - 1) * size[0] * size[1] + (y - 1) * size[0] + (x - 1)))
            file.write(value.to_bytes(2, "little", signed=True))


def write_points(path: Path, points: list[tuple[int, int, int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{x}\t{y}\t{z}\t\r\n" for x, y, z in points))


def write_case(folder: Path, names: tuple[str, str], phases: list[str], size: tuple[int, int, int]) -> None:
    for number, phase in enumerate(phases):
        point = (100 + number, 60, 10)
        write_image(folder / names[0].format(phase), size, {point: 1500})
        write_points(folder / names[1].format(phase), [point, (1, 1, 1), size])


def test_the_archives_names_are_understood(tmp_path):
    write_case(tmp_path, CASE_1, ["T00", "T10", "T50"], (256, 256, 94))
    write_case(tmp_path, CASE_2, ["T00"], (256, 256, 112))
    write_case(tmp_path, CASE_8, ["T00", "T50"], (512, 512, 128))
    write_case(tmp_path, COPD_2, ["i", "e"], (512, 512, 102))
    (tmp_path / "Case1Pack" / "Images" / "._case1_T00_s.img").write_bytes(b"left by an archiver")
    cohort = read_cohort(tmp_path)
    assert [scan.name for scan in cohort.scans] == [
        "case1 T00",
        "case1 T10",
        "case1 T50",
        "case2 T00",
        "case8 T00",
        "case8 T50",
        "copd2 exhale",
        "copd2 inhale",
    ]
    # Fixed is the exhaled image, and only where both ends of a breath are there.
    assert cohort.pairs == ((2, 0), (5, 4), (6, 7))
    assert all(scan.lungs is None for scan in cohort.scans)
    assert all(scan.landmarks is not None for scan in cohort.scans)
    assert cohort.split == {}


@pytest.mark.parametrize(
    ("names", "phase", "size", "spacing"),
    [(CASE_1, "T00", (256, 256, 94), (0.97, 0.97, 2.5)), (COPD_2, "e", (512, 512, 102), (0.645, 0.645, 2.5))],
)
def test_a_bright_voxel_lies_where_its_landmark_says(tmp_path, names, phase, size, spacing):
    right_front_top, bright = (2, 3, 1), (150, 40, 30)
    write_image(tmp_path / names[0].format(phase), size, {bright: 2024, right_front_top: 1024, (9, 9, 9): -2000})
    write_points(tmp_path / names[1].format(phase), [bright, right_front_top, (1, 1, 1), (size[0], 1, 1), size])
    scan = read_dirlab(tmp_path).scans[0]
    loaded = pickle.loads(pickle.dumps(scan)).load()
    points = loaded.landmarks.points_ras

    # HU = stored - 1024; out of the field of view (-2000) is air.
    array = loaded.image.array
    assert array.dtype == np.int16
    assert array.shape == size[::-1]
    assert (array.max(), array.min()) == (1000, -1024)
    assert array[0, 2, 1] == 0

    ijk = np.argwhere(array == 1000)[0, ::-1]
    assert loaded.image.ijk_to_ras[:3, :3] @ ijk + loaded.image.ijk_to_ras[:3, 3] == pytest.approx(points[0])
    assert loaded.image.lattice.spacing_mm == pytest.approx(spacing)

    # x counts towards left, y towards posterior, z towards inferior, in steps of a voxel.
    step = np.array(spacing)
    assert points[1] - points[0] == pytest.approx((np.array(bright) - right_front_top) * step)
    assert points[3] - points[2] == pytest.approx([-(size[0] - 1) * step[0], 0, 0])

    # Turned to R, A, S: the voxel at the front, right and top is near the end of every axis.
    turned = canonical(loaded.image)
    assert np.argwhere(turned.array == 0)[0, ::-1].tolist() == [size[0] - 2, size[1] - 3, size[2] - 1]


def test_displacements_of_landmarks_are_those_of_the_voxels_times_the_spacing(tmp_path):
    """DIR-Lab's own figures are computed so: the distance of corresponding lines, voxel by spacing."""
    write_case(tmp_path, CASE_1, ["T00", "T50"], (256, 256, 94))
    fixed, moving = ([(10, 20, 30), (200, 100, 50)], [(12, 25, 33), (199, 100, 50)])
    write_points(tmp_path / CASE_1[1].format("T50"), fixed)
    write_points(tmp_path / CASE_1[1].format("T00"), moving)
    cohort = read_dirlab(tmp_path)
    [(a, b)] = cohort.pairs
    first, second = cohort.scans[a].landmarks(), cohort.scans[b].landmarks()
    assert first.labels == second.labels == ("1", "2")
    distances = np.linalg.norm(first.points_ras - second.points_ras, axis=1)
    assert distances == pytest.approx([np.hypot(np.hypot(2 * 0.97, 5 * 0.97), 3 * 2.5), 0.97])


def test_the_table_has_the_published_sizes():
    assert {n: case.shape[0] for n, case in FOUR_D_CT.items()} == dict(
        enumerate((94, 112, 104, 99, 106, 128, 136, 128, 128, 120), 1)
    )
    assert {n: case.shape[0] for n, case in COPDGENE.items()} == dict(
        enumerate((121, 102, 126, 126, 131, 119, 112, 115, 116, 135), 1)
    )
    assert [FOUR_D_CT[n].spacing_mm[0] for n in range(1, 11)] == [0.97, 1.16, 1.15, 1.13, 1.1, *[0.97] * 5]
    # Sizes of files in the archives.
    assert FOUR_D_CT[6].file_bytes == 67_108_864
    assert FOUR_D_CT[7].file_bytes == 71_303_168
    assert FOUR_D_CT[10].file_bytes == 62_914_560
    assert {case.spacing_mm[2] for case in (*FOUR_D_CT.values(), *COPDGENE.values())} == {2.5}


def test_all_problems_of_a_folder_come_together(tmp_path):
    write_image(tmp_path / "a" / "case1_T00_s.img", (256, 256, 93), {})
    write_image(tmp_path / "b" / "case2_T00-ssm.img", (256, 256, 112), {(1, 1, 1): 1})
    write_image(tmp_path / "b" / "case2_T00.img", (256, 256, 112), {(1, 1, 1): 1})
    write_image(tmp_path / "c" / "case11_T00.img", (8, 8, 8), {})
    with pytest.raises(CohortError) as error:
        read_dirlab(tmp_path)
    text = str(error.value)
    assert text.startswith(f"{tmp_path}: found 3 problems")
    assert (
        "case1_T00_s.img: found 12189696 bytes, expected 12320768: 256 x 256 x 94 voxels (i, j, k) of 2 bytes" in text
    )
    assert "case2_T00.img, expected one file for case2, T00" in text
    assert "case11_T00.img: found case 11, expected 1 to 10" in text


def test_a_file_that_shrinks_after_reading_the_folder_is_refused(tmp_path):
    write_case(tmp_path, CASE_1, ["T00"], (256, 256, 94))
    scan = read_dirlab(tmp_path).scans[0]
    (tmp_path / CASE_1[0].format("T00")).write_bytes(b"\0" * 100)
    with pytest.raises(CohortError, match=r"DIR-Lab case1, T00, image of patient case1, phase T00: .*found 100 bytes"):
        scan.load()


@pytest.mark.parametrize(("line", "words"), [("index", "'index'"), ("12 30", "'12', '30'"), ("1 2 x", "'x'")])
def test_landmarks_that_are_none_are_refused_with_their_line(tmp_path, line, words):
    write_case(tmp_path, CASE_1, ["T00"], (256, 256, 94))
    (tmp_path / CASE_1[1].format("T00")).write_text(f"1 2 3\n{line}\n")
    with pytest.raises(CohortError, match=f"case1, T00, landmarks .*xyz.txt, line 2: found the position .*{words}"):
        read_dirlab(tmp_path).scans[0].load()


def test_landmarks_beyond_the_image_are_refused(tmp_path):
    write_case(tmp_path, CASE_1, ["T00"], (256, 256, 94))
    write_points(tmp_path / CASE_1[1].format("T00"), [(1, 1, 95)])
    with pytest.raises(CohortError, match=r"landmarks .*line 1: found the voxel 1 1 95, expected 1 1 1 to 256 256 94"):
        read_dirlab(tmp_path).scans[0].load()


def test_a_folder_without_cases_says_what_it_should_hold(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    with pytest.raises(CohortError, match=r"found no DIR-Lab image, expected case1_T00_s.img, copd1_iBHCT.img"):
        read_cohort(tmp_path)
