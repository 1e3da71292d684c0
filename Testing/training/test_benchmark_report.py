"""The report of a benchmark: which files, which pairs are drawn, and that the pictures show what they say."""

import json

import matplotlib.image
import numpy as np
import pytest
from LungDeepRegLib.results.report.cuts import cuts

from Testing.training.made_up_records import TITLES, MadeUpImages, cohort_records, note, record
from training.benchmarking.box_plots import dice_figure
from training.benchmarking.comparison_figure import Panel, bands_of, comparison_figure
from training.benchmarking.pictures import beside_the_worst, by_quality, chosen_pairs, judged_method, worst_figure
from training.benchmarking.record import PAIR, VALIDATION
from training.benchmarking.report import write_report

DEFAULT = "network+linear+refine"
FEW = ("unregistered", "syn", DEFAULT)


def words_of(figure):
    return "\n".join(text.get_text() for text in [*figure.texts, *(figure._suptitle,)] if text is not None)


def pictures_of(figure):
    """Arrays of a figure's panels, not of its colour bars, in the order they were drawn."""
    return [axes.images[0].get_array() for axes in figure.axes if axes.images]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "run"
    images = MadeUpImages(absent=("syn",))
    files = write_report(cohort_records(4, 5, FEW), note(), images, out)
    return out, files, images


class TestFiles:
    def test_of_a_cohort(self, report):
        out, files, _ = report
        expected = {"table1.md", "table1.csv", "table2.md", "table2.csv", "tests.md", "tests.csv", "cases.csv",
                    "results.json", "dice.png", "figure2.png", "worst.png"}  # fmt: skip
        assert {path.name for path in out.iterdir()} == {path.name for path in files} == expected
        for name in ("dice.png", "figure2.png", "worst.png"):
            assert matplotlib.image.imread(out / name).std() > 0.05

    def test_results_hold_the_run_the_tables_and_the_papers_data_apart(self, report):
        values = json.loads((report[0] / "results.json").read_text())
        assert values["run"]["synthetic"] is True
        assert values["run"]["methods"]["syn"] == {
            "title": "SyN (ANTs)",
            "costly": True,
            "settings": {"made": "up"},
            "missing": None,
        }
        assert set(values["tables"]) == {"table1", "table2", "tests"}
        assert values["tables"]["table1"]["lines"][0]["method"] == "unregistered"
        assert "the paper's data" in values["paper"]["source"]
        assert values["paper"]["rows"]["network+linear"]["dice"] == [91.48, 2.33]
        worst = values["worst"]["cases"]
        assert [case["dice"] for case in worst] == sorted(case["dice"] for case in worst)
        assert values["worst"]["method"] == DEFAULT

    def test_the_pairs_are_chosen_by_rule(self, report):
        _, _, images = report
        own = sorted(
            (one.dice, one.fixed, one.moving)
            for one in cohort_records(4, 5, FEW)
            if one.method == DEFAULT and one.group == VALIDATION
        )
        assert images.asked == [own[2][1:], own[0][1:]]

    def test_of_one_pair(self, tmp_path):
        records = [record(name, "a", "b", PAIR, dice=0.8) for name in ("unregistered", DEFAULT)]
        files = write_report(records, note(one_pair=True, cohort="b onto a"), MadeUpImages(), tmp_path)
        assert {path.name for path in files} == {"pair.md", "pair.csv", "cases.csv", "results.json", "pair.png"}

    def test_of_a_run_in_which_all_failed_or_nothing_is_known(self, tmp_path):
        records = [record(name, error="it broke") for name in FEW]
        files = write_report(records, note(), MadeUpImages(), tmp_path)
        assert {path.suffix for path in files} == {".md", ".csv", ".json"}
        assert "4 of 4" not in (tmp_path / "table1.md").read_text()
        assert "1 of 1" in (tmp_path / "table1.md").read_text()


class TestChosen:
    def test_worst_first_and_failures_nowhere(self):
        records = [
            record("refine", f"P{n} exhale", f"P{n} inhale", dice=dice) for n, dice in enumerate((0.9, 0.7, 0.8))
        ]
        records.append(record("refine", "P9 exhale", "P9 inhale", error="it broke"))
        assert [one.dice for one in by_quality(records, "refine", (VALIDATION,))] == [0.7, 0.8, 0.9]
        middle, worst = chosen_pairs(records, "refine")
        assert (middle.dice, worst.dice) == (0.8, 0.7)
        assert chosen_pairs(records, "syn") is None

    def test_without_the_defaults_the_last_row_is_judged(self):
        records = [record("syn", dice=0.8), record("refine", dice=0.9)]
        assert judged_method(records, note()) == "refine"
        assert judged_method([*records, record(DEFAULT, dice=0.7)], note()) == DEFAULT
        assert judged_method([record("syn", error="it broke")], note()) is None

    def test_beside_the_worst_case_stand_the_best_others(self):
        records = [record(name, dice=0.5 + n / 100) for n, name in enumerate(TITLES)]
        records = [one if one.method != "refine" else record("refine", error="it broke") for one in records]
        records.append(record("syn", "P02 exhale", "P02 inhale", dice=0.99))
        shown = next(one for one in records if one.method == DEFAULT)
        others = ["network+refine", "network+linear", "network"]
        assert beside_the_worst(records, shown) == ["unregistered", "affine", DEFAULT, *others]

    def test_what_is_said_of_it(self):
        records = [record("unregistered", dice=0.75), record("syn", dice=0.8), record(DEFAULT, dice=0.812)]
        words = words_of(worst_figure(records, note(), MadeUpImages(absent=("syn",)), records[-1]))
        assert "P01 inhale onto P01 exhale, synthetic cohort" in words
        assert f'The worst inhale-exhale pair of "{TITLES[DEFAULT]}", and the best others on it. Label: ILD.' in words
        assert "Not drawn: affine; SyN (ANTs) (failed, or no field kept)." in words.replace(TITLES["affine"], "affine")
        assert "Dice 81.2 %" in words


class TestComparison:
    def test_the_right_shift_leaves_no_difference_and_half_of_it_some(self):
        images = MadeUpImages()
        panels = [Panel("none", "", None), *(Panel(name, "", images.phi(name, "", "")) for name in ("refine", DEFAULT))]
        fixed, *rest = pictures_of(comparison_figure(images.images("", ""), panels, "", ""))
        warped, left = rest[0::2], [np.nanmean(abs(np.asarray(array))) for array in rest[1::2]]
        assert left[0] > 1.5 * left[1] > 5 * left[2]
        np.testing.assert_allclose(np.asarray(warped[0]) - np.asarray(fixed), np.asarray(rest[1]), atol=1e-3)

    def test_bands_are_of_at_most_eight_and_even(self):
        pair = MadeUpImages().images("", "")
        coronal = cuts(pair)[0]
        bands = bands_of(pair, [Panel(f"m{n}", "", None) for n in range(8)], coronal)
        assert [[cell.title for cell in band] for band in bands] == [
            ["Fixed", "m0", "m1", "m2", "m3"],
            ["m4", "m5", "m6", "m7"],
        ]


class TestBoxPlots:
    def test_every_method_with_its_number_and_the_papers_means(self):
        figure = dice_figure(cohort_records(), note())
        within, combined = figure.axes
        assert [label.get_text() for label in within.get_yticklabels()] == list(TITLES.values())
        assert within.get_ylim()[0] > within.get_ylim()[1]  # the first method on top
        assert len(within.patches) == len(combined.patches) == len(TITLES)
        assert [text.get_text() for text in combined.texts if text.get_text().strip()] == [" n = 5"] * 3
        assert len(within.containers) == 8  # the paper's rows
        assert "synthetic" in words_of(figure)
        assert "synthetic" not in words_of(dice_figure(cohort_records(), note(synthetic=False)))

    def test_without_dice_there_is_none(self):
        assert dice_figure([record(similarity=0.5)], note()) is None
