"""What trained weights are worth: the network alone against the alignment alone, on motion that is known.

None of it was seen in training: phantoms of other seeds, in contrasts of their own and moved by the phantom's own
breathing (training moves by free-form deformations), and a real CT under simulated breaths.

    python -m training.held_out --ct chest.nii.gz
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from LungDeepRegLib import Options, Volume, read_volume, register
from LungDeepRegLib.checkpoint import BUNDLED, Checkpoint, load_checkpoint
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.metrics import Distribution, folded_percent
from LungDeepRegLib.phantom import PhantomConfig, make_pair
from tqdm import tqdm

from .known_motion import Breath, simulate

FIRST_SEED = 900_000
MOTIONS_MM = (15.0, 22.0, 29.0, 36.0)
CONTRASTS = ("ct", "mri", "dim ct", "flat mri")
BREATHS = tuple(Breath(motion, seed=FIRST_SEED + n) for n, motion in enumerate((12.0, -12.0, 20.0, -20.0, 28.0, -28.0)))
POINTS = 50_000


@dataclass(frozen=True)
class Case:
    """Two images and the truth between them.

    Attributes:
        name: What it is.
        fixed: The fixed image.
        moving: The moving image.
        fixed_lungs: bool ``(K, J, I)``.
        moving_lungs: Likewise, given to the registration with the fixed ones; None lets it find both (CT).
        truth: The map from fixed to moving RAS mm, for points ``(N, 3)``.
    """

    name: str
    fixed: Volume
    moving: Volume
    fixed_lungs: np.ndarray
    moving_lungs: np.ndarray | None
    truth: Callable[[np.ndarray], np.ndarray]

    @property
    def given_mask(self) -> np.ndarray | None:
        """The fixed lungs where the registration is given masks."""
        return None if self.moving_lungs is None else self.fixed_lungs

    def error_mm(self, phi: Callable[[np.ndarray], np.ndarray]) -> Distribution:
        """``|phi(x) - truth(x)|`` over the fixed image's lungs."""
        found = np.argwhere(self.fixed_lungs)[:, ::-1]
        points = apply(self.fixed.ijk_to_ras, found[:: max(1, len(found) // POINTS)])
        return Distribution.of(np.linalg.norm(phi(points) - self.truth(points), axis=1))


def phantoms(count: int) -> Iterator[Case]:
    """Phantoms of other seeds, with other motion, and half of them in contrasts that no scanner makes."""
    for n in range(count):
        contrast, motion = CONTRASTS[n % len(CONTRASTS)], MOTIONS_MM[n // len(CONTRASTS) % len(MOTIONS_MM)]
        pair = make_pair(PhantomConfig(FIRST_SEED + n, contrast.split()[-1], motion))
        fixed, moving = (volume.with_array(recoloured(volume.array, contrast)) for volume in (pair.fixed, pair.moving))
        masks = (pair.fixed_mask.array > 0, pair.moving_mask.array > 0)
        yield Case(f"phantom {n + 1}, {contrast}, {motion:.0f} mm", fixed, moving, *masks, pair.phi)


def recoloured(array: np.ndarray, contrast: str) -> np.ndarray:
    """The image in one of :data:`CONTRASTS`."""
    values = array.astype(np.float32)
    if contrast == "dim ct":  # soft tissue fades into bone, lung stands out
        return 1000 * np.sqrt(np.clip(values + 1000, 0, 2000) / 2000)
    if contrast == "flat mri":  # as if saturated
        return 900 * np.tanh(values / 400)
    return array


def breaths(ct: Volume) -> Iterator[Case]:
    """A real CT under simulated breaths, in and out."""
    for breath in BREATHS:
        pair = simulate(ct, breath)
        name = f"{ct.name}, {breath.motion_mm:.0f} mm"
        yield Case(name, pair.fixed, pair.moving, pair.fixed_lungs, None, pair.psi)


def judged(case: Case, checkpoint: Checkpoint) -> dict[str, object]:
    """The error of the alignment and of the network in mm, as ``register`` gives them without refinement."""
    masks = {"fixed_mask": case.given_mask, "moving_mask": case.moving_lungs}
    options = Options(refine="off")
    aligned = register(case.fixed, case.moving, options, checkpoint=None, **masks)
    network = register(case.fixed, case.moving, options, checkpoint=checkpoint, **masks)
    still = DisplacementField.from_matrix(np.eye(4), aligned.field.lattice)
    errors = {"before": still, "alignment": aligned.field, "network": network.field}
    found: dict[str, object] = {name: asdict(case.error_mm(phi)) for name, phi in errors.items()}
    ratio = case.error_mm(network.field).mean / case.error_mm(aligned.field).mean
    return {"case": case.name, **found, "ratio": ratio, "folded_percent": folded_percent(network.field),
            "warnings": list(network.warnings), "network_seconds": network.seconds["network"]}  # fmt: skip


def summary(rows: list[dict]) -> dict[str, float]:
    """Means over cases; ``ratio`` is that of the mean errors."""
    alignment, network = (float(np.mean([row[name]["mean"] for row in rows])) for name in ("alignment", "network"))
    worst = max(float(row["ratio"]) for row in rows)
    return {"alignment_mm": alignment, "network_mm": network, "ratio": network / alignment, "worst_ratio": worst}


def main(arguments: list[str] | None = None) -> int:
    """Judge weights; the table as JSON to standard output."""
    parser = argparse.ArgumentParser(prog="python -m training.held_out", description=__doc__.split("\n\n")[0])
    parser.add_argument("--weights", type=Path, default=BUNDLED, help="a checkpoint (default: the one that ships)")
    parser.add_argument("--phantoms", type=int, default=20, help="how many synthetic pairs (default: 20)")
    parser.add_argument("--ct", type=Path, help="a chest CT to be moved by simulated breaths")
    chosen = parser.parse_args(arguments)
    checkpoint = load_checkpoint(chosen.weights)
    groups = {"phantoms": (phantoms(chosen.phantoms), chosen.phantoms)}
    if chosen.ct is not None:
        groups["ct"] = (breaths(read_volume(chosen.ct)), len(BREATHS))
    report = {}
    for name, (cases, count) in groups.items():
        rows = [judged(case, checkpoint) for case in tqdm(cases, name, count, file=sys.stderr)]
        report[name] = {**(summary(rows) if rows else {}), "cases": rows}
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
