"""The options of the commands."""

from __future__ import annotations

import argparse
import textwrap
from functools import partial

from ..results.output_files import FORMATS, IMAGES, OTHERS
from ..results.summary import NOTICE
from . import batch, demo, evaluate, register, series, warp
from .batch_options import add_batch, add_series
from .errors import MEANINGS
from .option_groups import (
    PROGRAM,
    WIDTH,
    Parser,
    add_backward,
    add_modality,
    add_names,
    add_pair,
    add_results,
    add_settings,
    describe,
)

TRANSFORM_HELP = "ITK transform (.h5, .tfm, .txt, .mat, .xfm) or displacement field (.nii.gz, .nrrd, .mha)"
Layout = partial(argparse.RawDescriptionHelpFormatter, width=WIDTH, max_help_position=28)


def make_parser() -> Parser:
    """The parser of the whole command line."""
    codes = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in MEANINGS.items())
    parser = Parser(
        prog=PROGRAM,
        description=f"Deformable registration of lung images. {NOTICE}",
        epilog=f"{PROGRAM} COMMAND --help shows the options of a command.\n\nexit codes:\n{codes}",
        formatter_class=Layout,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, what, add, run in (
        ("register", "register two images of the lungs", add_register, register.run),
        ("warp", "apply a saved transformation to an image, labels or landmarks", add_warp, warp.run),
        ("evaluate", "measure a given transformation, whoever made it", add_evaluate, evaluate.run),
        ("batch", "register many pairs, on several cores or a cluster", add_batch, batch.run),
        ("series", "register all phases of a 4D image to one of them", add_series, series.run),
        ("demo", "register a synthetic chest, to see what comes out", add_demo, demo.run),
    ):
        command = commands.add_parser(name, help=what, formatter_class=Layout)
        add(command)
        command.set_defaults(run=run)
        general = command.add_argument_group("general")
        general.add_argument("--overwrite", action="store_true", help="replace an earlier result in --out")
        if run is not warp.run:
            general.add_argument("--quiet", action="store_true", help="no progress bars")
        general.add_argument("--debug", action="store_true", help="show where in the program an error came from")
    return parser


def add_register(command: Parser) -> None:
    """The options of ``register``."""
    files = {**{f"{name}.*": what for name, what in IMAGES.items()}, **OTHERS}
    listed = "\n".join(
        textwrap.fill(what, WIDTH, initial_indent=f"  {name:<26}", subsequent_indent=" " * 28)
        for name, what in files.items()
    )
    describe(
        command,
        "register --fixed FILE --moving FILE --out DIR",
        """Finds the map from each point of the fixed image to the same tissue in the moving image, and deforms the
        moving image onto the fixed one. The inputs are never changed.""",
        "register --fixed exhale.nii.gz --moving inhale.nii.gz --out result",
        f"in --out:\n{listed}\n\n",
    )
    add_pair(command)
    add_settings(command)
    add_backward(add_results(command, default=None))


def add_demo(command: Parser) -> None:
    """The options of ``demo``."""
    describe(
        command,
        "demo",
        """Makes a synthetic chest, exhaled and inhaled, and registers the two images with the settings given here. Its
        lung masks and landmarks, which are known exactly, are not shown to the registration; they judge it.""",
        "demo --out demo_output",
    )
    add_settings(command)
    add_results(command, default="demo_output")


def add_evaluate(command: Parser) -> None:
    """The options of ``evaluate``."""
    describe(
        command,
        "evaluate --fixed FILE --moving FILE --transform FILE --out PATH",
        """Measures a transformation from the fixed to the moving image: overlap of the lungs, landmark errors,
        folding, volume change and more. Lungs that aren't given are found automatically in CT.""",
        "evaluate --fixed exhale.nii.gz --moving inhale.nii.gz --transform ants.h5 --out summary.json",
    )
    add_pair(command)
    group = command.add_argument_group("transformation")
    group.add_argument("--transform", metavar="FILE", required=True, help=TRANSFORM_HELP)
    group.add_argument(
        "--backward", metavar="FILE", help="the transformation of the swapped pair, for the inverse consistency"
    )
    group.add_argument("--inverse", action="store_true", help="invert the transformation, and measure how well it goes")
    add_modality(command.add_argument_group("settings"))
    results = command.add_argument_group("results")
    results.add_argument(
        "--out", metavar="PATH", required=True, help="a .json file, or a folder for summary.json and the report"
    )
    add_names(results)


def add_warp(command: Parser) -> None:
    """The options of ``warp``."""
    describe(
        command,
        "warp --image|--label|--landmarks|--fixed-landmarks FILE --transform FILE --reference FILE --out FILE",
        """Applies a saved transformation. Images and labels of the moving image are deformed onto the fixed image;
        landmarks are taken from the moving into the fixed image, or the other way round.""",
        "warp --transform result/transform.h5 --reference exhale.nii.gz --label lobes.nii.gz --out lobes_warped.nii.gz",
    )
    group = command.add_argument_group("what to warp (one of these)")
    what = group.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--image", metavar="FILE", help="an image in the moving frame; outside it: -1024 HU for CT, else its minimum"
    )
    what.add_argument("--label", metavar="FILE", help="labels in the moving frame (nearest neighbour, 0 outside)")
    what.add_argument("--landmarks", metavar="FILE", help="points of the moving image, taken into the fixed one")
    what.add_argument("--fixed-landmarks", metavar="FILE", help="points of the fixed image, taken into the moving one")
    group = command.add_argument_group("transformation")
    group.add_argument("--transform", metavar="FILE", required=True, help=TRANSFORM_HELP)
    group.add_argument(
        "--reference", metavar="FILE", required=True, help="the fixed image; the result is on its voxels"
    )
    add_modality(command.add_argument_group("settings"))
    command.add_argument_group("results").add_argument(
        "--out",
        metavar="FILE",
        required=True,
        help=f"an image (.{', .'.join(FORMATS)}) or landmarks (.mrk.json, .fcsv, .csv, .txt)",
    )
