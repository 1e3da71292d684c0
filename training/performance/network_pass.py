"""One pass of a fresh network of the paper's size, in a process of its own: its time and its memory.

python -m training.performance.network_pass --variant fast --out pass.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from LungDeepRegLib.network import RegistrationNetwork
from LungDeepRegLib.network_inference import fastest_dtype, infer
from torch import Tensor

from ..benchmarking.job import peak_memory_mb

SHAPE, STEP_SHAPE, WARM_UP_SHAPE = (64, 192, 192), (32, 96, 96), (16, 16, 16)
Pass = Callable[[RegistrationNetwork, Tensor, Tensor], object]


@dataclass(frozen=True)
class Variant:
    """A way to run the network.

    Attributes:
        title: In the table.
        run: What is timed, for a network and two images.
        shape: Voxels ``(K, J, I)`` of the images.
        peer: The variant that it is compared with.
        half: Whether it is in bfloat16, which not every device multiplies.
    """

    title: str
    run: Pass
    shape: tuple[int, int, int] = SHAPE
    peer: str = "plain"
    half: bool = False


def plain(network: RegistrationNetwork, fixed: Tensor, moving: Tensor) -> None:
    """The network as it is written."""
    with torch.inference_mode():
        network(fixed, moving)


def autocast(network: RegistrationNetwork, fixed: Tensor, moving: Tensor) -> None:
    """The same as torch's users make it faster."""
    with torch.inference_mode(), torch.autocast(fixed.device.type, torch.bfloat16):
        network.to(memory_format=torch.channels_last_3d)(fixed, moving)


def fast(dtype: torch.dtype) -> Pass:
    """The forward pass of registrations."""
    return lambda network, fixed, moving: infer(network, fixed, moving, dtype=dtype)


def step(network: RegistrationNetwork, fixed: Tensor, moving: Tensor) -> None:
    """Forward and backward, as in training."""
    network(fixed, moving).grid.square().mean().backward()


def autocast_step(network: RegistrationNetwork, fixed: Tensor, moving: Tensor) -> None:
    """The same in mixed precision; channels last, which the forward pass gains from, would make it slower."""
    with torch.autocast(fixed.device.type, torch.bfloat16):
        step(network, fixed, moving)


VARIANTS = {
    "plain": Variant("plain, float32", plain),
    "fast": Variant("as registrations run it, float32", fast(torch.float32)),
    "autocast": Variant("plain, bfloat16 and channels last by torch", autocast, half=True),
    "fast-half": Variant("as registrations run it, bfloat16", fast(torch.bfloat16), half=True),
    "step": Variant("training step, float32", step, STEP_SHAPE, "step"),
    "autocast-step": Variant("training step, bfloat16 by torch", autocast_step, STEP_SHAPE, "step", half=True),
}


def available(device: torch.device) -> list[str]:
    """The variants that a device has hardware for."""
    half = fastest_dtype(device) == torch.bfloat16
    return [name for name, variant in VARIANTS.items() if half or not variant.half]


def measured(variant: Variant, shape: tuple[int, int, int], device: torch.device) -> dict[str, float | None]:
    """Seconds of one pass after a small one, and the process's (on a GPU: the card's) most memory until then."""
    network = RegistrationNetwork().eval().to(device)
    small, images = (torch.rand(2, 1, 1, *size, device=device) for size in (WARM_UP_SHAPE, shape))
    variant.run(network, *small)
    synchronize(device)
    started = time.perf_counter()
    variant.run(network, *images)
    synchronize(device)
    seconds = time.perf_counter() - started
    memory = torch.cuda.max_memory_allocated(device) / 1024**2 if device.type == "cuda" else peak_memory_mb()
    return {"seconds": seconds, "peak_memory_mb": memory}


def synchronize(device: torch.device) -> None:
    """Wait for a graphics card."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(arguments: list[str] | None = None) -> int:
    """Measure, and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m training.performance.network_pass")
    parser.add_argument("--variant", choices=VARIANTS, required=True)
    parser.add_argument("--shape", type=int, nargs=3, metavar=("K", "J", "I"), help="voxels (default: the variant's)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    variant = VARIANTS[chosen.variant]
    found = measured(variant, tuple(chosen.shape or variant.shape), torch.device(chosen.device))
    chosen.out.write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
