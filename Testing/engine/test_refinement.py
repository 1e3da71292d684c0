"""Instance optimisation: a known motion is found, with every similarity, without folds, the same every time."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice, apply, covering_lattice
from LungDeepRegLib.intensity import choose_intensity
from LungDeepRegLib.metrics import folded_cells
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.preprocessing import prepare, registration_lattice
from LungDeepRegLib.pyramid import Level, levels
from LungDeepRegLib.refinement import (
    PLANS,
    SMOOTHNESS,
    Plan,
    Sites,
    control_lattice,
    dissimilarity,
    mean_squared_gradient,
    refine,
    upsampled,
)
from LungDeepRegLib.similarity import TERMS, parse_similarity

PLAN = Plan((40, 30))


@pytest.fixture(scope="module")
def known():
    """The phantom's fixed image as the moving one, and moved by a smooth motion of up to 14 mm: the truth is exact."""
    where = chest_lattice(4.0)
    pair = make_pair(PhantomConfig(seed=1), where, chest_lattice(30.0))
    psi = DisplacementField.from_displacement(
        lambda x: 8 * np.sin(x[:, [1, 2, 0]] / 60 + [0, 1, 2]), covering_lattice(where, 4.0, 8.0)
    )
    mask = pair.fixed_mask.array > 0
    image, _ = psi.warp(pair.fixed, where, fill=-1024)
    image_mask, _ = psi.warp(pair.fixed_mask, where, fill=0, mode="nearest")
    intensity = choose_intensity(pair.fixed)
    fixed = prepare(image, intensity, image_mask.array > 0, 1.25)
    moving = prepare(pair.fixed, intensity, mask, 1.25)
    points = apply(where.ijk_to_ras, np.argwhere(image_mask.array > 0)[:, ::-1].astype(float))
    lattice = registration_lattice(fixed, moving, np.eye(4))
    return SimpleNamespace(fixed=fixed, moving=moving, lattice=lattice, points=points, psi=psi)


def pyramid(known, similarity, count=2):
    return levels(known.fixed, known.moving, known.lattice, np.eye(4), [similarity] * count)


def still(level):
    return DisplacementField.from_matrix(np.eye(4), level.lattice)


def error_mm(known, v):
    return np.linalg.norm(v(known.points) - known.psi(known.points), axis=1).mean()


@pytest.mark.parametrize("text", [*TERMS, "lncc=1,mi=0.5", "mind=0.5,mse=2"])
def test_a_known_motion_is_found_by_every_similarity(known, text):
    similarity = parse_similarity(text)
    pair = pyramid(known, similarity)
    before = [[t.clone() for t in (level.fixed, level.moving, level.mask)] for level in pair]
    found = refine(pair, similarity, PLAN, [still(pair[0])])
    assert found.lattice == pair[-1].lattice
    initial = np.linalg.norm(known.psi(known.points) - known.points, axis=1).mean()
    assert initial > 8
    assert error_mm(known, found) < (0.25 if text == "mind" else 0.5) * initial
    assert not folded_cells(found).any()
    for level, copies in zip(pair, before, strict=True):
        assert all(torch.equal(a, b) for a, b in zip((level.fixed, level.moving, level.mask), copies, strict=True))


def test_two_runs_are_the_same_to_the_last_bit(known):
    similarity, plan = parse_similarity("mind"), Plan((15, 8))
    first, second = (
        refine(pair, similarity, plan, [still(pair[0])]) for pair in (pyramid(known, similarity) for _ in range(2))
    )
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert np.abs(first.vectors).max() > 1


def test_without_a_motion_it_settles_near_none(known):
    similarity = parse_similarity("mse")
    level = pyramid(known, similarity, 1)[0]
    same = Level(level.lattice, level.moving, level.moving, level.mask)
    found = refine([same], similarity, Plan((60,)), [still(same)])
    assert np.linalg.norm(found(known.points) - known.points, axis=1).mean() < 0.1 * level.lattice.spacing_mm.min()


def test_it_goes_on_from_its_start(known):
    similarity = parse_similarity("mse")
    pair = pyramid(known, similarity, 1)
    start = known.psi
    found = refine(pair, similarity, Plan((3,)), [start])
    assert error_mm(known, found) < 2
    assert dissimilarity(pair[0], start) < 0.3 * dissimilarity(pair[0], still(pair[0]))


def test_of_several_starts_the_one_that_ends_best_goes_on(known):
    similarity = parse_similarity("mse")
    pair = pyramid(known, similarity)
    bad = DisplacementField.from_displacement(lambda x: np.full_like(x, 60.0), pair[0].lattice)
    alone = refine(pair, similarity, Plan((5, 5)), [known.psi])
    for starts in ([bad, known.psi], [known.psi, bad]):
        np.testing.assert_array_equal(refine(pair, similarity, Plan((5, 5)), starts).vectors, alone.vectors)


def test_dissimilarity_is_the_masked_mean_of_squared_differences(known):
    level = pyramid(known, parse_similarity("mse"), 1)[0]
    expected = ((level.fixed - level.moving).square() * level.mask).sum() / level.mask.sum()
    assert dissimilarity(level, still(level)) == pytest.approx(float(expected), rel=1e-4)


def test_progress_goes_up_step_by_step_to_the_end(known):
    similarity, told = parse_similarity("mse"), []
    pair = pyramid(known, similarity)
    refine(pair, similarity, Plan((3, 2)), [still(pair[0])], told.append)
    np.testing.assert_allclose(told, [0.2, 0.4, 0.6, 0.8, 1.0])


def test_every_term_has_a_smoothness_and_every_plan_its_levels():
    assert set(SMOOTHNESS) == set(TERMS)
    assert set(PLANS) == {"fast", "accurate"}
    with pytest.raises(ValueError, match="zip"):
        refine([], parse_similarity("mse"), PLAN, [])


# --- its parts


@pytest.mark.parametrize("text", ["mind", "lncc"])
def test_four_steps_compare_every_voxel_of_the_mask(known, text):
    similarity = parse_similarity(text)
    level = pyramid(known, similarity, 1)[0]
    parts = Sites.parts(level, similarity)
    if not similarity.pointwise:
        assert len(parts) == 1
        assert torch.equal(parts[0].mask, level.mask)
        return
    chosen = torch.cat([part.chosen for part in parts])
    assert torch.equal(chosen.sort().values, level.mask.flatten().nonzero()[:, 0])
    assert len(parts[0].chosen) == pytest.approx(len(chosen) / 4, rel=0.05)
    for part in parts:  # neighbours along every axis belong to other quarters
        taken = torch.zeros(level.mask.numel(), dtype=torch.bool).index_fill_(0, part.chosen, True)
        taken = taken.reshape(level.lattice.shape)
        assert not any((taken.narrow(d, 1, n - 1) & taken.narrow(d, 0, n - 1)).any() for d, n in enumerate(taken.shape))


def oblique(shape):
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) * [2.0, 3.0, 4.0]
    return Lattice(shape, matrix)


@pytest.mark.parametrize("shape", [(6, 8, 10), (7, 5, 9)])
def test_control_points_are_where_upsampling_has_them(shape):
    where = oblique(shape)
    control = control_lattice(where)
    assert control.shape == tuple(-(-n // 2) for n in shape)
    # a linear function of the world, taken at the control points, comes back at the voxels
    slope = np.random.default_rng(0).normal(size=(3, 3))
    matrix = np.eye(4)
    matrix[:3, :3] += slope / 10
    coarse, fine = (DisplacementField.from_matrix(matrix, at) for at in (control, where))
    found = upsampled(coarse.tensor(), shape)[0].movedim(0, -1).numpy()
    assert found.shape == (*shape, 3)
    np.testing.assert_allclose(found[1:-1, 1:-1, 1:-1], fine.vectors[1:-1, 1:-1, 1:-1], atol=1e-4)


def test_mean_squared_gradient_of_a_linear_displacement():
    where = oblique((5, 6, 7))
    slope = np.diag([0.1, -0.2, 0.3])
    matrix = np.eye(4)
    matrix[:3, :3] += slope
    field = DisplacementField.from_matrix(matrix, where).tensor()
    # an orthonormal lattice sees the same sum of squares whichever way it is turned
    assert float(mean_squared_gradient(field, where)) == pytest.approx((slope**2).sum() / 3, rel=1e-4)
