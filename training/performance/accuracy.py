"""How exact registrations are: ``python training/benchmark.py accuracy --pair FIXED MOVING --out accuracy``.

Every method gets the same aligned pair. Where there are no landmarks, interest points judge it that no method's own
similarity has matched; on breaths of a CT that are known the truth does, and there it also judges the points.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.image_io import read_volume
from LungDeepRegLib.json_values import plain
from LungDeepRegLib.metrics import Distribution, consistency_mm

from ..benchmarking.command import benchmark
from ..benchmarking.inputs import AS_IS, Aligned, Inputs
from ..benchmarking.machine import machine, versions
from ..benchmarking.options import parser_of
from ..benchmarking.record import UNREGISTERED, Record, read_field, read_records
from ..benchmarking.rows import one_line
from ..benchmarking.tables import Column, Line, Table, number, word, write_text
from ..benchmarking.task import OWN_ROWS, PREPARED, chosen_methods, task_of
from ..methods import METHODS, Method
from ..methods.ours import Ours
from ..provenance import command
from .explained import explained
from .interest_points import PointPairs, point_pairs
from .known_pairs import MOTIONS_MM, SEEDS, KnownFiles, known_files

ACCURATE = Ours("accurate", "LungDeepReg, --refine accurate", refine="accurate")
COMPARED = ("syn", "elastix", "convexadam", "network+linear", "network+linear+refine")
"""Of the methods; the last one is our default."""
CONSISTENCY_POINTS = 100_000
Rows = Mapping[str, Method | None]
"""Methods by name; None for the rows that the runner makes itself."""


def compared() -> dict[str, Method]:
    """The methods that are compared, in the table's order."""
    return {**{name: METHODS[name] for name in COMPARED}, ACCURATE.name: ACCURATE}


@dataclass(frozen=True, eq=False)
class Judged:
    """A pair that every method has registered.

    Attributes:
        records: By method.
        fields: What was found, where it was: the whole map, fixed RAS mm to moving RAS mm.
        points: Interest points.
        inside: Points of the fixed lungs, ``(N, 3)`` RAS mm.
    """

    records: dict[str, Record]
    fields: dict[str, DisplacementField]
    points: PointPairs
    inside: np.ndarray


def registered(
    folder: Path,
    images: Sequence[Path],
    masks: Sequence[Path] | None,
    methods: Rows,
    threads: int,
) -> None:
    """Register a pair by all methods, each in a process of its own; what is there isn't done again."""
    words = ["--pair", *map(str, images), "--out", str(folder), "--threads", str(threads), "--device", "cpu"]
    if masks:
        words += ["--masks", *map(str, masks)]
    benchmark(parser_of("accuracy", "").parse_args(words), methods, words, 0)


def judged(folder: Path, images: Sequence[Path], masks: Sequence[Path] | None) -> Judged:
    """What the methods found for a pair, and interest points for it."""
    chosen = parser_of("accuracy", "").parse_args(["--pair", *map(str, images), "--out", str(folder)])
    chosen.masks = masks
    (case,) = task_of(chosen, 0).cases
    inputs = Inputs(folder / PREPARED, AS_IS)
    alignment: Aligned = inputs.alignment(case)
    records = {record.method: record for record in read_records(folder)}
    pair = inputs.kept_pair(case.fixed.name, case.moving.name)
    found = {name: read_field(folder, name, case.fixed.name, case.moving.name) for name in records}
    fields = {name: field for name, field in found.items() if field is not None}
    if UNREGISTERED in records and fields:
        lattice = next(iter(fields.values())).lattice
        fields[UNREGISTERED] = DisplacementField.from_matrix(np.eye(4), lattice)
    points = point_pairs(pair, alignment.matrix)
    assert pair.fixed_mask is not None, "without lungs no points are looked for"
    inside = np.argwhere(pair.fixed_mask)[:, ::-1]
    inside = apply(pair.fixed.ijk_to_ras, inside[:: max(1, len(inside) // CONSISTENCY_POINTS)])
    return Judged(records, fields, points, inside)


def pair_lines(forward: Judged, backward: Mapping[str, DisplacementField], titles: Mapping[str, str]) -> Sequence[Line]:
    """A line for each method on the pair; ``backward`` holds the fields of the swapped pair, where there are such."""
    lines = []
    for name, title in titles.items():
        record = forward.records.get(name)
        if record is None:
            lines.append({"method": name, "title": title, "result": "not run"})
            continue
        line = {"method": name, "title": title, **of_record(record)}
        if name in forward.fields:
            phi = forward.fields[name]
            line |= spread("points", point_errors(phi, forward.points))
            if name in backward:
                line |= spread("consistency", Distribution.of(consistency_mm(phi, backward[name], forward.inside)))
        lines.append(line)
    return lines


def of_record(record: Record) -> dict[str, Any]:
    """What the run itself has measured."""
    kept = ("dice", "hausdorff95_mm", "similarity", "folded_percent_lung", "seconds", "peak_memory_mb")
    dice = None if record.dice is None else 100 * record.dice
    result = None if record.error is None else f"failed: {one_line(record.error)}"
    return {**{name: getattr(record, name) for name in kept}, "dice_percent": dice, "result": result}


def point_errors(phi: DisplacementField, points: PointPairs) -> Distribution | None:
    """Distances in mm between phi of the fixed points and the moving ones; None without any."""
    return distances(phi(points.fixed), points.moving) if len(points.fixed) else None


def distances(found: np.ndarray, wanted: np.ndarray) -> Distribution:
    """Between points ``(N, 3)``, N above 0."""
    return Distribution.of(np.linalg.norm(found - wanted, axis=-1))


def spread(name: str, values: Distribution | None) -> dict[str, float]:
    """The parts of a line that tell of a distribution."""
    return {} if values is None else {f"{name}_{part}": getattr(values, part) for part in ("mean", "median", "p95")}


def pair_table(lines: Sequence[Line], points: PointPairs, about: list[str]) -> Table:
    """The pair by all methods."""
    columns = (
        Column("method", word("title")),
        Column("points, mean [mm]", number("points_mean", 2)),
        Column("median [mm]", number("points_median", 2)),
        Column("95 % [mm]", number("points_p95", 2)),
        Column("Dice of lungs [%]", number("dice_percent", 2)),
        Column("Hausdorff 95 % [mm]", number("hausdorff95_mm", 2)),
        Column("similarity (LNCC)", number("similarity", 3)),
        Column("folded in lungs [%]", number("folded_percent_lung", 3)),
        Column("there and back, mean [mm]", number("consistency_mean", 2)),
        Column("95 % [mm] ", number("consistency_p95", 2)),
        Column("time [s]", number("seconds", 1)),
        Column("result", word("result")),
    )
    notes = [
        f"Points: {len(points.fixed)} of {points.found} interest points of the fixed lungs, matched around the affine"
        " alignment by histograms of gradient orientations, which no method here optimises; forward and backward"
        " matches agree. They are no landmarks: their own error is below the table of known breaths.",
        "There and back: |psi(phi(x)) - x| in the fixed lungs, psi the same method's registration of the swapped pair.",
        "Time: the method alone, without the alignment, which all share.",
        *about,
    ]
    return Table("accuracy", "One pair by every method", columns, lines, notes)


def known_lines(cases: Mapping[str, tuple[KnownFiles, Judged]], titles: Mapping[str, str]) -> Sequence[Line]:
    """A line for each method: its error on each breath, the mean of these, and what folds."""
    lines = []
    for name, title in titles.items():
        line: dict[str, Any] = {"method": name, "title": title}
        means, folded = [], []
        for case, (files, found) in cases.items():
            if name not in found.fields:
                continue
            error = files.error_mm(found.fields[name])
            line |= {f"{case} mean": error.mean, f"{case} p95": error.p95}
            line |= {f"{case} points": getattr(point_errors(found.fields[name], found.points), "mean", None)}
            means.append(error.mean)
            folded.append(found.records[name].folded_percent_lung or 0.0)
        if len(means) == len(cases):
            line |= {"mean": float(np.mean(means)), "folded": max(folded)}
        lines.append(line)
    return lines


def known_table(cases: Mapping[str, tuple[KnownFiles, Judged]], lines: Sequence[Line], about: list[str]) -> Table:
    """All known breaths by all methods."""
    columns = [Column("method", word("title")), Column("mean error of all [mm]", number("mean", 2))]
    for case in cases:
        columns += [
            Column(f"{case}: mean", number(f"{case} mean", 2)),
            Column(f"{case}: 95 %", number(f"{case} p95", 2)),
        ]
    columns.append(Column("most folded in lungs [%]", number("folded", 3)))
    notes = ["Error: |phi(x) - psi(x)| in mm over the fixed lungs, psi the simulated breath.", *about]
    for case, (files, found) in cases.items():
        if len(found.points.fixed):
            own = distances(files.truth(found.points.fixed), found.points.moving)
            notes.append(
                f"{case}: {len(found.points.fixed)} interest points, their own error to the truth: mean {own.mean:.2f},"
                f" median {own.median:.2f}, 95 % {own.p95:.2f} mm."
            )
    return Table("known", "Breaths of one CT that are known, by every method", columns, lines, notes)


def points_csv(points: PointPairs) -> str:
    """The matched points, RAS mm."""
    rows = [",".join(f"{value:.3f}" for value in row) for row in np.hstack((points.fixed, points.moving))]
    return "\n".join(["fixed_r,fixed_a,fixed_s,moving_r,moving_a,moving_s", *rows, ""])


def backward_fields(folder: Path, chosen: argparse.Namespace, methods: Rows) -> dict[str, DisplacementField]:
    """What the methods find for the swapped pair."""
    masks = chosen.masks and chosen.masks[::-1]
    registered(folder, chosen.pair[::-1], masks, methods, chosen.threads)
    records = read_records(folder)
    found = {record.method: read_field(folder, record.method, record.fixed, record.moving) for record in records}
    return {name: field for name, field in found.items() if field is not None}


def of_pair(chosen: argparse.Namespace, methods: Rows, about: list[str]) -> Table:
    """Register the pair both ways and judge it."""
    registered(chosen.out / "forward", chosen.pair, chosen.masks, methods, chosen.threads)
    back = {name: method for name, method in methods.items() if name not in chosen.one_way.split(",")}
    backward = backward_fields(chosen.out / "backward", chosen, back)
    forward = judged(chosen.out / "forward", chosen.pair, chosen.masks)
    write_text(chosen.out / "points.csv", points_csv(forward.points))
    return pair_table(pair_lines(forward, backward, titles_of(methods)), forward.points, about)


def of_known(chosen: argparse.Namespace, methods: Rows, about: list[str]) -> Table:
    """Simulate breaths of the CT, register them and judge them by the truth."""
    ct = read_volume(chosen.known)
    cases: dict[str, tuple[KnownFiles, Judged]] = {}
    for motion in chosen.motions:
        for seed in chosen.seeds:
            files = known_files(ct, motion, seed, chosen.out / "known")
            folder = chosen.out / "known" / f"{motion:g}mm_{seed}"
            registered(folder, (files.fixed, files.moving), None, methods, chosen.threads)
            cases[files.name] = (files, judged(folder, (files.fixed, files.moving), None))
    return known_table(cases, known_lines(cases, titles_of(methods)), about)


def titles_of(methods: Rows) -> dict[str, str]:
    """The rows of the tables."""
    return {name: OWN_ROWS[name] if method is None else method.title for name, method in methods.items()}


def options(words: list[str]) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(prog="python training/benchmark.py accuracy", description=__doc__.split("\n\n")[1])
    add = parser.add_argument
    add("--pair", type=Path, nargs=2, metavar=("FIXED", "MOVING"), help="two images")
    add("--masks", type=Path, nargs=2, metavar=("FIXED", "MOVING"), help="their lungs (default: found, in CT)")
    add("--known", type=Path, metavar="CT", help="a chest CT to be moved by known breaths")
    add("--motions", type=float, nargs="+", default=MOTIONS_MM, metavar="MM", help="of its diaphragm (default: 15 30)")
    add("--seeds", type=int, nargs="+", default=SEEDS, metavar="N", help="of its breaths (default: 0 1)")
    add("--methods", metavar="NAMES", help=f"some of {','.join(compared())} (default: all)")
    add("--one-way", default="", metavar="NAMES", help="methods that aren't run backward as well (default: none)")
    add("--threads", type=int, default=2, help="of each method (default: 2)")
    add("--out", type=Path, required=True, help="for results; what is there already isn't done again")
    chosen = parser.parse_args(words)
    if chosen.pair is None and chosen.known is None:
        parser.error("expected --pair or --known")
    return chosen


def main(arguments: list[str]) -> int:
    """Register and judge; 3 for bad input, 130 after Ctrl-C."""
    return explained(lambda: run(options(arguments), ["benchmark.py", "accuracy", *arguments]))


def run(chosen: argparse.Namespace, words: list[str]) -> None:
    """Register, judge, and write the tables.

    Raises:
        TrainingError: Inputs or options that can't be used.
        OutputError: Results can't be written.
    """
    methods = chosen_methods(chosen.methods, compared())
    about = [f"Command: `{command(words)}`", f"{chosen.threads} thread{'s' * (chosen.threads != 1)}."]
    tables = []
    if chosen.pair is not None:
        tables.append(of_pair(chosen, methods, about))
    if chosen.known is not None:
        tables.append(of_known(chosen, methods, about))
    for table in tables:
        table.write(chosen.out)
    values = {
        "command": command(words), "threads": chosen.threads, "machine": machine(), "versions": versions(),
        "tables": {table.name: {"notes": table.notes, "lines": table.lines} for table in tables},
        "settings": {name: getattr(method, "settings", {}) for name, method in methods.items()},
    }  # fmt: skip
    write_text(chosen.out / "accuracy.json", json.dumps(plain(values), indent=2, allow_nan=False) + "\n")
