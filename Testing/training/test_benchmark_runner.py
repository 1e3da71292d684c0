"""Methods in processes of their own: every case gets its record, whatever happens, and nothing is done twice."""

import json
import multiprocessing
from dataclasses import replace

import pytest
from LungDeepRegLib.phantom import PhantomConfig
from LungDeepRegLib.registration import Options
from LungDeepRegLib.results.staging import OutputError

from Testing.training.trivial_methods import Heard, Shift, in_process
from training import benchmark, evaluate
from training.benchmarking import command, job, report
from training.benchmarking.cases import cohort_cases
from training.benchmarking.inputs import PAPER, Inputs
from training.benchmarking.job import Job, Setting, work
from training.benchmarking.record import Record, RecordError, read_field, read_records, read_run, record_file
from training.benchmarking.runner import open_jobs, run_jobs
from training.cohorts import read_cohort
from training.phantom_cohort import PhantomCohort, write_phantom_cohort


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    config = PhantomConfig(contrast="mri", motion_mm=15.0)
    return write_phantom_cohort(tmp_path_factory.mktemp("data") / "cohort", PhantomCohort(2, 5, 9.0, config))


@pytest.fixture(scope="module")
def prepared(manifest, tmp_path_factory):
    """Where scans and alignments are kept for all tests."""
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture
def setting(tmp_path, prepared):
    return Setting(tmp_path / "out", Inputs(prepared, PAPER), threads=1)


@pytest.fixture(scope="module")
def cases(manifest):
    return cohort_cases(read_cohort(manifest), drawn=1, seed=0)


@pytest.fixture
def no_alignment(monkeypatch):
    """The fit takes seconds, and what it finds doesn't matter here."""
    monkeypatch.setattr("training.benchmarking.inputs.Options", lambda: Options(alignment="none"))


def test_a_result_is_measured_and_its_field_kept_within_patients_only(cases, setting, no_alignment):
    heard = Heard()
    work(Job("shift", Shift((0, 0, 12.0)), tuple(cases[:1] + cases[2:3]), setting), heard)
    assert heard == [("begun", 0), ("done", None), ("begun", 1), ("done", None)]
    within, between = sorted(read_records(setting.out), key=lambda record: not record.within_patient)
    assert within.group == "validation"
    assert between.group == "drawn"
    for record in (within, between):
        assert 0.5 < record.dice < 1
        assert record.seconds >= 0
        assert record.folded_percent_lung == 0
        assert record.jacobian_sd == pytest.approx(0, abs=1e-5)
    assert within.similarity is not None
    assert within.landmarks["1"]["ds"] > 0
    assert between.similarity is between.landmarks is None
    assert read_field(setting.out, "shift", within.fixed, within.moving).vectors[0, 0, 0] == pytest.approx([0, 0, 12])
    assert read_field(setting.out, "shift", between.fixed, between.moving) is None


def test_rows_that_no_method_makes(cases, setting, no_alignment):
    for name in ("unregistered", "affine"):
        work(Job(name, None, (cases[0],), setting), Heard())
    affine, unregistered = read_records(setting.out)
    assert unregistered.seconds is unregistered.alignment_seconds is None
    assert affine.seconds == affine.alignment_seconds > 0
    assert affine.dice == unregistered.dice  # the alignment is the identity here


def test_an_error_is_a_record_and_is_tried_again(cases, setting, no_alignment):
    rows = {"shift": Shift(error="no such luck")}
    work(open_jobs(rows, cases[:1], setting)[0], Heard())
    (record,) = read_records(setting.out)
    assert record.error == "ValueError: no such luck"
    assert record.dice is record.seconds is None
    rows = {"shift": Shift()}
    (again,) = open_jobs(rows, cases[:1], setting)
    work(again, Heard())
    assert read_records(setting.out)[0].error is None
    assert open_jobs(rows, cases[:1], setting) == []


def test_a_method_that_cannot_run_here_says_so_and_leaves_nothing(cases, setting):
    heard = Heard()
    work(Job("shift", Shift(absent="pip install luck"), tuple(cases), setting), heard)
    assert heard == [("missing", "pip install luck")]
    assert read_records(setting.out) == []


def test_a_run_ends_where_all_that_is_left_cannot_run_here(cases, setting):
    """Its last jobs are of a method that is known to be missing by then, and no process is at work."""
    heard = Heard()
    absent = Shift(absent="pip install luck")
    run_jobs([Job("shift", absent, tuple(part), setting) for part in (cases[:2], cases[2:3])], 1, heard)
    assert heard == [("missing", "shift", "pip install luck"), ("missing", "shift", "")]


def test_records_of_other_inputs_or_settings_are_refused_by_name(cases, setting, no_alignment):
    rows = {"shift": Shift()}
    work(open_jobs(rows, cases[:1], setting)[0], Heard())
    path = record_file(setting.out, "shift", cases[0].fixed.name, cases[0].moving.name)
    with pytest.raises(RecordError, match=rf"{path} \(of another version, other settings"):
        open_jobs({"shift": Shift(settings={"steps": 3})}, cases[:1], setting)
    with pytest.raises(RecordError, match="threads or device"):
        open_jobs(rows, cases[:1], replace(setting, threads=2))
    other = replace(cases[0], fixed=replace(cases[0].fixed, digest="changed"))
    with pytest.raises(RecordError, match=rf"{path} \(of other images"):
        open_jobs(rows, [other], setting)
    assert [len(one.cases) for one in open_jobs(rows, cases[:2], setting)] == [1]


def test_costly_methods_do_the_drawn_combinations_only_and_groups_come_first(cases, setting):
    rows = {"affine": None, "shift": Shift(costly=True)}
    jobs = open_jobs(rows, cases, setting)
    assert [(one.name, one.cases[0].group, len(one.cases)) for one in jobs] == [
        ("affine", "validation", 2), ("shift", "validation", 2), ("affine", "drawn", 1), ("shift", "drawn", 1),
        ("affine", "rest", 1),
    ]  # fmt: skip


def test_a_record_that_is_damaged_is_named(cases, setting, no_alignment):
    work(Job("shift", Shift(), (cases[0],), setting), Heard())
    path = record_file(setting.out, "shift", cases[0].fixed.name, cases[0].moving.name)
    values = json.loads(path.read_text())
    for damage in ("{", json.dumps({**values, "dice": "high"}), json.dumps({**values, "more": 1}), "[]"):
        path.write_text(damage)
        with pytest.raises(RecordError, match=path.name):
            open_jobs({"shift": Shift()}, cases[:1], setting)


def test_a_full_disk_stops_the_run(cases, setting, no_alignment, monkeypatch):
    def full(*arguments):
        msg = "no space left"
        raise OutputError(msg)

    monkeypatch.setattr(job, "write_record", full)
    heard = Heard()
    work(Job("shift", Shift(), tuple(cases), setting), heard)
    assert heard == [("begun", 0), ("stop", "no space left")]


def test_a_place_that_cannot_be_written_is_told(cases, setting, no_alignment):
    setting.out.mkdir()
    (setting.out / "records").write_text("in the way")
    heard = Heard()
    work(Job("unregistered", None, tuple(cases), setting), heard)
    assert [word for word, _ in heard] == ["begun", "stop"]
    assert "can't be written" in heard[1][1]


def test_a_crash_costs_one_case_and_ctrl_c_ends_all_processes(cases, setting, tmp_path, no_alignment):
    for case in cases[:2]:  # kept, for processes that know of no other options
        setting.inputs.alignment(case)
    heard = Heard()
    killing = Job("shift", Shift(kill_unless=tmp_path / "killed"), tuple(cases[:2]), setting)
    run_jobs([killing], 1, heard)
    assert [message[0] for message in heard] == ["begun", "done", "begun", "done"]
    first, second = (read_records(setting.out)[n] for n in (0, 1))
    assert "SIGKILL" in first.error
    assert second.error is None
    assert second.dice > 0.5
    assert second.peak_memory_mb is None or second.peak_memory_mb > 50

    class Interrupting(Heard):
        def begun(self, name, case):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs([Job("slow", Shift(seconds=600.0), (cases[0],), setting)], 1, Interrupting())
    assert multiprocessing.active_children() == []
    assert [record.method for record in read_records(setting.out)] == ["shift", "shift"]


def test_the_command_reports_resumes_and_explains_itself(manifest, tmp_path, monkeypatch, capsys, no_alignment):
    out = tmp_path / "out"
    monkeypatch.setattr(command, "run_jobs", in_process)
    monkeypatch.setattr(report, "write_pictures", lambda *arguments: [])
    monkeypatch.setattr(
        benchmark,
        "METHODS",
        {"network+linear+refine": Shift(name="network+linear+refine"), "gone": Shift(absent="luck")},
    )
    monkeypatch.setattr(benchmark, "own_methods", lambda weights: ())
    words = ["--cohort", str(manifest), "--out", str(out), "--groups", "validation", "--threads", "1"]
    assert benchmark.main(words) == 0
    table = (out / "table1.md").read_text()
    assert "ynthetic" in table
    assert "luck" in table
    run = read_run(out)
    assert run.synthetic
    assert run.protocol == PAPER
    assert run.combinations == 4
    assert run.methods["gone"].missing == "luck"
    assert str(tmp_path) not in run.command
    assert benchmark.main([*words, "--methods", "network+linear+refine"]) == 0
    assert read_run(out).methods["gone"].missing == "luck"
    before = {record_file(out, r.method, r.fixed, r.moving).stat().st_mtime_ns for r in read_records(out)}
    assert benchmark.main(words) == 0
    assert before == {record_file(out, r.method, r.fixed, r.moving).stat().st_mtime_ns for r in read_records(out)}
    (out / "table1.md").unlink()
    assert benchmark.main(["--out", str(out), "--tables-only"]) == 0
    assert (out / "table1.md").read_text() == table
    capsys.readouterr()
    assert benchmark.main([*words, "--seed", "1"]) == 3
    assert "seed 0" in capsys.readouterr().err


def test_one_pair_of_files_is_taken_as_it_is(manifest, tmp_path, monkeypatch, no_alignment):
    monkeypatch.setattr(command, "run_jobs", in_process)
    monkeypatch.setattr(report, "write_pair_picture", lambda *arguments: [])
    monkeypatch.setattr(evaluate, "own_methods", lambda weights: (Shift((0, 0, 5.0)),))
    kinds = {"--pair": ".nii.gz", "--masks": "_lungs.nii.gz", "--landmarks": ".mrk.json"}
    words = [
        word
        for option, ending in kinds.items()
        for word in (option, *(str(manifest.parent / f"P001_{phase}{ending}") for phase in ("exhale", "inhale")))
    ]
    assert evaluate.main([*words, "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    run = read_run(tmp_path / "out")
    assert run.one_pair
    assert run.protocol == "as-is"
    records = read_records(tmp_path / "out")
    assert [record.method for record in records] == ["affine", "shift", "unregistered"]
    assert {record.group for record in records} == {"pair"}
    assert all(record.landmarks["1"]["ds"] > 0 and record.hausdorff95_mm > 0 for record in records)
    assert records[0].fixed == "P001_exhale fixed"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected --cohort or --pair"),
        (["--cohort", "a.csv", "--pair", "f.nii", "m.nii"], "expected --cohort or --pair"),
        (["--cohort", "missing.csv"], "missing.csv"),
        (["--pair", "f.nii", "m.nii"], "f.nii can't be read"),
        (["--tables-only"], "run.json"),
        (["--cohort", "a.csv", "--weights", "missing.pt"], "missing.pt"),
    ],
)
def test_what_cannot_be_done_is_said(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for main in (benchmark.main, evaluate.main):
        assert main([*words, "--out", "out"]) == 3
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--threads", "--workers"])
def test_less_than_one_is_refused(option, manifest, tmp_path, capsys):
    assert evaluate.main(["--cohort", str(manifest), "--out", str(tmp_path / "out"), option, "0"]) == 3
    assert f"found {option} 0, expected 1 or more" in capsys.readouterr().err


def test_unknown_methods_are_named(tmp_path, capsys):
    assert benchmark.main(["--out", str(tmp_path), "--cohort", "a.csv", "--methods", "refine,magic"]) == 3
    assert "magic, expected some of" in capsys.readouterr().err


def test_every_figure_of_a_record_can_be_missing():
    blank = Record("m", "f", "g", "", "", False, "rest", 1, "", "")
    assert blank.error is blank.dice is blank.landmarks is None
