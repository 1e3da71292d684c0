"""``evaluate``: the figures of summary.json for a given transformation, whoever made it."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..displacement_field import DisplacementField
from ..image_io import read_transform
from ..registration import Clock, read_image
from ..results.folder import concluded, drawn, intensities, measured, origins, timed
from ..results.output_files import Findings, inverse_of, is_ours
from ..results.pair import Pair
from ..results.staging import failing_as_output, staged_file, staged_folder
from ..results.summary import Run, summary, write_summary
from .console import progress_bar, say_result
from .inputs import Inputs, check_untouched, given_paths, noted, read_pair
from .register import elapsed, landmark_notes


def run(args: Namespace) -> None:
    """Measure a transformation; write summary.json alone, or a folder with it and the report."""
    progress = progress_bar(quiet=args.quiet)
    clock = Clock(progress)
    clock.seconds["start"] = elapsed(args)
    out = Path(args.out)
    try:
        content = into_file(out, args, clock) if out.suffix.lower() == ".json" else into_folder(out, args, clock)
    finally:
        progress.close()
    say_result(content, f"Written: {out}")


def into_file(out: Path, args: Namespace, clock: Clock) -> dict[str, Any]:
    """summary.json alone."""
    with staged_file(out, overwrite=args.overwrite) as unfinished:
        found, about = judged(args, clock)
        evaluation, about = measured(found, about, clock)
        content = summary(evaluation, timed(about, clock, lambda: elapsed(args)))
        with failing_as_output(out):
            write_summary(unfinished, content)
    return content


def into_folder(out: Path, args: Namespace, clock: Clock) -> dict[str, Any]:
    """summary.json and the report."""
    check_untouched(out, [*given_paths(args), args.transform])
    with staged_folder(out, ours=is_ours, overwrite=args.overwrite) as folder:
        found, about = judged(args, clock)
        evaluation, about = measured(found, about, clock)
        pictures, about = drawn(folder, found, evaluation, about, clock, lambda: elapsed(args))
        about = timed(about, clock, lambda: elapsed(args))
        return concluded(folder, found.pair, evaluation, about, pictures, named=args.names)


def judged(args: Namespace, clock: Clock) -> tuple[Findings, Run]:
    """What is to be measured, and how it came about."""
    notes: list[str] = []
    with clock.stage("read"), noted(notes):
        inputs = read_pair(args)
        phi = read_transform(args.transform, inputs.fixed.lattice)
        backward = read_transform(args.backward, inputs.moving.lattice) if args.backward else None
    with clock.stage("prepare"):
        pair = pair_to_judge(inputs, args.modality, notes)
    found = with_inverse(pair, phi, backward, args, clock)
    masks = origins(pair, fixed_given=inputs.fixed_mask is not None, moving_given=inputs.moving_mask is not None)
    about = Run(pair.fixed.name, pair.moving.name, masks, intensities(pair))
    options = {"transform": args.transform, "backward": args.backward, "modality": args.modality}
    notes += landmark_notes(inputs.fixed_landmarks, inputs.moving_landmarks)
    return found, replace(about, options=options, warnings=tuple(notes))


def pair_to_judge(inputs: Inputs, modality: str, notes: list[str]) -> Pair:
    """The images, with lungs found automatically where no mask was given."""
    fixed_intensity, fixed_mask = read_image(inputs.fixed, inputs.fixed_mask, modality, notes)
    moving_intensity, moving_mask = read_image(inputs.moving, inputs.moving_mask, modality, notes)
    return Pair(
        inputs.fixed,
        inputs.moving,
        fixed_intensity,
        moving_intensity,
        fixed_mask,
        moving_mask,
        inputs.fixed_landmarks,
        inputs.moving_landmarks,
    )


def with_inverse(
    pair: Pair, phi: DisplacementField, backward: DisplacementField | None, args: Namespace, clock: Clock
) -> Findings:
    """The transformation with the image through it, and its inverse where that was asked for."""
    with clock.stage("warp"):
        warped, covered = phi.warp(pair.moving, pair.fixed.lattice, fill=pair.moving_intensity.fill)
    inverse = None
    if args.inverse:
        with clock.stage("invert"):
            inverse = inverse_of(pair, phi)
    return Findings(pair, phi, warped, covered, inverse=inverse, backward=backward)
