"""The terms of the loss against formulas written out in numpy."""

import math

import numpy as np
import pytest
import torch
from LungDeepRegLib.deformation import ANCHORS, displacement_grid, integrate
from LungDeepRegLib.network import NetworkOutput, compose
from LungDeepRegLib.similarity import SimilarityError
from LungDeepRegLib.warp import identity_grid, warp

from training.losses import Loss, LossError, soft_dice, spatial_gradients, weighted_mean
from training.pairs import Pair, batch_of

SHAPE = (4, 5, 6)  # (k, j, i)
VOXELS = 4 * 5 * 6


def random_tensor(seed, *channels):
    return torch.from_numpy(np.random.default_rng(seed).random((*channels, *SHAPE), dtype=np.float32))


def pairs(**known):
    return batch_of([Pair.of_images(random_tensor(n, 1), random_tensor(n + 10, 1), **known) for n in range(2)])


def random_output(*, linear=True, pairs=2):
    random = np.random.default_rng(7)
    gradients = torch.from_numpy(random.uniform(0.8, 1.2, (pairs, 3, *SHAPE)).astype(np.float32))
    affine = torch.eye(3, 4) + 0.05 * torch.from_numpy(random.normal(size=(pairs, 3, 4)).astype(np.float32))
    return compose(gradients, affine if linear else None, "first")


def still(pairs=2):
    return compose(torch.ones(pairs, 3, *SHAPE), None, "first")


def moved_by(displacement, pairs=2):
    """An output with this displacement in voxels, ``(3,)`` or ``(3, K, J, I)``."""
    whole = torch.as_tensor(displacement, dtype=torch.float32).reshape(
        3, *([1, 1, 1] if np.ndim(displacement) < 4 else SHAPE)
    )
    whole = whole.expand(pairs, 3, *SHAPE)
    return NetworkOutput(spatial_gradients(whole), None, displacement_grid(whole))


def half_full():
    lungs = torch.zeros(1, *SHAPE)
    lungs[:, :, :, :3] = 1
    return lungs


class TestThePapersLoss:
    """``|R - D|^2 + alpha |A - I|_1 + beta |Phi - 1|_1``, the norms being sums; a mean over the batch's pairs."""

    def test_as_sums(self):
        alpha, beta = 0.3, 0.02
        pair, output = pairs(), random_output()
        found = Loss(affine=alpha, spatial_gradients=beta)(pair, output)["loss"]
        r, d = pair.fixed.numpy(), warp(pair.moving, output.grid).numpy()
        a, phi = output.affine.numpy(), output.spatial_gradients.numpy()
        expected = [
            ((r[n] - d[n]) ** 2).sum() + alpha * np.abs(a[n] - np.eye(3, 4)).sum() + beta * np.abs(phi[n] - 1).sum()
            for n in range(2)
        ]
        assert float(found) == pytest.approx(np.mean(expected), rel=1e-5)

    def test_as_means_the_penalty_keeps_its_own_scale(self):
        found = Loss(affine=0.3, spatial_gradients=0.02, reduction="mean")(pairs(), random_output())
        pair, output = pairs(), random_output()
        mse = ((pair.fixed - warp(pair.moving, output.grid)) ** 2).mean()
        phi = (output.spatial_gradients - 1).abs().mean()
        affine = (output.affine - torch.eye(3, 4)).abs().sum() / 2
        assert float(found["loss"]) == pytest.approx(float(mse + 0.3 * affine + 0.02 * phi), rel=1e-5)

    def test_its_weights_are_the_defaults(self):
        assert Loss() == Loss("mse", affine=1e-6, spatial_gradients=1e-6, reduction="sum")

    def test_terms_are_reported_unweighted_and_only_where_they_exist(self):
        found = Loss(affine=0.0, spatial_gradients=0.5)(pairs(), random_output())
        assert list(found) == ["loss", "similarity", "affine", "spatial_gradients"]
        voxels = float(found["similarity"]) * VOXELS
        assert float(found["loss"]) == pytest.approx(voxels + 0.5 * float(found["spatial_gradients"]), rel=1e-5)
        assert "affine" not in Loss()(pairs(), random_output(linear=False))

    def test_the_identity_on_equal_images_costs_nothing(self):
        image = random_tensor(0, 1)
        found = Loss()(batch_of([Pair.of_images(image, image)]), still(1))
        assert float(found["loss"]) < 1e-8


class TestSimilarityInLungs:
    def test_counts_voxels_by_the_fixed_mask(self):
        lungs = half_full()
        pair, output = pairs(fixed_lungs=lungs), random_output(linear=False)
        found = Loss(similarity_in_lungs=True, spatial_gradients=0.0)(pair, output)["loss"]
        square = (pair.fixed - warp(pair.moving, output.grid)).square()
        assert float(found) == pytest.approx(float(square[:, :, :, :, :3].mean() * VOXELS), rel=1e-5)

    def test_a_pair_without_a_mask_counts_everywhere_and_leaves_the_others_alone(self):
        loss, output = Loss(similarity_in_lungs=True, spatial_gradients=0.0), random_output(linear=False)
        pair = pairs(fixed_lungs=half_full())
        pair.fixed_lungs[1] = 0
        square = (pair.fixed - warp(pair.moving, output.grid)).square()
        expected = (square[0, 0, :, :, :3].mean() + square[1].mean()) / 2
        assert float(loss(pair, output)["similarity"]) == pytest.approx(float(expected), rel=1e-5)

    def test_without_any_mask_nothing_changes(self):
        output = random_output()
        assert Loss(similarity_in_lungs=True)(pairs(), output)["loss"] == pytest.approx(
            float(Loss()(pairs(), output)["loss"]), rel=1e-6
        )


class TestOverlap:
    def test_is_one_minus_dice_of_the_warped_moving_lungs(self):
        shifted = half_full().roll(1, dims=3)  # moving lungs one voxel further along i: warp looks there
        pair = pairs(fixed_lungs=half_full(), moving_lungs=shifted)
        loss = Loss(similarity="", overlap=2.0, spatial_gradients=0.0)
        assert float(loss(pair, still())["loss"]) == pytest.approx(2 * (1 - 2 / 3), rel=1e-5)
        assert float(loss(pair, moved_by([1, 0, 0]))["overlap"]) == pytest.approx(0, abs=1e-5)

    def test_pairs_without_both_masks_are_left_out(self):
        loss = Loss(similarity="", overlap=1.0, spatial_gradients=0.0)
        pair = pairs(fixed_lungs=half_full(), moving_lungs=half_full().roll(1, dims=3))
        pair.moving_lungs[1] = 0
        assert float(loss(pair, still())["overlap"]) == pytest.approx(1 - 2 / 3, rel=1e-5)
        output = random_output()
        output.grid.requires_grad_()
        none = loss(pairs(fixed_lungs=half_full()), output)["overlap"]
        none.backward()
        assert none.item() == 0
        assert float(output.grid.grad.abs().sum()) == 0

    def test_lungs_moved_out_of_each_other_are_the_worst_not_left_out(self):
        last = torch.zeros(1, *SHAPE)
        last[:, :, :, 5] = 1
        pair = pairs(fixed_lungs=last, moving_lungs=last)
        loss = Loss(similarity="", overlap=1.0, spatial_gradients=0.0)
        assert float(loss(pair, moved_by([-3, 0, 0]))["overlap"]) == pytest.approx(1)

    def test_dice_of_masks(self):
        first, second = torch.zeros(3, 1, *SHAPE), torch.zeros(3, 1, *SHAPE)
        first[0, ..., :2], second[0, ..., 1:3] = 1, 1  # half of each is shared
        first[1, ..., :2] = 1  # nothing is shared
        assert float(soft_dice(first, second)) == pytest.approx((0.5 + 0) / 2)
        assert float(soft_dice(first[2:], second[2:])) == 1


class TestKnownMap:
    def test_the_distance_is_in_voxels(self):
        known = torch.tensor([2.0, -1.0, 2.0]).reshape(3, 1, 1, 1).expand(3, *SHAPE)
        pair = pairs(displacement=known, certainty=torch.ones(1, *SHAPE))
        loss = Loss(similarity="", known_displacement=1.5, spatial_gradients=0.0)
        assert float(loss(pair, still())["loss"]) == pytest.approx(1.5 * 3, rel=1e-4)
        assert float(loss(pair, moved_by([2, -1, 2]))["loss"]) == pytest.approx(1.5 * 0.01, rel=1e-2)

    def test_gradients_are_compared_along_each_axis(self):
        i = torch.arange(SHAPE[2]).float().reshape(1, 1, -1).expand(SHAPE)
        known = torch.stack([0.25 * i, torch.zeros(SHAPE), torch.zeros(SHAPE)])
        pair = pairs(displacement=known, certainty=torch.ones(1, *SHAPE))
        loss = Loss(similarity="", known_spatial_gradients=1.0, spatial_gradients=0.0)
        assert float(loss(pair, still())["loss"]) == pytest.approx(0.25 * 5 / 6, rel=1e-5)  # none on the first plane
        assert float(loss(pair, moved_by(known.numpy()))["loss"]) == pytest.approx(0, abs=1e-6)

    def test_gradients_of_blocks_are_compared_with_those_of_block_means(self):
        i = torch.arange(SHAPE[2]).float().reshape(1, 1, -1).expand(SHAPE)
        known = torch.stack([0.25 * i, torch.zeros(SHAPE), torch.zeros(SHAPE)])
        pair = pairs(displacement=known, certainty=torch.ones(1, *SHAPE))
        blocks = torch.ones(2, 3, *(n // 2 for n in SHAPE))
        blocks[:, 0, :, :, 1:] += 0.25  # a block per block, as a voxel per voxel
        output = still()._replace(spatial_gradients=blocks)
        loss = Loss(similarity="", known_spatial_gradients=1.0, spatial_gradients=0.0)
        assert float(loss(pair, output)["loss"]) == pytest.approx(0, abs=1e-6)

    def test_lungs_count_more_and_what_is_uncertain_not_at_all(self):
        i = torch.arange(SHAPE[2]).float().reshape(1, 1, -1).expand(SHAPE)
        known = torch.stack([i, torch.zeros(SHAPE), torch.zeros(SHAPE)])  # distances 0 to 5 along i
        certainty = (i < 5).float()[None]
        pair = pairs(displacement=known, certainty=certainty, fixed_lungs=half_full())
        found = Loss(similarity="", known_displacement=1.0, outside_lungs=0.25)(pair, still())["known_displacement"]
        distances = np.sqrt(np.arange(5) ** 2 + 1e-4)
        expected = np.average(distances, weights=[1, 1, 1, 0.25, 0.25])
        assert float(found) == pytest.approx(expected, rel=1e-5)

    def test_nothing_certain_costs_nothing_and_has_finite_gradients(self):
        output = random_output()
        phi, grid = (tensor.detach().requires_grad_() for tensor in (output.spatial_gradients, output.grid))
        loss = Loss(similarity="", known_displacement=1.0, known_spatial_gradients=1.0, spatial_gradients=0.0)
        found = loss(pairs(displacement=random_tensor(3, 3)), NetworkOutput(phi, None, grid))["loss"]
        found.backward()
        assert found.item() == 0
        assert float(phi.grad.abs().sum()) == 0
        assert float(grid.grad.abs().sum()) == 0

    def test_the_slope_is_finite_at_the_truth(self):
        grid = identity_grid(SHAPE).expand(2, -1, -1, -1, -1).clone().requires_grad_()
        pair = pairs(certainty=torch.ones(1, *SHAPE))
        loss = Loss(similarity="", known_displacement=1.0, spatial_gradients=0.0)
        loss(pair, NetworkOutput(torch.ones(2, 3, *SHAPE), None, grid))["loss"].backward()
        assert torch.isfinite(grid.grad).all()

    def test_nothing_to_weigh_has_the_mean_zero(self):
        assert float(weighted_mean(random_tensor(0, 1, 1), torch.zeros(1, 1, *SHAPE))) == 0


class TestSpatialGradients:
    def test_their_sum_is_the_displacement_where_the_first_planes_are_still(self):
        u = random_tensor(5, 2, 3)
        for d in range(3):
            u[:, d].select(3 - d, 0).zero_()
        torch.testing.assert_close(integrate(spatial_gradients(u), "first"), u)

    @pytest.mark.parametrize("anchor", ANCHORS)
    def test_what_was_summed_up_comes_back_whatever_its_anchor(self, anchor):
        gradients = 0.8 + 0.4 * random_tensor(6, 1, 3)
        for d in range(3):
            gradients[:, d].select(3 - d, 0).fill_(1)
        found = spatial_gradients(integrate(gradients, anchor))
        if anchor == "both_ends":  # which takes the mean of each line off
            for d in range(3):
                line = gradients[:, d].narrow(3 - d, 1, SHAPE[2 - d] - 1)
                gradients[:, d].narrow(3 - d, 1, SHAPE[2 - d] - 1).sub_(line.mean(3 - d, keepdim=True) - 1)
        torch.testing.assert_close(found, gradients)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"reduction": "average"}, LossError, "found the reduction 'average' of the loss, expected one of sum, mean"),
        ({"affine": -1e-6}, LossError, "negative or no number .*affine=-1e-06.*, expected 0 or more"),
        ({"outside_lungs": -0.1}, LossError, "outside_lungs=-0.1"),
        ({"overlap": math.nan}, LossError, "overlap=nan"),
        ({"known_displacement": math.inf}, LossError, "known_displacement=inf"),
        ({"similarity": ""}, LossError, "found nothing to compare .*expected a similarity, an overlap or a known map"),
        ({"similarity": "msse"}, SimilarityError, "found the similarity 'msse'"),
    ],
)
def test_weights_that_make_no_loss_are_refused(settings, error, said):
    with pytest.raises(error, match=said):
        Loss(**settings)


@pytest.mark.parametrize("similarity", ["ncc", "lncc=1,mi=0.5", "mind"])
def test_other_similarities_of_the_engine_by_name(similarity):
    output = compose(torch.ones(1, 3, 12, 12, 12), None, "first")
    image = torch.rand(1, 1, 12, 12, 12, generator=torch.Generator().manual_seed(0))
    pair = batch_of([Pair.of_images(image[0], image[0])])
    worse = pair._replace(moving=image.flip(2))
    loss = Loss(similarity=similarity, reduction="mean")
    assert float(loss(pair, output)["loss"]) < float(loss(worse, output)["loss"])
