"""``register``: two images in, a folder of results out."""

from __future__ import annotations

import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..checkpoint import BUNDLED, Checkpoint, load_checkpoint
from ..displacement_field import DisplacementField
from ..landmarks import Landmarks, same_labels
from ..registration import Clock, Options, Registration, RegistrationError, register
from ..results.folder import fill_folder, origins, pair_of, run_of
from ..results.output_files import Findings, inverse_of, is_ours
from ..results.pair import Pair
from ..results.staging import staged_folder
from .console import progress_bar, say_result
from .inputs import Inputs, check_untouched, given_paths, noted, read_pair


def run(args: Namespace) -> None:
    """Register the images of a command line, and write the folder of results."""
    progress = progress_bar(quiet=args.quiet)
    out = Path(args.out)
    check_untouched(out, given_paths(args))
    try:
        with staged_folder(out, ours=is_ours, overwrite=args.overwrite) as folder:
            content = fill(folder, args, Clock(progress))
    finally:
        progress.close()
    say_result(content, f"Results in {out}; look at {out / 'report.html'} first.")


def fill(folder: Path, args: Namespace, clock: Clock) -> dict[str, Any]:
    """Register the images of a command line, and write all results into an existing folder.

    Returns:
        The content of summary.json.
    """
    notes: list[str] = []
    clock.seconds["start"] = elapsed(args)
    with clock.stage("read"), noted(notes):
        inputs = read_pair(args)
        checkpoint = weights_of(args)
    return register_into(folder, inputs, args, clock, checkpoint, notes)


def register_into(
    folder: Path, inputs: Inputs, args: Namespace, clock: Clock, checkpoint: Checkpoint | None, notes: list[str]
) -> dict[str, Any]:
    """Register a pair and fill a folder with the results; the content of summary.json."""
    result = registered(inputs, options_of(args), checkpoint, clock)
    pair = pair_of(inputs.fixed, inputs.moving, result, inputs.fixed_landmarks, inputs.moving_landmarks)
    found = findings(pair, result, args, clock, checkpoint)
    masks = origins(pair, fixed_given=inputs.fixed_mask is not None, moving_given=inputs.moving_mask is not None)
    about = run_of(pair, result, masks, {"weights": args.weights, "format": args.format})
    notes += [*about.warnings, *landmark_notes(inputs.fixed_landmarks, inputs.moving_landmarks)]
    about = replace(about, warnings=tuple(notes))
    return fill_folder(folder, found, about, args.format, clock, lambda: elapsed(args), named=args.names)


def weights_of(args: Namespace) -> Checkpoint | None:
    """The trained network of a command line: the one that ships, a file, or none."""
    if args.weights == "none":
        return None
    return load_checkpoint(BUNDLED if args.weights == "bundled" else args.weights)


def options_of(args: Namespace) -> Options:
    """The registration's settings."""
    return Options(
        modality=args.modality,
        alignment=args.alignment,
        similarity=args.similarity,
        refine=args.refine,
        linear_branch=args.linear_branch,
        device=args.device,
        seed=args.seed,
        voxel_budget=args.voxel_budget,
    )


def registered(inputs: Inputs, options: Options, checkpoint: Checkpoint | None, clock: Clock) -> Registration:
    """Register a pair, and take over its times.

    Raises:
        RegistrationError: The images don't overlap, whatever was done to them.
    """
    result = register(
        inputs.fixed,
        inputs.moving,
        options,
        fixed_mask=inputs.fixed_mask,
        moving_mask=inputs.moving_mask,
        checkpoint=checkpoint,
        progress=clock.progress,
    )
    clock.seconds.update(result.seconds)
    if not result.covered.any():
        msg = f"{inputs.fixed.name} and {inputs.moving.name} do not overlap after registration"
        raise RegistrationError(msg)
    return result


def findings(
    pair: Pair, result: Registration, args: Namespace, clock: Clock, checkpoint: Checkpoint | None
) -> Findings:
    """The result, with its inverse and the registration of the swapped pair where they were asked for."""
    inverse, backward = None, None
    if args.inverse:
        with clock.stage("invert"):
            inverse = inverse_of(pair, result.field)
    if args.inverse_consistency:
        with clock.stage("backward"):
            backward = swapped(pair, options_of(args), checkpoint)
    return Findings(pair, result.field, result.warped, result.covered, result.alignment.matrix, inverse, backward)


def swapped(pair: Pair, options: Options, checkpoint: Checkpoint | None) -> DisplacementField:
    """The registration of the fixed image onto the moving one, with the same lungs and settings."""
    back = register(
        pair.moving,
        pair.fixed,
        options,
        fixed_mask=pair.moving_mask,
        moving_mask=pair.fixed_mask,
        checkpoint=checkpoint,
    )
    return back.field


def landmark_notes(fixed: Landmarks | None, moving: Landmarks | None) -> list[str]:
    """What to say about landmarks in one image only, and about those that are paired by their order."""
    if fixed is not None and moving is None:
        return [f"{fixed.name}: without moving landmarks no error can be measured"]
    if moving is not None and fixed is None:
        return [f"{moving.name}: without fixed landmarks no error can be measured"]
    if fixed is None or moving is None or same_labels(fixed, moving):
        return []
    return [f"{fixed.name} and {moving.name}: labels differ or stand twice, so the points were paired by their order"]


def elapsed(args: Namespace) -> float:
    """Seconds since the process (or, if unknown, the command) started."""
    return time.time() - args.started
