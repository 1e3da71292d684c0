"""The shallow network that tells patients apart by their residual deformation, and how it learns.

Christodoulidis et al. 2018, arXiv 1809.06226, say of it: 3D convolutions, binary cross-entropy, learning rate 1e-4
halved every 50 epochs. Everything else is a choice of this project.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

SLOPE = 0.01
LEAST_SPREAD_MM = 1e-3


@dataclass(frozen=True)
class Training:
    """How the network learns.

    Attributes:
        epochs: Times that every patient is seen.
        learning_rate: Of Adam, in the first epochs.
        halved_every: Epochs after which the learning rate is halved, again and again.
        batch: Patients per step.
        channels: Of the convolutions, each of which halves the lattice.
    """

    epochs: int = 100
    learning_rate: float = 1e-4
    halved_every: int = 50
    batch: int = 4
    channels: tuple[int, ...] = (8, 16, 32)


class ShallowNetwork(nn.Module):
    """3x3x3 convolutions with stride 2, each half of the lungs (upper, front, right, ...) averaged, one linear layer.

    Without normalisation within a patient: how far tissue moves is what matters most. What it sees is how a patient
    differs from the mean of those it learns from, in units of the standard deviation.

    Args:
        channels: Of the convolutions.
        mean: Displacement of those it learns from, ``(1, 3, K, J, I)`` in mm.
        spread: Standard deviation about it along R, A, S, ``(1, 3, 1, 1, 1)`` in mm.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, channels: tuple[int, ...], mean: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)
        layers: list[nn.Module] = []
        for before, after in zip((3, *channels), channels, strict=False):
            convolution = nn.Conv3d(before, after, 3, stride=2, padding=1)
            nn.init.kaiming_normal_(convolution.weight, SLOPE, nonlinearity="leaky_relu")
            layers += [convolution, nn.LeakyReLU(SLOPE)]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool3d(2), nn.Flatten())
        self.score = nn.Linear(8 * channels[-1], 1)

    def forward(self, displacement: Tensor) -> Tensor:
        """Logits ``(N,)``, above zero for ill, of displacements ``(N, 3, K, J, I)`` in mm."""
        return self.score(self.features((displacement - self.mean) / self.spread))[:, 0]


def as_input(displacement: np.ndarray) -> Tensor:
    """Displacements ``(N, 3, K, J, I)`` in mm as the network reads them fastest."""
    return torch.from_numpy(np.asarray(displacement, np.float32)).to(memory_format=torch.channels_last_3d)


def fit(displacement: Tensor, ill: np.ndarray, training: Training, seed: int) -> ShallowNetwork:
    """Train a network.

    Args:
        displacement: ``(N, 3, K, J, I)`` in mm, see :func:`as_input`.
        ill: bool ``(N,)``.
        training: How.
        seed: Of the weights and of the order; torch's own generators stay as they are.

    Returns:
        The network after the last epoch: no patient chooses an earlier one.
    """
    mean = displacement.mean(dim=0, keepdim=True)
    spread = (displacement - mean).square().mean(dim=(0, 2, 3, 4), keepdim=True).sqrt().clamp_min(LEAST_SPREAD_MM)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ShallowNetwork(training.channels, mean, spread)
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    order = torch.Generator().manual_seed(seed)
    targets = torch.from_numpy(ill.astype(np.float32))
    optimiser = torch.optim.Adam(network.parameters(), training.learning_rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, training.halved_every, 0.5)
    for _ in range(training.epochs):
        for rows in torch.randperm(len(targets), generator=order).split(training.batch):
            loss = binary_cross_entropy_with_logits(network(displacement[rows]), targets[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
    return network.eval()


def logits(network: ShallowNetwork, displacement: Tensor) -> np.ndarray:
    """What the network says, ``(N,)`` float64: above zero for ill."""
    with torch.no_grad():
        return network(displacement).double().numpy()


def saliency(network: ShallowNetwork, displacement: Tensor) -> np.ndarray:
    """How much the logit depends on where each voxel moves: the length of its gradient, ``(N, K, J, I)`` per mm.

    Simonyan et al. 2014, arXiv 1312.6034, for a vector a voxel.
    """
    looked_at = displacement.detach().clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(network(looked_at).sum(), looked_at)
    return gradient.norm(dim=1).numpy()
