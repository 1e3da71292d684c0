"""How far the fast forward pass is from the plain network, on weights and pairs that really move.

    python -m training.performance.network_precision --out cache/precision

The weights that ship, on their own lattice, and a network of the paper's size on the paper's lattice of 64x192x192
voxels: no weights of that size ship, so one is taught a single phantom's motion on coarser voxels first (minutes) and
kept in the folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from LungDeepRegLib.checkpoint import BUNDLED, load_checkpoint, save_checkpoint
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.network import NetworkConfig, RegistrationNetwork
from LungDeepRegLib.network_inference import infer
from LungDeepRegLib.phantom import chest_lattice
from LungDeepRegLib.phantom.pair import FIELD_OF_VIEW_MM
from tqdm import trange

from ..benchmarking.machine import machine, versions
from ..losses import Loss
from ..pairs import Pair
from ..phantom_pairs import PhantomPairs

PAPER_SHAPE = (64, 192, 192)
TAUGHT_SHAPE = (12, 36, 36)
STEPS = 60
LOSS = Loss(similarity="", affine=0.0, spatial_gradients=0.0, reduction="mean", known_spatial_gradients=1.0)
PAPER_WEIGHTS = "paper_network.pt"
MOTION_MM = 54.0
SEEDS = (1, 2)
"""Of the phantoms: the one that was learnt, and another."""
DTYPES = (torch.float32, torch.bfloat16)


def phantom_pair(lattice: Lattice, seed: int) -> Pair:
    """A batch of one strongly breathing phantom on a lattice; the moving image is shifted only, not aligned."""
    source = PhantomPairs(("ct",), (MOTION_MM, MOTION_MM), phantoms=1, first_seed=seed)
    pair = source.draw(lattice, np.random.default_rng(seed))
    return Pair(*(tensor[None] for tensor in pair))


def chest(shape: tuple[int, int, int]) -> Lattice:
    """So many voxels ``(K, J, I)`` over the phantom's chest."""
    i, j, k = np.array(FIELD_OF_VIEW_MM) / shape[::-1]
    return chest_lattice((i, j, k))


def taught(steps: int, pair: Pair, config: NetworkConfig) -> RegistrationNetwork:
    """A network that has learnt the local stretch of one pair's motion by heart."""
    network = RegistrationNetwork(config)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    progress = trange(steps, desc="teaching", file=sys.stderr)
    for _ in progress:
        loss = LOSS(pair, network(pair.fixed, pair.moving))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.set_postfix(loss=float(loss.detach()))
    return network.eval()


def apart(network: RegistrationNetwork, pair: Pair) -> Iterator[dict[str, Any]]:
    """How far the fast pass in each precision is from the plain network in float32, in voxels; how far that moves."""
    with torch.inference_mode():
        plain = network(pair.fixed, pair.moving).displacement()
    moved = float(plain.norm(dim=1).mean())
    for dtype in DTYPES:
        off = (infer(network, pair.fixed, pair.moving, dtype=dtype).displacement() - plain).norm(dim=1).numpy()
        measures = {"mean": float(off.mean()), "p95": float(np.quantile(off, 0.95)), "most": float(off.max())}
        yield {"dtype": str(dtype).removeprefix("torch."), "moved": moved, **measures}


def cases(folder: Path) -> Iterator[tuple[str, RegistrationNetwork, tuple[int, int, int]]]:
    """Names, trained networks, and lattices to run them on."""
    shipped = load_checkpoint(BUNDLED).network
    yield "shipped weights", shipped, shipped.config.lattice_shape
    kept = folder / PAPER_WEIGHTS
    if not kept.exists():
        network = taught(STEPS, phantom_pair(chest(TAUGHT_SHAPE), SEEDS[0]), NetworkConfig())
        save_checkpoint(kept, network, {"taught": f"the phantom of seed 1 on {TAUGHT_SHAPE} voxels, {STEPS} steps"})
    yield "the paper's network", load_checkpoint(kept).network, PAPER_SHAPE


def main(arguments: list[str] | None = None) -> int:
    """Measure, and write ``precision.json``."""
    parser = argparse.ArgumentParser(prog="python -m training.performance.network_precision")
    parser.add_argument("--out", type=Path, required=True, help="folder of the result and of the network that is kept")
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for name, network, shape in cases(chosen.out):
        for seed in SEEDS:
            about = {"weights": name, "shape": shape, "phantom": seed}
            rows += [about | found for found in apart(network, phantom_pair(chest(shape), seed))]
    report = {"voxels": rows, "machine": machine(), "versions": versions()}
    (chosen.out / "precision.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
