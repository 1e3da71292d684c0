"""Arteries, veins and airways that fill the lungs, grown from a seed.

Growth is volume filling (after Tawhai et al., "CT-based geometry analysis and finite element models of the human
and ovine bronchial tree", J Appl Physiol 2004): each branch heads for the middle of the tissue it serves, that tissue
is parted in two across the direction of growth, and so on until each branch serves one terminal. Radii follow from the
number of terminals served, ``r = r_terminal * n^(1/e)`` (Murray's law has e = 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import CAGE_APEX_MM, HILUM_MM, LOBES, Anatomy
from .tubes import Tubes

TERMINAL_SPACING_MM = 10.0
TERMINAL_RADIUS_MM = 0.45
RADIUS_EXPONENT = 2.75
LEAST_AIRWAY_TERMINALS = 24
SEARCH_BOX_MM = ((-140.0, -110.0, -160.0), (140.0, 105.0, CAGE_APEX_MM))


@dataclass(frozen=True, eq=False)
class Tree:
    """Branches of one kind of tube in both lungs.

    Attributes:
        parent: ``(B, 3)`` mm, where each branch begins.
        tip: ``(B, 3)`` mm, where it ends.
        terminals: ``(B,)`` how many terminals it serves.
        parent_terminals: ``(B,)`` how many its parent serves.
    """

    parent: np.ndarray
    tip: np.ndarray
    terminals: np.ndarray
    parent_terminals: np.ndarray

    @property
    def radius(self) -> np.ndarray:
        """Radius of each branch, ``(B,)`` mm."""
        return TERMINAL_RADIUS_MM * self.terminals ** (1 / RADIUS_EXPONENT)

    def tubes(self, rng: np.random.Generator) -> Tubes:
        """The branches as tubes, each bent a little in its middle; neighbours meet with nearly the same radius."""
        length = np.linalg.norm(self.tip - self.parent, axis=1)
        middle = (self.parent + self.tip) / 2 + rng.normal(0, 0.06, self.tip.shape) * length[:, None]
        own = self.radius
        wide = np.minimum(TERMINAL_RADIUS_MM * self.parent_terminals ** (1 / RADIUS_EXPONENT), 1.15 * own)
        return Tubes.union([Tubes(self.parent, middle, wide, own), Tubes(middle, self.tip, own, own)])


def grow_trees(anatomy: Anatomy, rng: np.random.Generator) -> dict[str, Tree]:
    """Pulmonary ``arteries`` and ``veins`` of both lungs, and the ``airways`` that go with the larger arteries."""
    trees = {}
    for name, offset in (("arteries", (0.0, 2.0, 4.0)), ("veins", (0.0, 6.0, -12.0))):
        terminals = _terminals(anatomy, rng)
        lobes = anatomy.lobe(terminals.astype(np.float32))
        hilum = np.array([HILUM_MM[lobe.split()[0]] for lobe in LOBES]) + np.array(offset)
        trees[name] = _grow(hilum, terminals, lobes, rng)
    trees["airways"] = _accompanying(trees["arteries"])
    return trees


def landmark_candidates(tree: Tree, anatomy: Anatomy, depth_mm: float = 7.0) -> tuple[np.ndarray, np.ndarray]:
    """Branchings ``(C, 3)`` deep enough in a lung to be looked for there, and the vessel's radius ``(C,)`` at each."""
    splits = tree.terminals >= 2
    points, radius = tree.tip[splits], tree.radius[splits]
    deep = anatomy.lungs(points.astype(np.float32)) < -depth_mm
    return points[deep], radius[deep]


def _terminals(anatomy: Anatomy, rng: np.random.Generator) -> np.ndarray:
    """Points spread evenly through both lungs, ``(N, 3)``: a grid, each point moved at random within its cell."""
    axes = [np.arange(a, b, TERMINAL_SPACING_MM) for a, b in zip(*SEARCH_BOX_MM, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    points += rng.uniform(0, TERMINAL_SPACING_MM, points.shape)
    return points[anatomy.lungs(points.astype(np.float32)) < -2.5]


def _grow(roots: np.ndarray, terminals: np.ndarray, group: np.ndarray, rng: np.random.Generator) -> Tree:
    """All branches from the roots ``(G, 3)`` to the terminals ``(N, 3)`` of each root's group ``(N,)``."""
    used, group = np.unique(group, return_inverse=True)
    tip, served = roots[used], np.bincount(group)
    columns: list[list[np.ndarray]] = [[], [], [], []]
    while len(terminals):
        child, parent = _split(tip, terminals, group, rng)
        count = np.bincount(child)
        middle = _group_mean(terminals, child, count)
        fraction = np.where(count == 1, 1.0, rng.uniform(0.32, 0.48, len(count)))
        new_tip = tip[parent] + fraction[:, None] * (middle - tip[parent])
        for column, values in zip(columns, (tip[parent], new_tip, count, served[parent]), strict=True):
            column.append(values)
        going_on = count > 1
        number = np.cumsum(going_on) - 1
        keep = going_on[child]
        terminals, group = terminals[keep], number[child[keep]]
        tip, served = new_tip[going_on], count[going_on]
    return Tree(*(np.concatenate(column) for column in columns))


def _split(
    tip: np.ndarray, terminals: np.ndarray, group: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Part each group in two where it is widest across its branch's heading.

    Returns:
        The new group of each terminal ``(N,)``, and the old group ``(G',)`` of each new one.
    """
    count = np.bincount(group)
    middle = _group_mean(terminals, group, count)
    heading = middle - tip
    heading /= np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-9)
    offset = terminals - middle[group]
    offset -= np.einsum("nd,nd->n", offset, heading[group])[:, None] * heading[group]
    spread = np.zeros((len(count), 3, 3))
    np.add.at(spread, group, offset[:, :, None] * offset[:, None, :])
    widest = np.linalg.eigh(spread)[1][:, :, -1]
    order = np.lexsort((np.einsum("nd,nd->n", offset, widest[group]), group))
    rank = np.empty(len(group), dtype=int)
    rank[order] = np.arange(len(group)) - np.repeat(np.cumsum(count) - count, count)
    cut = np.clip(np.round(count * rng.uniform(0.33, 0.67, len(count))), 1, np.maximum(count - 1, 1))
    used, child = np.unique(2 * group + (rank >= cut[group]), return_inverse=True)
    return child, used // 2


def _group_mean(points: np.ndarray, group: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.stack([np.bincount(group, points[:, d]) for d in range(3)], axis=1) / count[:, None]


def _accompanying(arteries: Tree) -> Tree:
    """The airways: beside each larger artery, at a distance that shrinks with its radius."""
    large = arteries.terminals >= LEAST_AIRWAY_TERMINALS
    beside = np.array([0.25, -0.85, -0.45])

    def moved(points: np.ndarray, terminals: np.ndarray) -> np.ndarray:
        return points + 2.1 * TERMINAL_RADIUS_MM * terminals[:, None] ** (1 / RADIUS_EXPONENT) * beside

    count, above = arteries.terminals[large], arteries.parent_terminals[large]
    return Tree(moved(arteries.parent[large], above), moved(arteries.tip[large], count), count, above)
