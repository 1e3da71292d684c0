import contextlib
import errno
import hashlib
import io
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import LungDeepRegLib
import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from LungDeepRegLib.__main__ import main
from LungDeepRegLib.commands import console
from LungDeepRegLib.html_report.figures import flattened
from LungDeepRegLib.image_io import read_landmarks, read_transform, read_volume, write_landmarks, write_volume
from LungDeepRegLib.landmarks import Landmarks
from LungDeepRegLib.results.summary import SCHEMA
from LungDeepRegLib.volume import Volume

QUICK = ["--alignment", "centre", "--voxel-budget", "30000"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(LungDeepRegLib.__file__).parents[1])}


@pytest.fixture(scope="module")
def files(phantom, tmp_path_factory):
    """A pair in files of several formats; ``given`` are the options that name them."""
    folder = tmp_path_factory.mktemp("inputs")
    write_volume(folder / "fixed.nii.gz", phantom.fixed)
    write_volume(folder / "moving.nrrd", phantom.moving)
    write_volume(folder / "fixed_mask.mha", phantom.fixed_mask)
    write_volume(folder / "moving_mask.nii.gz", phantom.moving_mask)
    write_landmarks(folder / "fixed.mrk.json", phantom.fixed_landmarks)
    write_landmarks(folder / "moving.csv", phantom.moving_landmarks)
    images = ["--fixed", str(folder / "fixed.nii.gz"), "--moving", str(folder / "moving.nrrd")]
    masks = ["--fixed-mask", str(folder / "fixed_mask.mha"), "--moving-mask", str(folder / "moving_mask.nii.gz")]
    landmarks = ["--fixed-landmarks", str(folder / "fixed.mrk.json"), "--moving-landmarks", str(folder / "moving.csv")]
    return SimpleNamespace(folder=folder, images=images, masks=masks, landmarks=landmarks)


@pytest.fixture(scope="module")
def registered(files, tmp_path_factory):
    """What ``register`` makes of the pair, with all that can be asked for."""
    out = tmp_path_factory.mktemp("results") / "out"
    before = fingerprints(files.folder)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = main(["register", *files.images, *files.masks, *files.landmarks, *QUICK, "--inverse",
                     "--inverse-consistency", "--out", str(out)])  # fmt: skip
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    return SimpleNamespace(
        code=code, out=out, said=said.getvalue(), summary=summary, before=before, after=fingerprints(files.folder)
    )


def fingerprints(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def failing(capsys, arguments, code, *expected):
    """Run a command that must fail with a code and one clear line."""
    assert main([str(argument) for argument in arguments]) == code
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err
    assert said.out == ""
    for part in expected:
        assert part in said.err
    return said.err


class TestRegister:
    def test_writes_all_files_and_nothing_else(self, registered):
        assert registered.code == 0
        assert {path.name for path in registered.out.iterdir()} == {
            "warped.nii.gz", "warped_mask.nii.gz", "difference_before.nii.gz", "difference_after.nii.gz",
            "displacement.nii.gz", "jacobian.nii.gz", "coverage.nii.gz", "transform.h5", "inverse_transform.h5",
            "landmarks_warped.mrk.json", "report.png", "report.html", "report.csv", "report.json", "summary.json",
        }  # fmt: skip
        assert [path.name for path in registered.out.parent.iterdir()] == ["out"]

    def test_inputs_stay_as_they_were(self, registered):
        assert registered.before == registered.after

    def test_summary_has_every_entry(self, registered):
        found = registered.summary
        assert list(found) == list(SCHEMA)
        assert found["dice_before"] < found["dice_aligned"] < found["dice_after"]
        errors = found["landmark_error_mm"]
        assert errors["after"]["ds"]["mean"] < errors["aligned"]["ds"]["mean"] < errors["before"]["ds"]["mean"]
        assert errors["after"]["ds"]["max"] >= errors["after"]["ds"]["p95"] >= errors["after"]["ds"]["median"]
        assert found["similarity"]["after"] > found["similarity"]["before"]
        assert found["mean_jacobian_lung"] == pytest.approx(found["lung_volume_ratio"], rel=0.1)
        assert found["inversion_residual_mm"]["p95"] < 0.1
        assert 0 < found["inverse_consistency_mm"]["mean"] < 10
        assert found["masks"] == {"fixed": "given", "moving": "given"}
        assert found["intensity"]["fixed"].startswith("fixed.nii.gz: CT")
        assert found["options"]["voxel_budget"] == 30000
        assert found["seed"] == 0
        stages = "start read prepare align network refine warp invert backward evaluate write report"
        assert {*stages.split()} == found["seconds"].keys()
        assert found["seconds_total"] >= 0.9 * sum(found["seconds"].values())

    def test_report_shows_every_figure_of_the_summary(self, registered):
        page = (registered.out / "report.html").read_text(encoding="utf-8")
        found = re.findall(r'<data value="([^"]*)"[^>]* data-entry="([^"]*)"', page)
        shown = {entry: json.loads(value) for value, entry in found}
        figures = {path: value for path, value in flattened(registered.summary) if type(value) in (int, float)}
        assert shown == figures
        assert len(figures) > 100
        assert page.count("<figure>") == 3
        again = json.loads((registered.out / "report.json").read_text(encoding="utf-8"))["summary"]
        assert again["seconds"] == registered.summary["seconds"]

    def test_says_it_in_a_table(self, registered):
        found, said = registered.summary, registered.said
        for name in ("dice_before", "dice_aligned", "dice_after"):
            assert f"{found[name]:.3f}" in said
        assert f"{found['landmark_error_mm']['after']['ds']['mean']:.2f}" in said
        assert found["options"]["weights"] == "bundled"
        assert "no trained weights" not in said
        assert f"Results in {registered.out}" in said
        assert "not for clinical use" in said

    def test_an_earlier_result_is_not_overwritten_unasked(self, files, registered, capsys):
        command = ["register", *files.images, "--out", registered.out]
        failing(capsys, command, 5, "the folder isn't empty", "--overwrite")

    def test_one_set_of_landmarks_and_no_masks_in_another_format(self, files, tmp_path, capsys):
        out = tmp_path / "new" / "out"
        code = main(["register", *files.images, *files.landmarks[2:], "--alignment", "centre", "--refine", "off",
                     "--format", "mha", "--out", str(out), "--quiet"])  # fmt: skip
        assert code == 0
        assert capsys.readouterr().err == ""
        found = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        assert found["landmark_error_mm"] is None
        assert found["masks"] == {"fixed": "found", "moving": "found"}
        assert any("moving.csv: without fixed landmarks no error" in warning for warning in found["warnings"])
        assert (out / "landmarks_warped.mrk.json").exists()
        assert (out / "warped.mha").exists()


class TestWarp:
    def command(self, files, registered, *what):
        return ["warp", "--transform", str(registered.out / "transform.h5"), "--reference",
                str(files.folder / "fixed.nii.gz"), *map(str, what)]  # fmt: skip

    def test_image_as_in_the_result(self, files, registered, tmp_path, capsys):
        out = tmp_path / "warped.nrrd"
        assert main(self.command(files, registered, "--image", files.folder / "moving.nrrd", "--out", out)) == 0
        assert capsys.readouterr().out == f"Wrote {out}\n"
        ours, theirs = read_volume(out), read_volume(registered.out / "warped.nii.gz")
        assert np.array_equal(ours.array, theirs.array)
        assert ours.lattice == theirs.lattice

    def test_labels_keep_their_numbers(self, files, registered, tmp_path):
        out = tmp_path / "labels.nii.gz"
        assert main(self.command(files, registered, "--label", files.folder / "moving_mask.nii.gz", "--out", out)) == 0
        found = read_volume(out).array
        assert set(np.unique(found)) == {0, 1, 2}
        assert found.dtype == np.uint8
        assert np.array_equal(found > 0, read_volume(registered.out / "warped_mask.nii.gz").array > 0)

    def test_landmarks_there_and_back(self, files, registered, tmp_path):
        there, back = tmp_path / "there.csv", tmp_path / "back.mrk.json"
        fixed = files.folder / "fixed.mrk.json"
        assert main(self.command(files, registered, "--fixed-landmarks", fixed, "--out", there)) == 0
        assert main(self.command(files, registered, "--landmarks", there, "--out", back)) == 0
        phi = read_transform(registered.out / "transform.h5", read_volume(files.folder / "fixed.nii.gz").lattice)
        points = read_landmarks(fixed).points_ras
        assert np.allclose(read_landmarks(there).points_ras, phi(points), atol=1e-3)
        assert np.allclose(read_landmarks(back).points_ras, points, atol=0.01)
        assert read_landmarks(back).labels == read_landmarks(fixed).labels

    def test_nothing_is_replaced_unasked(self, files, registered, tmp_path, capsys):
        out = tmp_path / "warped.nii.gz"
        out.write_text("precious")
        command = self.command(files, registered, "--image", files.folder / "moving.nrrd", "--out", out)
        failing(capsys, command, 5, "exists already")
        assert out.read_text(encoding="utf-8") == "precious"
        assert main([*command, "--overwrite"]) == 0
        assert out.read_text(errors="replace") != "precious"
        capsys.readouterr()
        moving = files.folder / "moving.nrrd"
        own = self.command(files, registered, "--image", moving, "--out", moving, "--overwrite")
        failing(capsys, own, 5, "this is one of the inputs")

    def test_wrong_output_format(self, files, registered, tmp_path, capsys):
        command = self.command(files, registered, "--image", files.folder / "moving.nrrd", "--out", tmp_path / "x.png")
        failing(capsys, command, 5, "found .png, expected one of .nii")
        assert not any(tmp_path.iterdir())

    def test_exactly_one_thing_to_warp(self, files, registered, tmp_path, capsys):
        with pytest.raises(SystemExit, match="2"):
            main(self.command(files, registered, "--out", tmp_path / "x.nrrd"))
        expected = "one of the arguments --image --label --landmarks --fixed-landmarks is required"
        assert expected in capsys.readouterr().err


class TestEvaluate:
    def test_own_result_has_the_same_figures(self, files, registered, tmp_path):
        out = tmp_path / "figures.json"
        assert main(["evaluate", *files.images, *files.masks, *files.landmarks, "--transform",
                     str(registered.out / "transform.h5"), "--inverse", "--out", str(out)]) == 0  # fmt: skip
        found, expected = json.loads(out.read_text(encoding="utf-8")), registered.summary
        assert list(found) == list(SCHEMA)
        for name in ("dice_before", "dice_after", "folded_percent", "mean_jacobian_lung", "lung_volume_ratio"):
            assert found[name] == pytest.approx(expected[name], abs=1e-5)
        after = found["landmark_error_mm"]["after"]["ds"]
        assert after == pytest.approx(expected["landmark_error_mm"]["after"]["ds"], abs=1e-4)
        assert found["similarity"] == pytest.approx(expected["similarity"], abs=1e-4)
        assert found["inversion_residual_mm"] is not None
        assert found["dice_aligned"] is found["seed"] is found["device"] is None

    def test_a_transform_of_itk_into_a_folder(self, files, tmp_path, capsys):
        sitk.WriteTransform(sitk.TranslationTransform(3, (0.0, 0.0, 0.0)), str(tmp_path / "still.tfm"))
        assert main(["evaluate", *files.images, *files.masks, "--transform", str(tmp_path / "still.tfm"), "--backward",
                     str(tmp_path / "still.tfm"), "--out", str(tmp_path / "out")]) == 0  # fmt: skip
        found = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
        assert found["dice_before"] == pytest.approx(found["dice_after"], abs=0.01)  # ties of the nearest neighbour
        assert found["inverse_consistency_mm"]["max"] < 1e-3
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            "report.csv", "report.html", "report.json", "report.png", "summary.json",
        ]  # fmt: skip
        assert str(tmp_path / "out") in capsys.readouterr().out
        for name in ("report.html", "report.csv", "report.json"):
            text = (tmp_path / "out" / name).read_text(encoding="utf-8")
            assert "Fixed image" in text
            assert not any(secret in text for secret in ("fixed.nii.gz", "moving.nrrd", "still.tfm", str(tmp_path)))

    def test_names_are_told_only_where_they_are_asked_for(self, files, tmp_path):
        sitk.WriteTransform(sitk.TranslationTransform(3, (0.0, 0.0, 0.0)), str(tmp_path / "still.tfm"))
        assert main(["evaluate", *files.images, "--transform", str(tmp_path / "still.tfm"), "--names", "--out",
                     str(tmp_path / "out")]) == 0  # fmt: skip
        text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        assert "moving.nrrd (moving)" in text
        assert "still.tfm" in text
        assert str(tmp_path) not in text

    def test_a_transform_that_is_none(self, files, tmp_path, capsys):
        (tmp_path / "bad.h5").write_bytes(b"nothing")
        command = ["evaluate", *files.images, "--transform", tmp_path / "bad.h5", "--out", tmp_path / "x.json"]
        failing(capsys, command, 3, "bad.h5: found no HDF5 file")
        assert [path.name for path in tmp_path.iterdir()] == ["bad.h5"]


class TestDemo:
    def test_is_judged_by_what_the_registration_does_not_see(self, phantom, tmp_path, monkeypatch, capsys):
        seen = []
        register = LungDeepRegLib.commands.register.register

        def spied(*args, **kwargs):
            seen.append(kwargs)
            return register(*args, **kwargs)

        monkeypatch.setattr("LungDeepRegLib.commands.demo.make_pair", lambda config: phantom)
        monkeypatch.setattr("LungDeepRegLib.commands.register.register", spied)
        assert main(["demo", "--out", str(tmp_path / "out"), "--alignment", "centre", "--refine", "off"]) == 0
        assert seen[0]["fixed_mask"] is seen[0]["moving_mask"] is None
        found = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
        assert found["dice_after"] > found["dice_before"]
        assert found["landmark_error_mm"]["after"]["ds"]["mean"] < found["landmark_error_mm"]["before"]["ds"]["mean"]
        assert "synthetic" in found["warnings"][0]
        said = capsys.readouterr().out
        assert "synthetic chest" in said
        assert "report.html" in said
        inputs = tmp_path / "out" / "input"
        assert read_volume(inputs / "fixed.nii.gz").lattice == phantom.fixed.lattice
        assert len([*inputs.iterdir()]) == 6


class TestHelp:
    def test_exit_codes_are_listed(self, capsys):
        with pytest.raises(SystemExit, match="0"):
            main(["--help"])
        said = capsys.readouterr().out
        for line in ("exit codes:", "  2  unknown", "  3  an input", "  4  the registration", "  5  the output", "130"):
            assert line in said

    @pytest.mark.parametrize("command", ["register", "warp", "evaluate", "demo"])
    def test_each_command_has_an_example_that_its_parser_takes(self, command, capsys, monkeypatch):
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        said = capsys.readouterr().out
        assert max(map(len, said.splitlines()[3:-1])) <= 100
        example = said.splitlines()[-1].split()
        assert example[:3] == ["python", "-m", "LungDeepRegLib"]
        ran = []
        monkeypatch.setattr(f"LungDeepRegLib.commands.{command}.run", ran.append)
        assert main(example[3:]) == 0
        assert len(ran) == 1

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["--similarity", "mutual"], "found the similarity 'mutual'"),
            (["--voxel-budget", "12"], "found a voxel budget of 12, expected at least 10000"),
            (["--voxel-budget", "many"], "found 'many', expected a whole number"),
            (["--seed", "-1"], "expected a whole number from 0"),
            (["--modality", "pet"], "invalid choice: 'pet'"),
            (["--format", "png"], "invalid choice: 'png'"),
            (["--nonsense"], "unrecognized arguments: --nonsense"),
        ],
    )
    def test_unknown_options_end_with_code_2(self, options, expected, tmp_path, capsys):
        with pytest.raises(SystemExit, match="2"):
            main(["register", "--fixed", "f", "--moving", "m", "--out", str(tmp_path / "out"), *options])
        assert expected in capsys.readouterr().err


def nifti(path, array, matrix=None):
    nibabel.save(nibabel.Nifti1Image(array, np.diag([2.0, 2, 2, 1]) if matrix is None else matrix), path)
    return path


def noise(*shape):
    return np.random.default_rng(0).normal(0, 300, shape).astype(np.float32)


def with_voxel(value):
    array = noise(8, 8, 8)
    array[1, 2, 3] = value
    return array


def mha(path, **changes):
    """A MetaImage with a few lines of its header changed."""
    header = {"ObjectType": "Image", "NDims": "3", "BinaryData": "True", "ElementSpacing": "2 2 2",
              "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "0 0 0", "DimSize": "8 8 8",
              "ElementType": "MET_FLOAT", **changes, "ElementDataFile": "LOCAL"}  # fmt: skip
    text = "".join(f"{name} = {value}\n" for name, value in header.items())
    path.write_bytes(text.encode() + noise(8, 8, 8).tobytes())
    return path


def rgb(path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((8, 8, 8, 3), np.uint8), isVector=True), str(path))
    return path


def truncated(path):
    whole = nifti(path.with_name("whole.nii.gz"), noise(30, 30, 30))
    path.write_bytes(whole.read_bytes()[:5000])
    whole.unlink()
    return path


def text_file(path):
    path.write_text("no image")
    return path


BAD_IMAGES = {
    "missing": (lambda p: p / "absent.nii.gz", "absent.nii.gz: no such file"),
    "unreadable": (lambda p: text_file(p / "x.nii.gz"), "x.nii.gz: can't be read as NIfTI"),
    "unknown kind": (lambda p: text_file(p / "x.jpg"), "x.jpg: found .jpg, expected one of"),
    "truncated": (lambda p: truncated(p / "x.nii.gz"), "x.nii.gz: can't be read as NIfTI, it is damaged, incomplete"),
    "NaN": (lambda p: nifti(p / "x.nii.gz", with_voxel(np.nan)), "x.nii.gz: found 1 NaN or infinite voxels"),
    "infinite": (lambda p: nifti(p / "x.nii.gz", with_voxel(np.inf)), "x.nii.gz: found 1 NaN or infinite voxels"),
    "constant": (lambda p: nifti(p / "x.nii.gz", np.full((8, 8, 8), 7.0)), "found the same value 7.0 in every voxel"),
    "2D": (lambda p: nifti(p / "x.nii.gz", noise(8, 8)), "found a 2D image of (8, 8)"),
    "4D": (lambda p: nifti(p / "x.nii.gz", noise(8, 8, 8, 3)), "found a 4D image of (8, 8, 8, 3)"),
    "RGB": (lambda p: rgb(p / "x.nrrd"), "x.nrrd: found 3 values in each voxel"),
    "one slice": (lambda p: nifti(p / "x.nii.gz", noise(8, 8, 1)), "expected three axes of at least 2 voxels"),
    "zero spacing": (lambda p: mha(p / "x.mha", ElementSpacing="2 2 0"), "x.mha: "),
    "absurd spacing": (lambda p: mha(p / "x.mha", ElementSpacing="2 2 2000"), "x.mha: found a voxel spacing of"),
    "singular": (lambda p: nifti(p / "x.nii.gz", noise(8, 8, 8), np.array(
        [[2.0, 2, 0, 0], [0, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])), "x.nii.gz: "),
}  # fmt: skip


class TestBadInput:
    """Each gets a code and a message that names the file, and leaves nothing behind."""

    @pytest.fixture(autouse=True)
    def nothing_left(self, tmp_path):
        yield
        assert not [path for path in tmp_path.rglob("*") if path.name == "out" or "unfinished" in path.name]

    @pytest.mark.parametrize("kind", BAD_IMAGES)
    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_image(self, kind, files, tmp_path, capsys):
        make, expected = BAD_IMAGES[kind]
        path = make(tmp_path)
        command = ["register", "--fixed", path, *files.images[2:], "--out", tmp_path / "out", "--refine", "off"]
        failing(capsys, command, 3, expected, path.name)

    def test_fixed_is_moving(self, files, tmp_path, capsys):
        link = tmp_path / "link.nii.gz"
        link.symlink_to(files.folder / "fixed.nii.gz")
        command = ["register", "--fixed", files.folder / "fixed.nii.gz", "--moving", link, "--out", tmp_path / "out"]
        failing(capsys, command, 3, "link.nii.gz: found the same image as fixed and as moving")

    def test_mask_of_another_grid(self, files, tmp_path, capsys):
        command = ["register", *files.images, "--fixed-mask", files.folder / "moving_mask.nii.gz"]
        expected = "moving_mask.nii.gz: found a mask of", "expected the grid of fixed.nii.gz"
        failing(capsys, [*command, "--out", tmp_path / "out"], 3, *expected)

    def test_empty_mask(self, files, phantom, tmp_path, capsys):
        write_volume(tmp_path / "empty.nrrd", phantom.fixed.with_array(np.zeros(phantom.fixed.array.shape, np.uint8)))
        command = ["register", *files.images, "--fixed-mask", tmp_path / "empty.nrrd", "--out", tmp_path / "out"]
        failing(capsys, command, 3, "empty.nrrd: found an empty mask")

    def test_landmark_outside_the_image(self, files, tmp_path, capsys):
        points = Landmarks(np.array([[0.0, 0, 0], [0, 0, 900]]), ("carina", "beyond"))
        write_landmarks(tmp_path / "points.mrk.json", points)
        command = ["register", *files.images, "--moving-landmarks", tmp_path / "points.mrk.json"]
        expected = "points.mrk.json: found 1 of 2 landmarks outside the image moving.nrrd (beyond"
        failing(capsys, [*command, "--out", tmp_path / "out"], 3, expected)

    def test_landmarks_that_cannot_be_paired(self, files, tmp_path, capsys):
        write_landmarks(tmp_path / "points.csv", Landmarks(np.zeros((3, 3)), ("x", "y", "z")))
        command = ["register", *files.images, *files.landmarks[:2], "--moving-landmarks", tmp_path / "points.csv"]
        expected = "found 10 points in fixed.mrk.json and 3 in points.csv"
        failing(capsys, [*command, "--out", tmp_path / "out"], 3, expected)

    def test_no_overlap(self, files, phantom, tmp_path, capsys):
        far = phantom.moving.ijk_to_ras.copy()
        far[:3, 3] += 2000
        write_volume(tmp_path / "far.nrrd", Volume(phantom.moving.array, far))
        command = ["register", *files.images[:2], "--moving", tmp_path / "far.nrrd", *files.masks[:2]]
        command += ["--alignment", "none", "--refine", "off", "--out", tmp_path / "out"]
        failing(capsys, command, 4, "fixed.nii.gz", "far.nrrd", "overlap")

    @pytest.mark.parametrize("kind", ["missing", "text", "corrupt", "hostile", "foreign"])
    def test_weights(self, kind, files, tmp_path, capsys):
        weights = tmp_path / "weights.pt"
        if kind == "text":
            weights.write_text("no weights")
        elif kind == "foreign":
            torch.save({"state_dict": {}}, weights)
        elif kind in ("corrupt", "hostile"):
            torch.save(Hostile(tmp_path / "ran") if kind == "hostile" else {"x": torch.zeros(9)}, weights)
            if kind == "corrupt":
                weights.write_bytes(weights.read_bytes()[:200])
        command = ["register", *files.images, "--weights", weights, "--out", tmp_path / "out"]
        failing(capsys, command, 3, "weights.pt: ")
        assert not (tmp_path / "ran").exists()

    def test_several_dicom_series(self, files, tmp_path, capsys):
        folder = tmp_path / "dicom"
        folder.mkdir()
        for number in (1, 2):
            write_series(folder, number)
        command = ["register", "--fixed", folder, "--moving", tmp_path / "absent.nii", "--out", tmp_path / "out"]
        listed = [f"{number}: CT, 3 slices, 'series {number}'" for number in (1, 2)]
        failing(capsys, command, 3, "found 2 DICOM series", *listed)
        failing(capsys, [*command, "--series-fixed", "2"], 3, "absent.nii: no such file")

    def test_gpu_that_is_absent(self, files, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        command = ["register", *files.images, "--device", "cuda", "--out", tmp_path / "out"]
        failing(capsys, command, 4, "found no cuda device")

    def test_not_enough_memory(self, files, tmp_path, capsys, monkeypatch):
        def greedy(*args, **kwargs):
            msg = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9e9 bytes"
            raise RuntimeError(msg)

        monkeypatch.setattr("LungDeepRegLib.commands.register.register", greedy)
        command = ["register", *files.images, "--out", tmp_path / "out"]
        failing(capsys, command, 4, "not enough memory", "--voxel-budget")

    def test_output_that_cannot_be_written(self, files, tmp_path, capsys, monkeypatch):
        (tmp_path / "file").write_text("x")
        command = ["register", *files.images, "--out", tmp_path / "file" / "result"]
        failing(capsys, command, 5, "file/result: the result can't be written")

        def refuse(self, *args, **kwargs):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "mkdir", refuse)
        failing(capsys, [*command[:-1], tmp_path / "out"], 5, "out: the result can't be written (Permission denied)")

    def test_full_disk(self, files, tmp_path, capsys, monkeypatch):
        def full(*args, **kwargs):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("LungDeepRegLib.image_io.nifti.compressed", full)
        command = ["register", *files.images, *files.masks, "--alignment", "none", "--refine", "off"]
        said = failing(capsys, [*command, "--out", tmp_path / "out"], 5, "the disk is full", "No space left")
        assert str(tmp_path / "out" / "") in said
        assert "unfinished" not in said

    def test_a_result_never_replaces_an_input(self, files, tmp_path, capsys, phantom):
        folder = tmp_path / "mine"
        folder.mkdir()
        write_volume(folder / "warped.nrrd", phantom.fixed)
        command = ["register", "--fixed", folder / "warped.nrrd", *files.images[2:], "--out", folder, "--overwrite"]
        failing(capsys, command, 5, "warped.nrrd: this input would be replaced")
        assert [path.name for path in folder.iterdir()] == ["warped.nrrd"]

    @pytest.mark.parametrize("stage", ["read_pair", "register", "fill_folder"])
    def test_ctrl_c(self, stage, files, tmp_path, capsys, monkeypatch):
        def interrupted(*args, **kwargs):
            raise KeyboardInterrupt

        monkeypatch.setattr(f"LungDeepRegLib.commands.register.{stage}", interrupted)
        command = ["register", *files.images, *files.masks, "--alignment", "none", "--refine", "off"]
        failing(capsys, [*command, "--out", tmp_path / "a" / "out"], 130, "interrupted; nothing was written")
        assert not any(tmp_path.iterdir())

    def test_ctrl_c_while_files_are_written(self, files, tmp_path, capsys, monkeypatch):
        def interrupted(*args, **kwargs):
            raise KeyboardInterrupt

        monkeypatch.setattr("LungDeepRegLib.results.folder.write_report", interrupted)
        command = ["register", *files.images, *files.masks, "--alignment", "none", "--refine", "off"]
        failing(capsys, [*command, "--out", tmp_path / "out"], 130, "interrupted")
        assert not any(tmp_path.iterdir())

    def test_errors_of_the_program_itself(self, files, tmp_path, capsys, monkeypatch):
        def broken(*args, **kwargs):
            return [][0]

        monkeypatch.setattr("LungDeepRegLib.commands.register.register", broken)
        command = ["register", *files.images, "--out", tmp_path / "out"]
        failing(capsys, command, 1, "an error of the program itself, IndexError: list index out of range (--debug")
        assert main([*map(str, command), "--debug"]) == 1
        assert "Traceback" in capsys.readouterr().err


class Hostile:
    """Unpickled without care, this writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, "the code in the weights ran"))


def test_the_hostile_weights_would_run_if_they_were_unpickled(tmp_path):
    pickle.loads(pickle.dumps(Hostile(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


def write_series(folder, number):
    """Three slices of a DICOM CT series."""
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(3):
        image = sitk.GetImageFromArray(noise(1, 8, 8).astype(np.int16))
        tags = {
            "0008|0018": f"1.2.3.{number}.{k}",
            "0008|0060": "CT",
            "0008|103e": f"series {number}",
            "0020|000d": "1.2.3",
            "0020|000e": f"1.2.3.{number}",
            "0020|0011": str(number),
            "0020|0013": str(k),
            "0020|0032": f"0\\0\\{3 * k}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{number}_{k}.dcm"))
        writer.Execute(image)


def test_out_of_memory_on_the_gpu_goes_on_on_the_cpu(files, tmp_path, monkeypatch):
    registration = LungDeepRegLib.registration
    deformed, devices = registration.deformed, []

    def scarce(*args):
        device = next(value for value in args if isinstance(value, torch.device))
        devices.append(device.type)
        if device.type == "cuda":
            msg = "CUDA out of memory. Tried to allocate 9.00 GiB"
            raise RuntimeError(msg)
        return deformed(*args)

    monkeypatch.setattr(registration, "deformed", scarce)
    monkeypatch.setattr(registration, "choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(registration, "device_name", lambda device: device.type)
    settings = [*QUICK, "--weights", "none", "--device", "cuda"]  # without a GPU no network can be put there
    command = ["register", *files.images, *files.masks, *settings, "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert devices == ["cuda", "cpu"]
    found = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert found["device"] == "cpu"
    assert any("the memory of cuda didn't suffice; it went on on the CPU" in warning for warning in found["warnings"])


class TestProgress:
    def test_plain_text_without_tqdm(self, monkeypatch, capsys):
        monkeypatch.setitem(sys.modules, "tqdm", None)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        bar = console.progress_bar(quiet=False)
        assert isinstance(bar, console.PlainBar)
        for fraction in (0.0, 0.5, 1.0):
            bar("refine", fraction)
        bar("warp", 0.25)
        bar.close()
        said = capsys.readouterr().err
        assert "\rRefining" in said
        assert "100%\n" in said
        assert said.endswith(" 25%\n")

    def test_a_bar_for_each_stage(self, monkeypatch, capsys):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        bar = console.progress_bar(quiet=False)
        assert isinstance(bar, console.TqdmBar)
        bar("align", 0.5)
        bar("refine", 1.0)
        bar.close()
        said = capsys.readouterr().err
        assert "Aligning" in said
        assert "Refining" in said

    def test_silent_where_nobody_looks(self, monkeypatch):
        assert isinstance(console.progress_bar(quiet=False), console.Silence)  # not a terminal
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        assert isinstance(console.progress_bar(quiet=True), console.Silence)


class TestProcess:
    """The command line as it is used."""

    def start(self, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "LungDeepRegLib", *map(str, arguments)],
            env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def test_measures_a_transform(self, files, registered, tmp_path):
        process = self.start("evaluate", *files.images, *files.masks, "--transform", registered.out / "transform.h5",
                             "--out", tmp_path / "figures.json")  # fmt: skip
        said, complaints = process.communicate(timeout=120)
        assert process.returncode == 0, complaints
        assert f"{registered.summary['dice_after']:.3f}" in said
        found = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
        assert found["dice_after"] == pytest.approx(registered.summary["dice_after"], abs=1e-5)
        if sys.platform == "linux":
            assert found["seconds"]["start"] > 0.3  # imports count

    @pytest.mark.skipif(os.name != "posix", reason="signals are sent otherwise on Windows")
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_stopped_by_a_signal_leaves_nothing(self, number, files, tmp_path):
        process = self.start("register", *files.images, "--out", tmp_path / "out", "--refine", "accurate")
        limit = time.monotonic() + 60
        while not any(tmp_path.iterdir()) and time.monotonic() < limit:
            time.sleep(0.05)
        assert any(tmp_path.iterdir())
        time.sleep(0.3)
        process.send_signal(number)
        said, complaints = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "error: interrupted; nothing was written" in complaints
        assert said == ""
        assert not any(tmp_path.iterdir())
