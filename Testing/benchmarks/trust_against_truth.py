"""Whether the trust map is low where a registration is wrong: known motion, in other pairs than it was fitted to.

    PYTHONPATH=LungDeepReg:. python Testing/benchmarks/trust_against_truth.py [CHEST_CT] [--picture OUT.png]

For each pair the registration itself, the same with false displacements added in places, and the truth with such. AUC:
how often a place with an error above 3 mm is trusted less than one below. A chest CT, where given, is put under a
simulated breath, both ways. With --picture the errors and the trust of the last pair are drawn beside each other.
"""

import argparse
import sys
from itertools import pairwise

import numpy as np
from LungDeepRegLib import read_volume, register
from LungDeepRegLib.assessment import assess
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.quality import NOT_MEASURED
from LungDeepRegLib.results.folder import pair_of

from Testing.engine.known_errors import area_under_curve, errors_at, spoiled
from training.known_motion import Breath, simulate

LIMIT_MM = 3.0
BINS = np.linspace(0, 1, 6)
SHIFTED = ((2.5, 2.5, 3.0), (3, 5, -6))


def pairs(ct):
    """Name, fixed image, moving image, fixed lungs and truth."""
    for contrast, seed in (("ct", 11), ("ct", 12), ("mri", 13)):
        made = make_pair(PhantomConfig(seed=seed, contrast=contrast), chest_lattice(2.5), chest_lattice(*SHIFTED))
        yield f"phantom {contrast} {seed}", made.fixed, made.moving, made.fixed_mask.array > 0, made.phi
    for motion in (20.0, -15.0) if ct else ():
        made = simulate(read_volume(ct), Breath(motion_mm=motion, seed=14))
        yield f"chest CT, breath {motion:.0f} mm", made.fixed, made.moving, made.fixed_lungs, made.psi


def fields(found, truth, points):
    """Name and field."""
    yield "registered", found.field
    yield "registered, spoiled", spoiled(found.field, points, 4, seed=21)
    exact = type(found.field).from_displacement(lambda x: truth(x) - x, found.field.lattice)
    yield "truth, spoiled", spoiled(exact, points, 5, width_mm=25.0, seed=22)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ct", nargs="?")
    parser.add_argument("--picture")
    arguments = parser.parse_args()
    head = ("field", "wrong", "AUC", "AUC with way back", "error where trusted", "where not")
    print(f"{head[0]:<44}" + "".join(f"{name:>20}" for name in head[1:]))
    everything, last = [], None
    for name, fixed, moving, lungs, truth in pairs(arguments.ct):
        found = register(fixed, moving, fixed_mask=lungs)
        pair = pair_of(fixed, moving, found)
        back = register(moving, fixed, fixed_mask=found.moving_lungs, moving_mask=lungs).field
        points = apply(fixed.ijk_to_ras, np.argwhere(lungs)[:, ::-1].astype(float))
        for which, field in fields(found, truth, points):
            one = assess(pair, field)
            both = assess(pair, field, backward=back)
            errors = errors_at(one.lattice, field, truth)
            known = one.trust.trust != NOT_MEASURED
            error, trust = errors[known], one.trust.trust[known]
            wrong = error > LIMIT_MM
            figures = [area_under_curve(-a.trust.trust[known], wrong) for a in (one, both)]
            trusted = trust >= 0.5
            means = [float(error[at].mean()) if at.any() else float("nan") for at in (trusted, ~trusted)]
            row = [f"{wrong.mean():.1%}", *(f"{f:.3f}" for f in figures), *(f"{m:.2f} mm" for m in means)]
            print(f"{name + ', ' + which:<44}" + "".join(f"{entry:>20}" for entry in row), flush=True)
            everything.append((trust, wrong))
            last = (pair, errors, one, both)
    trust, wrong = (np.concatenate(values) for values in zip(*everything, strict=True))
    print("\nOf the places with a trust of ..., so many have an error below 3 mm:")
    for low, high in pairwise(BINS):
        here = (trust >= low) & (trust <= high)
        print(f"  {low:.1f} to {high:.1f}: {1 - wrong[here].mean():.0%} of {here.sum()}")
    if arguments.picture:
        draw(arguments.picture, *last)
    return 0


def draw(path, pair, errors, one, both):
    """Error, trust without and with the way back, on the slice with most error."""
    import matplotlib.pyplot as plt

    lungs = one.trust.trust != NOT_MEASURED
    row = int(np.where(lungs, errors, 0).sum(axis=(0, 2)).argmax())
    figure, axes = plt.subplots(1, 3, figsize=(15, 5))
    shown = (("error [mm]", errors, "viridis", 8), ("trust", one.trust.trust, "RdYlGn", 1),
             ("trust, with the way back", both.trust.trust, "RdYlGn", 1))  # fmt: skip
    for axis, (title, values, colors, high) in zip(axes, shown, strict=True):
        drawn = axis.imshow(np.ma.masked_where(~lungs, values)[:, row], cmap=colors, vmin=0, vmax=high, origin="lower")
        axis.set_title(title)
        figure.colorbar(drawn, ax=axis)
    figure.suptitle(f"{pair.fixed.name}: coronal, seen from behind")
    figure.savefig(path, dpi=60)


if __name__ == "__main__":
    sys.exit(main())
