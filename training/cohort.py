"""The frozen cohort of synthetic patients, written as files: exhaled and inhaled MRI with masks and landmarks.

    python -m training.cohort --out cohort --workers 2

41 patients as the paper has them: 29 with interstitial lung disease and 12 healthy, 13 of them for validation; the
landmarks of two simulated observers, and the truth. All is drawn from ``patients/frozen.toml``; ``--seed`` and
``--times`` draw other patients likewise, and more, who aren't the frozen cohort. The folder holds ``manifest.csv``,
which :func:`training.cohorts.read_manifest` reads, and appears whole or not at all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

if __package__ in (None, ""):  # run as a file: the package and the engine lie beside it
    root = Path(__file__).resolve().parents[1]
    sys.path[0:1] = [str(root), str(root / "LungDeepReg")]

from LungDeepRegLib.results.staging import OutputError

from training.cohorts.manifest import YES
from training.cohorts.writing import staged_cohort, write_manifest, write_scan
from training.errors import TrainingError
from training.patients.case import PHASES, Case, sample_case
from training.patients.members import Member, members
from training.patients.parameters import FROZEN, Parameters, read_parameters
from training.worker_processes import mapped

BAD_INPUT = 3
COARSEST = 16.0
Rows = list[dict[str, str]]


class SyntheticCohortError(TrainingError):
    """Options that describe no part of the cohort."""


@dataclass(frozen=True)
class SyntheticCohort:
    """Which patients, and how finely they are imaged.

    Attributes:
        patients: How many, the first of the cohort; those for validation come first. None for all.
        coarser: How many times larger voxels are than in the whole cohort, 1 to :data:`COARSEST`.
        parameters: What they are drawn from.
        seed: Chooses other patients; None for the frozen ones.
        times: How many times as many there are in all.

    Raises:
        SyntheticCohortError: More patients than there are, or none; another voxel size; no seed.
    """

    patients: int | None = None
    coarser: float = 1.0
    parameters: Path = FROZEN
    seed: int | None = None
    times: int = 1

    def __post_init__(self) -> None:
        if self.times < 1 or (self.seed is not None and self.seed < 0):
            msg = f"found {self.times} times as many patients and the seed {self.seed}, expected at least 1 and 0"
            raise SyntheticCohortError(msg)
        most = len(members(self.drawn_from))
        if self.patients is not None and not 1 <= self.patients <= most:
            msg = f"found {self.patients} patients, expected 1 to {most}"
            raise SyntheticCohortError(msg)
        if not 1 <= self.coarser <= COARSEST:
            msg = f"found voxels {self.coarser} times larger, expected 1 to {COARSEST:g} times"
            raise SyntheticCohortError(msg)

    @property
    def drawn_from(self) -> Parameters:
        """All that decides on the patients."""
        return read_parameters(self.parameters).redrawn(self.seed, self.times)

    @property
    def members(self) -> tuple[Member, ...]:
        """The patients."""
        return members(self.drawn_from)[: self.patients]


def write_cohort(
    out: Path,
    cohort: SyntheticCohort,
    workers: int = 1,
    progress: Callable[[Iterable[Rows]], Iterable[Rows]] = iter,
) -> Path:
    """Make the patients and write them to a folder.

    Args:
        out: The folder, which must be empty or not there yet.
        cohort: Which patients.
        workers: Processes side by side, of one thread each.
        progress: Wraps what comes patient by patient, to show how far it is: ``tqdm``, for instance.

    Returns:
        The manifest.

    Raises:
        WorkersError: No worker.
        OutputError: The folder isn't empty, or can't be written.
    """
    numbers = [member.number for member in cohort.members]
    with staged_cohort(out) as folder, mapped(min(workers, len(numbers))) as run:
        one = partial(write_patient, folder, cohort)
        rows = [row for patient in progress(run(one, numbers)) for row in patient]
        write_manifest(folder / "manifest.csv", rows)
    return out / "manifest.csv"


def write_patient(folder: Path, cohort: SyntheticCohort, number: int) -> Rows:
    """Write one patient's files; their lines of the manifest."""
    case = sample_case(cohort.drawn_from, number)
    return [write_phase(folder, case, phase, cohort.coarser) for phase in PHASES]


def write_phase(folder: Path, case: Case, phase: str, coarser: float) -> dict[str, str]:
    """Write one scan's files; its line of the manifest."""
    member = case.patient.member
    image, lungs = case.picture(phase, case.lattice(coarser))
    points = {"landmarks": case.placed(phase, 1), "landmarks_2": case.placed(phase, 2)}
    points["landmarks_truth"] = case.landmarks(phase)
    fields = {"patient": member.name, "phase": phase, "label": member.label, "split": member.split, "synthetic": YES}
    return write_scan(folder, image, lungs, points, fields)


def options() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m training.cohort",
        description="Write the cohort of the benchmark: synthetic patients with and without interstitial lung disease,"
        " exhaled and inhaled, as MRI of the paper's size with lung masks and landmarks. They are computed, not"
        " scanned: figures on them say little about patients.",
    )
    parser.add_argument("--out", type=Path, required=True, help="a folder that is empty or not there yet")
    parser.add_argument("--patients", type=int, help="only the first of them; 13 for validation come first")
    parser.add_argument("--coarser", type=float, default=1.0, help="voxels this many times larger (default: 1)")
    parser.add_argument("--seed", type=int, help="draw other patients likewise (default: the frozen ones)")
    parser.add_argument("--times", type=int, default=1, help="that many times as many patients (default: 1)")
    parser.add_argument("--workers", type=int, default=1, help="processes side by side (default: 1)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Write the cohort; 3 if it can't be made or written, with the reason on standard error."""
    from tqdm import tqdm

    chosen = options().parse_args(arguments)
    try:
        cohort = SyntheticCohort(chosen.patients, chosen.coarser, seed=chosen.seed, times=chosen.times)
        bar = partial(tqdm, total=len(cohort.members), desc="Patients", unit="patient", file=sys.stderr)
        manifest = write_cohort(chosen.out, cohort, chosen.workers, bar)
    except (TrainingError, OutputError) as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_INPUT
    sys.stdout.write(f"{manifest}: {len(cohort.members)} synthetic patients, two scans each\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
