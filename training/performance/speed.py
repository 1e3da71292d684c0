"""How long whole registrations take: ``python training/benchmark.py speed --pair FIXED MOVING --out speed``.

From the start of a process until its files are written: our command line beside each other method as a program of its
own, in turn and several times. ``speed --network`` measures the network alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from LungDeepRegLib.json_values import plain
from tqdm import tqdm

from ..benchmarking.machine import machine, versions
from ..benchmarking.tables import NONE, Column, Line, Table, number, word, write_text
from ..benchmarking.task import OptionsError
from ..methods import METHODS
from ..provenance import command
from .explained import explained
from .processes import ROOT, ProcessError, timed_process
from .whole_method import TIMES

DEFAULT, BEFORE = "default", "before"
OURS = {
    DEFAULT: ("LungDeepReg", ()),
    "accurate": ("LungDeepReg, --refine accurate", ("--refine", "accurate")),
    "off": ("LungDeepReg, --refine off", ("--refine", "off")),
}
"""Our command line: title, and its options beside the defaults."""
PEERS = ("syn", "elastix", "convexadam")
REGISTERING = ("align", "network", "refine", "register")
"""The stages that find the transformation, ours and those of :mod:`whole_method`."""


@dataclass(frozen=True)
class Row:
    """What is run.

    Attributes:
        name: In the options.
        title: In the table.
        words: After ``python``; the images and the folder follow.
        checkout: Whose code.
    """

    name: str
    title: str
    words: tuple[str, ...]
    checkout: Path = ROOT


@dataclass(frozen=True)
class Run:
    """One run of a row.

    Attributes:
        name: The row's.
        seconds: Of the whole process; None where it failed.
        peak_memory_mb: Most resident memory.
        stages: Seconds of its parts.
        error: Why it failed.
        load: How many processes ran or waited on the machine over the last minute, before it began.
    """

    name: str
    seconds: float | None = None
    peak_memory_mb: float | None = None
    stages: dict[str, float] | None = None
    error: str = ""
    load: float | None = None


def known_rows(threads: int, before: Path | None) -> dict[str, Row]:
    """All rows by name; an earlier state of this program among them where there is a checkout of it."""
    ours = ("-m", "LungDeepRegLib", "register", "--quiet", "--device", "cpu")
    rows = [Row(name, title, (*ours, *more)) for name, (title, more) in OURS.items()]
    if before is not None:
        rows.append(Row(BEFORE, f"LungDeepReg before ({before.name})", ours, before))
    whole = ("-m", "training.performance.whole_method", "--threads", str(threads), "--method")
    rows += [Row(name, METHODS[name].title, (*whole, name)) for name in PEERS]
    return {row.name: row for row in rows}


def one_run(row: Row, images: Sequence[str], threads: int) -> Run:
    """Run a row once in a folder of its own, which is removed."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        try:
            timed = timed_process([*row.words, *images, "--out", str(out)], threads, row.checkout)
        except ProcessError as error:
            return Run(row.name, error=str(error), load=load)
        return Run(row.name, timed.seconds, timed.peak_memory_mb, stages_of(out), load=load)


def stages_of(out: Path) -> dict[str, float]:
    """The seconds of a run's parts, as it has written them."""
    if (out / TIMES).exists():
        return json.loads((out / TIMES).read_text(encoding="utf-8"))
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))["seconds"]


def lines_of(rows: Sequence[Row], runs: Sequence[Run]) -> Sequence[Line]:
    """A line for each row: medians, ranges, and ratios to our default."""
    medians = {row.name: median([run.seconds for run in runs if run.name == row.name]) for row in rows}
    ours, lines = medians.get(DEFAULT), []
    for row in rows:
        own = [run for run in runs if run.name == row.name]
        seconds = [run.seconds for run in own if run.seconds is not None]
        found = medians[row.name]
        lines.append(
            {
                "method": row.name,
                "title": row.title,
                "runs": len(seconds),
                "seconds": found,
                "least": min(seconds, default=None),
                "most": max(seconds, default=None),
                "ratio": found / ours if found is not None and ours else None,
                "registering": median([registering(run) for run in own]),
                "peak_memory_mb": max((run.peak_memory_mb for run in own if run.peak_memory_mb), default=None),
                "error": next((run.error for run in own if run.error), ""),
            }
        )
    return lines


def registering(run: Run) -> float | None:
    """The seconds in which a run found its transformation."""
    return None if run.stages is None else sum(run.stages.get(stage, 0.0) for stage in REGISTERING)


def median(values: Sequence[float | None]) -> float | None:
    """The median of those that are known."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def table(rows: Sequence[Row], runs: Sequence[Run], about: Sequence[str]) -> Table:
    """All rows."""
    columns = (
        Column("whole program", word("title")),
        Column("time, median [s]", number("seconds", 1)),
        Column("least to most [s]", span),
        Column("as many times ours", number("ratio", 2)),
        Column("of it alignment and registration [s]", number("registering", 1)),
        Column("peak memory [MB]", number("peak_memory_mb", 0)),
        Column("failed", lambda line: line["error"] or NONE),
    )
    notes = [
        "Time: from the start of the process until its files are written and it has ended. Ours writes all its results"
        " and reports; the other programs read with, align with, warp with and write by our code the deformed image and"
        " the transformation alone.",
        *about,
    ]
    return Table("speed", "Whole registrations of one pair", columns, lines_of(rows, runs), notes)


def span(line: Line) -> str:
    """The range of a line's times."""
    return NONE if line["least"] is None else f"{line['least']:.1f} to {line['most']:.1f}"


def options(words: list[str]) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(prog="python training/benchmark.py speed", description=__doc__.split("\n\n")[1])
    add = parser.add_argument
    add("--network", action="store_true", help="measure the network alone; with --help after it its own options")
    add("--pair", type=Path, nargs=2, metavar=("FIXED", "MOVING"), required=True, help="two images")
    add("--masks", type=Path, nargs=2, metavar=("FIXED", "MOVING"), help="their lungs (default: found, in CT)")
    add("--rows", metavar="NAMES", help=f"some of {','.join((*OURS, BEFORE, *PEERS))} (default: all)")
    add("--before", type=Path, metavar="DIR", help="a checkout of an earlier state of this program, to be run as well")
    add("--repeats", type=int, default=3, help="runs of each (default: 3)")
    add("--threads", type=int, default=2, help="of each program (default: 2)")
    add("--out", type=Path, required=True, help="for the table")
    return parser.parse_args(words)


def main(arguments: list[str]) -> int:
    """Run everything in turn; 3 for bad input, 130 after Ctrl-C."""
    if "--network" in arguments:
        network = import_module("training.performance.network_speed")
        return network.main([one for one in arguments if one != "--network"])
    return explained(lambda: run(options(arguments), ["benchmark.py", "speed", *arguments]))


def run(chosen: argparse.Namespace, words: list[str]) -> None:
    """Run all rows in turn, each round beginning with another, and write the table after every round.

    Raises:
        TrainingError: Rows that there aren't.
        OutputError: The table can't be written.
    """
    rows = chosen_rows(chosen)
    images = ["--fixed", str(chosen.pair[0]), "--moving", str(chosen.pair[1])]
    if chosen.masks:
        images += ["--fixed-mask", str(chosen.masks[0]), "--moving-mask", str(chosen.masks[1])]
    about = [f"{chosen.repeats} of each in turn, {chosen.threads} thread{'s' * (chosen.threads != 1)}."]
    about.append(f"Command: `{command(words)}`")
    runs: list[Run] = []
    with tqdm(total=chosen.repeats * len(rows), unit="run", file=sys.stderr) as progress:
        for turn in range(chosen.repeats):
            first = turn % len(rows)
            for row in rows[first:] + rows[:first]:
                progress.set_description(row.name)
                runs.append(one_run(row, images, chosen.threads))
                progress.update()
            found = table(rows, runs, about)
            found.write(chosen.out)
            write_text(chosen.out / "speed.json", report(found, runs, words))


def chosen_rows(chosen: argparse.Namespace) -> list[Row]:
    """Those that are asked for.

    Raises:
        OptionsError: Unknown ones.
    """
    known = known_rows(chosen.threads, chosen.before)
    names = list(known) if chosen.rows is None else chosen.rows.split(",")
    if not set(names) <= set(known):
        msg = f"found --rows {chosen.rows}, expected some of {','.join(known)}"
        raise OptionsError(msg)
    return [known[name] for name in names]


def report(found: Table, runs: Sequence[Run], words: list[str]) -> str:
    """All runs, with what they ran on, as JSON."""
    values: dict[str, Any] = {
        "command": command(words), "machine": machine(), "versions": versions(), "notes": found.notes,
        "lines": found.lines, "runs": [asdict(run) for run in runs],
    }  # fmt: skip
    return json.dumps(plain(values), indent=2, allow_nan=False) + "\n"
