"""The network of Christodoulidis et al. 2018 (arXiv 1809.06226): two images in, an affine and a deformable map out."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .deformation import ANCHORS, compose_with_affine, displacement_grid, finer, grid_units_per_voxel, integrate
from .geometry import SPACING_LIMITS_MM
from .matching import MATCH_LIMITS, matching
from .warp import identity_grid

IMAGES = 2
PASS_LIMITS = (0.5, 8.0)
INSTANCE_NORM_EPS = 1e-5
NEGATIVE_SLOPE = 0.01


class NetworkError(ValueError):
    """A configuration or images that the network cannot have."""


@dataclass(frozen=True)
class NetworkConfig:
    """All that rebuilds a network before its weights are loaded.

    Attributes:
        encoder_channels: Of each encoder block.
        dilations: Of each encoder block, in voxels; a Fibonacci sequence leaves no voxel unseen.
        decoder_channels: Of each block of the deformable branch.
        squeeze_reduction: How many channels share one value in squeeze and excitation.
        linear_branch: Whether there is one.
        anchor: What pins the sum of the spatial gradients, see :func:`deformation.integrate`.
        lattice_shape: Voxels ``(K, J, I)`` of the lattice that the weights were trained for.
        lattice_spacing_mm: Its spacing along ``(i, j, k)``, which are nearest to R, A and S.
        stride: Along each axis, how many voxels of the images are one of the network; 1 in the paper.
        matches: Besides the images the network sees how well each of its voxels fits to those of the moving image up to
            so many voxels away along each axis, see :func:`matching.matching`; 0 for the images alone, as in the paper.
        passes: How often a registration runs the network, and on which lattices: multiples of the spacing, from 0.5
            to 8. Each pass sees the moving image as deformed by the passes before.
        both_ways: Whether a registration also shows the network the swapped images, in all passes that aren't coarse,
            and takes the mean of what it finds and the opposite of what it finds then, where that is better.

    Raises:
        NetworkError: Values that make no network.
    """

    encoder_channels: tuple[int, ...] = (32, 64, 128, 32, 32)
    dilations: tuple[int, ...] = (1, 1, 2, 3, 5)
    decoder_channels: tuple[int, ...] = (128, 64, 32, 32, 32)
    squeeze_reduction: int = 16
    linear_branch: bool = True
    anchor: str = "first"
    lattice_shape: tuple[int, int, int] = (80, 64, 80)
    lattice_spacing_mm: tuple[float, float, float] = (4.0, 4.0, 4.0)
    stride: int = 1
    matches: int = 0
    passes: tuple[float, ...] = (1.0,)
    both_ways: bool = False

    def __post_init__(self) -> None:
        for name in ("encoder_channels", "dilations", "decoder_channels"):
            self._expect(name, "a tuple of whole numbers above 0", _are_counts(getattr(self, name)))
        self._expect("dilations", "one for each encoder block", len(self.dilations) == len(self.encoder_channels))
        fits = _are_counts((self.squeeze_reduction,)) and self.squeeze_reduction <= self.feature_channels
        self._expect("squeeze_reduction", f"a whole number from 1 to {self.feature_channels}", fits)
        self._expect("linear_branch", "true or false", isinstance(self.linear_branch, bool))
        self._expect("anchor", f"one of {', '.join(ANCHORS)}", self.anchor in ANCHORS)
        shape_fits = _are_counts(self.lattice_shape) and len(self.lattice_shape) == 3 and min(self.lattice_shape) > 1
        self._expect("lattice_shape", "three whole numbers from 2", shape_fits)
        low, high = SPACING_LIMITS_MM
        self._expect(
            "lattice_spacing_mm", f"three numbers from {low} to {high} mm",
            _are_numbers(self.lattice_spacing_mm, low, high) and len(self.lattice_spacing_mm) == 3,
        )  # fmt: skip
        self._expect("stride", "a whole number above 0", _are_counts((self.stride,)))
        low, high = MATCH_LIMITS
        fits = type(self.matches) is int and low <= self.matches <= high
        self._expect("matches", f"a whole number from {low} to {high}", fits)
        low, high = PASS_LIMITS
        self._expect("passes", f"numbers from {low} to {high}", _are_numbers(self.passes, low, high))
        self._expect("both_ways", "true or false", isinstance(self.both_ways, bool))

    def _expect(self, name: str, expected: str, met: bool) -> None:
        if not met:
            msg = f"found {name} {getattr(self, name)!r} in the network's configuration, expected {expected}"
            raise NetworkError(msg)

    @property
    def input_channels(self) -> int:
        """Channels that the network sees: both images and, if it is given any, how they match."""
        return IMAGES + ((2 * self.matches + 1) ** 3 if self.matches else 0)

    @property
    def feature_channels(self) -> int:
        """Channels that the encoder hands on: what the network sees and the outputs of all blocks."""
        return self.input_channels + sum(self.encoder_channels)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, words and lists, for a file."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkConfig:
        """What :meth:`to_dict` gave.

        Raises:
            NetworkError: Names that are unknown or missing, or values that make no network.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if set(values) != names:
            unknown, missing = sorted(map(str, set(values) - names)), sorted(names - set(values))
            msg = f"found a network's configuration with the unknown names {unknown} and without {missing}"
            raise NetworkError(msg)
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)


def _are_counts(values: Any) -> bool:
    return isinstance(values, tuple) and len(values) > 0 and all(type(n) is int and n > 0 for n in values)


def _are_numbers(values: Any, low: float, high: float) -> bool:
    whole = isinstance(values, tuple) and len(values) > 0
    return whole and all(type(number) in (int, float) and low <= number <= high for number in values)


class NetworkOutput(NamedTuple):
    """What the network found. On the lattice of its input, whichever that was.

    Attributes:
        spatial_gradients: Phi, ``(B, 3, K / s, J / s, I / s)`` for a stride s, between 0 and 2, 1 being no deformation.
        affine: A, ``(B, 3, 4)``, see :func:`deformation.affine_grid`; None where the linear branch was not run.
        grid: Of the composed map ``p -> G_N(G_A(p))``, ``(B, K, J, I, 3)``: ``warp(moving, grid)`` is like ``fixed``.
    """

    spatial_gradients: Tensor
    affine: Tensor | None
    grid: Tensor

    def displacement(self) -> Tensor:
        """The composed map less the identity, ``(B, 3, K, J, I)`` in voxels along ``(i, j, k)``."""
        depth, height, width = self.grid.shape[1:4]
        identity = identity_grid((depth, height, width), dtype=self.grid.dtype, device=self.grid.device)
        moved = (self.grid - identity).movedim(-1, 1)
        return moved / grid_units_per_voxel(moved).reshape(-1, 1, 1, 1)


def compose(spatial_gradients: Tensor, affine: Tensor | None, anchor: str, stride: int = 1) -> NetworkOutput:
    """The one grid of both branches, in float32 even where autocast is on; without an affine matrix, of the first."""
    with full_precision(spatial_gradients.device):
        displacement = finer(integrate(spatial_gradients, anchor), stride)
        grid = displacement_grid(displacement) if affine is None else compose_with_affine(displacement, affine)
    return NetworkOutput(spatial_gradients, affine, grid)


class RegistrationNetwork(nn.Module):
    """The encoder and its two branches. A fresh network gives the identity.

    For mixed precision run it under ``torch.autocast``: what ends in positions stays in float32.
    """

    def __init__(self, config: NetworkConfig | None = None, *, seed: int = 0) -> None:
        """Build the network with random weights, without touching torch's own random numbers."""
        super().__init__()
        self.config = config or NetworkConfig()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.encoder = Encoder(self.config)
            self.deformable_branch = DeformableBranch(self.config)
            self.linear_branch = LinearBranch(self.config) if self.config.linear_branch else None

    def forward(self, fixed: Tensor, moving: Tensor, *, use_linear: bool = True) -> NetworkOutput:
        """Register pairs of images.

        Args:
            fixed: ``(B, 1, K, J, I)`` in [0, 1], on a lattice with the configuration's spacing.
            moving: The same, of the moving images.
            use_linear: False leaves the linear branch out ("without affine"), as a configuration without it does.

        Raises:
            NetworkError: Images of other shapes.
        """
        features = self.encoder(seen(fixed, moving, self.config))
        affine = self.linear_branch(features) if use_linear and self.linear_branch is not None else None
        return compose(self.deformable_branch(features), affine, self.config.anchor, self.config.stride)


def expect_images(fixed: Tensor, moving: Tensor, stride: int) -> None:
    """Raise a NetworkError unless these are two images ``(B, 1, K, J, I)`` of one shape, in whole blocks."""
    whole = fixed.ndim == 5 and all(n % stride == 0 and n // stride > 1 for n in fixed.shape[2:])
    if fixed.shape != moving.shape or not whole or fixed.shape[1] != 1:
        msg = f"found fixed {tuple(fixed.shape)}, moving {tuple(moving.shape)}, expected the same (B, 1, K, J, I)"
        if stride > 1:
            msg += f" in multiples of {stride}"
        raise NetworkError(msg)


def seen(fixed: Tensor, moving: Tensor, config: NetworkConfig) -> Tensor:
    """What the network sees of two images, ``(B, input_channels, K / s, J / s, I / s)`` for a stride s.

    Raises:
        NetworkError: Images of other shapes.
    """
    expect_images(fixed, moving, config.stride)
    channels = [functional.avg_pool3d(image, config.stride) for image in (moving, fixed)]
    if config.matches:
        channels.append(matching(fixed, moving, config.matches, config.stride))
    return torch.cat(channels, 1)


class Encoder(nn.Module):
    """Dilated convolutions at full resolution; the input and the outputs of all blocks are handed on together."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        widths = (config.input_channels, *config.encoder_channels)
        self.blocks = nn.ModuleList(map(convolution_block, widths, config.encoder_channels, config.dilations))

    def forward(self, inputs: Tensor) -> Tensor:
        """Features ``(B, feature_channels, K, J, I)`` of what is seen."""
        outputs = [inputs]
        for block in self.blocks:
            outputs.append(block(outputs[-1]))
        return torch.cat(outputs, 1)


class LinearBranch(nn.Module):
    """The mean of each feature, and a linear layer that makes the affine matrix of them."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.matrix = nn.Linear(config.feature_channels, 12)
        nn.init.zeros_(self.matrix.weight)
        with torch.no_grad():
            self.matrix.bias.zero_()[::5] = 1.0  # the 3x4 identity; eye on the meta device would load torch's compiler

    def forward(self, features: Tensor) -> Tensor:
        """A, ``(B, 3, 4)``, in float32."""
        with full_precision(features.device):
            return self.of_means(channel_means(features))

    def of_means(self, means: Tensor) -> Tensor:
        """A of the features' means ``(B, C)``."""
        return self.matrix(means).reshape(-1, 3, 4)


class DeformableBranch(nn.Module):
    """Squeeze and excitation, convolutions, and twice a sigmoid: the spatial gradients."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        widths = (config.feature_channels, *config.decoder_channels)
        self.excitation = SqueezeExcitation(config.feature_channels, config.squeeze_reduction)
        self.blocks = nn.Sequential(*map(convolution_block, widths, config.decoder_channels))
        self.gradients = nn.Conv3d(widths[-1], 3, 3, padding=1)
        for parameter in self.gradients.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Tensor:
        """Phi, ``(B, 3, K, J, I)``, in float32: errors in it would add up along whole lines."""
        features = self.blocks(self.excitation(features))
        with full_precision(features.device):
            return 2 * torch.sigmoid(self.gradients(features.to(self.gradients.weight.dtype)))


class SqueezeExcitation(nn.Module):
    """Scales each channel by a number in (0, 1) that depends on the means of all (Hu et al. 2018, arXiv 1709.01507)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, features: Tensor) -> Tensor:
        """The features ``(B, C, K, J, I)``, scaled."""
        scale = self.scale(channel_means(features))
        return features * scale[:, :, None, None, None].to(features.dtype)

    def scale(self, means: Tensor) -> Tensor:
        """The numbers in (0, 1) for means, both ``(B, C)``."""
        return torch.sigmoid(self.excite(torch.relu(self.squeeze(means))))


def convolution_block(channels_in: int, channels_out: int, dilation: int = 1) -> nn.Sequential:
    """3x3x3 convolution, instance normalisation and leaky ReLU, at the same resolution.

    The convolution has no bias, since the normalisation takes it off again. The normalisation has no weights; it adds
    1e-5 to each variance.
    """
    return nn.Sequential(
        nn.Conv3d(channels_in, channels_out, 3, padding=dilation, dilation=dilation, bias=False),
        nn.InstanceNorm3d(channels_out, eps=INSTANCE_NORM_EPS),
        nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True),
    )


def channel_means(features: Tensor) -> Tensor:
    """Mean ``(B, C)`` of each channel, summed in float32 at least."""
    wide = torch.promote_types(features.dtype, torch.float32)
    return features.mean((2, 3, 4), dtype=wide)


def full_precision(device: torch.device) -> AbstractContextManager:
    """Autocast off. Torch before 2.5 has none on mps, not even to be turned off."""
    return nullcontext() if device.type == "mps" else torch.autocast(device.type, enabled=False)
