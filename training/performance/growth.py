"""How time and memory grow: ``python training/benchmark.py growth --out growth``.

Whole registrations of one pair sampled on more and more voxels, and the network on more and more pairs at once; each
in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from LungDeepRegLib import Volume, read_volume
from LungDeepRegLib.geometry import Lattice, index_box
from LungDeepRegLib.image_io import write_volume
from LungDeepRegLib.json_values import plain
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.registration import Options
from LungDeepRegLib.resampling import averaged
from LungDeepRegLib.results.report.style import BACKGROUND, FAINT, NOWHERE, TEXT
from tqdm import tqdm

from ..benchmarking.machine import machine, versions
from ..benchmarking.pictures import write_figure
from ..benchmarking.tables import Column, Line, Table, number, word, write_text
from ..provenance import command
from .explained import explained
from .processes import timed_process
from .speed import stages_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MILLION = 1_000_000
SIZES_MILLION = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
BATCHES = (1, 2, 3, 4, 6, 8)
PHANTOM_SPACING_MM = 2.0
REGISTERING = ("align", "network", "refine")
TIME, MEMORY, PART = "#ffd54f", "#4dd0e1", "#78909c"


def at_size(image: Volume, voxels: float) -> Volume:
    """The same field of view in about so many voxels, the axes' proportions kept; interpolated or averaged."""
    factor = (voxels / image.array.size) ** (1 / 3)
    count = np.maximum(np.rint(np.array(image.array.shape[::-1]) * factor), 2).astype(int)
    step = np.array(image.array.shape[::-1]) / count
    lattice: Lattice = index_box(image.lattice, np.zeros(3), count, step)
    found = averaged(image, lattice, lambda array: array.astype(np.float32))
    kind = image.array.dtype
    return found.with_array(np.rint(found.array).astype(kind) if kind.kind in "iu" else found.array, image.name)


def registration_line(images: Sequence[Volume], voxels: float, threads: int) -> Line:
    """A whole registration of a pair in so many voxels."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{role}.nii.gz" for role in ("fixed", "moving")]
        for path, image in zip(paths, images, strict=True):
            small = at_size(image, voxels)
            write_volume(path, small)
        out = Path(folder) / "out"
        words = ["-m", "LungDeepRegLib", "register", "--quiet", "--device", "cpu", "--out", str(out)]
        timed = timed_process([*words, "--fixed", str(paths[0]), "--moving", str(paths[1])], threads)
        stages = stages_of(out)
    return {
        "voxels": small.array.size,
        "seconds": timed.seconds,
        "registering": sum(stages[stage] for stage in REGISTERING),
        "peak_memory_mb": timed.peak_memory_mb,
        "stages": stages,
    }


def network_line(batch: int, threads: int) -> Line:
    """The network on so many pairs at once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "times.json"
        words = ["-m", "training.performance.network_batch", "--batch", str(batch), "--threads", str(threads)]
        timed_process([*words, "--out", str(path)], threads)
        return {"batch": batch, **json.loads(path.read_text(encoding="utf-8"))}


def exponent(lines: Sequence[Line], along: str, what: str) -> float | None:
    """p of the fit ``what ~ along ** p``; 1 is linear. None for fewer than two lines."""
    known = np.log([(line[along], line[what]) for line in lines if line[what]])
    return float(np.polyfit(known[:, 0], known[:, 1], 1)[0]) if len(known) > 1 else None


def tables(registrations: Sequence[Line], networks: Sequence[Line], about: Sequence[str]) -> list[Table]:
    """Both growths."""
    budget = Options().voxel_budget / MILLION
    size = Table(
        "growth",
        "Whole registrations in more and more voxels",
        (
            Column("voxels of each image [million]", number("millions", 1)),
            Column("whole program [s]", number("seconds", 1)),
            Column("of it alignment, network, refinement [s]", number("registering", 1)),
            Column("peak memory [MB]", number("peak_memory_mb", 0)),
        ),
        [{**line, "millions": line["voxels"] / MILLION} for line in registrations],
        [
            *fits(registrations, "voxels", ("seconds", "registering", "peak_memory_mb")),
            f"Registered is the lungs' box, in at most {budget:g} million voxels (the default budget); whatever is"
            " read, measured and written has all voxels.",
            *about,
        ],
    )
    batch = Table(
        "growth_batch",
        "The network that ships on several pairs at once",
        (
            Column("pairs", word("batch")),
            Column("forward pass [s]", number("seconds", 3)),
            Column("peak memory [MB]", number("peak_memory_mb", 0)),
        ),
        networks,
        [*fits(networks, "batch", ("seconds", "peak_memory_mb")), *about],
    )
    return [table for table in (size, batch) if table.lines]


def fits(lines: Sequence[Line], along: str, names: Sequence[str]) -> list[str]:
    """The exponents in words."""
    found = {name: exponent(lines, along, name) for name in names}
    words = [f"{name.replace('_', ' ')} {value:.2f}" for name, value in found.items() if value is not None]
    return [f"Fitted exponents (1 is linear): {', '.join(words)}."] if words else []


def growth_figure(registrations: Sequence[Line], networks: Sequence[Line]) -> Figure:
    """Time and memory of both, all axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 9.5), dpi=100, facecolor=BACKGROUND, layout="constrained")
    figure.suptitle("How time and memory grow; dashed: linear", color=TEXT, fontsize=15, weight="bold")
    axes = figure.subplots(2, 2, squeeze=False)
    registrations = [{**line, "voxels": line["voxels"] / MILLION} for line in registrations]
    whole = {"seconds": ("whole program", TIME), "registering": ("alignment, network, refinement", PART)}
    alone = {"seconds": ("network, forward pass", TIME)}
    memory = {"peak_memory_mb": ("peak memory", MEMORY)}
    draw(axes[0, 0], registrations, "voxels", whole, ("voxels of each image [million]", "seconds"))
    draw(axes[0, 1], registrations, "voxels", memory, ("voxels of each image [million]", "MB"))
    draw(axes[1, 0], networks, "batch", alone, ("pairs at once", "seconds"))
    draw(axes[1, 1], networks, "batch", memory, ("pairs at once", "MB"))
    return figure


def draw(
    axes: Axes, lines: Sequence[Line], along: str, curves: dict[str, tuple[str, str]], labels: tuple[str, str]
) -> None:
    """Curves with their exponents, and a straight line of exponent 1 through each one's last point."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_facecolor(BACKGROUND)
    axes.set(xscale="log", yscale="log")
    axes.set_xlabel(labels[0], color=FAINT)
    axes.set_ylabel(labels[1], color=FAINT)
    for name, (title, colour) in curves.items():
        x, y = (np.array([line[part] for line in lines if line[name]], float) for part in (along, name))
        if not len(x):
            continue
        fitted = exponent(lines, along, name)
        label = title if fitted is None else f"{title}: exponent {fitted:.2f}"
        axes.plot(x, y, "o-", color=colour, label=label)
        axes.plot(x, y[-1] * x / x[-1], "--", color=colour, alpha=0.5, linewidth=1)
        axes.legend(facecolor=BACKGROUND, labelcolor=TEXT, edgecolor=NOWHERE)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", colors=TEXT)
    axes.spines[:].set_color(NOWHERE)
    axes.grid(which="both", color=NOWHERE, linewidth=0.6)


def options(words: list[str]) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(prog="python training/benchmark.py growth", description=__doc__.split("\n\n")[1])
    add = parser.add_argument
    add("--pair", type=Path, nargs=2, metavar=("FIXED", "MOVING"), help="two images (default: a synthetic chest)")
    add("--sizes", type=float, nargs="*", default=SIZES_MILLION, metavar="MILLION", help="voxels of each image")
    add("--batches", type=int, nargs="*", default=BATCHES, metavar="PAIRS", help="pairs for the network at once")
    add("--threads", type=int, default=2, help="of each process (default: 2)")
    add("--out", type=Path, required=True, help="for the tables and the picture")
    return parser.parse_args(words)


def main(arguments: list[str]) -> int:
    """Measure; 3 for bad input, 130 after Ctrl-C."""
    return explained(lambda: run(options(arguments), ["benchmark.py", "growth", *arguments]))


def run(chosen: argparse.Namespace, words: list[str]) -> None:
    """Measure all sizes, and write tables, picture and JSON.

    Raises:
        TrainingError: A process that failed.
        OutputError: They can't be written.
    """
    registrations = []
    if chosen.sizes:
        images = base_images(chosen.pair)
        for size in tqdm(chosen.sizes, "sizes", file=sys.stderr):
            registrations.append(registration_line(images, size * MILLION, chosen.threads))
    networks = [network_line(batch, chosen.threads) for batch in tqdm(chosen.batches, "batches", file=sys.stderr)]
    about = [f"{chosen.threads} thread{'s' * (chosen.threads != 1)}. Command: `{command(words)}`"]
    for table in tables(registrations, networks, about):
        table.write(chosen.out)
    write_figure(chosen.out / "growth.png", growth_figure(registrations, networks))
    values: dict[str, Any] = {
        "command": command(words), "machine": machine(), "versions": versions(),
        "registrations": registrations, "networks": networks,
    }  # fmt: skip
    write_text(chosen.out / "growth.json", json.dumps(plain(values), indent=2, allow_nan=False) + "\n")


def base_images(pair: Sequence[Path] | None) -> list[Volume]:
    """The pair that is sampled: from files, or a synthetic chest."""
    if pair is not None:
        return [read_volume(path) for path in pair]
    lattice = chest_lattice(PHANTOM_SPACING_MM)
    made = make_pair(PhantomConfig(), lattice, lattice)
    return [made.fixed, made.moving]
