"""Trust, ventilation and regions against what is known: motion, density and anatomy."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from LungDeepRegLib.assessment import NAMES, AssessmentError, assess
from LungDeepRegLib.assessment.local_moments import local_moments
from LungDeepRegLib.assessment.regions import find_regions, sides
from LungDeepRegLib.displacement_field import DisplacementField, lattice_points
from LungDeepRegLib.geometry import Lattice, apply, covering_lattice, index_box
from LungDeepRegLib.intensity import Intensity, choose_intensity
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.quality import NOT_MEASURED
from LungDeepRegLib.results.pair import Pair
from LungDeepRegLib.volume import Volume

from Testing.engine.conftest import GEOMETRIES, lattice
from Testing.engine.known_errors import area_under_curve, errors_at, spoiled

CT = Intensity("ct", -1000.0, 300.0, -1024.0, "as the test says")
MRI = Intensity("mri", 0.0, 1000.0, 0.0, "as the test says")


def scaled_pair(factor, other_hu=None):
    """A block of structured lung which is ``factor`` times as long in the moving image along each axis.

    Mass is preserved: its density is less by the cube of that.
    """
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    k, j, i = np.meshgrid(*(np.arange(40) * 2.0 for _ in range(3)), indexing="ij")
    density = 300 + 200 * np.sin(i / 5) * np.sin(j / 6) * np.cos(k / 7)
    fixed = Volume(density - 1000, matrix, "fixed")
    moved = density / factor**3 - 1000 if other_hu is None else np.full(density.shape, other_hu)
    stretch = np.diag([factor, factor, factor, 1.0])
    moving = Volume(moved, stretch @ matrix, "moving")
    mask = np.zeros(density.shape, bool)
    mask[4:36, 4:36, 4:36] = True
    phi = DisplacementField.from_matrix(stretch, covering_lattice(fixed.lattice, 4.0, 8.0))
    return Pair(fixed, moving, CT, CT, mask, mask), phi


def known(values):
    return values[values != NOT_MEASURED]


def part_of_the_chest(spacing, shift=(0.0, 0.0, 0.0)):
    """Voxels around the middle of the lungs, which takes a third of the time."""
    whole = chest_lattice(spacing, shift)
    planes = whole.shape[0]
    first, count = round(0.3 * planes), round(0.35 * planes)
    return index_box(whole, np.array([0, 0, first]), np.array([*whole.shape[:0:-1], count]))


@cache
def phantom_in_places(contrast):
    """A phantom that is registered perfectly but for some places, and what is found out about both registrations."""
    made = make_pair(
        PhantomConfig(seed=5, contrast=contrast, landmarks=1),
        part_of_the_chest(4.0),
        chest_lattice((4, 4, 5), (3, 5, -6)),
    )
    intensities = [choose_intensity(image, contrast) for image in (made.fixed, made.moving)]
    masks = [mask.array > 0 for mask in (made.fixed_mask, made.moving_mask)]
    truth = made.displacement(covering_lattice(made.fixed.lattice, 5.0, 8.0))
    points = apply(made.fixed.ijk_to_ras, np.argwhere(masks[0])[:, ::-1].astype(float))
    pair, field = Pair(made.fixed, made.moving, *intensities, *masks), spoiled(truth, points, 4, seed=3)
    exact = assess(pair, truth, inhale="moving")
    return SimpleNamespace(pair=pair, truth=truth, made=made, field=field, exact=exact, found=assess(pair, field))


@pytest.fixture(params=["ct", "mri"])
def spoiled_phantom(request):
    return phantom_in_places(request.param)


class TestTrust:
    def test_it_is_low_where_the_error_is_large(self, spoiled_phantom):
        case = spoiled_phantom
        trust = case.found.trust
        errors = errors_at(case.found.lattice, case.field, case.truth)
        there = trust.trust != NOT_MEASURED
        wrong, right = errors[there] > 5, errors[there] < 1
        assert 0.02 < wrong.mean() < 0.5
        # Lungs are darker and noisier in MRI, so there is less to go by.
        assert area_under_curve(-trust.trust[there], wrong) > (0.9 if case.pair.modality == "ct" else 0.8)
        assert area_under_curve(trust.residual[there], wrong) > 0.6
        assert area_under_curve(-trust.correlation[there], wrong) > 0.7
        assert trust.trust[there][right].mean() > trust.trust[there][wrong].mean() + 0.2

    def test_the_way_back_tells_more(self):
        case = phantom_in_places("mri")
        nodes = covering_lattice(case.made.moving.lattice, 5.0, 8.0)
        back = DisplacementField.from_displacement(lambda y: case.made.phi.inverse(y) - y, nodes)
        found = assess(case.pair, case.field, backward=back)
        errors = errors_at(found.lattice, case.field, case.truth)
        there = found.trust.trust != NOT_MEASURED
        assert np.abs(np.median(found.trust.consistency[there] - errors[there])) < 0.5
        assert area_under_curve(-found.trust.trust[there], errors[there] > 5) > 0.95
        assert found.figures["inverse_consistency_mm"]["max"] > 5

    def test_mass_is_preserved(self):
        pair, phi = scaled_pair(1.2)
        found = assess(pair, phi)
        assert known(found.trust.residual).max() < 20
        assert np.median(known(found.trust.correlation)) > 0.9
        # As if the tissue hadn't become thinner: 1.2^3 - 1 of 300 mg/ml are missing.
        dense = replace(pair, moving=Volume(pair.fixed.array, pair.moving.ijk_to_ras))
        wrong = assess(dense, phi)
        assert np.median(known(wrong.trust.residual)) == pytest.approx(300 * (1.2**3 - 1), rel=0.1)
        assert known(wrong.trust.trust).mean() < known(found.trust.trust).mean()

    def test_gain_and_offset_of_an_mri_make_no_difference(self):
        case = phantom_in_places("mri")
        pair, truth, plain = case.pair, case.truth, case.exact
        brighter = pair.moving.with_array(2.5 * pair.moving.array + 300)
        intensity = replace(
            pair.moving_intensity, low=2.5 * pair.moving_intensity.low + 300, high=3 * pair.moving_intensity.high + 300
        )
        other = assess(replace(pair, moving=brighter, moving_intensity=intensity), truth)
        assert known(other.trust.residual).mean() == pytest.approx(known(plain.trust.residual).mean(), rel=0.05)
        assert plain.figures["residual_unit"] == "%"

    def test_nothing_is_known_where_the_moving_image_ends(self):
        pair, phi = scaled_pair(1.0)
        part = Volume(pair.moving.array[:20], pair.moving.ijk_to_ras)
        found = assess(replace(pair, moving=part, moving_mask=pair.moving_mask[:20]), phi, backward=phi)
        lungs = found.regions.array > 0
        z = apply(found.lattice.ijk_to_ras, np.argwhere(lungs)[:, ::-1].astype(float))[:, 2]
        ventilation = found.jacobian_ventilation, found.density_ventilation
        for values in (*vars(found.trust).values(), *ventilation):
            assert (values[lungs][z < 36] != NOT_MEASURED).all()
            assert (values[lungs][z > 41] == NOT_MEASURED).all()
        assert any("nothing is known about" in warning for warning in found.warnings)

    def test_without_lungs(self):
        pair, phi = scaled_pair(1.0)
        with pytest.raises(AssessmentError, match="fixed: found no mask of the lungs"):
            assess(replace(pair, fixed_mask=None), phi)

    def test_any_geometry(self, made):
        """Images without any relation: maps on a lattice around the lungs, and no trust."""
        found = assess(made.pair, made.phi)
        assert found.lattice.contains(
            apply(made.pair.fixed.ijk_to_ras, np.argwhere(made.pair.fixed_mask)[:, ::-1].astype(float))
        ).all()
        assert found.figures["trust_mean"] < 0.5


def test_local_moments_against_a_loop():
    random = np.random.default_rng(0)
    first, second = random.normal(5, 1, (2, 12, 10, 8)).astype(np.float32)
    counting = random.random((12, 10, 8)) > 0.3
    found = local_moments(first, second, counting, 2, 1)
    k, j, i = 3, 0, 2
    cube = (slice(4, 10), slice(0, 4), slice(2, 8))
    a, b = (image[cube][counting[cube]].astype(float) for image in (first, second))
    expected = {
        "count": len(a), "first_mean": a.mean(), "second_mean": b.mean(), "first_variance": a.var(),
        "second_variance": b.var(), "covariance": np.mean(a * b) - a.mean() * b.mean(),
        "mean_square": np.mean((a - b) ** 2),
    }  # fmt: skip
    assert {name: float(getattr(found, name)[k, j, i]) for name in expected} == pytest.approx(expected, rel=1e-4)


class TestVentilation:
    @pytest.mark.parametrize(("inhale", "expected"), [("moving", 0.728), ("fixed", 1 / 1.728 - 1), (None, 0.728)])
    def test_of_a_known_expansion(self, inhale, expected):
        pair, phi = scaled_pair(1.2)
        found = assess(pair, phi, inhale=inhale)
        assert known(found.jacobian_ventilation) == pytest.approx(expected, abs=1e-3)
        assert found.region_figures[0]["volume_change"] == pytest.approx(expected, abs=1e-3)
        assert found.figures["inhale"] == inhale

    def test_without_a_sign_shrinking_and_growing_are_alike(self):
        for factor in (1.2, 1 / 1.2):
            found = assess(*scaled_pair(factor))
            assert known(found.jacobian_ventilation) == pytest.approx(0.728, abs=1e-3)

    @pytest.mark.parametrize("hu", [-850.0, -780.0, -650.0])
    def test_density_by_the_published_formula(self, hu):
        """Simon 2000, with the moving image inhaled, with the fixed one inhaled, and without knowing."""
        pair, phi = scaled_pair(1.0, other_hu=hu)
        pair = replace(pair, fixed=pair.fixed.with_array(np.full(pair.fixed.array.shape, -750.0)))
        pair.fixed.array[0, 0, 0] = -740  # an image isn't all the same
        for inhale, exhaled, inhaled in (("moving", -750.0, hu), ("fixed", hu, -750.0)):
            expected = 1000 * (inhaled - exhaled) / (exhaled * (inhaled + 1000))
            found = known(assess(pair, phi, inhale=inhale).density_ventilation)
            assert found == pytest.approx(expected, abs=1e-3)
        assert (known(assess(pair, phi).density_ventilation) > 0).all()

    def test_consolidated_and_emphysematous_lung_has_none(self):
        for hu in (-30.0, -980.0):
            found = assess(*scaled_pair(1.0, other_hu=hu))
            assert (found.density_ventilation == NOT_MEASURED).all()
            assert any("by density isn't given in 100% of the lungs" in warning for warning in found.warnings)

    def test_both_agree_where_tissue_is_preserved(self, spoiled_phantom):
        pair, made, found = spoiled_phantom.pair, spoiled_phantom.made, spoiled_phantom.exact
        if pair.modality == "mri":
            assert found.density_ventilation is None
            return
        for row in found.region_figures:
            by_jacobian, by_density = (row[f"ventilation_{name}"]["median"] for name in ("jacobian", "density"))
            assert 0 <= by_jacobian < 0.6
            assert by_density == pytest.approx(by_jacobian, abs=0.12)
        inside = np.argwhere(pair.fixed_mask)[::7, ::-1].astype(float)
        expected = made.phi.jacobian(apply(pair.fixed.ijk_to_ras, inside)).mean() - 1
        assert found.region_figures[0]["volume_change"] == pytest.approx(expected, abs=0.01)

    def test_an_inhaled_image_that_there_is_not(self):
        with pytest.raises(ValueError, match="found 'exhale' as the inhaled image"):
            assess(*scaled_pair(1.0), inhale="exhale")


def two_blocks(name, *, gap, bridge):
    """Two blocks side by side in world coordinates, on voxels of any geometry, and a bridge between them."""
    where = lattice(name, (60, 60, 60), (3.0, 3.0, 3.0), (5, -10, 20))
    index = np.stack(np.meshgrid(*(np.arange(60.0) for _ in range(3)), indexing="ij"), axis=-1)[..., ::-1]
    x, y, z = np.moveaxis(apply(where.ijk_to_ras, index) - where.centre_ras, -1, 0)
    lungs = (np.abs(np.abs(x) - gap / 2 - 20) < 20) & (np.abs(y) < 25) & (np.abs(z) < 36)
    lungs |= (np.abs(x) < gap / 2 + 5) & (np.abs(y - 15) < bridge) & (np.abs(z) < bridge)
    return Volume(lungs, where.ijk_to_ras), x, z


class TestMotion:
    def test_a_shift_is_the_mean_and_nothing_beyond(self):
        pair, _ = scaled_pair(1.0)
        shift = np.eye(4)
        shift[:3, 3] = 4.0, -3.0, 12.0
        row = assess(pair, DisplacementField.from_matrix(shift, covering_lattice(pair.fixed.lattice, 4.0, 8.0)))
        row = row.region_figures[0]
        assert row["displacement_mm"]["mean"] == pytest.approx(13.0, abs=1e-4)
        found = [row[f"displacement_{axis}_mm"]["mean"] for axis in "ras"]
        np.testing.assert_allclose(found, shift[:3, 3], atol=1e-4)
        assert row["displacement_beyond_mean_mm"]["p95"] == pytest.approx(0.0, abs=1e-4)

    def test_the_phantoms_own_motion_region_by_region(self, spoiled_phantom):
        pair, made = spoiled_phantom.pair, spoiled_phantom.made
        rows = {row["region"]: row for row in spoiled_phantom.exact.region_figures}
        points = apply(pair.fixed.ijk_to_ras, np.argwhere(pair.fixed_mask)[::7, ::-1].astype(float))
        vectors = made.phi(points) - points
        truth = np.linalg.norm(vectors, axis=1)
        assert rows["Lungs"]["displacement_mm"]["mean"] == pytest.approx(truth.mean(), rel=0.03)
        beyond = np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)
        assert rows["Lungs"]["displacement_beyond_mean_mm"]["mean"] == pytest.approx(beyond.mean(), rel=0.06)
        right = points[:, 0] > made.fixed.lattice.centre_ras[0]
        found = rows["Right lung"]["displacement_s_mm"]["mean"]
        assert found == pytest.approx(vectors[right, 2].mean(), abs=0.5)


class TestRegions:
    @pytest.mark.parametrize("name", [*GEOMETRIES])
    @pytest.mark.parametrize("bridge", [0, 6])
    def test_sides_and_thirds_on_any_geometry(self, name, bridge):
        lungs, x, z = two_blocks(name, gap=10, bridge=bridge)
        found = find_regions(lungs).array
        assert ((found > 0) == lungs.array).all()
        for label, title in enumerate(NAMES[:6], start=1):
            here = found == label
            assert here.any(), title
            clear = here & (np.abs(x) > 6)
            assert (np.sign(x[clear]) == (1 if title.startswith("Right") else -1)).all()
            low, high = {"apical": (12, 36), "middle": (-12, 12), "basal": (-36, -12)}[title.split()[2]]
            assert z[clear].min() > low - 3
            assert z[clear].max() < high + 3

    def test_one_lung_in_view(self):
        lungs, x, _ = two_blocks("oblique", gap=10, bridge=0)
        one = lungs.with_array(lungs.array & (x > 0))
        assert set(np.unique(find_regions(one).array)) == {0, 7, 8, 9}

    def test_lobes_of_one_lung_are_not_two_lungs(self):
        lungs, x, z = two_blocks("axial", gap=10, bridge=0)
        lobes = lungs.with_array(lungs.array & (x > 0) & (np.abs(z) > 3))
        assert set(np.unique(find_regions(lobes).array)) == {0, 7, 8, 9}

    def test_a_lung_around_its_diaphragm_is_one(self):
        """The base of one lung is a ring around the dome, with its deepest places on either side of it."""
        _, j, i = np.meshgrid(*(np.arange(n) * 3.0 for n in (30, 60, 60)), indexing="ij")
        across, along = i - 90, j - 90
        ring = np.abs(np.hypot(across, along) - 60) < 19 + 5 * np.abs(across) / 60
        lungs = np.pad(ring & (along < 40), 2)
        assert set(np.unique(sides(lungs, Lattice(lungs.shape, np.diag([3.0, 3.0, 3.0, 1.0]))))) == {0, 3}

    def test_a_trachea_above_it_moves_no_third(self):
        lungs, x, z = two_blocks("oblique", gap=10, bridge=0)
        _, y, _ = np.moveaxis(lattice_points(lungs.lattice).reshape(*x.shape, 3) - lungs.lattice.centre_ras, -1, 0)
        tube = (np.hypot(x - 10, y) < 5) & (z >= 36) & (z < 75)
        assert tube.sum() > 20
        plain = find_regions(lungs).array
        found = find_regions(lungs.with_array(lungs.array | tube)).array
        assert (found != plain)[lungs.array].mean() < 0.1

    def test_a_sliver_of_the_other_lung_does_not_count(self):
        lungs, x, _ = two_blocks("axial", gap=10, bridge=0)
        assert set(np.unique(sides(lungs.array & (x > -10), lungs.lattice))) == {0, 3}

    def test_the_phantoms_lungs(self, phantom):
        labels = phantom.fixed_mask
        found = sides(labels.array > 0, labels.lattice)
        assert (found == labels.array).mean() > 0.999

    def test_a_lattice_of_few_voxels(self):
        lungs = np.zeros((3, 3, 3), bool)
        lungs[1, 1, 1] = True
        found = find_regions(Volume(lungs, Lattice((3, 3, 3), np.eye(4)).ijk_to_ras))
        assert found.array.max() in range(7, 10)


def test_rows_are_those_of_the_regions_that_there_are(spoiled_phantom):
    pair, found = spoiled_phantom.pair, spoiled_phantom.exact
    names = [row["region"] for row in found.region_figures]
    assert names == ["Lungs", "Right lung", *NAMES[:3], "Left lung", *NAMES[3:6]]
    volumes = {row["region"]: row["volume_ml"] for row in found.region_figures}
    assert volumes["Lungs"] == pytest.approx(sum(volumes[name] for name in NAMES[:6]))
    expected = pair.fixed_mask.sum() * pair.fixed.lattice.voxel_volume_mm3 / 1000
    assert volumes["Lungs"] == pytest.approx(expected)
    for row in found.region_figures:
        assert row["consistency_mm"] is None
        assert row["trust"]["p5"] <= row["trust"]["median"] <= row["trust"]["p95"]
        assert 0 <= row["low_trust_percent"] <= 100
