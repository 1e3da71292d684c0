"""What is written at the end: JSON, a table of the patients, a page of words, and two pictures."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from LungDeepRegLib.json_values import plain
from LungDeepRegLib.results.staging import OutputError, failing_as_output, staged_folder

from ..benchmarking.machine import machine, versions
from ..benchmarking.pictures import write_figure
from .figures import saliency_figure, scores_figure
from .lung_box import BOX
from .outcome import Outcome, Procedure
from .residuals import SHAPE, SPACING_MM
from .scores import Scores
from .yardsticks import lung_means

RESULTS, PREDICTIONS, PAGE, SCORES, SALIENCY = (
    "results.json",
    "predictions.csv",
    "report.md",
    "scores.png",
    "saliency.png",
)
FILES = (RESULTS, PREDICTIONS, PAGE, SCORES, SALIENCY)
PAPER = {"accuracy": 0.8462, "right": 11, "patients": 13, "source": "arXiv 1809.06226, real patients"}
"""The paper gives 84.62 %, which is 11 of 13."""
SYNTHETIC_WARNING = (
    "**Synthetic patients: computed, not scanned. What is found tests the pipeline, and says nothing about disease.**"
    "\n\n"
)


@dataclass(frozen=True)
class Setting:
    """What the patients are and what was done.

    Attributes:
        cohort: The cohort's name.
        synthetic: Whether its scans are computed, not scanned.
        ill: The label that is looked for.
        other: The other one.
        phases: The fixed image's and the moving one's.
        procedure: Folds, seed, training.
    """

    cohort: str
    synthetic: bool
    ill: str
    other: str
    phases: tuple[str, str]
    procedure: Procedure

    @property
    def heading(self) -> str:
        """What the patients are, for titles."""
        return "synthetic patients" if self.synthetic else "patients"


def check_free(out: Path, *, overwrite: bool) -> None:
    """Raise :class:`OutputError` where an earlier result would be replaced without being asked for."""
    if (out / RESULTS).exists() and not overwrite:
        msg = f"{out / RESULTS}: exists already; choose another folder or use --overwrite"
        raise OutputError(msg)


def write_report(out: Path, outcome: Outcome, setting: Setting) -> None:
    """Write :data:`FILES` into a folder, all of them or none, in the place of earlier ones; other files there stay.

    Raises:
        OutputError: The folder can't be written.
    """
    names = (setting.ill, setting.other, f"{len(outcome.patients)} {setting.heading}")
    with staged_folder(out, ours=FILES.__contains__, overwrite=True) as folder, failing_as_output(out):
        values = json.dumps(plain(results(outcome, setting)), indent=2)
        (folder / RESULTS).write_text(values + "\n", encoding="utf-8")
        (folder / PAGE).write_text(page(outcome, setting), encoding="utf-8")
        write_predictions(folder / PREDICTIONS, outcome, setting)
        write_figure(folder / SCORES, scores_figure(outcome, *names))
        write_figure(folder / SALIENCY, saliency_figure(outcome, *names))


def results(outcome: Outcome, setting: Setting) -> dict[str, object]:
    """All figures."""
    from ..provenance import command  # here, since it loads Lightning

    validating = np.array([patient.validates for patient in outcome.patients])
    return {
        "cohort": Path(setting.cohort).name,
        "synthetic": setting.synthetic,
        "patients": {setting.ill: int(outcome.ill.sum()), setting.other: int((~outcome.ill).sum())},
        "fixed_moving": setting.phases,
        "lattice": {"shape": SHAPE, "spacing_mm": SPACING_MM, "box": BOX},
        "procedure": asdict(setting.procedure),
        "scores": {name: asdict(scores) for name, scores in outcome.scores.items()},
        "always_" + setting.ill: float(outcome.ill.mean()),
        "validation_patients": outcome.accuracy_of(validating) if validating.any() else None,
        "control": asdict(outcome.control),
        "paper": PAPER,
        "registration_warnings": outcome.residuals.warnings,
        "command": command(sys.argv),
        "versions": versions(),
        "machine": machine(),
    }


def write_predictions(path: Path, outcome: Outcome, setting: Setting) -> None:
    """A line a patient: truth, fold, and what was said out of fold."""
    length = lung_means(np.linalg.norm(outcome.residuals.displacement, axis=1)[:, None], outcome.residuals.lungs)[:, 0]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        head = ["patient", "label", "split", "fold", "logit", "probability", "called", "mean_displacement_mm"]
        table.writerow(head)
        for n, patient in enumerate(outcome.patients):
            logit = outcome.network.logits[n]
            names = [setting.ill if ill else setting.other for ill in (patient.ill, logit > 0)]
            split = "validation" if patient.validates else "train"
            numbers = [f"{logit:.4f}", f"{1 / (1 + np.exp(-logit)):.4f}", names[1], f"{length[n]:.2f}"]
            table.writerow([patient.name, names[0], split, outcome.network.fold[n] + 1, *numbers])


def page(outcome: Outcome, setting: Setting) -> str:
    """The results in words."""
    ill, folds = setting.ill, setting.procedure.folds
    areas = outcome.control.areas
    counts = f"{int(outcome.ill.sum())} {ill}, {int((~outcome.ill).sum())} {setting.other}"
    rows = [row(name, scores) for name, scores in outcome.scores.items()]
    return (
        f"# {ill} or {setting.other}, told by breathing\n\n"
        + (SYNTHETIC_WARNING if setting.synthetic else "")
        + f"{len(outcome.patients)} {setting.heading} ({counts}), each judged by the one of {folds} models that hadn't"
        f" seen them. Input: the residual deformation of the registration, {setting.phases[0]} (fixed) to"
        f" {setting.phases[1]}, for the network without its affine part and in the lungs' own box."
        " 95 % confidence intervals in brackets: Wilson's, for the area Newcombe's.\n\n"
        f"| | accuracy | area under the curve | sensitivity | specificity |\n| --- | --- | --- | --- | --- |\n"
        + "".join(rows)
        + f"| always {ill} | {100 * outcome.ill.mean():.1f} % | 0.50 | 100 % | 0 % |\n\n"
        f"Permutation control: with shuffled labels the same procedure gives an area of {np.mean(areas):.2f}"
        f" ({min(areas):.2f} to {max(areas):.2f} in {len(areas)} shufflings); p = {outcome.control.p_value:.3f}, the"
        f" least that so many shufflings can show being {1 / (1 + len(areas)):.3f}.\n\n"
        + validation_words(outcome)
        + "The paper's data, real patients, not these: 84.62 %, 11 of 13 (arXiv 1809.06226).\n\n"
        "![Scores](scores.png)\n\n![Saliency](saliency.png)\n"
    )


def row(name: str, scores: Scores) -> str:
    """A line of the table."""
    cells = (scores.accuracy.percent(), scores.auc.plain(), scores.sensitivity.percent(), scores.specificity.percent())
    return f"| {name} | " + " | ".join(cells) + " |\n"


def validation_words(outcome: Outcome) -> str:
    """How many of the patients who validate registration are called what they are; nothing without such patients."""
    validating = np.array([patient.validates for patient in outcome.patients])
    if not validating.any():
        return ""
    found = outcome.accuracy_of(validating)
    return (
        f"Of the {found['patients']} patients of the validation split, {found['right']} are called what they are.\n\n"
    )
