import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import LungDeepRegLib
import numpy as np
import pytest
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice, apply, covering_lattice
from LungDeepRegLib.intensity import Intensity
from LungDeepRegLib.results.evaluation import evaluate
from LungDeepRegLib.results.pair import Pair
from LungDeepRegLib.results.report import draw_report, write_report
from LungDeepRegLib.results.report.columns import columns, determinant_scale, difference_scale
from LungDeepRegLib.results.report.cuts import PIXELS, cuts, sample
from LungDeepRegLib.results.report.extracts import COLUMN_TITLES_PX, PARTS
from LungDeepRegLib.results.report.figure import HEADER_PX, LEFT_PX
from LungDeepRegLib.results.report.header import tiles, warning_lines
from LungDeepRegLib.results.report.slices import slices
from LungDeepRegLib.results.summary import Run, summary
from LungDeepRegLib.volume import Volume
from PIL import Image

MRI = Intensity("mri", 0.0, 1000.0, 0.0, "as the test says")
ABOUT = Run("fixed.nii.gz", "moving.nii.gz", {"fixed": "given", "moving": None}, {"fixed": "", "moving": ""})


@pytest.fixture(scope="module")
def content(oblique):
    """What summary.json says of the known map."""
    found = evaluate(oblique.pair, oblique.phi, alignment=np.eye(4))
    return summary(found, replace(ABOUT, seconds_total=12.3, device="cpu"))


@pytest.fixture(scope="module")
def figure(oblique, content):
    return draw_report(oblique.pair, oblique.phi, content, np.eye(4))


def words(figure):
    axes_words = [text.get_text() for axes in figure.axes for text in axes.texts]
    return [text.get_text() for text in figure.texts] + axes_words


class TestCuts:
    """Patient's right on the left, anterior on the left of a sagittal cut, whatever the axes of the image."""

    def picture(self, made, direction, cut):
        """A cut of an image that grows along a direction in RAS, as rows and columns."""
        lattice = made.pair.fixed.lattice
        points = apply(lattice.ijk_to_ras, np.stack(np.indices(lattice.shape)[::-1], axis=-1).astype(float))
        return sample(Volume((points @ np.array(direction)).astype(np.float32), lattice.ijk_to_ras), cut.points)

    @pytest.mark.parametrize(
        ("name", "grows_leftwards", "grows_upwards"),
        [
            ("coronal", (1, 0, 0), (0, 0, 1)),
            ("sagittal", (0, 1, 0), (0, 0, 1)),
            ("axial", (1, 0, 0), (0, 1, 0)),
        ],
    )
    def test_anatomy_is_the_right_way_round(self, made, name, grows_leftwards, grows_upwards):
        cut = next(cut for cut in cuts(made.pair) if cut.name == name)
        across, upwards = self.picture(made, grows_leftwards, cut), self.picture(made, grows_upwards, cut)
        row, column = (n // 2 for n in across.shape)
        assert across[row, 5] > across[row, -5] + 10
        assert upwards[5, column] > upwards[-5, column] + 10
        assert cut.letters[0] == "RAS"[np.argmax(grows_leftwards)]
        assert cut.letters[2] == "RAS"[np.argmax(grows_upwards)]

    def test_pixels_are_square_and_of_one_size(self, made):
        found = cuts(made.pair)
        assert len({cut.pixel_mm for cut in found}) == 1
        for cut in found:
            across = np.linalg.norm(np.diff(cut.points, axis=1), axis=-1)
            down = np.linalg.norm(np.diff(cut.points, axis=0), axis=-1)
            assert np.allclose(across, cut.pixel_mm)
            assert np.allclose(down, cut.pixel_mm)
        assert max(max(cut.points.shape[:2]) for cut in found) == PIXELS

    def test_they_go_through_the_widest_slices_of_the_lungs(self):
        lattice = Lattice((40, 40, 40), np.diag([4.0, 4, 4, 1]))
        lungs = np.zeros(lattice.shape, bool)
        lungs[5:30, 8:30, 2:8] = lungs[5:30, 8:30, 30:38] = True  # two lungs with nothing between them
        lungs[6:29, 10:12, 30:38] = False
        lungs[20, 5:35, 1:39] = True
        fixed = Volume(np.random.default_rng(0).normal(size=lattice.shape), lattice.ijk_to_ras)
        coronal, sagittal, axial = cuts(Pair(fixed, fixed, MRI, MRI, lungs))
        marked = fixed.with_array(lungs.astype(float))
        assert np.nansum(sample(marked, sagittal.points) > 0.5) > 0.2 * sagittal.points[..., 0].size
        assert axial.points[0, 0, 2] == pytest.approx(80, abs=2.1)
        assert np.ptp(coronal.points[..., 1]) < 1e-6
        assert np.nansum(sample(marked, coronal.points) > 0.5) > 0.2 * coronal.points[..., 0].size

    def test_without_lungs_the_whole_image_is_shown(self, made):
        bare = replace(made.pair, fixed_mask=None)
        with_lungs, without = cuts(made.pair)[0], cuts(bare)[0]
        assert without.size_mm >= with_lungs.size_mm

    def test_sampling_is_nan_outside_and_linear_inside(self):
        volume = Volume(np.arange(27.0).reshape(3, 3, 3), np.diag([2.0, 2, 2, 1]))
        points = np.array([[[1.0, 1, 1], [4.9, 4.9, 4.9], [5.1, 0, 0], [-400, 0, 0]]])
        found = sample(volume, points)[0]
        assert found[0] == pytest.approx(0.5 + 1.5 + 4.5)
        assert found[1] == pytest.approx(26)
        assert np.isnan(found[2:]).all()
        assert np.isnan(sample(volume, points - 1000)).all()


class TestPictures:
    def test_difference_after_the_truth_is_smaller_than_before(self):
        # The moving image is the fixed one 10 mm to the left.
        k, j, i = np.meshgrid(*(np.arange(30) * 3.0,) * 3, indexing="ij")
        shift = np.eye(4)
        shift[0, 3] = -10
        fixed = Volume(500 + 300 * np.sin(i / 7) * np.sin(j / 9) * np.sin(k / 8), np.diag([3.0, 3, 3, 1]))
        moving = Volume(fixed.array, shift @ fixed.ijk_to_ras)
        phi = DisplacementField.from_matrix(shift, covering_lattice(fixed.lattice, 10.0, 10.0))
        for drawn in slices(Pair(fixed, moving, MRI, MRI), phi):
            assert np.nanmax(np.abs(drawn.difference_after)) < 1
            assert np.nanmax(np.abs(drawn.difference_before)) > 100
            assert np.allclose(drawn.deformation, 0, atol=1e-3)  # nothing beyond the median
            assert np.allclose(drawn.jacobian, 1, atol=1e-3)
        for drawn in slices(Pair(fixed, moving, MRI, MRI), phi, np.eye(4)):
            assert np.allclose(drawn.deformation, [-10, 0, 0], atol=1e-3)

    def test_colours_are_symmetric_around_no_change(self, made):
        rows = slices(made.pair, made.phi)
        difference, determinant = difference_scale(made.pair, rows), determinant_scale(rows)
        assert difference.norm(0.0) == pytest.approx(0.5)
        assert difference.norm.vmin == -difference.norm.vmax
        assert determinant.norm(1.0) == pytest.approx(0.5)
        assert determinant.norm.vmin == pytest.approx(1 / determinant.norm.vmax)
        assert determinant.colours(-0.1)[:3] == pytest.approx((1, 0, 1))  # folded: magenta

    def test_each_kind_of_picture_once(self, made):
        titles = [column.title for column in columns(made.pair, slices(made.pair, made.phi), aligned=False)]
        assert titles == ["Fixed", "Moving", "Warped", "Difference before", "Difference after", "Deformation",
                          "Displacement", "Jacobian"]  # fmt: skip


class TestFigure:
    def test_three_cuts_of_eight_pictures_and_a_colour_bar_for_each_but_the_grid(self, figure):
        assert len(figure.axes) == 3 * 8 + 7

    def test_all_pictures_have_one_scale_in_mm(self, figure):
        width, height = figure.get_size_inches()
        drawn = [axes for axes in figure.axes if axes.images and not axes.get_label().startswith("<colorbar")]
        assert len(drawn) == 24
        scales = []
        for axes in drawn:
            box = axes.get_position()
            scales += [box.width * width / np.ptp(axes.get_xlim()), box.height * height / np.ptp(axes.get_ylim())]
        assert np.allclose(scales, scales[0], rtol=0.01)

    def test_says_what_it_shows(self, figure):
        said = " ".join(words(figure))
        for expected in ("moving.nii.gz (moving)", "fixed.nii.gz (fixed)", "not for clinical use", "12 s, cpu", "50 mm",
                         "Coronal", "Sagittal", "Axial", "Jacobian", "mm grid, beyond the alignment"):  # fmt: skip
            assert expected in said
        assert {"R", "L", "A", "P", "S", "I"} <= set(words(figure))

    def test_is_of_a_readable_size(self, oblique, content, tmp_path):
        write_report(tmp_path / "report.png", oblique.pair, oblique.phi, content)
        width, height = Image.open(tmp_path / "report.png").size
        assert 1500 <= width <= 2400
        assert 600 <= height <= 1600

    def test_its_parts_for_the_page_hold_the_pictures_but_not_the_header(self, oblique, content, tmp_path):
        found = write_report(tmp_path / "report.png", oblique.pair, oblique.phi, content, np.eye(4))
        whole = np.asarray(Image.open(tmp_path / "report.png").convert("RGB"))
        assert [len(columns) for _, columns, _ in PARTS] == [3, 2, 3]
        for part in found:
            pixels = np.asarray(Image.open(io.BytesIO(part.png)).convert("RGB"))
            assert part.size == pixels.shape[1::-1]
            assert pixels.shape[0] == whole.shape[0] - HEADER_PX + COLUMN_TITLES_PX
            assert np.array_equal(pixels[:, :LEFT_PX], whole[HEADER_PX - COLUMN_TITLES_PX :, :LEFT_PX])
        first = np.asarray(Image.open(io.BytesIO(found[0].png)).convert("RGB"))
        assert np.array_equal(first, whole[HEADER_PX - COLUMN_TITLES_PX :, : first.shape[1]])

    def test_without_masks_and_of_two_modalities(self, oblique, content):
        bare = replace(oblique.pair, fixed_mask=None, moving_mask=None, moving_intensity=MRI)
        nothing = {"masks": {"fixed": None, "moving": None}, "dice_before": None, "dice_aligned": None,
                   "dice_after": None, "landmark_error_mm": None, "mean_jacobian_lung": None,
                   "lung_volume_ratio": None, "folded_percent_lung": None,
                   "similarity": {"measure": "lncc", "before": None, "after": None}}  # fmt: skip
        found = draw_report(bare, oblique.phi, {**content, **nothing})
        found.savefig(io.BytesIO(), format="png")
        said = " ".join(words(found))
        assert "not measured" in said
        assert "outlines" not in said

    def test_global_settings_stay_as_they_are(self, oblique, content):
        import matplotlib

        before = dict(matplotlib.rcParams)
        draw_report(oblique.pair, oblique.phi, content)
        assert dict(matplotlib.rcParams) == before

    def test_images_that_do_not_meet(self, oblique, content):
        nodes = covering_lattice(oblique.pair.fixed.lattice, 9, 9)
        far = DisplacementField.from_displacement(lambda x: 0 * x + 900, nodes)
        found = draw_report(oblique.pair, far, content)
        found.savefig(io.BytesIO(), format="png")


class TestHeader:
    def test_what_should_give_pause_is_marked(self, content):
        marked = {tile.label for tile in tiles(content) if tile.alert}
        bad = {**content, "folded_percent_lung": 0.5, "mean_jacobian_lung": 0.8, "lung_volume_ratio": 1.25}
        assert "Folded: lungs | whole field" not in marked
        found = {tile.label: tile for tile in tiles(bad) if tile.alert}
        assert found["Folded: lungs | whole field"].value.startswith("0.5 %")
        assert found["Mean Jacobian | volume ratio of the lungs"].value == "0.800 | 1.250"

    def test_many_long_warnings_are_shortened(self):
        lines = warning_lines(["x " * 300, "second", "third", "fourth"], 100)
        assert len(lines) == 2
        assert len(lines[0]) <= 100
        assert lines[1].endswith("(and 2 more in summary.json)")
        assert warning_lines([], 100) == []


USE = f"""
import sys
sys.path.insert(0, {str(Path(LungDeepRegLib.__file__).parents[1])!r})
import LungDeepRegLib.results.report
assert not [name for name in sys.modules if name.startswith("matplotlib")]
from LungDeepRegLib.results.report.style import colour_map
colour_map(("#000000", "#ffffff"))
from matplotlib.backends.backend_agg import FigureCanvasAgg
assert "matplotlib.pyplot" not in sys.modules
"""


def test_matplotlib_is_imported_late_and_without_choosing_a_backend():
    done = subprocess.run([sys.executable, "-c", USE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
