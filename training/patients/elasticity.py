"""How elastic tissue moves when parts of it are held: linear elasticity on a lattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from LungDeepRegLib.geometry import Lattice
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg

from ..errors import TrainingError

MOST_ITERATIONS = 1500


class EquilibriumError(TrainingError):
    """Tissue whose motion isn't found."""


@dataclass(frozen=True, eq=False)
class Tissue:
    """What the equilibrium depends on, at the nodes of a lattice.

    Attributes:
        shear: Resistance to change of shape, ``(K, J, I)``, above 0.
        compression: Resistance to change of volume, ``(K, J, I)``, 0 or more.
        hold: How strongly a node is held at its target, per mm^2, ``(K, J, I)``, 0 or more; somewhere above 0.
        target: The motion at which it is held, ``(K, J, I, 3)`` mm.
    """

    shear: np.ndarray
    compression: np.ndarray
    hold: np.ndarray
    target: np.ndarray


def equilibrium(
    tissue: Tissue, lattice: Lattice, start: np.ndarray | None = None, tolerance: float = 1e-3
) -> np.ndarray:
    """The motion v of least energy: shear |grad v|^2 + compression (div v)^2 + hold |v - target|^2, summed over space.

    For constant moduli mu = shear and lambda = compression - shear that is the Navier equation of linear elasticity.
    Where neighbouring nodes differ in stiffness, the softer one decides (harmonic mean), so that a thin soft layer
    lets its sides slide past each other.

    Args:
        tissue: The stiffness of the tissue, and where it is held.
        lattice: The nodes: isotropic, with i, j, k along R, A, S.
        start: Where the conjugate gradients start, ``(K, J, I, 3)``; by default at the target.
        tolerance: Of the residual, relative to the forces.

    Returns:
        v, ``(K, J, I, 3)`` mm, components R, A, S.

    Raises:
        EquilibriumError: The conjugate gradients don't converge.
    """
    h = float(lattice.spacing_mm[0])
    held = (h * h * tissue.hold).ravel()
    shape = sparse.block_diag([_shear_energy(tissue.shear) + sparse.diags(held)] * 3, format="csr")
    divergence, volume = _divergence(lattice.shape), _cell_mean(tissue.compression)
    flux = (sparse.diags(volume) @ divergence).T.tocsr()
    inverse = 1 / (shape.diagonal() + flux.multiply(divergence.T).sum(axis=1).A1)
    stiffness = LinearOperator(shape.shape, matvec=lambda x: shape @ x + flux @ (divergence @ x))
    preconditioner = LinearOperator(shape.shape, matvec=lambda x: inverse * x)
    force = (held[:, None] * tissue.target.reshape(-1, 3)).T.ravel()
    first = (tissue.target if start is None else start).reshape(-1, 3).T.ravel()
    v, unfinished = cg(stiffness, force, x0=first, rtol=tolerance, maxiter=MOST_ITERATIONS, M=preconditioner)
    if unfinished:
        msg = f"found no elastic equilibrium in {MOST_ITERATIONS} iterations, expected softer tissue or a firmer hold"
        raise EquilibriumError(msg)
    return v.reshape(3, -1).T.reshape(*lattice.shape, 3)


def _shear_energy(shear: np.ndarray) -> sparse.csr_matrix:
    """The quadratic form of sum over edges mu |v_a - v_b|^2, for one component."""
    total = None
    for axis in range(3):
        steps = _along(shear.shape, axis, mean=False)
        low, high = (np.take(shear, np.arange(n, shear.shape[axis] - 1 + n), axis) for n in (0, 1))
        edges = (2 * low * high / (low + high)).ravel()
        form = steps.T @ sparse.diags(edges) @ steps
        total = form if total is None else total + form
    return total.tocsr()


def _divergence(shape: tuple[int, int, int]) -> sparse.csr_matrix:
    """Spacing times div v in the middle of each cell, from v as three blocks: R, A, S, which are the axes i, j, k."""
    return sparse.hstack([_along(shape, axis, mean=True) for axis in (2, 1, 0)], format="csr")


def _along(shape: tuple[int, int, int], axis: int, *, mean: bool) -> sparse.csr_matrix:
    """Differences along an axis; with ``mean``, averaged along the others to the middles of cells."""
    parts = []
    for d, n in enumerate(shape):
        if d == axis:
            parts.append(sparse.diags([-1.0, 1.0], [0, 1], shape=(n - 1, n)))
        else:
            parts.append(sparse.diags([0.5, 0.5], [0, 1], shape=(n - 1, n)) if mean else sparse.identity(n))
    return sparse.kron(sparse.kron(parts[0], parts[1]), parts[2], format="csr")


def _cell_mean(values: np.ndarray) -> np.ndarray:
    for axis in range(3):
        low, high = (np.take(values, np.arange(n, values.shape[axis] - 1 + n), axis) for n in (0, 1))
        values = (low + high) / 2
    return values.ravel()
