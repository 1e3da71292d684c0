"""Passes of a network in training: what each sees, and that they add up to one map."""

import pytest
import torch
from LungDeepRegLib.deformation import compose_with_affine, displacement_grid, finer
from LungDeepRegLib.network import NetworkConfig, NetworkOutput
from LungDeepRegLib.warp import warp

from training.cascade import CascadeError, coarser, found_together, passes_of, remaining
from training.learner import Learner, landmark_misses
from training.losses import Loss
from training.pairs import Pair, batch_of

SHAPE = (16, 12, 20)


def smooth(size, phase=0.0, shape=SHAPE):
    """A displacement that is zero at the borders, ``(3, K, J, I)`` in voxels."""
    axes = [torch.linspace(0, torch.pi, n) for n in shape]
    k, j, i = torch.meshgrid(*axes, indexing="ij")
    window = k.sin() * j.sin() * i.sin()
    return size * window * torch.stack([(j + phase).cos(), (k - phase).sin(), (i + k).cos()])


def pair(size=1.5):
    k, j, i = torch.meshgrid(*(torch.arange(float(n)) for n in SHAPE), indexing="ij")
    moving = (0.5 + 0.2 * (i / 3 + k / 5).sin() + 0.2 * (j / 4).cos())[None]
    u = smooth(size)
    fixed = warp(moving[None], displacement_grid(u[None]))[0]
    lungs = torch.ones(1, *SHAPE)
    x = torch.tensor([[5.0, 7, 9], [12, 6, 4]])
    landmarks = torch.stack([x, x + u[:, x[:, 2].long(), x[:, 1].long(), x[:, 0].long()].T], dim=1)
    one = Pair.of_images(
        fixed, moving, fixed_lungs=lungs, moving_lungs=lungs, displacement=u, certainty=lungs, landmarks=landmarks
    )
    return batch_of([one])


def test_coarse_pairs_hold_block_means_and_smaller_numbers():
    batch = pair()
    seen = coarser(batch, 2)
    assert seen.fixed.shape == (1, 1, 8, 6, 10)
    torch.testing.assert_close(seen.moving[0, 0, 1, 2, 3], batch.moving[0, 0, 2:4, 4:6, 6:8].mean())
    torch.testing.assert_close(
        seen.displacement[0, :, 1, 2, 3], batch.displacement[0, :, 2:4, 4:6, 6:8].mean((1, 2, 3)) / 2
    )
    # voxels 2 and 3 meet at 2.5, in the middle of block 1
    assert torch.equal(
        coarser(batch._replace(landmarks=torch.full((1, 1, 2, 3), 2.5)), 2).landmarks, torch.ones(1, 1, 2, 3)
    )
    assert landmark_misses(seen.landmarks, seen.displacement).norm(dim=-1).max() < 0.1


def test_what_remains_ends_where_the_whole_leads():
    batch, found = pair(), smooth(1.0, 0.4)[None]
    left = remaining(batch, found)
    together = left.displacement + warp(found, displacement_grid(left.displacement))
    assert (together - batch.displacement).abs().max() < 0.01
    assert torch.equal(left.moving, warp(batch.moving, displacement_grid(found)))
    assert torch.equal(left.fixed, batch.fixed)
    assert left.landmarks.shape[1] == 0


def test_nothing_remains_of_what_was_found_whole():
    batch = pair()
    left = remaining(batch, batch.displacement)
    assert left.displacement.abs().max() < 0.01
    assert (left.moving - left.fixed).abs().max() < 1e-6


class Known:
    """A network that finds these displacements, one after the other, and notes what it was shown."""

    def __init__(self, *found):
        self.found, self.shown = list(found), []

    def __call__(self, seen):
        self.shown.append(seen)
        u = self.found[len(self.shown) - 1]
        return NetworkOutput(torch.ones_like(u), None, displacement_grid(u))


def test_each_pass_sees_what_those_before_left():
    coarse, fine = smooth(0.5, shape=(8, 6, 10))[None], smooth(0.7, 1.0)[None]
    network, batch = Known(coarse, fine), pair()
    outputs = [output for _, output in passes_of(network, batch, (2.0, 1.0))]
    first, second = network.shown
    assert first.fixed.shape[2:] == (8, 6, 10)
    assert torch.equal(first.moving, coarser(batch, 2).moving)
    expected = remaining(batch, finer(coarse, 2))
    torch.testing.assert_close(second.moving, expected.moving, rtol=0, atol=1e-5)
    # warping by the passes together is warping by one after the other
    total = found_together(outputs, (2.0, 1.0)).displacement()
    by_hand = fine + warp(finer(coarse, 2), displacement_grid(fine))
    torch.testing.assert_close(total, by_hand, rtol=0, atol=1e-5)


def test_one_pass_is_the_network_alone_with_its_matrix():
    u = smooth(1.0)[None]
    matrix = torch.eye(3, 4)[None] + 0.05
    output = NetworkOutput(torch.ones_like(u), matrix, compose_with_affine(u, matrix))
    torch.testing.assert_close(found_together([output], (1.0,)).grid, output.grid, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("passes", "stride"), [((1.5,), 1), ((3.0, 1.0), 1), ((0.5,), 1), ((4.0,), 2)])
def test_passes_of_broken_blocks_are_refused(passes, stride):
    config = NetworkConfig((4,), (1,), (4,), squeeze_reduction=2, stride=stride, lattice_shape=SHAPE, passes=passes)
    with pytest.raises(CascadeError, match="whole"):
        Learner(config)


@pytest.mark.parametrize("local_gradients", [False, True])
def test_the_loss_is_the_sum_over_the_passes_and_teaches_every_weight(local_gradients):
    config = NetworkConfig(
        (8, 8), (1, 2), (8,), squeeze_reduction=2, stride=2, matches=1, lattice_shape=SHAPE, passes=(2.0, 1.0)
    )
    loss = Loss(similarity="", spatial_gradients=0.0, known_displacement=1.0)
    learner, batch = Learner(config, loss, local_gradients=local_gradients), pair()
    learner.log = learner.log_dict = lambda *_, **__: None
    with torch.no_grad():
        for weight in learner.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    passes = passes_of(learner._output, batch, config.passes)
    parts = [loss(seen, output)["loss"].item() for seen, output in passes]
    found = learner.training_step(batch, 0)
    found.backward()
    assert len(set(parts)) == 2
    # with local gradients there is a penalty besides
    assert found.item() > sum(parts) if local_gradients else found.item() == pytest.approx(sum(parts), rel=1e-5)
    assert all(bool(weight.grad.any()) for weight in learner.parameters() if weight.requires_grad)
