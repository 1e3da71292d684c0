"""The lung's own signal: grain, ground glass, reticulation, honeycombing, and bronchi pulled open by fibrosis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from LungDeepRegLib.phantom.contrast import TEXTURE_BOX_MM, Texture

from .disease import Disease
from .lung_trees import LEAST_AIRWAY_TERMINALS, Tree

COARSE_MM, FINE_MM, MESH_MM, CYST_MM = 28.0, 6.0, 9.0, 6.5
VISIBLE_FIBROSIS = 0.3
RETICULATED = 0.55  # share of fibrosis' signal that lies in its mesh


@dataclass(frozen=True, eq=False)
class LungTexture:
    """Random variation of one patient's tissue, of unit standard deviation, fixed to it.

    Attributes:
        coarse: Grains of :data:`COARSE_MM`.
        fine: Of :data:`FINE_MM`.
        mesh: Whose zeros are the mesh of reticulation.
        cysts: Whose hills are the cysts of honeycombing.
    """

    coarse: Texture
    fine: Texture
    mesh: Texture
    cysts: Texture

    @classmethod
    def sampled(cls, rng: np.random.Generator) -> LungTexture:
        """Drawn from the generator."""
        return cls(*(_of_grain(size, rng) for size in (COARSE_MM, FINE_MM, MESH_MM, CYST_MM)))

    def signal(self, p: np.ndarray, density: np.ndarray, disease: Disease, look: Mapping[str, float]) -> np.ndarray:
        """The lung's signal ``(N,)``.

        Args:
            p: Points ``(N, 3)`` in the frame.
            density: Of healthy lung there, relative to an inhaled one's.
            disease: Where the lung is ill.
            look: The signal of ``lung`` and of ``fibrosis``.
        """
        grain = 1 + np.float32(0.10) * self.coarse(p) + np.float32(0.14) * self.fine(p)
        signal = look["lung"] * density * np.clip(grain, 0.3, 2)
        if disease.pattern.extent <= 0:
            return signal.astype(np.float32)
        fibrosis, glass = disease.fibrosis(p), disease.ground_glass(p)
        ill = np.flatnonzero((fibrosis > 0) | (glass > 0))
        signal[ill] = self._ill(p[ill], signal[ill], fibrosis[ill], glass[ill], disease, look)
        return signal.astype(np.float32)

    def _ill(
        self,
        p: np.ndarray,
        signal: np.ndarray,
        fibrosis: np.ndarray,
        glass: np.ndarray,
        disease: Disease,
        look: Mapping[str, float],
    ) -> np.ndarray:
        mesh = np.exp(-np.square(self.mesh(p) / 0.3))
        scar = fibrosis * (1 - RETICULATED + RETICULATED * 2 * mesh)
        result = signal + (look["fibrosis"] - signal) * np.clip(scar + 0.3 * glass, 0, 1.1)
        honeycombed = disease.pattern.honeycombing * np.clip((fibrosis - 0.5) / 0.3, 0, 1)
        holes = np.clip((self.cysts(p) - 0.1) / 0.25, 0, 1) * honeycombed
        return result + holes * (0.5 * look["lung"] - result)


def ill_bronchi(bronchi: Tree, disease: Disease) -> Tree:
    """The bronchi that are seen: the large ones, and where fibrosis pulls them open, wider ones and smaller ones."""
    fibrosis = disease.fibrosis(bronchi.tip)
    seen = (bronchi.terminals >= LEAST_AIRWAY_TERMINALS) | (fibrosis > VISIBLE_FIBROSIS)
    wider = (1 + disease.pattern.traction * fibrosis) ** bronchi.exponent  # as more terminals would make them
    columns = {name: getattr(bronchi, name)[seen] for name in ("start", "tip", "lobe")}
    return replace(bronchi, terminals=(bronchi.terminals * wider)[seen], above=(bronchi.above * wider)[seen], **columns)


def _of_grain(size_mm: float, rng: np.random.Generator) -> Texture:
    count = int(TEXTURE_BOX_MM / size_mm)
    # Between the points of a cube the variation is an average of its neighbours: 1.8 makes up for that.
    return Texture((rng.standard_normal((count, count, count), dtype=np.float32),), (1.8,))
