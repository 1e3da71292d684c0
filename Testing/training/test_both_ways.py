"""Pairs in both directions."""

import numpy as np
import pytest
import torch
from LungDeepRegLib.deformation import displacement_grid
from LungDeepRegLib.warp import warp
from scipy import ndimage

from training.both_ways import both_ways, inverse_displacement, reverse
from training.pairs import Pair, batch_of

SHAPE = (18, 15, 20)


def indices():
    """Voxel positions in the order ``(i, j, k)``, ``(3, K, J, I)``."""
    return np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij")[::-1]).astype(np.float64)


def still_borders(size, phase=0.0):
    """A displacement of a few half waves across the lattice, zero at its borders, ``(3, K, J, I)``."""
    x = indices() / (np.array(SHAPE[::-1]) - 1).reshape(3, 1, 1, 1) * np.pi
    window = np.sin(x).prod(axis=0)
    u = size * window * np.stack([np.cos(x[1] + phase), np.sin(x[2] - phase), np.cos(x[0] + x[2])])
    return torch.from_numpy(u.astype(np.float32))


def picture(positions):
    """An image as a function of voxel positions ``(3, ...)``, with a wave length of about 20 voxels."""
    i, j, k = np.asarray(positions, dtype=np.float64)
    return torch.from_numpy((0.5 + 0.2 * np.sin(i / 3 + k / 5) + 0.2 * np.cos(j / 4 - i / 6)).astype(np.float32))[None]


def known_pair(phase=0.0, size=2.0):
    """``fixed(x) = moving(x + u(x))``, with landmarks that follow u."""
    u = still_borders(size, phase)
    x = torch.tensor([[5.0, 7, 9], [12, 6, 4], [9, 8, 13]])
    landmarks = torch.stack([x, x + u[:, x[:, 2].long(), x[:, 1].long(), x[:, 0].long()].T], dim=1)
    y = indices() + u.numpy()
    fixed_lungs, moving_lungs = (torch.from_numpy((at[2] < 9).astype(np.float32))[None] for at in (y, indices()))
    return Pair.of_images(
        picture(y), picture(indices()), fixed_lungs=fixed_lungs, moving_lungs=moving_lungs, displacement=u,
        certainty=torch.ones(1, *SHAPE), landmarks=landmarks,
    )  # fmt: skip


@pytest.mark.parametrize("size", [0.5, 2.0])
def test_the_inverse_composes_to_the_identity(size):
    u = torch.stack([still_borders(size, phase) for phase in (0.0, 1.0, 2.0)])
    w = inverse_displacement(u)
    assert float((w + warp(u, displacement_grid(w))).abs().max()) < 5e-3 * size  # u after w
    assert float((u + warp(w, displacement_grid(u))).abs().max()) < 0.08 * size  # w after u, interpolated once more


def test_a_translation_inverts_to_its_opposite():
    u = torch.tensor([1.5, -2, 0.25]).reshape(1, 3, 1, 1, 1).expand(1, 3, *SHAPE)
    torch.testing.assert_close(inverse_displacement(u), -u)


def test_the_reverse_map_warps_the_fixed_image_onto_the_moving_one():
    pair = batch_of([known_pair(), known_pair(1.0)])
    back = reverse(pair)
    assert torch.equal(back.fixed, pair.moving)
    assert torch.equal(back.moving, pair.fixed)
    assert torch.equal(back.fixed_lungs, pair.moving_lungs)
    before = (back.fixed - back.moving).abs().mean()
    after = (back.fixed - warp(back.moving, displacement_grid(back.displacement))).abs().mean()
    assert float(after) < 0.1 * float(before)
    assert float(back.certainty.mean()) == 1


def test_landmarks_change_places_and_follow_the_reverse_map():
    pair = batch_of([known_pair()])
    back = reverse(pair)
    assert torch.equal(back.landmarks[:, :, 0], pair.landmarks[:, :, 1])
    assert torch.equal(back.landmarks[:, :, 1], pair.landmarks[:, :, 0])
    for y, x in back.landmarks[0]:
        at = np.stack(
            [ndimage.map_coordinates(c, y.numpy()[::-1, None], order=1)[0] for c in back.displacement[0].numpy()]
        )
        assert y.numpy() + at == pytest.approx(x.numpy(), abs=0.06)


def test_a_batch_is_followed_by_its_reverse_and_its_mean_motion_is_none():
    still = torch.tensor([2.0, 1.0, -1.0]).reshape(3, 1, 1, 1).expand(3, *SHAPE).contiguous()
    both = both_ways(batch_of([known_pair()._replace(displacement=still), known_pair(1.0)]))
    assert all(len(part) == 4 for part in both)
    torch.testing.assert_close(both.displacement[0] + both.displacement[2], torch.zeros(3, *SHAPE))
    assert torch.equal(both.fixed[2:], both.moving[:2])


def test_nothing_is_certain_where_the_map_comes_from_beyond_the_lattice():
    shift = torch.tensor([3.0, 0, 0]).reshape(3, 1, 1, 1).expand(3, *SHAPE).contiguous()
    certainty = reverse(batch_of([known_pair()._replace(displacement=shift)])).certainty[0, 0]
    assert float(certainty[:, :, :2].max()) == 0
    assert float(certainty[:, :, 3:].min()) == 1


def test_nothing_is_certain_where_no_inverse_is_found():
    """Tissue stretched to 3.5 times its length: the iteration runs away from the inverse there."""
    i = torch.arange(SHAPE[2]).float() - 9.5
    u = torch.zeros(3, *SHAPE)
    u[0] = 2.5 * i.clamp(-2, 2)
    back = reverse(batch_of([known_pair()._replace(displacement=u)]))
    missed = (back.displacement + warp(u[None], displacement_grid(back.displacement))).norm(dim=1, keepdim=True)
    assert float(missed.max()) > 1
    assert float(missed[back.certainty > 0].max()) < 0.1


def test_what_was_uncertain_stays_so_where_it_went():
    pair = known_pair()
    certainty = torch.ones(1, *SHAPE)
    certainty[:, :9] = 0
    back = reverse(batch_of([pair._replace(certainty=certainty)]))
    came_from = warp(certainty[None], displacement_grid(back.displacement))
    torch.testing.assert_close(back.certainty, came_from)
    unknown = reverse(batch_of([pair._replace(certainty=0 * certainty)]))
    assert float(unknown.certainty.sum()) == 0


def test_missing_landmarks_stay_missing():
    pair = batch_of([known_pair(), known_pair(1.0)._replace(landmarks=torch.zeros(0, 2, 3))])
    back = reverse(pair)
    assert torch.isnan(back.landmarks[1]).all()
    assert not torch.isnan(back.landmarks[0]).any()
