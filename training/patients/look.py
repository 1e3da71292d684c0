"""How a synthetic patient's images look: signals of a T1-weighted gradient echo, and how well it is measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# What isn't in the table [appearance]: signals relative to muscle's.
RELATIVE_TO_MUSCLE = {
    "skin": 1.3, "bone": 0.16, "marrow": 1.35, "cartilage": 1.1, "disc": 0.75, "cord": 0.9, "diaphragm": 1.0,
    "myocardium": 1.1, "airway_wall": 0.7, "fissure": 0.6, "spleen": 0.95, "kidney": 1.05, "stomach": 0.7, "bowel": 1.0,
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """How a patient's images look: the table ``[appearance]``, which has a range for each.

    Attributes:
        gain: Of the receiver: all signals are multiplied by it.
        lung: Signal of inhaled healthy lung.
        fibrosis: Signal of fibrosis.
        vessel: Signal of vessels in the lungs.
        blood: Signal of heart and great vessels.
        fat: Signal of fat.
        muscle: Signal of muscle.
        liver: Signal of the liver.
        variation: How much each of the other tissues varies, relatively.
        noise: Standard deviation of the noise in each channel, before the scanner leaves out high frequencies.
        shading: How much the signal falls off from the coils; 0 for a perfect correction.
        coverage: Share of the frequencies along each axis that are measured.
        ghosting: How strong the heart's copies are.
    """

    gain: float
    lung: float
    fibrosis: float
    vessel: float
    blood: float
    fat: float
    muscle: float
    liver: float
    variation: float
    noise: float
    shading: float
    coverage: float
    ghosting: float

    def signals(self, rng: np.random.Generator) -> dict[str, float]:
        """The signal of each tissue, varied by the generator."""
        own = {name: getattr(self, name) for name in ("lung", "fibrosis", "vessel", "blood", "fat", "muscle", "liver")}
        others = {tissue: self.muscle * factor for tissue, factor in RELATIVE_TO_MUSCLE.items()}
        varied = {tissue: value * float(rng.normal(1, self.variation)) for tissue, value in others.items()}
        bare = {"air": 6.0, "gas": 6.0, "mediastinum": 0.85 * self.fat}
        return {tissue: self.gain * value for tissue, value in {**own, **varied, **bare}.items()}
