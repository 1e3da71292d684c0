"""Tables of a benchmark: every figure from its own records, the paper's beside it, and all that has to be said."""

import csv
import io
from dataclasses import replace

import pytest

from Testing.training.made_up_records import TITLES, cohort_records, landmarks, measured, note, record
from training.benchmarking.case_tables import case_table, pair_table
from training.benchmarking.comparison_table import comparison_table
from training.benchmarking.landmark_table import landmark_table
from training.benchmarking.overlap_table import overlap_table
from training.benchmarking.published import PUBLISHED
from training.benchmarking.record import DRAWN, PAIR, REST, MethodNote
from training.benchmarking.tables import Column, Table, word

DEFAULT = "network+linear+refine"


def cells(table):
    """The Markdown table by the rows' first cells: heading and cell."""
    lines = [line for line in table.markdown().splitlines() if line.startswith("|")]
    heads, _, *rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines)
    return {row[0].strip("*"): dict(zip(heads, row, strict=True)) for row in rows}


def lines_of(table):
    return {line["method"]: line for line in table.lines}


class TestTable:
    def test_columns_without_any_figure_are_left_out(self):
        columns = [Column(name, word(name)) for name in ("a", "b", "c")]
        table = Table("x", "Title", columns, [{"a": 1, "b": None, "c": None}, {"a": 2, "b": None, "c": "x|y"}], ["So."])
        assert table.markdown() == "**Title**\n\n| a | c |\n| --- | ---: |\n| 1 | - |\n| 2 | x\\|y |\n\n- So.\n"

    def test_csv_has_every_name_of_any_line(self):
        table = Table("x", "Title", (), [{"a": 1.23456789}, {"a": None, "b": "so, so"}])
        assert list(csv.DictReader(io.StringIO(table.csv()))) == [
            {"a": "1.23456789", "b": ""},
            {"a": "", "b": "so, so"},
        ]

    def test_files_replace_earlier_ones_and_nothing_else_is_left(self, tmp_path):
        for text in ("first", "second"):
            Table("x", text, [Column("a", word("a"))], [{"a": text}]).write(tmp_path / "new")
        assert {path.name for path in (tmp_path / "new").iterdir()} == {"x.md", "x.csv"}
        assert (tmp_path / "new" / "x.csv").read_text() == "a\nsecond\n"


class TestOverlap:
    def test_each_group_by_hand(self):
        records = [
            record("refine", dice=0.90, seconds=3, folded_percent_lung=0.2, peak_memory_mb=100, alignment_seconds=1.5),
            record("refine", "P02 exhale", "P02 inhale", dice=0.80, seconds=9, folded_percent_lung=0, peak_memory_mb=3),
            record("refine", "P01 exhale", "P02 inhale", DRAWN, dice=0.50, seconds=99, peak_memory_mb=700),
            record("refine", "P02 exhale", "P01 inhale", REST, dice=0.40, folded_percent_lung=5.0),
        ]  # fmt: skip
        table = overlap_table(records, note(combinations=4, drawn=1))
        line = lines_of(table)["refine"]
        assert (line["dice_mean"], line["dice_sd"], line["dice_n"]) == (pytest.approx(85), pytest.approx(5), 2)
        assert (line["dice_combinations_mean"], line["dice_combinations_n"]) == (pytest.approx(65), 4)
        assert (line["dice_drawn_mean"], line["dice_drawn_n"]) == (pytest.approx(50), 1)
        assert (line["seconds"], line["alignment_seconds"], line["peak_memory_mb"]) == (6, 1.5, 700)
        assert (line["folded_percent_lung"], line["folded_percent_lung_most"]) == (pytest.approx(0.1), 5.0)
        shown = cells(table)["Refinement alone"]
        assert shown["Dice inhale-exhale [%]"] == "85.00 \N{PLUS-MINUS SIGN} 5.00 (2)"
        assert shown["Dice all 4 combinations [%]"] == "65.00 \N{PLUS-MINUS SIGN} 20.62 (4)"
        assert "time GPU [s]" not in shown

    def test_the_papers_figures_stand_at_their_rows_and_are_called_the_papers(self):
        table = overlap_table(cohort_records(), note())
        shown = cells(table)
        paper = {name: row["paper: inhale-exhale [%]"] for name, row in shown.items()}
        assert paper["Unregistered"] == "75.62 \N{PLUS-MINUS SIGN} 10.89"
        assert paper["Network"] == "91.28 \N{PLUS-MINUS SIGN} 2.47"
        assert paper["Network, linear"] == "91.48 \N{PLUS-MINUS SIGN} 2.33"
        assert shown["Network, linear"]["paper: all 169 [%]"] == "82.34 \N{PLUS-MINUS SIGN} 7.68"
        assert shown["SyN (ANTs)"]["paper: time"] == "2500 s (CPU)"
        assert shown["SyN (ANTs)"]["paper: all 169 [%]"] == "-"
        assert {TITLES[name] for name in PUBLISHED} == {name for name, words in paper.items() if words != "-"}
        assert "the paper's data" in table.markdown()

    def test_costly_methods_have_the_drawn_combinations_only_and_the_table_says_so(self):
        table = overlap_table(cohort_records(), note())
        syn, ours = (cells(table)[TITLES[name]] for name in ("syn", DEFAULT))
        assert syn["Dice all 16 combinations [%]"] == "-"
        assert syn["Dice drawn 5 of 16 [%]"].endswith("(5)")
        assert ours["Dice all 16 combinations [%]"].endswith("(16)")
        assert ours["Dice drawn 5 of 16 [%]"].endswith("(5)")
        assert (
            "SyN (ANTs); elastix, B-spline; ConvexAdam: of the 16 combinations only a fixed random 5"
            in table.markdown()
        )

    def test_failures_are_counted_named_and_in_no_mean(self):
        records = cohort_records()
        at = next(n for n, one in enumerate(records) if one.method == "syn")
        records[at] = record("syn", error="Traceback (most recent call last):\n\nRuntimeError: no | luck\n")
        table = overlap_table(records, note())
        assert lines_of(table)["syn"]["failed"] == "1 of 9"
        assert lines_of(table)["syn"]["dice_n"] == 3
        assert lines_of(table)[DEFAULT]["failed"] == "0 of 16"
        assert "Failed: SyN (ANTs), P01 exhale from P01 inhale: RuntimeError: no | luck" in table.markdown()

    def test_what_was_not_run_and_what_is_not_done_is_said(self):
        about = note()
        about.methods["elastix"] = replace(about.methods["elastix"], missing="not installed")
        records = [one for one in cohort_records() if one.method != "elastix"]
        records.remove(next(one for one in records if one.method == "affine" and one.group == REST))
        words = overlap_table(records, about).markdown()
        assert "elastix, B-spline: not run (not installed)." in words
        assert "Affine alignment: 15 of 16 pairs done so far." in words
        assert words.count("done so far") == 1

    def test_a_part_of_the_combinations_is_not_called_all_of_them(self):
        records = [one for one in cohort_records() if one.group != REST]
        shown = cells(overlap_table(records, note()))[TITLES[DEFAULT]]
        assert "Dice all 16 combinations [%]" not in shown
        assert shown["Dice drawn 5 of 16 [%]"].endswith("(5)")

    def test_without_combinations_there_are_no_such_columns(self):
        records = [one for one in cohort_records() if one.within_patient]
        assert not [
            head
            for head in cells(overlap_table(records, note()))["Network"]
            if head.startswith(("Dice all", "Dice drawn"))
        ]

    @pytest.mark.parametrize("synthetic", [True, False])
    def test_synthetic_images_are_called_so_and_no_others(self, synthetic):
        about, records = note(synthetic=synthetic), cohort_records()
        for table in (overlap_table, landmark_table, comparison_table):
            words = table(records, about).markdown()
            assert ("synthetic" in words.splitlines()[0]) == synthetic
            assert ("ynthetic" in words or "simulated" in words) == synthetic


class TestLandmarks:
    def test_by_hand(self):
        three = {"1": landmarks(3), "2": landmarks(5), "truth": landmarks(2)}
        records = [
            record("refine", landmarks=three, inter_observer=landmarks(4)),
            record("refine", "P02 exhale", "P02 inhale", landmarks={"1": landmarks(6)}, inter_observer=landmarks(2)),
            record("affine", landmarks={"1": landmarks(9), "2": landmarks(9)}, inter_observer=landmarks(4)),
        ]  # fmt: skip
        table = landmark_table(records, note())
        lines = lines_of(table)
        assert [lines["refine"][f"{name}_mean"] for name in ("dx", "dy", "dz", "ds")] == pytest.approx([2, 3.5, 2, 5])
        assert (lines["refine"]["ds_sd"], lines["refine"]["ds_n"]) == (pytest.approx(1), 2)
        assert (lines["refine"]["truth_ds_mean"], lines["refine"]["truth_ds_n"]) == (2, 1)
        assert (lines["inter-observer"]["ds_mean"], lines["inter-observer"]["ds_n"]) == (3, 2)  # once a pair
        assert cells(table)["Inter-observer"]["paper: ds"] == "3.905"

    def test_the_papers_rows(self):
        shown = cells(landmark_table(cohort_records(), note()))
        paper = {name: [row[f"paper: {entry}"] for entry in ("dx", "dy", "dz", "ds")] for name, row in shown.items()}
        assert paper["Inter-observer"] == ["1.664", "2.545", "1.555", "3.905"]
        assert paper["B-spline, NCC + DWM + MI"] == ["1.855", "3.169", "2.229", "4.699"]
        assert paper["Network"] == ["2.014", "2.947", "1.858", "4.569"]
        assert paper["Network, linear"] == ["1.793", "2.904", "1.822", "4.358"]
        assert paper["Refinement alone"] == ["-"] * 4

    def test_simulated_observers_are_no_finding(self):
        assert "an input here, not a finding" in landmark_table(cohort_records(), note()).markdown()
        assert "an input" not in landmark_table(cohort_records(), note(synthetic=False)).markdown()

    def test_no_landmarks_no_table(self):
        assert landmark_table([record(dice=0.9)], note()) is None


class TestOthers:
    def test_the_tests_say_which_way_they_decide(self):
        records = cohort_records(13, 20)
        lines = {
            (line["measure"], line["pairs"], line["other"]): line for line in comparison_table(records, note()).lines
        }
        assert lines["Dice [%]", "inhale-exhale", "unregistered"]["verdict"] == "ours better"
        swapped = [
            replace(one, method={DEFAULT: "unregistered", "unregistered": DEFAULT}.get(one.method, one.method))
            for one in records
        ]
        lines = {
            (line["measure"], line["pairs"], line["other"]): line for line in comparison_table(swapped, note()).lines
        }
        assert lines["Dice [%]", "inhale-exhale", "unregistered"]["verdict"] == "ours worse"
        assert lines["landmarks, ds [mm]", "inhale-exhale", "unregistered"]["verdict"] == "ours worse"
        assert comparison_table(cohort_records(methods=("syn", "refine")), note()) is None

    def test_all_cases_with_all_their_figures(self):
        records = [*cohort_records(), record("syn", "P09 exhale", "P09 inhale", error="it broke")]
        lines = list(csv.DictReader(io.StringIO(case_table(records, note()).csv())))
        assert len(lines) == len(records)
        first, last = lines[0], lines[-1]
        assert float(first["landmarks_truth_ds"]) == records[0].landmarks["truth"]["ds"]
        assert float(first["inter_observer_dy"]) == records[0].inter_observer["dy"]
        assert (first["group"], first["fixed_label"], first["moving_label"]) == ("validation", "ILD", "healthy")
        assert (last["error"], last["dice"], last["landmarks_1_ds"]) == ("it broke", "", "")

    def test_one_pair(self, pair_records):
        about = note(one_pair=True, cohort="b onto a", synthetic=False)
        about.methods["other"] = MethodNote("Other", True, {}, "not installed")
        table = pair_table(pair_records, about)
        shown = cells(table)
        assert shown["SyN (ANTs)"]["result"] == "failed"
        assert shown["Unregistered"]["result"] == "-"
        assert shown["Other"]["result"] == "not run"
        assert float(shown["Refinement alone"]["landmarks, ds [mm]"]) > 0
        assert "Failed: SyN (ANTs), a from b: it broke" in table.markdown()
        assert "ynthetic" not in table.markdown()
        assert list(shown)[:3] == ["Unregistered", "Affine alignment", "SyN (ANTs)"]


@pytest.fixture
def pair_records():
    import numpy as np

    random = np.random.default_rng(0)
    made = [replace(measured(name, "a", "b", "validation", random), group=PAIR) for name in TITLES]
    return [record("syn", "a", "b", PAIR, error="it broke") if one.method == "syn" else one for one in made]
