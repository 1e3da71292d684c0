"""The options of ``batch`` and ``series``."""

from __future__ import annotations

import argparse

from ..batch.manifest import OPTIONAL, REQUIRED
from ..batch.schedulers import INSTALL
from ..batch.table import CSV_TABLE, JSON_TABLE, MOTION_CURVES
from .option_groups import IMAGE_HELP, Parser, add_backward, add_formats, add_settings, checked, describe, whole

TABLES = f"""In --out: a folder for each {{one}}, as `register` writes it, and {CSV_TABLE} and {JSON_TABLE}, which list
what became of each of them and the main figures of its summary.json. The same command goes on where it was ended or
killed, and does nothing twice."""


def add_batch(command: Parser) -> None:
    """The options of ``batch``."""
    describe(
        command,
        "batch MANIFEST --out DIR",
        f"""Registers all cases of a manifest as `register` does, one after the other or on several workers. One that
        fails doesn't stop the others. {TABLES.format(one="case")}""",
        "batch study.csv --out results --workers 4",
        more=f"manifest: a CSV table with the columns {', '.join(REQUIRED)} and, if needed,\n  {', '.join(OPTIONAL)};\n"
        "  paths are relative to it\n\n",
    )
    group = command.add_argument_group("cases")
    group.add_argument("manifest", metavar="MANIFEST", help="a CSV file with one case a line")
    add_settings(command)
    add_place(command)


def add_series(command: Parser) -> None:
    """The options of ``series``."""
    describe(
        command,
        "series PHASE PHASE ... --reference N --out DIR",
        f"""Registers each phase of a 4D image to one of them, the reference, which is the fixed image of all.
        {TABLES.format(one="phase")}""",
        "series phase_*.nii.gz --reference 50 --landmarks vessels.mrk.json --out motion",
    )
    group = command.add_argument_group("phases")
    group.add_argument("phases", metavar="PHASE", nargs="+", help=f"{IMAGE_HELP}; in the order of breathing")
    group.add_argument(
        "--reference", metavar="N|FILE", required=True, help="the phase that stays: the number in its name, or its file"
    )
    group.add_argument(
        "--landmarks",
        metavar="FILE",
        help=f"points in the reference, whose motion over the phases is written to {MOTION_CURVES}",
    )
    add_settings(command)
    add_place(command)


def add_place(command: Parser) -> None:
    """Where to, and where it is computed."""
    group = command.add_argument_group("results")
    group.add_argument("--out", metavar="DIR", required=True, help="folder for the results, also of an earlier run")
    add_formats(group)
    add_backward(group)
    add_workers(command.add_argument_group("where it is computed"))


def add_workers(group: argparse._ArgumentGroup) -> None:
    """How many workers, and where."""
    where = group.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=checked("number of workers", workers),
        default=1,
        metavar="N",
        help="registrations at a time on this computer, which share its cores; each takes about 1 GB of memory, 4 GB"
        f" for 512x512x300 voxels; more than one needs Dask: {INSTALL} (default: %(default)s, with all cores)",
    )
    where.add_argument(
        "--scheduler", metavar="ADDRESS", help="a Dask scheduler, such as tcp://10.0.0.5:8786, whose workers see --out"
    )


def workers(text: str) -> int:
    """A whole number from 1."""
    if (number := whole(text)) < 1:
        msg = f"found {number}, expected a whole number from 1"
        raise ValueError(msg)
    return number
