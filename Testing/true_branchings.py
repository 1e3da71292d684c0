"""Where the phantom's vessels truly branch."""

import numpy as np
from LungDeepRegLib.phantom import Breathing
from LungDeepRegLib.phantom.pair import sample_chest


def true_branchings(seed: int, phi: Breathing) -> np.ndarray:
    """All branchings of arteries and veins in the fixed (exhaled) chest of a seed, ``(N, 3)`` RAS mm."""
    chest = sample_chest(seed)
    trees = [chest.trees[name] for name in ("arteries", "veins")]
    inhaled = np.concatenate([tree.tip[tree.terminals >= 2] for tree in trees]) * np.array(chest.scale)
    return phi.inverse(inhaled)
