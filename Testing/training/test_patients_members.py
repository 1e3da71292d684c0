"""Who belongs to the cohort, and the file that everything is drawn from."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from training.patients.breath import Breaths
from training.patients.members import Shares, members
from training.patients.observers import Observers
from training.patients.parameters import FROZEN, ParametersError, read_parameters

DIGEST = "a769aa6e9b033f1ecc1d7e6ee2e554b6b3fe331b42cb310220a977ba4368d48d"


def test_the_parameters_are_those_that_were_frozen():
    """Figures in README and tables were measured on this cohort: whoever changes it measures them anew."""
    text = FROZEN.read_text(encoding="utf-8")
    assert hashlib.sha256(text.encode()).hexdigest() == DIGEST


def test_groups_and_split_are_the_papers():
    everybody = members(read_parameters())
    assert [member.number for member in everybody] == list(range(41))
    assert everybody[0].name == "P01"
    assert Counter((member.split, member.label) for member in everybody) == {
        ("validation", "ILD"): 9,
        ("validation", "healthy"): 4,
        ("train", "ILD"): 20,
        ("train", "healthy"): 8,
    }
    assert {member.split for member in everybody[:13]} == {"validation"}
    assert {member.label for member in everybody[:3]} == {"ILD", "healthy"}  # a cohort of three has both


def test_another_seed_draws_others_likewise_and_more_of_them():
    frozen, others = members(read_parameters()), members(read_parameters().redrawn(7, 3))
    shares = Counter((member.split, member.label) for member in others)
    assert shares == {group: 3 * count for group, count in Counter((m.split, m.label) for m in frozen).items()}
    assert members(read_parameters().redrawn(None, 1)) == frozen
    again = members(read_parameters().redrawn(7, 1))
    assert [(m.label, m.severity, m.depth) for m in again] != [(m.label, m.severity, m.depth) for m in frozen]
    assert read_parameters().redrawn(7, 1).generator(0).random() != read_parameters().generator(0).random()


def test_severity_and_depth_are_spread_evenly_in_each_group():
    everybody = members(read_parameters())
    for split, label, count in (("validation", "ILD", 9), ("train", "healthy", 8)):
        group = [member for member in everybody if (member.split, member.label) == (split, label)]
        expected = (np.arange(count) + 0.5) / count
        assert sorted(member.severity for member in group) == pytest.approx(expected)
        assert sorted(member.depth for member in group) == pytest.approx(expected)
    ill = [(member.severity, member.depth) for member in everybody if member.label == "ILD"]
    assert abs(np.corrcoef(np.transpose(ill))[0, 1]) < 0.5


def test_the_more_of_the_lungs_is_ill_the_less_they_breathe():
    parameters = read_parameters()
    breaths, member = parameters.section("breathing", Breaths), members(parameters)[0]
    descents = [breaths.sample(member, extent, np.random.default_rng(0)).descent_mm for extent in (0, 0.2, 0.4, 0.9)]
    low, high = breaths.descent_mm
    assert descents[0] == pytest.approx(low + (high - low) * member.depth)
    assert descents[1] == pytest.approx((1 - 0.2 * breaths.lost) * descents[0])
    assert descents[2] < descents[1]
    assert descents[3] == pytest.approx(breaths.least * descents[0])


def test_a_file_that_says_too_little_too_much_or_no_numbers_is_refused(tmp_path):
    path = tmp_path / "trial.toml"
    path.write_text('seed = 1\n[cohort]\ntrain_ild = 2\n[observers]\ndifference_mm = [1, "two", 3]\n')
    parameters = read_parameters(path)
    with pytest.raises(ParametersError, match=r"trial.toml: found \['train_ild'\] in \[cohort\], expected"):
        parameters.section("cohort", Shares)
    with pytest.raises(ParametersError, match=r"found 'two' as observers.difference_mm, expected numbers"):
        parameters.section("observers", Observers)
    with pytest.raises(ParametersError, match=r"found \[\] in \[breathing\]"):
        parameters.section("breathing", Breaths)


@pytest.mark.parametrize("text", ["seed = -1", "seed = 'x'", "[cohort]\n", "seed = 1\nloose = 2", "seed ="])
def test_a_file_without_a_seed_or_without_tables_is_refused(tmp_path, text):
    path = tmp_path / "trial.toml"
    path.write_text(text)
    with pytest.raises(ParametersError, match=r"trial.toml"):
        read_parameters(path)
    with pytest.raises(ParametersError, match=r"gone.toml: found no parameters"):
        read_parameters(tmp_path / "gone.toml")


def test_streams_of_random_numbers_are_independent():
    parameters = read_parameters()
    drawn = [parameters.generator(*key).random() for key in ((0, 1), (0, 2), (1, 1), (1, 2))]
    assert len(set(drawn)) == 4
    assert parameters.generator(1, 2).random() == drawn[3]
