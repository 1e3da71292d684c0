import csv
import html.parser
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import LungDeepRegLib
import numpy as np
import pytest
from LungDeepRegLib.html_report import REPORT_FILES, Picture, ReportContent, write_report
from LungDeepRegLib.html_report.anonymous import NameRemover
from LungDeepRegLib.html_report.figures import flattened
from LungDeepRegLib.html_report.numbers import MINUS, rounded
from LungDeepRegLib.landmark_review.observers import compare
from LungDeepRegLib.landmark_review.pairs import LandmarkPair
from LungDeepRegLib.landmark_review.table import errors, statistics
from LungDeepRegLib.quality import Light, Threshold, checks
from LungDeepRegLib.results.summary import SCHEMA

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f61738550000"
    "000049454e44ae426082"
)
SPREAD = {"mean": 1.23456, "sd": 0.5, "median": 1.1, "p95": 2.22222, "max": 3.0}
ERRORS = dict.fromkeys(("dx", "dy", "dz", "ds"), SPREAD)
SUMMARY = {
    "dice_before": 0.858435, "dice_aligned": 0.953985, "dice_after": 0.980706,
    "hausdorff95_mm": {"before": 19.7298, "aligned": 5.97202, "after": 2.05238},
    "landmark_error_mm": {"before": ERRORS, "aligned": None, "after": ERRORS},
    "similarity": {"measure": "lncc", "before": 0.316, "after": 0.9081},
    "folded_percent_lung": 0.0, "folded_percent": 0.00012,
    "jacobian_lung": {"min": -0.7564, "max": 1.56, "percent_outside": 0.0, "log_sd": 0.0879},
    "mean_jacobian_lung": 1.19123, "lung_volume_ratio": 1.19, "coverage_percent_lung": 99.9,
    "inversion_residual_mm": {"mean": 0.01, "p95": 0.05, "max": 0.2}, "inverse_consistency_mm": None,
    "masks": {"fixed": "given", "moving": None},
    "intensity": {"fixed": "DOE^JOHN exhale.nii.gz: CT (46 % near air)", "moving": "DOE^JOHN inhale: CT"},
    "fixed": "DOE^JOHN exhale.nii.gz", "moving": "DOE^JOHN inhale",
    "seconds": {"align": 1.93, "write": 0.25}, "seconds_total": 14.2, "peak_memory_mb": 771.31,
    "versions": {"LungDeepRegLib": "0.1.0", "python": "3.11.7", "nibabel": None, "platform": "Linux"},
    "device": "cpu", "seed": 0,
    "options": {"refine": "fast", "linear_branch": True, "weights": "/data/doe john/my weights.pt", "voxel_budget": 3},
    "warnings": ["doe.csv: the transformation doesn't reach L1", "<b>careful</b> & slow"],
    "not_for_clinical_use": "Research software, not for clinical use.", "a_later_figure_mm": 4.25,
}  # fmt: skip


class Reader(html.parser.HTMLParser):
    """The figures of a page by their entries, its headings, its texts, and whether all elements are closed."""

    def __init__(self, page):
        super().__init__()
        self.figures, self.shown, self.words, self.open, self.sources = {}, {}, [], [], []
        self._entry = None
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.sources += [attributes[name] for name in ("src", "href") if name in attributes]
        self._entry = attributes.get("data-entry", self._entry if tag in ("svg", "path", "circle") else None)
        if self._entry is not None:
            assert self._entry not in self.figures, f"{self._entry} stands twice"
            self.figures[self._entry] = attributes.get("value")

    def handle_startendtag(self, tag, attrs):
        """Shapes of the lights."""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self._entry = None

    def handle_data(self, data):
        if self.open and self.open[-1] != "style" and data.strip():
            self.words.append(data.strip())
            if self._entry is not None:
                self.shown[self._entry] = data

    @property
    def text(self):
        return "\n".join(self.words)


def written(folder, content):
    """The report's page and its three files' texts."""
    write_report(folder, content)
    assert {path.name for path in folder.iterdir()} == set(REPORT_FILES)
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in REPORT_FILES}
    return Reader(texts["report.html"]), texts


def shift(points):
    return np.asarray(points) + np.array([1.0, 30.0, -12.0])


def pairs(observer, noise, **changes):
    """Four pairs of an observer, each placed so far off the truth."""
    fixed = np.array([[10.0, 20, 30], [-40, 5, 60], [0, 0, 0], [7, 8, 9]])
    moving = shift(fixed) + np.array(noise)[:, None] * [1.0, 0, 0]
    made = [
        LandmarkPair(f"L{number}", tuple(a), tuple(b), observer)
        for number, (a, b) in enumerate(zip(fixed.tolist(), moving.tolist(), strict=True), start=1)
    ]
    return [replace(pair, **changes.get(pair.label, {})) for pair in made]


@pytest.fixture
def rows():
    first = pairs("A. Smith", [0, 1, 2, 100], L4={"moving_provenance": "assisted"}, L3={"state": "doubtful"})
    return errors([*first, LandmarkPair("L5", (1, 2, 3), None, "A. Smith")], shift)


def distribution(mean):
    return {"mean": mean, "sd": 0.25, "median": mean, "p5": 0.0, "p95": 2.0}


REGIONS = [
    {"region": name, "volume_ml": volume, "residual": distribution(31.25), "correlation": distribution(0.8),
     "consistency_mm": None, "trust": distribution(0.7), "jacobian": distribution(1.3),
     "ventilation_jacobian": distribution(0.31), "ventilation_density": None, "low_trust_percent": 4.2,
     "volume_change": 0.287, "displacement_mm": distribution(13.5), "displacement_beyond_mean_mm": distribution(6.4),
     "displacement_r_mm": distribution(0.6), "displacement_a_mm": distribution(-2.7),
     "displacement_s_mm": distribution(-12.8)}
    for name, volume in (("Lungs", 4200.3), ("Right lung", 2300.0))
]  # fmt: skip
ASSESSMENT = {"inverse_consistency_mm": None, "residual_unit": "HU", "residual_rms": 44.1, "correlation_mean": 0.81,
              "trust_mean": 0.8, "low_trust_percent": 4.2, "modality": "ct", "inhale": None}  # fmt: skip


class TestFigures:
    def test_every_figure_is_that_of_the_summary(self, tmp_path):
        page, _ = written(tmp_path, ReportContent(SUMMARY, checks(SUMMARY)))
        leaves = dict(flattened(SUMMARY))
        numbers = {path: value for path, value in leaves.items() if type(value) in (int, float)}
        assert len(numbers) > 60
        assert {path: json.loads(page.figures[path]) for path in numbers} == numbers
        assert set(page.figures) - set(numbers) <= set(leaves) | {"inverse_consistency_mm"}

    def test_what_is_shown_is_the_figure_rounded(self, tmp_path):
        page, _ = written(tmp_path, ReportContent(SUMMARY, checks(SUMMARY)))
        for entry, value in page.figures.items():
            if value is None:
                continue
            number = page.shown[entry].split("\N{NO-BREAK SPACE}")[0].replace(MINUS, "-")
            if number.startswith("<"):
                assert 0 < float(value) < float(number[1:])
            else:
                digits = len(number.partition(".")[2])
                assert abs(float(value) - float(number)) <= 0.5 * 10**-digits * 1.001
        assert page.shown["folded_percent"] == "< 0.001\N{NO-BREAK SPACE}%"
        assert page.shown["folded_percent_lung"] == "0\N{NO-BREAK SPACE}%"
        assert page.shown["jacobian_lung.min"] == f"{MINUS}0.756"

    def test_what_was_not_measured_is_said(self, tmp_path):
        page, _ = written(tmp_path, ReportContent({"fixed": "a", "moving": "b", "dice_after": None}))
        assert page.shown["dice_after"] == page.shown["inverse_consistency_mm"] == "not measured"
        regions = ("Trust by region", "Ventilation by region", "Motion by region")
        absent = ("Landmark errors", "placed by a person", *regions)
        for words in ("Not judged", "No pictures", *(f"{name}: not measured" for name in absent)):
            assert words in page.text

    def test_every_entry_of_the_schema_has_a_place(self, tmp_path):
        page, _ = written(tmp_path, ReportContent(dict.fromkeys(SCHEMA)))
        assert "Further figures" not in page.text

    def test_an_entry_that_nobody_knew_is_shown_too(self, tmp_path):
        page, _ = written(tmp_path, ReportContent(SUMMARY))
        assert "Further figures" in page.text
        assert page.shown["a_later_figure_mm"] == "4.250\N{NO-BREAK SPACE}mm"

    @pytest.mark.parametrize(
        ("value", "digits", "expected"),
        [(0.0, 2, "0"), (0.004, 2, "< 0.01"), (-0.004, 2, f"> {MINUS}0.01"), (0.995, 1, "1.0"), (-2.5, 0, f"{MINUS}2")],
    )
    def test_rounding(self, value, digits, expected):
        assert rounded(value, digits) == expected


class TestFiles:
    def test_csv_and_json_hold_the_same(self, tmp_path, rows):
        content = ReportContent(SUMMARY, checks(SUMMARY), rows, regions=REGIONS, assessment=ASSESSMENT, named=True)
        _, texts = written(tmp_path, content)
        data = json.loads(texts["report.json"])
        found = {**data["summary"], "options": SUMMARY["options"]}
        assert found == SUMMARY
        table = list(csv.reader(texts["report.csv"].splitlines()))
        assert table[0] == ["table", "entry", "value"]
        values = {(part, entry): value for part, entry, value in table[1:]}
        assert len(values) == len(table) - 1
        for part, content in data.items():
            for path, value in flattened(content):
                assert values[part, path] == ("" if value is None else str(value))
        assert values["summary", "inverse_consistency_mm"] == ""
        assert float(values["landmarks", "pairs.2.after.ds"]) == 1.0

    def test_the_page_needs_nothing_else_and_runs_no_program(self, tmp_path):
        page, texts = written(tmp_path, ReportContent(SUMMARY, pictures=[Picture("Overlay", "gray & calm", PIXEL)]))
        assert len(page.sources) == 1
        assert page.sources[0].startswith("data:image/png;base64,")
        assert "http" not in texts["report.html"]
        assert "<script" not in texts["report.html"]
        assert "1. Overlay." in page.text
        assert "gray & calm" in page.text

    def test_texts_are_no_markup(self, tmp_path):
        page, texts = written(tmp_path, ReportContent(SUMMARY))
        assert "<b>careful</b> & slow" in page.words
        assert "<b>" not in texts["report.html"]

    def test_notice_and_date(self, tmp_path):
        made = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
        page, _ = written(tmp_path, ReportContent(SUMMARY, written=made))
        assert page.text.count("Research software, not for clinical use.") == 2
        assert "2026-03-04 05:06+00:00" in page.text

    def test_a_picture_that_is_none(self):
        with pytest.raises(ValueError, match="Overlay: found b'GIF89a' at the start of the picture, expected a PNG"):
            Picture("Overlay", "", b"GIF89a")


class TestNames:
    def test_are_left_out_of_all_files(self, tmp_path, rows):
        named = [replace(row, pair=replace(row.pair, label=f"DOE^JOHN exhale-{row.pair.label}")) for row in rows]
        picture = Picture("Overlay of DOE^JOHN inhale", "DOE^JOHN exhale in blue; ID 4711", PIXEL)
        content = ReportContent(SUMMARY, checks(SUMMARY), named, pictures=[picture], private=["4711", "Doe's CT"])
        page, texts = written(tmp_path, content)
        for text in texts.values():
            assert not any(word in text for word in ("DOE", "JOHN", "doe.", "doe ", "4711", "/home"))
        assert "Moving image (moving) \N{RIGHTWARDS ARROW} Fixed image (fixed)" in page.text
        assert "Fixed image-L1" in page.text
        assert page.shown["options.weights"] == "my weights.pt"
        assert "Overlay of Moving image." in page.text

    def test_are_there_where_they_are_asked_for_but_no_paths(self, tmp_path):
        page, texts = written(tmp_path, ReportContent(SUMMARY, named=True, private=["doe.csv"]))
        assert "DOE^JOHN inhale (moving)" in page.text
        assert "doe.csv: the transformation" in page.text
        assert "/home" not in texts["report.json"]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("scan.nii.gz and scan of the rest", "Fixed image and scan of the rest"),
            ("rescanned", "rescanned"),
            ("p_0815_ct-3: no lung", "Moving image-3: no lung"),
            ("read from C:\\data\\J Doe\\a b.nrrd: damaged", "read from (a file): damaged"),
            ("see /data/doe/x for more", "see (a file) for more"),
            ("similarity lncc=1,mi=0.5 (1/2)", "similarity lncc=1,mi=0.5 (1/2)"),
            ("other_points.mrk.json: 3 points", "(a file): 3 points"),
            ("by (J. Doe)", "by ((name removed))"),
        ],
    )
    def test_in_texts(self, text, expected):
        assert NameRemover("scan.nii.gz", "p_0815_ct", ("J. Doe",))(text) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("doe^jane EXHALE: no lung", "Fixed image: no lung"),
            ("DOE^JANE-1", "(name removed)-1"),
            ("Jane carina 2", "(name removed) carina 2"),
            ("points_doe of ROE^RICHARD^^DR", "points_(name removed) of (name removed)"),
            ("patients/DOE_JANE/scan.nii.gz: broken", "(a file): broken"),
            ("DOE JANE scan.nrrd: broken", "(name removed) (name removed) (a file): broken"),
            ("/data/Doe Jane/x: none", "(a file): none"),
            ("/patients/DOE^JANE", "(a file)"),
            ("ID 4711 of P. Smith", "ID (name removed) of first observer"),
            ("phi^-1 in mm^3; the exhaled lungs of the fixed image", None),
        ],
    )
    def test_of_people_in_any_form(self, text, expected):
        found = NameRemover(
            "DOE^JANE exhale", "DOE^JANE inhale", ("4711",), observers=(("P. Smith", "first observer"),)
        )
        assert found(text) == (expected or text)

    def test_nodes_that_are_called_by_ordinary_words_change_no_text(self, tmp_path):
        plain = {
            **SUMMARY,
            "fixed": "fixed",
            "moving": "Moving lungs",
            "warnings": ["the moving lungs reach the fixed"],
        }
        content = ReportContent(plain, checks(plain), regions=REGIONS, private=["Lungs", "Dice of 2"])
        page, texts = written(tmp_path, content)
        assert "the moving lungs reach the fixed" in page.words
        assert "Moving image (moving) \N{RIGHTWARDS ARROW} Fixed image (fixed)" in page.text
        assert "Dice of the lungs" in page.words
        assert "Overlap of the fixed lungs and the deformed moving lungs." in page.text
        assert json.loads(texts["report.json"])["regions"][0]["region"] == "Lungs"

    @pytest.mark.parametrize("named", [False, True])
    def test_of_observers(self, tmp_path, rows, named):
        observers = compare([row.pair for row in rows], pairs("B", [0.5, 1, 2, 3]), shift)
        notes = ["A. Smith: found no label"]
        content = ReportContent(SUMMARY, None, rows, observers, ("A. Smith", "B"), notes=notes, named=named)
        page, texts = written(tmp_path, content)
        assert all(("Smith" in text) is named for text in texts.values())
        first = "A. Smith" if named else "first observer"
        known = f"first: {first}, second: B" if named else "second: B"
        assert f"Two observers ({known}), 3 pairs in common" in page.text
        assert first in page.words
        assert f"{first}: found no label" in page.words

    def test_too_short_to_be_found_in_texts(self):
        found = NameRemover("1", "CT")({"fixed": "1", "moving": "CT", "seed": 1, "note": "CT, 1 mm", "versions": {}})
        assert found == {
            "fixed": "Fixed image",
            "moving": "Moving image",
            "seed": 1,
            "note": "CT, 1 mm",
            "versions": {},
        }


class TestLights:
    def page(self, tmp_path, found):
        return written(tmp_path, ReportContent(SUMMARY, found))[0]

    def test_dice_and_jacobian_alone_are_not_enough(self, tmp_path):
        page = self.page(tmp_path, checks({**SUMMARY, "jacobian_lung": None}))
        assert "Not enough measured to judge it" in page.words
        assert "Within all limits" not in page.words

    def test_values_limits_and_reasons(self, tmp_path, rows):
        good = {**SUMMARY, "jacobian_lung": {"min": 0.5, "max": 1.5, "percent_outside": 0.0, "log_sd": 0.1}}
        limits = {"dice": Threshold(0.99, 0.985, higher_is_better=True)}
        found = checks(good, limits, landmark_statistics=statistics(rows), landmark_count=3)
        page = self.page(tmp_path, found)
        assert "Out of limits: do not rely on it" in page.words
        assert "Dice of the lungs: 0.981" in page.words
        said = [word.replace("\N{NO-BREAK SPACE}", " ") for word in page.words]
        assert any(word.startswith("good \N{GREATER-THAN OR EQUAL TO} 0.99, bad < 0.985") for word in said)
        assert "good \N{LESS-THAN OR EQUAL TO} 2 mm, bad > 3 mm" in said

    def test_limits_that_were_changed_are_told(self, tmp_path):
        page = self.page(tmp_path, checks(SUMMARY, {"similarity": Threshold(0.2, 0.1, higher_is_better=True)}))
        assert "Limits changed by the user: Local correlation." in page.words
        said = [word.replace("\N{NO-BREAK SPACE}", " ") for word in page.words]
        known = "good \N{GREATER-THAN OR EQUAL TO} {}, bad < {}"
        assert f"{known.format(0.2, 0.1)} (by default: {known.format(0.5, 0.25)})" in said
        assert "Limits changed" not in self.page(tmp_path, checks(SUMMARY)).text

    def test_each_light_has_a_word_and_a_shape_of_its_own(self, tmp_path):
        made = checks(SUMMARY)
        found = [replace(check, light=light) for check, light in zip(made, Light, strict=False)]
        _, texts = written(tmp_path, ReportContent(SUMMARY, found))
        drawn = {
            light: texts["report.html"].split(f'class="light {light.value}"')[1].split("</span>")[0] for light in Light
        }
        assert len({text.partition("</svg>")[0] for text in drawn.values()}) == 4
        assert len({text.partition("</svg>")[2] for text in drawn.values()}) == 4


class TestTables:
    def test_landmarks(self, tmp_path, rows):
        second = pairs("B", [0.5, 1, 2, 3])
        observers = compare([row.pair for row in rows], second, shift)
        page, texts = written(tmp_path, ReportContent(SUMMARY, None, rows, observers))
        data = json.loads(texts["report.json"])["landmarks"]
        assert data["statistics"]["after"]["all"]["ds"]["mean"] == 1.0
        assert data["statistics"]["after"]["without doubtful"]["ds"]["mean"] == 0.5
        assert "1 of 5 pairs left out: assisted" in page.words
        assert "1 of 5 pairs left out: no moving point" in page.words
        assert "manual, assisted" in page.words
        assert "Two observers, 3 pairs in common: mean \N{PLUS-MINUS SIGN} SD" in page.words
        assert "Observers, fixed image" in page.words
        assert "100.00" in page.words

    def test_a_way_back_that_was_measured_later(self, tmp_path):
        later = {**ASSESSMENT, "inverse_consistency_mm": {**distribution(1.11), "max": 9.0}}
        content = ReportContent(SUMMARY, checks(SUMMARY), regions=REGIONS, assessment=later)
        page, _ = written(tmp_path, content)
        words = page.words[page.words.index("The way back") :]
        row = words.index("Forward and back by the registration of the swapped pair, in the assessment [mm]")
        assert words[row + 1 : row + 6] == ["1.11", "0.25", "1.11", "2.00", "9.00"]
        assert "Forward and back by the registration of the swapped pair" not in words

    def test_regions_and_ventilation(self, tmp_path):
        page, _ = written(tmp_path, ReportContent(SUMMARY, regions=REGIONS, assessment=ASSESSMENT))
        assert "Residual [HU]" in page.words
        assert "31.2" in page.words
        assert "Forward and back [mm]: not measured." in page.words
        assert "By the density: not measured." in page.words
        assert "the sign is not given" in page.text
        assert {"As a whole", "0.287"} <= set(page.words)
        row = page.words[page.words.index("Motion by region") :]
        row = row[row.index("Right lung") :]
        assert row[1:3] == ["2300", "13.5"]
        assert row[row.index("6.4") + 3 :][1:4] == ["0.6", f"{MINUS}2.7", f"{MINUS}12.8"]


WITHOUT_TORCH = f"""
import sys
sys.path.insert(0, {str(Path(LungDeepRegLib.__file__).parents[1])!r})
sys.modules.update(dict.fromkeys(["torch", "matplotlib", "nibabel", "SimpleITK"]))  # importing one raises ImportError
import LungDeepRegLib.html_report, LungDeepRegLib.results.staging, LungDeepRegLib.results.summary
"""


def test_works_where_slicers_own_process_lacks_libraries():
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
