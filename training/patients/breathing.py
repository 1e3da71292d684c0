"""Breathing as the motion of an elastic chest: phi from the exhaled patient to the inhaled one, in RAS mm.

Exhaling is a flow: its velocity is the elastic equilibrium (:mod:`elasticity`) of a chest whose diaphragm and ribs are
moved (:mod:`mechanics`), solved anew from the tissue as it lies then. A flow can't fold.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from LungDeepRegLib.displacement_field import DisplacementField, lattice_points
from LungDeepRegLib.geometry import Lattice, apply, index_box
from LungDeepRegLib.warp import warp
from scipy.interpolate import CubicSpline
from torch import Tensor

from ..errors import TrainingError
from .elasticity import equilibrium
from .mechanics import ChestMechanics

LEAST_JACOBIAN = 0.05
STEPS = 3
SUBSTEPS = 2
REFINED = 2
"""The velocity, solved on a coarse lattice, is a cubic spline on one this many times finer, where phi is kept."""


class MotionError(TrainingError):
    """A breath that tears or folds tissue."""


@dataclass(frozen=True, eq=False)
class ElasticBreathing:
    """phi from the exhaled (fixed) chest to the inhaled (moving) one.

    Attributes:
        field: phi's displacement on its lattice; phi is linear between the nodes.
    """

    field: DisplacementField

    def displacement(self, points_ras: np.ndarray) -> np.ndarray:
        """Displacement u ``(N, 3)`` in mm at points ``(N, 3)`` in RAS mm, in the points' own precision."""
        return self._sampled(self._vectors, points_ras)

    def __call__(self, points_ras: np.ndarray) -> np.ndarray:
        """Where phi takes points ``(N, 3)`` in RAS mm."""
        return points_ras + self.displacement(points_ras)

    def jacobian_matrix(self, points_ras: np.ndarray) -> np.ndarray:
        """Derivatives d phi_c / d x_d, ``(N, 3, 3)``: central differences at the nodes, linear between them."""
        return self._sampled(self._matrices, points_ras).reshape(-1, 3, 3)

    def jacobian(self, points_ras: np.ndarray) -> np.ndarray:
        """det(d phi / d x), ``(N,)``: the volume a piece of tissue has when inhaled over what it has when exhaled."""
        return self._sampled(self._determinants, points_ras)[:, 0]

    def with_jacobian(self, points_ras: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both phi ``(N, 3)`` and det(d phi / d x) ``(N,)``."""
        return self(points_ras), self.jacobian(points_ras)

    def inverse(self, points_ras: np.ndarray, iterations: int = 200) -> np.ndarray:
        """phi^-1 of points ``(N, 3)``, by damped Newton steps to about 1e-6 mm.

        Raises:
            MotionError: Points whose origin isn't found in so many steps.
        """
        y = np.asarray(points_ras, dtype=np.float64)
        x = y.copy()
        for _ in range(iterations):
            residual = y - self(x)
            if np.abs(residual).max() < 1e-6:
                return x
            step = np.linalg.solve(self.jacobian_matrix(x), residual[..., None])[..., 0]
            length = np.linalg.norm(step, axis=1, keepdims=True)
            x += 0.9 * step * np.minimum(1, 10 / np.maximum(length, 1e-12))
        msg = f"found points {np.abs(residual).max():.1e} mm from where phi takes their origins, expected 1e-6 or less"
        raise MotionError(msg)

    @cached_property
    def _vectors(self) -> Tensor:
        return self.field.tensor()

    @cached_property
    def _matrices(self) -> Tensor:
        gradients = nodal_jacobian(self.field.vectors, self.field.lattice)
        return torch.from_numpy(np.moveaxis(gradients.reshape(*self.field.lattice.shape, 9), -1, 0).copy())[None]

    @cached_property
    def _determinants(self) -> Tensor:
        return torch.from_numpy(np.linalg.det(nodal_jacobian(self.field.vectors, self.field.lattice)))[None, None]

    def _sampled(self, values: Tensor, points_ras: np.ndarray) -> np.ndarray:
        """Values ``(1, C, K, J, I)`` of the field's lattice at points ``(N, 3)``: ``(N, C)``."""
        to_grid = self.field.lattice.ras_to_grid.astype(points_ras.dtype)
        grid = torch.from_numpy(np.ascontiguousarray(apply(to_grid, points_ras)))
        return warp(values.to(grid.dtype), grid.reshape(1, 1, 1, -1, 3))[0, :, 0, 0].T.numpy()


def breathe(mechanics: ChestMechanics, lattice: Lattice) -> ElasticBreathing:
    """The map between the breath's ends.

    Args:
        mechanics: What moves, and how stiff the tissue is.
        lattice: Where the equilibrium is solved: isotropic, with i, j, k along R, A, S; see
            :meth:`ChestMechanics.lattice`.

    Raises:
        MotionError: A breath so deep that the lattice is too coarse for it.
    """
    fine = refined(lattice)
    inhaled = ElasticBreathing(DisplacementField(np.zeros((*fine.shape, 3)), fine))
    nodes, points = lattice_points(lattice), lattice_points(fine)
    velocity = None
    for _ in range(STEPS):
        velocity = equilibrium(mechanics.tissue(inhaled(nodes), lattice.shape), lattice, velocity)
        exhaling = ElasticBreathing(DisplacementField(upsampled(velocity), fine))
        before = points
        for _ in range(SUBSTEPS):
            before = runge_kutta(exhaling, before, -1 / (STEPS * SUBSTEPS))
        inhaled = ElasticBreathing(DisplacementField((inhaled(before) - points).reshape(*fine.shape, 3), fine))
    least = float(np.linalg.det(nodal_jacobian(inhaled.field.vectors, fine)).min())
    if least < LEAST_JACOBIAN:
        msg = f"found a Jacobian determinant of {least:.3f} in a breath, expected {LEAST_JACOBIAN} or more"
        raise MotionError(msg)
    return inhaled


def runge_kutta(velocity: ElasticBreathing, points: np.ndarray, time: float) -> np.ndarray:
    """Where a flow takes points ``(N, 3)`` in a time, by one step of fourth order."""
    a = velocity.displacement(points)
    b = velocity.displacement(points + time / 2 * a)
    c = velocity.displacement(points + time / 2 * b)
    d = velocity.displacement(points + time * c)
    return points + time / 6 * (a + 2 * b + 2 * c + d)


def refined(lattice: Lattice) -> Lattice:
    """The lattice with :data:`REFINED` - 1 nodes more between neighbours, and the same corners."""
    count = REFINED * (np.array(lattice.shape[::-1]) - 1) + 1
    return index_box(lattice, np.full(3, -(1 / REFINED - 1) / 2), count, 1 / REFINED)


def upsampled(vectors: np.ndarray) -> np.ndarray:
    """Vectors ``(K, J, I, 3)`` at the nodes of :func:`refined`, by cubic splines along each axis."""
    for axis in range(3):
        n = vectors.shape[axis]
        spline = CubicSpline(np.arange(n), np.eye(n))(np.linspace(0, n - 1, REFINED * (n - 1) + 1))
        vectors = np.moveaxis(np.tensordot(spline, vectors, axes=(1, axis)), 0, axis)
    return vectors


def nodal_jacobian(vectors: np.ndarray, lattice: Lattice) -> np.ndarray:
    """I + du/dx, ``(K, J, I, 3, 3)`` with component before derivative, by central differences.

    Args:
        vectors: u, ``(K, J, I, 3)`` mm.
        lattice: Where they are: i, j, k along R, A, S.
    """
    i, j, k = lattice.spacing_mm
    slopes = np.gradient(vectors, k, j, i, axis=(0, 1, 2))
    return np.stack(slopes[::-1], axis=-1) + np.eye(3)
