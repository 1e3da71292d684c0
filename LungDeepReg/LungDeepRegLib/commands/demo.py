"""``demo``: a synthetic chest, exhaled and inhaled, registered as any pair of images."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..image_io import write_landmarks, write_volume
from ..phantom import PhantomConfig, PhantomPair, make_pair
from ..registration import Clock
from ..results.folder import fill_folder, pair_of, run_of
from ..results.output_files import Findings, inverse_of, is_ours
from ..results.staging import failing_as_output, staged_folder
from .console import progress_bar, say_result
from .inputs import Inputs
from .register import elapsed, options_of, registered, weights_of

SYNTHETIC = "This is a synthetic chest, computed, not scanned: figures on it say little about patients."


def run(args: Namespace) -> None:
    """Make the phantom, register it without its masks and landmarks, and measure the result by them."""
    progress = progress_bar(quiet=args.quiet)
    clock = Clock(progress)
    clock.seconds["start"] = elapsed(args)
    out = Path(args.out)
    try:
        with staged_folder(out, ours=is_ours, overwrite=args.overwrite) as folder:
            with clock.stage("phantom"):
                phantom = make_pair(PhantomConfig(seed=args.seed))
                with failing_as_output(out):
                    write_inputs(folder / "input", phantom, args.format)
            content = demonstrated(folder, phantom, args, clock)
    finally:
        progress.close()
    say_result(
        content, f"Results in {out}; look at {out / 'report.html'} first. The pair itself is in {out / 'input'}."
    )


def demonstrated(folder: Path, phantom: PhantomPair, args: Namespace, clock: Clock) -> dict[str, Any]:
    """Register the phantom and fill a folder with the results; the content of summary.json."""
    result = registered(
        Inputs(phantom.fixed, phantom.moving, None, None, None, None), options_of(args), weights_of(args), clock
    )
    pair = replace(
        pair_of(phantom.fixed, phantom.moving, result, phantom.fixed_landmarks, phantom.moving_landmarks),
        fixed_mask=phantom.fixed_mask.array > 0,
        moving_mask=phantom.moving_mask.array > 0,
    )
    about = run_of(
        pair, result, {"fixed": "given", "moving": "given"}, {"weights": args.weights, "format": args.format}
    )
    about = replace(about, warnings=(SYNTHETIC, *about.warnings))
    inverse = inverse_of(pair, result.field) if args.inverse else None
    found = Findings(pair, result.field, result.warped, result.covered, result.alignment.matrix, inverse)
    return fill_folder(folder, found, about, args.format, clock, lambda: elapsed(args), named=args.names)


def write_inputs(folder: Path, phantom: PhantomPair, kind: str) -> None:
    """The pair with its masks and landmarks, for trying ``register`` oneself."""
    folder.mkdir()
    for name, volume in (
        ("fixed", phantom.fixed),
        ("moving", phantom.moving),
        ("fixed_mask", phantom.fixed_mask),
        ("moving_mask", phantom.moving_mask),
    ):
        write_volume(folder / f"{name}.{kind}", volume)
    write_landmarks(folder / "fixed_landmarks.mrk.json", phantom.fixed_landmarks)
    write_landmarks(folder / "moving_landmarks.mrk.json", phantom.moving_landmarks)
