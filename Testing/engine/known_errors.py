"""Fields that are wrong in places, and how well a score tells where: shared with the benchmark."""

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField, lattice_points
from scipy.stats import rankdata


def spoiled(field, points, count, size_mm=12.0, width_mm=22.0, seed=0):
    """The field with smooth false displacements around some of the given points ``(N, 3)``."""
    random = np.random.default_rng(seed)
    x = lattice_points(field.lattice)
    u = field.vectors.reshape(-1, 3).astype(np.float64)
    for centre in points[random.integers(len(points), size=count)]:
        direction = random.normal(size=3)
        weight = np.exp(-((x - centre) ** 2).sum(axis=1) / (2 * width_mm**2))
        u += weight[:, None] * direction * (size_mm / np.linalg.norm(direction))
    return DisplacementField(u.reshape(field.vectors.shape), field.lattice)


def area_under_curve(score, positive):
    """How often a positive place has a higher score than another one (0.5: by chance, 1: always)."""
    ranks, n, m = rankdata(score), int(positive.sum()), int((~positive).sum())
    return (ranks[positive].sum() - n * (n + 1) / 2) / (n * m) if n and m else float("nan")


def errors_at(lattice, field, truth):
    """``|phi(x) - truth(x)|`` in mm at a lattice's nodes, ``(K, J, I)``."""
    x = lattice_points(lattice)
    return np.linalg.norm(field(x) - truth(x), axis=1).reshape(lattice.shape)
