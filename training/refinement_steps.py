"""How fast the refinement gets right from where: the error after some of its steps, by starting point.

From the alignment, from the search over many displacements that it starts from by default, and from the network.

    python -m training.refinement_steps --ct chest.nii.gz
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from LungDeepRegLib import read_volume
from LungDeepRegLib.alignment import align
from LungDeepRegLib.checkpoint import BUNDLED, Checkpoint, load_checkpoint
from LungDeepRegLib.discrete_search import search
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.network_stage import predict
from LungDeepRegLib.preprocessing import prepare, registration_lattice, working_spacing
from LungDeepRegLib.pyramid import levels
from LungDeepRegLib.refinement import PLANS, dissimilarity, refine
from LungDeepRegLib.registration import Options, read_image
from LungDeepRegLib.similarity import parse_similarity
from LungDeepRegLib.transformation import written_field
from tqdm import tqdm

from .held_out import BREATHS, Case, breaths, phantoms

SHARES = (0.0, 0.1, 0.25, 0.5, 1.0)
"""Of the default plan's steps, at each of its levels."""
CPU = torch.device("cpu")


def measured(case: Case, checkpoint: Checkpoint) -> dict[str, list[float]]:
    """Mean error in mm over the fixed lungs from each start, after each share of the steps."""
    options, plan = Options(), PLANS["fast"]
    ready = []
    for image, mask in ((case.fixed, case.given_mask), (case.moving, case.moving_lungs)):
        intensity, lungs = read_image(image, mask, options.modality, [])
        ready.append((image, intensity, lungs))
    spacing = working_spacing(case.fixed, ready[0][2], options.voxel_budget)
    fixed, moving = (prepare(image, intensity, lungs, spacing) for image, intensity, lungs in ready)
    matrix = align(fixed, moving).matrix
    mind = parse_similarity("mind")
    lattice = registration_lattice(fixed, moving, matrix)
    coarse, *pyramid = levels(fixed, moving, lattice, matrix, [mind] * (1 + len(plan.iterations)), CPU)
    starts = {
        "alignment": DisplacementField.from_matrix(np.eye(4), coarse.lattice),
        "search": search(coarse),
    }
    unlike = partial(dissimilarity, coarse)
    predicted = predict(fixed, moving, matrix, checkpoint, use_linear=True, to_refine=True, unlike=unlike)
    starts["network"] = starts["alignment"] if predicted is None else predicted
    found: dict[str, list[float]] = {}
    for name, start in starts.items():
        found[name] = []
        for share in SHARES:
            steps = tuple(round(share * n) for n in plan.iterations)
            v = refine(pyramid, mind, dataclasses.replace(plan, iterations=steps), [start]) if any(steps) else start
            found[name].append(case.error_mm(written_field(matrix, v, case.fixed.lattice)).mean)
    return found


def cases(count: int, ct: Path | None, most_breaths: int) -> Iterator[Case]:
    """Phantoms, and breaths of a CT if there is one."""
    yield from phantoms(count)
    if ct is not None:
        yield from islice(breaths(read_volume(ct)), most_breaths)


def main(arguments: list[str] | None = None) -> int:
    """Measure; the mean over the cases, and each case, as JSON to standard output."""
    parser = argparse.ArgumentParser(prog="python -m training.refinement_steps", description=__doc__.split("\n\n")[0])
    parser.add_argument("--weights", type=Path, default=BUNDLED, help="a checkpoint (default: the one that ships)")
    parser.add_argument("--phantoms", type=int, default=8, help="how many synthetic pairs (default: 8)")
    parser.add_argument("--ct", type=Path, help="a chest CT to be moved by simulated breaths")
    parser.add_argument("--breaths", type=int, default=len(BREATHS), help="how many of its breaths (default: all)")
    chosen = parser.parse_args(arguments)
    checkpoint = load_checkpoint(chosen.weights)
    total = chosen.phantoms + (min(chosen.breaths, len(BREATHS)) if chosen.ct else 0)
    progress = tqdm(cases(chosen.phantoms, chosen.ct, chosen.breaths), "pairs", total, file=sys.stderr)
    rows = {case.name: measured(case, checkpoint) for case in progress}
    steps = [sum(round(share * n) for n in PLANS["fast"].iterations) for share in SHARES]
    mean = {
        start: np.mean([row[start] for row in rows.values()], axis=0).tolist() for start in next(iter(rows.values()))
    }
    sys.stdout.write(json.dumps({"steps": steps, "mean_error_mm": mean, "cases": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
