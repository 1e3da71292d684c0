"""Robustness: what fails is counted, whether it was told or not, and nothing is done twice."""

import json

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.image_io import write_volume
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.registration import Options, RegistrationError, register

from training import benchmark
from training.performance import robustness
from training.performance.disturbances import disturbance, disturbed
from training.performance.robustness import Outcome, failure, outcome, read_outcomes, table, write_outcomes

GOOD = Outcome(0, "offset", "breath 10 mm", 30.0, 2.0, 0.5, 1.0, 6.0)
TOLD = Outcome(1, "offset", "far", 80.0, 30.0, 12.0, 20.0, 7.0, told="alignment: another one fits\nred: Dice")
SILENT = Outcome(2, "crop", "half", 20.0, 9.0, 8.0, 20.0, 7.0)
ERROR = Outcome(3, "crop", "nothing", 20.0, error="do not overlap")
ALARM = Outcome(4, "crop", "fine", 20.0, 2.0, 1.0, 2.0, 7.0, told="red: Coverage")


@pytest.fixture(scope="module")
def ct():
    lattice = chest_lattice(9.0)
    return make_pair(PhantomConfig(noise=0), fixed_lattice=lattice, moving_lattice=lattice).moving


@pytest.fixture
def aligned_only(monkeypatch):
    """Without a deformation a registration takes a second."""
    options = Options(refine="off")
    monkeypatch.setattr(robustness, "register", lambda *images: register(*images, options, checkpoint=None))


def test_failures_are_told_or_silent():
    assert [one.success for one in (GOOD, TOLD, SILENT, ERROR, ALARM)] == [True, False, False, False, True]
    assert [one.silent for one in (GOOD, TOLD, SILENT, ERROR, ALARM)] == [False, False, True, False, False]
    found = table([GOOD, TOLD, SILENT, ERROR, ALARM], ["Command."])
    lines = {line["kind"]: line for line in found.lines}
    assert list(lines) == ["offset", "crop", "all cases"]
    assert lines["offset"]["success_percent"] == 50
    assert lines["offset"]["worst_mm"] == 12
    assert [lines["crop"][name] for name in ("told_failures", "silent_failures", "false_alarms")] == [1, 1, 1]
    assert lines["all cases"]["success_percent"] == 40
    text = found.markdown()
    assert "Case 2 failed: half; error 8.0 mm (alignment 9.0 mm); SILENT." in text
    assert "Case 3 failed: nothing; do not overlap; told." in text
    assert "Case 0 failed" not in text
    assert failure(TOLD).endswith("alignment: another one fits, red: Dice")


def test_outcomes_are_kept_as_they_are(tmp_path):
    wanted = [GOOD, TOLD, SILENT, ERROR, ALARM]
    write_outcomes(tmp_path / "cases.csv", wanted)
    assert list(read_outcomes(tmp_path / "cases.csv").values()) == wanted
    (tmp_path / "cases.csv").write_text("number,kind\n1,offset\n")
    with pytest.raises(robustness.RobustnessError, match=r"cases.csv: found a table that can't be read"):
        read_outcomes(tmp_path / "cases.csv")


def test_a_pair_is_registered_and_judged_by_its_truth(ct, aligned_only):
    found = outcome(ct, 0, seed=0)
    pair = disturbed(ct, disturbance(0, seed=0))
    assert found.before_mm == pytest.approx(np.linalg.norm(pair.seen - pair.truth, axis=1).mean())
    assert found.before_mm > 20
    assert found.mean_mm == pytest.approx(found.aligned_mm, abs=0.05)  # nothing else was done
    assert found.mean_mm < 8 < found.before_mm
    assert found.p95_mm > found.mean_mm


def test_what_a_wrong_result_looks_like_is_told(ct, monkeypatch):
    def nowhere(fixed, moving):
        result = register(fixed, moving, Options(refine="off", alignment="none"), checkpoint=None)
        still = DisplacementField.from_matrix(np.eye(4), result.field.lattice)
        assert np.allclose(result.field.vectors, still.vectors)
        return result

    monkeypatch.setattr(robustness, "register", nowhere)
    found = outcome(ct, 0, seed=0)
    assert found.mean_mm == pytest.approx(found.before_mm, abs=1e-3)
    assert "red: Dice of the lungs" in found.told
    assert not found.silent


def test_an_error_is_no_silent_failure(ct, monkeypatch):
    def refuse(fixed, moving):
        msg = "do not overlap"
        raise RegistrationError(msg)

    monkeypatch.setattr(robustness, "register", refuse)
    found = outcome(ct, 1, seed=0)
    assert (found.error, found.mean_mm, found.silent, found.success) == ("do not overlap", None, False, False)


def test_the_command_goes_on_where_it_stopped(ct, tmp_path, monkeypatch, aligned_only, capsys):
    path, out, done = tmp_path / "ct.nii.gz", tmp_path / "out", []
    write_volume(path, ct)

    def made_up(ct, count, seed):
        done.append(count)
        return Outcome(count, "offset", "made up", 30.0, 3.0, 1.0 + count, 5.0, 1.0)

    monkeypatch.setattr(robustness, "outcome", made_up)
    words = ["robustness", "--image", str(path), "--out", str(out), "--threads", "1"]
    with monkeypatch.context() as undrawn:
        undrawn.setattr(robustness, "draw_worst", lambda *arguments: [])
        assert benchmark.main([*words, "--cases", "1"]) == 0
    assert benchmark.main([*words, "--cases", "3"]) == 0
    assert done == [0, 1, 2]
    assert (out / "worst.png").stat().st_size > 10_000
    report = json.loads((out / "robustness.json").read_text())
    assert report["lines"][-1]["cases"] == 3
    assert report["machine"]["cores"] >= 1
    assert str(tmp_path) not in json.dumps(report)
    assert benchmark.main([*words, "--cases", "3", "--seed", "1"]) == 3
    assert "found a run of another seed" in capsys.readouterr().err
    assert benchmark.main(["robustness", "--image", str(tmp_path / "none.mha"), "--out", str(out)]) == 3
    assert "none.mha" in capsys.readouterr().err
