"""Batches without a cluster: manifests, folders' names, what counts as done, the table."""

import csv
import json
import os
import subprocess
import sys
import unicodedata

import pytest
from LungDeepRegLib.batch.case import Answer, Case, folder_name
from LungDeepRegLib.batch.lock import sole_use
from LungDeepRegLib.batch.manifest import read_manifest
from LungDeepRegLib.batch.record import Standing, standing
from LungDeepRegLib.batch.runner import Interrupted, run_batch
from LungDeepRegLib.batch.schedulers import one_by_one
from LungDeepRegLib.batch.table import COLUMNS, FIGURES, RESERVED, row_of
from LungDeepRegLib.image_io import FileError
from LungDeepRegLib.results.staging import OutputError
from LungDeepRegLib.results.summary import SCHEMA

from Testing.engine.batch_work import SETTINGS, begun, case_in, work


def manifest(folder, *lines):
    path = folder / "manifest.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def images(tmp_path):
    for name in ("a.nii", "b.nii", "m.csv"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    return tmp_path


class TestManifest:
    def test_paths_are_relative_to_it_and_empty_fields_are_none(self, images):
        lines = ["Moving;CASE;fixed;fixed_landmarks;series_moving", "b.nii;P 1;a.nii;m.csv;2", "", "b.nii;2;a.nii"]
        first, second = read_manifest(manifest(images, *lines))
        assert (first.name, first.origin, first.problem) == ("P 1", "manifest.csv, line 2", "")
        assert first.inputs == {
            "fixed": str(images / "a.nii"), "moving": str(images / "b.nii"), "fixed_mask": None, "moving_mask": None,
            "fixed_landmarks": str(images / "m.csv"), "moving_landmarks": None, "series_fixed": None,
            "series_moving": "2",
        }  # fmt: skip
        assert (second.name, second.origin, second.inputs["fixed_landmarks"]) == ("2", "manifest.csv, line 4", None)

    def test_bad_lines_are_named_and_do_not_spoil_the_others(self, images):
        lines = [
            "case,fixed,moving,fixed_mask", "good,a.nii,b.nii", "gone,a.nii,b.nii,nowhere.nii", "empty,,b.nii",
            ",a.nii,b.nii", "long,a.nii,b.nii,,,x", "P1,a.nii,b.nii", "p1,b.nii,a.nii",
        ]  # fmt: skip
        cases = read_manifest(manifest(images, *lines))
        assert [case.problem for case in cases] == [
            "",
            f"manifest.csv, line 3, fixed_mask: {images / 'nowhere.nii'}: no such file or folder",
            "manifest.csv, line 4, fixed: found nothing, expected it to be filled in",
            "manifest.csv, line 5, case: found nothing, expected it to be filled in",
            "manifest.csv, line 6: found 6 fields, expected at most 4: case, fixed, moving, fixed_mask",
            "manifest.csv, line 7, case: found 'P1' here and 'p1' in line 8, expected different names",
            "manifest.csv, line 8, case: found 'p1' here and 'P1' in line 7, expected different names",
        ]

    def test_a_path_that_no_file_can_have_spoils_its_own_line_only(self, images):
        cases = read_manifest(manifest(images, "case,fixed,moving", f"long,{'x' * 300},b.nii", "good,a.nii,b.nii"))
        assert cases[0].problem.startswith("manifest.csv, line 2, fixed: ")
        assert cases[0].problem.endswith("xxx: File name too long")
        assert cases[1].problem == ""

    @pytest.mark.parametrize(
        ("lines", "said"),
        [
            (["case,fixed", "1,a.nii"], "line 1: found no moving, expected case, fixed, moving and, optionally,"),
            (["case,fixed,moving,mask", "1,a.nii,b.nii"], "line 1: found the unknown 'mask', expected of case, fixed"),
            (["case,fixed,moving,case"], "line 1: found case twice"),
            (["case,fixed,moving"], "found a header line and nothing below it"),
            ([""], "found nothing, expected a header line case,fixed,moving"),
        ],
    )
    def test_no_manifest_at_all(self, lines, said, images):
        with pytest.raises(FileError) as error:
            read_manifest(manifest(images, *lines))
        assert said in str(error.value)
        assert str(images / "manifest.csv") in str(error.value)

    def test_missing_or_not_text(self, tmp_path):
        with pytest.raises(FileError, match="no such file"):
            read_manifest(tmp_path / "none.csv")
        (tmp_path / "excel.csv").write_bytes(b"PK\x03\x04\xff\xfe")
        with pytest.raises(FileError, match="expected UTF-8"):
            read_manifest(tmp_path / "excel.csv")
        with pytest.raises(FileError, match="can't be read"):
            read_manifest(tmp_path)


class TestFolderNames:
    @pytest.mark.parametrize("name", ["P01", "patient-3_T00.a", "7"])
    def test_safe_names_stay(self, name):
        assert folder_name(name) == name

    @pytest.mark.parametrize(
        "name",
        ["a/b", "..", ".", "../../etc", "C:\\x", "con", "LPT1.txt", "lpt1./x", "a b", " ", "Müller", "x" * 300, "-rf",
         ".hidden", "end.", "a\nb", "cases.csv", "CASES.JSON", "患者", "a*?"],
    )  # fmt: skip
    def test_others_become_safe_everywhere(self, name):
        made = folder_name(name, RESERVED)
        assert made != name
        assert made.isascii()
        assert set(made) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
        assert made[0] not in ".-"
        assert made[-1] != "."
        assert len(made) < 80
        assert made.lower() not in RESERVED
        assert made.partition(".")[0].lower() not in ("con", "lpt1")

    def test_they_stay_apart_and_depend_on_the_name_alone(self):
        names = ["a/b", "a b", "a_b", "a:b", "ä", "ö", "x" * 100, "x" * 101]
        assert len({folder_name(name).lower() for name in names}) == len(names)
        assert folder_name(unicodedata.normalize("NFD", "Müller")) == folder_name("Müller")
        assert folder_name("a/b").startswith("a_b_")


class TestRunner:
    def run(self, cases, folder, **options):
        return run_batch(cases, folder / "out", SETTINGS | options.pop("settings", {}), work, one_by_one, **options)

    def test_a_failed_case_stops_nobody_and_the_table_says_why(self, tmp_path):
        cases = [case_in(tmp_path, name, deed) for name, deed in (("a", "write"), ("b", "fail"), ("c", "write"))]
        told = []
        self.run(cases, tmp_path, tell=lambda case, answer: told.append((case.name, bool(answer.error))))
        assert told == [("a", False), ("b", True), ("c", False)]
        rows = json.loads((tmp_path / "out" / "cases.json").read_text(encoding="utf-8"))
        assert [(row["case"], row["status"], row["error"], row["seconds"]) for row in rows] == [
            ("a", "done", None, 1.5),
            ("b", "failed", "manifest.csv, line b: this one can't be done", 0.1),
            ("c", "done", None, 1.5),
        ]
        assert (rows[0]["dice_after"], rows[1]["dice_after"], rows[0]["warnings"]) == (0.9, None, "a; b")
        with (tmp_path / "out" / "cases.csv").open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows] == lines

    def test_nothing_is_done_twice_and_what_failed_is_tried_again(self, tmp_path):
        cases = [case_in(tmp_path, name, deed) for name, deed in (("a", "write"), ("b", "fail"))]
        self.run(cases, tmp_path)
        (tmp_path / "a_moving.txt").touch()  # another date, the same content
        assert [answer.earlier for answer in self.run(cases, tmp_path)] == [True, False]
        assert (len(begun(tmp_path, "a")), len(begun(tmp_path, "b"))) == (1, 2)

    def test_other_inputs_or_settings_are_refused_or_replaced_if_asked_for(self, tmp_path):
        case = case_in(tmp_path, "a", "write")
        self.run([case], tmp_path)
        folder = tmp_path / "out" / "a"
        before = (folder / "summary.json").stat().st_mtime_ns
        (answer,) = self.run([case], tmp_path, settings={"refine": "accurate"})
        said = "found a result with other settings (refine 'fast' instead of 'accurate'); use --overwrite"
        assert answer.error.startswith(f"manifest.csv, line a: {folder}: {said}")
        (tmp_path / "a_moving.txt").write_text("another", encoding="utf-8")
        (answer,) = self.run([case], tmp_path)
        assert "found a result of another moving; use --overwrite" in answer.error
        assert (folder / "summary.json").stat().st_mtime_ns == before
        (answer,) = self.run([case], tmp_path, overwrite=True)
        assert not answer.error
        assert len(begun(tmp_path, "a")) == 2
        (answer,) = self.run([case], tmp_path, overwrite=True)
        assert answer.earlier

    def test_an_input_that_cannot_be_read_fails_alone(self, tmp_path, monkeypatch):
        cases = [case_in(tmp_path, name, "write") for name in "ab"]
        self.run(cases, tmp_path)

        def refuse(path):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("LungDeepRegLib.batch.record.sha256", refuse)
        (tmp_path / "a_moving.txt").write_text("another", encoding="utf-8")
        first, second = self.run(cases, tmp_path)
        assert first.error == f"manifest.csv, line a: {tmp_path / 'a_moving.txt'}: can't be read (Permission denied)"
        assert second.earlier
        assert len(begun(tmp_path, "a")) == 1

    def test_a_table_that_is_kept_open_stops_nobody(self, tmp_path):
        """On Windows nobody can replace a file that a spreadsheet shows; here a folder is in its place."""
        cases = [case_in(tmp_path, name, "write") for name in "abc"]
        table, told, warned = tmp_path / "out" / "cases.csv", [], []

        def tell(case, answer):
            told.append(case.name)
            if case.name == "a":
                table.unlink()
                table.mkdir()
            elif case.name == "c":
                table.rmdir()

        self.run(cases, tmp_path, tell=tell, warn=warned.append)
        assert told == ["a", "b", "c"]
        assert len(warned) == 1
        assert "cases.csv: " in warned[0]
        assert table.read_text(encoding="utf-8").count(",done,") == 3

    def test_a_result_that_is_not_there_is_not_done(self, tmp_path):
        """As of a worker that sees another disk by the same path."""
        case = case_in(tmp_path, "a", "write")

        def elsewhere(job, threads):
            return Answer(summary={"dice_after": 0.9}, seconds=1.0)

        (answer,) = run_batch([case], tmp_path / "out", SETTINGS, elsewhere, one_by_one)
        assert answer.error.startswith(f"manifest.csv, line a: {tmp_path / 'out' / 'a'}: its worker says that it is")
        (row,) = json.loads((tmp_path / "out" / "cases.json").read_text(encoding="utf-8"))
        assert (row["status"], row["dice_after"]) == ("failed", None)

    def test_folders_of_others_are_left_alone(self, tmp_path):
        case = case_in(tmp_path, "a", "write")
        (tmp_path / "out" / "a").mkdir(parents=True)
        (tmp_path / "out" / "a" / "notes.txt").write_text("mine")
        (answer,) = self.run([case], tmp_path)
        assert "found files that aren't a case of a batch; use --overwrite" in answer.error
        assert [path.name for path in (tmp_path / "out" / "a").iterdir()] == ["notes.txt"]

    @pytest.mark.parametrize("what", ["gone", "cut"])
    def test_an_incomplete_folder_is_done_again(self, what, tmp_path):
        case = case_in(tmp_path, "a", "write")
        self.run([case], tmp_path)
        path = tmp_path / "out" / "a" / "result.txt"
        path.unlink() if what == "gone" else path.write_text("")
        assert standing(path.parent, case, SETTINGS)[0] is Standing.OPEN
        assert not self.run([case], tmp_path)[0].error
        assert path.read_text()
        assert len(begun(tmp_path, "a")) == 2

    def test_what_was_running_when_it_was_killed_comes_last(self, tmp_path):
        cases = [case_in(tmp_path, name, "write") for name in "abc"]
        left = tmp_path / "out" / ".a.0123abcd.unfinished"
        left.mkdir(parents=True)
        (left / "half").touch()
        (tmp_path / "out" / ".unfinished.0123abcd.cases.csv").touch()
        foreign = tmp_path / "out" / ".a.unfinished"
        foreign.touch()
        told = []
        self.run(cases, tmp_path, tell=lambda case, answer: told.append(case.name))
        assert told == ["b", "c", "a"]
        assert {path.name for path in (tmp_path / "out").glob(".*")} == {foreign.name}

    def test_ctrl_c_says_how_far_it_was(self, tmp_path):
        cases = [case_in(tmp_path, name, "write") for name in "abc"]

        def interrupted(job, threads):
            if job.case.name == "b":
                raise KeyboardInterrupt
            return work(job, threads)

        with pytest.raises(Interrupted, match="interrupted; 1 of 3 cases are done, and the same command goes on"):
            run_batch(cases, tmp_path / "out", SETTINGS, interrupted, one_by_one)
        rows = json.loads((tmp_path / "out" / "cases.json").read_text(encoding="utf-8"))
        assert [row["status"] for row in rows] == ["done", "waiting", "waiting"]

    def test_a_table_never_replaces_another_file(self, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "cases.csv").write_text("case,fixed,moving\n")
        with pytest.raises(OutputError, match=r"cases.csv: found something that no batch wrote"):
            self.run([case_in(tmp_path, "a", "write")], tmp_path)
        assert not begun(tmp_path, "a")

    def test_a_place_that_cannot_be_written(self, tmp_path):
        (tmp_path / "out").write_text("a file")
        with pytest.raises(OutputError, match="out: the result can't be written"):
            self.run([case_in(tmp_path, "a", "write")], tmp_path)


def test_one_batch_at_a_time_in_a_folder(tmp_path):
    holder = "import sys; from pathlib import Path; from LungDeepRegLib.batch.lock import sole_use\n"
    holder += "with sole_use(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as other:  # fmt: skip
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(OutputError, match="another batch is at work in this folder"), sole_use(tmp_path):
            pass
        other.kill()
        other.wait()
        with sole_use(tmp_path) as doubt:
            assert doubt == ""
    assert not any(tmp_path.iterdir())


def test_a_file_system_without_locks_is_spoken_of(tmp_path, monkeypatch):
    def refuse(folder):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("LungDeepRegLib.batch.lock.locked", refuse)
    with sole_use(tmp_path) as doubt:
        assert "can't be locked (Operation not supported): take care" in doubt


def test_every_figure_of_the_table_is_one_of_summary_json():
    assert {where[0] for where in FIGURES.values()} <= SCHEMA.keys()
    assert (*row_of(Case("a", "a", "manifest.csv, line 2", {}), None),) == COLUMNS
