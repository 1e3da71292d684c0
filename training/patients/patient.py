"""A synthetic patient: chest, place in the scanner, disease, look and landmarks, drawn from the frozen parameters."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.landmarks import Landmarks

from .anatomy import Anatomy
from .branchings import NAMES, named_branchings
from .chest_shape import ChestShape
from .disease import Disease, Pattern, spread_disease
from .look import Look
from .lung_trees import Tree, grow_lung_trees
from .members import ILD, Member, members
from .parameters import Parameters

# Independent streams of random numbers, so that a draw more in one never changes another.
SHAPE, PLACE, TREES, PATTERN, PATCHES, BENDS, GRAIN, LOOK, SIGNALS = range(16, 25)

Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class Placement:
    """How the patient lies in the scanner: the table ``[placement]``, which has a range for each.

    Attributes:
        size: World mm per mm of the frame.
        turn_deg: About the axis from feet to head.
        nod_deg: About the axis from left to right.
        roll_deg: About the axis from back to front.
        right_mm: Where the middle of the chest is.
        front_mm: Likewise.
        up_mm: Likewise.
    """

    size: float
    turn_deg: float
    nod_deg: float
    roll_deg: float
    right_mm: float
    front_mm: float
    up_mm: float

    @property
    def frame_to_ras(self) -> np.ndarray:
        """4x4 matrix from the chest's frame to RAS mm."""
        result = np.eye(4)
        for axis, degrees in enumerate((self.nod_deg, self.roll_deg, self.turn_deg)):
            i, j = (axis + 1) % 3, (axis + 2) % 3
            turn, angle = np.eye(4), np.radians(degrees)
            turn[i, i], turn[j, j] = np.cos(angle), np.cos(angle)
            turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
            result = result @ turn
        result[:3, :3] *= self.size
        result[:3, 3] = self.right_mm, self.front_mm, self.up_mm
        return result


@dataclass(frozen=True, eq=False)
class Patient:
    """One patient of the cohort, inhaled. Points are ``(N, 3)`` RAS mm of the inhaled chest.

    Attributes:
        member: Number, name, label, split, severity and depth of breath.
        anatomy: The chest's solids, in its own frame.
        placement: Where that frame is.
        disease: Where the lungs are ill; nowhere in the healthy.
        look: How the patient's images look.
        seed: The cohort's, and the patient's number.
    """

    member: Member
    anatomy: Anatomy
    placement: Placement
    disease: Disease
    look: Look
    seed: tuple[int, int]

    def generator(self, *stream: int) -> np.random.Generator:
        """The patient's own random numbers."""
        return np.random.default_rng([*self.seed, *stream])

    @cached_property
    def trees(self) -> dict[str, Tree]:
        """The ``arteries``, ``veins`` and ``bronchi`` of the lungs, in the frame."""
        return grow_lung_trees(self.anatomy, self.generator(TREES))

    @cached_property
    def landmarks(self) -> Landmarks:
        """The 11 named branchings, in RAS mm of the inhaled chest."""
        points = apply(self.placement.frame_to_ras, named_branchings(self.anatomy, self.trees["arteries"]))
        return Landmarks(points, NAMES, f"{self.member.name} inhale")

    @property
    def extent(self) -> float:
        """Share of the lungs in fibrosis; 0 in the healthy."""
        return self.disease.pattern.extent

    def to_frame(self, points_ras: np.ndarray) -> np.ndarray:
        """The same points in the chest's frame, in the points' own precision."""
        matrix = np.linalg.inv(self.placement.frame_to_ras)
        return apply(matrix.astype(points_ras.dtype), points_ras)

    def stiffness(self, points_ras: np.ndarray) -> np.ndarray:
        """Stiffness ``(N,)`` relative to healthy lung: 1, up to about 8 in fibrosis. 1 outside the lungs."""
        return self.disease.stiffness(self.to_frame(points_ras))

    def lungs(self, points_ras: np.ndarray) -> np.ndarray:
        """Distance ``(N,)`` mm from the lungs' surface, negative inside."""
        return self.placement.size * self.anatomy.lungs(self.to_frame(points_ras))

    def cage(self, points_ras: np.ndarray) -> np.ndarray:
        """Distance ``(N,)`` mm from the inner surface of the chest wall, negative inside."""
        return self.placement.size * self.anatomy.cage(self.to_frame(points_ras))

    def diaphragm(self, points_ras: np.ndarray) -> np.ndarray:
        """Distance ``(N,)`` mm from the diaphragm, positive above it."""
        return self.placement.size * self.anatomy.diaphragm(self.to_frame(points_ras))

    def body(self, points_ras: np.ndarray) -> np.ndarray:
        """Distance ``(N,)`` mm from the skin of the trunk, negative inside."""
        return self.placement.size * self.anatomy.body(self.to_frame(points_ras))

    def right_lung(self, points_ras: np.ndarray) -> np.ndarray:
        """Which points ``(N,)`` are on the right lung's side."""
        p = self.to_frame(points_ras)
        return p[:, 0] > self.anatomy.midline(p)


def sample_patient(parameters: Parameters, number: int) -> Patient:
    """Patient 0, 1, ... of the cohort.

    Args:
        parameters: All that is drawn from.
        number: Which patient.

    Raises:
        ParametersError: A table with other names than expected.
    """
    member = members(parameters)[number]
    shape = drawn(parameters, "anatomy", ChestShape, parameters.generator(number, SHAPE))
    placement = drawn(parameters, "placement", Placement, parameters.generator(number, PLACE))
    pattern = drawn(parameters, "disease", Pattern, parameters.generator(number, PATTERN))
    extent = extent_of(parameters, member)
    anatomy = Anatomy(shape.shrunk(extent))
    disease = spread_disease(anatomy, replace(pattern, extent=extent), parameters.generator(number, PATCHES))
    look = drawn(parameters, "appearance", Look, parameters.generator(number, LOOK))
    return Patient(member, anatomy, placement, disease, look, (parameters.seed, number))


def extent_of(parameters: Parameters, member: Member) -> float:
    """The share of a member's lungs that is in fibrosis: most patients have little of it."""
    if member.label != ILD:
        return 0.0
    least, most = parameters.tables["disease"]["extent"]
    return float(least + (most - least) * member.severity**1.5)


def drawn(parameters: Parameters, name: str, kind: type[Drawn], rng: np.random.Generator) -> Drawn:
    """A table's dataclass with a number between the two that the table has for each of its fields."""
    ranges = parameters.section(name, kind)
    return kind(**{field.name: float(rng.uniform(*getattr(ranges, field.name))) for field in fields(kind)})  # type: ignore[arg-type]
