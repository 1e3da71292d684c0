"""The network's forward pass as registrations run it: what :class:`network.RegistrationNetwork` gives, sooner.

All features of a pair lie in one image, channels last, from the first block to the last: nothing is concatenated, and
nothing else of that size is ever needed. A block convolves some planes at a time, measures them while they are in the
cache, and is normalised in one pass that also takes the channels' means. Squeeze and excitation scales weights instead
of features.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn
from torch.nn import functional

from .network import (
    INSTANCE_NORM_EPS,
    NEGATIVE_SLOPE,
    NetworkOutput,
    RegistrationNetwork,
    compose,
    seen,
)
from .winograd import WinogradConvolution, part_with_zeros, pays

VOXELS_AT_ONCE = 2**18
"""That a convolution of torch's is given, in whole planes. On a few thousand it would take a slower way."""
CACHED = 2**19
"""Numbers that are worked on at once where each is only read and written."""
ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


class DirectConvolution:
    """A convolution by torch's own, see :class:`winograd.WinogradConvolution`."""

    def __init__(
        self,
        weight: Tensor,
        dilation: int,
        shape: tuple[int, int, int],
        dtype: torch.dtype,
        bias: Tensor | None = None,
    ) -> None:
        self.planes = max(dilation, -(-VOXELS_AT_ONCE // (shape[1] * shape[2])))
        self.dilation, self.bias = dilation, bias
        self.weight = weight.to(dtype).contiguous(memory_format=torch.channels_last_3d)

    def __call__(self, image: Tensor, start: int) -> Tensor:
        """Planes of the result, ``(P, J, I, O)``."""
        d = self.dilation
        planes = min(self.planes, len(image) - start)
        seen = part_with_zeros(image, start - d, planes + 2 * d, 0, image.shape[1])
        seen = seen.to(self.weight.dtype).contiguous().movedim(-1, 0)[None]
        return functional.conv3d(seen, self.weight, self.bias, padding=(0, d, d), dilation=d)[0].movedim(0, -1)


def infer(
    network: RegistrationNetwork,
    fixed: Tensor,
    moving: Tensor,
    *,
    use_linear: bool = True,
    dtype: torch.dtype | None = None,
) -> NetworkOutput:
    """What ``network(fixed, moving, use_linear=use_linear)`` gives, without derivatives.

    Args:
        network: In float32, on the images' device.
        fixed: ``(B, 1, K, J, I)`` in [0, 1].
        moving: The same, of the moving images.
        use_linear: False leaves the linear branch out.
        dtype: Of the features; None for :func:`fastest_dtype`. What ends in positions is in float32.

    Neither CPU nor CUDA (mps): by the network itself.

    Raises:
        NetworkError: Images of other shapes.
    """
    if fixed.device.type not in ("cpu", "cuda"):
        with torch.inference_mode():
            return network(fixed, moving, use_linear=use_linear)
    dtype = dtype or fastest_dtype(fixed.device)
    linear = network.linear_branch if use_linear else None
    with torch.inference_mode():
        # one after the other: a larger batch would only need more memory
        inputs = seen(fixed, moving, network.config)
        pairs = [_one_pair(network, one, dtype) for one in inputs]
        means, spatial_gradients = (torch.stack(found) for found in zip(*pairs, strict=True))
        affine = linear.of_means(means) if linear is not None else None
        return compose(spatial_gradients, affine, network.config.anchor, network.config.stride)


def fastest_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies it in hardware, otherwise float32."""
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device)[0] >= 8
    else:
        fast = device.type == "cpu" and (_cpu_has("AMX") or _cpu_has("AVX512_BF16"))
    return torch.bfloat16 if fast else torch.float32


def _cpu_has(extension: str) -> bool:
    """Whether oneDNN may use AMX or AVX512_BF16 here. Torch versions that can't tell count as without."""
    limits = [os.environ[name].upper() for name in ISA_LIMITS if name in os.environ]
    allowed = {"AMX": ("AMX",), "AVX512_BF16": ("AMX", "BF16", "FP16", "AVX10")}[extension]
    if any(limit not in ("ALL", "DEFAULT", "") and not any(word in limit for word in allowed) for limit in limits):
        return False
    names = {"AMX": "_is_amx_tile_supported", "AVX512_BF16": "_is_avx512_bf16_supported"}
    return bool(getattr(torch.cpu, names[extension], lambda: False)())


def _one_pair(network: RegistrationNetwork, inputs: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Means of all features ``(C,)`` and Phi ``(3, K, J, I)``, both in float32, of inputs ``(C', K, J, I)``."""
    config, branch = network.config, network.deformable_branch
    shape = tuple(inputs.shape[1:])
    width = max(config.feature_channels, *config.decoder_channels)
    features = torch.empty((*shape, width), dtype=dtype, device=inputs.device)
    end = len(inputs)
    features[..., :end] = inputs.movedim(0, -1)
    means = [inputs.mean((1, 2, 3))]
    source = slice(0, end)
    for layer, dilation in zip(_convolutions(network.encoder), config.dilations, strict=True):
        target = slice(end, end + layer.out_channels)
        means.append(_block(features, source, target, layer.weight, dilation))
        source, end = target, target.stop
    found = torch.cat(means)
    # The scaled features themselves are never made.
    scale = branch.excitation.scale(found[None])[0][:, None, None, None]
    source = slice(0, end)
    for layer in _convolutions(branch.blocks):
        target = slice(0, layer.out_channels)
        _block(features, source, target, layer.weight * scale, 1)
        source, scale = target, torch.ones_like(scale[:1])
    return found, _spatial_gradients(features[..., source], branch.gradients)


def _convolutions(blocks: nn.Module) -> list[nn.Conv3d]:
    return [module for module in blocks.modules() if isinstance(module, nn.Conv3d)]


def _block(features: Tensor, source: slice, target: slice, weight: Tensor, dilation: int) -> Tensor:
    """Convolve some channels of the features into others, normalise and activate these; their means.

    The channels may overlap: results are stored one call late, when no call needs the planes below any more.
    """
    shape = features.shape[0], features.shape[1], features.shape[2]
    convolve = _convolution(weight, dilation, shape, features.dtype)
    moments = Moments(len(weight), features.device)
    start, late = 0, features[:0, ..., target]
    for first in range(0, shape[0], convolve.planes):
        found = convolve(features[..., source], first)
        moments.add(found)
        features[start : start + len(late), ..., target] = late
        start, late = first, found
    features[start:, ..., target] = late
    return _normalise(features[..., target], *moments.mean_and_variance())


def _convolution(
    weight: Tensor, dilation: int, shape: tuple[int, int, int], dtype: torch.dtype
) -> WinogradConvolution | DirectConvolution:
    # Graphics cards and AMX multiply so fast that the tiles' way through memory would cost more than it saves.
    tiled = weight.device.type == "cpu" and not (dtype == torch.bfloat16 and _cpu_has("AMX"))
    if tiled and pays(weight, dilation, shape):
        return WinogradConvolution(weight, dilation, shape, dtype)
    return DirectConvolution(weight, dilation, shape, dtype)


class Moments:
    """Means and variances of channels that are seen part by part.

    Sums are of differences to the first part's means: variances that are small against squared means stay right.
    """

    def __init__(self, channels: int, device: torch.device) -> None:
        self.count, self.shift = 0, torch.zeros(channels, device=device)
        self.total, self.squares = torch.zeros(2, channels, dtype=torch.float64, device=device)

    def add(self, part: Tensor) -> None:
        """See ``(..., C)`` more."""
        rows = part.reshape(-1, part.shape[-1])
        if self.count == 0:
            self.shift = rows.mean(0, dtype=torch.float32)
        self.count += len(rows)
        for some in rows.split(max(1, CACHED // rows.shape[1])):
            off = some - self.shift
            self.total += off.sum(0)
            self.squares += off.square_().sum(0)

    def mean_and_variance(self) -> tuple[Tensor, Tensor]:
        """Of each channel, ``(C,)`` in float32."""
        off = self.total / self.count
        variance = (self.squares / self.count - off**2).clamp(min=0)
        return (self.shift + off).float(), variance.float()


def _normalise(values: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Instance normalisation and leaky ReLU of ``(K, J, I, C)`` in place; the means afterwards, ``(C,)``."""
    factor = (variance + INSTANCE_NORM_EPS).rsqrt()
    total = torch.zeros_like(mean, dtype=torch.float64)
    for some in values.flatten(0, 1).split(max(1, CACHED // values[0, 0].numel())):
        new = functional.leaky_relu_((some - mean).mul_(factor), NEGATIVE_SLOPE)
        total += new.sum((0, 1))
        some.copy_(new)
    return (total / values[..., 0].numel()).float()


def _spatial_gradients(features: Tensor, layer: nn.Conv3d) -> Tensor:
    """Phi ``(3, K, J, I)`` of the last features ``(K, J, I, C)``, in float32."""
    shape = features.shape[0], features.shape[1], features.shape[2]
    convolve = DirectConvolution(layer.weight, 1, shape, torch.float32, layer.bias)
    parts = [convolve(features, start).movedim(-1, 0) for start in range(0, len(features), convolve.planes)]
    return 2 * torch.sigmoid(torch.cat(parts, 1))
