"""The options of the commands."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from functools import partial

from ..alignment import ALIGNMENTS
from ..intensity import MODALITIES
from ..registration import DEVICES, REFINEMENTS, Options
from ..results.output_files import FORMATS, IMAGES, OTHERS
from ..results.summary import NOTICE
from ..similarity import parse_similarity
from . import demo, evaluate, register, warp
from .errors import MEANINGS

PROGRAM = "python -m LungDeepRegLib"
DEFAULTS = Options()
IMAGE_HELP = "NIfTI, NRRD or MetaImage file, or a folder of DICOM files"
TRANSFORM_HELP = "ITK transform (.h5, .tfm, .txt, .mat, .xfm) or displacement field (.nii.gz, .nrrd, .mha)"
WIDTH = 100

Parser = argparse.ArgumentParser
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


def describe(command: Parser, usage: str, text: str, example: str, more: str = "") -> None:
    """What a command needs at least, what it does, and one example of it."""
    command.usage = f"{PROGRAM} {usage} [options]"
    command.description = textwrap.fill(" ".join(text.split()), WIDTH)
    command.epilog = f"{more}example:\n  {PROGRAM} {example}"


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
    add_results(command, default=None).add_argument(
        "--inverse-consistency",
        action="store_true",
        help="register backward too, and measure how far a point is from itself there and back (takes twice as long)",
    )


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
    command.add_argument_group("results").add_argument(
        "--out", metavar="PATH", required=True, help="a .json file, or a folder for summary.json and report.png"
    )


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


def add_pair(command: Parser) -> None:
    """The images and what is known about them."""
    group = command.add_argument_group("images")
    group.add_argument("--fixed", metavar="FILE", required=True, help=f"the image that stays: {IMAGE_HELP}")
    group.add_argument("--moving", metavar="FILE", required=True, help="the image that is deformed onto it")
    for name in ("fixed", "moving"):
        group.add_argument(
            f"--series-{name}", metavar="UID|N", help=f"the series, where the {name} DICOM folder holds several"
        )
    group = command.add_argument_group("what is known about them")
    for name in ("fixed", "moving"):
        group.add_argument(
            f"--{name}-mask", metavar="FILE", help=f"lungs of the {name} image: a label image on its grid, above 0"
        )
    for name in ("fixed", "moving"):
        group.add_argument(
            f"--{name}-landmarks",
            metavar="FILE",
            help=f"points in the {name} image: .mrk.json, .fcsv, .csv, elastix, DIR-Lab",
        )


def add_modality(group: argparse._ArgumentGroup) -> None:
    """How values are read."""
    group.add_argument(
        "--modality",
        choices=MODALITIES,
        default=DEFAULTS.modality,
        help="how values are read; paper: MRI in the window [0, 1300] (default: %(default)s)",
    )


def add_settings(command: Parser) -> None:
    """The settings of a registration."""
    group = command.add_argument_group("settings")
    add_modality(group)
    add = group.add_argument
    add(
        "--alignment",
        choices=ALIGNMENTS,
        default=DEFAULTS.alignment,
        help="what comes first: nothing, centres brought together, or an affine fit (default: %(default)s)",
    )
    add(
        "--similarity",
        type=checked("similarity", similarity_text),
        default=DEFAULTS.similarity,
        metavar="TERMS",
        help="weighted sum of mind, lncc, ncc, mse, mi, dwm, such as lncc=1,mi=0.5 (default: %(default)s)",
    )
    add(
        "--refine",
        choices=REFINEMENTS,
        default=DEFAULTS.refine,
        help="how much the deformation is fitted to this pair (default: %(default)s)",
    )
    add(
        "--weights",
        default="bundled",
        metavar="FILE",
        help="a trained network, bundled (the one that ships), or none (default: %(default)s)",
    )
    add("--no-linear-branch", dest="linear_branch", action="store_false", help="leave out the network's affine output")
    add(
        "--device",
        choices=DEVICES,
        default=DEFAULTS.device,
        help="auto takes a CUDA GPU where there is one (default: %(default)s)",
    )
    add("--seed", type=checked("seed", seed), default=DEFAULTS.seed, metavar="N", help="(default: %(default)s)")
    add(
        "--voxel-budget",
        type=checked("voxel budget", voxel_budget),
        default=DEFAULTS.voxel_budget,
        metavar="N",
        help="most voxels to work on; fewer is faster and coarser (default: %(default)s)",
    )


def add_results(command: Parser, default: str | None) -> argparse._ArgumentGroup:
    """Where to, and what beside the usual files; the group for more of these."""
    group = command.add_argument_group("results")
    text = "folder for the results, new or empty" + (" (default: %(default)s)" if default else "")
    group.add_argument("--out", metavar="DIR", required=default is None, default=default, help=text)
    group.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="of the images (default: %(default)s)")
    group.add_argument(
        "--inverse", action="store_true", help="write inverse_transform.h5 too, and measure how exact it is"
    )
    return group


def checked(name: str, read: Callable[[str], object]) -> Callable[[str], object]:
    """A type for argparse, whose errors say what was wrong."""

    def convert(text: str) -> object:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    convert.__name__ = name
    return convert


def similarity_text(text: str) -> str:
    """The similarity as it was written, known to be one."""
    parse_similarity(text)
    return text


def voxel_budget(text: str) -> int:
    """The number of voxels, known to be one that the registration takes."""
    return Options(voxel_budget=whole(text)).voxel_budget


def seed(text: str) -> int:
    """A whole number from 0."""
    if (number := whole(text)) < 0:
        msg = f"found {number}, expected a whole number from 0"
        raise ValueError(msg)
    return number


def whole(text: str) -> int:
    """A whole number; 3e6 is one."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not number.is_integer():
        msg = f"found {text!r}, expected a whole number"
        raise ValueError(msg)
    return int(number)
