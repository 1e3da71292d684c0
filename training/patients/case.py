"""One patient of the cohort with their breath: everything that is known before pictures are taken."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.landmarks import Landmarks
from LungDeepRegLib.volume import Volume

from .appearance import picture
from .breath import Breaths
from .breathing import ElasticBreathing, breathe
from .mechanics import ChestMechanics, Stiffness
from .observers import Observers
from .parameters import Parameters
from .patient import Patient, sample_patient
from .scanner import Scanner

NODES_MM = 9.0
"""Between the nodes where the elastic equilibrium is solved."""
EXHALE, INHALE = "exhale", "inhale"
PHASES = (EXHALE, INHALE)
# Independent streams of random numbers, beside those of patient.py
BREATH, PLACE, PICTURE, OBSERVER = range(32, 36)


@dataclass(frozen=True, eq=False)
class Case:
    """A patient and how they breathe.

    Attributes:
        patient: The patient, inhaled.
        phi: The map from exhaled to inhaled, RAS mm.
        middle: Of the inhaled lungs, ``(3,)`` RAS mm.
        scanner: What takes the pictures.
        observers: Who place landmarks.
    """

    patient: Patient
    phi: ElasticBreathing
    middle: np.ndarray
    scanner: Scanner
    observers: Observers

    def lattice(self, coarser: float = 1.0) -> Lattice:
        """Where the voxels of both images are, see :meth:`Scanner.lattice`."""
        return self.scanner.lattice(self.middle, self.patient.generator(PLACE), coarser)

    def picture(self, phase: str, lattice: Lattice) -> tuple[Volume, Volume]:
        """The image of a phase, int16 as scanners store it, and its lungs: 1 right, 2 left."""
        rng = self.patient.generator(PICTURE, PHASES.index(phase))
        image, lungs = picture(self.patient, lattice, self.phi if phase == EXHALE else None, rng)
        return replace(image, array=np.rint(image.array).astype(np.int16)), lungs

    def lungs(self, phase: str, points_ras: np.ndarray) -> np.ndarray:
        """Which of the points ``(N, 3)`` are in the lungs in a phase."""
        return self.patient.lungs(self.phi(points_ras) if phase == EXHALE else points_ras) < 0

    def landmarks(self, phase: str) -> Landmarks:
        """Where the landmarks really are in a phase."""
        inhaled = self.patient.landmarks
        points = self.phi.inverse(inhaled.points_ras) if phase == EXHALE else inhaled.points_ras
        return Landmarks(points, inhaled.labels, f"{self.patient.member.name} {phase}")

    def placed(self, phase: str, observer: int) -> Landmarks:
        """Where observer 1 or 2 sees them."""
        rng = self.patient.generator(OBSERVER, observer, PHASES.index(phase))
        truth = self.landmarks(phase)
        return self.observers.place(truth, rng, f"{truth.name}, observer {observer}")


def sample_case(parameters: Parameters, number: int) -> Case:
    """Patient 0, 1, ... of the cohort with their breath.

    Raises:
        ParametersError: A table with other names than expected.
        MotionError: A breath too deep for this chest.
    """
    patient = sample_patient(parameters, number)
    breaths = parameters.section("breathing", Breaths)
    breath = breaths.sample(patient.member, patient.extent, patient.generator(BREATH))
    mechanics = ChestMechanics(patient, breath, parameters.section("stiffness", Stiffness))
    phi = breathe(mechanics, mechanics.lattice(NODES_MM))
    scanner, observers = parameters.section("scanner", Scanner), parameters.section("observers", Observers)
    return Case(patient, phi, np.mean(mechanics.box, axis=0), scanner, observers)
