"""Eleven landmarks that a reader would look for: branchings of the segmental arteries, by their anatomical names."""

from __future__ import annotations

import numpy as np

from .anatomy import LOBES, Anatomy
from .lung_trees import Tree

# Where in its lobe each branching is looked for: lobe, and how far to the side, to the front and up, from 0 to 1.
SOUGHT: dict[str, tuple[str, tuple[float, float, float]]] = {
    "right upper lobe apical artery": ("right upper", (0.4, 0.4, 0.65)),
    "right upper lobe anterior artery": ("right upper", (0.5, 0.7, 0.3)),
    "right middle lobe artery": ("right middle", (0.4, 0.5, 0.5)),
    "right lower lobe superior segmental artery": ("right lower", (0.45, 0.3, 0.75)),
    "right lower lobe lateral basal artery": ("right lower", (0.65, 0.6, 0.3)),
    "right lower lobe posterior basal artery": ("right lower", (0.35, 0.3, 0.3)),
    "left upper lobe apicoposterior artery": ("left upper", (0.4, 0.35, 0.75)),
    "left upper lobe lingular artery": ("left upper", (0.55, 0.65, 0.3)),
    "left lower lobe superior segmental artery": ("left lower", (0.45, 0.3, 0.75)),
    "left lower lobe lateral basal artery": ("left lower", (0.65, 0.6, 0.3)),
    "left lower lobe posterior basal artery": ("left lower", (0.35, 0.3, 0.3)),
}
NAMES = tuple(SOUGHT)
LEAST_RADIUS_MM = 1.3
LEAST_DEPTH_MM = 9.0


def named_branchings(anatomy: Anatomy, arteries: Tree) -> np.ndarray:
    """The landmarks ``(11, 3)``, in the frame, in the order of :data:`NAMES`; no branching stands for two names."""
    depth = -anatomy.lungs(arteries.tip)
    open_to_choice = (arteries.terminals > 1) & (arteries.radius > LEAST_RADIUS_MM) & (depth > LEAST_DEPTH_MM)
    chosen = []
    for lobe, place in SOUGHT.values():
        own = arteries.lobe == LOBES.index(lobe)
        tips = arteries.tip[own & (arteries.terminals == 1)]
        low, high = np.quantile(tips, 0.03, axis=0), np.quantile(tips, 0.97, axis=0)
        share = np.array(place)
        if lobe.startswith("left"):
            share[0] = 1 - share[0]
        gap = np.linalg.norm(arteries.tip - (low + share * (high - low)), axis=1)
        gap[~(own & open_to_choice)] = np.inf
        best = int(gap.argmin())
        open_to_choice[best] = False
        chosen.append(arteries.tip[best])
    return np.array(chosen)
