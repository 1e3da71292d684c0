"""Arteries, veins and bronchi of a synthetic patient, grown lobe by lobe.

Another law than the engine's phantom has: a branch's tissue is shared between its two children by which of two far
points of it is nearer, and the branching lies where the weighted way from the branch's start to both is shortest, so
thick branches run straighter than thin ones. Radii follow ``r = r_terminal * n^(1/e)`` for n terminals served.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from LungDeepRegLib.phantom.tubes import Tubes

from .anatomy import LOBES, Anatomy, frame_points
from .vessels import hila

TERMINAL_RADIUS_MM = 0.5
LEAST_AIRWAY_TERMINALS = 22
LEAST_DRAWN_OPEN = 5  # bronchi that only fibrosis makes visible
BESIDE = np.array([-0.3, -0.75, 0.6])
OFFSETS = {"arteries": (0.0, 1.0, 5.0), "veins": (0.0, 9.0, -14.0)}


@dataclass(frozen=True, eq=False)
class Tree:
    """Branches of one kind in both lungs, in the frame.

    Attributes:
        start: ``(B, 3)`` mm, where each begins.
        tip: ``(B, 3)`` mm, where it ends.
        terminals: ``(B,)`` how many terminals it serves.
        above: ``(B,)`` how many the branch before it serves.
        lobe: ``(B,)`` its number in :data:`LOBES`.
        exponent: Of the law of the radii.
    """

    start: np.ndarray
    tip: np.ndarray
    terminals: np.ndarray
    above: np.ndarray
    lobe: np.ndarray
    exponent: float

    @property
    def radius(self) -> np.ndarray:
        """Radius of each branch, ``(B,)`` mm."""
        return TERMINAL_RADIUS_MM * self.terminals ** (1 / self.exponent)

    def tubes(self, rng: np.random.Generator) -> Tubes:
        """The branches as tubes, in three pieces each that bend to and fro."""
        length = np.linalg.norm(self.tip - self.start, axis=1)[:, None]
        sway = rng.normal(0, 0.05, self.tip.shape) * length
        first = self.start + 0.35 * (self.tip - self.start) + sway
        second = self.start + 0.7 * (self.tip - self.start) - 0.6 * sway
        own = self.radius
        wide = np.minimum(TERMINAL_RADIUS_MM * self.above ** (1 / self.exponent), 1.2 * own)
        return Tubes.union(
            [Tubes(self.start, first, wide, own), Tubes(first, second, own, own), Tubes(second, self.tip, own, own)]
        )


def grow_lung_trees(anatomy: Anatomy, rng: np.random.Generator) -> dict[str, Tree]:
    """The ``arteries`` and ``veins`` of both lungs, and the ``bronchi`` beside the arteries but for the smallest."""
    exponent = float(rng.uniform(2.55, 2.95))
    trees = {name: _grown(anatomy, offset, exponent, rng) for name, offset in OFFSETS.items()}
    arteries = trees["arteries"]
    large = arteries.terminals >= LEAST_DRAWN_OPEN

    def beside(points: np.ndarray, terminals: np.ndarray) -> np.ndarray:
        return points + 2.2 * TERMINAL_RADIUS_MM * terminals[:, None] ** (1 / exponent) * BESIDE

    count, above = arteries.terminals[large], arteries.above[large]
    start, tip = beside(arteries.start[large], above), beside(arteries.tip[large], count)
    trees["bronchi"] = Tree(start, tip, count, above, arteries.lobe[large], exponent)
    return trees


def _grown(anatomy: Anatomy, offset: tuple[float, ...], exponent: float, rng: np.random.Generator) -> Tree:
    points = frame_points()
    inside = points[(anatomy.lungs.values < -2).ravel()]
    terminals = inside[rng.permutation(len(inside))[: int(len(inside) * 27 / rng.uniform(800, 1300))]].astype(float)
    terminals += rng.uniform(-1.5, 1.5, terminals.shape)
    lobe, hilum = anatomy.lobe(terminals), hila(anatomy.shape.hilum_up)
    rows: list[tuple] = []
    for number, name in enumerate(LOBES):
        own = terminals[lobe == number]
        if len(own):
            root = np.array(hilum[name.split()[0]]) + np.array(offset)
            rows += _branches(root, own, number, rng)
    start, tip, served, above, lobes = (np.array(column) for column in zip(*rows, strict=True))
    return Tree(start, tip, served, above, lobes, exponent)


def _branches(root: np.ndarray, terminals: np.ndarray, lobe: int, rng: np.random.Generator) -> list[tuple]:
    """All branches of one lobe from its root: start, tip, terminals served, and by the branch before, lobe."""
    rows: list[tuple] = []
    waiting = [(root, terminals, len(terminals))]
    while waiting:
        start, own, above = waiting.pop()
        count = len(own)
        if count == 1:
            rows.append((start, own[0], 1, above, lobe))
            continue
        nearer = _shared(own, rng)
        children = (own[nearer], own[~nearer])
        tip = _branching(start, [child.mean(axis=0) for child in children], [len(child) for child in children])
        rows.append((start, tip, count, above, lobe))
        waiting += [(tip, child, count) for child in children]
    return rows


def _shared(terminals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which terminals ``(N,)`` go to the first of two children, at least one to each."""
    first = terminals[np.linalg.norm(terminals - terminals[rng.integers(len(terminals))], axis=1).argmax()]
    distances = np.linalg.norm(terminals - first, axis=1)
    second = terminals[distances.argmax()]
    lead = distances - np.linalg.norm(terminals - second, axis=1)
    cut = np.quantile(lead, rng.uniform(0.3, 0.7)) if len(terminals) > 3 else 0.0
    nearer = lead <= cut
    return nearer if 0 < nearer.sum() < len(terminals) else lead < lead.max()


def _branching(start: np.ndarray, ends: list[np.ndarray], counts: list[int]) -> np.ndarray:
    """Where the way start to branching to both ends is shortest, weighted by radius; a third of the way at most."""
    corners = np.stack((start, *ends))
    weight = np.array([sum(counts), *counts], dtype=float) ** 0.4
    middle = weight @ corners / weight.sum()
    for _ in range(4):
        offset = corners - middle
        pull = weight / np.maximum(np.sqrt((offset * offset).sum(axis=1)), 0.5)
        middle = pull @ corners / pull.sum()
    target = (counts[0] * ends[0] + counts[1] * ends[1]) / sum(counts)
    return start + 0.5 * (middle - start) + 0.18 * (target - start)
