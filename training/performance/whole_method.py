"""One of the compared methods as a program of its own: two images in, the deformed one and the transformation out.

What is around the method is the engine's: reading, lungs, alignment, warping, writing.

    python -m training.performance.whole_method --method syn --fixed fixed.nii.gz --moving moving.nii.gz --out result
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from LungDeepRegLib.alignment import align
from LungDeepRegLib.commands.process import start_time
from LungDeepRegLib.image_io import read_mask, read_volume, write_transform, write_volume
from LungDeepRegLib.intensity import choose_intensity
from LungDeepRegLib.lung_mask import find_lungs
from LungDeepRegLib.preprocessing import prepare, working_spacing
from LungDeepRegLib.registration import Clock, Options
from LungDeepRegLib.results.images import stored
from LungDeepRegLib.volume import Volume

from ..benchmarking.inputs import ReadyScan
from ..benchmarking.measure import judged_lattice, whole_map
from ..methods import METHODS, Method, aligned_pair
from .explained import explained

TIMES = "times.json"


def scan(image: Volume, mask: Path | None) -> ReadyScan:
    """An image with its lungs: given, found in CT, or None."""
    lungs = find_lungs(image, choose_intensity(image)) if mask is None else read_mask(mask, image)
    return ReadyScan(image, lungs)


def aligned(fixed: ReadyScan, moving: ReadyScan) -> np.ndarray:
    """The engine's alignment, 4x4, fixed RAS mm to moving RAS mm."""
    spacing = working_spacing(fixed.image, fixed.lungs, Options().voxel_budget)
    ready = [prepare(one.image, one.intensity, one.lungs, spacing) for one in (fixed, moving)]
    return align(ready[0], ready[1], Options().alignment).matrix


def run(chosen: argparse.Namespace, method: Method, started: float) -> None:
    """Do it all, and write the time of each stage beside the results."""
    clock = Clock(lambda stage, fraction: None)
    torch.set_num_threads(chosen.threads)
    method.ready()
    clock.seconds["start"] = time.time() - started
    with clock.stage("read"):
        images = [read_volume(path) for path in (chosen.fixed, chosen.moving)]
    with clock.stage("prepare"):
        masks = (chosen.fixed_mask, chosen.moving_mask)
        fixed, moving = (scan(image, mask) for image, mask in zip(images, masks, strict=True))
    with clock.stage("align"):
        matrix = aligned(fixed, moving)
    with clock.stage("pair"):
        pair = aligned_pair(fixed.image, moving.image, fixed.lungs, moving.lungs, matrix, "auto")
    with clock.stage("register"):
        v = method(pair, chosen.threads)
    with clock.stage("warp"):
        phi = whole_map(matrix, v, judged_lattice(fixed))
        warped, _ = phi.warp(moving.image, fixed.image.lattice, fill=moving.intensity.fill)
    with clock.stage("write"):
        chosen.out.mkdir(parents=True, exist_ok=True)
        write_volume(chosen.out / "warped.nii.gz", stored(warped, moving.image.array.dtype))
        write_transform(chosen.out / "transform.h5", phi)
    (chosen.out / TIMES).write_text(json.dumps(clock.seconds), encoding="utf-8")


def options(words: list[str] | None) -> argparse.Namespace:
    """The program's options."""
    parser = argparse.ArgumentParser(prog="python -m training.performance.whole_method")
    parser.add_argument("--method", choices=METHODS, required=True)
    for name in ("fixed", "moving"):
        parser.add_argument(f"--{name}", type=Path, required=True)
        parser.add_argument(f"--{name}-mask", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args(words)


def main(arguments: list[str] | None = None) -> int:
    """Register; 3 for bad input or a library that isn't installed."""
    started = start_time() or time.time()
    chosen = options(arguments)
    return explained(lambda: run(chosen, METHODS[chosen.method], started))


if __name__ == "__main__":
    sys.exit(main())
