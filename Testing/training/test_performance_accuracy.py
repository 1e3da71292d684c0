"""All methods on one pair and on known breaths: what is told of a method whose error is known is that error."""

import csv
import json

import numpy as np
import pytest
from LungDeepRegLib.image_io import write_volume
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.registration import Options

from Testing.training.trivial_methods import Shift, in_process
from training import benchmark
from training.benchmarking import command, report
from training.performance import accuracy
from training.performance.interest_points import PointPairs

SHIFT = np.array([0.0, 0.0, 5.0])
POINTS = np.array([[60.0, -10.0, 0.0], [-60.0, 10.0, 20.0], [-55.0, 0.0, -20.0]])


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    pair = make_pair(PhantomConfig(noise=0), chest_lattice(6.0), chest_lattice(6.0))
    for name in ("fixed", "moving", "fixed_mask", "moving_mask"):
        write_volume(folder / f"{name}.nii.gz", getattr(pair, name))
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No processes, pictures, alignment or search for points; two methods whose results are known, and a broken one."""
    monkeypatch.setattr(command, "run_jobs", in_process)
    monkeypatch.setattr(report, "write_pair_picture", lambda *arguments: [])
    monkeypatch.setattr("training.benchmarking.inputs.Options", lambda: Options(alignment="none"))
    monkeypatch.setattr(accuracy, "point_pairs", lambda pair, matrix: PointPairs(POINTS, POINTS + SHIFT, 30))
    methods = {"shift": Shift(tuple(SHIFT)), "broken": Shift(name="broken", title="broken", error="no such luck")}
    monkeypatch.setattr(accuracy, "compared", lambda: methods)


def rows(path):
    with path.open(encoding="utf-8") as file:
        return {row["method"]: row for row in csv.DictReader(file)}


def test_a_pair_by_all_methods_both_ways(images, tmp_path):
    pair, masks = ([str(images / f"{name}{kind}.nii.gz") for name in ("fixed", "moving")] for kind in ("", "_mask"))
    words = ["--pair", *pair, "--masks", *masks, "--out", str(tmp_path), "--threads", "1"]
    assert benchmark.main(["accuracy", *words]) == 0
    found = rows(tmp_path / "accuracy.csv")
    assert float(found["shift"]["points_mean"]) == pytest.approx(0, abs=1e-4)
    assert float(found["unregistered"]["points_p95"]) == pytest.approx(5)
    # Both ways it shifts by 5 mm, so that there and back is 10.
    assert float(found["shift"]["consistency_mean"]) == pytest.approx(10, abs=1e-3)
    assert "no such luck" in found["broken"]["result"]
    assert not found["broken"]["points_mean"]
    assert 50 < float(found["shift"]["dice_percent"]) < 100
    text = (tmp_path / "accuracy.md").read_text()
    assert "3 of 30 interest points" in text
    values = json.loads((tmp_path / "accuracy.json").read_text())
    assert values["machine"]["cores"] >= 1
    assert values["versions"]["torch"]
    assert str(tmp_path) not in json.dumps(values)
    assert len((tmp_path / "points.csv").read_text().splitlines()) == 1 + len(POINTS)


def test_a_method_that_is_run_one_way_has_no_there_and_back(images, tmp_path):
    pair = [str(images / f"{name}.nii.gz") for name in ("fixed", "moving")]
    words = ["--pair", *pair, "--out", str(tmp_path), "--threads", "1", "--one-way", "shift", "--methods", "shift"]
    assert benchmark.main(["accuracy", *words]) == 0
    found = rows(tmp_path / "accuracy.csv")
    assert not found["shift"]["consistency_mean"]
    assert float(found["affine"]["consistency_mean"]) == pytest.approx(0, abs=1e-3)
    assert set(found) == {"unregistered", "affine", "shift"}


def test_known_breaths_are_judged_by_the_truth_and_so_are_the_points(images, tmp_path):
    ct = str(images / "moving.nii.gz")
    words = ["--known", ct, "--motions", "12", "--seeds", "3", "--out", str(tmp_path), "--threads", "1"]
    assert benchmark.main(["accuracy", *words]) == 0
    found = rows(tmp_path / "known.csv")
    still, shifted = (float(found[name]["12 mm, seed 3 mean"]) for name in ("unregistered", "shift"))
    assert 2 < still < 8
    assert still == float(found["affine"]["mean"])
    # The breath moves down, the method up.
    assert still + 2 < shifted < still + 5
    assert "12 mm, seed 3: 3 interest points, their own error to the truth: mean" in (tmp_path / "known.md").read_text()


def test_what_cannot_be_done_is_said(images, tmp_path, capsys):
    assert benchmark.main(["accuracy", "--known", "missing.nii.gz", "--out", str(tmp_path)]) == 3
    assert "missing.nii.gz" in capsys.readouterr().err
    ct = str(images / "moving.nii.gz")
    assert benchmark.main(["accuracy", "--known", ct, "--motions", "-400", "--out", str(tmp_path)]) == 3
    assert "folds, expected a smaller" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        benchmark.main(["accuracy", "--out", str(tmp_path)])
    assert "expected --pair or --known" in capsys.readouterr().err


def test_the_rows_are_the_peers_and_ours():
    assert list(accuracy.COMPARED[:3]) == ["syn", "elastix", "convexadam"]
    assert accuracy.ACCURATE.refine == "accurate"
