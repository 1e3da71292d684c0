"""Whole programs side by side: each in its own process, in turn, and what fails is told, not left out."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from LungDeepRegLib.image_io import write_volume
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair

from Testing.training.trivial_methods import Shift
from training import benchmark
from training.performance import speed, whole_method
from training.performance.processes import ProcessError, Timed, timed_process
from training.performance.speed import Row, Run, known_rows, lines_of, table


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    pair = make_pair(PhantomConfig(noise=0), chest_lattice(9.0), chest_lattice(9.0))
    for name in ("fixed", "moving", "fixed_mask", "moving_mask"):
        write_volume(folder / f"{name}.nii.gz", getattr(pair, name))
    return folder


class TestTimedProcess:
    def test_time_and_memory_are_those_of_the_process_not_of_this_one(self):
        words = ["-S", "-c", "import time; kept = bytearray(b'1') * 80_000_000; time.sleep(0.3)"]
        timed = timed_process(words, 1)
        assert 0.3 < timed.seconds < 60
        assert 80 < timed.peak_memory_mb < 160  # this one holds torch

    def test_it_runs_the_code_and_the_threads_that_it_is_told(self, tmp_path):
        (tmp_path / "LungDeepReg").mkdir()
        (tmp_path / "LungDeepReg" / "only_here.py").write_text("here = True")
        words = ["-c", "import os, only_here; assert os.environ['OMP_NUM_THREADS'] == '3'"]
        timed_process(words, 3, tmp_path)
        with pytest.raises(ProcessError, match="only_here"):
            timed_process(words, 3)

    def test_an_error_says_what_the_process_said_last(self):
        with pytest.raises(ProcessError, match=r"ended with 5, expected 0: the reason$"):
            timed_process(["-c", "import sys; print('before'); print('the reason', file=sys.stderr); sys.exit(5)"], 1)
        with pytest.raises(ProcessError, match="it said nothing"):
            timed_process(["-c", "import os; os.abort()"], 1)


ROWS = [Row("default", "ours", ()), Row("syn", "SyN", ()), Row("elastix", "elastix", ())]
RUNS = [
    Run("default", 10.0, 900.0, {"read": 1.0, "align": 2.0, "refine": 4.0}),
    Run("syn", 40.0, 1200.0, {"register": 30.0}),
    Run("default", 12.0, 950.0, {"read": 1.0, "align": 2.0, "refine": 5.0}),
    Run("syn", 50.0, 1100.0, {"register": 41.0}),
    Run("default", 8.0, 940.0, {"read": 1.0, "align": 2.0, "refine": 6.0}),
    Run("elastix", error="not installed"),
]


def test_lines_hold_medians_ranges_and_ratios():
    ours, syn, elastix = lines_of(ROWS, RUNS)
    assert (ours["seconds"], ours["least"], ours["most"], ours["runs"], ours["ratio"]) == (10, 8, 12, 3, 1)
    assert (ours["registering"], ours["peak_memory_mb"]) == (7, 950)
    assert (syn["seconds"], syn["ratio"], syn["registering"]) == (45, 4.5, 35.5)
    assert elastix["seconds"] is elastix["ratio"] is None
    text = table(ROWS, RUNS, ["About."]).markdown()
    assert "| SyN | 45.0 | 40.0 to 50.0 | 4.50 | 35.5 | 1200 | - |" in text
    assert "| elastix | - | - | - | - | - | not installed |" in text


def test_rows_are_run_in_turn_and_each_round_begins_with_another(images, tmp_path, monkeypatch):
    ran = []

    def pretend(words, threads, checkout):
        name = words[words.index("--method") + 1] if "--method" in words else "ours"
        out = Path(words[-1])
        assert not out.exists()
        assert threads == 1
        ran.append((name, str(checkout), words))
        if name == "syn":
            msg = "no ants"
            raise ProcessError(msg)
        out.mkdir()
        (out / "summary.json").write_text('{"seconds": {"align": 1.5, "refine": 2.0}}')
        return Timed(5.0, 700.0)

    monkeypatch.setattr(speed, "timed_process", pretend)
    files, masks = ([str(images / f"{name}{kind}.nii.gz") for name in ("fixed", "moving")] for kind in ("", "_mask"))
    words = ["--pair", *files, "--masks", *masks, "--rows", "default,before,syn", "--before", str(tmp_path / "old")]
    assert benchmark.main(["speed", *words, "--repeats", "2", "--threads", "1", "--out", str(tmp_path)]) == 0
    assert [name for name, *_ in ran] == ["ours", "ours", "syn", "ours", "syn", "ours"]
    assert [checkout.endswith("old") for _, checkout, _ in ran] == [False, True, False, True, False, False]
    assert all("--fixed-mask" in words for *_, words in ran)
    report = json.loads((tmp_path / "speed.json").read_text())
    assert [line["seconds"] for line in report["lines"]] == [5, 5, None]
    assert len(report["runs"]) == 6
    assert report["machine"]["cores"] >= 1
    assert "no ants" in (tmp_path / "speed.md").read_text()
    assert str(tmp_path) not in json.dumps(report)


def test_our_rows_are_the_command_line_and_the_peers_programs_of_their_own(tmp_path):
    rows = known_rows(2, tmp_path)
    assert list(rows) == ["default", "accurate", "off", "before", "syn", "elastix", "convexadam"]
    assert rows["default"].words[:3] == ("-m", "LungDeepRegLib", "register")
    assert rows["before"].words == rows["default"].words
    assert rows["before"].checkout == tmp_path
    assert set(rows["accurate"].words) - set(rows["default"].words) == {"--refine", "accurate"}
    assert "before" not in known_rows(2, None)


def test_unknown_rows_are_named(tmp_path, capsys):
    assert benchmark.main(["speed", "--pair", "f.nii", "m.nii", "--rows", "magic", "--out", str(tmp_path)]) == 3
    assert "found --rows magic, expected some of default,accurate" in capsys.readouterr().err


def test_a_method_as_a_program_writes_the_image_and_the_map(images, tmp_path, monkeypatch):
    monkeypatch.setattr(whole_method, "METHODS", {"shift": Shift((0.0, 0.0, 12.0))})
    monkeypatch.setattr(whole_method, "aligned", lambda fixed, moving: np.diag([1.0, 1.0, 1.0, 1.0]))
    words = ["--method", "shift", "--out", str(tmp_path), "--threads", "1"]
    for name in ("fixed", "moving"):
        words += [f"--{name}", str(images / f"{name}.nii.gz"), f"--{name}-mask", str(images / f"{name}_mask.nii.gz")]
    assert whole_method.main(words) == 0
    transform = sitk.ReadTransform(str(tmp_path / "transform.h5"))
    assert transform.TransformPoint((10.0, 20.0, 30.0)) == pytest.approx((10, 20, 42), abs=1e-3)
    moving = sitk.ReadImage(str(images / "moving.nii.gz"))
    wanted = sitk.GetArrayFromImage(sitk.Resample(moving, moving, transform, sitk.sitkLinear))
    warped = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "warped.nii.gz")))
    assert np.abs(warped - wanted)[2:-3].max() <= 1
    times = json.loads((tmp_path / "times.json").read_text())
    assert set(times) == {"start", "read", "prepare", "align", "pair", "register", "warp", "write"}


def test_a_library_that_is_not_there_is_said(images, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(whole_method, "METHODS", {"gone": Shift(absent="pip install luck")})
    words = ["--method", "gone", "--out", str(tmp_path), "--threads", "1"]
    words += ["--fixed", str(images / "fixed.nii.gz"), "--moving", str(images / "moving.nii.gz")]
    assert whole_method.main(words) == 3
    assert "pip install luck" in capsys.readouterr().err


def test_the_network_alone_is_measured_elsewhere(monkeypatch):
    heard = []
    module = type(sys)("training.performance.network_speed")
    module.main = lambda arguments: heard.extend(arguments) or 7
    monkeypatch.setitem(sys.modules, "training.performance.network_speed", module)
    assert benchmark.main(["speed", "--network", "--repeats", "2"]) == 7
    assert heard == ["--repeats", "2"]
