"""A network whose sum of spatial gradients is learnt as if it weren't one.

Phi adds up along whole lines of voxels, so an error at one voxel moves all that follow, and the gradient of a loss adds
up likewise: what evidence says about one place drowns in the noise of its whole line. Two steps undo that and leave the
network as it is, so that any program that reads its weights gets the same result:

* The last convolution's weights are kept as differences along each axis of other weights, which give a displacement h
  from the evidence around a voxel. Then ``Phi - 1 = tanh(h(p) - h(p - 1))``, whose sum is nearly ``h(p) - h(0)``.
* The displacement has the value of the true sum, but the derivative of h.

h on the first plane isn't learnt by this; :func:`border` is a penalty that keeps it at zero. Losses of Phi itself teach
nothing in this way: it comes without a derivative.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from LungDeepRegLib.deformation import compose_with_affine, displacement_grid, finer, integrate
from LungDeepRegLib.network import DeformableBranch, NetworkOutput, RegistrationNetwork, full_precision, seen
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .errors import TrainingError

LAST = "deformable_branch.gradients"
ORIGINAL = f"{LAST}.parametrizations.weight.original"
ROUNDING = 1e-2
"""Stored weights needn't have full precision: how far from a difference they may be, relative to the largest one."""


class LocalGradientsError(TrainingError):
    """A network whose last convolution takes no differences, so that it can't be learnt as if it did."""


class Differences(nn.Module):
    """Weights ``(3, C, 3, 3, 3)`` that give h, to weights that give ``2 (h(p) - h(p - 1))``, channel d along its axis.

    Of h's weights those of the last plane along the channel's own axis are not used: the difference of two planes of
    weights fills three.
    """

    def forward(self, weights: Tensor) -> Tensor:
        """The convolution's weights."""
        return torch.stack([2 * (ahead(weights[d], 3 - d) - behind(weights[d], 3 - d)) for d in range(3)])

    def right_inverse(self, weights: Tensor) -> Tensor:
        """h's weights for those of a convolution that takes differences, see :func:`takes_differences`."""
        return torch.stack([halves(weights[d], 3 - d) for d in range(3)])


def halves(weights: Tensor, axis: int) -> Tensor:
    """h's weights w0, w1, 0 along an axis, from ``2 (-w0, w0 - w1, w1)``."""
    first, last = weights.narrow(axis, 0, 1), weights.narrow(axis, 2, 1)
    return torch.cat([-first / 2, last / 2, torch.zeros_like(first)], axis)


def takes_differences(weights: Tensor, bias: Tensor) -> bool:
    """Whether a convolution ``(3, C, 3, 3, 3)`` gives ``h(p) - h(p - 1)`` for some h: its planes have the sum zero."""
    with torch.no_grad():
        sums = torch.stack([weights[d].sum(3 - d) for d in range(3)])
        most = ROUNDING * weights.abs().amax()
        return bool(sums.abs().amax() <= most) and bool(bias.abs().amax() <= most)


def ahead(weights: Tensor, axis: int) -> Tensor:
    """The first two planes of weights as the last two of three: h at the voxel itself."""
    first = weights.narrow(axis, 0, 2)
    return torch.cat([torch.zeros_like(first.narrow(axis, 0, 1)), first], axis)


def behind(weights: Tensor, axis: int) -> Tensor:
    """The first two planes of weights followed by zeros: h at the voxel before."""
    first = weights.narrow(axis, 0, 2)
    return torch.cat([first, torch.zeros_like(first.narrow(axis, 0, 1))], axis)


def learn_differences(network: RegistrationNetwork) -> None:
    """Keep the last convolution's weights as differences from now on; what the network finds stays the same.

    Args:
        network: A fresh one, or one that was trained in this way.

    Raises:
        LocalGradientsError: A network that was trained otherwise.
    """
    last = network.deformable_branch.gradients
    assert last.bias is not None
    if not takes_differences(last.weight, last.bias):
        msg = (
            "found a network whose last convolution takes no differences of voxels, expected a fresh one or one that"
            " was trained with local_gradients: true"
        )
        raise LocalGradientsError(msg)
    parametrize.register_parametrization(last, "weight", Differences())
    with torch.no_grad():
        last.bias.zero_()
    last.bias.requires_grad_(False)


def plain_weights(network: RegistrationNetwork) -> dict[str, Tensor]:
    """The state of a network as one without :func:`learn_differences` has it."""
    state = dict(network.state_dict())
    original = state.pop(ORIGINAL, None)
    return state if original is None else {**state, f"{LAST}.weight": Differences()(original)}


def local_output(
    network: RegistrationNetwork, fixed: Tensor, moving: Tensor, *, use_linear: bool
) -> tuple[NetworkOutput, Tensor]:
    """What the network finds, with local derivatives.

    Args:
        network: After :func:`learn_differences`.
        fixed: ``(B, 1, K, J, I)`` in [0, 1].
        moving: Likewise.
        use_linear: Whether the linear branch takes part.

    Returns:
        The output, whose values are those of ``network(fixed, moving)``, whose grid has the derivative of h, and whose
        spatial gradients have none; and h, of their shape, in the network's voxels.
    """
    features = network.encoder(seen(fixed, moving, network.config))
    affine = network.linear_branch(features) if use_linear and network.linear_branch is not None else None
    branch: DeformableBranch = network.deformable_branch
    features = branch.blocks(branch.excitation(features))
    with full_precision(features.device):
        weights = branch.gradients.parametrizations.weight.original  # type: ignore[union-attr]
        features = features.to(weights.dtype)
        h = functional.conv3d(features, torch.stack([ahead(weights[d], 3 - d) for d in range(3)]), padding=1)
        with torch.no_grad():
            gradients = 2 * torch.sigmoid(branch.gradients(features))
            rest = integrate(gradients, network.config.anchor) - h
        displacement = finer(h + rest, network.config.stride)
        grid = displacement_grid(displacement) if affine is None else compose_with_affine(displacement, affine)
    return NetworkOutput(gradients, affine, grid), h


def border(h: Tensor) -> Tensor:
    """Mean square of h ``(B, 3, K, J, I)`` on the first plane of each component's own axis, from where it is summed up.

    In squared voxels, the sum of the three components.
    """
    return torch.stack([h[:, d].select(3 - d, 0).square().mean() for d in range(3)]).sum()
