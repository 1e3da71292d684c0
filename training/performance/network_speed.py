"""How long the network takes: ``python training/benchmark.py speed --network --out network_speed``.

The paper's network on the paper's lattice, as it is written and as registrations run it, and a training step on an
eighth of the voxels; in turn and several times, each in a process of its own. A processor without bfloat16 in hardware
is had by ``--max-isa AVX512_CORE`` on one that has it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from LungDeepRegLib.json_values import plain
from LungDeepRegLib.network_inference import ISA_LIMITS
from tqdm import tqdm

from ..benchmarking.machine import machine, versions
from ..benchmarking.tables import Column, Line, Table, number, word, write_text
from ..provenance import command
from .explained import explained
from .network_pass import SHAPE, STEP_SHAPE, VARIANTS, available
from .processes import timed_process

Run = dict[str, Any]
"""A pass: ``variant``, ``seconds``, ``peak_memory_mb``, and ``load``, how busy the machine was before it."""


def one_pass(name: str, threads: int, device: str, shape: Sequence[int] | None) -> Run:
    """Run a variant once, in a process of its own.

    Raises:
        ProcessError: It failed.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "pass.json"
        words = ["-m", "training.performance.network_pass", "--variant", name, "--out", str(out)]
        words += ["--threads", str(threads), "--device", device]
        words += ["--shape", *map(str, shape)] if shape else []
        timed_process(words, threads)
        return {"variant": name, **json.loads(out.read_text(encoding="utf-8")), "load": load}


def network_rows(
    repeats: int,
    names: Sequence[str] | None = None,
    *,
    threads: int = 2,
    device: str = "cpu",
    shape: Sequence[int] | None = None,
) -> list[Run]:
    """Passes of the variants (None for all that the device has hardware for) in turn."""
    chosen = available(torch.device(device)) if names is None else names
    turns = [name for _ in range(repeats) for name in chosen]
    return [one_pass(name, threads, device, shape) for name in tqdm(turns, "network", file=sys.stderr)]


def lines_of(runs: Sequence[Run]) -> list[Line]:
    """A line for each variant: medians, and how many times faster than its peer it is."""
    seconds = {name: [run["seconds"] for run in runs if run["variant"] == name] for name in VARIANTS}
    medians = {name: float(np.median(found)) for name, found in seconds.items() if found}
    lines: list[Line] = []
    for name, median in medians.items():
        memory = [run["peak_memory_mb"] for run in runs if run["variant"] == name and run["peak_memory_mb"] is not None]
        peer = medians.get(VARIANTS[name].peer)
        lines.append(
            {
                "variant": name, "title": VARIANTS[name].title, "runs": len(seconds[name]), "seconds": median,
                "least": min(seconds[name]), "most": max(seconds[name]),
                "times_faster": None if peer is None else peer / median, "peak_memory_mb": max(memory, default=None),
            }
        )  # fmt: skip
    return lines


def table(runs: Sequence[Run], about: Sequence[str]) -> Table:
    """All variants."""
    columns = (
        Column("network", word("title")),
        Column("time, median [s]", number("seconds", 2)),
        Column("least [s]", number("least", 2)),
        Column("most [s]", number("most", 2)),
        Column("times faster than plain", number("times_faster", 2)),
        Column("peak memory [MB]", number("peak_memory_mb", 0)),
    )
    return Table("network_speed", "The paper's network, one pair", columns, lines_of(runs), about)


@contextmanager
def isa_limit(name: str | None) -> Iterator[None]:
    """Let the processes that are started have a lesser processor, as far as oneDNN goes; None for this one."""
    before = os.environ.get(ISA_LIMITS[0])
    try:
        if name is not None:
            os.environ[ISA_LIMITS[0]] = name
        yield
    finally:
        os.environ.pop(ISA_LIMITS[0], None)
        if before is not None:
            os.environ[ISA_LIMITS[0]] = before


def options(words: list[str]) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="python training/benchmark.py speed --network", description=__doc__.split("\n\n", 1)[1]
    )
    add = parser.add_argument
    add("--variants", metavar="NAMES", help=f"some of {','.join(VARIANTS)} (default: all that the device has)")
    add("--shape", type=int, nargs=3, metavar=("K", "J", "I"), help=f"voxels (default: {SHAPE}, steps {STEP_SHAPE})")
    add("--repeats", type=int, default=3, help="passes of each (default: 3)")
    add("--threads", type=int, default=2, help="default: 2")
    add("--device", default="cpu", help="cpu (default) or cuda")
    add("--max-isa", metavar="ISA", help="oneDNN's ONEDNN_MAX_CPU_ISA for all")
    add("--out", type=Path, required=True, help="for the table")
    return parser.parse_args(words)


def main(arguments: list[str]) -> int:
    """Measure everything; 3 for bad input, 130 after Ctrl-C."""
    return explained(lambda: run(options(arguments), ["benchmark.py", "speed", "--network", *arguments]))


def run(chosen: argparse.Namespace, words: list[str]) -> None:
    """Measure, and write table and JSON.

    Raises:
        TrainingError: A pass failed.
        OutputError: The table can't be written.
    """
    names = chosen.variants.split(",") if chosen.variants else None
    with isa_limit(chosen.max_isa):
        limit = os.environ.get(ISA_LIMITS[0])
        runs = network_rows(chosen.repeats, names, threads=chosen.threads, device=chosen.device, shape=chosen.shape)
    about = [
        f"{chosen.repeats} of each in turn, {chosen.threads} thread{'s' * (chosen.threads != 1)}"
        + (f", oneDNN limited to {limit}." if limit else "."),
        f"Command: `{command(words)}`",
    ]
    found = table(runs, about)
    found.write(chosen.out)
    values = {"command": command(words), "machine": machine(), "versions": versions(), "isa_limit": limit}
    values |= {"lines": found.lines, "runs": runs}
    write_text(chosen.out / "network_speed.json", json.dumps(plain(values), indent=2, allow_nan=False) + "\n")
