"""Tubes found through their index, against formulas; and the trees that are built from them."""

import numpy as np
import pytest
from LungDeepRegLib.phantom.anatomy import sample_anatomy
from LungDeepRegLib.phantom.trees import grow_trees
from LungDeepRegLib.phantom.tubes import TubeIndex, Tubes


def test_distance_equals_the_search_over_all_tubes():
    rng = np.random.default_rng(0)
    start, step, radius = rng.uniform(-40, 40, (60, 3)), rng.normal(0, 8, (60, 3)), rng.uniform(0.4, 4, (60, 2))
    tubes = Tubes(start, start + step, *radius.T)
    points = rng.uniform(-60, 60, (3000, 3))
    t = np.einsum("ntd,td->nt", points[:, None] - start, step) / np.square(step).sum(axis=1)
    t = np.clip(t, 0, 1)
    axis = np.linalg.norm(points[:, None] - start - t[..., None] * step, axis=-1)
    expected = np.minimum((axis - radius[:, 0] - t * (radius[:, 1] - radius[:, 0])).min(axis=1), 7.0)
    found = TubeIndex(tubes, 7.0).distance(points.astype(np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("radius", [0.3, 0.8])
def test_a_vessel_thinner_than_the_resolution_keeps_its_cross_section(radius):
    index = TubeIndex(Tubes.chain([(0, 0, -50), (0, 0, 50)], [radius, radius]), 8.0)
    axis = np.arange(-7, 7, 0.2)
    y, x = np.meshgrid(axis, axis)
    points = np.stack((x, y, np.zeros_like(x)), axis=-1).reshape(-1, 3).astype(np.float32)
    area = index.coverage(points, 1.5).sum() * 0.2**2
    assert area == pytest.approx(np.pi * radius**2, rel=0.1)


def test_a_thick_vessel_is_filled_half_at_its_wall_and_absent_beyond():
    index = TubeIndex(Tubes.chain([(0, 0, -50), (0, 0, 50)], [8, 8]), 6.0)
    inside, wall, beyond = index.coverage(np.array([[0, 0, 3], [8, 0, 3], [20, 0, 3]], np.float32), 0.8)
    assert inside == pytest.approx(1, abs=1e-4)
    assert wall == pytest.approx(0.5, abs=0.06)
    assert beyond == 0


@pytest.fixture(scope="module")
def chest():
    anatomy = sample_anatomy(np.random.default_rng(4))
    return anatomy, grow_trees(anatomy, np.random.default_rng(5))


@pytest.mark.parametrize("name", ["arteries", "veins"])
def test_each_branch_serves_the_terminals_of_its_two_children(chest, name):
    tree = chest[1][name]
    tips = {tuple(point): count for point, count in zip(tree.tip, tree.terminals, strict=True)}
    children: dict[tuple, list[int]] = {}
    for parent, count in zip(tree.parent, tree.terminals, strict=True):
        children.setdefault(tuple(parent), []).append(int(count))
    for point, counts in children.items():
        if point in tips:
            assert sum(counts) == tips[point]
            assert len(counts) == 2
    roots = [len(counts) for point, counts in children.items() if point not in tips]
    assert sorted(roots) == [4, 6]  # two branches for each lobe: 2 lobes on the left, 3 on the right


def test_vessels_end_inside_the_lungs_and_taper(chest):
    anatomy, trees = chest
    tree = trees["arteries"]
    ends = tree.tip[tree.terminals == 1]
    assert len(ends) > 3000
    assert (anatomy.lungs(ends.astype(np.float32)) < 0).all()
    assert tree.radius.min() < 0.5
    assert 4 < tree.radius.max() < 9
    assert (tree.terminals < tree.parent_terminals).all()
