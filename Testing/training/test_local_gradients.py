"""Learning a sum of spatial gradients by local derivatives."""

import pytest
import torch
from LungDeepRegLib.deformation import ANCHORS, integrate
from LungDeepRegLib.network import NetworkConfig, RegistrationNetwork

from training.local_gradients import (
    LocalGradientsError,
    border,
    learn_differences,
    local_output,
    plain_weights,
)

SHAPE = (9, 8, 10)
SMALL = {"encoder_channels": (6, 4), "dilations": (1, 2), "decoder_channels": (5,), "squeeze_reduction": 2}


def images(seed=0, pairs=2):
    return torch.rand(2, pairs, 1, *SHAPE, generator=torch.Generator().manual_seed(seed)).unbind()


def network(*, trained=True, linear=True, anchor="first"):
    """A small network that learns differences, by default with weights as after training."""
    made = RegistrationNetwork(NetworkConfig(**SMALL, linear_branch=linear, anchor=anchor), seed=3)
    learn_differences(made)
    if trained:
        random = torch.Generator().manual_seed(1)
        with torch.no_grad():
            original = made.deformable_branch.gradients.parametrizations.weight.original
            original.copy_(0.1 * torch.randn(original.shape, generator=random))
            if linear:
                matrix = made.linear_branch.matrix
                matrix.weight.copy_(0.05 * torch.randn(matrix.weight.shape, generator=random))
                matrix.bias.add_(0.02 * torch.randn(12, generator=random))
    return made


def plain(made):
    ordinary = RegistrationNetwork(made.config)
    ordinary.load_state_dict(plain_weights(made))
    return ordinary


def h_by_hand(made, fixed, moving):
    """h of each voxel, from the features and h's own weights: two planes of three along the component's axis."""
    features = made.encoder(torch.cat([moving, fixed], 1))
    features = made.deformable_branch.blocks(made.deformable_branch.excitation(features))
    weights = made.deformable_branch.gradients.parametrizations.weight.original
    padded = torch.nn.functional.pad(features, [2] * 6)
    h = torch.zeros(len(fixed), 3, *SHAPE)
    for d in range(3):
        for place in torch.cartesian_prod(*[torch.arange(3)] * 3).tolist():
            if place[2 - d] == 2:
                continue  # the last plane along the axis isn't used
            ahead = [n + (axis == 2 - d) for axis, n in enumerate(place)]  # the first plane lies at the voxel itself
            k, j, i = (slice(1 + n, 1 + n + size) for n, size in zip(ahead, SHAPE, strict=True))
            h[:, d] += torch.einsum("c,bckji->bkji", weights[d][:, place[0], place[1], place[2]], padded[:, :, k, j, i])
    return h


def test_a_fresh_network_stays_exactly_the_identity():
    made = network(trained=False)
    fixed, moving = images()
    output = made(fixed, moving)
    assert torch.equal(output.spatial_gradients, torch.ones_like(output.spatial_gradients))
    local, h = local_output(made, fixed, moving, use_linear=True)
    assert torch.equal(local.displacement(), torch.zeros_like(h))
    assert torch.equal(h, torch.zeros_like(h))


@pytest.mark.parametrize("linear", [True, False])
def test_an_ordinary_network_with_the_plain_weights_finds_the_same(linear):
    made = network(linear=linear)
    with torch.no_grad():
        learning, ordinary = made(*images()), plain(made)(*images())
    torch.testing.assert_close(learning.spatial_gradients, ordinary.spatial_gradients)
    torch.testing.assert_close(learning.grid, ordinary.grid)
    assert float(ordinary.displacement().abs().max()) > 0.5


def test_plain_weights_of_an_ordinary_network_are_its_own():
    ordinary = RegistrationNetwork(NetworkConfig(**SMALL))
    assert plain_weights(ordinary).keys() == ordinary.state_dict().keys()
    assert all(torch.equal(tensor, ordinary.state_dict()[name]) for name, tensor in plain_weights(ordinary).items())


@pytest.mark.parametrize("anchor", ANCHORS)
@pytest.mark.parametrize("use_linear", [True, False])
def test_local_outputs_have_the_networks_values(anchor, use_linear):
    made = network(anchor=anchor)
    with torch.no_grad():
        expected = made(*images(), use_linear=use_linear)
    found, _ = local_output(made, *images(), use_linear=use_linear)
    torch.testing.assert_close(found.spatial_gradients, expected.spatial_gradients)
    torch.testing.assert_close(found.displacement(), expected.displacement(), atol=1e-5, rtol=1e-5)
    assert (found.affine is None) == (not use_linear)
    if use_linear:
        torch.testing.assert_close(found.affine, expected.affine)


def test_the_excess_of_phi_is_the_tanh_of_differences_of_h():
    made = network()
    fixed, moving = images()
    output, h = local_output(made, fixed, moving, use_linear=False)
    torch.testing.assert_close(h, h_by_hand(made, fixed, moving), atol=1e-5, rtol=1e-5)
    for d in range(3):
        difference = h[:, d].diff(dim=3 - d)
        excess = (output.spatial_gradients[:, d] - 1).narrow(3 - d, 1, SHAPE[2 - d] - 1)
        torch.testing.assert_close(excess, torch.tanh(difference), atol=1e-5, rtol=1e-5)


def test_small_displacements_are_h_less_its_first_plane():
    made = network()
    with torch.no_grad():
        made.deformable_branch.gradients.parametrizations.weight.original.mul_(0.01)
        output, h = local_output(made, *images(), use_linear=False)
    u = output.displacement()
    for d in range(3):
        expected = h[:, d] - h[:, d].narrow(3 - d, 0, 1)
        torch.testing.assert_close(u[:, d], expected, atol=2e-3 * float(u.abs().max()), rtol=0)


class TestDerivatives:
    def gradient_of_h(self, loss_of, *, use_linear):
        output, h = local_output(network(), *images(pairs=1), use_linear=use_linear)
        return torch.autograd.grad(loss_of(output.displacement()), h)[0]

    def test_what_happens_at_a_voxel_teaches_h_at_that_voxel_alone(self):
        gradient = self.gradient_of_h(lambda u: 3 * u[0, 1, 4, 5, 6], use_linear=False)
        expected = torch.zeros_like(gradient)
        expected[0, 1, 4, 5, 6] = 3
        torch.testing.assert_close(gradient, expected)

    def test_with_an_affine_map_h_where_it_goes(self):
        gradient = self.gradient_of_h(lambda u: u[0, 1, 4, 5, 6], use_linear=True)
        touched = gradient.nonzero()
        assert 1 <= len(touched) <= 8
        assert set(touched[:, 1].tolist()) == {1}
        assert int((touched[:, 2:] - torch.tensor([4, 5, 6])).abs().max()) <= 3
        assert float(gradient.sum()) == pytest.approx(1, rel=1e-5)

    def test_the_true_sum_would_teach_its_whole_line(self):
        phi = torch.ones(1, 3, *SHAPE, requires_grad=True)
        integrate(phi, "first")[0, 0, 4, 5, 6].backward()
        assert len(phi.grad.nonzero()) == 6

    def test_all_weights_but_the_bias_and_the_unused_plane_learn(self):
        made = network()
        output, h = local_output(made, *images(), use_linear=True)
        (output.displacement().square().mean() + border(h)).backward()
        learning = {name: p.grad for name, p in made.named_parameters() if p.requires_grad}
        assert all(grad is not None and float(grad.abs().sum()) > 0 for grad in learning.values())
        assert not made.deformable_branch.gradients.bias.requires_grad
        grad = made.deformable_branch.gradients.parametrizations.weight.original.grad
        for d in range(3):
            assert float(grad[d].select(3 - d, 2).abs().sum()) == 0
            assert float(grad[d].select(3 - d, 1).abs().sum()) > 0

    def test_phi_itself_has_none(self):
        output, _ = local_output(network(), *images(), use_linear=True)
        assert not output.spatial_gradients.requires_grad

    def test_a_step_down_the_local_gradient_lowers_the_true_loss(self):
        made = network(linear=False)
        fixed, moving = images(pairs=1)
        target = 0.3 * torch.sin(torch.linspace(0, 3, SHAPE[2]))
        optimizer = torch.optim.SGD([p for p in made.parameters() if p.requires_grad], lr=0.05)
        losses = []
        for _ in range(10):
            output, h = local_output(made, fixed, moving, use_linear=False)
            loss = (output.displacement() - target).square().mean()
            losses.append(loss.item())
            optimizer.zero_grad()
            (loss + border(h)).backward()
            optimizer.step()
        assert losses[-1] < 0.7 * losses[0]


class TestGoingOn:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
    def test_a_network_that_was_trained_so_finds_the_same_afterwards(self, dtype):
        """Also from weights that were stored in half precision."""
        made = network()
        stored = {name: tensor.to(dtype).float() for name, tensor in plain_weights(made).items()}
        again = RegistrationNetwork(made.config)
        again.load_state_dict(stored)
        with torch.no_grad():
            expected = again(*images())
            learn_differences(again)
            found = again(*images())
        atol = 1e-5 if dtype == torch.float32 else 0.02
        torch.testing.assert_close(found.displacement(), expected.displacement(), atol=atol, rtol=1e-3)

    def test_a_network_that_was_trained_otherwise_is_refused(self):
        other = RegistrationNetwork(NetworkConfig(**SMALL))
        torch.nn.init.normal_(other.deformable_branch.gradients.weight)
        with pytest.raises(
            LocalGradientsError, match="takes no differences of voxels, expected a fresh one or one that"
        ):
            learn_differences(other)
        biased = RegistrationNetwork(NetworkConfig(**SMALL))
        torch.nn.init.ones_(biased.deformable_branch.gradients.bias)
        with pytest.raises(LocalGradientsError):
            learn_differences(biased)


def test_border_is_the_mean_square_of_the_first_planes():
    h = torch.zeros(2, 3, *SHAPE)
    h[:, 0, :, :, 0], h[:, 1, :, 0, :], h[:, 2, 0] = 1.0, 2.0, 3.0
    assert float(border(h)) == pytest.approx(1 + 4 + 9)
    h = torch.ones(1, 3, *SHAPE)
    for d in range(3):
        h[:, d].select(3 - d, 0).zero_()
    assert float(border(h)) == 0
