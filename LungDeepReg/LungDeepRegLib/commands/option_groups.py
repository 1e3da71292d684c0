"""Groups of options that several commands share."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable

from ..alignment import ALIGNMENTS
from ..intensity import MODALITIES
from ..registration import DEVICES, REFINEMENTS, Options
from ..results.output_files import FORMATS
from ..similarity import parse_similarity

PROGRAM = "python -m LungDeepRegLib"
DEFAULTS = Options()
IMAGE_HELP = "NIfTI, NRRD or MetaImage file, or a folder of DICOM files"
WIDTH = 100

Parser = argparse.ArgumentParser


def describe(command: Parser, usage: str, text: str, example: str, more: str = "") -> None:
    """What a command needs at least, what it does, and one example of it."""
    command.usage = f"{PROGRAM} {usage} [options]"
    command.description = textwrap.fill(" ".join(text.split()), WIDTH)
    command.epilog = f"{more}example:\n  {PROGRAM} {example}"


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
    add(
        "--seed",
        type=checked("seed", seed),
        default=DEFAULTS.seed,
        metavar="N",
        help="of everything random (default: %(default)s)",
    )
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
    add_formats(group)
    return group


def add_formats(group: argparse._ArgumentGroup) -> None:
    """What is written."""
    group.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="of the images (default: %(default)s)")
    group.add_argument(
        "--inverse", action="store_true", help="write inverse_transform.h5 too, and measure how exact it is"
    )
    add_names(group)


def add_names(group: argparse._ArgumentGroup) -> None:
    """Whether the report tells whose images they are."""
    group.add_argument(
        "--names",
        action="store_true",
        help="name images and files in report.html, .csv and .json; without it they are left out, since they may hold a"
        " patient's name",
    )


def add_backward(group: argparse._ArgumentGroup) -> None:
    """The registration of the swapped pair."""
    group.add_argument(
        "--inverse-consistency",
        action="store_true",
        help="register backward too, and measure how far a point is from itself there and back (takes twice as long)",
    )


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
