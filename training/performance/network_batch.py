"""The network that ships on a batch of pairs, in a process of its own: its time and its memory.

python -m training.performance.network_batch --batch 4 --out times.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from LungDeepRegLib.checkpoint import BUNDLED, load_checkpoint
from LungDeepRegLib.commands.process import forget_peak_memory
from LungDeepRegLib.network_inference import infer

from ..benchmarking.job import peak_memory_mb

REPEATS = 5


def measured(batch: int, weights: Path, repeats: int = REPEATS) -> dict[str, float | None]:
    """Median seconds of what registrations run, for so many pairs on the network's lattice, and the most memory."""
    checkpoint = load_checkpoint(weights)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, batch, 1, *checkpoint.config.lattice_shape, generator=generator)
    network, times = checkpoint.network.eval(), []
    infer(network, *images)
    forget_peak_memory()
    for _ in range(repeats):
        started = time.perf_counter()
        infer(network, *images)
        times.append(time.perf_counter() - started)
    return {"seconds": float(np.median(times)), "peak_memory_mb": peak_memory_mb()}


def main(arguments: list[str] | None = None) -> int:
    """Measure, and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m training.performance.network_batch")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights", type=Path, default=BUNDLED)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    chosen.out.write_text(json.dumps(measured(chosen.batch, chosen.weights)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
