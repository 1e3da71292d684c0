"""The search over many displacements finds those too large for gradient steps."""

import numpy as np
import pytest
import torch
from LungDeepRegLib.discrete_search import FAR, NEAR, coarsened, offsets, search, search_far
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.metrics import folded_cells
from LungDeepRegLib.pyramid import Level
from scipy import ndimage
from scipy.spatial.transform import Rotation

SHAPE = (12, 13, 14)
OBLIQUE = Rotation.from_euler("xyz", [15, -20, 10], degrees=True).as_matrix()
DIRECTIONS = {"axial": np.eye(3), "oblique": OBLIQUE, "left-handed": OBLIQUE * [-1, 1, 1]}


def lattice(name="axial", spacing=(10.0, 10.0, 10.0)):
    matrix = np.eye(4)
    matrix[:3, :3] = DIRECTIONS[name] * spacing
    matrix[:3, 3] = [30, -20, 100]
    return Lattice(SHAPE, matrix)


def level(where, voxels):
    """Smooth random features, the moving ones moved by whole voxels ``(i, j, k)``, compared in the middle."""
    noise = np.random.default_rng(0).normal(size=(6, *(n + 12 for n in SHAPE)))
    features = ndimage.gaussian_filter(noise, (0, 1, 1, 1)).astype(np.float32)
    start = [6 - v for v in voxels[::-1]]
    parts = [
        torch.from_numpy(features[(slice(None), *(slice(a, a + n) for a, n in zip(begin, SHAPE, strict=True)))])[None]
        for begin in ((6, 6, 6), start)
    ]
    mask = torch.zeros(1, 1, *SHAPE)
    mask[..., 2:-2, 2:-2, 2:-2] = 1
    return Level(where, *parts, mask)


@pytest.mark.parametrize("name", DIRECTIONS)
@pytest.mark.parametrize("voxels", [(0, 2, 0), (-2, 0, 1), (1, -1, -2)])
def test_a_translation_of_20_mm_is_found(name, voxels):
    where = lattice(name)
    found = search(level(where, voxels))
    expected = where.ijk_to_ras[:3, :3] @ voxels
    assert found.lattice == where
    error = np.linalg.norm(found.vectors - expected, axis=-1)
    inside = np.s_[2:-2, 2:-2, 2:-2]
    assert np.median(error[inside]) < 0.5
    assert error[inside].mean() < 1.5
    # beyond the mask, two voxels from the border, it goes on roughly
    assert error.max() < 10
    assert not folded_cells(found).any()


@pytest.mark.parametrize("name", DIRECTIONS)
def test_a_translation_of_70_mm_is_found_from_afar(name):
    where = lattice(name, (20.0, 20.0, 20.0))
    expected = where.ijk_to_ras[:3, :3] @ np.array([0.0, -2.0, 3.0])
    inside = np.s_[2:-2, 2:-2, 2:-2]
    errors = [
        np.linalg.norm(how(level(where, (0, -2, 3))).vectors - expected, axis=-1)[inside]
        for how in (search, search_far)
    ]
    assert np.median(errors[0]) > NEAR.reach_mm
    assert np.median(errors[1]) < 1
    assert FAR.reach_mm < np.linalg.norm(expected)


def test_nothing_to_find_gives_no_displacement():
    found = search(level(lattice("oblique"), (0, 0, 0)))
    assert np.abs(found.vectors).max() < 1e-3


def test_the_search_leaves_its_level_as_it_was():
    before = level(lattice(), (0, 2, 0))
    copies = [t.clone() for t in (before.fixed, before.moving, before.mask)]
    first, second = search(before), search(before)
    assert all(torch.equal(a, b) for a, b in zip(copies, (before.fixed, before.moving, before.mask), strict=True))
    np.testing.assert_array_equal(first.vectors, second.vectors)


@pytest.mark.parametrize("name", DIRECTIONS)
def test_candidates_are_about_7_mm_apart_within_reach(name):
    where = lattice(name, (10.0, 12.0, 16.0))
    tried = offsets(level(where, (0, 0, 0)), NEAR).double().numpy()
    assert len(tried) == 7 * 11 * 7
    ijk = tried @ np.linalg.inv(where.ijk_to_ras[:3, :3]).T
    parts = ijk * [1, 2, 2]
    np.testing.assert_allclose(parts, parts.round(), atol=1e-5)
    assert np.abs(ijk * where.spacing_mm).max() <= NEAR.reach_mm + 1e-4
    assert (np.linalg.norm(tried, axis=1) < 1e-6).sum() == 1


def test_voxels_too_coarse_for_a_search_give_a_start_all_the_same():
    # half a voxel is more than the search's reach: what a small voxel budget or a coarse image leads to
    found = search(level(lattice("axial", (70.0, 70.0, 70.0)), (0, 0, 0)))
    assert np.abs(found.vectors).max() < 1e-3


def test_fine_levels_are_averaged_to_about_10_mm_first():
    fine = level(lattice("oblique", (5.0, 5.0, 12.0)), (0, 0, 0))
    found = coarsened(fine, NEAR.spacing_mm)
    np.testing.assert_allclose(found.lattice.spacing_mm, [10, 10, 12])
    torch.testing.assert_close(found.fixed[..., 0, 0], fine.fixed[..., :2, :2].mean((-1, -2)))
    assert set(found.mask.unique().tolist()) == {0.0, 1.0}
