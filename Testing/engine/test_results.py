import errno
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from LungDeepRegLib import Options, register
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import apply, covering_lattice
from LungDeepRegLib.image_io import read_landmarks, read_transform, read_volume, write_volume
from LungDeepRegLib.intensity import Intensity
from LungDeepRegLib.metrics import jacobian_determinant
from LungDeepRegLib.resampling import resample
from LungDeepRegLib.results.folder import write_result
from LungDeepRegLib.results.images import by_world_identity, difference, jacobian_volume, stored
from LungDeepRegLib.results.output_files import Findings, inverse_of, is_ours, remarks, warped_landmarks, write_files
from LungDeepRegLib.results.pair import Pair
from LungDeepRegLib.results.staging import OutputError, staged_file, staged_folder
from LungDeepRegLib.results.summary import SCHEMA
from LungDeepRegLib.volume import Volume

NOWHERE = -30000.0
MRI = Intensity("mri", 0.0, 1000.0, 0.0, "as the test says")


@pytest.fixture(scope="module")
def written(made, tmp_path_factory):
    """All files of the known map between a pair of images."""
    folder = tmp_path_factory.mktemp("written")
    found = Findings(made.pair, made.phi, made.warped, made.covered, inverse=inverse_of(made.pair, made.phi))
    write_files(folder, found, "nii.gz")
    return folder


def by_simpleitk(transform, moving, reference, fill, interpolator=sitk.sitkLinear):
    """What SimpleITK makes of the files alone, (K, J, I)."""
    image = sitk.Resample(
        sitk.ReadImage(str(moving)), sitk.ReadImage(str(reference)), sitk.ReadTransform(str(transform)),
        interpolator, fill, sitk.sitkFloat32,
    )  # fmt: skip
    return sitk.GetArrayFromImage(image)


class TestContractWithSimpleITK:
    def test_transform_makes_the_warped_image(self, made, written, tmp_path):
        write_volume(tmp_path / "moving.nrrd", made.pair.moving)
        theirs = by_simpleitk(written / "transform.h5", tmp_path / "moving.nrrd", written / "coverage.nii.gz", NOWHERE)
        ours, covered = read_volume(written / "warped.nii.gz"), read_volume(written / "coverage.nii.gz").array > 0
        assert 0.3 < covered.mean() < 0.999
        assert ours.lattice == made.pair.fixed.lattice
        reached = theirs != NOWHERE
        assert (covered == reached).mean() > 0.999  # a voxel on the very edge may go either way
        assert np.abs(ours.array - theirs)[covered & reached].max() < 0.51  # rounded to whole HU
        assert (ours.array[~covered] == -1024).all()

    def test_transform_makes_the_warped_mask(self, made, written, tmp_path):
        mask = made.pair.moving.with_array(made.pair.moving_mask)
        write_volume(tmp_path / "mask.nrrd", mask)
        theirs = by_simpleitk(
            written / "transform.h5", tmp_path / "mask.nrrd", written / "warped.nii.gz", 0.0, sitk.sitkNearestNeighbor
        )
        ours = read_volume(written / "warped_mask.nii.gz").array
        assert (ours == theirs).mean() > 0.999

    def test_displacement_image_is_the_same_map(self, made, written):
        points = made.pair.fixed_landmarks.points_ras
        for name in ("transform.h5", "displacement.nii.gz"):
            read = read_transform(written / name, made.pair.fixed.lattice)
            assert np.allclose(read(points), made.phi(points), atol=1e-3)

    def test_inverse_takes_the_moving_image_back(self, made, written):
        inverse = sitk.ReadTransform(str(written / "inverse_transform.h5"))
        flip = np.array([-1, -1, 1])
        moved = made.phi(made.pair.fixed_landmarks.points_ras)
        back = np.array([inverse.TransformPoint(point) for point in (moved * flip).tolist()]) * flip
        assert np.abs(back - made.pair.fixed_landmarks.points_ras).max() < 0.2  # linear between nodes 4 mm apart
        corners = made.pair.moving.lattice
        assert read_transform(written / "inverse_transform.h5", corners).lattice.contains(
            apply(corners.grid_to_ras, np.array([[-1.0, -1, -1], [1, 1, 1]]))
        ).all()  # fmt: skip


class TestImages:
    def test_all_lie_on_the_fixed_image(self, made, written):
        names = ("warped", "warped_mask", "difference_before", "difference_after", "jacobian", "coverage")
        for name in names:
            assert read_volume(written / f"{name}.nii.gz").lattice == made.pair.fixed.lattice
        assert {path.name for path in written.iterdir()} == {
            *(f"{name}.nii.gz" for name in (*names, "displacement")), "transform.h5", "inverse_transform.h5",
            "landmarks_warped.mrk.json",
        }  # fmt: skip
        assert all(is_ours(path.name) for path in written.iterdir())

    def test_difference_is_warped_minus_fixed_exactly(self, made, written):
        warped, after = (read_volume(written / f"{name}.nii.gz").array for name in ("warped", "difference_after"))
        covered = read_volume(written / "coverage.nii.gz").array > 0
        assert after.dtype == np.int16
        clamped = np.maximum(made.pair.fixed.array.astype(int), -1024)
        assert np.array_equal(after[covered], (np.maximum(warped.astype(int), -1024) - clamped)[covered])
        assert (after[~covered] == 0).all()

    def test_difference_before_is_by_world_coordinates(self, made, written):
        moving = sitk.ReadImage(str(written / "warped.nii.gz"))  # for its grid
        write_volume(written.parent / "moving.nrrd", made.pair.moving)
        identity = sitk.Resample(
            sitk.ReadImage(str(written.parent / "moving.nrrd")), moving, sitk.Transform(3, sitk.sitkIdentity),
            sitk.sitkLinear, -5000.0, sitk.sitkFloat32,
        )  # fmt: skip
        theirs = sitk.GetArrayFromImage(identity)
        reached = theirs > -4000
        before = read_volume(written / "difference_before.nii.gz").array
        clamped = np.maximum(made.pair.fixed.array.astype(int), -1024)
        assert 0.01 < reached.mean() < 0.9
        assert np.abs(before - (np.maximum(theirs, -1024) - clamped))[reached].mean() < 0.6

    def test_jacobian_is_that_of_the_map(self, made, written):
        found = read_volume(written / "jacobian.nii.gz").array
        points = made.pair.fixed_landmarks.points_ras
        ijk = np.round(apply(made.pair.fixed.lattice.ras_to_ijk, points)).astype(int)
        at = apply(made.pair.fixed.ijk_to_ras, ijk.astype(float))
        slopes = np.stack([made.truth(at + d / 2) - made.truth(at - d / 2) + d for d in np.eye(3)], axis=-1)
        assert np.allclose(found[tuple(ijk[:, ::-1].T)], np.linalg.det(slopes), atol=0.02)
        assert found.std() > 0.01

    def test_landmarks_go_back_to_the_fixed_image(self, made, written):
        found = read_landmarks(written / "landmarks_warped.mrk.json")
        assert found.labels == made.pair.moving_landmarks.labels
        assert np.abs(found.points_ras - made.pair.fixed_landmarks.points_ras).max() < 0.01

    @pytest.mark.parametrize("kind", ["nrrd", "mha"])
    def test_other_formats_hold_the_same(self, made, written, tmp_path, kind):
        write_files(tmp_path, Findings(made.pair, made.phi, made.warped, made.covered), kind)
        for path in tmp_path.glob(f"*.{kind}"):
            if path.stem != "displacement":
                same = read_volume(written / f"{path.stem}.nii.gz")
                assert np.array_equal(read_volume(path).array, same.array)
                assert read_volume(path).lattice == same.lattice
        assert len([*tmp_path.glob(f"*.{kind}")]) == 7


class TestDifference:
    def pair(self, fixed, moving, fixed_intensity, moving_intensity):
        matrix = np.diag([2.0, 2, 2, 1])
        images = (Volume(np.array(values).reshape(2, 2, 2), matrix, "x") for values in (fixed, moving))
        return Pair(*images, fixed_intensity, moving_intensity)

    def test_ct_with_an_offset_and_padding_is_compared_in_hu(self):
        zero = Intensity("ct", -1000.0, 300.0, -1024.0, "")
        offset = Intensity("ct", 24.0, 1324.0, 0.0, "", 1024.0)
        fixed, moving = np.array([-2048, -900, 0, 50], np.int16), np.array([0, 124, 1024, 1000], np.uint16)
        pair = self.pair([*fixed] * 2, [*moving] * 2, zero, offset)
        found = difference(pair, pair.moving, np.ones((2, 2, 2), bool))
        assert found.array.ravel()[:4].tolist() == [0, 0, 0, -74]

    def test_mri_in_stored_units_and_zero_where_not_covered(self):
        pair = self.pair(np.arange(8.0), np.arange(8.0) * 3, MRI, MRI)
        covered = np.ones((2, 2, 2), bool)
        covered[1, 1, 1] = False
        found = difference(pair, pair.moving, covered)
        assert found.array.dtype == np.float32
        assert found.array.ravel().tolist() == [0, 2, 4, 6, 8, 10, 12, 0]

    def test_different_modalities_by_their_windows(self):
        ct = Intensity("ct", -1000.0, 300.0, -1024.0, "")
        pair = self.pair(np.full(8, -1000.0), np.full(8, 500.0), ct, MRI)
        assert difference(pair, pair.moving, np.ones((2, 2, 2), bool)).array == pytest.approx(0.5)
        assert any("different modalities" in note for note in remarks(pair, np.ones((2, 2, 2), bool)))

    def test_large_integers_need_a_wider_type(self):
        pair = self.pair(np.zeros(8, np.uint16), np.full(8, 60000, np.uint16), MRI, MRI)
        found = difference(pair, pair.moving, np.ones((2, 2, 2), bool))
        assert found.array.dtype == np.int32
        assert (found.array == 60000).all()

    def test_the_same_grid_is_not_sampled_again(self):
        pair = self.pair(np.zeros(8), np.arange(8.0), MRI, MRI)
        assert by_world_identity(pair)[0] is pair.moving


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.int16, [0.5, 1.5, -0.4, 40000], [0, 2, 0, 32767]),
        (np.uint8, [-3, 254.6, 300, 7], [0, 255, 255, 7]),
        (np.int32, [1e12, -1e12, 2, 3], [2147483520, -(2**31), 2, 3]),
    ],
)
def test_integers_are_rounded_and_clipped_to_their_type(dtype, values, expected):
    warped = Volume(np.array(values * 2, np.float32).reshape(2, 2, 2), np.eye(4))
    found = stored(warped, np.dtype(dtype)).array
    assert found.dtype == dtype
    assert found.ravel()[:4].tolist() == expected


def test_fractions_stay_as_they_are(made):
    assert stored(made.warped, np.dtype(np.float64)) is made.warped


def test_jacobian_of_the_identity_is_one_everywhere(made):
    lattice = made.pair.fixed.lattice
    phi = DisplacementField.from_matrix(np.eye(4), covering_lattice(lattice, 5.0, 5.0))
    assert np.allclose(jacobian_volume(phi, lattice).array, 1, atol=1e-5)


def test_jacobian_has_no_digits_that_tell_nothing(made):
    found = jacobian_volume(made.phi, made.pair.fixed.lattice).array
    whole = Volume(jacobian_determinant(made.phi), made.phi.lattice.ijk_to_ras)
    exact = resample(whole, made.pair.fixed.lattice).array
    assert np.array_equal(found * 2**13, np.rint(found * 2**13))
    assert 0 < np.abs(found - exact).max() <= 1.001 * 2**-14


class TestRemarks:
    def test_images_that_do_not_meet_before_registration(self, made):
        away = made.pair.moving.ijk_to_ras.copy()
        away[:3, 3] += 400
        pair = replace(made.pair, moving=Volume(made.pair.moving.array, away), moving_landmarks=None)
        notes = remarks(pair, made.covered)
        assert len(notes) == 1
        assert "don't overlap in world coordinates: difference_before is 0 everywhere" in notes[0]
        moving, reached = by_world_identity(pair)
        assert not difference(pair, moving, reached).array.any()

    def test_nothing_to_say(self, made):
        assert remarks(made.pair, made.covered) == []

    def test_nothing_covered(self, made):
        assert "covers nothing" in remarks(made.pair, np.zeros_like(made.covered))[0]

    def test_landmarks_out_of_reach_are_named(self, made):
        # Everything is mapped into one point, so no other one is reached.
        where = covering_lattice(made.pair.fixed.lattice, 5.0, 5.0)
        squeezed = DisplacementField.from_displacement(lambda x: -0.999 * x, where)
        _, notes = warped_landmarks(squeezed, made.pair.moving_landmarks)
        assert "moving points: the transformation doesn't reach" in notes[0]


class TestStaging:
    def staged(self, out, **options):
        return staged_folder(out, ours=is_ours, **options)

    def test_appears_at_the_end_with_its_parents(self, tmp_path):
        out = tmp_path / "a" / "b" / "out"
        with self.staged(out) as folder:
            (folder / "summary.json").write_text("{}")
            assert not out.exists()
            assert folder.parent == out.parent
        assert [path.name for path in out.iterdir()] == ["summary.json"]
        assert [path.name for path in out.parent.iterdir()] == ["out"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_nothing_is_left_after_an_error(self, tmp_path, error):
        def fail():
            with self.staged(tmp_path / "a" / "out") as folder:
                (folder / "warped.nii.gz").write_text("half")
                raise error

        with pytest.raises(error):
            fail()
        assert not any(tmp_path.iterdir())

    def test_an_earlier_result_stays_until_it_is_to_be_replaced(self, tmp_path):
        out = tmp_path / "out"
        out.mkdir()
        for name in ("summary.json", "inverse_transform.h5", "warped.nrrd", "notes.txt"):
            (out / name).write_text("old")
        with pytest.raises(OutputError, match=r"the folder isn't empty.*--overwrite"), self.staged(out):
            pass
        with self.staged(out, overwrite=True) as folder:
            (folder / "summary.json").write_text("new")
            (folder / "input").mkdir()
            (folder / "input" / "fixed.nii.gz").write_text("new")
        assert sorted(path.name for path in out.iterdir()) == ["input", "notes.txt", "summary.json"]
        assert (out / "summary.json").read_text(encoding="utf-8") == "new"
        assert (out / "notes.txt").read_text(encoding="utf-8") == "old"
        with self.staged(out, overwrite=True) as folder:
            (folder / "input").mkdir()
            (folder / "input" / "fixed.nii.gz").write_text("newer")
        assert (out / "input" / "fixed.nii.gz").read_text(encoding="utf-8") == "newer"

    def test_a_file_in_the_way(self, tmp_path):
        (tmp_path / "out").write_text("x")
        with pytest.raises(OutputError, match="found a file, expected a folder"), self.staged(tmp_path / "out"):
            pass
        with pytest.raises(OutputError, match="can't be written"), self.staged(tmp_path / "out" / "below"):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_a_place_without_rights(self, tmp_path, monkeypatch):
        def refuse(self, *args, **kwargs):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "mkdir", refuse)
        denied = pytest.raises(OutputError, match=r"out: the result can't be written \(Permission denied\)")
        with denied, self.staged(tmp_path / "out"):
            pass

    def test_a_single_file(self, tmp_path):
        out = tmp_path / "warped.nii.gz"
        with staged_file(out) as unfinished:
            assert unfinished.name.endswith(".nii.gz")
            unfinished.write_text("new")
            assert not out.exists()
        assert out.read_text(encoding="utf-8") == "new"
        with pytest.raises(OutputError, match="exists already"), staged_file(out):
            pass
        with staged_file(out, overwrite=True) as unfinished:
            unfinished.write_text("newer")
        assert out.read_text(encoding="utf-8") == "newer"
        with pytest.raises(OutputError, match="can't be written"), staged_file(tmp_path / "absent" / "x.nii"):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["warped.nii.gz"]


@pytest.fixture(scope="module")
def registered(phantom):
    masks = {"fixed_mask": phantom.fixed_mask.array > 0, "moving_mask": phantom.moving_mask.array > 0}
    return register(phantom.fixed, phantom.moving, Options(alignment="centre", refine="off"), checkpoint=None, **masks)


class TestWriteResult:
    def test_of_a_registration_from_python(self, phantom, registered, tmp_path):
        content = write_result(
            tmp_path / "out", phantom.fixed, phantom.moving, registered, masks_given=True, kind="nrrd",
            fixed_landmarks=phantom.fixed_landmarks, moving_landmarks=phantom.moving_landmarks,
        )  # fmt: skip
        assert list(content) == list(SCHEMA)
        assert json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8")) == content
        assert content["masks"] == {"fixed": "given", "moving": "given"}
        assert content["options"]["alignment"] == "centre"
        assert content["dice_aligned"] == content["dice_after"]
        errors = content["landmark_error_mm"]
        assert errors["after"]["ds"]["mean"] < errors["before"]["ds"]["mean"]
        assert {"prepare", "align", "warp", "evaluate", "write", "report"} <= content["seconds"].keys()
        assert content["seconds_total"] >= sum(content["seconds"].values()) - 0.1
        assert (tmp_path / "out" / "report.png").stat().st_size > 100_000

    def test_full_disk_while_writing_leaves_nothing(self, phantom, registered, tmp_path, monkeypatch):
        def full(*args, **kwargs):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("LungDeepRegLib.image_io.nifti.compressed", full)
        with pytest.raises(OutputError, match=r"out/\w+\.nii\.gz: can't be written, the disk is full"):
            write_result(tmp_path / "out", phantom.fixed, phantom.moving, registered)
        assert not any(tmp_path.iterdir())

    def test_without_matplotlib_there_is_no_picture(self, phantom, registered, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
        content = write_result(tmp_path / "out", phantom.fixed, phantom.moving, registered)
        assert "report.png is left out: matplotlib.backends.backend_agg isn't installed" in content["warnings"]
        assert not (tmp_path / "out" / "report.png").exists()
