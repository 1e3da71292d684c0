"""The classifier's command: what it reads, keeps, writes and refuses."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.image_io import write_volume
from LungDeepRegLib.volume import Volume

from training import classify_ild
from training.classification import residuals
from training.classification.patients import read_patients
from training.classification.report import FILES
from training.cohorts.manifest import FIELDS, read_manifest

ROOT = Path(__file__).parents[2]
ILL, HEALTHY = 4, 3
SMALL = ["--folds", "3", "--epochs", "1", "--permutations", "2"]


@pytest.fixture(autouse=True, scope="module")
def small():
    """Lattices that the network is quick on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residuals, "SHAPE", (8, 6, 8))
        patch.setattr(residuals, "SPACING_MM", 20.0)
        yield


@pytest.fixture(autouse=True, scope="module")
def all_registered():
    """The names of images that were registered; what is found is that tissue moves by the moving image's mean."""
    names = []

    def register(fixed, moving, options, *, fixed_mask, moving_mask):
        names.append(fixed.name)
        shift = np.eye(4)
        shift[2, 3] = -float(moving.array.mean())
        field = DisplacementField.from_matrix(shift, fixed.lattice)
        return SimpleNamespace(field=field, warped=fixed, fixed_lungs=fixed_mask, warnings=("made up",))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residuals, "register", register)
        yield names


@pytest.fixture
def registered(all_registered):
    """Those of one test."""
    all_registered.clear()
    return all_registered


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return written(tmp_path_factory.mktemp("cohort"), synthetic="yes")


@pytest.fixture(scope="module")
def finished(manifest, tmp_path_factory):
    """The folder of a run."""
    out = tmp_path_factory.mktemp("finished") / "deeper" / "out"
    assert run(manifest, out) == 0
    return out


def written(folder: Path, synthetic: str) -> Path:
    """A cohort of small oblique images; the inhaled ones are brighter in the healthy."""
    rows, random = [], np.random.default_rng(0)
    matrix = np.array([[-11.0, 1, 0, 40], [1, 12, 2, -50], [0, -1, 14, -60], [0, 0, 0, 1]])
    lungs = np.zeros((8, 9, 10), np.uint8)
    lungs[2:6, 2:7, 2:8] = 1
    for number in range(ILL + HEALTHY):
        label = "ILD" if number < ILL else "healthy"
        for phase in ("exhale", "inhale"):
            name = f"P{number}_{phase}"
            values = random.normal(8 if label == "ILD" else 24, 1, lungs.shape).astype(np.float32)
            write_volume(folder / f"{name}.nii.gz", Volume(values, matrix))
            write_volume(folder / f"{name}_lungs.nii.gz", Volume(lungs, matrix))
            row = {"patient": f"P{number}", "phase": phase, "image": f"{name}.nii.gz", "mask": f"{name}_lungs.nii.gz"}
            split = "validation" if number in (0, 6) else "train"
            rows.append({**row, "label": label, "split": split, "synthetic": synthetic})
    path = folder / "cohort.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, FIELDS)
        table.writeheader()
        table.writerows(rows)
    return path


def run(manifest: Path, out: Path, *more: str) -> int:
    return classify_ild.main(["--cohort", str(manifest), "--out", str(out), *SMALL, *more])


def test_a_run_writes_figures_words_and_pictures(finished, manifest):
    found = json.loads((finished / "results.json").read_text())
    assert found["synthetic"] is True
    assert found["patients"] == {"ILD": ILL, "healthy": HEALTHY}
    assert found["scores"]["mean u in the lungs"]["auc"]["value"] == 1
    assert sum(map(sum, found["scores"]["network"]["confusion"])) == ILL + HEALTHY
    assert len(found["control"]["areas"]) == 2
    assert found["validation_patients"]["patients"] == 2
    assert found["registration_warnings"]["P3"] == ["made up"]
    assert found["procedure"]["training"]["learning_rate"] == pytest.approx(1e-4)
    assert str(manifest.parent) not in json.dumps(found)
    words = (finished / "report.md").read_text()
    assert "**Synthetic patients: computed, not scanned." in words
    assert "84.62 %, 11 of 13" in words
    table = [line for line in words.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {6}
    for name in ("scores.png", "saliency.png"):
        assert np.ptp(matplotlib.image.imread(finished / name)) > 0.5
    assert sorted(path.name for path in finished.iterdir()) == sorted([*FILES, "residuals"])


def test_predictions_are_a_line_a_patient(finished):
    lines = list(csv.DictReader((finished / "predictions.csv").open(encoding="utf-8")))
    assert [line["patient"] for line in lines] == [f"P{n}" for n in range(ILL + HEALTHY)]
    assert [line["label"] for line in lines] == ["ILD"] * ILL + ["healthy"] * HEALTHY
    assert {line["fold"] for line in lines} == {"1", "2", "3"}
    assert [line["split"] for line in lines].count("validation") == 2
    for line in lines:
        assert (line["called"] == "ILD") == (float(line["probability"]) > 0.5) == (float(line["logit"]) > 0)
        assert float(line["mean_displacement_mm"]) == pytest.approx(8 if line["label"] == "ILD" else 24, abs=1)


def test_real_patients_arent_called_synthetic(tmp_path, capsys):
    assert run(written(tmp_path, synthetic=""), tmp_path / "out") == 0
    assert str(tmp_path / "out" / "report.md") in capsys.readouterr().out
    assert "ynthetic" not in (tmp_path / "out" / "report.md").read_text()
    assert json.loads((tmp_path / "out" / "results.json").read_text())["synthetic"] is False


def test_what_was_registered_is_kept_until_a_file_changes(finished, manifest, registered):
    (finished / "mine.txt").write_text("mine")
    first = (finished / "results.json").read_text()
    assert run(manifest, finished, "--overwrite") == 0
    assert registered == []
    assert (finished / "results.json").read_text() == first
    (finished / "mine.txt").unlink()  # which the run left there
    os.utime(manifest.parent / "P2_inhale.nii.gz", (1, 1))
    cohort = read_manifest(manifest)
    residuals.residuals(read_patients(cohort, "exhale", "inhale", "ILD"), finished / "residuals", "auto")
    assert len(registered) == 1
    assert registered[0].endswith("P2_exhale.nii.gz")


def test_an_earlier_result_is_left_alone(tmp_path, manifest, registered, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.json").write_text("mine")
    assert run(manifest, tmp_path / "out") == 3
    assert "results.json: exists already; choose another folder or use --overwrite" in capsys.readouterr().err
    assert (tmp_path / "out" / "results.json").read_text() == "mine"
    assert registered == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--folds", "4"], "found 4 folds for 4 patients who are ill and 3 who aren't"),
        (["--permutations", "0"], "0 permutations"),
        (["--seed", "-1"], "seed -1, expected at least 1, 1 and 0"),
        (["--label", "COPD"], "found the labels ILD, healthy, expected 'COPD' and one other"),
        (["--fixed", "T50"], "patient P0: found no scan of the phase 'T50', expected one"),
        (
            ["--fixed", "inhale"],
            "found 'inhale' as the phase of the fixed and of the moving image",
        ),
        (["--cohort", "nowhere.csv"], "nowhere.csv: no such file or folder"),
    ],
)
def test_what_cant_be_done_is_said_before_anything_is_registered(tmp_path, manifest, registered, capsys, options, said):
    assert run(manifest, tmp_path / "out", *options) == 3
    assert said in capsys.readouterr().err
    assert registered == []
    assert not (tmp_path / "out").exists()


def test_nothing_half_written_is_left_where_the_report_fails(tmp_path, manifest, registered, monkeypatch):
    def fails(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.classification.report.saliency_figure", fails)
    with pytest.raises(KeyboardInterrupt):
        run(manifest, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["residuals"]
    assert not list(tmp_path.glob(".*"))


def test_the_script_runs_as_a_file():
    done = subprocess.run(
        [sys.executable, "training/classify_ild.py", "--help"],
        capture_output=True, encoding="utf-8", check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert "says nothing about patients" in " ".join(done.stdout.split())
