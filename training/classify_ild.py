"""Tell patients with interstitial lung disease from healthy ones by how their lungs move between two images.

    python training/classify_ild.py --cohort cohort.csv --out ild

Registers each patient's images by the product's defaults, trains a shallow network on the residual deformations in
stratified cross-validation, and does it again with shuffled labels. No network is kept: research only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if __package__ in (None, ""):  # run as a file: the package and the engine lie beside it
    root = Path(__file__).resolve().parents[1]
    sys.path[0:1] = [str(root), str(root / "LungDeepReg")]

import torch
from LungDeepRegLib.registration import DEVICES, RegistrationError
from LungDeepRegLib.results.staging import OutputError, failing_as_output
from LungDeepRegLib.volume import VolumeError
from tqdm import tqdm

from training.classification.cross_validation import stratified_folds
from training.classification.network import Training
from training.classification.outcome import NETWORK, Outcome, Procedure, judge, truth
from training.classification.patients import ClassificationError, Patient, read_patients
from training.classification.report import FILES, PAGE, Setting, check_free, write_report
from training.classification.residuals import Residuals, residuals
from training.cohorts import Cohort, read_cohort
from training.errors import TrainingError

BAD_INPUT = 3
EXPLAINED = (TrainingError, OutputError, RegistrationError, VolumeError)
"""Errors whose message says all that a user needs."""


def options() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m training.classify_ild",
        description="Tell patients with a disease from others by the deformation between their two images. Research"
        " only: what is found on synthetic patients says nothing about patients, and no network is kept.",
    )
    parser.add_argument("--cohort", type=Path, required=True, help="a manifest whose labels are diagnoses")
    parser.add_argument("--out", type=Path, required=True, help=f"a folder for {', '.join(FILES)}")
    parser.add_argument("--label", default="ILD", help="the diagnosis that is looked for (default: ILD)")
    parser.add_argument("--fixed", default="exhale", help="phase of the image that stays (default: exhale)")
    parser.add_argument("--moving", default="inhale", help="phase of the image that is deformed (default: inhale)")
    parser.add_argument("--folds", type=int, default=5, help="models, a patient judged by one (default: 5)")
    parser.add_argument("--epochs", type=int, default=Training.epochs, help="default: %(default)s")
    parser.add_argument("--permutations", type=int, default=20, help="times to shuffle the labels (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of folds, weights and shuffling (default: 0)")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="of the registrations (default: auto)")
    parser.add_argument("--cache", type=Path, help="where residuals are kept between runs (default: OUT/residuals)")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier result in the folder")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Register, judge and report; 3 for input that can't be used, with the reason on standard error."""
    chosen = options().parse_args(arguments)
    try:
        outcome = run(chosen)
    except EXPLAINED as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_INPUT
    scores, p_value = outcome.scores[NETWORK], outcome.control.p_value
    found = f"accuracy {scores.accuracy.percent()}, area {scores.auc.plain()}, permutation p = {p_value:.3f}"
    sys.stdout.write(f"{chosen.out / PAGE}: {found}\n")
    return 0


def run(chosen: argparse.Namespace) -> Outcome:
    """All of it; what can be wrong with options, cohort and folder shows before the first registration."""
    procedure = checked_procedure(chosen)
    check_free(chosen.out, overwrite=chosen.overwrite)
    cohort = read_cohort(chosen.cohort)
    patients = read_patients(cohort, chosen.fixed, chosen.moving, chosen.label)
    stratified_folds(truth(patients), procedure.folds, procedure.seed)
    found = registered(patients, chosen.cache or chosen.out / "residuals", chosen.device)
    rounds = tqdm(range(1, chosen.permutations + 1), "Shuffled labels", file=sys.stderr)
    with one_thread():
        outcome = judge(patients, found, procedure, rounds)
    write_report(chosen.out, outcome, setting(cohort, patients, chosen, procedure))
    return outcome


def checked_procedure(chosen: argparse.Namespace) -> Procedure:
    """Folds, seed and training as asked for, or a :class:`ClassificationError` for numbers that mean nothing."""
    if min(chosen.epochs, chosen.permutations) < 1 or chosen.seed < 0:
        msg = f"found {chosen.epochs} epochs, {chosen.permutations} permutations and seed {chosen.seed}, expected at"
        msg += " least 1, 1 and 0"
        raise ClassificationError(msg)
    return Procedure(chosen.folds, chosen.seed, Training(epochs=chosen.epochs))


def registered(patients: list[Patient], cache: Path, device: str) -> Residuals:
    """All residuals, with progress on standard error."""
    with failing_as_output(cache):
        return residuals(patients, cache, device, lambda those: tqdm(those, "Registrations", file=sys.stderr))


def setting(cohort: Cohort, patients: list[Patient], chosen: argparse.Namespace, procedure: Procedure) -> Setting:
    """What the report says of the patients and the procedure."""
    other = next(patient.fixed.label for patient in patients if not patient.ill)
    phases = (chosen.fixed, chosen.moving)
    return Setting(cohort.name, cohort.synthetic, chosen.label, other, phases, procedure)


@contextmanager
def one_thread() -> Iterator[None]:
    """The same numbers whatever the number of cores; the network is too small to gain by more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    sys.exit(main())
