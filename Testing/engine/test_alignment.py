"""The initial alignment: it brings images together from anywhere, and says when it isn't sure."""

import numpy as np
import pytest
import torch
from LungDeepRegLib.alignment import (
    DISTINCT_MM,
    about,
    align,
    centre,
    make_scene,
    masked_correlation,
    promising,
    translation,
)
from LungDeepRegLib.geometry import apply, index_box
from LungDeepRegLib.intensity import choose_intensity
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.preprocessing import prepare
from LungDeepRegLib.volume import Volume
from scipy.spatial.transform import Rotation

FAR = np.eye(4)
"""Turned by 20 degrees and 100 mm away."""
FAR[:3, :3] = Rotation.from_rotvec(np.radians(20) * np.array([0.6, 0, 0.8])).as_matrix()
FAR[:3, 3] = [60, -80, 0]
LATTICE = chest_lattice(6.0)
CONFIG = {"seed": 1, "motion_mm": 20.0}


class Chests:
    """A phantom pair, the moving image anywhere in the world, and errors in the lungs."""

    def __init__(self):
        self.pair = make_pair(PhantomConfig(**CONFIG), LATTICE, LATTICE)
        self.fixed_mask, self.moving_mask = self.pair.fixed_mask.array > 0, self.pair.moving_mask.array > 0
        self.points = apply(LATTICE.ijk_to_ras, np.argwhere(self.fixed_mask)[:, ::-1].astype(float))
        self.truth = self.pair.phi(self.points)

    def fixed(self, *, masks):
        return ready(self.pair.fixed, self.fixed_mask if masks else None)

    def moving(self, moved, *, masks, planes=np.s_[:]):
        start = range(LATTICE.shape[0])[planes].start
        array = self.pair.moving.array[planes]
        box = index_box(LATTICE, np.array([0, 0, start]), np.array(array.shape[::-1]))
        return ready(Volume(array, moved @ box.ijk_to_ras, "moving"), self.moving_mask[planes] if masks else None)

    def error_mm(self, found, moved):
        """Mean distance in the lungs from where the tissue is."""
        return np.linalg.norm(apply(found.matrix, self.points) - apply(moved, self.truth), axis=1).mean()


def ready(volume, mask):
    return prepare(volume, choose_intensity(volume), mask, 1.25)


@pytest.fixture(scope="module")
def chests():
    return Chests()


@pytest.mark.parametrize("masks", [True, False])
def test_a_rotation_of_20_degrees_and_an_offset_of_100_mm(chests, masks):
    found = align(chests.fixed(masks=masks), chests.moving(FAR, masks=masks))
    assert np.linalg.norm(chests.truth - chests.points, axis=1).mean() > 9
    assert chests.error_mm(found, FAR) < 3.5
    assert found.similarity > 0.95
    assert found.overlap > 0.9
    assert found.doubts == ()


@pytest.mark.parametrize("masks", [True, False])
def test_fields_of_view_that_overlap_by_half(chests, masks):
    moved = translation(np.array([0, 0, 100.0]))
    lower = chests.moving(moved, masks=masks, planes=np.s_[:33])
    found = align(chests.fixed(masks=masks), lower)
    assert chests.error_mm(found, moved) < 5
    assert 0.4 < found.overlap < 0.9


def test_mri_is_aligned_to_ct_by_mutual_information(chests):
    mri = make_pair(PhantomConfig(contrast="mri", **CONFIG), chest_lattice(30.0), LATTICE)
    volume = Volume(mri.moving.array, FAR @ LATTICE.ijk_to_ras, "mri")
    moving = prepare(volume, choose_intensity(volume, "mri"), chests.moving_mask, 1.25)
    found = align(chests.fixed(masks=True), moving)
    assert chests.error_mm(found, FAR) < 5


def test_an_unrelated_image_is_doubted(chests):
    noise = np.random.default_rng(0).normal(500, 200, LATTICE.shape).astype(np.float32)
    found = align(chests.fixed(masks=False), ready(Volume(noise, LATTICE.ijk_to_ras, "noise"), None))
    assert found.doubts


def test_centres_bring_the_lungs_together(chests):
    fixed, moving = chests.fixed(masks=True), chests.moving(FAR, masks=True)
    found = align(fixed, moving, "centre")
    np.testing.assert_array_equal(found.matrix[:3, :3], np.eye(3))
    middle = apply(LATTICE.ijk_to_ras, np.argwhere(chests.fixed_mask)[:, ::-1].mean(axis=0))
    np.testing.assert_allclose(centre(fixed), middle, atol=1e-3)
    moving_middle = apply(FAR @ LATTICE.ijk_to_ras, np.argwhere(chests.moving_mask)[:, ::-1].mean(axis=0))
    np.testing.assert_allclose(apply(found.matrix, middle), moving_middle, atol=1e-3)


def test_centres_without_masks_are_those_of_intensity(chests):
    fixed = chests.fixed(masks=False)
    weights = fixed.intensity.normalised(chests.pair.fixed.array)
    k, j, i = (index * weights for index in np.indices(weights.shape))
    index = np.array([i.sum(), j.sum(), k.sum()]) / weights.sum()
    np.testing.assert_allclose(centre(fixed), apply(LATTICE.ijk_to_ras, index), atol=0.05)


def test_none_is_the_identity_and_judged_all_the_same(chests):
    fixed = chests.fixed(masks=True)
    near = align(fixed, chests.moving(np.eye(4), masks=True), "none")
    np.testing.assert_array_equal(near.matrix, np.eye(4))
    assert near.doubts == ()
    assert near.similarity > 0.7


@pytest.mark.parametrize("masks", [True, False])
def test_images_that_do_not_overlap_are_doubted(chests, masks):
    apart = chests.moving(translation(np.array([0, 1000.0, 0])), masks=masks)
    found = align(chests.fixed(masks=masks), apart, "none")
    assert found.overlap == 0
    assert found.doubts == ("the images do not overlap after alignment",)


def test_an_unknown_mode_is_answered_with_those_that_exist(chests):
    with pytest.raises(ValueError, match="'rigid', expected one of none, centre, affine"):
        align(chests.fixed(masks=True), chests.fixed(masks=True), "rigid")


def test_the_images_stay_as_they_were(chests):
    fixed, moving = chests.fixed(masks=True), chests.moving(FAR, masks=True)
    before = [v.array.copy() for v in (fixed.image, fixed.lungs, moving.image, moving.lungs)]
    align(fixed, moving, "centre")
    for volume, array in zip((fixed.image, fixed.lungs, moving.image, moving.lungs), before, strict=True):
        np.testing.assert_array_equal(volume.array, array)


# --- its parts


def test_promising_offsets_are_apart_and_best_first(chests):
    fixed = chests.fixed(masks=True)
    offsets = [np.array(o, float) for o in ([90, 0, 0], [3, 0, 0], [0, 0, 0], [0, 40, 0], [0, 0, -60])]
    found = [matrix[:3, 3] for matrix in promising(make_scene(fixed, fixed), offsets)]
    assert len(found) == 3
    np.testing.assert_array_equal(found[0], 0)
    assert all(np.linalg.norm(a - b) > DISTINCT_MM for n, a in enumerate(found) for b in found[:n])


def test_about_turns_around_its_pivot():
    pivot, angle = torch.tensor([10.0, -20, 30]), 0.3
    generator = torch.tensor([[0, -angle, 0], [angle, 0, 0], [0, 0, 0]])
    matrix = about(pivot, generator, torch.tensor([1.0, 2, 3])).double().numpy()
    np.testing.assert_allclose(apply(matrix, pivot.numpy()), [11, -18, 33], atol=1e-5)
    turned = apply(matrix, np.array([15.0, -20, 30]))
    np.testing.assert_allclose(turned, [11 + 5 * np.cos(angle), -18 + 5 * np.sin(angle), 33], atol=1e-5)


def test_masked_correlation_equals_a_direct_loop():
    rng = np.random.default_rng(0)
    f, m = rng.normal(size=(4, 5, 3)), rng.normal(2, 3, size=(5, 3, 4))
    f_known, m_known = (rng.uniform(size=a.shape) < 0.8 for a in (f, m))
    correlation, overlap = masked_correlation(f, f_known.astype(float), m, m_known.astype(float))
    assert correlation.shape == overlap.shape == (8, 7, 6)
    compared = 0
    for index in np.ndindex(correlation.shape):
        shift = np.array(index) - np.array(f.shape) + 1
        pairs = []
        for p in np.argwhere(f_known):
            q = p + shift
            if (q >= 0).all() and (q < m.shape).all() and m_known[tuple(q)]:
                pairs.append((f[tuple(p)], m[tuple(q)]))
        assert overlap[index] == max(len(pairs), 1)
        if len(pairs) > 4:
            assert correlation[index] == pytest.approx(np.corrcoef(np.transpose(pairs))[0, 1], abs=2e-3)
            compared += 1
    assert compared > 50
