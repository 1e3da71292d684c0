"""A benchmark's records that nobody measured: figures by formula, for tests of tables and pictures only."""

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice, apply
from LungDeepRegLib.intensity import choose_intensity
from LungDeepRegLib.results.pair import Pair
from LungDeepRegLib.volume import Volume

from Testing.training.smooth_chest import ras_of
from training.benchmarking.record import DRAWN, PAIR, REST, VALIDATION, MethodNote, Record, RunNote

TITLES = {
    "unregistered": "Unregistered", "affine": "Affine alignment", "syn": "SyN (ANTs)", "elastix": "elastix, B-spline",
    "convexadam": "ConvexAdam", "ffd-ncc": "B-spline, NCC", "ffd-dwm": "B-spline, DWM", "ffd-mi": "B-spline, MI",
    "ffd-all": "B-spline, NCC + DWM + MI", "network": "Network", "network+linear": "Network, linear",
    "network+refine": "network, without linear branch, refined",
    "network+linear+refine": "network, refined (LungDeepReg's default)",
    "refine": "Refinement alone",
}  # fmt: skip
COSTLY = ("syn", "elastix", "convexadam")
LEVELS = dict(zip(TITLES, (75, 83, 88, 89, 91, 85, 87, 88, 89, 84, 85, 92, 93, 92), strict=True))
SHIFT_MM = np.array([0.0, 6.0, -18.0])
"""Where the made-up moving image's chest is, beyond the fixed one's."""


def note(**changed):
    methods = {name: MethodNote(title, name in COSTLY, {"made": "up"}) for name, title in TITLES.items()}
    values = {
        "command": "training/benchmark.py --cohort made_up.csv", "methods": methods, "cohort": "made_up.csv",
        "one_pair": False, "synthetic": True, "protocol": "paper", "lattice_shape": [64, 192, 192],
        "spacing_mm": [2.2, 2.2, 4.05], "threads": 2, "workers": 1, "seed": 3,
        "machine": {"processor": "made up", "cores": 2}, "versions": {"torch": "0"}, "combinations": 16, "drawn": 5,
    }  # fmt: skip
    return RunNote(**values | changed)


def record(method="refine", fixed="P01 exhale", moving="P01 inhale", group=VALIDATION, **figures):
    """One registration; all figures None but for those given."""
    return Record(method, fixed, moving, "ILD", "healthy", group in (VALIDATION, PAIR), group, 2, "a", "b", **figures)


def landmarks(ds):
    return {"dx": 0.4 * ds, "dy": 0.7 * ds, "dz": 0.4 * ds, "ds": ds}


def measured(method, fixed, moving, group, random):
    """A registration with all figures, around its method's level."""
    level = LEVELS[method] - 12 * (group != VALIDATION) + random.normal(0, 3)
    within = {}
    if group == VALIDATION:
        marks = {name: landmarks((100 - level) / 3 + extra) for name, extra in (("1", 0.2), ("2", 0.6), ("truth", 0))}
        within = {"landmarks": marks, "inter_observer": landmarks(3.9), "hausdorff95_mm": 9.0, "similarity": 0.4}
    return record(
        method, fixed, moving, group, dice=level / 100, seconds=10 + random.random(), alignment_seconds=1.5,
        peak_memory_mb=900 + 100 * random.random(), folded_percent_lung=0.01, folded_percent=0.02, jacobian_sd=0.2,
        log_jacobian_sd=0.25, **within,
    )  # fmt: skip


def cohort_records(patients=4, drawn=5, methods=TITLES):
    """All combinations of some patients; the costly methods do the drawn ones alone."""
    names = [f"P{n + 1:02d}" for n in range(patients)]
    between = [(a, b) for a in names for b in names if a != b]
    picked = {between[n] for n in np.random.default_rng(9).permutation(len(between))[:drawn]}
    found = []
    for number, method in enumerate(methods):
        random = np.random.default_rng(number)
        for a, b in [(a, a) for a in names] + between:
            group = VALIDATION if a == b else DRAWN if (a, b) in picked else REST
            if group != REST or method not in COSTLY:
                found.append(measured(method, f"{a} exhale", f"{b} inhale", group, random))
    return found


class MadeUpImages:
    """Two lungs that are formulas, on an oblique, anisotropic, left-handed lattice; the moving one is shifted."""

    def __init__(self, absent=()):
        turn = np.array([[0.995, 0.0998, 0], [-0.0998, 0.995, 0], [0, 0, 1]])
        matrix = np.eye(4)
        matrix[:3, :3] = turn @ np.diag([-7.0, 9.0, 6.0])
        matrix[:3, 3] = [170, -170, -150]
        self.lattice = Lattice((50, 38, 48), matrix)
        self.absent = absent
        self.asked = []

    def image(self, shift):
        r, a, s = np.moveaxis(ras_of(self.lattice) - shift, -1, 0)
        lungs = np.zeros(r.shape, bool)
        for side in (-70, 70):
            lungs |= ((r - side) / 50) ** 2 + (a / 75) ** 2 + (s / 105) ** 2 < 1
        body = (r / 155) ** 2 + (a / 115) ** 2 < 1
        vessels = 150 * (np.sin(r / 9) * np.sin(s / 11) > 0.75)
        return Volume(
            np.where(lungs, 180 + vessels, np.where(body, 800, 20)).astype(np.float32), matrix_of(self)
        ), lungs

    def images(self, fixed, moving):
        self.asked.append((fixed, moving))
        (still, still_lungs), (moved, moved_lungs) = self.image(np.zeros(3)), self.image(SHIFT_MM)
        readings = [choose_intensity(volume, "paper") for volume in (still, moved)]
        return Pair(still, moved, *readings, still_lungs, moved_lungs)

    def phi(self, method, fixed, moving):
        """The right shift for the defaults, half of it for everybody else; on part of the images."""
        assert method != "unregistered"
        if method in self.absent:
            return None
        shift = np.eye(4)
        shift[:3, 3] = SHIFT_MM if method == "network+linear+refine" else SHIFT_MM / 2
        matrix = np.array(self.lattice.ijk_to_ras)
        matrix[:3, 3] = apply(matrix, np.array([3.0, 4.0, 5.0]))
        matrix[:3, :3] *= 2
        return DisplacementField.from_matrix(shift, Lattice((22, 15, 20), matrix))


def matrix_of(images):
    return images.lattice.ijk_to_ras
