"""What registrations survive: ``python training/benchmark.py robustness --image chest.nii.gz --out robustness``.

Pairs of one CT under known breaths, displaced, turned, cropped, noisy and in other contrasts, are registered with the
defaults and without masks. What fails should be told: by an error, a warning or a red light.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from textwrap import shorten

import numpy as np
import torch
from LungDeepRegLib import Volume, read_volume, register
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.json_values import plain
from LungDeepRegLib.quality import Light, checks
from LungDeepRegLib.registration import Clock, Registration, RegistrationError
from LungDeepRegLib.results.folder import measured, origins, pair_of, run_of
from LungDeepRegLib.results.output_files import Findings
from LungDeepRegLib.results.pair import Pair
from LungDeepRegLib.results.summary import summary
from LungDeepRegLib.volume import VolumeError
from tqdm import tqdm

from ..benchmarking.comparison_figure import Panel, comparison_figure
from ..benchmarking.machine import machine, versions
from ..benchmarking.pictures import write_figure
from ..benchmarking.record import digest
from ..benchmarking.tables import Column, Line, Table, number, word, write_text
from ..errors import TrainingError
from ..methods.ours import engine_digest
from ..provenance import command
from .disturbances import KINDS, DisturbedPair, coarser, disturbance, disturbed
from .explained import explained

SPACING_MM = 2.0
SUCCESS_MM = 4.0
"""A registration succeeds if its mean error in the lung that both images show is less: two voxels."""
ROUTINE = "the network's result was left out"
"""A warning that tells nothing of the result: the refinement starts elsewhere."""
CASES, RUN = "cases.csv", "run.json"


class RobustnessError(TrainingError):
    """Kept results that can't be gone on from."""


@dataclass(frozen=True)
class Outcome:
    """One disturbed pair, registered.

    Attributes:
        number: Of the disturbance.
        kind: See :class:`disturbances.Disturbance`.
        words: What was done to it.
        before_mm: Mean error without registration.
        aligned_mm: Mean error of the alignment alone; None where there is no result.
        mean_mm: Mean error in the lung that both images show; None where there is no result.
        p95_mm: 95th percentile.
        seconds: Of the registration.
        told: Warnings and red lights, one line each; the routine ones are left out.
        error: Why there is no result.
    """

    number: int
    kind: str
    words: str
    before_mm: float
    aligned_mm: float | None = None
    mean_mm: float | None = None
    p95_mm: float | None = None
    seconds: float | None = None
    told: str = ""
    error: str = ""

    @property
    def success(self) -> bool:
        """Whether the registration found its way."""
        return self.mean_mm is not None and self.mean_mm < SUCCESS_MM

    @property
    def silent(self) -> bool:
        """Whether it failed and nothing says so."""
        return not (self.success or self.told or self.error)


def outcome(ct: Volume, count: int, seed: int) -> Outcome:
    """Disturb, register and judge one pair."""
    what = disturbance(count, seed)
    pair = disturbed(ct, what)
    known = Outcome(count, what.kind, what.words, mean_error(pair.seen, pair))
    started = time.perf_counter()
    try:
        result = register(pair.fixed, pair.moving)
    except (RegistrationError, VolumeError) as error:
        return replace(known, error=str(error))
    seconds = time.perf_counter() - started
    errors = np.linalg.norm(result.field(pair.seen) - pair.truth, axis=1)
    return replace(
        known,
        aligned_mm=mean_error(apply(result.alignment.matrix, pair.seen), pair),
        mean_mm=float(errors.mean()),
        p95_mm=float(np.percentile(errors, 95)),
        seconds=seconds,
        told="\n".join(told(pair, result)),
    )


def mean_error(found: np.ndarray, pair: DisturbedPair) -> float:
    """Of points ``(N, 3)`` to where they are in the moving image, in mm."""
    return float(np.linalg.norm(found - pair.truth, axis=1).mean())


def told(pair: DisturbedPair, result: Registration) -> list[str]:
    """What a user is told that may mean a failure: warnings of the registration, and red lights of its quality."""
    images = judged_pair(pair, result)
    findings = Findings(images, result.field, result.warped, result.covered, result.alignment.matrix)
    run = run_of(images, result, origins(images, fixed_given=False, moving_given=False))
    evaluation, run = measured(findings, run, Clock(lambda stage, fraction: None))
    red = [f"red: {check.title}" for check in checks(summary(evaluation, run)) if check.light is Light.RED]
    return [warning for warning in result.warnings if not warning.startswith(ROUTINE)] + red


def judged_pair(pair: DisturbedPair, result: Registration) -> Pair:
    """The images as the registration read them."""
    return pair_of(pair.fixed, pair.moving, result)


def read_outcomes(path: Path) -> dict[int, Outcome]:
    """Those that an earlier run left, by number.

    Raises:
        RobustnessError: A damaged file.
    """
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return {int(row["number"]): outcome_of(row) for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{path}: found a table that can't be read ({error!r}), expected one of this program; remove it"
        raise RobustnessError(msg) from error


def outcome_of(row: dict[str, str]) -> Outcome:
    """An outcome from a line of its table."""
    texts = ("kind", "words", "told", "error")
    values = {
        part.name: row[part.name] if part.name in texts else number_of(row[part.name]) for part in fields(Outcome)
    }
    return Outcome(**{**values, "number": int(row["number"])})  # type: ignore[arg-type]


def number_of(text: str) -> float | None:
    """A number, or None for nothing."""
    return float(text) if text else None


def write_outcomes(path: Path, outcomes: Sequence[Outcome]) -> None:
    """All outcomes as CSV."""
    text = Table(path.stem, "", (), [asdict(found) for found in outcomes]).csv()
    write_text(path, text)


def check_run(folder: Path, values: dict[str, object]) -> None:
    """Remember what a run is of, and refuse to go on with another.

    Raises:
        RobustnessError: The folder holds a run of something else.
    """
    path = folder / RUN
    if path.exists() and (earlier := json.loads(path.read_text(encoding="utf-8"))) != values:
        unlike = ", ".join(name for name in values if earlier.get(name) != values[name])
        msg = f"{path}: found a run of another {unlike}, expected the same; choose another --out"
        raise RobustnessError(msg)
    write_text(path, json.dumps(values, indent=2) + "\n")


def kind_line(kind: str, found: Sequence[Outcome]) -> Line:
    """What became of all cases of a kind."""
    good, failed = [one for one in found if one.success], [one for one in found if not one.success]
    errors = [one.mean_mm for one in found if one.mean_mm is not None]
    return {
        "kind": kind,
        "cases": len(found),
        "success_percent": 100 * len(good) / len(found),
        "before_mm": float(np.mean([one.before_mm for one in found])),
        "median_mm": float(np.median(errors)) if errors else None,
        "worst_mm": max(errors, default=None),
        "told_failures": sum(not one.silent for one in failed),
        "silent_failures": sum(one.silent for one in failed),
        "false_alarms": sum(bool(one.told) for one in good),
        "seconds": float(np.median([one.seconds for one in found if one.seconds is not None] or [0.0])),
    }


def table(outcomes: Sequence[Outcome], about: Sequence[str]) -> Table:
    """By kind, and all together."""
    kinds = [kind for kind in KINDS if any(one.kind == kind for one in outcomes)]
    lines = [kind_line(kind, [one for one in outcomes if one.kind == kind]) for kind in kinds]
    lines.append(kind_line("all cases", outcomes))
    columns = (
        Column("what is wrong", word("kind")),
        Column("cases", word("cases")),
        Column("success [%]", number("success_percent", 0)),
        Column("error before, mean [mm]", number("before_mm", 1)),
        Column("median error [mm]", number("median_mm", 2)),
        Column("worst [mm]", number("worst_mm", 2)),
        Column("failures that are told", word("told_failures")),
        Column("silent failures", word("silent_failures")),
        Column("false alarms", word("false_alarms")),
        Column("time, median [s]", number("seconds", 1)),
    )
    notes = [
        f"Success: a mean error below {SUCCESS_MM:g} mm (two voxels) in the lung that both images show. One CT,"
        f" averaged to about {SPACING_MM:g} mm, under known breaths of 8 to 30 mm; default settings, no masks.",
        "Told: an error, a warning or a red light of the quality checks. False alarms: those of successes, among them"
        " warnings that are right about what the images show.",
        *(f"Case {one.number} failed: {one.words}; {failure(one)}." for one in outcomes if not one.success),
        *about,
    ]
    return Table("robustness", "Disturbed pairs, registered with the defaults", columns, lines, notes)


def failure(one: Outcome) -> str:
    """How a case failed, and what was told."""
    error = one.error or f"error {one.mean_mm:.1f} mm (alignment {one.aligned_mm:.1f} mm)"
    return f"{error}; {one.told.replace(chr(10), ', ') or ('told' if one.error else 'SILENT')}"


def draw_worst(ct: Volume, outcomes: Sequence[Outcome], seed: int, out: Path) -> list[Path]:
    """The case with the largest error, registered once more."""
    ranked = sorted((one for one in outcomes if one.mean_mm is not None), key=lambda one: one.mean_mm or 0.0)
    if not ranked:
        return []
    worst = ranked[-1]
    pair = disturbed(ct, disturbance(worst.number, seed))
    result = register(pair.fixed, pair.moving)
    aligned = DisplacementField.from_matrix(result.alignment.matrix, result.field.lattice)
    panels = [
        Panel("before", f"{worst.before_mm:.1f} mm", None),
        Panel("affine alignment", f"{worst.aligned_mm:.1f} mm", aligned),
        Panel("result", f"{worst.mean_mm:.1f} mm", result.field),
    ]
    words = f"{worst.words}.\nTold: {shorten(worst.told or 'nothing', 150)}."
    headline = f"The largest error of {len(outcomes)} disturbed pairs: case {worst.number}"
    views = ("coronal", "sagittal")
    return [
        write_figure(out / "worst.png", comparison_figure(judged_pair(pair, result), panels, headline, words, views))
    ]


def options(words: list[str]) -> argparse.Namespace:
    """The command's options."""
    program = "python training/benchmark.py robustness"
    parser = argparse.ArgumentParser(prog=program, description=__doc__.split("\n\n")[1])
    parser.add_argument("--image", type=Path, required=True, help="a chest CT")
    parser.add_argument("--cases", type=int, default=50, help="how many pairs (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")
    parser.add_argument("--threads", type=int, default=2, help="of the registration (default: 2)")
    parser.add_argument("--out", type=Path, required=True, help="for results; what is there already isn't done again")
    return parser.parse_args(words)


def main(arguments: list[str]) -> int:
    """Register and judge; 3 for bad input, 130 after Ctrl-C."""
    return explained(lambda: run(options(arguments), ["benchmark.py", "robustness", *arguments]))


def run(chosen: argparse.Namespace, words: list[str]) -> None:
    """Do the cases that aren't done yet, and write the table and the picture of the worst one.

    Raises:
        TrainingError: An image or results that can't be used.
        OutputError: Results can't be written.
    """
    torch.set_num_threads(chosen.threads)
    ct = coarser(read_volume(chosen.image), SPACING_MM)
    content = digest([float(ct.array.mean(dtype=np.float64)), list(ct.array.shape), ct.ijk_to_ras.tolist()])
    values = {"image": content, "seed": chosen.seed, "engine": engine_digest(), "threads": chosen.threads}
    check_run(chosen.out, values)
    outcomes = read_outcomes(chosen.out / CASES)
    todo = [count for count in range(chosen.cases) if count not in outcomes]
    for count in tqdm(todo, "pairs", file=sys.stderr):
        try:
            outcomes[count] = outcome(ct, count, chosen.seed)
        except ValueError as error:
            msg = f"{chosen.image}, case {count}: {error}"
            raise RobustnessError(msg) from error
        write_outcomes(chosen.out / CASES, [outcomes[known] for known in sorted(outcomes)])
    done = [outcomes[count] for count in range(chosen.cases)]
    found = table(done, [f"Command: `{command(words)}`"])
    found.write(chosen.out)
    draw_worst(ct, done, chosen.seed, chosen.out)
    report = {"command": command(words), **values, "machine": machine(), "versions": versions(), "lines": found.lines}
    write_text(chosen.out / "robustness.json", json.dumps(plain(report), indent=2, allow_nan=False) + "\n")
