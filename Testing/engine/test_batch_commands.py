"""``batch`` and ``series`` as they are used, with registrations of small phantoms."""

import csv
import json
import shutil
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import LungDeepRegLib
import numpy as np
import pytest
from LungDeepRegLib.__main__ import main
from LungDeepRegLib.batch.schedulers import Job
from LungDeepRegLib.commands.batch import run_case
from LungDeepRegLib.commands.register import landmark_notes
from LungDeepRegLib.commands.series import chosen, names_of, ordered
from LungDeepRegLib.image_io import read_landmarks, read_transform, read_volume, write_landmarks, write_volume
from LungDeepRegLib.landmarks import Landmarks
from LungDeepRegLib.phantom import chest_lattice
from LungDeepRegLib.phantom.pair import PhantomConfig
from LungDeepRegLib.phantom.series import PhantomSeries
from LungDeepRegLib.results.output_files import IMAGES, OTHERS
from LungDeepRegLib.results.staging import CASE_RECORD, remove_unfinished
from LungDeepRegLib.results.summary import peak_memory_mb

from Testing.engine.batch_work import case_in

QUICK = ["--alignment", "centre", "--voxel-budget", "30000", "--weights", "none"]
HEADER = "case,fixed,moving,fixed_mask,moving_mask,fixed_landmarks,moving_landmarks"


@pytest.fixture(scope="module")
def files(phantom, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    for name in ("fixed", "moving", "fixed_mask", "moving_mask"):
        write_volume(folder / f"{name}.nii.gz", getattr(phantom, name))
    write_landmarks(folder / "fixed.csv", phantom.fixed_landmarks)
    write_landmarks(folder / "moving.csv", phantom.moving_landmarks)
    few = phantom.moving_landmarks
    write_landmarks(folder / "few.csv", Landmarks(few.points_ras[:3], few.labels[:3]))
    (folder / "corrupt.nii.gz").write_bytes((folder / "fixed.nii.gz").read_bytes()[:999])
    pair = "fixed.nii.gz,moving.nii.gz,fixed_mask.nii.gz,moving_mask.nii.gz"
    lines = [HEADER, f"P01,{pair},fixed.csv,moving.csv", "corrupt,corrupt.nii.gz,moving.nii.gz",
             f"unequal,{pair},fixed.csv,few.csv", "gone,nowhere.nii.gz,moving.nii.gz"]  # fmt: skip
    (folder / "study.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def done(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("batch") / "new" / "out"
    return SimpleNamespace(out=out, code=main(["batch", str(files / "study.csv"), "--out", str(out), *QUICK]))


def footprints(folder):
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


class TestBatch:
    def test_a_case_is_what_register_writes(self, done):
        expected = {*(f"{name}.nii.gz" for name in IMAGES), *OTHERS, CASE_RECORD} - {"inverse_transform.h5"}
        assert {path.name for path in (done.out / "P01").iterdir()} == expected
        summary = json.loads((done.out / "P01" / "summary.json").read_text(encoding="utf-8"))
        errors = {step: found["ds"] for step, found in summary["landmark_error_mm"].items()}
        assert errors["after"]["mean"] < errors["before"]["mean"]
        row = json.loads((done.out / "cases.json").read_text(encoding="utf-8"))[0]
        assert (row["case"], row["status"], row["error"], row["folder"]) == ("P01", "done", None, "P01")
        assert row["seconds"] == summary["seconds_total"]
        assert row["dice_after"] == summary["dice_after"]
        assert row["hausdorff95_mm_after"] == summary["hausdorff95_mm"]["after"]
        assert row["landmark_error_mm_after_p95"] == errors["after"]["p95"]

    def test_what_cannot_be_done_is_named_with_line_and_file(self, done, files):
        assert done.code == 6
        assert {path.name for path in done.out.iterdir()} == {"P01", "cases.csv", "cases.json"}
        with (done.out / "cases.csv").open(encoding="utf-8", newline="") as file:
            errors = {row["case"]: row["error"] for row in csv.DictReader(file)}
        assert errors["P01"] == ""
        assert errors["corrupt"].startswith(f"study.csv, line 3: {files / 'corrupt.nii.gz'}: can't be read as")
        assert errors["unequal"].startswith(
            "study.csv, line 4: found 10 points in fixed.csv and 3 in few.csv, expected"
        )
        assert errors["gone"] == f"study.csv, line 5, fixed: {files / 'nowhere.nii.gz'}: no such file or folder"

    def test_the_same_command_goes_on_and_other_settings_do_not(self, done, files, capsys):
        before = footprints(done.out / "P01")
        assert main(["batch", str(files / "study.csv"), "--out", str(done.out), *QUICK, "--device", "cpu"]) == 6
        said = capsys.readouterr()
        assert "P01: done earlier, Dice" in said.out
        assert "error: 3 of 4 cases failed: corrupt, unequal, gone" in said.err
        assert main(["batch", str(files / "study.csv"), "--out", str(done.out), *QUICK, "--seed", "1"]) == 6
        assert "P01: failed: study.csv, line 2: " in (said := capsys.readouterr()).err
        assert "found a result with other settings (seed 0 instead of 1); use --overwrite" in said.err
        assert footprints(done.out / "P01") == before

    def test_a_manifest_that_cannot_be_read_ends_it_before_it_begins(self, tmp_path, capsys):
        (tmp_path / "bad.csv").write_text("name,fixed\n", encoding="utf-8")
        assert main(["batch", str(tmp_path / "bad.csv"), "--out", str(tmp_path / "out")]) == 3
        assert "bad.csv, line 1: found the unknown 'name'" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    def test_bad_weights_end_it_before_it_begins(self, files, tmp_path, capsys):
        command = ["batch", str(files / "study.csv"), "--out", str(tmp_path / "out"), "--weights", "none.pt"]
        assert main(command) == 3
        assert "none.pt" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("where", [["--workers", "2"], ["--scheduler", "tcp://127.0.0.1:1"]])
    def test_without_dask_it_says_what_to_install(self, where, files, tmp_path, capsys, monkeypatch):
        monkeypatch.setitem(sys.modules, "distributed", None)
        assert main(["batch", str(files / "study.csv"), "--out", str(tmp_path / "out"), *where]) == 4
        said = capsys.readouterr().err
        assert "Dask isn't installed" in said
        assert 'pip install "dask[distributed]"; --workers 1 works without it' in said

    def test_the_manifest_is_not_replaced_by_the_table(self, files, tmp_path, capsys):
        shutil.copy(files / "study.csv", tmp_path / "cases.csv")
        assert main(["batch", str(tmp_path / "cases.csv"), "--out", str(tmp_path)]) == 5
        assert "this manifest would be replaced by the table" in capsys.readouterr().err

    @pytest.mark.parametrize("number", ["0", "-1", "two", "1.5"])
    def test_numbers_of_workers(self, number, capsys):
        with pytest.raises(SystemExit):
            main(["batch", "study.csv", "--out", "out", "--workers", number])
        assert "--workers" in capsys.readouterr().err


def test_a_worker_whose_batch_has_ended_stops(tmp_path, monkeypatch):
    """The batch removes the unfinished folder when it ends; the worker sees it, and leaves nothing."""
    case = case_in(tmp_path, "a", "write")
    settings = Namespace(version=LungDeepRegLib.__version__, weights="none")
    stages = []

    def fill(folder, args, clock):
        with clock.stage("read"):
            remove_unfinished(Path(args.out))
        stages.append("read")
        with clock.stage("align"):
            stages.append("align")

    monkeypatch.setattr("LungDeepRegLib.commands.batch.fill", fill)
    answer = run_case(settings, {}, Job(case, tmp_path / "out" / "a"), None)
    assert "a: removed meanwhile, since the batch has ended; this case is stopped" in answer.error
    assert stages == []
    assert not list((tmp_path / "out").glob("**/*"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the most memory of a process can't be forgotten")
def test_the_most_memory_is_that_of_the_case_not_of_those_before_it(tmp_path, monkeypatch):
    def fill(folder, args, clock):
        np.ones(int(job.case.name) * 1_000_000 // 8)
        return {"peak_memory_mb": peak_memory_mb(), "seconds_total": 0.0}

    monkeypatch.setattr("LungDeepRegLib.commands.batch.fill", fill)
    settings = Namespace(version=LungDeepRegLib.__version__, weights="none")
    found = []
    for megabytes in ("300", "100"):
        job = Job(case_in(tmp_path, megabytes, "write"), tmp_path / "out" / megabytes)
        found.append(run_case(settings, {}, job, None).summary["peak_memory_mb"])
    assert found[0] - found[1] == pytest.approx(200, abs=60)


def test_landmarks_that_are_paired_by_their_order_are_spoken_of():
    points = np.eye(3)
    numbered, named = Landmarks(points, "123", "fixed.csv"), Landmarks(points, "abc", "moving.csv")
    assert landmark_notes(numbered, Landmarks(points, "312", "moving.csv")) == []
    said = "fixed.csv and moving.csv: labels differ or stand twice, so the points were paired by their order"
    assert landmark_notes(numbered, named) == [said]
    assert landmark_notes(Landmarks(points, "122", "fixed.csv"), Landmarks(points, "122", "moving.csv")) == [said]


def test_a_worker_with_another_version_refuses(tmp_path):
    settings = Namespace(version="0.0.1", weights="none")
    answer = run_case(settings, {}, Job(case_in(tmp_path, "a", "write"), tmp_path / "a"), None)
    assert answer.error == f"found LungDeepReg {LungDeepRegLib.__version__} on the worker, expected 0.0.1"


@pytest.fixture(scope="module")
def phases(tmp_path_factory):
    """Three phases of a breath, one of them on other voxels, and landmarks of the first."""
    folder = tmp_path_factory.mktemp("phases")
    fine, coarse = (PhantomSeries(PhantomConfig(landmarks=6), 3, chest_lattice(size)) for size in (7.0, 8.0))
    for number, made in enumerate((fine, fine, coarse)):
        write_volume(folder / f"phase_{number * 5}.nii.gz", made.image(number)[0])
    write_landmarks(folder / "vessels.mrk.json", fine.landmarks(0))
    return SimpleNamespace(folder=folder, series=fine)


class TestSeries:
    def test_all_phases_to_one_with_the_motion_of_its_landmarks(self, phases, tmp_path, capsys):
        (phases.folder / "phase_20.nii.gz").write_text("no image")
        out = tmp_path / "out"
        command = ["series", str(phases.folder / "phase_*.nii.gz"), "--reference", "0", "--landmarks",
                   str(phases.folder / "vessels.mrk.json"), "--out", str(out), *QUICK]  # fmt: skip
        assert main(command) == 6
        said = capsys.readouterr()
        assert "phases: phase_0, phase_5, phase_10, phase_20" in said.out
        assert "error: 1 of 3 cases failed: phase_20" in said.err
        assert "phase_20: failed: phase phase_20: " in said.err
        names = {"phase_5", "phase_10", "cases.csv", "cases.json", "motion_curves.csv"}
        assert {path.name for path in out.iterdir()} == names
        lines = (out / "motion_curves.csv").read_text(encoding="utf-8").splitlines()
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
        assert [row["phase"] for row in rows[:3]] == ["phase_0", "phase_5", "phase_10"]
        phi = read_transform(out / "phase_10" / "transform.h5", read_volume(phases.folder / "phase_0.nii.gz").lattice)
        points = read_landmarks(phases.folder / "vessels.mrk.json").points_ras
        found = [[float(row[axis]) for axis in "ras"] for row in rows if row["phase"] == "phase_10"]
        assert np.allclose(found, phi(points), atol=1e-3)
        inhaled = np.array([[float(row[axis]) for axis in "ras"] for row in rows if row["phase"] == "phase_5"])
        truth = phases.series.phi(0, 1, points)
        assert np.linalg.norm(inhaled - truth, axis=1).mean() < 0.4 * np.linalg.norm(points - truth, axis=1).mean()
        (phases.folder / "phase_20.nii.gz").unlink()
        before = footprints(out / "phase_5") | footprints(out / "phase_10")
        assert main(command) == 0
        assert capsys.readouterr().out.count("done earlier") == 2
        assert footprints(out / "phase_5") | footprints(out / "phase_10") == before
        command[command.index("0")] = "5"
        assert main(command) == 3
        assert "phase_5: found the reference registered to another phase" in capsys.readouterr().err
        assert footprints(out / "phase_5") | footprints(out / "phase_10") == before

    def test_the_order_of_phases(self, tmp_path):
        names = ["p_1.nii", "p_10.nii", "p_2.nii"]
        for name in names:
            (tmp_path / name).touch()
        by_shell = [str(tmp_path / name) for name in names]
        assert [path.name for path in ordered(by_shell)] == ["p_1.nii", "p_2.nii", "p_10.nii"]
        assert [path.name for path in ordered([str(tmp_path / "p_*.nii")])] == ["p_1.nii", "p_2.nii", "p_10.nii"]
        as_given = ["exhale.nii", "middle.nii", "inhale.nii"]
        assert [path.name for path in ordered(as_given)] == as_given

    @pytest.mark.parametrize(
        ("reference", "index"),
        [
            ("50", 1),
            ("T50.mha", 1),
            ("T50", 1),
            ("0", 0),
            ("a/T00.mha", 0),
            ("a/b/../T00.mha", 0),
            (str(Path("a/T50.mha").absolute()), 1),
            ("7", None),
            ("4", None),
        ],
    )
    def test_the_reference(self, reference, index):
        paths = [Path("a/T00.mha"), Path("a/T50.mha"), Path("a/T4_4.mha"), Path("a/T4_8.mha")]
        names = [path.stem for path in paths]
        if index is not None:
            assert chosen(paths, names, reference) == index
            return
        with pytest.raises(ValueError, match=f"--reference {reference}: found [02] such phases among T00, T50"):
            chosen(paths, names, reference)

    def test_names_of_phases_in_folders_of_their_own(self, tmp_path):
        paths = [tmp_path / name / "image.nii.gz" for name in ("T00", "T50")]
        for path in paths:
            path.parent.mkdir()
            path.touch()
        assert names_of(paths) == ["T00_image", "T50_image"]
        assert names_of([path.parent for path in paths]) == ["T00", "T50"]
        with pytest.raises(ValueError, match="found phases of the same name"):
            names_of([tmp_path / "a" / "T" / "x.nii", tmp_path / "b" / "T" / "x.nii"])

    def test_bad_input(self, phases, tmp_path, capsys):
        first, second = (str(phases.folder / f"phase_{number}.nii.gz") for number in (0, 5))
        for arguments, said in (
            ([first, "--reference", "0"], "found 1 phase, expected two or more"),
            ([first, first, "--reference", "0"], "twice, expected each phase once"),
            ([first, second, "--reference", "3"], "--reference 3: found 0 such phases among phase_0, phase_5"),
            (["none_*.nii", "--reference", "3"], "none_*.nii: found no such file"),
        ):
            assert main(["series", *arguments, "--out", str(tmp_path / "out")]) == 3
            assert said in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_version_is_part_of_what_a_case_is_made_with(done):
    record = json.loads((done.out / "P01" / CASE_RECORD).read_text(encoding="utf-8"))
    assert record["settings"]["version"] == LungDeepRegLib.__version__
    assert record["settings"]["weights"] == "none"
    assert "device" not in record["settings"]
    assert record["inputs"]["moving_landmarks"]["name"] == "moving.csv"
