import json
from dataclasses import replace

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice, covering_lattice
from LungDeepRegLib.intensity import Intensity
from LungDeepRegLib.inversion import inverse_points, invert
from LungDeepRegLib.landmarks import LandmarkError, Landmarks
from LungDeepRegLib.metrics import dice, folded_percent, jacobian_determinant
from LungDeepRegLib.results.evaluation import evaluate, folded_percent_everywhere
from LungDeepRegLib.results.images import warped_mask
from LungDeepRegLib.results.lung_volume import JacobianStatistics
from LungDeepRegLib.results.output_files import inverse_of
from LungDeepRegLib.results.pair import Pair
from LungDeepRegLib.results.summary import SCHEMA, Run, schema_table, summary
from LungDeepRegLib.results.surfaces import surface
from LungDeepRegLib.volume import Volume, VolumeError

CT = Intensity("ct", -1000.0, 300.0, -1024.0, "as the test says")
ABOUT = Run("f", "m", {"fixed": "given", "moving": "given"}, {"fixed": "why", "moving": "why"})


def image(offset=(0, 0, 0), shape=(30, 28, 26)):
    """Structured HU on 2 mm voxels, moved by an offset in mm along R, A, S, and a box of lung inside it."""
    matrix = np.diag([2.0, 2, 2, 1])
    k, j, i = np.meshgrid(*(np.arange(n) * 2.0 for n in shape), indexing="ij")
    hu = -500 + 300 * np.sin((i - offset[0]) / 5) * np.sin((j - offset[1]) / 6) * np.cos((k - offset[2]) / 7)
    mask = np.zeros(shape, bool)
    start = np.array([16, 14, 18]) + np.array(offset[::-1])
    stop = start + np.array([20, 24, 20])
    mask[tuple(slice(int(a / 2), int(b / 2)) for a, b in zip(start, stop, strict=True))] = True
    return Volume(hu.astype(np.float32), matrix, "image"), mask


def covering(lattice):
    return covering_lattice(lattice, 4.0, 8.0)


def translation(lattice, vector):
    matrix = np.eye(4)
    matrix[:3, 3] = vector
    return DisplacementField.from_matrix(matrix, covering(lattice))


@pytest.fixture(scope="module")
def shifted():
    """A pair of which the moving image lies 10 mm to the left and 4 mm higher, and the map that says so."""
    offset = (-10, 0, 4)
    (fixed, fixed_mask), (moving, moving_mask) = image(), image(offset)
    points = np.array([[20.0, 20, 20], [30, 34, 30], [24, 22, 40]])
    landmarks = [Landmarks(points + shift, ("a", "b", "c")) for shift in ((0, 0, 0), offset)]
    return Pair(fixed, moving, CT, CT, fixed_mask, moving_mask, *landmarks), offset


class TestKnownTranslation:
    def test_the_truth_is_perfect(self, shifted):
        pair, offset = shifted
        found = evaluate(pair, translation(pair.fixed.lattice, offset))
        assert found.dice_after == 1
        assert found.dice_before == pytest.approx(0.5 * 0.8)
        assert found.hausdorff95_mm["before"] == pytest.approx(10, abs=0.5)
        assert found.hausdorff95_mm["after"] < 1e-3
        assert found.landmark_error_mm["after"]["ds"].max < 1e-4
        assert found.landmark_error_mm["before"]["dx"].mean == pytest.approx(10)
        assert found.landmark_error_mm["before"]["dy"].mean == pytest.approx(0)
        assert found.landmark_error_mm["before"]["ds"].mean == pytest.approx(np.hypot(10, 4))
        assert found.similarity["after"] > 0.95
        assert found.similarity["before"] < found.similarity["after"] - 0.2
        assert (found.folded_percent, found.folded_percent_lung) == (0, 0)
        assert found.mean_jacobian_lung == pytest.approx(1, abs=1e-4)
        assert found.lung_volume_ratio == 1

    def test_the_opposite_direction_shows_at_once(self, shifted):
        pair, offset = shifted
        found = evaluate(pair, translation(pair.fixed.lattice, -np.array(offset)))
        assert found.dice_after < found.dice_before
        assert found.landmark_error_mm["after"]["dx"].mean == pytest.approx(20, abs=1e-4)

    def test_alignment_has_its_own_figures(self, shifted):
        pair, offset = shifted
        matrix = np.eye(4)
        matrix[0, 3] = offset[0]
        found = evaluate(pair, translation(pair.fixed.lattice, offset), alignment=matrix)
        assert found.dice_aligned == pytest.approx(0.8)
        assert found.hausdorff95_mm["aligned"] == pytest.approx(4, abs=1e-3)
        assert found.landmark_error_mm["aligned"]["ds"].mean == pytest.approx(4)
        assert evaluate(pair, translation(pair.fixed.lattice, offset)).dice_aligned is None

    def test_inverse_and_backward_run(self, shifted):
        pair, offset = shifted
        phi = translation(pair.fixed.lattice, offset)
        back = translation(pair.moving.lattice, -np.array(offset) + [0, 3, 0])
        found = evaluate(pair, phi, inverse=inverse_of(pair, phi), backward=back)
        assert found.inversion_residual_mm["max"] < 0.01
        assert set(found.inversion_residual_mm) == {"mean", "p95", "max"}
        assert found.inverse_consistency_mm.mean == pytest.approx(3, abs=1e-4)

    def test_nothing_is_made_up_where_nothing_is_known(self, shifted):
        pair, offset = shifted
        bare = Pair(pair.fixed, pair.moving, CT, CT)
        found = evaluate(bare, translation(pair.fixed.lattice, offset))
        known = {name for name, value in vars(found).items() if value is not None}
        assert known == {"similarity", "folded_percent"}
        assert found.folded_percent == 0
        assert found.similarity["after"] > 0.8

    def test_images_far_apart_have_no_similarity_before(self, shifted):
        pair, _ = shifted
        far = pair.moving.ijk_to_ras.copy()
        far[0, 3] += 500
        moved = replace(pair, moving=Volume(pair.moving.array, far), moving_landmarks=None)
        found = evaluate(moved, translation(pair.fixed.lattice, (500, 0, 0)))
        assert found.similarity["before"] is None
        assert found.dice_before == 0
        assert found.similarity["after"] is not None


def test_mean_jacobian_agrees_with_the_volumes_of_the_lungs():
    # The moving lungs are the fixed ones, stretched by 1.5 along S and 1.25 along A.
    fixed, mask = image()
    matrix = np.diag([1, 1.25, 1.5, 1])
    moving = Volume(fixed.array, matrix @ fixed.ijk_to_ras)
    found = evaluate(
        Pair(fixed, moving, CT, CT, mask, mask), DisplacementField.from_matrix(matrix, covering(fixed.lattice))
    )
    assert found.mean_jacobian_lung == pytest.approx(1.875, abs=1e-3)
    assert found.lung_volume_ratio == pytest.approx(1.875)
    assert found.dice_after == 1
    assert found.hausdorff95_mm["after"] < 1e-3
    assert vars(found.jacobian_lung) == pytest.approx(
        {"min": 1.875, "max": 1.875, "percent_outside": 0, "log_sd": 0}, abs=1e-3
    )


def test_jacobian_statistics():
    found = JacobianStatistics.of(np.array([0.2, 1, 1, 4, -1], np.float32))
    logs = np.log([0.2, 1, 1, 4])
    assert vars(found) == pytest.approx({"min": -1, "max": 4, "percent_outside": 60, "log_sd": logs.std()})
    assert np.isnan(JacobianStatistics.of(np.array([-1.0, 0.0])).log_sd)


def test_coverage_is_of_the_lungs(shifted):
    pair, offset = shifted
    phi, covered = translation(pair.fixed.lattice, offset), np.zeros_like(pair.fixed_mask)
    assert evaluate(pair, phi).coverage_percent_lung is None
    assert evaluate(pair, phi, covered=covered).coverage_percent_lung == 0
    first = np.flatnonzero(pair.fixed_mask.any(axis=(1, 2)))[0]
    covered[first : first + 4] = True
    assert evaluate(pair, phi, covered=covered).coverage_percent_lung == pytest.approx(40)


def percentile_of_area(distances, mm2):
    """The distance within which 95 % of the area lies."""
    order = np.argsort(distances)
    area = np.cumsum(mm2[order])
    return distances[order][np.searchsorted(area, 0.95 * area[-1])]


class TestHausdorff:
    def test_against_all_distances_on_any_geometry(self, made):
        pair = made.pair
        found = evaluate(pair, made.phi).hausdorff95_mm
        fixed, fixed_mm2 = surface(pair.fixed_mask, pair.fixed.lattice)
        mapped = made.phi(fixed)
        moving, moving_mm2 = surface(pair.moving_mask, pair.moving.lattice)
        seen = pair.moving.lattice.contains(mapped)
        back, _ = inverse_points(made.phi, moving)
        reached = pair.fixed.lattice.contains(back)
        to_moving, to_fixed = (np.linalg.norm(mapped[:, None] - moving[None], axis=-1).min(axis=a) for a in (1, 0))
        expected = max(
            percentile_of_area(to_moving[seen], fixed_mm2[seen]),
            percentile_of_area(to_fixed[reached], moving_mm2[reached]),
        )
        assert found["after"] == pytest.approx(expected, rel=0.1)
        assert found["aligned"] is None

    def test_surface_lies_between_the_voxels(self):
        mask = np.zeros((5, 6, 7), bool)
        mask[2, 3, 4] = True
        where = Lattice(mask.shape, np.diag([2.0, 3, 4, 1]))
        expected = [[8 + s, 9, 8] for s in (-1, 1)] + [[8, 9 + s, 8] for s in (-1.5, 1.5)]
        expected += [[8, 9, 8 + s] for s in (-2, 2)]
        points, mm2 = surface(mask, where)
        assert sorted(points.tolist()) == sorted(expected)
        assert sorted(mm2) == pytest.approx([6, 6, 8, 8, 12, 12])

    def test_thick_slices_count_by_their_area(self):
        """A column 400 mm high whose base lies 10 mm lower: 4.7 % of the area, but 9 % of the voxels at the surface."""
        masks = np.zeros((2, 90, 44, 44), bool)
        for mask, base in zip(masks, (4, 2), strict=True):
            mask[base:84, 2:42, 2:42] = True
        images = [Volume(np.where(mask, -800.0, 0.0), np.diag([1.0, 1.0, 5.0, 1.0])) for mask in masks]
        found = evaluate(Pair(*images, CT, CT, *masks), translation(images[0].lattice, (0, 0, 0)))
        assert found.hausdorff95_mm["after"] < 0.01

    def test_a_mask_cut_off_by_its_image_has_no_surface_there(self, shifted):
        # The moving image ends within the lungs: what it shows of them agrees.
        pair, offset = shifted
        half = pair.moving.array.shape[0] // 2
        part = Volume(pair.moving.array[:half], pair.moving.ijk_to_ras)
        cut = replace(pair, moving=part, moving_mask=pair.moving_mask[:half], moving_landmarks=None)
        found = evaluate(cut, translation(pair.fixed.lattice, offset))
        assert found.dice_after < 0.9
        assert found.hausdorff95_mm["after"] < 2.1

    def test_masks_without_any_surface(self, shifted):
        pair, _ = shifted
        full = replace(pair, fixed_mask=np.ones_like(pair.fixed_mask))
        found = evaluate(full, translation(pair.fixed.lattice, (0, 0, 0)))
        assert found.hausdorff95_mm == {"before": None, "aligned": None, "after": None}


class TestFolding:
    def folding(self, lattice):
        """A field that folds in the lower half of the fixed image only."""
        vectors = np.zeros((*lattice.shape, 3), np.float32)
        vectors[1 : lattice.shape[0] // 2, 5, :, 1] = -9.0
        return DisplacementField(vectors, lattice)

    def test_in_the_lungs_and_everywhere(self):
        fixed, mask = image()
        phi = self.folding(covering(fixed.lattice))
        below, above = mask.copy(), mask.copy()
        below[14:], above[:14] = False, False
        below[4:8, 2:9] = True
        low, high = (evaluate(Pair(fixed, fixed, CT, CT, part, part), phi) for part in (below, above))
        assert low.folded_percent_lung > 0
        assert high.folded_percent_lung == 0
        assert low.folded_percent == high.folded_percent == pytest.approx(folded_percent(phi), rel=1e-6)

    @pytest.mark.parametrize("planes", [2, 3, 32, 33, 34, 64, 65, 66])
    def test_a_few_planes_at_a_time_are_as_all_at_once(self, planes):
        vectors = np.random.default_rng(planes).normal(0, 0.4, (planes, 4, 5, 3))
        phi = DisplacementField(vectors, Lattice((planes, 4, 5), np.eye(4)))
        assert folded_percent_everywhere(phi) == pytest.approx(folded_percent(phi), abs=1e-6)


class TestWarpedMask:
    def test_the_box_that_is_sampled_holds_all_of_it(self, made):
        pair, phi = made.pair, made.phi
        found = warped_mask(phi, pair.moving_mask, pair.moving.lattice, pair.fixed.lattice)
        mask = pair.moving.with_array(pair.moving_mask)
        whole, _ = phi.warp(mask, pair.fixed.lattice, fill=0, mode="nearest")
        assert 0 < found.sum() < found.size
        assert np.array_equal(found, whole.array)

    def test_a_small_part_of_it(self, made):
        pair, phi = made.pair, made.phi
        mask = np.zeros(pair.moving.array.shape, bool)
        mask[12:14, 10:12, 11:13] = True
        found = warped_mask(phi, mask, pair.moving.lattice, pair.fixed.lattice)
        whole, _ = phi.warp(pair.moving.with_array(mask), pair.fixed.lattice, fill=0, mode="nearest")
        assert 0 < found.sum() < 60
        assert np.array_equal(found, whole.array)

    def test_a_field_that_ends_within_the_image(self, made):
        pair = made.pair
        part = made.phi.on(Lattice((3, 3, 3), pair.fixed.ijk_to_ras))
        found = warped_mask(part, pair.moving_mask, pair.moving.lattice, pair.fixed.lattice)
        whole, _ = part.warp(pair.moving.with_array(pair.moving_mask), pair.fixed.lattice, fill=0, mode="nearest")
        assert np.array_equal(found, whole.array)

    def test_out_of_reach(self, made):
        pair = made.pair
        away = DisplacementField.from_displacement(lambda x: 0 * x + 400, covering(pair.fixed.lattice))
        assert not warped_mask(away, pair.moving_mask, pair.moving.lattice, pair.fixed.lattice).any()
        assert not warped_mask(made.phi, np.zeros_like(pair.moving_mask), pair.moving.lattice, pair.fixed.lattice).any()


def test_oblique_left_handed_and_coronal_pairs_are_measured_like_any(made):
    pair, phi = made.pair, made.phi
    found = evaluate(pair, phi, inverse=invert(phi, covering(pair.moving.lattice)))
    inside = pair.fixed_mask
    nodes = jacobian_determinant(phi.on(pair.fixed.lattice))
    assert found.landmark_error_mm["after"]["ds"].max < 1e-4
    assert found.mean_jacobian_lung == pytest.approx(nodes[inside].mean(), abs=0.01)
    whole, _ = phi.warp(pair.moving.with_array(pair.moving_mask), pair.fixed.lattice, fill=0, mode="nearest")
    assert found.dice_after == pytest.approx(dice(whole.array, inside))
    assert found.inversion_residual_mm["max"] < 0.1


class TestPair:
    def test_a_landmark_outside_its_image_is_named(self, shifted):
        pair, _ = shifted
        points = np.array([[20.0, 20, 20], [20, 20, 400]])
        with pytest.raises(LandmarkError, match=r"marks\.fcsv: found 1 of 2 landmarks outside the image image \(far"):
            replace(pair, fixed_landmarks=Landmarks(points, ("near", "far"), "marks.fcsv"), moving_landmarks=None)

    def test_sets_that_cannot_be_paired(self, shifted):
        pair, _ = shifted
        with pytest.raises(LandmarkError, match="expected the same labels or the same number"):
            replace(pair, fixed_landmarks=Landmarks(np.full((2, 3), 20.0), ("x", "y"), "two"))

    def test_a_mask_of_another_shape(self, shifted):
        pair, _ = shifted
        with pytest.raises(VolumeError, match="found a mask of bool"):
            replace(pair, fixed_mask=np.zeros((3, 3, 3), bool))

    def test_an_empty_mask(self, shifted):
        pair, _ = shifted
        with pytest.raises(VolumeError, match="found an empty mask"):
            replace(pair, moving_mask=np.zeros_like(pair.moving_mask))


class TestSummary:
    def test_has_the_documented_entries_and_is_strict_json(self, shifted):
        pair, offset = shifted
        found = evaluate(pair, translation(pair.fixed.lattice, offset))
        content = summary(found, replace(ABOUT, seconds={"align": 1.23456789}, warnings=("careful",)))
        assert list(content) == list(SCHEMA)
        read = json.loads(json.dumps(content, allow_nan=False))
        assert read == content
        assert read["landmark_error_mm"]["before"]["dx"].keys() == {"mean", "sd", "median", "p95", "max"}
        assert read["landmark_error_mm"]["aligned"] is None
        assert read["seconds"] == {"align": 1.23457}
        assert read["warnings"] == ["careful"]
        assert read["peak_memory_mb"] > 50
        assert {"LungDeepRegLib", "python", "torch", "numpy"} <= read["versions"].keys()
        assert "not for clinical use" in read["not_for_clinical_use"]

    def test_what_is_not_a_number_becomes_null(self, shifted):
        pair, offset = shifted
        found = evaluate(pair, translation(pair.fixed.lattice, offset))
        content = summary(replace(found, dice_after=float("nan")), replace(ABOUT, seconds_total=float("inf")))
        assert (content["dice_after"], content["seconds_total"]) == (None, None)
        json.dumps(content, allow_nan=False)

    def test_schema_table_names_every_entry(self):
        table = schema_table()
        assert all(f"| `{name}` |" in table for name in SCHEMA)
