"""A network whose sum of spatial gradients is learnt as if it weren't one.

Phi adds up along whole lines of voxels, so an error at one voxel moves all that follow, and the gradient of a loss adds
up likewise: what evidence says about one place drowns in the noise of its whole line. Two steps undo that and leave the
network as it is, so that any program that reads its weights gets the same result:

* The last convolution's weights are kept as differences along each axis of other weights, which give a displacement h
  from the evidence around a voxel. Then ``Phi - 1 = tanh(h(p) - h(p - 1))``, whose sum is nearly ``h(p) - h(0)``.
* The displacement has the value of the true sum, but the derivative of h.

h on the first plane isn't learnt by this; :func:`border` is a penalty that keeps it at zero.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from LungDeepRegLib.deformation import compose_with_affine, displacement_grid, integrate
from LungDeepRegLib.network import DeformableBranch, NetworkOutput, RegistrationNetwork, full_precision
from torch import Tensor, nn
from torch.nn.utils import parametrize


class Differences(nn.Module):
    """Weights ``(3, C, 3, 3, 3)`` that give h, to weights that give ``2 (h(p) - h(p - 1))``, channel d along its axis.

    Of h's weights those of the last plane along the channel's own axis are not used: the difference of two planes of
    weights fills three.
    """

    def forward(self, weights: Tensor) -> Tensor:
        """The convolution's weights."""
        return torch.stack([2 * (ahead(weights[d], 3 - d) - behind(weights[d], 3 - d)) for d in range(3)])


def ahead(weights: Tensor, axis: int) -> Tensor:
    """The first two planes of weights as the last two of three: h at the voxel itself."""
    first = weights.narrow(axis, 0, 2)
    return torch.cat([torch.zeros_like(first.narrow(axis, 0, 1)), first], axis)


def behind(weights: Tensor, axis: int) -> Tensor:
    """The first two planes of weights followed by zeros: h at the voxel before."""
    first = weights.narrow(axis, 0, 2)
    return torch.cat([first, torch.zeros_like(first.narrow(axis, 0, 1))], axis)


def learn_differences(network: RegistrationNetwork) -> None:
    """Keep the last convolution's weights as differences from now on; a fresh network stays the identity."""
    last = network.deformable_branch.gradients
    parametrize.register_parametrization(last, "weight", Differences(), unsafe=True)
    last.bias.requires_grad_(False)


def plain_weights(network: RegistrationNetwork) -> dict[str, Tensor]:
    """The state of a network as one without :func:`learn_differences` has it."""
    state = dict(network.state_dict())
    prefix = "deformable_branch.gradients."
    original = state.pop(f"{prefix}parametrizations.weight.original", None)
    return state if original is None else {**state, f"{prefix}weight": Differences()(original)}


def local_output(
    network: RegistrationNetwork, fixed: Tensor, moving: Tensor, *, use_linear: bool
) -> tuple[NetworkOutput, Tensor]:
    """What the network finds, with local derivatives; and h, ``(B, 3, K, J, I)`` in voxels."""
    features = network.encoder(moving, fixed)
    affine = network.linear_branch(features) if use_linear and network.linear_branch is not None else None
    branch: DeformableBranch = network.deformable_branch
    features = branch.blocks(branch.excitation(features))
    with full_precision(features.device):
        features = features.float()
        weights = branch.gradients.parametrizations.weight.original  # type: ignore[union-attr]
        h = functional.conv3d(features, torch.stack([ahead(weights[d], 3 - d) for d in range(3)]), padding=1)
        with torch.no_grad():
            gradients = 2 * torch.sigmoid(branch.gradients(features))
            rest = integrate(gradients, network.config.anchor) - h
        displacement = h + rest
        grid = displacement_grid(displacement) if affine is None else compose_with_affine(displacement, affine)
    return NetworkOutput(gradients, affine, grid), h


def border(h: Tensor) -> Tensor:
    """Mean square of h on the first plane of each component's own axis, from where it is summed up."""
    return torch.stack([h[:, d].select(3 - d, 0).square().mean() for d in range(3)]).sum()
